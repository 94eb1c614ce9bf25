/*
 * contract_result.c
 *		The table etl.contract_result. See contract_result.h.
 */
#include "postgres.h"

#include "catalog/contract_result.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* The extracts of a source. */
#define EXTRACTS "(SELECT t.task_id FROM etl.task AS t WHERE t.kind = 'extract' AND t.source = $1)"

/* etl_contract_result_put stores it. */
void
etl_contract_result_put(const EtlContractResult *result)
{
	static EtlStatement due = {
		"INSERT INTO etl.contract_result AS r (contract_id, promise, due_at, kept, expected, measured, value, run_id, "
		"task_id, task_run_id, evaluated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, nullif($8, 0), nullif($9, 0), "
		"nullif($10, 0), clock_timestamp()) ON CONFLICT (contract_id, promise, due_at) WHERE run_id IS NULL "
		"DO UPDATE SET kept = $4, expected = $5, measured = $6, value = $7 WHERE r.kept AND NOT $4",
		10,
		{INT8OID, TEXTOID, TIMESTAMPTZOID, BOOLOID, TEXTOID, TEXTOID, FLOAT8OID, INT8OID, INT8OID, INT8OID}};
	static EtlStatement run = {
		"INSERT INTO etl.contract_result AS r (contract_id, promise, due_at, kept, expected, measured, value, run_id, "
		"task_id, task_run_id, evaluated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, nullif($10, 0), "
		"clock_timestamp()) ON CONFLICT (contract_id, promise, run_id, task_id) WHERE run_id IS NOT NULL DO UPDATE SET "
		"kept = $4, expected = $5, measured = $6, value = $7, task_run_id = nullif($10, 0), due_at = $3, "
		"evaluated_at = clock_timestamp(), recovered_at = CASE WHEN $4 THEN NULL ELSE r.recovered_at END",
		10,
		{INT8OID, TEXTOID, TIMESTAMPTZOID, BOOLOID, TEXTOID, TEXTOID, FLOAT8OID, INT8OID, INT8OID, INT8OID}};
	Datum value[10];
	char null[] = "          ";

	value[0] = Int64GetDatum(result->contract_id);
	value[1] = CStringGetTextDatum(result->promise);
	value[2] = TimestampTzGetDatum(result->due_at);
	value[3] = BoolGetDatum(result->kept);
	value[4] = CStringGetTextDatum(result->expected);
	value[5] = CStringGetTextDatum(result->measured);
	value[6] = Float8GetDatum(result->value);
	value[7] = Int64GetDatum(result->run_id);
	value[8] = Int64GetDatum(result->task_id);
	value[9] = Int64GetDatum(result->task_run_id);
	null[3] = result->is_judged ? ' ' : 'n';
	null[6] = result->has_value ? ' ' : 'n';
	(void) etl_catalog_call(result->run_id != 0 ? &run : &due, value, null, SPI_OK_INSERT);
}

/* etl_contract_result_open looks for one that is broken. */
bool
etl_contract_result_open(int64 contract_id, const char *promise)
{
	static EtlStatement find = {"SELECT FROM etl.contract_result WHERE contract_id = $1 AND promise = $2 AND NOT kept "
								"AND recovered_at IS NULL LIMIT 1",
								2,
								{INT8OID, TEXTOID}};
	Datum value[2] = {Int64GetDatum(contract_id), CStringGetTextDatum(promise)};

	return etl_catalog_call(&find, value, NULL, SPI_OK_SELECT) > 0;
}

/* etl_contract_result_exists looks for the time. */
bool
etl_contract_result_exists(int64 contract_id, const char *promise, TimestampTz due_at)
{
	static EtlStatement find = {
		"SELECT FROM etl.contract_result WHERE contract_id = $1 AND promise = $2 AND due_at = $3 "
		"AND run_id IS NULL",
		3,
		{INT8OID, TEXTOID, TIMESTAMPTZOID}};
	Datum value[3] = {Int64GetDatum(contract_id), CStringGetTextDatum(promise), TimestampTzGetDatum(due_at)};

	return etl_catalog_call(&find, value, NULL, SPI_OK_SELECT) > 0;
}

/* etl_contract_result_broken_by looks for the attempt among the open ones. */
bool
etl_contract_result_broken_by(int64 contract_id, int64 task_run_id)
{
	static EtlStatement find = {"SELECT FROM etl.contract_result WHERE contract_id = $1 AND promise = 'columns' "
								"AND NOT kept AND recovered_at IS NULL AND task_run_id = $2",
								2,
								{INT8OID, INT8OID}};
	Datum value[2] = {Int64GetDatum(contract_id), Int64GetDatum(task_run_id)};

	return etl_catalog_call(&find, value, NULL, SPI_OK_SELECT) > 0;
}

/* etl_contract_result_recover closes results and alerts. */
TimestampTz
etl_contract_result_recover(int64 contract_id, const char *promise)
{
	static EtlStatement mark = {
		"WITH closed AS (UPDATE etl.contract_result SET recovered_at = clock_timestamp() WHERE contract_id = $1 "
		"  AND promise = $2 AND NOT kept AND recovered_at IS NULL RETURNING evaluated_at), "
		"told AS (UPDATE etl.alert SET recovered_at = clock_timestamp() WHERE contract_id = $1 AND promise = $2 "
		"  AND event = 'contract_broken' AND recovered_at IS NULL) "
		"SELECT min(evaluated_at) AS since FROM closed",
		2,
		{INT8OID, TEXTOID}};
	Datum value[2] = {Int64GetDatum(contract_id), CStringGetTextDatum(promise)};
	TimestampTz since;
	EtlScope scope;
	EtlRow row;

	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&mark, value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	since = etl_row_time(&row, "since");
	etl_catalog_end(&scope);
	return since;
}

/* etl_contract_result_arrived counts batches. */
EtlArrived
etl_contract_result_arrived(const char *source, TimestampTz after, TimestampTz until)
{
	static EtlStatement count = {
		"SELECT coalesce(sum(b.row_count), 0)::bigint AS n, min(b.loaded_at) FILTER (WHERE b.row_count > 0) AS first "
		"FROM etl.batch AS b WHERE b.task_id IN " EXTRACTS
		" AND b.loaded_at > $2 AND b.loaded_at <= $3 AND NOT b.backfill",
		3,
		{TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID}};
	Datum value[3] = {CStringGetTextDatum(source), TimestampTzGetDatum(after), TimestampTzGetDatum(until)};
	EtlArrived arrived;
	EtlScope scope;
	EtlRow row;

	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&count, value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	arrived.rows = etl_row_int64(&row, "n");
	arrived.first = etl_row_time(&row, "first");
	etl_catalog_end(&scope);
	return arrived;
}

/* etl_contract_result_rows counts the batches of all attempts: what an earlier one has committed stays. */
int64
etl_contract_result_rows(int64 task_id, int64 run_id)
{
	static EtlStatement count = {
		"SELECT coalesce(sum(row_count), 0)::bigint AS n FROM etl.batch WHERE task_id = $1 "
		"AND run_id = $2 AND loaded_at >= (SELECT requested_at FROM etl.run WHERE run_id = $2)",
		2,
		{INT8OID, INT8OID}};
	Datum value[2] = {Int64GetDatum(task_id), Int64GetDatum(run_id)};
	EtlScope scope;
	EtlRow row;
	int64 n;

	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&count, value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	n = etl_row_int64(&row, "n");
	etl_catalog_end(&scope);
	return n;
}

/* etl_contract_result_batches lists them. */
EtlContractRows
etl_contract_result_batches(int64 task_id, int64 run_id)
{
	static EtlStatement list = {"SELECT coalesce(string_agg(batch_id::text, ','), '') AS batches, "
								"coalesce(min(loaded_at), '-infinity')::text AS "
								"since FROM etl.batch WHERE task_id = $1 AND run_id = $2 "
								"AND loaded_at >= (SELECT requested_at FROM etl.run WHERE run_id = $2)",
								2,
								{INT8OID, INT8OID}};
	Datum value[2] = {Int64GetDatum(task_id), Int64GetDatum(run_id)};
	EtlContractRows rows;
	EtlScope scope;
	EtlRow row;

	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&list, value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	rows.batches = etl_row_text(&row, "batches");
	rows.since = etl_row_text(&row, "since");
	etl_catalog_end(&scope);
	return rows;
}

/* etl_contract_result_median looks at earlier results, those that broke the promise included. */
EtlContractMedian
etl_contract_result_median(int64 contract_id, int64 task_id, int64 run_id)
{
	static EtlStatement find = {
		"SELECT count(*) AS n, coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY value::float8), 0) AS rows FROM ("
		"SELECT value FROM etl.contract_result WHERE contract_id = $1 AND promise = 'volume' "
		"AND task_id IS NOT DISTINCT FROM nullif($2, 0) AND run_id IS DISTINCT FROM nullif($3, 0) "
		"AND (run_id IS NULL) = ($2 = 0) ORDER BY result_id DESC LIMIT 7) AS last",
		3,
		{INT8OID, INT8OID, INT8OID}};
	/* Of days, the run of both is NULL: nothing is left out. */
	static EtlStatement days = {
		"SELECT count(*) AS n, coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY value::float8), 0) AS rows FROM ("
		"SELECT value FROM etl.contract_result WHERE contract_id = $1 AND promise = 'volume' AND run_id IS NULL "
		"ORDER BY result_id DESC LIMIT 7) AS last",
		1,
		{INT8OID}};
	Datum value[3] = {Int64GetDatum(contract_id), Int64GetDatum(task_id), Int64GetDatum(run_id)};
	EtlContractMedian median;
	EtlScope scope;
	EtlRow row;

	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(task_id == 0 ? &days : &find, value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	median.n = etl_row_int64(&row, "n");
	median.rows = etl_row_double(&row, "rows");
	etl_catalog_end(&scope);
	return median;
}

/* etl_contract_result_newest takes the cursor where it is a time, and the last batch with rows otherwise. */
TimestampTz
etl_contract_result_newest(const EtlContract *contract)
{
	static EtlStatement find = {
		"SELECT least(max(CASE WHEN w.type = 'timestamptz'::regtype THEN w.reached::timestamptz "
		"  WHEN w.type IN ('timestamp'::regtype, 'date'::regtype) THEN w.reached::timestamp AT TIME ZONE $2 "
		"  ELSE (SELECT b.loaded_at FROM etl.batch AS b WHERE b.task_id = t.task_id AND b.row_count > 0 "
		"    AND NOT b.backfill ORDER BY b.loaded_at DESC LIMIT 1) END), clock_timestamp()) AS newest "
		"FROM etl.task AS t LEFT JOIN etl.watermark AS w ON w.task_id = t.task_id "
		"WHERE t.kind = 'extract' AND t.source = $1",
		2,
		{TEXTOID, TEXTOID}};
	/* least() would make a clock out of nothing. */
	static EtlStatement any = {"SELECT FROM etl.batch AS b WHERE b.task_id IN " EXTRACTS " LIMIT 1", 1, {TEXTOID}};
	Datum value[2] = {CStringGetTextDatum(contract->source), CStringGetTextDatum(contract->timezone)};
	TimestampTz newest;
	EtlScope scope;
	EtlRow row;

	if (etl_catalog_call(&any, value, NULL, SPI_OK_SELECT) == 0)
		return DT_NOBEGIN;
	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&find, value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	newest = etl_row_time(&row, "newest");
	etl_catalog_end(&scope);
	return newest;
}
