/*
 * plan.h
 *		A load as a run needs it: its query, columns, key and order resolved against each other and the target.
 */
#ifndef ETL_LOAD_PLAN_H
#define ETL_LOAD_PLAN_H

#include "etl_ext.h"
#include "load/compile.h"
#include "load/query.h"

typedef enum EtlMode
{
	ETL_MODE_MERGE,
	ETL_MODE_INSERT_ONLY,
	ETL_MODE_APPEND,
	ETL_MODE_REPLACE, /* also aggregates */
	ETL_MODE_SCD2
} EtlMode;

/* What becomes of rows that the source has deleted. */
typedef enum EtlOnDelete
{
	ETL_ON_DELETE_IGNORE,
	ETL_ON_DELETE_DELETE,
	ETL_ON_DELETE_MARK
} EtlOnDelete;

/* The column of a target that says since when a row is deleted (on_delete => 'mark'). */
#define ETL_DELETED_AT "_etl_deleted_at"

/* A column of order_by. The row that comes first is the latest; NULL always comes last. */
typedef struct EtlOrder
{
	int column;
	bool is_ascending; /* ASC was written: the lowest value is the latest */
} EtlOrder;

struct EtlDimension;

typedef struct EtlPlan
{
	const EtlTask *task;
	EtlMode mode;
	EtlOnDelete on_delete;
	EtlColumns columns;
	int n_key;
	int *key; /* positions in columns, in the order of the task's key */
	int n_order;
	EtlOrder *order;
	int event_time; /* position of the column that says when a row happened; -1: none */
	EtlCompile *compile;
	int n_dimensions; /* keys that are looked up, see dimension.h */
	struct EtlDimension *dimension;
	Oid target; /* InvalidOid until etl_target_match */
	char *target_name;
	bool has_row_triggers;		/* the target has BEFORE ROW triggers, which may change or drop rows */
	struct EtlHistory *history; /* mode scd2, see history.h; else NULL */
	char *surrogate_name;		/* of the column: */
	char *surrogate;			/* quoted name of the target's surrogate key, or NULL; after etl_target_match */
	bool has_inferred;			/* the target has is_inferred, which a row that arrives sets to false; ditto */
} EtlPlan;

/* Parses the query of a task with the current search_path (the author's) and checks key, mode and order_by. */
extern EtlPlan *etl_plan_make(const EtlTask *task);

/* Whether a column is stored in the target as the query returns it. */
extern bool etl_plan_is_same_type(const EtlColumn *column);

/* The position of a column of the query that an option names. Errors: 42703. */
extern int etl_plan_column(const EtlPlan *plan, const char *option, const char *name);

/* The i-th key column. */
extern EtlColumn *etl_plan_key(const EtlPlan *plan, int i);

/* Refuses a type without an ordering. what: "key column" or "order_by column". Errors: 42883. */
extern void etl_plan_check_ordering(const char *what, const char *name, Oid type);

#endif /* ETL_LOAD_PLAN_H */
