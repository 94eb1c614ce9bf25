/*
 * delta.c
 *		The rows of one run in a temporary table. See delta.h.
 *
 * One statement evaluates the query, keeps the latest row of each key and stores it with the target's types, in key
 * order. It is tried in a subtransaction: when a row cannot be stored, salvage.c finds out which.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type_d.h"
#include "catalog/spi.h"
#include "load/bisect.h"
#include "load/delta.h"
#include "load/dml.h"
#include "load/text.h"
#include "observe/progress.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

/* etl_delta_name returns the name of a temporary table that no other attempt uses. */
char *
etl_delta_name(const EtlAttempt *attempt, const char *kind)
{
	return psprintf("pg_temp.etl_%s_" INT64_FORMAT, kind, attempt->task_run_id);
}

/* etl_delta_make returns a delta with its names. */
EtlDelta *
etl_delta_make(EtlAttempt *attempt, const EtlPlan *plan, char *query)
{
	EtlDelta *delta = palloc0(sizeof(EtlDelta));

	delta->attempt = attempt;
	delta->plan = plan;
	delta->query = query;
	delta->table = etl_delta_temporary(delta, "delta");
	return delta;
}

/* etl_delta_temporary remembers the name. */
char *
etl_delta_temporary(EtlDelta *delta, const char *kind)
{
	char *name = etl_delta_name(delta->attempt, kind);

	delta->temporary = lappend(delta->temporary, name);
	return name;
}

/* etl_delta_end drops tables, also those that were never made. */
void
etl_delta_end(EtlDelta *delta)
{
	ListCell *cell;

	foreach (cell, delta->temporary)
		(void) etl_sql_exec(psprintf("DROP TABLE IF EXISTS %s", (char *) lfirst(cell)), SPI_OK_UTILITY);
}

/* etl_delta_create creates a temporary table that goes with the transaction. */
void
etl_delta_create(const EtlPlan *plan, const char *table, bool strict, const char *extra)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TEMPORARY TABLE %s (", table);
	etl_text_definitions(&sql, plan, strict);
	appendStringInfo(&sql, "%s) ON COMMIT DROP", extra);
	(void) etl_sql_exec(sql.data, SPI_OK_UTILITY);
}

/* etl_delta_drop drops a temporary table. */
void
etl_delta_drop(const char *table)
{
	(void) etl_sql_exec(psprintf("DROP TABLE %s", table), SPI_OK_UTILITY);
}

/* is_cut_by_cast says whether an explicit cast to a type with a length cuts silently what an assignment refuses. */
static bool
is_cut_by_cast(Oid type)
{
	return type == VARCHAROID || type == BPCHAROID || type == BITOID || type == VARBITOID;
}

/*
 * etl_delta_key returns a key column as the target will see it: values that differ in the query may be equal there.
 */
char *
etl_delta_key(const EtlColumn *column, const char *source, bool is_cast)
{
	char *name = psprintf("%s%s", source, column->quoted);
	int32 typmod = is_cut_by_cast(column->target_type) ? -1 : column->target_typmod;

	if (!is_cast)
		return name;
	if (!etl_plan_is_same_type(column))
		name = psprintf("%s::%s", name, etl_text_type(column->target_type, typmod));
	if (OidIsValid(column->target_collation) && column->collation != column->target_collation)
		name = psprintf("%s%s", name, etl_text_collate(column->target_collation, InvalidOid));
	return name;
}

/* etl_delta_select returns the beginning of a SELECT that keeps one row per key. */
char *
etl_delta_select(const EtlPlan *plan, const char *source, bool is_cast)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (int i = 0; i < plan->n_key; i++)
		appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "DISTINCT ON (",
						 etl_delta_key(etl_plan_key(plan, i), source, is_cast));
	if (plan->n_key > 0)
		appendStringInfoString(&sql, ") ");
	etl_text_columns(&sql, plan, source);
	return sql.data;
}

/* etl_delta_order returns the ORDER BY clause that puts the latest version of each key first. */
char *
etl_delta_order(const EtlPlan *plan, const char *source, bool is_cast)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < plan->n_key; i++)
		appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "ORDER BY ",
						 etl_delta_key(etl_plan_key(plan, i), source, is_cast));
	for (int i = 0; i < plan->n_order && plan->n_key > 0; i++)
		appendStringInfo(&sql, ", %s%s %s NULLS LAST", source, plan->columns.column[plan->order[i].column].quoted,
						 plan->order[i].is_ascending ? "ASC" : "DESC");
	for (int i = 0; i < plan->compile->n_sequence && plan->n_key > 0; i++)
		appendStringInfo(&sql, ", %s%s DESC NULLS LAST", source, etl_compile_sequence_name(i));
	return sql.data;
}

/* rows_query returns the query for the rows of the delta: the latest of each key. */
static char *
rows_query(const EtlPlan *plan, const char *query)
{
	return psprintf("%s\nFROM (\n%s\n) AS q%s%s", etl_delta_select(plan, "q.", true), query,
					plan->n_key > 0 ? "\n" : "", etl_delta_order(plan, "q.", true));
}

/* etl_delta_statement returns the statement that fills the delta. */
char *
etl_delta_statement(const EtlPlan *plan, const char *query, const char *table)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s (", table);
	etl_text_columns(&sql, plan, "");
	appendStringInfo(&sql, ")\n%s", rows_query(plan, query));
	return sql.data;
}

/*
 * is_as_queried says whether the rows can be stored as the query returns them. Then CREATE TABLE AS does it, which is
 * faster than INSERT and may use parallel workers, but counts only the rows that it stores.
 */
static bool
is_as_queried(const EtlDelta *delta)
{
	const EtlPlan *plan = delta->plan;

	if (!delta->is_read_known && plan->n_key > 0)
		return false;
	for (int i = 0; i < plan->columns.n; i++)
	{
		const EtlColumn *column = &plan->columns.column[i];

		if (!etl_plan_is_same_type(column) || column->collation != column->target_collation)
			return false;
	}
	return true;
}

/* check_not_null raises the error that NOT NULL constraints would have raised; only its class matters to the caller. */
static void
check_not_null(const EtlDelta *delta)
{
	const EtlColumns *columns = &delta->plan->columns;
	StringInfoData sql;
	int64 found;
	int n = 0;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT 1 FROM %s WHERE ", delta->table);
	for (int i = 0; i < columns->n; i++)
		if (columns->column[i].not_null || columns->column[i].is_key)
			appendStringInfo(&sql, "%s%s IS NULL", n++ > 0 ? " OR " : "", columns->column[i].quoted);
	appendStringInfoString(&sql, " LIMIT 1");
	if (n > 0 && etl_sql_int64(sql.data, &found))
		ereport(ERROR, (errcode(ERRCODE_NOT_NULL_VIOLATION), errmsg("null value in a column that must not be null")));
}

/* fill_at_once creates and fills the table by one statement, with the search_path of the author: his functions run. */
static void
fill_at_once(void *arg)
{
	EtlDelta *delta = arg;
	const EtlPlan *plan = delta->plan;
	bool is_created = is_as_queried(delta);
	int level;

	if (!is_created)
		etl_delta_create(plan, delta->table, true, "");
	level = etl_attempt_author_path(plan->task);
	if (is_created)
		delta->rows = delta->read = (int64) etl_sql_exec(
			psprintf("CREATE TEMPORARY TABLE %s ON COMMIT DROP AS %s", delta->table, rows_query(plan, delta->query)),
			SPI_OK_UTILITY);
	else
	{
		EtlDml dml = etl_dml_run(etl_delta_statement(plan, delta->query, delta->table));

		delta->rows = dml.inserted;
		delta->read = plan->n_key > 0 ? dml.read : dml.inserted;
	}
	AtEOXact_GUC(true, level);
	if (is_created)
		check_not_null(delta);
}

/* key_list returns the key columns, separated by commas. */
static char *
key_list(const EtlPlan *plan)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < plan->n_key; i++)
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "", etl_plan_key(plan, i)->quoted);
	return list.data;
}

/*
 * etl_delta_fill fills the delta and tells the planner about it. The index spares the join with the target another
 * sort; it is not unique, because two values that were different may be equal once a type has cut them.
 */
void
etl_delta_fill(EtlDelta *delta)
{
	etl_progress_step(ETL_STEP_DELTA);
	if (etl_bisect_try(fill_at_once, delta) != NULL)
		etl_salvage_fill(delta);
	if (delta->rows == 0)
		return;
	if (delta->plan->n_key == 0)
		(void) etl_sql_exec(psprintf("ANALYZE %s", delta->table), SPI_OK_UTILITY);
	else
	{
		char *keys = key_list(delta->plan);

		(void) etl_sql_exec(psprintf("CREATE INDEX ON %s (%s)", delta->table, keys), SPI_OK_UTILITY);
		(void) etl_sql_exec(psprintf("ANALYZE %s (%s)", delta->table, keys), SPI_OK_UTILITY);
	}
}
