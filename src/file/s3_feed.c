/*
 * s3_feed.c
 *		The feed of etl_s3 tables. See feed/feed.h.
 */
#include "postgres.h"

#include "feed/feed.h"

/* feed_open refuses. */
static EtlFeed *
feed_open(const EtlFeedRequest *request)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("tables of etl_s3 cannot be read yet")));
}

const EtlFeedRoutine etl_s3_feed = {
	.name = "s3",
	.fdw = "etl_s3",
	.open = feed_open,
};
