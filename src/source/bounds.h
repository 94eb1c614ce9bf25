/*
 * bounds.h
 *		Where an extract starts: its watermark, and the lower bound that lag makes of it.
 */
#ifndef ETL_BOUNDS_H
#define ETL_BOUNDS_H

#include "source/relation.h"

typedef struct EtlBounds
{
	char *watermark; /* NULL: none yet, or no cursor */
	char *lower;	 /* watermark - lag; NULL: everything is read */
} EtlBounds;

/* The bounds of the next extract; full_refresh: none. */
extern EtlBounds etl_bounds_get(const EtlTask *task, const EtlSource *source, bool full_refresh);

/* watermark - lag as text of the type, for a date rounded down. */
extern char *etl_bounds_subtract(Oid type, const char *watermark, const Interval *lag);

#endif /* ETL_BOUNDS_H */
