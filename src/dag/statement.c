/*
 * statement.c
 *		SQL that a user wrote, parsed and analyzed. See statement.h.
 */
#include "postgres.h"

#include "access/relation.h"
#include "dag/statement.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "rewrite/rewriteSupport.h"
#include "utils/rel.h"

/* point_into_text turns the position of an error into one within the user's text, as SQL functions do. */
static void
point_into_text(void *arg)
{
	int position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery((const char *) arg);
	}
}

/* push_context makes errors point into text until pop_context. */
static void
push_context(ErrorContextCallback *context, const char *text)
{
	context->callback = point_into_text;
	context->arg = unconstify(char *, text);
	context->previous = error_context_stack;
	error_context_stack = context;
}

/* pop_context undoes push_context. */
static void
pop_context(const ErrorContextCallback *context)
{
	error_context_stack = context->previous;
}

/* etl_statement_parse parses text into a list of RawStmt. */
List *
etl_statement_parse(const char *text)
{
	ErrorContextCallback context;
	List *result;

	push_context(&context, text);
	result = raw_parser(text, RAW_PARSE_DEFAULT);
	pop_context(&context);
	return result;
}

/* etl_statement_analyze analyzes a statement; it locks the relations that the statement names. */
Query *
etl_statement_analyze(RawStmt *statement, const char *text)
{
	ErrorContextCallback context;
	Query *result;

	push_context(&context, text);
	result = parse_analyze_fixedparams(statement, text, NULL, 0, NULL);
	pop_context(&context);
	return result;
}

/* etl_statement_view returns the query of a view or materialized view; the caller may change it. */
Query *
etl_statement_view(Oid view)
{
	Relation relation = relation_open(view, AccessShareLock);
	Query *result = NULL;

	for (int i = 0; relation->rd_rules != NULL && i < relation->rd_rules->numLocks; i++)
	{
		RewriteRule *rule = relation->rd_rules->rules[i];

		if (rule->event == CMD_SELECT && list_length(rule->actions) == 1)
			result = copyObject(linitial_node(Query, rule->actions));
	}
	relation_close(relation, NoLock);
	if (result == NULL)
		elog(ERROR, "relation %u has no rule that says what it selects", view);
	return result;
}
