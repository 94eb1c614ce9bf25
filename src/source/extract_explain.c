/*
 * extract_explain.c
 *		What the next run of an extract would do, in words and SQL. See extract.h.
 */
#include "postgres.h"

#include "feed/extract.h"
#include "source/deletes.h"
#include "source/extract.h"
#include "source/extract_plan.h"
#include "source/stream.h"
#include "source/value.h"
#include "utils/builtins.h"
#include "utils/guc.h"

/* Lines of a plan, collected in a context that outlives the statement. */
typedef struct Lines
{
	MemoryContext context;
	List *list;
} Lines;

/* take_line adds a line of EXPLAIN. */
static void
take_line(TupleTableSlot *slot, void *arg)
{
	Lines *lines = arg;
	MemoryContext old = MemoryContextSwitchTo(lines->context);

	slot_getallattrs(slot);
	lines->list = lappend(lines->list, text_to_cstring(DatumGetTextPP(slot->tts_values[0])));
	MemoryContextSwitchTo(old);
}

/* add adds a line. */
static void
add(Lines *lines, char *line)
{
	lines->list = lappend(lines->list, line);
}

/* add_settings tells what is done besides reading rows. */
static void
add_settings(Lines *lines, const EtlTask *task)
{
	add(lines, psprintf("-- changes of the source's columns: %s", task->schema_drift ? task->schema_drift : "evolve"));
	if (task->reconcile)
		add(lines, "-- reconcile: each chunk is compared with what the source counts");
	lines->list = list_concat(lines->list, etl_deletes_explain(task));
}

/* add_plan tells how many rows are expected, the first statement and its plan. */
static void
add_plan(Lines *lines, EtlExtractPlan *plan)
{
	const char *why_not = "";
	double rows = etl_extract_plan_rows(plan, &why_not);

	add(lines, plan->reason ? psprintf("-- reader %s: %s", plan->reader, plan->reason)
							: psprintf("-- reader %s", plan->reader));
	if (rows < 0)
		add(lines, psprintf("-- rows: not known: %s", why_not));
	else
		add(lines, psprintf("-- rows: about %.0f, by the planner of %s", rows,
							plan->extract.remote ? plan->extract.remote->server_name : "this server"));
	add_settings(lines, plan->attempt.task);
	add(lines, psprintf("%s;", plan->sql));
	if (plan->is_own)
	{
		if (rows >= 0)
			lines->list = list_concat(lines->list, etl_extract_plan_remote(plan));
		return;
	}
	if (plan->extract.source->server && plan->page.n_order > 0)
		etl_plan_leave_sorting();
	(void) etl_stream_query(psprintf("EXPLAIN (VERBOSE) %s", plan->sql), take_line, lines);
}

/* add_head tells from where to where, and where it starts. */
static void
add_head(Lines *lines, const EtlExtractPlan *plan)
{
	const EtlTask *task = plan->attempt.task;
	const EtlBounds *bounds = &plan->extract.bounds;

	add(lines, psprintf("-- extract %s -> %s", task->source, task->target));
	if (bounds->lower)
		add(lines, psprintf("-- watermark %s, lower bound %s", bounds->watermark, bounds->lower));
	else if (!plan->is_feed || task->cursor_column)
		add(lines, pstrdup("-- no watermark: everything is read"));
	if (plan->extract.request.by_key)
		add(lines, pstrdup("-- in the order of the key; the watermark comes at the end"));
}

/* etl_extract_explain describes the next run. */
List *
etl_extract_explain(const EtlTask *task)
{
	Lines lines = {CurrentMemoryContext, NIL};
	int level = etl_attempt_author_path(task);
	EtlExtractPlan *plan;

	etl_value_pin_settings();
	if (!OidIsValid(etl_relation_find(task->source)) || !OidIsValid(etl_relation_find(task->target)))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("source %s or raw table %s does not exist", task->source, task->target),
						errhint("SELECT * FROM etl.validate(...) lists everything that is wrong with the pipeline.")));
	plan = etl_extract_plan_make(task, false);
	PG_TRY();
	{
		add_head(&lines, plan);
		if (plan->is_feed)
		{
			lines.list = list_concat(lines.list, etl_feed_extract_explain(&plan->extract.request));
			add_settings(&lines, task);
		}
		else
			add_plan(&lines, plan);
	}
	PG_FINALLY();
	{
		etl_extract_plan_end(plan);
	}
	PG_END_TRY();
	AtEOXact_GUC(false, level);
	return lines.list;
}
