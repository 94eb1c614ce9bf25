/*
 * endpoint.c
 *		Foreign servers of the wrappers etl_http and etl_smtp. See endpoint.h.
 */
#include "postgres.h"

#include "commands/defrem.h"
#include "compat.h"
#include "foreign/foreign.h"
#include "net/endpoint.h"
#include "net/option.h"
#include "utils/syscache.h"

#define SHORTEST_TIME 100
#define LONGEST_TIME 600000

/* etl_endpoint_find looks for a server as a role would use it. */
EtlEndpointState
etl_endpoint_find(const char *name, const char *wrapper, Oid role, EtlEndpoint *endpoint)
{
	ForeignServer *server = GetForeignServerByName(name, true);

	memset(endpoint, 0, sizeof(*endpoint));
	if (server == NULL)
		return ETL_ENDPOINT_MISSING;
	if (strcmp(GetForeignDataWrapper(server->fdwid)->fdwname, wrapper) != 0)
		return ETL_ENDPOINT_OTHER;
	if (etl_compat_server_aclcheck(server->serverid, role, ACL_USAGE) != ACLCHECK_OK)
		return ETL_ENDPOINT_DENIED;
	endpoint->server = server->serverid;
	endpoint->server_options = server->options;
	return ETL_ENDPOINT_OK;
}

/* etl_endpoint_read_mapping reads the user mapping of the role for it, or else that of PUBLIC, if there is one. */
void
etl_endpoint_read_mapping(EtlEndpoint *endpoint, Oid role)
{
	Datum server = ObjectIdGetDatum(endpoint->server);

	if (SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(role), server) ||
		SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid), server))
		endpoint->mapping_options = GetUserMapping(role, endpoint->server)->options;
}

/* etl_endpoint_option returns an option's value, or NULL. */
const char *
etl_endpoint_option(const List *options, const char *name)
{
	ListCell *lc;

	foreach (lc, options)
	{
		DefElem *option = lfirst_node(DefElem, lc);

		if (strcmp(option->defname, name) == 0)
			return defGetString(option);
	}
	return NULL;
}

/* etl_endpoint_timeout returns the option timeout in ms. */
int
etl_endpoint_timeout(const EtlEndpoint *endpoint)
{
	const char *text = etl_endpoint_option(endpoint->server_options, "timeout");
	int ms;

	return text != NULL && etl_endpoint_parse_time(text, &ms) ? ms : ETL_ENDPOINT_TIMEOUT;
}

/* etl_endpoint_parse_time knows the limits. */
bool
etl_endpoint_parse_time(const char *text, int *ms)
{
	return etl_option_parse_time(text, SHORTEST_TIME, LONGEST_TIME, ms);
}

/* etl_endpoint_is_address says whether a text is an address for mail. */
bool
etl_endpoint_is_address(const char *text)
{
	const char *at = strchr(text, '@');

	for (const char *c = text; *c != '\0'; c++)
		if (*c <= ' ' || *c >= '\x7f' || strchr("<>()[]\\,;:\"", *c) != NULL)
			return false;
	return at != NULL && at != text && at[1] != '\0' && strchr(at + 1, '@') == NULL && strlen(text) <= 254;
}

/* is_dots says whether a part of a path of this length leads to itself or up: ".", "..", and the same in %2e. */
static bool
is_dots(const char *part, int length)
{
	int dots = 0;

	for (int i = 0; i < length; dots++)
	{
		if (part[i] == '.')
			i++;
		else if (length - i >= 3 && pg_strncasecmp(part + i, "%2e", 3) == 0)
			i += 3;
		else
			return false;
	}
	return dots > 0;
}

/* etl_endpoint_is_below says whether url is base_url or below it. */
bool
etl_endpoint_is_below(const char *url, const char *base_url)
{
	int length = strlen(base_url);
	const char *rest = url + length;

	if (strncmp(url, base_url, length) != 0)
		return false;
	if (*rest != '\0' && *rest != '/' && *rest != '?' && (length == 0 || base_url[length - 1] != '/'))
		return false;
	for (const char *c = url; *c != '\0'; c++)
		if (*c <= ' ' || *c >= '\x7f' || *c == '#' || *c == '\\')
			return false;
	while (*rest != '\0' && *rest != '?')
	{
		int part = strcspn(rest, "/?");

		if (is_dots(rest, part))
			return false;
		rest += part;
		if (*rest == '/')
			rest++;
	}
	return true;
}
