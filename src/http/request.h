/*
 * request.h
 *		The request for a page: address, parameters, body, headers. Without what proves who we are: see auth.h.
 */
#ifndef ETL_HTTP_REQUEST_H
#define ETL_HTTP_REQUEST_H

#include "http/bounds.h"
#include "http/parent.h"
#include "net/transfer.h"

/* Which page. */
typedef struct EtlHttpPosition
{
	int parent;
	int64 number; /* of the page, or records before it */
	char *cursor; /* or the address of the page; NULL: the first one */
} EtlHttpPosition;

/* Fills in the request, in the current memory context. Errors: HV00D, HV000 for an address that is not below base_url. */
extern void etl_http_request_build(const EtlHttpTable *table, const EtlHttpBounds *bounds,
								   const EtlHttpParents *parents, const EtlHttpPosition *position,
								   EtlTransferRequest *request);

/* Adds a parameter to an address. */
extern char *etl_http_request_add(const char *url, const char *name, const char *value);

/* An address without a parameter. */
extern char *etl_http_request_remove(const char *url, const char *name);

/* The address for people: no secrets in it. */
extern char *etl_http_request_show(const EtlHttpTable *table, const char *url);

#endif /* ETL_HTTP_REQUEST_H */
