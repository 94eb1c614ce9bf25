/*
 * compile.h
 *		From the author's query to the query that a run executes: each raw input narrowed to what is new.
 *
 * Works on the analyzed query tree alone. A raw input is a table with the columns _etl_batch bigint and _etl_loaded_at
 * timestamptz. It can be narrowed when the rows that the query returns for new raw rows do not depend on old raw rows.
 */
#ifndef ETL_COMPILE_H
#define ETL_COMPILE_H

#include "catalog/batch.h"
#include "nodes/parsenodes.h"

typedef struct EtlInput
{
	Oid relation;
	char *name;			/* schema-qualified and quoted */
	const char *reason; /* why it is read whole; NULL: it can be narrowed */
	bool in_expression; /* inside a subquery expression (EXISTS, IN, scalar): always read whole */
	RangeTblEntry *rte; /* where the query reads it */
	Query *level;		/* the query whose range table holds rte */
	int index;			/* of rte in it */
	bool is_visible;	/* its columns can be named at the top level of the query */
} EtlInput;

typedef struct EtlCompile
{
	Query *query;
	List *inputs;		/* EtlInput *, in the order of the query; a table may occur more than once */
	EtlInput *narrowed; /* the one input that is narrowed, or NULL */
	const char *reason; /* why none is, although there are raw inputs; NULL otherwise */
	int n_sequence;		/* columns _etl_seq, _etl_seq2, ... that etl_compile_sequence appended */
} EtlCompile;

/* Whether a relation is a raw table. */
extern bool etl_compile_is_raw(Oid relation);

/* Finds the raw inputs of a query. is_whole: the mode needs every row; allow_distinct: the target has a key. */
extern EtlCompile *etl_compile_inspect(Query *query, const char *is_whole, bool allow_distinct);

/* Narrows the input: above after (0: from the start) up to range->last. Changes the tree. */
extern void etl_compile_narrow(EtlCompile *compile, int64 after, const EtlBatchRange *range);

/* Appends the batch numbers of visible inputs as columns, so that the latest version of a key can be told. */
extern void etl_compile_sequence(EtlCompile *compile);

/* The query as SQL in which every name is qualified. */
extern char *etl_compile_sql(const EtlCompile *compile);

/* Name of the n-th (from 0) appended column. */
extern char *etl_compile_sequence_name(int n);

#endif /* ETL_COMPILE_H */
