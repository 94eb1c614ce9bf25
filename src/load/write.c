/*
 * write.c
 *		The statements that write a target. See write.h.
 *
 * A row of the target is found again by where it lies; in a partitioned table by its key as well, so that only its
 * partition is looked into. Key columns are never updated.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "load/change.h"
#include "load/history.h"
#include "load/text.h"
#include "load/write.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

/* append_source appends the rows of the source with a condition on them, as a FROM item with the alias d. */
static void
append_source(StringInfo sql, const EtlSource *source, const char *condition)
{
	appendStringInfo(sql, "(SELECT * FROM %s WHERE %s", source->table, condition);
	if (source->is_range)
		appendStringInfo(sql, " AND _etl_n >= " INT64_FORMAT " AND _etl_n <= " INT64_FORMAT, source->low, source->high);
	appendStringInfoString(sql, ") AS d");
}

/* is_op returns the condition for one kind of change. */
static char *
is_op(char op)
{
	return psprintf("_etl_op = '%c'", op);
}

/* append_place appends the condition that t is the row which d speaks of. */
static void
append_place(StringInfo sql, const EtlPlan *plan)
{
	appendStringInfoString(sql, "t.ctid = d._etl_tid");
	if (get_rel_relkind(plan->target) == RELKIND_PARTITIONED_TABLE || has_subclass(plan->target))
		appendStringInfo(sql, " AND t.tableoid = d._etl_table AND %s", etl_change_match(plan));
}

/* overriding returns the clause that lets a GENERATED ALWAYS identity column take a value. */
static const char *
overriding(const EtlPlan *plan)
{
	for (int i = 0; i < plan->columns.n; i++)
		if (plan->columns.column[i].is_identity)
			return " OVERRIDING SYSTEM VALUE";
	return "";
}

/* insert returns an INSERT of all rows of the source that meet the condition. */
static char *
insert(const EtlPlan *plan, const EtlSource *source, const char *condition)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s (", plan->target_name);
	etl_text_columns(&sql, plan, "");
	appendStringInfo(&sql, ")%s\nSELECT ", overriding(plan));
	etl_text_columns(&sql, plan, "d.");
	appendStringInfoString(&sql, "\nFROM ");
	append_source(&sql, source, condition);
	return sql.data;
}

/* etl_write_insert inserts new rows. */
char *
etl_write_insert(const EtlPlan *plan, const EtlSource *source)
{
	return insert(plan, source, is_op(ETL_CHANGE_INSERT));
}

/* etl_write_append inserts whatever the source has. */
char *
etl_write_append(const EtlPlan *plan, const EtlSource *source)
{
	return insert(plan, source, "true");
}

/* etl_write_update updates the columns that may change. */
char *
etl_write_update(const EtlPlan *plan, const EtlSource *source)
{
	StringInfoData sql;
	const char *separator = "";

	initStringInfo(&sql);
	appendStringInfo(&sql, "UPDATE %s AS t\nSET ", plan->target_name);
	for (int i = 0; i < plan->columns.n; i++)
	{
		const EtlColumn *column = &plan->columns.column[i];

		if (column->is_key || column->is_kept)
			continue;
		appendStringInfo(&sql, "%s%s = d.%s", separator, column->quoted, column->quoted);
		separator = ", ";
	}
	if (plan->on_delete == ETL_ON_DELETE_MARK)
	{
		appendStringInfo(&sql, "%s" ETL_DELETED_AT " = NULL", separator);
		separator = ", ";
	}
	if (plan->has_inferred)
	{
		appendStringInfo(&sql, "%s" ETL_IS_INFERRED " = false", separator);
		separator = ", ";
	}
	if (separator[0] == '\0')
		return NULL;
	appendStringInfoString(&sql, "\nFROM ");
	append_source(&sql, source, is_op(ETL_CHANGE_UPDATE));
	appendStringInfoString(&sql, "\nWHERE ");
	append_place(&sql, plan);
	return sql.data;
}

/* etl_write_mark notes the time of the run. */
char *
etl_write_mark(const EtlPlan *plan, const EtlSource *source)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "UPDATE %s AS t\nSET " ETL_DELETED_AT " = '%s'::pg_catalog.timestamptz\nFROM ",
					 plan->target_name, timestamptz_to_str(GetCurrentTransactionStartTimestamp()));
	append_source(&sql, source, is_op(ETL_CHANGE_MARK));
	appendStringInfoString(&sql, "\nWHERE ");
	append_place(&sql, plan);
	return sql.data;
}

/* etl_write_delete deletes rows. */
char *
etl_write_delete(const EtlPlan *plan, const EtlSource *source)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "DELETE FROM %s AS t\nUSING ", plan->target_name);
	append_source(&sql, source, is_op(ETL_CHANGE_DELETE));
	appendStringInfoString(&sql, "\nWHERE ");
	append_place(&sql, plan);
	return sql.data;
}

/* etl_write_clear returns the DELETE of all rows; TRUNCATE would make readers wait. */
char *
etl_write_clear(const EtlPlan *plan)
{
	return psprintf("DELETE FROM %s", plan->target_name);
}

/* append_comparable appends the columns of one side in a form that EXCEPT can compare. */
static void
append_comparable(StringInfo sql, const EtlPlan *plan, const char *table)
{
	appendStringInfoString(sql, "SELECT ");
	for (int i = 0; i < plan->columns.n; i++)
		appendStringInfo(sql, "%s%s", i > 0 ? ", " : "", etl_text_comparable(&plan->columns.column[i], "x."));
	appendStringInfo(sql, " FROM %s AS x", table);
}

/* etl_write_compare returns a query that says 1 when target and source hold the same rows, as often. */
char *
etl_write_compare(const EtlPlan *plan, const EtlSource *source)
{
	StringInfoData sql;
	const char *side[2] = {plan->target_name, source->table};

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT CASE WHEN ");
	appendStringInfo(&sql, "(SELECT pg_catalog.count(*) FROM %s) <> (SELECT pg_catalog.count(*) FROM %s) THEN 0",
					 side[0], side[1]);
	for (int i = 0; i < 2; i++)
	{
		appendStringInfoString(&sql, " WHEN EXISTS (");
		append_comparable(&sql, plan, side[i]);
		appendStringInfoString(&sql, " EXCEPT ALL ");
		append_comparable(&sql, plan, side[1 - i]);
		appendStringInfoString(&sql, ") THEN 0");
	}
	appendStringInfoString(&sql, " ELSE 1 END");
	return sql.data;
}
