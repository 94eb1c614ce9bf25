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

/* insert stores the elements of an array. */
static int64
insert(const EtlQuarantine *quarantine, const Jsonb *rows)
{
	static EtlStatement statement = {
		.sql = "INSERT INTO etl.quarantine (pipeline_id, task_id, run_id, task_run_id, target, reason, error_sqlstate,"
			   " column_name, row_data, created_at, origin, position, value)"
			   " SELECT $1, $2, $3, $4, $5, $6, $7, $8, r.value, $10, $11, nullif($12, -1), $13"
			   " FROM jsonb_array_elements($9) AS r",
		.nargs = 13,
		.argtype = {INT8OID, INT8OID, INT8OID, INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID, TIMESTAMPTZOID,
					TEXTOID, INT8OID, TEXTOID},
	};
	Datum value[13];
	char null[14] = "             ";

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
	value[10] = etl_arg_text(quarantine->origin, &null[10]);
	value[11] = Int64GetDatum(quarantine->position);
	value[12] = etl_arg_text(quarantine->value, &null[12]);
	return (int64) etl_catalog_call(&statement, value, null, SPI_OK_INSERT);
}

/* etl_quarantine_insert stores one row per element of the JSON array rows and returns their number. */
int64
etl_quarantine_insert(const EtlQuarantine *quarantine, const Jsonb *rows)
{
	EtlQuarantine load = *quarantine;

	load.position = -1;
	return insert(&load, rows);
}

/* etl_quarantine_insert_record makes an array of it. */
int64
etl_quarantine_insert_record(const EtlQuarantine *quarantine, const Jsonb *record)
{
	JsonbParseState *state = NULL;
	JsonbValue element;

	JsonbToJsonbValue(unconstify(Jsonb *, record), &element);
	(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	(void) pushJsonbValue(&state, WJB_ELEM, &element);
	return insert(quarantine, JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL)));
}
