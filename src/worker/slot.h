/*
 * slot.h
 *		The executors that this scheduler has started, in its memory. What a former scheduler left is found by its lock.
 */
#ifndef ETL_SLOT_H
#define ETL_SLOT_H

#include "catalog/run.h"
#include "catalog/task_run.h"

extern int etl_slot_count(void);

/* Starts an executor for n attempts that are marked as running; false when the server has no free worker. */
extern bool etl_slot_start(int64 run_id, Oid owner, const char *name, const int64 *task_run_id, int n);

extern bool etl_slot_is_alive(const EtlTaskRun *task_run);
extern void etl_slot_cancel(const EtlTaskRun *task_run);
extern bool etl_slot_sweep(int64 *run_id);

#endif /* ETL_SLOT_H */
