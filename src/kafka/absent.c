/*
 * absent.c
 *		What takes the place of the feed of etl_kafka tables in a build without librdkafka (WITH_KAFKA=0): all objects are
 *		there, so that a dump can be restored, and a read says what is missing.
 */
#include "postgres.h"

#include "feed/feed.h"

/* refuse raises the error. */
static void
pg_attribute_noreturn() refuse(const EtlSource *source)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("tables of etl_kafka cannot be read"),
					errdetail("This etl_ext was built without librdkafka; the table is %s.", source->name),
					errhint("Install a build that was made with WITH_KAFKA=1, which is the default.")));
}

/* absent_open refuses a read. */
static EtlFeed *
absent_open(const EtlFeedRequest *request)
{
	refuse(request->source);
}

/* absent_define refuses an extract. */
static void
absent_define(EtlTask *task, const EtlSource *source)
{
	refuse(source);
}

const EtlFeedRoutine etl_kafka_feed = {
	.name = "kafka",
	.fdw = "etl_kafka",
	.keep_bad = true,
	.open = absent_open,
	.define = absent_define,
};
