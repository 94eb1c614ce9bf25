/*
 * alert_delivery.c
 *		The table etl.alert_delivery: one row per try. States: pending -> sending -> sent or failed; a next try is a row of
 *		its own. Changes are a compare-and-set on the old state.
 */
#include "postgres.h"

#include "catalog/alert_delivery.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* etl_alert_delivery_insert stores the first try of an alert by a route; only one that is pending has not ended. */
void
etl_alert_delivery_insert(const EtlAlert *alert, const EtlAlertRoute *route, const char *state, const char *message)
{
	static EtlStatement insert = {
		.sql = "INSERT INTO etl.alert_delivery (alert_id, route, owner, try, state, due_at, ended_at, message) "
			   "SELECT $1, $2, $3, 1, $4, now.t, CASE WHEN $4 <> 'pending' THEN now.t END, $5 "
			   "FROM (SELECT clock_timestamp() AS t) AS now",
		.nargs = 5,
		.argtype = {INT8OID, TEXTOID, OIDOID, TEXTOID, TEXTOID},
	};
	Datum value[5];
	char null[5] = {' ', ' ', ' ', ' ', ' '};

	value[0] = Int64GetDatum(alert->alert_id);
	value[1] = CStringGetTextDatum(route->name);
	value[2] = ObjectIdGetDatum(route->owner);
	value[3] = CStringGetTextDatum(state);
	value[4] = etl_arg_text(message, &null[4]);
	(void) etl_catalog_call(&insert, value, null, SPI_OK_INSERT);
}

/*
 * etl_alert_delivery_earlier returns the alert that makes another one of the same pipeline and severity superfluous: the
 * route told of it within its suppress, or is about to, and the pipeline has not recovered since. 0: there is none.
 */
int64
etl_alert_delivery_earlier(const EtlAlert *alert, const EtlAlertRoute *route)
{
	static EtlStatement find = {
		.sql = "SELECT a.alert_id FROM etl.alert AS a JOIN etl.alert_delivery AS d USING (alert_id) "
			   "WHERE a.pipeline_id = $1 AND a.severity = $2 AND a.created_at > $3 - $4 AND a.alert_id <> $5 "
			   "AND d.route = $6 AND d.state IN ('pending', 'sending', 'sent') "
			   "AND NOT EXISTS (SELECT FROM etl.alert AS r WHERE r.pipeline_id = $1 AND r.severity = 'recovery' "
			   "AND r.created_at >= a.created_at AND r.alert_id > a.alert_id) "
			   "ORDER BY a.alert_id DESC LIMIT 1",
		.nargs = 6,
		.argtype = {INT8OID, TEXTOID, TIMESTAMPTZOID, INTERVALOID, INT8OID, TEXTOID},
	};
	EtlScope scope;
	int64 earlier = 0;
	Datum value[6];

	value[0] = Int64GetDatum(alert->pipeline_id);
	value[1] = CStringGetTextDatum(alert->severity);
	value[2] = TimestampTzGetDatum(alert->created_at);
	value[3] = IntervalPGetDatum(route->suppress);
	value[4] = Int64GetDatum(alert->alert_id);
	value[5] = CStringGetTextDatum(route->name);
	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&find, value, NULL, SPI_OK_SELECT) > 0)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		earlier = etl_row_int64(&row, "alert_id");
	}
	etl_catalog_end(&scope);
	return earlier;
}

/* etl_alert_delivery_due returns when the first delivery that has not ended is or was due; DT_NOEND: there is none. */
TimestampTz
etl_alert_delivery_due(void)
{
	static EtlStatement find = {
		.sql = "SELECT coalesce(min(due_at), 'infinity') AS due_at FROM etl.alert_delivery "
			   "WHERE state IN ('pending', 'sending')",
	};
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

/* read_delivery fills in a try from a row with the columns of the alert and its pipeline. */
static void
read_delivery(const EtlRow *row, EtlDelivery *delivery)
{
	delivery->delivery_id = etl_row_int64(row, "delivery_id");
	delivery->try = etl_row_int32(row, "try");
	delivery->route = etl_row_text(row, "route");
	delivery->alert.alert_id = etl_row_int64(row, "alert_id");
	delivery->alert.event = etl_row_text(row, "event");
	delivery->alert.severity = etl_row_text(row, "severity");
	delivery->alert.pipeline_id = etl_row_int64(row, "pipeline_id");
	delivery->alert.pipeline = etl_row_text(row, "pipeline");
	delivery->alert.owner = etl_row_oid(row, "owner");
	delivery->alert.tags = etl_row_jsonb(row, "tags");
	delivery->alert.run_id = etl_row_int64(row, "run_id");
	delivery->alert.task_run_id = etl_row_int64(row, "task_run_id");
	delivery->alert.task = etl_row_text(row, "task");
	etl_alert_read_contract(row, &delivery->alert);
	delivery->alert.promise = etl_row_text(row, "promise");
	delivery->alert.message = etl_row_text(row, "message");
	delivery->alert.created_at = etl_row_time(row, "created_at");
}

/*
 * etl_alert_delivery_claim makes a pending try that is due into one that is being sent: the oldest alert of a route that
 * is not sending already, so that a route tells of alerts in their order and one that is slow does not hold up the
 * others. False: there is none.
 */
bool
etl_alert_delivery_claim(EtlDelivery *delivery)
{
	static EtlStatement claim = {
		.sql =
			"WITH first AS (SELECT DISTINCT ON (d.route) d.delivery_id, d.due_at FROM etl.alert_delivery AS d "
			"WHERE d.state = 'pending' AND d.due_at <= $1 AND NOT EXISTS (SELECT FROM etl.alert_delivery AS s "
			"WHERE s.state = 'sending' AND s.route = d.route) ORDER BY d.route, d.alert_id, d.try), "
			"due AS (SELECT delivery_id FROM first ORDER BY due_at, delivery_id LIMIT 1), "
			"claimed AS (UPDATE etl.alert_delivery AS d SET state = 'sending' FROM due "
			"WHERE d.delivery_id = due.delivery_id AND d.state = 'pending' RETURNING d.*) "
			"SELECT c.delivery_id, c.try, c.route, a.alert_id, a.event, a.severity, a.pipeline_id, a.pipeline, "
			"coalesce(p.owner, k.owner)::oid AS owner, coalesce(p.tags, k.tags) AS tags, a.run_id, a.task_run_id, "
			"a.task, "
			"a.promise, a.message, a.created_at, " ETL_ALERT_CONTRACT
			" FROM claimed AS c JOIN etl.alert AS a USING (alert_id) LEFT JOIN etl.pipeline AS p USING (pipeline_id) "
			"LEFT JOIN etl.contract AS k ON k.contract_id = a.contract_id",
		.nargs = 1,
		.argtype = {TIMESTAMPTZOID},
	};
	EtlScope scope;
	bool found;
	Datum value = TimestampTzGetDatum(GetCurrentTimestamp());

	etl_catalog_begin(&scope);
	found = etl_catalog_exec(&claim, &value, NULL, SPI_OK_SELECT) > 0;
	if (found)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		read_delivery(&row, delivery);
	}
	etl_catalog_end(&scope);
	return found;
}

/* etl_alert_delivery_orphans returns the tries that are said to be sending: by a notifier that is gone. */
int
etl_alert_delivery_orphans(EtlDelivery **delivery)
{
	static EtlStatement list = {
		.sql = "SELECT d.delivery_id, d.try FROM etl.alert_delivery AS d WHERE d.state = 'sending' ORDER BY 1",
	};
	EtlScope scope;
	int n;

	etl_catalog_begin(&scope);
	n = (int) etl_catalog_exec(&list, NULL, NULL, SPI_OK_SELECT);
	*delivery = MemoryContextAllocZero(scope.caller, sizeof(EtlDelivery) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		EtlRow row = etl_catalog_row(&scope, i);

		(*delivery)[i].delivery_id = etl_row_int64(&row, "delivery_id");
		(*delivery)[i].try = etl_row_int32(&row, "try");
	}
	etl_catalog_end(&scope);
	return n;
}

/* etl_alert_delivery_end gives a try that was being sent its last state; false when the row is gone. */
bool
etl_alert_delivery_end(int64 delivery_id, const char *state, const char *message)
{
	static EtlStatement update = {
		.sql = "UPDATE etl.alert_delivery SET state = $2, message = $3, ended_at = clock_timestamp() "
			   "WHERE delivery_id = $1 AND state = 'sending'",
		.nargs = 3,
		.argtype = {INT8OID, TEXTOID, TEXTOID},
	};
	Datum value[3];
	char null[3] = {' ', ' ', ' '};

	value[0] = Int64GetDatum(delivery_id);
	value[1] = CStringGetTextDatum(state);
	value[2] = etl_arg_text(message, &null[2]);
	return etl_catalog_call(&update, value, null, SPI_OK_UPDATE) > 0;
}

/* etl_alert_delivery_again stores the try that follows on one that failed, due after some seconds, if the route is there. */
void
etl_alert_delivery_again(int64 delivery_id, int seconds)
{
	static EtlStatement insert = {
		.sql = "INSERT INTO etl.alert_delivery (alert_id, route, owner, try, state, due_at) "
			   "SELECT alert_id, route, owner, try + 1, 'pending', clock_timestamp() + $2 * interval '1 s' "
			   "FROM etl.alert_delivery WHERE delivery_id = $1 AND route IN (SELECT name FROM etl.alert_route)",
		.nargs = 2,
		.argtype = {INT8OID, INT4OID},
	};
	Datum value[2];

	value[0] = Int64GetDatum(delivery_id);
	value[1] = Int32GetDatum(seconds);
	(void) etl_catalog_call(&insert, value, NULL, SPI_OK_INSERT);
}

/*
 * etl_alert_delivery_rename takes the tries of a route along to its new name, but for alerts that a route of that name,
 * which is gone, has tried to deliver before.
 */
void
etl_alert_delivery_rename(const char *route, const char *new_name)
{
	static EtlStatement update = {
		.sql = "UPDATE etl.alert_delivery AS d SET route = $2 WHERE d.route = $1 AND NOT EXISTS "
			   "(SELECT FROM etl.alert_delivery AS o WHERE o.alert_id = d.alert_id AND o.route = $2)",
		.nargs = 2,
		.argtype = {TEXTOID, TEXTOID},
	};
	Datum value[2];

	value[0] = CStringGetTextDatum(route);
	value[1] = CStringGetTextDatum(new_name);
	(void) etl_catalog_call(&update, value, NULL, SPI_OK_UPDATE);
}

/* etl_alert_delivery_drop ends the tries that have not begun of a route that is about to be dropped. */
void
etl_alert_delivery_drop(const char *route)
{
	static EtlStatement update = {
		.sql = "UPDATE etl.alert_delivery SET state = 'failed', message = 'the route was dropped', "
			   "ended_at = clock_timestamp() WHERE route = $1 AND state = 'pending'",
		.nargs = 1,
		.argtype = {TEXTOID},
	};
	Datum value = CStringGetTextDatum(route);

	(void) etl_catalog_call(&update, &value, NULL, SPI_OK_UPDATE);
}
