/*
 * backfill_api.c
 *		The SQL functions etl.backfill and etl.cancel_backfill.
 */
#include "postgres.h"

#include "access/access.h"
#include "access/xact.h"
#include "api/args.h"
#include "api/define.h"
#include "catalog/audit_log.h"
#include "catalog/backfill.h"
#include "catalog/pipeline.h"
#include "catalog/run.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "schedule/backfill_cut.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "worker/wake.h"

PG_FUNCTION_INFO_V1(etl_backfill);
PG_FUNCTION_INFO_V1(etl_cancel_backfill);

#define MAX_ACTIVE 100

/* read_time reads a time that must be given. Errors: 22004. */
static TimestampTz
read_time(FunctionCallInfo fcinfo, const char *name)
{
	Datum value;

	if (!etl_args_find(fcinfo, name, &value))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must not be NULL", name),
						errdetail("It has no default."), errhint("Pass %s => '2026-01-01'.", name)));
	return DatumGetTimestampTz(value);
}

/* read_step reads the length of an interval; NULL means the default. */
static Interval *
read_step(FunctionCallInfo fcinfo)
{
	Interval *day = palloc0(sizeof(Interval));
	Datum value;

	day->day = 1;
	return etl_args_find(fcinfo, "step", &value) ? DatumGetIntervalP(value) : day;
}

/* read_params reads the parameters of the runs. Errors: 22023. */
static Jsonb *
read_params(FunctionCallInfo fcinfo)
{
	Jsonb *params;
	Datum value;

	if (!etl_args_find(fcinfo, "params", &value))
		return NULL;
	params = DatumGetJsonbP(value);
	if (!JB_ROOT_IS_OBJECT(params))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("params must be a JSON object"),
						errdetail("A JSON array or a single value was given."),
						errhint("For example params => '{\"country\": \"es\"}'.")));
	return params;
}

/* read_max_active reads how many runs may be active; NULL means the default. Errors: 22023. */
static int
read_max_active(FunctionCallInfo fcinfo)
{
	Datum value;
	int max_active = etl_args_find(fcinfo, "max_active", &value) ? DatumGetInt32(value) : 1;

	if (max_active < 1 || max_active > MAX_ACTIVE)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("max_active is out of range"),
						errdetail("It is %d.", max_active), errhint("It must be between 1 and %d.", MAX_ACTIVE)));
	return max_active;
}

/* check_tasks makes sure that every task asked for can be run. Errors: 22023. */
static void
check_tasks(const EtlBackfill *backfill, const char *pipeline)
{
	char *unknown;

	if (backfill->tasks.name == NULL)
		return;
	if (backfill->tasks.n == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("tasks must not be empty"),
						errdetail("An empty array was given."),
						errhint("Name the tasks to run, or leave tasks out to run all of them.")));
	unknown = etl_backfill_unknown_task(backfill);
	if (unknown != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("pipeline \"%s\" has no task \"%s\" that can be run", pipeline, unknown),
						errdetail("It does not exist, is disabled, or is a check that gates another task."),
						errhint("SELECT name, enabled, gate FROM etl.task lists the tasks.")));
}

/* read_backfill reads and checks the arguments of etl.backfill. */
static EtlBackfill
read_backfill(FunctionCallInfo fcinfo, const EtlPipeline *pipeline)
{
	static const char *const choices[] = {"missing", "failed", "all", NULL};
	EtlBackfill backfill = {.pipeline_id = pipeline->pipeline_id, .timezone = pipeline->timezone};
	char *reprocess = etl_args_text(fcinfo, "reprocess");
	Datum value;

	backfill.from = read_time(fcinfo, "from_time");
	backfill.to = read_time(fcinfo, "to_time");
	backfill.step = read_step(fcinfo);
	backfill.reprocess = reprocess ? reprocess : "missing";
	etl_define_choice("reprocess", backfill.reprocess, choices);
	backfill.newest_first = etl_args_find(fcinfo, "newest_first", &value) && DatumGetBool(value);
	backfill.max_active = read_max_active(fcinfo);
	backfill.tasks = etl_args_names(fcinfo, "tasks");
	check_tasks(&backfill, pipeline->name);
	backfill.params = read_params(fcinfo);
	backfill.requested_by = GetUserId();
	return backfill;
}

/* count_runs counts the intervals that are to be done, and says when the last of them ends. */
static int
count_runs(const TimestampTz *bound, char *const *action, int n, TimestampTz *end)
{
	int wanted = 0;

	for (int i = 0; i < n; i++)
	{
		if (strcmp(action[i], "run") != 0)
			continue;
		wanted++;
		*end = bound[i + 1];
	}
	return wanted;
}

/* warn_zone tells of a range that was read in another zone than it was meant in. */
static void
warn_zone(const EtlBackfill *backfill, const char *pipeline)
{
	if (!etl_backfill_cut_is_askew(backfill->from, backfill->step, backfill->timezone))
		return;
	ereport(
		NOTICE,
		(errmsg("the intervals do not begin at midnight in the time zone of pipeline \"%s\"", pipeline),
		 errdetail("from_time and to_time were read in the time zone of your session, %s; that of the pipeline is %s.",
				   pg_get_timezone_name(session_timezone), backfill->timezone),
		 errhint("Write the zone with the time, as in '2026-01-01 %s'.", backfill->timezone)));
}

/* warn_rest tells what a person may not expect of the backfill that he gets. */
static void
warn_rest(const EtlPipeline *pipeline, int wanted, TimestampTz end)
{
	if (wanted == 0)
	{
		ereport(NOTICE, (errmsg("there is nothing to do"),
						 errdetail("reprocess leaves out every interval; the column \"action\" says why."),
						 errhint("reprocess => 'all' does them again.")));
		return;
	}
	if (pipeline->paused)
		ereport(NOTICE,
				(errmsg("pipeline \"%s\" is paused, its backfills wait", pipeline->name),
				 errhint("SELECT etl.resume_pipeline(%s) lets them begin.", quote_literal_cstr(pipeline->name))));
	if (end > GetCurrentTimestamp())
		ereport(NOTICE, (errmsg("some intervals end in the future"),
						 errdetail("They are done with the rows that there are by then, and count as done.")));
}

/* put_intervals returns the intervals in the order in which they will be done. */
static void
put_intervals(ReturnSetInfo *result, const EtlBackfill *backfill, const TimestampTz *bound, char *const *action, int n)
{
	for (int i = 0; i < n; i++)
	{
		int place = backfill->newest_first ? n - 1 - i : i;
		Datum value[4];
		bool isnull[4] = {backfill->backfill_id == 0};

		CHECK_FOR_INTERRUPTS();
		value[0] = Int64GetDatum(backfill->backfill_id);
		value[1] = TimestampTzGetDatum(bound[place]);
		value[2] = TimestampTzGetDatum(bound[place + 1]);
		value[3] = CStringGetTextDatum(action[place]);
		tuplestore_putvalues(result->setResult, result->setDesc, value, isnull);
	}
}

/* note writes to the audit log what was done with a backfill. */
static void
note(const char *action, const EtlPipeline *pipeline, int64 backfill_id)
{
	EtlAuditDetail detail[] = {{.name = "backfill_id", .value = psprintf(INT64_FORMAT, backfill_id)}};

	etl_audit_log_insert(GetUserId(), action, pipeline, NULL, detail, lengthof(detail));
}

/* etl.backfill(name, from_time, to_time, ...) RETURNS TABLE (backfill_id, interval_start, interval_end, action) */
Datum
etl_backfill(PG_FUNCTION_ARGS)
{
	EtlPipeline *pipeline = etl_access_pipeline(etl_args_required(fcinfo, "name"), ETL_LEVEL_OPERATOR);
	EtlBackfill backfill = read_backfill(fcinfo, pipeline);
	TimestampTz end = DT_NOBEGIN;
	TimestampTz *bound;
	char **action;
	Datum dry_run;
	int wanted;
	int n;

	n = etl_backfill_cut(backfill.from, backfill.to, backfill.step, backfill.timezone, &bound);
	warn_zone(&backfill, pipeline->name);
	action = etl_backfill_decide(&backfill, bound, n);
	wanted = count_runs(bound, action, n, &end);
	warn_rest(pipeline, wanted, end);
	if (wanted > 0 && !(etl_args_find(fcinfo, "dry_run", &dry_run) && DatumGetBool(dry_run)))
	{
		backfill.backfill_id = etl_backfill_insert(&backfill, bound, action, n);
		note("backfill", pipeline, backfill.backfill_id);
		etl_wake_at_commit();
	}
	InitMaterializedSRF(fcinfo, 0);
	put_intervals((ReturnSetInfo *) fcinfo->resultinfo, &backfill, bound, action, n);
	return (Datum) 0;
}

/* check_backfill returns the pipeline of a backfill that is the caller's business. Errors: 42704, 42501, 25001. */
static EtlPipeline *
check_backfill(int64 backfill_id)
{
	Oid owner;
	char *name = etl_backfill_pipeline(backfill_id, &owner);
	EtlPipeline *pipeline = name ? etl_pipeline_find(name, false) : NULL;

	if (pipeline == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("backfill " INT64_FORMAT " does not exist", backfill_id),
				 errdetail("There was never one, or its pipeline was dropped."),
				 errhint("SELECT * FROM etl.backfill_status lists the backfills.")));
	if (!etl_access_may(GetUserId(), pipeline, ETL_LEVEL_OPERATOR))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("permission denied for backfill " INT64_FORMAT, backfill_id),
						errdetail("It belongs to pipeline \"%s\".", pipeline->name),
						errhint("Ask for membership in the role that owns the pipeline, or for its level operator.")));
	if (IsolationUsesXactSnapshot())
		ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
						errmsg("cannot cancel a backfill in a transaction of isolation level REPEATABLE READ or "
							   "SERIALIZABLE"),
						errdetail("The transaction would not see the runs that were created after it began."),
						errhint("Use READ COMMITTED.")));
	return pipeline;
}

/* etl.cancel_backfill(backfill_id) RETURNS boolean */
Datum
etl_cancel_backfill(PG_FUNCTION_ARGS)
{
	int64 backfill_id = PG_GETARG_INT64(0);
	EtlPipeline *pipeline;
	const char *who = GetUserNameFromId(GetUserId(), false);
	int64 *run_id;
	int n;

	pipeline = check_backfill(backfill_id);
	if (!etl_backfill_end(backfill_id, "cancelled", psprintf("cancelled by %s", who)))
		PG_RETURN_BOOL(false);
	note("cancel_backfill", pipeline, backfill_id);
	n = etl_backfill_active_runs(backfill_id, &run_id);
	for (int i = 0; i < n; i++)
		(void) etl_run_cancel(run_id[i], psprintf("cancelled with backfill " INT64_FORMAT " by %s", backfill_id, who));
	etl_wake_at_commit();
	PG_RETURN_BOOL(true);
}
