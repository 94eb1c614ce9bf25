/*
 * publish.c
 *		The work of one executor and how it ends. See publish.h.
 */
#include "postgres.h"

#include "access/xact.h"
#include "errors.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker/publish.h"
#include "worker/publish_notify.h"
#include "worker/siblings.h"
#include "worker/together.h"
#include "worker/transition.h"

/* etl_publish_make allocates. */
EtlPublish *
etl_publish_make(int n)
{
	EtlPublish *publish = palloc0(sizeof(EtlPublish));

	publish->work = palloc(sizeof(EtlWork *) * n);
	publish->state = palloc0(sizeof(EtlTaskState) * n);
	return publish;
}

/* etl_publish_add adds an attempt. */
void
etl_publish_add(EtlPublish *publish, EtlTask *task, const EtlRunInfo *info, int64 task_run_id)
{
	EtlWork *work = palloc(sizeof(EtlWork));

	etl_work_prepare(work, task, info->run_id, task_run_id);
	etl_work_of_run(work, info);
	publish->work[publish->n++] = work;
}

/* milliseconds_since returns the time that has passed. */
static int64
milliseconds_since(TimestampTz start)
{
	return (GetCurrentTimestamp() - start) / 1000;
}

/* do_work does the work in a memory context of its own: what it leaves there goes before the next. */
static EtlTaskState
do_work(EtlWork *work)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "etl publication member",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	EtlTaskState state;

	PushActiveSnapshot(GetTransactionSnapshot());
	state = etl_work_run(work);
	PopActiveSnapshot();
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return state;
}

/* etl_publish_member takes back what a task SETs: it is meant for the task, as if it had a session of its own. */
void
etl_publish_member(EtlPublish *publish)
{
	EtlWork *work = publish->work[publish->at];
	TimestampTz start = GetCurrentTimestamp();
	int level = NewGUCNestLevel();

	work->attempt.is_inline = true;
	work->attempt.is_published = true;
	etl_siblings_find(publish, NULL);
	publish->state[publish->at] = do_work(work);
	if (publish->state[publish->at] == ETL_TASK_FAILED)
		ereport(ERROR, (errcode(ERRCODE_ETL_CHECK_FAILED), errmsg("check failed: %s", work->result[0]->message),
						errdetail("What would have been published with it was rolled back."),
						errhint("Correct the data or the threshold, then run the pipeline again.")));
	AtEOXact_GUC(false, level);
	CommandCounterIncrement();
	/* started_at and ended_at are those of all. */
	etl_attempt_count(&work->attempt, "work_ms", milliseconds_since(start));
}

/* etl_publish_finish changes the states. */
void
etl_publish_finish(EtlPublish *publish)
{
	for (int i = 0; i < publish->n; i++)
	{
		EtlWork *work = publish->work[i];
		EtlTaskChange change = {
			.task_run_id = work->attempt.task_run_id,
			.from = ETL_TASK_RUNNING,
			.to = publish->state[i],
			.attempt = &work->attempt,
		};

		CHECK_FOR_INTERRUPTS();
		if (change.to == ETL_TASK_FAILED)
		{
			change.error_sqlstate = "ZE003";
			change.error_message = psprintf("check failed: %s", work->result[0]->message);
		}
		etl_work_store_results(work);
		if (etl_transition_task(&change))
		{
			etl_siblings_finish(work);
			continue;
		}
		publish->at = i;
		ereport(ERROR, (errcode(ERRCODE_ETL_STALE_ATTEMPT),
						errmsg("attempt " INT64_FORMAT " is no longer running and may not commit",
							   work->attempt.task_run_id)));
	}
	etl_publish_notify((const EtlWork *const *) publish->work, publish->n);
}

/* etl_publish_blame looks for the task whose target the error names; otherwise the last one has it. */
void
etl_publish_blame(EtlPublish *publish, const ErrorData *error)
{
	const char *target;

	if (!publish->is_complete || error->schema_name == NULL || error->table_name == NULL)
		return;
	target = quote_qualified_identifier(error->schema_name, error->table_name);
	for (int i = 0; i < publish->n; i++)
	{
		const EtlTask *task = publish->work[i]->attempt.task;

		if (task->kind != ETL_TASK_CHECK && task->target != NULL && strcmp(task->target, target) == 0)
			publish->at = i;
	}
}

/* etl_publish_record_failure keeps what checks found of the attempt at fault only: the rest was measured in rows that are gone. */
void
etl_publish_record_failure(EtlPublish *publish, EtlTaskChange *change, const ErrorData *error)
{
	EtlWork *at_fault = publish->work[publish->at];
	EtlTaskChange other = {.from = ETL_TASK_RUNNING, .to = change->to};

	/* What was counted since the last commit was rolled back. */
	memset(&at_fault->attempt.counts, 0, sizeof(at_fault->attempt.counts));
	if (etl_work_explain_failure(at_fault, error))
		etl_work_store_results(at_fault);
	change->task_run_id = at_fault->attempt.task_run_id;
	change->from = ETL_TASK_RUNNING;
	change->meter = &at_fault->attempt.meter;
	other.error_sqlstate = change->error_sqlstate;
	other.error_message = change->error_message;
	if (change->to == ETL_TASK_FAILED)
	{
		other.error_sqlstate = ETL_TOGETHER_ROLLED_BACK;
		other.error_message = etl_together_rolled_back_message(at_fault->attempt.task->name);
		other.error_detail = psprintf("%s: %s", at_fault->attempt.task->name, change->error_message);
		other.error_hint = ETL_TOGETHER_HINT;
	}
	for (int i = 0; i < publish->n; i++)
	{
		other.task_run_id = publish->work[i]->attempt.task_run_id;
		/* One that never was at work has used nothing. */
		if (!publish->work[i]->attempt.meter.is_running)
			etl_usage_start(&publish->work[i]->attempt.meter);
		other.meter = &publish->work[i]->attempt.meter;
		(void) etl_transition_task(i == publish->at ? change : &other);
	}
}
