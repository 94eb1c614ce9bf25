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
#include "nodes/primnodes.h"

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

/* The number of columns of a relation, dropped ones included. */
extern int etl_lineage_n_columns(Oid relation);

/* Whether a statement can be analyzed without executing anything; whether it may do what nobody can tell. */
extern bool etl_lineage_is_analyzable(Node *statement);
extern bool etl_lineage_is_opaque(Node *statement);

/* The name of a table that CREATE TABLE AS or SELECT INTO makes; NULL: it is temporary. Errors: 3F000, 42501. */
extern char *etl_lineage_into(const IntoClause *into);

#endif /* ETL_LINEAGE_H */
