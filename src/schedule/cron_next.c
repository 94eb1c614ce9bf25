/*
 * cron_next.c
 *		When a schedule is due next. See cron_next.h.
 *
 * Time is cut where the offset of the zone changes. Within such a stretch, local times are real times shifted by a
 * constant, and the calendar is searched for one that matches: months and days that do not are skipped whole.
 */
#include "postgres.h"

#include "port/pg_bitutils.h"
#include "schedule/cron_next.h"
#include "schedule/cron_zone.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#define HOUR_MINUTES 60
#define DAY_HOURS 24
#define DAY_MINUTES (DAY_HOURS * HOUR_MINUTES)
/* How far to look: beyond that a schedule is never due. 29 February comes after 8 years at most. */
#define LOOK_SECONDS ((pg_time_t) 3653 * SECS_PER_DAY)
/* No clock change is larger: where the date line moved, a day was left out or came twice. */
#define LARGEST_CHANGE (26 * SECS_PER_HOUR)
/* 1970-01-01 was a Thursday. */
#define EPOCH_WEEKDAY 4
#define NO_TIME PG_INT64_MAX

/* next_minute returns the first minute of a day, from one on, that the expression names; -1: none. */
static int
next_minute(const EtlCronExpr *expr, int from)
{
	for (int hour = from / HOUR_MINUTES; hour < DAY_HOURS; hour++)
	{
		uint64 minutes = expr->minute;

		if (((expr->hour >> hour) & 1) == 0)
			continue;
		if (hour == from / HOUR_MINUTES)
			minutes &= ~UINT64CONST(0) << (from % HOUR_MINUTES);
		if (minutes != 0)
			return hour * HOUR_MINUTES + pg_rightmost_one_pos64(minutes);
	}
	return -1;
}

/* search_calendar returns the first local minute in [from, until) that the expression names; NO_TIME: none. */
static pg_time_t
search_calendar(const EtlCronExpr *expr, pg_time_t from, pg_time_t until)
{
	int64 minutes = from / SECS_PER_MINUTE + (from % SECS_PER_MINUTE > 0);
	int64 day = minutes / DAY_MINUTES;
	int minute = (int) (minutes % DAY_MINUTES);

	if (minute < 0)
	{
		minute += DAY_MINUTES;
		day--;
	}
	while (day * SECS_PER_DAY < until)
	{
		int year;
		int month;
		int mday;

		j2date((int) day + UNIX_EPOCH_JDATE, &year, &month, &mday);
		if (((expr->month >> month) & 1) == 0)
			day += day_tab[isleap(year)][month - 1] - mday;
		else if (etl_cron_expr_has_day(expr, mday, (int) ((day % 7 + EPOCH_WEEKDAY + 7) % 7)) &&
				 (minute = next_minute(expr, minute)) >= 0)
		{
			pg_time_t at = day * SECS_PER_DAY + minute * SECS_PER_MINUTE;

			return at < until ? at : NO_TIME;
		}
		minute = 0;
		day++;
	}
	return NO_TIME;
}

/* search returns the first moment in [from, until) whose local time, by an offset, the expression names. */
static pg_time_t
search(const EtlCronExpr *expr, pg_time_t from, pg_time_t until, long offset)
{
	pg_time_t local = from < until ? search_calendar(expr, from + offset, until + offset) : NO_TIME;

	return local == NO_TIME ? NO_TIME : local - offset;
}

/*
 * search_span searches the part of [from, until) in which a zone has one offset since begin, where clocks were put forward
 * by change seconds (back: less than 0).
 */
static pg_time_t
search_span(const EtlCronExpr *expr, pg_time_t begin, pg_time_t from, pg_time_t until, long offset, long change)
{
	bool real_time = expr->minute_star || expr->hour_star;
	pg_time_t found;

	from = Max(from, begin);
	if (real_time || change == 0)
		return search(expr, from, until, offset);
	/* Put back: these local times have been before. */
	if (change < 0)
		return search(expr, Max(from, begin - change), until, offset);
	/* Put forward: times that were left out come now, as if it had not been. */
	found = search(expr, from, Min(until, begin + change), offset - change);
	return Min(found, search(expr, from, until, offset));
}

/* etl_cron_next returns the first minute after a moment at which the schedule is due. */
TimestampTz
etl_cron_next(const EtlCronExpr *expr, pg_tz *zone, TimestampTz after)
{
	pg_time_t from;
	pg_time_t limit;
	pg_time_t begin;
	long change = 0;

	if (!IS_VALID_TIMESTAMP(after) || after >= END_TIMESTAMP - 2 * LOOK_SECONDS * USECS_PER_SEC)
		return DT_NOEND;
	from = etl_cron_zone_seconds(after) + 1;
	limit = from + LOOK_SECONDS;
	/* A change before that has no effect any more. */
	begin = from - LARGEST_CHANGE;
	while (begin < limit)
	{
		EtlZoneSpan span = etl_cron_zone_span(zone, begin);
		pg_time_t at = search_span(expr, begin, from, Min(span.until, limit), span.offset, change);

		if (at != NO_TIME)
			return etl_cron_zone_moment(at);
		change = span.next_offset - span.offset;
		begin = span.until;
	}
	return DT_NOEND;
}
