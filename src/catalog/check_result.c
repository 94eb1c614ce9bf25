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

/* etl_check_result_insert records a result. */
void
etl_check_result_insert(const EtlCheckResult *result)
{
	static EtlStatement statement = {
		.sql = "INSERT INTO etl.check_result (pipeline_id, task_id, run_id, task_run_id, check_name, check_type,"
			   " target, state, measured, baseline, unit, warn, fail, message, checked_at) VALUES ($1, $2, $3, $4, $5,"
			   " $6, $7, $8, $9::numeric, $10::numeric, $11, $12, $13, $14, clock_timestamp())",
		.nargs = 14,
		.argtype = {INT8OID, INT8OID, INT8OID, INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID,
					TEXTOID, TEXTOID, TEXTOID},
	};
	Datum value[14];
	char null[15] = "              ";

	value[0] = Int64GetDatum(result->pipeline_id);
	value[1] = Int64GetDatum(result->task_id);
	value[2] = Int64GetDatum(result->run_id);
	value[3] = Int64GetDatum(result->task_run_id);
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
	(void) etl_catalog_call(&statement, value, null, SPI_OK_INSERT);
}

/* etl_check_result_baseline finds the value that a check measured last. */
bool
etl_check_result_baseline(int64 task_id, int64 before_run, bool accept_failed, int64 *measured)
{
	static EtlStatement statement = {
		.sql = "SELECT measured::bigint AS measured FROM etl.check_result"
			   " WHERE task_id = $1 AND ($2 = 0 OR run_id < $2) AND measured IS NOT NULL"
			   " AND (state IN ('pass', 'warn', 'not_evaluated') OR ($3 AND state = 'fail'))"
			   " AND NOT EXISTS (SELECT FROM etl.run AS r WHERE r.run_id = check_result.run_id"
			   " AND r.rolled_back_at IS NOT NULL)"
			   " ORDER BY check_result_id DESC LIMIT 1",
		.nargs = 3,
		.argtype = {INT8OID, INT8OID, BOOLOID},
	};
	Datum value[3] = {Int64GetDatum(task_id), Int64GetDatum(before_run), BoolGetDatum(accept_failed)};
	EtlScope scope;
	EtlRow row;
	bool found;

	etl_catalog_begin(&scope);
	found = etl_catalog_exec(&statement, value, NULL, SPI_OK_SELECT) > 0;
	if (found)
	{
		row = etl_catalog_row(&scope, 0);
		*measured = etl_row_int64(&row, "measured");
	}
	etl_catalog_end(&scope);
	return found;
}
