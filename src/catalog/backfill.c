/*
 * backfill.c
 *		The tables etl.backfill and etl.backfill_chunk. See backfill.h.
 */
#include "postgres.h"

#include "catalog/backfill.h"
#include "catalog/pg_type.h"
#include "catalog/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* etl_backfill_unknown_task looks for the tasks asked for. */
char *
etl_backfill_unknown_task(const EtlBackfill *backfill)
{
	static EtlStatement missing = {
		"SELECT n FROM unnest($2) AS n WHERE NOT EXISTS (SELECT FROM etl.task AS t WHERE t.pipeline_id = $1 "
		"AND t.name = n AND t.enabled AND t.gate IS NULL) LIMIT 1",
		2,
		{INT8OID, TEXTARRAYOID}};
	EtlScope scope;
	char *name = NULL;
	Datum value[2] = {Int64GetDatum(backfill->pipeline_id)};
	char null[2] = {' ', ' '};

	value[1] = etl_arg_names(&backfill->tasks, &null[1]);
	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&missing, value, null, SPI_OK_SELECT) > 0)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		name = etl_row_text(&row, "n");
	}
	etl_catalog_end(&scope);
	return name;
}

/* time_array makes a timestamptz[] of n moments. */
static Datum
time_array(const TimestampTz *time, int n)
{
	Datum *element = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		element[i] = TimestampTzGetDatum(time[i]);
	return PointerGetDatum(
		construct_array(element, n, TIMESTAMPTZOID, sizeof(TimestampTz), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/*
 * The intervals with what the runs of the pipeline did for them: the last run that succeeded, the last run at all, and
 * the backfill that has yet to do it. What was limited to tasks counts if those of $4 are among them.
 */
static const char *const decide_sql =
	"WITH done AS (SELECT r.interval_start, r.interval_end, max(r.run_id) AS last, "
	"    max(r.run_id) FILTER (WHERE r.state IN ('success', 'warning') AND r.rolled_back_at IS NULL) AS good "
	"  FROM etl.run AS r CROSS JOIN LATERAL (SELECT CASE WHEN r.definition->'only' <> 'null' THEN "
	"    ARRAY(SELECT jsonb_array_elements_text(r.definition->'only')) END AS only) AS o "
	"  WHERE r.pipeline_id = $1 AND r.interval_start >= ($2)[1] AND r.interval_end <= ($3)[cardinality($3)] "
	"    AND r.state <> 'skipped' AND (o.only IS NULL OR o.only @> $4) GROUP BY 1, 2), "
	"planned AS (SELECT c.interval_start, c.interval_end, max(c.backfill_id) AS backfill_id "
	"  FROM etl.backfill_chunk AS c JOIN etl.backfill AS b ON b.backfill_id = c.backfill_id "
	"  WHERE b.pipeline_id = $1 AND b.state = 'running' AND c.run_id IS NULL "
	"    AND (b.tasks IS NULL OR b.tasks @> $4) GROUP BY 1, 2) "
	"SELECT CASE WHEN $5 = 'all' THEN 'run' "
	"  WHEN $5 = 'missing' AND d.good IS NOT NULL THEN 'skip: run ' || d.good || ' succeeded' "
	"  WHEN l.state IN ('queued', 'running') THEN 'skip: run ' || d.last || ' is active' "
	"  WHEN w.backfill_id IS NOT NULL THEN 'skip: backfill ' || w.backfill_id || ' is going to do it' "
	"  WHEN $5 = 'missing' OR l.state IN ('failed', 'cancelled') THEN 'run' "
	"  WHEN d.last IS NULL THEN 'skip: there was no run' "
	"  ELSE 'skip: run ' || d.last || ' succeeded' END AS action "
	"FROM unnest($2, $3) WITH ORDINALITY AS i (interval_start, interval_end, place) "
	"LEFT JOIN done AS d USING (interval_start, interval_end) "
	"LEFT JOIN planned AS w USING (interval_start, interval_end) "
	"LEFT JOIN etl.run AS l ON l.run_id = d.last ORDER BY i.place";

/* etl_backfill_decide asks for all intervals at once. */
char **
etl_backfill_decide(const EtlBackfill *backfill, const TimestampTz *bound, int n)
{
	static EtlStatement decide = {
		.nargs = 5, .argtype = {INT8OID, TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID, TEXTOID}};
	EtlScope scope;
	char **action = palloc(sizeof(char *) * n);
	Datum value[5] = {Int64GetDatum(backfill->pipeline_id), time_array(bound, n), time_array(bound + 1, n)};
	char null[5] = {' ', ' ', ' ', ' ', ' '};

	value[3] = etl_arg_names(&backfill->tasks, &null[3]);
	value[4] = CStringGetTextDatum(backfill->reprocess);
	decide.sql = decide_sql;
	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&decide, value, null, SPI_OK_SELECT) != n)
		elog(ERROR, "intervals of a backfill are lost");
	for (int i = 0; i < n; i++)
	{
		EtlRow row = etl_catalog_row(&scope, i);

		action[i] = etl_row_text(&row, "action");
	}
	etl_catalog_end(&scope);
	return action;
}

/* insert_chunks stores the intervals that are to be done. */
static void
insert_chunks(int64 backfill_id, const TimestampTz *bound, char *const *action, int n)
{
	static EtlStatement insert = {
		"INSERT INTO etl.backfill_chunk (backfill_id, interval_start, interval_end) SELECT $1, s, e "
		"FROM unnest($2, $3) AS i (s, e)",
		3,
		{INT8OID, TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID}};
	TimestampTz *start = palloc(sizeof(TimestampTz) * n);
	TimestampTz *end = palloc(sizeof(TimestampTz) * n);
	Datum value[3] = {Int64GetDatum(backfill_id)};
	int wanted = 0;

	for (int i = 0; i < n; i++)
	{
		if (strcmp(action[i], "run") != 0)
			continue;
		start[wanted] = bound[i];
		end[wanted++] = bound[i + 1];
	}
	value[1] = time_array(start, wanted);
	value[2] = time_array(end, wanted);
	(void) etl_catalog_call(&insert, value, NULL, SPI_OK_INSERT);
}

/* etl_backfill_insert stores both parts. */
int64
etl_backfill_insert(const EtlBackfill *backfill, const TimestampTz *bound, char *const *action, int n)
{
	static EtlStatement insert = {
		"INSERT INTO etl.backfill (pipeline_id, state, from_time, to_time, step, timezone, reprocess, newest_first, "
		"max_active, params, tasks, requested_by, requested_at) VALUES ($1, 'running', $2, $3, $4, $5, $6, $7, $8, "
		"coalesce($9, '{}'), $10, $11, clock_timestamp()) RETURNING backfill_id",
		11,
		{INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID, INTERVALOID, TEXTOID, TEXTOID, BOOLOID, INT4OID, JSONBOID,
		 TEXTARRAYOID, OIDOID}};
	EtlScope scope;
	EtlRow row;
	int64 backfill_id;
	char null[11] = {' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '};
	Datum value[11] = {
		Int64GetDatum(backfill->pipeline_id),		 TimestampTzGetDatum(backfill->from),
		TimestampTzGetDatum(backfill->to),			 IntervalPGetDatum(backfill->step),
		CStringGetTextDatum(backfill->timezone),	 CStringGetTextDatum(backfill->reprocess),
		BoolGetDatum(backfill->newest_first),		 Int32GetDatum(backfill->max_active),
		etl_arg_pointer(backfill->params, &null[8]), etl_arg_names(&backfill->tasks, &null[9]),
		ObjectIdGetDatum(backfill->requested_by),
	};

	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&insert, value, null, SPI_OK_INSERT_RETURNING);
	row = etl_catalog_row(&scope, 0);
	backfill_id = etl_row_int64(&row, "backfill_id");
	etl_catalog_end(&scope);
	insert_chunks(backfill_id, bound, action, n);
	return backfill_id;
}

/* read_numbers executes a statement and returns its column "number". */
static int
read_numbers(EtlStatement *statement, const Datum *value, int64 **number)
{
	EtlScope scope;
	int n;

	etl_catalog_begin(&scope);
	n = etl_catalog_exec(statement, value, NULL, SPI_OK_SELECT);
	*number = MemoryContextAlloc(scope.caller, sizeof(int64) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		EtlRow row = etl_catalog_row(&scope, i);

		(*number)[i] = etl_row_int64(&row, "number");
	}
	etl_catalog_end(&scope);
	return n;
}

/* etl_backfill_list reads their numbers. */
int
etl_backfill_list(int64 **backfill_id)
{
	static EtlStatement list = {
		"SELECT backfill_id AS number FROM etl.backfill WHERE state = 'running' ORDER BY backfill_id", 0, {0}};

	return read_numbers(&list, NULL, backfill_id);
}

/* etl_backfill_active_runs reads their numbers. */
int
etl_backfill_active_runs(int64 backfill_id, int64 **run_id)
{
	static EtlStatement list = {"SELECT run_id AS number FROM etl.run WHERE backfill_id = $1 "
								"AND state IN ('queued', 'running') ORDER BY run_id",
								1,
								{INT8OID}};
	Datum value = Int64GetDatum(backfill_id);

	return read_numbers(&list, &value, run_id);
}

/* look_at_runs finds out how far a backfill has come. */
static void
look_at_runs(EtlScope *scope, int64 backfill_id, EtlBackfillWork *work)
{
	static EtlStatement look = {
		"SELECT EXISTS (SELECT FROM etl.backfill_chunk WHERE backfill_id = $1 AND run_id IS NULL) AS remaining, "
		"(SELECT count(*) FROM etl.run WHERE backfill_id = $1 AND state IN ('queued', 'running'))::integer AS active, "
		"EXISTS (SELECT FROM etl.run WHERE backfill_id = $1 AND state IN ('failed', 'cancelled', 'skipped')) AS failed",
		1,
		{INT8OID}};
	Datum value = Int64GetDatum(backfill_id);
	EtlRow row;

	(void) etl_catalog_exec(&look, &value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(scope, 0);
	work->remaining = etl_row_bool(&row, "remaining");
	work->active = etl_row_int32(&row, "active");
	work->failed = etl_row_bool(&row, "failed");
}

/*
 * etl_backfill_lock takes the lock on the pipeline that creating a run takes too, so that this one does not have to
 * wait for it.
 */
EtlBackfillWork *
etl_backfill_lock(int64 backfill_id)
{
	static EtlStatement lock = {
		"SELECT p.paused, b.requested_by::oid AS requested_by, b.max_active "
		"FROM etl.backfill AS b JOIN etl.pipeline AS p ON p.pipeline_id = b.pipeline_id "
		"WHERE b.backfill_id = $1 AND b.state = 'running' FOR NO KEY UPDATE OF b, p SKIP LOCKED",
		1,
		{INT8OID}};
	EtlScope scope;
	EtlBackfillWork *work = NULL;
	Datum value = Int64GetDatum(backfill_id);

	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&lock, &value, NULL, SPI_OK_SELECT) > 0)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		work = MemoryContextAlloc(scope.caller, sizeof(EtlBackfillWork));
		work->paused = etl_row_bool(&row, "paused");
		work->requested_by = etl_row_oid(&row, "requested_by");
		work->max_active = etl_row_int32(&row, "max_active");
		look_at_runs(&scope, backfill_id, work);
	}
	etl_catalog_end(&scope);
	return work;
}

/* etl_backfill_next builds the request in SQL: times in JSON have one form, whatever the settings. */
Jsonb *
etl_backfill_next(int64 backfill_id, TimestampTz *start)
{
	static EtlStatement next = {
		"SELECT c.interval_start, jsonb_build_object('pipeline', p.name, 'mode', 'background', "
		"'full_refresh', 'false', 'backfill_id', b.backfill_id::text, 'on_overlap', 'queue', "
		"'interval_start', c.interval_start, 'logical_time', c.interval_end, 'tasks', b.tasks, 'params', b.params) "
		"AS request FROM etl.backfill_chunk AS c JOIN etl.backfill AS b ON b.backfill_id = c.backfill_id "
		"JOIN etl.pipeline AS p ON p.pipeline_id = b.pipeline_id WHERE b.backfill_id = $1 "
		"AND c.interval_start = CASE WHEN b.newest_first "
		"THEN (SELECT max(interval_start) FROM etl.backfill_chunk WHERE backfill_id = $1 AND run_id IS NULL) "
		"ELSE (SELECT min(interval_start) FROM etl.backfill_chunk WHERE backfill_id = $1 AND run_id IS NULL) END",
		1,
		{INT8OID}};
	EtlScope scope;
	Jsonb *request = NULL;
	Datum value = Int64GetDatum(backfill_id);

	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&next, &value, NULL, SPI_OK_SELECT) > 0)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		*start = etl_row_time(&row, "interval_start");
		request = etl_row_jsonb(&row, "request");
	}
	etl_catalog_end(&scope);
	return request;
}

/* etl_backfill_assign writes the run into the interval. */
void
etl_backfill_assign(int64 backfill_id, TimestampTz start, int64 run_id)
{
	static EtlStatement update = {
		"UPDATE etl.backfill_chunk SET run_id = $3 WHERE backfill_id = $1 AND interval_start = $2",
		3,
		{INT8OID, TIMESTAMPTZOID, INT8OID}};
	Datum value[3] = {Int64GetDatum(backfill_id), TimestampTzGetDatum(start), Int64GetDatum(run_id)};

	(void) etl_catalog_call(&update, value, NULL, SPI_OK_UPDATE);
}

/* etl_backfill_end is a compare-and-set on the state running. */
bool
etl_backfill_end(int64 backfill_id, const char *state, const char *message)
{
	static EtlStatement update = {"UPDATE etl.backfill SET state = $2, message = $3, ended_at = clock_timestamp() "
								  "WHERE backfill_id = $1 AND state = 'running'",
								  3,
								  {INT8OID, TEXTOID, TEXTOID}};
	Datum value[3] = {Int64GetDatum(backfill_id), CStringGetTextDatum(state)};
	char null[3] = {' ', ' ', ' '};

	value[2] = etl_arg_text(message, &null[2]);
	return etl_catalog_call(&update, value, null, SPI_OK_UPDATE) == 1;
}

/* etl_backfill_pipeline reads them. */
char *
etl_backfill_pipeline(int64 backfill_id, Oid *owner)
{
	static EtlStatement get = {"SELECT p.name, p.owner::oid AS owner FROM etl.backfill AS b "
							   "JOIN etl.pipeline AS p ON p.pipeline_id = b.pipeline_id WHERE b.backfill_id = $1",
							   1,
							   {INT8OID}};
	EtlScope scope;
	char *name = NULL;
	Datum value = Int64GetDatum(backfill_id);

	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&get, &value, NULL, SPI_OK_SELECT) > 0)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		name = etl_row_text(&row, "name");
		*owner = etl_row_oid(&row, "owner");
	}
	etl_catalog_end(&scope);
	return name;
}

/* etl_backfill_timezone reads it from the backfill: that of the pipeline may have changed since. */
char *
etl_backfill_timezone(int64 run_id)
{
	static EtlStatement get = {"SELECT b.timezone FROM etl.run AS r JOIN etl.backfill AS b "
							   "ON b.backfill_id = r.backfill_id WHERE r.run_id = $1",
							   1,
							   {INT8OID}};
	EtlScope scope;
	EtlRow row;
	char *timezone;
	Datum value = Int64GetDatum(run_id);

	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&get, &value, NULL, SPI_OK_SELECT) == 0)
		elog(ERROR, "run " INT64_FORMAT " belongs to no backfill", run_id);
	row = etl_catalog_row(&scope, 0);
	timezone = etl_row_text(&row, "timezone");
	etl_catalog_end(&scope);
	return timezone;
}
