/*
 * run.c
 *		The table etl.run.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "catalog/pipeline.h"
#include "catalog/run.h"
#include "errors.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* other_active returns another queued or running run of a pipeline, or 0. */
static int64
other_active(int64 pipeline_id)
{
	static EtlStatement find = {
		"SELECT run_id FROM etl.run WHERE pipeline_id = $1 AND state IN ('queued', 'running') ORDER BY run_id LIMIT 1",
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

/* decide_overlap says in which state a new run begins while another one may be active, and why. */
static EtlRunState
decide_overlap(const EtlPipeline *pipeline, char **message)
{
	int64 other = other_active(pipeline->pipeline_id);

	*message = NULL;
	if (other == 0 || strcmp(pipeline->on_overlap, "queue") == 0)
		return ETL_RUN_QUEUED;
	if (strcmp(pipeline->on_overlap, "cancel_running") == 0)
	{
		etl_run_cancel(other, "cancelled by a newer run of the pipeline");
		return ETL_RUN_QUEUED;
	}
	if (strcmp(pipeline->on_overlap, "error") == 0)
		ereport(ERROR, (errcode(ERRCODE_ETL_OVERLAP), errmsg("pipeline \"%s\" is running already", pipeline->name),
						errdetail("Run " INT64_FORMAT " has not ended.", other),
						errhint("Wait for it with etl.wait_for_run(" INT64_FORMAT "), or change on_overlap.", other)));
	*message = psprintf("run " INT64_FORMAT " was still active", other);
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

/* insert_run stores the run with the definitions of now. */
static int64
insert_run(const EtlPipeline *pipeline, Jsonb *request, Oid caller, EtlRunState state, const char *message)
{
	static EtlStatement insert = {
		"WITH chosen AS (SELECT t.* FROM etl.task AS t WHERE t.pipeline_id = $1 AND t.enabled "
		"  AND (nullif($2->'tasks', 'null') IS NULL OR $2->'tasks' ? coalesce(t.gate, t.name))) "
		"INSERT INTO etl.run (pipeline_id, state, mode, logical_time, interval_start, interval_end, params, "
		"  full_refresh, requested_by, requested_at, ended_at, waiter, message, definition) "
		"SELECT p.pipeline_id, $3, $2->>'mode', x.at, "
		"  (SELECT max(r.logical_time) FROM etl.run AS r WHERE r.pipeline_id = p.pipeline_id "
		"   AND r.state IN ('success', 'warning') AND r.logical_time < x.at), "
		"  x.at, coalesce(nullif($2->'params', 'null'), '{}'), ($2->>'full_refresh')::boolean, $4, clock_timestamp(), "
		"  CASE WHEN $3 = 'skipped' THEN clock_timestamp() END, ($2->>'waiter')::bigint, $5, "
		"  jsonb_build_object("
		"    'pipeline', to_jsonb(p), "
		"    'task', coalesce((SELECT jsonb_agg(jsonb_strip_nulls(to_jsonb(c)) || "
		"        jsonb_build_object('owner', coalesce(c.owner, p.owner)) ORDER BY c.task_id) FROM chosen AS c), '[]'), "
		"    'dependency', coalesce((SELECT jsonb_agg(jsonb_build_array(d.task_id, d.depends_on)) "
		"        FROM etl.task_dependency AS d WHERE d.pipeline_id = p.pipeline_id "
		"        AND d.task_id IN (SELECT task_id FROM chosen) "
		"        AND d.depends_on IN (SELECT task_id FROM chosen)), '[]')) "
		"FROM etl.pipeline AS p, "
		"  LATERAL (SELECT coalesce(($2->>'logical_time')::timestamptz, clock_timestamp()) AS at) AS x "
		"WHERE p.pipeline_id = $1 RETURNING run_id",
		5,
		{INT8OID, JSONBOID, TEXTOID, OIDOID, TEXTOID}};
	static EtlStatement insert_tasks = {
		"INSERT INTO etl.task_run (run_id, task_id, task, kind, attempt, state) "
		"SELECT r.run_id, (t->>'task_id')::bigint, t->>'name', t->>'kind', 1, 'waiting' "
		"FROM etl.run AS r, jsonb_array_elements(r.definition->'task') AS t "
		"WHERE r.run_id = $1 AND r.state = 'queued' AND t->>'gate' IS NULL ORDER BY 2",
		1,
		{INT8OID}};
	EtlScope scope;
	EtlRow row;
	int64 run_id;
	Datum value[5] = {Int64GetDatum(pipeline->pipeline_id), JsonbPGetDatum(request),
					  CStringGetTextDatum(etl_state_run_name(state)), ObjectIdGetDatum(caller)};
	char null[5] = {' ', ' ', ' ', ' ', ' '};

	value[4] = etl_arg_text(message, &null[4]);
	etl_catalog_begin(&scope);
	etl_catalog_exec(&insert, value, null, SPI_OK_INSERT_RETURNING);
	row = etl_catalog_row(&scope, 0);
	run_id = etl_row_int64(&row, "run_id");
	value[0] = Int64GetDatum(run_id);
	etl_catalog_exec(&insert_tasks, value, NULL, SPI_OK_INSERT);
	etl_catalog_end(&scope);
	return run_id;
}

/*
 * etl_run_create creates a run. request is an object with pipeline, mode, params, tasks, full_refresh, logical_time and
 * waiter, as etl_request_make builds it; caller is the role that asks. The run begins as queued or skipped.
 * Errors: 42704, 42501, ZE005, ZE006.
 */
int64
etl_run_create(Jsonb *request, Oid caller, EtlRunState *state)
{
	char *name = text_to_cstring(DatumGetTextPP(
		DirectFunctionCall2(jsonb_object_field_text, JsonbPGetDatum(request), CStringGetTextDatum("pipeline"))));
	EtlPipeline *pipeline = etl_pipeline_find(name, true);
	char *message;

	if (pipeline == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("pipeline \"%s\" does not exist", name),
				 errdetail("No committed pipeline has this name."),
				 errhint("SELECT name FROM etl.pipeline lists the pipelines. A pipeline that your transaction has just "
						 "created can be run after COMMIT, or with mode => 'inline'.")));
	if (!has_privs_of_role(caller, pipeline->owner))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied for pipeline \"%s\"", name),
						errdetail("It belongs to role \"%s\".", pipeline->owner_name),
						errhint("Ask for membership in that role.")));
	if (pipeline->paused)
		ereport(ERROR, (errcode(ERRCODE_ETL_PAUSED), errmsg("pipeline \"%s\" is paused", name),
						errdetail("etl.pause_pipeline stopped it from starting runs."),
						errhint("SELECT etl.resume_pipeline(%s) lets it run again.", quote_literal_cstr(name))));
	check_task_names(pipeline, request);
	*state = decide_overlap(pipeline, &message);
	return insert_run(pipeline, request, caller, *state, message);
}

/* load_tasks fills the tasks of a run from its definition. A task whose owner was dropped is read without one. */
static void
load_tasks(EtlScope *scope, EtlRun *run)
{
	static EtlStatement tasks = {"SELECT " ETL_TASK_COLUMNS
								 " FROM etl.run AS x, jsonb_array_elements(x.definition->'task') AS e, "
								 "LATERAL jsonb_populate_record(NULL::etl.task, "
								 "  CASE WHEN to_regrole(e->>'owner') IS NULL THEN e - 'owner' ELSE e END) AS r "
								 "WHERE x.run_id = $1 AND r.gate IS NULL ORDER BY r.task_id",
								 1,
								 {INT8OID}};
	Datum value = Int64GetDatum(run->run_id);

	run->tasks = etl_task_read_all(scope, etl_catalog_exec(&tasks, &value, NULL, SPI_OK_SELECT));
}

/* place_of returns the node of a task, or -1; the tasks are in the order of their numbers. */
static int
place_of(const EtlTaskList *tasks, int64 task_id)
{
	int low = 0;
	int high = tasks->n - 1;

	while (low <= high)
	{
		int middle = (low + high) / 2;

		if (tasks->task[middle]->task_id == task_id)
			return middle;
		if (tasks->task[middle]->task_id < task_id)
			low = middle + 1;
		else
			high = middle - 1;
	}
	return -1;
}

/* load_graph fills the dependencies of a run from its definition. */
static void
load_graph(EtlScope *scope, EtlRun *run)
{
	static EtlStatement edges = {
		"SELECT (e->>0)::bigint AS task_id, (e->>1)::bigint AS depends_on "
		"FROM etl.run AS x, jsonb_array_elements(x.definition->'dependency') AS e WHERE x.run_id = $1",
		1,
		{INT8OID}};
	Datum value = Int64GetDatum(run->run_id);
	int n = etl_catalog_exec(&edges, &value, NULL, SPI_OK_SELECT);
	MemoryContext old = MemoryContextSwitchTo(scope->caller);

	run->graph = etl_graph_make(run->tasks.n);
	for (int i = 0; i < n; i++)
	{
		EtlRow row = etl_catalog_row(scope, i);
		int from = place_of(&run->tasks, etl_row_int64(&row, "task_id"));
		int to = place_of(&run->tasks, etl_row_int64(&row, "depends_on"));

		if (from >= 0 && to >= 0)
			etl_graph_add(run->graph, from, to, false);
	}
	MemoryContextSwitchTo(old);
}

/* etl_run_load reads a run with the definition that it was created with, into the current context. */
EtlRun *
etl_run_load(int64 run_id)
{
	static EtlStatement get = {"SELECT state, waiter, started_at, cancel_requested_at IS NOT NULL AS cancel_requested, "
							   "definition->'pipeline' AS pipeline FROM etl.run WHERE run_id = $1",
							   1,
							   {INT8OID}};
	EtlRun *run = palloc0(sizeof(EtlRun));
	EtlScope scope;
	EtlRow row;
	Jsonb *pipeline;
	Datum value = Int64GetDatum(run_id);

	run->run_id = run_id;
	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&get, &value, NULL, SPI_OK_SELECT) == 0)
		elog(ERROR, "run " INT64_FORMAT " does not exist", run_id);
	row = etl_catalog_row(&scope, 0);
	run->state = etl_state_run(etl_row_text(&row, "state"));
	run->waiter = etl_row_int64(&row, "waiter");
	run->started_at = etl_row_time(&row, "started_at");
	run->cancel_requested = etl_row_bool(&row, "cancel_requested");
	pipeline = etl_row_jsonb(&row, "pipeline");
	load_tasks(&scope, run);
	load_graph(&scope, run);
	etl_catalog_end(&scope);
	run->pipeline = etl_pipeline_parse(pipeline);
	return run;
}

/* etl_run_info reads what task SQL can ask about a run; false if there is no such run. */
bool
etl_run_info(int64 run_id, EtlRunInfo *info)
{
	static EtlStatement get = {
		"SELECT full_refresh, logical_time, interval_start, interval_end, params FROM etl.run WHERE run_id = $1",
		1,
		{INT8OID}};
	EtlScope scope;
	bool found;
	Datum value = Int64GetDatum(run_id);

	etl_catalog_begin(&scope);
	found = etl_catalog_exec(&get, &value, NULL, SPI_OK_SELECT) > 0;
	if (found)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		info->run_id = run_id;
		info->full_refresh = etl_row_bool(&row, "full_refresh");
		info->logical_time = etl_row_time(&row, "logical_time");
		info->interval_start = etl_row_time(&row, "interval_start");
		info->interval_end = etl_row_time(&row, "interval_end");
		info->params = etl_row_jsonb(&row, "params");
	}
	etl_catalog_end(&scope);
	return found;
}

/* etl_run_active lists the runs that have not ended, oldest first. */
int
etl_run_active(EtlRunLine **line)
{
	static EtlStatement list = {
		"SELECT run_id, pipeline_id, state, waiter, started_at, "
		"(definition->'pipeline'->>'run_timeout')::interval AS run_timeout, "
		"cancel_requested_at IS NOT NULL AS cancel_requested "
		"FROM etl.run WHERE state IN ('queued', 'running') AND mode = 'background' ORDER BY run_id",
		0,
		{0}};
	EtlScope scope;
	int n;

	etl_catalog_begin(&scope);
	n = etl_catalog_exec(&list, NULL, NULL, SPI_OK_SELECT);
	*line = MemoryContextAlloc(scope.caller, sizeof(EtlRunLine) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		EtlRow row = etl_catalog_row(&scope, i);
		EtlRunLine *to = &(*line)[i];

		to->run_id = etl_row_int64(&row, "run_id");
		to->pipeline_id = etl_row_int64(&row, "pipeline_id");
		to->state = etl_state_run(etl_row_text(&row, "state"));
		to->waiter = etl_row_int64(&row, "waiter");
		to->started_at = etl_row_time(&row, "started_at");
		to->run_timeout = etl_row_interval(&row, "run_timeout");
		to->cancel_requested = etl_row_bool(&row, "cancel_requested");
	}
	etl_catalog_end(&scope);
	return n;
}

/* etl_run_state reads the state of a run and its message; false if there is no such run. */
bool
etl_run_state(int64 run_id, EtlRunState *state, char **message)
{
	static EtlStatement get = {"SELECT state, message FROM etl.run WHERE run_id = $1", 1, {INT8OID}};
	EtlScope scope;
	bool found;
	Datum value = Int64GetDatum(run_id);

	etl_catalog_begin(&scope);
	found = etl_catalog_exec(&get, &value, NULL, SPI_OK_SELECT) > 0;
	if (found)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		*state = etl_state_run(etl_row_text(&row, "state"));
		if (message)
			*message = etl_row_text(&row, "message");
	}
	etl_catalog_end(&scope);
	return found;
}

/* etl_run_pipeline_name returns the name of a run's pipeline, or NULL if there is no such run. */
char *
etl_run_pipeline_name(int64 run_id)
{
	static EtlStatement get = {
		"SELECT p.name FROM etl.run AS r JOIN etl.pipeline AS p ON p.pipeline_id = r.pipeline_id WHERE r.run_id = $1",
		1,
		{INT8OID}};
	EtlScope scope;
	char *name = NULL;
	Datum value = Int64GetDatum(run_id);

	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&get, &value, NULL, SPI_OK_SELECT) > 0)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		name = etl_row_text(&row, "name");
	}
	etl_catalog_end(&scope);
	return name;
}

/* etl_run_cancel asks to cancel a run; false if it has ended. The scheduler acts on it after commit. */
bool
etl_run_cancel(int64 run_id, const char *message)
{
	static EtlStatement cancel = {
		"UPDATE etl.run SET cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp()), "
		"message = coalesce(message, $2) WHERE run_id = $1 AND state IN ('queued', 'running')",
		2,
		{INT8OID, TEXTOID}};
	Datum value[2] = {Int64GetDatum(run_id), CStringGetTextDatum(message)};

	return etl_catalog_call(&cancel, value, NULL, SPI_OK_UPDATE) > 0;
}

/* etl_run_cancel_requested says whether somebody has asked to cancel a run. */
bool
etl_run_cancel_requested(int64 run_id)
{
	static EtlStatement get = {
		"SELECT FROM etl.run WHERE run_id = $1 AND cancel_requested_at IS NOT NULL", 1, {INT8OID}};
	Datum value = Int64GetDatum(run_id);

	return etl_catalog_call(&get, &value, NULL, SPI_OK_SELECT) > 0;
}

/* etl_run_update moves a run from one state to another; false if it is in another state. Only for transition.c. */
bool
etl_run_update(int64 run_id, EtlRunState from, EtlRunState to, const char *message)
{
	static EtlStatement update = {
		"UPDATE etl.run SET state = $3, started_at = coalesce(started_at, clock_timestamp()), "
		"ended_at = CASE WHEN $4 THEN clock_timestamp() END, message = coalesce(message, $5) "
		"WHERE run_id = $1 AND state = $2",
		5,
		{INT8OID, TEXTOID, TEXTOID, BOOLOID, TEXTOID}};
	Datum value[5] = {Int64GetDatum(run_id), CStringGetTextDatum(etl_state_run_name(from)),
					  CStringGetTextDatum(etl_state_run_name(to)), BoolGetDatum(etl_state_run_ended(to))};
	char null[5] = {' ', ' ', ' ', ' ', ' '};

	value[4] = etl_arg_text(message, &null[4]);
	return etl_catalog_call(&update, value, null, SPI_OK_UPDATE) == 1;
}
