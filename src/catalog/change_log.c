/*
 * change_log.c
 *		etl.change_log and etl.change_log_batch. See change_log.h.
 */
#include "postgres.h"

#include "catalog/change_log.h"
#include "catalog/own_table.h"
#include "catalog/pg_type_d.h"
#include "catalog/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* table_name returns the name of a table of changes. */
static char *
table_name(int64 log_id)
{
	return psprintf("etl.changed_" INT64_FORMAT, log_id);
}

/* call executes a utility statement as the owner of the extension. */
static void
call(const char *sql)
{
	(void) etl_own_table_execute(sql, SPI_OK_UTILITY);
}

/* read_log makes the struct from a row with task_id, input, log_id, form and is_there. */
static EtlChangeLog
read_log(const EtlRow *row)
{
	return (EtlChangeLog){.task_id = etl_row_int64(row, "task_id"),
						  .input = etl_row_text(row, "input"),
						  .table = MemoryContextStrdup(row->context, table_name(etl_row_int64(row, "log_id"))),
						  .is_keys = strcmp(etl_row_text(row, "form"), "keys") == 0};
}

#define LOG_COLUMNS "l.log_id, l.task_id, l.input, l.form"
#define IS_THERE " AND to_regclass('etl.changed_' || l.log_id) IS NOT NULL"

/* find returns the log of a task for an input with that definition; NULL: there is none. */
static EtlChangeLog *
find(const EtlTask *task, const char *input, const char *form, const char *definition)
{
	static EtlStatement statement = {
		.sql = "SELECT " LOG_COLUMNS " FROM etl.change_log AS l WHERE l.task_id = $1 AND l.input = $2 AND l.form = $3"
			   " AND l.definition = $4" IS_THERE,
		.nargs = 4,
		.argtype = {INT8OID, TEXTOID, TEXTOID, TEXTOID},
	};
	Datum value[4] = {Int64GetDatum(task->task_id), CStringGetTextDatum(input), CStringGetTextDatum(form),
					  CStringGetTextDatum(definition)};
	EtlChangeLog *log = NULL;
	EtlScope scope;

	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&statement, value, NULL, SPI_OK_SELECT) == 1)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		log = MemoryContextAlloc(scope.caller, sizeof(EtlChangeLog));
		*log = read_log(&row);
	}
	etl_catalog_end(&scope);
	return log;
}

/* drop_table drops a table of changes, which has to leave the extension first. */
static void
drop_table(int64 log_id)
{
	Oid table = etl_own_table_find(psprintf("changed_" INT64_FORMAT, log_id));

	if (!OidIsValid(table))
		return;
	etl_own_table_set_member(table, false);
	call(psprintf("DROP TABLE %s", table_name(log_id)));
}

/* drop drops the logs that a condition on l finds; its parameter is $1. */
static void
drop(const char *condition, int64 parameter, const char *input)
{
	EtlStatement list = {.sql = psprintf("DELETE FROM etl.change_log AS l WHERE %s RETURNING l.log_id", condition),
						 .nargs = 2,
						 .argtype = {INT8OID, TEXTOID}};
	Datum value[2] = {Int64GetDatum(parameter), CStringGetTextDatum(input)};
	EtlScope scope;
	int64 *log_id;
	uint64 n;

	etl_catalog_begin(&scope);
	n = etl_catalog_exec(&list, value, NULL, SPI_OK_DELETE_RETURNING);
	log_id = MemoryContextAlloc(scope.caller, sizeof(int64) * Max(n, 1));
	for (uint64 i = 0; i < n; i++)
	{
		EtlRow row = etl_catalog_row(&scope, i);

		log_id[i] = etl_row_int64(&row, "log_id");
	}
	SPI_freeplan(list.plan);
	etl_catalog_end(&scope);
	for (uint64 i = 0; i < n; i++)
		drop_table(log_id[i]);
}

/* make makes a log; columns: of its table, each after a comma. */
static EtlChangeLog *
make(const EtlTask *task, const char *input, const char *form, const char *definition, const char *columns)
{
	static EtlStatement insert = {
		.sql = "INSERT INTO etl.change_log (task_id, input, form, definition, created_at) VALUES ($1, $2, $3, $4, $5)"
			   " RETURNING log_id",
		.nargs = 5,
		.argtype = {INT8OID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID},
	};
	Datum value[5] = {Int64GetDatum(task->task_id), CStringGetTextDatum(input), CStringGetTextDatum(form),
					  CStringGetTextDatum(definition), TimestampTzGetDatum(GetCurrentTimestamp())};
	EtlChangeLog *log = palloc(sizeof(EtlChangeLog));
	EtlScope scope;
	EtlRow row;
	char *table;

	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&insert, value, NULL, SPI_OK_INSERT_RETURNING);
	row = etl_catalog_row(&scope, 0);
	table = table_name(etl_row_int64(&row, "log_id"));
	table = MemoryContextStrdup(scope.caller, table);
	etl_catalog_end(&scope);
	call(psprintf("CREATE TABLE %s (_etl_batch bigint NOT NULL%s)", table, columns));
	etl_own_table_omit_statistics(etl_own_table_find(strchr(table, '.') + 1));
	call(psprintf("CREATE INDEX ON %s USING brin (_etl_batch)", table));
	call(psprintf("REVOKE ALL ON %s FROM PUBLIC", table));
	etl_own_table_grant(table, GetUserId());
	call(psprintf("COMMENT ON TABLE %s IS %s", table,
				  quote_literal_cstr(psprintf("Changes of %s that task \"%s\" has to look at; see etl.change_log.",
											  input, task->name))));
	etl_own_table_set_member(etl_own_table_find(strchr(table, '.') + 1), true);
	*log = (EtlChangeLog){task->task_id, pstrdup(input), table, strcmp(form, "keys") == 0};
	return log;
}

/* definition_text is compared as text, with the owner in it: he has rights on the table. */
static char *
definition_text(const char *definition)
{
	return psprintf("%s for %s", definition, GetUserNameFromId(GetUserId(), false));
}

/* etl_change_log_find makes nothing. */
EtlChangeLog *
etl_change_log_find(const EtlTask *task, const char *input, bool is_keys, const char *definition)
{
	return find(task, input, is_keys ? "keys" : "rows", definition_text(definition));
}

/* etl_change_log_ensure makes a log anew when it has another form or other columns. */
EtlChangeLog *
etl_change_log_ensure(const EtlTask *task, const char *input, bool is_keys, const char *definition, bool *was_made)
{
	EtlChangeLog *log = etl_change_log_find(task, input, is_keys, definition);

	*was_made = log == NULL;
	if (log != NULL)
		return log;
	drop("l.task_id = $1 AND l.input = $2", task->task_id, input);
	return make(task, input, is_keys ? "keys" : "rows", definition_text(definition), definition);
}

/* etl_change_log_followers leaves those out who will evaluate everything anyway. */
List *
etl_change_log_followers(const char *input, Oid owner)
{
	static EtlStatement statement = {
		.sql = "SELECT " LOG_COLUMNS
			   ", to_jsonb(r) AS definition FROM etl.change_log AS l JOIN etl.task AS r USING (task_id)"
			   " JOIN etl.pipeline AS p USING (pipeline_id) JOIN etl.consumed AS c ON c.task_id = l.task_id"
			   " AND c.input = l.input WHERE l.input = $1 AND r.enabled AND coalesce(r.owner, p.owner) = $2" IS_THERE
			   " ORDER BY l.log_id",
		.nargs = 2,
		.argtype = {TEXTOID, OIDOID},
	};
	Datum value[2] = {CStringGetTextDatum(input), ObjectIdGetDatum(owner)};
	List *definitions = NIL;
	List *followers = NIL;
	EtlScope scope;
	ListCell *cell;
	ListCell *definition;
	uint64 n;

	etl_catalog_begin(&scope);
	n = etl_catalog_exec(&statement, value, NULL, SPI_OK_SELECT);
	for (uint64 i = 0; i < n; i++)
	{
		EtlRow row = etl_catalog_row(&scope, i);
		EtlFollower *follower = MemoryContextAlloc(scope.caller, sizeof(EtlFollower));
		MemoryContext old = MemoryContextSwitchTo(scope.caller);

		follower->log = read_log(&row);
		followers = lappend(followers, follower);
		definitions = lappend(definitions, etl_row_jsonb(&row, "definition"));
		MemoryContextSwitchTo(old);
	}
	etl_catalog_end(&scope);
	forboth(cell, followers, definition, definitions)((EtlFollower *) lfirst(cell))->task = etl_task_parse(
		lfirst(definition));
	return followers;
}

/* etl_change_log_add_batch inserts a row. */
void
etl_change_log_add_batch(const EtlChangeLog *log, int64 batch_id, int64 rows)
{
	static EtlStatement statement = {
		.sql = "INSERT INTO etl.change_log_batch (task_id, input, batch_id, row_count)"
			   " VALUES ($1, $2, $3, $4)",
		.nargs = 4,
		.argtype = {INT8OID, TEXTOID, INT8OID, INT8OID},
	};
	Datum value[4] = {Int64GetDatum(log->task_id), CStringGetTextDatum(log->input), Int64GetDatum(batch_id),
					  Int64GetDatum(rows)};

	(void) etl_catalog_call(&statement, value, NULL, SPI_OK_INSERT);
}

/* etl_change_log_is_complete compares with etl.batch. */
bool
etl_change_log_is_complete(const EtlChangeLog *log, int64 after, int64 last)
{
	static EtlStatement statement = {
		.sql = "SELECT FROM etl.batch AS b WHERE b.target = $2 AND b.batch_id > $3 AND b.batch_id <= $4 AND NOT EXISTS"
			   " (SELECT FROM etl.change_log_batch AS l WHERE l.task_id = $1 AND l.input = $2 AND l.batch_id = "
			   "b.batch_id)",
		.nargs = 4,
		.argtype = {INT8OID, TEXTOID, INT8OID, INT8OID},
	};
	Datum value[4] = {Int64GetDatum(log->task_id), CStringGetTextDatum(log->input), Int64GetDatum(after),
					  Int64GetDatum(last)};

	return etl_catalog_call(&statement, value, NULL, SPI_OK_SELECT) == 0;
}

/* etl_change_log_forget deletes rows. */
void
etl_change_log_forget(const EtlChangeLog *log, int64 last)
{
	static EtlStatement statement = {
		.sql = "DELETE FROM etl.change_log_batch WHERE task_id = $1 AND input = $2 AND batch_id <= $3",
		.nargs = 3,
		.argtype = {INT8OID, TEXTOID, INT8OID},
	};
	Datum value[3] = {Int64GetDatum(log->task_id), CStringGetTextDatum(log->input), Int64GetDatum(last)};

	(void) etl_catalog_call(&statement, value, NULL, SPI_OK_DELETE);
}

/* etl_change_log_drop_task drops the logs of a task. */
void
etl_change_log_drop_task(int64 task_id)
{
	drop("l.task_id = $1 AND $2 IS NOT NULL", task_id, "");
}

/* etl_change_log_drop_pipeline drops the logs of the tasks of a pipeline. */
void
etl_change_log_drop_pipeline(int64 pipeline_id)
{
	drop("l.task_id IN (SELECT task_id FROM etl.task WHERE pipeline_id = $1) AND $2 IS NOT NULL", pipeline_id, "");
}
