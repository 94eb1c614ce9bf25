/*
 * smtp_options.c
 *		The options of foreign data wrapper etl_smtp: mail servers for alerts.
 */
#include "postgres.h"

#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "fmgr.h"
#include "net/endpoint.h"
#include "net/option.h"

PG_FUNCTION_INFO_V1(etl_smtp_validator);

/* is_tls knows the three ways. */
static bool
is_tls(const char *value)
{
	static const char *const words[] = {"starttls", "tls", "none", NULL};

	return etl_option_is_one_of(value, words);
}

static const EtlOption smtp_option[] = {
	{"host", ForeignServerRelationId, true, etl_option_is_host, "It is the name or the address of a mail server."},
	{"port", ForeignServerRelationId, false, etl_option_is_port, "It is a number between 1 and 65535."},
	{"tls", ForeignServerRelationId, false, is_tls, "It is one of: starttls, tls, none."},
	{"from", ForeignServerRelationId, false, etl_endpoint_is_address, "It is an address like etl@example.com."},
	{"timeout", ForeignServerRelationId, false, etl_option_is_time,
	 "It is a time with its unit between 100 ms and 10 min, such as 30 s."},
	{"user", UserMappingRelationId, false, NULL, NULL},
	{"password", UserMappingRelationId, false, NULL, NULL},
	{NULL},
};

/* etl.smtp_validator(text[], oid) */
Datum
etl_smtp_validator(PG_FUNCTION_ARGS)
{
	(void) etl_option_check(smtp_option, PG_GETARG_DATUM(0), PG_GETARG_OID(1));
	PG_RETURN_VOID();
}
