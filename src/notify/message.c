/*
 * message.c
 *		An alert as text for people and as JSON for programs. See message.h.
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "notify/message.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/timestamp.h"

/* etl_message_event says what happened, in words. */
const char *
etl_message_event(const char *event)
{
	static const char *const words[][2] = {
		{"task_failed", "task failed"},
		{"task_stale", "source not read, earlier rows are used"},
		{"task_held", "task held back: the server went down each time it ran"},
		{"run_failed", "run failed"},
		{"run_warning", "run ended with warnings"},
		{"run_cancelled", "run cancelled"},
		{"run_skipped", "run skipped"},
		{"deadline_missed", "deadline missed"},
		{"recovered", "recovered"},
		{"schema_changed", "source has other columns"},
		{"budget_exceeded", "budget"},
		{"contract_broken", "promise of a source broken"},
		{"test", "test of an alert route"},
	};

	for (int i = 0; i < lengthof(words); i++)
		if (strcmp(words[i][0], event) == 0)
			return words[i][1];
	return event;
}

/* etl_message_clip cuts a text to at most limit bytes between two characters. */
char *
etl_message_clip(const char *text, int limit)
{
	int length = strlen(text);

	if (length <= limit)
		return pstrdup(text);
	length = pg_mbcliplen(text, length, Max(limit - 3, 0));
	return psprintf("%.*s...", length, text);
}

/* flatten puts a space where a line ends or anything else is that is not printed. */
static char *
flatten(char *text)
{
	for (char *c = text; *c != '\0'; c++)
		if ((unsigned char) *c < ' ' || *c == '\x7f')
			*c = ' ';
	return text;
}

/* append_subject adds what the alert is about. */
static void
append_subject(StringInfo out, const EtlAlert *alert, bool run)
{
	appendStringInfo(out, "[%s] ", alert->severity);
	if (alert->pipeline != NULL)
		appendStringInfo(out, "pipeline %s", alert->pipeline);
	if (alert->task != NULL)
		appendStringInfo(out, ", task %s", alert->task);
	if (alert->source != NULL)
		appendStringInfo(out, "source %s", alert->source);
	if (run && alert->run_id != 0)
		appendStringInfo(out, ", run " INT64_FORMAT, alert->run_id);
	appendStringInfo(out, "%s%s", alert->pipeline || alert->source ? ": " : "", etl_message_event(alert->event));
}

/* etl_message_subject returns severity, pipeline, task and event in one line. */
char *
etl_message_subject(const EtlAlert *alert)
{
	StringInfoData out;

	initStringInfo(&out);
	append_subject(&out, alert, false);
	return flatten(out.data);
}

/* etl_message_line returns the whole alert in one paragraph. */
char *
etl_message_line(const EtlAlert *alert)
{
	StringInfoData out;

	initStringInfo(&out);
	append_subject(&out, alert, true);
	appendStringInfo(&out, ": %s (database %s, alert " INT64_FORMAT ")", alert->message,
					 get_database_name(MyDatabaseId), alert->alert_id);
	return flatten(out.data);
}

/*
 * slack_text returns the paragraph with the three characters escaped by which Slack finds links and mentions: what is in
 * an error message must not call a whole channel.
 */
static char *
slack_text(const EtlAlert *alert)
{
	StringInfoData out;

	initStringInfo(&out);
	for (const char *c = etl_message_line(alert); *c != '\0'; c++)
	{
		if (*c == '&')
			appendStringInfoString(&out, "&amp;");
		else if (*c == '<')
			appendStringInfoString(&out, "&lt;");
		else if (*c == '>')
			appendStringInfoString(&out, "&gt;");
		else
			appendStringInfoChar(&out, *c);
	}
	return out.data;
}

/* append_text adds a member of an object; NULL is null. */
static void
append_text(StringInfo out, const char *name, const char *value)
{
	appendStringInfo(out, "%s\"%s\": ", out->len > 1 ? ", " : "", name);
	if (value != NULL)
		escape_json(out, value);
	else
		appendStringInfoString(out, "null");
}

/* append_number adds a number; 0 is null. */
static void
append_number(StringInfo out, const char *name, int64 value)
{
	appendStringInfo(out, "%s\"%s\": ", out->len > 1 ? ", " : "", name);
	if (value != 0)
		appendStringInfo(out, INT64_FORMAT, value);
	else
		appendStringInfoString(out, "null");
}

/* append_time adds a time in UTC as ISO 8601 writes it. */
static void
append_time(StringInfo out, const char *name, TimestampTz value)
{
	struct pg_tm tm;
	fsec_t fsec;
	int tz;

	if (timestamp2tm(value, &tz, &tm, &fsec, NULL, pg_tzset("UTC")) != 0)
		append_text(out, name, NULL);
	else
		append_text(out, name,
					psprintf("%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year, tm.tm_mon, tm.tm_mday, tm.tm_hour,
							 tm.tm_min, tm.tm_sec, (int) fsec));
}

/* make_json returns the object. */
static char *
make_json(const EtlAlert *alert, bool text, bool tags)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	if (text)
		append_text(&out, "text", slack_text(alert));
	append_number(&out, "alert_id", alert->alert_id);
	append_text(&out, "event", alert->event);
	append_text(&out, "severity", alert->severity);
	append_text(&out, "pipeline", alert->pipeline);
	append_number(&out, "run_id", alert->run_id);
	append_text(&out, "task", alert->task);
	if (alert->contract_id != 0)
	{
		append_text(&out, "source", alert->source);
		append_text(&out, "promise", alert->promise);
		append_text(&out, "team", alert->team);
		append_text(&out, "contact", alert->contact);
	}
	append_text(&out, "message", alert->message);
	append_time(&out, "created_at", alert->created_at);
	append_text(&out, "database", get_database_name(MyDatabaseId));
	appendStringInfo(&out, ", \"tags\": %s}",
					 tags && alert->tags ? JsonbToCString(NULL, &alert->tags->root, VARSIZE(alert->tags)) : "{}");
	return out.data;
}

/* etl_message_json returns the alert as an object of at most limit bytes: tags and the end of the message go first. */
char *
etl_message_json(const EtlAlert *alert, bool text, int limit)
{
	EtlAlert shorter = *alert;
	char *json = make_json(alert, text, true);

	if (limit > 0 && strlen(json) > limit)
		json = make_json(alert, text, false);
	for (int length = strlen(alert->message); limit > 0 && strlen(json) > limit && length > 0;)
	{
		length = length / 2;
		shorter.message = etl_message_clip(alert->message, length);
		json = make_json(&shorter, text, false);
	}
	return json;
}

/* etl_message_lineage returns an event of OpenLineage without datasets, of a run that is numbered by the alert. */
char *
etl_message_lineage(const EtlAlert *alert, const char *namespace)
{
	StringInfoData out;
	uint64 ms = (alert->created_at / 1000) +
				INT64CONST(1000) * SECS_PER_DAY * (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE);

	initStringInfo(&out);
	appendStringInfoString(&out, "{\"eventType\": \"OTHER\"");
	append_time(&out, "eventTime", alert->created_at);
	append_text(&out, "producer", "urn:etl_ext:" ETL_VERSION);
	append_text(&out, "schemaURL", "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent");
	appendStringInfo(&out, ", \"run\": {\"runId\": \"%08x-%04x-7000-8000-%012llx\"}", (uint32) (ms >> 16),
					 (uint32) (ms & 0xFFFF), (unsigned long long) alert->alert_id & UINT64CONST(0xFFFFFFFFFFFF));
	appendStringInfoString(&out, ", \"job\": {");
	appendStringInfoString(&out, "\"namespace\": ");
	escape_json(&out, namespace ? namespace : get_database_name(MyDatabaseId));
	append_text(&out, "name", "etl_ext.test");
	appendStringInfoString(&out, "}, \"inputs\": [], \"outputs\": []}");
	return out.data;
}
