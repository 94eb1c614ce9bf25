/*
 * bgw.c
 *		Starting the dynamic background workers of etl_ext.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "worker/bgw.h"

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
	worker.bgw_notify_pid = MyProcPid;
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

	return start_worker("etl scheduler", "etl scheduler", "etl_scheduler_main", &params, handle);
}

/* etl_bgw_start_executor starts a worker for one attempt that connects as role. */
bool
etl_bgw_start_executor(Oid role, int64 task_run_id, const char *name, BackgroundWorkerHandle **handle)
{
	EtlBgwParams params = {.database = MyDatabaseId, .role = role, .task_run_id = task_run_id};

	return start_worker("etl executor", name, "etl_executor_main", &params, handle);
}

/*
 * etl_bgw_begin is the first call of every worker: signals, connection, settings. SIGTERM ends the worker at the next
 * interrupt check and not inside the handler; SIGINT cancels the running statement, as in any backend.
 */
EtlBgwParams
etl_bgw_begin(void)
{
	EtlBgwParams params;

	memcpy(&params, MyBgworkerEntry->bgw_extra, sizeof(params));
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(params.database, params.role, 0);
	/* Settings of the role must not decide which objects the engine's own SQL finds. */
	SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION);
	SetConfigOption("application_name", MyBgworkerEntry->bgw_name, PGC_USERSET, PGC_S_SESSION);
	return params;
}
