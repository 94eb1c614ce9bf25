/*
 * check.c
 *		Quality checks: their definition. See check.h.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type_d.h"
#include "dag/lineage.h"
#include "dag/statement.h"
#include "lib/stringinfo.h"
#include "nodes/parsenodes.h"
#include "quality/check.h"
#include "quality/measure.h"
#include "quality/threshold.h"
#include "source/relation.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

typedef enum ColumnRule
{
	COLUMNS_NONE,
	COLUMNS_SOME,
	COLUMNS_ONE_TIME
} ColumnRule;

/* What a check type takes. */
typedef struct CheckType
{
	const char *name;
	ColumnRule columns;
	bool expression;
	const char *default_fail; /* when neither warn nor fail is given; NULL: one of them is required */
} CheckType;

static const CheckType check_type[] = {
	{"row_count", COLUMNS_NONE, false, "1"},  {"row_count_variance", COLUMNS_NONE, false, NULL},
	{"null_pct", COLUMNS_SOME, false, "0%"},  {"freshness", COLUMNS_ONE_TIME, false, NULL},
	{"duplicates", COLUMNS_SOME, false, "0"}, {"expression", COLUMNS_NONE, true, "0"},
};

#define TYPE_NAMES "row_count, row_count_variance, null_pct, freshness, duplicates, expression"

/* find_type finds a check type by its name. */
static const CheckType *
find_type(const char *name)
{
	for (int i = 0; name && i < lengthof(check_type); i++)
	{
		if (strcmp(check_type[i].name, name) == 0)
			return &check_type[i];
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					name ? errmsg("unknown check type \"%s\"", name) : errmsg("a check needs a type"),
					errdetail("The type says what is measured."), errhint("Types are: %s.", TYPE_NAMES)));
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

/* check_columns checks the columns against the target and the type. */
static void
check_columns(const EtlTask *task, const CheckType *type, Oid relation)
{
	EtlSource *target = etl_relation_describe(relation, NULL);

	if (type->columns == COLUMNS_NONE ? task->columns.n > 0 : task->columns.n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 type->columns == COLUMNS_NONE ? errmsg("a check of type %s takes no columns", type->name)
											   : errmsg("a check of type %s needs columns", type->name),
				 errdetail("Checks of type null_pct, duplicates and freshness look at columns, the others at rows."),
				 type->columns == COLUMNS_NONE ? errhint("Leave out columns, or choose another type.")
											   : errhint("Give columns => '{...}' with columns of %s: %s.",
														 target->name, etl_relation_column_list(target))));
	for (int i = 0; i < task->columns.n; i++)
	{
		const EtlColumn *column = etl_relation_column(target, task->columns.name[i]);

		if (column == NULL)
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
							errmsg("%s has no column \"%s\"", target->name, task->columns.name[i]),
							errdetail("The check names it in columns."),
							errhint("Its columns are: %s.", etl_relation_column_list(target))));
		if (strcmp(type->name, "duplicates") == 0)
			check_equality(target, column);
		if (type->columns != COLUMNS_ONE_TIME)
			continue;
		if (task->columns.n > 1)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("a check of type freshness takes one column"),
					 errdetail("%d were given.", task->columns.n), errhint("Add one check for each column.")));
		if (column->type != DATEOID && column->type != TIMESTAMPOID && column->type != TIMESTAMPTZOID)
			ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
							errmsg("column \"%s\" of %s has no age", column->name, target->name),
							errdetail("Its type is %s; freshness needs date, timestamp or timestamptz.",
									  format_type_be(column->type)),
							errhint("Choose a column that says when a row was made or changed.")));
	}
}

/* check_thresholds reads both thresholds, sets the default, and compares them with each other. */
static void
check_thresholds(EtlTask *task, const CheckType *type)
{
	EtlThreshold warn;
	EtlThreshold fail;
	bool lower_is_worse = strcmp(type->name, "row_count") == 0;

	if (task->warn == NULL && task->fail == NULL)
	{
		if (type->default_fail == NULL)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("a check of type %s needs a threshold", type->name),
							errdetail("Neither warn nor fail is given, and no value would suit every table."),
							errhint("Give warn, fail or both as %s.", etl_threshold_examples(type->name))));
		task->fail = pstrdup(type->default_fail);
	}
	warn = etl_threshold_parse(task->warn, "warn", type->name);
	fail = etl_threshold_parse(task->fail, "fail", type->name);
	if (!warn.given || !fail.given)
		return;
	if (warn.kind != fail.kind)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("warn and fail have different units"),
						errdetail("warn is '%s', fail is '%s'.", warn.text, fail.text),
						errhint("Write both as a number of rows, or both as a percentage.")));
	if (lower_is_worse ? warn.value < fail.value : warn.value > fail.value)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the check would fail before it warns"),
						errdetail("warn is '%s' and fail is '%s', but %s.", warn.text, fail.text,
								  lower_is_worse ? "fewer rows are worse" : "larger values are worse"),
						errhint("Swap them, or leave out warn.")));
}

/*
 * check_condition makes sure that text is one boolean expression over the columns of the target, and nothing that would
 * close the parentheses in which it is executed. As a condition of WHERE, PostgreSQL refuses all that does not fit.
 */
static void
check_condition(const EtlTask *task, const char *text, const char *option)
{
	MemoryContext caller = CurrentMemoryContext;
	char *alone = psprintf("SELECT\n%s\n", text);
	char *closed = psprintf("SELECT (\n%s\n)", text);
	char *condition = psprintf("SELECT FROM %s WHERE (\n%s\n)", task->target, text);

	PG_TRY();
	{
		/* Text that is balanced on its own and fits into parentheses is one expression. */
		if (list_length(etl_statement_parse(alone)) != 1 || list_length(etl_statement_parse(closed)) != 1)
			ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("%s is more than one expression", option)));
		(void) etl_statement_analyze(linitial_node(RawStmt, etl_statement_parse(condition)), condition);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		if (error->detail == NULL)
			error->detail = psprintf("It is read as a condition on the rows of %s.", task->target);
		if (error->hint == NULL)
			error->hint = psprintf("Write %s as one boolean expression over the columns of %s, as after WHERE.", option,
								   task->target);
		ReThrowError(error);
	}
	PG_END_TRY();
}

/* check_conditions checks expression and filter. */
static void
check_conditions(const EtlTask *task, const CheckType *type)
{
	if (type->expression && task->expression == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("a check of type expression needs an expression"),
				 errdetail("The expression is the condition that every row should meet."),
				 errhint("Give expression => 'amount >= 0'.")));
	if (!type->expression && task->expression != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("a check of type %s takes no expression", type->name),
				 errdetail("Only checks of type expression have one."),
				 errhint("Use type => 'expression', or filter to choose the rows.")));
	if (task->expression)
		check_condition(task, task->expression, "expression");
	if (task->filter)
		check_condition(task, task->filter, "filter");
}

/* etl_check_define checks and completes a definition. */
void
etl_check_define(EtlTask *task)
{
	const CheckType *type = find_type(task->check_type);
	Oid relation = find_target(task);
	char *sql;

	check_columns(task, type, relation);
	check_thresholds(task, type);
	check_conditions(task, type);
	/* Finds what only the whole query shows, such as a column type that knows no equality. */
	sql = etl_measure_sql(task);
	task->reads = etl_lineage_reads(etl_statement_analyze(linitial_node(RawStmt, etl_statement_parse(sql)), sql));
	task->writes.n = 0;
	task->writes.name = palloc0(sizeof(char *));
}
