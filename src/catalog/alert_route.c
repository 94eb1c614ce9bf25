/*
 * alert_route.c
 *		The table etl.alert_route.
 */
#include "postgres.h"

#include "access/access.h"
#include "catalog/alert_route.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* Columns with defaults get them here, so that a definition may leave them out. */
#define ROUTE_COLUMNS                                                                                                  \
	"r.name, r.channel, r.server, coalesce(r.config, '{}') AS config, coalesce(r.match, '{}') AS match, "              \
	"coalesce(r.suppress, '1 h') AS suppress, r.mute_until, coalesce(r.mute_until > clock_timestamp(), false) AS "     \
	"muted, coalesce(r.enabled, true) AS enabled, r.owner::oid AS owner, r.owner::text AS owner_name"

/* read_route makes the struct from a row of ROUTE_COLUMNS. */
static EtlAlertRoute *
read_route(const EtlRow *row)
{
	EtlAlertRoute *route = MemoryContextAllocZero(row->context, sizeof(EtlAlertRoute));

	route->name = etl_row_text(row, "name");
	route->channel = etl_row_text(row, "channel");
	route->server = etl_row_text(row, "server");
	route->config = etl_row_jsonb(row, "config");
	route->match = etl_row_jsonb(row, "match");
	route->suppress = etl_row_interval(row, "suppress");
	route->mute_until = etl_row_time(row, "mute_until");
	route->muted = etl_row_bool(row, "muted");
	route->enabled = etl_row_bool(row, "enabled");
	route->owner = etl_row_oid(row, "owner");
	route->owner_name = etl_row_text(row, "owner_name");
	return route;
}

/* find_route returns the route of that name or NULL. */
static EtlAlertRoute *
find_route(EtlStatement *statement, const char *name)
{
	EtlScope scope;
	EtlAlertRoute *route = NULL;
	Datum value = CStringGetTextDatum(name);

	etl_catalog_begin(&scope);
	if (etl_catalog_exec(statement, &value, NULL, SPI_OK_SELECT) > 0)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		route = read_route(&row);
	}
	etl_catalog_end(&scope);
	return route;
}

/* etl_alert_route_find returns the route of that name or NULL. */
EtlAlertRoute *
etl_alert_route_find(const char *name)
{
	static EtlStatement find = {"SELECT " ROUTE_COLUMNS " FROM etl.alert_route AS r WHERE r.name = $1", 1, {TEXTOID}};

	return find_route(&find, name);
}

/*
 * etl_alert_route_get returns the route of that name for a caller who wants to use or change it, locked against other
 * changes. Errors: 42704 if there is none, 42501 if the caller is no member of its owner.
 */
EtlAlertRoute *
etl_alert_route_get(const char *name)
{
	static EtlStatement lock = {
		"SELECT " ROUTE_COLUMNS " FROM etl.alert_route AS r WHERE r.name = $1 FOR NO KEY UPDATE", 1, {TEXTOID}};
	EtlAlertRoute *route = find_route(&lock, name);

	if (route == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("alert route \"%s\" does not exist", name),
						errdetail("Names are compared letter by letter, upper and lower case differ."),
						errhint("SELECT name FROM etl.alert_route lists the routes; etl.add_alert_route makes one.")));
	if (!has_privs_of_role(GetUserId(), route->owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied for alert route \"%s\"", name),
				 errdetail("It belongs to role \"%s\".", route->owner_name),
				 errhint("Ask for membership in that role, or make a route of your own.")));
	return route;
}

/* etl_alert_route_parse makes the struct from a definition: an object with the columns of etl.alert_route. */
EtlAlertRoute *
etl_alert_route_parse(Jsonb *definition)
{
	static EtlStatement parse = {
		"SELECT " ROUTE_COLUMNS " FROM jsonb_populate_record(NULL::etl.alert_route, $1) AS r", 1, {JSONBOID}};
	EtlScope scope;
	EtlAlertRoute *route;
	EtlRow row;
	Datum value = JsonbPGetDatum(definition);

	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&parse, &value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	route = read_route(&row);
	etl_catalog_end(&scope);
	return route;
}

/* etl_alert_route_definition returns a route's row as an object. */
Jsonb *
etl_alert_route_definition(const char *name)
{
	static EtlStatement get = {
		"SELECT to_jsonb(r) AS definition FROM etl.alert_route AS r WHERE name = $1", 1, {TEXTOID}};
	EtlScope scope;
	EtlRow row;
	Jsonb *definition;
	Datum value = CStringGetTextDatum(name);

	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&get, &value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	definition = etl_row_jsonb(&row, "definition");
	etl_catalog_end(&scope);
	return definition;
}

/* etl_alert_route_list returns all routes by name, also those that are muted or disabled, and their number. */
int
etl_alert_route_list(EtlAlertRoute ***route)
{
	static EtlStatement list = {"SELECT " ROUTE_COLUMNS " FROM etl.alert_route AS r ORDER BY r.name", 0, {0}};
	EtlScope scope;
	int n;

	etl_catalog_begin(&scope);
	n = (int) etl_catalog_exec(&list, NULL, NULL, SPI_OK_SELECT);
	*route = MemoryContextAlloc(scope.caller, sizeof(EtlAlertRoute *) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		EtlRow row = etl_catalog_row(&scope, i);

		(*route)[i] = read_route(&row);
	}
	etl_catalog_end(&scope);
	return n;
}

/* route_arguments fills the arguments that INSERT and UPDATE share. */
static void
route_arguments(const EtlAlertRoute *route, Datum *value, char *null)
{
	value[0] = etl_arg_text(route->name, &null[0]);
	value[1] = etl_arg_text(route->channel, &null[1]);
	value[2] = etl_arg_text(route->server, &null[2]);
	value[3] = etl_arg_pointer(route->config, &null[3]);
	value[4] = etl_arg_pointer(route->match, &null[4]);
	value[5] = etl_arg_pointer(route->suppress, &null[5]);
	value[6] = TimestampTzGetDatum(route->mute_until);
	value[7] = BoolGetDatum(route->enabled);
	value[8] = ObjectIdGetDatum(route->owner);
	null[6] = TIMESTAMP_IS_NOBEGIN(route->mute_until) ? 'n' : ' ';
	null[7] = null[8] = ' ';
}

/* etl_alert_route_insert stores a new route. Errors: 42710 when the name is taken. */
void
etl_alert_route_insert(const EtlAlertRoute *route)
{
	static EtlStatement insert = {
		"INSERT INTO etl.alert_route (name, channel, server, config, match, suppress, mute_until, enabled, owner) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (name) DO NOTHING",
		9,
		{TEXTOID, TEXTOID, TEXTOID, JSONBOID, JSONBOID, INTERVALOID, TIMESTAMPTZOID, BOOLOID, OIDOID}};
	Datum value[9];
	char null[9];

	route_arguments(route, value, null);
	if (etl_catalog_call(&insert, value, null, SPI_OK_INSERT) == 0)
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT), errmsg("alert route \"%s\" already exists", route->name),
						errdetail("The names of routes are unique in a database."),
						errhint("etl.alter_alert_route changes it, etl.drop_alert_route removes it.")));
}

/* etl_alert_route_update stores all settings of the route that is called name so far. */
void
etl_alert_route_update(const char *name, const EtlAlertRoute *route)
{
	static EtlStatement update = {
		"UPDATE etl.alert_route SET name = $1, channel = $2, server = $3, config = $4, match = $5, suppress = $6, "
		"mute_until = $7, enabled = $8, owner = $9, updated_at = now() WHERE name = $10",
		10,
		{TEXTOID, TEXTOID, TEXTOID, JSONBOID, JSONBOID, INTERVALOID, TIMESTAMPTZOID, BOOLOID, OIDOID, TEXTOID}};
	Datum value[10];
	char null[10];

	route_arguments(route, value, null);
	value[9] = etl_arg_text(name, &null[9]);
	(void) etl_catalog_call(&update, value, null, SPI_OK_UPDATE);
}

/*
 * etl_alert_route_mute lets the routes of one name (NULL: all that the role may mute) send nothing before a moment;
 * DT_NOBEGIN: they send again. An operator mutes the routes that tell of nothing but his pipelines. Returns their number.
 */
uint64
etl_alert_route_mute(const char *name, Oid role, TimestampTz until)
{
	static EtlStatement update = {
		"UPDATE etl.alert_route AS r SET mute_until = nullif($1, '-infinity'), updated_at = now() "
		"WHERE ($2 IS NULL OR r.name = $2) AND (pg_has_role($3, r.owner::oid, 'USAGE') OR $4 "
		"OR r.match ? 'pipeline' AND NOT EXISTS (SELECT FROM jsonb_array_elements_text("
		"  CASE jsonb_typeof(r.match->'pipeline') WHEN 'array' THEN r.match->'pipeline' "
		"  ELSE jsonb_build_array(r.match->'pipeline') END) AS n (name) "
		"  WHERE NOT EXISTS (SELECT FROM etl.pipeline AS p WHERE p.name = n.name AND p.pipeline_id = ANY ($5))))",
		5,
		{TIMESTAMPTZOID, TEXTOID, OIDOID, BOOLOID, INT8ARRAYOID}};
	Datum value[5];
	char null[5] = {' ', ' ', ' ', ' ', ' '};

	value[0] = TimestampTzGetDatum(until);
	value[1] = etl_arg_text(name, &null[1]);
	value[2] = ObjectIdGetDatum(role);
	value[3] = BoolGetDatum(etl_access_may_all(role, ETL_LEVEL_OPERATOR));
	value[4] = PointerGetDatum(etl_role_grant_pipelines(role, ETL_LEVEL_OPERATOR));
	return etl_catalog_call(&update, value, null, SPI_OK_UPDATE);
}

/* etl_alert_route_delete removes a route. */
void
etl_alert_route_delete(const char *name)
{
	static EtlStatement delete = {"DELETE FROM etl.alert_route WHERE name = $1", 1, {TEXTOID}};
	Datum value = CStringGetTextDatum(name);

	(void) etl_catalog_call(&delete, &value, NULL, SPI_OK_DELETE);
}
