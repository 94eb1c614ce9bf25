/*
 * route_check.c
 *		Checks what is defined: a route has to make sense before an alert needs it. See route.h.
 */
#include "postgres.h"

#include "api/define.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "net/endpoint.h"
#include "notify/route.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#define MAX_RECIPIENTS 50
#define MAX_PREFIX 100
#define MAX_PATH 1000
#define MAX_SUPPRESS_DAYS 365

static const char *const channels[] = {"notify", "webhook", "email", "log", ETL_ROUTE_OPENLINEAGE, NULL};
static const char *const match_keys[] = {"severity", "event", "pipeline", "task", "source",
										 "owner",	 "team",  "tags",	  NULL};
static const char *const severities[] = {"info", "warning", "fail", "deadline", "recovery", NULL};
static const char *const events[] = {"task_failed", "task_stale",	  "task_held",		 "run_failed",
									 "run_warning", "run_cancelled",  "run_skipped",	 "deadline_missed",
									 "recovered",	"schema_changed", "budget_exceeded", "contract_broken",
									 NULL};

/* What each channel needs. */
static const struct
{
	const char *channel;
	const char *wrapper; /* of its server; NULL: it has none */
	const char *const config[4];
} needs[] = {
	{"notify", NULL, {"channel", NULL}},
	{"webhook", ETL_ENDPOINT_HTTP, {"path", NULL}},
	{"email", ETL_ENDPOINT_SMTP, {"to", "from", "subject_prefix", NULL}},
	{"log", NULL, {NULL}},
	{ETL_ROUTE_OPENLINEAGE, ETL_ENDPOINT_HTTP, {"path", "namespace", "dataset_namespace", NULL}},
};

/* refuse raises the error for a setting that is not what it should be. */
static void
refuse(const char *what, const char *detail, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid %s", what), errdetail("%s", detail),
					errhint("%s", hint)));
}

/* list_of returns the strings of a value, which is one or a list of them. Errors: 22023. */
static EtlNames
list_of(const char *what, JsonbValue *value)
{
	EtlNames list = {0, NULL};
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue v;
	bool is_list = value->type == jbvBinary && JsonContainerIsArray(value->val.binary.data);

	list.name = palloc(sizeof(char *) * (is_list ? JsonContainerSize(value->val.binary.data) + 1 : 1));
	if (value->type == jbvString)
		list.name[list.n++] = pnstrdup(value->val.string.val, value->val.string.len);
	else if (is_list)
	{
		it = JsonbIteratorInit(value->val.binary.data);
		while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
		{
			if (token == WJB_ELEM && v.type != jbvString)
				refuse(what, "It has an element that is no text.", "Pass a text or a list of texts.");
			if (token == WJB_ELEM)
				list.name[list.n++] = pnstrdup(v.val.string.val, v.val.string.len);
		}
	}
	else
		refuse(what, "It is neither a text nor a list.", "Pass a text or a list of texts.");
	if (list.n == 0)
		refuse(what, "The list is empty.", "Leave the key out, or name what is meant.");
	return list;
}

/* check_match_value checks one key of match. Errors: 22023, 42704. */
static void
check_match_value(const char *key, JsonbValue *value)
{
	EtlNames list;

	etl_define_choice("key of match", key, match_keys);
	if (strcmp(key, "tags") == 0)
	{
		if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
			refuse("tags of match", "It is no object.", "For example match => '{\"tags\": {\"team\": \"bi\"}}'.");
		return;
	}
	list = list_of(psprintf("%s of match", key), value);
	for (int i = 0; i < list.n; i++)
	{
		if (strcmp(key, "severity") == 0)
			etl_define_choice("severity of match", list.name[i], severities);
		else if (strcmp(key, "event") == 0)
			etl_define_choice("event of match", list.name[i], events);
		else if (strcmp(key, "owner") == 0 && !OidIsValid(get_role_oid(list.name[i], true)))
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("role \"%s\" does not exist", list.name[i]),
							errdetail("It is an owner of match."), errhint("Name roles that own pipelines.")));
	}
}

/* check_config_value checks one setting of config. Errors: 22023. */
static void
check_config_value(const char *channel, const char *key, JsonbValue *value)
{
	for (int i = 0; i < lengthof(needs); i++)
		if (strcmp(needs[i].channel, channel) == 0)
		{
			if (needs[i].config[0] == NULL)
				refuse("config", psprintf("Channel %s has no settings, and \"%s\" was given.", channel, key),
					   "Leave config out.");
			etl_define_choice(psprintf("setting of channel %s", channel), key, needs[i].config);
		}
	if (strcmp(key, "to") == 0)
		(void) list_of("to of config", value);
	else if (value->type != jbvString)
		refuse(psprintf("%s of config", key), "It is no text.", "Pass a text.");
}

/* check_members calls check_match_value or, with a channel, check_config_value for each member of an object. */
static void
check_members(Jsonb *object, const char *channel)
{
	JsonbIterator *it = JsonbIteratorInit(&object->root);
	JsonbIteratorToken token;
	JsonbValue v;

	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		char *key;

		if (token != WJB_KEY)
			continue;
		key = pnstrdup(v.val.string.val, v.val.string.len);
		(void) JsonbIteratorNext(&it, &v, true);
		if (channel != NULL)
			check_config_value(channel, key, &v);
		else
			check_match_value(key, &v);
	}
}

/* check_server finds the server of a route, if it has to have one. Errors: 22023, 42704, 42809, 42501. */
static void
check_server(const EtlAlertRoute *route, const char *wrapper, EtlEndpoint *endpoint)
{
	if (wrapper == NULL && route->server != NULL)
		refuse("server", psprintf("Channel %s needs none.", route->channel), "Leave it out, or reset => '{server}'.");
	if (wrapper == NULL)
		return;
	if (route->server == NULL)
		refuse("server", psprintf("Channel %s needs one, and none was given.", route->channel),
			   psprintf("CREATE SERVER ... FOREIGN DATA WRAPPER %s, then pass server => 'its name'.", wrapper));
	switch (etl_endpoint_find(route->server, wrapper, route->owner, endpoint))
	{
		case ETL_ENDPOINT_OK:
			break;
		case ETL_ENDPOINT_MISSING:
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("server \"%s\" does not exist", route->server),
							errdetail("It was named as server of alert route \"%s\".", route->name),
							errhint("CREATE SERVER %s FOREIGN DATA WRAPPER %s OPTIONS (...).",
									quote_identifier(route->server), wrapper)));
			break;
		case ETL_ENDPOINT_OTHER:
			ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
							errmsg("server \"%s\" is not for channel %s", route->server, route->channel),
							errdetail("It belongs to another foreign data wrapper."),
							errhint("Name a server of FOREIGN DATA WRAPPER %s.", wrapper)));
			break;
		case ETL_ENDPOINT_DENIED:
			ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
							errmsg("permission denied for server \"%s\"", route->server),
							errdetail("Role \"%s\", who owns the route, may not use it.", route->owner_name),
							errhint("GRANT USAGE ON FOREIGN SERVER %s TO %s.", quote_identifier(route->server),
									quote_identifier(route->owner_name))));
			break;
	}
}

/* check_mail checks the settings of channel email together. Errors: 22023. */
static void
check_mail(const EtlAlertRoute *route, const EtlEndpoint *endpoint)
{
	EtlNames to = etl_route_list(route, "to");
	char *from = etl_route_text(route, "from");
	char *prefix = etl_route_text(route, "subject_prefix");

	if (to.n == 0 || to.n > MAX_RECIPIENTS)
		refuse("to of config", psprintf("It has %d addresses.", to.n),
			   psprintf("Name 1 to %d, as in config => '{\"to\": [\"oncall@example.com\"]}'.", MAX_RECIPIENTS));
	for (int i = 0; i < to.n; i++)
		if (!etl_endpoint_is_address(to.name[i]))
			refuse("to of config", psprintf("\"%s\" is no address.", to.name[i]), "Write it like oncall@example.com.");
	if (from != NULL && !etl_endpoint_is_address(from))
		refuse("from of config", psprintf("\"%s\" is no address.", from), "Write it like etl@example.com.");
	if (from == NULL && etl_endpoint_option(endpoint->server_options, "from") == NULL)
		refuse("from of config", "Neither config nor the server says who sends.",
			   "Add \"from\" to config, or ALTER SERVER ... OPTIONS (ADD from '...').");
	for (const char *c = prefix; c != NULL && *c != '\0'; c++)
		if ((unsigned char) *c < ' ' || *c == '\x7f')
			refuse("subject_prefix of config", "It contains a control character.", "Leave out ends of lines and tabs.");
	if (prefix != NULL && strlen(prefix) > MAX_PREFIX)
		refuse("subject_prefix of config", psprintf("It has %d bytes.", (int) strlen(prefix)),
			   psprintf("Use at most %d.", MAX_PREFIX));
}

/* check_lineage checks the settings of channel openlineage together: its events are no alerts. */
static void
check_lineage(const EtlAlertRoute *route)
{
	static const char *const no_key[] = {"severity", "event"};
	static const char *const name[] = {"namespace", "dataset_namespace"};

	for (int i = 0; i < lengthof(no_key); i++)
		if (getKeyJsonValueFromContainer(&route->match->root, no_key[i], strlen(no_key[i]), NULL) != NULL)
			refuse("match", psprintf("Channel openlineage gets events of lineage, which have no %s.", no_key[i]),
				   "Use the keys pipeline, task, owner and tags.");
	for (int i = 0; i < lengthof(name); i++)
	{
		const char *value = etl_route_text(route, name[i]);

		if (value != NULL && (value[0] == '\0' || strlen(value) > MAX_PATH))
			refuse(psprintf("%s of config", name[i]), psprintf("It has %d bytes.", (int) strlen(value)),
				   psprintf("Use 1 to %d.", MAX_PATH));
	}
}

/* check_channel checks the settings of a route's channel together. Errors: 22023. */
static void
check_channel(const EtlAlertRoute *route, const EtlEndpoint *endpoint)
{
	char *channel = etl_route_text(route, "channel");
	char *path = etl_route_text(route, "path");

	if (channel != NULL && (channel[0] == '\0' || strlen(channel) > ETL_ROUTE_CHANNEL_MAX))
		refuse("channel of config", psprintf("It has %d bytes.", (int) strlen(channel)),
			   psprintf("Use 1 to %d.", ETL_ROUTE_CHANNEL_MAX));
	if (path != NULL && (path[0] != '/' || strlen(path) > MAX_PATH || !etl_endpoint_is_below(path, "")))
		refuse("path of config", psprintf("It is \"%s\".", path),
			   "It begins with \"/\" and has no spaces, no \"#\" and no \"..\"; write other characters as %XX.");
	if (strcmp(route->channel, "email") == 0)
		check_mail(route, endpoint);
	if (strcmp(route->channel, ETL_ROUTE_OPENLINEAGE) == 0)
		check_lineage(route);
}

/* etl_route_check checks all settings of a route as its owner. */
void
etl_route_check(const EtlAlertRoute *route)
{
	Interval zero = {0};
	Interval longest = {.day = MAX_SUPPRESS_DAYS};
	Datum suppress = IntervalPGetDatum(route->suppress);
	EtlEndpoint endpoint = {0};

	if (strlen(route->name) > 128)
		ereport(ERROR, (errcode(ERRCODE_NAME_TOO_LONG), errmsg("the name of the alert route is too long"),
						errdetail("It has %d bytes.", (int) strlen(route->name)), errhint("Use at most 128.")));
	etl_define_choice("channel", route->channel, channels);
	if (DatumGetInt32(DirectFunctionCall2(interval_cmp, suppress, IntervalPGetDatum(&zero))) < 0 ||
		DatumGetInt32(DirectFunctionCall2(interval_cmp, suppress, IntervalPGetDatum(&longest))) > 0)
		refuse("suppress", psprintf("It is %s.", DatumGetCString(DirectFunctionCall1(interval_out, suppress))),
			   psprintf("It must be 0 or more and at most %d days.", MAX_SUPPRESS_DAYS));
	check_members(route->match, NULL);
	check_members(route->config, route->channel);
	for (int i = 0; i < lengthof(needs); i++)
		if (strcmp(needs[i].channel, route->channel) == 0)
			check_server(route, needs[i].wrapper, &endpoint);
	check_channel(route, &endpoint);
}
