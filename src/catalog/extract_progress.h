/*
 * extract_progress.h
 *		etl.extract_progress: how far a read of a whole source in the order of its key has come, a row per key range.
 *
 * A row belongs to one attempt (task_run_id): every chunk is committed together with an update of its row that names the
 * attempt, so that whatever is left of a former attempt cannot commit any more once a new one has taken the rows.
 *
 * Ranges that several workers read commit their batches out of order. Such batches wait in pending until nobody writes to
 * the raw table but the one who publishes them: at the end of the read, or before the next extract into that table begins.
 */
#ifndef ETL_EXTRACT_PROGRESS_H
#define ETL_EXTRACT_PROGRESS_H

#include "catalog/batch.h"
#include "worker/attempt.h"

typedef struct EtlProgress
{
	int slice;
	int64 run_id; /* in which the read began; 0: given up */
	bool full_refresh;
	EtlNames key_after; /* key of the last row committed; n = 0: none */
	char *key_until;	/* last value of the first key column in the range; NULL: no end */
	char *safe;			/* the watermark will be at most this; NULL: no limit; "": it stays */
	char *reached;
	int64 rows_read;
	bool done;
} EtlProgress;

/*
 * Takes all rows of the raw tables and the task of an attempt from former attempts, and publishes the batches that wait in
 * them. Called by whoever holds the single-writer lock of the raw table, before it draws a number.
 */
extern void etl_extract_progress_claim(const EtlAttempt *attempt);

/* The rows of a task in the order of their ranges; returns how many. */
extern int etl_extract_progress_list(int64 task_id, EtlProgress **progress);

/* Whether a task has a read that is not complete. */
extern bool etl_extract_progress_is_open(int64 task_id);

/* Adds a row for the attempt's task. */
extern void etl_extract_progress_insert(const EtlAttempt *attempt, const EtlProgress *progress);

/*
 * Stores key_after, reached, rows_read and done of a range. pending: a batch that waits there for etl.batch; NULL: none.
 * Errors: ZE004 when the row is no longer this attempt's.
 */
extern void etl_extract_progress_store(const EtlAttempt *attempt, const EtlProgress *progress, const EtlBatch *pending);

/* Removes the rows of a task, none of which has batches that wait. */
extern void etl_extract_progress_delete(int64 task_id);

/* Gives the rows of a task up, because its definition has changed; the next extract into the raw table removes them. */
extern void etl_extract_progress_abandon(int64 task_id);

#endif /* ETL_EXTRACT_PROGRESS_H */
