/*
 * cron_bridge.h
 *		A pipeline's schedule and pg_cron's job for it.
 *
 * pg_cron is optional: the launcher of etl_ext carries schedules out too. When pg_cron lives in this database, the job is
 * written in the caller's transaction; when it lives in another one, a background worker writes it just before the commit.
 */
#ifndef ETL_CRON_BRIDGE_H
#define ETL_CRON_BRIDGE_H

#include "etl_ext.h"
#include "schedule/cron_zone.h"

/* Checks a schedule and a time zone; either may be NULL. Errors: 22023. */
extern void etl_cron_validate(const char *schedule, const char *timezone);

/*
 * Makes pg_cron's job match the pipeline: none while it is paused or has no schedule. The caller has checked that the
 * user may act for the pipeline's owner: the job is written with the rights of the extension's owner. Call it when the
 * schedule is, or was, not NULL. Errors: 22023, 55000 when neither pg_cron nor the launcher is there.
 */
extern void etl_cron_sync(const EtlPipeline *pipeline);

/* Removes the job of a pipeline; silent when there is none, or no pg_cron. */
extern void etl_cron_remove(const char *pipeline_name);

#endif /* ETL_CRON_BRIDGE_H */
