/*
 * parent.h
 *		The rows of for_each: each is asked for by itself, with its values in path and params, as in /orders/{id}/items.
 *
 * The query is run as the owner of the foreign table, in a security-restricted operation with an empty search_path: whoever
 * reads the table runs nothing that its owner has written. Parents are put into the order of their values, so that a read
 * that goes on later knows which were done.
 */
#ifndef ETL_HTTP_PARENT_H
#define ETL_HTTP_PARENT_H

#include "http/table.h"

/* Most parents of a read. */
#define ETL_HTTP_MOST_PARENTS 1000000

typedef struct EtlHttpParents
{
	int n; /* without for_each: 1, without values */
	EtlNames column;
	char **value; /* n times column.n, row by row */
} EtlHttpParents;

/* Runs the query; in a transaction, in the current memory context. Errors: those of the query, 54000, HV00D. */
extern EtlHttpParents *etl_http_parent_list(const EtlHttpTable *table, const EtlSource *source);

/* The value of a parent's column, or NULL: there is no such column. */
extern const char *etl_http_parent_value(const EtlHttpParents *parents, int parent, const char *column);

/* A parent as one text, and the first that comes at or behind such a text. NULL where there is no for_each. */
extern char *etl_http_parent_key(const EtlHttpParents *parents, int parent);
extern int etl_http_parent_find(const EtlHttpParents *parents, const char *key);

/* A text with {column} replaced by the parent's values, percent-encoded. */
extern char *etl_http_parent_fill(const EtlHttpParents *parents, int parent, const char *text);

/* Appends a text percent-encoded. */
extern void etl_http_escape(StringInfo buffer, const char *text);

#endif /* ETL_HTTP_PARENT_H */
