/*
 * pick.h
 *		Which ready tasks start next, over all runs of the database. Pure, no I/O.
 */
#ifndef ETL_PICK_H
#define ETL_PICK_H

#include "catalog/pool.h"
#include "datatype/timestamp.h"

/* What one task needs that others may have: a table that has one writer at a time, slots of a pool. */
typedef struct EtlNeed
{
	const char *target; /* NULL: none */
	const char *scan;	/* of a check by itself: what it reads, see siblings.h; NULL: no check */
	const char *pool;	/* NULL: none */
	int pool_slots;
} EtlNeed;

/* A task that is at work or ready for it; or several that one worker does one after the other (atomic_publish). */
typedef struct EtlCandidate
{
	void *run; /* of the caller */
	int node;  /* of the caller: its place in the run */

	int64 run_id;
	int64 pipeline_id;
	bool is_backfill;
	bool is_suspect; /* the server went down with it */
	int crashes;
	int priority;
	int max_parallel; /* most tasks of its run */
	TimestampTz ready_at;
	EtlNeed *need; /* of each task */
	int n_needs;
} EtlCandidate;

/* The candidates: those at work first. */
typedef struct EtlPick
{
	EtlCandidate *candidate;
	int n;
	int n_running;
	EtlPool *pool;
	int n_pools;
} EtlPick;

/*
 * Chooses the next candidate to start and counts it as being at work; NULL: none may start. Live runs come before
 * backfills, then higher priority, then the pipeline with fewer tasks at work, then who has waited longest. A task does not
 * start while its run has max_parallel tasks at work, another one writes its target, or its pool has too few slots left;
 * nor a check while another one reads the same in its run, which answers it as well;
 * nor one that the server went down with while another such is at work. Several tasks of one candidate take, of each of
 * their pools, what the one of them takes that takes most.
 */
extern const EtlCandidate *etl_pick_next(EtlPick *pick);

#endif /* ETL_PICK_H */
