/*
 * run_snapshot.h
 *		etl.run_snapshot: the state of a source that the extracts of a snapshot_group read in a run.
 *
 * The worker that holds the state open holds ETL_LOCK_SNAPSHOT too. A row without a holder says that a state was read which
 * cannot be had again: it stays until the run is deleted.
 */
#ifndef ETL_RUN_SNAPSHOT_H
#define ETL_RUN_SNAPSHOT_H

#include "etl_ext.h"

typedef struct EtlRunSnapshot
{
	char *server;
	char *snapshot;
	TimestampTz safe_at;	/* DT_NOBEGIN: not known */
	TimestampTz created_at; /* by the source's clock */
} EtlRunSnapshot;

/* The snapshot of a group in a run; false: there is none. */
extern bool etl_run_snapshot_get(int64 run_id, const char *group, EtlRunSnapshot *snapshot);
extern void etl_run_snapshot_insert(int64 run_id, const char *group, const EtlRunSnapshot *snapshot);
extern void etl_run_snapshot_delete(int64 run_id, const char *group, const char *snapshot);

/* Whether a member of the group may still read in the run. */
extern bool etl_run_snapshot_is_needed(int64 run_id, const char *group);

/*
 * Whether another state may be taken: no member has committed anything in the run. running: members other than the attempt
 * that are at work count as well, because they may have read.
 */
extern bool etl_run_snapshot_is_fresh(int64 run_id, const char *group, int64 task_run_id, bool running);

/* Key of the lock. */
extern int64 etl_run_snapshot_key(int64 run_id, const char *group);

#endif /* ETL_RUN_SNAPSHOT_H */
