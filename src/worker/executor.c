/*
 * executor.c
 *		The worker of one attempt: a dynamic background worker that connects as the task's owner, does the work and ends.
 *
 * While it lives it holds the attempt's lock; whoever finds an attempt running and its lock free knows that the worker
 * is gone. The data, the progress and the state of the attempt commit in one transaction. A failure is recorded in a
 * new transaction after the rollback.
 */
#include "postgres.h"

#include "access/xact.h"
#include "errors.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "worker/bgw.h"
#include "worker/context.h"
#include "worker/lock.h"
#include "worker/transition.h"
#include "worker/work.h"

extern PGDLLEXPORT void etl_executor_main(Datum arg);

static volatile sig_atomic_t timed_out = false;

/* on_timeout cancels the running statement, as a user would. Runs in a signal handler. */
static void
on_timeout(void)
{
	timed_out = true;
	kill(MyProcPid, SIGINT);
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
 * Losing this commit in a crash does no harm, so nobody waits for the disk.
 */
static bool
claim(int64 task_run_id, EtlWork *work, EtlRunInfo *info)
{
	EtlTask *task;
	int64 run_id;
	MemoryContext old;

	begin_step();
	(void) set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
	if (!etl_catalog_exists() || !etl_lock_try(ETL_LOCK_ATTEMPT, task_run_id, true) ||
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
	work->attempt.full_refresh = info->full_refresh;
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
	enable_timeout_at(RegisterTimeout(USER_TIMEOUT, on_timeout), end);
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
	etl_work_store_results(work);
	if (!etl_transition_task(&change))
		ereport(ERROR, (errcode(ERRCODE_ETL_STALE_ATTEMPT),
						errmsg("attempt " INT64_FORMAT " is no longer running and may not commit",
							   work->attempt.task_run_id)));
	end_step();
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
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED && timed_out)
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
		begin_step();
		finish(work, etl_work_run(work));
		pqsignal(SIGINT, SIG_IGN);
		QueryCancelPending = false;
	}
	PG_CATCH();
	{
		ErrorData *error;

		/* A second cancel must not keep the first from being recorded. */
		pqsignal(SIGINT, SIG_IGN);
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
	EtlBgwParams params = etl_bgw_begin();
	EtlWork work;
	EtlRunInfo info;

	if (claim(params.task_run_id, &work, &info))
	{
		etl_context_set(&info);
		work_on(&work);
		etl_context_set(NULL);
	}
	pgstat_report_stat(true);
	proc_exit(0);
}
