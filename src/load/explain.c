/*
 * explain.c
 *		Shows what the next run of a load would execute. See load.h.
 *
 * Executes nothing but EXPLAIN: the delta does not exist, so the plan is that of the query which would fill it.
 */
#include "postgres.h"

#include "catalog/consumed.h"
#include "catalog/spi.h"
#include "load/delta.h"
#include "load/history.h"
#include "load/load.h"
#include "load/markers.h"
#include "load/merge.h"
#include "load/target.h"
#include "utils/builtins.h"
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

/* describe_narrowed says what a narrowed input would deliver, and narrows it in the tree. */
static char *
describe_narrowed(const EtlTask *task, EtlPlan *plan)
{
	EtlInput *input = plan->compile->narrowed;
	int64 after = etl_consumed_get(task->task_id, input->name);
	EtlBatchRange range;
	bool is_new = etl_batch_range(input->name, after, &range);

	if (!is_new)
	{
		MemSet(&range, 0, sizeof(range));
		range.last = after;
	}
	etl_compile_narrow(plan->compile, after, &range);
	if (!is_new)
		return psprintf("-- %s: incremental; nothing new after batch " INT64_FORMAT ", the run would do nothing.",
						input->name, after);
	return psprintf("-- %s: incremental; batches after " INT64_FORMAT " up to " INT64_FORMAT ", " INT64_FORMAT " rows.",
					input->name, after, range.last, range.rows);
}

/* describe_whole says why an input is read whole. */
static char *
describe_whole(const EtlPlan *plan, const EtlInput *input)
{
	const char *reason = plan->compile->reason;

	if (reason == NULL || input->in_expression)
		reason = input->reason;
	return psprintf("-- %s: read whole; %s.", input->name, reason);
}

/* describe_inputs returns a comment line for each raw input. */
static List *
describe_inputs(List *lines, const EtlTask *task, EtlPlan *plan)
{
	ListCell *cell;

	foreach (cell, plan->compile->inputs)
	{
		EtlInput *input = lfirst(cell);

		if (input == plan->compile->narrowed)
			lines = lappend(lines, describe_narrowed(task, plan));
		else
			lines = lappend(lines, describe_whole(plan, input));
	}
	if (plan->compile->inputs == NIL)
		lines = lappend(lines, "-- No raw input: the query is evaluated whole.");
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

/* add_statements appends the statements that write the target. */
static List *
add_statements(List *lines, const EtlPlan *plan)
{
	EtlSource source = {.table = "pg_temp.etl_delta", .is_guarded = plan->mode == ETL_MODE_MERGE};

	lines = lappend(lines, "");
	if (plan->n_key > 0)
	{
		if (plan->mode != ETL_MODE_REPLACE && etl_merge_bound(plan, source.table, false) != NULL)
			lines = lappend(lines, psprintf("-- A run also limits t.%s to the range that it has in the delta.",
											etl_plan_key(plan, 0)->quoted));
		lines = add_lines(lines, psprintf("%s;", etl_merge_statement(plan, &source)));
		if (plan->mode == ETL_MODE_REPLACE)
			lines = add_lines(lines, psprintf("%s;", etl_merge_delete(plan, &source)));
		return lines;
	}
	if (plan->mode == ETL_MODE_REPLACE)
	{
		lines = lappend(lines, "-- Only when target and delta differ:");
		lines = add_lines(lines, psprintf("%s;", etl_merge_clear(plan)));
	}
	return add_lines(lines, psprintf("%s;", etl_merge_insert(plan, &source)));
}

/* add_markers appends what is done about rows that the source has deleted. */
static List *
add_markers(List *lines, const EtlPlan *plan)
{
	if (plan->on_delete == ETL_ON_DELETE_IGNORE)
		return lines;
	lines = lappend(lines, "");
	lines = lappend(lines,
					"-- Delete markers. If there are any, the query below leaves out the versions that they end, and");
	lines = add_lines(lines, psprintf("%s;", etl_markers_statement(plan, "pg_temp.etl_gone")));
	if (plan->mode != ETL_MODE_REPLACE)
		lines = add_lines(lines, psprintf("%s;", etl_markers_apply(plan, "pg_temp.etl_gone", "pg_temp.etl_delta")));
	return lines;
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
	char *query;

	match_target(task, plan);
	lines = lappend(lines,
					psprintf("-- %s \"%s\" into %s, mode %s", task->kind == ETL_TASK_AGGREGATE ? "aggregate" : "load",
							 task->name, plan->target_name, mode_name(plan->mode)));
	lines = describe_inputs(lines, task, plan);
	if (plan->n_key > 0)
		etl_compile_sequence(plan->compile);
	etl_compile_leave_out(plan->compile);
	query = etl_compile_sql(plan->compile);
	if (plan->mode == ETL_MODE_SCD2)
		lines = add_history(lines, plan, query);
	else
	{
		lines = add_markers(lines, plan);
		lines = lappend(lines, "");
		lines = add_lines(lines, psprintf("%s;", etl_delta_statement(plan, query, "pg_temp.etl_delta")));
		lines = add_statements(lines, plan);
	}
	lines = lappend(lines, "");
	lines = lappend(lines, "-- Plan of the query:");
	lines = add_plan(lines, query);
	AtEOXact_GUC(true, level);
	return lines;
}
