/*
 * value_time.c
 *		Dates and times of MySQL. See value.h.
 *
 * MySQL stores dates that do not exist: 0000-00-00, 2024-00-10 and, with ALLOW_INVALID_DATES, 2024-02-31. All of them
 * follow zero_dates. A TIME goes from -838:59:59 to 838:59:59: it is an interval rather than a time of day.
 */
#include "postgres.h"

#include "mysql/value.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#define DATE_LENGTH 10
#define FRACTION_DIGITS 6

/* take_digits reads n digits; -1: there is something else. */
static int
take_digits(const char *text, int n)
{
	int value = 0;

	for (int i = 0; i < n; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return -1;
		value = value * 10 + (text[i] - '0');
	}
	return value;
}

typedef enum DateKind
{
	DATE_OTHER, /* not YYYY-MM-DD */
	DATE_ZERO,	/* does not exist */
	DATE_VALID
} DateKind;

/* take_date reads YYYY-MM-DD at the start of the text. */
static DateKind
take_date(const char *text, unsigned long length, DateADT *date)
{
	int year;
	int month;
	int day;

	if (length < DATE_LENGTH || text[4] != '-' || text[7] != '-')
		return DATE_OTHER;
	year = take_digits(text, 4);
	month = take_digits(text + 5, 2);
	day = take_digits(text + 8, 2);
	if (year < 0 || month < 0 || day < 0)
		return DATE_OTHER;
	if (year == 0 || month == 0 || month > MONTHS_PER_YEAR || day == 0 || day > day_tab[isleap(year)][month - 1])
		return DATE_ZERO;
	*date = date2j(year, month, day) - POSTGRES_EPOCH_JDATE;
	return DATE_VALID;
}

/* take_time reads [-]H+:MM:SS[.f+] to the end of the text; false: it is something else. */
static bool
take_time(const char *text, unsigned long length, int64 *time)
{
	const char *end = text + length;
	bool negative = length > 0 && *text == '-';
	const char *colon = text + (negative ? 1 : 0);
	int hours;
	int minutes;
	int seconds;
	int64 fraction = 0;
	int scale = FRACTION_DIGITS;

	text = colon;
	while (colon < end && *colon != ':')
		colon++;
	if (colon == text || colon - text > 3 || end - colon < 6 || colon[3] != ':')
		return false;
	hours = take_digits(text, colon - text);
	minutes = take_digits(colon + 1, 2);
	seconds = take_digits(colon + 4, 2);
	if (hours < 0 || minutes < 0 || minutes > 59 || seconds < 0 || seconds > 59)
		return false;
	text = colon + 6;
	if (text < end && *text++ != '.')
		return false;
	for (; text < end; text++, scale--)
	{
		if (*text < '0' || *text > '9' || scale == 0)
			return false;
		fraction = fraction * 10 + (*text - '0');
	}
	for (; scale > 0; scale--)
		fraction *= 10;
	*time = ((hours * 60 + minutes) * INT64CONST(60) + seconds) * USECS_PER_SEC + fraction;
	if (negative)
		*time = -*time;
	return true;
}

/* take_zero applies the policy to a date that does not exist; false: it becomes NULL. */
static bool
take_zero(EtlMyColumn *column, const char *text, DateADT *date)
{
	EtlMyValues *values = column->values;

	if (values->zero_policy == ETL_MY_ZERO_ERROR)
		ereport(ERROR, (errcode(ERRCODE_INVALID_DATETIME_FORMAT),
						errmsg("column \"%s\" of source %s has a date that does not exist: %s", column->column->name,
							   values->source->name, text),
						errdetail("MySQL stores such dates, PostgreSQL has none."),
						errhint("Say what becomes of them: zero_dates => 'null', or 'epoch' for 1970-01-01.")));
	values->zero_dates++;
	*date = UNIX_EPOCH_JDATE - POSTGRES_EPOCH_JDATE;
	return values->zero_policy == ETL_MY_ZERO_EPOCH;
}

/* etl_my_to_date converts DATE; other texts go through the input function. */
bool
etl_my_to_date(EtlMyColumn *column, const char *text, unsigned long length, Datum *value)
{
	DateADT date;
	DateKind kind = take_date(text, length, &date);

	if (kind == DATE_OTHER || (kind == DATE_VALID && length > DATE_LENGTH))
		return etl_my_to_any(column, text, length, value);
	if (kind == DATE_ZERO && !take_zero(column, text, &date))
		return false;
	*value = DateADTGetDatum(date);
	return true;
}

/* etl_my_to_timestamp converts DATETIME and TIMESTAMP, which come in UTC: for timestamp and timestamptz alike. */
bool
etl_my_to_timestamp(EtlMyColumn *column, const char *text, unsigned long length, Datum *value)
{
	DateADT date;
	int64 time = 0;
	DateKind kind = take_date(text, length, &date);

	if (kind == DATE_ZERO)
	{
		if (!take_zero(column, text, &date))
			return false;
	}
	else if (kind == DATE_OTHER ||
			 (length > DATE_LENGTH &&
			  (text[DATE_LENGTH] != ' ' || !take_time(text + DATE_LENGTH + 1, length - DATE_LENGTH - 1, &time))))
		return etl_my_to_any(column, text, length, value);
	*value = TimestampGetDatum(date * USECS_PER_DAY + time);
	if (column->typmod >= 0 && column->typmod < FRACTION_DIGITS)
		*value = DirectFunctionCall2(timestamp_scale, *value, Int32GetDatum(column->typmod));
	return true;
}

/* etl_my_to_time converts a TIME that is a time of day. */
bool
etl_my_to_time(EtlMyColumn *column, const char *text, unsigned long length, Datum *value)
{
	int64 time;

	if (!take_time(text, length, &time))
		return etl_my_to_any(column, text, length, value);
	if (time < 0 || time > USECS_PER_DAY)
		ereport(ERROR, (errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
						errmsg("value %s in column \"%s\" of source %s is no time of day", text, column->column->name,
							   column->values->source->name),
						errdetail("A TIME of MySQL goes from -838:59:59 to 838:59:59."),
						errhint("Declare the column of the foreign table as interval.")));
	*value = TimeADTGetDatum(time);
	if (column->typmod >= 0 && column->typmod < FRACTION_DIGITS)
		*value = DirectFunctionCall2(time_scale, *value, Int32GetDatum(column->typmod));
	return true;
}

/* etl_my_to_interval converts any TIME: hours are not turned into days. */
bool
etl_my_to_interval(EtlMyColumn *column, const char *text, unsigned long length, Datum *value)
{
	Interval *interval;
	int64 time;

	if (!take_time(text, length, &time))
		return etl_my_to_any(column, text, length, value);
	interval = palloc0(sizeof(Interval));
	interval->time = time;
	*value = IntervalPGetDatum(interval);
	if (column->typmod >= 0)
		*value = DirectFunctionCall2(interval_scale, *value, Int32GetDatum(column->typmod));
	return true;
}
