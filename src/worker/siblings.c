/*
 * siblings.c
 *		Checks that are evaluated in the same scan. See siblings.h.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/siblings.h"
#include "worker/transition.h"

/* etl_siblings_key has all that an attempt has only one of. */
char *
etl_siblings_key(const EtlTask *check)
{
	const char *timeout = check->timeout
							  ? DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(check->timeout)))
							  : "";

	return psprintf("%s\n%u\n%s\n%s\n%s", check->target, check->owner, check->search_path,
					check->pool ? check->pool : "", timeout);
}

/* fit says whether two tasks are checks that one attempt can evaluate. */
static bool
fit(const EtlTask *one, const EtlTask *other)
{
	return one->kind == ETL_TASK_CHECK && other->kind == ETL_TASK_CHECK &&
		   strcmp(etl_siblings_key(one), etl_siblings_key(other)) == 0;
}

/* find_ready adds the ready checks of the run. */
static void
find_ready(EtlWork *work, const EtlRunInfo *info)
{
	MemoryContext old = MemoryContextSwitchTo(work->attempt.context);
	int64 *task_run_id;
	EtlTaskList ready = etl_task_run_ready_checks(info->run_id, work->attempt.task->target, &task_run_id);

	for (int i = 0; i < ready.n; i++)
	{
		EtlWork *sibling;

		if (!fit(work->attempt.task, ready.task[i]))
			continue;
		sibling = palloc(sizeof(EtlWork));
		etl_work_prepare(sibling, ready.task[i], info->run_id, task_run_id[i]);
		MemoryContextSetParent(sibling->attempt.context, work->attempt.context);
		work->siblings = lappend(work->siblings, sibling);
	}
	MemoryContextSwitchTo(old);
}

/* find_next adds the members that follow, as far as they are checks. */
static void
find_next(EtlPublish *publish)
{
	EtlWork *work = publish->work[publish->at];
	MemoryContext old = MemoryContextSwitchTo(work->attempt.context);

	for (int i = publish->at + 1; i < publish->n && publish->work[i]->attempt.task->kind == ETL_TASK_CHECK; i++)
		if (fit(work->attempt.task, publish->work[i]->attempt.task))
			work->siblings = lappend(work->siblings, publish->work[i]);
	MemoryContextSwitchTo(old);
}

/* etl_siblings_find looks among the members, or in the run. */
void
etl_siblings_find(EtlPublish *publish, const EtlRunInfo *info)
{
	EtlWork *work = publish->work[publish->at];

	if (work->attempt.task->kind != ETL_TASK_CHECK || work->is_evaluated)
		return;
	if (publish->n > 1)
		find_next(publish);
	else
		find_ready(work, info);
}

/* finish_one takes a check from ready to its state; it is left alone when somebody else has started it. */
static void
finish_one(EtlWork *sibling)
{
	EtlTaskChange change = {
		.task_run_id = sibling->attempt.task_run_id,
		.from = ETL_TASK_READY,
		.to = ETL_TASK_RUNNING,
	};

	if (!etl_transition_task(&change) || !etl_task_run_claim(change.task_run_id, MyProcPid, 0))
		return;
	change.from = ETL_TASK_RUNNING;
	change.to = etl_work_check_state(sibling);
	change.attempt = &sibling->attempt;
	if (change.to == ETL_TASK_FAILED)
	{
		change.error_sqlstate = "ZE003";
		change.error_message = psprintf("check failed: %s", sibling->result[0]->message);
	}
	etl_work_store_results(sibling);
	(void) etl_transition_task(&change);
}

/* etl_siblings_finish goes through them in the order of their tasks, as everybody does. */
void
etl_siblings_finish(const EtlWork *work)
{
	ListCell *cell;

	if (work->attempt.is_published)
		return;
	foreach (cell, work->siblings)
	{
		CHECK_FOR_INTERRUPTS();
		finish_one(lfirst(cell));
	}
}
