/*
 * replace.c
 *		file_changed => 'replace': what was read of a file is marked as deleted before its new version is read. See feed.h.
 *
 * The markers are a batch of their own, so that loads see them before the new rows.
 */
#include "postgres.h"

#include "file/feed.h"
#include "source/raw_map.h"
#include "source/raw_marker.h"
#include "source/relation.h"
#include "utils/builtins.h"

/* etl_file_replace copies the rows since the last markers of the file. */
int64
etl_file_replace(EtlFileFeed *feed, const char *path)
{
	EtlAttempt *attempt = feed->base.request.attempt;
	const char *raw = attempt->task->target;
	char *file = quote_literal_cstr(path);
	EtlBatch batch;

	etl_attempt_begin_batch(attempt, &batch);
	(void) etl_raw_marker_append(&batch, etl_raw_marker_columns(etl_relation_find(raw)),
								 psprintf("%s WHERE _file = %s AND " ETL_RAW_OP " = 'u' AND " ETL_RAW_BATCH
										  " > coalesce((SELECT pg_catalog.max(" ETL_RAW_BATCH
										  ") FROM %s WHERE _file = %s AND " ETL_RAW_OP " = 'd'), 0)",
										  raw, file, raw, file),
								 'd');
	if (batch.row_count == 0)
		return 0;
	etl_batch_insert(&batch);
	attempt->counts.deleted += batch.row_count;
	etl_attempt_count(attempt, "deletes", batch.row_count);
	return batch.row_count;
}
