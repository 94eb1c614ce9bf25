/*
 * backfill_cut.c
 *		Cutting a range of time into the intervals of a backfill. See backfill_cut.h.
 *
 * A limit is from plus a multiple of step, not the limit before it plus step: months that begin on the 31st keep to the
 * ends of months.
 */
#include "postgres.h"

#include "common/int.h"
#include "miscadmin.h"
#include "schedule/backfill_cut.h"
#include "schedule/cron_zone.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

/* check_range refuses ranges and steps that give no intervals. */
static void
check_range(TimestampTz from, TimestampTz to, const Interval *step)
{
	Interval zero = {0};

	if (TIMESTAMP_NOT_FINITE(from) || TIMESTAMP_NOT_FINITE(to))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("from_time and to_time must be finite"),
						errdetail("One of them is infinity or -infinity."),
						errhint("Pass the first and the last moment of the range as times.")));
	if (from >= to)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("from_time must be before to_time"),
						errdetail("The range goes from %s to %s.", pstrdup(timestamptz_to_str(from)),
								  pstrdup(timestamptz_to_str(to))),
						errhint("to_time is exclusive: for one day, pass the next one.")));
	if (DatumGetInt32(DirectFunctionCall2(interval_cmp, IntervalPGetDatum(step), IntervalPGetDatum(&zero))) <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("step is out of range"),
				 errdetail("It is not more than 0."), errhint("Pass a positive interval, as in step => '1 day'.")));
}

/* multiply returns n times step. */
static Interval
multiply(const Interval *step, int n)
{
	Interval result;

	if (pg_mul_s64_overflow(step->time, n, &result.time) || pg_mul_s32_overflow(step->day, n, &result.day) ||
		pg_mul_s32_overflow(step->month, n, &result.month))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("step is out of range"),
						errdetail("%d times the step is more than an interval can be.", n),
						errhint("Pass a shorter interval, as in step => '1 day'.")));
	return result;
}

/* limit_after returns limit n of a range, in the time zone of the session. */
static TimestampTz
limit_after(TimestampTz from, const Interval *step, int n)
{
	Interval distance = multiply(step, n);

	return DatumGetTimestampTz(
		DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(from), IntervalPGetDatum(&distance)));
}

/* check_limit refuses limits that do not lead on, and too many of them. */
static void
check_limit(TimestampTz before, TimestampTz limit, int n)
{
	if (limit <= before)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("step does not lead forward everywhere"),
						errdetail("After %s it leads to %s.", pstrdup(timestamptz_to_str(before)),
								  pstrdup(timestamptz_to_str(limit))),
						errhint("Pass an interval without negative parts, as in step => '1 day'.")));
	if (n > ETL_BACKFILL_MAX_INTERVALS)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("too many intervals"),
						errdetail("The range has more than %d steps.", ETL_BACKFILL_MAX_INTERVALS),
						errhint("Pass a longer step, or cut the range into several backfills.")));
}

/* cut does the work of etl_backfill_cut in the time zone of the session. */
static int
cut(TimestampTz from, TimestampTz to, const Interval *step, TimestampTz **bound)
{
	int size = 64;
	int n = 0;

	*bound = palloc(sizeof(TimestampTz) * size);
	(*bound)[0] = from;
	while ((*bound)[n] < to)
	{
		TimestampTz limit = limit_after(from, step, n + 1);

		CHECK_FOR_INTERRUPTS();
		check_limit((*bound)[n], limit, n + 1);
		if (++n == size)
			*bound = repalloc(*bound, sizeof(TimestampTz) * (size *= 2));
		(*bound)[n] = Min(limit, to);
	}
	return n;
}

/* etl_backfill_cut lets PostgreSQL's own arithmetic work in the zone. */
int
etl_backfill_cut(TimestampTz from, TimestampTz to, const Interval *step, const char *timezone, TimestampTz **bound)
{
	int level;
	int n;

	check_range(from, to, step);
	level = NewGUCNestLevel();
	(void) set_config_option("timezone", timezone, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	n = cut(from, to, step, bound);
	AtEOXact_GUC(false, level);
	return n;
}

/* is_midnight says whether a day begins at a moment in a zone. */
static bool
is_midnight(TimestampTz at, pg_tz *zone)
{
	struct pg_tm tm;
	fsec_t fsec;
	int tz;

	if (timestamp2tm(at, &tz, &tm, &fsec, NULL, zone) != 0)
		return true;
	return tm.tm_hour == 0 && tm.tm_min == 0 && tm.tm_sec == 0 && fsec == 0;
}

/* etl_backfill_cut_is_askew compares midnights. */
bool
etl_backfill_cut_is_askew(TimestampTz from, const Interval *step, const char *timezone)
{
	return step->time == 0 && is_midnight(from, session_timezone) && !is_midnight(from, etl_cron_zone_find(timezone));
}
