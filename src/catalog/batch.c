/*
 * batch.c
 *		etl.batch: the batches of every raw table. See batch.h.
 */
#include "postgres.h"

#include "catalog/batch.h"
#include "catalog/pg_type_d.h"
#include "catalog/spi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* etl_batch_next draws the next batch number. */
int64
etl_batch_next(void)
{
	static EtlStatement statement = {
		.sql = "SELECT nextval('etl.batch_batch_id_seq') AS batch_id",
	};
	EtlScope scope;
	EtlRow row;
	int64 result;

	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&statement, NULL, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	result = etl_row_int64(&row, "batch_id");
	etl_catalog_end(&scope);
	return result;
}

/* etl_batch_insert records a batch; a task or run number of 0 is NULL. */
void
etl_batch_insert(const EtlBatch *batch)
{
	static EtlStatement statement = {
		.sql =
			"INSERT INTO etl.batch (batch_id, target, task_id, run_id, task_run_id, row_count, byte_count,"
			" cursor_from, cursor_to, loaded_at, backfill) VALUES ($1, $2, nullif($3, 0), nullif($4, 0), nullif($5, 0),"
			" $6, $7, $8, $9, $10, $11)",
		.nargs = 11,
		.argtype = {INT8OID, TEXTOID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID,
					BOOLOID},
	};
	Datum value[11];
	char null[12] = "           ";

	value[0] = Int64GetDatum(batch->batch_id);
	value[1] = CStringGetTextDatum(batch->target);
	value[2] = Int64GetDatum(batch->task_id);
	value[3] = Int64GetDatum(batch->run_id);
	value[4] = Int64GetDatum(batch->task_run_id);
	value[5] = Int64GetDatum(batch->row_count);
	value[6] = Int64GetDatum(batch->byte_count);
	value[7] = etl_arg_text(batch->cursor_from, &null[7]);
	value[8] = etl_arg_text(batch->cursor_to, &null[8]);
	value[9] = TimestampTzGetDatum(batch->loaded_at);
	value[10] = BoolGetDatum(batch->backfill);
	(void) etl_catalog_call(&statement, value, null, SPI_OK_INSERT);
}

/* etl_batch_range sums up the batches of target above after. */
bool
etl_batch_range(const char *target, int64 after, EtlBatchRange *range)
{
	static EtlStatement statement = {
		.sql = "SELECT max(batch_id) AS last, sum(row_count)::bigint AS rows, min(loaded_at) AS loaded_from,"
			   " max(loaded_at) AS loaded_to FROM etl.batch WHERE target = $1 AND batch_id > $2",
		.nargs = 2,
		.argtype = {TEXTOID, INT8OID},
	};
	Datum value[2] = {CStringGetTextDatum(target), Int64GetDatum(after)};
	EtlScope scope;
	EtlRow row;
	bool found;

	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&statement, value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	found = !etl_row_isnull(&row, "last");
	if (found)
	{
		range->last = etl_row_int64(&row, "last");
		range->rows = etl_row_int64(&row, "rows");
		range->loaded_from = etl_row_time(&row, "loaded_from");
		range->loaded_to = etl_row_time(&row, "loaded_to");
	}
	etl_catalog_end(&scope);
	return found;
}

/* etl_batch_before looks for a number. */
int64
etl_batch_before(const char *target, TimestampTz moment)
{
	static EtlStatement statement = {
		.sql = "SELECT coalesce(max(batch_id), 0) AS last FROM etl.batch WHERE target = $1 AND loaded_at < $2",
		.nargs = 2,
		.argtype = {TEXTOID, TIMESTAMPTZOID},
	};
	Datum value[2] = {CStringGetTextDatum(target), TimestampTzGetDatum(moment)};
	EtlScope scope;
	EtlRow row;
	int64 result;

	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&statement, value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	result = etl_row_int64(&row, "last");
	etl_catalog_end(&scope);
	return result;
}

/* etl_batch_first finds what the raw table began with. */
int64
etl_batch_first(const char *target, TimestampTz *loaded_at)
{
	static EtlStatement statement = {"SELECT batch_id, loaded_at FROM etl.batch WHERE target = $1 AND row_count > 0"
									 " ORDER BY batch_id LIMIT 1",
									 1,
									 {TEXTOID}};
	Datum value = CStringGetTextDatum(target);
	EtlScope scope;
	int64 result = 0;

	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&statement, &value, NULL, SPI_OK_SELECT) > 0)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		result = etl_row_int64(&row, "batch_id");
		*loaded_at = etl_row_time(&row, "loaded_at");
	}
	etl_catalog_end(&scope);
	return result;
}

/* value_pattern returns what the text of a cursor value of a type looks like; NULL: anything. */
static const char *
value_pattern(Oid type)
{
	switch (type)
	{
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case DATEOID:
			return "^\\d{4,}-\\d\\d-\\d\\d";
		case INT2OID:
		case INT4OID:
		case INT8OID:
			return "^-?\\d+$";
		case NUMERICOID:
			return "^-?\\d+(\\.\\d+)?$";
		case UUIDOID:
			return "^[0-9a-f-]{36}$";
		default:
			return NULL;
	}
}

/*
 * etl_batch_reaching compares as the cursor's type. Batches from a time when the cursor was another column may hold
 * text that is no value of the type: the pattern keeps the cast away from it.
 */
bool
etl_batch_reaching(const EtlTask *task, Oid type, const char *lower, EtlBatchReach *reach)
{
	const char *pattern = value_pattern(type);
	const char *name = format_type_extended(type, -1, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
	EtlStatement statement = {.nargs = 3, .argtype = {INT8OID, TEXTOID, TEXTOID}};
	Datum value[3] = {Int64GetDatum(task->task_id), CStringGetTextDatum(task->target), CStringGetTextDatum(lower)};
	EtlScope scope;
	EtlRow row;
	bool found;

	statement.sql = psprintf(
		"SELECT min(batch_id) AS first, min(loaded_at) AS loaded_from FROM etl.batch"
		" WHERE task_id = $1 AND target = $2 AND CASE WHEN cursor_to %s THEN cursor_to::%s >= $3::%s END",
		pattern ? psprintf("~ %s", quote_literal_cstr(pattern)) : "IS NOT NULL", name, name);
	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&statement, value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	found = !etl_row_isnull(&row, "first");
	if (found)
	{
		reach->first = etl_row_int64(&row, "first");
		reach->loaded_from = etl_row_time(&row, "loaded_from");
	}
	SPI_freeplan(statement.plan);
	etl_catalog_end(&scope);
	return found;
}

/* etl_batch_backfilled lists them in one row. */
char *
etl_batch_backfilled(const char *target, int64 first)
{
	static EtlStatement statement = {
		.sql = "SELECT array_agg(batch_id) AS batches FROM etl.batch WHERE target = $1 AND batch_id >= $2 AND backfill",
		.nargs = 2,
		.argtype = {TEXTOID, INT8OID},
	};
	Datum value[2] = {CStringGetTextDatum(target), Int64GetDatum(first)};
	EtlScope scope;
	EtlRow row;
	char *result;

	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&statement, value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	result = etl_row_text(&row, "batches");
	etl_catalog_end(&scope);
	return result;
}

/* etl_batch_of_run returns '{}' when there are none. */
char *
etl_batch_of_run(const char *target, int64 run_id)
{
	static EtlStatement statement = {
		.sql = "SELECT coalesce(array_agg(batch_id ORDER BY batch_id), '{}')::text AS batches FROM etl.batch"
			   " WHERE target = $1 AND run_id = CASE WHEN $2 <> 0 THEN $2 ELSE (SELECT max(run_id) FROM etl.batch"
			   " WHERE target = $1) END",
		.nargs = 2,
		.argtype = {TEXTOID, INT8OID},
	};
	Datum value[2] = {CStringGetTextDatum(target), Int64GetDatum(run_id)};
	EtlScope scope;
	EtlRow row;
	char *batches;

	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&statement, value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	batches = etl_row_text(&row, "batches");
	etl_catalog_end(&scope);
	return batches;
}
