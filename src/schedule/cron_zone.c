/*
 * cron_zone.c
 *		A schedule in one time zone, carried out by a scheduler that works in another. See cron_zone.h.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "port/pg_bitutils.h"
#include "schedule/cron_zone.h"
#include "utils/timestamp.h"

#define DAY_MINUTES (24 * 60)
/* Differences between two zones are looked at every half hour: none has ever been shorter. */
#define LOOK_STEP (30 * 60)
#define LOOK_SECONDS (2 * 366 * SECS_PER_DAY)
#define MAX_SHIFTS 16

/* What the job of a plan would fire on. */
typedef struct FireSet
{
	uint64 minute;
	uint64 hour;
} FireSet;

/* is_posix says whether a name is a POSIX rule (UTC+2 is two hours *west*), a trap rather than a zone. */
static bool
is_posix(const char *timezone)
{
	if (pg_strncasecmp(timezone, "Etc/", 4) == 0)
		return false;
	for (const char *p = timezone; *p; p++)
	{
		if (*p == '<' || *p == ',' || *p == ':')
			return true;
		if ((*p == '+' || *p == '-') && p[1] >= '0' && p[1] <= '9')
			return true;
	}
	return false;
}

/* etl_cron_zone_find returns a zone by its name. */
pg_tz *
etl_cron_zone_find(const char *timezone)
{
	pg_tz *zone = timezone[0] == '\0' || is_posix(timezone) ? NULL : pg_tzset(timezone);

	if (zone == NULL || !pg_tz_acceptable(zone))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown time zone \"%s\"", timezone),
						errdetail("A schedule needs a time zone by its name, such as UTC or Europe/Madrid."),
						errhint("SELECT name FROM pg_timezone_names lists them.")));
	return zone;
}

/* etl_cron_zone_span finds the stretch of one offset that a moment lies in. */
EtlZoneSpan
etl_cron_zone_span(pg_tz *zone, pg_time_t at)
{
	EtlZoneSpan span = {0, ETL_ZONE_FOREVER, 0};
	int before_dst;
	int after_dst;
	int found = pg_next_dst_boundary(&at, &span.offset, &before_dst, &span.until, &span.next_offset, &after_dst, zone);

	if (found < 0)
		elog(ERROR, "no offset of the time zone at " INT64_FORMAT, (int64) at);
	if (found == 0)
	{
		span.until = ETL_ZONE_FOREVER;
		span.next_offset = span.offset;
	}
	return span;
}

/* etl_cron_zone_seconds returns a moment in seconds since 1970, rounded down. */
pg_time_t
etl_cron_zone_seconds(TimestampTz at)
{
	int64 seconds = at / USECS_PER_SEC;

	if (at % USECS_PER_SEC < 0)
		seconds--;
	return seconds + (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY;
}

/* etl_cron_zone_moment is its inverse. */
TimestampTz
etl_cron_zone_moment(pg_time_t seconds)
{
	return (seconds - (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY) * USECS_PER_SEC;
}

/* offset_at returns the offset of a zone from UTC in seconds. */
static long
offset_at(pg_time_t at, pg_tz *zone)
{
	return pg_localtime(&at, zone)->tm_gmtoff;
}

/* find_shifts collects by how many minutes zone is ahead of cron_zone, over this and the next year. */
static int
find_shifts(pg_tz *zone, pg_tz *cron_zone, pg_time_t now, int *shift)
{
	int n = 0;

	for (pg_time_t at = now - SECS_PER_DAY; at < now + LOOK_SECONDS; at += LOOK_STEP)
	{
		int minutes = (int) ((offset_at(at, zone) - offset_at(at, cron_zone)) / SECS_PER_MINUTE);
		int i = 0;

		while (i < n && shift[i] != minutes)
			i++;
		if (i == n && n < MAX_SHIFTS)
			shift[n++] = minutes;
	}
	return n;
}

/* add_shifted adds the times of an expression to the set, as they are when the zone is ahead by shift minutes. */
static void
add_shifted(FireSet *set, const EtlCronExpr *expr, int shift)
{
	for (int local = 0; local < DAY_MINUTES; local++)
	{
		int there = (local - shift % DAY_MINUTES + DAY_MINUTES) % DAY_MINUTES;

		if (((expr->hour >> (local / 60)) & 1) == 0 || ((expr->minute >> (local % 60)) & 1) == 0)
			continue;
		set->hour |= UINT64CONST(1) << (there / 60);
		set->minute |= UINT64CONST(1) << (there % 60);
	}
}

/* append_set prints a set of the values 0 to n - 1 as a cron field. */
static void
append_set(StringInfo text, uint64 set, int n)
{
	const char *separator = "";

	if (pg_popcount64(set) == n)
	{
		appendStringInfoChar(text, '*');
		return;
	}
	for (int i = 0; i < n; i++)
	{
		if ((set >> i) & 1)
		{
			appendStringInfo(text, "%s%d", separator, i);
			separator = ",";
		}
	}
}

/*
 * etl_cron_zone_plan translates an expression into the scheduler's zone. Where the zones differ, the day of the month or
 * week may be another one there, so that all days are named.
 */
const char *
etl_cron_zone_plan(const EtlCronExpr *expr, pg_tz *zone, pg_tz *cron_zone, TimestampTz now)
{
	FireSet set = {0};
	StringInfoData text;
	int shift[MAX_SHIFTS];
	int n = find_shifts(zone, cron_zone, etl_cron_zone_seconds(now), shift);

	if (n == 1 && shift[0] == 0)
		return expr->fields;
	for (int i = 0; i < n; i++)
		add_shifted(&set, expr, shift[i]);
	initStringInfo(&text);
	append_set(&text, set.minute, 60);
	appendStringInfoChar(&text, ' ');
	append_set(&text, set.hour, 24);
	appendStringInfoString(&text, " * * *");
	return text.data;
}
