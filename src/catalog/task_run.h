/* task_run.h: the table etl.task_run. */
#ifndef ETL_TASK_RUN_H
#define ETL_TASK_RUN_H

#include "catalog/task.h"
#include "dag/state.h"
#include "worker/attempt.h"

/* The current attempt of a task as its scheduler sees it. */
typedef struct EtlTaskRun
{
	int64 task_run_id;
	int64 task_id;
	int attempt;
	int retry;	 /* how many retries it has had */
	int crashes; /* how often in a row the server went down with it */
	bool settled;
	EtlTaskState state;
	TimestampTz ready_at;
	TimestampTz ended_at;
	int worker_pid;
	char *boot_id;
	char *error_sqlstate;
} EtlTaskRun;

/* A change of state; fields that are NULL or 0 leave the column as it is. */
typedef struct EtlTaskChange
{
	int64 task_run_id;
	EtlTaskState from;
	EtlTaskState to;
	const EtlAttempt *attempt; /* counts, reader, sql, message */
	const EtlMeter *meter;	   /* what it has used, of an attempt whose counts are gone */
	const char *error_sqlstate;
	const char *error_message;
	const char *error_detail;
	const char *error_hint;
	const char *error_context;
	bool keep_error; /* leave the error of the row as it is */
} EtlTaskChange;

/* A task that ended, for the person who waits. */
typedef struct EtlTaskEnd
{
	int64 task_run_id;
	char *task;
	int attempt;
	EtlTaskState state;
	TimestampTz ready_at; /* retry: when it begins */
	char *summary;		  /* rows and seconds, in words */
	char *error_message;
	char *message;
} EtlTaskEnd;

extern EtlTaskRun *etl_task_run_current(int64 run_id, const EtlTaskList *tasks);
extern bool etl_task_run_update(const EtlTaskChange *change);
extern bool etl_task_run_progress(const EtlAttempt *attempt);
extern bool etl_task_run_claim(int64 task_run_id, int pid, uint32 live);
extern void etl_task_run_retry(int64 task_run_id, int retry, TimestampTz due_at);
extern bool etl_task_run_settle(int64 task_run_id);
extern void etl_task_run_count_crash(int64 task_run_id);
extern int64 etl_task_run_last(int64 run_id);
extern int etl_task_run_attempt(int64 task_run_id);
extern EtlTask *etl_task_run_task(int64 task_run_id, int64 *run_id);
extern EtlTaskList etl_task_run_ready_checks(int64 run_id, const char *target, int64 **task_run_id);
extern EtlTaskList etl_task_run_gates(int64 run_id, const char *task);
extern int etl_task_run_ended(int64 run_id, int64 after, const Datum *seen, int n_seen, EtlTaskEnd **line);
extern char *etl_task_run_complaints(int64 run_id, EtlTaskState state);
extern char *etl_task_run_blocked_by(int64 run_id, int pid);

#endif /* ETL_TASK_RUN_H */
