/*
 * fast.c
 *		Plain forms of numbers and times. See fast.h.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "format/fast.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

/* So many digits fit into an int64, whatever they are. */
#define MOST_DIGITS 18

/* Widest offset that is read here, in hours. */
#define MOST_OFFSET 14

/* etl_fast_has knows the types. */
bool
etl_fast_has(Oid type)
{
	switch (type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return true;
		default:
			return false;
	}
}

/* read_integer reads all of a text. */
static bool
read_integer(const char *text, int64 least, int64 most, int64 *value)
{
	bool is_negative = *text == '-';
	const char *digit = text + (is_negative || *text == '+');
	const char *start = digit;
	int64 number = 0;

	for (; *digit >= '0' && *digit <= '9'; digit++)
	{
		if (digit - start == MOST_DIGITS)
			return false;
		number = number * 10 + (*digit - '0');
	}
	if (*digit != '\0' || digit == start)
		return false;
	*value = is_negative ? -number : number;
	return *value >= least && *value <= most;
}

/* read_digits reads n digits and moves behind them. */
static bool
read_digits(const char **text, int n, int *value)
{
	*value = 0;
	for (int i = 0; i < n; i++, (*text)++)
	{
		if (**text < '0' || **text > '9')
			return false;
		*value = *value * 10 + (**text - '0');
	}
	return true;
}

/* skip moves behind a character. */
static bool
skip(const char **text, char c)
{
	if (**text != c)
		return false;
	(*text)++;
	return true;
}

/* read_date reads YYYY-MM-DD. */
static bool
read_date(const char **text, struct pg_tm *tm)
{
	if (!read_digits(text, 4, &tm->tm_year) || !skip(text, '-') || !read_digits(text, 2, &tm->tm_mon) ||
		!skip(text, '-') || !read_digits(text, 2, &tm->tm_mday))
		return false;
	return tm->tm_year > 0 && tm->tm_mon >= 1 && tm->tm_mon <= MONTHS_PER_YEAR && tm->tm_mday >= 1 &&
		   tm->tm_mday <= day_tab[isleap(tm->tm_year)][tm->tm_mon - 1];
}

/* read_time reads HH:MM:SS with up to six digits behind it. */
static bool
read_time(const char **text, struct pg_tm *tm, fsec_t *fraction)
{
	int unit = USECS_PER_SEC;

	*fraction = 0;
	if (!read_digits(text, 2, &tm->tm_hour) || !skip(text, ':') || !read_digits(text, 2, &tm->tm_min) ||
		!skip(text, ':') || !read_digits(text, 2, &tm->tm_sec))
		return false;
	if (skip(text, '.'))
		for (; **text >= '0' && **text <= '9'; (*text)++)
		{
			if (unit == 1)
				return false;
			unit /= 10;
			*fraction += (**text - '0') * unit;
		}
	return tm->tm_hour < HOURS_PER_DAY && tm->tm_min < MINS_PER_HOUR && tm->tm_sec < SECS_PER_MINUTE;
}

/* read_offset reads Z, +HH or +HH:MM; offset: seconds to the west, as PostgreSQL has them. */
static bool
read_offset(const char **text, int *offset)
{
	bool is_east = **text == '+';
	int hours;
	int minutes = 0;

	*offset = 0;
	if (skip(text, 'Z'))
		return true;
	if (!skip(text, '+') && !skip(text, '-'))
		return false;
	if (!read_digits(text, 2, &hours) || hours > MOST_OFFSET ||
		(skip(text, ':') && (!read_digits(text, 2, &minutes) || minutes >= MINS_PER_HOUR)))
		return false;
	*offset = (hours * MINS_PER_HOUR + minutes) * SECS_PER_MINUTE * (is_east ? -1 : 1);
	return true;
}

/* read_timestamp reads date and time, and an offset if there has to be one. */
static bool
read_timestamp(const char *text, bool has_offset, Datum *value)
{
	struct pg_tm tm = {0};
	fsec_t fraction;
	int offset;
	Timestamp timestamp;

	if (!read_date(&text, &tm) || !(skip(&text, ' ') || skip(&text, 'T')) || !read_time(&text, &tm, &fraction) ||
		(has_offset && !read_offset(&text, &offset)) || *text != '\0' ||
		tm2timestamp(&tm, fraction, has_offset ? &offset : NULL, &timestamp) != 0)
		return false;
	*value = TimestampGetDatum(timestamp);
	return true;
}

/* read_plain_date reads a date and nothing more. */
static bool
read_plain_date(const char *text, Datum *value)
{
	struct pg_tm tm = {0};

	if (!read_date(&text, &tm) || *text != '\0')
		return false;
	*value = DateADTGetDatum(date2j(tm.tm_year, tm.tm_mon, tm.tm_mday) - POSTGRES_EPOCH_JDATE);
	return true;
}

/* etl_fast_value reads by type. */
bool
etl_fast_value(Oid type, const char *text, Datum *value)
{
	int64 number;

	switch (type)
	{
		case INT2OID:
			if (!read_integer(text, PG_INT16_MIN, PG_INT16_MAX, &number))
				return false;
			*value = Int16GetDatum((int16) number);
			return true;
		case INT4OID:
			if (!read_integer(text, PG_INT32_MIN, PG_INT32_MAX, &number))
				return false;
			*value = Int32GetDatum((int32) number);
			return true;
		case INT8OID:
			if (!read_integer(text, PG_INT64_MIN, PG_INT64_MAX, &number))
				return false;
			*value = Int64GetDatum(number);
			return true;
		case DATEOID:
			return read_plain_date(text, value);
		case TIMESTAMPOID:
			return read_timestamp(text, false, value);
		case TIMESTAMPTZOID:
			return read_timestamp(text, true, value);
		default:
			return false;
	}
}
