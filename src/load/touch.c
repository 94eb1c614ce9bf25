/*
 * touch.c
 *		The keys of a target that rows of an input touch. See touch.h.
 *
 * A condition on a key such as created_at::date is one that no index on created_at serves, so that the whole input would be
 * read for a few days. For keys that are a time cut to a unit the condition is given a second time as ranges of the column.
 */
#include "postgres.h"

#include "catalog/pg_proc.h"
#include "catalog/pg_type_d.h"
#include "catalog/spi.h"
#include "dag/statement.h"
#include "load/text.h"
#include "load/touch.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

/* Most ranges of a column; with more keys than that, one range holds them all. */
#define MAX_RANGES 100

/* key_entry returns what the query returns as the i-th key column. */
static TargetEntry *
key_entry(const EtlPlan *plan, const Query *query, int i)
{
	const char *name = etl_plan_key(plan, i)->name;
	ListCell *cell;

	foreach (cell, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		if (!entry->resjunk && strcmp(entry->resname, name) == 0)
			return entry;
	}
	elog(ERROR, "key column \"%s\" is not in the query", name);
}

/* is_clock says whether a function tells the time, or depends on the run or the session, rather than on rows. */
static bool
is_clock(Oid function, void *context)
{
	switch (function)
	{
		case F_NOW:
		case F_TRANSACTION_TIMESTAMP:
		case F_STATEMENT_TIMESTAMP:
		case F_AGE_TIMESTAMP:
		case F_AGE_TIMESTAMPTZ:
		case F_CURRENT_SETTING_TEXT:
		case F_CURRENT_SETTING_TEXT_BOOL:
			return true;
		default:
			return func_volatile(function) == PROVOLATILE_VOLATILE ||
				   (func_volatile(function) == PROVOLATILE_STABLE && function >= FirstNormalObjectId);
	}
}

/* find_clock finds a part of a query whose value may change although no row does. */
static bool
find_clock(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SQLValueFunction) || IsA(node, NextValueExpr))
		return true;
	if (check_functions_in_node(node, is_clock, context))
		return true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, find_clock, context, 0);
	return expression_tree_walker(node, find_clock, context);
}

/* etl_touch_reason looks at the top level of the query and at the key. */
const char *
etl_touch_reason(const EtlPlan *plan, Query *query)
{
	if (query->setOperations != NULL)
		return "it is a UNION, INTERSECT or EXCEPT";
	if (query->groupingSets != NIL)
		return "it has several sets of groups";
	if (query->hasAggs && query->groupClause == NIL)
		return "it has no GROUP BY";
	if (query->hasWindowFuncs)
		return "it has a window function";
	if (query->limitCount != NULL || query->limitOffset != NULL)
		return "it has LIMIT or OFFSET";
	if (query->distinctClause != NIL)
		return "it has DISTINCT";
	if (query->hasTargetSRFs)
		return "it has a function that returns rows";
	if (query->cteList != NIL)
		return "it has WITH queries";
	if (find_clock((Node *) query, NULL))
		return "it depends on the time or on a function that may return something else each time";
	for (int i = 0; i < plan->n_key; i++)
	{
		const EtlColumn *column = etl_plan_key(plan, i);

		if (contain_agg_clause((Node *) key_entry(plan, query, i)->expr))
			return psprintf("key column %s is the result of an aggregate function", column->quoted);
		if (!OidIsValid(lookup_type_cache(column->type, TYPECACHE_EQ_OPR)->eq_opr))
			return psprintf("key column %s has a type without equality", column->quoted);
		if (OidIsValid(plan->target) &&
			(!etl_plan_is_same_type(column) || column->collation != column->target_collation))
			return psprintf("key column %s has another type in the target", column->quoted);
	}
	return NULL;
}

/* etl_touch_project leaves FROM and WHERE as they are. */
void
etl_touch_project(const EtlPlan *plan, Query *query)
{
	List *targets = NIL;

	for (int i = 0; i < plan->n_key; i++)
		targets = lappend(targets, makeTargetEntry(copyObject(key_entry(plan, query, i)->expr), (AttrNumber) (i + 1),
												   pstrdup(etl_plan_key(plan, i)->name), false));
	query->targetList = targets;
	query->groupClause = NIL;
	query->groupDistinct = false;
	query->havingQual = NULL;
	query->sortClause = NIL;
	query->hasAggs = false;
}

/* Puts expressions in the place of columns 1, 2, ... of the first entry. */
static Node *
substitute(Node *node, List *expressions)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
		return copyObject(list_nth(expressions, ((Var *) node)->varattno - 1));
	return expression_tree_mutator(node, substitute, expressions);
}

/* unit_length returns the length of a unit that date_trunc cuts to, or NULL. */
static const char *
unit_length(const char *unit)
{
	static const char *const known[][2] = {{"second", "1 second"},	{"minute", "1 minute"}, {"hour", "1 hour"},
										   {"day", "1 day"},		{"week", "7 days"},		{"month", "1 month"},
										   {"quarter", "3 months"}, {"year", "1 year"}};

	for (int i = 0; i < lengthof(known); i++)
		if (pg_strcasecmp(known[i][0], unit) == 0)
			return known[i][1];
	return NULL;
}

/* cut_of returns to what length a key expression cuts a time, and the time; NULL: it is no such expression. */
static const char *
cut_of(Expr *key, Expr **time)
{
	FuncExpr *call = (FuncExpr *) key;
	Const *unit;

	if (!IsA(key, FuncExpr))
		return NULL;
	switch (call->funcid)
	{
		case F_DATE_TIMESTAMPTZ:
		case F_DATE_TIMESTAMP:
			*time = linitial(call->args);
			return "1 day";
		case F_DATE_TRUNC_TEXT_TIMESTAMPTZ:
		case F_DATE_TRUNC_TEXT_TIMESTAMP:
			unit = linitial(call->args);
			*time = lsecond(call->args);
			return IsA(unit, Const) && !unit->constisnull ? unit_length(TextDatumGetCString(unit->constvalue)) : NULL;
		default:
			return NULL;
	}
}

/*
 * ranges_query returns a query for the ranges of a time, as a condition on v.c; it has no result when there are none.
 * Ranges that touch become one. Where clocks are put back over midnight, a local day ends up to some hours later than the
 * next one begins: the ranges of a timestamptz are that much longer, the exact condition stays beside them.
 */
static char *
ranges_query(const char *table, const char *column, const char *length, Oid type)
{
	char *name = format_type_be_qualified(type);
	const char *margin = type == TIMESTAMPTZOID ? "3 hours" : "0 hours";

	return psprintf(
		"WITH r AS (SELECT DISTINCT k::%1$s - interval '%4$s' AS lo, k::%1$s + interval '%5$s' + interval '%4$s' AS hi"
		" FROM (SELECT g.%2$s AS k FROM %3$s AS g WHERE g.%2$s IS NOT NULL) AS k),"
		" m AS (SELECT lo, hi, lo > max(hi) OVER (ORDER BY lo ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS gap "
		"FROM"
		" r), n AS (SELECT lo, hi, count(*) FILTER (WHERE gap) OVER (ORDER BY lo) AS island FROM m),"
		" i AS (SELECT min(lo) AS lo, max(hi) AS hi FROM n GROUP BY island)"
		" SELECT CASE WHEN count(*) > %6$d THEN format('v.c >= %%L::%1$s AND v.c < %%L::%1$s', min(lo), max(hi))"
		" ELSE string_agg(format('(v.c >= %%L::%1$s AND v.c < %%L::%1$s)', lo, hi), ' OR ' ORDER BY lo) END FROM i",
		name, column, table, margin, length, MAX_RANGES);
}

/* ranges returns the condition that a time lies in the ranges that the keys in the table stand for, or NULL. */
static Node *
ranges(const char *table, const EtlColumn *column, Expr *key)
{
	Expr *time;
	const char *length = cut_of(key, &time);
	Oid type;
	char *condition;
	char *sql;
	Query *query;

	if (length == NULL || !IsA(time, Var))
		return NULL;
	type = exprType((Node *) time);
	condition = etl_sql_text(ranges_query(table, column->quoted, length, type));
	if (condition == NULL)
		return NULL;
	sql = psprintf("SELECT FROM (SELECT NULL::%s AS c) AS v WHERE %s", format_type_be_qualified(type), condition);
	query = etl_statement_analyze(linitial_node(RawStmt, etl_statement_parse(sql)), sql);
	return substitute(query->jointree->quals, list_make1(time));
}

/* etl_touch_restrict joins with the table, whose rows are distinct. */
void
etl_touch_restrict(const EtlPlan *plan, Query *query, const char *table)
{
	char *sql = psprintf("SELECT FROM %s AS _etl_touched", table);
	Query *other = etl_statement_analyze(linitial_node(RawStmt, etl_statement_parse(sql)), sql);
	RangeTblEntry *rte = linitial_node(RangeTblEntry, other->rtable);
	RangeTblRef *ref = makeNode(RangeTblRef);
	List *quals = query->jointree->quals ? list_make1(query->jointree->quals) : NIL;

	query->rtable = lappend(query->rtable, rte);
	ref->rtindex = list_length(query->rtable);
	query->jointree->fromlist = lappend(query->jointree->fromlist, ref);
	for (int i = 0; i < plan->n_key; i++)
	{
		const EtlColumn *column = etl_plan_key(plan, i);
		Expr *key = key_entry(plan, query, i)->expr;
		Node *range = ranges(table, column, key);
		Var *var = makeVar(ref->rtindex, get_attnum(rte->relid, column->name), column->type, column->typmod,
						   column->collation, 0);

		quals = lappend(quals, make_opclause(lookup_type_cache(column->type, TYPECACHE_EQ_OPR)->eq_opr, BOOLOID, false,
											 copyObject(key), (Expr *) var, InvalidOid, column->collation));
		if (range != NULL)
			quals = lappend(quals, range);
	}
	query->jointree->quals = (Node *) make_ands_explicit(quals);
}
