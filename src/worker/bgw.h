/*
 * bgw.h
 *		Starting the dynamic background workers of etl_ext. They are never restarted by the postmaster: what a dead one
 *		left is found by its lock.
 */
#ifndef ETL_BGW_H
#define ETL_BGW_H

#include "postmaster/bgworker.h"

/* What a worker is told; copied through bgw_extra. */
typedef struct EtlBgwParams
{
	Oid database;
	Oid role;			 /* InvalidOid: the bootstrap superuser */
	int64 task_run_id;	 /* executor, and those that help it */
	bool is_publication; /* executor: all that are published with that attempt */
	uint32 request; /* dsm_handle: scheduler: of the request that it is started with; helpers: of what they share */
} EtlBgwParams;

extern bool etl_bgw_start_scheduler(uint32 request, BackgroundWorkerHandle **handle);
extern bool etl_bgw_start_executor(Oid role, int64 task_run_id, bool is_publication, const char *name,
								   BackgroundWorkerHandle **handle);
/* Starts a scheduler in a database that only looks whether there is something to do; nobody waits for it. */
extern bool etl_bgw_start_look(Oid database, BackgroundWorkerHandle **handle);
extern bool etl_bgw_start_notifier(void);
/* Starts a worker of function for an attempt, which attaches to the segment share. */
extern bool etl_bgw_start_helper(Oid role, int64 task_run_id, uint32 share, const char *type, const char *name,
								 const char *function, BackgroundWorkerHandle **handle);
extern EtlBgwParams etl_bgw_begin(void);

/*
 * Sets the latches of the other workers in a database, counts them, ends them, or only those of tasks. Allocate and raise
 * nothing.
 */
extern void etl_bgw_wake(Oid database);
extern int etl_bgw_count(Oid database);
extern int etl_bgw_count_type(Oid database, const char *type);
extern void etl_bgw_terminate(Oid database);
extern void etl_bgw_terminate_executors(Oid database);

#endif /* ETL_BGW_H */
