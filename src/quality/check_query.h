/*
 * check_query.h
 *		What a check asks, as query trees. In evaluate.c.
 */
#ifndef ETL_CHECK_QUERY_H
#define ETL_CHECK_QUERY_H

#include "etl_ext.h"
#include "nodes/pg_list.h"

/* List of Query: the queries of a check, analyzed with the current search_path. */
extern List *etl_check_queries(const EtlTask *task);

#endif /* ETL_CHECK_QUERY_H */
