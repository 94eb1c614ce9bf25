/*
 * progress.c
 *		How far the attempt of this process is. See progress.h.
 */
#include "postgres.h"

#include "observe/progress.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* How often what pg_stat_activity shows may change, in ms. */
#define REPORT_PAUSE 1000

static char *label = NULL; /* pipeline.task; NULL: nothing is told */
static TimestampTz reported_at = 0;
static bool own_unit = false;

/* What is told of each step, in the order of EtlProgressStep. */
static const char *const verb[] = {"starting", "connecting", "reading",	  "comparing", "looking for what is new",
								   "querying", "writing",	 "executing", "checking",  "finishing"};

/* rate returns the rows of the step per second. */
static double
rate(EtlLive *live, TimestampTz now)
{
	int64 passed = now - (TimestampTz) pg_atomic_read_u64(&live->step_began);

	return passed > 0 ? (double) pg_atomic_read_u64(&live->rows) * USECS_PER_SEC / passed : 0;
}

/* report writes a line for pg_stat_activity. */
static void
report(EtlLive *live, TimestampTz now)
{
	uint64 rows = pg_atomic_read_u64(&live->rows);
	uint64 done = pg_atomic_read_u64(&live->done);
	uint64 total = pg_atomic_read_u64(&live->total);
	char line[256 + 2 * NAMEDATALEN];
	int length;

	length = snprintf(line, sizeof(line), "etl: %.300s, %s", label, verb[pg_atomic_read_u32(&live->step)]);
	if (rows > 0)
		length += snprintf(line + length, sizeof(line) - length, ", " UINT64_FORMAT " rows, %.0f/s", rows,
						   rate(live, now));
	if (total > 0)
		snprintf(line + length, sizeof(line) - length, ", %d %%", (int) Min(done * 100.0 / total, 100));
	pgstat_report_activity(STATE_RUNNING, line);
	reported_at = now;
}

/* etl_progress_begin notes whose work it is. */
void
etl_progress_begin(int64 task_run_id, const char *pipeline, const char *task)
{
	EtlLive *live = etl_live_mine();

	if (live == NULL || MyBgworkerEntry == NULL)
		return;
	if (label != NULL)
		pfree(label);
	label = MemoryContextStrdup(TopMemoryContext, psprintf("%s.%s", pipeline, task));
	pg_atomic_write_u64(&live->task_run_id, task_run_id);
	pg_atomic_write_u32(&live->step, ETL_STEP_FINISH);
	etl_progress_step(ETL_STEP_START);
}

/* restart sets what is counted to zero. */
static void
restart(EtlLive *live)
{
	pg_atomic_write_u64(&live->rows, 0);
	pg_atomic_write_u64(&live->bytes, 0);
	pg_atomic_write_u64(&live->done, 0);
	pg_atomic_write_u64(&live->step_began, GetCurrentTimestamp());
}

/* etl_progress_step starts the counters of a step. */
void
etl_progress_step(EtlProgressStep step)
{
	EtlLive *live = etl_live_mine();

	if (live == NULL || label == NULL || pg_atomic_read_u32(&live->step) == (uint32) step)
		return;
	own_unit = false;
	restart(live);
	pg_atomic_write_u64(&live->total, 0);
	pg_atomic_write_u32(&live->part, 0);
	pg_atomic_write_u32(&live->step, step);
	report(live, GetCurrentTimestamp());
}

/* etl_progress_part counts. */
void
etl_progress_part(void)
{
	EtlLive *live = etl_live_mine();

	if (live != NULL)
		pg_atomic_fetch_add_u32(&live->part, 1);
}

/* etl_progress_total notes how much there is. */
void
etl_progress_total(int64 total, bool is_estimate)
{
	EtlLive *live = etl_live_mine();

	if (live == NULL || total < 0)
		return;
	pg_atomic_write_u32(&live->is_estimate, is_estimate ? 1 : 0);
	pg_atomic_write_u64(&live->total, total);
}

/* etl_progress_statement leaves steps alone in which rows are counted as they come from the source. */
bool
etl_progress_statement(int64 total)
{
	EtlLive *live = etl_live_mine();
	uint32 step = live ? pg_atomic_read_u32(&live->step) : ETL_STEP_READ;

	if (label == NULL || step == ETL_STEP_READ || step == ETL_STEP_CONNECT)
		return false;
	restart(live);
	etl_progress_total(total, true);
	return true;
}

/* etl_progress_add counts, and tells about it from time to time. In a helper it only counts. */
void
etl_progress_add(int64 rows, int64 bytes, int64 done)
{
	EtlLive *live = etl_live_mine();
	TimestampTz now;

	if (live == NULL)
		return;
	pg_atomic_fetch_add_u64(&live->rows, rows);
	pg_atomic_fetch_add_u64(&live->bytes, bytes);
	pg_atomic_fetch_add_u64(&live->done, done);
	if (label == NULL)
		return;
	now = GetCurrentTimestamp();
	if (now - reported_at >= REPORT_PAUSE * INT64CONST(1000))
		report(live, now);
}

/* etl_progress_own_unit is undone by the next step. */
void
etl_progress_own_unit(bool own)
{
	own_unit = own;
}

/* etl_progress_counts_rows tells whoever writes rows. */
bool
etl_progress_counts_rows(void)
{
	return !own_unit;
}
