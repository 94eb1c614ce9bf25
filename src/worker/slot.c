/*
 * slot.c
 *		The executors that this scheduler has started. See slot.h.
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "storage/procarray.h"
#include "utils/memutils.h"
#include "worker/bgw.h"
#include "worker/lock.h"
#include "worker/slot.h"

typedef struct Slot
{
	int64 run_id;
	int n;
	int64 *task_run_id; /* n: those that one worker does */
	BackgroundWorkerHandle *handle;
} Slot;

static List *slots = NIL; /* of Slot, in TopMemoryContext */

/* find_slot returns the slot of an attempt, or NULL. */
static Slot *
find_slot(int64 task_run_id)
{
	ListCell *lc;

	foreach (lc, slots)
	{
		Slot *slot = lfirst(lc);

		for (int i = 0; i < slot->n; i++)
			if (slot->task_run_id[i] == task_run_id)
				return slot;
	}
	return NULL;
}

/* etl_slot_count returns the number of executors that may still be at work. */
int
etl_slot_count(void)
{
	return list_length(slots);
}

/* free_slot frees a slot, but not the handle in it. */
static void
free_slot(Slot *slot)
{
	pfree(slot->task_run_id);
	pfree(slot);
}

/* etl_slot_start registers a worker with the number of the first attempt; it finds the others by itself. */
bool
etl_slot_start(int64 run_id, Oid owner, const char *name, const int64 *task_run_id, int n)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	Slot *slot = palloc(sizeof(Slot));
	bool started;

	slot->run_id = run_id;
	slot->n = n;
	slot->task_run_id = palloc(sizeof(int64) * n);
	memcpy(slot->task_run_id, task_run_id, sizeof(int64) * n);
	started = etl_bgw_start_executor(owner, task_run_id[0], n > 1, name, &slot->handle);
	if (started)
		slots = lappend(slots, slot);
	else
		free_slot(slot);
	MemoryContextSwitchTo(old);
	return started;
}

/*
 * etl_slot_is_alive says whether somebody works on an attempt that is running. For a worker of our own its handle tells;
 * for one of a former scheduler, its lock.
 */
bool
etl_slot_is_alive(const EtlTaskRun *task_run)
{
	Slot *slot = find_slot(task_run->task_run_id);
	pid_t pid;

	if (slot != NULL)
		return GetBackgroundWorkerPid(slot->handle, &pid) != BGWH_STOPPED;
	return etl_lock_is_held(ETL_LOCK_ATTEMPT, task_run->task_run_id);
}

/* etl_slot_cancel interrupts the statement that an attempt is executing. */
void
etl_slot_cancel(const EtlTaskRun *task_run)
{
	Slot *slot = find_slot(task_run->task_run_id);
	pid_t pid = 0;

	if (slot != NULL)
	{
		if (GetBackgroundWorkerPid(slot->handle, &pid) != BGWH_STARTED)
			return;
	}
	else if (task_run->worker_pid != 0 && etl_lock_is_held(ETL_LOCK_ATTEMPT, task_run->task_run_id) &&
			 BackendPidGetProc(task_run->worker_pid) != NULL)
		pid = task_run->worker_pid;
	if (pid > 0)
		(void) kill(pid, SIGINT);
}

/* etl_slot_sweep forgets one executor that has ended and tells of which run it was; false: there is none. */
bool
etl_slot_sweep(int64 *run_id)
{
	ListCell *lc;

	foreach (lc, slots)
	{
		Slot *slot = lfirst(lc);
		pid_t pid;

		if (GetBackgroundWorkerPid(slot->handle, &pid) == BGWH_STOPPED)
		{
			*run_id = slot->run_id;
			slots = foreach_delete_current(slots, lc);
			pfree(slot->handle);
			free_slot(slot);
			return true;
		}
	}
	return false;
}
