/*
 * run_api.c
 *		The SQL functions that start, watch and cancel runs.
 */
#include "postgres.h"

#include "access/access.h"
#include "access/xact.h"
#include "api/args.h"
#include "api/run_api.h"
#include "catalog/audit_log.h"
#include "catalog/pipeline.h"
#include "catalog/task_run.h"
#include "common/pg_prng.h"
#include "errors.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "schedule/due.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker/boot.h"
#include "worker/inline.h"
#include "worker/lock.h"
#include "worker/request.h"
#include "worker/wait.h"
#include "worker/wake.h"

PG_FUNCTION_INFO_V1(etl_run_pipeline);
PG_FUNCTION_INFO_V1(etl_execute_pipeline);
PG_FUNCTION_INFO_V1(etl_wait_for_run);
PG_FUNCTION_INFO_V1(etl_cancel_run);
PG_FUNCTION_INFO_V1(etl_retry_run);
PG_FUNCTION_INFO_V1(etl_recover);

/* read_request reads the arguments that run_pipeline and execute_pipeline share. */
static EtlRequest
read_request(FunctionCallInfo fcinfo)
{
	EtlRequest request = {.pipeline = etl_args_required(fcinfo, "name"), .logical_time = DT_NOBEGIN};
	Datum value;

	if (etl_args_find(fcinfo, "params", &value))
	{
		request.params = DatumGetJsonbP(value);
		if (!JB_ROOT_IS_OBJECT(request.params))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("params must be a JSON object"),
							errdetail("A JSON array or a single value was given."),
							errhint("For example params => '{\"country\": \"es\"}'.")));
	}
	request.tasks = etl_args_names(fcinfo, "tasks");
	if (request.tasks.name != NULL && request.tasks.n == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("tasks must not be empty"),
						errdetail("An empty array was given."),
						errhint("Name the tasks to run, or leave tasks out to run all of them.")));
	request.full_refresh = etl_args_find(fcinfo, "full_refresh", &value) && DatumGetBool(value);
	if (etl_args_find(fcinfo, "logical_time", &value))
		request.logical_time = DatumGetTimestampTz(value);
	return request;
}

/* check_may_wait refuses a caller for whose locks the workers would have to wait, who in turn would wait for them. */
static void
check_may_wait(void)
{
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		ereport(
			ERROR,
			(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
			 errmsg("cannot wait for a run in a transaction that has already written"),
			 errdetail("The workers do not see uncommitted changes and may wait for this transaction's locks, while it "
					   "would wait for them."),
			 errhint("Call it first in a transaction of its own, or with wait => false, or with mode => 'inline'.")));
}

/* wants_wait reads the argument wait, and refuses a caller who cannot. */
static bool
wants_wait(FunctionCallInfo fcinfo)
{
	Datum value;

	if (etl_args_find(fcinfo, "wait", &value) && !DatumGetBool(value))
		return false;
	check_may_wait();
	return true;
}

/*
 * take_waiter_lock takes a lock that stands for this session's waiting: the number of this start of the server, and a
 * random one. A run whose waiting session went down with the server goes on without it.
 */
static int64
take_waiter_lock(void)
{
	int64 waiter;

	do
		waiter = ((int64) etl_boot_number() << 32) | pg_prng_uint32(&pg_global_prng_state);
	while (waiter == 0 || !etl_lock_try(ETL_LOCK_WAITER, waiter, true));
	return waiter;
}

/* run_and_wait submits a run and waits for it. When the wait is given up by an error, the lock goes and the run with it. */
static int64
run_and_wait(EtlRequest *request, bool commit)
{
	EtlWait wait = {.report = true, .commit = commit, .until = DT_NOEND};
	EtlRunState state;
	volatile int64 run_id = 0;

	request->waiter = take_waiter_lock();
	PG_TRY();
	{
		if (request->kind == ETL_REQUEST_RETRY)
			wait.after = etl_task_run_last(request->run_id);
		run_id = etl_request_submit(request, &state);
		wait.run_id = run_id;
		if (run_id != 0)
			state = etl_wait_for(&wait);
	}
	PG_FINALLY();
	{
		etl_lock_release(ETL_LOCK_WAITER, request->waiter);
		etl_lock_wake_holder(ETL_LOCK_SCHEDULER, 0);
	}
	PG_END_TRY();
	if (run_id == 0)
		return 0;
	PushActiveSnapshot(GetLatestSnapshot());
	etl_wait_raise(run_id, request->pipeline, state);
	PopActiveSnapshot();
	return run_id;
}

/* etl_run_api_submit is what etl.run_pipeline does in the background. */
int64
etl_run_api_submit(EtlRequest *request, bool wait)
{
	EtlRunState state;

	if (!wait)
		return etl_request_submit(request, &state);
	check_may_wait();
	return run_and_wait(request, false);
}

/* etl.run_pipeline(name, params, wait, mode, tasks, full_refresh, logical_time) RETURNS bigint */
Datum
etl_run_pipeline(PG_FUNCTION_ARGS)
{
	EtlRequest request = read_request(fcinfo);
	char *mode = etl_args_text(fcinfo, "mode");
	EtlRunState state;

	if (mode != NULL && strcmp(mode, "inline") == 0)
	{
		request.is_inline = true;
		PG_RETURN_INT64(etl_inline_run(&request));
	}
	if (mode != NULL && strcmp(mode, "background") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid mode \"%s\"", mode),
						errdetail("There is no such mode."), errhint("It is one of: background, inline.")));
	if (wants_wait(fcinfo))
		PG_RETURN_INT64(run_and_wait(&request, false));
	PG_RETURN_INT64(etl_request_submit(&request, &state));
}

/* CALL etl.execute_pipeline(name, params, tasks, full_refresh, logical_time, only_when_due) */
Datum
etl_execute_pipeline(PG_FUNCTION_ARGS)
{
	CallContext *context = (CallContext *) fcinfo->context;
	EtlRequest request;
	Datum value;

	if (context == NULL || !IsA(context, CallContext) || context->atomic)
		ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
						errmsg("etl.execute_pipeline cannot be called inside a transaction block"),
						errdetail("It ends its transaction while it waits, so as not to hold a snapshot."),
						errhint("Call it on its own, or use SELECT etl.run_pipeline(...).")));
	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	/* In SPI's procedure context, the arguments live until SPI_finish, over all commits. */
	request = read_request(fcinfo);
	if (etl_args_find(fcinfo, "only_when_due", &value) && DatumGetBool(value))
		request.kind = ETL_REQUEST_DUE;
	SPI_commit();
	(void) run_and_wait(&request, true);
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	PG_RETURN_VOID();
}

/* etl_run_api_check looks at the pipeline of the run. */
char *
etl_run_api_check(int64 run_id)
{
	char *name = etl_run_pipeline_name(run_id);

	if (name == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("run " INT64_FORMAT " does not exist", run_id),
						errdetail("It was never created, or its pipeline was dropped."),
						errhint("SELECT run_id, state FROM etl.run_status lists the runs.")));
	if (!etl_access_may(GetUserId(), etl_pipeline_find(name, false), ETL_LEVEL_OPERATOR))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied for run " INT64_FORMAT, run_id),
				 errdetail("It belongs to pipeline \"%s\".", name),
				 errhint("Ask for membership in the role that owns the pipeline, or for its level operator.")));
	return name;
}

/*
 * wait_marked waits with a lock that tells extracts from this server not to wait for this transaction (commit_bound_pg.c),
 * unless it has written something.
 */
static EtlRunState
wait_marked(const EtlWait *wait)
{
	volatile EtlRunState state = ETL_RUN_QUEUED;
	int64 waiter;

	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		return etl_wait_for(wait);
	waiter = take_waiter_lock();
	PG_TRY();
	{
		state = etl_wait_for(wait);
	}
	PG_FINALLY();
	{
		etl_lock_release(ETL_LOCK_WAITER, waiter);
	}
	PG_END_TRY();
	return state;
}

/* etl.wait_for_run(run_id, timeout) RETURNS text */
Datum
etl_wait_for_run(PG_FUNCTION_ARGS)
{
	EtlWait wait = {.until = DT_NOEND};
	Datum value;

	if (!etl_args_find(fcinfo, "run_id", &value))
		PG_RETURN_NULL();
	wait.run_id = DatumGetInt64(value);
	etl_wait_check_isolation();
	(void) etl_run_api_check(wait.run_id);
	if (etl_args_find(fcinfo, "timeout", &value))
		wait.until = DatumGetTimestampTz(
			DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(GetCurrentTimestamp()), value));
	PG_RETURN_TEXT_P(cstring_to_text(etl_state_run_name(wait_marked(&wait))));
}

/* etl.retry_run(run_id, version, wait) RETURNS bigint */
Datum
etl_retry_run(PG_FUNCTION_ARGS)
{
	EtlRequest request = {.kind = ETL_REQUEST_RETRY, .logical_time = DT_NOBEGIN};
	char *version = etl_args_text(fcinfo, "version");
	EtlRunState state;
	Datum value;

	if (!etl_args_find(fcinfo, "run_id", &value))
		PG_RETURN_NULL();
	request.run_id = DatumGetInt64(value);
	request.pipeline = etl_run_api_check(request.run_id);
	if (version != NULL && strcmp(version, "original") != 0 && strcmp(version, "latest") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid version \"%s\"", version),
						errdetail("A run is retried by one of two versions of its definition."),
						errhint("It is one of: original (as the run was created with), latest.")));
	request.latest = version != NULL && strcmp(version, "latest") == 0;
	if (wants_wait(fcinfo))
		PG_RETURN_INT64(run_and_wait(&request, false));
	PG_RETURN_INT64(etl_request_submit(&request, &state));
}

/* begin_schedules lets the schedules of the caller's pipelines begin that are not carried out: a dump has no progress. */
static void
begin_schedules(void)
{
	int64 *pipeline_id;
	int n = etl_pipeline_unscheduled(GetUserId(), &pipeline_id);

	for (int i = 0; i < n; i++)
		etl_due_begin(pipeline_id[i], GetCurrentTimestamp());
}

/* etl.recover() RETURNS bigint */
Datum
etl_recover(PG_FUNCTION_ARGS)
{
	EtlRequest request = {.kind = ETL_REQUEST_RECOVER, .logical_time = DT_NOBEGIN};
	EtlRunState state;
	EtlRunLine *line;

	begin_schedules();
	etl_wake_at_commit();
	(void) etl_request_submit(&request, &state);
	PG_RETURN_INT64(etl_run_active(&line));
}

/* etl.cancel_run(run_id) RETURNS boolean */
Datum
etl_cancel_run(PG_FUNCTION_ARGS)
{
	int64 run_id = PG_GETARG_INT64(0);
	EtlAuditDetail detail[] = {{.name = "run_id", .value = psprintf(INT64_FORMAT, run_id)}};
	EtlPipeline *pipeline = etl_pipeline_find(etl_run_api_check(run_id), false);

	etl_wake_at_commit();
	if (!etl_run_cancel(run_id, psprintf("cancelled by %s", GetUserNameFromId(GetUserId(), false))))
		PG_RETURN_BOOL(false);
	etl_audit_log_insert(GetUserId(), "cancel_run", pipeline, NULL, detail, lengthof(detail));
	PG_RETURN_BOOL(true);
}
