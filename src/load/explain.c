/*
 * explain.c
 *		Shows what the next run of a load would execute. See load.h.
 *
 * Executes nothing but EXPLAIN: the delta does not exist, so the plan is that of the query which would fill it.
 */
#include "postgres.h"

#include "catalog/spi.h"
#include "load/apply.h"
#include "load/change.h"
#include "load/delta.h"
#include "load/fresh.h"
#include "load/increment.h"
#include "load/history.h"
#include "load/load.h"
#include "load/markers.h"
#include "load/resolve.h"
#include "load/target.h"
#include "load/write.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

/* add_lines appends a text line by line. */
static List *
add_lines(List *lines, const char *text)
{
	char *copy = pstrdup(text);
	char *line;

	while ((line = copy) != NULL)
	{
		copy = strchr(line, '\n');
		if (copy != NULL)
			*copy++ = '\0';
		lines = lappend(lines, line);
	}
	return lines;
}

/* describe_driver says what is new in an input. */
static char *
describe_driver(const EtlIncrement *increment, const EtlInput *input, const EtlPosition *position)
{
	const char *what = input->is_kept ? "changes" : "batches";

	if (increment->kind == ETL_INCREMENT_WHOLE)
		return psprintf("-- %s: incremental, but read whole this time; %s.", input->name, increment->reason);
	if (!position->is_new)
		return psprintf("-- %s: incremental; nothing new after batch " INT64_FORMAT "%s.", input->name, position->after,
						increment->n_new == 0 ? ", the run would do nothing" : "");
	return psprintf("-- %s: incremental; %s after " INT64_FORMAT " up to " INT64_FORMAT ", " INT64_FORMAT " rows.",
					input->name, what, position->after, position->range.last, position->range.rows);
}

/* describe_whole says why an input is read whole. */
static char *
describe_whole(const EtlPlan *plan, const EtlInput *input)
{
	const char *reason = plan->compile->reason;

	if (input->is_kept && plan->compile->drivers != NIL)
		return psprintf("-- %s: looked up; its changes are not followed%s%s.", input->name, input->reason ? ": " : "",
						input->reason ? input->reason : "");
	if (reason == NULL || input->in_expression)
		reason = input->reason;
	if (plan->task->read_window != NULL && !input->is_kept && !input->is_special && !input->in_view)
		return psprintf("-- %s: the batches of the last %s are read; %s.", input->name,
						DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(plan->task->read_window))),
						reason);
	return psprintf("-- %s: read whole; %s.", input->name, reason);
}

/* describe_inputs returns a comment line for each input. */
static List *
describe_inputs(List *lines, const EtlIncrement *increment)
{
	const EtlPlan *plan = increment->plan;
	int i = 0;
	ListCell *cell;

	foreach (cell, plan->compile->inputs)
	{
		const EtlInput *input = lfirst(cell);
		const EtlPosition *position = &increment->position[i++];

		lines = lappend(lines, position->is_driver ? describe_driver(increment, input, position)
												   : describe_whole(plan, input));
	}
	if (plan->compile->inputs == NIL)
		lines = lappend(lines, "-- No raw input: the query is evaluated whole.");
	return lines;
}

/* add_touched appends how the keys are found that the changes touch. */
static List *
add_touched(List *lines, const EtlIncrement *increment)
{
	ListCell *cell;

	if (increment->kind != ETL_INCREMENT_KEYS || increment->n_new == 0)
		return lines;
	lines = lappend(lines, "");
	lines = lappend(lines, "-- The query below is evaluated for the keys that the changes touch only. These are:");
	foreach (cell, etl_increment_touched(increment))
		lines = add_lines(lines, psprintf("%s;", (char *) lfirst(cell)));
	return lines;
}

/* add_plan appends the plan of a query. EXPLAIN returns one row per line, which the SPI layer has no call for. */
static List *
add_plan(List *lines, const char *query)
{
	MemoryContext caller = CurrentMemoryContext;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute(psprintf("EXPLAIN %s", query), false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "EXPLAIN failed");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char *line = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);
		MemoryContext spi = MemoryContextSwitchTo(caller);

		lines = lappend(lines, psprintf("--   %s", line));
		MemoryContextSwitchTo(spi);
	}
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	MemoryContextSwitchTo(caller);
	return lines;
}

/* add_keyed appends the statements that bring a delta with a key into the target. */
static List *
add_keyed(List *lines, const EtlPlan *plan, EtlIncrementKind kind)
{
	EtlChange change = {.plan = plan,
						.table = "pg_temp.etl_change",
						.source = "pg_temp.etl_delta",
						.is_guarded = plan->mode == ETL_MODE_MERGE};
	EtlSource source = {.table = change.table};
	char op = plan->on_delete == ETL_ON_DELETE_MARK ? ETL_CHANGE_MARK : ETL_CHANGE_DELETE;
	char *absent = psprintf("NOT EXISTS (SELECT 1 FROM %s AS d WHERE %s)", change.source, etl_change_match(plan));

	lines = lappend(lines,
					etl_apply_goes_by_key(plan)
						? "-- The target lies in the order of its key: it is joined and written in that order."
						: "-- The target is joined as the planner decides: no unique index, or rows in another order.");
	if (etl_change_bound(plan, change.source, false) != NULL)
		lines = lappend(lines, psprintf("-- A run also limits t.%s to the range that it has in the delta.",
										etl_plan_key(plan, 0)->quoted));
	lines = add_lines(lines, psprintf("%s;", etl_change_statement(&change)));
	if (kind == ETL_INCREMENT_KEYS)
		lines = add_lines(lines,
						  psprintf("%s;", etl_change_add(&change, op, ", pg_temp.etl_touched AS g",
														 psprintf("%s AND %s", etl_markers_same_key(plan), absent))));
	else if (plan->mode == ETL_MODE_REPLACE ||
			 (plan->on_delete != ETL_ON_DELETE_IGNORE && plan->compile->single == NULL))
		lines = add_lines(lines, psprintf("%s;", etl_change_add(&change, op, "", absent)));
	else if (plan->on_delete != ETL_ON_DELETE_IGNORE)
		lines = add_lines(lines, psprintf("%s;", etl_change_add(&change, op, ", pg_temp.etl_gone AS g",
																etl_markers_condition(plan, change.source))));
	if (plan->mode == ETL_MODE_REPLACE || plan->on_delete == ETL_ON_DELETE_DELETE)
		lines = add_lines(lines, psprintf("%s;", etl_write_delete(plan, &source)));
	if (plan->on_delete == ETL_ON_DELETE_MARK)
		lines = add_lines(lines, psprintf("%s;", etl_write_mark(plan, &source)));
	if (plan->mode != ETL_MODE_INSERT_ONLY && etl_write_update(plan, &source) != NULL)
		lines = add_lines(lines, psprintf("%s;", etl_write_update(plan, &source)));
	return add_lines(lines, psprintf("%s;", etl_write_insert(plan, &source)));
}

/* add_statements appends the statements that write the target. */
static List *
add_statements(List *lines, const EtlPlan *plan, EtlIncrementKind kind)
{
	EtlSource source = {.table = "pg_temp.etl_delta"};

	lines = lappend(lines, "");
	if (kind == ETL_INCREMENT_ROWS && etl_fresh_fits(plan))
		lines = lappend(lines,
						"-- When all new keys are above those of the target, the rows are inserted at once instead:");
	if (kind == ETL_INCREMENT_ROWS && etl_fresh_fits(plan))
		lines = lappend(lines, psprintf("-- INSERT INTO %s SELECT the rows above.", plan->target_name));
	if (plan->n_key > 0)
		return add_keyed(lines, plan, kind);
	if (plan->mode == ETL_MODE_REPLACE)
	{
		lines = lappend(lines, "-- Only when target and delta differ:");
		lines = add_lines(lines, psprintf("%s;", etl_write_clear(plan)));
	}
	return add_lines(lines, psprintf("%s;", etl_write_append(plan, &source)));
}

/* add_markers appends how the rows that the source has deleted are found. */
static List *
add_markers(List *lines, const EtlPlan *plan)
{
	if (plan->on_delete == ETL_ON_DELETE_IGNORE || plan->compile->single == NULL || plan->mode == ETL_MODE_SCD2)
		return lines;
	lines = lappend(lines, "");
	lines = lappend(lines,
					"-- Delete markers. If there are any, the query below leaves out the versions that they end.");
	return add_lines(lines, psprintf("%s;", etl_markers_statement(plan, "pg_temp.etl_gone")));
}

/* add_history appends what mode scd2 does. */
static List *
add_history(List *lines, const EtlPlan *plan, const char *query)
{
	ListCell *cell;

	foreach (cell, etl_history_explain(plan, query))
	{
		const char *text = lfirst(cell);
		bool is_comment = strncmp(text, "--", strlen("--")) == 0;

		lines = lappend(lines, "");
		lines = add_lines(lines, psprintf("%s%s", text, is_comment ? "" : ";"));
	}
	return lines;
}

/* match_target matches the plan with the target as a run would. */
static void
match_target(const EtlTask *task, EtlPlan *plan)
{
	char *schema;
	char *name;
	Oid target = etl_target_find(task->target, &schema, &name);

	if (!OidIsValid(target))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("target %s does not exist", task->target),
						errdetail("It has been dropped since the task was defined."),
						errhint("Call etl.alter_task with the same target to create it again.")));
	etl_target_match(plan, target);
}

/* mode_name returns a mode as its author would write it. */
static const char *
mode_name(EtlMode mode)
{
	static const char *const name[] = {"merge", "insert_only", "append", "replace", "scd2"};

	return name[mode];
}

/* etl_load_explain returns the lines. */
List *
etl_load_explain(const EtlTask *task)
{
	List *lines = NIL;
	int level = etl_attempt_author_path(task);
	EtlPlan *plan = etl_plan_make(task);
	EtlIncrement *increment;
	char *query;
	char *rows;

	match_target(task, plan);
	lines = lappend(lines,
					psprintf("-- %s \"%s\" into %s, mode %s", task->kind == ETL_TASK_AGGREGATE ? "aggregate" : "load",
							 task->name, plan->target_name, mode_name(plan->mode)));
	increment = etl_increment_read(plan, false, 0, true);
	lines = describe_inputs(lines, increment);
	lines = add_touched(lines, increment);
	query = etl_increment_query(increment);
	lines = add_markers(lines, plan);
	lines = lappend(lines, "");
	rows = query;
	if (plan->n_dimensions > 0)
		lines = add_lines(lines, etl_resolve_explain(plan, &rows));
	if (plan->mode == ETL_MODE_SCD2)
		lines = add_history(lines, plan, rows);
	else
	{
		lines = add_lines(lines, psprintf("%s;", etl_delta_statement(plan, rows, "pg_temp.etl_delta")));
		lines = add_statements(lines, plan, increment->kind);
	}
	lines = lappend(lines, "");
	lines = lappend(lines, "-- Plan of the query:");
	lines = add_plan(lines, query);
	AtEOXact_GUC(true, level);
	return lines;
}
