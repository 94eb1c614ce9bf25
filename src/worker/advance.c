/*
 * advance.c
 *		What the scheduler does for one run: find lost workers, plan retries, let waiting tasks become ready, choose the
 *		next ones, end the run. Every function runs inside a transaction of the scheduler and starts no process.
 */
#include "postgres.h"

#include "errors.h"
#include "utils/timestamp.h"
#include "worker/advance.h"
#include "worker/retry.h"
#include "worker/slot.h"
#include "worker/transition.h"

/* move changes the state of node's attempt, in the table and in memory; a lost race is seen at the next step. */
static bool
move(EtlAdvance *advance, int node, EtlTaskState to)
{
	EtlTaskRun *current = &advance->current[node];
	EtlTaskChange change = {.task_run_id = current->task_run_id, .from = current->state, .to = to};

	if (!etl_transition_task(&change))
		return false;
	current->state = to;
	return true;
}

/* fail records an error that the scheduler has found itself. */
static void
fail(EtlAdvance *advance, int node, const char *sqlstate, const char *message, const char *hint)
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

/* find_lost_worker fails an attempt that is running with nobody alive to work on it. */
static void
find_lost_worker(EtlAdvance *advance, int node)
{
	EtlTaskRun *current = &advance->current[node];

	if (current->state != ETL_TASK_RUNNING)
		return;
	if (etl_slot_is_alive(current))
		advance->n_running++;
	else if (current->worker_pid == 0)
		fail(advance, node, "ZE008", "the worker of the attempt did not start",
			 "The server log says why; the owner of the task must be allowed to log in.");
	else
		fail(advance, node, "ZE008", "the worker of the attempt ended without a result",
			 "It was terminated or crashed; the server log says more.");
}

/* plan_retry adds the next attempt after one that failed, if there is to be one. */
static void
plan_retry(EtlAdvance *advance, int node)
{
	EtlTaskRun *current = &advance->current[node];
	TimestampTz due_at;

	if (current->state != ETL_TASK_FAILED || current->error_sqlstate == NULL || advance->run->cancel_requested)
		return;
	if (!etl_retry_due(advance->run->tasks.task[node], current->attempt, current->error_sqlstate, current->ended_at,
					   &due_at))
		return;
	etl_task_run_retry(current->task_run_id, due_at);
	/* The new row's number comes with the next reading; until then the task counts as waiting for its time. */
	current->state = ETL_TASK_RETRY;
	current->ready_at = due_at;
	current->task_run_id = 0;
}

/* start_retry makes an attempt ready whose time has come. */
static void
start_retry(EtlAdvance *advance, int node, TimestampTz now)
{
	EtlTaskRun *current = &advance->current[node];

	if (current->state != ETL_TASK_RETRY)
		return;
	if (current->task_run_id != 0 && current->ready_at <= now)
		(void) move(advance, node, ETL_TASK_READY);
	else
		advance->next_due = Min(advance->next_due, current->task_run_id != 0 ? current->ready_at : now);
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

			if (advance->current[node].state != ETL_TASK_WAITING)
				continue;
			for (int e = 0; e < run->graph->n_edges; e++)
				if (run->graph->edge[e].from == node)
					upstream[n++] = advance->current[run->graph->edge[e].to].state;
			next = etl_state_next(etl_state_trigger(run->tasks.task[node]->trigger_rule), upstream, n);
			if (next == ETL_TASK_WAITING || !move(advance, node, next))
				continue;
			changed = changed || etl_state_task_ended(next);
			if (next == ETL_TASK_READY && !OidIsValid(run->tasks.task[node]->owner))
				fail(advance, node, "42704", "the owner of the task does not exist any more",
					 "Give the task another one: etl.alter_task(..., owner => 'role').");
		}
	}
	pfree(upstream);
}

/* end_message says what a person should know of a run beside its state, or returns NULL. */
static const char *
end_message(const EtlRun *run, EtlRunState result)
{
	if (result == ETL_RUN_FAILED)
		return etl_task_run_failures(run->run_id);
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
	for (int node = 0; node < advance->run->tasks.n; node++)
	{
		find_lost_worker(advance, node);
		plan_retry(advance, node);
		start_retry(advance, node, now);
	}
	wake_waiting(advance);
	end_run(advance);
}

/* etl_advance_pick chooses up to max ready tasks, higher priority first, and marks them running. Returns how many. */
int
etl_advance_pick(const EtlAdvance *advance, int *node, int max)
{
	EtlAdvance *changing = (EtlAdvance *) advance;
	int n = 0;

	max = Min(max, advance->run->pipeline->max_parallel - advance->n_running);
	while (n < max)
	{
		int best = -1;

		for (int i = 0; i < advance->run->tasks.n; i++)
			if (advance->current[i].state == ETL_TASK_READY &&
				(best < 0 || advance->run->tasks.task[i]->priority > advance->run->tasks.task[best]->priority))
				best = i;
		if (best < 0 || !move(changing, best, ETL_TASK_RUNNING))
			break;
		node[n++] = best;
	}
	return n;
}

/* etl_advance_cancel cancels what has not started and interrupts what has. */
void
etl_advance_cancel(EtlAdvance *advance)
{
	for (int node = 0; node < advance->run->tasks.n; node++)
	{
		EtlTaskState state = advance->current[node].state;

		if (state == ETL_TASK_RUNNING)
			etl_slot_cancel(&advance->current[node]);
		else if (!etl_state_task_ended(state))
			(void) move(advance, node, ETL_TASK_CANCELLED);
	}
}
