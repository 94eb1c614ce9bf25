/*
 * cron_next.h
 *		When a schedule is due next. Pure.
 *
 * Clock changes, as in Vixie cron: where the minute or hour field begins with '*', the schedule follows real time.
 * Otherwise a time that is left out when clocks are put forward is due that much later, and a time that comes twice when
 * they are put back is due the first time.
 */
#ifndef ETL_CRON_NEXT_H
#define ETL_CRON_NEXT_H

#include "datatype/timestamp.h"
#include "schedule/cron_expr.h"

/* The first minute after a moment at which the schedule is due, read in the zone; DT_NOEND: none in the next 10 years. */
extern TimestampTz etl_cron_next(const EtlCronExpr *expr, pg_tz *zone, TimestampTz after);

#endif /* ETL_CRON_NEXT_H */
