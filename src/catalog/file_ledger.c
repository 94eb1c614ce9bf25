/*
 * file_ledger.c
 *		etl.file_ledger: the files that extracts have read. See file_ledger.h.
 */
#include "postgres.h"

#include "catalog/file_ledger.h"
#include "catalog/pg_type_d.h"
#include "catalog/spi.h"
#include "errors.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* etl_file_ledger_find reads the rows of the paths. */
int
etl_file_ledger_find(int64 task_id, const EtlNames *paths, EtlLedgerFile **file)
{
	static EtlStatement statement = {
		.sql = "SELECT path, etag, size, state, records, bad_records, coalesce(run_id, 0) AS run_id"
			   " FROM etl.file_ledger WHERE task_id = $1 AND path = ANY ($2)",
		.nargs = 2,
		.argtype = {INT8OID, TEXTARRAYOID},
	};
	char null[] = "  ";
	Datum value[2] = {Int64GetDatum(task_id), etl_arg_names(paths, &null[1])};
	EtlScope scope;
	int n;

	etl_catalog_begin(&scope);
	n = (int) etl_catalog_exec(&statement, value, null, SPI_OK_SELECT);
	*file = MemoryContextAllocZero(scope.caller, sizeof(EtlLedgerFile) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		EtlRow row = etl_catalog_row(&scope, i);
		EtlLedgerFile *to = &(*file)[i];

		to->path = etl_row_text(&row, "path");
		to->etag = etl_row_text(&row, "etag");
		to->size = etl_row_int64(&row, "size");
		to->state = etl_row_text(&row, "state");
		to->records = etl_row_int64(&row, "records");
		to->bad_records = etl_row_int64(&row, "bad_records");
		to->run_id = etl_row_int64(&row, "run_id");
	}
	etl_catalog_end(&scope);
	return n;
}

/* etl_file_ledger_count counts by state. */
void
etl_file_ledger_count(int64 task_id, int64 count[3])
{
	static EtlStatement statement = {
		.sql =
			"SELECT count(*) FILTER (WHERE state = 'loading') AS loading, count(*) FILTER (WHERE state = 'loaded')"
			" AS loaded, count(*) FILTER (WHERE state = 'skipped') AS skipped FROM etl.file_ledger WHERE task_id = $1",
		.nargs = 1,
		.argtype = {INT8OID},
	};
	Datum value = Int64GetDatum(task_id);
	EtlScope scope;
	EtlRow row;

	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&statement, &value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	count[0] = etl_row_int64(&row, "loading");
	count[1] = etl_row_int64(&row, "loaded");
	count[2] = etl_row_int64(&row, "skipped");
	etl_catalog_end(&scope);
}

/* etl_file_ledger_save inserts the row, or updates it if it is as it was known. */
void
etl_file_ledger_save(const EtlAttempt *attempt, const EtlLedgerFile *file, int64 known)
{
	static EtlStatement statement = {
		.sql = "INSERT INTO etl.file_ledger AS f (task_id, path, etag, size, modified, state, records, bad_records,"
			   " reason, run_id, updated_at) SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 WHERE $12 = -1"
			   " OR EXISTS (SELECT FROM etl.file_ledger WHERE task_id = $1 AND path = $2 AND etag = $3 AND size = $4)"
			   " ON CONFLICT (task_id, path, etag, size) DO UPDATE SET modified = excluded.modified,"
			   " state = excluded.state, records = excluded.records, bad_records = excluded.bad_records,"
			   " reason = excluded.reason, run_id = excluded.run_id, updated_at = excluded.updated_at"
			   " WHERE f.records = $12",
		.nargs = 12,
		.argtype = {INT8OID, TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID, TEXTOID, INT8OID, INT8OID, TEXTOID, INT8OID,
					TIMESTAMPTZOID, INT8OID},
	};
	char null[] = "            ";
	Datum value[12];

	value[0] = Int64GetDatum(attempt->task->task_id);
	value[1] = CStringGetTextDatum(file->path);
	value[2] = CStringGetTextDatum(file->etag);
	value[3] = Int64GetDatum(file->size);
	value[4] = TimestampTzGetDatum(file->modified);
	null[4] = file->modified == DT_NOBEGIN ? 'n' : ' ';
	value[5] = CStringGetTextDatum(file->state);
	value[6] = Int64GetDatum(file->records);
	value[7] = Int64GetDatum(file->bad_records);
	value[8] = etl_arg_text(file->reason, &null[8]);
	value[9] = Int64GetDatum(attempt->run_id);
	value[10] = TimestampTzGetDatum(GetCurrentTimestamp());
	value[11] = Int64GetDatum(known);
	if (etl_catalog_call(&statement, value, null, SPI_OK_INSERT) == 0)
		ereport(ERROR, (errcode(ERRCODE_ETL_STALE_ATTEMPT),
						errmsg("file \"%s\" was read by another attempt meanwhile", file->path),
						errdetail("Its row in etl.file_ledger is not as this attempt left it."),
						errhint("The next attempt goes on from there.")));
}

/* etl_file_ledger_delete deletes the rows of a task. */
void
etl_file_ledger_delete(int64 task_id)
{
	static EtlStatement statement = {"DELETE FROM etl.file_ledger WHERE task_id = $1", 1, {INT8OID}};
	Datum value = Int64GetDatum(task_id);

	(void) etl_catalog_call(&statement, &value, NULL, SPI_OK_DELETE);
}

/* etl_file_ledger_forget deletes the rows of a path. */
int64
etl_file_ledger_forget(int64 task_id, const char *path)
{
	static EtlStatement statement = {
		"DELETE FROM etl.file_ledger WHERE task_id = $1 AND path = $2", 2, {INT8OID, TEXTOID}};
	Datum value[2] = {Int64GetDatum(task_id), CStringGetTextDatum(path)};

	return (int64) etl_catalog_call(&statement, value, NULL, SPI_OK_DELETE);
}

/* etl_file_ledger_leave writes the row that stands for what was forgotten. */
void
etl_file_ledger_leave(int64 task_id, const char *path)
{
	static EtlStatement statement = {
		.sql = "INSERT INTO etl.file_ledger (task_id, path, etag, size, state, reason, updated_at)"
			   " VALUES ($1, $2, '" ETL_LEDGER_FORGOTTEN "', 0, 'skipped', 'etl.reload_file', $3)",
		.nargs = 3,
		.argtype = {INT8OID, TEXTOID, TIMESTAMPTZOID},
	};
	Datum value[3] = {Int64GetDatum(task_id), CStringGetTextDatum(path), TimestampTzGetDatum(GetCurrentTimestamp())};

	(void) etl_catalog_call(&statement, value, NULL, SPI_OK_INSERT);
}

/* etl_file_ledger_skip writes the row that stands for any version. */
void
etl_file_ledger_skip(int64 task_id, const char *path, const char *reason)
{
	static EtlStatement statement = {
		.sql = "INSERT INTO etl.file_ledger (task_id, path, etag, size, state, reason, updated_at)"
			   " VALUES ($1, $2, '" ETL_LEDGER_ANY "', 0, 'skipped', $3, $4)"
			   " ON CONFLICT (task_id, path, etag, size) DO UPDATE SET reason = excluded.reason,"
			   " updated_at = excluded.updated_at",
		.nargs = 4,
		.argtype = {INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID},
	};
	Datum value[4] = {Int64GetDatum(task_id), CStringGetTextDatum(path), CStringGetTextDatum(reason),
					  TimestampTzGetDatum(GetCurrentTimestamp())};

	(void) etl_catalog_call(&statement, value, NULL, SPI_OK_INSERT);
}
