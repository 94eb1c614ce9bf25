/*
 * helper.c
 *		Workers that the executor of an attempt starts to help it. See helper.h.
 */
#include "postgres.h"

#include <signal.h>
#include <time.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "worker/helper.h"
#include "worker/remote.h"

/* How often a helper is told to end, in ms, and after how long it is given up: what it commits then is refused. */
#define TELL_AGAIN 200
#define GIVE_UP 30000

/* How long a helper may take to notice before its connections are cut, in s. */
#define PATIENCE 1

static BackgroundWorkerHandle **guarded = NULL;
static int n_guarded = 0;
static volatile time_t told_at = 0;

/* etl_helper_init prepares shared memory. */
void
etl_helper_init(EtlHelperShare *share)
{
	pg_atomic_init_u32(&share->claimed, 0);
	pg_atomic_init_u32(&share->failed, 0);
	pg_atomic_init_u32(&share->finished, 0);
	share->live = etl_live_handle();
	share->message[0] = share->detail[0] = share->hint[0] = '\0';
}

/* on_terminate ends the helper; a library that does not look for interrupts is woken by cutting its connections. */
static void
on_terminate(SIGNAL_ARGS)
{
	int save_errno = errno;
	time_t now = time(NULL);

	if (told_at == 0)
		told_at = now;
	else if (now - told_at >= PATIENCE)
		etl_remote_cut();
	errno = save_errno;
	die(postgres_signal_arg);
}

/* etl_helper_signals replaces what etl_bgw_begin has set. */
void
etl_helper_signals(void)
{
	pqsignal(SIGTERM, on_terminate);
}

/* etl_helper_fail keeps the first error. */
void
etl_helper_fail(EtlHelperShare *share)
{
	uint32 free = 0;
	ErrorData *error;

	HOLD_INTERRUPTS();
	MemoryContextSwitchTo(TopMemoryContext);
	error = CopyErrorData();
	EmitErrorReport();
	FlushErrorState();
	AbortCurrentTransaction();
	if (pg_atomic_compare_exchange_u32(&share->claimed, &free, 1))
	{
		share->sqlerrcode = error->sqlerrcode;
		strlcpy(share->message, error->message ? error->message : "", ETL_HELPER_TEXT);
		strlcpy(share->detail, error->detail ? error->detail : "", ETL_HELPER_TEXT);
		strlcpy(share->hint, error->hint ? error->hint : "", ETL_HELPER_TEXT);
		pg_write_barrier();
		pg_atomic_write_u32(&share->failed, 1);
	}
	RESUME_INTERRUPTS();
}

/* etl_helper_check raises it as its own. */
void
etl_helper_check(EtlHelperShare *share)
{
	if (pg_atomic_read_u32(&share->failed) == 0)
		return;
	pg_read_barrier();
	ereport(ERROR, (errcode(share->sqlerrcode), errmsg("%s", pstrdup(share->message)),
					share->detail[0] ? errdetail("%s", pstrdup(share->detail)) : 0,
					share->hint[0] ? errhint("%s", pstrdup(share->hint)) : 0));
}

/* tell sends SIGTERM to those that are at work; false: there are none. */
static bool
tell(BackgroundWorkerHandle **handle, int n)
{
	bool any = false;

	for (int i = 0; i < n; i++)
	{
		pid_t pid;
		BgwHandleStatus status = GetBackgroundWorkerPid(handle[i], &pid);

		if (status == BGWH_STOPPED)
			continue;
		any = true;
		if (status == BGWH_STARTED)
			(void) kill(pid, SIGTERM);
		else
			TerminateBackgroundWorker(handle[i]);
	}
	return any;
}

/* etl_helper_end tells them again and again: the second time cuts their connections. */
void
etl_helper_end(BackgroundWorkerHandle **handle, int n)
{
	HOLD_INTERRUPTS();
	for (int waited = 0; waited < GIVE_UP && tell(handle, n); waited += TELL_AGAIN)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, TELL_AGAIN, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
	RESUME_INTERRUPTS();
}

/* etl_helper_all_ended looks at each. */
bool
etl_helper_all_ended(BackgroundWorkerHandle **handle, int n)
{
	pid_t pid;

	for (int i = 0; i < n; i++)
		if (GetBackgroundWorkerPid(handle[i], &pid) != BGWH_STOPPED)
			return false;
	return true;
}

/* end_guarded is called when the process ends; nothing passes by here but a process that is killed. */
static void
end_guarded(int code, Datum arg)
{
	(void) tell(guarded, n_guarded);
}

/* etl_helper_guard registers once. */
void
etl_helper_guard(BackgroundWorkerHandle **handle, int n)
{
	static bool registered = false;

	guarded = handle;
	n_guarded = n;
	if (!registered)
		before_shmem_exit(end_guarded, (Datum) 0);
	registered = true;
}
