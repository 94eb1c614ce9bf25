/*
 * executor.c
 *		The worker of one attempt: a dynamic background worker that connects as the task's owner, does the work and ends.
 *
 * While it lives it holds the attempt's lock; whoever finds an attempt running and its lock free knows that the worker
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
#include "worker/remote.h"
#include "worker/transition.h"
#include "worker/work.h"

extern PGDLLEXPORT void etl_executor_main(Datum arg);

/* How long a cancelled statement may take to notice before its connections are cut, and how often that is looked at. */
#define PATIENCE_SECONDS 1
#define LOOK_AGAIN_MS 500

static volatile sig_atomic_t timed_out = false;
static volatile sig_atomic_t terminated = false;
static volatile sig_atomic_t cancelled = false;
static volatile sig_atomic_t working = false; /* what is at work may be interrupted */
static volatile time_t interrupted_at = 0;

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

/*
 * claim takes the attempt: its lock, its row, its definition. False: it is somebody else's, or was given up meanwhile.
 * The commit waits for the disk, and the scheduler's mark that the attempt is running with it: a task that takes the server
 * down at once must be seen to have been at work.
 */
static bool
claim(int64 task_run_id, EtlWork *work, EtlRunInfo *info)
{
	EtlTask *task;
	int64 run_id;
	MemoryContext old;

	begin_step();
	is_read_only = XactReadOnly;
	XactReadOnly = false;
	if (!etl_extension_hold() || !etl_lock_try(ETL_LOCK_ATTEMPT, task_run_id, true) ||
		!etl_task_run_claim(task_run_id, MyProcPid))
	{
		end_step();
		return false;
	}
	old = MemoryContextSwitchTo(TopMemoryContext);
	task = etl_task_run_task(task_run_id, &run_id);
	etl_run_info(run_id, info);
	etl_work_prepare(work, task, run_id, task_run_id);
	MemoryContextSwitchTo(old);
	etl_work_of_run(work, info);
	ETL_FAULT_BEGIN(task->name, etl_task_run_attempt(task_run_id));
	end_step();
	return true;
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
	enable_timeout_every(RegisterTimeout(USER_TIMEOUT, on_timeout), end, LOOK_AGAIN_MS);
}

/* finish puts the state into the step that the work left open, and commits all of it. */
static void
finish(EtlWork *work, EtlTaskState state)
{
	EtlTaskChange change = {
		.task_run_id = work->attempt.task_run_id,
		.from = ETL_TASK_RUNNING,
		.to = state,
		.attempt = &work->attempt,
	};

	if (state == ETL_TASK_FAILED)
	{
		change.error_sqlstate = "ZE003";
		change.error_message = psprintf("check failed: %s", work->result[0].message);
	}
	/* A cancel that has cut a connection must not be overtaken by the commit of what looked like the end of the data. */
	CHECK_FOR_INTERRUPTS();
	etl_work_store_results(work);
	if (!etl_transition_task(&change))
		ereport(ERROR, (errcode(ERRCODE_ETL_STALE_ATTEMPT),
						errmsg("attempt " INT64_FORMAT " is no longer running and may not commit",
							   work->attempt.task_run_id)));
	ETL_FAULT("before_commit");
	end_step();
	ETL_FAULT("after_commit");
}

/* record_failure writes down, in a new transaction, why the attempt failed. */
static void
record_failure(EtlWork *work, ErrorData *error)
{
	EtlTaskChange change = {
		.task_run_id = work->attempt.task_run_id,
		.from = ETL_TASK_RUNNING,
		.to = ETL_TASK_FAILED,
		.attempt = &work->attempt,
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
	else if (error->sqlerrcode == ERRCODE_QUERY_CANCELED && etl_run_cancel_requested(work->attempt.run_id))
		change.to = ETL_TASK_CANCELLED;
	/* What was counted since the last commit was rolled back. */
	memset(&work->attempt.counts, 0, sizeof(work->attempt.counts));
	change.attempt = NULL;
	if (etl_work_explain_failure(work, error))
		etl_work_store_results(work);
	(void) etl_transition_task(&change);
	end_step();
}

/* work_on does the attempt and records how it ended. */
static void
work_on(EtlWork *work)
{
	MemoryContext caller = CurrentMemoryContext;

	PG_TRY();
	{
		start_timeout(work->attempt.task);
		working = true;
		if (terminated || cancelled)
			interrupt();
		CHECK_FOR_INTERRUPTS();
		ETL_FAULT("claimed");
		begin_step();
		finish(work, etl_work_run(work));
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
		MemoryContextSwitchTo(work->attempt.context);
		error = CopyErrorData();
		EmitErrorReport();
		FlushErrorState();
		AbortCurrentTransaction();
		QueryCancelPending = false;
		RESUME_INTERRUPTS();
		record_failure(work, error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
}

/* etl_executor_main is the worker's entry. */
void
etl_executor_main(Datum arg)
{
	EtlBgwParams params;
	EtlWork work;
	EtlRunInfo info;

	/* From the start: who is cancelled while he connects has to say so in the end. */
	pqsignal(SIGINT, on_cancel);
	params = etl_bgw_begin();
	pqsignal(SIGTERM, on_terminate);

	if (claim(params.task_run_id, &work, &info))
	{
		etl_context_set(&info);
		work_on(&work);
		etl_context_set(NULL);
	}
	pgstat_report_stat(true);
	proc_exit(0);
}
