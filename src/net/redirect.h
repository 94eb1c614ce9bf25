/*
 * redirect.h
 *		Redirections of HTTP, followed one by one and only where that is safe; libcurl follows none.
 *
 * Only GET is followed, only to http and https, never from https to http, and every hop is checked against
 * etl.allowed_hosts like any transfer. Where scheme, host or port change, nothing goes along that could be a secret: no
 * user, and of the headers only those that say what kind of answer is wanted.
 */
#ifndef ETL_REDIRECT_H
#define ETL_REDIRECT_H

#include "net/transfer.h"

/* Most redirections of one request, unless an option says otherwise. */
#define ETL_REDIRECT_MOST 5

/*
 * Whether an answer leads elsewhere; then next is the request to send, in the current memory context. Errors: HV000 for an
 * address that is not followed.
 */
extern bool etl_redirect_follow(const EtlTransferRequest *request, const EtlTransferResult *result,
								EtlTransferRequest *next);

/* The absolute address that reference means where base is; NULL: it is none of HTTP, or has a user in it. */
extern char *etl_redirect_resolve(const char *base, const char *reference);

/* Whether two addresses have the same scheme, host and port. */
extern bool etl_redirect_is_same(const char *one, const char *other);

/* Refuses to go on after so many redirections; HV000. */
extern void etl_redirect_refuse_more(const EtlTransferRequest *request, int most) pg_attribute_noreturn();

/* scheme://host:port of an address, for messages: without path and query, which may hold secrets. */
extern char *etl_redirect_origin(const char *url);

#endif /* ETL_REDIRECT_H */
