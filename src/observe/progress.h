/*
 * progress.h
 *		How far the attempt of this process is: for etl.progress, in shared memory (live.h), and in words in pg_stat_activity.
 *
 * Rows are told in portions: of a batch as it is written, of a statement as they leave the scan that delivers most. In a
 * process without that memory (a run inline) all of this does nothing.
 */
#ifndef ETL_PROGRESS_H
#define ETL_PROGRESS_H

#include "observe/live.h"

/* Another attempt is at work: names of pipeline and task for people; both are copied. */
extern void etl_progress_begin(int64 task_run_id, const char *pipeline, const char *task);

/* It comes to a step: counters begin anew, but for those of a step that goes on. */
extern void etl_progress_step(EtlProgressStep step);

/* Another batch of the step begins. */
extern void etl_progress_part(void);

/* How much there is of whatever etl_progress_add counts as done; 0: not known. */
extern void etl_progress_total(int64 total, bool is_estimate);

/*
 * A long statement of the step begins, of which that many rows are expected; the counters begin anew. false: rows are told
 * by other means.
 */
extern bool etl_progress_statement(int64 total);

/* Adds what was done since the last call. */
extern void etl_progress_add(int64 rows, int64 bytes, int64 done);

/* The total of this read is counted by its feed, which calls etl_progress_add(0, 0, done), and not in rows. */
extern void etl_progress_own_unit(bool own);

/* Whether rows that are written count as done. */
extern bool etl_progress_counts_rows(void);

#endif /* ETL_PROGRESS_H */
