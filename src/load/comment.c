/*
 * comment.c
 *		What a new target says about itself. See comment.h.
 *
 * A column that is read as it stands has the comment of its source; of others the comment names the columns that they are
 * computed from. Tables that were there before keep the comments that people gave them.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pipeline.h"
#include "catalog/spi.h"
#include "commands/comment.h"
#include "dag/lineage.h"
#include "lib/stringinfo.h"
#include "load/comment.h"
#include "load/dimension.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* Most columns that a comment names. */
#define MOST_NAMED 6

/* Which columns of tables an expression is computed from. */
typedef struct Origins
{
	Query *query; /* to which the expression belongs */
	List *names;  /* String */
} Origins;

static bool origin_walker(Node *node, Origins *origins);

/* column_name returns the full name of a column of a table. */
static char *
column_name(Oid relation, AttrNumber column)
{
	return psprintf("%s.%s", etl_lineage_name(relation), quote_identifier(get_attname(relation, column, false)));
}

/* walk_into looks at a column of a subquery. */
static void
walk_into(Query *query, AttrNumber column, Origins *origins)
{
	TargetEntry *entry = get_tle_by_resno(query->targetList, column);
	Query *outer = origins->query;

	check_stack_depth();
	if (entry == NULL)
		return;
	origins->query = query;
	(void) origin_walker((Node *) entry->expr, origins);
	origins->query = outer;
}

/* add_variable follows a variable to the table that it comes from. */
static void
add_variable(const Var *variable, Origins *origins)
{
	RangeTblEntry *rte = rt_fetch(variable->varno, origins->query->rtable);
	String *name;
	ListCell *lc;

	if (rte->rtekind == RTE_SUBQUERY && variable->varattno > 0)
		walk_into(rte->subquery, variable->varattno, origins);
	else if (rte->rtekind == RTE_JOIN && variable->varattno > 0)
		(void) origin_walker(list_nth(rte->joinaliasvars, variable->varattno - 1), origins);
	else if (rte->rtekind == RTE_CTE && rte->ctelevelsup == 0 && variable->varattno > 0)
	{
		foreach (lc, origins->query->cteList)
		{
			CommonTableExpr *cte = lfirst_node(CommonTableExpr, lc);

			if (strcmp(cte->ctename, rte->ctename) == 0 && !rte->self_reference && IsA(cte->ctequery, Query))
				walk_into((Query *) cte->ctequery, variable->varattno, origins);
		}
	}
	else if (rte->rtekind == RTE_RELATION && variable->varattno > 0)
	{
		name = makeString(column_name(rte->relid, variable->varattno));
		origins->names = list_append_unique(origins->names, name);
	}
}

/* origin_walker collects the variables of the query itself. */
static bool
origin_walker(Node *node, Origins *origins)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		if (((Var *) node)->varlevelsup == 0)
			add_variable((Var *) node, origins);
		return false;
	}
	if (IsA(node, Query))
	{
		Query *outer = origins->query;

		origins->query = (Query *) node;
		(void) query_tree_walker((Query *) node, origin_walker, origins, QTW_IGNORE_RANGE_TABLE);
		origins->query = outer;
		return false;
	}
	return expression_tree_walker(node, origin_walker, origins);
}

/* computed_text describes a column that is an expression. */
static char *
computed_text(const EtlPlan *plan, const TargetEntry *entry)
{
	Origins origins = {.query = plan->compile->query};
	StringInfoData text;

	(void) origin_walker((Node *) entry->expr, &origins);
	if (origins.names == NIL)
		return psprintf("Computed by etl_ext task \"%s\".", plan->task->name);
	initStringInfo(&text);
	for (int i = 0; i < Min(list_length(origins.names), MOST_NAMED); i++)
		appendStringInfo(&text, "%s%s", i > 0 ? ", " : "Computed from ", strVal(list_nth(origins.names, i)));
	if (list_length(origins.names) > MOST_NAMED)
		appendStringInfoString(&text, " and others");
	appendStringInfoChar(&text, '.');
	return text.data;
}

/* column_text describes a column of the query. */
static char *
column_text(const EtlPlan *plan, int column)
{
	TargetEntry *entry = NULL;
	int place = -1;
	ListCell *lc;
	char *comment;

	if (plan->columns.column[column].is_dimension_key)
		return pstrdup("Surrogate key of a member of a dimension, looked up by etl_ext; -1: the unknown member.");
	foreach (lc, plan->compile->query->targetList)
	{
		entry = lfirst_node(TargetEntry, lc);
		if (!entry->resjunk && ++place == column)
			break;
	}
	if (place != column)
		return psprintf("Kept by etl_ext task \"%s\".", plan->task->name);
	if (!OidIsValid(entry->resorigtbl) || entry->resorigcol <= 0)
		return computed_text(plan, entry);
	comment = GetComment(entry->resorigtbl, RelationRelationId, entry->resorigcol);
	return comment ? comment : psprintf("From %s.", column_name(entry->resorigtbl, entry->resorigcol));
}

/* how_kept says how the rows come about. */
static const char *
how_kept(const EtlPlan *plan)
{
	if (plan->task->kind == ETL_TASK_AGGREGATE)
		return "groups whose rows have changed are computed anew";
	switch (plan->mode)
	{
		case ETL_MODE_MERGE:
			return "new and changed rows are merged by the key";
		case ETL_MODE_INSERT_ONLY:
			return "rows with a new key are inserted";
		case ETL_MODE_APPEND:
			return "rows are appended";
		case ETL_MODE_REPLACE:
			return "all rows are replaced in each run";
		case ETL_MODE_SCD2:
			return "each change of a row makes a new version";
	}
	pg_unreachable();
}

/* etl_comment_target leaves the columns to etl_ext's own, which have their comments where they are made. */
void
etl_comment_target(const EtlPlan *plan, const char *table)
{
	char *pipeline = etl_pipeline_name(plan->task->pipeline_id);
	char *description = plan->task->description;
	char *text = psprintf("%s%sKept by etl_ext task \"%s\" of pipeline \"%s\": %s.", description ? description : "",
						  description ? "\n" : "", plan->task->name, pipeline ? pipeline : "", how_kept(plan));

	(void) etl_sql_exec(psprintf("COMMENT ON TABLE %s IS %s", table, quote_literal_cstr(text)), SPI_OK_UTILITY);
	for (int i = 0; i < plan->columns.n; i++)
	{
		const EtlColumn *column = &plan->columns.column[i];

		text = column_text(plan, i);
		if (column->is_key)
			text = psprintf("%s%s Part of the key by which etl_ext matches rows.", text,
							text[0] != '\0' && strchr(".!?", text[strlen(text) - 1]) == NULL ? "." : "");
		(void) etl_sql_exec(psprintf("COMMENT ON COLUMN %s.%s IS %s", table, column->quoted, quote_literal_cstr(text)),
							SPI_OK_UTILITY);
	}
}

/* etl_comment_copy gives the columns of a view the comments of the table that it shows. */
void
etl_comment_copy(Oid relation, const char *view)
{
	char *column;

	CommandCounterIncrement();
	for (AttrNumber i = 1; (column = get_attname(relation, i, true)) != NULL; i++)
	{
		char *comment = GetComment(relation, RelationRelationId, i);

		if (comment != NULL)
			(void) etl_sql_exec(psprintf("COMMENT ON COLUMN %s.%s IS %s", view,
										 quote_identifier(get_attname(relation, i, false)),
										 quote_literal_cstr(comment)),
								SPI_OK_UTILITY);
	}
}
