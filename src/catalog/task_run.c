/*
 * task_run.c
 *		The table etl.task_run: one row per attempt. The row with the highest attempt is the state of the task.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "catalog/task_run.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* etl_task_run_current lists the current attempt of each task of a run, in the order of the tasks' numbers. */
int
etl_task_run_current(int64 run_id, EtlTaskRun **line)
{
	static EtlStatement list = {
		"SELECT DISTINCT ON (task_id) task_run_id, task_id, attempt, state, ready_at, ended_at, worker_pid, "
		"error_sqlstate FROM etl.task_run WHERE run_id = $1 ORDER BY task_id, attempt DESC",
		1,
		{INT8OID}};
	EtlScope scope;
	int n;
	Datum value = Int64GetDatum(run_id);

	etl_catalog_begin(&scope);
	n = etl_catalog_exec(&list, &value, NULL, SPI_OK_SELECT);
	*line = MemoryContextAlloc(scope.caller, sizeof(EtlTaskRun) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		EtlRow row = etl_catalog_row(&scope, i);
		EtlTaskRun *to = &(*line)[i];

		to->task_run_id = etl_row_int64(&row, "task_run_id");
		to->task_id = etl_row_int64(&row, "task_id");
		to->attempt = etl_row_int32(&row, "attempt");
		to->state = etl_state_task(etl_row_text(&row, "state"));
		to->ready_at = etl_row_time(&row, "ready_at");
		to->ended_at = etl_row_time(&row, "ended_at");
		to->worker_pid = etl_row_int32(&row, "worker_pid");
		to->error_sqlstate = etl_row_text(&row, "error_sqlstate");
	}
	etl_catalog_end(&scope);
	return n;
}

/* count_argument makes a bigint argument that is NULL when there is no attempt. */
static Datum
count_argument(const EtlAttempt *attempt, int64 count, char *null)
{
	*null = attempt ? ' ' : 'n';
	return Int64GetDatum(count);
}

#define N_COUNT_ARGUMENTS 10
#define COUNT_TYPES INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, TEXTOID, TEXTOID, TEXTOID

/* count_arguments fills what an attempt has counted and noted, from value[0] on. */
static void
count_arguments(const EtlAttempt *attempt, Datum *value, char *null)
{
	static const EtlCounts none;
	const EtlCounts *counts = attempt ? &attempt->counts : &none;
	const EtlAttempt *counted = attempt && attempt->task->kind != ETL_TASK_CHECK ? attempt : NULL;

	value[0] = count_argument(counted, counts->read, &null[0]);
	value[1] = count_argument(counted, counts->inserted, &null[1]);
	value[2] = count_argument(counted, counts->updated, &null[2]);
	value[3] = count_argument(counted, counts->unchanged, &null[3]);
	value[4] = count_argument(counted, counts->deleted, &null[4]);
	value[5] = count_argument(counted, counts->rejected, &null[5]);
	value[6] = count_argument(counted, counts->bytes, &null[6]);
	value[7] = etl_arg_text(attempt ? attempt->reader : NULL, &null[7]);
	value[8] = etl_arg_text(attempt ? attempt->sql : NULL, &null[8]);
	value[9] = etl_arg_text(attempt && attempt->message && attempt->message->len > 0 ? attempt->message->data : NULL,
							&null[9]);
}

#define SET_COUNTS                                                                                                     \
	"rows_read = coalesce($1, rows_read), rows_inserted = coalesce($2, rows_inserted), "                               \
	"rows_updated = coalesce($3, rows_updated), rows_unchanged = coalesce($4, rows_unchanged), "                       \
	"rows_deleted = coalesce($5, rows_deleted), rows_rejected = coalesce($6, rows_rejected), "                         \
	"bytes_read = coalesce($7, bytes_read), reader = coalesce($8, reader), sql = coalesce($9, sql), "                  \
	"message = coalesce($10, message)"

/* etl_task_run_update makes a change of state; false if the attempt is in another state. Only for transition.c. */
bool
etl_task_run_update(const EtlTaskChange *change)
{
	static EtlStatement update = {
		"UPDATE etl.task_run SET " SET_COUNTS ", state = $13, "
		"ready_at = CASE WHEN $13 = 'ready' THEN clock_timestamp() ELSE ready_at END, "
		"started_at = CASE WHEN $13 = 'running' THEN clock_timestamp() WHEN $13 = 'ready' THEN NULL "
		"  ELSE started_at END, "
		"ended_at = CASE WHEN $14 THEN clock_timestamp() END, "
		"error_sqlstate = $15, error_message = $16, error_detail = $17, error_hint = $18, error_context = $19 "
		"WHERE task_run_id = $11 AND state = $12",
		19,
		{COUNT_TYPES, INT8OID, TEXTOID, TEXTOID, BOOLOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID}};
	Datum value[19];
	char null[19];

	count_arguments(change->attempt, value, null);
	value[10] = Int64GetDatum(change->task_run_id);
	value[11] = CStringGetTextDatum(etl_state_task_name(change->from));
	value[12] = CStringGetTextDatum(etl_state_task_name(change->to));
	value[13] = BoolGetDatum(etl_state_task_ended(change->to));
	null[10] = null[11] = null[12] = null[13] = ' ';
	value[14] = etl_arg_text(change->error_sqlstate, &null[14]);
	value[15] = etl_arg_text(change->error_message, &null[15]);
	value[16] = etl_arg_text(change->error_detail, &null[16]);
	value[17] = etl_arg_text(change->error_hint, &null[17]);
	value[18] = etl_arg_text(change->error_context, &null[18]);
	return etl_catalog_call(&update, value, null, SPI_OK_UPDATE) == 1;
}

/* etl_task_run_progress stores what an attempt has counted so far; false if it is no longer running. */
bool
etl_task_run_progress(const EtlAttempt *attempt)
{
	static EtlStatement update = {"UPDATE etl.task_run SET " SET_COUNTS
								  " WHERE task_run_id = $11 AND state = 'running'",
								  11,
								  {COUNT_TYPES, INT8OID}};
	Datum value[11];
	char null[11];

	count_arguments(attempt, value, null);
	value[10] = Int64GetDatum(attempt->task_run_id);
	null[10] = ' ';
	return etl_catalog_call(&update, value, null, SPI_OK_UPDATE) == 1;
}

/* etl_task_run_claim enters a worker; false if the attempt is not running or has one already. */
bool
etl_task_run_claim(int64 task_run_id, int pid)
{
	static EtlStatement claim = {
		"UPDATE etl.task_run SET worker_pid = $2 WHERE task_run_id = $1 AND state = 'running' AND worker_pid IS NULL",
		2,
		{INT8OID, INT4OID}};
	Datum value[2] = {Int64GetDatum(task_run_id), Int32GetDatum(pid)};

	return etl_catalog_call(&claim, value, NULL, SPI_OK_UPDATE) == 1;
}

/* etl_task_run_retry adds the attempt that follows a failed one, to start at due_at. */
void
etl_task_run_retry(int64 task_run_id, TimestampTz due_at)
{
	static EtlStatement insert = {
		"INSERT INTO etl.task_run (run_id, task_id, task, kind, attempt, state, ready_at) "
		"SELECT run_id, task_id, task, kind, attempt + 1, 'retry', $2 FROM etl.task_run WHERE task_run_id = $1",
		2,
		{INT8OID, TIMESTAMPTZOID}};
	Datum value[2] = {Int64GetDatum(task_run_id), TimestampTzGetDatum(due_at)};

	etl_catalog_call(&insert, value, NULL, SPI_OK_INSERT);
}

/* etl_task_run_task returns the definition that an attempt works by, and its run; NULL if there is no such attempt. */
EtlTask *
etl_task_run_task(int64 task_run_id, int64 *run_id)
{
	static EtlStatement get = {"SELECT x.run_id, " ETL_TASK_COLUMNS
							   " FROM etl.task_run AS a JOIN etl.run AS x ON x.run_id = a.run_id, "
							   "LATERAL (SELECT e FROM jsonb_array_elements(x.definition->'task') AS e "
							   "  WHERE (e->>'task_id')::bigint = a.task_id) AS d, "
							   "LATERAL jsonb_populate_record(NULL::etl.task, d.e) AS r "
							   "WHERE a.task_run_id = $1",
							   1,
							   {INT8OID}};
	EtlScope scope;
	EtlTask *task = NULL;
	Datum value = Int64GetDatum(task_run_id);

	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&get, &value, NULL, SPI_OK_SELECT) > 0)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		*run_id = etl_row_int64(&row, "run_id");
		task = etl_task_read(&row);
	}
	etl_catalog_end(&scope);
	return task;
}

/* etl_task_run_gates lists the checks of a run that gate a task. */
EtlTaskList
etl_task_run_gates(int64 run_id, const char *task)
{
	static EtlStatement list = {"SELECT " ETL_TASK_COLUMNS
								" FROM etl.run AS x, jsonb_array_elements(x.definition->'task') AS e, "
								"LATERAL jsonb_populate_record(NULL::etl.task, e) AS r "
								"WHERE x.run_id = $1 AND e->>'gate' = $2 ORDER BY r.task_id",
								2,
								{INT8OID, TEXTOID}};
	EtlScope scope;
	EtlTaskList tasks;
	Datum value[2] = {Int64GetDatum(run_id), CStringGetTextDatum(task)};

	etl_catalog_begin(&scope);
	tasks = etl_task_read_all(&scope, etl_catalog_exec(&list, value, NULL, SPI_OK_SELECT));
	etl_catalog_end(&scope);
	return tasks;
}

/*
 * etl_task_run_ended lists the attempts of a run that have ended, in that order, and those that wait for their time, with
 * the negative of their number, without those in seen (bigint).
 */
int
etl_task_run_ended(int64 run_id, const Datum *seen, int n_seen, EtlTaskEnd **line)
{
	static EtlStatement list = {
		"SELECT x.seen AS task_run_id, task, attempt, state, ready_at, error_message, message, concat_ws(', ', "
		"  CASE WHEN rows_read > 0 THEN rows_read || ' read' END, "
		"  CASE WHEN rows_inserted > 0 THEN rows_inserted || ' inserted' END, "
		"  CASE WHEN rows_updated > 0 THEN rows_updated || ' updated' END, "
		"  CASE WHEN rows_unchanged > 0 THEN rows_unchanged || ' unchanged' END, "
		"  CASE WHEN rows_deleted > 0 THEN rows_deleted || ' deleted' END, "
		"  CASE WHEN rows_rejected > 0 THEN rows_rejected || ' rejected' END, "
		"  round(extract(epoch FROM ended_at - started_at), 1) || ' s') AS summary "
		"FROM etl.task_run, LATERAL (SELECT CASE state WHEN 'retry' THEN -task_run_id ELSE task_run_id END) AS x "
		"(seen) "
		"WHERE run_id = $1 AND (ended_at IS NOT NULL OR state = 'retry') AND x.seen <> ALL ($2) "
		"ORDER BY ended_at NULLS LAST, task_run_id",
		2,
		{INT8OID, INT8ARRAYOID}};
	EtlScope scope;
	int n;
	Datum value[2] = {Int64GetDatum(run_id),
					  PointerGetDatum(construct_array((Datum *) seen, n_seen, INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
													  TYPALIGN_DOUBLE))};

	etl_catalog_begin(&scope);
	n = etl_catalog_exec(&list, value, NULL, SPI_OK_SELECT);
	*line = MemoryContextAlloc(scope.caller, sizeof(EtlTaskEnd) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		EtlRow row = etl_catalog_row(&scope, i);
		EtlTaskEnd *to = &(*line)[i];

		to->task_run_id = etl_row_int64(&row, "task_run_id");
		to->task = etl_row_text(&row, "task");
		to->attempt = etl_row_int32(&row, "attempt");
		to->state = etl_state_task(etl_row_text(&row, "state"));
		to->ready_at = etl_row_time(&row, "ready_at");
		to->summary = etl_row_text(&row, "summary");
		to->error_message = etl_row_text(&row, "error_message");
		to->message = etl_row_text(&row, "message");
	}
	etl_catalog_end(&scope);
	return n;
}

/* etl_task_run_failures names the failed tasks of a run with their errors, one per line, or returns NULL. */
char *
etl_task_run_failures(int64 run_id)
{
	static EtlStatement list = {
		"SELECT string_agg(task || ': ' || coalesce(error_message, 'failed'), E'\\n' ORDER BY ended_at, task) AS text "
		"FROM (SELECT DISTINCT ON (task_id) * FROM etl.task_run WHERE run_id = $1 "
		"      ORDER BY task_id, attempt DESC) AS l WHERE state = 'failed'",
		1,
		{INT8OID}};
	EtlScope scope;
	EtlRow row;
	char *text;
	Datum value = Int64GetDatum(run_id);

	etl_catalog_begin(&scope);
	etl_catalog_exec(&list, &value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	text = etl_row_text(&row, "text");
	etl_catalog_end(&scope);
	return text;
}

/* etl_task_run_blocked_by names a task of a run whose worker waits for a lock that process pid holds, or NULL. */
char *
etl_task_run_blocked_by(int64 run_id, int pid)
{
	static EtlStatement find = {
		"SELECT task FROM etl.task_run WHERE run_id = $1 AND state = 'running' AND worker_pid IS NOT NULL "
		"AND $2 = ANY (pg_blocking_pids(worker_pid)) LIMIT 1",
		2,
		{INT8OID, INT4OID}};
	EtlScope scope;
	char *task = NULL;
	Datum value[2] = {Int64GetDatum(run_id), Int32GetDatum(pid)};

	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&find, value, NULL, SPI_OK_SELECT) > 0)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		task = etl_row_text(&row, "task");
	}
	etl_catalog_end(&scope);
	return task;
}
