/*
 * replay.h
 *		Doing a load again from its raw tables: full_refresh and etl.replay.
 *
 * With full_refresh, a load with a key in mode merge or insert_only makes its target equal to its query where that is sure to
 * describe all of the target: rows that it does not return are deleted.
 */
#ifndef ETL_REPLAY_H
#define ETL_REPLAY_H

#include "load/delta.h"

/* Whether this run makes the target equal to the query; a reason why it does not goes into the message of the attempt. */
extern bool etl_replay_is_exact(EtlDelta *delta);

/* Once the delta is filled: whether those that are not in the delta may go. */
extern bool etl_replay_may_delete(EtlDelta *delta);

/* Refuses to replace the target of a load in mode append by less than it has taken. Errors: 55000. */
extern void etl_replay_check_append(const EtlDelta *delta);

/*
 * Checks a replay before its run is created, as the owner of the task with the search_path of its author. Returns the batch that it
 * begins with; 0: from the start. from_batch NULL: that was asked for. Errors: 22023, 55000.
 */
extern int64 etl_replay_check(const EtlTask *task, const int64 *from_batch, bool force);

#endif /* ETL_REPLAY_H */
