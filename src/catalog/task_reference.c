/*
 * task_reference.c
 *		The table etl.task_reference. See task_reference.h.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "catalog/task_reference.h"
#include "utils/builtins.h"

/* Most tasks that are named. */
#define MOST_NAMED 20

/* etl_task_reference_replace deletes and inserts. */
void
etl_task_reference_replace(int64 task_id, const EtlReference *reference, int n)
{
	static EtlStatement delete = {"DELETE FROM etl.task_reference WHERE task_id = $1", 1, {INT8OID}};
	static EtlStatement insert = {
		"INSERT INTO etl.task_reference (task_id, relation, column_name, access) VALUES ($1, $2, $3, $4)",
		4,
		{INT8OID, TEXTOID, TEXTOID, TEXTOID}};
	Datum value[4] = {Int64GetDatum(task_id)};
	char null[] = "    ";

	(void) etl_catalog_call(&delete, value, NULL, SPI_OK_DELETE);
	for (int i = 0; i < n; i++)
	{
		value[1] = CStringGetTextDatum(reference[i].relation);
		value[2] = etl_arg_text(reference[i].column, &null[2]);
		value[3] = CStringGetTextDatum(reference[i].is_write ? "write" : "read");
		(void) etl_catalog_call(&insert, value, null, SPI_OK_INSERT);
	}
}

/* list_users puts the first column of a result into words. */
static char *
list_users(EtlStatement *statement, const Datum *value, const char *null)
{
	StringInfoData text;
	EtlScope scope;
	int n;

	initStringInfo(&text);
	etl_catalog_begin(&scope);
	n = (int) etl_catalog_exec(statement, value, null, SPI_OK_SELECT);
	for (int i = 0; i < Min(n, MOST_NAMED); i++)
	{
		EtlRow row = etl_catalog_row(&scope, i);
		char *name = etl_row_text(&row, "name");

		appendStringInfo(&text, "%s%s", i > 0 ? ", " : "", name);
	}
	etl_catalog_end(&scope);
	if (n > MOST_NAMED)
		appendStringInfo(&text, " and %d more", n - MOST_NAMED);
	return n > 0 ? text.data : NULL;
}

/* etl_task_reference_users asks both tables. Names of tasks are told to everybody who may change the table: not more. */
char *
etl_task_reference_users(const char *relation, const char *column)
{
	static EtlStatement list = {
		"SELECT format('%s by task %s of pipeline %s (owner %s)', CASE min(r.access) WHEN 'read' THEN 'read' ELSE "
		"  'written' END, quote_ident(t.name), quote_ident(p.name), p.owner) AS name "
		"FROM etl.task_reference AS r JOIN etl.task AS t ON t.task_id = r.task_id "
		"JOIN etl.pipeline AS p ON p.pipeline_id = t.pipeline_id "
		"WHERE r.relation = $1 AND r.column_name IS NOT DISTINCT FROM $2 GROUP BY t.name, p.name, p.owner "
		"UNION ALL SELECT format('promised by the contract of source %s (owner %s)', c.source, c.owner) "
		"FROM etl.contract AS c WHERE c.source = $1 AND ($2 IS NULL OR c.columns ? $2) ORDER BY 1",
		2,
		{TEXTOID, TEXTOID}};
	Datum value[2] = {CStringGetTextDatum(relation)};
	char null[] = "  ";

	value[1] = etl_arg_text(column, &null[1]);
	return list_users(&list, value, null);
}

/* etl_task_reference_schema_users compares the beginning of names. */
char *
etl_task_reference_schema_users(const char *schema)
{
	static EtlStatement list = {
		"SELECT DISTINCT format('named by task %s of pipeline %s (owner %s)', quote_ident(t.name), "
		"quote_ident(p.name), "
		"  p.owner) AS name FROM etl.task_reference AS r JOIN etl.task AS t ON t.task_id = r.task_id "
		"JOIN etl.pipeline AS p ON p.pipeline_id = t.pipeline_id WHERE starts_with(r.relation, $1) "
		"UNION SELECT format('named by the contract of source %s (owner %s)', c.source, c.owner) "
		"FROM etl.contract AS c WHERE starts_with(c.source, $1) ORDER BY 1",
		1,
		{TEXTOID}};
	Datum value = CStringGetTextDatum(psprintf("%s.", quote_identifier(schema)));

	return list_users(&list, &value, NULL);
}
