/*
 * cost_day.c
 *		The tables etl.cost_day, etl.cost_total and etl.run_count. See cost_day.h.
 *
 * An attempt is counted when its run has ended: until then etl.cost finds it by the index of those that are not counted. The
 * mark and the sums change in one statement, so whoever reads them sees each attempt once.
 */
#include "postgres.h"

#include "catalog/cost_day.h"
#include "catalog/spi.h"

/* Runs that are counted at a time. */
#define PORTION "50"

/* The sums, without those of the day: columns, what they are made of, and how they are added to a row that is there. */
#define SUMS                                                                                                           \
	"attempts, failed, retries, wall_ms, cpu_ms, rows_read, rows_written, rows_rejected, bytes_read, wal_bytes, "      \
	"temp_bytes, buffers_hit, buffers_read, buffers_written"
#define OF_ATTEMPTS                                                                                                    \
	"count(*), sum(failed), sum(retries), sum(wall_ms), sum(cpu_ms), sum(rows_read), sum(rows_written), "              \
	"sum(rows_rejected), sum(bytes_read), sum(wal_bytes), sum(temp_bytes), sum(buffers_hit), sum(buffers_read), "      \
	"sum(buffers_written)"
#define ADD(column) column " = d." column " + excluded." column
#define ADD_SUMS                                                                                                       \
	ADD("attempts")                                                                                                    \
	", " ADD("failed") ", " ADD("retries") ", " ADD("wall_ms") ", " ADD("cpu_ms") ", " ADD("rows_read") ", " ADD(      \
		"row"                                                                                                          \
		"s_"                                                                                                           \
		"wri"                                                                                                          \
		"tte"                                                                                                          \
		"n") ", " ADD("rows_rejected") ", " ADD("bytes_read") ", " ADD("wal_bytes") ", " ADD("temp_bytes") ", " ADD("buffers_hit") ", " ADD("buffers_read") ", " ADD("buffers_written")

/* etl_cost_day_count counts a portion of the runs that nobody is changing just now. */
bool
etl_cost_day_count(void)
{
	static EtlStatement count = {
		"WITH ended AS MATERIALIZED (SELECT run_id, pipeline_id, state, started_at, ended_at FROM etl.run "
		"  WHERE NOT counted AND state NOT IN ('queued', 'running') ORDER BY run_id LIMIT " PORTION
		"  FOR NO KEY UPDATE SKIP LOCKED), "
		"used AS MATERIALIZED (SELECT c.* FROM etl.cost_uncounted AS c WHERE c.run_id = ANY (ARRAY(SELECT run_id FROM "
		"ended))), "
		"days AS (INSERT INTO etl.cost_day AS d (task_id, day, pipeline_id, task, kind, " SUMS ") "
		"  SELECT task_id, day, pipeline_id, max(task), max(kind), " OF_ATTEMPTS
		"  FROM used GROUP BY task_id, day, pipeline_id "
		"  ON CONFLICT (task_id, day) DO UPDATE SET task = excluded.task, " ADD_SUMS "), "
		"totals AS (INSERT INTO etl.cost_total AS d (task_id, pipeline_id, task, kind, " SUMS ") "
		"  SELECT task_id, pipeline_id, max(task), max(kind), " OF_ATTEMPTS "  FROM used GROUP BY task_id, pipeline_id "
		"  ON CONFLICT (task_id) DO UPDATE SET task = excluded.task, " ADD_SUMS "), "
		"runs AS (INSERT INTO etl.run_count AS d (pipeline_id, state, runs, duration_ms) "
		"  SELECT pipeline_id, state, count(*), "
		"  coalesce(sum(extract(epoch FROM ended_at - started_at) * 1000), 0) FROM ended GROUP BY 1, 2 "
		"  ON CONFLICT (pipeline_id, state) DO UPDATE SET " ADD("runs") ", " ADD(
			"duration_ms") "), "
						   "marked AS (UPDATE etl.task_run SET counted = true WHERE run_id = ANY (ARRAY(SELECT run_id "
						   "FROM ended)) "
						   "  AND NOT counted), "
						   "marked_runs AS (UPDATE etl.run SET counted = true WHERE run_id = ANY (ARRAY(SELECT run_id "
						   "FROM ended))) "
						   "SELECT 1 FROM ended OFFSET " PORTION " - 1",
		0,
		{0}};

	return etl_catalog_call(&count, NULL, NULL, SPI_OK_SELECT) > 0;
}
