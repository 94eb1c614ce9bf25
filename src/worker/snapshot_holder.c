/*
 * snapshot_holder.c
 *		The worker that holds the state of a source open. See snapshot_holder.h.
 *
 * It connects to the source as the owner of the task that has asked for it, finds out what is open there, exports a snapshot
 * and writes it into etl.run_snapshot. Its own transactions here are short looks at whether a member of the group may still
 * read. The lock that it holds says that the snapshot can be read; its row stays when it leaves.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/extension.h"
#include "catalog/run_snapshot.h"
#include "catalog/task_run.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "source/commit_bound.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker/bgw.h"
#include "worker/lock.h"
#include "worker/snapshot_holder.h"

extern PGDLLEXPORT void etl_snapshot_main(Datum arg);

/* How often it looks whether it is needed, in ms, and in how many looks it asks whether the connection is there. */
#define LOOK_AGAIN 1000
#define LOOKS_PER_PING 15

/* What a holder knows of its group; lives as long as the process. */
typedef struct Holder
{
	int64 run_id;
	EtlTask *task;
	EtlRemote *remote;
	EtlRunSnapshot snapshot;
} Holder;

/* begin opens a transaction. */
static void
begin(void)
{
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	XactReadOnly = false;
}

/* end commits it. */
static void
end(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(TopMemoryContext);
}

/* prepare takes the lock and finds the way to the source; false: the extension is gone, or somebody else holds. */
static bool
prepare(int64 task_run_id, Holder *holder)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	const char *why = NULL;
	EtlSource *source;
	EtlRunSnapshot other;

	if (!etl_extension_hold())
		return false;
	holder->task = etl_task_run_task(task_run_id, &holder->run_id);
	if (!etl_lock_try(ETL_LOCK_SNAPSHOT, etl_run_snapshot_key(holder->run_id, holder->task->snapshot_group), true) ||
		etl_run_snapshot_get(holder->run_id, holder->task->snapshot_group, &other))
		return false;
	source = etl_relation_describe(etl_relation_find(holder->task->source), &holder->task->columns);
	etl_relation_check_select(source);
	holder->snapshot.server = source->server_name;
	holder->remote = etl_remote_make(source, &why);
	if (holder->remote == NULL)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("source %s cannot be read by a snapshot_group", source->name), errdetail("%s.", why),
						errhint("Leave snapshot_group out.")));
	MemoryContextSwitchTo(old);
	return true;
}

/* take takes the snapshot: what is open is asked for before. */
static void
take(Holder *holder)
{
	char **row;

	etl_remote_connect(holder->remote);
	holder->snapshot.safe_at = etl_writers_oldest(holder->remote);
	(void) etl_remote_query(
		holder->remote, "SET idle_in_transaction_session_timeout = 0; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
		0, NULL, NULL);
	row = etl_remote_row(
		holder->remote,
		"SELECT pg_catalog.pg_export_snapshot(), (extract(epoch FROM pg_catalog.now()) * 1000000)::int8", 2);
	holder->snapshot.snapshot = row[0];
	holder->snapshot.created_at = (TimestampTz) pg_strtoint64(row[1]) -
								  (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	begin();
	etl_run_snapshot_insert(holder->run_id, holder->task->snapshot_group, &holder->snapshot);
	end();
}

/* is_needed looks at the members. */
static bool
is_needed(const Holder *holder)
{
	bool needed;

	begin();
	needed = etl_extension_hold() && etl_run_snapshot_is_needed(holder->run_id, holder->task->snapshot_group);
	end();
	return needed;
}

/* hold waits until nobody needs the snapshot any more, or it is lost. */
static void
hold(const Holder *holder)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "etl snapshot", ALLOCSET_SMALL_SIZES);

	for (int look = 1; is_needed(holder); look++)
	{
		MemoryContextSwitchTo(context);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, LOOK_AGAIN, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		if (look % LOOKS_PER_PING == 0)
			(void) etl_remote_row(holder->remote, "SELECT 1", 1);
		MemoryContextReset(context);
	}
}

/* work does what the holder is there for; its starter hears of errors until the snapshot is taken. */
static void
work(int64 task_run_id, EtlHelperShare *share, dsm_segment *dsm)
{
	Holder holder = {0};
	bool mine;

	begin();
	mine = prepare(task_run_id, &holder);
	end();
	if (mine)
		take(&holder);
	/* What opening it has cost is part of the attempt that has asked for it; looking once a second is not. */
	etl_live_share(share->live);
	pg_atomic_fetch_add_u32(&share->finished, 1);
	if (!mine)
		return;
	dsm_detach(dsm);
	hold(&holder);
	etl_remote_close(holder.remote);
}

/* etl_snapshot_main is the worker's entry. */
void
etl_snapshot_main(Datum arg)
{
	EtlBgwParams params = etl_bgw_begin();
	dsm_segment *dsm;
	EtlHelperShare *share;

	etl_helper_signals();
	dsm = dsm_attach(params.request);
	if (dsm == NULL)
		proc_exit(0);
	dsm_pin_mapping(dsm);
	share = dsm_segment_address(dsm);
	PG_TRY();
	{
		work(params.task_run_id, share, dsm);
	}
	PG_CATCH();
	{
		/* Once the snapshot was taken nobody listens: the memory is gone, and the end of the process says it all. */
		if (dsm_find_mapping(params.request) == NULL)
			PG_RE_THROW();
		etl_helper_fail(share);
	}
	PG_END_TRY();
	proc_exit(0);
}

/* etl_snapshot_holder_start starts it as the task's owner; the handle outlives the step. */
bool
etl_snapshot_holder_start(const EtlAttempt *attempt, EtlSnapshotStart *start)
{
	MemoryContext old = MemoryContextSwitchTo(attempt->context);
	char *name = psprintf("etl snapshot %s", attempt->task->snapshot_group);
	bool started;

	start->dsm = dsm_create(sizeof(EtlHelperShare), 0);
	dsm_pin_mapping(start->dsm);
	start->share = dsm_segment_address(start->dsm);
	etl_helper_init(start->share);
	started = etl_bgw_start_helper(attempt->task->owner, attempt->task_run_id, dsm_segment_handle(start->dsm),
								   "etl snapshot", name, "etl_snapshot_main", &start->handle);
	MemoryContextSwitchTo(old);
	if (!started)
		etl_snapshot_holder_release(start);
	return started;
}

/* etl_snapshot_holder_release gives the shared memory back. */
void
etl_snapshot_holder_release(EtlSnapshotStart *start)
{
	if (start->dsm)
		dsm_detach(start->dsm);
	memset(start, 0, sizeof(*start));
}
