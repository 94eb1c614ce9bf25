/*
 * change.c
 *		What a run changes in its target, as the text of the statements that find it. See change.h.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/sysattr.h"
#include "catalog/pg_type_d.h"
#include "load/change.h"
#include "load/history.h"
#include "load/markers.h"
#include "load/text.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

/* key_operator returns a comparison of the column's btree ordering as text. */
static char *
key_operator(const EtlColumn *column, StrategyNumber strategy)
{
	return etl_text_comparison(column->target_type, strategy);
}

/* etl_change_match compares the key columns. */
char *
etl_change_match(const EtlPlan *plan)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < plan->n_key; i++)
	{
		const EtlColumn *column = etl_plan_key(plan, i);

		appendStringInfo(&sql, "%st.%s%sd.%s", i > 0 ? " AND " : "", column->quoted,
						 key_operator(column, BTEqualStrategyNumber), column->quoted);
	}
	return sql.data;
}

/* append_bounds limits the part of the target that is looked at. */
static void
append_bounds(StringInfo sql, const EtlChange *change)
{
	const EtlColumn *column = etl_plan_key(change->plan, 0);
	char *type = etl_text_type(column->target_type, -1);

	if (change->partitions != NULL)
		appendStringInfoString(sql, change->partitions);
	if (change->lowest == NULL || change->highest == NULL)
		return;
	appendStringInfo(sql, " AND t.%s%s%s::%s", column->quoted, key_operator(column, BTGreaterEqualStrategyNumber),
					 quote_literal_cstr(change->lowest), type);
	appendStringInfo(sql, " AND t.%s%s%s::%s", column->quoted, key_operator(column, BTLessEqualStrategyNumber),
					 quote_literal_cstr(change->highest), type);
}

/* append_not_older appends the condition that d is at least as late as t, column by column from position i of order_by. */
static void
append_not_older(StringInfo sql, const EtlPlan *plan, int i)
{
	const EtlColumn *column = &plan->columns.column[plan->order[i].column];
	bool is_last = i == plan->n_order - 1;
	StrategyNumber strategy = plan->order[i].is_ascending ? BTLessStrategyNumber : BTGreaterStrategyNumber;
	char *later = key_operator(column, strategy);
	const char *name = column->quoted;

	if (is_last)
		strategy = plan->order[i].is_ascending ? BTLessEqualStrategyNumber : BTGreaterEqualStrategyNumber;
	if (is_last)
		appendStringInfo(sql, "(t.%s IS NULL OR d.%s%st.%s)", name, name, key_operator(column, strategy), name);
	else
	{
		appendStringInfo(sql, "(d.%s%st.%s OR (t.%s IS NULL AND d.%s IS NOT NULL)", name, later, name, name, name);
		appendStringInfo(sql, " OR ((d.%s%st.%s OR (t.%s IS NULL AND d.%s IS NULL)) AND ", name,
						 key_operator(column, BTEqualStrategyNumber), name, name, name);
		append_not_older(sql, plan, i + 1);
		appendStringInfoString(sql, "))");
	}
}

/* differs returns the condition that the row of the target changes. */
static char *
differs(const EtlChange *change)
{
	const EtlPlan *plan = change->plan;
	StringInfoData sql;

	/* Inserted only, unless the source has deleted the row and taken it up again. */
	if (plan->mode == ETL_MODE_INSERT_ONLY && change->gone == NULL)
		return pstrdup("false");
	if (plan->mode == ETL_MODE_INSERT_ONLY)
		return psprintf("EXISTS (SELECT 1 FROM %s AS g WHERE %s)", change->gone, etl_markers_same_key(plan));
	initStringInfo(&sql);
	for (int i = 0; i < plan->columns.n; i++)
	{
		const EtlColumn *column = &plan->columns.column[i];

		if (column->is_key || column->is_kept)
			continue;
		appendStringInfo(&sql, "%s", sql.len > 0 ? "\n  OR " : "");
		if (column->ignore_null)
			appendStringInfo(&sql, "(d.%s IS NOT NULL AND %s)", column->quoted, etl_text_differs(column));
		else
			appendStringInfoString(&sql, etl_text_differs(column));
	}
	if (plan->on_delete == ETL_ON_DELETE_MARK)
		appendStringInfo(&sql, "%st." ETL_DELETED_AT " IS NOT NULL", sql.len > 0 ? "\n  OR " : "");
	if (plan->has_inferred)
		appendStringInfo(&sql, "%st." ETL_IS_INFERRED, sql.len > 0 ? "\n  OR " : "");
	return sql.len > 0 ? sql.data : pstrdup("false");
}

/* append_value appends what a column of the target will hold. */
static void
append_value(StringInfo sql, const EtlColumn *column)
{
	if (column->is_key || (!column->is_kept && !column->ignore_null))
		appendStringInfo(sql, "d.%s", column->quoted);
	else if (column->is_kept)
		appendStringInfo(sql, "CASE WHEN t.ctid IS NULL THEN d.%s ELSE t.%s END AS %s", column->quoted, column->quoted,
						 column->quoted);
	else
		appendStringInfo(sql, "CASE WHEN d.%s IS NULL THEN t.%s ELSE d.%s END AS %s", column->quoted, column->quoted,
						 column->quoted, column->quoted);
}

/* append_old appends old values of the target's columns, each after a comma; names: only what they are called. */
static void
append_old(StringInfo sql, const EtlChange *change, bool names)
{
	int number = -1;

	while ((number = bms_next_member(change->old, number)) >= 0)
	{
		char *name = get_attname(change->plan->target, (AttrNumber) number, false);

		if (names)
			appendStringInfo(sql, ", _etl_o%d", number);
		else
			appendStringInfo(sql, ", t.%s AS _etl_o%d", quote_identifier(name), number);
	}
}

/* etl_change_statement joins delta and target. The delta comes first and in key order, so that the target is written so. */
char *
etl_change_statement(const EtlChange *change)
{
	const EtlPlan *plan = change->plan;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TEMPORARY TABLE %s ON COMMIT DROP AS\nSELECT ", change->table);
	for (int i = 0; i < plan->columns.n; i++)
	{
		append_value(&sql, &plan->columns.column[i]);
		appendStringInfoString(&sql, ", ");
	}
	appendStringInfoString(&sql, "\n  CASE");
	if (change->is_guarded && plan->n_order > 0)
	{
		appendStringInfoString(&sql, " WHEN t.ctid IS NOT NULL AND NOT ");
		append_not_older(&sql, plan, 0);
		appendStringInfo(&sql, " THEN '%c'", ETL_CHANGE_STALE);
	}
	if (change->late_before != NULL)
		appendStringInfo(&sql, " WHEN d.%s < %s THEN '%c'", plan->columns.column[plan->event_time].quoted,
						 change->late_before, ETL_CHANGE_LATE);
	appendStringInfo(&sql, " WHEN t.ctid IS NULL THEN '%c'", ETL_CHANGE_INSERT);
	appendStringInfo(&sql, " ELSE '%c' END::\"char\" AS _etl_op, t.ctid AS _etl_tid, t.tableoid AS _etl_table",
					 ETL_CHANGE_UPDATE);
	append_old(&sql, change, false);
	appendStringInfo(&sql, "\nFROM %s AS d LEFT JOIN %s AS t ON %s", change->source, plan->target_name,
					 etl_change_match(plan));
	append_bounds(&sql, change);
	appendStringInfo(&sql, "\nWHERE t.ctid IS NULL OR %s", differs(change));
	return sql.data;
}

/* etl_change_add selects from the target. Only the key columns have values. */
char *
etl_change_add(const EtlChange *change, char op, const char *from, const char *condition)
{
	const EtlPlan *plan = change->plan;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s (", change->table);
	for (int i = 0; i < plan->n_key; i++)
		appendStringInfo(&sql, "%s, ", etl_plan_key(plan, i)->quoted);
	appendStringInfoString(&sql, "_etl_op, _etl_tid, _etl_table");
	append_old(&sql, change, true);
	appendStringInfoString(&sql, ")\nSELECT ");
	for (int i = 0; i < plan->n_key; i++)
		appendStringInfo(&sql, "t.%s, ", etl_plan_key(plan, i)->quoted);
	appendStringInfo(&sql, "'%c'::\"char\", t.ctid, t.tableoid", op);
	append_old(&sql, change, false);
	appendStringInfo(&sql, "\nFROM %s AS t%s\nWHERE %s", plan->target_name, from, condition);
	if (op == ETL_CHANGE_MARK)
		appendStringInfoString(&sql, "\n  AND t." ETL_DELETED_AT " IS NULL");
	return sql.data;
}

/* etl_change_bound serves types whose text form is exact. */
char *
etl_change_bound(const EtlPlan *plan, const char *table, bool is_highest)
{
	const EtlColumn *column = etl_plan_key(plan, 0);

	switch (column->target_type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NUMERICOID:
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case UUIDOID:
		case TEXTOID:
		case VARCHAROID:
			if (OidIsValid(column->target_collation) &&
				column->target_collation != get_typcollation(column->target_type))
				return NULL;
			return psprintf("SELECT d.%s::pg_catalog.text FROM %s AS d ORDER BY d.%s %s LIMIT 1", column->quoted, table,
							column->quoted, is_highest ? "DESC" : "ASC");
		default:
			return NULL;
	}
}

/* etl_change_old_rows names the columns as the target does. */
char *
etl_change_old_rows(const EtlChange *change)
{
	StringInfoData sql;
	int number = -1;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "(SELECT ");
	while ((number = bms_next_member(change->old, number)) >= 0)
		appendStringInfo(&sql, "%sc._etl_o%d AS %s", sql.len > strlen("(SELECT ") ? ", " : "", number,
						 quote_identifier(get_attname(change->plan->target, (AttrNumber) number, false)));
	appendStringInfo(&sql, " FROM %s AS c WHERE c._etl_op IN ('%c', '%c', '%c'))", change->table, ETL_CHANGE_UPDATE,
					 ETL_CHANGE_MARK, ETL_CHANGE_DELETE);
	return sql.data;
}

/*
 * has_values says whether the table of changes holds the values that the target has now in all columns that somebody wants:
 * not those that triggers and defaults make, nor those of rows that were only marked.
 */
static bool
has_values(const EtlChange *change)
{
	const EtlPlan *plan = change->plan;
	int number = -1;

	if (plan->has_row_triggers || plan->on_delete == ETL_ON_DELETE_MARK)
		return false;
	while ((number = bms_next_member(change->old, number)) >= 0)
	{
		int i = etl_query_column(&plan->columns, get_attname(plan->target, (AttrNumber) number, false));

		if (i < 0)
			return false;
	}
	return true;
}

/* etl_change_new_rows reads what was written from the target, found by its key, where the changes do not tell. */
char *
etl_change_new_rows(const EtlChange *change)
{
	StringInfoData sql;

	if (has_values(change))
		return psprintf("(SELECT c.* FROM %s AS c WHERE c._etl_op IN ('%c', '%c'))", change->table, ETL_CHANGE_INSERT,
						ETL_CHANGE_UPDATE);
	initStringInfo(&sql);
	appendStringInfo(&sql, "(SELECT t.* FROM %s AS d JOIN %s AS t ON %s WHERE d._etl_op IN ('%c', '%c', '%c'))",
					 change->table, change->plan->target_name, etl_change_match(change->plan), ETL_CHANGE_INSERT,
					 ETL_CHANGE_UPDATE, ETL_CHANGE_MARK);
	return sql.data;
}
