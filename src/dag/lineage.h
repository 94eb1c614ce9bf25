/*
 * lineage.h
 *		Which relations SQL reads and writes, from the analyzed query tree. This gives the dependencies between tasks.
 *
 * Names are schema-qualified and quoted, sorted and unique. Views count themselves and what they read; materialized
 * views only themselves. System catalogs are left out.
 */
#ifndef ETL_LINEAGE_H
#define ETL_LINEAGE_H

#include "etl_ext.h"
#include "nodes/parsenodes.h"

/* What a query reads: subqueries, WITH queries, subquery expressions and views included. */
extern EtlNames etl_lineage_reads(Query *query);

/* The same for a list of queries. */
extern EtlNames etl_lineage_reads_all(List *queries);

/*
 * What the statements of a command read and write, as far as that can be told without executing them: a statement
 * that names what does not exist yet, or that is opaque (CALL, DO), adds nothing. Errors: 42601 syntax.
 */
extern void etl_lineage_command(const char *command, EtlNames *reads, EtlNames *writes);

/* The schema-qualified, quoted name of a relation. */
extern char *etl_lineage_name(Oid relation);

#endif /* ETL_LINEAGE_H */
