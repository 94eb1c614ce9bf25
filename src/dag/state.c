/*
 * state.c
 *		The states of runs and tasks and the rules between them. See state.h.
 */
#include "postgres.h"

#include "dag/state.h"

#define BIT(state) (1 << (state))

static const char *const run_name[] = {
	[ETL_RUN_QUEUED] = "queued",   [ETL_RUN_RUNNING] = "running", [ETL_RUN_SUCCESS] = "success",
	[ETL_RUN_WARNING] = "warning", [ETL_RUN_FAILED] = "failed",	  [ETL_RUN_CANCELLED] = "cancelled",
	[ETL_RUN_SKIPPED] = "skipped",
};

/* For each state the states that may follow. */
static const int run_next[] = {
	[ETL_RUN_QUEUED] = BIT(ETL_RUN_RUNNING) | BIT(ETL_RUN_SKIPPED) | BIT(ETL_RUN_CANCELLED) | BIT(ETL_RUN_FAILED),
	[ETL_RUN_RUNNING] = BIT(ETL_RUN_SUCCESS) | BIT(ETL_RUN_WARNING) | BIT(ETL_RUN_FAILED) | BIT(ETL_RUN_CANCELLED),
	[ETL_RUN_SUCCESS] = 0,
	[ETL_RUN_WARNING] = BIT(ETL_RUN_QUEUED),
	[ETL_RUN_FAILED] = BIT(ETL_RUN_QUEUED),
	[ETL_RUN_CANCELLED] = BIT(ETL_RUN_QUEUED),
	[ETL_RUN_SKIPPED] = 0,
};

static const char *const task_name[] = {
	[ETL_TASK_WAITING] = "waiting", [ETL_TASK_READY] = "ready",
	[ETL_TASK_RUNNING] = "running", [ETL_TASK_RETRY] = "retry",
	[ETL_TASK_SUCCESS] = "success", [ETL_TASK_WARNING] = "warning",
	[ETL_TASK_FAILED] = "failed",	[ETL_TASK_UPSTREAM_FAILED] = "upstream_failed",
	[ETL_TASK_SKIPPED] = "skipped", [ETL_TASK_CANCELLED] = "cancelled",
};

static const int task_next[] = {
	[ETL_TASK_WAITING] = BIT(ETL_TASK_READY) | BIT(ETL_TASK_UPSTREAM_FAILED) | BIT(ETL_TASK_SKIPPED) |
						 BIT(ETL_TASK_CANCELLED),
	[ETL_TASK_READY] = BIT(ETL_TASK_RUNNING) | BIT(ETL_TASK_FAILED) | BIT(ETL_TASK_CANCELLED),
	[ETL_TASK_RUNNING] = BIT(ETL_TASK_READY) | BIT(ETL_TASK_SUCCESS) | BIT(ETL_TASK_WARNING) | BIT(ETL_TASK_FAILED) |
						 BIT(ETL_TASK_CANCELLED),
	[ETL_TASK_RETRY] = BIT(ETL_TASK_READY) | BIT(ETL_TASK_CANCELLED),
	[ETL_TASK_SUCCESS] = 0,
	[ETL_TASK_WARNING] = 0,
	[ETL_TASK_FAILED] = BIT(ETL_TASK_WARNING),
	[ETL_TASK_UPSTREAM_FAILED] = 0,
	[ETL_TASK_SKIPPED] = 0,
	[ETL_TASK_CANCELLED] = 0,
};

static const char *const trigger_name[] = {
	[ETL_TRIGGER_ALL_SUCCESS] = "all_success", [ETL_TRIGGER_ALL_DONE] = "all_done",
	[ETL_TRIGGER_ONE_FAILED] = "one_failed",   [ETL_TRIGGER_NONE_FAILED] = "none_failed",
	[ETL_TRIGGER_ALWAYS] = "always",
};

/* index_of finds a name in one of the tables above; the tables' CHECK constraints admit no others. */
static int
index_of(const char *name, const char *const *table, int n)
{
	for (int i = 0; i < n; i++)
		if (strcmp(name, table[i]) == 0)
			return i;
	elog(ERROR, "unknown state or rule \"%s\"", name);
}

/* etl_state_run_name returns the name of a run state as the tables hold it. */
const char *
etl_state_run_name(EtlRunState state)
{
	return run_name[state];
}

/* etl_state_run returns the run state of that name. */
EtlRunState
etl_state_run(const char *name)
{
	return index_of(name, run_name, lengthof(run_name));
}

/* etl_state_run_ended says whether nothing follows a run state by itself. */
bool
etl_state_run_ended(EtlRunState state)
{
	return state != ETL_RUN_QUEUED && state != ETL_RUN_RUNNING;
}

/* etl_state_run_may says whether one run state may follow another. */
bool
etl_state_run_may(EtlRunState from, EtlRunState to)
{
	return (run_next[from] & BIT(to)) != 0;
}

/* etl_state_task_name returns the name of a task state as the tables hold it. */
const char *
etl_state_task_name(EtlTaskState state)
{
	return task_name[state];
}

/* etl_state_task returns the task state of that name. */
EtlTaskState
etl_state_task(const char *name)
{
	return index_of(name, task_name, lengthof(task_name));
}

/* etl_state_task_ended says whether the work of a task state is over. */
bool
etl_state_task_ended(EtlTaskState state)
{
	return state >= ETL_TASK_SUCCESS;
}

/* etl_state_task_may says whether one task state may follow another. */
bool
etl_state_task_may(EtlTaskState from, EtlTaskState to)
{
	return (task_next[from] & BIT(to)) != 0;
}

/* etl_state_trigger returns the trigger rule of that name. */
EtlTriggerRule
etl_state_trigger(const char *name)
{
	return index_of(name, trigger_name, lengthof(trigger_name));
}

/*
 * etl_state_next decides what becomes of a waiting task from the states of the tasks that it depends on: WAITING,
 * READY, UPSTREAM_FAILED or SKIPPED. A cancelled dependency counts as failed.
 */
EtlTaskState
etl_state_next(EtlTriggerRule rule, const EtlTaskState *upstream, int n)
{
	bool all_ended = true;
	bool failed = false;
	bool skipped = false;

	for (int i = 0; i < n; i++)
	{
		all_ended = all_ended && etl_state_task_ended(upstream[i]);
		failed = failed || upstream[i] == ETL_TASK_FAILED || upstream[i] == ETL_TASK_UPSTREAM_FAILED ||
				 upstream[i] == ETL_TASK_CANCELLED;
		skipped = skipped || upstream[i] == ETL_TASK_SKIPPED;
	}

	switch (rule)
	{
		case ETL_TRIGGER_ALWAYS:
			return ETL_TASK_READY;
		case ETL_TRIGGER_ALL_DONE:
			return all_ended ? ETL_TASK_READY : ETL_TASK_WAITING;
		case ETL_TRIGGER_ONE_FAILED:
			if (failed)
				return ETL_TASK_READY;
			return all_ended ? ETL_TASK_SKIPPED : ETL_TASK_WAITING;
		case ETL_TRIGGER_NONE_FAILED:
		case ETL_TRIGGER_ALL_SUCCESS:
			if (failed)
				return ETL_TASK_UPSTREAM_FAILED;
			if (skipped && rule == ETL_TRIGGER_ALL_SUCCESS)
				return ETL_TASK_SKIPPED;
			return all_ended ? ETL_TASK_READY : ETL_TASK_WAITING;
	}
	pg_unreachable();
}

/* etl_state_run_result returns the state that a run ends in, given the last states of all its tasks. */
EtlRunState
etl_state_run_result(const EtlTaskState *task, int n)
{
	EtlRunState result = ETL_RUN_SUCCESS;

	for (int i = 0; i < n; i++)
	{
		Assert(etl_state_task_ended(task[i]));
		if (task[i] == ETL_TASK_FAILED || task[i] == ETL_TASK_UPSTREAM_FAILED)
			return ETL_RUN_FAILED;
		if (task[i] == ETL_TASK_CANCELLED)
			result = ETL_RUN_CANCELLED;
		else if (task[i] == ETL_TASK_WARNING && result == ETL_RUN_SUCCESS)
			result = ETL_RUN_WARNING;
	}
	return result;
}
