/*
 * work.c
 *		The work of one attempt, the same in a worker and inline: the task's own work, then the gates before its commit.
 */
#include "postgres.h"

#include "catalog/undo.h"
#include "contract/contract.h"
#include "errors.h"
#include "load/bisect.h"
#include "load/load.h"
#include "miscadmin.h"
#include "observe/progress.h"
#include "quality/check.h"
#include "quality/screen.h"
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

/* add_screens tells the load of the checks that put rows aside. Their results are those of the gates. */
static void
add_screens(EtlWork *work)
{
	for (int i = 0; i < work->gates.n; i++)
	{
		EtlScreen *screen;

		if (!etl_check_is_screen(work->gates.task[i]))
			continue;
		screen = palloc0(sizeof(EtlScreen));
		screen->check = work->gates.task[i];
		screen->result = work->result[i];
		work->attempt.screens = lappend(work->attempt.screens, screen);
	}
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
	work->n_results = task->kind == ETL_TASK_CHECK ? 1 : work->gates.n;
	work->result = palloc(sizeof(EtlCheckResult *) * Max(work->n_results, 1));
	for (int i = 0; i < work->n_results; i++)
	{
		const EtlTask *check = task->kind == ETL_TASK_CHECK ? task : work->gates.task[i];

		work->result[i] = palloc0(sizeof(EtlCheckResult));
		work->result[i]->run_id = run_id;
		work->result[i]->task_run_id = task_run_id;
		work->result[i]->rolls_back = check->gate != NULL;
	}
	add_screens(work);
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

/* Checks that are evaluated together. */
typedef struct Checks
{
	const EtlTask **task;
	EtlCheckResult **result;
	int n;
} Checks;

/* scan_checks is for etl_bisect_catch. */
static void
scan_checks(void *arg)
{
	Checks *scan = arg;

	etl_check_evaluate(scan->task, scan->result, scan->n);
}

/* scan_of returns the checks of some works, in the memory of the first. */
static Checks
scan_of(List *works, bool is_published)
{
	Checks scan = {palloc(sizeof(EtlTask *) * list_length(works)),
				   palloc(sizeof(EtlCheckResult *) * list_length(works)), 0};
	ListCell *cell;

	foreach (cell, works)
	{
		EtlWork *work = lfirst(cell);

		work->result[0]->rolls_back = is_published;
		work->is_evaluated = true;
		scan.task[scan.n] = work->attempt.task;
		scan.result[scan.n++] = work->result[0];
	}
	return scan;
}

/* evaluate_each evaluates checks one by one. Those that raise an error are left to an attempt of their own. */
static List *
evaluate_each(List *works, bool is_published)
{
	List *good = NIL;
	ListCell *cell;

	foreach (cell, works)
	{
		EtlWork *work = lfirst(cell);
		Checks one = scan_of(list_make1(work), is_published);

		CHECK_FOR_INTERRUPTS();
		if (etl_bisect_catch(scan_checks, &one) == NULL)
			good = lappend(good, work);
		else
		{
			work->is_evaluated = false;
			work->result[0]->check_name = NULL;
		}
	}
	return good;
}

/* evaluate_with evaluates a task of kind check, and those that the same scan answers. */
static void
evaluate_with(EtlWork *work)
{
	MemoryContext old = MemoryContextSwitchTo(work->attempt.context);
	bool is_published = work->attempt.is_published;
	Checks all = scan_of(lcons(work, list_copy(work->siblings)), is_published);

	if (all.n == 1)
		scan_checks(&all);
	else if (etl_bisect_catch(scan_checks, &all) != NULL)
	{
		Checks own = scan_of(list_make1(work), is_published);

		work->siblings = evaluate_each(work->siblings, is_published);
		scan_checks(&own);
	}
	MemoryContextSwitchTo(old);
}

/* state_of returns the state that a check reaches by its result. */
static EtlTaskState
state_of(const EtlTask *check, EtlCheckState state)
{
	switch (state)
	{
		case ETL_CHECK_PASS:
		case ETL_CHECK_NOT_EVALUATED:
			return ETL_TASK_SUCCESS;
		case ETL_CHECK_WARN:
			return ETL_TASK_WARNING;
		case ETL_CHECK_FAIL:
			return etl_check_only_warns(check) ? ETL_TASK_WARNING : ETL_TASK_FAILED;
		case ETL_CHECK_ERROR:
			return ETL_TASK_FAILED;
	}
	pg_unreachable();
}

/* etl_work_check_state notes what a check that was evaluated has to say, and returns the state that it reaches. */
EtlTaskState
etl_work_check_state(EtlWork *work)
{
	work->attempt.sql = work->result[0]->sql;
	etl_attempt_note(&work->attempt, "%s", work->result[0]->message);
	return state_of(work->attempt.task, work->result[0]->state);
}

/* run_check does the work of a task of kind check. A failed check is a result, not an exception. */
static EtlTaskState
run_check(EtlWork *work)
{
	if (!work->is_evaluated)
		evaluate_with(work);
	return etl_work_check_state(work);
}

/* evaluate_gates evaluates the gates that stand before the task or, otherwise, before its commit. */
static void
evaluate_gates(EtlWork *work, bool before_task)
{
	MemoryContext old = MemoryContextSwitchTo(work->attempt.context);
	const EtlTask **task = palloc(sizeof(EtlTask *) * work->gates.n);
	EtlCheckResult **result = palloc(sizeof(EtlCheckResult *) * work->gates.n);
	ListCell *cell;
	int n = 0;

	for (int i = 0; i < work->gates.n; i++)
	{
		const EtlTask *gate = work->gates.task[i];

		if (etl_check_is_screen(gate) || etl_check_is_before_task(gate) != before_task)
			continue;
		task[n] = gate;
		result[n++] = work->result[i];
	}
	if (!before_task)
		foreach (cell, work->attempt.screens)
			etl_screen_note_nothing(lfirst(cell));
	etl_check_evaluate(task, result, n);
	MemoryContextSwitchTo(old);
}

/*
 * run_gates evaluates gates: before the task, or on its uncommitted result. Errors: ZE003 when one of them fails.
 */
static EtlTaskState
run_gates(EtlWork *work, bool before_task)
{
	EtlTaskState state = ETL_TASK_SUCCESS;
	int failed = -1;

	etl_progress_step(ETL_STEP_CHECK);
	evaluate_gates(work, before_task);
	for (int i = 0; i < work->gates.n; i++)
	{
		const EtlTask *gate = work->gates.task[i];
		EtlTaskState reached = state_of(gate, work->result[i]->state);

		if (etl_check_is_before_task(gate) != before_task || reached == ETL_TASK_SUCCESS)
			continue;
		if (reached == ETL_TASK_FAILED && failed < 0)
			failed = i;
		state = ETL_TASK_WARNING;
		etl_attempt_note(&work->attempt, "%s: %s", gate->name, work->result[i]->message);
	}
	if (failed >= 0)
		ereport(ERROR, (errcode(ERRCODE_ETL_CHECK_FAILED),
						errmsg("gate \"%s\" failed: %s", work->gates.task[failed]->name, work->result[failed]->message),
						before_task ? errdetail("The task has not begun.")
									: errdetail("What the task had written was rolled back."),
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
	bool has_gates = work->attempt.task->kind != ETL_TASK_CHECK && work->gates.n > 0;
	EtlTaskState before = ETL_TASK_SUCCESS;
	EtlTaskState state;

	callback.previous = error_context_stack;
	error_context_stack = &callback;
	if (has_gates)
		before = run_gates(work, true);
	state = run_kind(work);
	if (has_gates)
		state = run_gates(work, false);
	if (work->attempt.task->kind == ETL_TASK_EXTRACT)
		etl_contract_extracted(&work->attempt);
	error_context_stack = callback.previous;
	return before == ETL_TASK_WARNING ? before : state;
}

/*
 * etl_work_explain_failure says whether an error that ended the attempt came from a check or a gate, so that the results
 * are worth keeping although everything else is rolled back. A check that raised it gets its message.
 */
bool
etl_work_explain_failure(EtlWork *work, const ErrorData *error)
{
	for (int i = 0; i < work->n_results; i++)
	{
		EtlCheckResult *result = work->result[i];

		if (!etl_check_result_begun(result) || result->state != ETL_CHECK_ERROR)
			continue;
		result->message = MemoryContextStrdup(work->attempt.context, error->message);
		return true;
	}
	return error->sqlerrcode == ERRCODE_ETL_CHECK_FAILED;
}

/* etl_work_store_results records what the checks found, in the current transaction. */
void
etl_work_store_results(const EtlWork *work)
{
	for (int i = 0; i < work->n_results; i++)
		if (etl_check_result_begun(work->result[i]))
			etl_check_result_insert(work->result[i]);
}
