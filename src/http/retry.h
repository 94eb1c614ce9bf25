/*
 * retry.h
 *		What an answer means: it is good, the same may be asked again in a moment, or that is why it cannot be had. Pure.
 */
#ifndef ETL_HTTP_RETRY_H
#define ETL_HTTP_RETRY_H

#include "http/failure.h"
#include "http/table.h"
#include "net/transfer.h"

/* Requests for the same page in an attempt. */
#define ETL_HTTP_MOST_TRIES 4

/* Longest that an API may ask to wait within an attempt, in ms; more is left to the task's retry_delays. */
#define ETL_HTTP_LONGEST_WAIT 60000

typedef enum EtlHttpVerdict
{
	ETL_HTTP_GOOD,
	ETL_HTTP_AGAIN, /* after *delay ms */
	ETL_HTTP_RENEW, /* the token was refused */
	ETL_HTTP_FAILED /* *failure says why */
} EtlHttpVerdict;

/* tries: how often it was asked. In the current memory context. */
extern EtlHttpVerdict etl_http_retry_judge(const EtlHttpTable *table, const EtlTransferRequest *request,
										   const EtlTransferResult *result, int tries, int *delay,
										   EtlHttpFailure **failure);

/* What the header Retry-After says, in ms from now; -1: nothing. Pure but for the clock. */
extern int64 etl_http_retry_after(const char *value);

#endif /* ETL_HTTP_RETRY_H */
