/*
 * graph.h
 *		Lineage over all pipelines as a graph of columns: what is downstream of something, and what is upstream.
 *
 * A node is a column of a relation, or the rows of a relation (no column). From a column one gets to the columns that are made
 * from it and to the rows that it decides about; from rows to the rows of everything that is made from them. Edges are the flows of
 * tasks, and of views, which are looked up as they are met.
 */
#ifndef ETL_LINEAGE_GRAPH_H
#define ETL_LINEAGE_GRAPH_H

#include "dag/flow.h"

/* A step to a node. */
typedef struct EtlReach
{
	int distance;
	const char *pipeline; /* NULL: not by a task */
	const char *task;
	const char *through;   /* kind of the task, view, materialized view or source */
	const char *object;	   /* NULL: nothing is written (a check) */
	const char *column;	   /* NULL: the rows */
	int kind;			   /* EtlFlowKind of the whole way; -1: that of rows */
	struct EtlReach *from; /* NULL: the beginning */
} EtlReach;

/* Reads the flows of the tasks that the current user sees. */
typedef struct EtlLineageGraph EtlLineageGraph;
extern EtlLineageGraph *etl_lineage_graph_make(void);

/* Whether any flow names a relation. */
extern bool etl_lineage_graph_knows(const EtlLineageGraph *graph, const char *relation);

/*
 * EtlReaches from a relation or, not NULL, one of its columns, nearest first. upstream: against the flow. indirect: also by what only
 * decides.
 */
extern List *etl_lineage_graph_walk(EtlLineageGraph *graph, const char *relation, const char *column, bool upstream,
									bool indirect);

#endif /* ETL_LINEAGE_GRAPH_H */
