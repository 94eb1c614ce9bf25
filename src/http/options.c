/*
 * options.c
 *		The options of foreign data wrapper etl_http.
 */
#include "postgres.h"

#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "nodes/parsenodes.h"
#include "fmgr.h"
#include "net/endpoint.h"
#include "net/option.h"

PG_FUNCTION_INFO_V1(etl_http_validator);

/* is_url accepts a whole address; that it begins with base_url is checked when it is used. */
static bool
is_url(const char *value)
{
	return strncmp(value, "https://", 8) == 0 || strncmp(value, "http://", 7) == 0;
}

static const EtlOption http_option[] = {
	{"base_url", ForeignServerRelationId, true, etl_option_is_base_url,
	 "It is like https://hooks.example.com/path: a host, perhaps a port and a path, without user, \"?\" and \"#\".",
	 true},
	{"timeout", ForeignServerRelationId, false, etl_option_is_time,
	 "It is a time with its unit between 100 ms and 10 min, such as 30 s."},
	{"url", UserMappingRelationId, false, is_url, "It is a whole address that begins with base_url."},
	{"token", UserMappingRelationId, false, NULL, NULL},
	{"user", UserMappingRelationId, false, NULL, NULL},
	{"password", UserMappingRelationId, false, NULL, NULL},
	{"header_*", UserMappingRelationId, false, NULL, NULL},
	{NULL},
};

/* refuse_header refuses names of headers that decide how a request is read. */
static void
refuse_header(const char *name)
{
	static const char *const fixed[] = {"header_host", "header_content_length", "header_content_type",
										"header_transfer_encoding", "header_connection"};

	for (int i = 0; i < lengthof(fixed); i++)
		if (strcmp(name, fixed[i]) == 0)
			ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME), errmsg("invalid option \"%s\"", name),
							errdetail("This header is set by etl_ext."), errhint("Leave it out.")));
}

/* etl.http_validator(text[], oid) */
Datum
etl_http_validator(PG_FUNCTION_ARGS)
{
	List *given = etl_option_check(http_option, PG_GETARG_DATUM(0), PG_GETARG_OID(1));
	ListCell *lc;

	foreach (lc, given)
		refuse_header(lfirst_node(DefElem, lc)->defname);
	if (PG_GETARG_OID(1) == UserMappingRelationId)
	{
		etl_option_exclude(given, "token", "user", "A request has one Authorization header.",
						   "Give either token, or user and password.");
		etl_option_exclude(given, "token", "password", "A request has one Authorization header.",
						   "Give either token, or user and password.");
	}
	PG_RETURN_VOID();
}
