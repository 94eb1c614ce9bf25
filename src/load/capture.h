/*
 * capture.h
 *		Notes what a run changes in its target for the tasks that read it; see catalog/change_log.h and kept.h.
 *
 * Only tasks of the same owner are served: their expressions are evaluated here. What goes wrong for one of them - an
 * expression that fails, a column that is gone - ends neither the run nor the others: that task then finds a batch missing
 * and evaluates its query whole.
 */
#ifndef ETL_CAPTURE_H
#define ETL_CAPTURE_H

#include "load/images.h"
#include "load/plan.h"
#include "nodes/bitmapset.h"
#include "worker/attempt.h"

typedef struct EtlCapture EtlCapture;

/* Who follows the target of a plan; NULL: nobody. Under the lock of the target. */
extern EtlCapture *etl_capture_open(const EtlPlan *plan);

/* The numbers of the target's columns whose old values are needed. */
extern Bitmapset *etl_capture_columns(const EtlCapture *capture);

/* Writes the logs, in the transaction that changes the target. */
extern void etl_capture_write(EtlCapture *capture, EtlAttempt *attempt, const EtlImages *images);

/* Tells those who follow a table that rows were written to it of which no log has anything: they read everything, once. */
extern void etl_capture_miss(const EtlAttempt *attempt, const char *target, int64 rows);

#endif /* ETL_CAPTURE_H */
