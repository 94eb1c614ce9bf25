/*
 * check_result.c
 *		etl.check_result: what the evaluations of checks found. See check_result.h.
 */
#include "postgres.h"

#include "catalog/check_result.h"
#include "catalog/pg_type_d.h"
#include "catalog/spi.h"
#include "utils/builtins.h"

/* etl_check_result_state returns the name of a state. */
const char *
etl_check_result_state(EtlCheckState state)
{
	static const char *const name[] = {"pass", "warn", "fail", "error", "not_evaluated"};

	Assert(state >= 0 && state < lengthof(name));
	return name[state];
}

/* etl_check_result_begun: its name is filled in first. */
bool
etl_check_result_begun(const EtlCheckResult *result)
{
	return result->check_name != NULL;
}

/* insert_samples stores the rows of a result. */
static void
insert_samples(int64 check_result_id, const EtlCheckResult *result)
{
	static EtlStatement statement = {
		.sql = "INSERT INTO etl.check_sample (check_result_id, n, pipeline_id, key, row_values, rows, raw)"
			   " SELECT $1, s.n, $2, s.o->'key', s.o->'values', (s.o->>'rows')::bigint, nullif(s.o->'raw', 'null')"
			   " FROM jsonb_array_elements($3) WITH ORDINALITY AS s (o, n)",
		.nargs = 3,
		.argtype = {INT8OID, INT8OID, JSONBOID},
	};
	Datum value[3] = {Int64GetDatum(check_result_id), Int64GetDatum(result->pipeline_id),
					  JsonbPGetDatum(result->samples)};

	(void) etl_catalog_call(&statement, value, NULL, SPI_OK_INSERT);
}

/* etl_check_result_insert records a result. */
void
etl_check_result_insert(const EtlCheckResult *result)
{
	static EtlStatement statement = {
		.sql = "INSERT INTO etl.check_result (pipeline_id, task_id, run_id, task_run_id, check_name, check_type,"
			   " target, state, measured, baseline, unit, warn, fail, message, details, checked_at)"
			   " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::numeric, $10::numeric, $11, $12, $13, $14, $15,"
			   " clock_timestamp()) RETURNING check_result_id",
		.nargs = 15,
		.argtype = {INT8OID, INT8OID, INT8OID, INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID,
					TEXTOID, TEXTOID, TEXTOID, JSONBOID},
	};
	Datum value[15];
	char null[16] = "               ";
	EtlScope scope;
	EtlRow row;
	int64 check_result_id;

	value[0] = Int64GetDatum(result->pipeline_id);
	value[1] = Int64GetDatum(result->task_id);
	value[2] = Int64GetDatum(result->run_id);
	value[3] = Int64GetDatum(result->task_run_id);
	null[2] = result->run_id == 0 ? 'n' : ' ';
	null[3] = result->task_run_id == 0 ? 'n' : ' ';
	value[4] = etl_arg_text(result->check_name, &null[4]);
	value[5] = etl_arg_text(result->check_type, &null[5]);
	value[6] = etl_arg_text(result->target, &null[6]);
	value[7] = CStringGetTextDatum(etl_check_result_state(result->state));
	value[8] = etl_arg_text(result->measured, &null[8]);
	value[9] = etl_arg_text(result->baseline, &null[9]);
	value[10] = etl_arg_text(result->unit, &null[10]);
	value[11] = etl_arg_text(result->warn, &null[11]);
	value[12] = etl_arg_text(result->fail, &null[12]);
	value[13] = CStringGetTextDatum(result->message ? result->message : "");
	value[14] = etl_arg_pointer(result->details, &null[14]);
	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&statement, value, null, SPI_OK_INSERT_RETURNING);
	row = etl_catalog_row(&scope, 0);
	check_result_id = etl_row_int64(&row, "check_result_id");
	etl_catalog_end(&scope);
	if (result->samples != NULL)
		insert_samples(check_result_id, result);
}

/*
 * etl_check_result_history: what a gate measured counts when the attempt that it belongs to was committed. A check that is a
 * step by itself has an attempt of its own, which fails with it.
 */
void
etl_check_result_history(const EtlTask *task, int64 before_run, bool rolls_back, int limit, EtlHistory *history)
{
	static EtlStatement statement = {
		.sql = "SELECT c.measured::float8 AS measured, c.details FROM etl.check_result AS c"
			   " JOIN etl.run AS r ON r.run_id = c.run_id JOIN etl.pipeline AS p ON p.pipeline_id = r.pipeline_id"
			   " LEFT JOIN etl.task_run AS x ON x.task_run_id = c.task_run_id"
			   " WHERE c.task_id = $1 AND ($2 = 0 OR c.run_id < $2) AND c.check_type = $3 AND c.target = $4"
			   " AND CASE WHEN c.check_type IN ('distribution', 'schema') THEN c.details IS NOT NULL"
			   "  ELSE c.measured IS NOT NULL END"
			   " AND c.state <> 'error' AND r.rolled_back_at IS NULL AND r.backfill_id IS NULL"
			   " AND (x.state IN ('success', 'warning') OR x.task_id = c.task_id AND NOT $7)"
			   " AND NOT EXISTS (SELECT FROM etl.check_result AS l WHERE l.task_id = c.task_id"
			   "  AND l.run_id = c.run_id AND l.check_result_id > c.check_result_id)"
			   " AND (NOT $5 OR extract(isodow FROM r.logical_time AT TIME ZONE p.timezone) = extract(isodow FROM"
			   "  coalesce((SELECT logical_time FROM etl.run WHERE run_id = $2), now()) AT TIME ZONE p.timezone))"
			   " ORDER BY c.check_result_id DESC LIMIT $6",
		.nargs = 7,
		.argtype = {INT8OID, INT8OID, TEXTOID, TEXTOID, BOOLOID, INT4OID, BOOLOID},
	};
	Datum value[7] = {
		Int64GetDatum(task->task_id),	   Int64GetDatum(before_run),		 CStringGetTextDatum(task->check_type),
		CStringGetTextDatum(task->target), BoolGetDatum(task->same_weekday), Int32GetDatum(limit),
		BoolGetDatum(rolls_back)};
	EtlScope scope;

	etl_catalog_begin(&scope);
	history->n = (int) etl_catalog_exec(&statement, value, NULL, SPI_OK_SELECT);
	history->value = MemoryContextAlloc(scope.caller, sizeof(double) * Max(history->n, 1));
	history->details = MemoryContextAlloc(scope.caller, sizeof(Jsonb *) * Max(history->n, 1));
	for (int i = 0; i < history->n; i++)
	{
		EtlRow row = etl_catalog_row(&scope, i);

		history->value[i] = etl_row_isnull(&row, "measured") ? 0 : etl_row_double(&row, "measured");
		history->details[i] = etl_row_jsonb(&row, "details");
	}
	etl_catalog_end(&scope);
}
