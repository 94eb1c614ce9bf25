/*
 * snapshot_holder.h
 *		The worker that holds the state of a source open which the extracts of a snapshot_group read in a run.
 */
#ifndef ETL_SNAPSHOT_HOLDER_H
#define ETL_SNAPSHOT_HOLDER_H

#include "storage/dsm.h"
#include "worker/attempt.h"
#include "worker/helper.h"

typedef struct EtlSnapshotStart
{
	dsm_segment *dsm;
	EtlHelperShare *share; /* its error, if it cannot take the snapshot */
	BackgroundWorkerHandle *handle;
} EtlSnapshotStart;

/* Starts a holder for the attempt's group and run; false: no free worker slot. */
extern bool etl_snapshot_holder_start(const EtlAttempt *attempt, EtlSnapshotStart *start);

/* Forgets a start; the holder stays. */
extern void etl_snapshot_holder_release(EtlSnapshotStart *start);

#endif /* ETL_SNAPSHOT_HOLDER_H */
