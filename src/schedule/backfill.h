/*
 * backfill.h
 *		Backfills: a range of time cut into intervals, each done by a run of its own, below the live runs in priority.
 */
#ifndef ETL_BACKFILL_H
#define ETL_BACKFILL_H

#include "datatype/timestamp.h"

/*
 * Creates the runs of backfills that may start now and ends the backfills that are done, each backfill in a transaction
 * of its own; one that raises an error is ended as failed. Called by the scheduler outside of a transaction, at the start
 * and whenever a run of a backfill has ended. Returns the number of backfills that the scheduler has to stay for: those
 * of paused pipelines wait without it.
 */
extern int etl_backfill_step(void);

#endif /* ETL_BACKFILL_H */
