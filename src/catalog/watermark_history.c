/*
 * watermark_history.c
 *		etl.watermark_history: who moved which watermark, when, from where to where and why.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "catalog/spi.h"
#include "catalog/watermark_history.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* etl_watermark_history_insert writes down a move in the transaction that makes it. */
void
etl_watermark_history_insert(const EtlWatermarkMove *move)
{
	static EtlStatement statement = {
		.sql = "INSERT INTO etl.watermark_history (task_id, run_id, task_run_id, moved_at, moved_by, type, old_value,"
			   " new_value, reason) VALUES ($1, nullif($2, 0), nullif($3, 0), $4, $5, $6, $7, $8, $9)",
		.nargs = 9,
		.argtype = {INT8OID, INT8OID, INT8OID, TIMESTAMPTZOID, REGROLEOID, REGTYPEOID, TEXTOID, TEXTOID, TEXTOID},
	};
	Datum arg[9];
	char null[] = "         ";

	arg[0] = Int64GetDatum(move->task_id);
	arg[1] = Int64GetDatum(move->run_id);
	arg[2] = Int64GetDatum(move->task_run_id);
	arg[3] = TimestampTzGetDatum(GetCurrentTimestamp());
	arg[4] = ObjectIdGetDatum(move->moved_by);
	arg[5] = ObjectIdGetDatum(move->type);
	arg[6] = etl_arg_text(move->from, &null[6]);
	arg[7] = etl_arg_text(move->to, &null[7]);
	arg[8] = CStringGetTextDatum(move->reason);
	(void) etl_catalog_call(&statement, arg, null, SPI_OK_INSERT);
}
