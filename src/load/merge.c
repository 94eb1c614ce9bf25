/*
 * merge.c
 *		The statements that bring a delta into its target. See merge.h.
 *
 * Kept to what Citus can push down: no volatile functions, no JOIN USING, key columns never updated, no syntax of 17+.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "catalog/pg_type_d.h"
#include "load/merge.h"
#include "load/text.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

/* append_source appends the rows of the source under the alias d. */
static void
append_source(StringInfo sql, const EtlSource *source)
{
	if (source->is_range)
		appendStringInfo(sql, "(SELECT * FROM %s WHERE _etl_n >= " INT64_FORMAT " AND _etl_n <= " INT64_FORMAT ") AS d",
						 source->table, source->low, source->high);
	else
		appendStringInfo(sql, "%s AS d", source->table);
}

/* key_operator returns a comparison of the key column's btree ordering as text. */
static char *
key_operator(const EtlColumn *column, StrategyNumber strategy)
{
	TypeCacheEntry *cache = lookup_type_cache(column->target_type, TYPECACHE_BTREE_OPFAMILY | TYPECACHE_EQ_OPR);
	Oid found = cache->eq_opr;

	if (strategy != BTEqualStrategyNumber)
		found = get_opfamily_member(cache->btree_opf, cache->btree_opintype, cache->btree_opintype, strategy);
	if (!OidIsValid(found))
		elog(ERROR, "type %u has no btree operator %d", column->target_type, strategy);
	return etl_text_operator(found);
}

/* append_match appends the condition that target t and delta d have the same key. */
static void
append_match(StringInfo sql, const EtlPlan *plan)
{
	for (int i = 0; i < plan->n_key; i++)
	{
		const EtlColumn *column = etl_plan_key(plan, i);

		appendStringInfo(sql, "%st.%s%sd.%s", i > 0 ? " AND " : "", column->quoted,
						 key_operator(column, BTEqualStrategyNumber), column->quoted);
	}
}

/* append_bounds limits the part of the target that is looked at. */
static void
append_bounds(StringInfo sql, const EtlPlan *plan, const EtlSource *source)
{
	const EtlColumn *column = etl_plan_key(plan, 0);
	char *type = etl_text_type(column->target_type, -1);

	if (source->partitions != NULL)
		appendStringInfoString(sql, source->partitions);
	if (source->lowest == NULL || source->highest == NULL)
		return;
	appendStringInfo(sql, " AND t.%s%s%s::%s", column->quoted, key_operator(column, BTGreaterEqualStrategyNumber),
					 quote_literal_cstr(source->lowest), type);
	appendStringInfo(sql, " AND t.%s%s%s::%s", column->quoted, key_operator(column, BTLessEqualStrategyNumber),
					 quote_literal_cstr(source->highest), type);
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

/* append_update appends the branch for rows that are in the target already; none when there is nothing to update. */
static void
append_update(StringInfo sql, const EtlPlan *plan, const EtlSource *source)
{
	StringInfoData set;
	StringInfoData differs;

	initStringInfo(&set);
	initStringInfo(&differs);
	for (int i = 0; i < plan->columns.n; i++)
	{
		const EtlColumn *column = &plan->columns.column[i];

		if (column->is_key)
			continue;
		appendStringInfo(&set, "%s%s = d.%s", set.len > 0 ? ", " : "", column->quoted, column->quoted);
		appendStringInfo(&differs, "%s%s", differs.len > 0 ? "\n  OR " : "", etl_text_differs(column));
	}
	if (plan->on_delete == ETL_ON_DELETE_MARK)
	{
		appendStringInfo(&set, "%s" ETL_DELETED_AT " = NULL", set.len > 0 ? ", " : "");
		appendStringInfo(&differs, "%st." ETL_DELETED_AT " IS NOT NULL", differs.len > 0 ? "\n  OR " : "");
	}
	if (set.len == 0)
		return;
	appendStringInfo(sql, "\nWHEN MATCHED AND (%s)", differs.data);
	if (source->is_guarded && plan->n_order > 0)
	{
		appendStringInfoString(sql, "\n  AND ");
		append_not_older(sql, plan, 0);
	}
	appendStringInfo(sql, "\n  THEN UPDATE SET %s", set.data);
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

/* etl_merge_statement returns the MERGE of the source into the target. */
char *
etl_merge_statement(const EtlPlan *plan, const EtlSource *source)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "MERGE INTO %s AS t\nUSING ", plan->target_name);
	append_source(&sql, source);
	appendStringInfoString(&sql, "\nON ");
	append_match(&sql, plan);
	append_bounds(&sql, plan, source);
	if (plan->mode != ETL_MODE_INSERT_ONLY)
		append_update(&sql, plan, source);
	appendStringInfoString(&sql, "\nWHEN NOT MATCHED THEN INSERT (");
	etl_text_columns(&sql, plan, "");
	appendStringInfo(&sql, ")%s\n  VALUES (", overriding(plan));
	etl_text_columns(&sql, plan, "d.");
	appendStringInfoString(&sql, ")");
	return sql.data;
}

/* etl_merge_insert returns the INSERT of the source into the target. */
char *
etl_merge_insert(const EtlPlan *plan, const EtlSource *source)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s (", plan->target_name);
	etl_text_columns(&sql, plan, "");
	appendStringInfo(&sql, ")%s\nSELECT ", overriding(plan));
	etl_text_columns(&sql, plan, "d.");
	appendStringInfoString(&sql, "\nFROM ");
	append_source(&sql, source);
	return sql.data;
}

/* etl_merge_delete returns the DELETE of the rows whose key is gone. */
char *
etl_merge_delete(const EtlPlan *plan, const EtlSource *source)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "DELETE FROM %s AS t\nWHERE NOT EXISTS (SELECT 1 FROM ", plan->target_name);
	append_source(&sql, source);
	appendStringInfoString(&sql, " WHERE ");
	append_match(&sql, plan);
	appendStringInfoString(&sql, ")");
	return sql.data;
}

/* etl_merge_clear returns the DELETE of all rows; TRUNCATE would make readers wait. */
char *
etl_merge_clear(const EtlPlan *plan)
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

/* etl_merge_compare returns a query that says 1 when target and source hold the same rows, as often. */
char *
etl_merge_compare(const EtlPlan *plan, const EtlSource *source)
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

/* etl_merge_bound returns a query for one end of the key range, for types whose text form is exact. */
char *
etl_merge_bound(const EtlPlan *plan, const char *table, bool is_highest)
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
