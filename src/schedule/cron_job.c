/*
 * cron_job.c
 *		One job of pg_cron. See cron_job.h.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "schedule/cron_job.h"
#include "utils/builtins.h"
#include "worker/launcher.h"

#define N_SCHEDULE_ARGS 5

/* ":" and 16 hexadecimal digits. */
#define HASH_LENGTH 17

/*
 * etl_cron_job_name returns etl:<database>:<pipeline>. Where that does not fit into a name, or where a colon in the name
 * of the database would make it ambiguous, it ends in a hash of both.
 */
char *
etl_cron_job_name(const char *database, const char *pipeline)
{
	StringInfoData name;
	StringInfoData key;
	uint64 hash;

	initStringInfo(&name);
	appendStringInfo(&name, "etl:%s:%s", database, pipeline);
	if (name.len < NAMEDATALEN && strchr(database, ':') == NULL)
		return name.data;

	initStringInfo(&key);
	appendBinaryStringInfo(&key, database, strlen(database) + 1);
	appendStringInfoString(&key, pipeline);
	hash = hash_bytes_extended((const unsigned char *) key.data, key.len, 0);
	name.len = pg_mbcliplen(name.data, name.len, NAMEDATALEN - 1 - HASH_LENGTH);
	name.data[name.len] = '\0';
	appendStringInfo(&name, ":%016llx", (unsigned long long) hash);
	return name.data;
}

/* execute runs one statement with text arguments; the fourth to last may be missing. */
static void
execute(const char *sql, int nargs, const char *const *arg)
{
	Oid type[N_SCHEDULE_ARGS];
	Datum value[N_SCHEDULE_ARGS];
	char null[N_SCHEDULE_ARGS] = {0};
	int rc;

	for (int i = 0; i < nargs; i++)
	{
		type[i] = TEXTOID;
		value[i] = arg[i] ? CStringGetTextDatum(arg[i]) : (Datum) 0;
		null[i] = arg[i] ? ' ' : 'n';
	}
	rc = SPI_execute_with_args(sql, nargs, type, value, null, false, 0);
	if (rc != SPI_OK_SELECT)
		elog(ERROR, "pg_cron statement returned %s: %s", SPI_result_code_string(rc), sql);
}

/*
 * pg_cron_is_here says whether the extension is installed in this database. Its schema is then its own: nobody else can
 * have planted the functions that are called below with a superuser's rights.
 */
static bool
pg_cron_is_here(void)
{
	return OidIsValid(get_extension_oid("pg_cron", true)) && OidIsValid(get_namespace_oid("cron", true));
}

/* etl_cron_job_apply makes pg_cron's job match. A job that stays with its role keeps its number. */
void
etl_cron_job_apply(const EtlCronJob *job)
{
	const char *remove[3] = {job->name, job->database, job->schedule ? job->username : NULL};
	const char *schedule[N_SCHEDULE_ARGS] = {job->name, job->schedule, job->command, job->database, job->username};

	if (!pg_cron_is_here())
	{
		if (job->schedule == NULL || etl_launcher_exists())
			return;
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension pg_cron is not installed in database \"%s\"", get_database_name(MyDatabaseId)),
				 errdetail("A schedule is carried out by pg_cron, which keeps its jobs in that database."),
				 errhint("Run CREATE EXTENSION pg_cron there; or add etl_ext to shared_preload_libraries and restart: "
						 "its launcher carries schedules out too.")));
	}
	execute("SELECT cron.unschedule(j.jobid) FROM cron.job AS j"
			" WHERE j.jobname::text = $1 AND j.database = $2 AND ($3 IS NULL OR j.username <> $3)",
			3, remove);
	if (job->schedule)
		execute("SELECT cron.schedule_in_database($1, $2, $3, $4, $5, true)", N_SCHEDULE_ARGS, schedule);
}
