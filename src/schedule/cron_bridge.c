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
#include "worker/launcher.h"

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

/*
 * cron_database returns the database of pg_cron, NULL if there is none and the launcher carries schedules out by itself.
 * Errors: 55000 when there is no launcher either.
 */
static const char *
cron_database(void)
{
	const char *database = cron_setting("cron.database_name");

	if (database != NULL && OidIsValid(get_database_oid(database, true)))
		return database;
	if (etl_launcher_exists())
		return NULL;
	if (database == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a schedule needs the launcher of etl_ext, or pg_cron"),
				 errdetail("Neither etl_ext nor pg_cron is in shared_preload_libraries of this server."),
				 errhint("Add etl_ext to shared_preload_libraries and restart; or add pg_cron, restart, and run CREATE "
						 "EXTENSION pg_cron in the database that cron.database_name names; or leave out schedule and "
						 "call etl.execute_pipeline from any scheduler.")));
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("the database of pg_cron, \"%s\", does not exist", database),
					errdetail("A schedule is carried out by pg_cron, which keeps its jobs in that database."),
					errhint("Create it with CREATE EXTENSION pg_cron in it, or set cron.database_name.")));
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

	if (pipeline->schedule == NULL || pipeline->paused)
	{
		etl_cron_remove(pipeline->name);
		return;
	}
	database = cron_database();
	if (database == NULL)
		return;
	/* pg_cron before 1.5 has no such setting and works in GMT. */
	timezone = cron_setting("cron.timezone");
	job.database = get_database_name(MyDatabaseId);
	job.name = etl_cron_job_name(job.database, pipeline->name);
	job.schedule = etl_cron_zone_plan(etl_cron_expr_parse(pipeline->schedule), etl_cron_zone_find(pipeline->timezone),
									  etl_cron_zone_find(timezone ? timezone : "GMT"), GetCurrentTimestamp());
	/* However late it comes, and however often, it finds the times that have had no run. */
	job.command = psprintf("CALL etl.execute_pipeline(%s, only_when_due => true)", quote_literal_cstr(pipeline->name));
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
