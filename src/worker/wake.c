/*
 * wake.c
 *		Telling the scheduler, when a transaction commits, that it has changed something. See wake.h.
 *
 * By the time the callback runs the change is visible to others, and nothing may fail any more. A scheduler that holds
 * its lock then looks at the tables at least once after it has given the lock back, so that it sees the change.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "worker/bgw.h"
#include "worker/launcher.h"
#include "worker/lock.h"
#include "worker/wake.h"

/* The outermost open subtransaction that asked; it covers those that began within it. Invalid: nobody asked. */
static SubTransactionId asked_by = InvalidSubTransactionId;

/* wake wakes the scheduler of this database or has one started. */
static void
wake(void)
{
	if (etl_lock_is_held(ETL_LOCK_SCHEDULER, 0))
		etl_lock_wake_holder(ETL_LOCK_SCHEDULER, 0);
	else if (etl_launcher_exists())
		etl_launcher_poke(MyDatabaseId);
	else
		(void) etl_bgw_start_look(MyDatabaseId, NULL);
}

/* xact_callback wakes at commit, and forgets what was asked for at the end of every transaction. */
static void
xact_callback(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT && asked_by != InvalidSubTransactionId)
		wake();
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		asked_by = InvalidSubTransactionId;
}

/* subxact_callback drops the request of a subtransaction that was rolled back; a committed one hands it up. */
static void
subxact_callback(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (mine != asked_by)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		asked_by = InvalidSubTransactionId;
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		asked_by = parent;
}

/* etl_wake_at_commit asks for it. */
void
etl_wake_at_commit(void)
{
	static bool registered = false;

	if (!registered)
	{
		RegisterXactCallback(xact_callback, NULL);
		RegisterSubXactCallback(subxact_callback, NULL);
		registered = true;
	}
	if (asked_by == InvalidSubTransactionId)
		asked_by = GetCurrentSubTransactionId();
}
