/*
 * history_stage.c
 *		What a run in mode scd2 works on: the versions that the query returns, the delete markers, and the rows of the
 *		target that have their keys. See history_run.h.
 *
 * The versions are filled like the delta of any load, by a plan whose key ends with the time: that keeps one row per key
 * and time, and puts rows without either to etl.quarantine.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type_d.h"
#include "catalog/spi.h"
#include "catalog/task.h"
#include "load/history_run.h"
#include "load/markers.h"
#include "load/reject.h"
#include "load/text.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/ruleutils.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

/* Name of the column that carries the batch of a version. */
#define BATCH "_etl_batch"

/* etl_history_same_key returns the condition that two rows have the same key. */
char *
etl_history_same_key(const EtlPlan *plan, const char *left, const char *right)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < plan->n_key; i++)
	{
		const EtlColumn *column = etl_plan_key(plan, i);
		Oid equal = lookup_type_cache(column->target_type, TYPECACHE_EQ_OPR)->eq_opr;

		appendStringInfo(&sql, "%s%s%s%s%s%s", i > 0 ? " AND " : "", left, column->quoted, etl_text_operator(equal),
						 right, column->quoted);
	}
	return sql.data;
}

/* etl_history_time returns the column with the effective time. */
const char *
etl_history_time(const EtlPlan *plan)
{
	return plan->history->time < 0 ? NULL : plan->columns.column[plan->history->time].quoted;
}

/* etl_history_cast returns a cast. */
char *
etl_history_cast(const EtlPlan *plan)
{
	return psprintf("::%s", etl_text_type(plan->history->time_type, -1));
}

/* carries_batch says whether versions need the batch that they came in. */
static bool
carries_batch(const EtlPlan *plan)
{
	return plan->on_delete == ETL_ON_DELETE_DELETE && plan->compile->n_sequence > 0;
}

/* stage_plan returns the plan for the versions. */
static EtlPlan *
stage_plan(const EtlPlan *plan)
{
	EtlPlan *stage = palloc(sizeof(EtlPlan));
	EtlColumns *columns = &stage->columns;
	int time = plan->history->time;

	*stage = *plan;
	columns->column = palloc0(sizeof(EtlColumn) * (plan->columns.n + 1));
	memcpy(columns->column, plan->columns.column, sizeof(EtlColumn) * plan->columns.n);
	if (carries_batch(plan))
	{
		EtlColumn *column = &columns->column[columns->n++];

		column->name = pstrdup(BATCH);
		column->quoted = column->name;
		column->type = column->target_type = INT8OID;
		column->typmod = column->target_typmod = -1;
	}
	if (time < 0)
		return stage;
	stage->key = palloc(sizeof(int) * (plan->n_key + 1));
	memcpy(stage->key, plan->key, sizeof(int) * plan->n_key);
	stage->key[stage->n_key++] = time;
	columns->column[time].is_key = true;
	stage->order = plan->order + 1;
	stage->n_order = plan->n_order - 1;
	return stage;
}

/* start_of_run returns the start of the transaction as a literal of the type of valid_from. */
static char *
start_of_run(const EtlPlan *plan)
{
	return psprintf("CAST('%s'::pg_catalog.timestamptz AS %s)",
					timestamptz_to_str(GetCurrentTransactionStartTimestamp()),
					etl_text_type(plan->history->time_type, -1));
}

/* Rows of the target for each key, from which on its pages are read one by one through an index. */
#define INDEX_SHARE 4

/*
 * etl_history_prefer_index lets the next joins with the target find rows by index where they are few. The planner, which
 * takes reading pages in no order for four times as slow, would read the whole target.
 */
int
etl_history_prefer_index(const EtlPlan *plan, int64 rows)
{
	int level = NewGUCNestLevel();
	int64 all;

	if (!etl_sql_int64(psprintf("SELECT c.reltuples::pg_catalog.int8 FROM pg_catalog.pg_class AS c WHERE c.oid = %u",
								plan->target),
					   &all) ||
		all < rows * INDEX_SHARE)
		return level;
	(void) set_config_option("enable_hashjoin", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("enable_mergejoin", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("enable_memoize", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return level;
}

/* etl_history_prepare makes the run. */
EtlHistoryRun *
etl_history_prepare(EtlDelta *delta)
{
	EtlHistoryRun *run = palloc0(sizeof(EtlHistoryRun));
	const EtlPlan *plan = delta->plan;

	run->delta = delta;
	run->plan = plan;
	run->stage = stage_plan(plan);
	run->moment = start_of_run(plan);
	run->versions = palloc(sizeof(EtlDelta));
	*run->versions = *delta;
	run->versions->plan = run->stage;
	run->versions->query = etl_history_versions_query(run);
	run->table.versions = delta->table;
	run->table.gone = "pg_temp.etl_gone";
	run->table.loaded = "pg_temp.etl_loaded";
	run->table.keys = "pg_temp.etl_keys";
	run->table.old = "pg_temp.etl_old";
	run->table.points = "pg_temp.etl_points";
	run->table.changes = "pg_temp.etl_changes";
	return run;
}

/* name_tables gives the temporary tables names that no other attempt uses. */
static void
name_tables(EtlHistoryRun *run)
{
	EtlDelta *delta = run->delta;

	run->table.gone = etl_delta_temporary(delta, "gone");
	run->table.loaded = etl_delta_temporary(delta, "loaded");
	run->table.keys = etl_delta_temporary(delta, "keys");
	run->table.old = etl_delta_temporary(delta, "old");
	run->table.points = etl_delta_temporary(delta, "points");
	run->table.changes = etl_delta_temporary(delta, "changes");
}

/* etl_history_versions_query returns the query of the load, with the batch as a column where it is needed. */
char *
etl_history_versions_query(const EtlHistoryRun *run)
{
	if (!carries_batch(run->plan))
		return run->delta->query;
	return psprintf("SELECT q.*, q.%s AS " BATCH " FROM (\n%s\n) AS q", etl_compile_sequence_name(0),
					run->delta->query);
}

/* etl_history_gone_statement returns the statement that collects the delete markers. */
char *
etl_history_gone_statement(const EtlHistoryRun *run)
{
	const EtlPlan *plan = run->plan;
	const char *time = etl_history_time(plan);
	StringInfoData columns;
	StringInfoData present;

	initStringInfo(&columns);
	initStringInfo(&present);
	for (int i = 0; i < plan->n_key; i++)
	{
		const EtlColumn *column = etl_plan_key(plan, i);

		appendStringInfo(&columns, "%s AS %s, ", etl_delta_key(column, "q.", true), column->quoted);
		appendStringInfo(&present, "%sq.%s IS NOT NULL", i > 0 ? " AND " : "", column->quoted);
	}
	return psprintf("CREATE TEMPORARY TABLE %s ON COMMIT DROP AS SELECT DISTINCT %s%s%s%s AS _etl_time, q.%s AS " BATCH
					"\nFROM (\n%s\n) AS q\nWHERE %s",
					run->table.gone, columns.data, time ? "q." : "NULL", time ? time : "", etl_history_cast(plan),
					etl_compile_sequence_name(0), etl_markers_query(plan), present.data);
}

/* append_keys appends the key columns. */
static void
append_keys(StringInfo sql, const EtlPlan *plan)
{
	for (int i = 0; i < plan->n_key; i++)
		appendStringInfo(sql, "%s%s", i > 0 ? ", " : "", etl_plan_key(plan, i)->quoted);
}

/* etl_history_keys_statement returns the statement that numbers the touched keys. */
char *
etl_history_keys_statement(const EtlHistoryRun *run)
{
	StringInfoData keys;
	StringInfoData sql;

	initStringInfo(&keys);
	append_keys(&keys, run->plan);
	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "CREATE TEMPORARY TABLE %s ON COMMIT DROP AS SELECT pg_catalog.row_number() OVER (ORDER BY %s) AS"
					 " _etl_k, pg_catalog.bool_or(_etl_v) AS _etl_v, %s FROM (SELECT %s, true AS _etl_v FROM %s",
					 run->table.keys, keys.data, keys.data, keys.data, run->table.versions);
	if (run->has_gone)
		appendStringInfo(&sql, " UNION ALL SELECT %s, false FROM %s", keys.data, run->table.gone);
	appendStringInfo(&sql, ") AS q GROUP BY %s", keys.data);
	return sql.data;
}

/* etl_history_old_statement returns the statement that keeps the rows of these keys as they are. */
char *
etl_history_old_statement(const EtlHistoryRun *run)
{
	const EtlPlan *plan = run->plan;

	return psprintf("CREATE TEMPORARY TABLE %s ON COMMIT DROP AS SELECT t.*, k._etl_k, k._etl_v,"
					" t.%s::pg_catalog.int8 AS _etl_s FROM %s AS t JOIN %s AS k ON %s WHERE t.%s <> -1",
					run->table.old, plan->surrogate, plan->target_name, run->table.keys,
					etl_history_same_key(plan, "t.", "k."), plan->surrogate);
}

/* reject_endless puts aside versions that would begin when time ends. */
static void
reject_endless(EtlHistoryRun *run)
{
	const char *time = etl_history_time(run->plan);
	EtlReject reject = {run->table.versions, NULL, "22008", NULL};
	int64 n;

	if (time == NULL || run->versions->rows == 0 ||
		!etl_sql_int64(psprintf("SELECT 1 FROM %s WHERE %s = 'infinity' LIMIT 1", run->table.versions, time), &n))
		return;
	reject.column = run->plan->columns.column[run->plan->history->time].name;
	reject.reason = psprintf("a version cannot begin at infinity, the value of \"%s\"", reject.column);
	etl_reject_rows(run->versions, &reject, psprintf("s.%s = 'infinity'", time));
	run->versions->rows -= (int64) etl_sql_exec(
		psprintf("DELETE FROM %s WHERE %s = 'infinity'", run->table.versions, time), SPI_OK_DELETE);
}

/* collect_gone fills the table of the delete markers, as the author, whose expressions are in the query. */
static void
collect_gone(EtlHistoryRun *run)
{
	int level;

	if (!carries_batch(run->plan))
		return;
	level = etl_attempt_author_path(run->plan->task);
	run->has_gone = etl_sql_exec(etl_history_gone_statement(run), SPI_OK_UTILITY) > 0;
	AtEOXact_GUC(true, level);
}

/* etl_history_loaded_statement returns the statement that notes when each batch was loaded. */
char *
etl_history_loaded_statement(const EtlHistoryRun *run)
{
	Query *rows = etl_compile_rows(run->plan->compile->single, ETL_ROWS_ALL);

	return psprintf("CREATE TEMPORARY TABLE %s ON COMMIT DROP AS SELECT q." BATCH
					", pg_catalog.max(q._etl_loaded_at) AS _etl_loaded_at FROM (%s) AS q GROUP BY q." BATCH,
					run->table.loaded, pg_get_querydef(rows, false));
}

/* collect_loaded notes when each batch was loaded, where that decides something: beside markers and closed rows. */
static void
collect_loaded(EtlHistoryRun *run)
{
	const EtlPlan *plan = run->plan;
	int64 n;

	if (!carries_batch(plan) || plan->history->time < 0)
		return;
	if (!run->has_gone &&
		(!run->is_observed ||
		 !etl_sql_int64(psprintf("SELECT 1 FROM %s WHERE " ETL_VALID_TO " <> 'infinity' LIMIT 1", run->table.old), &n)))
		return;
	(void) etl_sql_exec(etl_history_loaded_statement(run), SPI_OK_UTILITY);
	run->has_loaded = true;
}

/* etl_history_stage fills the tables. */
void
etl_history_stage(EtlHistoryRun *run)
{
	EtlDelta *delta = run->delta;
	int level;

	name_tables(run);
	if (carries_batch(run->plan))
		etl_task_raw_deletes(run->plan->compile->single->name, &run->is_observed, &run->is_compared);
	run->is_rebuild = delta->attempt->full_refresh && run->plan->history->time >= 0;
	etl_delta_fill(run->versions);
	reject_endless(run);
	delta->rows = run->versions->rows;
	delta->read = run->versions->read;
	collect_gone(run);
	if (delta->rows == 0 && !run->has_gone)
		return;
	run->n_keys = (int64) etl_sql_exec(etl_history_keys_statement(run), SPI_OK_UTILITY);
	(void) etl_sql_exec(psprintf("ANALYZE %s", run->table.keys), SPI_OK_UTILITY);
	level = etl_history_prefer_index(run->plan, run->n_keys);
	run->n_old = (int64) etl_sql_exec(etl_history_old_statement(run), SPI_OK_UTILITY);
	AtEOXact_GUC(true, level);
	collect_loaded(run);
}
