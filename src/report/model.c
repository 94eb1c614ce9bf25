/*
 * model.c
 *		What the report and the graph of a pipeline show. See model.h.
 */
#include "postgres.h"

#include "api/args.h"
#include "catalog/pg_type.h"
#include "dag/publication.h"
#include "miscadmin.h"
#include "report/model.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#define TIME_FORMAT "'YYYY-MM-DD HH24:MI:SS'"
#define EPOCH(time) "coalesce(extract(epoch FROM " time "), 0)::float8"

/* The latest runs of a pipeline: $1 and how many, $2. */
#define LATEST_RUNS "(SELECT l.run_id FROM etl.run AS l WHERE l.pipeline_id = $1 ORDER BY l.run_id DESC LIMIT $2)"

/* etl_model_begin pins the search_path and connects to SPI. */
void
etl_model_begin(EtlModelScope *scope)
{
	scope->guc_level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

/* etl_model_end disconnects and gives the search_path back. */
void
etl_model_end(EtlModelScope *scope)
{
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	AtEOXact_GUC(true, scope->guc_level);
}

/* etl_model_query returns the number of rows. */
uint64
etl_model_query(const char *sql, int64 first, int64 second)
{
	Oid type[2] = {INT8OID, INT8OID};
	Datum value[2] = {Int64GetDatum(first), Int64GetDatum(second)};
	int rc;

	CHECK_FOR_INTERRUPTS();
	rc = SPI_execute_with_args(sql, 2, type, value, NULL, true, 0);
	if (rc != SPI_OK_SELECT)
		elog(ERROR, "statement returned %s: %s", SPI_result_code_string(rc), sql);
	return SPI_processed;
}

/* etl_model_row returns row n (from 0) of the last query. */
EtlRow
etl_model_row(uint64 n)
{
	Assert(SPI_tuptable != NULL && n < SPI_processed);
	return (EtlRow){.tuple = SPI_tuptable->vals[n], .desc = SPI_tuptable->tupdesc, .context = CurrentMemoryContext};
}

/* find_task returns the index of a task; -1: it is not there. */
static int
find_task(const EtlModel *model, int64 task_id)
{
	int low = 0;
	int high = model->n_tasks - 1;

	while (low <= high)
	{
		int middle = (low + high) / 2;

		if (model->task[middle].task_id == task_id)
			return middle;
		if (model->task[middle].task_id < task_id)
			low = middle + 1;
		else
			high = middle - 1;
	}
	return -1;
}

/* find_run returns the index of a run; -1: it is not there. */
static int
find_run(const EtlModel *model, int64 run_id)
{
	int low = 0;
	int high = model->n_runs - 1;

	while (low <= high)
	{
		int middle = (low + high) / 2;

		if (model->run[middle].run_id == run_id)
			return middle;
		if (model->run[middle].run_id < run_id)
			low = middle + 1;
		else
			high = middle - 1;
	}
	return -1;
}

/* read_tasks takes the tasks from the rows of the last query, which are ordered by task_id. */
static void
read_tasks(EtlModel *model, uint64 n)
{
	model->n_tasks = n;
	model->task = palloc0(sizeof(EtlModelTask) * Max(n, 1));
	for (uint64 i = 0; i < n; i++)
	{
		EtlRow row = etl_model_row(i);
		EtlModelTask *task = &model->task[i];

		task->task_id = etl_row_int64(&row, "task_id");
		task->name = etl_row_text(&row, "name");
		task->kind = etl_row_text(&row, "kind");
		task->source = etl_row_text(&row, "source");
		task->target = etl_row_text(&row, "target");
		task->gate = etl_row_text(&row, "gate");
		task->description = etl_row_text(&row, "description");
		task->last = -1;
	}
	model->graph = etl_graph_make(model->n_tasks);
}

/* read_edges takes the edges from the rows of the last query, and adds those from tasks to the checks that gate them. */
static void
read_edges(EtlModel *model, uint64 n)
{
	for (uint64 i = 0; i < n; i++)
	{
		EtlRow row = etl_model_row(i);
		int from = find_task(model, etl_row_int64(&row, "task_id"));
		int to = find_task(model, etl_row_int64(&row, "depends_on"));

		if (from >= 0 && to >= 0)
			etl_graph_add(model->graph, from, to, etl_row_bool(&row, "inferred"));
	}
}

/* mark_published finds the tasks that are published at one commit. Gates belong to their task and have no edges yet. */
static void
mark_published(EtlModel *model)
{
	EtlTask **task = palloc(sizeof(EtlTask *) * Max(model->n_tasks, 1));
	EtlPublication *publication;

	if (!model->atomic_publish)
		return;
	for (int i = 0; i < model->n_tasks; i++)
	{
		const char *kind = model->task[i].kind;

		task[i] = palloc0(sizeof(EtlTask));
		task[i]->kind = strcmp(kind, "extract") == 0	 ? ETL_TASK_EXTRACT
						: strcmp(kind, "load") == 0		 ? ETL_TASK_LOAD
						: strcmp(kind, "aggregate") == 0 ? ETL_TASK_AGGREGATE
						: strcmp(kind, "sql") == 0		 ? ETL_TASK_SQL
														 : ETL_TASK_CHECK;
	}
	publication = etl_publication_make(task, model->graph);
	for (int i = 0; i < model->n_tasks; i++)
		model->task[i].published = etl_publication_has(publication, i);
}

/* add_gates draws a gate behind the task that it gates. */
static void
add_gates(EtlModel *model)
{
	for (int i = 0; i < model->n_tasks; i++)
	{
		if (model->task[i].gate == NULL)
			continue;
		for (int k = 0; k < model->n_tasks; k++)
			if (strcmp(model->task[k].name, model->task[i].gate) == 0)
				etl_graph_add(model->graph, i, k, true);
	}
}

/* finish_graph is what follows from tasks and edges. */
static void
finish_graph(EtlModel *model)
{
	mark_published(model);
	add_gates(model);
	model->layout = etl_layout_make(model->graph);
}

/* find_pipeline returns the number of a pipeline that the caller may see. Errors: 42704. */
static int64
find_pipeline(const char *name)
{
	Oid type = TEXTOID;
	Datum value = CStringGetTextDatum(name);
	EtlRow row;

	if (SPI_execute_with_args("SELECT p.pipeline_id FROM etl.pipeline AS p WHERE p.name = $1", 1, &type, &value, NULL,
							  true, 1) != SPI_OK_SELECT)
		elog(ERROR, "the pipeline could not be looked up");
	if (SPI_processed == 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("pipeline \"%s\" does not exist", name),
						errdetail("There is none of that name that you may see. Upper and lower case differ."),
						errhint("SELECT name FROM etl.pipeline lists the pipelines.")));
	row = etl_model_row(0);
	return etl_row_int64(&row, "pipeline_id");
}

/* read_pipeline fills what the head of the page says. */
static void
read_pipeline(EtlModel *model, int64 pipeline_id)
{
	EtlRow row;

	if (etl_model_query(
			"SELECT p.name, p.description, pg_get_userbyid(p.owner)::text AS owner, p.schedule, p.timezone, "
			"  p.deadline, p.paused, p.atomic_publish, " EPOCH(
				"clock_timestamp()") " AS now, "
									 "  to_char(clock_timestamp() AT TIME ZONE p.timezone, " TIME_FORMAT
									 ") AS made_at, "
									 "  to_char(s.next_run_at AT TIME ZONE p.timezone, 'YYYY-MM-DD "
									 "HH24:MI') AS next_due "
									 "FROM etl.pipeline AS p LEFT JOIN etl.schedule_status AS s ON "
									 "s.pipeline = p.name "
									 "WHERE p.pipeline_id = $1 AND $2 = 0",
			pipeline_id, 0) == 0)
		elog(ERROR, "the pipeline is gone");
	row = etl_model_row(0);
	model->pipeline_id = pipeline_id;
	model->name = etl_row_text(&row, "name");
	model->description = etl_row_text(&row, "description");
	model->owner = etl_row_text(&row, "owner");
	model->schedule = etl_row_text(&row, "schedule");
	model->timezone = etl_row_text(&row, "timezone");
	model->deadline = etl_row_text(&row, "deadline");
	model->paused = etl_row_bool(&row, "paused");
	model->atomic_publish = etl_row_bool(&row, "atomic_publish");
	model->now = etl_row_double(&row, "now");
	model->made_at = etl_row_text(&row, "made_at");
	model->next_due = etl_row_text(&row, "next_due");
}

/* etl_model_pipeline reads the definition as it is now. */
EtlModel *
etl_model_pipeline(const char *name)
{
	EtlModel *model = palloc0(sizeof(EtlModel));

	model->shown = -1;
	read_pipeline(model, find_pipeline(name));
	read_tasks(model, etl_model_query("SELECT t.task_id, t.name, t.kind, t.source, t.target, t.gate, t.description "
									  "FROM etl.task AS t WHERE t.pipeline_id = $1 AND $2 = 0 ORDER BY t.task_id",
									  model->pipeline_id, 0));
	read_edges(model, etl_model_query("SELECT d.task_id, d.depends_on, d.inferred FROM etl.task_dependency AS d "
									  "WHERE d.pipeline_id = $1 AND $2 = 0 ORDER BY 1, 2",
									  model->pipeline_id, 0));
	finish_graph(model);
	return model;
}

/* read_pinned replaces the definition by that of a run. */
static void
read_pinned(EtlModel *model, int64 run_id)
{
	EtlRow row;

	if (etl_model_query("SELECT coalesce((r.definition->'pipeline'->>'atomic_publish')::boolean, false) AS together "
						"FROM etl.run AS r WHERE r.run_id = $1 AND r.pipeline_id = $2",
						run_id, model->pipeline_id) == 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("run " INT64_FORMAT " does not exist", run_id),
						errdetail("Pipeline \"%s\" has no run of that number.", model->name),
						errhint("SELECT run_id FROM etl.run_status WHERE pipeline = %s lists its runs.",
								quote_literal_cstr(model->name))));
	row = etl_model_row(0);
	model->atomic_publish = etl_row_bool(&row, "together");
	read_tasks(model,
			   etl_model_query("SELECT (e->>'task_id')::bigint AS task_id, e->>'name' AS name, e->>'kind' AS kind, "
							   "  e->>'source' AS source, e->>'target' AS target, e->>'gate' AS gate, "
							   "  e->>'description' AS description "
							   "FROM etl.run AS r, jsonb_array_elements(r.definition->'task') AS e "
							   "WHERE r.run_id = $1 AND r.pipeline_id = $2 ORDER BY 1",
							   run_id, model->pipeline_id));
	read_edges(model,
			   etl_model_query("SELECT (e->>0)::bigint AS task_id, (e->>1)::bigint AS depends_on, true AS inferred "
							   "FROM etl.run AS r, jsonb_array_elements(r.definition->'dependency') AS e "
							   "WHERE r.run_id = $1 AND r.pipeline_id = $2 ORDER BY 1, 2",
							   run_id, model->pipeline_id));
	finish_graph(model);
}

/* read_attempt takes one row. */
static void
read_attempt(EtlModel *model, EtlModelAttempt *attempt, const EtlRow *row)
{
	attempt->task = find_task(model, etl_row_int64(row, "task_id"));
	attempt->name = etl_row_text(row, "task");
	attempt->attempt = etl_row_int32(row, "attempt");
	attempt->state = etl_row_text(row, "state");
	attempt->mark = etl_mark_state(attempt->state);
	attempt->ready = etl_row_double(row, "ready");
	attempt->started = etl_row_double(row, "started");
	attempt->ended = etl_row_double(row, "ended");
	attempt->started_text = etl_row_text(row, "started_text");
	attempt->has_rows = !etl_row_isnull(row, "rows_read") || !etl_row_isnull(row, "rows_inserted");
	attempt->rows_read = etl_row_int64(row, "rows_read");
	attempt->rows_inserted = etl_row_int64(row, "rows_inserted");
	attempt->rows_updated = etl_row_int64(row, "rows_updated");
	attempt->rows_deleted = etl_row_int64(row, "rows_deleted");
	attempt->rows_rejected = etl_row_int64(row, "rows_rejected");
	attempt->reader = etl_row_text(row, "reader");
	attempt->message = etl_row_text(row, "message");
	attempt->sqlstate = etl_row_text(row, "error_sqlstate");
	attempt->error = etl_row_text(row, "error_message");
	attempt->detail = etl_row_text(row, "error_detail");
	attempt->hint = etl_row_text(row, "error_hint");
}

/* read_attempts reads what became of the tasks in a run. */
static void
read_attempts(EtlModel *model, int64 run_id)
{
	uint64 n = etl_model_query(
		"SELECT x.*, " EPOCH("x.ready_at") " AS ready, " EPOCH("x.started_at") " AS started, " EPOCH(
			"x.ended_at") " AS ended, to_char(x.started_at AT TIME ZONE p.timezone, 'HH24:MI:SS') AS "
						  "started_text "
						  "FROM etl.task_run AS x, etl.pipeline AS p "
						  "WHERE x.run_id = $1 AND p.pipeline_id = $2 ORDER BY x.task_id, x.attempt",
		run_id, model->pipeline_id);

	model->n_attempts = n;
	model->attempt = palloc0(sizeof(EtlModelAttempt) * Max(n, 1));
	for (uint64 i = 0; i < n; i++)
	{
		EtlRow row = etl_model_row(i);
		EtlModelAttempt *attempt = &model->attempt[i];

		read_attempt(model, attempt, &row);
		if (attempt->task < 0)
			continue;
		model->task[attempt->task].last = i;
		model->task[attempt->task].mark = attempt->mark;
	}
	/* Gates have no attempts of their own. */
	n = etl_model_query("SELECT c.task_id, c.state FROM etl.check_result AS c WHERE c.run_id = $1 "
						"AND c.pipeline_id = $2 ORDER BY c.check_result_id",
						run_id, model->pipeline_id);
	for (uint64 i = 0; i < n; i++)
	{
		EtlRow row = etl_model_row(i);
		int task = find_task(model, etl_row_int64(&row, "task_id"));

		if (task >= 0 && model->task[task].gate != NULL)
			model->task[task].mark = etl_mark_check(etl_row_text(&row, "state"));
	}
}

/* read_runs reads the latest runs and chooses the one to show: the latest, but rather no skipped one and no backfill. */
static void
read_runs(EtlModel *model, int runs)
{
	uint64 n = etl_model_query(
		"SELECT r.run_id, r.state, r.backfill_id IS NOT NULL AS backfill, r.rolled_back_at IS NOT NULL AS rolled_back, "
		"  r.message, " EPOCH("r.started_at") " AS started, " EPOCH(
			"r.ended_at") " AS ended, to_char(coalesce(r.started_at, r.requested_at) AT TIME ZONE "
						  "p.timezone, " TIME_FORMAT ") AS started_text "
						  "FROM etl.run AS r JOIN etl.pipeline AS p ON p.pipeline_id = r.pipeline_id "
						  "WHERE r.run_id IN " LATEST_RUNS " ORDER BY r.run_id",
		model->pipeline_id, runs);

	model->n_runs = n;
	model->run = palloc0(sizeof(EtlModelRun) * Max(n, 1));
	for (uint64 i = 0; i < n; i++)
	{
		EtlRow row = etl_model_row(i);
		EtlModelRun *run = &model->run[i];

		run->run_id = etl_row_int64(&row, "run_id");
		run->state = etl_row_text(&row, "state");
		run->mark = etl_mark_state(run->state);
		run->started_text = etl_row_text(&row, "started_text");
		run->day = pnstrdup(run->started_text, 10);
		run->started = etl_row_double(&row, "started");
		run->ended = etl_row_double(&row, "ended");
		run->backfill = etl_row_bool(&row, "backfill");
		run->rolled_back = etl_row_bool(&row, "rolled_back");
		run->message = etl_row_text(&row, "message");
	}
	for (int i = model->n_runs - 1; i >= 0 && model->shown < 0; i--)
		if (model->run[i].mark != ETL_MARK_SKIPPED && !model->run[i].backfill)
			model->shown = i;
	if (model->shown < 0)
		model->shown = model->n_runs - 1;
}

/* put_cells takes the rows of the last query: later ones replace earlier ones. */
static void
put_cells(EtlModel *model, uint64 n, bool gates)
{
	for (uint64 i = 0; i < n; i++)
	{
		EtlRow row = etl_model_row(i);
		int task = find_task(model, etl_row_int64(&row, "task_id"));
		int run = find_run(model, etl_row_int64(&row, "run_id"));
		char *state;
		EtlModelCell *cell;

		if (task < 0 || run < 0 || gates != (model->task[task].gate != NULL))
			continue;
		cell = &model->cell[task * model->n_runs + run];
		state = etl_row_text(&row, "state");
		cell->mark = gates ? etl_mark_check(state) : etl_mark_state(state);
		cell->attempt = etl_row_int32(&row, "attempt");
		cell->seconds = etl_row_isnull(&row, "seconds") ? -1 : etl_row_double(&row, "seconds");
		cell->note = etl_row_text(&row, "note");
	}
}

/* read_cells fills the grid. */
static void
read_cells(EtlModel *model, int runs)
{
	model->cell = palloc0(sizeof(EtlModelCell) * Max(model->n_tasks * model->n_runs, 1));
	put_cells(model,
			  etl_model_query(
				  "SELECT x.run_id, x.task_id, x.state, x.attempt, "
				  "  extract(epoch FROM x.ended_at - x.started_at)::float8 AS seconds, "
				  "  CASE WHEN x.state <> 'success' THEN left(coalesce(x.error_message, x.message), 120) END AS note "
				  "FROM etl.task_run AS x WHERE x.run_id IN " LATEST_RUNS " ORDER BY x.run_id, x.task_id, x.attempt",
				  model->pipeline_id, runs),
			  false);
	put_cells(model,
			  etl_model_query("SELECT c.run_id, c.task_id, c.state, 1 AS attempt, NULL::float8 AS seconds, "
							  "  CASE WHEN c.state <> 'pass' THEN left(c.message, 120) END AS note "
							  "FROM etl.check_result AS c WHERE c.pipeline_id = $1 AND c.run_id IN " LATEST_RUNS
							  " ORDER BY c.check_result_id",
							  model->pipeline_id, runs),
			  true);
}

/* etl_model_history reads runs, the run that is shown, and the grid. */
void
etl_model_history(EtlModel *model, int runs)
{
	read_runs(model, runs);
	if (model->shown >= 0)
		read_attempts(model, model->run[model->shown].run_id);
	read_cells(model, runs);
}

/* latest_run returns the run that stands for a pipeline; 0: it has none. */
static int64
latest_run(const EtlModel *model)
{
	EtlRow row;

	if (etl_model_query("SELECT coalesce((SELECT r.run_id FROM etl.run AS r WHERE r.pipeline_id = $1 AND $2 = 0 "
						"  AND r.state <> 'skipped' AND r.backfill_id IS NULL ORDER BY r.run_id DESC LIMIT 1), "
						"  (SELECT max(r.run_id) FROM etl.run AS r WHERE r.pipeline_id = $1), 0) AS run_id",
						model->pipeline_id, 0) == 0)
		return 0;
	row = etl_model_row(0);
	return etl_row_int64(&row, "run_id");
}

/* etl_model_run looks for the run. */
void
etl_model_run(EtlModel *model, const int64 *run_id)
{
	int64 shown = run_id ? *run_id : latest_run(model);

	if (run_id != NULL)
		read_pinned(model, *run_id);
	if (shown != 0)
		read_attempts(model, shown);
}
