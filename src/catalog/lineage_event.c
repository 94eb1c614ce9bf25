/*
 * lineage_event.c
 *		The table etl.lineage_event: how an event is made. See lineage_event.h; lineage_queue.c delivers.
 *
 * Everything in an event but its datasets is in the tables of schema etl, so a function in SQL puts it together.
 */
#include "postgres.h"

#include "catalog/lineage_event.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

/* etl_lineage_event_is_wanted looks for a route. */
bool
etl_lineage_event_is_wanted(void)
{
	static EtlStatement find = {
		"SELECT FROM etl.alert_route WHERE channel = 'openlineage' AND enabled LIMIT 1", 0, {0}};

	return etl_catalog_call(&find, NULL, NULL, SPI_OK_SELECT) > 0;
}

/* etl_lineage_event_insert puts an event together. */
void
etl_lineage_event_insert(const EtlLineageEvent *event)
{
	static EtlStatement insert = {
		"INSERT INTO etl.lineage_event (route, owner, pipeline_id, run_id, task_run_id, event_type, job, body, state, "
		"try, "
		"  due_at, created_at) "
		"SELECT $6, $7, r.pipeline_id, r.run_id, nullif($2, 0), $4, b.body->'job'->>'name', b.body, 'pending', 1, "
		"  clock_timestamp(), clock_timestamp() "
		"FROM etl.run AS r, LATERAL (SELECT etl.lineage_event_body(r.run_id, nullif($2, 0), nullif($3, 0), $4, $5, "
		"  $8::jsonb, $9::jsonb)) AS b (body) WHERE r.run_id = $1",
		9,
		{INT8OID, INT8OID, INT8OID, TEXTOID, TEXTOID, TEXTOID, OIDOID, TEXTOID, TEXTOID}};
	Datum value[9];
	char null[9] = {' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '};

	value[0] = Int64GetDatum(event->run_id);
	value[1] = Int64GetDatum(event->task_run_id);
	value[2] = Int64GetDatum(event->check_id);
	value[3] = CStringGetTextDatum(event->type);
	value[4] = CStringGetTextDatum(event->namespace);
	value[5] = CStringGetTextDatum(event->route->name);
	value[6] = ObjectIdGetDatum(event->route->owner);
	value[7] = CStringGetTextDatum(event->inputs);
	value[8] = CStringGetTextDatum(event->outputs);
	(void) etl_catalog_call(&insert, value, null, SPI_OK_INSERT);
}

/* etl_lineage_event_assertions reads results of checks; one that was not evaluated has found nothing. */
char *
etl_lineage_event_assertions(int64 task_run_id, int64 check_id)
{
	static EtlStatement list = {
		"SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object("
		"  'assertion', c.check_type, 'name', c.check_name, 'success', c.state = 'pass', "
		"  'severity', CASE WHEN c.state = 'warn' OR c.fail IS NULL THEN 'warn' ELSE 'error' END, "
		"  'column', CASE WHEN jsonb_array_length(nullif(d.e->'columns', 'null')) = 1 THEN d.e->'columns'->>0 END, "
		"  'expected', coalesce(c.fail, c.warn), "
		"  'actual', nullif(concat_ws(' ', c.measured::text, CASE WHEN c.measured IS NOT NULL THEN c.unit END), ''), "
		"  'description', c.message, 'content', d.e->>'expression', "
		"  'contentType', CASE WHEN d.e->>'expression' IS NOT NULL THEN 'expression' END)) "
		"  ORDER BY c.check_result_id) AS assertions "
		"FROM etl.check_result AS c JOIN etl.task_run AS x ON x.task_run_id = c.task_run_id "
		"JOIN etl.run AS r ON r.run_id = x.run_id "
		"LEFT JOIN LATERAL (SELECT e FROM jsonb_array_elements(r.definition->'task') AS e "
		"  WHERE (e->>'task_id')::bigint = c.task_id) AS d ON true "
		"WHERE c.task_run_id = $1 AND c.task_id = CASE WHEN $2 <> 0 THEN $2 ELSE x.task_id END "
		"AND c.state <> 'not_evaluated'",
		2,
		{INT8OID, INT8OID}};
	Datum value[2] = {Int64GetDatum(task_run_id), Int64GetDatum(check_id)};
	EtlScope scope;
	EtlRow row;
	char *text;

	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&list, value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	text = etl_row_text(&row, "assertions");
	etl_catalog_end(&scope);
	return text;
}

/* etl_lineage_event_gates lists the checks that were evaluated as part of another task. */
int
etl_lineage_event_gates(int64 task_run_id, EtlLineageCheck **check)
{
	static EtlStatement list = {
		"SELECT DISTINCT ON (c.task_id) c.task_id, c.target, c.state IN ('fail', 'error') AS failed "
		"FROM etl.check_result AS c JOIN etl.task_run AS x ON x.task_run_id = c.task_run_id AND c.task_id <> x.task_id "
		"WHERE x.task_run_id = $1 AND x.state <> 'running' ORDER BY c.task_id, c.check_result_id DESC",
		1,
		{INT8OID}};
	Datum value = Int64GetDatum(task_run_id);
	EtlScope scope;
	int n;

	etl_catalog_begin(&scope);
	n = (int) etl_catalog_exec(&list, &value, NULL, SPI_OK_SELECT);
	*check = MemoryContextAlloc(scope.caller, sizeof(EtlLineageCheck) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		EtlRow row = etl_catalog_row(&scope, i);

		(*check)[i].task_id = etl_row_int64(&row, "task_id");
		(*check)[i].target = etl_row_text(&row, "target");
		(*check)[i].failed = etl_row_bool(&row, "failed");
	}
	etl_catalog_end(&scope);
	return n;
}

/* etl_lineage_event_counts reads what an attempt has counted. */
void
etl_lineage_event_counts(int64 task_run_id, int64 *written, int64 *read, int64 *bytes)
{
	static EtlStatement get = {
		"SELECT coalesce(rows_inserted + coalesce(rows_updated, 0), -1) AS written, coalesce(rows_read, -1) AS read, "
		"CASE WHEN kind = 'extract' THEN coalesce(bytes_read, -1) ELSE -1 END AS bytes "
		"FROM etl.task_run WHERE task_run_id = $1",
		1,
		{INT8OID}};
	Datum value = Int64GetDatum(task_run_id);
	EtlScope scope;

	*written = *read = *bytes = -1;
	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&get, &value, NULL, SPI_OK_SELECT) > 0)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		*written = etl_row_int64(&row, "written");
		*read = etl_row_int64(&row, "read");
		*bytes = etl_row_int64(&row, "bytes");
	}
	etl_catalog_end(&scope);
}
