/*
 * advance.c
 *		What the scheduler does for one run: find lost workers, plan retries, let waiting tasks become ready, end the run.
 *		Every function runs inside a transaction of the scheduler and starts no process.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "notify/alert.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "worker/advance.h"
#include "worker/boot.h"
#include "worker/retry.h"
#include "worker/slot.h"
#include "worker/together.h"
#include "worker/transition.h"

/* is_member says whether a task is published together with others: together.c is for those. */
static bool
is_member(const EtlAdvance *advance, int node)
{
	return etl_publication_has(advance->run->publication, node);
}

/* etl_advance_move changes the state of node's attempt, in the table and in memory; a lost race is seen at the next step. */
bool
etl_advance_move(EtlAdvance *advance, int node, EtlTaskState to)
{
	EtlTaskRun *current = &advance->current[node];
	EtlTaskChange change = {.task_run_id = current->task_run_id, .from = current->state, .to = to};

	if (!etl_transition_task(&change))
		return false;
	current->state = to;
	return true;
}

/* etl_advance_fail records an error that the scheduler has found itself. */
void
etl_advance_fail(EtlAdvance *advance, int node, const char *sqlstate, const char *message, const char *hint)
{
	EtlTaskRun *current = &advance->current[node];
	EtlTaskChange change = {
		.task_run_id = current->task_run_id,
		.from = current->state,
		.to = ETL_TASK_FAILED,
		.error_sqlstate = sqlstate,
		.error_message = message,
		.error_hint = hint,
	};

	if (!etl_transition_task(&change))
		return;
	current->state = ETL_TASK_FAILED;
	current->ended_at = GetCurrentTimestamp();
	current->error_sqlstate = pstrdup(sqlstate);
}

/* lost_with_server fails an attempt that went down with its server. */
static void
lost_with_server(EtlAdvance *advance, int node)
{
	EtlTaskRun *current = &advance->current[node];

	etl_advance_fail(advance, node, "ZE010", "the server went down, or was replaced by its standby, during the attempt",
					 "The server log says more. The task is repeated unless this happens three times in a row.");
	if (current->state != ETL_TASK_FAILED)
		return;
	etl_task_run_count_crash(current->task_run_id);
	current->crashes++;
}

/* etl_advance_lost fails an attempt that is running with nobody alive to work on it. */
void
etl_advance_lost(EtlAdvance *advance, int node)
{
	const EtlTaskRun *current = &advance->current[node];

	if (current->boot_id == NULL || strcmp(current->boot_id, etl_boot_id()) != 0)
		lost_with_server(advance, node);
	else if (current->worker_pid == 0)
		etl_advance_fail(advance, node, "ZE008", "the worker of the attempt did not start",
						 "The server log says why; the owner of the task must be allowed to log in.");
	else
		etl_advance_fail(advance, node, "ZE008", "the worker of the attempt ended without a result",
						 "It was terminated or crashed; the server log says more.");
}

/* find_lost_worker looks whether somebody works on an attempt that is running. */
static void
find_lost_worker(EtlAdvance *advance, int node)
{
	if (advance->current[node].state != ETL_TASK_RUNNING)
		return;
	if (etl_slot_is_alive(&advance->current[node]))
		advance->n_running++;
	else
		etl_advance_lost(advance, node);
}

/* etl_advance_next_attempt says whether and when a failed task is tried again, and after how many retries. */
bool
etl_advance_next_attempt(const EtlTask *task, const EtlTaskRun *current, int *retry, TimestampTz *due_at)
{
	if (strcmp(current->error_sqlstate, "ZE010") != 0)
	{
		*retry = current->retry + 1;
		return etl_retry_due(task, current->retry, current->error_sqlstate, current->ended_at, due_at);
	}
	*retry = current->retry;
	*due_at = current->ended_at;
	return current->crashes < ETL_MAX_CRASHES && etl_retry_after_crash(task);
}

/* etl_advance_settle decides what a failure means that no attempt follows, and tells whoever wants to hear of it. */
void
etl_advance_settle(EtlAdvance *advance, int node, bool tell)
{
	const EtlTask *task = advance->run->tasks.task[node];
	EtlTaskRun *current = &advance->current[node];
	EtlTaskChange change = {
		.task_run_id = current->task_run_id, .from = ETL_TASK_FAILED, .to = ETL_TASK_WARNING, .keep_error = true};

	current->settled = true;
	if (!etl_task_run_settle(current->task_run_id) || !tell)
		return;
	if (task->kind == ETL_TASK_EXTRACT && strcmp(task->on_failure, "use_last") == 0 && etl_transition_task(&change))
	{
		current->state = ETL_TASK_WARNING;
		etl_alert_task(ETL_ALERT_TASK_STALE, current->task_run_id, NULL);
	}
	else if (current->crashes >= ETL_MAX_CRASHES)
		etl_alert_task(ETL_ALERT_TASK_HELD, current->task_run_id, NULL);
	else
		etl_alert_task(ETL_ALERT_TASK_FAILED, current->task_run_id, NULL);
}

/* etl_advance_retry adds the attempt that follows one that failed. */
void
etl_advance_retry(EtlAdvance *advance, int node, int retry, TimestampTz due_at)
{
	EtlTaskRun *current = &advance->current[node];

	etl_task_run_retry(current->task_run_id, retry, due_at);
	/* The new row's number comes with the next reading; until then the task counts as waiting for its time. */
	current->state = ETL_TASK_RETRY;
	current->ready_at = due_at;
	current->task_run_id = 0;
}

/* plan_retry adds the next attempt after one that failed, or settles that there is none. */
static void
plan_retry(EtlAdvance *advance, int node)
{
	const EtlTaskRun *current = &advance->current[node];
	int retry;
	TimestampTz due_at;

	if (current->state != ETL_TASK_FAILED || current->settled || current->error_sqlstate == NULL ||
		advance->run->cancel_requested)
		return;
	if (etl_advance_next_attempt(advance->run->tasks.task[node], current, &retry, &due_at))
		etl_advance_retry(advance, node, retry, due_at);
	else
		etl_advance_settle(advance, node, true);
}

/* start_retry makes an attempt ready whose time has come. */
static void
start_retry(EtlAdvance *advance, int node, TimestampTz now)
{
	EtlTaskRun *current = &advance->current[node];

	if (current->state != ETL_TASK_RETRY)
		return;
	if (current->task_run_id != 0 && current->ready_at <= now)
		(void) etl_advance_move(advance, node, ETL_TASK_READY);
	else
		advance->next_due = Min(advance->next_due, current->task_run_id != 0 ? current->ready_at : now);
}

/* can_log_in says whether a worker can connect as a role. */
static bool
can_log_in(Oid role)
{
	HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	bool result = HeapTupleIsValid(tuple) && ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return result;
}

/* etl_advance_refuse fails a task that is ready and could not be given to a worker; false: it can be. */
bool
etl_advance_refuse(EtlAdvance *advance, int node)
{
	const EtlTask *task = advance->run->tasks.task[node];
	const EtlTaskRun *current = &advance->current[node];

	if (!OidIsValid(task->owner))
		etl_advance_fail(advance, node, "42704", "the owner of the task does not exist any more",
						 "Give the task another one: etl.alter_task(..., owner => 'role').");
	else if (!can_log_in(task->owner))
		etl_advance_fail(advance, node, "28000",
						 psprintf("the owner of the task, \"%s\", may not log in", task->owner_name),
						 "Tasks connect as their owner: ALTER ROLE ... LOGIN, or give the task another owner.");
	return current->state == ETL_TASK_FAILED;
}

/* etl_advance_hold_back fails a task that is ready and took the server down too often; false: it did not. */
bool
etl_advance_hold_back(EtlAdvance *advance, int node)
{
	if (advance->current[node].crashes < ETL_MAX_CRASHES)
		return false;
	etl_advance_fail(advance, node, "ZE011",
					 "the task is held back: the server went down during its last three attempts",
					 "Find out why, then change the task, or let it try once more with etl.retry_run.");
	return advance->current[node].state == ETL_TASK_FAILED;
}

/* check_startable fails and settles such a task. */
static void
check_startable(EtlAdvance *advance, int node)
{
	if (etl_advance_refuse(advance, node) || etl_advance_hold_back(advance, node))
		etl_advance_settle(advance, node, true);
}

/* wake_waiting decides about the tasks that wait for others, until nothing changes any more. */
static void
wake_waiting(EtlAdvance *advance)
{
	const EtlRun *run = advance->run;
	EtlTaskState *upstream = palloc(sizeof(EtlTaskState) * Max(run->graph->n_edges, 1));
	bool changed = true;

	while (changed)
	{
		changed = false;
		for (int node = 0; node < run->tasks.n; node++)
		{
			EtlTaskState next;
			int n = 0;

			if (advance->current[node].state != ETL_TASK_WAITING || is_member(advance, node))
				continue;
			for (int e = 0; e < run->graph->n_edges; e++)
				if (run->graph->edge[e].from == node)
					upstream[n++] = advance->current[run->graph->edge[e].to].state;
			next = etl_state_next(etl_state_trigger(run->tasks.task[node]->trigger_rule), upstream, n);
			if (next == ETL_TASK_WAITING || !etl_advance_move(advance, node, next))
				continue;
			if (next == ETL_TASK_READY)
				check_startable(advance, node);
			changed = changed || etl_state_task_ended(advance->current[node].state);
		}
		changed = etl_together_wake(advance) || changed;
	}
	pfree(upstream);
}

/* end_message says what a person should know of a run beside its state, or returns NULL. */
static const char *
end_message(const EtlRun *run, EtlRunState result)
{
	if (result == ETL_RUN_FAILED)
		return etl_task_run_complaints(run->run_id, ETL_TASK_FAILED);
	if (result == ETL_RUN_WARNING)
		return etl_task_run_complaints(run->run_id, ETL_TASK_WARNING);
	return run->tasks.n == 0 ? "there was nothing to do, the pipeline has no enabled task" : NULL;
}

/* end_run ends the run when all its tasks have ended. */
static void
end_run(EtlAdvance *advance)
{
	EtlRun *run = advance->run;
	EtlTaskState *state = palloc(sizeof(EtlTaskState) * Max(run->tasks.n, 1));
	EtlRunState result;

	for (int node = 0; node < run->tasks.n; node++)
	{
		state[node] = advance->current[node].state;
		if (!etl_state_task_ended(state[node]))
			return;
	}
	result = etl_state_run_result(state, run->tasks.n);
	if (run->cancel_requested && result != ETL_RUN_SUCCESS && result != ETL_RUN_WARNING)
		result = ETL_RUN_CANCELLED;
	(void) etl_transition_run(run->run_id, ETL_RUN_RUNNING, result, end_message(run, result));
	advance->ended = true;
}

/* etl_advance_run takes a running run as far as it goes without starting workers. advance->run and current are given. */
void
etl_advance_run(EtlAdvance *advance)
{
	TimestampTz now = GetCurrentTimestamp();

	advance->next_due = DT_NOEND;
	advance->n_running = 0;
	etl_together_find_lost(advance);
	etl_together_plan_retry(advance);
	for (int node = 0; node < advance->run->tasks.n; node++)
	{
		if (!is_member(advance, node))
		{
			find_lost_worker(advance, node);
			plan_retry(advance, node);
		}
		/* Members wait for the same moment. */
		start_retry(advance, node, now);
	}
	wake_waiting(advance);
	end_run(advance);
}

/*
 * etl_advance_start marks a ready task as running, with those that are published with it, before its worker is started; false if it is not ready any more, or
 * cannot be started: its owner may have changed since it became ready, and a retry has not been looked at yet.
 */
bool
etl_advance_start(EtlAdvance *advance, int node)
{
	if (is_member(advance, node))
		return etl_together_start(advance);
	if (advance->current[node].state != ETL_TASK_READY)
		return false;
	check_startable(advance, node);
	return advance->current[node].state == ETL_TASK_READY && etl_advance_move(advance, node, ETL_TASK_RUNNING);
}

/* etl_advance_cancel cancels what has not started and interrupts what has. */
void
etl_advance_cancel(EtlAdvance *advance)
{
	int lead = etl_together_lead(advance->run, advance->current, ETL_TASK_RUNNING);

	for (int node = 0; node < advance->run->tasks.n; node++)
	{
		EtlTaskState state = advance->current[node].state;

		/* The members have one worker. */
		if (state == ETL_TASK_RUNNING && is_member(advance, node) && node != lead)
			continue;
		if (state == ETL_TASK_RUNNING)
			etl_slot_cancel(&advance->current[node]);
		else if (!etl_state_task_ended(state))
			(void) etl_advance_move(advance, node, ETL_TASK_CANCELLED);
	}
}
