/*
 * null_cursor.h
 *		Rows without a cursor, and what null_cursor says about them.
 */
#ifndef ETL_NULL_CURSOR_H
#define ETL_NULL_CURSOR_H

#include "source/extract_run.h"

/* Whether the rows without a cursor are read. */
extern bool etl_null_cursor_wanted(const EtlExtract *extract);

/*
 * Counts the rows that are left out because they have no cursor, for etl.task_run.details; with a step open, before the
 * read. Errors: 22004 when there are some and null_cursor is error.
 */
extern void etl_null_cursor_count(EtlExtract *extract);

/* Refuses (22023) null_cursor where there is no cursor. */
extern void etl_null_cursor_check_options(const EtlTask *task);

#endif /* ETL_NULL_CURSOR_H */
