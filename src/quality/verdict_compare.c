/*
 * verdict_compare.c
 *		Results of checks that compare with earlier runs, with the source, or with a list of columns. See verdict.h.
 */
#include "postgres.h"

#include <math.h>

#include "quality/verdict.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"

/* object makes JSON of its text. */
static Jsonb *
object(const char *text)
{
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
}

/* is_short says whether there are too few earlier runs to compare with, and says so. */
static bool
is_short(const EtlProbe *probe, EtlCheckResult *result, StringInfo message)
{
	int least = probe->task->min_history > 0 ? probe->task->min_history : probe->type->min_history;

	if (probe->history.n >= least)
		return false;
	if (probe->history.n == 0)
		appendStringInfoString(message, ", nothing to compare with yet");
	else
		appendStringInfo(message, ", too few earlier runs to compare with: %d of %d", probe->history.n, least);
	result->state = ETL_CHECK_NOT_EVALUATED;
	return true;
}

/* usual_words says what a baseline of earlier runs is. */
static char *
usual_words(const EtlProbe *probe, double median)
{
	if (probe->history.n == 1)
		return psprintf("the %s last time", etl_verdict_number(median, 1));
	return psprintf("the median of %d runs, %s", probe->history.n, etl_verdict_number(median, 1));
}

/* etl_verdict_variance judges the change of a number of rows against the median of earlier runs, in percent of that. */
void
etl_verdict_variance(const EtlVerdictInput *input, EtlCheckResult *result, StringInfo message)
{
	const EtlProbe *probe = input->probe;
	int64 rows = probe->measure.rows;
	double median;
	double change;

	result->unit = "rows";
	result->measured = psprintf(INT64_FORMAT, rows);
	appendStringInfoString(message, etl_verdict_rows(rows));
	if (is_short(probe, result, message))
		return;
	median = etl_history_median(probe->history.value, probe->history.n);
	change = (double) rows - median;
	result->baseline = etl_verdict_number(median, 1);
	result->details = object(psprintf("{\"runs\": %d}", probe->history.n));
	if (change == 0)
		appendStringInfo(message, ", as many as %s", probe->history.n == 1 ? "last time" : usual_words(probe, median));
	else if (median == 0)
		appendStringInfo(message, " after 0 %s",
						 probe->history.n == 1 ? "last time" : psprintf("in the median of %d runs", probe->history.n));
	else
		appendStringInfo(message, ", %s%% %s than %s", etl_verdict_number(100.0 * fabs(change) / median, 2),
						 change > 0 ? "more" : "fewer", usual_words(probe, median));
	if (change != 0 && fabs(change) <= probe->task->min_change)
	{
		appendStringInfo(message, "; a change of up to " INT64_FORMAT " is good", probe->task->min_change);
		result->state = ETL_CHECK_PASS;
	}
	else if (median == 0)
		result->state = etl_verdict_judge(input, change == 0 ? 0 : INFINITY);
	else
		result->state = etl_verdict_judge(input, 100.0 * fabs(change) / median);
}

/* expression_words names what was measured. */
static const char *
expression_words(const EtlTask *task)
{
	return task->expression ? task->expression : "count(*)";
}

/* etl_verdict_anomaly judges how far a value is from the median of earlier runs, in terms of how far they usually are. */
void
etl_verdict_anomaly(const EtlVerdictInput *input, EtlCheckResult *result, StringInfo message)
{
	const EtlProbe *probe = input->probe;
	const EtlHistory *history = &probe->history;
	double reach = input->warn.given ? input->warn.value : input->fail.value;
	double median;
	double deviation;
	double score;

	result->unit = "value";
	if (!probe->measure.has_value)
	{
		appendStringInfo(message, "%s is NULL", expression_words(probe->task));
		result->state = ETL_CHECK_NOT_EVALUATED;
		return;
	}
	result->measured = etl_verdict_number(probe->measure.value, 6);
	appendStringInfo(message, "%s is %s", expression_words(probe->task), result->measured);
	if (is_short(probe, result, message))
		return;
	median = etl_history_median(history->value, history->n);
	deviation = etl_history_deviation(history->value, history->n, median);
	score = etl_history_score(probe->measure.value, median, deviation);
	result->baseline = etl_verdict_number(median, 6);
	result->details = object(psprintf("{\"low\": %s, \"high\": %s, \"score\": %s, \"runs\": %d}",
									  etl_verdict_number(median - reach * deviation, 6),
									  etl_verdict_number(median + reach * deviation, 6),
									  isinf(score) ? "null" : etl_verdict_number(score, 3), history->n));
	appendStringInfo(message, ", %s to %s is usual by %d runs, the score is %s",
					 etl_verdict_number(median - reach * deviation, 2),
					 etl_verdict_number(median + reach * deviation, 2), history->n,
					 isinf(score) ? "infinite" : etl_verdict_number(score, 2));
	result->state = etl_verdict_judge(input, score);
}

/* etl_verdict_distribution judges how far the shares of the parts have moved from those of earlier runs. */
void
etl_verdict_distribution(const EtlVerdictInput *input, EtlCheckResult *result, StringInfo message)
{
	const EtlProbe *probe = input->probe;
	const EtlBuckets *buckets = probe->buckets;
	int least = probe->task->min_history > 0 ? probe->task->min_history : probe->type->min_history;
	double index;

	result->unit = "score";
	if (probe->measure.share == NULL)
	{
		appendStringInfoString(message, "no rows to look at");
		result->state = ETL_CHECK_NOT_EVALUATED;
		return;
	}
	result->details = etl_buckets_details(buckets, probe->measure.share);
	appendStringInfo(message, "%s in %d parts by %s", etl_verdict_rows(probe->measure.rows), buckets->n,
					 probe->task->columns.name[0]);
	if (buckets->usual == NULL || buckets->n_earlier < least)
	{
		appendStringInfoString(message, ", nothing to compare with yet");
		result->state = ETL_CHECK_NOT_EVALUATED;
		return;
	}
	index = etl_history_stability(probe->measure.share, buckets->usual, buckets->n);
	result->measured = etl_verdict_number(index, 6);
	appendStringInfo(message, ", stability index %s against %d earlier %s", etl_verdict_number(index, 4),
					 buckets->n_earlier, buckets->n_earlier == 1 ? "run" : "runs");
	result->state = etl_verdict_judge(input, index);
}

/* etl_verdict_reconciliation judges the difference between target and source. */
void
etl_verdict_reconciliation(const EtlVerdictInput *input, EtlCheckResult *result, StringInfo message)
{
	const EtlMeasure *measure = &input->probe->measure;
	const EtlTask *task = input->probe->task;
	EtlThresholdKind kind = input->fail.given ? input->fail.kind : input->warn.kind;
	double difference = fabs(measure->value - measure->source);

	result->unit = task->expression ? "value" : "rows";
	if (!measure->has_value && !measure->has_source)
	{
		appendStringInfo(message, "%s is NULL on both sides", expression_words(task));
		result->state = ETL_CHECK_NOT_EVALUATED;
		return;
	}
	if (measure->has_value)
		result->measured = etl_verdict_number(measure->value, 6);
	if (measure->has_source)
		result->baseline = etl_verdict_number(measure->source, 6);
	appendStringInfo(message, "%s is %s here and %s in %s", expression_words(task),
					 measure->has_value ? result->measured : "NULL", measure->has_source ? result->baseline : "NULL",
					 task->source);
	if (measure->has_value != measure->has_source)
		difference = INFINITY;
	else if (kind == ETL_THRESHOLD_PERCENT && difference != 0)
		difference = measure->source != 0 ? 100.0 * difference / fabs(measure->source) : INFINITY;
	if (difference != 0 && !isinf(difference))
		appendStringInfo(message, ", a difference of %s%s", etl_verdict_number(difference, 4),
						 kind == ETL_THRESHOLD_PERCENT ? "%" : "");
	result->state = etl_verdict_judge(input, difference);
}

/* schema_details returns the columns that were found and what differs. */
static Jsonb *
schema_details(const EtlMeasure *measure)
{
	StringInfoData text;
	const char *separator = "";
	ListCell *cell;

	initStringInfo(&text);
	appendStringInfo(&text, "{\"columns\": %s, \"differences\": [",
					 JsonbToCString(NULL, &measure->columns->root, VARSIZE(measure->columns)));
	foreach (cell, measure->differences)
	{
		appendStringInfoString(&text, separator);
		escape_json(&text, lfirst(cell));
		separator = ", ";
	}
	appendStringInfoString(&text, "]}");
	return object(text.data);
}

/* etl_verdict_schema judges the number of columns that differ. */
void
etl_verdict_schema(const EtlVerdictInput *input, EtlCheckResult *result, StringInfo message)
{
	const EtlMeasure *measure = &input->probe->measure;
	int n = list_length(measure->differences);
	ListCell *cell;

	result->unit = "columns";
	result->details = schema_details(measure);
	if (!measure->has_former)
	{
		appendStringInfoString(message, "the columns were noted, nothing to compare with yet");
		result->state = ETL_CHECK_NOT_EVALUATED;
		return;
	}
	result->measured = psprintf("%d", n);
	appendStringInfo(message, "%d %s", n, n == 1 ? "column differs" : "columns differ");
	foreach (cell, measure->differences)
		appendStringInfo(message, "%s%s", cell == list_head(measure->differences) ? ": " : ", ", (char *) lfirst(cell));
	result->state = etl_verdict_judge(input, n);
}
