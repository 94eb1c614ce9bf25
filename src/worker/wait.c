/*
 * wait.c
 *		Waiting for a run, and telling a person of it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/extension.h"
#include "catalog/pg_type.h"
#include "errors.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker/wait.h"

/* Time between two looks, in ms: short at first, so that a short run is not made longer by waiting for it. */
#define LOOK_FIRST 5
#define LOOK_LAST 100

/* The tasks that were told of already. */
typedef struct Seen
{
	int n;
	int size;
	Datum *task_run_id;
} Seen;

/* etl_wait_report_task tells of a task that has ended. */
void
etl_wait_report_task(const EtlTaskEnd *end)
{
	const char *again = end->attempt > 1 ? psprintf(" (attempt %d)", end->attempt) : "";

	if (end->state == ETL_TASK_RETRY)
		ereport(NOTICE,
				(errmsg("%s: attempt %d begins at %s", end->task, end->attempt, timestamptz_to_str(end->ready_at))));
	else if (end->error_message)
		ereport(NOTICE,
				(errmsg("%s: %s%s: %s", end->task, etl_state_task_name(end->state), again, end->error_message)));
	else if (end->message)
		ereport(NOTICE, (errmsg("%s: %s%s, %s; %s", end->task, etl_state_task_name(end->state), again, end->summary,
								end->message)));
	else if (end->summary && end->summary[0])
		ereport(NOTICE, (errmsg("%s: %s%s, %s", end->task, etl_state_task_name(end->state), again, end->summary)));
	else
		ereport(NOTICE, (errmsg("%s: %s%s", end->task, etl_state_task_name(end->state), again)));
}

/* report tells of the tasks that have ended since the last look. */
static void
report(const EtlWait *wait, Seen *seen, MemoryContext context)
{
	EtlTaskEnd *end;
	int n = etl_task_run_ended(wait->run_id, wait->after, seen->task_run_id, seen->n, &end);

	if (seen->n + n > seen->size)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		Datum *bigger = palloc(sizeof(Datum) * (seen->n + n) * 2);

		memcpy(bigger, seen->task_run_id, sizeof(Datum) * seen->n);
		seen->task_run_id = bigger;
		seen->size = (seen->n + n) * 2;
		MemoryContextSwitchTo(old);
	}
	for (int i = 0; i < n; i++)
	{
		etl_wait_report_task(&end[i]);
		seen->task_run_id[seen->n++] = Int64GetDatum(end[i].task_run_id);
	}
}

/*
 * check_blocked raises an error when a task of the run waits for a lock of this very session: neither would ever go on.
 * PostgreSQL's own deadlock check cannot see it, because this session does not wait for a lock.
 */
static void
check_blocked(int64 run_id)
{
	char *task = etl_task_run_blocked_by(run_id, MyProcPid);

	if (task != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_DEADLOCK_DETECTED),
				 errmsg("task \"%s\" waits for a lock that this session holds", task),
				 errdetail("The session waits for the run, so neither would end. This error gives the lock up at the "
						   "end of the transaction, and the run is cancelled unless it ends first."),
				 errhint("End the transaction that holds the lock, then run the pipeline; for statements that wait for "
						 "every transaction, as CREATE INDEX CONCURRENTLY does, use CALL etl.execute_pipeline(...).")));
}

/*
 * check_dropped raises an error when somebody is dropping the extension: he waits for this transaction, whose run makes
 * no progress any more because its workers have given way to him. Errors: 55000.
 */
static void
check_dropped(int64 run_id)
{
	if (etl_extension_contended())
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("cannot wait for run " INT64_FORMAT " while the extension is being dropped", run_id),
						errdetail("DROP EXTENSION waits for the end of this transaction."),
						errhint("If it is rolled back, wait again with etl.wait_for_run.")));
}

/* look reads the state of the run once. */
static EtlRunState
look(const EtlWait *wait, Seen *seen, MemoryContext context, bool check_locks)
{
	EtlRunState state;

	PushActiveSnapshot(GetLatestSnapshot());
	/* State first: the tasks of an ended run are then all told of. */
	if (!etl_run_state(wait->run_id, &state, NULL))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("run " INT64_FORMAT " does not exist", wait->run_id),
						errdetail("It was never created, or its pipeline was dropped."),
						errhint("SELECT run_id, state FROM etl.run_status lists the runs.")));
	if (wait->report)
		report(wait, seen, context);
	if (check_locks && !etl_state_run_ended(state))
	{
		check_dropped(wait->run_id);
		check_blocked(wait->run_id);
	}
	PopActiveSnapshot();
	return state;
}

/* etl_wait_check_isolation refuses a transaction that would never see a run end. Errors: 55000. */
void
etl_wait_check_isolation(void)
{
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot wait for a run in a transaction of isolation level REPEATABLE READ or SERIALIZABLE"),
				 errdetail("The transaction would never see the run end."),
				 errhint("Use READ COMMITTED, or wait => false.")));
}

/*
 * etl_wait_for waits until a run has ended, or until wait->until, and returns its state then. Errors: 42704 if there is
 * no such run, 40P01 when the run waits for this session.
 */
EtlRunState
etl_wait_for(const EtlWait *wait)
{
	MemoryContext context = AllocSetContextCreate(wait->commit ? TopMemoryContext : CurrentMemoryContext, "etl wait",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext per_look = AllocSetContextCreate(context, "etl wait look", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = CurrentMemoryContext;
	TimestampTz next_lock_check = GetCurrentTimestamp() + USECS_PER_SEC;
	long pause = LOOK_FIRST;
	EtlRunState state;
	Seen seen = {0};

	etl_wait_check_isolation();
	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();
		bool check_locks = now >= next_lock_check;

		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(per_look);
		state = look(wait, &seen, context, check_locks);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(per_look);
		if (check_locks)
			next_lock_check = now + USECS_PER_SEC;
		if (etl_state_run_ended(state) || now >= wait->until)
			break;
		if (wait->commit)
			SPI_commit();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, pause, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		pause = Min(pause * 2, LOOK_LAST);
	}
	MemoryContextDelete(context);
	return state;
}

/* etl_wait_raise raises the error of a run that ended as failed or cancelled; says why one was skipped. */
void
etl_wait_raise(int64 run_id, const char *pipeline, EtlRunState state)
{
	char *message = NULL;
	EtlRunState now;

	(void) etl_run_state(run_id, &now, &message);
	if (state == ETL_RUN_FAILED)
		ereport(ERROR,
				(errcode(ERRCODE_ETL_RUN_FAILED),
				 errmsg("run " INT64_FORMAT " of pipeline \"%s\" failed", run_id, pipeline),
				 message ? errdetail("%s", message) : 0,
				 errhint("SELECT * FROM etl.task_status WHERE run_id = " INT64_FORMAT " shows every task.", run_id)));
	if (state == ETL_RUN_CANCELLED)
		ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED),
						errmsg("run " INT64_FORMAT " of pipeline \"%s\" was cancelled", run_id, pipeline),
						message ? errdetail("%s", message) : 0));
	if ((state == ETL_RUN_SUCCESS || state == ETL_RUN_WARNING) && message)
		ereport(NOTICE, (errmsg("run " INT64_FORMAT " of pipeline \"%s\": %s", run_id, pipeline, message)));
	if (state == ETL_RUN_SKIPPED)
		ereport(NOTICE, (errmsg("run " INT64_FORMAT " of pipeline \"%s\" was skipped", run_id, pipeline),
						 message ? errdetail("%s", message) : 0));
}
