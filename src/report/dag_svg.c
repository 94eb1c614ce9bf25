/*
 * dag_svg.c
 *		The DAG with the states of the run that is shown, as SVG.
 */
#include "postgres.h"

#include "report/section.h"

#define NODE_WIDTH 188
#define NODE_HEIGHT 44
#define GAP_X 42
#define GAP_Y 16
#define MARGIN 8

/* What fits into a node. */
#define NAME_COLUMNS 20
#define BELOW_COLUMNS 24

/* left returns the left side of a layer, middle the height of a node's centre. */
static double
left(int layer)
{
	return MARGIN + layer * (NODE_WIDTH + GAP_X);
}

static double
middle(const EtlLayout *layout, int node)
{
	return MARGIN + NODE_HEIGHT / 2.0 + layout->y[node] * (NODE_HEIGHT + GAP_Y);
}

/* draw_curve continues a path to a point. */
static void
draw_curve(StringInfo out, double x0, double y0, double x1, double y1)
{
	appendStringInfo(out, "C%.0f %.1f %.0f %.1f %.0f %.1f", (x0 + x1) / 2, y0, (x0 + x1) / 2, y1, x1, y1);
}

/* draw_edge draws an edge by way of its bends. */
static void
draw_edge(StringInfo out, const EtlModel *model, int n)
{
	const EtlLayout *layout = model->layout;
	const EtlEdge *edge = &model->graph->edge[n];
	const char *gate = model->task[edge->from].gate;
	double x = left(layout->layer[edge->to]) + NODE_WIDTH;
	double y = middle(layout, edge->to);

	appendStringInfo(out, "<path class=\"ed%s\" marker-end=\"url(#arrow)\" d=\"M%.0f %.1f", gate ? " gate" : "", x, y);
	for (int b = 0; b < layout->n_bends[n]; b++)
	{
		int bend = layout->bend[n][b];
		double next = left(layout->layer[bend]);

		draw_curve(out, x, y, next, middle(layout, bend));
		x = next + NODE_WIDTH;
		y = middle(layout, bend);
		appendStringInfo(out, "H%.0f", x);
	}
	draw_curve(out, x, y, left(layout->layer[edge->from]) - 6, middle(layout, edge->from));
	appendStringInfoString(out, "\"/>");
}

/* append_title says everything about a node, for pointers and for screen readers. */
static void
append_title(StringInfo out, const EtlModel *model, const EtlModelTask *task)
{
	const EtlModelAttempt *last = task->last >= 0 ? &model->attempt[task->last] : NULL;

	etl_html_text(out, task->name);
	appendStringInfo(out, " (%s): %s", task->gate ? "gate" : task->kind, etl_mark_look[task->mark].meaning);
	if (last != NULL && last->started > 0)
		appendStringInfo(out, ", %s", etl_html_seconds((last->ended > 0 ? last->ended : model->now) - last->started));
	if (last != NULL && last->error != NULL)
	{
		appendStringInfoString(out, ". ");
		etl_html_clip(out, last->error, 200);
	}
	if (task->description != NULL)
	{
		appendStringInfoString(out, ". ");
		etl_html_clip(out, task->description, 200);
	}
}

/* draw_node draws a task, as a link to its row in the table of tasks. */
static void
draw_node(StringInfo out, const EtlModel *model, int node)
{
	const EtlModelTask *task = &model->task[node];
	const EtlModelAttempt *last = task->last >= 0 ? &model->attempt[task->last] : NULL;
	const EtlMarkLook *look = &etl_mark_look[task->mark];
	double x = left(model->layout->layer[node]);
	double y = middle(model->layout, node) - NODE_HEIGHT / 2.0;

	appendStringInfo(out, "<a href=\"#t%d\"><g class=\"node %s\" transform=\"translate(%.0f %.1f)\"><title>", node,
					 look->css, x, y);
	append_title(out, model, task);
	appendStringInfoString(out, "</title>");
	if (task->published)
		appendStringInfo(out, "<rect class=\"pub\" x=\"-6\" y=\"-5\" width=\"%d\" height=\"%d\" rx=\"10\"/>",
						 NODE_WIDTH + 12, NODE_HEIGHT + 10);
	appendStringInfo(out,
					 "<rect class=\"box\" width=\"%d\" height=\"%d\" rx=\"7\"/>"
					 "<path class=\"b\" d=\"M7 0H26V%dH7a7 7 0 0 1-7-7V7a7 7 0 0 1 7-7z\"/>"
					 "<text class=\"g\" x=\"13\" y=\"%d\">%s</text><svg x=\"34\" width=\"%d\" height=\"%d\"><text "
					 "class=\"name\" y=\"18\">",
					 NODE_WIDTH, NODE_HEIGHT, NODE_HEIGHT, NODE_HEIGHT / 2 + 4, look->sign, NODE_WIDTH - 37,
					 NODE_HEIGHT);
	etl_html_clip(out, task->name, NAME_COLUMNS);
	appendStringInfo(out, "</text><text class=\"dim\" y=\"34\">%s", task->gate ? "gate" : task->kind);
	if (last != NULL && last->started > 0)
		appendStringInfo(out, " · %s", etl_html_seconds((last->ended > 0 ? last->ended : model->now) - last->started));
	else if (task->mark == ETL_MARK_UPSTREAM_FAILED)
		appendStringInfoString(out, " · not started");
	appendStringInfoString(out, "</text></svg></g></a>\n");
}

/* etl_dag_svg_draw draws edges first, so that nodes lie above them. */
void
etl_dag_svg_draw(StringInfo out, const EtlModel *model)
{
	const EtlLayout *layout = model->layout;
	bool used[ETL_MARKS] = {false};
	bool published = false;

	if (model->n_tasks == 0)
	{
		appendStringInfoString(
			out, "<p>The pipeline has no tasks yet. etl.add_extract, etl.add_load and others add them.</p>\n");
		return;
	}
	etl_section_wide(out, "", "Graph of the tasks");
	appendStringInfo(out,
					 "<svg id=\"dag\" role=\"group\" aria-label=\"%d tasks and %d dependencies, from left to right\" ",
					 model->n_tasks, model->graph->n_edges);
	appendStringInfo(out, "width=\"%.0f\" height=\"%.0f\">", left(layout->n_layers) - GAP_X + MARGIN,
					 2 * MARGIN + layout->rows * (NODE_HEIGHT + GAP_Y) - GAP_Y);
	appendStringInfoString(
		out, "<defs><marker id=\"arrow\" viewBox=\"0 0 6 6\" refX=\"1\" refY=\"3\" markerWidth=\"6\" "
			 "markerHeight=\"6\" orient=\"auto\"><path class=\"arrow\" d=\"M0 0 6 3 0 6z\"/></marker></defs>\n");
	for (int i = 0; i < model->graph->n_edges; i++)
		draw_edge(out, model, i);
	appendStringInfoChar(out, '\n');
	for (int i = 0; i < model->n_tasks; i++)
	{
		int node = layout->order[i];

		used[model->task[node].mark] = true;
		published |= model->task[node].published;
		draw_node(out, model, node);
	}
	appendStringInfoString(out, "</svg></div>\n");
	etl_section_legend(out, used);
	if (published)
		appendStringInfoString(out,
							   "<p class=\"dim small\">Tasks with a dotted outline are published at one commit.</p>\n");
}
