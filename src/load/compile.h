/*
 * compile.h
 *		From the author's query to the query that a run executes: its inputs narrowed to what is new.
 *
 * Works on the analyzed query tree alone. An input is a raw table (it has the columns _etl_batch bigint and _etl_loaded_at
 * timestamptz), or a table that another load or aggregate keeps: one with a key, of the same owner. It can be narrowed
 * when the rows that the query returns for new rows of it do not depend on its old rows.
 */
#ifndef ETL_COMPILE_H
#define ETL_COMPILE_H

#include "catalog/batch.h"
#include "etl_ext.h"
#include "lib/stringinfo.h"
#include "nodes/parsenodes.h"

/* A step of the way from the top of a query down to an input: the entry of level that is the next query. */
typedef struct EtlStep
{
	Query *level;
	int index;
} EtlStep;

/* Which rows of an input are read. */
typedef enum EtlRows
{
	ETL_ROWS_ALL,	  /* the query looks at _etl_op itself */
	ETL_ROWS_PRESENT, /* no delete markers */
	ETL_ROWS_DELETED  /* only delete markers */
} EtlRows;

typedef struct EtlInput
{
	Oid relation;
	char *name;	  /* schema-qualified and quoted */
	bool is_kept; /* kept by another task, and not a raw table; its rows are told apart by: */
	EtlNames key;
	const char *reason;	 /* why it is read whole; NULL: it can be narrowed */
	bool in_expression;	 /* inside a subquery expression (EXISTS, IN, scalar): always read whole */
	RangeTblEntry *rte;	 /* where the query reads it */
	Query *level;		 /* the query whose range table holds rte */
	int index;			 /* of rte in it */
	bool is_visible;	 /* its columns can be named at the top level of the query */
	bool is_hidden;		 /* a join with an alias hides its columns from the query around it */
	bool is_special;	 /* ONLY, TABLESAMPLE or a system column: it has to stay a table */
	bool in_view;		 /* the tree is that of a view and cannot be changed */
	List *path;			 /* EtlStep *, from the top; NIL: at the top level */
	AttrNumber op;		 /* _etl_op; InvalidAttrNumber: it has none, or the query uses it */
	bool is_narrowed;	 /* only some batches are read: */
	int64 after;		 /* those above after ... */
	EtlBatchRange range; /* ... up to range.last */
} EtlInput;

typedef struct EtlCompile
{
	Query *query;
	const EtlTask *task; /* as etl_compile_inspect was called */
	const char *is_whole;
	bool has_key;
	List *inputs;		/* EtlInput *, in the order of the query; a table may occur more than once */
	List *drivers;		/* those that are narrowed, each in turn; NIL: everything is read */
	EtlInput *single;	/* the one raw input that could be narrowed, even if every row is needed; or NULL */
	const char *reason; /* why there are no drivers, although there are inputs; NULL otherwise */
	const char *shape;	/* the part of reason that lies in the query and not in the mode */
	bool is_carried;	/* the batch of single has to be carried to the top */
	int n_sequence;		/* columns _etl_seq, _etl_seq2, ... that etl_compile_sequence appended */
} EtlCompile;

/* Whether a relation is a raw table. */
extern bool etl_compile_is_raw(Oid relation);

/* Finds the inputs of a task's query. is_whole: why the mode needs every row, or NULL; has_key: the target has a key. */
extern EtlCompile *etl_compile_inspect(Query *query, const EtlTask *task, const char *is_whole, bool has_key);

/* The same inputs in a copy of the query, which may be changed without touching the original. */
extern EtlCompile *etl_compile_copy(const EtlCompile *compile);

/* Narrows a raw input: above after (0: from the start) up to range->last. Changes the tree. */
extern void etl_compile_narrow(EtlInput *input, int64 after, const EtlBatchRange *range);

/* Puts the rows of a query, which has the columns of the input in their order, in the place of an input. */
extern void etl_compile_replace(EtlInput *input, Query *rows);

/* The columns of a table in the order of their numbers, for such a query; prefix: alias with a dot, or "". */
extern void etl_compile_columns(StringInfo sql, Oid relation, const char *prefix);

/* Leaves the delete markers of all inputs out; of a narrowed one etl_compile_narrow does. Changes the tree. */
extern void etl_compile_leave_out(EtlCompile *compile);

/* The subquery that stands for the single input, with other rows of it. */
extern Query *etl_compile_rows(const EtlInput *input, EtlRows rows);

/* Appends the batch numbers of visible inputs as columns, so that the latest version of a key can be told. */
extern void etl_compile_sequence(EtlCompile *compile);

/* The query as SQL in which every name is qualified. */
extern char *etl_compile_sql(const EtlCompile *compile);

/* Name of the n-th (from 0) appended column. */
extern char *etl_compile_sequence_name(int n);

#endif /* ETL_COMPILE_H */
