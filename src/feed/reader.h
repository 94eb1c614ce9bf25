/*
 * reader.h
 *		An extract over a feed.
 */
#ifndef ETL_FEED_READER_H
#define ETL_FEED_READER_H

#include "feed/feed.h"
#include "format/input.h"
#include "source/extract_run.h"
#include "source/reader.h"

extern const EtlReaderRoutine etl_http_reader;
extern const EtlReaderRoutine etl_s3_reader;
extern const EtlReaderRoutine etl_file_reader;
extern const EtlReaderRoutine etl_kafka_reader;

/* Whether bad records are put aside in an extract. */
extern bool etl_feed_keeps_bad(const EtlTask *task, const EtlFeedRoutine *routine);

/* What a feed is opened with, from what an extract asks a reader for; as the current user. */
extern EtlFeedRequest etl_feed_request(const EtlReadRequest *request, const EtlFeedRoutine *routine);

#endif /* ETL_FEED_READER_H */
