/*
 * cron_expr.c
 *		A cron expression as sets of allowed values. See cron_expr.h.
 */
#include "postgres.h"

#include <ctype.h>

#include "compat.h"
#include "lib/stringinfo.h"
#include "schedule/cron_expr.h"

#define N_FIELDS 5

/* What a field may hold. */
typedef struct CronField
{
	const char *name;
	int low;
	int high;
	const char *const *names; /* names of the values from low on, or NULL */
	int n_names;
} CronField;

static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun",
										  "jul", "aug", "sep", "oct", "nov", "dec"};
static const char *const weekday_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

static const CronField cron_field[N_FIELDS] = {
	{"minute", 0, 59, NULL, 0},			 {"hour", 0, 23, NULL, 0},
	{"day of month", 1, 31, NULL, 0},	 {"month", 1, 12, month_names, 12},
	{"weekday", 0, 7, weekday_names, 7},
};

/* A field while it is read. */
typedef struct FieldReader
{
	const CronField *field;
	const char *text; /* the whole field */
	const char *at;	  /* what is left of it */
} FieldReader;

static const struct
{
	const char *name;
	const char *fields;
} cron_macro[] = {
	{"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"}, {"@weekly", "0 0 * * 0"},
	{"@daily", "0 0 * * *"},  {"@midnight", "0 0 * * *"}, {"@hourly", "0 * * * *"},
};

/* refuse_field raises 22023 for the field that is being read. */
ETL_NORETURN static void
refuse_field(const FieldReader *reader, const char *why)
{
	const CronField *field = reader->field;

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid %s field \"%s\" in the schedule", field->name, reader->text),
			 errdetail("%s The field takes values from %d to %d.", why, field->low, field->high),
			 errhint("Write values, lists (1,15), ranges (1-5), steps (*/10, 8-18/2) or *; for example '0 5 * * *' is "
					 "05:00 every day and '*/15 8-18 * * mon-fri' every quarter of an hour on working days.")));
}

/* read_name reads the name of a month or weekday; -1: there is none. */
static int
read_name(FieldReader *reader)
{
	const CronField *field = reader->field;

	for (int i = 0; i < field->n_names; i++)
	{
		if (pg_strncasecmp(reader->at, field->names[i], 3) == 0 && !isalnum((unsigned char) reader->at[3]))
		{
			reader->at += 3;
			return field->low + i;
		}
	}
	return -1;
}

/* read_number reads digits; at most four of them, so that nothing overflows. */
static int
read_number(FieldReader *reader)
{
	int value = 0;
	int digits = 0;

	while (isdigit((unsigned char) *reader->at) && digits < 4)
	{
		value = value * 10 + (*reader->at++ - '0');
		digits++;
	}
	if (digits == 0 || isdigit((unsigned char) *reader->at))
		refuse_field(reader, "A number or name is missing or is not one of this field.");
	return value;
}

/* read_value reads a number or name within the limits of the field. */
static int
read_value(FieldReader *reader)
{
	int value = read_name(reader);

	if (value < 0)
		value = read_number(reader);
	if (value < reader->field->low || value > reader->field->high)
		refuse_field(reader, "A value is out of range.");
	return value;
}

/* read_element reads one element of a list: a value, a range or '*', the last two with an optional step. */
static uint64
read_element(FieldReader *reader)
{
	int low = reader->field->low;
	int high = reader->field->high;
	int step = 1;
	bool single = false;
	uint64 set = 0;

	if (*reader->at == '*')
		reader->at++;
	else
	{
		low = high = read_value(reader);
		single = *reader->at != '-';
		if (!single)
		{
			reader->at++;
			high = read_value(reader);
			if (high < low)
				refuse_field(reader, "A range must begin with its lower end.");
		}
	}
	if (*reader->at == '/')
	{
		if (single)
			refuse_field(reader, "A step needs a range or * before it.");
		reader->at++;
		step = read_number(reader);
		if (step == 0)
			refuse_field(reader, "A step must be at least 1.");
	}
	for (int i = low; i <= high; i += step)
		set |= UINT64CONST(1) << i;
	return set;
}

/* read_field reads a whole field into a set. */
static uint64
read_field(const CronField *field, const char *text)
{
	FieldReader reader = {field, text, text};
	uint64 set = read_element(&reader);

	while (*reader.at == ',')
	{
		reader.at++;
		set |= read_element(&reader);
	}
	if (*reader.at != '\0')
		refuse_field(&reader, psprintf("\"%s\" was not expected.", reader.at));
	return set;
}

/* split_fields cuts a schedule at blanks and returns how many fields it has; only the first five are kept. */
static int
split_fields(const char *schedule, char **field)
{
	char *copy = pstrdup(schedule);
	char *save = NULL;
	int n = 0;

	for (char *token = strtok_r(copy, " \t\r\n", &save); token; token = strtok_r(NULL, " \t\r\n", &save))
	{
		if (n < N_FIELDS)
			field[n] = token;
		n++;
	}
	return n;
}

/* refuse_shape raises 22023 for a schedule that is not five fields, with a hint for the usual reasons. */
ETL_NORETURN static void
refuse_shape(const char *schedule, int n, const char *last)
{
	const char *hint =
		"Write minute, hour, day of month, month and weekday, for example '0 5 * * *' for 05:00 every day.";

	if (n > 0 && n <= 2 && pg_strncasecmp(last, "sec", 3) == 0)
		hint = "A pipeline starts at most once a minute: write '* * * * *' for every minute.";
	else if (pg_strncasecmp(schedule, "@reboot", 7) == 0)
		hint = "A pipeline cannot be tied to a restart of the server: call etl.run_pipeline by hand, or write a time.";
	else if (schedule[0] == '@')
		hint = "Macros are @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually.";
	else if (n == 6)
		hint = "There is no field for seconds or years: write minute, hour, day of month, month and weekday.";
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid schedule \"%s\"", schedule),
					errdetail_plural("A schedule is a cron expression of 5 fields; this has %d field.",
									 "A schedule is a cron expression of 5 fields; this has %d fields.", n, n),
					errhint("%s", hint)));
}

/* check_days refuses an expression whose days are in none of its months, such as the 30th of February. */
static void
check_days(const EtlCronExpr *expr)
{
	static const int last_day[] = {0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	/* Weekdays either make the day irrelevant, or make no month impossible that was possible before. */
	if (!expr->day_star && !expr->weekday_star)
		return;
	for (int month = 1; month <= 12; month++)
	{
		uint64 days = (UINT64CONST(1) << (last_day[month] + 1)) - 1;

		if ((expr->month & (UINT64CONST(1) << month)) != 0 && (expr->day & days) != 0)
			return;
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("schedule \"%s\" never comes", expr->fields),
					errdetail("None of its months has one of its days."),
					errhint("Change the day of month (third field) or the month (fourth field).")));
}

/* etl_cron_expr_parse reads an expression into a new EtlCronExpr. */
EtlCronExpr *
etl_cron_expr_parse(const char *schedule)
{
	EtlCronExpr *expr = palloc0(sizeof(EtlCronExpr));
	char *field[N_FIELDS];
	int n = split_fields(schedule, field);

	if (n == 1)
	{
		for (int i = 0; i < lengthof(cron_macro); i++)
		{
			if (pg_strcasecmp(field[0], cron_macro[i].name) == 0)
			{
				n = split_fields(cron_macro[i].fields, field);
				break;
			}
		}
	}
	if (n != N_FIELDS)
		refuse_shape(schedule, n, n > 0 ? field[Min(n, N_FIELDS) - 1] : "");

	expr->minute = read_field(&cron_field[0], field[0]);
	expr->hour = read_field(&cron_field[1], field[1]);
	expr->day = read_field(&cron_field[2], field[2]);
	expr->month = read_field(&cron_field[3], field[3]);
	expr->weekday = read_field(&cron_field[4], field[4]);
	if ((expr->weekday & (UINT64CONST(1) << 7)) != 0)
		expr->weekday |= 1;
	expr->weekday &= ETL_CRON_ALL_WEEKDAYS;
	expr->minute_star = field[0][0] == '*';
	expr->hour_star = field[1][0] == '*';
	expr->day_star = field[2][0] == '*';
	expr->weekday_star = field[4][0] == '*';
	expr->fields = psprintf("%s %s %s %s %s", field[0], field[1], field[2], field[3], field[4]);
	check_days(expr);
	return expr;
}

/* etl_cron_expr_has_day says whether the expression names a day. */
bool
etl_cron_expr_has_day(const EtlCronExpr *expr, int day, int weekday)
{
	bool in_month = (expr->day >> day) & 1;
	bool in_week = (expr->weekday >> weekday) & 1;

	return expr->day_star || expr->weekday_star ? in_month && in_week : in_month || in_week;
}
