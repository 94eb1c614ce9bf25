/*
 * extract_progress.c
 *		etl.extract_progress: how far a read of a whole source has come. See extract_progress.h.
 */
#include "postgres.h"

#include "catalog/extract_progress.h"
#include "catalog/pg_type_d.h"
#include "catalog/spi.h"
#include "errors.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* Rows of the task ($1), and of whoever else writes to the same raw table ($2). */
#define SAME_TARGET                                                                                                    \
	"(task_id = $1 OR task_id IN (SELECT t.task_id FROM etl.task AS t WHERE t.target = $2)"                            \
	" OR pending -> 0 ->> 'target' = $2)"

/*
 * etl_extract_progress_claim waits for workers of a former attempt that are committing a chunk just now, because they have
 * locked their row: what they commit is published too, and nothing comes after it.
 */
void
etl_extract_progress_claim(const EtlAttempt *attempt)
{
	static EtlStatement fence = {
		"UPDATE etl.extract_progress SET task_run_id = CASE WHEN task_id = $1 THEN $3 ELSE 0 END WHERE " SAME_TARGET,
		3,
		{INT8OID, TEXTOID, INT8OID}};
	static EtlStatement publish = {
		"INSERT INTO etl.batch SELECT b.* FROM (SELECT pending FROM etl.extract_progress WHERE " SAME_TARGET ") AS p,"
		" LATERAL jsonb_populate_recordset(NULL::etl.batch, p.pending) AS b ORDER BY b.batch_id",
		2,
		{INT8OID, TEXTOID}};
	static EtlStatement clear = {"UPDATE etl.extract_progress SET pending = '[]' WHERE " SAME_TARGET
								 " AND pending <> '[]'",
								 2,
								 {INT8OID, TEXTOID}};
	static EtlStatement sweep = {
		"DELETE FROM etl.extract_progress WHERE " SAME_TARGET " AND run_id = 0", 2, {INT8OID, TEXTOID}};
	Datum value[3] = {Int64GetDatum(attempt->task->task_id), CStringGetTextDatum(attempt->task->target),
					  Int64GetDatum(attempt->task_run_id)};
	EtlScope scope;

	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&fence, value, NULL, SPI_OK_UPDATE) > 0)
	{
		(void) etl_catalog_exec(&publish, value, NULL, SPI_OK_INSERT);
		(void) etl_catalog_exec(&clear, value, NULL, SPI_OK_UPDATE);
		(void) etl_catalog_exec(&sweep, value, NULL, SPI_OK_DELETE);
	}
	etl_catalog_end(&scope);
}

/* read_row copies a row. */
static void
read_row(const EtlRow *row, EtlProgress *progress)
{
	progress->slice = etl_row_int32(row, "slice");
	progress->run_id = etl_row_int64(row, "run_id");
	progress->full_refresh = etl_row_bool(row, "full_refresh");
	progress->key_after = etl_row_names(row, "key_after");
	progress->key_until = etl_row_text(row, "key_until");
	progress->safe = etl_row_text(row, "safe");
	progress->reached = etl_row_text(row, "reached");
	progress->rows_read = etl_row_int64(row, "rows_read");
	progress->done = etl_row_bool(row, "done");
}

/* etl_extract_progress_list returns them in the current memory context. */
int
etl_extract_progress_list(int64 task_id, EtlProgress **progress)
{
	static EtlStatement statement = {
		"SELECT slice, run_id, full_refresh, key_after, key_until, safe, reached, rows_read, done"
		" FROM etl.extract_progress WHERE task_id = $1 AND run_id <> 0 ORDER BY slice",
		1,
		{INT8OID}};
	Datum value = Int64GetDatum(task_id);
	EtlScope scope;
	int n;

	etl_catalog_begin(&scope);
	n = (int) etl_catalog_exec(&statement, &value, NULL, SPI_OK_SELECT);
	*progress = MemoryContextAllocZero(scope.caller, sizeof(EtlProgress) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		EtlRow row = etl_catalog_row(&scope, i);

		read_row(&row, &(*progress)[i]);
	}
	etl_catalog_end(&scope);
	return n;
}

/* etl_extract_progress_is_open looks for a range that is not done. */
bool
etl_extract_progress_is_open(int64 task_id)
{
	static EtlStatement statement = {
		"SELECT FROM etl.extract_progress WHERE task_id = $1 AND run_id <> 0 AND NOT done LIMIT 1", 1, {INT8OID}};
	Datum value = Int64GetDatum(task_id);

	return etl_catalog_call(&statement, &value, NULL, SPI_OK_SELECT) > 0;
}

/* etl_extract_progress_insert adds a row. */
void
etl_extract_progress_insert(const EtlAttempt *attempt, const EtlProgress *progress)
{
	static EtlStatement statement = {
		"INSERT INTO etl.extract_progress (task_id, slice, run_id, task_run_id, full_refresh, key_until, safe, done,"
		" updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
		9,
		{INT8OID, INT4OID, INT8OID, INT8OID, BOOLOID, TEXTOID, TEXTOID, BOOLOID, TIMESTAMPTZOID}};
	Datum value[9];
	char null[] = "         ";

	value[0] = Int64GetDatum(attempt->task->task_id);
	value[1] = Int32GetDatum(progress->slice);
	value[2] = Int64GetDatum(attempt->run_id);
	value[3] = Int64GetDatum(attempt->task_run_id);
	value[4] = BoolGetDatum(attempt->full_refresh);
	value[5] = etl_arg_text(progress->key_until, &null[5]);
	value[6] = etl_arg_text(progress->safe, &null[6]);
	value[7] = BoolGetDatum(progress->done);
	value[8] = TimestampTzGetDatum(GetCurrentTimestamp());
	(void) etl_catalog_call(&statement, value, null, SPI_OK_INSERT);
}

/* store_row updates a row of this attempt; false: there is none. */
static bool
store_row(const EtlAttempt *attempt, const EtlProgress *progress)
{
	static EtlStatement statement = {
		"UPDATE etl.extract_progress SET key_after = $4, reached = $5, rows_read = $6, done = $7, updated_at = $8"
		" WHERE task_id = $1 AND slice = $2 AND task_run_id = $3 AND run_id <> 0",
		8,
		{INT8OID, INT4OID, INT8OID, TEXTARRAYOID, TEXTOID, INT8OID, BOOLOID, TIMESTAMPTZOID}};
	Datum value[8];
	char null[] = "        ";

	value[0] = Int64GetDatum(attempt->task->task_id);
	value[1] = Int32GetDatum(progress->slice);
	value[2] = Int64GetDatum(attempt->task_run_id);
	value[3] = etl_arg_names(&progress->key_after, &null[3]);
	value[4] = etl_arg_text(progress->reached, &null[4]);
	value[5] = Int64GetDatum(progress->rows_read);
	value[6] = BoolGetDatum(progress->done);
	value[7] = TimestampTzGetDatum(GetCurrentTimestamp());
	return etl_catalog_call(&statement, value, null, SPI_OK_UPDATE) == 1;
}

/* add_pending adds a batch to those that wait in a row, which this transaction has locked. */
static void
add_pending(const EtlProgress *progress, const EtlBatch *batch)
{
	static EtlStatement statement = {
		"UPDATE etl.extract_progress SET pending = pending || to_jsonb(ROW($3, $4, $1, $5, $6, $7, $8, NULL, $9, $10,"
		" false)::etl.batch) WHERE task_id = $1 AND slice = $2",
		10,
		{INT8OID, INT4OID, INT8OID, TEXTOID, INT8OID, INT8OID, INT8OID, INT8OID, TEXTOID, TIMESTAMPTZOID}};
	Datum value[10];
	char null[] = "          ";

	value[0] = Int64GetDatum(batch->task_id);
	value[1] = Int32GetDatum(progress->slice);
	value[2] = Int64GetDatum(batch->batch_id);
	value[3] = CStringGetTextDatum(batch->target);
	value[4] = Int64GetDatum(batch->run_id);
	value[5] = Int64GetDatum(batch->task_run_id);
	value[6] = Int64GetDatum(batch->row_count);
	value[7] = Int64GetDatum(batch->byte_count);
	value[8] = etl_arg_text(batch->cursor_to, &null[8]);
	value[9] = TimestampTzGetDatum(batch->loaded_at);
	(void) etl_catalog_call(&statement, value, null, SPI_OK_UPDATE);
}

/* etl_extract_progress_store commits with the chunk. */
void
etl_extract_progress_store(const EtlAttempt *attempt, const EtlProgress *progress, const EtlBatch *pending)
{
	if (!store_row(attempt, progress))
		ereport(ERROR, (errcode(ERRCODE_ETL_STALE_ATTEMPT),
						errmsg("attempt " INT64_FORMAT " no longer reads range %d of its source and may not commit",
							   attempt->task_run_id, progress->slice),
						errdetail("Another attempt has taken over, or the definition of the task has changed.")));
	if (pending)
		add_pending(progress, pending);
}

/* etl_extract_progress_delete removes the rows. */
void
etl_extract_progress_delete(int64 task_id)
{
	static EtlStatement statement = {"DELETE FROM etl.extract_progress WHERE task_id = $1", 1, {INT8OID}};
	Datum value = Int64GetDatum(task_id);

	(void) etl_catalog_call(&statement, &value, NULL, SPI_OK_DELETE);
}

/*
 * etl_extract_progress_abandon keeps the rows for the sake of the batches that wait in them: only the holder of the
 * single-writer lock may publish those.
 */
void
etl_extract_progress_abandon(int64 task_id)
{
	static EtlStatement statement = {
		"UPDATE etl.extract_progress SET run_id = 0, task_run_id = 0 WHERE task_id = $1", 1, {INT8OID}};
	Datum value = Int64GetDatum(task_id);

	(void) etl_catalog_call(&statement, &value, NULL, SPI_OK_UPDATE);
}
