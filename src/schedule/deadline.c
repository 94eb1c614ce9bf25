/*
 * deadline.c
 *		When a run has to be done. See deadline.h.
 */
#include "postgres.h"

#include <ctype.h>

#include "compat.h"
#include "schedule/cron_zone.h"
#include "schedule/deadline.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

/* No run takes longer, and no sum with it overflows. */
#define LARGEST_DAYS 366

typedef struct Deadline
{
	bool is_clock;
	int seconds;   /* a time of day */
	Interval span; /* otherwise */
} Deadline;

/* refuse raises 22023. */
ETL_NORETURN static void
refuse(const char *deadline, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid deadline \"%s\"", deadline),
			 errdetail("%s", why),
			 errhint("Write a time of day, such as '09:00', or how long after the time that it was due a run has "
					 "to be done, such as '4 h' or '90 min'.")));
}

/* read_clock reads HH:MM or HH:MM:SS; false: it does not look like one. */
static bool
read_clock(const char *text, int *seconds)
{
	int part[3] = {0, 0, 0};
	int n = 0;
	const char *at = text;

	for (;;)
	{
		int digits = 0;

		for (; isdigit((unsigned char) *at) && digits < 2; at++, digits++)
			part[n] = part[n] * 10 + (*at - '0');
		if (digits == 0 || (n > 0 && digits != 2))
			return false;
		if (++n == lengthof(part) || *at != ':')
			break;
		at++;
	}
	if (n == 1 || *at != '\0')
		return false;
	if (part[0] > 23 || part[1] > 59 || part[2] > 59)
		refuse(text, "A time of day is between 00:00 and 23:59:59.");
	*seconds = part[0] * SECS_PER_HOUR + part[1] * SECS_PER_MINUTE + part[2];
	return true;
}

/* read_span reads an interval in any form that PostgreSQL takes; false: it is none, or a bare number or clock. */
static bool
read_span(const char *text, Interval *span)
{
	char buffer[MAXDATELEN + 1];
	char *field[MAXDATEFIELDS];
	int field_type[MAXDATEFIELDS];
	int n;
	int type;
	int error;
	struct pg_itm_in parts = {0};

	if (strspn(text, " +-.:0123456789") == strlen(text))
		return false;
	error = ParseDateTime(text, buffer, sizeof(buffer), field, field_type, MAXDATEFIELDS, &n);
	if (error == 0)
		error = DecodeInterval(field, field_type, n, INTERVAL_FULL_RANGE, &type, &parts);
	if (error == DTERR_BAD_FORMAT)
		error = DecodeISO8601Interval(unconstify(char *, text), &type, &parts);
	return error == 0 && type == DTK_DELTA && itmin2interval(&parts, span) == 0;
}

/* read_deadline reads a deadline. Errors: 22023. */
static Deadline
read_deadline(const char *text)
{
	Deadline deadline = {false};
	int64 days;

	if (read_clock(text, &deadline.seconds))
	{
		deadline.is_clock = true;
		return deadline;
	}
	if (!read_span(text, &deadline.span))
		refuse(text, "It is neither a time of day nor a length of time.");
	if (deadline.span.month < 0 || deadline.span.day < 0 || deadline.span.time < 0 ||
		(deadline.span.month == 0 && deadline.span.day == 0 && deadline.span.time == 0))
		refuse(text, "A length of time must be more than 0.");
	days = (int64) deadline.span.month * 31 + deadline.span.day + deadline.span.time / USECS_PER_DAY;
	if (days > LARGEST_DAYS + 6)
		refuse(text, "A length of time must not be more than a year.");
	return deadline;
}

/*
 * next_clock returns the first moment at or after due at which the clocks of the zone show a time of day, or at which
 * they are put forward beyond it. Every stretch longer than a day has one.
 */
static TimestampTz
next_clock(pg_tz *zone, int seconds, TimestampTz due)
{
	pg_time_t from = etl_cron_zone_seconds(due + USECS_PER_SEC - 1);

	for (;;)
	{
		EtlZoneSpan span = etl_cron_zone_span(zone, from);
		int shown = (int) ((from + span.offset) % SECS_PER_DAY);
		pg_time_t at = from + (seconds - shown + 2 * SECS_PER_DAY) % SECS_PER_DAY;

		if (at < span.until + Max(span.next_offset - span.offset, 0) || span.until == ETL_ZONE_FOREVER)
			return etl_cron_zone_moment(Min(at, span.until));
		from = span.until;
	}
}

/* add_span adds an interval: months and days as the clocks of the zone show them, then the time. */
static TimestampTz
add_span(pg_tz *zone, const Interval *span, TimestampTz due)
{
	struct pg_tm tm;
	fsec_t fraction;
	int offset;
	int julian;

	if (span->month != 0 || span->day != 0)
	{
		if (timestamp2tm(due, &offset, &tm, &fraction, NULL, zone) != 0)
			return DT_NOEND;
		tm.tm_mon += span->month - 1;
		tm.tm_year += tm.tm_mon / MONTHS_PER_YEAR;
		tm.tm_mon = tm.tm_mon % MONTHS_PER_YEAR + 1;
		tm.tm_mday = Min(tm.tm_mday, day_tab[isleap(tm.tm_year)][tm.tm_mon - 1]);
		julian = date2j(tm.tm_year, tm.tm_mon, tm.tm_mday) + span->day;
		j2date(julian, &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
		offset = DetermineTimeZoneOffset(&tm, zone);
		if (tm2timestamp(&tm, fraction, &offset, &due) != 0)
			return DT_NOEND;
	}
	return due + span->time;
}

/* etl_deadline_validate checks a deadline. */
void
etl_deadline_validate(const char *deadline)
{
	(void) read_deadline(deadline);
}

/* etl_deadline_at returns the deadline of a run that was due at due; DT_NOEND where there is no such moment. */
TimestampTz
etl_deadline_at(const char *deadline, const char *timezone, TimestampTz due)
{
	Deadline parsed = read_deadline(deadline);
	pg_tz *zone = etl_cron_zone_find(timezone);

	/* A run by hand may stand for any moment. */
	if (!IS_VALID_TIMESTAMP(due) || due >= END_TIMESTAMP - 2 * LARGEST_DAYS * USECS_PER_DAY)
		return DT_NOEND;
	return parsed.is_clock ? next_clock(zone, parsed.seconds, due) : add_span(zone, &parsed.span, due);
}
