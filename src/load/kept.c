/*
 * kept.c
 *		Tables that other loads keep, as inputs. See kept.h.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "dag/statement.h"
#include "load/kept.h"
#include "load/text.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

typedef struct Collect
{
	int index;
	int depth;
	Bitmapset *columns;
	bool is_whole;
} Collect;

/* collect notes the columns of one entry of a range table that an expression uses, also from within subqueries. */
static bool
collect(Node *node, Collect *wanted)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var *var = (Var *) node;

		if (var->varno != wanted->index || (int) var->varlevelsup != wanted->depth)
			return false;
		if (var->varattno > 0)
			wanted->columns = bms_add_member(wanted->columns, var->varattno);
		else
			wanted->is_whole = true;
		return false;
	}
	if (!IsA(node, Query))
		return expression_tree_walker(node, collect, wanted);
	wanted->depth++;
	(void) query_tree_walker((Query *) node, collect, wanted, QTW_IGNORE_JOINALIASES);
	wanted->depth--;
	return false;
}

/* etl_kept_columns walks the query that reads the input. */
Bitmapset *
etl_kept_columns(const EtlInput *input)
{
	Collect wanted = {.index = input->index};
	Relation relation;

	(void) query_tree_walker(input->level, collect, &wanted, QTW_IGNORE_JOINALIASES);
	if (!wanted.is_whole)
		return wanted.columns;
	relation = table_open(input->relation, AccessShareLock);
	for (int i = 0; i < RelationGetDescr(relation)->natts; i++)
		if (!TupleDescAttr(RelationGetDescr(relation), i)->attisdropped)
			wanted.columns = bms_add_member(wanted.columns, i + 1);
	table_close(relation, AccessShareLock);
	return wanted.columns;
}

/* append_definition appends a column with the type of a column of a table. */
static void
append_definition(StringInfo sql, const char *name, Oid relation, AttrNumber number)
{
	Oid type;
	int32 typmod;
	Oid collation;

	get_atttypetypmodcoll(relation, number, &type, &typmod, &collation);
	type = getBaseTypeAndTypmod(type, &typmod);
	appendStringInfo(sql, ", %s %s%s", name, etl_text_type(type, typmod), etl_text_collate(collation, type));
}

/* etl_kept_definition lists columns. */
char *
etl_kept_definition(const EtlPlan *plan, const EtlInput *input, bool is_keys, bool with_old)
{
	Bitmapset *columns = with_old ? etl_kept_columns(input) : NULL;
	StringInfoData sql;
	int number = -1;

	initStringInfo(&sql);
	for (int i = 0; is_keys && i < plan->n_key; i++)
	{
		const EtlColumn *column = etl_plan_key(plan, i);

		appendStringInfo(&sql, ", %s %s%s", column->quoted, etl_text_type(column->type, column->typmod),
						 etl_text_collate(column->collation, column->type));
	}
	if (is_keys)
		return sql.data;
	for (int i = 0; i < input->key.n; i++)
	{
		AttrNumber key = get_attnum(input->relation, input->key.name[i]);

		append_definition(&sql, psprintf("_etl_k%d", key), input->relation, key);
	}
	appendStringInfoString(&sql, ", _etl_old boolean NOT NULL");
	while ((number = bms_next_member(columns, number)) >= 0)
		append_definition(&sql, psprintf("_etl_o%d", number), input->relation, (AttrNumber) number);
	return sql.data;
}

/* etl_kept_range returns a condition. */
char *
etl_kept_range(int64 after, int64 last)
{
	return psprintf("l._etl_batch > " INT64_FORMAT " AND l._etl_batch <= " INT64_FORMAT, after, last);
}

/* changed returns the condition that row t of the input has changed. */
static char *
changed(const EtlInput *input, const EtlChangeLog *log, const char *range)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "EXISTS (SELECT 1 FROM %s AS l WHERE %s", log->table, range);
	for (int i = 0; i < input->key.n; i++)
	{
		AttrNumber key = get_attnum(input->relation, input->key.name[i]);

		appendStringInfo(&sql, " AND l._etl_k%d%st.%s", key,
						 etl_text_comparison(getBaseType(get_atttype(input->relation, key)), BTEqualStrategyNumber),
						 quote_identifier(input->key.name[i]));
	}
	appendStringInfoString(&sql, ")");
	return sql.data;
}

/* append_old appends the old rows, with NULL where a column is not needed. */
static void
append_old(StringInfo sql, const EtlInput *input, const EtlChangeLog *log, const char *range)
{
	Bitmapset *columns = etl_kept_columns(input);
	Relation relation = table_open(input->relation, AccessShareLock);
	TupleDesc desc = RelationGetDescr(relation);

	appendStringInfoString(sql, "SELECT ");
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (i > 0)
			appendStringInfoString(sql, ", ");
		if (attribute->attisdropped)
			appendStringInfoString(sql, "NULL::pg_catalog.int4");
		else if (bms_is_member(i + 1, columns))
			appendStringInfo(sql, "l._etl_o%d::%s", i + 1, etl_text_type(attribute->atttypid, attribute->atttypmod));
		else
			appendStringInfo(sql, "NULL::%s", etl_text_type(attribute->atttypid, attribute->atttypmod));
	}
	appendStringInfo(sql, " FROM %s AS l WHERE l._etl_old AND %s", log->table, range);
	table_close(relation, NoLock);
}

/* etl_kept_rows returns an analyzed query. */
Query *
etl_kept_rows(const EtlInput *input, const EtlChangeLog *log, int64 after, int64 last, EtlKeptRows rows)
{
	char *range = etl_kept_range(after, last);
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	etl_compile_columns(&sql, input->relation, "t.");
	appendStringInfo(&sql, " FROM %s AS t", input->name);
	if (rows != ETL_KEPT_BOTH)
		appendStringInfo(&sql, " WHERE %s", changed(input, log, range));
	if (rows != ETL_KEPT_NEW)
	{
		appendStringInfoString(&sql, " UNION ALL ");
		append_old(&sql, input, log, range);
	}
	return etl_statement_analyze(linitial_node(RawStmt, etl_statement_parse(sql.data)), sql.data);
}
