/*
 * deletes.h
 *		Rows that the source has deleted: what deletes => '...' means. See docs/deletes.md.
 */
#ifndef ETL_DELETES_H
#define ETL_DELETES_H

#include "nodes/pg_list.h"
#include "source/relation.h"

/* Share of the compared rows, in percent, and number of rows up to which deletes are believed without max_delete_pct. */
#define ETL_DELETES_PCT 10.0
#define ETL_DELETES_ROWS 10

/* Whether the task compares the keys of its source with the raw table after each read. */
extern bool etl_deletes_is_compare(const EtlTask *task);

/* The rows that are compared, as a condition that holds for rows of the source and of the raw table; NULL: all. */
extern char *etl_deletes_scope(const EtlTask *task);

/* Refuses (22023) what does not fit together. Called by extract_options.c. */
extern void etl_deletes_check(const EtlTask *task, const EtlSource *source);

/* Lines (char *) for etl.explain_task; NIL: the task does nothing about deletes. */
extern List *etl_deletes_explain(const EtlTask *task);

#endif /* ETL_DELETES_H */
