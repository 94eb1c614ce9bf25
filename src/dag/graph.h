/*
 * graph.h
 *		A directed graph over the tasks of a pipeline, numbered 0 .. n-1: pure, no I/O.
 */
#ifndef ETL_GRAPH_H
#define ETL_GRAPH_H

typedef struct EtlEdge
{
	int from; /* the task that waits */
	int to;	  /* the task that it waits for */
	bool inferred;
} EtlEdge;

typedef struct EtlGraph
{
	int n_nodes;
	int n_edges;
	int max_edges;
	EtlEdge *edge; /* no two with the same from and to */
} EtlGraph;

extern EtlGraph *etl_graph_make(int n_nodes);
extern void etl_graph_add(EtlGraph *graph, int from, int to, bool inferred);
extern int etl_graph_cycle(const EtlGraph *graph, int *path);

#endif /* ETL_GRAPH_H */
