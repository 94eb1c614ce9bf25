/*
 * stub.c
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

/* stub_open refuses a read. */
static EtlFeed *
stub_open(const EtlFeedRequest *request)
{
	refuse(request->source);
}

/* stub_define refuses an extract. */
static void
stub_define(EtlTask *task, const EtlSource *source)
{
	refuse(source);
}

const EtlFeedRoutine etl_kafka_feed = {
	.name = "kafka",
	.fdw = "etl_kafka",
	.keep_bad = true,
	.open = stub_open,
	.define = stub_define,
};
