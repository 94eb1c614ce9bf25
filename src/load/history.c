/*
 * history.c
 *		One run of a load in mode scd2. See history.h and history_timeline.c.
 */
#include "postgres.h"

#include "catalog/spi.h"
#include "catalog/task.h"
#include "fault.h"
#include "lib/stringinfo.h"
#include "load/history_run.h"
#include "load/text.h"
#include "utils/builtins.h"

/*
 * tally_changes counts the changes. Of a version that only overwrites columns of type 1 it is not known how many there
 * were; one per key is counted.
 */
static void
tally_changes(EtlHistoryRun *run)
{
	EtlHistoryTally *tally = &run->tally;
	bool has_type1 = run->plan->history->n_type1 > 0;
	char *text = etl_sql_text(psprintf(
		"SELECT pg_catalog.concat_ws(' ', pg_catalog.count(*) FILTER (WHERE _etl_op = 'I'),"
		" pg_catalog.count(*) FILTER (WHERE _etl_op = 'U'), pg_catalog.count(*) FILTER (WHERE _etl_op = 'D'),"
		" pg_catalog.count(*) FILTER (WHERE _etl_op = 'U' AND _etl_old_to = 'infinity' AND _etl_to < 'infinity'),"
		" pg_catalog.count(*) FILTER (WHERE _etl_op = 'U' AND _etl_old_to < 'infinity' AND _etl_to < _etl_old_to),"
		" pg_catalog.count(*) FILTER (WHERE _etl_op = 'U' AND (_etl_from < _etl_old_from OR _etl_to > _etl_old_to)),"
		" pg_catalog.count(*) FILTER (WHERE _etl_is_new OR _etl_op = 'D')%s) FROM %s",
		has_type1
			? psprintf(" + (SELECT pg_catalog.count(*) FROM (SELECT 1 FROM %s GROUP BY _etl_k HAVING"
					   " pg_catalog.bool_or(_etl_is_type1) AND NOT pg_catalog.bool_or(coalesce(_etl_is_new, false)))"
					   " AS k)",
					   run->table.changes)
			: "",
		run->table.changes));

	(void) sscanf(text,
				  INT64_FORMAT " " INT64_FORMAT " " INT64_FORMAT " " INT64_FORMAT " " INT64_FORMAT " " INT64_FORMAT
							   " " INT64_FORMAT,
				  &tally->inserted, &tally->updated, &tally->deleted, &tally->closed, &tally->split, &tally->grown,
				  &tally->effective);
}

/* count_late returns how many versions came after a later one of their key was in the target. */
static int64
count_late(const EtlHistoryRun *run)
{
	const char *time = etl_history_time(run->plan);
	int64 n = 0;

	if (time == NULL || run->is_rebuild ||
		/* Mostly all versions are later than all that is there. */
		!etl_sql_int64(
			psprintf("SELECT 1 WHERE (SELECT pg_catalog.min(%s) FROM %s)%s < (SELECT pg_catalog.max(" ETL_VALID_FROM
					 ") FROM %s)",
					 time, run->table.versions, etl_history_cast(run->plan), run->table.old),
			&n))
		return 0;
	n = 0;
	(void) etl_sql_int64(
		psprintf("SELECT pg_catalog.count(*) FROM %s AS v JOIN %s AS k ON %s WHERE EXISTS (SELECT 1 FROM"
				 " %s AS o WHERE o._etl_k = k._etl_k AND o." ETL_VALID_FROM " > v.%s%s)",
				 run->table.versions, run->table.keys, etl_history_same_key(run->plan, "v.", "k."), run->table.old,
				 time, etl_history_cast(run->plan)),
		&n);
	return n;
}

/* count_result counts what was written. */
static void
count_result(EtlHistoryRun *run, int64 rejected)
{
	const EtlHistoryTally *tally = &run->tally;
	EtlAttempt *attempt = run->delta->attempt;
	EtlCounts *counts = &attempt->counts;

	counts->inserted += tally->inserted;
	counts->updated += tally->updated;
	counts->deleted += tally->deleted;
	counts->unchanged += Max(run->delta->rows - tally->effective - rejected, 0);
	etl_attempt_count(attempt, "versions_closed", tally->closed);
	etl_attempt_count(attempt, "versions_split", tally->split);
	if (run->n_old > 0)
		etl_attempt_count(attempt, "late_versions", count_late(run));
}

/* note_statements keeps the main statements for etl.task_run. */
static void
note_statements(EtlHistoryRun *run)
{
	EtlAttempt *attempt = run->delta->attempt;
	MemoryContext caller = CurrentMemoryContext;
	StringInfoData sql;

	MemoryContextSwitchTo(attempt->context);
	initStringInfo(&sql);
	MemoryContextSwitchTo(caller);
	appendStringInfo(&sql, "%s;\n\n%s;\n\n%s;\n\n%s;",
					 etl_delta_statement(run->stage, run->versions->query, run->table.versions),
					 etl_history_changes_statement(run), etl_history_update_statement(run, 1, run->n_keys),
					 etl_history_insert_statement(run, 1, run->n_keys));
	attempt->sql = sql.data;
}

/* target_columns returns the columns of the target of alias row that can be written. */
static char *
target_columns(const EtlHistoryRun *run, const char *row)
{
	return etl_sql_text(
		psprintf("SELECT pg_catalog.string_agg(pg_catalog.format('%s.%%I', a.attname), ', ' ORDER BY"
				 " a.attnum) FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = %u AND a.attnum > 0 AND"
				 " NOT a.attisdropped AND a.attgenerated = ''",
				 row, run->plan->target));
}

/* make_images names what has changed. */
static EtlImages
make_images(const EtlHistoryRun *run)
{
	const EtlPlan *plan = run->plan;
	EtlImages images = {NULL, NULL, 0, 0};

	images.n_old = run->tally.updated + run->tally.deleted;
	images.n_new = run->tally.inserted + run->tally.updated;
	if (images.n_old > 0)
		images.old_rows = psprintf(
			"(SELECT %s FROM %s AS o JOIN %s AS c ON c._etl_s = o._etl_s WHERE c._etl_op <> 'I')",
			target_columns(run, "o"), run->table.old, run->table.changes);
	if (images.n_new > 0)
		images.new_rows = psprintf("(SELECT %s FROM %s AS t JOIN %s AS k ON %s JOIN %s AS c ON c._etl_k = k._etl_k AND"
								   " c._etl_from = t." ETL_VALID_FROM " WHERE c._etl_op <> 'D')",
								   target_columns(run, "t"), plan->target_name, run->table.keys,
								   etl_history_same_key(plan, "t.", "k."), run->table.changes);
	return images;
}

/* find_changes fills the table of changes. */
static void
find_changes(EtlHistoryRun *run)
{
	if (run->has_loaded && run->is_observed)
	{
		(void) etl_sql_exec(etl_history_points_statement(run), SPI_OK_UTILITY);
		run->has_points = true;
		(void) etl_sql_exec(psprintf("CREATE INDEX ON %s (_etl_k, _etl_t)", run->table.points), SPI_OK_UTILITY);
		(void) etl_sql_exec(psprintf("ANALYZE %s (_etl_k, _etl_t, _etl_kind)", run->table.points), SPI_OK_UTILITY);
		(void) etl_sql_exec(etl_history_reopen_statement(run), SPI_OK_INSERT);
	}
	(void) etl_sql_exec(etl_history_changes_statement(run), SPI_OK_UTILITY);
	(void) etl_sql_exec(psprintf("ANALYZE %s (_etl_op)", run->table.changes), SPI_OK_UTILITY);
}

/* etl_history_run does the work. */
void
etl_history_run(EtlDelta *delta)
{
	EtlHistoryRun *run = etl_history_prepare(delta);
	int64 rejected;

	etl_history_stage(run);
	rejected = delta->attempt->counts.rejected;
	note_statements(run);
	if (run->n_keys > 0)
	{
		ETL_FAULT("before_merge");
		find_changes(run);
		tally_changes(run);
		etl_history_write(run);
		rejected = delta->attempt->counts.rejected - rejected;
		if (rejected > 0)
			tally_changes(run);
		count_result(run, rejected);
		ETL_FAULT("after_merge");
		delta->images = make_images(run);
	}
}

/* etl_history_explain returns the statements. */
List *
etl_history_explain(const EtlPlan *plan, const char *query)
{
	EtlDelta delta = {.plan = plan, .query = pstrdup(query), .table = "pg_temp.etl_versions"};
	EtlHistoryRun *run = etl_history_prepare(&delta);
	List *list = NIL;

	list = lappend(list, etl_delta_statement(run->stage, run->versions->query, run->table.versions));
	run->has_gone = plan->on_delete == ETL_ON_DELETE_DELETE;
	if (run->has_gone)
	{
		etl_task_raw_deletes(plan->compile->single->name, &run->is_observed, &run->is_compared);
		list = lappend(list, "-- Delete markers. If there are none, the statements below leave them out.");
		list = lappend(list, etl_history_gone_statement(run));
		if (plan->history->time >= 0)
			list = lappend(list, etl_history_loaded_statement(run));
	}
	list = lappend(list, etl_history_keys_statement(run));
	list = lappend(list, etl_history_old_statement(run));
	if (run->has_gone && plan->history->time >= 0 && run->is_observed)
	{
		list = lappend(list, "-- Rows that have been closed and may be there again:");
		list = lappend(list, etl_history_points_statement(run));
		list = lappend(list, etl_history_reopen_statement(run));
		run->has_points = true;
	}
	list = lappend(list, etl_history_changes_statement(run));
	list = lappend(list, "-- For all keys, here for the first:");
	list = lappend(list, etl_history_delete_statement(run, 1, 1));
	list = lappend(list, etl_history_update_statement(run, 1, 1));
	list = lappend(list, etl_history_grow_statement(run, 1, 1));
	return lappend(list, etl_history_insert_statement(run, 1, 1));
}
