/*
 * http_progress.c
 *		etl.http_progress. See http_progress.h.
 */
#include "postgres.h"

#include "catalog/http_progress.h"
#include "catalog/pg_type_d.h"
#include "catalog/spi.h"
#include "errors.h"
#include "utils/timestamp.h"

/* etl_http_progress_get reads the row. */
void
etl_http_progress_get(int64 task_id, EtlHttpProgress *progress)
{
	static EtlStatement statement = {
		"SELECT version, run_id, full_refresh, unfinished, request, parent, page_number, page_cursor, record, "
		"page_hash,"
		" received, pages, highest, etag, last_modified FROM etl.http_progress WHERE task_id = $1",
		1,
		{INT8OID}};
	Datum value = Int64GetDatum(task_id);
	EtlScope scope;

	memset(progress, 0, sizeof(*progress));
	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&statement, &value, NULL, SPI_OK_SELECT) > 0)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		progress->version = etl_row_int64(&row, "version");
		progress->run_id = etl_row_int64(&row, "run_id");
		progress->full_refresh = etl_row_bool(&row, "full_refresh");
		progress->unfinished = etl_row_bool(&row, "unfinished");
		progress->request = etl_row_text(&row, "request");
		progress->parent = etl_row_text(&row, "parent");
		progress->page_number = etl_row_int64(&row, "page_number");
		progress->page_cursor = etl_row_text(&row, "page_cursor");
		progress->record = etl_row_int64(&row, "record");
		progress->page_hash = etl_row_text(&row, "page_hash");
		progress->received = etl_row_int64(&row, "received");
		progress->pages = etl_row_int32(&row, "pages");
		progress->highest = etl_row_text(&row, "highest");
		progress->etag = etl_row_text(&row, "etag");
		progress->last_modified = etl_row_text(&row, "last_modified");
	}
	etl_catalog_end(&scope);
}

/* etl_http_progress_store inserts or updates the row. */
void
etl_http_progress_store(int64 task_id, EtlHttpProgress *progress)
{
#define COLUMNS                                                                                                        \
	"run_id, full_refresh, unfinished, request, parent, page_number, page_cursor, record, page_hash, received, pages," \
	" highest, etag, last_modified, updated_at"
#define TYPES                                                                                                          \
	{                                                                                                                  \
		INT8OID, INT8OID, INT8OID, BOOLOID, BOOLOID, TEXTOID, TEXTOID, INT8OID, TEXTOID, INT8OID, TEXTOID, INT8OID,    \
			INT4OID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID                                                         \
	}
	static EtlStatement insert = {"INSERT INTO etl.http_progress (task_id, version, " COLUMNS
								  ") VALUES ($1, $2 + 1, $3, $4, $5, $6, $7, $8, $9,"
								  " $10, $11, $12, $13, $14, $15, $16, $17) ON CONFLICT (task_id) DO NOTHING",
								  17, TYPES};
	static EtlStatement update = {"UPDATE etl.http_progress SET (version, " COLUMNS
								  ") = ROW ($2 + 1, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,"
								  " $13, $14, $15, $16, $17) WHERE task_id = $1 AND version = $2",
								  17, TYPES};
	Datum value[17];
	char null[] = "                 ";
	bool is_new = progress->version == 0;

	value[0] = Int64GetDatum(task_id);
	value[1] = Int64GetDatum(progress->version);
	value[2] = Int64GetDatum(progress->run_id);
	value[3] = BoolGetDatum(progress->full_refresh);
	value[4] = BoolGetDatum(progress->unfinished);
	value[5] = etl_arg_text(progress->request, &null[5]);
	value[6] = etl_arg_text(progress->parent, &null[6]);
	value[7] = Int64GetDatum(progress->page_number);
	value[8] = etl_arg_text(progress->page_cursor, &null[8]);
	value[9] = Int64GetDatum(progress->record);
	value[10] = etl_arg_text(progress->page_hash, &null[10]);
	value[11] = Int64GetDatum(progress->received);
	value[12] = Int32GetDatum(progress->pages);
	value[13] = etl_arg_text(progress->highest, &null[13]);
	value[14] = etl_arg_text(progress->etag, &null[14]);
	value[15] = etl_arg_text(progress->last_modified, &null[15]);
	value[16] = TimestampTzGetDatum(GetCurrentTimestamp());
	if (etl_catalog_call(is_new ? &insert : &update, value, null, is_new ? SPI_OK_INSERT : SPI_OK_UPDATE) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_ETL_STALE_ATTEMPT), errmsg("attempt no longer reads its API and may not commit"),
				 errdetail("Another attempt has moved its row in etl.http_progress.")));
	progress->version++;
#undef COLUMNS
#undef TYPES
}

/* etl_http_progress_delete removes the row. */
void
etl_http_progress_delete(int64 task_id)
{
	static EtlStatement statement = {"DELETE FROM etl.http_progress WHERE task_id = $1", 1, {INT8OID}};
	Datum value = Int64GetDatum(task_id);

	(void) etl_catalog_call(&statement, &value, NULL, SPI_OK_DELETE);
}
