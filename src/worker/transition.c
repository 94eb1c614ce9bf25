/*
 * transition.c
 *		The one place in which runs and tasks change their state.
 *
 * Every change is a compare-and-set on the old state, so that of two processes that want to change the same row only
 * one does; the other learns it from the result. Which states may follow each other is in dag/state.c.
 */
#include "postgres.h"

#include "worker/transition.h"

/* etl_transition_task changes the state of an attempt; false if it was no longer in change->from. */
bool
etl_transition_task(const EtlTaskChange *change)
{
	if (!etl_state_task_may(change->from, change->to))
		elog(ERROR, "a task cannot go from %s to %s", etl_state_task_name(change->from),
			 etl_state_task_name(change->to));
	return etl_task_run_update(change);
}

/* etl_transition_run changes the state of a run; false if it was no longer in from. */
bool
etl_transition_run(int64 run_id, EtlRunState from, EtlRunState to, const char *message)
{
	if (!etl_state_run_may(from, to))
		elog(ERROR, "a run cannot go from %s to %s", etl_state_run_name(from), etl_state_run_name(to));
	return etl_run_update(run_id, from, to, message);
}
