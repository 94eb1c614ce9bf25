/*
 * file_feed.c
 *		The feed of etl_file tables. See feed/feed.h.
 */
#include "postgres.h"

#include "feed/feed.h"

/* feed_open refuses. */
static EtlFeed *
feed_open(const EtlFeedRequest *request)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("tables of etl_file cannot be read yet")));
}

const EtlFeedRoutine etl_file_feed = {
	.name = "file",
	.fdw = "etl_file",
	.open = feed_open,
};
