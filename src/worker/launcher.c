/*
 * launcher.c
 *		The static worker that starts schedulers by itself. See launcher.h.
 *
 * It is connected to no database. A look at a database is a scheduler without a request: it leaves at once when the
 * extension is not there or nothing is to be done. Few of them start at the same time, so that a server with many
 * databases keeps its workers for those that have something to do.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "guc.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "worker/bgw.h"
#include "worker/launcher.h"
#include "worker/watch.h"

extern PGDLLEXPORT void etl_launcher_main(Datum arg);

/* Databases that are looked at for the first time, at the same time. */
#define MAX_LOOKS 2

/* Longest sleep, so that a change of the clock is noticed; pause before a closed database is tried again; in ms. */
#define LONGEST_SLEEP 60000
#define CLOSED_PAUSE 300000

/* Pause after the server had no free worker, doubled each time, in ms. */
#define NO_WORKER_FIRST 1000
#define NO_WORKER_LAST 30000

/* A worker that has not looked after this time, in ms, waits for a lock on its database, and is not waited for. */
#define PATIENCE 10000

typedef struct Look
{
	Oid database;
	BackgroundWorkerHandle *handle;
	TimestampTz started_at;
} Look;

/* All in TopMemoryContext. */
static List *unseen = NIL; /* Oids of databases that were not looked at since the start */
static List *looks = NIL;  /* of Look: workers that have started and not yet looked */

static int no_worker_pause = 0; /* 0: the last worker could be started */
static TimestampTz no_worker_until = 0;

/* etl_launcher_init registers the worker; called while the server starts. */
void
etl_launcher_init(void)
{
	BackgroundWorker worker = {0};

	etl_watch_init();
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 5;
	strlcpy(worker.bgw_library_name, "etl_ext", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "etl_launcher_main", BGW_MAXLEN);
	strlcpy(worker.bgw_name, "etl launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "etl launcher", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}

/* etl_launcher_exists says whether the server has a launcher. */
bool
etl_launcher_exists(void)
{
	return etl_watch_exists();
}

/* etl_launcher_scheduler_begins is called by the scheduler of a database when it has the lock. */
void
etl_launcher_scheduler_begins(void)
{
	etl_watch_scheduler_begins(MyDatabaseId);
}

/* etl_launcher_scheduler_leaves is called by it when it has given the lock up; next: when to look again. */
void
etl_launcher_scheduler_leaves(TimestampTz next)
{
	etl_watch_scheduler_leaves(MyDatabaseId, next);
}

/* etl_launcher_poke asks the launcher to look at a database now. */
void
etl_launcher_poke(Oid database)
{
	etl_watch_poke(database);
}

/* is_open says whether workers can and should connect to a database. */
static bool
is_open(Form_pg_database database)
{
	/* Less than -1: DROP DATABASE was interrupted. */
	return database->datallowconn && database->datconnlimit >= -1;
}

/* list_databases returns the databases to look at. */
static List *
list_databases(void)
{
	List *list = NIL;
	Relation relation;
	TableScanDesc scan;
	HeapTuple tuple;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(relation, 0, NULL);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);
		MemoryContext old;

		if (database->datistemplate || !is_open(database))
			continue;
		old = MemoryContextSwitchTo(TopMemoryContext);
		list = lappend_oid(list, database->oid);
		MemoryContextSwitchTo(old);
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	CommitTransactionCommand();
	return list;
}

/* may_look says whether to start a worker in a database now, and otherwise notes what is to become of it. */
static bool
may_look(Oid oid)
{
	HeapTuple tuple;
	bool wanted;
	bool open = false;

	StartTransactionCommand();
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(oid));
	wanted = HeapTupleIsValid(tuple) && !((Form_pg_database) GETSTRUCT(tuple))->datistemplate;
	if (wanted)
		open = is_open((Form_pg_database) GETSTRUCT(tuple));
	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	CommitTransactionCommand();
	if (!wanted)
		etl_watch_forget(oid);
	else if (!open)
		etl_watch_look_later(oid, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), CLOSED_PAUSE));
	return open;
}

/* sweep forgets the workers that have looked, or died before. */
static void
sweep(void)
{
	ListCell *lc;

	foreach (lc, looks)
	{
		Look *look = lfirst(lc);
		pid_t pid;
		/* In this order: a worker that has ended has noted before that it has looked. */
		bool stopped = GetBackgroundWorkerPid(look->handle, &pid) == BGWH_STOPPED;
		bool looking = etl_watch_is_looking(look->database);

		if (looking && !stopped)
			continue;
		if (looking)
			etl_watch_look_failed(look->database);
		looks = foreach_delete_current(looks, lc);
		pfree(look->handle);
		pfree(look);
	}
}

/* may_start_more says whether so few workers are about to look that another one may start. */
static bool
may_start_more(TimestampTz now)
{
	ListCell *lc;
	int n = 0;

	foreach (lc, looks)
		if (!TimestampDifferenceExceeds(((Look *) lfirst(lc))->started_at, now, PATIENCE))
			n++;
	return n < MAX_LOOKS;
}

/* note_no_worker puts everything off because the server has no free worker, and says so once. */
static void
note_no_worker(void)
{
	if (no_worker_pause == 0)
		ereport(LOG, (errmsg("etl_ext: no free background worker to look for interrupted or scheduled runs, trying on"),
					  errhint("max_worker_processes is %d.", max_worker_processes)));
	no_worker_pause = Min(Max(no_worker_pause * 2, NO_WORKER_FIRST), NO_WORKER_LAST);
	no_worker_until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), no_worker_pause);
}

/* start_look starts a worker in a database; false when there is none. */
static bool
start_look(Oid database)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	Look *look = palloc(sizeof(Look));
	bool started;

	look->database = database;
	look->started_at = GetCurrentTimestamp();
	/* First: whatever is asked for from here on may come too late for this look. */
	etl_watch_look_begins(database);
	started = etl_bgw_start_look(database, &look->handle);
	if (started)
		looks = lappend(looks, look);
	else
		pfree(look);
	MemoryContextSwitchTo(old);
	if (!started)
	{
		etl_watch_look_later(database, GetCurrentTimestamp());
		note_no_worker();
		return false;
	}
	no_worker_pause = 0;
	return true;
}

/* next_unseen takes the next database that was not looked at since the start; InvalidOid: all were. */
static Oid
next_unseen(void)
{
	while (unseen != NIL)
	{
		Oid database = linitial_oid(unseen);

		unseen = list_delete_first(unseen);
		if (!etl_watch_is_busy(database))
			return database;
	}
	return InvalidOid;
}

/* start_looks starts what is due. Returns when to come again. */
static TimestampTz
start_looks(TimestampTz now)
{
	if (now < no_worker_until)
		return no_worker_until;
	while (may_start_more(now))
	{
		TimestampTz next;
		Oid database = etl_watch_due(now, &next);

		CHECK_FOR_INTERRUPTS();
		if (!OidIsValid(database))
			database = next_unseen();
		if (!OidIsValid(database))
			return next;
		if (may_look(database) && !start_look(database))
			return no_worker_until;
	}
	/* The workers wake this process when they have looked. */
	return TimestampTzPlusMilliseconds(now, PATIENCE);
}

/* step does all that can be done now. Returns how long to sleep, in ms. */
static long
step(void)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next;

	sweep();
	if (!etl_launcher)
		return LONGEST_SLEEP;
	if (etl_watch_overflowed() && unseen == NIL)
		unseen = list_databases();
	next = start_looks(now);
	now = GetCurrentTimestamp();
	if (next >= now + (int64) LONGEST_SLEEP * 1000)
		return LONGEST_SLEEP;
	return Max((next - now) / 1000 + 1, 1);
}

/*
 * etl_launcher_main is the worker's entry. SIGTERM ends it with 1, so that the postmaster starts it again; a cancel by
 * mistake does nothing.
 */
void
etl_launcher_main(Datum arg)
{
	MemoryContext context;

	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGINT, SIG_IGN);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	etl_watch_launcher_begins();
	context = AllocSetContextCreate(TopMemoryContext, "etl launcher step", ALLOCSET_SMALL_SIZES);
	unseen = list_databases();
	for (;;)
	{
		long sleep;

		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		/* Reset before looking: what happens from here on sets it again. */
		ResetLatch(MyLatch);
		MemoryContextSwitchTo(context);
		sleep = step();
		MemoryContextReset(context);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, sleep, PG_WAIT_EXTENSION);
	}
}
