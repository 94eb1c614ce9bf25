/*
 * cron_bridge.c
 *		A pipeline's schedule and pg_cron's job for it. See cron_bridge.h.
 */
#include "postgres.h"

#include "catalog/spi.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "schedule/cron_bridge.h"
#include "schedule/cron_remote.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

/*
 * cron_setting returns a setting of pg_cron, or NULL when pg_cron is not loaded: a line in postgresql.conf alone only makes
 * a placeholder.
 */
static const char *
cron_setting(const char *name)
{
	const char *value = GetConfigOption(name, true, false);

	if (value == NULL || (GetConfigOptionFlags(name, true) & GUC_CUSTOM_PLACEHOLDER) != 0)
		return NULL;
	return value;
}

/* cron_database returns the database of pg_cron. Errors: 55000 when pg_cron is not loaded, or names no database. */
static const char *
cron_database(void)
{
	const char *database = cron_setting("cron.database_name");

	if (database == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("a schedule needs pg_cron"),
				 errdetail("pg_cron is not in shared_preload_libraries of this server."),
				 errhint("Add pg_cron to shared_preload_libraries, restart, and run CREATE EXTENSION pg_cron in the "
						 "database that cron.database_name names; or leave out schedule and call etl.execute_pipeline "
						 "from any scheduler.")));
	if (!OidIsValid(get_database_oid(database, true)))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("the database of pg_cron, \"%s\", does not exist", database),
						errdetail("A schedule is carried out by pg_cron, which keeps its jobs in that database."),
						errhint("Create it with CREATE EXTENSION pg_cron in it, or set cron.database_name.")));
	return database;
}

/* submit hands a job to pg_cron, here or in its own database. */
static void
submit(const char *database, const EtlCronJob *job)
{
	EtlScope scope;

	if (strcmp(database, job->database) != 0)
	{
		etl_cron_remote_request(database, job);
		return;
	}
	etl_catalog_begin(&scope);
	etl_cron_job_apply(job);
	etl_catalog_end(&scope);
}

/* etl_cron_validate checks a schedule and a time zone. */
void
etl_cron_validate(const char *schedule, const char *timezone)
{
	if (schedule)
		(void) etl_cron_expr_parse(schedule);
	if (timezone)
		(void) etl_cron_zone_find(timezone);
}

/* etl_cron_sync makes pg_cron's job match the pipeline. */
void
etl_cron_sync(const EtlPipeline *pipeline)
{
	const char *database;
	const char *timezone;
	EtlCronJob job = {0};
	EtlCronPlan plan;

	if (pipeline->schedule == NULL || pipeline->paused)
	{
		etl_cron_remove(pipeline->name);
		return;
	}
	database = cron_database();
	/* pg_cron before 1.5 has no such setting and works in GMT. */
	timezone = cron_setting("cron.timezone");
	plan = etl_cron_zone_plan(etl_cron_expr_parse(pipeline->schedule), etl_cron_zone_find(pipeline->timezone),
							  etl_cron_zone_find(timezone ? timezone : "GMT"), GetCurrentTimestamp());
	job.database = get_database_name(MyDatabaseId);
	job.name = etl_cron_job_name(job.database, pipeline->name);
	job.schedule = plan.schedule;
	job.command = psprintf("CALL etl.execute_pipeline(%s%s)", quote_literal_cstr(pipeline->name),
						   plan.only_when_due ? ", only_when_due => true" : "");
	job.username = GetUserNameFromId(pipeline->owner, false);
	submit(database, &job);
}

/* etl_cron_remove removes the job of a pipeline. */
void
etl_cron_remove(const char *pipeline_name)
{
	const char *database = cron_setting("cron.database_name");
	EtlCronJob job = {0};

	if (database == NULL || !OidIsValid(get_database_oid(database, true)))
		return;
	job.database = get_database_name(MyDatabaseId);
	job.name = etl_cron_job_name(job.database, pipeline_name);
	submit(database, &job);
}
