/*
 * known.c
 *		What the scheduler remembers of the active runs. See known.h.
 */
#include "postgres.h"

#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "worker/known.h"
#include "worker/siblings.h"
#include "worker/together.h"

static HTAB *known = NULL;

/* Grows whenever a role has changed: REASSIGN OWNED and DROP ROLE reach active runs, too. */
static uint32 generation = 0;

/* on_role_change notes that roles have changed. Nothing can be read here. */
static void
on_role_change(Datum arg, int cache, uint32 hash)
{
	generation++;
}

/* make_table makes the table at its first use. */
static void
make_table(void)
{
	HASHCTL control = {.keysize = sizeof(int64), .entrysize = sizeof(EtlKnown)};

	if (known != NULL)
		return;
	known = hash_create("etl runs", 32, &control, HASH_ELEM | HASH_BLOBS);
	CacheRegisterSyscacheCallback(AUTHOID, on_role_change, (Datum) 0);
}

/* load reads the definition of a run. */
static void
load(EtlKnown *entry, const EtlRunLine *line)
{
	MemoryContext old;

	entry->run = NULL;
	entry->current = NULL;
	entry->next_look = DT_NOBEGIN;
	entry->generation = generation;
	entry->context = AllocSetContextCreate(TopMemoryContext, "etl run", ALLOCSET_DEFAULT_SIZES);
	entry->state_context = AllocSetContextCreate(entry->context, "etl run states", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(entry->context);
	entry->run = etl_run_load(line->run_id);
	MemoryContextSwitchTo(old);
}

/* etl_known_get returns what is known of a run, brought up to date with a line of the list of runs. */
EtlKnown *
etl_known_get(const EtlRunLine *line)
{
	EtlKnown *entry = etl_known_find(line->run_id);

	if (entry == NULL)
	{
		entry = hash_search(known, &line->run_id, HASH_ENTER, NULL);
		load(entry, line);
	}
	if (entry->run == NULL)
		elog(ERROR, "the definition of run " INT64_FORMAT " cannot be read", line->run_id);
	entry->run->state = line->state;
	entry->run->cancel_requested = line->cancel_requested;
	return entry;
}

/* forget frees what is known of a run. */
static void
forget(EtlKnown *entry)
{
	MemoryContextDelete(entry->context);
	hash_search(known, &entry->run_id, HASH_REMOVE, NULL);
}

/* etl_known_find returns what is known of a run; NULL if it has to be read. */
EtlKnown *
etl_known_find(int64 run_id)
{
	EtlKnown *entry;

	make_table();
	entry = hash_search(known, &run_id, HASH_FIND, NULL);
	if (entry == NULL || entry->generation == generation)
		return entry;
	forget(entry);
	return NULL;
}

/* etl_known_read_tasks reads the states of a run's tasks. */
void
etl_known_read_tasks(EtlKnown *entry)
{
	MemoryContext old;

	entry->current = NULL;
	MemoryContextReset(entry->state_context);
	old = MemoryContextSwitchTo(entry->state_context);
	entry->current = etl_task_run_current(entry->run->run_id, &entry->run->tasks);
	MemoryContextSwitchTo(old);
}

/* etl_known_forget frees what is known of a run. */
void
etl_known_forget(int64 run_id)
{
	EtlKnown *entry = etl_known_find(run_id);

	if (entry != NULL)
		forget(entry);
}

/* writes_alone says whether the target of a task has one writer at a time. */
static bool
writes_alone(const EtlTask *task)
{
	return task->kind == ETL_TASK_EXTRACT || task->kind == ETL_TASK_LOAD || task->kind == ETL_TASK_AGGREGATE;
}

/* add_need adds what a task needs to its candidate, and how urgent and how suspect it is. */
static void
add_need(EtlCandidate *candidate, const EtlTask *task, const EtlTaskRun *current)
{
	EtlNeed *need = &candidate->need[candidate->n_needs++];

	need->target = writes_alone(task) ? task->target : NULL;
	need->scan = task->kind == ETL_TASK_CHECK ? etl_siblings_key(task) : NULL;
	need->pool = task->pool;
	need->pool_slots = task->pool_slots;
	candidate->is_suspect = candidate->is_suspect || current->crashes > 0;
	candidate->crashes = Max(candidate->crashes, current->crashes);
	candidate->priority = candidate->n_needs == 1 ? task->priority : Max(candidate->priority, task->priority);
}

/* fill_candidate describes a task, or those that are published with it, to the choice of the next one. */
static void
fill_candidate(EtlCandidate *candidate, EtlKnown *entry, int node)
{
	const EtlRun *run = entry->run;
	const EtlPublication *publication = etl_publication_has(run->publication, node) ? run->publication : NULL;
	int n = publication ? publication->n : 1;

	MemSet(candidate, 0, sizeof(EtlCandidate));
	candidate->run = entry;
	candidate->node = node;
	candidate->run_id = run->run_id;
	candidate->pipeline_id = run->pipeline->pipeline_id;
	candidate->is_backfill = run->backfill_id != 0;
	candidate->max_parallel = run->pipeline->max_parallel;
	candidate->ready_at = entry->current[node].ready_at;
	candidate->need = palloc(sizeof(EtlNeed) * n);
	for (int i = 0; i < n; i++)
	{
		int member = publication ? publication->member[i] : node;

		if (entry->current[member].state == entry->current[node].state)
			add_need(candidate, run->tasks.task[member], &entry->current[member]);
	}
}

/* stands_for_itself says whether a task in a state is a candidate: of those that are published together, one is. */
static bool
stands_for_itself(const EtlKnown *entry, int node, EtlTaskState state)
{
	if (entry->current[node].state != state)
		return false;
	return !etl_publication_has(entry->run->publication, node) ||
		   etl_together_lead(entry->run, entry->current, state) == node;
}

/* add_candidates adds the tasks of all known runs that are in a state. */
static void
add_candidates(EtlPick *pick, int *size, EtlTaskState state)
{
	HASH_SEQ_STATUS scan;
	EtlKnown *entry;

	hash_seq_init(&scan, known);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		for (int node = 0; entry->current != NULL && node < entry->run->tasks.n; node++)
		{
			if (!stands_for_itself(entry, node, state))
				continue;
			if (pick->n == *size)
			{
				*size *= 2;
				pick->candidate = repalloc(pick->candidate, sizeof(EtlCandidate) * *size);
			}
			fill_candidate(&pick->candidate[pick->n++], entry, node);
		}
	}
}

/* etl_known_candidates lists the tasks of all known runs that are at work or ready, in the current context. */
void
etl_known_candidates(EtlPick *pick)
{
	int size = 64;

	make_table();
	pick->n = 0;
	pick->candidate = palloc(sizeof(EtlCandidate) * size);
	add_candidates(pick, &size, ETL_TASK_RUNNING);
	pick->n_running = pick->n;
	add_candidates(pick, &size, ETL_TASK_READY);
}
