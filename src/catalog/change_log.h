/*
 * change_log.h
 *		etl.change_log and etl.change_log_batch: which tables kept by loads are followed by whom, and how far that is known.
 *
 * The changes themselves are in tables etl.changed_<log_id>, which belong to the extension and are written and read by the
 * owner of both tasks with his own rights: his expressions and types are in them.
 */
#ifndef ETL_CHANGE_LOG_H
#define ETL_CHANGE_LOG_H

#include "catalog/batch.h"
#include "catalog/task.h"

typedef struct EtlChangeLog
{
	int64 task_id; /* who follows */
	char *input;   /* as in EtlTask.target */
	char *table;   /* etl.changed_<log_id> */
	bool is_keys;  /* form: keys of the follower's target, else keys and old values of the input's rows */
} EtlChangeLog;

/* A log and the definition of the task that follows. */
typedef struct EtlFollower
{
	EtlChangeLog log;
	EtlTask *task;
} EtlFollower;

/* The log of a task for an input with this definition and form; NULL: there is none. */
extern EtlChangeLog *etl_change_log_find(const EtlTask *task, const char *input, bool is_keys, const char *definition);

/* The log of a task for an input, made or made anew (was_made) when there is none with this definition and form. */
extern EtlChangeLog *etl_change_log_ensure(const EtlTask *task, const char *input, bool is_keys, const char *definition,
										   bool *was_made);

/* The logs of an input whose tasks are enabled, have evaluated their query before and belong to owner. */
extern List *etl_change_log_followers(const char *input, Oid owner);

/* Notes that a batch of changes is in a log. */
extern void etl_change_log_add_batch(const EtlChangeLog *log, int64 batch_id, int64 rows);

/* Whether the log has all batches of its input above after, up to last. */
extern bool etl_change_log_is_complete(const EtlChangeLog *log, int64 after, int64 last);

/* Forgets the batches up to last. The rows are deleted by the caller, who owns them. */
extern void etl_change_log_forget(const EtlChangeLog *log, int64 last);

/* Drops the logs of a task, or of all tasks of a pipeline. */
extern void etl_change_log_drop_task(int64 task_id);
extern void etl_change_log_drop_pipeline(int64 pipeline_id);

#endif /* ETL_CHANGE_LOG_H */
