/*
 * carry.c
 *		Makes a column of a raw input available at the top of the query. See carry.h.
 *
 * A subquery gets one more output column. Joins around it list the columns of both sides, so it is put into their lists
 * as well; nobody refers to it through a join.
 */
#include "postgres.h"

#include "access/attnum.h"
#include "load/carry.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

/* What is put into the lists of joins. */
typedef struct NewColumn
{
	Query *level;
	int index; /* of the subquery */
	AttrNumber attnum;
	Var *var;
	const char *name;
} NewColumn;

/* Where etl_carry_down is. */
typedef struct Descent
{
	const EtlInput *input;
	int depth; /* steps of the path that were taken */
	bool failed;
} Descent;

/* level_reason says why a query cannot take another output column without other rows. */
static const char *
level_reason(const Query *query)
{
	ListCell *cell;

	if (query->distinctClause != NIL)
		return "it is under DISTINCT";
	foreach (cell, query->targetList)
		if (lfirst_node(TargetEntry, cell)->resjunk)
			return "it is under ORDER BY an expression";
	return NULL;
}

/* etl_carry_reason looks at each level. */
const char *
etl_carry_reason(const EtlCompile *compile, const EtlInput *input)
{
	const char *reason = compile->query->distinctClause != NIL ? "it is under DISTINCT" : NULL;
	ListCell *cell;

	if (input->is_hidden)
		return "a join with an alias hides its columns";
	foreach (cell, input->path)
	{
		const EtlStep *step = lfirst(cell);

		if (reason == NULL)
			reason = level_reason(rt_fetch(step->index, step->level->rtable)->subquery);
	}
	return reason;
}

/* insert_number puts a column number into the list of one side of a join, and returns its place. */
static int
insert_number(List **numbers, int n_merged, int column)
{
	int place = list_length(*numbers);
	ListCell *cell;
	int i = 0;

	foreach (cell, *numbers)
	{
		if (lfirst_int(cell) >= column)
		{
			lfirst_int(cell)++;
			if (i >= n_merged && place == list_length(*numbers))
				place = i;
		}
		i++;
	}
	*numbers = list_insert_nth_int(*numbers, place, column);
	return place;
}

/* extend_join adds the column to the joins above the subquery; returns its number in the columns of node, or 0. */
static int
extend_join(const NewColumn *column, Node *node)
{
	RangeTblEntry *rte;
	JoinExpr *join;
	ListCell *cell;
	int place;
	int left;

	if (IsA(node, RangeTblRef))
		return ((RangeTblRef *) node)->rtindex == column->index ? column->attnum : 0;
	if (IsA(node, FromExpr))
	{
		foreach (cell, ((FromExpr *) node)->fromlist)
			(void) extend_join(column, lfirst(cell));
		return 0;
	}
	join = castNode(JoinExpr, node);
	left = extend_join(column, join->larg);
	place = left > 0 ? left : extend_join(column, join->rarg);
	if (place == 0)
		return 0;
	rte = rt_fetch(join->rtindex, column->level->rtable);
	if (left > 0)
		place = insert_number(&rte->joinleftcols, rte->joinmergedcols, place);
	else
		place = insert_number(&rte->joinrightcols, rte->joinmergedcols, place) - rte->joinmergedcols +
				list_length(rte->joinleftcols);
	rte->joinaliasvars = list_insert_nth(rte->joinaliasvars, place, copyObject(column->var));
	rte->eref->colnames = list_insert_nth(rte->eref->colnames, place, makeString(pstrdup(column->name)));
	return place + 1;
}

/* etl_carry_column goes from the input to the top. */
Var *
etl_carry_column(const EtlInput *input, AttrNumber attnum, const char *name)
{
	Var *var = makeVar(input->index, attnum, get_atttype(input->relation, attnum), -1, InvalidOid, 0);

	for (int i = list_length(input->path) - 1; i >= 0; i--)
	{
		EtlStep *step = list_nth(input->path, i);
		RangeTblEntry *rte = rt_fetch(step->index, step->level->rtable);
		AttrNumber place = (AttrNumber) (list_length(rte->subquery->targetList) + 1);
		NewColumn column = {step->level, step->index, place, NULL, name};

		rte->subquery->targetList = lappend(rte->subquery->targetList,
											makeTargetEntry((Expr *) var, place, pstrdup(name), false));
		rte->eref->colnames = lappend(rte->eref->colnames, makeString(pstrdup(name)));
		column.var = var = makeVar(step->index, place, var->vartype, -1, InvalidOid, 0);
		(void) extend_join(&column, (Node *) step->level->jointree);
	}
	return var;
}

/* descend replaces references to subqueries by what they return, down to the input. */
static Node *
descend(Node *node, Descent *descent)
{
	const List *path = descent->input->path;
	Var *var = (Var *) node;
	EtlStep *step;
	TargetEntry *entry;

	if (node == NULL || descent->failed)
		return NULL;
	if (IsA(node, SubLink) || IsA(node, Query))
		descent->failed = true;
	if (descent->failed || !IsA(node, Var))
		return descent->failed ? NULL : expression_tree_mutator(node, descend, descent);
	if (descent->depth == list_length(path))
	{
		descent->failed = var->varno != descent->input->index || var->varlevelsup > 0 || var->varattno <= 0;
		return (Node *) makeVar(1, var->varattno, var->vartype, var->vartypmod, var->varcollid, 0);
	}
	step = list_nth(path, descent->depth);
	if (var->varno != step->index || var->varlevelsup > 0 || var->varattno <= 0)
	{
		descent->failed = true;
		return NULL;
	}
	entry = list_nth_node(TargetEntry, rt_fetch(step->index, step->level->rtable)->subquery->targetList,
						  var->varattno - 1);
	descent->depth++;
	node = descend((Node *) entry->expr, descent);
	descent->depth--;
	return node;
}

/* etl_carry_down returns a copy. */
Expr *
etl_carry_down(const EtlInput *input, Expr *expression)
{
	Descent descent = {input, 0, false};
	Node *result = descend((Node *) expression, &descent);

	return descent.failed ? NULL : (Expr *) result;
}
