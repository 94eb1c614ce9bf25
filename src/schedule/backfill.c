/*
 * backfill.c
 *		Backfills as the scheduler carries them out. See backfill.h.
 *
 * All state is in etl.backfill, etl.backfill_chunk and the runs: a run and its number in the interval commit together,
 * so that whoever comes next, after whatever crash, goes on where the last commit left.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/backfill.h"
#include "catalog/pg_authid.h"
#include "catalog/run.h"
#include "miscadmin.h"
#include "schedule/backfill.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "worker/step.h"

/* create_runs creates as many runs as may be active at once. */
static void
create_runs(int64 backfill_id, EtlBackfillWork *work)
{
	while (work->active < work->max_active)
	{
		TimestampTz start;
		Jsonb *request = etl_backfill_next(backfill_id, &start);
		EtlRunState state;

		CHECK_FOR_INTERRUPTS();
		if (request == NULL)
			break;
		etl_backfill_assign(backfill_id, start, etl_run_create(request, work->requested_by, &state));
		work->active++;
	}
}

/* step_one does what can be done for one backfill now; false: there is nothing to stay for. */
static bool
step_one(int64 backfill_id)
{
	EtlBackfillWork *work = etl_backfill_lock(backfill_id);

	if (work == NULL)
		return true;
	if (!work->remaining && work->active == 0)
		return !etl_backfill_end(backfill_id, work->failed ? "failed" : "success", NULL);
	if (work->paused || !work->remaining)
		return work->active > 0;
	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(work->requested_by)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("the role that asked for it does not exist any more")));
	create_runs(backfill_id, work);
	return true;
}

/*
 * is_final says whether an error would come again: the pipeline, a task or a right is gone, or a value is refused. Others
 * (a deadlock, no memory, a shutdown) leave the backfill for the next time.
 */
static bool
is_final(int sqlerrcode)
{
	int class = ERRCODE_TO_CATEGORY(sqlerrcode);

	return class == ERRCODE_TO_CATEGORY(ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION) ||
		   class == ERRCODE_TO_CATEGORY(ERRCODE_DATA_EXCEPTION) || class == MAKE_SQLSTATE('Z', 'E', '0', '0', '0');
}

/* give_up ends a backfill that cannot go on. What it has running goes on. */
static void
give_up(int64 backfill_id, const char *reason)
{
	ereport(LOG, (errmsg("etl_ext: backfill " INT64_FORMAT " is given up: %s", backfill_id, reason)));
	etl_step_begin();
	(void) etl_backfill_end(backfill_id, "failed", reason);
	etl_step_end();
}

/* step_guarded keeps an error of one backfill away from the others; false: there is nothing to stay for. */
static bool
step_guarded(int64 backfill_id)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile bool open = true;

	PG_TRY();
	{
		etl_step_begin();
		open = step_one(backfill_id);
		etl_step_end();
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		EmitErrorReport();
		FlushErrorState();
		AbortCurrentTransaction();
		if (is_final(error->sqlerrcode))
		{
			give_up(backfill_id, error->message);
			open = false;
		}
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	return open;
}

/* list_backfills reads the backfills that are not done into the caller's context. */
static int
list_backfills(int64 **backfill_id)
{
	MemoryContext caller = CurrentMemoryContext;
	int n;

	etl_step_begin();
	MemoryContextSwitchTo(caller);
	n = etl_backfill_list(backfill_id);
	etl_step_end();
	return n;
}

/* etl_backfill_step goes through all backfills, oldest first. */
int
etl_backfill_step(void)
{
	int64 *backfill_id;
	int n = list_backfills(&backfill_id);
	int open = 0;

	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (step_guarded(backfill_id[i]))
			open++;
	}
	return open;
}
