/*
 * cron_job.h
 *		One job of pg_cron: written through pg_cron's own functions, in the database where pg_cron lives.
 */
#ifndef ETL_CRON_JOB_H
#define ETL_CRON_JOB_H

/* What a job should be. */
typedef struct EtlCronJob
{
	const char *name;	  /* of the job: see etl_cron_job_name */
	const char *database; /* where it runs */
	const char *schedule; /* five fields in pg_cron's time zone; NULL: there should be no such job */
	const char *command;
	const char *username; /* role it runs as */
} EtlCronJob;

/* Name of the job of a pipeline: readable, at most 63 bytes, and unique over all databases. */
extern char *etl_cron_job_name(const char *database, const char *pipeline);

/*
 * Makes pg_cron's job match. The caller is connected to SPI as a superuser, with search_path = pg_catalog, in the
 * database of pg_cron. Errors: 55000 when pg_cron is not installed there, unless the
 * launcher carries schedules out; removing is then silent.
 */
extern void etl_cron_job_apply(const EtlCronJob *job);

#endif /* ETL_CRON_JOB_H */
