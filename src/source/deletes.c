/*
 * deletes.c
 *		Rows that the source has deleted: the options, and what they say to a reader. See deletes.h.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "source/condition.h"
#include "source/deletes.h"
#include "source/extract_run.h"
#include "utils/builtins.h"

#define COLUMN_PREFIX "column:"
#define SELECTED_HINT "Name a column of the source that the extract takes: if there is columns =>, add it there."

/* column_condition returns what deleted rows meet that stay in the source; NULL: the task knows no such rows. */
static const char *
column_condition(const EtlTask *task)
{
	if (task->deletes == NULL || strncmp(task->deletes, COLUMN_PREFIX, strlen(COLUMN_PREFIX)) != 0)
		return NULL;
	return task->deletes + strlen(COLUMN_PREFIX);
}

/* etl_deletes_is_compare says whether deleted rows are found by comparing keys. */
bool
etl_deletes_is_compare(const EtlTask *task)
{
	return task->deletes && strcmp(task->deletes, "compare") == 0;
}

/* etl_deletes_condition returns the condition for the request of a reader. */
const char *
etl_deletes_condition(const EtlTask *task)
{
	return column_condition(task);
}

/* etl_deletes_scope joins filter and delete_scope. A comment at the end of one must not swallow what comes behind. */
char *
etl_deletes_scope(const EtlTask *task)
{
	if (task->filter && task->delete_scope)
		return psprintf("(%s\n) AND (%s\n)", task->filter, task->delete_scope);
	if (task->filter || task->delete_scope)
		return psprintf("(%s\n)", task->filter ? task->filter : task->delete_scope);
	return NULL;
}

/* check_value refuses a setting that is none of the three. */
static void
check_value(const EtlTask *task)
{
	if (strcmp(task->deletes, "none") == 0 || etl_deletes_is_compare(task) || column_condition(task))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("deletes \"%s\" is not known", task->deletes),
			 errdetail("Rows that the source has deleted are not looked for (none), meet a condition (column:...),"
					   " or are found by comparing keys (compare)."),
			 errhint("Write deletes => 'none', 'compare' or, for example, 'column:deleted_at IS NOT NULL'.")));
}

/* check_unused refuses settings of compare in a task that does not compare. */
static void
check_unused(const EtlTask *task)
{
	if (task->delete_scope == NULL && task->max_delete_pct < 0)
		return;
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("%s has no effect without deletes => 'compare'",
						   task->delete_scope ? "delete_scope" : "max_delete_pct"),
					errdetail("It belongs to the comparison of keys with the source."),
					errhint("Set deletes => 'compare', or leave it out.")));
}

/* check_compare refuses a comparison without a key, and conditions that could not be evaluated on raw rows. */
static void
check_compare(const EtlTask *task, const EtlSource *source)
{
	char *from = etl_relation_selected(source);

	if (task->primary_key.n == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("deletes => 'compare' needs a primary_key"),
						errdetail("The keys of the source are compared with those in the raw table."),
						errhint("Name the columns that identify a row: primary_key => '{order_id}'.")));
	if (task->delete_scope)
		(void) etl_condition_check("delete_scope", task->delete_scope, "delete_scope => 'region = 5'", from,
								   SELECTED_HINT);
	if (task->filter)
		(void) etl_condition_check("filter, which deletes => 'compare' also evaluates on raw rows,", task->filter,
								   "filter => 'region = 5'", from, SELECTED_HINT);
}

/* etl_deletes_check looks at deletes, delete_scope and max_delete_pct. */
void
etl_deletes_check(const EtlTask *task, const EtlSource *source)
{
	const char *condition = column_condition(task);

	if (task->deletes)
		check_value(task);
	if (!etl_deletes_is_compare(task))
		check_unused(task);
	if (condition)
		(void) etl_condition_check("deletes", condition, "deletes => 'column:deleted_at IS NOT NULL'",
								   etl_relation_selected(source), SELECTED_HINT);
	if (etl_deletes_is_compare(task))
		check_compare(task, source);
}

/* limit_line says when a comparison marks nothing. */
static char *
limit_line(const EtlTask *task)
{
	if (task->max_delete_pct >= 0)
		return psprintf("-- If more than %g %% of them are gone, the attempt fails (ZE014) and marks none.",
						task->max_delete_pct);
	return psprintf(
		"-- If more than %g %% of them and more than %d are gone, the attempt fails (ZE014) and marks none.",
		ETL_DELETES_PCT, ETL_DELETES_ROWS);
}

/* etl_deletes_explain says in words what a run does about deleted rows. */
List *
etl_deletes_explain(const EtlTask *task)
{
	const char *condition = column_condition(task);
	char *scope;

	if (condition)
		return list_make1(psprintf("-- Deletes: rows with %s become delete markers.", condition));
	if (!etl_deletes_is_compare(task))
		return NIL;
	scope = etl_deletes_scope(task);
	return list_make2(psprintf("-- Deletes: then all keys%s%s are read and compared with the raw table.",
							   scope ? " of rows with " : "", scope ? scope : ""),
					  limit_line(task));
}
