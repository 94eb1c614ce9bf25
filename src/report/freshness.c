/*
 * freshness.c
 *		How fresh each source and target is; alerts that nothing has recovered from; rows in quarantine.
 */
#include "postgres.h"

#include "report/section.h"

#define MOST_ALERTS 20

/* Counting more rows than this would take too long for a page. */
#define MOST_QUARANTINED 100000

/* cell appends a cell with text from a row. */
static void
cell(StringInfo out, const EtlRow *row, const char *column, int columns)
{
	appendStringInfoString(out, "<td>");
	etl_html_clip(out, etl_row_text(row, column), columns);
}

/* append_age appends a moment and how long ago it was. */
static void
append_age(StringInfo out, const EtlRow *row, const char *at, const char *age)
{
	appendStringInfoString(out, "<td class=\"nb\">");
	if (etl_row_isnull(row, at))
		appendStringInfoString(out, "<span class=\"dim\">never</span>");
	else
		appendStringInfo(out, "%s ago <span class=\"dim small\">%s</span>",
						 etl_html_seconds(Max(etl_row_double(row, age), 0)), etl_row_text(row, at));
}

/* etl_freshness_draw draws the view etl.freshness, what is stale first, then what is oldest. */
void
etl_freshness_draw(StringInfo out, const EtlModel *model)
{
	uint64 n = etl_model_query(
		"SELECT f.task, f.kind, f.target, t.source, f.stale, f.last_error, f.watermark, "
		"  to_char(f.last_success_at AT TIME ZONE p.timezone, 'YYYY-MM-DD HH24:MI') AS success, "
		"  extract(epoch FROM f.age)::float8 AS age, "
		"  to_char(f.last_change_at AT TIME ZONE p.timezone, 'YYYY-MM-DD HH24:MI') AS change, "
		"  extract(epoch FROM now() - f.last_change_at)::float8 AS change_age "
		"FROM etl.pipeline AS p JOIN etl.freshness AS f ON f.pipeline = p.name "
		"JOIN etl.task AS t ON t.pipeline_id = p.pipeline_id AND t.name = f.task "
		"WHERE p.pipeline_id = $1 AND $2 = 0 ORDER BY f.stale DESC, f.last_success_at NULLS FIRST, t.task_id",
		model->pipeline_id, 0);

	if (n == 0)
	{
		appendStringInfoString(out, "<p>The pipeline keeps no table: it has no extract, load or aggregate.</p>\n");
		return;
	}
	etl_section_wide(out, "", "Freshness of each source and target");
	appendStringInfoString(
		out,
		"<table><caption class=\"vh\">Freshness of each source and target</caption><thead><tr><th scope=\"col\">Table"
		"<th scope=\"col\">State<th scope=\"col\">Brought up to date<th scope=\"col\">Last changed row"
		"<th scope=\"col\">Source<th scope=\"col\">Task<th scope=\"col\">Watermark</thead>\n<tbody>");
	for (uint64 i = 0; i < n; i++)
	{
		EtlRow row = etl_model_row(i);
		bool stale = etl_row_bool(&row, "stale");

		appendStringInfoString(out, "<tr><th scope=\"row\">");
		etl_html_text(out, etl_row_text(&row, "target"));
		appendStringInfoString(out, "<td>");
		if (etl_row_isnull(&row, "success") && !stale)
			etl_section_state(out, ETL_MARK_NONE, "never loaded");
		else
			etl_section_state(out, stale ? ETL_MARK_FAILED : ETL_MARK_SUCCESS, stale ? "stale" : "current");
		if (stale)
		{
			appendStringInfoString(out, "<br><span class=\"small\">");
			etl_html_clip(out, etl_row_text(&row, "last_error"), 160);
			appendStringInfoString(out, "</span>");
		}
		append_age(out, &row, "success", "age");
		append_age(out, &row, "change", "change_age");
		cell(out, &row, "source", 200);
		cell(out, &row, "task", 200);
		appendStringInfo(out, " <span class=\"dim\">%s</span>", etl_row_text(&row, "kind"));
		cell(out, &row, "watermark", 60);
		appendStringInfoChar(out, '\n');
	}
	appendStringInfoString(out, "</tbody></table></div>\n");
}

/* draw_alerts lists what is open. */
static void
draw_alerts(StringInfo out, const EtlModel *model)
{
	uint64 n = etl_model_query("SELECT a.event, a.severity, a.task, a.run_id, a.message, count(*) OVER () AS total, "
							   "  to_char(a.created_at AT TIME ZONE p.timezone, 'YYYY-MM-DD HH24:MI') AS created "
							   "FROM etl.pipeline AS p JOIN etl.alert AS a ON a.pipeline_id = p.pipeline_id "
							   "WHERE p.pipeline_id = $1 AND a.recovered_at IS NULL "
							   "  AND a.severity IN ('warning', 'fail', 'deadline') ORDER BY a.alert_id DESC LIMIT $2",
							   model->pipeline_id, MOST_ALERTS);

	appendStringInfoString(out, "<div><h3>Open alerts</h3>");
	if (n == 0)
	{
		appendStringInfoString(out, "<p>No alert is open.</p></div>\n");
		return;
	}
	etl_section_wide(out, "", "Open alerts");
	appendStringInfoString(out, "<table><caption class=\"vh\">Open alerts</caption><thead><tr><th scope=\"col\">Event"
								"<th scope=\"col\">Message</thead>\n<tbody>");
	for (uint64 i = 0; i < n; i++)
	{
		EtlRow row = etl_model_row(i);
		bool warning = strcmp(etl_row_text(&row, "severity"), "warning") == 0;

		appendStringInfoString(out, "<tr><td>");
		etl_section_state(out, warning ? ETL_MARK_WARNING : ETL_MARK_FAILED, etl_row_text(&row, "event"));
		appendStringInfo(out, "<br><span class=\"dim small nb\">%s</span><td class=\"msg\">",
						 etl_row_text(&row, "created"));
		etl_html_clip(out, etl_row_text(&row, "message"), 240);
		appendStringInfoChar(out, '\n');
	}
	appendStringInfoString(out, "</tbody></table></div>\n");
	if (n == MOST_ALERTS)
	{
		EtlRow row = etl_model_row(0);
		int64 total = etl_row_int64(&row, "total");

		if (total > MOST_ALERTS)
			appendStringInfo(out, "<p class=\"dim small\">The latest %d of %s.</p>", MOST_ALERTS,
							 etl_html_count(total));
	}
	appendStringInfoString(out, "</div>\n");
}

/* draw_quarantine counts by table and task. */
static void
draw_quarantine(StringInfo out, const EtlModel *model)
{
	uint64 n = etl_model_query(
		"SELECT q.target, q.n, q.total, q.reason, to_char(q.oldest AT TIME ZONE p.timezone, 'YYYY-MM-DD HH24:MI') AS "
		"oldest, "
		"  coalesce(t.name, 'a dropped task') AS task "
		"FROM etl.pipeline AS p CROSS JOIN LATERAL "
		"  (SELECT x.task_id, x.target, count(*) AS n, min(x.created_at) AS oldest, "
		"          mode() WITHIN GROUP (ORDER BY x.reason) AS reason, (sum(count(*)) OVER ())::bigint AS total "
		"   FROM (SELECT k.task_id, k.target, k.created_at, left(k.reason, 200) AS reason FROM etl.quarantine AS k "
		"         WHERE k.pipeline_id = p.pipeline_id LIMIT $2) AS x GROUP BY x.task_id, x.target) AS q "
		"LEFT JOIN etl.task AS t ON t.task_id = q.task_id "
		"WHERE p.pipeline_id = $1 ORDER BY q.n DESC, q.target",
		model->pipeline_id, MOST_QUARANTINED);

	appendStringInfoString(out, "<div><h3>Quarantine</h3>");
	if (n == 0)
	{
		appendStringInfoString(out, "<p>No row is in quarantine.</p></div>\n");
		return;
	}
	etl_section_wide(out, "", "Rows in quarantine");
	appendStringInfoString(
		out, "<table><caption class=\"vh\">Rows in quarantine</caption><thead><tr><th scope=\"col\">Table<th "
			 "scope=\"col\" class=\"num\">Rows"
			 "<th scope=\"col\">Most often because<th scope=\"col\">Oldest<th scope=\"col\">Task</thead>\n<tbody>");
	for (uint64 i = 0; i < n; i++)
	{
		EtlRow row = etl_model_row(i);

		appendStringInfoString(out, "<tr><th scope=\"row\">");
		etl_html_text(out, etl_row_text(&row, "target"));
		appendStringInfo(out, "<td class=\"num\">%s%s<td class=\"msg\">",
						 etl_row_int64(&row, "total") >= MOST_QUARANTINED ? "at least " : "",
						 etl_html_count(etl_row_int64(&row, "n")));
		etl_html_clip(out, etl_row_text(&row, "reason"), 160);
		appendStringInfo(out, "<td class=\"nb\">%s", etl_row_text(&row, "oldest"));
		cell(out, &row, "task", 128);
		appendStringInfoChar(out, '\n');
	}
	appendStringInfoString(out, "</tbody></table></div></div>\n");
}

/* etl_freshness_problems draws alerts and quarantine side by side. */
void
etl_freshness_problems(StringInfo out, const EtlModel *model)
{
	appendStringInfoString(out, "<div class=\"split\">");
	draw_alerts(out, model);
	draw_quarantine(out, model);
	appendStringInfoString(out, "</div>\n");
}
