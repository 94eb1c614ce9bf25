/*
 * rate.h
 *		The rate limit of a server. Where no transaction is open, times are reserved in etl.rate_limit, a few at a time, so
 *		that all workers together keep to it; within a transaction (SELECT, inline) this process alone does.
 */
#ifndef ETL_HTTP_RATE_H
#define ETL_HTTP_RATE_H

#include "http/table.h"

typedef struct EtlHttpRate
{
	Oid server;
	int64 interval; /* microseconds between two requests; 0: no limit */
	TimestampTz next;
	int reserved; /* times from next on that are ours */
} EtlHttpRate;

extern void etl_http_rate_begin(const EtlHttpTable *table, EtlHttpRate *rate);

/* ms until a request may be sent; 0: now, and then it counts as sent. */
extern int etl_http_rate_take(EtlHttpRate *rate);

#endif /* ETL_HTTP_RATE_H */
