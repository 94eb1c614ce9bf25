/*
 * pipeline_api.c
 *		The SQL functions that define pipelines.
 */
#include "postgres.h"

#include "access/access.h"
#include "api/args.h"
#include "api/define.h"
#include "catalog/pipeline.h"
#include "catalog/schedule.h"
#include "miscadmin.h"
#include "schedule/cron_bridge.h"
#include "schedule/deadline.h"
#include "schedule/due.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "worker/wake.h"

PG_FUNCTION_INFO_V1(etl_create_pipeline);
PG_FUNCTION_INFO_V1(etl_alter_pipeline);
PG_FUNCTION_INFO_V1(etl_drop_pipeline);
PG_FUNCTION_INFO_V1(etl_pause_pipeline);
PG_FUNCTION_INFO_V1(etl_resume_pipeline);

/* Settings that alter_pipeline can set back to their default. */
static const char *const resettable[] = {"schedule",	 "timezone",	   "description", "tags",
										 "max_parallel", "on_overlap",	   "run_timeout", "deadline",
										 "missed_run",	 "atomic_publish", NULL};

/* check_pipeline checks the settings of a pipeline. Errors: 22023, 42622. */
static void
check_pipeline(const EtlPipeline *pipeline)
{
	static const char *const overlaps[] = {"skip", "queue", "error", "cancel_running", NULL};
	static const char *const missed_runs[] = {"run_once", "skip", "catch_up", NULL};
	Interval zero = {0};

	if (strlen(pipeline->name) > 128)
		ereport(ERROR, (errcode(ERRCODE_NAME_TOO_LONG), errmsg("the name of the pipeline is too long"),
						errdetail("It has %d bytes.", (int) strlen(pipeline->name)), errhint("Use at most 128.")));
	etl_define_choice("on_overlap", pipeline->on_overlap, overlaps);
	etl_define_choice("missed_run", pipeline->missed_run, missed_runs);
	if (pipeline->max_parallel < 1 || pipeline->max_parallel > 256)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("max_parallel is out of range"),
						errdetail("It is %d.", pipeline->max_parallel), errhint("It must be between 1 and 256.")));
	if (pipeline->run_timeout != NULL &&
		DatumGetInt32(
			DirectFunctionCall2(interval_cmp, IntervalPGetDatum(pipeline->run_timeout), IntervalPGetDatum(&zero))) <= 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("run_timeout is out of range"),
						errdetail("It is not more than 0."),
						errhint("Pass a positive interval, as in run_timeout => '3 h'.")));
	etl_cron_validate(pipeline->schedule, pipeline->timezone);
	if (pipeline->deadline != NULL)
		etl_deadline_validate(pipeline->deadline);
}

/*
 * begin_schedule lets a schedule begin now: times before are not owed. anew: also one that is carried out already, and not
 * only one that is not, because it came with a dump.
 */
static void
begin_schedule(const EtlPipeline *pipeline, bool anew)
{
	TimestampTz decided_until;

	if (pipeline->schedule == NULL || pipeline->paused ||
		(!anew && etl_schedule_get(pipeline->pipeline_id, &decided_until)))
		return;
	etl_due_begin(pipeline->pipeline_id, GetCurrentTimestamp());
	etl_wake_at_commit();
}

/* same_schedule says whether two versions of a pipeline are due at the same times. */
static bool
same_schedule(const EtlPipeline *a, const EtlPipeline *b)
{
	return a->schedule != NULL && b->schedule != NULL && strcmp(a->schedule, b->schedule) == 0 &&
		   strcmp(a->timezone, b->timezone) == 0;
}

/* without_owner returns a definition whose owner, a name that may not be one, cannot be read as a role. */
static Jsonb *
without_owner(Jsonb *definition)
{
	char *member[] = {"owner"};
	EtlNames names = {1, member};

	return etl_define_overlay(definition, definition, &names);
}

/* etl.create_pipeline(name, ...) RETURNS bigint */
Datum
etl_create_pipeline(PG_FUNCTION_ARGS)
{
	EtlPipeline *pipeline;
	int64 pipeline_id;

	(void) etl_args_required(fcinfo, "name");
	etl_access_check_create("a pipeline");
	pipeline = etl_pipeline_parse(without_owner(etl_args_object(fcinfo)));
	pipeline->owner = etl_define_owner(etl_args_text(fcinfo, "owner"));
	check_pipeline(pipeline);
	pipeline_id = pipeline->pipeline_id = etl_pipeline_insert(pipeline);
	if (pipeline->schedule != NULL)
		etl_cron_sync(pipeline);
	begin_schedule(pipeline, true);
	PG_RETURN_INT64(pipeline_id);
}

/* etl.alter_pipeline(name, ...) RETURNS void */
Datum
etl_alter_pipeline(PG_FUNCTION_ARGS)
{
	EtlPipeline *old = etl_access_pipeline(etl_args_required(fcinfo, "name"), ETL_LEVEL_AUTHOR);
	EtlNames reset = etl_args_names(fcinfo, "reset");
	char *owner = etl_args_text(fcinfo, "owner");
	char *new_name = etl_args_text(fcinfo, "new_name");
	char *schedule = etl_args_text(fcinfo, "schedule");
	EtlPipeline *pipeline;

	for (int i = 0; i < reset.n; i++)
		etl_define_choice("element of reset", reset.name[i], resettable);
	pipeline = etl_pipeline_parse(
		without_owner(etl_define_overlay(etl_pipeline_definition(old->pipeline_id), etl_args_object(fcinfo), &reset)));
	pipeline->pipeline_id = old->pipeline_id;
	if (owner != NULL)
		etl_access_check(GetUserId(), old, ETL_LEVEL_ADMIN);
	pipeline->owner = owner ? etl_define_owner(owner) : old->owner;
	if (new_name != NULL)
		pipeline->name = etl_args_required(fcinfo, "new_name");
	check_pipeline(pipeline);
	if (strcmp(pipeline->name, old->name) != 0 && etl_pipeline_find(pipeline->name, false) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT), errmsg("pipeline \"%s\" already exists", pipeline->name),
				 errdetail("The names of pipelines are unique in a database."), errhint("Choose another new_name.")));
	etl_define_check_publication(pipeline, etl_define_publish_problems(old));
	etl_pipeline_update(pipeline);
	if (old->schedule != NULL && strcmp(pipeline->name, old->name) != 0)
		etl_cron_remove(old->name);
	if (old->schedule != NULL || pipeline->schedule != NULL)
		etl_cron_sync(pipeline);
	if (schedule != NULL || !same_schedule(old, pipeline))
		begin_schedule(pipeline, !same_schedule(old, pipeline));
	PG_RETURN_VOID();
}

/* etl.drop_pipeline(name) RETURNS void */
Datum
etl_drop_pipeline(PG_FUNCTION_ARGS)
{
	EtlPipeline *pipeline = etl_access_pipeline(etl_args_required(fcinfo, "name"), ETL_LEVEL_ADMIN);
	Oid *role;
	int n;

	if (etl_pipeline_active(pipeline->pipeline_id))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE), errmsg("pipeline \"%s\" has a run that has not ended", pipeline->name),
				 errdetail("Dropping the pipeline would take its records away."),
				 errhint("Cancel it with etl.cancel_run, or wait for it with etl.wait_for_run; etl.run_status has its "
						 "number.")));
	n = etl_role_grant_usage_of(pipeline->pipeline_id, &role);
	etl_pipeline_delete(pipeline->pipeline_id);
	etl_role_grant_settle_usage(role, n);
	if (pipeline->schedule != NULL)
		etl_cron_remove(pipeline->name);
	PG_RETURN_VOID();
}

/* set_paused stores whether a pipeline is paused and takes its job away or brings it back. */
static void
set_paused(EtlPipeline *pipeline, bool paused)
{
	bool was_paused = pipeline->paused;

	pipeline->paused = paused;
	etl_pipeline_update(pipeline);
	if (pipeline->schedule != NULL)
		etl_cron_sync(pipeline);
	if (paused)
		return;
	begin_schedule(pipeline, was_paused);
	/* Its backfills go on. */
	etl_wake_at_commit();
}

/* etl.pause_pipeline(name) RETURNS void */
Datum
etl_pause_pipeline(PG_FUNCTION_ARGS)
{
	set_paused(etl_access_pipeline(etl_args_required(fcinfo, "name"), ETL_LEVEL_OPERATOR), true);
	PG_RETURN_VOID();
}

/* etl.resume_pipeline(name) RETURNS void */
Datum
etl_resume_pipeline(PG_FUNCTION_ARGS)
{
	set_paused(etl_access_pipeline(etl_args_required(fcinfo, "name"), ETL_LEVEL_OPERATOR), false);
	PG_RETURN_VOID();
}
