/*
 * work.c
 *		The work of one attempt, the same in a worker and inline: the task's own work, then the gates before its commit.
 */
#include "postgres.h"

#include "catalog/undo.h"
#include "errors.h"
#include "load/load.h"
#include "observe/progress.h"
#include "quality/check.h"
#include "source/extract.h"
#include "utils/memutils.h"
#include "worker/command.h"
#include "worker/work.h"

/* add_context tells in every error which task it happened in. */
static void
add_context(void *arg)
{
	const EtlAttempt *attempt = arg;

	errcontext("task \"%s\" of run " INT64_FORMAT, attempt->task->name, attempt->run_id);
}

/* etl_work_prepare fills work for an attempt. task must live as long as work. */
void
etl_work_prepare(EtlWork *work, EtlTask *task, int64 run_id, int64 task_run_id)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "etl attempt", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	memset(work, 0, sizeof(*work));
	work->attempt.task = task;
	work->attempt.run_id = run_id;
	work->attempt.task_run_id = task_run_id;
	work->attempt.context = context;
	work->gates = etl_task_run_gates(run_id, task->name);
	work->result = palloc0(sizeof(EtlCheckResult) * (work->gates.n + 1));
	MemoryContextSwitchTo(old);
}

/* etl_work_of_run tells the attempt what it has to know of its run. */
void
etl_work_of_run(EtlWork *work, const EtlRunInfo *info)
{
	work->attempt.full_refresh = info->full_refresh;
	work->attempt.replay_from = info->replay_from;
	work->attempt.force = info->force;
	work->attempt.is_backfill = info->backfill_id != 0;
	work->attempt.logical_time = info->logical_time;
	work->attempt.interval_start = info->interval_start;
	work->attempt.interval_end = info->interval_end;
}

/* evaluate runs one check and keeps its result where a rollback does not reach it. */
static EtlCheckState
evaluate(EtlWork *work, const EtlTask *check)
{
	EtlCheckResult *result = &work->result[work->n_results];
	MemoryContext old = MemoryContextSwitchTo(work->attempt.context);

	result->run_id = work->attempt.run_id;
	result->task_run_id = work->attempt.task_run_id;
	result->rolls_back = check->gate != NULL || work->attempt.is_published;
	/* What stands if the evaluation ends in an exception. */
	result->state = ETL_CHECK_ERROR;
	result->message = "the check could not be evaluated";
	work->n_results++;
	etl_check_evaluate(check, result);
	MemoryContextSwitchTo(old);
	return result->state;
}

/* run_check does the work of a task of kind check. A failed check is a result, not an exception. */
static EtlTaskState
run_check(EtlWork *work)
{
	EtlCheckState state = evaluate(work, work->attempt.task);

	work->attempt.sql = work->result[0].sql;
	etl_attempt_note(&work->attempt, "%s", work->result[0].message);
	switch (state)
	{
		case ETL_CHECK_PASS:
		case ETL_CHECK_NOT_EVALUATED:
			return ETL_TASK_SUCCESS;
		case ETL_CHECK_WARN:
			return ETL_TASK_WARNING;
		case ETL_CHECK_FAIL:
		case ETL_CHECK_ERROR:
			return ETL_TASK_FAILED;
	}
	pg_unreachable();
}

/* run_gates evaluates the gates on the uncommitted result. Errors: ZE003 when one of them fails. */
static EtlTaskState
run_gates(EtlWork *work)
{
	EtlTaskState state = ETL_TASK_SUCCESS;
	int failed = -1;

	etl_progress_step(ETL_STEP_CHECK);
	for (int i = 0; i < work->gates.n; i++)
	{
		EtlCheckState result = evaluate(work, work->gates.task[i]);

		if (result == ETL_CHECK_FAIL && failed < 0)
			failed = i;
		if (result != ETL_CHECK_PASS && result != ETL_CHECK_NOT_EVALUATED)
		{
			state = ETL_TASK_WARNING;
			etl_attempt_note(&work->attempt, "%s: %s", work->gates.task[i]->name, work->result[i].message);
		}
	}
	if (failed >= 0)
		ereport(ERROR, (errcode(ERRCODE_ETL_CHECK_FAILED),
						errmsg("gate \"%s\" failed: %s", work->gates.task[failed]->name, work->result[failed].message),
						errdetail("What the task had written was rolled back."),
						errhint("Correct the data or the threshold, then run the pipeline again.")));
	return state;
}

/* run_kind does a task's own work. */
static EtlTaskState
run_kind(EtlWork *work)
{
	static const EtlProgressStep first[] = {
		[ETL_TASK_EXTRACT] = ETL_STEP_CONNECT,	 [ETL_TASK_LOAD] = ETL_STEP_COMPILE,
		[ETL_TASK_AGGREGATE] = ETL_STEP_COMPILE, [ETL_TASK_SQL] = ETL_STEP_COMMAND,
		[ETL_TASK_CHECK] = ETL_STEP_CHECK,
	};

	etl_progress_step(first[work->attempt.task->kind]);
	etl_undo_begin(&work->attempt);
	switch (work->attempt.task->kind)
	{
		case ETL_TASK_EXTRACT:
			etl_extract_run(&work->attempt);
			return ETL_TASK_SUCCESS;
		case ETL_TASK_LOAD:
		case ETL_TASK_AGGREGATE:
			etl_load_run(&work->attempt);
			return ETL_TASK_SUCCESS;
		case ETL_TASK_SQL:
			etl_command_run(&work->attempt);
			return ETL_TASK_SUCCESS;
		case ETL_TASK_CHECK:
			return run_check(work);
	}
	pg_unreachable();
}

/*
 * etl_work_run does the work inside an open step and leaves a step open that has everything but the state of the
 * attempt. Returns the state that the attempt reaches when that step commits.
 */
EtlTaskState
etl_work_run(EtlWork *work)
{
	ErrorContextCallback callback = {.callback = add_context, .arg = &work->attempt};
	EtlTaskState state;

	callback.previous = error_context_stack;
	error_context_stack = &callback;
	state = run_kind(work);
	if (work->attempt.task->kind != ETL_TASK_CHECK && work->gates.n > 0)
		state = run_gates(work);
	error_context_stack = callback.previous;
	return state;
}

/*
 * etl_work_explain_failure says whether an error that ended the attempt came from a check or a gate, so that the results
 * are worth keeping although everything else is rolled back. A check that raised it gets its message.
 */
bool
etl_work_explain_failure(EtlWork *work, const ErrorData *error)
{
	EtlCheckResult *last = work->n_results > 0 ? &work->result[work->n_results - 1] : NULL;

	if (last != NULL && last->state == ETL_CHECK_ERROR)
	{
		last->message = MemoryContextStrdup(work->attempt.context, error->message);
		return true;
	}
	return error->sqlerrcode == ERRCODE_ETL_CHECK_FAILED;
}

/* etl_work_store_results records what the checks found, in the current transaction. */
void
etl_work_store_results(const EtlWork *work)
{
	for (int i = 0; i < work->n_results; i++)
		etl_check_result_insert(&work->result[i]);
}
