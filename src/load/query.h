/*
 * query.h
 *		The author's SELECT and the columns that it returns.
 */
#ifndef ETL_QUERY_H
#define ETL_QUERY_H

#include "nodes/parsenodes.h"

/* A column that the query returns, and what it becomes in the target. */
typedef struct EtlColumn
{
	char *name;
	const char *quoted;
	Oid type; /* in the query */
	int32 typmod;
	Oid collation;
	Oid target_type; /* InvalidOid until etl_target_match */
	int32 target_typmod;
	Oid target_collation;
	bool not_null; /* the target wants a value */
	bool is_key;
	bool is_kept;		   /* not updated in rows that are there: see update_columns */
	bool ignore_null;	   /* NULL leaves the value of the target as it is */
	bool is_dimension_key; /* not of the query: looked up, see dimension.h */
	bool is_identity;	   /* GENERATED ALWAYS AS IDENTITY in the target */
} EtlColumn;

typedef struct EtlColumns
{
	int n;
	EtlColumn *column;
} EtlColumns;

/* Parses and analyzes text: exactly one SELECT that changes nothing. Errors: 42601, 0A000 and those of the analysis. */
extern Query *etl_query_parse(const char *text);

/* The columns of a query. Errors: 42601 no name, 42701 twice the same name, 42939 reserved name, 42P16 pseudo-type. */
extern EtlColumns etl_query_columns(Query *query);

/* The column of that name, or -1. */
extern int etl_query_column(const EtlColumns *columns, const char *name);

/* "a, b, c": for hints. */
extern char *etl_query_column_list(const EtlColumns *columns);

#endif /* ETL_QUERY_H */
