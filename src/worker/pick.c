/*
 * pick.c
 *		Which ready tasks start next. See pick.h.
 */
#include "postgres.h"

#include "worker/pick.h"

/* What is at work beside a candidate. */
typedef struct Load
{
	int in_run;
	int in_pipeline;
	int pool_slots;
	bool same_target;
	bool suspect;
} Load;

/* load_beside counts what is at work. */
static Load
load_beside(const EtlPick *pick, const EtlCandidate *one)
{
	Load load = {0};

	for (int i = 0; i < pick->n_running; i++)
	{
		const EtlCandidate *other = &pick->candidate[i];

		load.in_run += other->run_id == one->run_id;
		load.in_pipeline += other->pipeline_id == one->pipeline_id;
		load.suspect = load.suspect || other->is_suspect;
		if (one->pool != NULL && other->pool != NULL && strcmp(one->pool, other->pool) == 0)
			load.pool_slots += other->pool_slots;
		if (one->target != NULL && other->target != NULL && strcmp(one->target, other->target) == 0)
			load.same_target = true;
	}
	return load;
}

/* slots_of returns the slots of a pool; one that was dropped while a run still names it limits nothing. */
static int
slots_of(const EtlPick *pick, const char *name)
{
	for (int i = 0; i < pick->n_pools; i++)
		if (strcmp(pick->pool[i].name, name) == 0)
			return pick->pool[i].slots;
	return PG_INT32_MAX;
}

/* fits says whether the pool of a candidate has room for it. Where a task wants more than there is, all will do. */
static bool
fits(const EtlPick *pick, const EtlCandidate *one, const Load *load)
{
	int slots;

	if (one->pool == NULL)
		return true;
	slots = slots_of(pick, one->pool);
	return slots > 0 && load->pool_slots <= slots - Min(one->pool_slots, slots);
}

/* goes_before says whether one candidate is to start rather than another. */
static bool
goes_before(const EtlCandidate *one, const Load *load, const EtlCandidate *other, const Load *other_load)
{
	if (one->is_backfill != other->is_backfill)
		return other->is_backfill;
	if (one->priority != other->priority)
		return one->priority > other->priority;
	/* The likely culprit of crashes last, so that the others get done. */
	if (one->crashes != other->crashes)
		return one->crashes < other->crashes;
	if (load->in_pipeline != other_load->in_pipeline)
		return load->in_pipeline < other_load->in_pipeline;
	return one->ready_at < other->ready_at;
}

/* is_blocked says whether a candidate has to wait for something else than its pool. */
static bool
is_blocked(const EtlCandidate *one, const Load *load)
{
	return load->in_run >= one->max_parallel || load->same_target || (one->is_suspect && load->suspect);
}

/*
 * waits_for_pool says whether a better candidate waits for the same pool: nobody may overtake it there, or a task that
 * takes many slots would never get them.
 */
static bool
waits_for_pool(const EtlPick *pick, const EtlCandidate *one, const Load *load)
{
	for (int i = pick->n_running; one->pool != NULL && i < pick->n; i++)
	{
		const EtlCandidate *other = &pick->candidate[i];
		Load other_load;

		if (other == one || other->pool == NULL || strcmp(other->pool, one->pool) != 0)
			continue;
		other_load = load_beside(pick, other);
		if (!is_blocked(other, &other_load) && !fits(pick, other, &other_load) &&
			goes_before(other, &other_load, one, load))
			return true;
	}
	return false;
}

/* etl_pick_next chooses the next candidate to start. */
const EtlCandidate *
etl_pick_next(EtlPick *pick)
{
	EtlCandidate *best = NULL;
	EtlCandidate *place = &pick->candidate[pick->n_running];
	EtlCandidate chosen;
	Load best_load = {0};

	for (int i = pick->n_running; i < pick->n; i++)
	{
		EtlCandidate *one = &pick->candidate[i];
		Load load = load_beside(pick, one);

		if (is_blocked(one, &load) || !fits(pick, one, &load))
			continue;
		if (best != NULL && !goes_before(one, &load, best, &best_load))
			continue;
		if (waits_for_pool(pick, one, &load))
			continue;
		best = one;
		best_load = load;
	}
	if (best == NULL)
		return NULL;
	chosen = *best;
	*best = *place;
	*place = chosen;
	pick->n_running++;
	return place;
}
