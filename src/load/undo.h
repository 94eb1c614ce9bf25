/*
 * undo.h
 *		Keeping what a run has changed (keep_undo), and putting it back (etl.rollback_run).
 */
#ifndef ETL_LOAD_UNDO_H
#define ETL_LOAD_UNDO_H

#include "catalog/undo.h"
#include "load/images.h"
#include "worker/attempt.h"

/*
 * Keeps the rows of before, and of those after the keys with a hash, in etl.undo_<task_id>. Called as the owner of the task, in
 * the transaction of the run, after the writes. key: columns that are unique in the target; NULL or n = 0: there are none, then
 * whole rows are kept and compared. Does nothing when the task has no keep_undo.
 */
extern void etl_undo_keep(EtlAttempt *attempt, Oid target, const EtlNames *key, const EtlImages *images);

/* What putting a target back does to it. */
typedef struct EtlUndoResult
{
	int64 restored; /* rows that have their old values again, or are there again */
	int64 removed;	/* rows that the run had inserted */
} EtlUndoResult;

/*
 * Puts the rows of a target back to what they were before the run. Called as the owner of the task, with the target locked by
 * etl_target_lock. dry_run: only counts. Errors: 55000 when a row was changed since; then nothing was changed.
 */
extern EtlUndoResult etl_undo_restore(const EtlUndo *undo, int64 run_id, bool dry_run);

/* Why the rows that were kept do not fit the target any more; NULL: they do. */
extern const char *etl_undo_mismatch(const EtlUndo *undo);

#endif /* ETL_LOAD_UNDO_H */
