/*
 * threshold.c
 *		The threshold of a check: a number with its unit. See threshold.h.
 */
#include "postgres.h"

#include <ctype.h>

#include "pgtime.h"
#include "quality/check_type.h"
#include "quality/threshold.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

/* More rows than this no table has, and doubles no longer tell neighbours apart. */
#define LARGEST_NUMBER 1e15

/* skip_number moves behind digits with an optional fraction; false: there are none. */
static bool
skip_number(const char **at)
{
	const char *p = *at;
	int digits = 0;

	for (; isdigit((unsigned char) *p); p++)
		digits++;
	if (*p == '.')
	{
		for (p++; isdigit((unsigned char) *p); p++)
			digits++;
	}
	*at = p;
	return digits > 0;
}

/* skip_blanks moves behind blanks. */
static const char *
skip_blanks(const char *at)
{
	while (isspace((unsigned char) *at))
		at++;
	return at;
}

/* read_seconds reads an interval in PostgreSQL's own form, as its length in seconds; false: it is none. */
static bool
read_seconds(const char *text, double *seconds)
{
	char buffer[MAXDATELEN + 1];
	char *field[MAXDATEFIELDS];
	int field_type[MAXDATEFIELDS];
	int n;
	int type;
	struct pg_itm_in parts = {0};
	Interval span;

	if (ParseDateTime(text, buffer, sizeof(buffer), field, field_type, MAXDATEFIELDS, &n) != 0)
		return false;
	if (DecodeInterval(field, field_type, n, INTERVAL_FULL_RANGE, &type, &parts) != 0 || type != DTK_DELTA)
		return false;
	if (itmin2interval(&parts, &span) != 0)
		return false;
	*seconds = span.month * (double) DAYS_PER_MONTH * SECS_PER_DAY + span.day * (double) SECS_PER_DAY +
			   span.time / (double) USECS_PER_SEC;
	return true;
}

/* read_value reads text of any kind; false: it is none of them. */
static bool
read_value(const char *text, EtlThreshold *threshold)
{
	const char *start = skip_blanks(text);
	const char *at = start;
	bool number = skip_number(&at);

	if (number)
		threshold->value = strtod(start, NULL);
	at = skip_blanks(at);
	if (number && *at == '\0')
	{
		bool is_whole = threshold->value <= LARGEST_NUMBER && threshold->value == (double) (int64) threshold->value;

		threshold->kind = is_whole ? ETL_THRESHOLD_COUNT : ETL_THRESHOLD_SCORE;
		return threshold->value <= LARGEST_NUMBER;
	}
	if (number && *at == '%')
	{
		threshold->kind = ETL_THRESHOLD_PERCENT;
		return *skip_blanks(at + 1) == '\0' && threshold->value <= LARGEST_NUMBER;
	}
	threshold->kind = ETL_THRESHOLD_SECONDS;
	return read_seconds(start, &threshold->value) && threshold->value >= 0;
}

/* etl_threshold_parse reads a threshold and checks that it fits the check type. */
EtlThreshold
etl_threshold_parse(const char *text, const char *option, const char *check_type)
{
	EtlThreshold threshold = {0};
	const EtlCheckType *type = etl_check_type_get(check_type);
	const char *why = NULL;

	if (text == NULL)
		return threshold;
	threshold.given = true;
	threshold.text = text;
	if (!read_value(text, &threshold))
		why = "It is not a number, a percentage or a length of time, or it is negative.";
	else if ((type->thresholds & threshold.kind) == 0)
		why = "Its unit does not fit this type of check.";
	else if (type->is_share && threshold.kind == ETL_THRESHOLD_PERCENT && threshold.value > 100)
		why = "No more than 100% of the rows can be affected, so the check would always pass.";
	if (why)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid %s threshold \"%s\" for a check of type %s", option, text, check_type),
						errdetail("%s", why), errhint("Write %s.", type->examples)));
	return threshold;
}
