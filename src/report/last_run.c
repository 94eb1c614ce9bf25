/*
 * last_run.c
 *		The run that is shown: its state, its sums, its failures with what to do, and a table of its tasks.
 */
#include "postgres.h"

#include <math.h>

#include "report/section.h"
#include "utils/builtins.h"

/* took returns how long a run took so far; below 0: it has not begun. */
static double
took(const EtlModel *model, const EtlModelRun *run)
{
	if (run->started <= 0)
		return -1;
	return (run->ended > 0 ? run->ended : model->now) - run->started;
}

/* compare_doubles orders for qsort. */
static int
compare_doubles(const void *a, const void *b)
{
	double left = *(const double *) a;
	double right = *(const double *) b;

	return left < right ? -1 : left > right;
}

/* median returns the median of n values, and puts them in order; below 0: there are none. */
static double
median(double *value, int n)
{
	if (n == 0)
		return -1;
	qsort(value, n, sizeof(double), compare_doubles);
	return n % 2 == 1 ? value[n / 2] : (value[n / 2 - 1] + value[n / 2]) / 2;
}

/* run_median is over the earlier runs that ended well. */
static double
run_median(const EtlModel *model)
{
	double *value = palloc(sizeof(double) * Max(model->n_runs, 1));
	int n = 0;

	for (int i = 0; i < model->shown; i++)
	{
		const EtlModelRun *run = &model->run[i];

		if ((run->mark == ETL_MARK_SUCCESS || run->mark == ETL_MARK_WARNING) && !run->backfill && run->ended > 0)
			value[n++] = took(model, run);
	}
	return median(value, n);
}

/* task_median is over the attempts of a task that ended well in earlier runs. */
static double
task_median(const EtlModel *model, int task)
{
	double *value = palloc(sizeof(double) * Max(model->n_runs, 1));
	int n = 0;

	for (int i = 0; i < model->shown; i++)
	{
		const EtlModelCell *cell = &model->cell[task * model->n_runs + i];

		if ((cell->mark == ETL_MARK_SUCCESS || cell->mark == ETL_MARK_WARNING) && cell->seconds >= 0)
			value[n++] = cell->seconds;
	}
	return median(value, n);
}

/* append_median compares a duration with a median. */
static void
append_median(StringInfo out, double seconds, double usual)
{
	if (usual < 0 || seconds < 0)
		return;
	appendStringInfo(out, "median %s", etl_html_seconds(usual));
	if (usual >= 1 && fabs(seconds / usual - 1) >= 0.05)
		appendStringInfo(out, ", %+.0f %%", 100 * (seconds / usual - 1));
}

/* fact opens a term and its value. */
static void
fact(StringInfo out, const char *term)
{
	appendStringInfo(out, "<div><dt>%s</dt><dd>", term);
}

/* append_sums appends what the last attempts of all tasks counted. */
static void
append_sums(StringInfo out, const EtlModel *model)
{
	int64 read = 0, inserted = 0, updated = 0, deleted = 0, rejected = 0;

	for (int i = 0; i < model->n_attempts; i++)
	{
		const EtlModelAttempt *attempt = &model->attempt[i];

		if (attempt->task >= 0 && model->task[attempt->task].last != i)
			continue;
		read += attempt->rows_read;
		inserted += attempt->rows_inserted;
		updated += attempt->rows_updated;
		deleted += attempt->rows_deleted;
		rejected += attempt->rows_rejected;
	}
	fact(out, "Rows read");
	appendStringInfo(out, "%s</dd></div>", etl_html_count(read));
	fact(out, "Inserted, updated, deleted");
	appendStringInfo(out, "%s · %s · %s</dd></div>", etl_html_count(inserted), etl_html_count(updated),
					 etl_html_count(deleted));
	fact(out, "To quarantine");
	appendStringInfo(out, "%s</dd></div>", etl_html_count(rejected));
}

/* append_part appends a line of an error. */
static void
append_part(StringInfo out, const char *label, const char *text)
{
	if (text == NULL || *text == '\0')
		return;
	appendStringInfo(out, "<p><span class=\"dim\">%s</span> ", label);
	etl_html_clip(out, text, 2000);
	appendStringInfoString(out, "</p>");
}

/* draw_failures has the error of each task whose last attempt ended with one. Returns whether there is a failed one. */
static bool
draw_failures(StringInfo out, const EtlModel *model)
{
	bool failed = false;

	for (int i = 0; i < model->n_attempts; i++)
	{
		const EtlModelAttempt *attempt = &model->attempt[i];
		bool last = attempt->task < 0 || model->task[attempt->task].last == i;
		/* An attempt that waits for its time: the error is in the one before it. */
		bool repeated = i + 1 < model->n_attempts && model->attempt[i + 1].task == attempt->task &&
						model->attempt[i + 1].mark != ETL_MARK_SUCCESS && model->attempt[i + 1].error == NULL &&
						model->attempt[i + 1].attempt == attempt->attempt + 1;

		if (attempt->error == NULL || (!last && !repeated))
			continue;
		failed |= last && attempt->mark == ETL_MARK_FAILED;
		appendStringInfo(out, "<div class=\"fail%s\"><h3>", attempt->mark == ETL_MARK_FAILED ? "" : " warn");
		etl_section_state(out, attempt->mark, NULL);
		appendStringInfoString(out, attempt->task >= 0 ? psprintf(" <a href=\"#t%d\">", attempt->task) : " ");
		etl_html_text(out, attempt->name);
		appendStringInfo(out, "%s</h3><p><strong>", attempt->task >= 0 ? "</a>" : "");
		etl_html_clip(out, attempt->error, 2000);
		appendStringInfoString(out, "</strong>");
		if (attempt->sqlstate != NULL)
		{
			appendStringInfoString(out, " <code>");
			etl_html_text(out, attempt->sqlstate);
			appendStringInfoString(out, "</code>");
		}
		appendStringInfoString(out, "</p>");
		append_part(out, "Detail:", attempt->detail);
		append_part(out, "Hint:", attempt->hint);
		if (repeated)
			appendStringInfo(out, "<p>Attempt %d comes next, by itself.</p>", attempt->attempt + 1);
		appendStringInfoString(out, "</div>\n");
	}
	return failed;
}

/* draw_todo says which call comes next. */
static void
draw_todo(StringInfo out, const EtlModelRun *run, bool failed)
{
	if (run->mark == ETL_MARK_FAILED || run->mark == ETL_MARK_CANCELLED || failed)
		appendStringInfo(
			out,
			"<div class=\"todo\"><h3>What to do</h3><p>When the cause is gone, this does the tasks that did not "
			"succeed, and what depends on them:</p><pre>SELECT etl.retry_run(" INT64_FORMAT ");</pre></div>\n",
			run->run_id);
	else if (run->mark == ETL_MARK_WARNING)
		appendStringInfo(
			out,
			"<div class=\"todo\"><h3>What to do</h3><p>Look at the tasks that warned. This does them again:</p>"
			"<pre>SELECT etl.retry_run(" INT64_FORMAT ");</pre></div>\n",
			run->run_id);
}

/* etl_last_run_draw draws the head of the run, and its failures. */
void
etl_last_run_draw(StringInfo out, const EtlModel *model)
{
	const EtlModelRun *run;
	StringInfoData failures;
	bool failed;
	double seconds;

	if (model->shown < 0)
	{
		appendStringInfoString(out,
							   "<p>The pipeline has not run yet. This starts it:</p><pre>SELECT etl.run_pipeline(");
		etl_html_text(out, quote_literal_cstr(model->name));
		appendStringInfoString(out, ");</pre>\n");
		return;
	}
	run = &model->run[model->shown];
	seconds = took(model, run);
	appendStringInfoString(out, "<dl class=\"facts big\">");
	fact(out, psprintf("Run " INT64_FORMAT "%s", run->run_id, run->backfill ? ", of a backfill" : ""));
	etl_section_state(out, run->mark, run->state);
	appendStringInfoString(out, "</dd></div>");
	fact(out, run->started > 0 ? "Started" : "Asked for");
	appendStringInfo(out, "%s</dd></div>", run->started_text);
	fact(out, run->ended > 0 || seconds < 0 ? "Duration" : "Duration so far");
	appendStringInfo(out, "%s <span class=\"dim small nb\">", seconds < 0 ? "not begun" : etl_html_seconds(seconds));
	append_median(out, seconds, run_median(model));
	appendStringInfoString(out, "</span></dd></div>");
	append_sums(out, model);
	appendStringInfoString(out, "</dl>\n");
	initStringInfo(&failures);
	failed = draw_failures(&failures, model);
	/* With failures, the message says in short what they say. */
	if (run->message != NULL && failures.len == 0)
	{
		appendStringInfoString(out, "<p class=\"lead\">");
		etl_html_clip(out, run->message, 1000);
		appendStringInfoString(out, "</p>\n");
	}
	appendBinaryStringInfo(out, failures.data, failures.len);
	if (run->rolled_back)
		appendStringInfoString(out, "<p class=\"lead\">The run was taken back by etl.rollback_run.</p>\n");
	draw_todo(out, run, failed);
}

/* append_rows appends the numbers of an attempt as cells. */
static void
append_rows(StringInfo out, const EtlModelAttempt *attempt)
{
	const int64 n[] = {attempt->rows_read, attempt->rows_inserted, attempt->rows_updated, attempt->rows_deleted,
					   attempt->rows_rejected};

	for (int i = 0; i < lengthof(n); i++)
		appendStringInfo(out, "<td class=\"num\">%s", attempt->has_rows ? etl_html_count(n[i]) : "");
}

/* draw_task draws a row of the table. */
static void
draw_task(StringInfo out, const EtlModel *model, int task)
{
	static const EtlModelAttempt nothing = {0};
	const EtlModelAttempt *last = model->task[task].last >= 0 ? &model->attempt[model->task[task].last] : &nothing;
	double seconds = last->started > 0 ? (last->ended > 0 ? last->ended : model->now) - last->started : -1;

	appendStringInfo(out, "<tr id=\"t%d\"><th scope=\"row\">", task);
	etl_html_text(out, model->task[task].name);
	appendStringInfoString(out, "<td>");
	etl_section_state(out, model->task[task].mark, NULL);
	appendStringInfo(out, "<td>%s", model->task[task].gate ? "gate" : model->task[task].kind);
	appendStringInfo(out, "<td class=\"num\">%s<td class=\"num\">%s<td class=\"num\">%s<td class=\"num dim\">",
					 last->attempt > 0 && last->started > 0 ? psprintf("%d", last->attempt) : "",
					 last->started_text ? last->started_text : "", seconds >= 0 ? etl_html_seconds(seconds) : "");
	append_median(out, seconds, model->cell ? task_median(model, task) : -1);
	append_rows(out, last);
	appendStringInfoString(out, "<td>");
	etl_html_text(out, model->task[task].target ? model->task[task].target : "");
	appendStringInfoString(out, "<td class=\"msg\">");
	etl_html_clip(out, last->message, 300);
	appendStringInfoChar(out, '\n');
}

/* etl_last_run_tasks draws the table in the order of the DAG. */
void
etl_last_run_tasks(StringInfo out, const EtlModel *model)
{
	if (model->n_tasks == 0)
	{
		appendStringInfoString(out, "<p>The pipeline has no tasks yet.</p>\n");
		return;
	}
	etl_section_wide(out, "", "Tasks of the run");
	appendStringInfoString(out,
						   "<table><caption class=\"vh\">The tasks, in the order of the graph, with their last attempt "
						   "in the run</caption>"
						   "<thead><tr><th scope=\"col\">Task<th scope=\"col\">State<th scope=\"col\">Kind"
						   "<th scope=\"col\" class=\"num\">Attempts<th scope=\"col\" class=\"num\">Started"
						   "<th scope=\"col\" class=\"num\">Took<th scope=\"col\" class=\"num\">In earlier runs"
						   "<th scope=\"col\" class=\"num\">Read<th scope=\"col\" class=\"num\">Inserted"
						   "<th scope=\"col\" class=\"num\">Updated<th scope=\"col\" class=\"num\">Deleted"
						   "<th scope=\"col\" class=\"num\">Rejected<th scope=\"col\">Target<th scope=\"col\">Message"
						   "</thead>\n<tbody>");
	for (int i = 0; i < model->n_tasks; i++)
		draw_task(out, model, model->layout->order[i]);
	appendStringInfoString(out, "</tbody></table></div>\n");
}
