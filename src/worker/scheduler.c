/*
 * scheduler.c
 *		The scheduler of a database: a dynamic background worker, unique by a lock, gone when there is nothing left to do.
 *		Started by a request for a run, by the launcher, or by a change that needs one.
 *
 * All it knows is in etl.run and etl.task_run; a new scheduler continues where a former one ended. Between its steps it
 * is in no transaction, and it sleeps until something is due or somebody wakes it. A run whose handling raises an error is
 * ended as failed, so that it cannot stop the others.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/extension.h"
#include "catalog/spi.h"
#include "miscadmin.h"
#include "notify/alert.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/advance.h"
#include "worker/bgw.h"
#include "worker/boot.h"
#include "worker/chores.h"
#include "worker/known.h"
#include "worker/launcher.h"
#include "worker/lock.h"
#include "worker/request.h"
#include "worker/slot.h"
#include "worker/start.h"
#include "worker/step.h"
#include "worker/transition.h"

extern PGDLLEXPORT void etl_scheduler_main(Datum arg);

/* Longest time between two looks at a run without tasks at work of which no signal comes, in ms: a safety net. */
#define LOOK_WAITING 30000
/* Longest sleep: while somebody waits for a run, whose death is only seen by his lock, and when workers are short. */
#define SLEEP_WAITED_FOR 1000
#define SLEEP_SHORT_OF_WORKERS 100

/* after returns the moment that many ms from now. */
static TimestampTz
after(int ms)
{
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms);
}

/* timeout_of returns when a run has to be cancelled by its run_timeout; DT_NOEND: never. */
static TimestampTz
timeout_of(const EtlRunLine *line, const EtlRun *run)
{
	if (run->pipeline->run_timeout == NULL || line->state != ETL_RUN_RUNNING)
		return DT_NOEND;
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(line->started_at),
												   IntervalPGetDatum(run->pipeline->run_timeout)));
}

/* reason_to_cancel says why a run has to be cancelled that nobody has cancelled yet, or returns NULL. */
static const char *
reason_to_cancel(const EtlRunLine *line, const EtlRun *run)
{
	if (line->cancel_requested)
		return NULL;
	if (line->waiter != 0 && !etl_lock_is_held(ETL_LOCK_WAITER, line->waiter))
	{
		/* Not if it has ended because the server shuts down. */
		CHECK_FOR_INTERRUPTS();
		return "the session that waited for the run has given up";
	}
	if (timeout_of(line, run) <= GetCurrentTimestamp())
		return "the run took longer than run_timeout";
	return NULL;
}

/*
 * is_next says whether a queued run is the one to begin: no other run of its pipeline is running, and none that waits is
 * older. Runs of a backfill are created when they may begin.
 */
static bool
is_next(const EtlRunLine *line, int n, int i)
{
	if (line[i].backfill_id != 0)
		return true;
	for (int j = 0; j < n; j++)
		if (j != i && line[j].pipeline_id == line[i].pipeline_id && line[j].backfill_id == 0 &&
			(line[j].state == ETL_RUN_RUNNING || j < i))
			return false;
	return true;
}

/* admit moves a queued run on, if it may; false if it still waits, or was cancelled. */
static bool
admit(EtlKnown *known, EtlRunLine *line, bool is_next_run)
{
	EtlRun *run = known->run;

	if (run->cancel_requested)
	{
		EtlAdvance advance = {.run = run};

		etl_known_read_tasks(known);
		advance.current = known->current;
		etl_advance_cancel(&advance);
		(void) etl_transition_run(run->run_id, ETL_RUN_QUEUED, ETL_RUN_CANCELLED, NULL);
		return false;
	}
	if (!is_next_run || !etl_transition_run(run->run_id, ETL_RUN_QUEUED, ETL_RUN_RUNNING, NULL))
		return false;
	run->state = line->state = ETL_RUN_RUNNING;
	line->started_at = GetCurrentTimestamp();
	return true;
}

/* check_deadline raises the alert for a run that is not done in time. */
static void
check_deadline(EtlRunLine *line)
{
	if (line->deadline_at > GetCurrentTimestamp())
		return;
	if (etl_run_deadline_missed(line->run_id))
		etl_alert_run(ETL_ALERT_DEADLINE_MISSED, line->run_id, NULL);
	line->deadline_at = DT_NOEND;
}

/* look_again says when a run has to be looked at again if no signal comes. */
static TimestampTz
look_again(const EtlKnown *known, const EtlRunLine *line, const EtlAdvance *advance)
{
	TimestampTz next = Min(advance->next_due, line->deadline_at);

	next = Min(next, timeout_of(line, known->run));
	return Min(next, after(advance->n_running > 0 ? ETL_LOOK_AT_WORK : LOOK_WAITING));
}

/* advance_run takes a running run as far as it goes, inside a transaction; true if it has ended. */
static bool
advance_run(EtlKnown *known, EtlRunLine *line)
{
	EtlAdvance advance = {.run = known->run};

	etl_known_read_tasks(known);
	advance.current = known->current;
	if (known->run->cancel_requested)
		etl_advance_cancel(&advance);
	etl_advance_run(&advance);
	known->next_look = look_again(known, line, &advance);
	return advance.ended;
}

/* step_run does for one run what can be done now without starting workers. */
static void
step_run(EtlRunLine *line, int n, int i)
{
	EtlKnown *known;
	const char *reason;
	bool ended = false;

	etl_step_begin();
	known = etl_known_get(&line[i]);
	check_deadline(&line[i]);
	reason = reason_to_cancel(&line[i], known->run);
	if (reason != NULL)
	{
		/* The tasks are interrupted by the next step: by then they can see that the run is to be cancelled. */
		(void) etl_run_cancel(line[i].run_id, reason);
		known->next_look = DT_NOBEGIN;
	}
	else if (known->run->state == ETL_RUN_RUNNING || admit(known, &line[i], is_next(line, n, i)))
		ended = advance_run(known, &line[i]);
	else
		known->next_look = Min(line[i].deadline_at, after(LOOK_WAITING));
	etl_step_end();
	if (ended)
	{
		etl_chores_run_ended(&line[i]);
		etl_known_forget(line[i].run_id);
	}
}

/* cancel_rest cancels the tasks of a run that have not started and interrupts those that have. */
static void
cancel_rest(const EtlRunLine *line)
{
	EtlKnown *known = etl_known_get(line);
	EtlAdvance advance = {.run = known->run};

	etl_known_read_tasks(known);
	advance.current = known->current;
	etl_advance_cancel(&advance);
}

/* give_up ends a run that cannot be handled. Called from an error handler, after the abort. */
static void
give_up(const EtlRunLine *line, const char *message)
{
	etl_known_forget(line->run_id);
	etl_step_begin();
	(void) etl_transition_run(line->run_id, line->state, ETL_RUN_FAILED, message);
	etl_step_end();
	/* What follows may be what cannot be read. */
	PG_TRY();
	{
		etl_step_begin();
		cancel_rest(line);
		etl_step_end();
	}
	PG_CATCH();
	{
		EmitErrorReport();
		FlushErrorState();
		AbortCurrentTransaction();
	}
	PG_END_TRY();
	etl_known_forget(line->run_id);
}

/* step_guarded keeps an error in one run away from the others. */
static void
step_guarded(EtlRunLine *line, int n, int i)
{
	MemoryContext caller = CurrentMemoryContext;

	PG_TRY();
	{
		step_run(line, n, i);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		EmitErrorReport();
		FlushErrorState();
		AbortCurrentTransaction();
		give_up(&line[i], error->message);
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
}

/* must_look says whether there may be something to do for a run; one that was queued may be the next one by now. */
static bool
must_look(const EtlRunLine *line, int n, int i)
{
	const EtlKnown *known = etl_known_find(line[i].run_id);

	return known == NULL || known->next_look <= GetCurrentTimestamp() || line[i].state != known->run->state ||
		   (line[i].state == ETL_RUN_QUEUED && is_next(line, n, i)) || line[i].cancel_requested ||
		   (line[i].waiter != 0 && !etl_lock_is_held(ETL_LOCK_WAITER, line[i].waiter));
}

/* sweep marks the runs of which an executor has ended. */
static void
sweep(void)
{
	int64 run_id;

	while (etl_slot_sweep(&run_id))
	{
		EtlKnown *known = etl_known_find(run_id);

		if (known != NULL)
			known->next_look = DT_NOBEGIN;
	}
}

/* forget_waiters lets runs go on without the sessions that waited for them when the server went down. */
static void
forget_waiters(EtlRunLine *line, int n)
{
	for (int i = 0; i < n; i++)
		if (line[i].waiter >> 32 != etl_boot_number())
			line[i].waiter = 0;
}

/* list_runs reads the runs that have not ended; -1 when the scheduler has to leave: see etl_chores_may_work. */
static int
list_runs(EtlRunLine **line)
{
	MemoryContext caller = CurrentMemoryContext;
	int n = -1;

	etl_step_begin();
	if (etl_chores_may_work())
	{
		/* The list must outlive the transaction. */
		MemoryContextSwitchTo(caller);
		n = etl_run_active(line);
		forget_waiters(*line, n);
	}
	etl_step_end();
	return n;
}

/* next_look returns when the first of the runs has to be looked at. */
static TimestampTz
next_look(const EtlRunLine *line, int n)
{
	TimestampTz next = DT_NOEND;

	for (int i = 0; i < n; i++)
	{
		const EtlKnown *known = etl_known_find(line[i].run_id);

		/* A run that has just ended, or failed to be handled: another one may have waited for it. */
		if (known == NULL)
			return DT_NOBEGIN;
		next = Min(next, known->next_look);
		if (line[i].waiter != 0)
			next = Min(next, after(SLEEP_WAITED_FOR));
	}
	if (n > 0 && etl_start_waits_for_worker())
		next = Min(next, after(SLEEP_SHORT_OF_WORKERS));
	return next;
}

/*
 * step handles all runs once. Returns the number of runs that were active at its start, -1 when the scheduler has to leave;
 * next is when to look again.
 */
static int
step(TimestampTz *next)
{
	EtlRunLine *line;
	int n;

	sweep();
	n = list_runs(&line);
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (must_look(line, n, i))
			step_guarded(line, n, i);
	}
	if (n > 0)
		etl_start_ready();
	*next = next_look(line, n);
	return n;
}

/* sleep_until waits for a signal or a moment. */
static void
sleep_until(TimestampTz next)
{
	TimestampTz now = GetCurrentTimestamp();
	long ms = 0;

	if (next > now)
		ms = Min((Min(next, after(LOOK_WAITING)) - now) / 1000 + 1, LOOK_WAITING);
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms, PG_WAIT_EXTENSION);
}

/* schedule works until there is nothing left to do; false when the scheduler has to leave. */
static bool
schedule(TimestampTz *next)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "etl scheduler step", ALLOCSET_DEFAULT_SIZES);

	for (;;)
	{
		int n;
		bool chores;

		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		/* Reset before looking: what happens from here on sets it again. */
		ResetLatch(MyLatch);
		MemoryContextSwitchTo(context);
		chores = etl_chores_do();
		n = step(next);
		*next = Min(*next, etl_chores_next());
		MemoryContextReset(context);
		if (n < 0)
			return false;
		if (n == 0 && !chores && !etl_chores_must_look())
			return true;
		if (n == 0 && !chores)
			continue;
		pgstat_report_stat(false);
		sleep_until(*next);
	}
}

/* any_run_left says whether a run was created after the last look. */
static bool
any_run_left(void)
{
	EtlRunLine *line;

	return list_runs(&line) > 0;
}

/* take_lock makes this process the scheduler of the database; false if there is one, which is woken. */
static bool
take_lock(void)
{
	bool mine;

	etl_step_begin();
	mine = etl_lock_try(ETL_LOCK_SCHEDULER, 0, true);
	if (!mine)
		etl_lock_wake_holder(ETL_LOCK_SCHEDULER, 0);
	etl_step_end();
	return mine;
}

/* extension_exists says whether this database has anything to schedule. */
static bool
extension_exists(void)
{
	bool exists;

	StartTransactionCommand();
	exists = etl_catalog_exists();
	CommitTransactionCommand();
	return exists;
}

/* start_successor lets another process go on; if there is no worker for it, the launcher tries again. */
static void
start_successor(void)
{
	if (!etl_bgw_start_scheduler(0, NULL))
		etl_launcher_poke(MyDatabaseId);
}

/*
 * etl_scheduler_main is the worker's entry. It first serves the request that it was started for. Whoever then gets the lock
 * schedules; whoever does not wakes the one who has it. A run that is created while that one is about to leave is seen
 * by its last look, after it has released the lock.
 */
void
etl_scheduler_main(Datum arg)
{
	EtlBgwParams params;

	/* pg_cancel_backend is for statements; here it would hit whichever run is being looked at. */
	pqsignal(SIGINT, SIG_IGN);
	params = etl_bgw_begin();
	etl_request_serve(params.request);
	while (extension_exists() && take_lock())
	{
		TimestampTz next = DT_NOEND;
		bool done;

		etl_launcher_scheduler_begins();
		done = schedule(&next);
		/* What DROP and CREATE EXTENSION in one transaction have left. */
		if (!done && !etl_extension_is_same())
			etl_bgw_terminate_executors(MyDatabaseId);
		etl_step_begin();
		etl_lock_release(ETL_LOCK_SCHEDULER, 0);
		etl_step_end();
		etl_launcher_scheduler_leaves(next);
		/* After ALTER EXTENSION UPDATE the runs go on in a process with the new library. */
		if (!done)
			start_successor();
		/* Whoever found the lock taken has set the latch; whoever comes now finds it free. */
		if (!done || (!MyLatch->is_set && !any_run_left()))
			break;
	}
	proc_exit(0);
}
