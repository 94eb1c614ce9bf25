/*
 * endpoint.h
 *		Foreign servers of the wrappers etl_http and etl_smtp: which there are, who may use them, what their options and those
 *		of the user mapping say. option.c checks the options when they are set.
 */
#ifndef ETL_ENDPOINT_H
#define ETL_ENDPOINT_H

#include "nodes/pg_list.h"

#define ETL_ENDPOINT_HTTP "etl_http"
#define ETL_ENDPOINT_SMTP "etl_smtp"

/* Default of the option timeout, in ms. */
#define ETL_ENDPOINT_TIMEOUT 30000

typedef enum EtlEndpointState
{
	ETL_ENDPOINT_OK,
	ETL_ENDPOINT_MISSING, /* no such server */
	ETL_ENDPOINT_OTHER,	  /* it is of another wrapper */
	ETL_ENDPOINT_DENIED	  /* the role has no USAGE on it */
} EtlEndpointState;

typedef struct EtlEndpoint
{
	Oid server;
	List *server_options;  /* DefElem */
	List *mapping_options; /* of the role's user mapping, or else of that of PUBLIC; secret */
} EtlEndpoint;

/* Looks for a server as a role would use it. Never raises an error for what a user may have done. */
extern EtlEndpointState etl_endpoint_find(const char *name, const char *wrapper, Oid role, EtlEndpoint *endpoint);

/* Reads the user mapping of the role for it, if there is one. */
extern void etl_endpoint_read_mapping(EtlEndpoint *endpoint, Oid role);

/* An option's value, or NULL. */
extern const char *etl_endpoint_option(const List *options, const char *name);

/* The option timeout in ms. */
extern int etl_endpoint_timeout(const EtlEndpoint *endpoint);

/* Reads a time with its unit ('30 s') between 100 ms and 10 min; false: it is none. */
extern bool etl_endpoint_parse_time(const char *text, int *ms);

/* Whether a text is an address for mail, without a name around it. */
extern bool etl_endpoint_is_address(const char *text);

/* Whether url is base_url or below it: the same scheme, host and port, and no way up by "..". */
extern bool etl_endpoint_is_below(const char *url, const char *base_url);

#endif /* ETL_ENDPOINT_H */
