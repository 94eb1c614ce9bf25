/*
 * together.c
 *		The states of tasks that are published at one commit. See together.h.
 *
 * Members are looked at in the order of the publication, and so are their rows changed: the worker does the same. What
 * only the whole can do is done by those that have not ended: one that its trigger rule has skipped is left out.
 */
#include "postgres.h"

#include "utils/timestamp.h"
#include "worker/slot.h"
#include "worker/together.h"

/* n_members returns the number of tasks that are published together; 0 for a run without a publication. */
static int
n_members(const EtlRun *run)
{
	return run->publication ? run->publication->n : 0;
}

/* etl_together_lead looks at all members. */
int
etl_together_lead(const EtlRun *run, const EtlTaskRun *current, EtlTaskState state)
{
	int lead = -1;

	for (int i = 0; i < n_members(run); i++)
	{
		int node = run->publication->member[i];

		if (current[node].state == state)
			lead = lead < 0 ? node : lead;
		else if (state == ETL_TASK_READY && !etl_state_task_ended(current[node].state))
			return -1;
	}
	return lead;
}

/* etl_together_rolled_back_message says because of which task. */
const char *
etl_together_rolled_back_message(const char *task)
{
	return psprintf("was rolled back, because task \"%s\" failed, with which it would have been published", task);
}

/* etl_together_find_lost: the one worker holds the lock of each member's attempt. */
void
etl_together_find_lost(EtlAdvance *advance)
{
	const EtlRun *run = advance->run;
	int lead = etl_together_lead(run, advance->current, ETL_TASK_RUNNING);

	if (lead < 0)
		return;
	for (int i = 0; i < n_members(run); i++)
	{
		int node = run->publication->member[i];

		if (advance->current[node].state != ETL_TASK_RUNNING || !etl_slot_is_alive(&advance->current[node]))
			continue;
		advance->n_running++;
		return;
	}
	for (int i = 0; i < n_members(run); i++)
		if (advance->current[run->publication->member[i]].state == ETL_TASK_RUNNING)
			etl_advance_lost(advance, run->publication->member[i]);
}

/* is_open says whether an attempt has failed and nothing was decided about a next one. */
static bool
is_open(const EtlTaskRun *current)
{
	return current->state == ETL_TASK_FAILED && !current->settled && current->error_sqlstate != NULL;
}

/* is_at_fault says whether an attempt failed by itself. All have, when the worker or the server was lost. */
static bool
is_at_fault(const EtlTaskRun *current)
{
	return is_open(current) && strcmp(current->error_sqlstate, ETL_TOGETHER_ROLLED_BACK) != 0;
}

/*
 * next_attempts says whether and when all members are tried again, and fills how many retries each has had by then (by
 * node). Only those at fault use one up, and all of them must have one left; the longest pause counts.
 */
static bool
next_attempts(const EtlAdvance *advance, int *retry, TimestampTz *due_at)
{
	const EtlRun *run = advance->run;
	int n_at_fault = 0;

	*due_at = DT_NOBEGIN;
	for (int i = 0; i < run->publication->n; i++)
	{
		int node = run->publication->member[i];
		const EtlTaskRun *current = &advance->current[node];
		TimestampTz due;

		retry[node] = current->retry;
		if (!is_at_fault(current))
			continue;
		if (!etl_advance_next_attempt(run->tasks.task[node], current, &retry[node], &due))
			return false;
		*due_at = Max(*due_at, due);
		n_at_fault++;
	}
	return n_at_fault > 0;
}

/* settle ends the members that have failed; whoever wants to hear of it is told of the first that was at fault. */
static void
settle(EtlAdvance *advance)
{
	const EtlPublication *publication = advance->run->publication;
	bool told = false;

	for (int i = 0; i < publication->n; i++)
	{
		EtlTaskRun *current = &advance->current[publication->member[i]];
		bool tell = !told && is_at_fault(current);

		if (!is_open(current))
			continue;
		etl_advance_settle(advance, publication->member[i], tell);
		told = told || tell;
	}
}

/* etl_together_plan_retry decides for all when all have ended. */
void
etl_together_plan_retry(EtlAdvance *advance)
{
	const EtlRun *run = advance->run;
	bool any_open = false;
	int *retry;
	TimestampTz due_at;

	if (run->cancel_requested)
		return;
	for (int i = 0; i < n_members(run); i++)
	{
		const EtlTaskRun *current = &advance->current[run->publication->member[i]];

		if (!etl_state_task_ended(current->state))
			return;
		any_open = any_open || is_open(current);
	}
	if (!any_open)
		return;
	retry = palloc(sizeof(int) * run->tasks.n);
	if (!next_attempts(advance, retry, &due_at))
		settle(advance);
	else
		for (int i = 0; i < run->publication->n; i++)
		{
			int node = run->publication->member[i];

			if (is_open(&advance->current[node]))
				etl_advance_retry(advance, node, retry[node], due_at);
		}
	pfree(retry);
}

/*
 * decide says what would become of a member by its own trigger rule. state holds the states of all nodes, with what was decided
 * about the members before it: within a publication, what is ready counts as success, because nothing is published
 * otherwise.
 */
static EtlTaskState
decide(const EtlRun *run, const EtlTaskState *state, int node, EtlTaskState *upstream)
{
	int n = 0;

	for (int e = 0; e < run->graph->n_edges; e++)
	{
		int to = run->graph->edge[e].to;

		if (run->graph->edge[e].from != node)
			continue;
		upstream[n] = state[to];
		if (etl_publication_has(run->publication, to) && upstream[n] == ETL_TASK_READY)
			upstream[n] = ETL_TASK_SUCCESS;
		n++;
	}
	return etl_state_next(etl_state_trigger(run->tasks.task[node]->trigger_rule), upstream, n);
}

/* decide_all decides about each member that waits, by node. */
static EtlTaskState *
decide_all(const EtlAdvance *advance)
{
	const EtlRun *run = advance->run;
	EtlTaskState *state = palloc(sizeof(EtlTaskState) * run->tasks.n);
	EtlTaskState *upstream = palloc(sizeof(EtlTaskState) * Max(run->graph->n_edges, 1));

	for (int node = 0; node < run->tasks.n; node++)
		state[node] = advance->current[node].state;
	for (int i = 0; i < run->publication->n; i++)
	{
		int node = run->publication->member[i];

		if (state[node] == ETL_TASK_WAITING)
			state[node] = decide(run, state, node, upstream);
	}
	pfree(upstream);
	return state;
}

/* any_is says whether something of that kind was decided about a member that waits. */
static bool
any_is(const EtlAdvance *advance, const EtlTaskState *decided, EtlTaskState state)
{
	const EtlPublication *publication = advance->run->publication;

	for (int i = 0; i < publication->n; i++)
		if (advance->current[publication->member[i]].state == ETL_TASK_WAITING &&
			decided[publication->member[i]] == state)
			return true;
	return false;
}

/*
 * hold_back fails all members when the server went down too often with each of them: which of them it was is not known, so
 * one that was changed since lets all of them try again.
 */
static bool
hold_back(EtlAdvance *advance)
{
	const EtlPublication *publication = advance->run->publication;

	for (int i = 0; i < publication->n; i++)
	{
		const EtlTaskRun *current = &advance->current[publication->member[i]];

		if (current->state == ETL_TASK_READY && current->crashes < ETL_MAX_CRASHES)
			return false;
	}
	for (int i = 0; i < publication->n; i++)
		if (advance->current[publication->member[i]].state == ETL_TASK_READY)
			(void) etl_advance_hold_back(advance, publication->member[i]);
	return true;
}

/* refuse fails the first member that is ready and could not be given to a worker, and with it all others. */
static bool
refuse(EtlAdvance *advance)
{
	const EtlRun *run = advance->run;
	const EtlTask *at_fault = NULL;

	for (int i = 0; i < run->publication->n && at_fault == NULL; i++)
	{
		int node = run->publication->member[i];

		if (advance->current[node].state == ETL_TASK_READY && etl_advance_refuse(advance, node))
			at_fault = run->tasks.task[node];
	}
	for (int i = 0; i < run->publication->n && at_fault != NULL; i++)
	{
		int node = run->publication->member[i];

		if (advance->current[node].state == ETL_TASK_READY)
			etl_advance_fail(
				advance, node, ETL_TOGETHER_ROLLED_BACK,
				psprintf("did not start, because task \"%s\" failed, with which it would be published", at_fault->name),
				NULL);
	}
	return at_fault != NULL;
}

/* check_startable fails members that are ready and may not be given to a worker. Returns whether it did. */
static bool
check_startable(EtlAdvance *advance)
{
	if (etl_together_lead(advance->run, advance->current, ETL_TASK_READY) < 0 ||
		(!refuse(advance) && !hold_back(advance)))
		return false;
	settle(advance);
	return true;
}

/* move_waiting moves the members that wait to what was decided about them; fallback: where they were to start. */
static bool
move_waiting(EtlAdvance *advance, const EtlTaskState *decided, EtlTaskState fallback)
{
	const EtlPublication *publication = advance->run->publication;
	bool changed = false;

	for (int i = 0; i < publication->n; i++)
	{
		int node = publication->member[i];
		EtlTaskState to = decided[node];

		if (advance->current[node].state != ETL_TASK_WAITING)
			continue;
		if (to == ETL_TASK_READY || to == ETL_TASK_WAITING)
			to = fallback;
		if (to != ETL_TASK_WAITING)
			changed = etl_advance_move(advance, node, to) || changed;
	}
	return changed;
}

/*
 * etl_together_wake: when something failed that one of them waits for, none starts. Otherwise they become ready together, as
 * soon as each may start; those that are skipped by their trigger rule stay out.
 */
bool
etl_together_wake(EtlAdvance *advance)
{
	EtlTaskState *decided;
	bool changed;

	if (etl_together_lead(advance->run, advance->current, ETL_TASK_WAITING) < 0)
		return false;
	decided = decide_all(advance);
	if (any_is(advance, decided, ETL_TASK_UPSTREAM_FAILED))
		changed = move_waiting(advance, decided, ETL_TASK_UPSTREAM_FAILED);
	else if (any_is(advance, decided, ETL_TASK_WAITING))
		changed = move_waiting(advance, decided, ETL_TASK_WAITING);
	else
	{
		changed = any_is(advance, decided, ETL_TASK_SKIPPED);
		(void) move_waiting(advance, decided, ETL_TASK_READY);
		changed = check_startable(advance) || changed;
	}
	pfree(decided);
	return changed;
}

/* etl_together_start looks again at what may have changed since they became ready. */
bool
etl_together_start(EtlAdvance *advance)
{
	const EtlRun *run = advance->run;
	bool moved = true;

	if (check_startable(advance) || etl_together_lead(run, advance->current, ETL_TASK_READY) < 0)
		return false;
	for (int i = 0; i < run->publication->n; i++)
	{
		int node = run->publication->member[i];

		if (advance->current[node].state == ETL_TASK_READY)
			moved = etl_advance_move(advance, node, ETL_TASK_RUNNING) && moved;
	}
	/* Whatever was marked beside one that was not has no worker, and is found like that. */
	return moved;
}
