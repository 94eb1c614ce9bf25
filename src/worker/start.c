/*
 * start.c
 *		Giving ready tasks to workers. See start.h.
 *
 * A task is marked as running, and the mark committed, before its worker is started: whatever dies in between, somebody
 * finds it running with nobody at work.
 */
#include "postgres.h"

#include "guc.h"
#include "miscadmin.h"
#include "utils/timestamp.h"
#include "worker/advance.h"
#include "worker/known.h"
#include "worker/slot.h"
#include "worker/start.h"
#include "worker/step.h"
#include "worker/transition.h"

static bool out_of_workers = false;

/* give_back_task makes a task ready again. */
static void
give_back_task(EtlTaskRun *current)
{
	EtlTaskChange change = {.task_run_id = current->task_run_id, .from = ETL_TASK_RUNNING, .to = ETL_TASK_READY};

	if (current->state != ETL_TASK_RUNNING)
		return;
	(void) etl_transition_task(&change);
	current->state = ETL_TASK_READY;
}

/* give_back makes a task ready again, or a publication, for which the server had no worker, and says so once. */
static void
give_back(const EtlCandidate *candidate)
{
	EtlKnown *known = candidate->run;
	const EtlPublication *publication = known->run->publication;

	etl_step_begin();
	if (!etl_publication_has(publication, candidate->node))
		give_back_task(&known->current[candidate->node]);
	else
		for (int i = 0; i < publication->n; i++)
			give_back_task(&known->current[publication->member[i]]);
	etl_step_end();
	if (!out_of_workers)
		ereport(LOG, (errmsg("etl_ext: no free background worker, tasks wait for one"),
					  errhint("max_worker_processes is %d.", max_worker_processes)));
	out_of_workers = true;
}

/* mark marks the chosen task, or publication, as running; false if somebody else has changed it meanwhile. */
static bool
mark(const EtlCandidate *candidate)
{
	EtlKnown *known = candidate->run;
	EtlAdvance advance = {.run = known->run, .current = known->current};
	bool marked;

	etl_step_begin();
	marked = etl_advance_start(&advance, candidate->node);
	etl_step_end();
	/* Look at what it is now, or how it does. */
	if (!marked)
		known->next_look = DT_NOBEGIN;
	else
		known->next_look = Min(known->next_look, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ETL_LOOK_AT_WORK));
	return marked;
}

/* start_worker starts the worker of a task, or of a publication, that is marked; false when the server has none. */
static bool
start_worker(const EtlCandidate *candidate)
{
	EtlKnown *known = candidate->run;
	const EtlRun *run = known->run;
	const EtlTask *task = run->tasks.task[candidate->node];
	const EtlPublication *publication = run->publication;
	int64 *task_run_id;
	int n = 0;

	if (!etl_publication_has(publication, candidate->node))
		return etl_slot_start(known->run_id, task->owner, psprintf("etl task %s", task->name),
							  &known->current[candidate->node].task_run_id, 1);
	task_run_id = palloc(sizeof(int64) * publication->n);
	for (int i = 0; i < publication->n; i++)
		if (known->current[publication->member[i]].state == ETL_TASK_RUNNING)
			task_run_id[n++] = known->current[publication->member[i]].task_run_id;
	return etl_slot_start(known->run_id, task->owner, psprintf("etl publish %s", run->pipeline->name), task_run_id, n);
}

/* start gives a task, or a publication, to a worker; false when the server has none. */
static bool
start(const EtlCandidate *candidate)
{
	if (!mark(candidate))
		return true;
	if (!start_worker(candidate))
	{
		give_back(candidate);
		return false;
	}
	return true;
}

/* etl_start_ready starts as many ready tasks as may start. */
void
etl_start_ready(void)
{
	MemoryContext context = CurrentMemoryContext;
	EtlPick pick = {0};
	const EtlCandidate *candidate;

	if (etl_slot_count() >= etl_max_workers)
		return;
	etl_known_candidates(&pick);
	if (pick.n_running == pick.n)
	{
		out_of_workers = false;
		return;
	}
	etl_step_begin();
	MemoryContextSwitchTo(context);
	pick.n_pools = etl_pool_list(&pick.pool);
	etl_step_end();
	while (etl_slot_count() < etl_max_workers && (candidate = etl_pick_next(&pick)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (!start(candidate))
			return;
	}
	/* All that may start have: the shortage is over, and the next one is told of again. */
	out_of_workers = false;
}

/* etl_start_waits_for_worker says whether tasks wait because the server has no free background worker. */
bool
etl_start_waits_for_worker(void)
{
	return out_of_workers;
}
