/*
 * bgw.c
 *		Starting the dynamic background workers of etl_ext.
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "worker/bgw.h"
#include "worker/watch.h"

#define SCHEDULER_MAIN "etl_scheduler_main"

/* Types of our workers, as pg_stat_activity shows them, begin like this. */
#define ALL_TYPES "etl "
#define EXECUTOR_TYPE "etl executor"

StaticAssertDecl(sizeof(EtlBgwParams) <= BGW_EXTRALEN, "EtlBgwParams does not fit into bgw_extra");

/* start_worker registers a worker; false when the server has no free slot. */
static bool
start_worker(const char *type, const char *name, const char *function, const EtlBgwParams *params,
			 BackgroundWorkerHandle **handle)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = handle ? MyProcPid : 0;
	strlcpy(worker.bgw_library_name, "etl_ext", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, function, BGW_MAXLEN);
	strlcpy(worker.bgw_type, type, BGW_MAXLEN);
	strlcpy(worker.bgw_name, name, BGW_MAXLEN);
	memcpy(worker.bgw_extra, params, sizeof(*params));
	return RegisterDynamicBackgroundWorker(&worker, handle);
}

/* etl_bgw_start_scheduler starts a worker that takes a request and schedules if nobody else does. */
bool
etl_bgw_start_scheduler(uint32 request, BackgroundWorkerHandle **handle)
{
	EtlBgwParams params = {.database = MyDatabaseId, .request = request};

	return start_worker("etl scheduler", "etl scheduler", SCHEDULER_MAIN, &params, handle);
}

/*
 * etl_bgw_start_look starts a scheduler without a request. Without a handle it allocates and raises nothing, so that it
 * may be called while a transaction commits.
 */
bool
etl_bgw_start_look(Oid database, BackgroundWorkerHandle **handle)
{
	EtlBgwParams params = {.database = database};

	return start_worker("etl scheduler", "etl scheduler", SCHEDULER_MAIN, &params, handle);
}

/* etl_bgw_start_executor starts a worker for one attempt, or a publication, that connects as role. */
bool
etl_bgw_start_executor(Oid role, int64 task_run_id, bool is_publication, const char *name,
					   BackgroundWorkerHandle **handle)
{
	EtlBgwParams params = {
		.database = MyDatabaseId, .role = role, .task_run_id = task_run_id, .is_publication = is_publication};

	/* It would connect as the bootstrap superuser. */
	if (!OidIsValid(role))
		elog(ERROR, "the worker of a task needs a role");

	return start_worker(EXECUTOR_TYPE, name, "etl_executor_main", &params, handle);
}

/* etl_bgw_start_helper starts a worker that connects as role, like that of the attempt. */
bool
etl_bgw_start_helper(Oid role, int64 task_run_id, uint32 share, const char *type, const char *name,
					 const char *function, BackgroundWorkerHandle **handle)
{
	EtlBgwParams params = {.database = MyDatabaseId, .role = role, .task_run_id = task_run_id, .request = share};

	if (!OidIsValid(role))
		elog(ERROR, "the worker of a task needs a role");
	return start_worker(type, name, function, &params, handle);
}

/* etl_bgw_start_notifier starts a worker that delivers alerts if nobody else does; nobody waits for it. */
bool
etl_bgw_start_notifier(void)
{
	EtlBgwParams params = {.database = MyDatabaseId};

	return start_worker("etl notifier", "etl notifier", "etl_notifier_main", &params, NULL);
}

/*
 * etl_bgw_begin is the first call of every worker: signals, connection, settings. SIGTERM ends the worker at the next
 * interrupt check and not inside the handler; what SIGINT does is up to the worker.
 */
EtlBgwParams
etl_bgw_begin(void)
{
	EtlBgwParams params;

	memcpy(&params, MyBgworkerEntry->bgw_extra, sizeof(params));
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	if (strcmp(MyBgworkerEntry->bgw_function_name, SCHEDULER_MAIN) == 0)
		etl_watch_scheduler_starts(params.database);
	BackgroundWorkerInitializeConnectionByOid(params.database, params.role, 0);
	/* By now whoever drops or renames the database sees this process, or this process sees that. */
	if (etl_watch_is_blocked(params.database))
		proc_exit(0);
	/* Settings of the role must not decide which objects the engine's own SQL finds. */
	SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION);
	SetConfigOption("application_name", MyBgworkerEntry->bgw_name, PGC_USERSET, PGC_S_SESSION);
	return params;
}

/* is_worker says whether a process is a worker in a database, of a type that begins so, and not this one. */
static bool
is_worker(const PGPROC *proc, Oid database, const char *begin)
{
	const char *type;

	if (proc->pid == 0 || proc == MyProc || proc->databaseId != database)
		return false;
	type = GetBackgroundWorkerTypeByPid(proc->pid);
	return type != NULL && strncmp(type, begin, strlen(begin)) == 0;
}

/* etl_bgw_wake sets the latches of the workers in a database. */
void
etl_bgw_wake(Oid database)
{
	for (uint32 i = 0; i < ProcGlobal->allProcCount; i++)
	{
		PGPROC *proc = GetPGProcByNumber(i);

		if (is_worker(proc, database, ALL_TYPES))
			SetLatch(&proc->procLatch);
	}
}

/* etl_bgw_count counts the workers in a database. */
int
etl_bgw_count(Oid database)
{
	int n = 0;

	for (uint32 i = 0; i < ProcGlobal->allProcCount; i++)
		n += is_worker(GetPGProcByNumber(i), database, ALL_TYPES) ? 1 : 0;
	return n;
}

/* etl_bgw_count_type counts the workers of one type in a database. */
int
etl_bgw_count_type(Oid database, const char *type)
{
	int n = 0;

	for (uint32 i = 0; i < ProcGlobal->allProcCount; i++)
		n += is_worker(GetPGProcByNumber(i), database, type) ? 1 : 0;
	return n;
}

/* terminate tells workers to end. One of a task that is told twice drops everything. */
static void
terminate(Oid database, const char *begin)
{
	for (uint32 i = 0; i < ProcGlobal->allProcCount; i++)
	{
		PGPROC *proc = GetPGProcByNumber(i);

		if (is_worker(proc, database, begin))
			(void) kill(proc->pid, SIGTERM);
	}
}

/* etl_bgw_terminate tells all workers in a database to end. */
void
etl_bgw_terminate(Oid database)
{
	terminate(database, ALL_TYPES);
}

/* etl_bgw_terminate_executors tells those of tasks to end. */
void
etl_bgw_terminate_executors(Oid database)
{
	terminate(database, EXECUTOR_TYPE);
}
