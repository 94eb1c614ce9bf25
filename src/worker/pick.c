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
	bool same_target;
	bool same_scan;
	bool suspect;
} Load;

/* writes_same says whether two candidates write the same table. */
static bool
writes_same(const EtlCandidate *one, const EtlCandidate *other)
{
	for (int i = 0; i < one->n_needs; i++)
		for (int j = 0; j < other->n_needs && one->need[i].target != NULL; j++)
			if (other->need[j].target != NULL && strcmp(one->need[i].target, other->need[j].target) == 0)
				return true;
	return false;
}

/* reads_same says whether two candidates are checks of a run that one scan answers. */
static bool
reads_same(const EtlCandidate *one, const EtlCandidate *other)
{
	return one->run_id == other->run_id && one->n_needs == 1 && other->n_needs == 1 && one->need[0].scan != NULL &&
		   other->need[0].scan != NULL && strcmp(one->need[0].scan, other->need[0].scan) == 0;
}

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
		load.same_scan = load.same_scan || reads_same(one, other);
		load.same_target = load.same_target || writes_same(one, other);
	}
	return load;
}

/* taken_by returns the slots of a pool that a candidate takes: its tasks work one after the other. */
static int
taken_by(const EtlCandidate *one, const char *pool)
{
	int taken = 0;

	for (int i = 0; i < one->n_needs; i++)
		if (one->need[i].pool != NULL && strcmp(one->need[i].pool, pool) == 0)
			taken = Max(taken, one->need[i].pool_slots);
	return taken;
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

/* fits_in says whether a pool has room for a candidate. Where it wants more than there is, all will do. */
static bool
fits_in(const EtlPick *pick, const EtlCandidate *one, const char *pool)
{
	int slots = slots_of(pick, pool);
	int used = 0;

	for (int i = 0; i < pick->n_running; i++)
		used += taken_by(&pick->candidate[i], pool);
	return slots > 0 && used <= slots - Min(taken_by(one, pool), slots);
}

/* fits says whether all pools of a candidate have room for it. */
static bool
fits(const EtlPick *pick, const EtlCandidate *one)
{
	for (int i = 0; i < one->n_needs; i++)
		if (one->need[i].pool != NULL && !fits_in(pick, one, one->need[i].pool))
			return false;
	return true;
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
	return load->in_run >= one->max_parallel || load->same_target || load->same_scan ||
		   (one->is_suspect && load->suspect);
}

/* waits_in says whether another candidate waits for a pool that one takes as well. */
static bool
waits_in(const EtlPick *pick, const EtlCandidate *other, const EtlCandidate *one)
{
	for (int i = 0; i < one->n_needs; i++)
	{
		const char *pool = one->need[i].pool;

		if (pool != NULL && taken_by(other, pool) > 0 && !fits_in(pick, other, pool))
			return true;
	}
	return false;
}

/*
 * waits_for_pool says whether a better candidate waits for the same pool: nobody may overtake it there, or a task that
 * takes many slots would never get them.
 */
static bool
waits_for_pool(const EtlPick *pick, const EtlCandidate *one, const Load *load)
{
	for (int i = pick->n_running; i < pick->n; i++)
	{
		const EtlCandidate *other = &pick->candidate[i];
		Load other_load;

		if (other == one || !waits_in(pick, other, one))
			continue;
		other_load = load_beside(pick, other);
		if (!is_blocked(other, &other_load) && goes_before(other, &other_load, one, load))
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

		if (is_blocked(one, &load) || !fits(pick, one))
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
