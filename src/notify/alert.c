/*
 * alert.c
 *		Raising alerts, all in the current transaction. See alert.h.
 *
 * What a route gets is decided here, once: pending (the notifier sends it), sent (channel notify, whose message is part of
 * the transaction), muted or suppressed.
 */
#include "postgres.h"

#include "catalog/alert_delivery.h"
#include "commands/async.h"
#include "miscadmin.h"
#include "notify/alert.h"
#include "notify/message.h"
#include "notify/route.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

/* Longest message that is stored, and longest payload of NOTIFY, which PostgreSQL limits to 7999, in bytes. */
#define MESSAGE_LIMIT 4000
#define PAYLOAD_LIMIT 7900

/* Fill of the server's queue of notifications above which none is added: a full one would roll the transaction back. */
#define QUEUE_LIMIT 0.9

/* Names and severities of the events, in the order of EtlAlertEvent. */
static const struct
{
	const char *name;
	const char *severity;
} kind[] = {
	{"task_failed", "fail"},		{"task_stale", "warning"},
	{"task_held", "fail"},			{"run_failed", "fail"},
	{"run_warning", "warning"},		{"run_cancelled", "warning"},
	{"run_skipped", "info"},		{"deadline_missed", "deadline"},
	{"recovered", "recovery"},		{"schema_changed", "warning"},
	{"budget_exceeded", "warning"}, {"budget_exceeded", "fail"},
	{"contract_broken", "warning"}, {"test", "info"},
};

/* send_notify adds a NOTIFY to the transaction. Returns the state of the delivery and, if it failed, why. */
static const char *
send_notify(const EtlAlert *alert, const EtlAlertRoute *route, const char **message)
{
	char *channel = etl_route_text(route, "channel");
	FmgrInfo flinfo = {0};
	LOCAL_FCINFO(fcinfo, 0);

	if (channel == NULL)
		channel = ETL_ROUTE_CHANNEL;
	*message = psprintf("NOTIFY %s", quote_identifier(channel));
	InitFunctionCallInfoData(*fcinfo, &flinfo, 0, InvalidOid, NULL, NULL);
	if (channel[0] == '\0' || strlen(channel) > ETL_ROUTE_CHANNEL_MAX)
		*message = "the channel has no valid name";
	else if (DatumGetFloat8(pg_notification_queue_usage(fcinfo)) > QUEUE_LIMIT)
		*message = "the server's queue of notifications is full";
	else
	{
		Async_Notify(channel, etl_message_json(alert, false, PAYLOAD_LIMIT));
		return "sent";
	}
	return "failed";
}

/* is_repeatable says whether an alert may be left out when the route has told of the same lately. */
static bool
is_repeatable(const EtlAlert *alert)
{
	return alert->pipeline_id != 0 && strcmp(alert->severity, "recovery") != 0;
}

/* give hands an alert to a route that wants it. */
static void
give(const EtlAlert *alert, const EtlAlertRoute *route)
{
	const char *state = "pending";
	const char *message = NULL;
	int64 earlier;

	if (route->muted)
	{
		state = "muted";
		message = psprintf("the route is muted until %s", timestamptz_to_str(route->mute_until));
	}
	else if (is_repeatable(alert) && (earlier = etl_alert_delivery_earlier(alert, route)) != 0)
	{
		state = "suppressed";
		message = psprintf("alert " INT64_FORMAT " told of the same pipeline and severity less than %s before", earlier,
						   DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(route->suppress))));
	}
	else if (strcmp(route->channel, "notify") == 0)
		state = send_notify(alert, route, &message);
	etl_alert_delivery_insert(alert, route, state, message);
	if (strcmp(state, "pending") == 0)
		etl_route_wake();
}

/* raise_alert stores an alert and gives it to the routes that want it. */
static void
raise_alert(EtlAlertEvent event, EtlAlert *alert, const char *message)
{
	EtlAlertRoute **route;
	int n;

	alert->event = kind[event].name;
	if (alert->severity == NULL)
		alert->severity = kind[event].severity;
	if (message == NULL)
		message = alert->message ? alert->message : etl_message_event(alert->event);
	alert->message = etl_message_clip(message, MESSAGE_LIMIT);
	etl_alert_insert(alert);
	n = etl_alert_route_list(&route);
	for (int i = 0; i < n; i++)
		if (strcmp(route[i]->channel, ETL_ROUTE_OPENLINEAGE) != 0 && etl_route_wants(route[i], alert))
			give(alert, route[i]);
}

/* etl_alert_task raises an alert about an attempt. */
void
etl_alert_task(EtlAlertEvent event, int64 task_run_id, const char *message)
{
	EtlAlert alert = {0};

	if (etl_alert_of_task(task_run_id, &alert))
		raise_alert(event, &alert, message);
}

/* etl_alert_run raises an alert about a run. */
void
etl_alert_run(EtlAlertEvent event, int64 run_id, const char *message)
{
	EtlAlert alert = {0};

	if (!etl_alert_of_run(run_id, &alert))
		return;
	if (event == ETL_ALERT_DEADLINE_MISSED && message == NULL && alert.deadline != NULL)
		message = psprintf("the run was to be done by %s", alert.deadline);
	raise_alert(event, &alert, message);
}

/* etl_alert_recovered tells those who were told of a failure that the pipeline works again. */
void
etl_alert_recovered(int64 run_id)
{
	EtlAlert alert = {0};
	TimestampTz since;
	int64 n;

	if (!etl_alert_of_run(run_id, &alert))
		return;
	n = etl_alert_close(alert.pipeline_id, &since);
	if (n > 0)
		raise_alert(ETL_ALERT_RECOVERED, &alert,
					psprintf("the run ended well after " INT64_FORMAT " alert%s, the first of them at %s", n,
							 n == 1 ? "" : "s", timestamptz_to_str(since)));
}

/* etl_alert_budget raises an alert that belongs to no pipeline: the end of a run does not close it, nor does another hold it back. */
void
etl_alert_budget(const EtlBudgetAlert *budget)
{
	EtlAlert alert = {
		.budget = budget->name,
		.pipeline = budget->pipeline,
		.owner = budget->owner,
		.tags = budget->tags,
	};

	raise_alert(budget->is_exceeded ? ETL_ALERT_BUDGET_EXCEEDED : ETL_ALERT_BUDGET_WARNING, &alert,
				psprintf("budget \"%s\": %s", budget->name, budget->message));
}

/* etl_alert_contract raises an alert about a promise. */
void
etl_alert_contract(EtlAlertEvent event, int64 contract_id, const char *promise, const char *severity, int64 run_id,
				   const char *message)
{
	EtlAlert alert = {0};

	if (!etl_alert_of_contract(contract_id, &alert))
		return;
	alert.promise = unconstify(char *, promise);
	alert.severity = severity;
	alert.run_id = run_id;
	raise_alert(event, &alert, message);
}

/* etl_alert_test raises an alert that only one route gets and returns its number. */
int64
etl_alert_test(const EtlAlertRoute *route)
{
	EtlAlert alert = {
		.event = kind[ETL_ALERT_TEST].name,
		.severity = kind[ETL_ALERT_TEST].severity,
		.message = psprintf("this is a test of the alert route \"%s\"", route->name),
	};

	etl_alert_insert(&alert);
	give(&alert, route);
	return alert.alert_id;
}
