/*
 * query.c
 *		The author's SELECT and the columns that it returns. See query.h.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "dag/statement.h"
#include "lib/stringinfo.h"
#include "load/query.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#define RESERVED_PREFIX "_etl_"

/* is_into says whether a SELECT, or the first branch of a UNION, has an INTO clause. */
static bool
is_into(const SelectStmt *select)
{
	while (select->op != SETOP_NONE)
		select = select->larg;
	return select->intoClause != NULL;
}

/* check_statement refuses what is not a single SELECT, before the analysis. */
static RawStmt *
check_statement(List *statements)
{
	RawStmt *raw;

	if (list_length(statements) != 1)
		ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("query must be exactly one SELECT"),
						errdetail("It holds %d statements.", list_length(statements)),
						errhint("Write one SELECT; use etl.add_sql for several statements.")));
	raw = linitial_node(RawStmt, statements);
	if (!IsA(raw->stmt, SelectStmt))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("query must be a SELECT"),
						errdetail("A load computes its rows by a SELECT and writes them itself."),
						errhint("Use etl.add_sql for other statements.")));
	if (is_into((SelectStmt *) raw->stmt))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("query must not have an INTO clause"),
						errdetail("The rows go to the target of the task."),
						errhint("Leave INTO out and name the table as target.")));
	return raw;
}

/* find_write returns the first query below node that locks or changes rows, for expression_tree_walker. */
static bool
find_write(Node *node, Query **found)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query *query = (Query *) node;

		if (query->rowMarks != NIL || query->commandType != CMD_SELECT)
		{
			*found = query;
			return true;
		}
		return query_tree_walker(query, find_write, found, 0);
	}
	return expression_tree_walker(node, find_write, found);
}

/* etl_query_parse parses and analyzes a query with the current search_path and refuses what changes or locks rows. */
Query *
etl_query_parse(const char *text)
{
	RawStmt *raw;
	Query *query;
	Query *writer = NULL;

	raw = check_statement(etl_statement_parse(text));
	query = etl_statement_analyze(raw, text);
	if (!find_write((Node *) query, &writer))
		return query;
	if (writer->commandType != CMD_SELECT)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("query must not change rows in a WITH query"),
						errdetail("A load may be evaluated several times, for example by etl.explain_task."),
						errhint("Change rows in a task of etl.add_sql that the load depends on.")));
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("query must not lock rows"),
					errdetail("It has a FOR UPDATE or FOR SHARE clause."), errhint("Leave the clause out.")));
}

/* check_column refuses a column that a target cannot have. */
static void
check_column(const EtlColumns *columns, const TargetEntry *entry)
{
	const char *name = entry->resname;
	Oid type = exprType((Node *) entry->expr);

	if (name == NULL || strcmp(name, "?column?") == 0)
		ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("column %d of the query has no name", entry->resno),
						errdetail("Every column of the query goes to the column of the same name in the target."),
						errhint("Give the expression a name with AS.")));
	if (etl_query_column(columns, name) >= 0)
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_COLUMN), errmsg("query returns column \"%s\" more than once", name),
						errdetail("Every column of the query goes to the column of the same name in the target."),
						errhint("Give one of them another name with AS, or list the columns instead of *.")));
	if (strncmp(name, RESERVED_PREFIX, strlen(RESERVED_PREFIX)) == 0)
		ereport(ERROR, (errcode(ERRCODE_RESERVED_NAME), errmsg("query must not return column \"%s\"", name),
						errdetail("Names that start with %s belong to the raw tables of etl_ext.", RESERVED_PREFIX),
						errhint("List the columns that the target needs instead of *, or rename the column with AS.")));
	if (get_typtype(type) == TYPTYPE_PSEUDO)
		ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
						errmsg("column \"%s\" of the query has pseudo-type %s", name, format_type_be(type)),
						errdetail("A table cannot have a column of this type."),
						errhint("Cast the expression to the type that the target should have.")));
}

/* etl_query_columns returns the columns of a query in their order. */
EtlColumns
etl_query_columns(Query *query)
{
	EtlColumns columns = {0, NULL};
	ListCell *cell;

	columns.column = palloc0(sizeof(EtlColumn) * Max(list_length(query->targetList), 1));
	foreach (cell, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		EtlColumn *column = &columns.column[columns.n];

		if (entry->resjunk)
			continue;
		check_column(&columns, entry);
		column->name = pstrdup(entry->resname);
		column->quoted = quote_identifier(column->name);
		column->type = exprType((Node *) entry->expr);
		column->typmod = exprTypmod((Node *) entry->expr);
		column->collation = exprCollation((Node *) entry->expr);
		columns.n++;
	}
	if (columns.n == 0)
		ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("query returns no columns"),
						errdetail("The target would have no columns."), errhint("Name at least one column.")));
	return columns;
}

/* etl_query_column returns the position of the column of that name, or -1. */
int
etl_query_column(const EtlColumns *columns, const char *name)
{
	for (int i = 0; i < columns->n; i++)
		if (strcmp(columns->column[i].name, name) == 0)
			return i;
	return -1;
}

/* etl_query_column_list returns the names of the columns for people to read. */
char *
etl_query_column_list(const EtlColumns *columns)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < columns->n; i++)
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "", columns->column[i].quoted);
	return list.data;
}
