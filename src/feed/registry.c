/*
 * registry.c
 *		Which feed serves the tables of which wrapper. See feed.h.
 */
#include "postgres.h"

#include "feed/feed.h"

static const EtlFeedRoutine *const feeds[] = {&etl_http_feed, &etl_s3_feed, &etl_file_feed, &etl_kafka_feed};

/* etl_feed_find looks the wrapper up. */
const EtlFeedRoutine *
etl_feed_find(const char *fdw)
{
	for (int i = 0; fdw && i < lengthof(feeds); i++)
		if (strcmp(feeds[i]->fdw, fdw) == 0)
			return feeds[i];
	return NULL;
}
