/*
 * undo.c
 *		etl.undo: what was before each task of a run. See undo.h.
 *
 * There are no foreign keys: a load that runs for long must not keep its task from being dropped. Whoever drops a task or a
 * pipeline calls etl_undo_forget_*; what a load commits after that is found by etl_undo_purge.
 */
#include "postgres.h"

#include "catalog/extract_progress.h"
#include "catalog/pg_type_d.h"
#include "catalog/spi.h"
#include "catalog/undo.h"
#include "catalog/undo_table.h"
#include "catalog/watermark.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* etl_undo_begin leaves the row of an earlier attempt as it is. */
void
etl_undo_begin(const EtlAttempt *attempt)
{
	static EtlStatement statement = {
		.sql =
			"INSERT INTO etl.undo (run_id, task_id, target, before, kept_at, expires_at)"
			" SELECT $1, $2, $3, jsonb_build_object('consumed', (SELECT coalesce(jsonb_object_agg(c.input, c.batch_id),"
			"   '{}') FROM etl.consumed AS c WHERE c.task_id = $2), 'watermark', (SELECT jsonb_build_object('value',"
			"   w.value, 'type', w.type::oid::text) FROM etl.watermark AS w WHERE w.task_id = $2)),"
			"   clock_timestamp(), clock_timestamp() + k.keep"
			" FROM (SELECT max(x.keep) AS keep FROM (SELECT (e->>'keep_undo')::interval FROM etl.run AS r,"
			"   jsonb_array_elements(r.definition->'task') AS e WHERE r.run_id = $1"
			"   UNION ALL SELECT t.keep_undo FROM etl.task AS t WHERE t.pipeline_id = $4) AS x (keep)) AS k"
			" WHERE k.keep IS NOT NULL"
			" ON CONFLICT (run_id, task_id) DO NOTHING",
		.nargs = 4,
		.argtype = {INT8OID, INT8OID, TEXTOID, INT8OID},
	};
	Datum value[4] = {Int64GetDatum(attempt->run_id), Int64GetDatum(attempt->task->task_id)};
	char null[] = "    ";

	if (attempt->task->kind == ETL_TASK_SQL || attempt->task->kind == ETL_TASK_CHECK)
		return;
	value[2] = etl_arg_text(attempt->task->target, &null[2]);
	value[3] = Int64GetDatum(attempt->task->pipeline_id);
	(void) etl_catalog_call(&statement, value, null, SPI_OK_INSERT);
}

/* etl_undo_kept adds to what an earlier attempt has kept: a task that is reopened may succeed twice. */
void
etl_undo_kept(const EtlAttempt *attempt, Oid relation, const EtlNames *key, int64 n_old, int64 n_new)
{
	static EtlStatement statement = {
		.sql =
			"UPDATE etl.undo SET relation = $3, key = $4, n_old = coalesce(n_old, 0) + $5,"
			" n_new = coalesce(n_new, 0) + $6, expires_at = clock_timestamp() + $7 WHERE run_id = $1 AND task_id = $2",
		.nargs = 7,
		.argtype = {INT8OID, INT8OID, OIDOID, TEXTARRAYOID, INT8OID, INT8OID, INTERVALOID},
	};
	Datum value[7] = {Int64GetDatum(attempt->run_id), Int64GetDatum(attempt->task->task_id),
					  ObjectIdGetDatum(relation)};
	char null[] = "       ";

	value[3] = key != NULL && key->n > 0 ? etl_arg_names(key, &null[3]) : (Datum) 0;
	null[3] = key != NULL && key->n > 0 ? ' ' : 'n';
	value[4] = Int64GetDatum(n_old);
	value[5] = Int64GetDatum(n_new);
	value[6] = IntervalPGetDatum(attempt->task->keep_undo);
	if (etl_catalog_call(&statement, value, null, SPI_OK_UPDATE) != 1)
		elog(ERROR, "run " INT64_FORMAT " has no row in etl.undo for task \"%s\"", attempt->run_id,
			 attempt->task->name);
}

/* etl_undo_lose leaves the rows for the purge. */
void
etl_undo_lose(int64 task_id, const char *why, bool only_rows)
{
	static EtlStatement statement = {
		"UPDATE etl.undo SET lost = $2 WHERE task_id = $1 AND lost IS NULL AND (n_old IS NOT NULL OR NOT $3)",
		3,
		{INT8OID, TEXTOID, BOOLOID}};
	Datum value[3] = {Int64GetDatum(task_id), CStringGetTextDatum(why), BoolGetDatum(only_rows)};

	(void) etl_catalog_call(&statement, value, NULL, SPI_OK_UPDATE);
}

/* etl_undo_list orders by the end of the last attempt: what was written on top of something goes first. */
int
etl_undo_list(int64 run_id, EtlUndo **undo)
{
	static EtlStatement statement = {
		.sql =
			"SELECT u.task_id, t.name AS task, u.target, u.relation, u.key, u.n_old, u.n_new, u.before,"
			" u.expires_at < clock_timestamp() AS has_expired, coalesce(u.lost, CASE WHEN t.name IS NULL"
			" THEN 'the task was dropped' WHEN t.target <> u.target THEN 'the task has another target now' END) AS lost"
			" FROM etl.undo AS u LEFT JOIN etl.task AS t ON t.task_id = u.task_id LEFT JOIN LATERAL"
			" (SELECT max(x.ended_at) AS ended_at, max(x.task_run_id) AS last FROM etl.task_run AS x"
			" WHERE x.run_id = u.run_id AND x.task_id = u.task_id) AS l ON true"
			" WHERE u.run_id = $1 ORDER BY l.ended_at DESC NULLS FIRST, l.last DESC",
		.nargs = 1,
		.argtype = {INT8OID},
	};
	Datum value = Int64GetDatum(run_id);
	EtlScope scope;
	int n;

	etl_catalog_begin(&scope);
	n = (int) etl_catalog_exec(&statement, &value, NULL, SPI_OK_SELECT);
	*undo = MemoryContextAllocZero(scope.caller, sizeof(EtlUndo) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		EtlRow row = etl_catalog_row(&scope, i);
		EtlUndo *to = &(*undo)[i];

		to->task_id = etl_row_int64(&row, "task_id");
		to->task = etl_row_text(&row, "task");
		to->target = etl_row_text(&row, "target");
		to->relation = etl_row_oid(&row, "relation");
		to->key = etl_row_names(&row, "key");
		to->n_old = etl_row_int64(&row, "n_old");
		to->n_new = etl_row_int64(&row, "n_new");
		to->before = etl_row_jsonb(&row, "before");
		to->has_expired = etl_row_bool(&row, "has_expired");
		to->lost = etl_row_text(&row, "lost");
	}
	etl_catalog_end(&scope);
	return n;
}

/* etl_undo_restore_consumed also forgets the inputs that the load had not read before. */
void
etl_undo_restore_consumed(const EtlUndo *undo)
{
	static EtlStatement forget = {
		"DELETE FROM etl.consumed WHERE task_id = $1 AND NOT ($2->'consumed') ? input", 2, {INT8OID, JSONBOID}};
	static EtlStatement set = {
		"UPDATE etl.consumed AS c SET batch_id = (($2->'consumed')->>c.input)::bigint, run_id = NULL,"
		" updated_at = clock_timestamp() WHERE c.task_id = $1 AND c.batch_id <> (($2->'consumed')->>c.input)::bigint",
		2,
		{INT8OID, JSONBOID}};
	Datum value[2] = {Int64GetDatum(undo->task_id), JsonbPGetDatum(undo->before)};

	(void) etl_catalog_call(&forget, value, NULL, SPI_OK_DELETE);
	(void) etl_catalog_call(&set, value, NULL, SPI_OK_UPDATE);
}

/*
 * etl_undo_restore_watermark leaves what is known to be in the raw table, so that the next extract recognises the rows that are
 * there. A watermark of another type belongs to another cursor column, and is left.
 */
void
etl_undo_restore_watermark(const EtlUndo *undo, Oid role)
{
	static EtlStatement find = {
		"SELECT w.type::oid AS type, ($2->'watermark')->>'value' AS value FROM etl.watermark AS w WHERE w.task_id = $1"
		" AND w.value IS DISTINCT FROM ($2->'watermark')->>'value'"
		" AND w.type::oid::text = coalesce(($2->'watermark')->>'type', w.type::oid::text)",
		2,
		{INT8OID, JSONBOID}};
	Datum value[2] = {Int64GetDatum(undo->task_id), JsonbPGetDatum(undo->before)};
	EtlScope scope;
	Oid type = InvalidOid;
	char *before = NULL;

	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&find, value, NULL, SPI_OK_SELECT) > 0)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		type = etl_row_oid(&row, "type");
		before = etl_row_text(&row, "value");
	}
	etl_catalog_end(&scope);
	if (!OidIsValid(type))
		return;
	etl_extract_progress_abandon(undo->task_id);
	etl_watermark_set(undo->task_id, type, before, role, "rollback_run");
}

/* etl_undo_forget_run leaves the kept rows to whoever has put them back. */
void
etl_undo_forget_run(int64 run_id)
{
	static EtlStatement statement = {"DELETE FROM etl.undo WHERE run_id = $1", 1, {INT8OID}};
	Datum value = Int64GetDatum(run_id);

	(void) etl_catalog_call(&statement, &value, NULL, SPI_OK_DELETE);
}

/* etl_undo_forget_task drops the table of the task. */
void
etl_undo_forget_task(int64 task_id)
{
	static EtlStatement statement = {"DELETE FROM etl.undo WHERE task_id = $1", 1, {INT8OID}};
	Datum value = Int64GetDatum(task_id);

	etl_undo_table_drop(task_id);
	(void) etl_catalog_call(&statement, &value, NULL, SPI_OK_DELETE);
}

/* list_tasks returns the column task_id of a query. */
static int
list_tasks(EtlStatement *statement, const Datum *value, const char *null, int64 **task_id)
{
	EtlScope scope;
	int n;

	etl_catalog_begin(&scope);
	n = (int) etl_catalog_exec(statement, value, null, SPI_OK_SELECT);
	*task_id = MemoryContextAlloc(scope.caller, sizeof(int64) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		EtlRow row = etl_catalog_row(&scope, i);

		(*task_id)[i] = etl_row_int64(&row, "task_id");
	}
	etl_catalog_end(&scope);
	return n;
}

/* etl_undo_forget_pipeline does so for every task. */
void
etl_undo_forget_pipeline(int64 pipeline_id)
{
	static EtlStatement list = {"SELECT DISTINCT u.task_id FROM etl.undo AS u JOIN etl.task AS t ON t.task_id = "
								"u.task_id WHERE t.pipeline_id = $1",
								1,
								{INT8OID}};
	Datum value = Int64GetDatum(pipeline_id);
	int64 *task_id;
	int n = list_tasks(&list, &value, NULL, &task_id);

	for (int i = 0; i < n; i++)
		etl_undo_forget_task(task_id[i]);
}

/* etl_undo_follow_owners looks at the tables that are there; most tasks have none. */
void
etl_undo_follow_owners(int64 pipeline_id)
{
	static EtlStatement list = {
		"SELECT t.task_id, r.oid AS owner FROM pg_class AS c JOIN etl.task AS t ON c.relname = 'undo_' || t.task_id"
		" JOIN etl.pipeline AS p ON p.pipeline_id = t.pipeline_id JOIN pg_roles AS r ON r.oid = coalesce(t.owner, "
		"p.owner)"
		" WHERE c.relnamespace = 'etl'::regnamespace AND c.relkind = 'r' AND ($1 = 0 OR p.pipeline_id = $1)",
		1,
		{INT8OID}};
	Datum value = Int64GetDatum(pipeline_id);
	EtlScope scope;
	int64 *task_id;
	Oid *owner;
	int n;

	etl_catalog_begin(&scope);
	n = (int) etl_catalog_exec(&list, &value, NULL, SPI_OK_SELECT);
	task_id = MemoryContextAlloc(scope.caller, sizeof(int64) * Max(n, 1));
	owner = MemoryContextAlloc(scope.caller, sizeof(Oid) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		EtlRow row = etl_catalog_row(&scope, i);

		task_id[i] = etl_row_int64(&row, "task_id");
		owner[i] = etl_row_oid(&row, "owner");
	}
	etl_catalog_end(&scope);
	for (int i = 0; i < n; i++)
		etl_undo_table_grant(task_id[i], owner[i]);
}

/* purge_run deletes a portion of what was kept of a run that has expired, and then its row; false: nothing was done. */
static bool
purge_run(void)
{
	static EtlStatement find = {"SELECT run_id, task_id FROM etl.undo WHERE expires_at < clock_timestamp()"
								" ORDER BY expires_at LIMIT 1 FOR UPDATE SKIP LOCKED"};
	static EtlStatement delete = {"DELETE FROM etl.undo WHERE run_id = $1 AND task_id = $2", 2, {INT8OID, INT8OID}};
	EtlScope scope;
	Datum value[2];
	uint64 deleted = 0;
	bool found;

	etl_catalog_begin(&scope);
	found = etl_catalog_exec(&find, NULL, NULL, SPI_OK_SELECT) > 0;
	if (found)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		value[0] = Int64GetDatum(etl_row_int64(&row, "run_id"));
		value[1] = Int64GetDatum(etl_row_int64(&row, "task_id"));
	}
	etl_catalog_end(&scope);
	if (!found || !etl_undo_table_purge(DatumGetInt64(value[1]), DatumGetInt64(value[0]), &deleted))
		return false;
	if (deleted == 0)
		(void) etl_catalog_call(&delete, value, NULL, SPI_OK_DELETE);
	return true;
}

/* Tables of which nothing is needed any more; $1: the task, or NULL. */
#define UNNEEDED                                                                                                       \
	"SELECT substr(c.relname, 6)::bigint AS task_id FROM pg_class AS c WHERE c.relnamespace = 'etl'::regnamespace"     \
	" AND c.relkind = 'r' AND c.relname ~ '^undo_[0-9]+$' AND ($1 IS NULL OR c.relname = 'undo_' || $1)"               \
	" AND NOT EXISTS (SELECT FROM etl.undo AS u WHERE u.task_id::text = substr(c.relname, 6) AND u.n_old IS NOT NULL)"

/* is_unneeded looks again, at what was committed until now. */
static bool
is_unneeded(int64 task_id)
{
	static EtlStatement find = {UNNEEDED, 1, {INT8OID}};
	Datum value = Int64GetDatum(task_id);

	return etl_catalog_call(&find, &value, NULL, SPI_OK_SELECT) > 0;
}

/* sweep_table drops a table of which nothing is needed any more and that nobody uses; false: there is none. */
static bool
sweep_table(void)
{
	static EtlStatement find = {UNNEEDED, 1, {INT8OID}};
	Datum value = 0;
	int64 *task_id;
	int n = list_tasks(&find, &value, "n", &task_id);

	for (int i = 0; i < n; i++)
		if (etl_undo_table_try(task_id[i]) && is_unneeded(task_id[i]))
		{
			etl_undo_table_drop(task_id[i]);
			return true;
		}
	return false;
}

/* etl_undo_purge does one thing at a time. */
bool
etl_undo_purge(void)
{
	return purge_run() || sweep_table();
}
