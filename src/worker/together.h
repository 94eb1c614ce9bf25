/*
 * together.h
 *		What the scheduler does for the tasks of a run that are published at one commit (atomic_publish). They wait, become ready,
 *		start, fail and are tried again together. Part of advance.c: every function runs inside a transaction of the scheduler.
 */
#ifndef ETL_TOGETHER_H
#define ETL_TOGETHER_H

#include "worker/advance.h"

/* Fails the members that are running with nobody alive to work on them. */
extern void etl_together_find_lost(EtlAdvance *advance);

/* Plans the next attempt of all members when one has failed and all have ended, or settles that there is none. */
extern void etl_together_plan_retry(EtlAdvance *advance);

/* Decides about members that wait; true: some have ended, so that others may go on. */
extern bool etl_together_wake(EtlAdvance *advance);

/* Marks all members as running; false: not all are ready, or they cannot be started. */
extern bool etl_together_start(EtlAdvance *advance);

/*
 * The node that stands for all members that are in a state: the first of them. -1: none is, or for READY not all that have
 * not ended are.
 */
extern int etl_together_lead(const EtlRun *run, const EtlTaskRun *current, EtlTaskState state);

/* The SQLSTATE, message and detail of a member that was rolled back because of another one. */
extern const char *etl_together_rolled_back_message(const char *task);

#define ETL_TOGETHER_ROLLED_BACK "ZE015"
#define ETL_TOGETHER_HINT                                                                                              \
	"It is tried again with the others: by itself while that task has retries left, then by etl.retry_run."

#endif /* ETL_TOGETHER_H */
