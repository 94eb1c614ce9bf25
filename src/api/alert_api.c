/*
 * alert_api.c
 *		The SQL functions that define where alerts go.
 */
#include "postgres.h"

#include "access/access.h"
#include "api/args.h"
#include "api/define.h"
#include "catalog/alert_delivery.h"
#include "catalog/audit_log.h"
#include "catalog/lineage_event.h"
#include "miscadmin.h"
#include "notify/alert.h"
#include "notify/route.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(etl_add_alert_route);
PG_FUNCTION_INFO_V1(etl_alter_alert_route);
PG_FUNCTION_INFO_V1(etl_drop_alert_route);
PG_FUNCTION_INFO_V1(etl_mute_alerts);
PG_FUNCTION_INFO_V1(etl_test_alert_route);

/* Settings that alter_alert_route can set back to their default. */
static const char *const resettable[] = {"server", "config", "match", "suppress", "mute_until", "enabled", NULL};

/* etl.add_alert_route(name, channel, ...) RETURNS void */
Datum
etl_add_alert_route(PG_FUNCTION_ARGS)
{
	EtlAlertRoute *route;

	(void) etl_args_required(fcinfo, "name");
	(void) etl_args_required(fcinfo, "channel");
	etl_access_check_create("an alert route");
	route = etl_alert_route_parse(etl_args_object(fcinfo));
	route->owner = GetUserId();
	route->owner_name = GetUserNameFromId(route->owner, false);
	etl_route_check(route);
	etl_alert_route_insert(route);
	PG_RETURN_VOID();
}

/* rename_route gives a route a new name, and takes its deliveries along. Errors: 42710. */
static void
rename_route(EtlAlertRoute *route, const char *new_name)
{
	if (strcmp(new_name, route->name) == 0)
		return;
	if (etl_alert_route_find(new_name) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT), errmsg("alert route \"%s\" already exists", new_name),
				 errdetail("The names of routes are unique in a database."), errhint("Choose another new_name.")));
	etl_alert_delivery_rename(route->name, new_name);
	etl_lineage_event_rename(route->name, new_name);
	route->name = pstrdup(new_name);
}

/* etl.alter_alert_route(name, ...) RETURNS void */
Datum
etl_alter_alert_route(PG_FUNCTION_ARGS)
{
	EtlAlertRoute *old = etl_alert_route_get(etl_args_required(fcinfo, "name"));
	EtlNames reset = etl_args_names(fcinfo, "reset");
	EtlAlertRoute *route;

	for (int i = 0; i < reset.n; i++)
		etl_define_choice("element of reset", reset.name[i], resettable);
	route = etl_alert_route_parse(
		etl_define_overlay(etl_alert_route_definition(old->name), etl_args_object(fcinfo), &reset));
	if (etl_args_text(fcinfo, "new_name") != NULL)
		rename_route(route, etl_args_required(fcinfo, "new_name"));
	etl_route_check(route);
	etl_alert_route_update(old->name, route);
	PG_RETURN_VOID();
}

/* etl.drop_alert_route(name) RETURNS void */
Datum
etl_drop_alert_route(PG_FUNCTION_ARGS)
{
	char *name = etl_args_required(fcinfo, "name");
	EtlAlertRoute *route = etl_access_may_all(GetUserId(), ETL_LEVEL_ADMIN) ? etl_alert_route_find(name) : NULL;

	if (route == NULL)
		route = etl_alert_route_get(name);
	etl_alert_delivery_drop(route->name);
	etl_lineage_event_drop(route->name);
	etl_alert_route_delete(route->name);
	PG_RETURN_VOID();
}

/* etl.mute_alerts(until, route) RETURNS integer */
Datum
etl_mute_alerts(PG_FUNCTION_ARGS)
{
	char *name = etl_args_text(fcinfo, "route");
	Datum until;
	uint64 n;

	if (!etl_args_find(fcinfo, "until", &until))
		until = TimestampTzGetDatum(DT_NOBEGIN);
	n = etl_alert_route_mute(name, GetUserId(), DatumGetTimestampTz(until));
	/* There is no such route, or it is none of the caller's business. */
	if (n == 0 && name != NULL)
		(void) etl_alert_route_get(name);
	PG_RETURN_INT32((int32) n);
}

/* etl.test_alert_route(name) RETURNS bigint */
Datum
etl_test_alert_route(PG_FUNCTION_ARGS)
{
	EtlAlertRoute *route = etl_alert_route_get(etl_args_required(fcinfo, "name"));
	EtlAuditDetail detail[] = {{.name = "route"}};

	if (!route->enabled)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("alert route \"%s\" is disabled", route->name), errdetail("It gets nothing."),
						errhint("etl.alter_alert_route(%s, enabled => true).", quote_literal_cstr(route->name))));
	if (route->muted)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("alert route \"%s\" is muted", route->name),
				 errdetail("Nothing is sent before %s.", timestamptz_to_str(route->mute_until)),
				 errhint("etl.mute_alerts(NULL, %s).", quote_literal_cstr(route->name))));
	detail[0].value = route->name;
	etl_audit_log_insert(GetUserId(), "test_alert_route", NULL, NULL, detail, lengthof(detail));
	PG_RETURN_INT64(etl_alert_test(route));
}
