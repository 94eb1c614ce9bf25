/*
 * state.h
 *		The states of runs and tasks and the rules between them: pure, no I/O.
 */
#ifndef ETL_STATE_H
#define ETL_STATE_H

typedef enum EtlRunState
{
	ETL_RUN_QUEUED,	 /* -> RUNNING, SKIPPED, CANCELLED, FAILED */
	ETL_RUN_RUNNING, /* -> SUCCESS, WARNING, FAILED, CANCELLED */
	ETL_RUN_SUCCESS,
	ETL_RUN_WARNING,   /* -> QUEUED (etl.retry_run) */
	ETL_RUN_FAILED,	   /* -> QUEUED */
	ETL_RUN_CANCELLED, /* -> QUEUED */
	ETL_RUN_SKIPPED
} EtlRunState;

typedef enum EtlTaskState
{
	ETL_TASK_WAITING, /* for its dependencies -> READY, UPSTREAM_FAILED, SKIPPED, CANCELLED */
	ETL_TASK_READY,	  /* for a worker -> RUNNING, FAILED, CANCELLED */
	ETL_TASK_RUNNING, /* -> READY (no worker slot after all), SUCCESS, WARNING, FAILED, CANCELLED */
	ETL_TASK_RETRY,	  /* for its time -> READY, CANCELLED */
	ETL_TASK_SUCCESS,
	ETL_TASK_WARNING,
	ETL_TASK_FAILED, /* -> WARNING (on_failure => 'use_last'); a next attempt is a row of its own */
	ETL_TASK_UPSTREAM_FAILED,
	ETL_TASK_SKIPPED,
	ETL_TASK_CANCELLED
} EtlTaskState;

typedef enum EtlTriggerRule
{
	ETL_TRIGGER_ALL_SUCCESS,
	ETL_TRIGGER_ALL_DONE,
	ETL_TRIGGER_ONE_FAILED,
	ETL_TRIGGER_NONE_FAILED,
	ETL_TRIGGER_ALWAYS
} EtlTriggerRule;

extern const char *etl_state_run_name(EtlRunState state);
extern EtlRunState etl_state_run(const char *name);
extern bool etl_state_run_ended(EtlRunState state);
extern bool etl_state_run_may(EtlRunState from, EtlRunState to);

extern const char *etl_state_task_name(EtlTaskState state);
extern EtlTaskState etl_state_task(const char *name);
extern bool etl_state_task_ended(EtlTaskState state);
extern bool etl_state_task_may(EtlTaskState from, EtlTaskState to);

extern EtlTriggerRule etl_state_trigger(const char *name);
extern EtlTaskState etl_state_next(EtlTriggerRule rule, const EtlTaskState *upstream, int n);
extern EtlRunState etl_state_run_result(const EtlTaskState *task, int n);

#endif /* ETL_STATE_H */
