/*
 * rate_limit.h
 *		etl.rate_limit: when the next request to a server may be sent, over all workers.
 */
#ifndef ETL_RATE_LIMIT_H
#define ETL_RATE_LIMIT_H

#include "datatype/timestamp.h"

/* Reserves n times, interval microseconds apart, and returns the first. In a transaction, which should end at once. */
extern TimestampTz etl_rate_limit_reserve(Oid server, int n, int64 interval);

#endif /* ETL_RATE_LIMIT_H */
