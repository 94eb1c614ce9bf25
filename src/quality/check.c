/*
 * check.c
 *		Quality checks: their definition. See check.h.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type_d.h"
#include "quality/check.h"
#include "quality/check_options.h"
#include "quality/threshold.h"
#include "source/relation.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

/* find_type finds a check type by its name. */
static const EtlCheckType *
find_type(const char *name)
{
	const EtlCheckType *type = etl_check_type_find(name);

	if (type == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 name ? errmsg("unknown check type \"%s\"", name) : errmsg("a check needs a type"),
				 errdetail("The type says what is measured."), errhint("Types are: %s.", etl_check_type_names())));
	return type;
}

/* find_target resolves the target and stores its full name. */
static Oid
find_target(EtlTask *task)
{
	Oid relation;

	if (task->target == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("a check needs a target"),
						errdetail("The target is the table whose rows are checked."),
						errhint("Give target => 'schema.table'.")));
	relation = etl_relation_find(task->target);
	if (!OidIsValid(relation))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE), errmsg("target \"%s\" does not exist", task->target),
				 errdetail("A check reads a table, view, materialized view or foreign table that exists."),
				 errhint("Create it, or add the task that writes it first; a name without schema is looked up in "
						 "search_path.")));
	if (strchr("rpvmf", get_rel_relkind(relation)) == NULL || get_rel_persistence(relation) == RELPERSISTENCE_TEMP)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("cannot check \"%s\"", task->target),
						errdetail("It is not a permanent table, view, materialized view or foreign table."),
						errhint("Name one of these as target.")));
	task->target = etl_relation_name(relation);
	return relation;
}

/* check_equality refuses a column whose values cannot be compared with each other. */
static void
check_equality(const EtlSource *target, const EtlColumn *column)
{
	if (!OidIsValid(lookup_type_cache(column->type, TYPECACHE_EQ_OPR)->eq_opr))
		ereport(
			ERROR,
			(errcode(ERRCODE_UNDEFINED_FUNCTION),
			 errmsg("values of column \"%s\" of %s cannot be compared", column->name, target->name),
			 errdetail("Its type, %s, has no equality, so duplicates cannot be found.", format_type_be(column->type)),
			 errhint("Leave out the column, or check a view in which it has another type, such as jsonb or text.")));
}

/* check_number refuses columns that a type does not take. */
static void
check_number(const EtlTask *task, const EtlCheckType *type, const EtlSource *target)
{
	int n = task->columns.n;

	if (type->columns == ETL_COLUMNS_NONE ? n > 0 : n == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						type->columns == ETL_COLUMNS_NONE ? errmsg("a check of type %s takes no columns", type->name)
														  : errmsg("a check of type %s needs columns", type->name),
						errdetail("Some types of checks look at columns, the others at rows or at the whole table."),
						type->columns == ETL_COLUMNS_NONE ? errhint("Leave out columns, or choose another type.")
														  : errhint("Give columns => '{...}' with columns of %s: %s.",
																	target->name, etl_relation_column_list(target))));
	if (type->columns == ETL_COLUMNS_ONE && n > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("a check of type %s takes one column", type->name),
				 errdetail("%d were given.", n), errhint("Add one check for each column.")));
}

/* check_age refuses a column that has no age. */
static void
check_age(const EtlSource *target, const EtlColumn *column)
{
	if (column->type != DATEOID && column->type != TIMESTAMPOID && column->type != TIMESTAMPTZOID)
		ereport(
			ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH), errmsg("column \"%s\" of %s has no age", column->name, target->name),
			 errdetail("Its type is %s; freshness needs date, timestamp or timestamptz.", format_type_be(column->type)),
			 errhint("Choose a column that says when a row was made or changed.")));
}

/* check_columns checks the columns against the target and the type. */
static void
check_columns(const EtlTask *task, const EtlCheckType *type, const EtlSource *target)
{
	check_number(task, type, target);
	for (int i = 0; i < task->columns.n; i++)
	{
		const EtlColumn *column = etl_relation_column(target, task->columns.name[i]);

		if (column == NULL)
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
							errmsg("%s has no column \"%s\"", target->name, task->columns.name[i]),
							errdetail("The check names it in columns."),
							errhint("Its columns are: %s.", etl_relation_column_list(target))));
		if (type->kind == ETL_CHECK_DUPLICATES || type->kind == ETL_CHECK_UNIQUE)
			check_equality(target, column);
		if (type->kind == ETL_CHECK_FRESHNESS)
			check_age(target, column);
		etl_check_options_column(task, type, column);
	}
}

/* check_thresholds reads both thresholds, sets the default, and compares them with each other. */
static void
check_thresholds(EtlTask *task, const EtlCheckType *type)
{
	EtlThreshold warn;
	EtlThreshold fail;
	bool lower_is_worse = type->kind == ETL_CHECK_ROW_COUNT;
	int numbers = ETL_THRESHOLD_COUNT | ETL_THRESHOLD_SCORE;

	if (task->warn == NULL && task->fail == NULL)
	{
		if (type->default_fail == NULL && type->default_warn == NULL)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("a check of type %s needs a threshold", type->name),
							errdetail("Neither warn nor fail is given, and no value would suit every table."),
							errhint("Give warn, fail or both as %s.", type->examples)));
		/* Rows at fault that are put aside are worth a warning; how many are too many is for the author to say. */
		if (type->default_fail == NULL || etl_check_is_screen(task))
			task->warn = pstrdup(type->default_warn ? type->default_warn : type->default_fail);
		else
			task->fail = pstrdup(type->default_fail);
	}
	warn = etl_threshold_parse(task->warn, "warn", type->name);
	fail = etl_threshold_parse(task->fail, "fail", type->name);
	if (!warn.given || !fail.given)
		return;
	if (warn.kind != fail.kind && ((warn.kind | fail.kind) & ~numbers) != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("warn and fail have different units"),
						errdetail("warn is '%s', fail is '%s'.", warn.text, fail.text),
						errhint("Write both as a number of rows, or both as a percentage.")));
	if (lower_is_worse ? warn.value < fail.value : warn.value > fail.value)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the check would fail before it warns"),
						errdetail("warn is '%s' and fail is '%s', but %s.", warn.text, fail.text,
								  lower_is_worse ? "fewer rows are worse" : "larger values are worse"),
						errhint("Swap them, or leave out warn.")));
}

/* etl_check_define checks and completes a definition. */
void
etl_check_define(EtlTask *task)
{
	const EtlCheckType *type = find_type(task->check_type);
	Oid relation = find_target(task);
	const EtlSource *target = etl_relation_describe(relation, NULL);

	etl_check_options_define(task, type, target);
	check_columns(task, type, target);
	check_thresholds(task, type);
	/* Finds what only the whole query shows, such as an aggregate that does not exist. */
	task->reads = etl_check_reads(task);
	task->writes.n = 0;
	task->writes.name = palloc0(sizeof(char *));
}
