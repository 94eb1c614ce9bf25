/*
 * flow.h
 *		Column lineage: which columns flow into which, from analyzed query trees. Pure: the parser and the system catalogs, no
 *		execution.
 *
 * A flow says that an output column takes its value from an input column, or that the input column decides about it. A flow
 * without an output column is about the rows as a whole, and so about every column; one without an input column means the
 * rows of the input (count(*)). Views count twice: the view's own column, and the columns behind it with via set. A column
 * may flow in more than one way: then there is a flow for each.
 */
#ifndef ETL_FLOW_H
#define ETL_FLOW_H

#include "etl_ext.h"
#include "nodes/parsenodes.h"

typedef enum EtlFlowKind
{
	/* direct: the value is made from the input */
	ETL_FLOW_IDENTITY,		 /* as it is, or relabelled */
	ETL_FLOW_TRANSFORMATION, /* by an expression, casts included */
	ETL_FLOW_AGGREGATION,	 /* from many rows */
	/* indirect: the input decides which rows there are, or which value is taken */
	ETL_FLOW_FILTER,
	ETL_FLOW_JOIN,
	ETL_FLOW_GROUP_BY,
	ETL_FLOW_SORT,
	ETL_FLOW_WINDOW,
	ETL_FLOW_CONDITIONAL,
	/* no input */
	ETL_FLOW_GENERATED, /* a constant, a function without columns, or made by etl_ext */
	ETL_FLOW_UNKNOWN	/* between relations: the statement cannot be looked into */
} EtlFlowKind;

typedef struct EtlFlow
{
	char *output;		 /* qualified and quoted; NULL: the result of the query, or no output (a check) */
	char *output_column; /* not quoted; NULL: the rows */
	char *input;		 /* NULL: generated */
	char *input_column;	 /* NULL: the rows */
	EtlFlowKind kind;
	char *via; /* the view that the query names; NULL: it names the input itself */
} EtlFlow;

/* Names of the kinds: identity, transformation ... */
extern const char *etl_flow_kind_name(EtlFlowKind kind);

/* Whether the kind says that the value is made from the input. */
extern bool etl_flow_is_direct(EtlFlowKind kind);

/* Appends a flow to a list of them; texts are copied. */
extern List *etl_flow_add(List *flows, const char *output, const char *output_column, const char *input,
						  const char *input_column, EtlFlowKind kind);

/* Appends a copy of a flow unless there is one like it; the texts are not copied. */
extern List *etl_flow_add_once(List *flows, const EtlFlow *flow);

/* The same for a column that is known by name. */
extern List *etl_flow_from_column(List *flows, const char *output, const char *output_column, const char *input,
								  const char *column, EtlFlowKind kind);

/*
 * Adds, for all that flows into a column of a query, a flow into another column. as: what direct flows become at least; indirect ones
 * keep their kind unless as is indirect, too.
 */
extern List *etl_flow_follow(List *flows, const List *query, const char *column, const char *output,
							 const char *output_column, EtlFlowKind as);

/* Flows into the columns that a query returns, by their names; output: what they are columns of, or NULL. */
extern List *etl_flow_of_query(Query *query, const char *output);

/* Flows into the columns of a view or materialized view. */
extern List *etl_flow_of_view(Oid view);

/*
 * Flows of the statements of a command (INSERT, UPDATE, DELETE, MERGE, CREATE TABLE AS, SELECT INTO, REFRESH, and data-modifying
 * WITH queries). is_whole: false when a statement could not be analyzed, or is opaque. Errors: 42601.
 */
extern List *etl_flow_of_command(const char *command, bool *is_whole);

#endif /* ETL_FLOW_H */
