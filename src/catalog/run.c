/*
 * run.c
 *		The table etl.run.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "catalog/pipeline.h"
#include "catalog/run.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

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

/*
 * etl_run_load reads a run with the definition that it was created with, into the current context. A pipeline whose owner
 * was dropped is read without one.
 */
EtlRun *
etl_run_load(int64 run_id)
{
	static EtlStatement get = {"SELECT state, waiter, started_at, cancel_requested_at IS NOT NULL AS cancel_requested, "
							   "backfill_id, CASE WHEN to_regrole(definition->'pipeline'->>'owner') IS NULL "
							   "  THEN (definition->'pipeline') - 'owner' ELSE definition->'pipeline' END AS pipeline "
							   "FROM etl.run WHERE run_id = $1",
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
	run->backfill_id = etl_row_int64(&row, "backfill_id");
	pipeline = etl_row_jsonb(&row, "pipeline");
	load_tasks(&scope, run);
	load_graph(&scope, run);
	etl_catalog_end(&scope);
	run->pipeline = etl_pipeline_parse(pipeline);
	if (run->pipeline->atomic_publish)
		run->publication = etl_publication_make(run->tasks.task, run->graph);
	return run;
}

/* etl_run_info reads what task SQL can ask about a run; false if there is no such run. */
bool
etl_run_info(int64 run_id, EtlRunInfo *info)
{
	static EtlStatement get = {
		"SELECT full_refresh, replay_from, force, logical_time, interval_start, interval_end, backfill_id, params "
		"FROM etl.run WHERE run_id = $1",
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
		info->replay_from = etl_row_int64(&row, "replay_from");
		info->force = etl_row_bool(&row, "force");
		info->logical_time = etl_row_time(&row, "logical_time");
		info->interval_start = etl_row_time(&row, "interval_start");
		info->interval_end = etl_row_time(&row, "interval_end");
		info->backfill_id = etl_row_int64(&row, "backfill_id");
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
		"SELECT run_id, pipeline_id, state, waiter, started_at, cancel_requested_at IS NOT NULL AS cancel_requested, "
		"backfill_id, CASE WHEN deadline_missed_at IS NULL THEN deadline_at END AS deadline_at "
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
		to->cancel_requested = etl_row_bool(&row, "cancel_requested");
		to->backfill_id = etl_row_int64(&row, "backfill_id");
		to->deadline_at = etl_row_isnull(&row, "deadline_at") ? DT_NOEND : etl_row_time(&row, "deadline_at");
	}
	etl_catalog_end(&scope);
	return n;
}

/* etl_run_deadline_missed notes that a run was not done in time; false: that was noted before, or it has ended. */
bool
etl_run_deadline_missed(int64 run_id)
{
	static EtlStatement update = {"UPDATE etl.run SET deadline_missed_at = clock_timestamp() "
								  "WHERE run_id = $1 AND deadline_missed_at IS NULL AND state IN ('queued', 'running')",
								  1,
								  {INT8OID}};
	Datum value = Int64GetDatum(run_id);

	return etl_catalog_call(&update, &value, NULL, SPI_OK_UPDATE) == 1;
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
		"UPDATE etl.run SET state = $3, started_at = CASE $3 WHEN 'queued' THEN NULL "
		"  WHEN 'running' THEN clock_timestamp() ELSE coalesce(started_at, clock_timestamp()) END, "
		"ended_at = CASE WHEN $4 THEN clock_timestamp() END, message = coalesce(message, $5), "
		"counted = counted AND $3 <> 'queued' WHERE run_id = $1 AND state = $2",
		5,
		{INT8OID, TEXTOID, TEXTOID, BOOLOID, TEXTOID}};
	Datum value[5] = {Int64GetDatum(run_id), CStringGetTextDatum(etl_state_run_name(from)),
					  CStringGetTextDatum(etl_state_run_name(to)), BoolGetDatum(etl_state_run_ended(to))};
	char null[5] = {' ', ' ', ' ', ' ', ' '};

	value[4] = etl_arg_text(message, &null[4]);
	return etl_catalog_call(&update, value, null, SPI_OK_UPDATE) == 1;
}
