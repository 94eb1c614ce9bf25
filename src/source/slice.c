/*
 * slice.c
 *		Reads ranges of the key with several workers: the executor of the attempt and helpers that it starts.
 *
 * Each takes the next range that nobody has taken until there are none. Ranges, not workers, are what progress is written
 * down of: the next attempt may have more or fewer workers. Their batches are committed out of order, so they wait in
 * etl.extract_progress and become visible together (catalog/extract_progress.h). An error of one ends the others.
 *
 * Without free worker slots the executor reads all ranges itself.
 */
#include "postgres.h"

#include "access/xact.h"
#include "errors.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "source/slice.h"
#include "source/whole.h"
#include "storage/dsm.h"
#include "storage/latch.h"
#include "storage/spin.h"
#include "utils/memutils.h"
#include "worker/bgw.h"

#define MAX_RANGES 64
#define MAX_TALLIES 32
#define TALLY_NAME 64

/* How often the executor looks after its helpers if nobody wakes it, in ms. */
#define LOOK_AGAIN 500

typedef struct SharedTally
{
	char name[TALLY_NAME];
	int64 n;
} SharedTally;

/* What executor and helpers share. */
struct EtlSliceShare
{
	EtlHelperShare helper;
	pg_atomic_uint32 taken[MAX_RANGES];
	slock_t lock; /* of what follows */
	EtlCounts counts;
	int n_tally;
	SharedTally tally[MAX_TALLIES];
	int n_columns;						 /* 0: all */
	char columns[FLEXIBLE_ARRAY_MEMBER]; /* names, each with its end */
};

/* A read with its helpers. */
typedef struct Team
{
	EtlExtract *extract;
	EtlSliceShare *share;
	dsm_segment *dsm;
	int n;
	BackgroundWorkerHandle **handle;
} Team;

/* take takes a range; false: somebody has it. */
static bool
take(EtlSliceShare *share, int range)
{
	uint32 free = 0;

	return pg_atomic_compare_exchange_u32(&share->taken[range], &free, 1);
}

/* read_ranges reads what is free. */
static void
read_ranges(EtlExtract *extract, EtlSliceShare *share)
{
	for (int i = 0; i < extract->whole->n; i++)
	{
		if (extract->whole->range[i].done || !take(share, i))
			continue;
		etl_whole_read(extract, i);
		etl_attempt_step(extract->attempt);
		if (!extract->attempt->is_helper)
			etl_helper_check(&share->helper);
	}
}

/* share_tally adds what a helper has counted by name. */
static void
share_tally(EtlSliceShare *share, const EtlTally *tally)
{
	int i = 0;

	while (i < share->n_tally && strcmp(share->tally[i].name, tally->name) != 0)
		i++;
	if (i == MAX_TALLIES)
		return;
	if (i == share->n_tally)
	{
		strlcpy(share->tally[i].name, tally->name, TALLY_NAME);
		share->n_tally++;
	}
	share->tally[i].n += tally->n;
}

/* share_counts adds what a helper has counted. */
static void
share_counts(EtlSliceShare *share, const EtlAttempt *attempt)
{
	ListCell *cell;

	SpinLockAcquire(&share->lock);
	share->counts.read += attempt->counts.read;
	share->counts.inserted += attempt->counts.inserted;
	share->counts.bytes += attempt->counts.bytes;
	foreach (cell, attempt->tally)
		share_tally(share, lfirst(cell));
	SpinLockRelease(&share->lock);
}

/* take_columns makes a helper read the columns that the executor reads. */
static void
take_columns(EtlExtract *extract, const EtlSliceShare *share)
{
	MemoryContext old = MemoryContextSwitchTo(extract->context);
	const char *name = share->columns;

	extract->columns.n = share->n_columns;
	extract->columns.name = palloc0(sizeof(char *) * Max(share->n_columns, 1));
	for (int i = 0; i < share->n_columns; i++)
	{
		extract->columns.name[i] = pstrdup(name);
		name += strlen(name) + 1;
	}
	MemoryContextSwitchTo(old);
}

/* etl_slice_help reads in a helper. */
void
etl_slice_help(EtlAttempt *attempt, EtlSliceShare *share)
{
	EtlExtract *extract = etl_extract_make(attempt);

	take_columns(extract, share);
	PG_TRY();
	{
		etl_extract_join(extract);
		if (etl_whole_load(extract))
			read_ranges(extract, share);
	}
	PG_FINALLY();
	{
		share_counts(share, attempt);
		etl_extract_close(extract);
		etl_remote_close(extract->remote);
	}
	PG_END_TRY();
}

/* make_share puts what helpers need into shared memory, which stays until it is detached. */
static void
make_share(Team *team)
{
	const EtlNames *columns = &team->extract->columns;
	Size size = offsetof(EtlSliceShare, columns);
	EtlSliceShare *share;
	char *end;

	for (int i = 0; i < columns->n; i++)
		size += strlen(columns->name[i]) + 1;
	team->dsm = dsm_create(size, 0);
	dsm_pin_mapping(team->dsm);
	share = team->share = dsm_segment_address(team->dsm);
	memset(share, 0, size);
	etl_helper_init(&share->helper);
	for (int i = 0; i < MAX_RANGES; i++)
		pg_atomic_init_u32(&share->taken[i], 0);
	SpinLockInit(&share->lock);
	share->n_columns = columns->n;
	end = share->columns;
	for (int i = 0; i < columns->n; i++)
	{
		strcpy(end, columns->name[i]);
		end += strlen(end) + 1;
	}
}

/* start_helpers starts as many as the server has room for. */
static void
start_helpers(Team *team, int wanted)
{
	const EtlAttempt *attempt = team->extract->attempt;
	char *name = psprintf("etl slice %s", attempt->task->name);
	MemoryContext old = MemoryContextSwitchTo(team->extract->context);

	team->handle = palloc0(sizeof(BackgroundWorkerHandle *) * wanted);
	while (team->n < wanted &&
		   etl_bgw_start_helper(attempt->task->owner, attempt->task_run_id, dsm_segment_handle(team->dsm), "etl slice",
								name, "etl_slice_main", &team->handle[team->n]))
		team->n++;
	MemoryContextSwitchTo(old);
	etl_helper_guard(team->handle, team->n);
	if (team->n < wanted)
		etl_attempt_note(team->extract->attempt,
						 "%d of %d workers for slices could be started; the others would not fit into"
						 " max_worker_processes.",
						 team->n, wanted);
}

/* wait_for_helpers waits until all have ended; no step is open. */
static void
wait_for_helpers(Team *team)
{
	etl_attempt_pause(team->extract->attempt);
	while (!etl_helper_all_ended(team->handle, team->n) && pg_atomic_read_u32(&team->share->helper.failed) == 0)
	{
		CHECK_FOR_INTERRUPTS();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, LOOK_AGAIN, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
	CHECK_FOR_INTERRUPTS();
	etl_helper_check(&team->share->helper);
	if (pg_atomic_read_u32(&team->share->helper.finished) != team->n)
		ereport(ERROR,
				(errcode(ERRCODE_ETL_WORKER_LOST),
				 errmsg("a worker that read a part of source %s ended without a word", team->extract->source->name),
				 errdetail("It was terminated, or it could not start."),
				 errhint("The next attempt continues where it was.")));
	etl_attempt_resume(team->extract->attempt);
}

/* collect adds what the helpers have counted to the attempt. */
static void
collect(Team *team)
{
	EtlAttempt *attempt = team->extract->attempt;
	const EtlSliceShare *share = team->share;

	attempt->counts.read += share->counts.read;
	attempt->counts.inserted += share->counts.inserted;
	attempt->counts.bytes += share->counts.bytes;
	for (int i = 0; i < share->n_tally; i++)
		etl_attempt_count(attempt, MemoryContextStrdup(attempt->context, share->tally[i].name), share->tally[i].n);
}

/* read_together lets a team read; whatever happens, nobody of it is left behind. */
static void
read_together(EtlExtract *extract, int helpers)
{
	Team team = {.extract = extract};

	make_share(&team);
	PG_TRY();
	{
		start_helpers(&team, helpers);
		extract->whole->team = &team.share->helper;
		read_ranges(extract, team.share);
		wait_for_helpers(&team);
		collect(&team);
	}
	PG_FINALLY();
	{
		extract->whole->team = NULL;
		etl_helper_end(team.handle, team.n);
		etl_helper_guard(NULL, 0);
		dsm_detach(team.dsm);
	}
	PG_END_TRY();
}

/* read_alone reads one range after the other. */
static void
read_alone(EtlExtract *extract)
{
	for (int i = 0; i < extract->whole->n; i++)
	{
		if (extract->whole->range[i].done)
			continue;
		etl_whole_read(extract, i);
		etl_attempt_step(extract->attempt);
	}
}

/* etl_slice_read_all reads all ranges and publishes their batches in the transaction that it leaves open. */
void
etl_slice_read_all(EtlExtract *extract)
{
	int left = 0;

	for (int i = 0; i < extract->whole->n; i++)
		left += extract->whole->range[i].done ? 0 : 1;
	if (extract->attempt->is_inline || left < 2 || extract->attempt->task->slices < 2)
		read_alone(extract);
	else
		read_together(extract, Min(left, extract->attempt->task->slices) - 1);
	etl_extract_progress_claim(extract->attempt);
	if (!etl_whole_load(extract))
		elog(ERROR, "the progress of task \"%s\" is gone", extract->attempt->task->name);
	for (int i = 0; i < extract->whole->n; i++)
		if (!extract->whole->range[i].done)
			elog(ERROR, "range %d of task \"%s\" was not read", i, extract->attempt->task->name);
}
