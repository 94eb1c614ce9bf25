/*
 * gantt.c
 *		When the attempts of a run were at work: a bar per attempt, with the waits before it, and the critical path.
 */
#include "postgres.h"

#include <math.h>

#include "report/section.h"

#define WIDTH 1120
#define LABEL_WIDTH 176
#define LABEL_COLUMNS 24
#define RIGHT 60
#define ROW 24
#define TOP 26
#define MAX_TICKS 8

typedef struct Gantt
{
	const EtlModel *model;
	double from; /* seconds since 1970 */
	double until;
	int n;
	int *task;		/* tasks that have begun, by the time of their first attempt */
	bool *critical; /* by task */
} Gantt;

/* first_attempt returns the index of the first attempt of a task that began; -1: none did. */
static int
first_attempt(const EtlModel *model, int task)
{
	for (int i = 0; i < model->n_attempts; i++)
		if (model->attempt[i].task == task && model->attempt[i].started > 0)
			return i;
	return -1;
}

/* end_of returns when an attempt ended, or now. */
static double
end_of(const EtlModel *model, const EtlModelAttempt *attempt)
{
	return attempt->ended > 0 ? Max(attempt->ended, attempt->started) : Max(model->now, attempt->started);
}

/* task_end returns when the last attempt of a task ended; 0: none began. */
static double
task_end(const EtlModel *model, int task)
{
	int last = model->task[task].last;

	return last >= 0 && model->attempt[last].started > 0 ? end_of(model, &model->attempt[last]) : 0;
}

/* x returns where a moment is. */
static double
x(const Gantt *gantt, double at)
{
	double span = Max(gantt->until - gantt->from, 0.001);

	return LABEL_WIDTH + (WIDTH - LABEL_WIDTH - RIGHT) * (at - gantt->from) / span;
}

/* collect puts the tasks that have begun in the order of time. */
static void
collect(Gantt *gantt)
{
	const EtlModel *model = gantt->model;
	double *start = palloc(sizeof(double) * Max(model->n_tasks, 1));

	gantt->task = palloc(sizeof(int) * Max(model->n_tasks, 1));
	gantt->critical = palloc0(sizeof(bool) * Max(model->n_tasks, 1));
	for (int i = 0; i < model->n_attempts; i++)
		gantt->until = model->attempt[i].started > 0 ? Max(gantt->until, end_of(model, &model->attempt[i]))
													 : gantt->until;
	for (int i = 0; i < model->n_tasks; i++)
	{
		int first = first_attempt(model, i);
		int k = gantt->n;

		if (first < 0)
			continue;
		for (; k > 0 && start[k - 1] > model->attempt[first].started; k--)
		{
			start[k] = start[k - 1];
			gantt->task[k] = gantt->task[k - 1];
		}
		start[k] = model->attempt[first].started;
		gantt->task[k] = i;
		gantt->n++;
	}
	if (gantt->n > 0 && (gantt->from <= 0 || gantt->from > start[0]))
		gantt->from = start[0];
	pfree(start);
}

/* waited_for says whether a task waited for the other end of an edge: tasks that are published together wait for each other's. */
static bool
waited_for(const EtlModel *model, int task, const EtlEdge *edge)
{
	if (model->task[task].published)
		return model->task[edge->from].published && !model->task[edge->to].published;
	return edge->from == task;
}

/* before returns the task for which a task waited longest; -1: for none. */
static int
before(const EtlModel *model, int task)
{
	int best = -1;

	for (int i = 0; i < model->graph->n_edges; i++)
	{
		int to = model->graph->edge[i].to;

		if (waited_for(model, task, &model->graph->edge[i]) && task_end(model, to) > 0 &&
			(best < 0 || task_end(model, to) > task_end(model, best)))
			best = to;
	}
	return best;
}

/* find_critical walks back from the task that ended last. Returns the length of the path, in path from its end. */
static int
find_critical(Gantt *gantt, int *path)
{
	const EtlModel *model = gantt->model;
	int at = -1;
	int n = 0;

	for (int i = 0; i < gantt->n; i++)
		if (at < 0 || task_end(model, gantt->task[i]) > task_end(model, at))
			at = gantt->task[i];
	for (; at >= 0 && !gantt->critical[at]; at = before(model, at))
	{
		gantt->critical[at] = true;
		path[n++] = at;
	}
	return n;
}

/* draw_axis draws vertical lines at round numbers of seconds. */
static void
draw_axis(StringInfo out, const Gantt *gantt, int height)
{
	static const double step[] = {0.01, 0.02, 0.05, 0.1, 0.2,  0.5,	 1,	   2,	  5,	 10,	15,	   30,	   60,
								  120,	300,  600,	900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 604800, 2592000};
	double span = Max(gantt->until - gantt->from, 0.001);
	double by = step[lengthof(step) - 1];

	for (int i = lengthof(step) - 1; i >= 0 && span / step[i] <= MAX_TICKS; i--)
		by = step[i];
	if (span / by > MAX_TICKS)
		by = span / MAX_TICKS;
	for (int i = 0; i * by <= span; i++)
	{
		double at = x(gantt, gantt->from + i * by);

		appendStringInfo(out,
						 "<path class=\"tick\" d=\"M%.1f %dV%d\"/><text class=\"dim\" x=\"%.1f\" y=\"14\">%s</text>",
						 at, TOP - 6, height, at + 3, i == 0 ? "start" : etl_html_seconds(i * by));
	}
	appendStringInfoChar(out, '\n');
}

/* draw_attempt draws a bar, with the wait before it. */
static void
draw_attempt(StringInfo out, const Gantt *gantt, const EtlModelAttempt *attempt, int y)
{
	const EtlMarkLook *look = &etl_mark_look[attempt->mark];
	double begin = x(gantt, attempt->started);
	double width = Max(x(gantt, end_of(gantt->model, attempt)) - begin, 2);
	char *took = etl_html_seconds(end_of(gantt->model, attempt) - attempt->started);

	if (attempt->ready > 0 && attempt->ready < attempt->started && x(gantt, attempt->ready) < begin - 1)
		appendStringInfo(out, "<path class=\"wait\" d=\"M%.1f %dH%.1f\"><title>waited %s for a worker</title></path>",
						 Max(x(gantt, attempt->ready), LABEL_WIDTH), y + ROW / 2, begin,
						 etl_html_seconds(attempt->started - attempt->ready));
	appendStringInfo(out, "<rect class=\"bar %s%s\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" rx=\"3\"><title>",
					 look->css, gantt->critical[attempt->task] ? " crit" : "", begin, y + 4, width, ROW - 8);
	etl_html_text(out, attempt->name);
	appendStringInfo(out, ", attempt %d: %s, %s", attempt->attempt, look->meaning, took);
	if (attempt->error != NULL)
	{
		appendStringInfoString(out, ": ");
		etl_html_clip(out, attempt->error, 200);
	}
	appendStringInfoString(out, "</title></rect>");
	if (width >= 16)
		appendStringInfo(out, "<text class=\"bl %s\" x=\"%.1f\" y=\"%d\">%s</text>", look->css, begin + 4, y + 16,
						 look->sign);
}

/* draw_row draws the attempts of a task, with the waits between them. */
static void
draw_row(StringInfo out, const Gantt *gantt, int n)
{
	const EtlModel *model = gantt->model;
	int task = gantt->task[n];
	int y = TOP + n * ROW;
	double ended = 0;

	if (n % 2 == 1)
		appendStringInfo(out, "<rect class=\"stripe\" x=\"0\" y=\"%d\" width=\"%d\" height=\"%d\"/>", y, WIDTH, ROW);
	appendStringInfo(out, "<a href=\"#t%d\"><text class=\"box\" x=\"4\" y=\"%d\">", task, y + 16);
	etl_html_clip(out, model->task[task].name, LABEL_COLUMNS);
	appendStringInfoString(out, "</text></a>");
	for (int i = first_attempt(model, task); i < model->n_attempts && model->attempt[i].task == task; i++)
	{
		const EtlModelAttempt *attempt = &model->attempt[i];
		double until = attempt->started > 0 ? attempt->started : model->now;

		if (ended > 0 && x(gantt, until) > x(gantt, ended) + 1)
			appendStringInfo(
				out, "<path class=\"wait\" d=\"M%.1f %dH%.1f\"><title>%s from attempt %d to attempt %d</title></path>",
				x(gantt, ended), y + ROW / 2, Min(x(gantt, until), WIDTH - RIGHT), etl_html_seconds(until - ended),
				attempt->attempt - 1, attempt->attempt);
		if (attempt->started > 0)
			draw_attempt(out, gantt, attempt, y);
		ended = attempt->ended;
	}
	appendStringInfo(out, "<text class=\"dim\" x=\"%.1f\" y=\"%d\">%s</text>\n", x(gantt, task_end(model, task)) + 5,
					 y + 16,
					 etl_html_seconds(task_end(model, task) - model->attempt[first_attempt(model, task)].started));
}

/* draw_path says in words what the critical path is. */
static void
draw_path(StringInfo out, const Gantt *gantt, const int *path, int n)
{
	appendStringInfoString(out, "<p class=\"small\">Critical path (outlined): ");
	for (int i = n - 1; i >= 0; i--)
	{
		appendStringInfo(out, "<a href=\"#t%d\">", path[i]);
		etl_html_text(out, gantt->model->task[path[i]].name);
		appendStringInfo(out, "</a>%s", i > 0 ? " → " : "");
	}
	appendStringInfo(out, ". The whole took %s; a dotted line is a wait, for a worker or for a retry.</p>\n",
					 etl_html_seconds(gantt->until - gantt->from));
}

/* etl_gantt_draw draws the run that is shown. */
void
etl_gantt_draw(StringInfo out, const EtlModel *model)
{
	Gantt gantt = {.model = model};
	int *path = palloc(sizeof(int) * Max(model->n_tasks, 1));
	int n_path;
	int height;

	if (model->shown >= 0)
		gantt.from = model->run[model->shown].started;
	collect(&gantt);
	if (gantt.n == 0)
	{
		appendStringInfoString(out, "<p>No task has begun yet.</p>\n");
		return;
	}
	n_path = find_critical(&gantt, path);
	height = TOP + gantt.n * ROW;
	etl_section_wide(out, "", "Times of the attempts");
	appendStringInfo(out,
					 "<svg id=\"gantt\" width=\"%d\" height=\"%d\" role=\"group\" aria-label=\"%d tasks by the time "
					 "when they began\">\n",
					 WIDTH, height + 4, gantt.n);
	for (int i = 0; i < gantt.n; i++)
	{
		if (i == 0)
			draw_axis(out, &gantt, height);
		draw_row(out, &gantt, i);
	}
	appendStringInfoString(out, "</svg></div>\n");
	draw_path(out, &gantt, path, n_path);
}
