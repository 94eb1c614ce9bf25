/*
 * step.c
 *		The transactions of the scheduler. What they commit are changes of state that a crash may lose without harm: the work
 *		itself commits in the executors. So nobody waits for the disk.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/extension.h"
#include "catalog/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker/bgw.h"
#include "worker/step.h"

/* How often somebody who gave way to DROP EXTENSION, or to a read-only server, looks whether it may go on, in ms. */
#define LOOK_AGAIN 200

static MemoryContext outside;

/* pause_scheduling waits outside of a transaction. */
static void
pause_scheduling(void)
{
	(void) WaitLatch(MyLatch, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, LOOK_AGAIN, PG_WAIT_EXTENSION);
	CHECK_FOR_INTERRUPTS();
}

/*
 * give_way lets DROP EXTENSION go through: the executors, which it waits for, are ended. If it is rolled back, their
 * attempts are repeated.
 */
static void
give_way(void)
{
	bool exists = etl_catalog_exists();

	AbortCurrentTransaction();
	etl_bgw_terminate_executors(MyDatabaseId);
	if (!exists)
		proc_exit(0);
	pause_scheduling();
}

/* wait_for_writing waits until transactions may write again (default_transaction_read_only), and says so once. */
static void
wait_for_writing(bool *told)
{
	AbortCurrentTransaction();
	if (!*told)
		ereport(LOG, (errmsg("etl_ext: transactions are read-only, nothing is started"),
					  errhint("default_transaction_read_only is on.")));
	*told = true;
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
	pause_scheduling();
}

/*
 * etl_step_begin opens a transaction with a snapshot, when the extension and the server let it. Ends the process when the
 * extension is gone.
 */
void
etl_step_begin(void)
{
	bool told = false;

	outside = CurrentMemoryContext;
	for (;;)
	{
		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		/* First, so that nobody waits in a database without the extension. */
		if (!etl_extension_hold())
			give_way();
		else if (XactReadOnly)
			wait_for_writing(&told);
		else
			break;
		MemoryContextSwitchTo(outside);
	}
	PushActiveSnapshot(GetTransactionSnapshot());
	(void) set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

/* etl_step_end commits it and goes back to the memory context from before. */
void
etl_step_end(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(outside);
}
