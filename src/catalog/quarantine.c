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

/* etl_quarantine_late finds them by their SQLSTATE. */
Jsonb *
etl_quarantine_late(int64 task_id, int64 run_id, int64 *after, int limit)
{
	static EtlStatement statement = {
		.sql = "SELECT jsonb_agg(q.row_data) AS rows, max(q.quarantine_id) AS last FROM (SELECT row_data, quarantine_id"
			   " FROM etl.quarantine WHERE task_id = $1 AND run_id = $2 AND quarantine_id > $3 AND error_sqlstate = "
			   "'ZE016'"
			   " ORDER BY quarantine_id LIMIT $4) AS q",
		.nargs = 4,
		.argtype = {INT8OID, INT8OID, INT8OID, INT4OID},
	};
	Datum value[4] = {Int64GetDatum(task_id), Int64GetDatum(run_id), Int64GetDatum(*after), Int32GetDatum(limit)};
	Jsonb *rows;
	EtlScope scope;
	EtlRow row;

	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&statement, value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	rows = etl_row_jsonb(&row, "rows");
	if (rows != NULL)
		*after = etl_row_int64(&row, "last");
	etl_catalog_end(&scope);
	return rows;
}

/* etl_quarantine_forget_late deletes rows. */
void
etl_quarantine_forget_late(int64 task_id, int64 run_id)
{
	static EtlStatement statement = {
		.sql = "DELETE FROM etl.quarantine WHERE task_id = $1 AND run_id = $2 AND error_sqlstate = 'ZE016'",
		.nargs = 2,
		.argtype = {INT8OID, INT8OID},
	};
	Datum value[2] = {Int64GetDatum(task_id), Int64GetDatum(run_id)};

	(void) etl_catalog_call(&statement, value, NULL, SPI_OK_DELETE);
}
