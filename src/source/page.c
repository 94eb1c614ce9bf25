/*
 * page.c
 *		The SQL of one page of a source. See page.h.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "lib/stringinfo.h"
#include "source/page.h"
#include "source/value.h"
#include "utils/builtins.h"

/* append_reference appends relation.column. */
static void
append_reference(StringInfo sql, const EtlPage *page, const EtlColumn *column)
{
	appendStringInfo(sql, "%s.%s", page->source->alias, quote_identifier(column->name));
}

/* append_ordered appends what a column is compared and sorted by: text cursors are ordered byte by byte, as everywhere. */
static void
append_ordered(StringInfo sql, const EtlPage *page, const EtlColumn *column)
{
	append_reference(sql, page, column);
	if (column == page->cursor && OidIsValid(column->collation))
		appendStringInfoString(sql, " COLLATE \"C\"");
}

/* append_comparison appends relation.column operator 'value'::type. */
static void
append_comparison(StringInfo sql, const EtlPage *page, const EtlColumn *column, const char *operator,
				  const char * value)
{
	append_ordered(sql, page, column);
	appendStringInfo(sql, " %s %s", operator, etl_value_literal(column->type, value));
}

/* append_and starts the next condition. */
static void
append_and(StringInfo sql, int *n)
{
	appendStringInfoString(sql, (*n)++ ? " AND " : " WHERE ");
}

/*
 * append_after appends the condition for rows after the last one from order column i on:
 *		c > v OR (c = v AND (...)), and for the last column c > v.
 * Columns that may be NULL sort last; the reader refuses NULL keys, for which it has to see them.
 */
static void
append_after(StringInfo sql, const EtlPage *page, int i)
{
	append_comparison(sql, page, page->order[i], ">", page->last[i]);
	if (i > 0 && !page->order[i]->not_null)
	{
		appendStringInfoString(sql, " OR ");
		append_reference(sql, page, page->order[i]);
		appendStringInfoString(sql, " IS NULL");
	}
	if (i + 1 == page->n_order)
		return;
	appendStringInfoString(sql, " OR (");
	append_comparison(sql, page, page->order[i], "=", page->last[i]);
	appendStringInfoString(sql, " AND (");
	append_after(sql, page, i + 1);
	appendStringInfoString(sql, "))");
}

/*
 * append_keyset appends the condition for rows after the last one. The first column gets a condition of its own, so
 * that an index on it bounds the scan: a >= x AND (a > x OR id > y).
 */
static void
append_keyset(StringInfo sql, const EtlPage *page, int *n)
{
	const EtlColumn *lead = page->order[0];

	append_and(sql, n);
	append_comparison(sql, page, lead, page->n_order == 1 ? ">" : ">=", page->last[0]);
	if (page->n_order == 1)
		return;
	append_and(sql, n);
	appendStringInfoChar(sql, '(');
	append_comparison(sql, page, lead, ">", page->last[0]);
	appendStringInfoString(sql, " OR ");
	append_after(sql, page, 1);
	appendStringInfoChar(sql, ')');
}

/* append_limit appends an upper limit for the first order column. */
static void
append_limit(StringInfo sql, const EtlPage *page, const char *limit, int *n)
{
	if (limit == NULL || page->order == NULL)
		return;
	append_and(sql, n);
	append_comparison(sql, page, page->order[0], "<=", limit);
}

/* append_before appends the condition for rows up to the last one from order column i on: c < v OR (c = v AND (...)). */
static void
append_before(StringInfo sql, const EtlPage *page, int i)
{
	append_comparison(sql, page, page->order[i], i + 1 == page->n_order ? "<=" : "<", page->upto[i]);
	if (i + 1 == page->n_order)
		return;
	appendStringInfoString(sql, " OR (");
	append_comparison(sql, page, page->order[i], "=", page->upto[i]);
	appendStringInfoString(sql, " AND (");
	append_before(sql, page, i + 1);
	appendStringInfoString(sql, "))");
}

/* append_upto appends the condition for rows up to upto, its first column by itself for the sake of an index. */
static void
append_upto(StringInfo sql, const EtlPage *page, int *n)
{
	if (page->upto == NULL || page->n_order == 0)
		return;
	append_limit(sql, page, page->upto[0], n);
	if (page->n_order == 1)
		return;
	append_and(sql, n);
	appendStringInfoChar(sql, '(');
	append_before(sql, page, 0);
	appendStringInfoChar(sql, ')');
}

/* append_cursor_bounds appends the conditions on the cursor; null_too puts an alternative beside them. */
static void
append_cursor_bounds(StringInfo sql, const EtlPage *page, int *n)
{
	bool bounded = page->lower != NULL || page->below != NULL;

	if (!bounded)
		return;
	append_and(sql, n);
	appendStringInfoString(sql, page->null_too ? "(" : "");
	if (page->lower)
		append_comparison(sql, page, page->cursor, ">=", page->lower);
	if (page->below)
	{
		appendStringInfoString(sql, page->lower ? " AND " : "");
		append_comparison(sql, page, page->cursor, "<", page->below);
	}
	if (!page->null_too)
		return;
	appendStringInfoString(sql, " OR ");
	append_reference(sql, page, page->cursor);
	appendStringInfoString(sql, " IS NULL)");
}

/* append_is_null appends relation.column IS [NOT] NULL. */
static void
append_is_null(StringInfo sql, const EtlPage *page, const EtlColumn *column, bool is_null, int *n)
{
	append_and(sql, n);
	append_reference(sql, page, column);
	appendStringInfoString(sql, is_null ? " IS NULL" : " IS NOT NULL");
}

/* append_where appends all conditions of the page. The filter ends with a newline: it may end with a comment. */
static void
append_where(StringInfo sql, const EtlPage *page)
{
	bool leads = page->n_order > 0 && page->cursor == page->order[0];
	int n = 0;

	if (page->filter)
	{
		append_and(sql, &n);
		appendStringInfo(sql, "(%s\n)", page->filter);
	}
	if (page->null_cursors)
		append_is_null(sql, page, page->cursor, true, &n);
	else if (page->not_null && !page->cursor->not_null)
		append_is_null(sql, page, page->cursor, false, &n);
	if (page->last && page->n_order > 0)
	{
		EtlPage rest = *page;

		append_keyset(sql, page, &n);
		if (leads)
			rest.lower = NULL;
		if (!page->null_cursors)
			append_cursor_bounds(sql, &rest, &n);
	}
	else
	{
		if (!page->null_cursors)
			append_cursor_bounds(sql, page, &n);
		if (page->n_order > 0 && !page->null_cursors && !page->order[0]->not_null && !(leads && page->lower))
			append_is_null(sql, page, page->order[0], false, &n);
	}
	append_limit(sql, page, page->upper, &n);
	append_limit(sql, page, page->until, &n);
	append_upto(sql, page, &n);
}

/* etl_page_select builds the query for the rows. */
char *
etl_page_select(const EtlPage *page)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (int i = 0; i < page->map->n; i++)
		appendStringInfo(&sql, "%s%s", i ? ", " : "", page->map->expression[i]);
	if (page->cursor)
	{
		appendStringInfoString(&sql, ", ");
		append_reference(&sql, page, page->cursor);
	}
	if (page->deleted)
		appendStringInfo(&sql, ", (%s\n) IS TRUE", page->deleted);
	for (int i = 0; i < page->n_order; i++)
	{
		appendStringInfoString(&sql, ", ");
		append_reference(&sql, page, page->order[i]);
	}
	appendStringInfo(&sql, " FROM %s", page->source->name);
	append_where(&sql, page);
	for (int i = 0; i < page->n_order; i++)
	{
		appendStringInfoString(&sql, i ? ", " : " ORDER BY ");
		append_ordered(&sql, page, page->order[i]);
	}
	if (page->limit > 0)
		appendStringInfo(&sql, " LIMIT %d", page->limit);
	return sql.data;
}

/* etl_page_count builds the query that counts what is left. */
char *
etl_page_count(const EtlPage *page)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT count(*) FROM %s", page->source->name);
	append_where(&sql, page);
	return sql.data;
}

/* etl_page_edges builds the query for the ends of a column. */
char *
etl_page_edges(const EtlPage *page, const EtlColumn *column, const char *from)
{
	EtlPage all = *page;
	StringInfoData sql;
	const char *name;

	all.n_order = 0;
	all.last = NULL;
	initStringInfo(&sql);
	append_reference(&sql, page, column);
	/* There is no min(uuid) before PostgreSQL 18; their text sorts as they do. */
	appendStringInfoString(&sql, column->type == UUIDOID ? "::text COLLATE \"C\"" : "");
	appendStringInfoString(&sql, OidIsValid(column->collation) ? " COLLATE \"C\"" : "");
	name = pstrdup(sql.data);
	resetStringInfo(&sql);
	appendStringInfo(&sql, "SELECT count(*), min(%s)::text, max(%s)::text FROM %s", name, name, page->source->name);
	append_where(&sql, &all);
	if (from)
	{
		appendStringInfo(&sql, " %s ", strstr(sql.data, " WHERE ") ? "AND" : "WHERE");
		append_comparison(&sql, page, column, ">=", from);
	}
	return sql.data;
}

/* etl_page_chunk_edges builds the query for a chunk that was read. */
char *
etl_page_chunk_edges(const EtlPage *page, const EtlColumn *column)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT count(*)");
	for (int i = 0; column && i < 2; i++)
	{
		appendStringInfoString(&sql, i ? ", max(" : ", min(");
		append_reference(&sql, page, column);
		appendStringInfoString(&sql, ")::text");
	}
	appendStringInfo(&sql, " FROM %s", page->source->name);
	append_where(&sql, page);
	return sql.data;
}

/*
 * etl_page_max builds the query for the highest value of the first order column. The count beside it keeps the planner
 * from turning max() into a sorted scan, which mysql_fdw would send without its limit.
 */
char *
etl_page_max(const EtlPage *page)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT max(");
	append_ordered(&sql, page, page->order[0]);
	appendStringInfo(&sql, "), count(*) FROM %s", page->source->name);
	append_where(&sql, page);
	return sql.data;
}
