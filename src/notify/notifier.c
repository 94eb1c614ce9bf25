/*
 * notifier.c
 *		The worker that delivers alerts. See notifier.h.
 *
 * A try is claimed (pending -> sending) in a transaction of its own, whose commit waits for the disk: so the alert cannot
 * get lost any more when the receiver hears of it. Its result is recorded in another one. A notifier that dies in between
 * leaves the try sending; the next one, which holds the lock by then, counts it as failed. So a receiver may hear of an
 * alert twice, but not never, unless all tries fail.
 *
 * Several routes are served at the same time, each one alert after the other.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/alert_delivery.h"
#include "catalog/extension.h"
#include "catalog/lineage_event.h"
#include "miscadmin.h"
#include "notify/channel.h"
#include "notify/message.h"
#include "notify/notifier.h"
#include "notify/route.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/bgw.h"
#include "worker/lock.h"
#include "worker/step.h"

extern PGDLLEXPORT void etl_notifier_main(Datum arg);

/* Routes that are served at the same time. */
#define MAX_TRANSFERS 16
/* Longest time between two looks at the table, in ms: with and without a transfer under way. */
#define LOOK_SENDING 200
#define LOOK_WAITING 1000
/* Time between two starts of a notifier for the same delivery, in ms: it doubles. */
#define SHORTEST_PAUSE 1000
#define LONGEST_PAUSE 60000
/* Seconds between the end of a try and the next one; no more tries after these. */
static const int delay[] = {10, 60, 5 * 60, 15 * 60};

/* A delivery under way. */
typedef struct Job
{
	EtlDelivery delivery;
	EtlChannel channel;
	MemoryContext context;
} Job;

/* Of the scheduler: when it has last started a notifier, and for which delivery, by the time that it was due. */
static TimestampTz last_start = DT_NOBEGIN;
static TimestampTz started_for = DT_NOEND;
static TimestampTz seen_due = DT_NOEND;
static int start_pause = SHORTEST_PAUSE;

/* first_due returns when the first alert or event of lineage is due; DT_NOEND: there is none. */
static TimestampTz
first_due(void)
{
	TimestampTz alert = etl_alert_delivery_due();
	TimestampTz event = etl_lineage_event_due();

	return Min(alert, event);
}

/* etl_notifier_due says when a notifier has to be started. One that is at work is woken when something is due. */
TimestampTz
etl_notifier_due(void)
{
	TimestampTz due = first_due();

	if (due != DT_NOEND && etl_lock_is_held(ETL_LOCK_NOTIFIER, 0))
	{
		if (due <= GetCurrentTimestamp())
			etl_lock_wake_holder(ETL_LOCK_NOTIFIER, 0);
		return DT_NOEND;
	}
	seen_due = due;
	if (due == DT_NOEND || due != started_for)
		return due;
	/* The last one, started for the same delivery, may not have its lock yet, or could not work. */
	return Max(due, TimestampTzPlusMilliseconds(last_start, start_pause));
}

/* etl_notifier_start starts a notifier. */
bool
etl_notifier_start(void)
{
	if (!etl_bgw_start_notifier())
		return false;
	start_pause = seen_due == started_for ? Min(start_pause * 2, LONGEST_PAUSE) : SHORTEST_PAUSE;
	started_for = seen_due;
	last_start = GetCurrentTimestamp();
	return true;
}

/* begin opens a transaction whose commit waits for the local disk. Ends the process when the extension has changed. */
static void
begin(void)
{
	etl_step_begin();
	if (!etl_extension_current())
		proc_exit(0);
	(void) set_config_option("synchronous_commit", "local", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0,
							 false);
}

/* record stores how a try ended and, where it is worth it, the next one. Inside a transaction. */
static void
record(const EtlDelivery *delivery, const char *state, const char *message, bool again)
{
	if (delivery->event != NULL)
		etl_lineage_event_end(delivery, state, message, again);
	else if (etl_alert_delivery_end(delivery->delivery_id, state, message) && again && delivery->try <= lengthof(delay))
		etl_alert_delivery_again(delivery->delivery_id, delay[delivery->try - 1]);
}

/* finish records a try in a transaction of its own. */
static void
finish(const EtlDelivery *delivery, const char *state, const char *message, bool again)
{
	begin();
	record(delivery, state, message, again);
	etl_step_end();
}

/* adopt ends the tries that a notifier which is gone has left. */
static void
adopt(void)
{
	EtlDelivery *orphan;
	int n;

	begin();
	n = etl_alert_delivery_orphans(&orphan);
	for (int i = 0; i < n; i++)
		record(&orphan[i], "failed", "the notifier ended", true);
	etl_lineage_event_adopt();
	etl_step_end();
}

/* write_log is channel log. */
static void
write_log(const EtlAlert *alert)
{
	ereport(LOG, (errmsg("etl_ext: %s", etl_message_line(alert))));
}

/* prepare makes a job ready; returns what is to be recorded instead when there is nothing to transfer. */
static const char *
prepare(Job *job, char **message)
{
	EtlAlertRoute *route = etl_alert_route_find(job->delivery.route);
	EtlAlert *alert = &job->delivery.alert;

	*message = NULL;
	if (route == NULL)
		*message = "the route does not exist any more";
	else if ((alert->pipeline_id != 0 || alert->contract_id != 0) && !etl_route_may_hear(route, alert))
		*message = "the owner of the route is no member of the pipeline's owner any more";
	if (*message != NULL)
		return "failed";
	if (!route->enabled || route->muted)
	{
		*message = route->muted ? "the route is muted" : "the route is disabled";
		return "muted";
	}
	if (strcmp(route->channel, "log") == 0)
	{
		write_log(alert);
		return "sent";
	}
	etl_channel_prepare(&job->delivery, route, &job->channel);
	*message = (char *) job->channel.problem;
	return *message != NULL ? "failed" : NULL;
}

/* start_job begins one delivery that was claimed. */
static void
start_job(EtlTransferSet *set, Job *job)
{
	char *message;
	const char *state;
	MemoryContext old = MemoryContextSwitchTo(job->context);

	begin();
	/* The request must outlive the transaction. */
	MemoryContextSwitchTo(job->context);
	state = prepare(job, &message);
	if (state != NULL)
		record(&job->delivery, state, message, false);
	etl_step_end();
	MemoryContextSwitchTo(old);
	if (state == NULL)
		etl_transfer_add(set, &job->channel.request, job);
	else
		MemoryContextDelete(job->context);
}

/* start_guarded keeps an error in one delivery away from the others. */
static void
start_guarded(EtlTransferSet *set, Job *job)
{
	MemoryContext caller = CurrentMemoryContext;

	PG_TRY();
	{
		start_job(set, job);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(job->context);
		error = CopyErrorData();
		EmitErrorReport();
		FlushErrorState();
		AbortCurrentTransaction();
		MemoryContextSwitchTo(caller);
		finish(&job->delivery, "failed", error->message, false);
		MemoryContextDelete(job->context);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
}

/* claim_job makes a try that is due into a job; NULL if there is none: next is when the first one is due. */
static Job *
claim_job(TimestampTz *next)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "etl delivery", ALLOCSET_DEFAULT_SIZES);
	Job *job = MemoryContextAllocZero(context, sizeof(Job));

	job->context = context;
	MemoryContextSwitchTo(context);
	begin();
	MemoryContextSwitchTo(context);
	if (!etl_alert_delivery_claim(&job->delivery) && !etl_lineage_event_claim(&job->delivery))
	{
		*next = first_due();
		job = NULL;
	}
	etl_step_end();
	MemoryContextSwitchTo(caller);
	if (job == NULL)
		MemoryContextDelete(context);
	return job;
}

/* end_job records what came of a transfer. */
static void
end_job(const EtlTransferResult *result)
{
	Job *job = result->tag;
	char *words;
	bool again;
	bool delivered = etl_channel_outcome(&job->channel, result, &words, &again);

	finish(&job->delivery, delivered ? "sent" : "failed", words, again);
	MemoryContextDelete(job->context);
}

/* sleep_until waits for a moment, but not long: what is due may be changed. */
static void
sleep_until(TimestampTz next)
{
	long ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), next);

	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, Min(ms, LOOK_WAITING),
					 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
}

/* serve delivers until nothing is left to deliver. */
static void
serve(EtlTransferSet *set)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "etl notifier", ALLOCSET_DEFAULT_SIZES);

	for (;;)
	{
		TimestampTz next = DT_NOBEGIN;
		EtlTransferResult result;
		Job *job = NULL;

		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		MemoryContextReset(context);
		MemoryContextSwitchTo(context);
		while (etl_transfer_count(set) < MAX_TRANSFERS && (job = claim_job(&next)) != NULL)
			start_guarded(set, job);
		if (etl_transfer_count(set) > 0)
		{
			if (etl_transfer_next(set, LOOK_SENDING, &result))
				end_job(&result);
		}
		else if (next == DT_NOEND)
			break;
		else
			sleep_until(next);
		pgstat_report_stat(false);
	}
	MemoryContextSwitchTo(TopMemoryContext);
	MemoryContextDelete(context);
}

/* serve_all is serve with its transfers. */
static void
serve_all(void)
{
	EtlTransferSet *set = etl_transfer_open();

	PG_TRY();
	{
		serve(set);
	}
	PG_FINALLY();
	{
		etl_transfer_close(set);
	}
	PG_END_TRY();
}

/* take_lock makes this process the notifier of the database; false if there is one. */
static bool
take_lock(void)
{
	bool mine;

	begin();
	mine = etl_lock_try(ETL_LOCK_NOTIFIER, 0, true);
	etl_step_end();
	return mine;
}

/* give_lock gives the lock back and says whether something has become due meanwhile. */
static bool
give_lock(void)
{
	bool left;

	begin();
	etl_lock_release(ETL_LOCK_NOTIFIER, 0);
	etl_step_end();
	begin();
	left = first_due() != DT_NOEND;
	etl_step_end();
	return left;
}

/* etl_notifier_main is the worker's entry. */
void
etl_notifier_main(Datum arg)
{
	(void) etl_bgw_begin();
	/* There is no statement to cancel. */
	pqsignal(SIGINT, SIG_IGN);
	while (take_lock())
	{
		adopt();
		serve_all();
		if (!give_lock())
			break;
	}
	proc_exit(0);
}
