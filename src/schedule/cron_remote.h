/*
 * cron_remote.h
 *		Jobs of pg_cron when it lives in another database than the pipelines.
 *
 * Requests are kept until the transaction commits, and dropped with it or with their subtransaction. Just before the
 * commit a background worker connects to pg_cron's database, carries them out in one transaction, and hands its error
 * back. The two commits are not one: if the caller's transaction fails after that point (a serialization failure, a
 * crash), the job is ahead of the definition until the pipeline is next altered.
 */
#ifndef ETL_CRON_REMOTE_H
#define ETL_CRON_REMOTE_H

#include "postgres.h"

#include "schedule/cron_job.h"

/* Asks for a job in the database at commit. Errors, then: those of etl_cron_job_apply, 53400 without a worker slot. */
extern void etl_cron_remote_request(const char *database, const EtlCronJob *job);

/* Main function of the background worker. */
extern PGDLLEXPORT void etl_cron_worker_main(Datum main_arg);

#endif /* ETL_CRON_REMOTE_H */
