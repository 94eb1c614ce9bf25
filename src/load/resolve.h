/*
 * resolve.h
 *		Looks up the keys of dimensions for the rows of a run. See dimension.h.
 */
#ifndef ETL_RESOLVE_H
#define ETL_RESOLVE_H

#include "load/delta.h"

/*
 * Where the plan has keys to look up: evaluates delta->query once into a temporary table, inserts the members that are to be
 * inferred, puts rows to be rejected aside and makes delta->query one that reads that table and returns the keys as well.
 * Nothing happens otherwise. Before etl_delta_fill.
 */
extern void etl_resolve_run(EtlDelta *delta);

/* Drops the temporary tables. After etl_delta_fill. */
extern void etl_resolve_done(EtlDelta *delta);

/* What etl_resolve_run would execute for a query, as text for people; *query becomes the one that returns the keys. */
extern char *etl_resolve_explain(const EtlPlan *plan, char **query);

#endif /* ETL_RESOLVE_H */
