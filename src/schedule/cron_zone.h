/*
 * cron_zone.h
 *		A schedule in one time zone, carried out by a scheduler that works in another. No access to tables.
 *
 * pg_cron knows one zone. A job for a pipeline in another zone fires whenever the schedule may be due there: a superset,
 * over all differences between the zones in this and the next year.
 */
#ifndef ETL_CRON_ZONE_H
#define ETL_CRON_ZONE_H

#include "datatype/timestamp.h"
#include "schedule/cron_expr.h"

/* A stretch of time in which a zone has the same offset from UTC. Offsets are in seconds, east is positive. */
typedef struct EtlZoneSpan
{
	long offset;
	pg_time_t until;  /* when it ends, exclusive; ETL_ZONE_FOREVER: never */
	long next_offset; /* from then on */
} EtlZoneSpan;

#define ETL_ZONE_FOREVER PG_INT64_MAX

/* The zone of a name. Errors: 22023 for a name that is not in pg_timezone_names. */
extern pg_tz *etl_cron_zone_find(const char *timezone);

/* The stretch that a moment (seconds since 1970) lies in; where it began is not said. */
extern EtlZoneSpan etl_cron_zone_span(pg_tz *zone, pg_time_t at);

/* Seconds since 1970, rounded down, and back. */
extern pg_time_t etl_cron_zone_seconds(TimestampTz at);
extern TimestampTz etl_cron_zone_moment(pg_time_t seconds);

/* Translates an expression that is read in zone for a scheduler that works in cron_zone: five fields. */
extern const char *etl_cron_zone_plan(const EtlCronExpr *expr, pg_tz *zone, pg_tz *cron_zone, TimestampTz now);

#endif /* ETL_CRON_ZONE_H */
