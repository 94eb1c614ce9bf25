/*
 * condition_text.c
 *		What an author wrote, parsed. See condition_text.h.
 */
#include "postgres.h"

#include "dag/statement.h"
#include "catalog/pg_type_d.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "quality/condition_text.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* What is checked, and what an error says about it. */
typedef struct Text
{
	const char *text;
	const char *option;
	const char *whole; /* the statement in which it is analyzed */
	const char *alone; /* the same by itself, without parentheses; or NULL */
	const char *closed;
	char *detail;
	char *hint;
} Text;

/* check parses and analyzes; text that is balanced on its own and fits into parentheses is one expression. */
static void
check(const Text *text)
{
	MemoryContext caller = CurrentMemoryContext;

	PG_TRY();
	{
		if (list_length(etl_statement_parse(text->alone)) != 1 || list_length(etl_statement_parse(text->closed)) != 1)
			ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("%s is more than one expression", text->option)));
		(void) etl_statement_analyze(linitial_node(RawStmt, etl_statement_parse(text->whole)), text->whole);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		if (error->detail == NULL)
			error->detail = text->detail;
		if (error->hint == NULL)
			error->hint = text->hint;
		ReThrowError(error);
	}
	PG_END_TRY();
}

/* etl_condition_text_check: as a condition of WHERE, PostgreSQL refuses all that does not fit. */
void
etl_condition_text_check(const char *text, const char *option, const char *target)
{
	Text condition = {
		.text = text,
		.option = option,
		.alone = psprintf("SELECT\n%s\n", text),
		.closed = psprintf("SELECT (\n%s\n)", text),
		.whole = psprintf("SELECT FROM %s WHERE (\n%s\n)", target, text),
		.detail = psprintf("It is read as a condition on the rows of %s.", target),
		.hint = psprintf("Write %s as one boolean expression over the columns of %s, as after WHERE.", option, target),
	};

	check(&condition);
}

/* etl_condition_text_check_value: a column of a query with GROUP BY () has to be an aggregate or a constant. */
void
etl_condition_text_check_value(const char *text, const char *target)
{
	char *plain = psprintf("SELECT (\n%s\n) FROM %s GROUP BY ()", text, target);
	Query *query;
	Oid type;
	Text value = {
		.text = text,
		.option = "expression",
		.alone = psprintf("SELECT\n%s\n", text),
		.closed = psprintf("SELECT (\n%s\n)", text),
		.whole = plain,
		.detail = psprintf("It is read as one number over all rows of %s.", target),
		.hint = pstrdup("Write expression as an aggregate, such as sum(amount) or avg(price)."),
	};

	check(&value);
	query = etl_statement_analyze(linitial_node(RawStmt, etl_statement_parse(plain)), plain);
	type = exprType((Node *) linitial_node(TargetEntry, query->targetList)->expr);
	if (TypeCategory(getBaseType(type)) != TYPCATEGORY_NUMERIC)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH), errmsg("expression is no number"),
						errdetail("Its type is %s.", format_type_be(type)), errhint("%s", value.hint)));
}

/* etl_condition_text_check_query: a SELECT fits into a subquery. */
void
etl_condition_text_check_query(const char *text)
{
	Text query = {
		.text = text,
		.option = "query",
		.alone = text,
		.closed = psprintf("SELECT FROM (\n%s\n) AS q", text),
		.whole = psprintf("SELECT pg_catalog.to_jsonb(q) FROM (\n%s\n) AS q", text),
		.detail = pstrdup("Its rows are taken as those at fault."),
		.hint = pstrdup("Write query as one SELECT, without a semicolon at its end."),
	};

	check(&query);
}
