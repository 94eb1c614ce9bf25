/*
 * condition.c
 *		What makes a row one at fault, as SQL. See condition.h.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "lib/stringinfo.h"
#include "load/text_type.h"
#include "parser/parse_oper.h"
#include "quality/check_type.h"
#include "quality/condition.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* column_of returns a column of a check, which etl_check_problems and etl_check_define have found. */
static const EtlColumn *
column_of(const EtlTask *task, const EtlSource *target, int i)
{
	const EtlColumn *column = etl_relation_column(target, task->columns.name[i]);

	if (column == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						errmsg("%s has no column \"%s\"", target->name, task->columns.name[i]),
						errdetail("The check names it in columns."),
						errhint("Its columns are: %s.", etl_relation_column_list(target))));
	return column;
}

/* literal writes a value of the type of a column; domains give their base type, whose values they are compared as. */
static char *
literal(const char *value, const EtlColumn *column)
{
	return psprintf("%s::%s", quote_literal_cstr(value), etl_text_type(getBaseType(column->type), -1));
}

/* append_values appends an array of the accepted values with the type of a column. */
static void
append_values(StringInfo sql, const EtlTask *task, const EtlColumn *column)
{
	for (int i = 0; i < task->accepted_values.n; i++)
		appendStringInfo(sql, "%s%s", i > 0 ? ", " : "(", literal(task->accepted_values.name[i], column));
	appendStringInfoChar(sql, ')');
}

/* append_limits appends the condition that a value is outside of the range; NULL is not. */
static void
append_limits(StringInfo sql, const EtlTask *task, const EtlColumn *column, const char *name)
{
	Oid type = getBaseType(column->type);

	if (task->min_value)
		appendStringInfo(sql, "%s%s%s", name, etl_text_comparison(type, BTLessStrategyNumber),
						 literal(task->min_value, column));
	if (task->max_value)
		appendStringInfo(sql, "%s%s%s%s", task->min_value ? " OR " : "", name,
						 etl_text_comparison(type, BTGreaterStrategyNumber), literal(task->max_value, column));
}

/* append_column_fault appends the condition that one column is at fault. */
static void
append_column_fault(StringInfo sql, const EtlTask *task, EtlCheckKind kind, const EtlColumn *column, const char *prefix)
{
	char *name = psprintf("%s%s", prefix, quote_identifier(column->name));

	switch (kind)
	{
		case ETL_CHECK_NULL_PCT:
			appendStringInfo(sql, "%s IS NULL", name);
			break;
		case ETL_CHECK_ACCEPTED_VALUES:
			appendStringInfo(sql, "%s NOT IN ", name);
			append_values(sql, task, column);
			break;
		case ETL_CHECK_RANGE:
			append_limits(sql, task, column, name);
			break;
		case ETL_CHECK_REGEX:
			appendStringInfo(sql, "%s::pg_catalog.text OPERATOR(pg_catalog.!~) %s", name,
							 quote_literal_cstr(task->pattern));
			break;
		default:
			elog(ERROR, "columns of a check of type \"%s\" are at fault together", task->check_type);
	}
}

/* etl_condition_has_values joins the columns by AND. */
char *
etl_condition_has_values(const EtlTask *task, const char *prefix)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < task->columns.n; i++)
		appendStringInfo(&sql, "%s%s%s IS NOT NULL", i > 0 ? " AND " : "", prefix,
						 quote_identifier(task->columns.name[i]));
	return sql.data;
}

/* reference_name returns the column of the reference that belongs to one of the target. */
static const char *
reference_name(const EtlTask *task, int i)
{
	return task->reference_columns.n > 0 ? task->reference_columns.name[i] : task->columns.name[i];
}

/* equality returns the operator between a column of the target and that of the reference, as their types have it. */
static char *
equality(const EtlTask *task, const EtlSource *target, int i)
{
	const EtlColumn *column = column_of(task, target, i);
	Oid relation = etl_relation_find(task->reference);
	const EtlColumn *other = OidIsValid(relation)
								 ? etl_relation_column(etl_relation_describe(relation, NULL), reference_name(task, i))
								 : NULL;
	Oid operator_oid = InvalidOid;

	if (other != NULL)
		operator_oid = LookupOperName(NULL, list_make1(makeString(pstrdup("="))), column->type, other->type, true, -1);
	return OidIsValid(operator_oid) ? etl_text_operator(operator_oid) : pstrdup(" = ");
}

/* missing returns the condition that no row of the reference has the values of a row. */
static char *
missing(const EtlTask *task, const EtlSource *target, const char *prefix)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "%s AND NOT EXISTS (SELECT FROM %s AS _etl_reference WHERE ",
					 etl_condition_has_values(task, prefix), task->reference);
	for (int i = 0; i < task->columns.n; i++)
		appendStringInfo(&sql, "%s%s%s%s_etl_reference.%s", i > 0 ? " AND " : "", prefix,
						 quote_identifier(task->columns.name[i]), equality(task, target, i),
						 quote_identifier(reference_name(task, i)));
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

/* etl_condition_fault is true for a row when one of its columns is at fault. */
char *
etl_condition_fault(const EtlTask *task, const EtlSource *target, const char *prefix)
{
	EtlCheckKind kind = etl_check_type_get(task->check_type)->kind;
	StringInfoData sql;

	if (kind == ETL_CHECK_EXPRESSION)
		return psprintf("(\n%s\n) IS NOT TRUE", task->expression);
	if (kind == ETL_CHECK_RELATIONSHIP)
		return missing(task, target, prefix);
	initStringInfo(&sql);
	for (int i = 0; i < task->columns.n; i++)
	{
		appendStringInfoString(&sql, i > 0 ? " OR " : "");
		append_column_fault(&sql, task, kind, column_of(task, target, i), prefix);
	}
	return sql.data;
}

/*
 * etl_condition_join: names of the reference's columns are made unique, so that what the author wrote about the target
 * means what it meant without it.
 */
char *
etl_condition_join(const EtlTask *task, const EtlSource *target, const char *alias)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "LEFT JOIN (SELECT DISTINCT ");
	for (int i = 0; i < task->columns.n; i++)
		appendStringInfo(&sql, "%s%s AS %s_%d", i > 0 ? ", " : "", quote_identifier(reference_name(task, i)), alias, i);
	appendStringInfo(&sql, " FROM %s) AS %s ON ", task->reference, alias);
	for (int i = 0; i < task->columns.n; i++)
		appendStringInfo(&sql, "%s%s.%s%s%s.%s_%d", i > 0 ? " AND " : "", target->name,
						 quote_identifier(task->columns.name[i]), equality(task, target, i), alias, alias, i);
	return sql.data;
}

/* etl_condition_unjoined looks at the first column: no row with a NULL there is joined. */
char *
etl_condition_unjoined(const EtlTask *task, const EtlSource *target, const char *alias)
{
	return psprintf("%s AND %s.%s_0 IS NULL", etl_condition_has_values(task, psprintf("%s.", target->name)), alias,
					alias);
}
