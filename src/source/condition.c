/*
 * condition.c
 *		SQL conditions that the author of an extract wrote. See condition.h.
 */
#include "postgres.h"

#include "nodes/parsenodes.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "source/condition.h"

/* What is being parsed while a condition is checked. */
typedef struct ConditionText
{
	const char *setting;
	const char *example;
	const char *sql;
	const char *hint;
	bool alone; /* the condition by itself, not yet as part of a query */
} ConditionText;

/* condition_context points errors of the parser to the condition instead of the statement that defines the task. */
static void
condition_context(void *arg)
{
	ConditionText *text = arg;
	int position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(text->sql);
	}
	if (text->alone)
		errhint("Write one condition, as behind WHERE: %s.", text->example);
	else if (text->hint && geterrcode() == ERRCODE_UNDEFINED_COLUMN)
		errhint("%s", text->hint);
	errcontext("%s of the extract", text->setting);
}

/* check_is_one refuses text that is more than one expression: a second statement, a list, a clause behind it. */
static void
check_is_one(const char *setting, const char *condition)
{
	List *list = raw_parser(condition, RAW_PARSE_PLPGSQL_EXPR);
	SelectStmt *select = (SelectStmt *) linitial_node(RawStmt, list)->stmt;

	if (!IsA(select, SelectStmt) || list_length(select->targetList) != 1 || select->fromClause || select->whereClause ||
		select->groupClause || select->havingClause || select->windowClause || select->sortClause ||
		select->distinctClause || select->limitCount || select->limitOffset || select->lockingClause ||
		linitial_node(ResTarget, select->targetList)->name)
		ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("%s is not one SQL condition", setting),
						errdetail("Its text is: %s", condition)));
}

/*
 * etl_condition_check parses the condition twice: alone, to be sure that it is one expression and nothing behind it, and
 * as the condition of a query, to find names and types.
 */
bool
etl_condition_check(const char *setting, const char *condition, const char *example, const char *from, const char *hint)
{
	ConditionText text = {setting, example, condition, hint, true};
	ErrorContextCallback callback = {error_context_stack, condition_context, &text};
	Query *query;

	error_context_stack = &callback;
	check_is_one(setting, condition);
	text.alone = false;
	text.sql = psprintf("SELECT 1 FROM %s WHERE (%s\n)", from, condition);
	query = parse_analyze_fixedparams(linitial_node(RawStmt, raw_parser(text.sql, RAW_PARSE_DEFAULT)), text.sql, NULL,
									  0, NULL);
	error_context_stack = callback.previous;
	return query->hasSubLinks;
}
