/*
 * remote_page.c
 *		The SQL of one page of a source in the source's own dialect. See remote_page.h.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "source/remote_page.h"

/* column_of describes a column of the source. */
static const EtlColumn *
column_of(const EtlRemotePage *page, int i)
{
	return &page->request->source->column[i];
}

/* is_mysql says which dialect is written. */
static bool
is_mysql(const EtlRemotePage *page)
{
	return page->request->remote->routine->kind == ETL_REMOTE_MYSQL;
}

/* is_text says whether the values of a type are sorted by a collation. */
static bool
is_text(Oid type)
{
	return type == TEXTOID || type == VARCHAROID || type == BPCHAROID || type == NAMEOID;
}

/* find_column returns the index of a column by its name, or -1. */
static int
find_column(const EtlReadRequest *request, const char *name)
{
	for (int i = 0; name && i < request->source->n; i++)
		if (strcmp(request->source->column[i].name, name) == 0)
			return i;
	return -1;
}

/* cursor_of returns the index of the cursor, or -1. */
static int
cursor_of(const EtlRemotePage *page)
{
	return find_column(page->request, page->request->task->cursor_column);
}

/* append_bytewise appends a column as text that is compared byte by byte. */
static void
append_bytewise(StringInfo sql, const EtlRemotePage *page, int i)
{
	appendStringInfo(sql, is_mysql(page) ? "CAST(CONVERT(%s USING utf8mb4) AS BINARY)" : "(%s)::text COLLATE \"C\"",
					 page->base->column[i]);
}

/* append_operand appends a column as it is compared and sorted. */
static void
append_operand(StringInfo sql, const EtlRemotePage *page, int i)
{
	if (is_text(column_of(page, i)->type) && (is_mysql(page) || i == cursor_of(page)))
		append_bytewise(sql, page, i);
	else
		appendStringInfoString(sql, page->base->column[i]);
}

/*
 * mysql_value returns a value as MySQL compares it exactly: numbers without quotes, because it would compare a string
 * with them as floating point; a time without the zone, which is UTC in its session; bytes in hexadecimal.
 */
static char *
mysql_value(const EtlRemotePage *page, Oid type, const char *text)
{
	int length = strlen(text);

	switch (type)
	{
		case BOOLOID:
			return text[0] == 't' ? "1" : "0";
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NUMERICOID:
		case FLOAT4OID:
		case FLOAT8OID:
			if (length > 0 && strspn(text, "0123456789+-.eE") == length)
				return pstrdup(text);
			break;
		case BYTEAOID:
			if (strncmp(text, "\\x", 2) == 0)
				return psprintf("X'%s'", text + 2);
			break;
		case TIMESTAMPTZOID:
			if (length > 3 && strcmp(text + length - 3, "+00") == 0)
				return etl_remote_literal(page->request->remote, pnstrdup(text, length - 3));
			break;
		default:
			break;
	}
	return etl_remote_literal(page->request->remote, text);
}

/* append_comparison appends column operator value. */
static void
append_comparison(StringInfo sql, const EtlRemotePage *page, int i, const char *operator, const char * value)
{
	append_operand(sql, page, i);
	appendStringInfo(sql, " %s %s", operator, is_mysql(page) ? mysql_value(page, column_of(page, i)->type, value)
															 : etl_remote_literal(page->request->remote, value));
}

/* append_and starts the next condition. */
static void
append_and(StringInfo sql, int *n)
{
	appendStringInfoString(sql, (*n)++ ? " AND " : " WHERE ");
}

/* append_is_null appends column IS [NOT] NULL. */
static void
append_is_null(StringInfo sql, const EtlRemotePage *page, int i, bool is_null, int *n)
{
	append_and(sql, n);
	appendStringInfo(sql, "%s IS %sNULL", page->base->column[i], is_null ? "" : "NOT ");
}

/* One side of a row of order values: the rows behind it (> and >), or the rows up to it (< and <=). */
typedef struct Side
{
	char **value;
	const char *strict;
	const char *final;
	bool nulls; /* NULLs, which sort last, lie on this side */
} Side;

/*
 * append_rest appends the condition for the rows on a side from order column i on:
 *		c > v OR (c = v AND (...)), and for the last column c > v.
 * NULLs in a later column of the key are let in, so that the reader sees and refuses them.
 */
static void
append_rest(StringInfo sql, const EtlRemotePage *page, const Side *side, int i)
{
	int column = page->order[i];
	bool last = i + 1 == page->n_order;

	append_comparison(sql, page, column, last ? side->final : side->strict, side->value[i]);
	if (i > 0 && side->nulls && !column_of(page, column)->not_null)
		appendStringInfo(sql, " OR %s IS NULL", page->base->column[column]);
	if (last)
		return;
	appendStringInfoString(sql, " OR (");
	append_comparison(sql, page, column, "=", side->value[i]);
	appendStringInfoString(sql, " AND (");
	append_rest(sql, page, side, i + 1);
	appendStringInfoString(sql, "))");
}

/*
 * append_side appends the condition for the rows on a side. The first column gets a condition of its own, so that an
 * index on it bounds the scan: a >= x AND (a > x OR (a = x AND (id > y))).
 */
static void
append_side(StringInfo sql, const EtlRemotePage *page, const Side *side, int *n)
{
	append_and(sql, n);
	if (page->n_order == 1)
	{
		append_comparison(sql, page, page->order[0], side->final, side->value[0]);
		return;
	}
	append_comparison(sql, page, page->order[0], side->strict[0] == '>' ? ">=" : "<=", side->value[0]);
	append_and(sql, n);
	appendStringInfoChar(sql, '(');
	append_rest(sql, page, side, 0);
	appendStringInfoChar(sql, ')');
}

/* append_cursor_bounds appends the conditions on the cursor; with ETL_NULLS_TOO beside an alternative. */
static void
append_cursor_bounds(StringInfo sql, const EtlRemotePage *page, const char *lower, int *n)
{
	const char *below = page->request->below;
	int cursor = cursor_of(page);
	bool too = page->nulls == ETL_NULLS_TOO;

	if (cursor < 0 || (lower == NULL && below == NULL))
		return;
	append_and(sql, n);
	appendStringInfoString(sql, too ? "(" : "");
	if (lower)
		append_comparison(sql, page, cursor, ">=", lower);
	if (below)
	{
		appendStringInfoString(sql, lower ? " AND " : "");
		append_comparison(sql, page, cursor, "<", below);
	}
	if (too)
		appendStringInfo(sql, " OR %s IS NULL)", page->base->column[cursor]);
}

/* append_bounds appends what the request and the page say about the cursor and the end of the key range. */
static void
append_bounds(StringInfo sql, const EtlRemotePage *page, int *n)
{
	const EtlReadRequest *request = page->request;
	int cursor = cursor_of(page);
	bool leads = page->n_order > 0 && page->order[0] == cursor;

	if (page->nulls == ETL_NULLS_ONLY)
		append_is_null(sql, page, cursor, true, n);
	else
	{
		if (page->nulls == ETL_NULLS_LEFT_OUT && cursor >= 0 && !column_of(page, cursor)->not_null &&
			request->lower == NULL && request->below == NULL)
			append_is_null(sql, page, cursor, false, n);
		append_cursor_bounds(sql, page, leads && page->last ? NULL : request->lower, n);
	}
	if (request->until)
	{
		append_and(sql, n);
		append_comparison(sql, page, find_column(request, request->task->primary_key.name[0]), "<=", request->until);
	}
}

/* append_where appends all conditions of the page and returns how many there are. */
static int
append_where(StringInfo sql, const EtlRemotePage *page)
{
	int n = 0;

	append_bounds(sql, page, &n);
	if (page->n_order > 0 && page->last)
		append_side(sql, page, &(Side){page->last, ">", ">", !is_mysql(page)}, &n);
	else if (page->n_order > 0 && !column_of(page, page->order[0])->not_null &&
			 !(page->nulls == ETL_NULLS_LEFT_OUT && page->order[0] == cursor_of(page)))
		append_is_null(sql, page, page->order[0], false, &n);
	if (page->n_order > 0 && page->upto)
		append_side(sql, page, &(Side){page->upto, "<", "<=", false}, &n);
	return n;
}

/* append_from appends the base. */
static void
append_from(StringInfo sql, const EtlRemotePage *page)
{
	appendStringInfo(sql, " FROM (%s) AS %s", page->base->sql, page->base->alias);
}

/* etl_remote_page_select builds the query for the rows. */
char *
etl_remote_page_select(const EtlRemotePage *page)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < page->n_select; i++)
		appendStringInfo(&sql, "%s%s", i ? ", " : "SELECT ", page->select[i]);
	append_from(&sql, page);
	append_where(&sql, page);
	for (int i = 0; i < page->n_order; i++)
	{
		appendStringInfoString(&sql, i ? ", " : " ORDER BY ");
		append_operand(&sql, page, page->order[i]);
	}
	if (page->limit > 0)
		appendStringInfo(&sql, " LIMIT %d", page->limit);
	return sql.data;
}

/* has_min says whether min() and max() exist for a type in all versions of both servers; others are taken as text. */
static bool
has_min(const EtlRemotePage *page, Oid type)
{
	switch (type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case OIDOID:
		case NUMERICOID:
		case FLOAT4OID:
		case FLOAT8OID:
		case DATEOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case INTERVALOID:
		case INETOID:
			return true;
		case BOOLOID:
		case BYTEAOID:
			return is_mysql(page);
		default:
			return false;
	}
}

/* append_edge appends min or max of a column as text. */
static void
append_edge(StringInfo sql, const EtlRemotePage *page, const char *function, int column)
{
	bool plain = has_min(page, column_of(page, column)->type);

	appendStringInfo(sql, ", %s(", function);
	if (plain)
		appendStringInfoString(sql, page->base->column[column]);
	else
		append_bytewise(sql, page, column);
	appendStringInfoString(sql, plain && !is_mysql(page) ? ")::text" : ")");
}

/* etl_remote_page_edges builds the query for the ends of a column. */
char *
etl_remote_page_edges(const EtlRemotePage *page, int column, const char *from)
{
	EtlRemotePage all = *page;
	StringInfoData sql;
	int n;

	if (page->last == NULL && page->upto == NULL)
		all.n_order = 0;
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT count(*)");
	append_edge(&sql, &all, "min", column);
	append_edge(&sql, &all, "max", column);
	append_from(&sql, &all);
	n = append_where(&sql, &all);
	if (from)
	{
		append_and(&sql, &n);
		append_comparison(&sql, &all, column, ">=", from);
	}
	return sql.data;
}

/* etl_remote_page_null_keys builds the query that counts the rows that pages leave out. */
char *
etl_remote_page_null_keys(const EtlRemotePage *page)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT count(*)");
	append_from(&sql, page);
	appendStringInfo(&sql, " WHERE %s IS NULL", page->base->column[page->order[0]]);
	return sql.data;
}

/* etl_remote_page_order lists cursor and key; a cursor that is in the key comes once. */
int
etl_remote_page_order(const EtlReadRequest *request, bool with_cursor, int *order)
{
	const EtlNames *key = &request->task->primary_key;
	int cursor = with_cursor ? find_column(request, request->task->cursor_column) : -1;
	int n = 0;

	if (cursor >= 0)
		order[n++] = cursor;
	for (int i = 0; i < key->n; i++)
	{
		int column = find_column(request, key->name[i]);

		if (column != cursor)
			order[n++] = column;
	}
	return n;
}
