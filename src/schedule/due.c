/*
 * due.c
 *		The scheduled times of one pipeline that have had no run yet, and what missed_run makes of them. See due.h.
 *
 * Everything happens under the lock of the pipeline's row: whoever comes second finds the times decided. The runs and
 * etl.schedule.decided_until commit together, so that after a crash either both are there or neither is.
 */
#include "postgres.h"

#include "catalog/run.h"
#include "catalog/schedule.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "notify/alert.h"
#include "schedule/cron_next.h"
#include "schedule/cron_zone.h"
#include "schedule/due.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/timestamp.h"

/* missed_run => 'skip' takes a run that could not start for longer as missed. */
#define SKIP_AFTER (5 * USECS_PER_MINUTE)
/* missed_run => 'catch_up' never has more runs than this in the queue. */
#define QUEUE_LIMIT 1000
/* Whose schedule has not begun here is owed the last minute: the one that its caller was started for. */
#define GRACE USECS_PER_MINUTE

/* The scheduled times that are due. */
typedef struct DueTimes
{
	int n;
	TimestampTz first;
	TimestampTz last;
	TimestampTz *time; /* the first ones, as many as asked for */
} DueTimes;

/* How the run of a scheduled time is created. */
typedef struct RunOptions
{
	const char *on_overlap;		/* NULL: as the pipeline says */
	const char *message;		/* NULL: none */
	TimestampTz interval_start; /* DT_NOBEGIN: the last run that ended well */
	bool skip;
	bool last; /* of those that are created now: the one that the caller waits for */
} RunOptions;

/* find_times finds the scheduled times in (after, now]; limit: only so many of them, and all are listed. 0: all. */
static DueTimes
find_times(const EtlPipeline *pipeline, TimestampTz after, TimestampTz now, int limit)
{
	EtlCronExpr *expr = etl_cron_expr_parse(pipeline->schedule);
	pg_tz *zone = etl_cron_zone_find(pipeline->timezone);
	DueTimes times = {0};
	TimestampTz at = etl_cron_next(expr, zone, after);

	times.time = palloc(sizeof(TimestampTz) * Max(limit, 1));
	for (; at <= now && (limit == 0 || times.n < limit); at = etl_cron_next(expr, zone, at))
	{
		CHECK_FOR_INTERRUPTS();
		if (times.n == 0)
			times.first = at;
		if (limit > 0)
			times.time[times.n] = at;
		times.last = at;
		times.n++;
	}
	return times;
}

/* local_time prints a scheduled time as the clocks of the pipeline's zone show it. */
static char *
local_time(const EtlPipeline *pipeline, TimestampTz at)
{
	pg_time_t seconds = etl_cron_zone_seconds(at);
	struct pg_tm *tm = pg_localtime(&seconds, etl_cron_zone_find(pipeline->timezone));

	return psprintf("%04d-%02d-%02d %02d:%02d %s", tm->tm_year + 1900, tm->tm_mon + 1, tm->tm_mday, tm->tm_hour,
					tm->tm_min, tm->tm_zone);
}

/* missed_message says how many times before the last were missed, or returns NULL. */
static char *
missed_message(const EtlPipeline *pipeline, const DueTimes *times)
{
	if (times->n < 2)
		return NULL;
	if (times->n == 2)
		return psprintf("one earlier scheduled time was missed: %s", local_time(pipeline, times->first));
	return psprintf("%d earlier scheduled times were missed, the first of them %s", times->n - 1,
					local_time(pipeline, times->first));
}

/* add_member adds a string to a JSON object that is being written; none for NULL. */
static void
add_member(StringInfo json, const char *key, const char *value)
{
	if (value == NULL)
		return;
	appendStringInfoString(json, json->len == 0 ? "{" : ", ");
	escape_json(json, key);
	appendStringInfoString(json, ": ");
	escape_json(json, value);
}

/* create_run creates the run for a scheduled time. Nothing happens if there is one already. */
static void
create_run(EtlDue *due, TimestampTz at, const RunOptions *options)
{
	StringInfoData json;
	EtlRunState state;
	int64 run_id;

	initStringInfo(&json);
	add_member(&json, "pipeline", due->pipeline->name);
	add_member(&json, "mode", "background");
	add_member(&json, "full_refresh", "false");
	add_member(&json, "scheduled_for", timestamptz_to_str(at));
	add_member(&json, "interval_start",
			   TIMESTAMP_IS_NOBEGIN(options->interval_start) ? NULL : timestamptz_to_str(options->interval_start));
	add_member(&json, "waiter", options->last && due->waiter != 0 ? psprintf(INT64_FORMAT, due->waiter) : NULL);
	add_member(&json, "on_overlap", options->on_overlap);
	add_member(&json, "skip", options->skip ? "true" : NULL);
	add_member(&json, "message", options->message);
	appendStringInfoChar(&json, '}');
	run_id = etl_run_create(DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data))), due->caller,
							&state);
	if (run_id == 0)
		return;
	if (state == ETL_RUN_SKIPPED)
		etl_alert_run(ETL_ALERT_RUN_SKIPPED, run_id, NULL);
	due->run_id = run_id;
	due->state = state;
}

/* first_overlap says what the first run does while another one is active; NULL: as the pipeline says. */
static const char *
first_overlap(const EtlDue *due)
{
	/* Nobody is there to get the error: a skipped run is what people will see. */
	return due->caller_waits || strcmp(due->pipeline->on_overlap, "error") != 0 ? NULL : "skip";
}

/*
 * catch_up creates a run for each time, oldest first, behind those that are queued already. Each stands for the time since
 * the one before it, which has not ended yet. Returns how far it came.
 */
static TimestampTz
catch_up(EtlDue *due, TimestampTz after)
{
	TimestampTz before;
	int64 queued = etl_schedule_queued(due->pipeline->pipeline_id, &before);
	DueTimes times;

	if (queued >= QUEUE_LIMIT)
		return after;
	times = find_times(due->pipeline, after, due->now, (int) (QUEUE_LIMIT - queued));
	for (int i = 0; i < times.n; i++)
	{
		RunOptions options = {.on_overlap = i + queued > 0 ? "queue" : first_overlap(due),
							  .interval_start = before,
							  .last = i == times.n - 1};

		CHECK_FOR_INTERRUPTS();
		create_run(due, times.time[i], &options);
		before = times.time[i];
	}
	return times.n > 0 ? times.last : after;
}

/* run_latest creates a run for the latest time, if there is one. Returns how far it came. */
static TimestampTz
run_latest(EtlDue *due, TimestampTz after, bool skip_missed)
{
	DueTimes times = find_times(due->pipeline, after, due->now, 0);
	RunOptions options = {.on_overlap = first_overlap(due), .interval_start = DT_NOBEGIN, .last = true};

	if (times.n == 0)
		return after;
	options.message = missed_message(due->pipeline, &times);
	if (skip_missed && due->now - times.last > SKIP_AFTER)
	{
		options.skip = true;
		options.message = psprintf("missed: it could not be started within 5 minutes%s%s", options.message ? "; " : "",
								   options.message ? options.message : "");
	}
	create_run(due, times.last, &options);
	return times.last;
}

/* etl_due_decide creates what is due of one pipeline. */
TimestampTz
etl_due_decide(EtlDue *due)
{
	int64 pipeline_id = due->pipeline->pipeline_id;
	const char *missed_run = due->pipeline->missed_run;
	TimestampTz after;
	TimestampTz until;
	bool begun = etl_schedule_get(pipeline_id, &after);

	if (!begun)
		after = due->now - GRACE;
	if (strcmp(missed_run, "catch_up") == 0)
		until = catch_up(due, after);
	else
		until = run_latest(due, after, strcmp(missed_run, "skip") == 0);
	if (!begun || until > after)
		etl_schedule_set(pipeline_id, until, false);
	return until;
}

/* etl_due_fire creates what is due of a pipeline for a role that asks. */
int64
etl_due_fire(const char *pipeline, Oid caller, int64 waiter, TimestampTz now, EtlRunState *state)
{
	EtlDue due = {.pipeline = etl_run_pipeline_for(pipeline, caller),
				  .caller = caller,
				  .caller_waits = true,
				  .waiter = waiter,
				  .now = now};

	if (due.pipeline->schedule == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("pipeline \"%s\" has no schedule", pipeline),
				 errdetail("only_when_due asks its schedule."),
				 errhint("Leave out only_when_due, or give it one with etl.alter_pipeline.")));
	(void) etl_due_decide(&due);
	if (due.run_id != 0)
		*state = due.state;
	return due.run_id;
}

/* etl_due_begin lets a schedule begin at a moment: times before it are not owed. */
void
etl_due_begin(int64 pipeline_id, TimestampTz now)
{
	etl_schedule_set(pipeline_id, now, true);
}
