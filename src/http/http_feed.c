/*
 * http_feed.c
 *		The feed of etl_http tables. See feed/feed.h.
 */
#include "postgres.h"

#include "feed/feed.h"

/* feed_open refuses. */
static EtlFeed *
feed_open(const EtlFeedRequest *request)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("tables of etl_http cannot be read yet")));
}

const EtlFeedRoutine etl_http_feed = {
	.name = "http",
	.fdw = "etl_http",
	.open = feed_open,
};
