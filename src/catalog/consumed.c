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

/* etl_consumed_get returns the last batch of input that the load has taken, or 0. */
int64
etl_consumed_get(int64 task_id, const char *input)
{
	static EtlStatement statement = {
		.sql = "SELECT batch_id FROM etl.consumed WHERE task_id = $1 AND input = $2",
		.nargs = 2,
		.argtype = {INT8OID, TEXTOID},
	};
	Datum value[2] = {Int64GetDatum(task_id), CStringGetTextDatum(input)};
	EtlScope scope;
	int64 result = 0;

	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&statement, value, NULL, SPI_OK_SELECT) > 0)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		result = etl_row_int64(&row, "batch_id");
	}
	etl_catalog_end(&scope);
	return result;
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
