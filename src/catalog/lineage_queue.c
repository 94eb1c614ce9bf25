/*
 * lineage_queue.c
 *		The table etl.lineage_event: how events get to their receivers. See lineage_event.h.
 *
 * The events of a route are a queue: the first that has not ended is sent, and sent again when that may help, while the others wait.
 * A receiver may be away for a day; what is older is tried once more and then given up.
 */
#include "postgres.h"

#include "catalog/lineage_event.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* etl_lineage_event_due returns when the first event of any route is or was due; DT_NOEND: there is none. */
TimestampTz
etl_lineage_event_due(void)
{
	static EtlStatement find = {"SELECT coalesce(min(due_at), 'infinity') AS due_at FROM (SELECT DISTINCT ON (route) "
								"due_at FROM etl.lineage_event "
								"WHERE state IN ('pending', 'sending') ORDER BY route, event_id) AS head",
								0,
								{0}};
	EtlScope scope;
	EtlRow row;
	TimestampTz due;

	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&find, NULL, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	due = etl_row_time(&row, "due_at");
	etl_catalog_end(&scope);
	return due;
}

/* etl_lineage_event_claim makes the first event of a route, if it is due, into one that is being sent. False: there is none. */
bool
etl_lineage_event_claim(EtlDelivery *delivery)
{
	static EtlStatement claim = {
		"WITH head AS (SELECT DISTINCT ON (route) event_id, due_at, state FROM etl.lineage_event "
		"  WHERE state IN ('pending', 'sending') ORDER BY route, event_id), "
		"due AS (SELECT event_id FROM head WHERE state = 'pending' AND due_at <= $1 ORDER BY due_at, event_id LIMIT "
		"1), "
		"claimed AS (UPDATE etl.lineage_event AS e SET state = 'sending' FROM due "
		"  WHERE e.event_id = due.event_id AND e.state = 'pending' RETURNING e.*) "
		"SELECT c.event_id, c.try, c.route, c.body::text AS body, c.pipeline_id, p.name AS pipeline, p.owner::oid AS "
		"owner, "
		"c.created_at FROM claimed AS c LEFT JOIN etl.pipeline AS p USING (pipeline_id)",
		1,
		{TIMESTAMPTZOID}};
	EtlScope scope;
	bool found;
	Datum value = TimestampTzGetDatum(GetCurrentTimestamp());

	etl_catalog_begin(&scope);
	found = etl_catalog_exec(&claim, &value, NULL, SPI_OK_SELECT) > 0;
	if (found)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		delivery->delivery_id = etl_row_int64(&row, "event_id");
		delivery->try = etl_row_int32(&row, "try");
		delivery->route = etl_row_text(&row, "route");
		delivery->event = etl_row_text(&row, "body");
		delivery->alert.pipeline_id = etl_row_int64(&row, "pipeline_id");
		delivery->alert.pipeline = etl_row_text(&row, "pipeline");
		delivery->alert.owner = etl_row_oid(&row, "owner");
		delivery->alert.created_at = etl_row_time(&row, "created_at");
	}
	etl_catalog_end(&scope);
	return found;
}

/* etl_lineage_event_adopt gives back what a notifier which is gone was sending. */
void
etl_lineage_event_adopt(void)
{
	static EtlStatement update = {"UPDATE etl.lineage_event SET state = 'pending', try = try + 1, "
								  "message = 'the notifier ended', due_at = clock_timestamp() WHERE state = 'sending'",
								  0,
								  {0}};

	(void) etl_catalog_call(&update, NULL, NULL, SPI_OK_UPDATE);
}

/* forget_sent deletes a few events of a route that were sent long ago. */
static void
forget_sent(const char *route)
{
	static EtlStatement forget = {
		"DELETE FROM etl.lineage_event WHERE event_id IN (SELECT event_id FROM etl.lineage_event WHERE route = $1 "
		"AND state NOT IN ('pending', 'sending') AND ended_at < clock_timestamp() - interval '7 days' "
		"ORDER BY event_id LIMIT 10)",
		1,
		{TEXTOID}};
	Datum value = CStringGetTextDatum(route);

	(void) etl_catalog_call(&forget, &value, NULL, SPI_OK_DELETE);
}

/* etl_lineage_event_end records how a try ended: the event has ended, or waits for its next try. */
void
etl_lineage_event_end(const EtlDelivery *delivery, const char *state, const char *message, bool again)
{
	static EtlStatement update = {
		"UPDATE etl.lineage_event AS e SET state = n.state, message = $3, "
		"try = try + CASE WHEN n.state = 'pending' THEN 1 ELSE 0 END, "
		"ended_at = CASE WHEN n.state <> 'pending' THEN clock_timestamp() END, "
		"due_at = CASE WHEN n.state <> 'pending' THEN due_at ELSE clock_timestamp() + "
		"  CASE try WHEN 1 THEN interval '10 s' WHEN 2 THEN interval '1 min' WHEN 3 THEN interval '5 min' "
		"  ELSE interval '15 min' END END "
		"FROM (SELECT CASE WHEN $4 AND x.created_at > clock_timestamp() - interval '1 day' "
		"  AND x.route IN (SELECT name FROM etl.alert_route) THEN 'pending' ELSE $2 END AS state "
		"  FROM etl.lineage_event AS x WHERE x.event_id = $1) AS n "
		"WHERE e.event_id = $1 AND e.state = 'sending'",
		4,
		{INT8OID, TEXTOID, TEXTOID, BOOLOID}};
	Datum value[4];
	char null[4] = {' ', ' ', ' ', ' '};

	value[0] = Int64GetDatum(delivery->delivery_id);
	value[1] = CStringGetTextDatum(state);
	value[2] = etl_arg_text(message, &null[2]);
	value[3] = BoolGetDatum(again);
	(void) etl_catalog_call(&update, value, null, SPI_OK_UPDATE);
	forget_sent(delivery->route);
}

/* etl_lineage_event_rename takes the events of a route along to its new name. */
void
etl_lineage_event_rename(const char *route, const char *new_name)
{
	static EtlStatement update = {"UPDATE etl.lineage_event SET route = $2 WHERE route = $1", 2, {TEXTOID, TEXTOID}};
	Datum value[2];

	value[0] = CStringGetTextDatum(route);
	value[1] = CStringGetTextDatum(new_name);
	(void) etl_catalog_call(&update, value, NULL, SPI_OK_UPDATE);
}

/* etl_lineage_event_drop ends the events that wait for a route that is about to be dropped. */
void
etl_lineage_event_drop(const char *route)
{
	static EtlStatement update = {"UPDATE etl.lineage_event SET state = 'failed', message = 'the route was dropped', "
								  "ended_at = clock_timestamp() WHERE route = $1 AND state = 'pending'",
								  1,
								  {TEXTOID}};
	Datum value = CStringGetTextDatum(route);

	(void) etl_catalog_call(&update, &value, NULL, SPI_OK_UPDATE);
}
