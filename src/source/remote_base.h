/*
 * remote_base.h
 *		The query that a foreign data wrapper would send for a source: the base of everything that a reader with a
 *		connection of its own asks.
 *
 * The wrapper deparses names, options and the filter; EXPLAIN shows what it would send. A reader puts its own bounds,
 * order and limit around it: SELECT ... FROM (base) AS s WHERE ... ORDER BY ... LIMIT n, which both PostgreSQL and
 * MariaDB flatten.
 */
#ifndef ETL_REMOTE_BASE_H
#define ETL_REMOTE_BASE_H

#include "source/reader.h"

typedef struct EtlRemoteBase
{
	char *sql;	   /* SELECT of the source's columns with the filter */
	char *alias;   /* what follows "(sql) AS": s, or s with a list of columns */
	int n;		   /* = source->n */
	char **column; /* per column of the source: s.name, quoted in the source's dialect */
} EtlRemoteBase;

/*
 * The base for all columns of the source; NULL: *why_not says why the wrapper's query cannot be used (the filter is not
 * sent whole, several scans, a plan that does something here). In a transaction; nothing is executed.
 */
extern EtlRemoteBase *etl_remote_base_make(const EtlReadRequest *request, const char **why_not);

#endif /* ETL_REMOTE_BASE_H */
