/*
 * source_schema.c
 *		The table etl.source_schema. See source_schema.h.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "catalog/source_schema.h"
#include "catalog/spi.h"
#include "utils/timestamp.h"

/* etl_source_schema_get reads the row of a task. */
EtlSourceSchema *
etl_source_schema_get(int64 task_id)
{
	static EtlStatement statement = {
		.sql = "SELECT source, origin, columns, types, left_out FROM etl.source_schema WHERE task_id = $1",
		.nargs = 1,
		.argtype = {INT8OID},
	};
	Datum value = Int64GetDatum(task_id);
	EtlSourceSchema *schema = NULL;
	EtlScope scope;

	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&statement, &value, NULL, SPI_OK_SELECT) > 0)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		schema = MemoryContextAllocZero(scope.caller, sizeof(EtlSourceSchema));
		schema->source = etl_row_text(&row, "source");
		schema->origin = etl_row_text(&row, "origin");
		schema->columns = etl_row_names(&row, "columns");
		schema->types = etl_row_names(&row, "types");
		schema->left_out = etl_row_names(&row, "left_out");
	}
	etl_catalog_end(&scope);
	return schema;
}

/* etl_source_schema_set replaces the row of a task. */
void
etl_source_schema_set(int64 task_id, const EtlSourceSchema *schema)
{
	static EtlStatement statement = {
		.sql =
			"INSERT INTO etl.source_schema (task_id, source, origin, columns, types, left_out, seen_at)"
			" VALUES ($1, $2, $3, $4, $5, coalesce($6, '{}'), $7) ON CONFLICT (task_id) DO UPDATE SET"
			" source = excluded.source, origin = excluded.origin, columns = excluded.columns, types = excluded.types,"
			" left_out = excluded.left_out, seen_at = excluded.seen_at",
		.nargs = 7,
		.argtype = {INT8OID, TEXTOID, TEXTOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZOID},
	};
	Datum value[7];
	char null[] = "       ";

	value[0] = Int64GetDatum(task_id);
	value[1] = etl_arg_text(schema->source, &null[1]);
	value[2] = etl_arg_text(schema->origin, &null[2]);
	value[3] = etl_arg_names(&schema->columns, &null[3]);
	value[4] = etl_arg_names(&schema->types, &null[4]);
	value[5] = etl_arg_names(&schema->left_out, &null[5]);
	value[6] = TimestampTzGetDatum(GetCurrentTimestamp());
	(void) etl_catalog_call(&statement, value, null, SPI_OK_INSERT);
}

/* etl_source_schema_forget removes the row of a task. */
void
etl_source_schema_forget(int64 task_id)
{
	static EtlStatement statement = {"DELETE FROM etl.source_schema WHERE task_id = $1", 1, {INT8OID}};
	Datum value = Int64GetDatum(task_id);

	(void) etl_catalog_call(&statement, &value, NULL, SPI_OK_DELETE);
}
