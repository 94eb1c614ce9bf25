/*
 * rollback.c
 *		What stands in the way of taking a run back. See rollback.h.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "catalog/rollback.h"
#include "catalog/spi.h"

/* Whether an attempt x may have changed a table: extracts commit on the way, so that failed ones count, too. */
#define HAS_CHANGED                                                                                                    \
	"((x.state IN ('success', 'warning', 'running') OR x.kind = 'extract') AND (x.kind = 'sql' OR x.state = 'running'" \
	" OR coalesce(x.rows_inserted, 0) + coalesce(x.rows_updated, 0) + coalesce(x.rows_deleted, 0) > 0))"

/* read_text returns the column text of the one row of a query about a run. */
static char *
read_text(EtlStatement *statement, int64 id)
{
	Datum value = Int64GetDatum(id);
	EtlScope scope;
	EtlRow row;
	char *result = NULL;

	etl_catalog_begin(&scope);
	if (etl_catalog_exec(statement, &value, NULL, SPI_OK_SELECT) > 0)
	{
		row = etl_catalog_row(&scope, 0);
		result = etl_row_text(&row, "text");
	}
	etl_catalog_end(&scope);
	return result;
}

/*
 * etl_rollback_later goes by time: an attempt that ended after this run had begun to write a table may have seen or changed what
 * it wrote. Attempts that have read nothing and changed nothing do not depend on anything.
 */
char *
etl_rollback_later(int64 run_id)
{
	static EtlStatement find = {
		"WITH mine AS MATERIALIZED (SELECT w.relation, min(x.started_at) AS since FROM etl.run AS r,"
		"  jsonb_array_elements(r.definition->'task') AS e, jsonb_array_elements_text(e->'writes') AS w (relation),"
		"  etl.task_run AS x WHERE r.run_id = $1 AND x.run_id = r.run_id AND x.task_id = (e->>'task_id')::bigint"
		"  AND " HAS_CHANGED " GROUP BY 1), "
		"later AS (SELECT r.run_id, p.name AS pipeline, r.state, string_agg(DISTINCT x.task, ', ' ORDER BY x.task) AS "
		"tasks"
		"  FROM mine AS m, etl.task_run AS x, etl.run AS r, etl.pipeline AS p,"
		"  LATERAL (SELECT e FROM jsonb_array_elements(r.definition->'task') AS e"
		"    WHERE (e->>'task_id')::bigint = x.task_id LIMIT 1) AS d"
		"  WHERE x.run_id <> $1 AND coalesce(x.ended_at, 'infinity') > m.since AND r.run_id = x.run_id"
		"  AND r.rolled_back_at IS NULL AND p.pipeline_id = r.pipeline_id"
		"  AND (d.e->'writes' ? m.relation AND " HAS_CHANGED
		"    OR d.e->'reads' ? m.relation AND x.kind <> 'check' AND (" HAS_CHANGED
		"      OR x.state IN ('success', 'warning') AND x.rows_read > 0)) GROUP BY 1, 2, 3) "
		"SELECT string_agg(format('run %s of pipeline \"%s\" (%s): %s', run_id, pipeline, state, tasks), E'\\n'"
		"  ORDER BY run_id DESC) AS text FROM later",
		1,
		{INT8OID}};

	return read_text(&find, run_id);
}

/* etl_rollback_unkept: an extract keeps its position only, a load also the rows. */
char *
etl_rollback_unkept(int64 run_id)
{
	static EtlStatement find = {
		"SELECT string_agg(DISTINCT format('\"%s\"', x.task), ', ') AS text FROM etl.task_run AS x"
		" LEFT JOIN etl.undo AS u ON u.run_id = x.run_id AND u.task_id = x.task_id"
		" WHERE x.run_id = $1 AND x.kind IN ('extract', 'load', 'aggregate') AND (x.state IN ('success', 'warning')"
		" OR x.kind = 'extract' AND x.rows_inserted > 0) AND (u.run_id IS NULL OR x.kind <> 'extract' AND u.n_old IS "
		"NULL"
		" AND " HAS_CHANGED ")",
		1,
		{INT8OID}};

	return read_text(&find, run_id);
}

/* etl_rollback_commands lists them. */
char *
etl_rollback_commands(int64 run_id)
{
	static EtlStatement find = {
		"SELECT string_agg(DISTINCT format('\"%s\"', x.task), ', ') AS text FROM etl.task_run AS x"
		" WHERE x.run_id = $1 AND x.kind = 'sql' AND x.state IN ('success', 'warning')",
		1,
		{INT8OID}};

	return read_text(&find, run_id);
}

/* etl_rollback_active also counts the runs of backfills. */
int64
etl_rollback_active(int64 pipeline_id)
{
	static EtlStatement find = {"SELECT coalesce(min(run_id), 0) AS run_id FROM etl.run WHERE pipeline_id = $1"
								" AND state IN ('queued', 'running')",
								1,
								{INT8OID}};
	Datum value = Int64GetDatum(pipeline_id);
	EtlScope scope;
	EtlRow row;
	int64 run_id;

	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&find, &value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	run_id = etl_row_int64(&row, "run_id");
	etl_catalog_end(&scope);
	return run_id;
}

/* etl_rollback_done reads the time. */
char *
etl_rollback_done(int64 run_id)
{
	static EtlStatement find = {"SELECT rolled_back_at AS text FROM etl.run WHERE run_id = $1", 1, {INT8OID}};

	return read_text(&find, run_id);
}

/* etl_rollback_note leaves the state of the run: it did end so. */
void
etl_rollback_note(int64 run_id, Oid role)
{
	static EtlStatement update = {
		"UPDATE etl.run SET rolled_back_at = clock_timestamp(), rolled_back_by = $2 WHERE run_id = $1",
		2,
		{INT8OID, OIDOID}};
	Datum value[2] = {Int64GetDatum(run_id), ObjectIdGetDatum(role)};

	(void) etl_catalog_call(&update, value, NULL, SPI_OK_UPDATE);
}
