/*
 * verdict.c
 *		From numbers to a result. See verdict.h.
 *
 * A value that does not exist but is surely bad (the age of nothing, the change from 0 rows) is infinite: it is beyond
 * every threshold that is given.
 */
#include "postgres.h"

#include <math.h>

#include "lib/stringinfo.h"
#include "pgtime.h"
#include "quality/verdict.h"
#include "utils/timestamp.h"

/* Clocks of different machines differ a little: a value this many seconds ahead is not yet in the future. */
#define CLOCK_TOLERANCE 60

/* etl_verdict_number prints a number. */
char *
etl_verdict_number(double value, int digits)
{
	char *text = psprintf("%.*f", digits, value);
	char *end = text + strlen(text);

	if (strchr(text, '.') == NULL)
		return text;
	while (end[-1] == '0')
		end--;
	if (end[-1] == '.')
		end--;
	*end = '\0';
	return strcmp(text, "-0") == 0 ? pstrdup("0") : text;
}

/* words_for_seconds prints a length of time by its two largest units. */
static char *
words_for_seconds(double seconds)
{
	static const struct
	{
		int64 seconds;
		const char *unit;
	} part[] = {{SECS_PER_DAY, "d"}, {SECS_PER_HOUR, "h"}, {SECS_PER_MINUTE, "min"}, {1, "s"}};
	int64 left = (int64) Min(fabs(seconds), 1e15);

	for (int i = 0; i < lengthof(part) - 1; i++)
	{
		int64 rest = left % part[i].seconds / part[i + 1].seconds;

		if (left < part[i].seconds)
			continue;
		if (rest == 0)
			return psprintf(INT64_FORMAT " %s", left / part[i].seconds, part[i].unit);
		return psprintf(INT64_FORMAT " %s " INT64_FORMAT " %s", left / part[i].seconds, part[i].unit, rest,
						part[i + 1].unit);
	}
	return psprintf(INT64_FORMAT " s", left);
}

/* words_for_columns prints the columns of a check as (a, b). */
static char *
words_for_columns(const EtlNames *columns)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < columns->n; i++)
		appendStringInfo(&text, "%s%s", i > 0 ? ", " : "(", columns->name[i]);
	appendStringInfoChar(&text, ')');
	return text.data;
}

/* etl_verdict_rows prints a number of rows. */
char *
etl_verdict_rows(int64 rows)
{
	return psprintf(INT64_FORMAT " %s", rows, rows == 1 ? "row" : "rows");
}

/* etl_verdict_judge: of row_count less is worse. */
EtlCheckState
etl_verdict_judge(const EtlVerdictInput *input, double value)
{
	double sign = input->probe->type->kind == ETL_CHECK_ROW_COUNT ? -1 : 1;

	if (input->fail.given && sign * value > sign * input->fail.value)
		return ETL_CHECK_FAIL;
	if (input->warn.given && sign * value > sign * input->warn.value)
		return ETL_CHECK_WARN;
	return ETL_CHECK_PASS;
}

/* reach_row_count judges a number of rows. */
static void
reach_row_count(const EtlVerdictInput *input, EtlCheckResult *result, StringInfo message)
{
	int64 rows = input->probe->measure.rows;

	result->unit = "rows";
	result->measured = psprintf(INT64_FORMAT, rows);
	appendStringInfoString(message, etl_verdict_rows(rows));
	result->state = etl_verdict_judge(input, (double) rows);
}

/* reach_freshness judges the age of the newest value. */
static void
reach_freshness(const EtlVerdictInput *input, EtlCheckResult *result, StringInfo message)
{
	const EtlMeasure *measure = &input->probe->measure;
	const char *column = input->probe->task->columns.name[0];

	result->unit = "seconds";
	if (measure->newest == NULL)
	{
		appendStringInfo(message, "no row has a value of %s", column);
		result->state = etl_verdict_judge(input, INFINITY);
		return;
	}
	if (measure->finite)
		result->measured = etl_verdict_number(measure->age, 3);
	appendStringInfo(message, "newest %s is %s", column, measure->newest);
	if (measure->finite)
		appendStringInfo(message, ", %s %s", words_for_seconds(measure->age), measure->age < 0 ? "ahead" : "old");
	result->state = etl_verdict_judge(input, measure->age);
	if (measure->age < -CLOCK_TOLERANCE)
	{
		appendStringInfoString(message, ": it lies in the future");
		result->state = ETL_CHECK_WARN;
	}
}

/* append_fault says in words which rows are at fault. */
static void
append_fault(StringInfo message, const EtlProbe *probe)
{
	const EtlMeasure *measure = &probe->measure;
	char *columns = words_for_columns(&probe->task->columns);
	char *of = psprintf(INT64_FORMAT " of %s", measure->affected, etl_verdict_rows(measure->rows));

	switch (probe->type->kind)
	{
		case ETL_CHECK_DUPLICATES:
			appendStringInfo(message, INT64_FORMAT " surplus %s in " INT64_FORMAT " by %s", measure->affected,
							 measure->affected == 1 ? "row" : "rows", measure->rows, columns);
			break;
		case ETL_CHECK_UNIQUE:
			appendStringInfo(message, "%s with values of %s that others have", of, columns);
			break;
		case ETL_CHECK_NULL_PCT:
			appendStringInfo(message, "%s without %s", of, measure->column);
			break;
		case ETL_CHECK_ACCEPTED_VALUES:
			appendStringInfo(message, "%s with other values of %s", of, columns);
			break;
		case ETL_CHECK_RANGE:
			appendStringInfo(message, "%s with %s out of range", of, columns);
			break;
		case ETL_CHECK_REGEX:
			appendStringInfo(message, "%s with %s not matching", of, columns);
			break;
		case ETL_CHECK_RELATIONSHIP:
			appendStringInfo(message, "%s with %s not in %s", of, columns, probe->task->reference);
			break;
		case ETL_CHECK_QUERY:
			appendStringInfo(message, "%s at fault", etl_verdict_rows(measure->affected));
			break;
		default:
			appendStringInfo(message, "%s not meeting the condition", of);
	}
}

/* reach_share judges a number of rows at fault, as a count or in percent of all rows. */
static void
reach_share(const EtlVerdictInput *input, EtlCheckResult *result, StringInfo message)
{
	const EtlMeasure *measure = &input->probe->measure;
	EtlThresholdKind kind = input->fail.given ? input->fail.kind : input->warn.kind;
	double value = measure->affected;

	result->unit = kind == ETL_THRESHOLD_PERCENT ? "percent" : "rows";
	if (kind == ETL_THRESHOLD_PERCENT && measure->rows == 0)
	{
		appendStringInfoString(message, "no rows to look at");
		result->state = ETL_CHECK_NOT_EVALUATED;
		return;
	}
	if (kind == ETL_THRESHOLD_PERCENT)
		value = 100.0 * value / measure->rows;
	result->measured = etl_verdict_number(value, 10);
	append_fault(message, input->probe);
	if (kind == ETL_THRESHOLD_PERCENT)
		appendStringInfo(message, " (%s%%)", etl_verdict_number(value, 4));
	result->state = etl_verdict_judge(input, value);
}

/* append_thresholds says where the check warns and fails. */
static void
append_thresholds(StringInfo message, const EtlVerdictInput *input)
{
	const char *side = input->probe->type->kind == ETL_CHECK_ROW_COUNT ? "below" : "above";

	if (input->warn.given)
		appendStringInfo(message, "; warns %s %s", side, input->warn.text);
	if (input->fail.given)
		appendStringInfo(message, "%s fails %s %s", input->warn.given ? "," : ";", side, input->fail.text);
}

/* etl_verdict_reach compares and fills in the result. */
void
etl_verdict_reach(const EtlVerdictInput *input, EtlCheckResult *result)
{
	StringInfoData message;

	initStringInfo(&message);
	result->measured = NULL;
	result->baseline = NULL;
	result->warn = input->warn.text;
	result->fail = input->fail.text;
	switch (input->probe->type->kind)
	{
		case ETL_CHECK_ROW_COUNT:
			reach_row_count(input, result, &message);
			break;
		case ETL_CHECK_VARIANCE:
			etl_verdict_variance(input, result, &message);
			break;
		case ETL_CHECK_FRESHNESS:
			reach_freshness(input, result, &message);
			break;
		case ETL_CHECK_SCHEMA:
			etl_verdict_schema(input, result, &message);
			break;
		case ETL_CHECK_RECONCILIATION:
			etl_verdict_reconciliation(input, result, &message);
			break;
		case ETL_CHECK_DISTRIBUTION:
			etl_verdict_distribution(input, result, &message);
			break;
		case ETL_CHECK_ANOMALY:
			etl_verdict_anomaly(input, result, &message);
			break;
		default:
			reach_share(input, result, &message);
	}
	append_thresholds(&message, input);
	result->message = message.data;
}
