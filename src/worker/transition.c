/*
 * transition.c
 *		The one place in which runs and tasks change their state.
 *
 * Every change is a compare-and-set on the old state, so that of two processes that want to change the same row only
 * one does; the other learns it from the result. Which states may follow each other is in dag/state.c.
 */
#include "postgres.h"

#include "lineage/emit.h"
#include "notify/alert.h"
#include "worker/transition.h"

/* etl_transition_task changes the state of an attempt; false if it was no longer in change->from. */
bool
etl_transition_task(const EtlTaskChange *change)
{
	if (!etl_state_task_may(change->from, change->to))
		elog(ERROR, "a task cannot go from %s to %s", etl_state_task_name(change->from),
			 etl_state_task_name(change->to));
	if (!etl_task_run_update(change))
		return false;
	etl_emit_task(change->task_run_id, change->from, change->to);
	return true;
}

/* tell raises the alert that belongs to the end of a run. */
static void
tell(int64 run_id, EtlRunState to)
{
	switch (to)
	{
		case ETL_RUN_FAILED:
			etl_alert_run(ETL_ALERT_RUN_FAILED, run_id, NULL);
			break;
		case ETL_RUN_CANCELLED:
			etl_alert_run(ETL_ALERT_RUN_CANCELLED, run_id, NULL);
			break;
		case ETL_RUN_SKIPPED:
			etl_alert_run(ETL_ALERT_RUN_SKIPPED, run_id, NULL);
			break;
		case ETL_RUN_WARNING:
			etl_alert_run(ETL_ALERT_RUN_WARNING, run_id, NULL);
			etl_alert_recovered(run_id);
			break;
		case ETL_RUN_SUCCESS:
			etl_alert_recovered(run_id);
			break;
		case ETL_RUN_QUEUED:
		case ETL_RUN_RUNNING:
			break;
	}
}

/*
 * etl_transition_run changes the state of a run and raises the alert that belongs to it, in the same transaction; false if
 * the run was no longer in from.
 */
bool
etl_transition_run(int64 run_id, EtlRunState from, EtlRunState to, const char *message)
{
	if (!etl_state_run_may(from, to))
		elog(ERROR, "a run cannot go from %s to %s", etl_state_run_name(from), etl_state_run_name(to));
	if (!etl_run_update(run_id, from, to, message))
		return false;
	tell(run_id, to);
	etl_emit_run(run_id, from, to);
	return true;
}
