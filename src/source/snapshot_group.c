/*
 * snapshot_group.c
 *		Extracts of one run that read one state of their source. See worker/snapshot_holder.h.
 *
 * The first one that comes has a worker started that takes the snapshot; all import it for each of their chunks. When that
 * worker is gone the state is gone. As long as no member has committed anything another one is taken; after that a member
 * fails, because what it would read does not belong to what is there.
 */
#include "postgres.h"

#include "catalog/run_snapshot.h"
#include "errors.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "source/snapshot_group.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/lock.h"
#include "worker/snapshot_holder.h"

/* How often a member looks whether the snapshot is there, in ms, and how long it waits for a worker slot. */
#define LOOK_AGAIN 50
#define SLOT_SECONDS 60

/* How often a holder may end without having held. */
#define MAX_STARTS 5

/* A member that waits for its snapshot. */
typedef struct Wait
{
	EtlExtract *extract;
	const char *group;
	int64 key; /* of the holder's lock */
	EtlSnapshotStart start;
	int starts;
	TimestampTz since; /* for a worker slot; 0: not at all */
} Wait;

/* check_source refuses what cannot import a snapshot. */
static void
check_source(const EtlExtract *extract)
{
	if (extract->attempt->is_inline)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("snapshot_group cannot be used inline"),
						errdetail("The snapshot is held by a worker, which does not see a run that is not committed."),
						errhint("Leave out mode => 'inline', or reset snapshot_group.")));
	if (extract->remote == NULL || extract->remote->routine->kind != ETL_REMOTE_POSTGRES)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("source %s cannot be part of a snapshot_group", extract->source->name),
						errdetail("There is no connection of our own to it: %s.",
								  extract->remote_why ? extract->remote_why : "it is not of postgres_fdw"),
						errhint("Reset snapshot_group, or use a foreign table of postgres_fdw.")));
}

/* refuse_lost reports that the state of the source is gone. */
static void
refuse_lost(const Wait *wait)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the snapshot of group \"%s\" is lost", wait->group),
			 errdetail("Other rows of the group were read in it in this run, and the worker that held it open has"
					   " ended."),
			 errhint("Start a new run with etl.run_pipeline: all extracts of the group then read one state again.")));
}

/* use makes the extract read in a snapshot. */
static void
use(EtlExtract *extract, const EtlRunSnapshot *snapshot)
{
	if (strcmp(snapshot->server, extract->source->server_name) != 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("source %s is not of the server of its snapshot_group", extract->source->name),
						errdetail("The group reads from server \"%s\".", snapshot->server),
						errhint("Use a group for each server.")));
	extract->request.snapshot = MemoryContextStrdup(extract->context, snapshot->snapshot);
	extract->snapshot_safe_at = snapshot->safe_at;
}

/* start_holder has a worker started, or waits for a slot. */
static void
start_holder(Wait *wait)
{
	TimestampTz now = GetCurrentTimestamp();

	if (wait->starts >= MAX_STARTS)
		ereport(ERROR,
				(errcode(ERRCODE_ETL_WORKER_LOST),
				 errmsg("the worker that should hold the snapshot of group \"%s\" ended without a word", wait->group),
				 errhint("The server log says why.")));
	if (etl_snapshot_holder_start(wait->extract->attempt, &wait->start))
	{
		wait->starts++;
		wait->since = 0;
		return;
	}
	if (wait->since == 0)
		wait->since = now;
	else if (now - wait->since > SLOT_SECONDS * USECS_PER_SEC)
		ereport(ERROR, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
						errmsg("no background worker is free to hold the snapshot of group \"%s\"", wait->group),
						errdetail("max_worker_processes is %d.", max_worker_processes),
						errhint("Raise max_worker_processes, or lower etl.max_workers.")));
}

/* look takes the snapshot if it is there, or sees to it that it will be; true: it is there. */
static bool
look(Wait *wait)
{
	const EtlAttempt *attempt = wait->extract->attempt;
	EtlRunSnapshot snapshot;
	pid_t pid;

	if (etl_run_snapshot_get(attempt->run_id, wait->group, &snapshot))
	{
		if (etl_lock_is_held(ETL_LOCK_SNAPSHOT, wait->key))
		{
			use(wait->extract, &snapshot);
			return true;
		}
		if (!etl_run_snapshot_is_fresh(attempt->run_id, wait->group, attempt->task_run_id, true))
			refuse_lost(wait);
		etl_run_snapshot_delete(attempt->run_id, wait->group, snapshot.snapshot);
	}
	else if (!etl_run_snapshot_is_fresh(attempt->run_id, wait->group, attempt->task_run_id, false))
		refuse_lost(wait);
	if (wait->start.handle && GetBackgroundWorkerPid(wait->start.handle, &pid) == BGWH_STOPPED)
	{
		etl_helper_check(wait->start.share);
		etl_snapshot_holder_release(&wait->start);
	}
	if (wait->start.handle == NULL && !etl_lock_is_held(ETL_LOCK_SNAPSHOT, wait->key))
		start_holder(wait);
	return false;
}

/* wait_for_snapshot looks again and again; no step is open in between. */
static void
wait_for_snapshot(Wait *wait)
{
	while (!look(wait))
	{
		etl_attempt_pause(wait->extract->attempt);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, LOOK_AGAIN, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		etl_attempt_resume(wait->extract->attempt);
	}
}

/* etl_snapshot_group_join leaves a step open, as it found it. */
void
etl_snapshot_group_join(EtlExtract *extract)
{
	const EtlAttempt *attempt = extract->attempt;
	Wait wait = {.extract = extract, .group = attempt->task->snapshot_group};

	check_source(extract);
	wait.key = etl_run_snapshot_key(attempt->run_id, wait.group);
	PG_TRY();
	{
		wait_for_snapshot(&wait);
	}
	PG_FINALLY();
	{
		etl_snapshot_holder_release(&wait.start);
	}
	PG_END_TRY();
}

/*
 * etl_snapshot_group_writers: all that began before snapshot_safe_at have ended in the snapshot. now is asked for, because
 * the highest value of a cursor is that of now, too.
 */
void
etl_snapshot_group_writers(EtlExtract *extract, bool all, EtlWriters *writers)
{
	MemoryContext old;
	char **row;

	writers->oldest = extract->snapshot_safe_at;
	if (all)
		writers->why_not = "values of its cursor do not say when they were written, and the snapshot does not either";
	else if (TIMESTAMP_IS_NOBEGIN(writers->oldest))
		writers->why_not = "it did not tell its open transactions when the snapshot was taken";
	if (writers->why_not)
		return;
	etl_attempt_pause(extract->attempt);
	old = MemoryContextSwitchTo(extract->context);
	row = etl_remote_row(extract->remote, "SELECT (extract(epoch FROM pg_catalog.now()) * 1000000)::int8", 1);
	writers->now = (TimestampTz) pg_strtoint64(row[0]) - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	MemoryContextSwitchTo(old);
	etl_attempt_resume(extract->attempt);
}
