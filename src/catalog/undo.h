/*
 * undo.h
 *		etl.undo: what was before each task of a run, for etl.rollback_run.
 *
 * A row is written when a task begins in a run of a pipeline in which some task has keep_undo: the positions of then. A load
 * with keep_undo adds which rows it has kept in its own table, see undo_table.h.
 */
#ifndef ETL_UNDO_H
#define ETL_UNDO_H

#include "worker/attempt.h"

typedef struct EtlUndo
{
	int64 task_id;
	char *task; /* its name now; NULL: it was dropped */
	char *target;
	Oid relation; /* InvalidOid: no rows were kept */
	EtlNames key; /* n = 0: none */
	int64 n_old;
	int64 n_new;
	Jsonb *before;
	bool has_expired;
	char *lost; /* why it cannot be used; NULL: it can */
} EtlUndo;

/* Notes the positions of an extract, load or aggregate before its first attempt in the run, if the run keeps undo. */
extern void etl_undo_begin(const EtlAttempt *attempt);

/* Adds the rows that an attempt has kept. key: NULL or n = 0: there is none. */
extern void etl_undo_kept(const EtlAttempt *attempt, Oid relation, const EtlNames *key, int64 n_old, int64 n_new);

/* What was kept of a task cannot be used any more. only_rows: of runs of which rows were kept. */
extern void etl_undo_lose(int64 task_id, const char *why, bool only_rows);

/* What is known of a run, the task that ended last first. Returns how many. */
extern int etl_undo_list(int64 run_id, EtlUndo **undo);

/* Puts the positions of a load back to what they were, and the watermark of an extract; role: who asks. */
extern void etl_undo_restore_consumed(const EtlUndo *undo);
extern void etl_undo_restore_watermark(const EtlUndo *undo, Oid role);

/* Forgets a run or a task, with the rows that were kept. */
extern void etl_undo_forget_run(int64 run_id);
extern void etl_undo_forget_task(int64 task_id);
extern void etl_undo_forget_pipeline(int64 pipeline_id);

/* Lets the owners of now use what was kept, and nobody else, after a change of owners. pipeline_id 0: of all pipelines. */
extern void etl_undo_follow_owners(int64 pipeline_id);

/* One portion of what has expired; false: there is nothing more. Run by the scheduler. */
extern bool etl_undo_purge(void);

#endif /* ETL_UNDO_H */
