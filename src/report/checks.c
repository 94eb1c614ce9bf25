/*
 * checks.c
 *		The history of each check: what was measured, as a line, with the thresholds and the results.
 *
 * A threshold that cannot be drawn on the scale of what was measured (an unknown unit) is left out of the drawing and stands
 * in words beside it.
 */
#include "postgres.h"

#include <math.h>

#include "report/section.h"
#include "utils/float.h"
#include "utils/timestamp.h"

#define WIDTH 320
#define HEIGHT 64
#define PAD 7

typedef struct Point
{
	double value; /* NaN: nothing was measured */
	EtlMark mark;
} Point;

/* unit_seconds returns the seconds of a unit of time; 0: it is none. */
static double
unit_seconds(const char *unit)
{
	static const struct
	{
		const char *prefix;
		double seconds;
	} known[] = {{"mon", 30 * SECS_PER_DAY}, {"m", SECS_PER_MINUTE}, {"s", 1},
				 {"h", SECS_PER_HOUR},		 {"d", SECS_PER_DAY},	 {"w", 7 * SECS_PER_DAY}};

	for (int i = 0; i < lengthof(known); i++)
		if (strncmp(unit, known[i].prefix, strlen(known[i].prefix)) == 0)
			return known[i].seconds;
	return 0;
}

/* threshold reads a threshold on the scale of unit; NaN: there is none, or it is on another scale. */
static double
threshold(const char *text, const char *unit)
{
	char *end;
	double value;

	if (text == NULL || unit == NULL)
		return get_float8_nan();
	value = strtod(text, &end);
	if (end == text)
		return get_float8_nan();
	while (*end == ' ')
		end++;
	if (strcmp(unit, "seconds") == 0)
		return unit_seconds(end) > 0 ? value * unit_seconds(end) : get_float8_nan();
	if ((*end == '%') != (strcmp(unit, "percent") == 0))
		return get_float8_nan();
	return value;
}

/* y returns the height of a value. */
static double
y(double value, double low, double high)
{
	return HEIGHT - PAD - (HEIGHT - 2 * PAD) * (value - low) / (high - low);
}

/* draw_threshold draws a line across. */
static void
draw_threshold(StringInfo out, const char *class, double value, double low, double high)
{
	if (!isnan(value))
		appendStringInfo(out, "<path class=\"%s\" d=\"M0 %.1fH%d\"/>", class, y(value, low, high), WIDTH);
}

/* draw_line joins what was measured and leaves gaps where nothing was; results other than pass, and the last, get a dot. */
static void
draw_line(StringInfo out, const Point *point, int n, double low, double high)
{
	double step = n > 1 ? (WIDTH - 2.0 * PAD) / (n - 1) : 0;
	bool open = false;

	appendStringInfoString(out, "<path class=\"spark\" d=\"");
	for (int i = 0; i < n; i++)
	{
		if (!isnan(point[i].value))
			appendStringInfo(out, "%c%.1f %.1f", open ? 'L' : 'M', PAD + i * step, y(point[i].value, low, high));
		open = !isnan(point[i].value);
	}
	appendStringInfoString(out, "\"/>");
	for (int i = 0; i < n; i++)
	{
		double at = PAD + i * step;
		double height = isnan(point[i].value) ? HEIGHT - PAD : y(point[i].value, low, high);

		if (point[i].mark == ETL_MARK_SUCCESS && i < n - 1)
			continue;
		/* A shape for each result, so that the colour is not needed. */
		if (point[i].mark == ETL_MARK_FAILED)
			appendStringInfo(out, "<rect class=\"dot f\" x=\"%.1f\" y=\"%.1f\" width=\"8\" height=\"8\"/>", at - 4,
							 height - 4);
		else if (point[i].mark == ETL_MARK_WARNING)
			appendStringInfo(out, "<path class=\"dot w\" d=\"M%.1f %.1fl5 9h-10z\"/>", at, height - 6);
		else
			appendStringInfo(out, "<circle class=\"dot %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\"/>",
							 etl_mark_look[point[i].mark].css, at, height);
	}
}

/* draw_spark draws the whole, on a scale that has room for the thresholds. */
static void
draw_spark(StringInfo out, const Point *point, int n, double warn, double fail)
{
	double low = get_float8_infinity();
	double high = -get_float8_infinity();
	int n_bad = 0;

	for (int i = 0; i < n; i++)
	{
		n_bad += point[i].mark == ETL_MARK_FAILED || point[i].mark == ETL_MARK_WARNING;
		if (isnan(point[i].value))
			continue;
		low = Min(low, point[i].value);
		high = Max(high, point[i].value);
	}
	if (isinf(low))
		low = high = 0;
	low = isnan(warn) ? low : Min(low, warn);
	low = isnan(fail) ? low : Min(low, fail);
	high = isnan(warn) ? high : Max(high, warn);
	high = isnan(fail) ? high : Max(high, fail);
	if (high - low < 1e-9 * Max(fabs(high), 1))
	{
		low -= 1;
		high += 1;
	}
	appendStringInfo(out,
					 "<svg viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" aria-label=\"%d results, %d "
					 "of them warned or failed\">",
					 WIDTH, HEIGHT, WIDTH, HEIGHT, n, n_bad);
	draw_threshold(out, "thw", warn, low, high);
	draw_threshold(out, "thf", fail, low, high);
	draw_line(out, point, n, low, high);
	appendStringInfoString(out, "</svg>");
}

/* words_for_value prints a measured value with its unit. */
static char *
words_for_value(double value, const char *unit)
{
	if (isnan(value))
		return "nothing measured";
	if (unit != NULL && strcmp(unit, "seconds") == 0)
		return etl_html_seconds(value);
	if (unit != NULL && strcmp(unit, "percent") == 0)
		return psprintf("%s %%", etl_html_number(value));
	return psprintf("%s%s%s", etl_html_number(value), unit ? " " : "", unit ? unit : "");
}

/* draw_check draws a check by its n results, of which row is the last one. */
static void
draw_check(StringInfo out, const EtlRow *row, const Point *point, int n)
{
	char *type = etl_row_text(row, "check_type");
	char *unit = etl_row_text(row, "unit");
	char *warn = etl_row_text(row, "warn");
	char *fail = etl_row_text(row, "fail");
	/* Changes are drawn in percent, as their thresholds are. */
	const char *scale = strcmp(type, "row_count_variance") == 0 ? "percent" : unit;

	appendStringInfoString(out, "<article class=\"check\"><header><h3>");
	etl_html_text(out, etl_row_text(row, "check_name"));
	appendStringInfoString(out, "</h3>");
	etl_section_state(out, point[n - 1].mark, etl_row_text(row, "state"));
	appendStringInfoString(out, "</header><p class=\"dim small\">");
	etl_html_text(out, type);
	appendStringInfoString(out, " of ");
	etl_html_text(out, etl_row_text(row, "target"));
	appendStringInfo(out, ", %s</p>", etl_row_text(row, "checked_at"));
	draw_spark(out, point, n, threshold(warn, scale), threshold(fail, scale));
	appendStringInfo(out, "<p class=\"small\"><strong>");
	etl_html_text(out, words_for_value(point[n - 1].value, scale));
	appendStringInfoString(out, "</strong>");
	appendStringInfoString(out, "<br>");
	etl_html_clip(out, etl_row_text(row, "message"), 300);
	appendStringInfoString(out, "</p></article>\n");
}

/* read_point takes a row; a number that is not finite is none. */
static Point
read_point(const EtlRow *row)
{
	Point point = {get_float8_nan(), etl_mark_check(etl_row_text(row, "state"))};

	if (!etl_row_isnull(row, "value"))
		point.value = etl_row_double(row, "value");
	if (isinf(point.value))
		point.value = get_float8_nan();
	return point;
}

/* etl_checks_draw draws the checks of the definition that have a result, those with the worst latest one first. */
void
etl_checks_draw(StringInfo out, const EtlModel *model, int runs)
{
	uint64 n = etl_model_query(
		"SELECT c.task_id, c.check_name, c.check_type, c.target, c.state, c.unit, c.warn, c.fail, c.message, "
		"  to_char(c.checked_at AT TIME ZONE p.timezone, 'YYYY-MM-DD HH24:MI') AS checked_at, "
		"  CASE WHEN c.check_type = 'row_count_variance' "
		"    THEN 100 * abs(c.measured - c.baseline)::float8 / nullif(c.baseline, 0)::float8 ELSE c.measured::float8 "
		"END AS value "
		"FROM etl.pipeline AS p JOIN etl.task AS t ON t.pipeline_id = p.pipeline_id AND t.kind = 'check' "
		"CROSS JOIN LATERAL (SELECT r.* FROM etl.check_result AS r WHERE r.task_id = t.task_id "
		"  ORDER BY r.check_result_id DESC LIMIT $2) AS c "
		"WHERE p.pipeline_id = $1 "
		"ORDER BY array_position(ARRAY['error', 'fail', 'warn'], first_value(c.state) OVER "
		"  (PARTITION BY t.task_id ORDER BY c.check_result_id DESC)), t.task_id, c.check_result_id",
		model->pipeline_id, runs);
	Point *point = palloc(sizeof(Point) * Max(n, 1));
	uint64 first = 0;

	if (n == 0)
	{
		appendStringInfoString(out, "<p>No check has a result yet. etl.add_check adds one.</p>\n");
		return;
	}
	appendStringInfoString(out, "<div class=\"checks\">\n");
	for (uint64 i = 0; i < n; i++)
	{
		EtlRow row = etl_model_row(i);
		EtlRow next = etl_model_row(Min(i + 1, n - 1));

		point[i] = read_point(&row);
		if (i + 1 < n && etl_row_int64(&next, "task_id") == etl_row_int64(&row, "task_id"))
			continue;
		draw_check(out, &row, point + first, i + 1 - first);
		first = i + 1;
	}
	appendStringInfoString(
		out, "</div>\n<p class=\"dim small\">The latest result is on the right. A dashed line is where a check warns, "
			 "a solid one where it fails; triangles warned, squares failed.</p>\n");
}
