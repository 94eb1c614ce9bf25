/*
 * flow_walk.c
 *		Walks expressions and columns down to the columns of relations. See flow_walk.h; flow_rows.c has what decides about rows.
 *
 * The walk goes from an output down, carrying how it is used: identity becomes transformation below an operator and
 * aggregation below an aggregate; once something only decides, all below it only decides. Each pair of a column and a use is
 * walked into once for an output, which ends recursive WITH queries and keeps stacked views from multiplying.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "compat.h"
#include "dag/flow_walk.h"
#include "dag/lineage.h"
#include "dag/statement.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

typedef struct Seen
{
	const void *what;
	int64 number;
	int64 kind;
	Oid via;
	int pad;
} Seen;

typedef struct Told
{
	Oid relation;
	Oid via;
	int target;
	int kind;
	int column;
} Told;

/* make_table makes a hash table whose entries are keys. */
static HTAB *
make_table(const char *name, Size size)
{
	HASHCTL control = {.keysize = size, .entrysize = size, .hcxt = CurrentMemoryContext};

	return hash_create(name, 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* etl_flow_walk_begin allocates. */
EtlFlowWalk *
etl_flow_walk_begin(const char *output)
{
	EtlFlowWalk *walk = palloc0(sizeof(EtlFlowWalk));

	walk->output = output;
	walk->told = make_table("etl flows", sizeof(Told));
	return walk;
}

/* etl_flow_walk_column begins an output column. */
void
etl_flow_walk_column(EtlFlowWalk *walk, int number, const char *name)
{
	CHECK_FOR_INTERRUPTS();
	if (walk->seen != NULL)
		hash_destroy(walk->seen);
	walk->seen = make_table("etl flow places", sizeof(Seen));
	walk->target = number;
	walk->output_column = name;
	walk->found = false;
	walk->via = InvalidOid;
}

/* etl_flow_walk_end_column notes a column without input as generated. */
void
etl_flow_walk_end_column(EtlFlowWalk *walk)
{
	if (!walk->found)
		walk->flows = etl_flow_add(walk->flows, walk->output, walk->output_column, NULL, NULL, ETL_FLOW_GENERATED);
}

/* etl_flow_walk_seen notes a place. */
bool
etl_flow_walk_seen(EtlFlowWalk *walk, const void *what, int number, int kind)
{
	Seen key;
	bool found;

	memset(&key, 0, sizeof(key));
	key.what = what;
	key.number = number;
	key.kind = kind;
	key.via = walk->via;
	(void) hash_search(walk->seen, &key, HASH_ENTER, &found);
	return found;
}

/* emit notes a flow from a column of a relation, 0: from its rows. */
static void
emit(const EtlFlowPlace *place, Oid relation, AttrNumber column)
{
	EtlFlowWalk *walk = place->walk;
	Told key;
	bool found;

	memset(&key, 0, sizeof(key));
	key.relation = relation;
	key.via = walk->via;
	key.target = walk->target;
	key.kind = place->kind;
	key.column = column;
	walk->found = true;
	(void) hash_search(walk->told, &key, HASH_ENTER, &found);
	if (found)
		return;
	walk->flows = etl_flow_add(walk->flows, walk->output, walk->output_column, etl_lineage_name(relation),
							   column > 0 ? get_attname(relation, column, false) : NULL, place->kind);
	if (OidIsValid(walk->via))
		((EtlFlow *) llast(walk->flows))->via = etl_lineage_name(walk->via);
}

/* etl_flow_walk_view reads the tree of a view once. */
Query *
etl_flow_walk_view(EtlFlowWalk *walk, Oid view)
{
	Query *query;

	for (int i = 0; i < list_length(walk->views); i++)
		if (list_nth_oid(walk->views, i) == view)
			return list_nth_node(Query, walk->view_queries, i);
	query = etl_statement_view(view);
	walk->views = lappend_oid(walk->views, view);
	walk->view_queries = lappend(walk->view_queries, query);
	return query;
}

/* etl_flow_walk_cte finds a WITH query. */
Query *
etl_flow_walk_cte(EtlFlowScope *scope, const RangeTblEntry *rte, EtlFlowScope **owner)
{
	ListCell *cell;

	for (Index level = rte->ctelevelsup; level > 0 && scope != NULL; level--)
		scope = scope->outer;
	*owner = scope;
	if (scope != NULL)
		foreach (cell, scope->query->cteList)
		{
			CommonTableExpr *cte = lfirst_node(CommonTableExpr, cell);

			if (strcmp(cte->ctename, rte->ctename) == 0 && IsA(cte->ctequery, Query))
				return (Query *) cte->ctequery;
		}
	elog(ERROR, "WITH query \"%s\" was not found", rte->ctename);
}

/* etl_flow_walk_returns returns the list of what a query returns. */
List *
etl_flow_walk_returns(const Query *query)
{
	return query->commandType == CMD_SELECT ? query->targetList : query->returningList;
}

/* at_least returns the use of what a node of that kind is made from. */
static EtlFlowKind
at_least(EtlFlowKind use, EtlFlowKind kind)
{
	if (!etl_flow_is_direct(use))
		return use;
	return !etl_flow_is_direct(kind) ? kind : Max(use, kind);
}

/* walk_as walks an expression that is used in some way. */
static void
walk_as(const EtlFlowPlace *place, void *node, EtlFlowKind kind)
{
	EtlFlowPlace below = *place;

	below.kind = at_least(place->kind, kind);
	(void) etl_flow_walk_expr((Node *) node, &below);
}

/* walk_setop walks a column through a tree of UNION, INTERSECT and EXCEPT. */
static void
walk_setop(const EtlFlowPlace *place, EtlFlowScope *scope, Node *node, AttrNumber resno)
{
	check_stack_depth();
	if (IsA(node, RangeTblRef))
	{
		RangeTblEntry *rte = rt_fetch(((RangeTblRef *) node)->rtindex, scope->query->rtable);

		etl_flow_walk_query_column(place, rte->subquery, scope, resno);
	}
	else
	{
		SetOperationStmt *operation = castNode(SetOperationStmt, node);

		walk_setop(place, scope, operation->larg, resno);
		/* The right side of the others only decides which rows of the left side stay: see flow_rows.c. */
		if (operation->op == SETOP_UNION)
			walk_setop(place, scope, operation->rarg, resno);
	}
}

/* etl_flow_walk_query_column walks a column of what a query returns. */
void
etl_flow_walk_query_column(const EtlFlowPlace *place, Query *query, EtlFlowScope *outer, AttrNumber resno)
{
	EtlFlowScope scope = {query, outer};
	EtlFlowPlace below = {place->walk, &scope, place->kind};
	TargetEntry *entry;

	check_stack_depth();
	if (etl_flow_walk_seen(place->walk, query, resno, place->kind))
		return;
	if (query->setOperations != NULL)
	{
		walk_setop(&below, &scope, query->setOperations, resno);
		return;
	}
	entry = get_tle_by_resno(etl_flow_walk_returns(query), resno);
	if (entry != NULL)
		(void) etl_flow_walk_expr((Node *) entry->expr, &below);
}

/* walk_all_columns walks all columns that a query returns. */
static void
walk_all_columns(const EtlFlowPlace *place, Query *query, EtlFlowScope *outer)
{
	ListCell *cell;

	foreach (cell, etl_flow_walk_returns(query))
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		if (!entry->resjunk)
			etl_flow_walk_query_column(place, query, outer, entry->resno);
	}
}

/* walk_relation notes a column of a relation, and goes on into a view. 0: all columns. */
static void
walk_relation(const EtlFlowPlace *place, Oid relation, AttrNumber column)
{
	Oid via = place->walk->via;

	if (column == 0)
	{
		int n = etl_lineage_n_columns(relation);

		for (AttrNumber i = 1; i <= n; i++)
		{
			HeapTuple tuple = SearchSysCacheAttNum(relation, i);

			if (!HeapTupleIsValid(tuple))
				continue;
			ReleaseSysCache(tuple);
			walk_relation(place, relation, i);
		}
		return;
	}
	emit(place, relation, Max(column, 0));
	if (column < 0 || get_rel_relkind(relation) != RELKIND_VIEW)
		return;
	if (!OidIsValid(via))
		place->walk->via = relation;
	etl_flow_walk_query_column(place, etl_flow_walk_view(place->walk, relation), NULL, column);
	place->walk->via = via;
}

/* walk_query_var walks a column of a subquery or WITH query, 0: all. */
static void
walk_query_var(const EtlFlowPlace *place, Query *query, EtlFlowScope *outer, AttrNumber column)
{
	if (column > 0)
		etl_flow_walk_query_column(place, query, outer, column);
	else
		walk_all_columns(place, query, outer);
}

/* walk_function walks a column of functions in FROM: what it is made from are the arguments of its function. */
static void
walk_function(const EtlFlowPlace *place, const RangeTblEntry *rte, AttrNumber column)
{
	int first = 1;
	ListCell *cell;

	foreach (cell, rte->functions)
	{
		RangeTblFunction *function = lfirst_node(RangeTblFunction, cell);

		if (column == 0 || (column >= first && column < first + function->funccolcount))
			walk_as(place, function->funcexpr, ETL_FLOW_TRANSFORMATION);
		first += function->funccolcount;
	}
}

/* walk_lists walks an item of each list, 0: all of them. */
static void
walk_lists(const EtlFlowPlace *place, List *lists, AttrNumber column)
{
	ListCell *cell;

	foreach (cell, lists)
	{
		List *row = lfirst_node(List, cell);

		if (column == 0)
			(void) etl_flow_walk_expr((Node *) row, (EtlFlowPlace *) place);
		else if (column <= list_length(row))
			(void) etl_flow_walk_expr(list_nth(row, column - 1), (EtlFlowPlace *) place);
	}
}

/* walk_table_function walks a column of XMLTABLE or the like: its document, and its own expression. */
static void
walk_table_function(const EtlFlowPlace *place, const TableFunc *function, AttrNumber column)
{
	walk_as(place, function->docexpr, ETL_FLOW_TRANSFORMATION);
	if (column > 0 && column <= list_length(function->colexprs))
	{
		walk_as(place, list_nth(function->colexprs, column - 1), ETL_FLOW_TRANSFORMATION);
		walk_as(place, list_nth(function->coldefexprs, column - 1), ETL_FLOW_TRANSFORMATION);
	}
}

/* walk_rte_column walks a column of an item of FROM; below has the scope that the item belongs to. */
static void
walk_rte_column(const EtlFlowPlace *below, RangeTblEntry *rte, AttrNumber column)
{
	EtlFlowScope *owner;
	Query *query;
	List *grouped = etl_compat_group_exprs(rte);

	if (grouped != NIL)
	{
		if (column > 0 && column <= list_length(grouped))
			(void) etl_flow_walk_expr(list_nth(grouped, column - 1), (EtlFlowPlace *) below);
		return;
	}
	switch (rte->rtekind)
	{
		case RTE_RELATION:
			walk_relation(below, rte->relid, column);
			break;
		case RTE_SUBQUERY:
			walk_query_var(below, rte->subquery, below->scope, column);
			break;
		case RTE_CTE:
			query = etl_flow_walk_cte(below->scope, rte, &owner);
			walk_query_var(below, query, owner, column);
			break;
		case RTE_JOIN:
			walk_lists(below, list_make1(rte->joinaliasvars), column);
			break;
		case RTE_FUNCTION:
			walk_function(below, rte, column);
			break;
		case RTE_VALUES:
			walk_lists(below, rte->values_lists, column);
			break;
		case RTE_TABLEFUNC:
			walk_table_function(below, rte->tablefunc, column);
			break;
		default:
			break;
	}
}

/* scope_of returns the scope that a Var of some level belongs to, or NULL. */
static EtlFlowScope *
scope_of(EtlFlowScope *scope, Index level)
{
	for (; level > 0 && scope != NULL; level--)
		scope = scope->outer;
	return scope;
}

/* walk_var walks what a Var stands for. */
static void
walk_var(const EtlFlowPlace *place, const Var *var)
{
	EtlFlowPlace below = *place;
	OnConflictExpr *conflict;

	below.scope = scope_of(place->scope, var->varlevelsup);
	if (below.scope == NULL)
		return;
	if (var->varattno == 0)
		below.kind = at_least(place->kind, ETL_FLOW_TRANSFORMATION);
	conflict = below.scope->query->onConflict;
	if (conflict != NULL && var->varno == conflict->exclRelIndex)
	{
		/* excluded.x is what the INSERT would have put into x. */
		TargetEntry *entry = get_tle_by_resno(below.scope->query->targetList, var->varattno);

		if (entry != NULL)
			(void) etl_flow_walk_expr((Node *) entry->expr, &below);
		return;
	}
	walk_rte_column(&below, rt_fetch(var->varno, below.scope->query->rtable), var->varattno);
}

/* row_of finds the query behind an item of FROM whose rows are taken as a whole, or NULL. */
static Query *
row_of(EtlFlowScope *scope, RangeTblEntry *rte, EtlFlowScope **owner)
{
	*owner = scope;
	if (rte->rtekind == RTE_SUBQUERY)
		return rte->subquery;
	return rte->rtekind == RTE_CTE ? etl_flow_walk_cte(scope, rte, owner) : NULL;
}

/* walk_field walks one field of a row: exactly that column where the row is one of FROM, all of the row otherwise. */
static void
walk_field(const EtlFlowPlace *place, Node *row, AttrNumber field)
{
	EtlFlowPlace below = *place;
	EtlFlowScope *owner;
	Var *var = (Var *) row;
	RangeTblEntry *rte;
	Query *query;
	TargetEntry *entry;

	check_stack_depth();
	if (IsA(row, RowExpr) && field <= list_length(((RowExpr *) row)->args))
	{
		(void) etl_flow_walk_expr(list_nth(((RowExpr *) row)->args, field - 1), &below);
		return;
	}
	below.scope = IsA(row, Var) ? scope_of(place->scope, var->varlevelsup) : NULL;
	if (below.scope == NULL)
	{
		walk_as(place, row, ETL_FLOW_TRANSFORMATION);
		return;
	}
	rte = rt_fetch(var->varno, below.scope->query->rtable);
	query = row_of(below.scope, rte, &owner);
	if (var->varattno == 0 && (query != NULL || rte->rtekind == RTE_RELATION))
		walk_rte_column(&below, rte, field);
	else if (var->varattno > 0 && query != NULL && query->setOperations == NULL &&
			 !etl_flow_walk_seen(place->walk, query, -var->varattno, field * 100 + place->kind) &&
			 (entry = get_tle_by_resno(etl_flow_walk_returns(query), var->varattno)) != NULL)
	{
		EtlFlowScope inner = {query, owner};

		below.scope = &inner;
		walk_field(&below, (Node *) entry->expr, field);
	}
	else
		walk_as(place, row, ETL_FLOW_TRANSFORMATION);
}

/* walk_aggregate walks an aggregate. */
static void
walk_aggregate(const EtlFlowPlace *place, Aggref *aggregate)
{
	ListCell *cell;

	walk_as(place, aggregate->aggdirectargs, ETL_FLOW_AGGREGATION);
	foreach (cell, aggregate->args)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		walk_as(place, entry->expr, entry->resjunk ? ETL_FLOW_SORT : ETL_FLOW_AGGREGATION);
	}
	walk_as(place, aggregate->aggfilter, ETL_FLOW_FILTER);
	if (aggregate->args == NIL)
	{
		EtlFlowPlace rows = *place;
		EtlFlowScope *scope = scope_of(place->scope, aggregate->agglevelsup);

		rows.kind = at_least(place->kind, ETL_FLOW_AGGREGATION);
		if (scope != NULL)
			etl_flow_walk_relations(&rows, scope->query, scope->outer);
	}
}

/* walk_window walks a window function: its arguments, and the partition and order that it is computed over. */
static void
walk_window(const EtlFlowPlace *place, WindowFunc *function)
{
	Query *query = place->scope->query;
	ListCell *cell;

	walk_as(place, function->args, function->winagg ? ETL_FLOW_AGGREGATION : ETL_FLOW_TRANSFORMATION);
	walk_as(place, function->aggfilter, ETL_FLOW_FILTER);
	if (function->winstar)
	{
		EtlFlowPlace rows = *place;

		rows.kind = at_least(place->kind, ETL_FLOW_AGGREGATION);
		etl_flow_walk_relations(&rows, query, place->scope->outer);
	}
	foreach (cell, query->windowClause)
	{
		WindowClause *window = lfirst_node(WindowClause, cell);

		if (window->winref != function->winref)
			continue;
		walk_as(place, get_sortgrouplist_exprs(window->partitionClause, query->targetList), ETL_FLOW_WINDOW);
		walk_as(place, get_sortgrouplist_exprs(window->orderClause, query->targetList), ETL_FLOW_WINDOW);
		walk_as(place, window->startOffset, ETL_FLOW_WINDOW);
		walk_as(place, window->endOffset, ETL_FLOW_WINDOW);
	}
}

/* walk_case walks a CASE: conditions decide, results are the value. */
static void
walk_case(const EtlFlowPlace *place, CaseExpr *expr)
{
	ListCell *cell;

	walk_as(place, expr->arg, ETL_FLOW_CONDITIONAL);
	foreach (cell, expr->args)
	{
		CaseWhen *when = lfirst_node(CaseWhen, cell);

		walk_as(place, when->expr, ETL_FLOW_CONDITIONAL);
		walk_as(place, when->result, ETL_FLOW_TRANSFORMATION);
	}
	walk_as(place, expr->defresult, ETL_FLOW_TRANSFORMATION);
}

/* walk_sublink walks a subquery expression; column 0: all that it returns. */
static void
walk_sublink(const EtlFlowPlace *place, SubLink *link, AttrNumber column)
{
	Query *query = castNode(Query, link->subselect);
	EtlFlowPlace below = *place;

	switch (link->subLinkType)
	{
		case EXISTS_SUBLINK:
			break;
		case EXPR_SUBLINK:
		case MULTIEXPR_SUBLINK:
			walk_query_var(&below, query, place->scope, column);
			break;
		case ARRAY_SUBLINK:
			below.kind = at_least(place->kind, ETL_FLOW_AGGREGATION);
			walk_query_var(&below, query, place->scope, 0);
			break;
		default:
			below.kind = at_least(place->kind, ETL_FLOW_TRANSFORMATION);
			(void) etl_flow_walk_expr(link->testexpr, &below);
			walk_query_var(&below, query, place->scope, 0);
	}
	etl_flow_walk_rows(place->walk, query, place->scope, etl_flow_is_direct(place->kind) ? ETL_FLOW_OWN : place->kind);
}

/* walk_multiexpr walks a column of the subquery in UPDATE ... SET (a, b) = (SELECT ...). */
static void
walk_multiexpr(const EtlFlowPlace *place, const Param *param)
{
	ListCell *cell;

	foreach (cell, place->scope->query->targetList)
	{
		SubLink *link = (SubLink *) lfirst_node(TargetEntry, cell)->expr;

		if (IsA(link, SubLink) && link->subLinkType == MULTIEXPR_SUBLINK && link->subLinkId == param->paramid >> 16)
			walk_sublink(place, link, param->paramid & 0xFFFF);
	}
}

/* etl_flow_walk_expr walks an expression. */
bool
etl_flow_walk_expr(Node *node, EtlFlowPlace *place)
{
	EtlFlowPlace below = *place;

	if (node == NULL)
		return false;
	check_stack_depth();
	switch (nodeTag(node))
	{
		case T_Var:
			walk_var(place, (Var *) node);
			return false;
		case T_RelabelType:
		case T_CollateExpr:
		case T_List:
		case T_TargetEntry:
			break;
		case T_FieldSelect:
			walk_field(place, (Node *) ((FieldSelect *) node)->arg, ((FieldSelect *) node)->fieldnum);
			return false;
		case T_Aggref:
			walk_aggregate(place, (Aggref *) node);
			return false;
		case T_WindowFunc:
			walk_window(place, (WindowFunc *) node);
			return false;
		case T_CaseExpr:
			walk_case(place, (CaseExpr *) node);
			return false;
		case T_NullIfExpr:
			walk_as(place, linitial(((OpExpr *) node)->args), ETL_FLOW_TRANSFORMATION);
			walk_as(place, lsecond(((OpExpr *) node)->args), ETL_FLOW_CONDITIONAL);
			return false;
		case T_SubLink:
			walk_sublink(place, (SubLink *) node, 0);
			return false;
		case T_Param:
			if (((Param *) node)->paramkind == PARAM_MULTIEXPR)
				walk_multiexpr(place, (Param *) node);
			return false;
		default:
			below.kind = at_least(place->kind, ETL_FLOW_TRANSFORMATION);
			break;
	}
	return expression_tree_walker(node, etl_flow_walk_expr, &below);
}

/* etl_flow_walk_relations notes the rows of what a query reads from. */
void
etl_flow_walk_relations(const EtlFlowPlace *place, Query *query, EtlFlowScope *outer)
{
	EtlFlowScope scope = {query, outer};
	EtlFlowScope *owner;
	ListCell *cell;

	check_stack_depth();
	if (etl_flow_walk_seen(place->walk, query, 0, 100 + place->kind))
		return;
	foreach (cell, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);
		Oid via = place->walk->via;

		if (rte->rtekind == RTE_SUBQUERY)
			etl_flow_walk_relations(place, rte->subquery, &scope);
		else if (rte->rtekind == RTE_CTE)
		{
			Query *cte = etl_flow_walk_cte(&scope, rte, &owner);

			etl_flow_walk_relations(place, cte, owner);
		}
		if (rte->rtekind != RTE_RELATION || !rte->inFromCl)
			continue;
		emit(place, rte->relid, 0);
		if (get_rel_relkind(rte->relid) != RELKIND_VIEW)
			continue;
		if (!OidIsValid(via))
			place->walk->via = rte->relid;
		etl_flow_walk_relations(place, etl_flow_walk_view(place->walk, rte->relid), NULL);
		place->walk->via = via;
	}
}
