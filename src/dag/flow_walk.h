/*
 * flow_walk.h
 *		The walk through a query tree behind flow.h. Used by flow*.c only.
 */
#ifndef ETL_FLOW_WALK_H
#define ETL_FLOW_WALK_H

#include "dag/flow.h"
#include "utils/hsearch.h"

/* A query and the one that it stands in: Vars and WITH queries count levels along this chain. */
typedef struct EtlFlowScope
{
	Query *query;
	struct EtlFlowScope *outer;
} EtlFlowScope;

/* A walk collects the flows of one statement. */
typedef struct EtlFlowWalk
{
	List *flows;
	const char *output;		   /* relation whose columns are looked at */
	const char *output_column; /* NULL: its rows */
	int target;				   /* number of the output column for the two tables below; 0: the rows */
	bool found;				   /* the column has some input */
	Oid via;				   /* view that is being looked through */
	List *views;			   /* Oid and Query of views, so that each has one tree */
	List *view_queries;
	HTAB *seen; /* what this output has been walked into: ends recursion, keeps the work linear */
	HTAB *told; /* flows that are in the list */
} EtlFlowWalk;

/* What is looked at, and how it is used. */
typedef struct EtlFlowPlace
{
	EtlFlowWalk *walk;
	EtlFlowScope *scope;
	EtlFlowKind kind;
} EtlFlowPlace;

/* No override: what decides about rows keeps its own kind. */
#define ETL_FLOW_OWN (-1)

extern EtlFlowWalk *etl_flow_walk_begin(const char *output);

/* Begins an output column; number 0 and NULL: the rows. */
extern void etl_flow_walk_column(EtlFlowWalk *walk, int number, const char *name);

/* Ends it: a column without input is generated. */
extern void etl_flow_walk_end_column(EtlFlowWalk *walk);

/* Walks an expression; an expression_tree_walker. */
extern bool etl_flow_walk_expr(Node *node, EtlFlowPlace *place);

/* Walks column resno of what a query returns. */
extern void etl_flow_walk_query_column(const EtlFlowPlace *place, Query *query, EtlFlowScope *outer, AttrNumber resno);

/* Walks what decides which rows a query returns; as: ETL_FLOW_OWN, or the indirect kind that all of it has. */
extern void etl_flow_walk_rows(EtlFlowWalk *walk, Query *query, EtlFlowScope *outer, int as);

/* Notes the rows of each relation that a query reads from. */
extern void etl_flow_walk_relations(const EtlFlowPlace *place, Query *query, EtlFlowScope *outer);

/* The query of a view, one tree for each walk. */
extern Query *etl_flow_walk_view(EtlFlowWalk *walk, Oid view);

/* The query that a WITH reference means, and where it was defined. */
extern Query *etl_flow_walk_cte(EtlFlowScope *scope, const RangeTblEntry *rte, EtlFlowScope **owner);

/* The list of what a query returns: of data-modifying ones RETURNING. */
extern List *etl_flow_walk_returns(const Query *query);

/* Says whether a place was walked into before, and notes it. */
extern bool etl_flow_walk_seen(EtlFlowWalk *walk, const void *what, int number, int kind);

#endif /* ETL_FLOW_WALK_H */
