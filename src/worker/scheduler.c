/*
 * scheduler.c
 *		The scheduler of a database: a dynamic background worker, started by a request for a run, unique by a lock, gone
 *		when no run is left.
 *
 * All it knows is in etl.run and etl.task_run; a new scheduler continues where a former one ended. Between its steps it
 * is in no transaction. A run whose handling raises an error is ended as failed, so that it cannot stop the others.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pipeline.h"
#include "guc.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker/advance.h"
#include "worker/bgw.h"
#include "worker/lock.h"
#include "worker/request.h"
#include "worker/slot.h"
#include "worker/transition.h"

extern PGDLLEXPORT void etl_scheduler_main(Datum arg);

/* The definition of a run never changes, so that it is read once. */
typedef struct Known
{
	int64 run_id; /* hash key */
	EtlRun *run;
	MemoryContext context;
} Known;

static HTAB *known;
static bool out_of_workers = false;

/* Longest time between two looks at the tables, in ms, when no signal comes: with and without a session that waits. */
#define TICK_WAITED_FOR 100
#define TICK_ALONE 1000

/*
 * begin_step opens a transaction. What it commits are changes of state that a crash may lose without harm: the work
 * itself commits in the executors. So nobody waits for the disk.
 */
static void
begin_step(void)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	(void) set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

/* end_step commits it. */
static void
end_step(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/* know returns a run with its definition. */
static EtlRun *
know(const EtlRunLine *line)
{
	bool found;
	Known *entry = hash_search(known, &line->run_id, HASH_ENTER, &found);

	if (!found)
	{
		MemoryContext old;

		entry->run = NULL;
		entry->context = AllocSetContextCreate(TopMemoryContext, "etl run", ALLOCSET_DEFAULT_SIZES);
		old = MemoryContextSwitchTo(entry->context);
		entry->run = etl_run_load(line->run_id);
		MemoryContextSwitchTo(old);
	}
	if (entry->run == NULL)
		elog(ERROR, "the definition of run " INT64_FORMAT " cannot be read", line->run_id);
	entry->run->state = line->state;
	entry->run->cancel_requested = line->cancel_requested;
	return entry->run;
}

/* forget frees what is known of a run. */
static void
forget(int64 run_id)
{
	bool found;
	Known *entry = hash_search(known, &run_id, HASH_FIND, &found);

	if (!found)
		return;
	MemoryContextDelete(entry->context);
	hash_search(known, &run_id, HASH_REMOVE, NULL);
}

/* reason_to_cancel says why a run has to be cancelled that nobody has cancelled yet, or returns NULL. */
static const char *
reason_to_cancel(const EtlRunLine *line)
{
	if (line->waiter != 0 && !etl_lock_is_held(ETL_LOCK_WAITER, line->waiter))
		return "the session that waited for the run has given up";
	if (line->run_timeout != NULL && line->state == ETL_RUN_RUNNING)
	{
		Datum end = DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(line->started_at),
										IntervalPGetDatum(line->run_timeout));

		if (DatumGetTimestampTz(end) <= GetCurrentTimestamp())
			return "the run took longer than run_timeout";
	}
	return NULL;
}

/* is_first says whether no older run of the same pipeline is in the list. */
static bool
is_first(const EtlRunLine *line, int n)
{
	for (int i = 0; i < n; i++)
		if (line[i].pipeline_id == line[n].pipeline_id)
			return false;
	return true;
}

/* admit moves a queued run on, if it may; false if it still waits. */
static bool
admit(EtlRun *run, bool first)
{
	if (run->cancel_requested)
	{
		EtlAdvance advance = {.run = run};

		if (etl_task_run_current(run->run_id, &advance.current) == run->tasks.n)
			etl_advance_cancel(&advance);
		(void) etl_transition_run(run->run_id, ETL_RUN_QUEUED, ETL_RUN_CANCELLED, NULL);
		return false;
	}
	if (!first || !etl_transition_run(run->run_id, ETL_RUN_QUEUED, ETL_RUN_RUNNING, NULL))
		return false;
	run->state = ETL_RUN_RUNNING;
	return true;
}

/* give_back makes tasks ready again for which the server had no worker, and says so once. */
static void
give_back(EtlAdvance *advance, const int *node, int n)
{
	begin_step();
	for (int i = 0; i < n; i++)
	{
		EtlTaskChange change = {
			.task_run_id = advance->current[node[i]].task_run_id,
			.from = ETL_TASK_RUNNING,
			.to = ETL_TASK_READY,
		};

		(void) etl_transition_task(&change);
	}
	end_step();
	if (!out_of_workers)
		ereport(LOG, (errmsg("etl_ext: no free background worker, tasks wait for one"),
					  errhint("max_worker_processes is %d.", max_worker_processes)));
	out_of_workers = true;
}

/* start_workers starts executors for the chosen tasks, after their state was committed. */
static void
start_workers(EtlAdvance *advance, const int *node, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (!etl_slot_start(advance->run->tasks.task[node[i]], &advance->current[node[i]]))
		{
			give_back(advance, node + i, n - i);
			return;
		}
	}
	/* All of them: the shortage is over, and the next one is told of again. */
	out_of_workers = false;
}

/* read_tasks reads the states of a run's tasks into a context that outlives the transaction. */
static void
read_tasks(EtlAdvance *advance, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);

	if (etl_task_run_current(advance->run->run_id, &advance->current) != advance->run->tasks.n)
		elog(ERROR, "run " INT64_FORMAT " has lost some of its tasks", advance->run->run_id);
	MemoryContextSwitchTo(old);
}

/* step_run does all that can be done for one run now. Returns when to look again, DT_NOEND for no time of its own. */
static TimestampTz
step_run(const EtlRunLine *line, bool first, bool *free_worker)
{
	MemoryContext context = CurrentMemoryContext;
	EtlAdvance advance = {.next_due = DT_NOEND};
	int node[64];
	int n = 0;
	const char *reason;

	begin_step();
	advance.run = know(line);
	reason = line->cancel_requested ? NULL : reason_to_cancel(line);
	if (reason != NULL)
	{
		/* The tasks are interrupted by the next step: by then they can see that the run is to be cancelled. */
		(void) etl_run_cancel(line->run_id, reason);
		end_step();
		return GetCurrentTimestamp();
	}
	if (advance.run->state == ETL_RUN_QUEUED && !admit(advance.run, first))
	{
		end_step();
		return DT_NOEND;
	}
	read_tasks(&advance, context);
	if (advance.run->cancel_requested)
		etl_advance_cancel(&advance);
	etl_advance_run(&advance);
	if (!advance.ended && *free_worker)
		n = etl_advance_pick(&advance, node, Min(lengthof(node), etl_max_workers - etl_slot_count()));
	end_step();
	MemoryContextSwitchTo(context);
	if (n > 0)
	{
		start_workers(&advance, node, n);
		*free_worker = !out_of_workers;
	}
	if (advance.ended)
	{
		/* Look again at once: another run may have waited for this one, or there is nothing left to do. */
		forget(line->run_id);
		return GetCurrentTimestamp();
	}
	return advance.next_due;
}

/* cancel_rest cancels the tasks of a run that have not started and interrupts those that have. */
static void
cancel_rest(int64 run_id)
{
	EtlTaskRun *current;
	int n = etl_task_run_current(run_id, &current);

	for (int i = 0; i < n; i++)
	{
		EtlTaskChange change = {
			.task_run_id = current[i].task_run_id, .from = current[i].state, .to = ETL_TASK_CANCELLED};

		if (current[i].state == ETL_TASK_RUNNING)
			etl_slot_cancel(&current[i]);
		else if (!etl_state_task_ended(current[i].state))
			(void) etl_transition_task(&change);
	}
}

/* give_up ends a run that cannot be handled. Called from an error handler, after the abort. */
static void
give_up(const EtlRunLine *line, const char *message)
{
	forget(line->run_id);
	begin_step();
	(void) etl_transition_run(line->run_id, line->state, ETL_RUN_FAILED, message);
	cancel_rest(line->run_id);
	end_step();
}

/* step_guarded keeps an error in one run away from the others. */
static TimestampTz
step_guarded(const EtlRunLine *line, bool first, bool *free_worker)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile TimestampTz due = DT_NOEND;

	PG_TRY();
	{
		due = step_run(line, first, free_worker);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		EmitErrorReport();
		FlushErrorState();
		AbortCurrentTransaction();
		give_up(line, error->message);
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	return due;
}

/* list_runs reads the runs that have not ended; -1 when the extension is gone. */
static int
list_runs(EtlRunLine **line)
{
	MemoryContext caller = CurrentMemoryContext;
	int n = -1;

	begin_step();
	if (etl_catalog_exists())
	{
		/* The list must outlive the transaction. */
		MemoryContextSwitchTo(caller);
		n = etl_run_active(line);
	}
	end_step();
	MemoryContextSwitchTo(caller);
	return n;
}

/* step handles all runs once. Returns the number of runs, -1 when the extension is gone, and how long to sleep in ms. */
static int
step(long *sleep)
{
	TimestampTz due = DT_NOEND;
	TimestampTz now;
	EtlRunLine *line;
	bool free_worker = true;
	int n = list_runs(&line);

	*sleep = TICK_ALONE;
	etl_slot_sweep();
	for (int i = 0; i < n; i++)
	{
		TimestampTz run_due;

		CHECK_FOR_INTERRUPTS();
		run_due = step_guarded(&line[i], is_first(line, i), &free_worker);
		due = Min(due, run_due);
		if (line[i].waiter != 0 || out_of_workers)
			*sleep = TICK_WAITED_FOR;
	}
	now = GetCurrentTimestamp();
	if (due < now + *sleep * 1000)
		*sleep = Max((due - now) / 1000, 0);
	return n;
}

/* schedule works until no run is left; false when the extension is gone. */
static bool
schedule(void)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "etl scheduler step", ALLOCSET_DEFAULT_SIZES);

	for (;;)
	{
		long sleep;
		int n;

		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		/* Reset before looking: what happens from here on sets it again. */
		ResetLatch(MyLatch);
		MemoryContextSwitchTo(context);
		n = step(&sleep);
		MemoryContextReset(context);
		if (n <= 0)
			return n == 0;
		pgstat_report_stat(false);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, sleep, PG_WAIT_EXTENSION);
	}
}

/* any_run_left says whether a run was created after the last look. */
static bool
any_run_left(void)
{
	EtlRunLine *line;

	return list_runs(&line) > 0;
}

/*
 * etl_scheduler_main is the worker's entry. It first creates the run that it was started for. Whoever then gets the lock
 * schedules; whoever does not wakes the one who has it. A run that is created while that one is about to leave is seen
 * by its last look, after it has released the lock.
 */
void
etl_scheduler_main(Datum arg)
{
	EtlBgwParams params = etl_bgw_begin();
	HASHCTL control = {.keysize = sizeof(int64), .entrysize = sizeof(Known)};

	known = hash_create("etl runs", 32, &control, HASH_ELEM | HASH_BLOBS);
	etl_request_serve(params.request);
	for (;;)
	{
		bool mine;

		begin_step();
		mine = etl_lock_try(ETL_LOCK_SCHEDULER, 0, true);
		if (!mine)
			etl_lock_wake_holder(ETL_LOCK_SCHEDULER, 0);
		end_step();
		if (!mine || !schedule())
			break;
		begin_step();
		etl_lock_release(ETL_LOCK_SCHEDULER, 0);
		end_step();
		if (!any_run_left())
			break;
	}
	proc_exit(0);
}
