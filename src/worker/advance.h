/* advance.h: what the scheduler does for one run at a time. */
#ifndef ETL_ADVANCE_H
#define ETL_ADVANCE_H

#include "catalog/run.h"
#include "catalog/task_run.h"

/* A task during whose attempts the server went down so many times in a row is held back. */
#define ETL_MAX_CRASHES 3

/* What a step of a run asks of the scheduler. */
typedef struct EtlAdvance
{
	EtlRun *run;
	EtlTaskRun *current; /* state of run->tasks, in the same order */
	int n_running;
	TimestampTz next_due; /* earliest retry; DT_NOEND: none */
	bool ended;
} EtlAdvance;

extern void etl_advance_run(EtlAdvance *advance);
extern bool etl_advance_start(EtlAdvance *advance, int node);
extern void etl_advance_cancel(EtlAdvance *advance);

/* For together.c: changes of one attempt, in the table and in memory. */

/* Changes the state; false: somebody else has, which is seen at the next step. */
extern bool etl_advance_move(EtlAdvance *advance, int node, EtlTaskState to);

/* Records an error that the scheduler has found itself; hint may be NULL. */
extern void etl_advance_fail(EtlAdvance *advance, int node, const char *sqlstate, const char *message,
							 const char *hint);

/* Fails an attempt that is running with nobody alive to work on it. */
extern void etl_advance_lost(EtlAdvance *advance, int node);

/* Fails a task that is ready and could not be given to a worker; false: it can be. */
extern bool etl_advance_refuse(EtlAdvance *advance, int node);

/* Fails a task that is ready and took the server down too often; false: it did not. */
extern bool etl_advance_hold_back(EtlAdvance *advance, int node);

/* Whether and when a failed task is tried again, and how many retries it has had by then. */
extern bool etl_advance_next_attempt(const EtlTask *task, const EtlTaskRun *current, int *retry, TimestampTz *due_at);

/* Adds the attempt that follows one that failed. */
extern void etl_advance_retry(EtlAdvance *advance, int node, int retry, TimestampTz due_at);

/* Notes that no attempt follows one that failed; tell: with the alert that belongs to it. */
extern void etl_advance_settle(EtlAdvance *advance, int node, bool tell);

#endif /* ETL_ADVANCE_H */
