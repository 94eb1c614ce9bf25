/*
 * schema_event.c
 *		The table etl.schema_event. See schema_event.h.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "catalog/schema_event.h"
#include "catalog/spi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* etl_schema_event_insert compares with the last event of the column: an extract sees a change until it is dealt with. */
bool
etl_schema_event_insert(const EtlAttempt *attempt, const EtlSchemaEvent *event)
{
	static EtlStatement statement = {
		.sql = "INSERT INTO etl.schema_event (pipeline_id, task_id, run_id, task_run_id, source, target, column_name,"
			   " change, old_type, new_type, policy, action, detected_at)"
			   " SELECT $1, $2, nullif($3, 0), nullif($4, 0), $5, $6, $7, $8, $9, $10, $11, $12, $13 WHERE NOT EXISTS ("
			   " SELECT FROM (SELECT * FROM etl.schema_event WHERE task_id = $2 AND column_name = $7"
			   " ORDER BY event_id DESC LIMIT 1) AS e WHERE (e.source, e.target, e.change, e.policy, e.action)"
			   " = ($5, $6, $8, $11, $12) AND e.old_type IS NOT DISTINCT FROM $9"
			   " AND e.new_type IS NOT DISTINCT FROM $10)",
		.nargs = 13,
		.argtype = {INT8OID, INT8OID, INT8OID, INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID,
					TEXTOID, TIMESTAMPTZOID},
	};
	const EtlTask *task = attempt->task;
	Datum value[13];
	char null[] = "             ";

	value[0] = Int64GetDatum(task->pipeline_id);
	value[1] = Int64GetDatum(task->task_id);
	value[2] = Int64GetDatum(attempt->run_id);
	value[3] = Int64GetDatum(attempt->task_run_id);
	value[4] = etl_arg_text(task->source, &null[4]);
	value[5] = etl_arg_text(task->target, &null[5]);
	value[6] = etl_arg_text(event->column, &null[6]);
	value[7] = etl_arg_text(event->change, &null[7]);
	value[8] = etl_arg_text(event->old_type, &null[8]);
	value[9] = etl_arg_text(event->new_type, &null[9]);
	value[10] = etl_arg_text(event->policy, &null[10]);
	value[11] = etl_arg_text(event->action, &null[11]);
	value[12] = TimestampTzGetDatum(GetCurrentTimestamp());
	return etl_catalog_call(&statement, value, null, SPI_OK_INSERT) > 0;
}

/* etl_schema_event_added lists each column once. */
EtlNames
etl_schema_event_added(const char *target, TimestampTz since)
{
	static EtlStatement statement = {
		.sql = "SELECT coalesce(array_agg(DISTINCT column_name), '{}') AS columns FROM etl.schema_event"
			   " WHERE target = $1 AND change = 'added' AND detected_at >= $2",
		.nargs = 2,
		.argtype = {TEXTOID, TIMESTAMPTZOID},
	};
	Datum value[2] = {CStringGetTextDatum(target), TimestampTzGetDatum(since)};
	EtlScope scope;
	EtlNames names;
	EtlRow row;

	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&statement, value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	names = etl_row_names(&row, "columns");
	etl_catalog_end(&scope);
	return names;
}
