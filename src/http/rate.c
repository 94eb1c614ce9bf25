/*
 * rate.c
 *		The rate limit of a server. See rate.h.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/rate_limit.h"
#include "http/rate.h"
#include "utils/timestamp.h"

/* Times that are reserved together: those of a quarter of a second, and at most so many. */
#define MOST_RESERVED 10
#define RESERVED_TIME (USECS_PER_SEC / 4)

/* etl_http_rate_begin has none reserved. */
void
etl_http_rate_begin(const EtlHttpTable *table, EtlHttpRate *rate)
{
	rate->server = table->server;
	rate->interval = table->rate > 0 ? (int64) (USECS_PER_SEC / table->rate) : 0;
	rate->next = 0;
	rate->reserved = 0;
}

/* reserve takes times out of the table, in a transaction of its own. */
static void
reserve(EtlHttpRate *rate)
{
	int n = (int) Max(Min(RESERVED_TIME / Max(rate->interval, 1), MOST_RESERVED), 1);
	MemoryContext context = CurrentMemoryContext;

	StartTransactionCommand();
	rate->next = etl_rate_limit_reserve(rate->server, n, rate->interval);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	rate->reserved = n;
}

/* etl_http_rate_take takes a time, if it has come. */
int
etl_http_rate_take(EtlHttpRate *rate)
{
	TimestampTz now;

	if (rate->interval == 0)
		return 0;
	if (rate->reserved == 0 && !IsTransactionState())
		reserve(rate);
	now = GetCurrentTimestamp();
	if (rate->next > now)
		return (int) ((rate->next - now + 999) / 1000);
	if (rate->reserved > 0)
	{
		rate->reserved--;
		rate->next += rate->interval;
	}
	else
		rate->next = now + rate->interval;
	return 0;
}
