/*
 * bounds.h
 *		Where an extract starts: its watermark, and the lower bound that lag makes of it. In a backfill: both ends of the
 *		interval.
 */
#ifndef ETL_BOUNDS_H
#define ETL_BOUNDS_H

#include "source/relation.h"
#include "worker/attempt.h"

typedef struct EtlBounds
{
	char *watermark; /* NULL: none yet, no cursor, or a backfill */
	char *lower;	 /* watermark - lag, or start of the interval; NULL: everything is read */
	char *below;	 /* end of the interval, exclusive; NULL: no end */
	char *reached;	 /* highest cursor value that the raw table has; NULL: none */
	char *safe;		 /* the watermark moves at most up to here; NULL: no such limit (commit_bound.c) */
	bool hold;		 /* the watermark does not move in this attempt (commit_bound.c) */
} EtlBounds;

/* The bounds of the next extract; full_refresh: none. */
extern EtlBounds etl_bounds_get(const EtlTask *task, const EtlSource *source, bool full_refresh);

/* Whether a cursor of this type can be compared with the interval of a backfill. */
extern bool etl_bounds_is_time(Oid type);

/*
 * The bounds of an extract in a backfill, whose cursor is a time. Times without a zone are read as UTC, as they are
 * everywhere in an extract; dates are days in the zone in which the backfill was cut.
 */
extern EtlBounds etl_bounds_interval(const EtlAttempt *attempt, const EtlSource *source);

/* watermark - lag as text of the type, for a date rounded down. */
extern char *etl_bounds_subtract(Oid type, const char *watermark, const Interval *lag);

#endif /* ETL_BOUNDS_H */
