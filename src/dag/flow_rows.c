/*
 * flow_rows.c
 *		What decides which rows a query returns: WHERE, joins, GROUP BY, DISTINCT, set operations, HAVING, ORDER BY, LIMIT, here
 *		and in everything that the query reads from. See flow_walk.h.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "compat.h"
#include "dag/flow_walk.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

/* A query whose rows are looked at, and the kind that everything has: ETL_FLOW_OWN, each its own. */
typedef struct Rows
{
	EtlFlowWalk *walk;
	EtlFlowScope *scope;
	int as;
} Rows;

/* decide walks what decides about the rows in one way. */
static void
decide(const Rows *rows, void *node, EtlFlowKind kind)
{
	EtlFlowPlace place = {rows->walk, rows->scope, rows->as == ETL_FLOW_OWN ? kind : (EtlFlowKind) rows->as};

	(void) etl_flow_walk_expr((Node *) node, &place);
}

/* walk_item walks what decides about the rows of an item of FROM. */
static void
walk_item(const Rows *rows, RangeTblEntry *rte)
{
	EtlFlowWalk *walk = rows->walk;
	EtlFlowScope *owner;
	Query *query;
	Oid via = walk->via;

	switch (rte->rtekind)
	{
		case RTE_SUBQUERY:
			etl_flow_walk_rows(walk, rte->subquery, rows->scope, rows->as);
			break;
		case RTE_CTE:
			query = etl_flow_walk_cte(rows->scope, rte, &owner);
			etl_flow_walk_rows(walk, query, owner, rows->as);
			break;
		case RTE_RELATION:
			if (get_rel_relkind(rte->relid) != RELKIND_VIEW)
				break;
			if (!OidIsValid(via))
				walk->via = rte->relid;
			etl_flow_walk_rows(walk, etl_flow_walk_view(walk, rte->relid), NULL, rows->as);
			walk->via = via;
			break;
		case RTE_FUNCTION:
			/* How many rows a function returns depends on its arguments. */
			decide(rows, rte->functions, ETL_FLOW_JOIN);
			break;
		case RTE_TABLEFUNC:
			decide(rows, rte->tablefunc->docexpr, ETL_FLOW_JOIN);
			decide(rows, rte->tablefunc->rowexpr, ETL_FLOW_JOIN);
			break;
		default:
			break;
	}
	if (rte->tablesample != NULL)
		decide(rows, rte->tablesample->args, ETL_FLOW_FILTER);
}

/* walk_from walks a tree of joins. */
static void
walk_from(const Rows *rows, Node *node)
{
	Query *query = rows->scope->query;
	ListCell *cell;

	if (node == NULL)
		return;
	check_stack_depth();
	if (IsA(node, RangeTblRef))
		walk_item(rows, rt_fetch(((RangeTblRef *) node)->rtindex, query->rtable));
	else if (IsA(node, JoinExpr))
	{
		walk_from(rows, ((JoinExpr *) node)->larg);
		walk_from(rows, ((JoinExpr *) node)->rarg);
		decide(rows, ((JoinExpr *) node)->quals, ETL_FLOW_JOIN);
	}
	else
	{
		FromExpr *from = castNode(FromExpr, node);

		foreach (cell, from->fromlist)
			walk_from(rows, lfirst(cell));
		/* What a MERGE matches by stands here up to PostgreSQL 16. */
		decide(rows, from->quals, query->commandType == CMD_MERGE ? ETL_FLOW_JOIN : ETL_FLOW_FILTER);
	}
}

/* compare_all walks all columns of one side of a set operation, which are compared with the other side. */
static void
compare_all(const Rows *rows, Node *node, EtlFlowKind kind)
{
	EtlFlowPlace place = {rows->walk, rows->scope, rows->as == ETL_FLOW_OWN ? kind : (EtlFlowKind) rows->as};
	ListCell *cell;
	Query *query;

	check_stack_depth();
	if (IsA(node, SetOperationStmt))
	{
		compare_all(rows, ((SetOperationStmt *) node)->larg, kind);
		compare_all(rows, ((SetOperationStmt *) node)->rarg, kind);
		return;
	}
	query = rt_fetch(((RangeTblRef *) node)->rtindex, rows->scope->query->rtable)->subquery;
	foreach (cell, etl_flow_walk_returns(query))
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		if (!entry->resjunk)
			etl_flow_walk_query_column(&place, query, rows->scope, entry->resno);
	}
}

/* walk_setop walks a tree of set operations. */
static void
walk_setop(const Rows *rows, Node *node)
{
	SetOperationStmt *operation;

	check_stack_depth();
	if (IsA(node, RangeTblRef))
	{
		walk_from(rows, node);
		return;
	}
	operation = castNode(SetOperationStmt, node);
	walk_setop(rows, operation->larg);
	walk_setop(rows, operation->rarg);
	if (operation->op != SETOP_UNION)
	{
		compare_all(rows, operation->larg, ETL_FLOW_FILTER);
		compare_all(rows, operation->rarg, ETL_FLOW_FILTER);
	}
	else if (!operation->all)
		compare_all(rows, node, ETL_FLOW_GROUP_BY);
}

/* etl_flow_walk_rows walks what decides which rows a query returns. */
void
etl_flow_walk_rows(EtlFlowWalk *walk, Query *query, EtlFlowScope *outer, int as)
{
	EtlFlowScope scope = {query, outer};
	Rows rows = {walk, &scope, as};
	ListCell *cell;

	check_stack_depth();
	if (etl_flow_walk_seen(walk, query, 0, as))
		return;
	if (query->setOperations != NULL)
		walk_setop(&rows, query->setOperations);
	else
		walk_from(&rows, (Node *) query->jointree);
	decide(&rows, etl_compat_merge_condition(query), ETL_FLOW_JOIN);
	foreach (cell, query->mergeActionList)
		decide(&rows, lfirst_node(MergeAction, cell)->qual, ETL_FLOW_CONDITIONAL);
	if (query->onConflict != NULL)
	{
		decide(&rows, query->onConflict->onConflictWhere, ETL_FLOW_CONDITIONAL);
		decide(&rows, query->onConflict->arbiterElems, ETL_FLOW_CONDITIONAL);
	}
	if (query->setOperations == NULL)
	{
		decide(&rows, get_sortgrouplist_exprs(query->groupClause, query->targetList), ETL_FLOW_GROUP_BY);
		decide(&rows, get_sortgrouplist_exprs(query->distinctClause, query->targetList), ETL_FLOW_GROUP_BY);
		decide(&rows, get_sortgrouplist_exprs(query->sortClause, query->targetList), ETL_FLOW_SORT);
	}
	decide(&rows, query->havingQual, ETL_FLOW_FILTER);
	decide(&rows, query->limitOffset, ETL_FLOW_FILTER);
	decide(&rows, query->limitCount, ETL_FLOW_FILTER);
}
