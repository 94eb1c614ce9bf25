/*
 * batch.h
 *		etl.batch: the batches of every raw table, in the order in which they became visible.
 *
 * Numbers of one raw table are drawn under that table's single-writer lock, so whoever sees a batch sees all batches of
 * the same table with lower numbers. target is the schema-qualified, quoted name of the raw table as in EtlTask.target.
 */
#ifndef ETL_BATCH_H
#define ETL_BATCH_H

#include "etl_ext.h"

typedef struct EtlBatch
{
	int64 batch_id;
	const char *target;
	int64 task_id;
	int64 run_id;
	int64 task_run_id;
	int64 row_count;
	int64 byte_count;
	const char *cursor_from; /* lower bound that was asked for, or NULL */
	const char *cursor_to;	 /* highest cursor value in the batch, or NULL */
	TimestampTz loaded_at;
	bool backfill; /* its rows may be in other batches too */
} EtlBatch;

/* What lies behind a position: the batches with a higher number. */
typedef struct EtlBatchRange
{
	int64 last;				 /* highest number */
	int64 rows;				 /* rows in them */
	TimestampTz loaded_from; /* lowest and highest _etl_loaded_at: the partitions to look into */
	TimestampTz loaded_to;
} EtlBatchRange;

/* The next number, for whoever holds the single-writer lock of the raw table. */
extern int64 etl_batch_next(void);

/* Records a batch in the transaction that holds its rows. */
extern void etl_batch_insert(const EtlBatch *batch);

/* The batches of target with a number above after; false: there are none. */
extern bool etl_batch_range(const char *target, int64 after, EtlBatchRange *range);

/* The last batch of target that was loaded before a moment; 0: none. */
extern int64 etl_batch_before(const char *target, TimestampTz moment);

/* The batches of an extract that reach a cursor value: the first of them and the earliest moment of loading. */
typedef struct EtlBatchReach
{
	int64 first;
	TimestampTz loaded_from;
} EtlBatchReach;

/* The batches of a task in target that have cursor values of this type at or above lower; false: there are none. */
extern bool etl_batch_reaching(const EtlTask *task, Oid type, const char *lower, EtlBatchReach *reach);

/* The batches of target from number first on that a backfill wrote, as text of a bigint[]; NULL: none. */
extern char *etl_batch_backfilled(const char *target, int64 first);

/* The first batch of a raw table that had rows, and when it was loaded; 0: there is none. */
extern int64 etl_batch_first(const char *target, TimestampTz *loaded_at);

/* The batches of target that a run brought (0: the last run that brought any), as text of a bigint[]. */
extern char *etl_batch_of_run(const char *target, int64 run_id);

#endif /* ETL_BATCH_H */
