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
#include "worker/boot.h"

/* read_current fills a line from a row. */
static void
read_current(const EtlRow *row, EtlTaskRun *to)
{
	to->task_run_id = etl_row_int64(row, "task_run_id");
	to->task_id = etl_row_int64(row, "task_id");
	to->attempt = etl_row_int32(row, "attempt");
	to->retry = etl_row_int32(row, "retry");
	to->crashes = etl_row_int32(row, "crashes");
	to->settled = etl_row_bool(row, "settled");
	to->state = etl_state_task(etl_row_text(row, "state"));
	to->ready_at = etl_row_time(row, "ready_at");
	to->ended_at = etl_row_time(row, "ended_at");
	to->worker_pid = etl_row_int32(row, "worker_pid");
	to->boot_id = etl_row_text(row, "boot_id");
	to->error_sqlstate = etl_row_text(row, "error_sqlstate");
}

/*
 * etl_task_run_current returns the current attempt of each of the tasks of a run, which are in the order of their numbers.
 * Attempts of tasks that the definition does not have any more (etl.retry_run) are left out. Errors: XX000 when one of
 * the tasks has no attempt.
 */
EtlTaskRun *
etl_task_run_current(int64 run_id, const EtlTaskList *tasks)
{
	static EtlStatement list = {
		"SELECT DISTINCT ON (task_id) task_run_id, task_id, attempt, retry, crashes, settled, state, ready_at, "
		"ended_at, worker_pid, boot_id, error_sqlstate "
		"FROM etl.task_run WHERE run_id = $1 ORDER BY task_id, attempt DESC",
		1,
		{INT8OID}};
	EtlScope scope;
	EtlTaskRun *line;
	int n;
	int node = 0;
	Datum value = Int64GetDatum(run_id);

	etl_catalog_begin(&scope);
	n = etl_catalog_exec(&list, &value, NULL, SPI_OK_SELECT);
	line = MemoryContextAllocZero(scope.caller, sizeof(EtlTaskRun) * Max(tasks->n, 1));
	for (int i = 0; i < n && node < tasks->n; i++)
	{
		EtlRow row = etl_catalog_row(&scope, i);

		if (etl_row_int64(&row, "task_id") == tasks->task[node]->task_id)
			read_current(&row, &line[node++]);
	}
	etl_catalog_end(&scope);
	if (node < tasks->n)
		elog(ERROR, "run " INT64_FORMAT " has lost some of its tasks", run_id);
	return line;
}

/* count_argument makes a bigint argument that is NULL when there is no attempt. */
static Datum
count_argument(const EtlAttempt *attempt, int64 count, char *null)
{
	*null = attempt ? ' ' : 'n';
	return Int64GetDatum(count);
}

#define N_COUNT_ARGUMENTS 12
#define COUNT_TYPES                                                                                                    \
	INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID

#define N_USAGE_ARGUMENTS 7
#define USAGE_TYPES INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID

/* usage_arguments fills what an attempt has used, from value[0] on; all NULL when that was not measured. */
static void
usage_arguments(const EtlMeter *meter, Datum *value, char *null)
{
	static const EtlUsage none;
	bool is_known = meter != NULL && meter->is_running;
	const EtlUsage *used = is_known ? &meter->used : &none;

	memset(null, is_known ? ' ' : 'n', N_USAGE_ARGUMENTS);
	value[0] = Int64GetDatum((used->wall_us + 500) / 1000);
	value[1] = Int64GetDatum((used->cpu_us + 500) / 1000);
	value[2] = Int64GetDatum(used->buffers_hit);
	value[3] = Int64GetDatum(used->buffers_read);
	value[4] = Int64GetDatum(used->buffers_written);
	value[5] = Int64GetDatum(used->temp_bytes);
	value[6] = Int64GetDatum(used->wal_bytes);
}

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
	value[10] = etl_arg_text(attempt ? attempt->reader_reason : NULL, &null[10]);
	value[11] = etl_arg_pointer(attempt ? etl_attempt_details(attempt) : NULL, &null[11]);
}

#define SET_COUNTS                                                                                                     \
	"rows_read = coalesce($1, rows_read), rows_inserted = coalesce($2, rows_inserted), "                               \
	"rows_updated = coalesce($3, rows_updated), rows_unchanged = coalesce($4, rows_unchanged), "                       \
	"rows_deleted = coalesce($5, rows_deleted), rows_rejected = coalesce($6, rows_rejected), "                         \
	"bytes_read = coalesce($7, bytes_read), reader = coalesce($8, reader), sql = coalesce($9, sql), "                  \
	"message = coalesce($10, message), reader_reason = coalesce($11, reader_reason), details = coalesce($12, details)"

/* USAGE(a, ..., g) sets the columns of usage_arguments from parameters of these numbers. */
#define SET_USAGE(a, b, c, d, e, f, g)                                                                                 \
	", wall_ms = coalesce($" #a ", wall_ms), cpu_ms = coalesce($" #b ", cpu_ms), "                                     \
	"buffers_hit = coalesce($" #c ", buffers_hit), buffers_read = coalesce($" #d ", buffers_read), "                   \
	"buffers_written = coalesce($" #e ", buffers_written), temp_bytes = coalesce($" #f ", temp_bytes), "               \
	"wal_bytes = coalesce($" #g ", wal_bytes)"

/* etl_task_run_update makes a change of state; false if the attempt is in another state. Only for transition.c. */
bool
etl_task_run_update(const EtlTaskChange *change)
{
	static EtlStatement update = {
		"UPDATE etl.task_run SET " SET_COUNTS ", state = $15, "
		"ready_at = CASE WHEN $15 = 'ready' THEN clock_timestamp() ELSE ready_at END, "
		"started_at = CASE WHEN $15 = 'running' THEN clock_timestamp() WHEN $15 = 'ready' THEN NULL "
		"  ELSE started_at END, "
		"ended_at = CASE WHEN $16 THEN clock_timestamp() END, "
		"error_sqlstate = CASE WHEN $22 THEN error_sqlstate ELSE $17 END, "
		"error_message = CASE WHEN $22 THEN error_message ELSE $18 END, "
		"error_detail = CASE WHEN $22 THEN error_detail ELSE $19 END, "
		"error_hint = CASE WHEN $22 THEN error_hint ELSE $20 END, "
		"error_context = CASE WHEN $22 THEN error_context ELSE $21 END, "
		"boot_id = CASE WHEN $15 = 'running' THEN $23 ELSE boot_id END" SET_USAGE(
			24, 25, 26, 27, 28, 29, 30) " WHERE task_run_id = $13 AND state = $14",
		30,
		{COUNT_TYPES, INT8OID, TEXTOID, TEXTOID, BOOLOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, BOOLOID, TEXTOID,
		 USAGE_TYPES}};
	Datum value[30];
	char null[30];

	count_arguments(change->attempt, value, null);
	value[12] = Int64GetDatum(change->task_run_id);
	value[13] = CStringGetTextDatum(etl_state_task_name(change->from));
	value[14] = CStringGetTextDatum(etl_state_task_name(change->to));
	value[15] = BoolGetDatum(etl_state_task_ended(change->to));
	null[12] = null[13] = null[14] = null[15] = ' ';
	value[16] = etl_arg_text(change->error_sqlstate, &null[16]);
	value[17] = etl_arg_text(change->error_message, &null[17]);
	value[18] = etl_arg_text(change->error_detail, &null[18]);
	value[19] = etl_arg_text(change->error_hint, &null[19]);
	value[20] = etl_arg_text(change->error_context, &null[20]);
	value[21] = BoolGetDatum(change->keep_error);
	value[22] = CStringGetTextDatum(etl_boot_id());
	null[21] = null[22] = ' ';
	usage_arguments(change->meter	  ? change->meter
					: change->attempt ? &change->attempt->meter
									  : NULL,
					&value[23], &null[23]);
	return etl_catalog_call(&update, value, null, SPI_OK_UPDATE) == 1;
}

/* etl_task_run_progress stores what an attempt has counted so far; false if it is no longer running. */
bool
etl_task_run_progress(const EtlAttempt *attempt)
{
	static EtlStatement update = {"UPDATE etl.task_run SET " SET_COUNTS SET_USAGE(
									  14, 15, 16, 17, 18, 19, 20) " WHERE task_run_id = $13 AND state = 'running'",
								  20,
								  {COUNT_TYPES, INT8OID, USAGE_TYPES}};
	Datum value[20];
	char null[20];

	count_arguments(attempt, value, null);
	value[12] = Int64GetDatum(attempt->task_run_id);
	null[12] = ' ';
	usage_arguments(&attempt->meter, &value[13], &null[13]);
	return etl_catalog_call(&update, value, null, SPI_OK_UPDATE) == 1;
}

/* etl_task_run_claim enters a worker and its shared memory (0: none); false if the attempt is not running or has one already. */
bool
etl_task_run_claim(int64 task_run_id, int pid, uint32 live)
{
	static EtlStatement claim = {"UPDATE etl.task_run SET worker_pid = $2, live = $3 "
								 "WHERE task_run_id = $1 AND state = 'running' AND worker_pid IS NULL",
								 3,
								 {INT8OID, INT4OID, INT8OID}};
	Datum value[3] = {Int64GetDatum(task_run_id), Int32GetDatum(pid), Int64GetDatum((int64) live)};

	return etl_catalog_call(&claim, value, NULL, SPI_OK_UPDATE) == 1;
}

/* etl_task_run_retry adds the attempt that follows a failed one, after that many retries, to start at due_at. */
void
etl_task_run_retry(int64 task_run_id, int retry, TimestampTz due_at)
{
	static EtlStatement insert = {
		"INSERT INTO etl.task_run (run_id, task_id, task, kind, attempt, state, retry, crashes, ready_at) "
		"SELECT run_id, task_id, task, kind, attempt + 1, 'retry', $2, "
		"  CASE WHEN error_sqlstate = 'ZE010' THEN crashes ELSE 0 END, $3 "
		"FROM etl.task_run WHERE task_run_id = $1",
		3,
		{INT8OID, INT4OID, TIMESTAMPTZOID}};
	Datum value[3] = {Int64GetDatum(task_run_id), Int32GetDatum(retry), TimestampTzGetDatum(due_at)};

	etl_catalog_call(&insert, value, NULL, SPI_OK_INSERT);
}

/* etl_task_run_settle notes that no attempt follows a failed one by itself; false: that was noted before. */
bool
etl_task_run_settle(int64 task_run_id)
{
	static EtlStatement update = {
		"UPDATE etl.task_run SET settled = true WHERE task_run_id = $1 AND NOT settled", 1, {INT8OID}};
	Datum value = Int64GetDatum(task_run_id);

	return etl_catalog_call(&update, &value, NULL, SPI_OK_UPDATE) == 1;
}

/* etl_task_run_count_crash notes that the server went down during an attempt. */
void
etl_task_run_count_crash(int64 task_run_id)
{
	static EtlStatement update = {"UPDATE etl.task_run SET crashes = crashes + 1 WHERE task_run_id = $1", 1, {INT8OID}};
	Datum value = Int64GetDatum(task_run_id);

	etl_catalog_call(&update, &value, NULL, SPI_OK_UPDATE);
}

/* etl_task_run_last returns the number of the latest attempt of a run, or 0. */
int64
etl_task_run_last(int64 run_id)
{
	static EtlStatement get = {"SELECT max(task_run_id) AS last FROM etl.task_run WHERE run_id = $1", 1, {INT8OID}};
	EtlScope scope;
	EtlRow row;
	int64 last;
	Datum value = Int64GetDatum(run_id);

	etl_catalog_begin(&scope);
	etl_catalog_exec(&get, &value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	last = etl_row_int64(&row, "last");
	etl_catalog_end(&scope);
	return last;
}

#ifdef ETL_FAULTS
/* etl_task_run_attempt returns which attempt of its task one is. */
int
etl_task_run_attempt(int64 task_run_id)
{
	static EtlStatement get = {"SELECT attempt FROM etl.task_run WHERE task_run_id = $1", 1, {INT8OID}};
	EtlScope scope;
	EtlRow row;
	int attempt;
	Datum value = Int64GetDatum(task_run_id);

	etl_catalog_begin(&scope);
	etl_catalog_exec(&get, &value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	attempt = etl_row_int32(&row, "attempt");
	etl_catalog_end(&scope);
	return attempt;
}
#endif

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

/* etl_task_run_ready_checks lists the checks of a table that are ready in a run, by task, with the numbers of their attempts. */
EtlTaskList
etl_task_run_ready_checks(int64 run_id, const char *target, int64 **task_run_id)
{
	static EtlStatement list = {
		"SELECT y.task_run_id, " ETL_TASK_COLUMNS " FROM etl.run AS x JOIN etl.task_run AS y ON y.run_id = x.run_id, "
		"jsonb_array_elements(x.definition->'task') AS e, "
		"LATERAL jsonb_populate_record(NULL::etl.task, "
		"  CASE WHEN to_regrole(e->>'owner') IS NULL THEN e - 'owner' ELSE e END) AS r "
		"WHERE x.run_id = $1 AND x.cancel_requested_at IS NULL AND y.kind = 'check' AND y.state = 'ready' "
		"AND (e->>'task_id')::bigint = y.task_id AND e->>'target' = $2 ORDER BY r.task_id",
		2,
		{INT8OID, TEXTOID}};
	EtlScope scope;
	EtlTaskList tasks;
	Datum value[2] = {Int64GetDatum(run_id), CStringGetTextDatum(target)};

	etl_catalog_begin(&scope);
	tasks = etl_task_read_all(&scope, etl_catalog_exec(&list, value, NULL, SPI_OK_SELECT));
	*task_run_id = MemoryContextAlloc(scope.caller, sizeof(int64) * Max(tasks.n, 1));
	for (int i = 0; i < tasks.n; i++)
	{
		EtlRow row = etl_catalog_row(&scope, i);

		(*task_run_id)[i] = etl_row_int64(&row, "task_run_id");
	}
	etl_catalog_end(&scope);
	return tasks;
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
 * the negative of their number: those after a given one, and without those in seen (bigint).
 */
int
etl_task_run_ended(int64 run_id, int64 after, const Datum *seen, int n_seen, EtlTaskEnd **line)
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
		"AND task_run_id > $3 ORDER BY ended_at NULLS LAST, task_run_id",
		3,
		{INT8OID, INT8ARRAYOID, INT8OID}};
	EtlScope scope;
	int n;
	Datum value[3] = {Int64GetDatum(run_id),
					  PointerGetDatum(construct_array((Datum *) seen, n_seen, INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
													  TYPALIGN_DOUBLE)),
					  Int64GetDatum(after)};

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

/*
 * etl_task_run_complaints names the tasks of a run that ended in a state (failed or warning) with what they say, one per
 * line, or returns NULL.
 */
char *
etl_task_run_complaints(int64 run_id, EtlTaskState state)
{
	static EtlStatement list = {
		"SELECT string_agg(task || ': ' || coalesce("
		"    CASE WHEN state = 'warning' THEN 'rows of earlier runs are used, because ' END || error_message, "
		"    error_message, message, state), E'\\n' ORDER BY ended_at, task) AS text "
		"FROM (SELECT DISTINCT ON (task_id) * FROM etl.task_run WHERE run_id = $1 "
		"      ORDER BY task_id, attempt DESC) AS l WHERE state = $2 "
		/* Those that were rolled back because of another one say nothing new. */
		"AND error_sqlstate IS DISTINCT FROM 'ZE015'",
		2,
		{INT8OID, TEXTOID}};
	EtlScope scope;
	EtlRow row;
	char *text;
	Datum value[2] = {Int64GetDatum(run_id), CStringGetTextDatum(etl_state_task_name(state))};

	etl_catalog_begin(&scope);
	etl_catalog_exec(&list, value, NULL, SPI_OK_SELECT);
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
