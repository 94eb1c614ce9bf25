/*
 * due.h
 *		Carrying schedules out: which scheduled times have had no run yet, and what missed_run makes of them.
 *
 * Every scheduled time gets at most one run, whoever fires: the scheduler (with the launcher), pg_cron, a person, or all
 * of them at once. etl.schedule.decided_until says how far a schedule has come; etl.run.scheduled_for is unique.
 */
#ifndef ETL_DUE_H
#define ETL_DUE_H

#include "dag/state.h"
#include "etl_ext.h"

/*
 * Creates the runs of all pipelines that are due at now, each pipeline in a transaction of its own; one that raises an
 * error is logged and does not stop the others. Called by the scheduler outside of a transaction. Returns when the next
 * schedule is due; DT_NOEND: none.
 */
extern TimestampTz etl_due_step(TimestampTz now);

/*
 * Creates what is due of one pipeline, in the current transaction, for a caller who then waits for it (waiter: its lock,
 * 0: nobody waits). Returns the last run and its state, or 0 when nothing is due. Errors: 42704, 42501, 55000 without a
 * schedule, ZE005, ZE006.
 */
extern int64 etl_due_fire(const char *pipeline, Oid caller, int64 waiter, TimestampTz now, EtlRunState *state);

/* What is to be done for one pipeline. */
typedef struct EtlDue
{
	const EtlPipeline *pipeline; /* locked, with a schedule, not paused */
	Oid caller;
	bool caller_waits; /* somebody is there to get errors */
	int64 waiter;
	TimestampTz now;
	int64 run_id; /* the last run that was created; 0: none */
	EtlRunState state;
} EtlDue;

/* Creates what is due, in the current transaction. Returns up to when the schedule is decided. */
extern TimestampTz etl_due_decide(EtlDue *due);

/* A schedule was made, changed, or resumed: times before now are not owed. Called by the definition functions. */
extern void etl_due_begin(int64 pipeline_id, TimestampTz now);

#endif /* ETL_DUE_H */
