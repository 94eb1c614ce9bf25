/*
 * publication.h
 *		Which tasks of a run are published at one commit (atomic_publish), and in which order they do their work: pure, no I/O.
 *
 * They are all loads and aggregates, and every check or sql task between two of them: one that waits for a load or aggregate
 * and that a load or aggregate waits for, directly or through others. Nothing outside lies between two members, except an
 * extract, which is refused (worker/publish_check.c). So the members can wait together for all that lies before them.
 */
#ifndef ETL_PUBLICATION_H
#define ETL_PUBLICATION_H

#include "dag/graph.h"
#include "etl_ext.h"

typedef struct EtlPublication
{
	int n;
	int *member;	 /* n nodes, in the order in which they do their work */
	bool *is_member; /* by node */
} EtlPublication;

/* The publication of tasks, which are the nodes of graph; NULL: fewer than two would be published, so each stands by itself. */
extern EtlPublication *etl_publication_make(EtlTask *const *task, const EtlGraph *graph);

/* Whether a node is a member; publication may be NULL. */
extern bool etl_publication_has(const EtlPublication *publication, int node);

/* The nodes that are members or wait for one, directly or through others, by node. */
extern bool *etl_publication_reach(const EtlPublication *publication, const EtlGraph *graph);

/*
 * Whether a node lies between two loads or aggregates. before and after are then one of each: a load or aggregate that it
 * waits for and one that waits for it.
 */
extern bool etl_publication_between(EtlTask *const *task, const EtlGraph *graph, int node, int *before, int *after);

#endif /* ETL_PUBLICATION_H */
