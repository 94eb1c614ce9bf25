/* retention.h: the table etl.retention, and deleting old history. */
#ifndef ETL_RETENTION_H
#define ETL_RETENTION_H

#include "utils/timestamp.h"

/*
 * Deletes one portion of history that is older than it is to be kept, in the current transaction; true: there may be
 * more. Never deletes what has not ended, nor the last successful run of a pipeline.
 */
extern bool etl_retention_step(void);

/* Stores how long a history ('run', 'check_result', 'quarantine', 'alert', 'watermark_history') is kept; keep NULL: 90 days. */
extern void etl_retention_set(const char *history, const Interval *keep);

#endif /* ETL_RETENTION_H */
