/*
 * backfill_cut.h
 *		Cutting a range of time into the intervals of a backfill. No access to tables.
 */
#ifndef ETL_BACKFILL_CUT_H
#define ETL_BACKFILL_CUT_H

#include "datatype/timestamp.h"

#define ETL_BACKFILL_MAX_INTERVALS 10000

/*
 * Cuts [from, to) by adding multiples of step to from in a time zone, so that days are days and months are months across
 * clock changes; the last interval ends at to. Returns the number of intervals and, in *bound, one limit more than that.
 * Errors: 22023.
 */
extern int etl_backfill_cut(TimestampTz from, TimestampTz to, const Interval *step, const char *timezone,
							TimestampTz **bound);

/*
 * Whether a range of whole days begins at midnight for the session that gave it, but not in the time zone of the
 * pipeline: most likely the session's zone was forgotten.
 */
extern bool etl_backfill_cut_is_askew(TimestampTz from, const Interval *step, const char *timezone);

#endif /* ETL_BACKFILL_CUT_H */
