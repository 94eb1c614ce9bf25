/*
 * grid.c
 *		What became of each task in each run: a table whose cells are kept short, because there are thousands of them.
 */
#include "postgres.h"

#include <math.h>

#include "report/section.h"

/* Steps of the height of a bar; see .h0 to .h10 in the style sheet. */
#define STEPS 10

/* duration returns how long a run took so far; 0: it has not begun. */
static double
duration(const EtlModel *model, const EtlModelRun *run)
{
	if (run->started <= 0)
		return 0;
	return (run->ended > 0 ? run->ended : model->now) - run->started;
}

/* draw_head has a bar for each run, as high as the run was long. */
static void
draw_head(StringInfo out, const EtlModel *model)
{
	double longest = 0;

	for (int i = 0; i < model->n_runs; i++)
		longest = Max(longest, duration(model, &model->run[i]));
	appendStringInfoString(out, "<thead><tr><th scope=col>Task");
	for (int i = 0; i < model->n_runs; i++)
	{
		const EtlModelRun *run = &model->run[i];
		double took = duration(model, run);

		appendStringInfo(out,
						 "<th scope=col title=\"run " INT64_FORMAT ", %s, %s%s%s, %s\"><span class=vh>run " INT64_FORMAT
						 "</span><i class=\"%s h%d\"></i>",
						 run->run_id, run->started_text, run->state, run->backfill ? ", backfill" : "",
						 run->rolled_back ? ", taken back" : "", etl_html_seconds(took), run->run_id,
						 etl_mark_look[run->mark].css, longest > 0 ? (int) rint(STEPS * took / longest) : 0);
	}
	appendStringInfoString(out, "</thead>\n<tbody><tr class=runs><th scope=row>The run");
	for (int i = 0; i < model->n_runs; i++)
		appendStringInfo(out, "<td class=%s title=\"%s\">%s", etl_mark_look[model->run[i].mark].css, model->run[i].day,
						 etl_mark_look[model->run[i].mark].sign);
	appendStringInfoChar(out, '\n');
}

/* draw_cell writes one of thousands. */
static void
draw_cell(StringInfo out, const EtlModelCell *cell)
{
	const EtlMarkLook *look = &etl_mark_look[cell->mark];

	if (cell->mark == ETL_MARK_NONE)
	{
		appendStringInfoString(out, "<td>");
		return;
	}
	appendStringInfo(out, "<td class=%s", look->css);
	if (cell->seconds >= 0 || cell->note != NULL || cell->attempt > 1)
	{
		appendStringInfoString(out, " title=\"");
		if (cell->seconds >= 0)
			appendStringInfoString(out, etl_html_seconds(cell->seconds));
		if (cell->attempt > 1)
			appendStringInfo(out, "%sattempt %d", cell->seconds >= 0 ? ", " : "", cell->attempt);
		if (cell->note != NULL)
		{
			appendStringInfoString(out, cell->seconds >= 0 || cell->attempt > 1 ? ": " : "");
			etl_html_clip(out, cell->note, 100);
		}
		appendStringInfoChar(out, '"');
	}
	appendStringInfo(out, ">%s", look->sign);
}

/* etl_grid_draw has the tasks in the order of the DAG. End tags of rows and cells are left out, as HTML allows. */
void
etl_grid_draw(StringInfo out, const EtlModel *model)
{
	bool used[ETL_MARKS] = {false};

	if (model->n_runs == 0 || model->n_tasks == 0)
	{
		appendStringInfoString(out, "<p>There are no runs yet.</p>\n");
		return;
	}
	appendStringInfo(out,
					 "<p class=\"dim small\">%d %s, from %s on the left to %s on the right. The bar above a run is as "
					 "high as the run was long.</p>\n",
					 model->n_runs, model->n_runs == 1 ? "run" : "runs", model->run[0].day,
					 model->run[model->n_runs - 1].day);
	etl_section_wide(out, "end", "What became of each task in each run");
	appendStringInfoString(out, "<table class=grid><caption class=vh>What became of each task in each run</caption>");
	draw_head(out, model);
	for (int i = 0; i < model->n_runs; i++)
		used[model->run[i].mark] = true;
	for (int i = 0; i < model->n_tasks; i++)
	{
		int task = model->layout->order[i];

		appendStringInfoString(out, "<tr><th scope=row title=\"");
		etl_html_text(out, model->task[task].name);
		appendStringInfoString(out, "\">");
		etl_html_text(out, model->task[task].name);
		for (int run = 0; run < model->n_runs; run++)
		{
			const EtlModelCell *cell = &model->cell[task * model->n_runs + run];

			used[cell->mark] = true;
			draw_cell(out, cell);
		}
		appendStringInfoChar(out, '\n');
	}
	appendStringInfoString(out, "</tbody></table></div>\n<p id=\"tip\" aria-live=\"polite\"></p>\n");
	etl_section_legend(out, used);
}
