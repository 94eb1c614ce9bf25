/*
 * plan.c
 *		A load as a run needs it. See plan.h.
 */
#include "postgres.h"

#include "dag/statement.h"
#include "load/dimension.h"
#include "load/late.h"
#include "load/history.h"
#include "load/markers.h"
#include "load/plan.h"
#include "load/touch.h"
#include "nodes/value.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/typcache.h"

/* mode_of reads the mode of a task. Errors: 22023. */
static EtlMode
mode_of(const EtlTask *task)
{
	if (task->kind == ETL_TASK_AGGREGATE)
		return ETL_MODE_REPLACE;
	if (task->mode == NULL || strcmp(task->mode, "merge") == 0)
		return ETL_MODE_MERGE;
	if (strcmp(task->mode, "insert_only") == 0)
		return ETL_MODE_INSERT_ONLY;
	if (strcmp(task->mode, "append") == 0)
		return ETL_MODE_APPEND;
	if (strcmp(task->mode, "replace") == 0)
		return ETL_MODE_REPLACE;
	if (strcmp(task->mode, "scd2") == 0)
		return ETL_MODE_SCD2;
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("mode \"%s\" is not known", task->mode),
					errhint("Use merge, append, insert_only, replace or scd2.")));
}

/* etl_plan_check_ordering refuses a type that has no default btree operator class. */
void
etl_plan_check_ordering(const char *what, const char *name, Oid type)
{
	TypeCacheEntry *cache = lookup_type_cache(type, TYPECACHE_EQ_OPR | TYPECACHE_LT_OPR);

	if (!OidIsValid(cache->lt_opr) || !OidIsValid(cache->eq_opr))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
						errmsg("%s \"%s\" has type %s, which has no ordering", what, name, format_type_be(type)),
						errdetail("Rows are sorted and matched by this column."),
						errhint("Cast the column in the query to a type with an ordering, for example to text.")));
}

/* etl_plan_is_same_type says whether a column is stored as the query returns it. */
bool
etl_plan_is_same_type(const EtlColumn *column)
{
	return column->type == column->target_type &&
		   (column->target_typmod == -1 || column->typmod == column->target_typmod);
}

/* etl_plan_key returns the i-th key column. */
EtlColumn *
etl_plan_key(const EtlPlan *plan, int i)
{
	return &plan->columns.column[plan->key[i]];
}

/* etl_plan_column finds an output column. Errors: 42703. */
int
etl_plan_column(const EtlPlan *plan, const char *what, const char *name)
{
	int position = etl_query_column(&plan->columns, name);

	if (position < 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN), errmsg("%s \"%s\" is not a column of the query", what, name),
						errdetail("Only columns that the query returns can be used."),
						errhint("Columns of the query: %s.", etl_query_column_list(&plan->columns))));
	return position;
}

/* need_key refuses a mode without its key, and a key where it has no effect. */
static void
need_key(const EtlPlan *plan)
{
	const EtlTask *task = plan->task;
	bool is_aggregate = task->kind == ETL_TASK_AGGREGATE;

	if (task->key.n > 0 && plan->mode == ETL_MODE_APPEND)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("key has no effect in mode append"),
						errdetail("Mode append inserts every new row without looking at the rows of the target."),
						errhint("Use mode => 'insert_only' to insert new keys only, or leave key out.")));
	if (task->key.n > 0 || plan->mode == ETL_MODE_APPEND || (plan->mode == ETL_MODE_REPLACE && !is_aggregate))
		return;
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					is_aggregate ? errmsg("an aggregate needs a key")
								 : errmsg("mode %s needs a key", task->mode ? task->mode : "merge"),
					errdetail("The key tells which row of the target a row of the query belongs to."),
					errhint("Set key => '{...}' to one or more of: %s%s.", etl_query_column_list(&plan->columns),
							is_aggregate ? "" : "; or use mode => 'append' or 'replace'")));
}

/* resolve_key finds the key columns. */
static void
resolve_key(EtlPlan *plan)
{
	const EtlNames *key = &plan->task->key;

	need_key(plan);
	plan->key = palloc(sizeof(int) * Max(key->n, 1));
	for (int i = 0; i < key->n; i++)
	{
		int position = etl_plan_column(plan, "key column", key->name[i]);
		EtlColumn *column = &plan->columns.column[position];

		if (column->is_key)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_COLUMN), errmsg("key names column \"%s\" more than once", column->name),
					 errhint("Name each key column once.")));
		column->is_key = true;
		plan->key[plan->n_key++] = position;
	}
}

/* parse_order reads order_by as the list that would stand in an ORDER BY clause. Errors: 42601. */
static List *
parse_order(const char *order_by)
{
	List *statements = etl_statement_parse(psprintf("SELECT ORDER BY %s", order_by));
	SelectStmt *select;

	if (list_length(statements) == 1)
	{
		select = castNode(SelectStmt, linitial_node(RawStmt, statements)->stmt);
		if (select->op == SETOP_NONE && select->limitCount == NULL && select->limitOffset == NULL &&
			select->lockingClause == NIL && select->sortClause != NIL)
			return select->sortClause;
	}
	ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("order_by is not a list of columns"),
					errdetail("It is: %s", order_by),
					errhint("Write column names with an optional ASC or DESC, separated by commas.")));
}

/* order_column returns the name of the column of one order_by item. Errors: 42601. */
static const char *
order_column(const SortBy *item, const char *order_by)
{
	if (IsA(item->node, ColumnRef) && item->sortby_dir != SORTBY_USING && item->sortby_nulls != SORTBY_NULLS_FIRST)
	{
		List *fields = ((ColumnRef *) item->node)->fields;

		if (list_length(fields) == 1 && IsA(linitial(fields), String))
			return strVal(linitial(fields));
	}
	ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("order_by takes columns of the query only"),
					errdetail("It is: %s", order_by),
					errhint("Return the expression as a column of the query and name that; NULL always counts as the"
							" oldest.")));
}

/* resolve_order finds the columns of order_by. A column without ASC or DESC: the highest value is the latest. */
static void
resolve_order(EtlPlan *plan)
{
	const char *order_by = plan->task->order_by;
	List *items;
	ListCell *cell;

	if (order_by == NULL)
		return;
	if (plan->n_key == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("order_by has no effect without a key"),
						errdetail("It tells which of several rows with the same key is the latest."),
						errhint("Set a key or leave order_by out.")));
	items = parse_order(order_by);
	plan->order = palloc(sizeof(EtlOrder) * list_length(items));
	foreach (cell, items)
	{
		SortBy *item = lfirst_node(SortBy, cell);
		int position = etl_plan_column(plan, "order_by column", order_column(item, order_by));
		const EtlColumn *column = &plan->columns.column[position];

		etl_plan_check_ordering("order_by column", column->name, column->type);
		plan->order[plan->n_order].column = position;
		plan->order[plan->n_order].is_ascending = item->sortby_dir == SORTBY_ASC;
		plan->n_order++;
	}
}

/* resolve_updates finds the columns that change in rows which are there, and those in which NULL says nothing. */
static void
resolve_updates(EtlPlan *plan)
{
	const EtlTask *task = plan->task;

	if ((task->update_columns.n > 0 || task->ignore_null_columns.n > 0) && plan->mode != ETL_MODE_MERGE &&
		plan->mode != ETL_MODE_SCD2)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s needs mode merge", task->update_columns.n > 0 ? "update_columns" : "ignore_null_columns"),
				 errdetail("Only mode merge updates rows that are there."),
				 errhint("Use mode => 'merge', or leave it out.")));
	for (int i = 0; task->update_columns.n > 0 && i < plan->columns.n; i++)
		plan->columns.column[i].is_kept = true;
	for (int i = 0; i < task->update_columns.n; i++)
		plan->columns.column[etl_plan_column(plan, "update_columns column", task->update_columns.name[i])].is_kept =
			false;
	for (int i = 0; i < plan->n_order; i++)
		plan->columns.column[plan->order[i].column].is_kept = false;
	for (int i = 0; i < task->ignore_null_columns.n; i++)
		plan->columns.column[etl_plan_column(plan, "ignore_null_columns column", task->ignore_null_columns.name[i])]
			.ignore_null = true;
}

/* whole_reason says why a run needs every row whatever its inputs are, or returns NULL. */
static const char *
whole_reason(const EtlPlan *plan, Query *query)
{
	const EtlTask *task = plan->task;
	const char *reason = NULL;

	if (task->incremental != NULL && strcmp(task->incremental, "full") == 0)
		return "incremental => 'full' was asked for";
	if (task->kind == ETL_TASK_LOAD && plan->mode == ETL_MODE_REPLACE)
		return "mode replace needs all rows";
	if (task->kind == ETL_TASK_AGGREGATE)
		reason = etl_touch_reason(plan, query);
	return reason ? psprintf("the aggregate is computed from all rows, since %s", reason) : NULL;
}

/* etl_plan_make parses the query of a task and resolves key, mode and order_by against it. */
EtlPlan *
etl_plan_make(const EtlTask *task)
{
	EtlPlan *plan = palloc0(sizeof(EtlPlan));
	Query *query;

	plan->task = task;
	plan->mode = mode_of(task);
	query = etl_query_parse(task->query);
	plan->columns = etl_query_columns(query);
	etl_dimension_resolve(plan);
	resolve_key(plan);
	resolve_order(plan);
	resolve_updates(plan);
	etl_late_resolve(plan);
	etl_history_resolve(plan);
	plan->compile = etl_compile_inspect(query, task, whole_reason(plan, query), plan->n_key > 0);
	etl_markers_resolve(plan);
	etl_dimension_check(plan);
	return plan;
}
