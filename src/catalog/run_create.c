/*
 * run_create.c
 *		New rows of etl.run: which state a run begins in, and the definition that it keeps.
 */
#include "postgres.h"

#include "access/access.h"
#include "catalog/member.h"
#include "catalog/pg_type.h"
#include "catalog/pipeline.h"
#include "catalog/run.h"
#include "catalog/task_run.h"
#include "errors.h"
#include "schedule/deadline.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "worker/publish_check.h"

/* other_active returns another queued or running run of a pipeline, or 0. */
static int64
other_active(int64 pipeline_id)
{
	static EtlStatement find = {"SELECT run_id FROM etl.run WHERE pipeline_id = $1 AND state IN ('queued', 'running') "
								"AND backfill_id IS NULL ORDER BY run_id LIMIT 1",
								1,
								{INT8OID}};
	EtlScope scope;
	int64 run_id = 0;
	Datum value = Int64GetDatum(pipeline_id);

	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&find, &value, NULL, SPI_OK_SELECT) > 0)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		run_id = etl_row_int64(&row, "run_id");
	}
	etl_catalog_end(&scope);
	return run_id;
}

/*
 * decide_overlap says in which state a new run begins while another one may be active, and why. Runs of a backfill and
 * live runs do not get in each other's way: their tables have one writer at a time.
 */
static EtlRunState
decide_overlap(const EtlPipeline *pipeline, Jsonb *request, char **message)
{
	int64 other = etl_member_text(request, "backfill_id") ? 0 : other_active(pipeline->pipeline_id);
	const char *overlap = etl_member_text(request, "on_overlap");

	*message = etl_member_text(request, "message");
	if (etl_member_text(request, "skip"))
		return ETL_RUN_SKIPPED;
	if (overlap == NULL)
		overlap = pipeline->on_overlap;
	if (other == 0 || strcmp(overlap, "queue") == 0)
		return ETL_RUN_QUEUED;
	if (strcmp(overlap, "cancel_running") == 0)
	{
		etl_run_cancel(other, "cancelled by a newer run of the pipeline");
		return ETL_RUN_QUEUED;
	}
	if (strcmp(overlap, "error") == 0)
		ereport(ERROR, (errcode(ERRCODE_ETL_OVERLAP), errmsg("pipeline \"%s\" is running already", pipeline->name),
						errdetail("Run " INT64_FORMAT " has not ended.", other),
						errhint("Wait for it with etl.wait_for_run(" INT64_FORMAT "), or change on_overlap.", other)));
	*message = psprintf("run " INT64_FORMAT " was still active%s%s", other, *message ? "; " : "",
						*message ? *message : "");
	return ETL_RUN_SKIPPED;
}

/* check_task_names makes sure that every task asked for exists and is enabled. */
static void
check_task_names(const EtlPipeline *pipeline, Jsonb *request)
{
	static EtlStatement missing = {
		"SELECT n FROM jsonb_array_elements_text(nullif($2->'tasks', 'null')) AS n "
		"WHERE NOT EXISTS (SELECT FROM etl.task AS t WHERE t.pipeline_id = $1 AND t.name = n AND t.enabled "
		"AND t.gate IS NULL)",
		2,
		{INT8OID, JSONBOID}};
	EtlScope scope;
	char *name = NULL;
	Datum value[2] = {Int64GetDatum(pipeline->pipeline_id), JsonbPGetDatum(request)};

	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&missing, value, NULL, SPI_OK_SELECT) > 0)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		name = etl_row_text(&row, "n");
	}
	etl_catalog_end(&scope);
	if (name)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("pipeline \"%s\" has no task \"%s\" that can be run", pipeline->name, name),
						errdetail("It does not exist, is disabled, or is a check that gates another task."),
						errhint("SELECT name, enabled, gate FROM etl.task lists the tasks.")));
}

/* moment returns a member of a request that is a time; now, if it is not there. */
static TimestampTz
moment(Jsonb *request, const char *name)
{
	const char *given = etl_member_text(request, name);

	if (given == NULL)
		return GetCurrentTimestamp();
	return DatumGetTimestampTz(
		DirectFunctionCall3(timestamptz_in, CStringGetDatum(given), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

/* logical_time returns the moment that a new run stands for. */
static TimestampTz
logical_time(Jsonb *request)
{
	return moment(request, etl_member_text(request, "logical_time") ? "logical_time" : "scheduled_for");
}

/* What a run keeps of the definitions of now: p is the pipeline, request an object whose "tasks" names some or none. */
#define DEFINITION(request)                                                                                            \
	"jsonb_build_object("                                                                                              \
	"  'pipeline', to_jsonb(p), "                                                                                      \
	"  'task', coalesce((SELECT jsonb_agg(jsonb_strip_nulls(to_jsonb(c)) || "                                          \
	"      jsonb_build_object('owner', coalesce(c.owner, p.owner)) ORDER BY c.task_id) FROM chosen AS c), '[]'), "     \
	"  'only', nullif(" request "->'tasks', 'null'), "                                                                 \
	"  'dependency', coalesce((SELECT jsonb_agg(jsonb_build_array(d.task_id, d.depends_on)) "                          \
	"      FROM etl.task_dependency AS d WHERE d.pipeline_id = p.pipeline_id "                                         \
	"      AND d.task_id IN (SELECT task_id FROM chosen) "                                                             \
	"      AND d.depends_on IN (SELECT task_id FROM chosen)), '[]'))"

/* The tasks that belong to it. */
#define CHOSEN(request)                                                                                                \
	"SELECT t.* FROM etl.task AS t WHERE t.pipeline_id = $1 AND t.enabled "                                            \
	"  AND (nullif(" request "->'tasks', 'null') IS NULL OR " request "->'tasks' ? coalesce(t.gate, t.name))"

/* insert_run stores the run with the definitions of now. Returns 0 if there is one for that scheduled time. */
static int64
insert_run(const EtlPipeline *pipeline, Jsonb *request, Oid caller, EtlRunState state, const char *message)
{
	static EtlStatement insert = {
		"WITH chosen AS (" CHOSEN(
			"$2") ") "
				  "INSERT INTO etl.run (pipeline_id, state, mode, logical_time, interval_start, interval_end, "
				  "scheduled_for, "
				  "  deadline_at, backfill_id, params, full_refresh, replay_from, force, requested_by, requested_at, "
				  "ended_at, waiter, "
				  "message, "
				  "  definition) "
				  "SELECT p.pipeline_id, $3, $2->>'mode', $6, "
				  "  coalesce(($2->>'interval_start')::timestamptz, "
				  "    (SELECT max(r.logical_time) FROM etl.run AS r WHERE r.pipeline_id = p.pipeline_id "
				  "     AND r.state IN ('success', 'warning') AND r.rolled_back_at IS NULL "
				  "     AND r.logical_time < $6 AND r.backfill_id IS NULL)), "
				  "  $6, ($2->>'scheduled_for')::timestamptz, $7, ($2->>'backfill_id')::bigint, "
				  "  coalesce(nullif($2->'params', 'null'), '{}'), ($2->>'full_refresh')::boolean, "
				  "  ($2->>'replay_from')::bigint, coalesce(($2->>'force')::boolean, false), $4, "
				  "clock_timestamp(), "
				  "  CASE WHEN $3 = 'skipped' THEN clock_timestamp() END, ($2->>'waiter')::bigint, $5, " DEFINITION(
					  "$2") " "
							"FROM etl.pipeline AS p WHERE p.pipeline_id = $1 "
							"ON CONFLICT (pipeline_id, scheduled_for) DO NOTHING RETURNING run_id",
		7,
		{INT8OID, JSONBOID, TEXTOID, OIDOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID}};
	static EtlStatement insert_tasks = {
		"INSERT INTO etl.task_run (run_id, task_id, task, kind, attempt, state, crashes) "
		"SELECT r.run_id, (t->>'task_id')::bigint, t->>'name', t->>'kind', 1, 'waiting', coalesce(l.crashes, 0) "
		"FROM etl.run AS r, jsonb_array_elements(r.definition->'task') AS t "
		/* A task that took the server down stays under suspicion until it ends otherwise, or is changed. */
		"LEFT JOIN LATERAL (SELECT CASE WHEN x.error_sqlstate IN ('ZE010', 'ZE011') "
		"    AND x.ended_at > (t->>'updated_at')::timestamptz THEN x.crashes END AS crashes "
		"  FROM etl.task_run AS x WHERE x.task_id = (t->>'task_id')::bigint AND x.ended_at IS NOT NULL "
		"  ORDER BY x.task_run_id DESC LIMIT 1) AS l ON true "
		"WHERE r.run_id = $1 AND r.state = 'queued' AND t->>'gate' IS NULL ORDER BY 2",
		1,
		{INT8OID}};
	EtlScope scope;
	int64 run_id = 0;
	TimestampTz at = logical_time(request);
	Datum value[7] = {Int64GetDatum(pipeline->pipeline_id), JsonbPGetDatum(request),
					  CStringGetTextDatum(etl_state_run_name(state)), ObjectIdGetDatum(caller)};
	char null[7] = {' ', ' ', ' ', ' ', ' ', ' ', 'n'};

	value[4] = etl_arg_text(message, &null[4]);
	value[5] = TimestampTzGetDatum(at);
	if (pipeline->deadline != NULL && etl_member_text(request, "backfill_id") == NULL)
	{
		/* A run by hand is due when it is asked for, also when it stands for the past. */
		value[6] = TimestampTzGetDatum(
			etl_deadline_at(pipeline->deadline, pipeline->timezone, moment(request, "scheduled_for")));
		null[6] = ' ';
	}
	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&insert, value, null, SPI_OK_INSERT_RETURNING) > 0)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		run_id = etl_row_int64(&row, "run_id");
		value[0] = Int64GetDatum(run_id);
		etl_catalog_exec(&insert_tasks, value, NULL, SPI_OK_INSERT);
	}
	etl_catalog_end(&scope);
	return run_id;
}

/*
 * etl_run_pipeline_for returns a pipeline, locked, for a role that asks for a run of it. Errors: 42704, 42501, ZE006 when it is
 * paused.
 */
EtlPipeline *
etl_run_pipeline_for(const char *name, Oid caller)
{
	EtlPipeline *pipeline = etl_pipeline_find(name, true);

	if (pipeline == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("pipeline \"%s\" does not exist", name),
				 errdetail("No committed pipeline has this name."),
				 errhint("SELECT name FROM etl.pipeline lists the pipelines. A pipeline that your transaction has just "
						 "created can be run after COMMIT, or with mode => 'inline'.")));
	etl_access_check(caller, pipeline, ETL_LEVEL_OPERATOR);
	if (pipeline->paused)
		ereport(ERROR, (errcode(ERRCODE_ETL_PAUSED), errmsg("pipeline \"%s\" is paused", name),
						errdetail("etl.pause_pipeline stopped it from starting runs."),
						errhint("SELECT etl.resume_pipeline(%s) lets it run again.", quote_literal_cstr(name))));
	return pipeline;
}

/* check_publication refuses a run whose tasks cannot be published together. Errors: 0A000. */
static void
check_publication(int64 run_id)
{
	EtlRun *run = etl_run_load(run_id);

	if (run->pipeline->atomic_publish)
		etl_publish_check_raise(etl_publish_check_problems(run->pipeline, &run->tasks, run->graph), NIL);
}

/*
 * etl_run_create creates a run. request is an object with pipeline, mode, params, tasks, full_refresh, logical_time and
 * waiter, as etl_request_make builds it; caller is the role that asks. The run begins as queued or skipped. Schedules and
 * backfills add scheduled_for (then 0 is returned if there is a run for it already), interval_start, backfill_id,
 * on_overlap (instead of that of the pipeline), skip (it begins as skipped) and message, all strings. Errors: 42704, 42501,
 * ZE005, ZE006, 0A000 when its tasks cannot be published together.
 */
int64
etl_run_create(Jsonb *request, Oid caller, EtlRunState *state)
{
	EtlPipeline *pipeline = etl_run_pipeline_for(etl_member_text(request, "pipeline"), caller);
	char *message;
	int64 run_id;

	check_task_names(pipeline, request);
	*state = decide_overlap(pipeline, request, &message);
	run_id = insert_run(pipeline, request, caller, *state, message);
	if (run_id != 0 && *state == ETL_RUN_QUEUED && pipeline->atomic_publish)
		check_publication(run_id);
	return run_id;
}

/* keep_latest replaces the definition of a run by that of now, with the same choice of tasks. */
static void
keep_latest(int64 pipeline_id, int64 run_id)
{
	static EtlStatement update = {
		"WITH asked AS (SELECT jsonb_build_object('tasks', r.definition->'only') AS request FROM etl.run AS r "
		"  WHERE r.run_id = $2), "
		"chosen AS (" CHOSEN(
			"(SELECT request FROM asked)") ") "
										   "UPDATE etl.run AS r SET definition = " DEFINITION(
											   "(SELECT request FROM asked)") " "
																			  "FROM etl.pipeline AS p WHERE "
																			  "p.pipeline_id = $1 AND r.run_id = $2",
		2,
		{INT8OID, INT8OID}};
	Datum value[2] = {Int64GetDatum(pipeline_id), Int64GetDatum(run_id)};

	etl_catalog_call(&update, value, NULL, SPI_OK_UPDATE);
}

/* add_attempt adds a new attempt of a task that had one in the run. */
static void
add_attempt(int64 task_run_id)
{
	static EtlStatement insert = {
		"INSERT INTO etl.task_run (run_id, task_id, task, kind, attempt, state) "
		"SELECT run_id, task_id, task, kind, attempt + 1, 'waiting' FROM etl.task_run WHERE task_run_id = $1",
		1,
		{INT8OID}};
	Datum value = Int64GetDatum(task_run_id);

	etl_catalog_call(&insert, &value, NULL, SPI_OK_INSERT);
}

/*
 * reopen_publication adds attempts of the rest of a publication of which some tasks were reopened, and of what depends on
 * them: what is published at one commit is computed together. Returns their number.
 */
static int
reopen_publication(int64 run_id)
{
	EtlRun *run = etl_run_load(run_id);
	EtlTaskRun *current = etl_task_run_current(run_id, &run->tasks);
	bool *again;
	int n = 0;

	for (int i = 0; run->publication != NULL && i < run->publication->n; i++)
		n += current[run->publication->member[i]].state == ETL_TASK_WAITING;
	if (n == 0)
		return 0;
	n = 0;
	again = etl_publication_reach(run->publication, run->graph);
	for (int node = 0; node < run->tasks.n; node++)
	{
		if (!again[node] || current[node].state == ETL_TASK_WAITING)
			continue;
		add_attempt(current[node].task_run_id);
		n++;
	}
	return n;
}

/*
 * etl_run_reopen prepares a run that has ended for being queued again: a new attempt for each task that failed, was
 * skipped or cancelled, used rows of earlier runs or depends on one that did, or is not in it yet, and then for all that is published with it; latest: by the definitions of now. Returns the number of tasks. The state of
 * the run is left to transition.c.
 */
int
etl_run_reopen(int64 pipeline_id, int64 run_id, bool latest, int64 waiter)
{
	static EtlStatement update = {
		"UPDATE etl.run SET cancel_requested_at = NULL, message = NULL, retries = retries + 1, "
		"waiter = nullif($2, 0) WHERE run_id = $1",
		2,
		{INT8OID, INT8OID}};
	static EtlStatement insert = {
		/* What an extract with on_failure => 'use_last' did not bring did not get any further either. */
		"WITH RECURSIVE edge AS (SELECT (d->>0)::bigint AS task_id, (d->>1)::bigint AS depends_on "
		"  FROM etl.run AS r, jsonb_array_elements(r.definition->'dependency') AS d WHERE r.run_id = $1), "
		"behind AS (SELECT s.task_id FROM (SELECT DISTINCT ON (x.task_id) x.task_id, x.state, x.error_sqlstate "
		"    FROM etl.task_run AS x WHERE x.run_id = $1 ORDER BY x.task_id, x.attempt DESC) AS s "
		"  WHERE s.state = 'warning' AND s.error_sqlstate IS NOT NULL "
		"  UNION SELECT e.task_id FROM behind AS b JOIN edge AS e ON e.depends_on = b.task_id) "
		"INSERT INTO etl.task_run (run_id, task_id, task, kind, attempt, state, crashes) "
		"SELECT r.run_id, (t->>'task_id')::bigint, t->>'name', t->>'kind', coalesce(l.attempt, 0) + 1, 'waiting', "
		/* Somebody wants to see it try: one crash more, and it is held back again. */
		"  least(coalesce(l.crashes, 0), 2) "
		"FROM etl.run AS r, jsonb_array_elements(r.definition->'task') AS t "
		"LEFT JOIN LATERAL (SELECT x.attempt, x.state, x.error_sqlstate, x.crashes FROM etl.task_run AS x "
		"  WHERE x.run_id = $1 AND x.task_id = (t->>'task_id')::bigint ORDER BY x.attempt DESC LIMIT 1) AS l ON true "
		"WHERE r.run_id = $1 AND t->>'gate' IS NULL AND (l.state IS NULL "
		"  OR l.state IN ('failed', 'upstream_failed', 'skipped', 'cancelled') "
		"  OR (t->>'task_id')::bigint IN (SELECT task_id FROM behind)) ORDER BY 2",
		1,
		{INT8OID}};
	Datum value[2] = {Int64GetDatum(run_id), Int64GetDatum(waiter)};
	int n;

	if (latest)
		keep_latest(pipeline_id, run_id);
	check_publication(run_id);
	etl_catalog_call(&update, value, NULL, SPI_OK_UPDATE);
	n = (int) etl_catalog_call(&insert, value, NULL, SPI_OK_INSERT);
	return n + reopen_publication(run_id);
}
