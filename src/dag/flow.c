/*
 * flow.c
 *		Column lineage of queries and statements. See flow.h; flow_walk.c and flow_rows.c walk the trees.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "dag/flow_walk.h"
#include "dag/lineage.h"
#include "dag/statement.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

/* etl_flow_kind_name names the kinds in the order of EtlFlowKind. */
const char *
etl_flow_kind_name(EtlFlowKind kind)
{
	static const char *const name[] = {"identity", "transformation", "aggregation", "filter",	 "join",   "group_by",
									   "sort",	   "window",		 "conditional", "generated", "unknown"};

	Assert(kind >= 0 && kind < lengthof(name));
	return name[kind];
}

/* etl_flow_is_direct says whether the value is made from the input. */
bool
etl_flow_is_direct(EtlFlowKind kind)
{
	return kind <= ETL_FLOW_AGGREGATION;
}

/* copy_text copies a text that may be missing. */
static char *
copy_text(const char *text)
{
	return text ? pstrdup(text) : NULL;
}

/* etl_flow_add appends a flow. */
List *
etl_flow_add(List *flows, const char *output, const char *output_column, const char *input, const char *input_column,
			 EtlFlowKind kind)
{
	EtlFlow *flow = palloc0(sizeof(EtlFlow));

	flow->output = copy_text(output);
	flow->output_column = copy_text(output_column);
	flow->input = copy_text(input);
	flow->input_column = copy_text(input_column);
	flow->kind = kind;
	return lappend(flows, flow);
}

/* is_same compares two texts of which both may be missing. */
static bool
is_same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* etl_flow_add_once appends a copy of a flow unless there is one like it. */
List *
etl_flow_add_once(List *flows, const EtlFlow *flow)
{
	EtlFlow *copy;
	ListCell *cell;

	foreach (cell, flows)
	{
		const EtlFlow *other = lfirst(cell);

		if (other->kind == flow->kind && is_same(other->output, flow->output) &&
			is_same(other->output_column, flow->output_column) && is_same(other->input, flow->input) &&
			is_same(other->input_column, flow->input_column) && is_same(other->via, flow->via))
			return flows;
	}
	copy = palloc(sizeof(EtlFlow));
	*copy = *flow;
	return lappend(flows, copy);
}

/*
 * etl_flow_follow adds, for all that flows into a column of the query, a flow into another column. as: what direct flows become; the indirect
 * ones keep their kind, unless as is indirect as well.
 */
List *
etl_flow_follow(List *flows, const List *query, const char *column, const char *output, const char *output_column,
				EtlFlowKind as)
{
	ListCell *cell;

	foreach (cell, query)
	{
		EtlFlow flow = *(EtlFlow *) lfirst(cell);

		if (!is_same(flow.output_column, column) || flow.input == NULL)
			continue;
		flow.output = pstrdup(output);
		flow.output_column = output_column ? pstrdup(output_column) : NULL;
		if (!etl_flow_is_direct(as))
			flow.kind = as;
		else if (etl_flow_is_direct(flow.kind))
			flow.kind = Max(flow.kind, as);
		flows = etl_flow_add_once(flows, &flow);
	}
	return flows;
}

/* etl_flow_from_column adds a flow from a column that is known by name. */
List *
etl_flow_from_column(List *flows, const char *output, const char *output_column, const char *input, const char *column,
					 EtlFlowKind kind)
{
	EtlFlow flow = {(char *) output, (char *) output_column, (char *) input, (char *) column, kind, NULL};

	return etl_flow_add_once(flows, &flow);
}

/* walk_rows walks what decides about the rows of a statement. */
static void
walk_rows(EtlFlowWalk *walk, Query *query, EtlFlowScope *outer)
{
	etl_flow_walk_column(walk, 0, NULL);
	etl_flow_walk_rows(walk, query, outer, ETL_FLOW_OWN);
}

/* walk_result walks all columns of a query; names: given to the columns, or NIL. */
static List *
walk_result(Query *query, const char *output, List *names)
{
	EtlFlowWalk *walk = etl_flow_walk_begin(output);
	EtlFlowPlace place = {walk, NULL, ETL_FLOW_IDENTITY};
	int n = 0;
	ListCell *cell;

	foreach (cell, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		const char *name = entry->resname;

		if (entry->resjunk)
			continue;
		if (n < list_length(names))
			name = strVal(list_nth(names, n));
		n++;
		etl_flow_walk_column(walk, entry->resno, name);
		etl_flow_walk_query_column(&place, query, NULL, entry->resno);
		etl_flow_walk_end_column(walk);
	}
	walk_rows(walk, query, NULL);
	return walk->flows;
}

/* etl_flow_of_query walks a SELECT. */
List *
etl_flow_of_query(Query *query, const char *output)
{
	return walk_result(query, output, NIL);
}

/* etl_flow_of_view walks a view, whose columns may have names of their own. */
List *
etl_flow_of_view(Oid view)
{
	List *names = NIL;
	int n = etl_lineage_n_columns(view);

	for (AttrNumber i = 1; i <= n; i++)
		names = lappend(names, makeString(get_attname(view, i, false)));
	return walk_result(etl_statement_view(view), etl_lineage_name(view), names);
}

/* walk_assignments walks the columns that a statement writes. */
static void
walk_assignments(EtlFlowWalk *walk, EtlFlowScope *scope, Oid target, List *entries)
{
	EtlFlowPlace place = {walk, scope, ETL_FLOW_IDENTITY};
	ListCell *cell;

	foreach (cell, entries)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		if (entry->resjunk)
			continue;
		etl_flow_walk_column(walk, entry->resno, get_attname(target, entry->resno, false));
		(void) etl_flow_walk_expr((Node *) entry->expr, &place);
		etl_flow_walk_end_column(walk);
	}
}

/* walk_write walks a statement that writes a table. */
static List *
walk_write(Query *query, EtlFlowScope *outer)
{
	EtlFlowScope scope = {query, outer};
	Oid target = rt_fetch(query->resultRelation, query->rtable)->relid;
	EtlFlowWalk *walk;
	ListCell *cell;

	if (isAnyTempNamespace(get_rel_namespace(target)))
		return NIL;
	walk = etl_flow_walk_begin(etl_lineage_name(target));
	if (query->commandType == CMD_INSERT || query->commandType == CMD_UPDATE)
		walk_assignments(walk, &scope, target, query->targetList);
	if (query->onConflict != NULL)
		walk_assignments(walk, &scope, target, query->onConflict->onConflictSet);
	foreach (cell, query->mergeActionList)
		walk_assignments(walk, &scope, target, lfirst_node(MergeAction, cell)->targetList);
	walk_rows(walk, query, outer);
	return walk->flows;
}

/* walk_statement walks a query that may write, and the data-modifying WITH queries in it. */
static List *
walk_statement(Query *query, EtlFlowScope *outer)
{
	EtlFlowScope scope = {query, outer};
	List *flows = NIL;
	ListCell *cell;

	foreach (cell, query->cteList)
	{
		Query *cte = (Query *) lfirst_node(CommonTableExpr, cell)->ctequery;

		if (IsA(cte, Query) && cte->commandType != CMD_SELECT)
			flows = list_concat(flows, walk_statement(cte, &scope));
	}
	if (query->commandType != CMD_SELECT && query->commandType != CMD_UTILITY)
		flows = list_concat(flows, walk_write(query, outer));
	return flows;
}

/* walk_create walks CREATE TABLE AS, SELECT INTO and CREATE MATERIALIZED VIEW. */
static List *
walk_create(CreateTableAsStmt *statement)
{
	char *output = etl_lineage_into(statement->into);

	if (output == NULL || !IsA(statement->query, Query) || ((Query *) statement->query)->commandType != CMD_SELECT)
		return NIL;
	return walk_result((Query *) statement->query, output, statement->into->colNames);
}

/* flows_of returns the flows of one statement. is_whole: false when it is opaque. */
static List *
flows_of(RawStmt *raw, const char *text, bool *is_whole)
{
	Query *query;

	if (IsA(raw->stmt, RefreshMatViewStmt))
	{
		Oid view = RangeVarGetRelid(((RefreshMatViewStmt *) raw->stmt)->relation, AccessShareLock, false);

		return get_rel_relkind(view) == RELKIND_MATVIEW ? etl_flow_of_view(view) : NIL;
	}
	if (!etl_lineage_is_analyzable(raw->stmt))
	{
		*is_whole = *is_whole && !etl_lineage_is_opaque(raw->stmt);
		return NIL;
	}
	query = etl_statement_analyze(raw, text);
	if (query->commandType == CMD_UTILITY && IsA(query->utilityStmt, CreateTableAsStmt))
		return walk_create((CreateTableAsStmt *) query->utilityStmt);
	return walk_statement(query, NULL);
}

/* try_flows returns the flows of one statement, or none when it cannot be analyzed now. A cancel is not swallowed. */
static List *
try_flows(RawStmt *raw, const char *text, bool *is_whole)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	List *volatile flows = NIL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		flows = flows_of(raw, text, is_whole);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
			ReThrowError(error);
		FreeErrorData(error);
		flows = NIL;
		*is_whole = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return flows;
}

/* etl_flow_of_command walks the statements of a command. */
List *
etl_flow_of_command(const char *command, bool *is_whole)
{
	List *flows = NIL;
	ListCell *cell;

	*is_whole = true;
	foreach (cell, etl_statement_parse(command))
		flows = list_concat(flows, try_flows(lfirst_node(RawStmt, cell), command, is_whole));
	return flows;
}
