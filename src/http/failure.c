/*
 * failure.c
 *		Why a page could not be had. See failure.h.
 */
#include "postgres.h"

#include "http/failure.h"

/* etl_http_failure_raise raises it. */
void
etl_http_failure_raise(const EtlHttpFailure *failure)
{
	ereport(ERROR, (errcode(failure->sqlstate), errmsg("%s", failure->message),
					failure->detail != NULL ? errdetail("%s", failure->detail) : 0,
					failure->hint != NULL ? errhint("%s", failure->hint) : 0));
}
