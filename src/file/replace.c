/*
 * replace.c
 *		file_changed => 'replace': what was read of a file is marked as deleted before its new version is read. See feed.h.
 *
 * The markers are a batch of their own, so that loads see them before the new rows.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/batch.h"
#include "catalog/spi.h"
#include "file/feed.h"
#include "source/raw_map.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

/* list_columns returns the columns of the raw table that are not etl_ext's, each quoted. */
static char *
list_columns(Oid raw)
{
	Relation rel = table_open(raw, AccessShareLock);
	TupleDesc desc = RelationGetDescr(rel);
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < desc->natts; i++)
	{
		const char *name = NameStr(TupleDescAttr(desc, i)->attname);

		if (TupleDescAttr(desc, i)->attisdropped || TupleDescAttr(desc, i)->attgenerated ||
			strcmp(name, ETL_RAW_BATCH) == 0 || strcmp(name, ETL_RAW_LOADED_AT) == 0 || strcmp(name, ETL_RAW_OP) == 0)
			continue;
		appendStringInfo(&list, "%s, ", quote_identifier(name));
	}
	table_close(rel, NoLock);
	return list.data;
}

/* etl_file_replace copies the rows since the last markers of the file. */
int64
etl_file_replace(EtlFileFeed *feed, const char *path)
{
	EtlAttempt *attempt = feed->base.request.attempt;
	const char *raw = attempt->task->target;
	char *columns = list_columns(etl_relation_find(raw));
	char *file = quote_literal_cstr(path);
	EtlBatch batch = {.batch_id = etl_batch_next(),
					  .target = attempt->task->target,
					  .task_id = attempt->task->task_id,
					  .run_id = attempt->run_id,
					  .task_run_id = attempt->task_run_id,
					  .loaded_at = GetCurrentTimestamp()};

	batch.row_count = (int64) etl_sql_exec(
		psprintf("INSERT INTO %s (%s" ETL_RAW_BATCH ", " ETL_RAW_LOADED_AT ", " ETL_RAW_OP ") SELECT %s" INT64_FORMAT
				 ", '%s'::pg_catalog.timestamptz, 'd' FROM %s WHERE _file = %s AND " ETL_RAW_OP
				 " = 'u' AND " ETL_RAW_BATCH " > coalesce((SELECT pg_catalog.max(" ETL_RAW_BATCH
				 ") FROM %s WHERE _file = %s AND " ETL_RAW_OP " = 'd'), 0)",
				 raw, columns, columns, batch.batch_id, timestamptz_to_str(batch.loaded_at), raw, file, raw, file),
		SPI_OK_INSERT);
	if (batch.row_count == 0)
		return 0;
	etl_batch_insert(&batch);
	attempt->counts.deleted += batch.row_count;
	etl_attempt_count(attempt, "deletes", batch.row_count);
	return batch.row_count;
}
