/*
 * page.c
 *		The report of a pipeline. See page.h.
 */
#include "postgres.h"

#include "report/page.h"
#include "report/section.h"
#include "report/style.h"

/* write_head has the policy that forbids the network, and every script and style sheet but ours. */
static void
write_head(StringInfo out, const EtlModel *model)
{
	appendStringInfo(
		out,
		"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src %s; script-src %s; "
		"img-src data:; base-uri 'none'; form-action 'none'\">\n"
		"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
		"<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n"
		"<link rel=\"icon\" href=\"data:,\">\n<title>",
		etl_style_hash(etl_style_sheet), etl_style_hash(etl_style_script));
	etl_html_text(out, model->name);
	appendStringInfo(out, " – pipeline report</title>\n<style>%s</style>\n</head>\n", etl_style_sheet);
}

/* write_fact appends a term and its value. */
static void
write_fact(StringInfo out, const char *term, const char *value)
{
	appendStringInfo(out, "<div><dt>%s</dt><dd>", term);
	etl_html_text(out, value);
	appendStringInfoString(out, "</dd></div>");
}

/* write_tags appends the tags of the pipeline. */
static void
write_tags(StringInfo out, const EtlModel *model)
{
	uint64 n = etl_model_query("SELECT t.key, t.value FROM etl.pipeline AS p, jsonb_each_text(p.tags) AS t "
							   "WHERE p.pipeline_id = $1 AND $2 = 0 ORDER BY t.key",
							   model->pipeline_id, 0);

	if (n == 0)
		return;
	appendStringInfoString(out, "<div><dt>Tags</dt><dd>");
	for (uint64 i = 0; i < n; i++)
	{
		EtlRow row = etl_model_row(i);

		appendStringInfoString(out, "<span class=\"chip\">");
		etl_html_text(out, etl_row_text(&row, "key"));
		appendStringInfoString(out, ": ");
		etl_html_text(out, etl_row_text(&row, "value"));
		appendStringInfoString(out, "</span>");
	}
	appendStringInfoString(out, "</dd></div>");
}

/* write_header says what the pipeline is. */
static void
write_header(StringInfo out, const EtlModel *model)
{
	appendStringInfoString(out, "<body>\n<a class=\"skip\" href=\"#main\">Skip to the content</a>\n<header>\n<h1>");
	etl_html_text(out, model->name);
	appendStringInfoString(out, "</h1>\n");
	if (model->description != NULL)
	{
		appendStringInfoString(out, "<p class=\"lead\">");
		etl_html_text(out, model->description);
		appendStringInfoString(out, "</p>\n");
	}
	appendStringInfoString(out, "<dl class=\"facts\">");
	write_fact(out, "Owner", model->owner);
	write_fact(out, "Schedule",
			   model->schedule ? psprintf("%s (%s)", model->schedule, model->timezone) : "started by hand");
	if (model->schedule != NULL)
		write_fact(out, "Next due",
				   model->paused	 ? "paused"
				   : model->next_due ? model->next_due
									 : "not carried out here");
	else if (model->paused)
		write_fact(out, "Paused", "starts no runs");
	if (model->deadline != NULL)
		write_fact(out, "Deadline", model->deadline);
	write_tags(out, model);
	write_fact(out, "Page made", psprintf("%s (%s)", model->made_at, model->timezone));
	appendStringInfoString(
		out, "</dl>\n<nav aria-label=\"Sections\"><ul><li><a href=\"#run\">Last run</a><li><a href=\"#graph\">Graph</a>"
			 "<li><a href=\"#times\">Times</a><li><a href=\"#history\">History</a><li><a href=\"#checks\">Checks</a>"
			 "<li><a href=\"#freshness\">Freshness</a><li><a href=\"#problems\">Alerts and quarantine</a>"
			 "<li><a href=\"#cost\">Cost</a><li><a href=\"#tasks\">Tasks</a></ul></nav>\n</header>\n");
}

/* write_sections writes one after the other. */
static void
write_sections(StringInfo out, const EtlModel *model, int runs)
{
	etl_section_begin(out, "run", "Last run");
	etl_last_run_draw(out, model);
	etl_section_end(out);
	etl_section_begin(out, "graph", "Graph");
	etl_dag_svg_draw(out, model);
	etl_section_end(out);
	etl_section_begin(out, "times", "Times of the last run");
	etl_gantt_draw(out, model);
	etl_section_end(out);
	etl_section_begin(out, "history", "History");
	etl_grid_draw(out, model);
	etl_section_end(out);
	etl_section_begin(out, "checks", "Checks");
	etl_checks_draw(out, model, runs);
	etl_section_end(out);
	etl_section_begin(out, "freshness", "Freshness");
	etl_freshness_draw(out, model);
	etl_section_end(out);
	etl_section_begin(out, "problems", "Alerts and quarantine");
	etl_freshness_problems(out, model);
	etl_section_end(out);
	etl_section_begin(out, "cost", "Cost");
	etl_spending_draw(out, model);
	etl_section_end(out);
	etl_section_begin(out, "tasks", "Tasks in the last run");
	etl_last_run_tasks(out, model);
	etl_section_end(out);
}

/* etl_page_write reads everything and writes it. */
void
etl_page_write(StringInfo out, const char *pipeline, int runs)
{
	EtlModelScope scope;
	EtlModel *model;

	etl_model_begin(&scope);
	model = etl_model_pipeline(pipeline);
	etl_model_history(model, runs);
	write_head(out, model);
	write_header(out, model);
	appendStringInfoString(out, "<main id=\"main\">\n");
	write_sections(out, model, runs);
	appendStringInfo(out, "</main>\n<footer><p>Made by etl_ext %s. Times are in %s.</p></footer>\n", ETL_VERSION,
					 model->timezone);
	appendStringInfo(out, "<script>%s</script>\n</body>\n</html>\n", etl_style_script);
	etl_model_end(&scope);
}
