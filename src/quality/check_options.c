/*
 * check_options.c
 *		The options of checks that only some types take. See check_options.h.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type_d.h"
#include "dag/statement.h"
#include "load/compile.h"
#include "quality/check_options.h"
#include "quality/condition_text.h"
#include "quality/schema_check.h"
#include "regex/regex.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

/* An option that was given or not. */
typedef struct Given
{
	int option; /* EtlCheckOption; 0: every type takes it */
	const char *name;
	bool is_given;
	const char *example;
} Given;

/* check_given refuses options that the type does not take, and asks for those that it needs. */
static void
check_given(const EtlCheckType *type, const Given *given)
{
	if (given->is_given && (type->takes & given->option) == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a check of type %s takes no %s", type->name, given->name),
						errdetail("It has no use for it."), errhint("Leave it out, or choose another type.")));
	if (!given->is_given && (type->needs & given->option) != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a check of type %s needs %s", type->name, given->name),
						errdetail("It says what a good row is."), errhint("For example %s.", given->example)));
}

/* check_all_given goes through the options. */
static void
check_all_given(const EtlTask *task, const EtlCheckType *type)
{
	const Given given[] = {
		{ETL_OPTION_EXPRESSION, "expression", task->expression != NULL,
		 type->kind == ETL_CHECK_EXPRESSION ? "expression => 'amount >= 0'" : "expression => 'sum(amount)'"},
		{ETL_OPTION_VALUES, "accepted_values", task->accepted_values.n > 0, "accepted_values => '{paid,open}'"},
		{ETL_OPTION_LIMITS, "min_value or max_value", task->min_value != NULL || task->max_value != NULL,
		 "min_value => '0'"},
		{ETL_OPTION_PATTERN, "pattern", task->pattern != NULL, "pattern => '^[A-Z]{2}$'"},
		{ETL_OPTION_REFERENCE, "reference", task->reference != NULL, "reference => 'dw.dim_customer'"},
		{ETL_OPTION_REFERENCE, "reference_columns", task->reference_columns.n > 0 || task->reference != NULL,
		 "reference_columns => '{customer_id}'"},
		{ETL_OPTION_SOURCE, "source", task->source != NULL, "source => 'shop.orders'"},
		{ETL_OPTION_SOURCE, "source_filter", task->source_filter != NULL || task->source != NULL,
		 "source_filter => 'not deleted'"},
		{ETL_OPTION_EXPECTED, "expected", task->expected != NULL, "expected => '{\"order_id\": \"bigint\"}'"},
		{ETL_OPTION_HISTORY, "history", task->history > 0 || task->min_history > 0 || task->same_weekday,
		 "history => 7"},
		{ETL_OPTION_CHANGE, "min_change", task->min_change > 0, "min_change => 100"},
		{ETL_OPTION_QUERY, "query", task->query != NULL, "query => 'SELECT ... WHERE ...'"},
	};

	for (int i = 0; i < lengthof(given); i++)
		check_given(type, &given[i]);
}

/* find_relation resolves a relation that an option names. */
static EtlSource *
find_relation(const char *option, char **name)
{
	Oid relation = etl_relation_find(*name);

	if (!OidIsValid(relation))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("%s \"%s\" does not exist", option, *name),
						errdetail("It has to be a table, view, materialized view or foreign table."),
						errhint("A name without schema is looked up in search_path.")));
	*name = etl_relation_name(relation);
	return etl_relation_describe(relation, NULL);
}

/* check_reference checks the columns of the relation in which values are looked up. */
static void
check_reference(EtlTask *task)
{
	const EtlNames *names = task->reference_columns.n > 0 ? &task->reference_columns : &task->columns;
	EtlSource *reference = find_relation("reference", &task->reference);

	if (names->n != task->columns.n)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("reference_columns must be as many as columns"),
				 errdetail("There are %d and %d.", names->n, task->columns.n),
				 errhint("Name for each of columns the one of %s that it is looked up in.", reference->name)));
	for (int i = 0; i < names->n; i++)
		if (etl_relation_column(reference, names->name[i]) == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("%s has no column \"%s\"", reference->name, names->name[i]),
					 errdetail("Values of the target are looked up there."),
					 errhint("Its columns are: %s. Use reference_columns => '{...}' where they have other names.",
							 etl_relation_column_list(reference))));
}

/* check_range_of_numbers checks history and min_history against each other. */
static void
check_history(const EtlTask *task, const EtlCheckType *type)
{
	int most = task->history > 0 ? task->history : type->history;
	int least = task->min_history > 0 ? task->min_history : type->min_history;

	if (type->history > 0 && least > most)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the check would never be evaluated"),
						errdetail("It looks at %d earlier runs and needs %d.", most, least),
						errhint("Raise history, or lower min_history.")));
}

/* check_scope refuses to look at the rows of a run where nobody knows which they are. */
static void
check_scope(const EtlTask *task, const EtlSource *target)
{
	bool is_raw = etl_compile_is_raw(target->oid);

	if (task->scope != NULL && strcmp(task->scope, "run") == 0 && !is_raw)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("scope \"run\" needs a raw table"),
				 errdetail("%s has no column _etl_batch, so it is not known which rows a run brought.", target->name),
				 errhint("Check the raw table, or leave out scope and use filter.")));
	if (task->stage != NULL && strcmp(task->stage, "raw") == 0 && !is_raw)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("stage \"raw\" needs a raw table"),
						errdetail("%s is not written by an extract.", target->name),
						errhint("Name the target of an extract, or use stage => 'before_commit'.")));
}

/* etl_check_options_define also parses what the author wrote. */
void
etl_check_options_define(EtlTask *task, const EtlCheckType *type, const EtlSource *target)
{
	check_all_given(task, type);
	check_history(task, type);
	check_scope(task, target);
	if (task->expression && type->kind == ETL_CHECK_EXPRESSION)
		etl_condition_text_check(task->expression, "expression", target->name);
	else if (task->expression)
		etl_condition_text_check_value(task->expression, target->name);
	if (task->filter)
		etl_condition_text_check(task->filter, "filter", target->name);
	if (task->query)
		etl_condition_text_check_query(task->query);
	if (task->source)
		(void) find_relation("source", &task->source);
	if (task->source_filter)
		etl_condition_text_check(task->source_filter, "source_filter", task->source);
	if (task->reference)
		check_reference(task);
	etl_schema_check_define(task);
}

/* check_value makes sure that a text is a value of a type. Errors: those of the type's input. */
static void
check_value(const char *text, const EtlColumn *column)
{
	Oid input;
	Oid parameter;

	getTypeInputInfo(getBaseType(column->type), &input, &parameter);
	(void) OidInputFunctionCall(input, unconstify(char *, text), parameter, -1);
}

/* check_order refuses limits of a column that has no order, or that are the wrong way around. */
static void
check_order(const EtlTask *task, const EtlColumn *column)
{
	TypeCacheEntry *type = lookup_type_cache(getBaseType(column->type), TYPECACHE_CMP_PROC_FINFO);
	Oid input;
	Oid parameter;
	Datum value[2];

	if (!OidIsValid(type->cmp_proc_finfo.fn_oid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION), errmsg("values of column \"%s\" have no order", column->name),
				 errdetail("Its type, %s, has no comparison.", format_type_be(column->type)),
				 errhint("Use type => 'expression' with a condition of your own.")));
	if (task->min_value == NULL || task->max_value == NULL)
		return;
	getTypeInputInfo(getBaseType(column->type), &input, &parameter);
	value[0] = OidInputFunctionCall(input, task->min_value, parameter, -1);
	value[1] = OidInputFunctionCall(input, task->max_value, parameter, -1);
	if (DatumGetInt32(FunctionCall2Coll(&type->cmp_proc_finfo, get_typcollation(type->type_id), value[0], value[1])) >
		0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("min_value is above max_value"),
				 errdetail("They are \"%s\" and \"%s\".", task->min_value, task->max_value), errhint("Swap them.")));
}

/* etl_check_options_column looks at what depends on the column's type. */
void
etl_check_options_column(const EtlTask *task, const EtlCheckType *type, const EtlColumn *column)
{
	for (int i = 0; i < task->accepted_values.n; i++)
		check_value(task->accepted_values.name[i], column);
	if (task->min_value)
		check_value(task->min_value, column);
	if (task->max_value)
		check_value(task->max_value, column);
	if (type->kind == ETL_CHECK_RANGE)
		check_order(task, column);
	/* Compiles it, so that a mistake is told now. */
	if (type->kind == ETL_CHECK_REGEX)
		(void) DirectFunctionCall2Coll(textregexeq, DEFAULT_COLLATION_OID, CStringGetTextDatum(""),
									   CStringGetTextDatum(task->pattern));
}
