/*
 * route.c
 *		Which alerts a route wants, and what its config says. See route.h; route_check.c checks what is defined.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "notify/route.h"
#include "utils/acl.h"
#include "postmaster/bgworker.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "worker/wake.h"

/* etl_route_wake wakes the scheduler. It is a worker itself, and looks then. */
void
etl_route_wake(void)
{
	if (MyBgworkerEntry != NULL)
		SetLatch(MyLatch);
	else
		etl_wake_at_commit();
}

/* find_member returns a member of an object, or NULL. */
static JsonbValue *
find_member(Jsonb *object, const char *name)
{
	JsonbValue key = {.type = jbvString, .val.string = {.val = (char *) name, .len = strlen(name)}};

	if (!JB_ROOT_IS_OBJECT(object))
		return NULL;
	return findJsonbValueFromContainer(&object->root, JB_FOBJECT, &key);
}

/* is_string says whether a value is this string. */
static bool
is_string(const JsonbValue *value, const char *string)
{
	return value->type == jbvString && value->val.string.len == strlen(string) &&
		   memcmp(value->val.string.val, string, value->val.string.len) == 0;
}

/* has_string says whether a value is this string, or a list with it. */
static bool
has_string(const JsonbValue *value, const char *string)
{
	JsonbValue key = {.type = jbvString};

	if (string == NULL)
		return false;
	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
		return is_string(value, string);
	key.val.string.val = (char *) string;
	key.val.string.len = strlen(string);
	return findJsonbValueFromContainer(value->val.binary.data, JB_FARRAY, &key) != NULL;
}

/* has_tags says whether the pipeline has all tags that are asked for. */
static bool
has_tags(const JsonbValue *value, Jsonb *tags)
{
	JsonbIterator *have;
	JsonbIterator *want;

	if (tags == NULL || value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
		return false;
	have = JsonbIteratorInit(&tags->root);
	want = JsonbIteratorInit(value->val.binary.data);
	return JsonbDeepContains(&have, &want);
}

/* team_of returns the team of a contract, or the tag "team" of a pipeline; NULL: none. */
static const char *
team_of(const EtlAlert *alert)
{
	JsonbValue *value;

	if (alert->contract_id != 0 || alert->tags == NULL)
		return alert->team;
	value = find_member(alert->tags, "team");
	if (value == NULL || value->type != jbvString)
		return NULL;
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/* etl_route_may_hear says whether the owner of a route may hear of an alert. */
bool
etl_route_may_hear(const EtlAlertRoute *route, const EtlAlert *alert)
{
	if (has_privs_of_role(route->owner, alert->owner))
		return true;
	for (int i = 0; i < alert->reader.n; i++)
		if (has_privs_of_role(route->owner, (Oid) strtoul(alert->reader.name[i], NULL, 10)))
			return true;
	return false;
}

/* etl_route_wants says whether a route wants an alert and its owner may hear of it. */
bool
etl_route_wants(const EtlAlertRoute *route, const EtlAlert *alert)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue v;

	if (!route->enabled || !etl_route_may_hear(route, alert) || !JB_ROOT_IS_OBJECT(route->match))
		return false;
	it = JsonbIteratorInit(&route->match->root);
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		char *key;
		bool wanted;

		if (token != WJB_KEY)
			continue;
		key = pnstrdup(v.val.string.val, v.val.string.len);
		(void) JsonbIteratorNext(&it, &v, true);
		if (strcmp(key, "severity") == 0)
			wanted = has_string(&v, alert->severity);
		else if (strcmp(key, "event") == 0)
			wanted = has_string(&v, alert->event);
		else if (strcmp(key, "pipeline") == 0)
			wanted = has_string(&v, alert->pipeline);
		else if (strcmp(key, "task") == 0)
			wanted = has_string(&v, alert->task);
		else if (strcmp(key, "source") == 0)
			wanted = has_string(&v, alert->source);
		else if (strcmp(key, "team") == 0)
			wanted = has_string(&v, team_of(alert));
		else if (strcmp(key, "owner") == 0)
			wanted = has_string(&v, GetUserNameFromId(alert->owner, true));
		else
			wanted = strcmp(key, "tags") == 0 && has_tags(&v, alert->tags);
		if (!wanted)
			return false;
	}
	return true;
}

/* etl_route_text returns a member of config that is a string, or NULL. */
char *
etl_route_text(const EtlAlertRoute *route, const char *name)
{
	JsonbValue *value = find_member(route->config, name);

	if (value == NULL || value->type != jbvString)
		return NULL;
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/* etl_route_list returns the strings of a member of config that is a list of them, or one. */
EtlNames
etl_route_list(const EtlAlertRoute *route, const char *name)
{
	EtlNames list = {0, NULL};
	JsonbValue *value = find_member(route->config, name);
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue v;

	if (value == NULL)
		return list;
	if (value->type != jbvBinary)
	{
		list.name = palloc(sizeof(char *));
		if (value->type == jbvString)
			list.name[list.n++] = pnstrdup(value->val.string.val, value->val.string.len);
		return list;
	}
	list.name = palloc(sizeof(char *) * Max(JsonContainerSize(value->val.binary.data), 1));
	it = JsonbIteratorInit(value->val.binary.data);
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
		if (token == WJB_ELEM && v.type == jbvString)
			list.name[list.n++] = pnstrdup(v.val.string.val, v.val.string.len);
	return list;
}
