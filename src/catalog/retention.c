/*
 * retention.c
 *		The table etl.retention, and deleting old history. See retention.h.
 *
 * A portion looks at the next rows of a table in the order of its primary key and deletes those of them that are old and
 * not needed: so its work is bounded, whatever is old or kept. Numbers grow with time; a portion that begins with rows
 * that are young enough is the last one of its table.
 *
 * Kept whatever their age:
 *	- runs: those that have not ended; the newest 10 of a pipeline; its last successful one, from which the next one
 *	  takes up its interval; and those that hold the last success of a task, for etl.freshness
 *	- runs that can still be rolled back
 *	- results: the newest 10 of a check, and the last one that row_count_variance may compare with
 *	- alerts: the newest 10 of a pipeline and severity, and those with deliveries that are still to be made
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "catalog/retention.h"
#include "catalog/spi.h"
#include "utils/builtins.h"

/* Rows of one portion of a table; of runs, how many rows of etl.task_run may go with them, too. */
#define PORTION "5000"
#define RUN_PORTION "1000"

/*
 * Every statement takes the last number of the portion before and the name of the history. It returns the number to go
 * on from, or NULL after the last portion. cutoff is the moment before which rows are old.
 *
 * Newer rows of the same pipeline or task are looked for by comparing whole keys and in their order, because only one
 * index can do that: otherwise the planner may choose to read all newer rows, which costs much where they are few.
 */
#define CUTOFF                                                                                                         \
	"cutoff AS MATERIALIZED (SELECT clock_timestamp() - coalesce("                                                     \
	"  (SELECT keep FROM etl.retention WHERE history = $2), interval '90 days') AS at)"

static EtlStatement runs = {
	"WITH " CUTOFF ", portion AS MATERIALIZED ("
	"  SELECT run_id, pipeline_id, state, logical_time, requested_at, ended_at, backfill_id FROM etl.run "
	"  WHERE run_id > $1 ORDER BY run_id LIMIT " RUN_PORTION "), "
	"old AS ("
	"  SELECT w.run_id, (SELECT count(*) FROM etl.task_run AS t WHERE t.run_id = w.run_id) AS tasks "
	"  FROM portion AS w, cutoff WHERE w.ended_at < cutoff.at "
	/* ten newer ones */
	"  AND (SELECT count(*) FROM (SELECT n.pipeline_id FROM etl.run AS n "
	"    WHERE (n.pipeline_id, n.run_id) > (w.pipeline_id, w.run_id) "
	"    ORDER BY n.pipeline_id, n.run_id LIMIT 10) AS newer WHERE newer.pipeline_id = w.pipeline_id) = 10 "
	/* cannot be rolled back any more */
	"  AND NOT EXISTS (SELECT FROM etl.undo AS u WHERE u.run_id = w.run_id) "
	/* not the last success of its pipeline */
	"  AND (w.state NOT IN ('success', 'warning') OR w.backfill_id IS NOT NULL OR "
	"    (SELECT n.pipeline_id FROM etl.run AS n "
	"    WHERE (n.pipeline_id, n.logical_time) > (w.pipeline_id, w.logical_time) "
	"    AND n.state IN ('success', 'warning') AND n.backfill_id IS NULL "
	"    ORDER BY n.pipeline_id, n.logical_time LIMIT 1) = w.pipeline_id) "
	/* nor of one of its tasks */
	"  AND NOT EXISTS (SELECT FROM etl.task_run AS t JOIN etl.task AS d ON d.task_id = t.task_id "
	"    WHERE t.run_id = w.run_id AND t.state IN ('success', 'warning') AND t.task_id IS DISTINCT FROM "
	"    (SELECT n.task_id FROM etl.task_run AS n WHERE (n.task_id, n.task_run_id) > (t.task_id, t.task_run_id) "
	"    AND n.state IN ('success', 'warning') ORDER BY n.task_id, n.task_run_id LIMIT 1))), "
	"chosen AS (SELECT run_id, sum(tasks) OVER (ORDER BY run_id) - tasks AS before FROM old), "
	"deleted AS (DELETE FROM etl.run AS r USING chosen AS c WHERE r.run_id = c.run_id AND c.before < " PORTION
	"  AND r.state NOT IN ('queued', 'running')) "
	"SELECT CASE WHEN EXISTS (SELECT FROM chosen WHERE before >= " PORTION ") "
	"    THEN (SELECT max(run_id) FROM chosen WHERE before < " PORTION ") "
	"  WHEN (SELECT count(*) FROM portion) = " RUN_PORTION
	"    AND (SELECT min(requested_at) FROM portion) < (SELECT at FROM cutoff) "
	"    THEN (SELECT max(run_id) FROM portion) END AS next",
	2,
	{INT8OID, TEXTOID}};

static EtlStatement backfills = {
	"WITH " CUTOFF ", portion AS MATERIALIZED ("
	"  SELECT backfill_id, requested_at, ended_at FROM etl.backfill "
	"  WHERE backfill_id > $1 ORDER BY backfill_id LIMIT 100), "
	"deleted AS (DELETE FROM etl.backfill AS b USING portion AS w, cutoff WHERE b.backfill_id = w.backfill_id "
	"  AND w.ended_at < cutoff.at AND b.state <> 'running' "
	"  AND NOT EXISTS (SELECT FROM etl.run AS r WHERE r.backfill_id = b.backfill_id)) "
	"SELECT CASE WHEN (SELECT count(*) FROM portion) = 100 "
	"    AND (SELECT min(requested_at) FROM portion) < (SELECT at FROM cutoff) "
	"    THEN (SELECT max(backfill_id) FROM portion) END AS next",
	2,
	{INT8OID, TEXTOID}};

static EtlStatement check_results = {
	"WITH " CUTOFF ", portion AS MATERIALIZED ("
	"  SELECT check_result_id, task_id, state, measured, checked_at FROM etl.check_result "
	"  WHERE check_result_id > $1 ORDER BY check_result_id LIMIT " PORTION "), "
	"deleted AS (DELETE FROM etl.check_result AS c USING portion AS w, cutoff "
	"  WHERE c.check_result_id = w.check_result_id AND w.checked_at < cutoff.at "
	"  AND (NOT EXISTS (SELECT FROM etl.task AS t WHERE t.task_id = w.task_id) OR ("
	/* ten newer ones */
	"    (SELECT count(*) FROM (SELECT n.task_id FROM etl.check_result AS n "
	"      WHERE (n.task_id, n.check_result_id) > (w.task_id, w.check_result_id) "
	"      ORDER BY n.task_id, n.check_result_id LIMIT 10) AS newer WHERE newer.task_id = w.task_id) = 10 "
	/* nothing to compare with, or not the last one */
	"    AND (w.measured IS NULL OR w.state IN ('fail', 'error') OR "
	"      (SELECT n.task_id FROM etl.check_result AS n "
	"      WHERE (n.task_id, n.check_result_id) > (w.task_id, w.check_result_id) "
	"      AND n.measured IS NOT NULL AND n.state NOT IN ('fail', 'error') "
	"      ORDER BY n.task_id, n.check_result_id LIMIT 1) = w.task_id)))) "
	"SELECT CASE WHEN (SELECT count(*) FROM portion) = " PORTION
	"    AND (SELECT min(checked_at) FROM portion) < (SELECT at FROM cutoff) "
	"    THEN (SELECT max(check_result_id) FROM portion) END AS next",
	2,
	{INT8OID, TEXTOID}};

static EtlStatement quarantine = {"WITH " CUTOFF ", portion AS MATERIALIZED ("
								  "  SELECT quarantine_id, created_at FROM etl.quarantine "
								  "  WHERE quarantine_id > $1 ORDER BY quarantine_id LIMIT " PORTION "), "
								  "deleted AS (DELETE FROM etl.quarantine AS q USING portion AS w, cutoff "
								  "  WHERE q.quarantine_id = w.quarantine_id AND w.created_at < cutoff.at) "
								  "SELECT CASE WHEN (SELECT count(*) FROM portion) = " PORTION
								  "    AND (SELECT min(created_at) FROM portion) < (SELECT at FROM cutoff) "
								  "    THEN (SELECT max(quarantine_id) FROM portion) END AS next",
								  2,
								  {INT8OID, TEXTOID}};

static EtlStatement watermarks = {"WITH " CUTOFF ", portion AS MATERIALIZED ("
								  "  SELECT move_id, moved_at FROM etl.watermark_history "
								  "  WHERE move_id > $1 ORDER BY move_id LIMIT " PORTION "), "
								  "deleted AS (DELETE FROM etl.watermark_history AS h USING portion AS w, cutoff "
								  "  WHERE h.move_id = w.move_id AND w.moved_at < cutoff.at) "
								  "SELECT CASE WHEN (SELECT count(*) FROM portion) = " PORTION
								  "    AND (SELECT min(moved_at) FROM portion) < (SELECT at FROM cutoff) "
								  "    THEN (SELECT max(move_id) FROM portion) END AS next",
								  2,
								  {INT8OID, TEXTOID}};

static EtlStatement alerts = {
	"WITH " CUTOFF ", portion AS MATERIALIZED ("
	"  SELECT alert_id, pipeline_id, severity, created_at FROM etl.alert "
	"  WHERE alert_id > $1 ORDER BY alert_id LIMIT " PORTION "), "
	"deleted AS (DELETE FROM etl.alert AS a USING portion AS w, cutoff "
	"  WHERE a.alert_id = w.alert_id AND w.created_at < cutoff.at "
	/* ten newer ones */
	"  AND (w.pipeline_id IS NULL OR (SELECT count(*) FROM (SELECT n.pipeline_id, n.severity FROM etl.alert AS n "
	"    WHERE (n.pipeline_id, n.severity, n.created_at) > (w.pipeline_id, w.severity, w.created_at) "
	"    ORDER BY n.pipeline_id, n.severity, n.created_at LIMIT 10) AS newer "
	"    WHERE newer.pipeline_id = w.pipeline_id AND newer.severity = w.severity) = 10) "
	"  AND NOT EXISTS (SELECT FROM etl.alert_delivery AS d WHERE d.alert_id = w.alert_id "
	"    AND d.state IN ('pending', 'sending'))) "
	"SELECT CASE WHEN (SELECT count(*) FROM portion) = " PORTION
	"    AND (SELECT min(created_at) FROM portion) < (SELECT at FROM cutoff) "
	"    THEN (SELECT max(alert_id) FROM portion) END AS next",
	2,
	{INT8OID, TEXTOID}};

/* Attainment is looked at by month and year: kept longer. What is broken stays. */
static EtlStatement contract_results = {
	"WITH cutoff AS MATERIALIZED (SELECT clock_timestamp() - coalesce("
	"  (SELECT keep FROM etl.retention WHERE history = $2), interval '400 days') AS at), portion AS MATERIALIZED ("
	"  SELECT result_id, evaluated_at FROM etl.contract_result "
	"  WHERE result_id > $1 ORDER BY result_id LIMIT " PORTION "), "
	"deleted AS (DELETE FROM etl.contract_result AS r USING portion AS w, cutoff "
	"  WHERE r.result_id = w.result_id AND w.evaluated_at < cutoff.at "
	"  AND (r.kept IS NOT FALSE OR r.recovered_at IS NOT NULL)) "
	"SELECT CASE WHEN (SELECT count(*) FROM portion) = " PORTION
	"    AND (SELECT min(evaluated_at) FROM portion) < (SELECT at FROM cutoff) "
	"    THEN (SELECT max(result_id) FROM portion) END AS next",
	2,
	{INT8OID, TEXTOID}};

/* The tables, in the order in which they are looked at, with the history that they belong to. */
static const struct
{
	EtlStatement *statement;
	const char *history;
} tables[] = {
	{&runs, "run"},
	{&backfills, "run"},
	{&check_results, "check_result"},
	{&quarantine, "quarantine"},
	{&alerts, "alert"},
	{&watermarks, "watermark_history"},
	{&contract_results, "contract_result"},
};

/* Where the next portion begins; lost with the process, which then begins anew. */
static int table = 0;
static int64 last_id = 0;

/* etl_retention_step deletes one portion of old history; false when all of it was looked at. */
bool
etl_retention_step(void)
{
	EtlScope scope;
	EtlRow row;
	Datum value[2] = {Int64GetDatum(last_id), CStringGetTextDatum(tables[table].history)};

	etl_catalog_begin(&scope);
	etl_catalog_exec(tables[table].statement, value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	if (etl_row_isnull(&row, "next"))
	{
		table = (table + 1) % lengthof(tables);
		last_id = 0;
	}
	else
		last_id = etl_row_int64(&row, "next");
	etl_catalog_end(&scope);
	return table != 0 || last_id != 0;
}

/* etl_retention_set stores how long a history is kept; keep NULL: the default. */
void
etl_retention_set(const char *history, const Interval *keep)
{
	static EtlStatement forget = {"DELETE FROM etl.retention WHERE history = $1", 1, {TEXTOID}};
	static EtlStatement set = {"INSERT INTO etl.retention (history, keep) VALUES ($1, $2) "
							   "ON CONFLICT (history) DO UPDATE SET keep = $2",
							   2,
							   {TEXTOID, INTERVALOID}};
	Datum value[2] = {CStringGetTextDatum(history), IntervalPGetDatum(keep)};

	if (keep == NULL)
		etl_catalog_call(&forget, value, NULL, SPI_OK_DELETE);
	else
		etl_catalog_call(&set, value, NULL, SPI_OK_INSERT);
}
