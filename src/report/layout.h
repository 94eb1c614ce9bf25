/*
 * layout.h
 *		Where the nodes of a graph go: in layers from left to right, edges between neighbouring layers with few crossings. Pure.
 */
#ifndef ETL_LAYOUT_H
#define ETL_LAYOUT_H

#include "dag/graph.h"

typedef struct EtlLayout
{
	int n_layers;
	int n_nodes; /* those of the graph first, then the bends of long edges */
	int *layer;	 /* per node */
	double *y;	 /* per node: centre, in rows; the smallest is 0 */
	double rows; /* the largest y, plus 1 */
	int **bend;	 /* per edge of the graph: the bends from its to (left) to its from (right) */
	int *n_bends;
	int *order; /* nodes of the graph, by layer, in a layer from top to bottom */
} EtlLayout;

/* Lays out a graph without cycles. */
extern EtlLayout *etl_layout_make(const EtlGraph *graph);

#endif /* ETL_LAYOUT_H */
