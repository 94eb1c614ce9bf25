/*
 * backfill.h
 *		The tables etl.backfill and etl.backfill_chunk.
 */
#ifndef ETL_CATALOG_BACKFILL_H
#define ETL_CATALOG_BACKFILL_H

#include "etl_ext.h"

/* What a backfill was asked to do. */
typedef struct EtlBackfill
{
	int64 backfill_id;
	int64 pipeline_id;
	const char *timezone; /* in which the intervals were cut */
	TimestampTz from;
	TimestampTz to;
	Interval *step;
	const char *reprocess; /* missing, failed or all */
	bool newest_first;
	int max_active;
	EtlNames tasks; /* name == NULL: all */
	Jsonb *params;	/* NULL: none */
	Oid requested_by;
} EtlBackfill;

/* A backfill as the scheduler finds it. */
typedef struct EtlBackfillWork
{
	bool paused; /* its pipeline */
	Oid requested_by;
	int max_active;
	bool remaining; /* there are intervals without a run */
	int active;		/* runs */
	bool failed;	/* some runs did not succeed */
} EtlBackfillWork;

/* Name of a task that the pipeline does not have or that cannot be run by itself, or NULL. */
extern char *etl_backfill_unknown_task(const EtlBackfill *backfill);

/*
 * For each of n intervals with n + 1 limits: 'run', or 'skip: ' and why, as reprocess says. Only runs count that did all
 * of the tasks asked for.
 */
extern char **etl_backfill_decide(const EtlBackfill *backfill, const TimestampTz *bound, int n);

/* Stores a backfill with the intervals whose action is 'run' and returns its number. */
extern int64 etl_backfill_insert(const EtlBackfill *backfill, const TimestampTz *bound, char *const *action, int n);

/* Numbers of the backfills that are not done, oldest first. */
extern int etl_backfill_list(int64 **backfill_id);

/*
 * Locks a backfill and its pipeline until the end of the transaction. NULL: it is done, or somebody else has one of the
 * locks: the scheduler waits for nobody's transaction.
 */
extern EtlBackfillWork *etl_backfill_lock(int64 backfill_id);

/* The request for the next run of a backfill, as etl_run_create takes it; *start: its interval. NULL: none is left. */
extern Jsonb *etl_backfill_next(int64 backfill_id, TimestampTz *start);

/* Notes the run of an interval. */
extern void etl_backfill_assign(int64 backfill_id, TimestampTz start, int64 run_id);

/* Ends a backfill; message may be NULL. False: it has ended already. */
extern bool etl_backfill_end(int64 backfill_id, const char *state, const char *message);

/* Numbers of the runs of a backfill that have not ended. */
extern int etl_backfill_active_runs(int64 backfill_id, int64 **run_id);

/* Name of the pipeline of a backfill and its owner, or NULL if there is no such backfill. */
extern char *etl_backfill_pipeline(int64 backfill_id, Oid *owner);

/* The time zone in which the interval of a run of a backfill was cut. */
extern char *etl_backfill_timezone(int64 run_id);

#endif /* ETL_CATALOG_BACKFILL_H */
