/*
 * spending.c
 *		What the pipeline has used and what that cost: by day, stacked by task, and the tasks that used most.
 */
#include "postgres.h"

#include <math.h>

#include "report/section.h"

#define DAYS 30
#define TOP_TASKS 5
#define WIDTH 1120
#define HEIGHT 190
#define SCALE 68
#define BOTTOM 24
#define TOP 12

/* A task over all days. Colours are c1 to c5 for the first ones, c6 for the rest together. */
typedef struct Spender
{
	char *task;
	int64 attempts;
	int64 rows_read;
	int64 rows_written;
	int64 bytes_read;
	int64 wal_bytes;
	double wall;
	double cpu;
	double cost;
	double total; /* what is drawn: cost, or where there are no prices, time of workers */
} Spender;

typedef struct Spending
{
	char *currency; /* NULL: there are no prices */
	int n;
	Spender *spender;				/* the one with the largest total first */
	double (*stack)[TOP_TASKS + 1]; /* per day */
	char **day;
	double highest;
} Spending;

/* compare_spenders puts the largest first. */
static int
compare_spenders(const void *a, const void *b)
{
	double left = ((const Spender *) a)->total;
	double right = ((const Spender *) b)->total;

	return left > right ? -1 : left < right;
}

/* The days before today, and today, of the view, which gives days in UTC. */
#define DAYS_OF_COST                                                                                                   \
	"FROM etl.cost AS c WHERE c.pipeline_id = $1 AND c.day > (now() AT TIME ZONE 'UTC')::date - $2::integer "

/* read_spenders reads the sums by task. */
static void
read_spenders(Spending *spending, const EtlModel *model)
{
	spending->n = etl_model_query(
		"SELECT c.task, sum(c.attempts)::bigint AS attempts, sum(c.rows_read)::bigint AS rows_read, "
		"  sum(c.rows_written)::bigint AS rows_written, sum(c.bytes_read)::bigint AS bytes_read, "
		"  sum(c.wal_bytes)::bigint AS wal_bytes, sum(c.wall_s)::float8 AS wall, "
		"  sum(c.cpu_s)::float8 AS cpu, coalesce(sum(c.cost), 0)::float8 AS cost, "
		"  max(max(c.currency)) OVER () AS currency " DAYS_OF_COST "GROUP BY c.task ORDER BY c.task",
		model->pipeline_id, DAYS);
	spending->spender = palloc0(sizeof(Spender) * Max(spending->n, 1));
	for (int i = 0; i < spending->n; i++)
	{
		EtlRow row = etl_model_row(i);
		Spender *spender = &spending->spender[i];

		spending->currency = etl_row_text(&row, "currency");
		spender->task = etl_row_text(&row, "task");
		spender->attempts = etl_row_int64(&row, "attempts");
		spender->rows_read = etl_row_int64(&row, "rows_read");
		spender->rows_written = etl_row_int64(&row, "rows_written");
		spender->bytes_read = etl_row_int64(&row, "bytes_read");
		spender->wal_bytes = etl_row_int64(&row, "wal_bytes");
		spender->wall = etl_row_double(&row, "wall");
		spender->cpu = etl_row_double(&row, "cpu");
		spender->cost = etl_row_double(&row, "cost");
		spender->total = spending->currency ? spender->cost : spender->wall;
	}
	qsort(spending->spender, spending->n, sizeof(Spender), compare_spenders);
}

/* read_days reads the stacks of each day. */
static void
read_days(Spending *spending, const EtlModel *model)
{
	uint64 n;

	spending->stack = palloc0(sizeof(*spending->stack) * DAYS);
	spending->day = palloc0(sizeof(char *) * DAYS);
	n = etl_model_query("SELECT (c.day - (now() AT TIME ZONE 'UTC')::date + $2 - 1)::integer AS n, c.task, "
						"  coalesce(sum(c.cost), 0)::float8 AS cost, sum(c.wall_s)::float8 AS wall " DAYS_OF_COST
						"GROUP BY c.day, c.task",
						model->pipeline_id, DAYS);
	for (uint64 i = 0; i < n; i++)
	{
		EtlRow row = etl_model_row(i);
		int day = etl_row_int32(&row, "n");
		char *task = etl_row_text(&row, "task");
		int layer = 0;

		if (day < 0 || day >= DAYS)
			continue;
		while (layer < TOP_TASKS && (layer >= spending->n || strcmp(spending->spender[layer].task, task) != 0))
			layer++;
		spending->stack[day][layer] += etl_row_double(&row, spending->currency ? "cost" : "wall");
	}
	n = etl_model_query("SELECT to_char((now() AT TIME ZONE 'UTC')::date - d.n::integer, 'YYYY-MM-DD') AS day "
						"FROM generate_series($2 - 1, 0, -1) AS d (n) WHERE $1 = $1",
						model->pipeline_id, DAYS);
	for (uint64 i = 0; i < n && i < DAYS; i++)
	{
		EtlRow row = etl_model_row(i);
		double sum = 0;

		spending->day[i] = etl_row_text(&row, "day");
		for (int layer = 0; layer <= TOP_TASKS; layer++)
			sum += spending->stack[i][layer];
		spending->highest = Max(spending->highest, sum);
	}
}

/* words_for prints an amount of what is drawn. */
static char *
words_for(const Spending *spending, double amount)
{
	if (spending->currency == NULL)
		return etl_html_seconds(amount);
	return psprintf("%s %s",
					amount >= 100 ? etl_html_count((int64) rint(amount))
								  : psprintf("%.*f", amount < 0.1 && amount > 0 ? 4 : 2, amount),
					spending->currency);
}

/* draw_scale draws lines at none, a half and all of the highest day. Its words are on the right, where a phone scrolls to. */
static void
draw_scale(StringInfo out, const Spending *spending)
{
	for (int i = 0; i <= 2; i++)
	{
		double y = HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * i / 2.0;

		appendStringInfo(
			out, "<path class=\"tick\" d=\"M0 %.1fH%d\"/><text class=\"dim\" x=\"%d\" y=\"%.1f\">%s</text>", y,
			WIDTH - SCALE, WIDTH - SCALE + 5, y + 4, i == 0 ? "0" : words_for(spending, spending->highest * i / 2));
	}
}

/* draw_day draws the stack of a day. */
static void
draw_day(StringInfo out, const Spending *spending, int day)
{
	double width = (WIDTH - SCALE) / (double) DAYS;
	double x = day * width;
	double y = HEIGHT - BOTTOM;
	double sum = 0;

	appendStringInfoString(out, "<g>");
	for (int layer = 0; layer <= TOP_TASKS; layer++)
	{
		double height = (HEIGHT - BOTTOM - TOP) * spending->stack[day][layer] / spending->highest;

		sum += spending->stack[day][layer];
		if (height < 0.05)
			continue;
		y -= height;
		appendStringInfo(out, "<rect class=\"bar c%d\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>",
						 layer + 1, x + 3, y, width - 6, height);
	}
	appendStringInfo(out, "<title>%s: %s</title></g>", spending->day[day], words_for(spending, sum));
	if ((DAYS - 1 - day) % 7 == 0)
		appendStringInfo(out, "<text class=\"dim\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>", x + width / 2,
						 HEIGHT - 6, spending->day[day] + 5);
	appendStringInfoChar(out, '\n');
}

/* draw_chart draws all days, and says which colour is which task. */
static void
draw_chart(StringInfo out, const Spending *spending)
{
	etl_section_wide(out, "end", "Use by day");
	appendStringInfo(out,
					 "<svg id=\"cost-days\" width=\"%d\" height=\"%d\" role=\"img\" aria-label=\"%s by day, over %d "
					 "days, at most %s\">",
					 WIDTH, HEIGHT, spending->currency ? "Cost" : "Time of workers", DAYS,
					 words_for(spending, spending->highest));
	draw_scale(out, spending);
	for (int i = 0; i < DAYS; i++)
		draw_day(out, spending, i);
	appendStringInfoString(out, "</svg></div>\n<ul class=\"legend\" aria-label=\"Colours, from below\">");
	for (int i = 0; i < Min(spending->n, TOP_TASKS + 1); i++)
	{
		appendStringInfo(out, "<li><span class=\"key c%d\" aria-hidden=\"true\"></span>", i + 1);
		etl_html_text(out, i < TOP_TASKS ? spending->spender[i].task : "all others");
		appendStringInfoString(out, "</li>");
	}
	appendStringInfoString(out, "</ul>\n");
}

/* draw_table lists the tasks that used most. */
static void
draw_table(StringInfo out, const Spending *spending)
{
	int n = Min(spending->n, 2 * TOP_TASKS);

	etl_section_wide(out, "", "Tasks that used most");
	appendStringInfo(out,
					 "<table><caption>The %d %s that used most, in %d days</caption><thead><tr><th scope=\"col\">Task%s"
					 "<th scope=\"col\" class=\"num\">Attempts<th scope=\"col\" class=\"num\">Time of workers<th "
					 "scope=\"col\" class=\"num\">CPU"
					 "<th scope=\"col\" class=\"num\">Rows read<th scope=\"col\" class=\"num\">Rows written"
					 "<th scope=\"col\" class=\"num\">Stored<th scope=\"col\" class=\"num\">WAL</thead>\n<tbody>",
					 n, n == 1 ? "task" : "tasks", DAYS,
					 spending->currency ? "<th scope=\"col\" class=\"num\">Cost" : "");
	for (int i = 0; i < n; i++)
	{
		const Spender *spender = &spending->spender[i];

		appendStringInfoString(out, "<tr><th scope=\"row\">");
		etl_html_text(out, spender->task);
		if (spending->currency != NULL)
			appendStringInfo(out, "<td class=\"num\">%s", words_for(spending, spender->cost));
		appendStringInfo(out, "<td class=\"num\">%s<td class=\"num\">%s<td class=\"num\">%s",
						 etl_html_count(spender->attempts), etl_html_seconds(spender->wall),
						 etl_html_seconds(spender->cpu));
		appendStringInfo(out, "<td class=\"num\">%s<td class=\"num\">%s<td class=\"num\">%s<td class=\"num\">%s\n",
						 etl_html_count(spender->rows_read), etl_html_count(spender->rows_written),
						 etl_html_bytes(spender->bytes_read), etl_html_bytes(spender->wal_bytes));
	}
	appendStringInfoString(out, "</tbody></table></div>\n");
}

/* etl_spending_draw draws what the view etl.cost has. */
void
etl_spending_draw(StringInfo out, const EtlModel *model)
{
	Spending spending = {0};

	read_spenders(&spending, model);
	if (spending.n == 0)
	{
		appendStringInfo(out, "<p>Nothing was used in the last %d days.</p>\n", DAYS);
		return;
	}
	read_days(&spending, model);
	if (spending.highest > 0)
		draw_chart(out, &spending);
	draw_table(out, &spending);
	if (spending.currency == NULL)
		appendStringInfoString(
			out,
			"<p class=\"dim small\">There are no prices, so this is time of workers. etl.set_price sets them.</p>\n");
}
