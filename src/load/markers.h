/*
 * markers.h
 *		Delete markers of raw tables (_etl_op = 'd') in loads: on_delete => 'delete' and 'mark'.
 *
 * The query is evaluated twice: for the rows that are there, and for the markers, which keep the last known values. The
 * latest marker of each key goes to a table. It hides the versions that are not later, by order_by and then by batch;
 * a key of which nothing is left is deleted.
 */
#ifndef ETL_MARKERS_H
#define ETL_MARKERS_H

#include "load/delta.h"

/*
 * Checks on_delete and prepares the query for it. Errors: 22023 for a mode or a task without a key, 0A000 for a query
 * whose rows cannot be told apart by where they come from.
 */
extern void etl_markers_resolve(EtlPlan *plan);

/* The query for the markers; after etl_compile_sequence, etl_compile_narrow and etl_compile_leave_out. */
extern char *etl_markers_query(const EtlPlan *plan);

/* The statement that fills the table of markers, and the query for the versions that they leave. */
extern char *etl_markers_statement(const EtlPlan *plan, const char *table);
extern char *etl_markers_filter(const EtlPlan *plan, const char *query, const char *table);

/* The condition on the rows t of the target that the markers g delete or mark; delta: table of the rows that stay. */
extern char *etl_markers_condition(const EtlPlan *plan, const char *delta);

/* The condition that g has the key of t. */
extern char *etl_markers_same_key(const EtlPlan *plan);

/* Collects the markers of a run: sets delta->gone and limits delta->query, when there are any. */
extern void etl_markers_collect(EtlDelta *delta);

#endif /* ETL_MARKERS_H */
