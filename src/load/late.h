/*
 * late.h
 *		Facts that come long after they happened: event_time, late_window and late_policy.
 *
 * A row of the delta that would change the target is late when its event time lies more than late_window before the logical
 * time of the run. The first load of a target, a full refresh and a backfill know no late rows: their facts are all old. Of
 * an aggregate, groups whose event time lies before stay as they are.
 */
#ifndef ETL_LATE_H
#define ETL_LATE_H

#include "load/delta.h"
#include "load/plan.h"

typedef enum EtlLatePolicy
{
	ETL_LATE_NONE, /* no event_time */
	ETL_LATE_QUARANTINE,
	ETL_LATE_REJECT,
	ETL_LATE_ACCEPT
} EtlLatePolicy;

/* Checks event_time, late_window and late_policy. Errors: 22023, 42703, 42804. */
extern void etl_late_resolve(EtlPlan *plan);

/* The moment before which rows are late, as a literal of the type of event_time; NULL: none are. */
extern char *etl_late_before(const EtlPlan *plan, const EtlAttempt *attempt);

/* Deals with the late rows in a table of changes by the policy of the load; n of them. */
extern void etl_late_put_aside(const EtlDelta *delta, const char *changes, int64 n);

/* Takes the closed groups out of a table of touched keys. */
extern void etl_late_close(EtlDelta *delta, const char *touched);

/* Brings the rows of a task that a run put aside as late into its target. Returns how many there were. */
extern int64 etl_late_accept(EtlTask *task, int64 run_id);

#endif /* ETL_LATE_H */
