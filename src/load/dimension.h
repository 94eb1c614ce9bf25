/*
 * dimension.h
 *		Keys of dimensions in a fact: columns of the target that the query does not return and that are looked up in another
 *		table. Option dimension_keys: {column: {"dimension": table, "by": columns, "missing": rule, "at": column}}.
 *
 * by is an object {column of the dimension: column of the query}, a list of columns of the query in the order of the
 * dimension's key, or one column. etl_dimension_settle turns the other forms into the first one when a task is defined.
 */
#ifndef ETL_DIMENSION_H
#define ETL_DIMENSION_H

#include "load/plan.h"

/* Surrogate of the unknown member. */
#define ETL_DIMENSION_UNKNOWN "-1"

/* Columns of a dimension that etl_ext knows by name. */
#define ETL_DIMENSION_FROM "valid_from"
#define ETL_DIMENSION_TO "valid_to"
#define ETL_DIMENSION_CURRENT "is_current"
#define ETL_DIMENSION_INFERRED "is_inferred"

/* What a row gets whose member the dimension does not have. */
typedef enum EtlMissing
{
	ETL_MISSING_UNKNOWN,
	ETL_MISSING_INFERRED,
	ETL_MISSING_REJECT,
	ETL_MISSING_NULL
} EtlMissing;

/* A column of the query and the column of the dimension that it is matched with. */
typedef struct EtlDimensionBy
{
	char *name; /* in the dimension */
	const char *quoted;
	Oid type;
	int32 typmod;
	Oid collation;
	EtlColumn query;
	bool is_cast; /* the query's value is cast to the dimension's type before it is compared */
	Oid equal;	  /* operator: dimension = query */
} EtlDimensionBy;

typedef struct EtlDimension
{
	char *column; /* of the target */
	Oid relation;
	char *name; /* of the relation, qualified */
	int n_by;
	EtlDimensionBy *by;
	EtlMissing missing;
	bool has_at;
	EtlColumn at;	 /* column of the query: the time of the fact */
	char *surrogate; /* its column */
	const char *surrogate_quoted;
	Oid surrogate_type;
	int32 surrogate_typmod;
	bool is_identity_always;
	bool is_versioned; /* it has valid_from and valid_to: of this type */
	Oid valid_type;
	bool has_current;
	bool has_inferred;
} EtlDimension;

/* Reads the option of plan->task, checks it and appends its columns to plan->columns. Errors: 22023, 42703, 42P01 ... */
extern void etl_dimension_resolve(EtlPlan *plan);

/* Refuses what the rest of the plan makes impossible. */
extern void etl_dimension_check(const EtlPlan *plan);

/* Finds the dimension and fills in what it is like. */
extern void etl_dimension_inspect(EtlDimension *dimension, const char *table, const EtlNames *by);

/* Whether the query returns the column only to look something up: column i of the plan, which the target lacks, goes. */
extern bool etl_dimension_drop(EtlPlan *plan, int i);

/* Puts the option into the form in which it is kept, and adds the dimensions to what the task reads. */
extern void etl_dimension_settle(EtlTask *task, const EtlPlan *plan);

/* The name of a rule, as it is written. */
extern const char *etl_dimension_rule(EtlMissing missing);

/* What is wrong with the dimensions as things stand now: appended to a list of EtlProblem. */
extern List *etl_dimension_problems(List *problems, const EtlTask *task, const EtlPlan *plan);

#endif /* ETL_DIMENSION_H */
