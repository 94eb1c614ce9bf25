/*
 * consumed.h
 *		etl.consumed: how far each load has come in each of its inputs.
 *
 * A position moves in the transaction that writes the load's target, so target and position never disagree. input is
 * the schema-qualified, quoted name of the table as in EtlBatch.target.
 */
#ifndef ETL_CONSUMED_H
#define ETL_CONSUMED_H

#include "etl_ext.h"

/* The last batch of input that the load has taken; 0: none yet. */
extern int64 etl_consumed_get(int64 task_id, const char *input);

/* The same; false: the load has no position in input. */
extern bool etl_consumed_find(int64 task_id, const char *input, int64 *batch_id);

/* Forgets all positions of a task: its next run evaluates everything. */
extern void etl_consumed_forget(int64 task_id);

/* Sets the position of the load in input. */
extern void etl_consumed_set(int64 task_id, const char *input, int64 batch_id, int64 run_id);

#endif /* ETL_CONSUMED_H */
