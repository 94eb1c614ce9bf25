/*
 * undo_images.c
 *		Which rows a load changes, found by comparing. See undo_images.h.
 *
 * Where the load can reach only rows with a key of the delta or of a delete marker, those are copied before; otherwise all rows.
 */
#include "postgres.h"

#include "catalog/spi.h"
#include "load/load.h"
#include "load/undo.h"
#include "load/undo_columns.h"
#include "load/undo_images.h"
#include "utils/builtins.h"
#include "utils/guc.h"

/* is_keyed says whether rows of the target can be told apart by the key; in mode append a key may come again. */
static bool
is_keyed(const EtlPlan *plan)
{
	return plan->n_key > 0 && plan->mode != ETL_MODE_APPEND;
}

/* read_columns returns the columns of the target. */
static EtlUndoColumns *
read_columns(const EtlPlan *plan)
{
	return etl_undo_columns_read(plan->target, is_keyed(plan) ? &plan->task->key : NULL);
}

/* reaches_all says whether rows may change whose keys are not in the delta. */
static bool
reaches_all(const EtlDelta *delta)
{
	return !is_keyed(delta->plan) || delta->plan->mode == ETL_MODE_REPLACE || delta->attempt->full_refresh;
}

/* etl_undo_images_before copies rows with their text. */
char *
etl_undo_images_before(EtlDelta *delta)
{
	const EtlPlan *plan = delta->plan;
	char *table = etl_delta_name(delta->attempt, "before");
	EtlUndoColumns *columns;
	StringInfoData sql;
	int level;

	if (plan->task->keep_undo == NULL)
		return NULL;
	columns = read_columns(plan);
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TEMPORARY TABLE %s ON COMMIT DROP AS SELECT ", table);
	etl_undo_columns_list(&sql, columns, "t.", false);
	appendStringInfo(&sql, ", %s AS _etl_image FROM %s AS t", etl_undo_columns_text(columns, "t"), plan->target_name);
	if (!reaches_all(delta))
	{
		appendStringInfo(&sql, " WHERE EXISTS (SELECT 1 FROM %s AS d WHERE %s)", delta->table,
						 etl_undo_columns_same_key(columns, "t", "d"));
		if (delta->gone != NULL)
			appendStringInfo(&sql, " OR EXISTS (SELECT 1 FROM %s AS d WHERE %s)", delta->gone,
							 etl_undo_columns_same_key(columns, "t", "d"));
	}
	level = etl_undo_columns_pin();
	(void) etl_sql_exec(sql.data, SPI_OK_UTILITY);
	AtEOXact_GUC(true, level);
	return table;
}

/* make_after copies rows of the target as they are now: those that could be new, and those that were there before. */
static char *
make_after(EtlDelta *delta, const EtlUndoColumns *columns, const char *before)
{
	char *table = etl_delta_name(delta->attempt, "after");
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TEMPORARY TABLE %s ON COMMIT DROP AS SELECT ", table);
	etl_undo_columns_list(&sql, columns, "t.", false);
	appendStringInfo(&sql, ", %s AS _etl_image FROM %s AS t", etl_undo_columns_text(columns, "t"),
					 delta->plan->target_name);
	if (!reaches_all(delta))
		appendStringInfo(&sql,
						 " WHERE EXISTS (SELECT 1 FROM %s AS d WHERE %s) OR EXISTS (SELECT 1 FROM %s AS d WHERE %s)",
						 delta->table, etl_undo_columns_same_key(columns, "t", "d"), before,
						 etl_undo_columns_same_key(columns, "t", "d"));
	(void) etl_sql_exec(sql.data, SPI_OK_UTILITY);
	return table;
}

/* difference makes a table of the rows of one table that are not in the other, by their text and as often; counts them. */
static char *
difference(const EtlDelta *delta, const EtlUndoColumns *columns, const char *kind, const char *const side[2], int64 *n)
{
	char *table = etl_delta_name(delta->attempt, kind);
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TEMPORARY TABLE %s ON COMMIT DROP AS SELECT ", table);
	etl_undo_columns_list(&sql, columns, "x.", false);
	appendStringInfo(
		&sql,
		" FROM (SELECT *, pg_catalog.row_number() OVER (PARTITION BY _etl_image) AS _etl_copy FROM %s) AS x"
		" WHERE NOT EXISTS (SELECT 1 FROM (SELECT _etl_image, pg_catalog.row_number() OVER (PARTITION BY"
		" _etl_image) AS _etl_copy FROM %s) AS y WHERE y._etl_image = x._etl_image AND y._etl_copy ="
		" x._etl_copy)",
		side[0], side[1]);
	*n = (int64) etl_sql_exec(sql.data, SPI_OK_UTILITY);
	return table;
}

/* etl_undo_images_keep compares row by row. */
void
etl_undo_images_keep(EtlDelta *delta, const char *before)
{
	const EtlPlan *plan = delta->plan;
	EtlUndoColumns *columns;
	EtlImages images = {0};
	char *after;
	int level;

	if (before == NULL)
		return;
	columns = read_columns(plan);
	level = etl_undo_columns_pin();
	after = make_after(delta, columns, before);
	images.old_rows = difference(delta, columns, "old", (const char *[]){before, after}, &images.n_old);
	images.new_rows = difference(delta, columns, "new", (const char *[]){after, before}, &images.n_new);
	etl_undo_keep(delta->attempt, plan->target, is_keyed(plan) ? &plan->task->key : NULL, &images);
	AtEOXact_GUC(true, level);
	etl_delta_drop(images.old_rows);
	etl_delta_drop(images.new_rows);
	etl_delta_drop(after);
	etl_delta_drop(before);
}
