/*
 * kafka_feed.c
 *		The feed of etl_kafka tables. See feed/feed.h.
 */
#include "postgres.h"

#include "feed/feed.h"

/* feed_open refuses. */
static EtlFeed *
feed_open(const EtlFeedRequest *request)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("tables of etl_kafka cannot be read yet")));
}

const EtlFeedRoutine etl_kafka_feed = {
	.name = "kafka",
	.fdw = "etl_kafka",
	.open = feed_open,
};
