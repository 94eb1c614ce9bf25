/*
 * statement.c
 *		How far a long statement of an attempt is. See statement.h.
 *
 * Of the plan of a statement the leaf that the planner expects most rows of is watched: its function is called through one
 * that counts. That number over the planner's estimate is the percentage that etl.progress shows. Short statements, and those
 * that other statements execute (triggers, functions), are left alone. Parallel workers are not seen: of a Gather, what it
 * delivers is counted.
 */
#include "postgres.h"

#include "compat.h"
#include "executor/executor.h"
#include "observe/progress.h"
#include "observe/statement.h"

/* Least number of rows that makes a statement long, and how many are counted at a time. */
#define LONG_STATEMENT 10000
#define PORTION 1024

static ExecutorRun_hook_type former_hook = NULL;
static ExecProcNodeMtd watched_function = NULL; /* what the watched node does */
static int64 counted = 0;						/* not told yet */
static int nesting = 0;

/* heavier returns the one of two plans that more rows are expected of. */
static PlanState *
heavier(PlanState *a, PlanState *b)
{
	return a == NULL || (b != NULL && b->plan->plan_rows > a->plan->plan_rows) ? b : a;
}

/* heaviest_leaf goes down to where most rows come from. */
static PlanState *
heaviest_leaf(PlanState *state)
{
	for (;;)
	{
		PlanState *next;

		if (IsA(state, GatherState) || IsA(state, GatherMergeState) || IsA(state, BitmapHeapScanState))
			return state;
		if (IsA(state, SubqueryScanState))
			next = ((SubqueryScanState *) state)->subplan;
		else if (IsA(state, AppendState))
		{
			AppendState *append = (AppendState *) state;

			next = NULL;
			for (int i = 0; i < append->as_nplans; i++)
				next = heavier(next, append->appendplans[i]);
		}
		else if (IsA(state, NestLoopState))
			next = outerPlanState(state); /* the inner side is read again and again */
		else
			next = heavier(outerPlanState(state), innerPlanState(state));
		if (next == NULL)
			return state;
		state = next;
	}
}

/* count_row does what the watched node does. */
static TupleTableSlot *
count_row(PlanState *state)
{
	TupleTableSlot *slot = watched_function(state);

	if (!TupIsNull(slot) && ++counted == PORTION)
	{
		etl_progress_add(PORTION, 0, PORTION);
		counted = 0;
	}
	return slot;
}

/* watch puts itself before a node of a long statement. A node that is told to count its calls keeps its own wrapper. */
static bool
watch(QueryDesc *desc)
{
	PlanState *leaf;

	if (desc->planstate == NULL)
		return false;
	leaf = heaviest_leaf(desc->planstate);
	if (leaf->plan->plan_rows < LONG_STATEMENT || !etl_progress_statement((int64) leaf->plan->plan_rows))
		return false;
	watched_function = leaf->ExecProcNodeReal;
	counted = 0;
	ExecSetExecProcNode(leaf, count_row);
	return true;
}

/* run executes a statement. */
static void
run(ETL_RUN_PARAMETERS)
{
	if (former_hook)
		former_hook(ETL_RUN_ARGUMENTS);
	else
		standard_ExecutorRun(ETL_RUN_ARGUMENTS);
}

/* on_run is the hook. */
static void
on_run(ETL_RUN_PARAMETERS)
{
	bool is_watched = nesting == 0 && count == 0 && watch(desc);

	nesting++;
	PG_TRY();
	{
		run(ETL_RUN_ARGUMENTS);
	}
	PG_FINALLY();
	{
		nesting--;
	}
	PG_END_TRY();
	if (!is_watched)
		return;
	etl_progress_add(counted, 0, counted);
	counted = 0;
}

/* etl_observe_statements sets the hook; only in a process that ends with its attempts. */
void
etl_observe_statements(void)
{
	former_hook = ExecutorRun_hook;
	ExecutorRun_hook = on_run;
}
