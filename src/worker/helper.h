/*
 * helper.h
 *		Workers that the executor of an attempt starts to help it: what both sides share.
 *
 * A helper connects as the task's owner, does its part in transactions of its own and tells in shared memory how it ended.
 * Its executor ends it whatever happens; what it may still commit then is decided by the tables (extract_progress.h).
 */
#ifndef ETL_HELPER_H
#define ETL_HELPER_H

#include "observe/live.h"
#include "port/atomics.h"
#include "postmaster/bgworker.h"

#define ETL_HELPER_TEXT 1024

/* The first error of any helper. The first member of what they share. */
typedef struct EtlHelperShare
{
	pg_atomic_uint32 claimed;  /* somebody writes his error */
	pg_atomic_uint32 failed;   /* it is there */
	pg_atomic_uint32 finished; /* helpers that ended well */
	uint32 live;			   /* shared memory of the executor; see observe/live.h */
	int sqlerrcode;
	char message[ETL_HELPER_TEXT];
	char detail[ETL_HELPER_TEXT];
	char hint[ETL_HELPER_TEXT];
} EtlHelperShare;

extern void etl_helper_init(EtlHelperShare *share);

/* In a helper: its signals, and the error that is being handled, which is flushed; its transaction is aborted. */
extern void etl_helper_signals(void);
extern void etl_helper_fail(EtlHelperShare *share);

/* In the executor: raises the error of a helper, if there is one. */
extern void etl_helper_check(EtlHelperShare *share);

/* Ends helpers and waits until they are gone; cannot be interrupted. Raises nothing. */
extern void etl_helper_end(BackgroundWorkerHandle **handle, int n);

/* Whether helpers have all ended. */
extern bool etl_helper_all_ended(BackgroundWorkerHandle **handle, int n);

/* Tells helpers to end if this process is ended by force; n = 0: there are none any more. */
extern void etl_helper_guard(BackgroundWorkerHandle **handle, int n);

#endif /* ETL_HELPER_H */
