/*
 * history_plan.c
 *		Options of dimensions, checked against the columns of the query: mode scd2, track, surrogate_key. See history.h.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "load/history.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* check_options refuses options that do not fit the mode. */
static void
check_options(const EtlPlan *plan)
{
	const EtlTask *task = plan->task;
	bool is_history = plan->mode == ETL_MODE_SCD2;

	if (task->track.n > 0 && !is_history)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("track has no effect in mode %s", task->mode),
						errdetail("It says a change of which columns begins a new version of a row."),
						errhint("Use mode => 'scd2', or leave track out.")));
	if (task->surrogate_key != NULL && !is_history && plan->mode != ETL_MODE_MERGE)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("surrogate_key has no effect in mode %s", task->mode ? task->mode : "replace"),
						errdetail("It names the number that a row of a dimension keeps."),
						errhint("Use mode => 'scd2' or 'merge', or leave surrogate_key out.")));
	if (is_history && (task->update_columns.n > 0 || task->ignore_null_columns.n > 0))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s does not fit mode scd2",
							   task->update_columns.n > 0 ? "update_columns" : "ignore_null_columns"),
						errdetail("A version holds the values that a row had at a time."),
						errhint("Name the columns whose changes begin a version in track; the others are"
								" overwritten in all versions.")));
}

/* check_reserved refuses columns of the query that have the names of those that etl_ext keeps. */
static void
check_reserved(const EtlPlan *plan)
{
	static const char *const names[] = {ETL_IS_INFERRED, ETL_VALID_FROM, ETL_VALID_TO, ETL_IS_CURRENT};
	int n = plan->mode == ETL_MODE_SCD2 ? lengthof(names) : plan->task->surrogate_key != NULL ? 1 : 0;
	const char *found = NULL;

	for (int i = 0; i < n && found == NULL; i++)
		if (etl_query_column(&plan->columns, names[i]) >= 0)
			found = names[i];
	if (found == NULL && plan->task->surrogate_key != NULL &&
		etl_query_column(&plan->columns, plan->task->surrogate_key) >= 0)
		found = plan->task->surrogate_key;
	if (found != NULL)
		ereport(ERROR, (errcode(ERRCODE_RESERVED_NAME), errmsg("query must not return column \"%s\"", found),
						errdetail("etl_ext keeps this column of the target itself."),
						errhint("Leave the column out of the query, or rename it with AS.")));
}

/* resolve_time finds the effective time, the first column of order_by. */
static void
resolve_time(EtlPlan *plan, EtlHistory *history)
{
	const EtlColumn *column;
	Oid type;

	history->time = -1;
	if (plan->n_order == 0)
		return;
	history->time = plan->order[0].column;
	column = &plan->columns.column[history->time];
	type = getBaseType(column->type);
	if (type != DATEOID && type != TIMESTAMPOID && type != TIMESTAMPTZOID)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("order_by column \"%s\" is no time", column->name),
				 errdetail("In mode scd2 the first column of order_by is the time from which on a version is"
						   " valid. It has type %s.",
						   format_type_be(column->type)),
				 errhint("Name a column of type date, timestamp or timestamptz first; further columns decide among"
						 " versions of the same time.")));
	if (plan->order[0].is_ascending)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("order_by column \"%s\" must not be ascending in mode scd2", column->name),
						errdetail("Of two versions the one with the later time is the later one."),
						errhint("Leave out ASC.")));
	if (column->is_key)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("order_by column \"%s\" is part of the key", column->name),
						errdetail("Versions of the same key differ in their time."),
						errhint("Leave the column out of the key.")));
}

/* is_in_order says whether order_by names a column. */
static bool
is_in_order(const EtlPlan *plan, int column)
{
	for (int i = 0; i < plan->n_order; i++)
		if (plan->order[i].column == column)
			return true;
	return false;
}

/* tracked_column finds a column that track names. */
static int
tracked_column(const EtlPlan *plan, const char *name)
{
	int position = etl_query_column(&plan->columns, name);

	if (position < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN), errmsg("track column \"%s\" is not a column of the query", name),
				 errdetail("Only columns that the query returns can be used."),
				 errhint("Columns of the query: %s.", etl_query_column_list(&plan->columns))));
	if (plan->columns.column[position].is_key || is_in_order(plan, position))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("column \"%s\" cannot be tracked", name),
						errdetail(plan->columns.column[position].is_key
									  ? "It is part of the key, which all versions share."
									  : "It is a column of order_by, which differs in every version."),
						errhint("Leave the column out of track.")));
	return position;
}

/* resolve_track says of each column whether its changes begin a version or overwrite all versions. */
static void
resolve_track(EtlPlan *plan, EtlHistory *history)
{
	const EtlNames *track = &plan->task->track;

	history->is_tracked = palloc0(sizeof(bool) * plan->columns.n);
	history->is_type1 = palloc0(sizeof(bool) * plan->columns.n);
	for (int i = 0; i < track->n; i++)
		history->is_tracked[tracked_column(plan, track->name[i])] = true;
	for (int i = 0; i < plan->columns.n; i++)
	{
		if (plan->columns.column[i].is_key || is_in_order(plan, i))
			continue;
		if (track->n == 0)
			history->is_tracked[i] = true;
		history->is_type1[i] = !history->is_tracked[i];
		history->n_type1 += history->is_type1[i] ? 1 : 0;
	}
}

/* etl_history_resolve looks at the options. */
void
etl_history_resolve(EtlPlan *plan)
{
	EtlHistory *history;

	check_options(plan);
	check_reserved(plan);
	if (plan->mode != ETL_MODE_SCD2)
		return;
	history = palloc0(sizeof(EtlHistory));
	resolve_time(plan, history);
	resolve_track(plan, history);
	plan->history = history;
}
