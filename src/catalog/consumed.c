/*
 * consumed.c
 *		etl.consumed: how far each load has come in each of its raw inputs. See consumed.h.
 */
#include "postgres.h"

#include "catalog/consumed.h"
#include "catalog/pg_type_d.h"
#include "catalog/spi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* etl_consumed_find looks the position up. */
bool
etl_consumed_find(int64 task_id, const char *input, int64 *batch_id)
{
	static EtlStatement statement = {
		.sql = "SELECT batch_id FROM etl.consumed WHERE task_id = $1 AND input = $2",
		.nargs = 2,
		.argtype = {INT8OID, TEXTOID},
	};
	Datum value[2] = {Int64GetDatum(task_id), CStringGetTextDatum(input)};
	EtlScope scope;
	bool found;

	*batch_id = 0;
	etl_catalog_begin(&scope);
	found = etl_catalog_exec(&statement, value, NULL, SPI_OK_SELECT) > 0;
	if (found)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		*batch_id = etl_row_int64(&row, "batch_id");
	}
	etl_catalog_end(&scope);
	return found;
}

/* etl_consumed_get takes no position for the beginning. */
int64
etl_consumed_get(int64 task_id, const char *input)
{
	int64 batch_id;

	(void) etl_consumed_find(task_id, input, &batch_id);
	return batch_id;
}

/* etl_consumed_forget deletes the rows. */
void
etl_consumed_forget(int64 task_id)
{
	static EtlStatement statement = {
		.sql = "DELETE FROM etl.consumed WHERE task_id = $1", .nargs = 1, .argtype = {INT8OID}};
	Datum value = Int64GetDatum(task_id);

	(void) etl_catalog_call(&statement, &value, NULL, SPI_OK_DELETE);
}

/* etl_consumed_set sets the position of the load in input; a position that stays the same is not written again. */
void
etl_consumed_set(int64 task_id, const char *input, int64 batch_id, int64 run_id)
{
	static EtlStatement statement = {
		.sql = "INSERT INTO etl.consumed AS c (task_id, input, batch_id, run_id, updated_at)"
			   " VALUES ($1, $2, $3, nullif($4, 0), $5) ON CONFLICT (task_id, input) DO UPDATE"
			   " SET batch_id = excluded.batch_id, run_id = excluded.run_id, updated_at = excluded.updated_at"
			   " WHERE c.batch_id <> excluded.batch_id",
		.nargs = 5,
		.argtype = {INT8OID, TEXTOID, INT8OID, INT8OID, TIMESTAMPTZOID},
	};
	Datum value[5];

	value[0] = Int64GetDatum(task_id);
	value[1] = CStringGetTextDatum(input);
	value[2] = Int64GetDatum(batch_id);
	value[3] = Int64GetDatum(run_id);
	value[4] = TimestampTzGetDatum(GetCurrentTimestamp());
	(void) etl_catalog_call(&statement, value, NULL, SPI_OK_INSERT);
}
