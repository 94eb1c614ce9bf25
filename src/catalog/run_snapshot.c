/*
 * run_snapshot.c
 *		etl.run_snapshot: the state of a source that a snapshot_group reads. See run_snapshot.h.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "catalog/run_snapshot.h"
#include "catalog/spi.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* Attempts of the members of a group ($2) in a run ($1), with which the state of the run comes along. */
#define MEMBER_ATTEMPTS                                                                                                \
	" FROM etl.run AS x, jsonb_array_elements(x.definition -> 'task') AS e, etl.task_run AS a WHERE x.run_id = $1"     \
	" AND e ->> 'snapshot_group' = $2 AND a.run_id = x.run_id AND a.task_id = (e ->> 'task_id')::bigint"

/* etl_run_snapshot_get reads the row. */
bool
etl_run_snapshot_get(int64 run_id, const char *group, EtlRunSnapshot *snapshot)
{
	static EtlStatement statement = {
		"SELECT server, snapshot, safe_at, created_at FROM etl.run_snapshot WHERE run_id = $1 AND snapshot_group = $2",
		2,
		{INT8OID, TEXTOID}};
	Datum value[2] = {Int64GetDatum(run_id), CStringGetTextDatum(group)};
	EtlScope scope;
	bool found;

	etl_catalog_begin(&scope);
	found = etl_catalog_exec(&statement, value, NULL, SPI_OK_SELECT) > 0;
	if (found)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		snapshot->server = etl_row_text(&row, "server");
		snapshot->snapshot = etl_row_text(&row, "snapshot");
		snapshot->safe_at = etl_row_time(&row, "safe_at");
		snapshot->created_at = etl_row_time(&row, "created_at");
	}
	etl_catalog_end(&scope);
	return found;
}

/* etl_run_snapshot_insert adds the row of this process. */
void
etl_run_snapshot_insert(int64 run_id, const char *group, const EtlRunSnapshot *snapshot)
{
	static EtlStatement statement = {
		"INSERT INTO etl.run_snapshot (run_id, snapshot_group, server, snapshot, holder_pid, safe_at, created_at)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7)",
		7,
		{INT8OID, TEXTOID, TEXTOID, TEXTOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID}};
	Datum value[7];
	char null[] = "       ";

	value[0] = Int64GetDatum(run_id);
	value[1] = CStringGetTextDatum(group);
	value[2] = CStringGetTextDatum(snapshot->server);
	value[3] = CStringGetTextDatum(snapshot->snapshot);
	value[4] = Int32GetDatum(MyProcPid);
	value[5] = TimestampTzGetDatum(snapshot->safe_at);
	null[5] = TIMESTAMP_IS_NOBEGIN(snapshot->safe_at) ? 'n' : ' ';
	value[6] = TimestampTzGetDatum(snapshot->created_at);
	(void) etl_catalog_call(&statement, value, null, SPI_OK_INSERT);
}

/* etl_run_snapshot_delete removes the row of one snapshot and of no other. */
void
etl_run_snapshot_delete(int64 run_id, const char *group, const char *snapshot)
{
	static EtlStatement statement = {
		"DELETE FROM etl.run_snapshot WHERE run_id = $1 AND snapshot_group = $2 AND snapshot = $3",
		3,
		{INT8OID, TEXTOID, TEXTOID}};
	Datum value[3] = {Int64GetDatum(run_id), CStringGetTextDatum(group), CStringGetTextDatum(snapshot)};

	(void) etl_catalog_call(&statement, value, NULL, SPI_OK_DELETE);
}

/* etl_run_snapshot_is_needed: an attempt that failed and is not settled will be followed by another one. */
bool
etl_run_snapshot_is_needed(int64 run_id, const char *group)
{
	static EtlStatement statement = {"SELECT" MEMBER_ATTEMPTS " AND x.state IN ('queued', 'running')"
									 " AND (a.state IN ('waiting', 'ready', 'running', 'retry') OR (a.state = 'failed'"
									 " AND NOT a.settled)) AND NOT EXISTS (SELECT FROM etl.task_run AS b WHERE b.run_id"
									 " = a.run_id AND b.task_id = a.task_id AND b.attempt > a.attempt) LIMIT 1",
									 2,
									 {INT8OID, TEXTOID}};
	Datum value[2] = {Int64GetDatum(run_id), CStringGetTextDatum(group)};

	return etl_catalog_call(&statement, value, NULL, SPI_OK_SELECT) > 0;
}

/* etl_run_snapshot_is_fresh looks at all attempts, also those that failed. */
bool
etl_run_snapshot_is_fresh(int64 run_id, const char *group, int64 task_run_id, bool running)
{
	static EtlStatement statement = {"SELECT" MEMBER_ATTEMPTS
									 " AND a.task_run_id <> $3 AND (a.state IN ('success', 'warning')"
									 " OR coalesce(a.rows_read, 0) > 0 OR ($4 AND a.state = 'running')) LIMIT 1",
									 4,
									 {INT8OID, TEXTOID, INT8OID, BOOLOID}};
	Datum value[4] = {Int64GetDatum(run_id), CStringGetTextDatum(group), Int64GetDatum(task_run_id),
					  BoolGetDatum(running)};

	return etl_catalog_call(&statement, value, NULL, SPI_OK_SELECT) == 0;
}

/* etl_run_snapshot_key mixes both. */
int64
etl_run_snapshot_key(int64 run_id, const char *group)
{
	return (int64) hash_bytes_extended((const unsigned char *) group, (int) strlen(group), (uint64) run_id);
}
