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

/* number prints a number with at most digits decimals, without zeros at its end. */
static char *
number(double value, int digits)
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

/* words_for_rows prints a number of rows. */
static char *
words_for_rows(int64 rows)
{
	return psprintf(INT64_FORMAT " %s", rows, rows == 1 ? "row" : "rows");
}

/* judge sets the state of a value that was measured. */
static void
judge(const EtlVerdictInput *input, double value, EtlCheckResult *result)
{
	double sign = strcmp(input->task->check_type, "row_count") == 0 ? -1 : 1;

	if (input->fail.given && sign * value > sign * input->fail.value)
		result->state = ETL_CHECK_FAIL;
	else if (input->warn.given && sign * value > sign * input->warn.value)
		result->state = ETL_CHECK_WARN;
	else
		result->state = ETL_CHECK_PASS;
}

/* reach_row_count judges a number of rows. */
static void
reach_row_count(const EtlVerdictInput *input, EtlCheckResult *result, StringInfo message)
{
	result->unit = "rows";
	result->measured = psprintf(INT64_FORMAT, input->measure.rows);
	appendStringInfoString(message, words_for_rows(input->measure.rows));
	judge(input, (double) input->measure.rows, result);
}

/* reach_variance judges the change of a number of rows since the last evaluation, in percent of the former. */
static void
reach_variance(const EtlVerdictInput *input, EtlCheckResult *result, StringInfo message)
{
	int64 rows = input->measure.rows;
	int64 change = rows - input->baseline;

	result->unit = "rows";
	result->measured = psprintf(INT64_FORMAT, rows);
	appendStringInfoString(message, words_for_rows(rows));
	if (!input->has_baseline)
	{
		appendStringInfoString(message, ", nothing to compare with yet");
		result->state = ETL_CHECK_NOT_EVALUATED;
		return;
	}
	result->baseline = psprintf(INT64_FORMAT, input->baseline);
	if (change == 0)
		appendStringInfoString(message, ", as many as last time");
	else if (input->baseline == 0)
		appendStringInfoString(message, " after 0 last time");
	else
		appendStringInfo(message, ", %s%% %s than the " INT64_FORMAT " last time",
						 number(100.0 * fabs((double) change) / input->baseline, 2), change > 0 ? "more" : "fewer",
						 input->baseline);
	if (input->baseline == 0)
		judge(input, change == 0 ? 0 : INFINITY, result);
	else
		judge(input, 100.0 * fabs((double) change) / input->baseline, result);
}

/* reach_freshness judges the age of the newest value. */
static void
reach_freshness(const EtlVerdictInput *input, EtlCheckResult *result, StringInfo message)
{
	const EtlMeasure *measure = &input->measure;
	const char *column = input->task->columns.name[0];

	result->unit = "seconds";
	if (measure->newest == NULL)
	{
		appendStringInfo(message, "no row has a value of %s", column);
		judge(input, INFINITY, result);
		return;
	}
	if (measure->finite)
		result->measured = number(measure->age, 3);
	appendStringInfo(message, "newest %s is %s", column, measure->newest);
	if (measure->finite)
		appendStringInfo(message, ", %s %s", words_for_seconds(measure->age), measure->age < 0 ? "ahead" : "old");
	judge(input, measure->age, result);
	if (measure->age < -CLOCK_TOLERANCE)
	{
		appendStringInfoString(message, ": it lies in the future");
		result->state = ETL_CHECK_WARN;
	}
}

/* reach_share judges a number of rows at fault, as a count or in percent of all rows. */
static void
reach_share(const EtlVerdictInput *input, EtlCheckResult *result, StringInfo message)
{
	const EtlTask *task = input->task;
	const EtlMeasure *measure = &input->measure;
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
	result->measured = number(value, 10);
	if (strcmp(task->check_type, "duplicates") == 0)
		appendStringInfo(message, INT64_FORMAT " surplus %s in " INT64_FORMAT " by %s", measure->affected,
						 measure->affected == 1 ? "row" : "rows", measure->rows, words_for_columns(&task->columns));
	else if (strcmp(task->check_type, "null_pct") == 0)
		appendStringInfo(message, INT64_FORMAT " of %s without %s", measure->affected, words_for_rows(measure->rows),
						 measure->column);
	else
		appendStringInfo(message, INT64_FORMAT " of %s not meeting the condition", measure->affected,
						 words_for_rows(measure->rows));
	if (kind == ETL_THRESHOLD_PERCENT)
		appendStringInfo(message, " (%s%%)", number(value, 4));
	judge(input, value, result);
}

/* append_thresholds says where the check warns and fails. */
static void
append_thresholds(StringInfo message, const EtlVerdictInput *input)
{
	const char *side = strcmp(input->task->check_type, "row_count") == 0 ? "below" : "above";

	if (input->warn.given)
		appendStringInfo(message, "; warns %s %s", side, input->warn.text);
	if (input->fail.given)
		appendStringInfo(message, "%s fails %s %s", input->warn.given ? "," : ";", side, input->fail.text);
}

/* etl_verdict_reach compares and fills in the result. */
void
etl_verdict_reach(const EtlVerdictInput *input, EtlCheckResult *result)
{
	const char *type = input->task->check_type;
	StringInfoData message;

	initStringInfo(&message);
	result->measured = NULL;
	result->baseline = NULL;
	result->warn = input->warn.text;
	result->fail = input->fail.text;
	if (strcmp(type, "row_count") == 0)
		reach_row_count(input, result, &message);
	else if (strcmp(type, "row_count_variance") == 0)
		reach_variance(input, result, &message);
	else if (strcmp(type, "freshness") == 0)
		reach_freshness(input, result, &message);
	else
		reach_share(input, result, &message);
	append_thresholds(&message, input);
	result->message = message.data;
}
