/*
 * partitions.h
 *		The partitions of a target: made for the rows that need them, and left out where the rows cannot be.
 */
#ifndef ETL_PARTITIONS_H
#define ETL_PARTITIONS_H

#include "load/plan.h"
#include "worker/attempt.h"

/* Partitions that one run makes at most. */
#define ETL_PARTITIONS_MAX 1000

/*
 * Makes the partitions that rows of a table with the columns of the plan need and that the target does not have, and one
 * for the period after the present one. Only for targets that are partitioned by range of one column of type date,
 * timestamp, timestamptz or integer. Where none can be made, the attempt notes why and rows go where they go anyway.
 */
extern void etl_partitions_ensure_for(EtlAttempt *attempt, const EtlPlan *plan, const char *delta_table);

/*
 * " AND t.column >= lowest AND t.column <= highest" for the first column that the target is partitioned by, where that is
 * part of the key, so that rows t with a key of the table lie within; otherwise "".
 */
extern char *etl_partitions_bounds(const EtlPlan *plan, const char *delta_table);

#endif /* ETL_PARTITIONS_H */
