/*
 * emit.h
 *		Events of OpenLineage: one when a run or an attempt begins, one when it ends, for each route of channel openlineage that
 *		wants it, written in the transaction that changes the state. Without such a route nothing is done but look for one.
 */
#ifndef ETL_EMIT_H
#define ETL_EMIT_H

#include "dag/state.h"

/* An attempt has changed its state. Raises no error: what cannot be told is a warning. */
extern void etl_emit_task(int64 task_run_id, EtlTaskState from, EtlTaskState to);

/* A run has changed its state. */
extern void etl_emit_run(int64 run_id, EtlRunState from, EtlRunState to);

#endif /* ETL_EMIT_H */
