/*
 * quarantine.c
 *		etl.quarantine: rows that a target could not take. See quarantine.h.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "catalog/quarantine.h"
#include "catalog/spi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* etl_quarantine_insert stores one row per element of the JSON array rows and returns their number. */
int64
etl_quarantine_insert(const EtlQuarantine *quarantine, const Jsonb *rows)
{
	static EtlStatement statement = {
		.sql = "INSERT INTO etl.quarantine (pipeline_id, task_id, run_id, task_run_id, target, reason, error_sqlstate,"
			   " column_name, row_data, created_at)"
			   " SELECT $1, $2, $3, $4, $5, $6, $7, $8, r.value, $10 FROM jsonb_array_elements($9) AS r",
		.nargs = 10,
		.argtype = {INT8OID, INT8OID, INT8OID, INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID, TIMESTAMPTZOID},
	};
	Datum value[10];
	char null[11] = "          ";

	value[0] = Int64GetDatum(quarantine->pipeline_id);
	value[1] = Int64GetDatum(quarantine->task_id);
	value[2] = Int64GetDatum(quarantine->run_id);
	value[3] = Int64GetDatum(quarantine->task_run_id);
	value[4] = CStringGetTextDatum(quarantine->target);
	value[5] = CStringGetTextDatum(quarantine->reason);
	value[6] = CStringGetTextDatum(quarantine->sqlstate);
	value[7] = etl_arg_text(quarantine->column_name, &null[7]);
	value[8] = etl_arg_pointer(rows, &null[8]);
	value[9] = TimestampTzGetDatum(GetCurrentTimestamp());
	return (int64) etl_catalog_call(&statement, value, null, SPI_OK_INSERT);
}
