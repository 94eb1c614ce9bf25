/*
 * executor.c
 *		The worker of one attempt, or of all that are published at one commit: a dynamic background worker that connects as
 *		the owner of the tasks, does the work and ends.
 *
 * While it lives it holds the lock of each attempt; whoever finds an attempt running and its lock free knows that the worker
 * is gone. The data, the progress and the state of the attempt commit in one transaction. A failure is recorded in a
 * new transaction after the rollback.
 */
#include "postgres.h"

#include <time.h>

#include "access/xact.h"
#include "catalog/extension.h"
#include "errors.h"
#include "fault.h"
#include "miscadmin.h"
#include "observe/progress.h"
#include "observe/statement.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "worker/bgw.h"
#include "worker/context.h"
#include "worker/lock.h"
#include "worker/publish.h"
#include "worker/remote.h"

extern PGDLLEXPORT void etl_executor_main(Datum arg);

/* How long a cancelled statement may take to notice before its connections are cut, and how often that is looked at. */
#define PATIENCE_SECONDS 1
#define LOOK_AGAIN_MS 500

static volatile sig_atomic_t timed_out = false;
static volatile sig_atomic_t terminated = false;
static volatile sig_atomic_t cancelled = false;
static volatile sig_atomic_t working = false; /* what is at work may be interrupted */
static volatile time_t interrupted_at = 0;

static TimeoutId timeout_id = MAX_TIMEOUTS; /* MAX_TIMEOUTS: not registered yet */

/* The owner may not write (default_transaction_read_only). His tasks fail then, which is written down all the same. */
static bool is_read_only = false;

/*
 * interrupt cancels the running statement. A foreign data wrapper that sits in its client library and does not look for
 * interrupts (mysql_fdw) is woken by cutting its connection: the error, or the end, that it then sees comes before the
 * cancel that is pending. Runs in a signal handler.
 */
static void
interrupt(void)
{
	time_t now = time(NULL);

	if (!working)
		return;
	if (interrupted_at == 0)
		interrupted_at = now;
	else if (now - interrupted_at >= PATIENCE_SECONDS)
		etl_remote_cut();
	InterruptPending = true;
	QueryCancelPending = true;
	SetLatch(MyLatch);
}

/* on_cancel: somebody has cancelled the run or the statement, which may not have begun yet. */
static void
on_cancel(SIGNAL_ARGS)
{
	int save_errno = errno;

	cancelled = true;
	interrupt();
	errno = save_errno;
}

/* on_timeout: the attempt has taken too long. Comes again until it has ended. */
static void
on_timeout(void)
{
	timed_out = true;
	interrupt();
}

/*
 * on_terminate: the server is shutting down, or somebody has terminated this worker. The first time the attempt is
 * cancelled and records that, because what it could not record would look like a crash; the second time it just ends.
 */
static void
on_terminate(SIGNAL_ARGS)
{
	int save_errno = errno;

	if (terminated)
		die(postgres_signal_arg);
	terminated = true;
	interrupt();
	errno = save_errno;
}

/* begin_member tells sessions that look, and the fault points of a test, which attempt is at work. */
static void
begin_member(const EtlPublish *publish)
{
	const EtlAttempt *attempt = &publish->work[publish->at]->attempt;

	etl_progress_begin(attempt->task_run_id, etl_run_pipeline_name(attempt->run_id), attempt->task->name);
#ifdef ETL_FAULTS
	ETL_FAULT_BEGIN(attempt->task->name, etl_task_run_attempt(attempt->task_run_id));
#endif
}

/* begin_step opens a transaction with a snapshot. */
static void
begin_step(void)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
}

/* end_step commits it. */
static void
end_step(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/* claim_one takes an attempt: its lock and its row. */
static bool
claim_one(int64 task_run_id)
{
	return etl_lock_try(ETL_LOCK_ATTEMPT, task_run_id, true) &&
		   etl_task_run_claim(task_run_id, MyProcPid, etl_live_handle());
}

/* claim_alone takes the one attempt of this worker. */
static EtlPublish *
claim_alone(int64 task_run_id, EtlRunInfo *info)
{
	EtlPublish *publish = etl_publish_make(1);
	int64 run_id;
	EtlTask *task = etl_task_run_task(task_run_id, &run_id);

	etl_run_info(run_id, info);
	etl_publish_add(publish, task, info, task_run_id);
	return publish;
}

/* claim_all takes all that are published with an attempt; NULL: one of them is somebody else's, or was given up. */
static EtlPublish *
claim_all(int64 task_run_id, EtlRunInfo *info)
{
	int64 run_id;
	EtlRun *run;
	EtlTaskRun *current;
	EtlPublish *publish;

	(void) etl_task_run_task(task_run_id, &run_id);
	etl_run_info(run_id, info);
	run = etl_run_load(run_id);
	if (run->publication == NULL)
		return NULL;
	current = etl_task_run_current(run_id, &run->tasks);
	publish = etl_publish_make(run->publication->n);
	for (int i = 0; i < run->publication->n; i++)
	{
		int node = run->publication->member[i];

		if (current[node].state != ETL_TASK_RUNNING)
			continue;
		if (current[node].task_run_id != task_run_id && !claim_one(current[node].task_run_id))
			return NULL;
		etl_publish_add(publish, run->tasks.task[node], info, current[node].task_run_id);
	}
	return publish;
}

/*
 * claim takes the attempt, or all that are published with it: locks, rows, definitions. NULL: one is somebody else's, or was
 * given up meanwhile. The commit waits for the disk, and the scheduler's mark that the attempt is running with it: a task
 * that takes the server down at once must be seen to have been at work.
 */
static EtlPublish *
claim(const EtlBgwParams *params, EtlRunInfo *info)
{
	EtlPublish *publish;
	MemoryContext old;

	begin_step();
	is_read_only = XactReadOnly;
	XactReadOnly = false;
	(void) etl_live_make(params->task_run_id);
	etl_observe_statements();
	if (!etl_extension_hold() || !claim_one(params->task_run_id))
	{
		end_step();
		return NULL;
	}
	old = MemoryContextSwitchTo(TopMemoryContext);
	publish = params->is_publication ? claim_all(params->task_run_id, info) : claim_alone(params->task_run_id, info);
	MemoryContextSwitchTo(old);
	if (publish == NULL)
	{
		AbortCurrentTransaction();
		return NULL;
	}
	begin_member(publish);
	end_step();
	return publish;
}

/* stop_timeout disarms the timeout of an attempt that has done its work; it may have come at the last moment. */
static void
stop_timeout(void)
{
	if (timeout_id < MAX_TIMEOUTS)
		disable_timeout(timeout_id, false);
	CHECK_FOR_INTERRUPTS();
}

/* start_timeout arms the attempt's own timeout. */
static void
start_timeout(const EtlTask *task)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz end;

	if (task->timeout == NULL)
		return;
	end = DatumGetTimestampTz(
		DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(now), IntervalPGetDatum(task->timeout)));
	if (timeout_id == MAX_TIMEOUTS)
		timeout_id = RegisterTimeout(USER_TIMEOUT, on_timeout);
	enable_timeout_every(timeout_id, end, LOOK_AGAIN_MS);
}

/* do_all does the work of each attempt. The timeout of the last one covers the commit as well. */
static void
do_all(EtlPublish *publish)
{
	if (publish->n == 1)
		publish->state[0] = etl_work_run(publish->work[0]);
	else
		for (;;)
		{
			etl_publish_member(publish);
			if (publish->at == publish->n - 1)
				break;
			stop_timeout();
			etl_live_read(&publish->work[publish->at]->attempt.meter);
			publish->at++;
			begin_member(publish);
			etl_usage_start(&publish->work[publish->at]->attempt.meter);
			start_timeout(publish->work[publish->at]->attempt.task);
		}
	publish->is_complete = true;
}

/* finish puts the states into the step that the work left open, and commits all of it. */
static void
finish(EtlPublish *publish)
{
	/* A cancel that has cut a connection must not be overtaken by the commit of what looked like the end of the data. */
	CHECK_FOR_INTERRUPTS();
	etl_live_read(&publish->work[publish->at]->attempt.meter);
	etl_progress_step(ETL_STEP_FINISH);
	etl_publish_finish(publish);
	ETL_FAULT("before_commit");
	end_step();
	ETL_FAULT("after_commit");
}

/* record_failure writes down, in a new transaction, why the attempt failed, and with it all others. */
static void
record_failure(EtlPublish *publish, ErrorData *error)
{
	EtlTaskChange change = {
		.to = ETL_TASK_FAILED,
		.error_sqlstate = pstrdup(unpack_sql_state(error->sqlerrcode)),
		.error_message = error->message,
		.error_detail = error->detail,
		.error_hint = error->hint,
		.error_context = error->context,
	};

	begin_step();
	if (is_read_only)
		XactReadOnly = false;
	if (!etl_extension_hold())
	{
		/* DROP EXTENSION takes everything along that could be written to, or finds it as it is. */
		end_step();
		return;
	}
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED && terminated)
	{
		change.error_sqlstate = "57P01";
		change.error_message = "the attempt was terminated";
		change.error_detail = "Its worker was told to end: by a shutdown of the server, or by an administrator.";
	}
	else if (error->sqlerrcode == ERRCODE_QUERY_CANCELED && timed_out)
	{
		change.error_sqlstate = "ZE009";
		change.error_message = "the attempt took longer than the timeout of its task";
	}
	else if (error->sqlerrcode == ERRCODE_QUERY_CANCELED && etl_run_cancel_requested(publish->work[0]->attempt.run_id))
		change.to = ETL_TASK_CANCELLED;
	etl_publish_blame(publish, error);
	etl_publish_record_failure(publish, &change, error);
	end_step();
}

/* work_on does the work and records how it ended. */
static void
work_on(EtlPublish *publish)
{
	MemoryContext caller = CurrentMemoryContext;

	PG_TRY();
	{
		etl_usage_start_process(&publish->work[0]->attempt.meter);
		start_timeout(publish->work[0]->attempt.task);
		working = true;
		if (terminated || cancelled)
			interrupt();
		CHECK_FOR_INTERRUPTS();
		ETL_FAULT("claimed");
		begin_step();
		do_all(publish);
		finish(publish);
		working = false;
		QueryCancelPending = false;
	}
	PG_CATCH();
	{
		ErrorData *error;

		/* A second cancel must not keep the first from being recorded. */
		working = false;
		disable_all_timeouts(false);
		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(publish->work[publish->at]->attempt.context);
		error = CopyErrorData();
		EmitErrorReport();
		FlushErrorState();
		AbortCurrentTransaction();
		QueryCancelPending = false;
		RESUME_INTERRUPTS();
		etl_live_read(&publish->work[publish->at]->attempt.meter);
		record_failure(publish, error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
}

/* etl_executor_main is the worker's entry. */
void
etl_executor_main(Datum arg)
{
	EtlBgwParams params;
	EtlPublish *publish;
	EtlRunInfo info;

	/* From the start: who is cancelled while he connects has to say so in the end. */
	pqsignal(SIGINT, on_cancel);
	params = etl_bgw_begin();
	pqsignal(SIGTERM, on_terminate);

	publish = claim(&params, &info);
	if (publish != NULL)
	{
		etl_context_set(&info);
		work_on(publish);
		etl_context_set(NULL);
	}
	pgstat_report_stat(true);
	proc_exit(0);
}
