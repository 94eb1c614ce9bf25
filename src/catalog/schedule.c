/*
 * schedule.c
 *		The table etl.schedule. See schedule.h.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "catalog/schedule.h"
#include "catalog/spi.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

/* etl_schedule_list lists the schedules that are carried out in this database. */
int
etl_schedule_list(EtlScheduleLine **line)
{
	static EtlStatement list = {
		"SELECT p.pipeline_id, p.name, p.schedule, p.timezone, p.owner::oid AS owner, s.decided_until "
		"FROM etl.schedule AS s JOIN etl.pipeline AS p ON p.pipeline_id = s.pipeline_id "
		"WHERE s.database = $1 AND p.schedule IS NOT NULL AND NOT p.paused ORDER BY p.pipeline_id",
		1,
		{OIDOID}};
	EtlScope scope;
	Datum value = ObjectIdGetDatum(MyDatabaseId);
	int n;

	etl_catalog_begin(&scope);
	n = (int) etl_catalog_exec(&list, &value, NULL, SPI_OK_SELECT);
	*line = MemoryContextAllocZero(scope.caller, sizeof(EtlScheduleLine) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		EtlRow row = etl_catalog_row(&scope, i);

		(*line)[i].pipeline_id = etl_row_int64(&row, "pipeline_id");
		(*line)[i].pipeline = etl_row_text(&row, "name");
		(*line)[i].schedule = etl_row_text(&row, "schedule");
		(*line)[i].timezone = etl_row_text(&row, "timezone");
		(*line)[i].owner = etl_row_oid(&row, "owner");
		(*line)[i].decided_until = etl_row_time(&row, "decided_until");
	}
	etl_catalog_end(&scope);
	return n;
}

/* etl_schedule_lock locks a pipeline's row, if nobody else has. */
bool
etl_schedule_lock(int64 pipeline_id)
{
	static EtlStatement lock = {
		"SELECT FROM etl.pipeline WHERE pipeline_id = $1 FOR NO KEY UPDATE SKIP LOCKED", 1, {INT8OID}};
	Datum value = Int64GetDatum(pipeline_id);

	return etl_catalog_call(&lock, &value, NULL, SPI_OK_SELECT) > 0;
}

/* etl_schedule_get says how far a schedule has come. */
bool
etl_schedule_get(int64 pipeline_id, TimestampTz *decided_until)
{
	static EtlStatement get = {
		"SELECT decided_until FROM etl.schedule WHERE pipeline_id = $1 AND database = $2", 2, {INT8OID, OIDOID}};
	EtlScope scope;
	Datum value[2] = {Int64GetDatum(pipeline_id), ObjectIdGetDatum(MyDatabaseId)};
	bool found;

	etl_catalog_begin(&scope);
	found = etl_catalog_exec(&get, value, NULL, SPI_OK_SELECT) > 0;
	if (found)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		*decided_until = etl_row_time(&row, "decided_until");
	}
	etl_catalog_end(&scope);
	return found;
}

/* etl_schedule_set notes how far a schedule has come. */
void
etl_schedule_set(int64 pipeline_id, TimestampTz decided_until, bool begin)
{
	static EtlStatement set = {
		"INSERT INTO etl.schedule AS s (pipeline_id, database, decided_until) VALUES ($1, $2, $3) "
		"ON CONFLICT (pipeline_id) DO UPDATE SET database = $2, "
		"  decided_until = CASE WHEN s.database = $2 AND NOT $4 THEN greatest(s.decided_until, $3) ELSE $3 END",
		4,
		{INT8OID, OIDOID, TIMESTAMPTZOID, BOOLOID}};
	Datum value[4] = {Int64GetDatum(pipeline_id), ObjectIdGetDatum(MyDatabaseId), TimestampTzGetDatum(decided_until),
					  BoolGetDatum(begin)};

	etl_catalog_call(&set, value, NULL, SPI_OK_INSERT);
}

/* etl_schedule_queued counts the runs for scheduled times that wait in the queue; *last: DT_NOBEGIN if there is none. */
int64
etl_schedule_queued(int64 pipeline_id, TimestampTz *last)
{
	static EtlStatement count = {"SELECT count(scheduled_for) AS n, max(scheduled_for) AS last FROM etl.run WHERE "
								 "pipeline_id = $1 AND state = 'queued'",
								 1,
								 {INT8OID}};
	EtlScope scope;
	EtlRow row;
	Datum value = Int64GetDatum(pipeline_id);
	int64 n;

	etl_catalog_begin(&scope);
	etl_catalog_exec(&count, &value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	n = etl_row_int64(&row, "n");
	*last = etl_row_time(&row, "last");
	etl_catalog_end(&scope);
	return n;
}
