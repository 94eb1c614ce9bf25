/*
 * project.c
 *		From a row of the source's columns to the row that a sink takes. See project.h.
 *
 * The expressions are parsed as the select list of a query on the source, so that they mean the same as in the query
 * reader's SELECT, and evaluated over a virtual slot with the source's row type.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "source/project.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* select_list returns the query whose select list has the row layout of reader.h. */
static char *
select_list(const EtlReadRequest *request)
{
	const EtlSource *source = request->source;
	const char *cursor = request->task->cursor_column;
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < request->map->n; i++)
		appendStringInfo(&sql, "%s%s", i ? ", " : "SELECT ", request->map->expression[i]);
	if (cursor)
		appendStringInfo(&sql, ", %s.%s", source->alias, quote_identifier(cursor));
	if (request->deleted)
		appendStringInfo(&sql, ", (%s\n) IS TRUE", request->deleted);
	if (request->filter_here && request->filter)
		appendStringInfo(&sql, ", (%s\n) IS TRUE", request->filter);
	appendStringInfo(&sql, " FROM %s", source->name);
	return sql.data;
}

/* analyze parses the query under the author's search_path and returns its select list. */
static Query *
analyze(const EtlReadRequest *request)
{
	char *sql = select_list(request);
	int level = etl_attempt_author_path(request->task);
	List *parsed = pg_parse_query(sql);
	Query *query;

	if (list_length(parsed) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR), errmsg("the condition for deletes or the filter is not one expression"),
				 errdetail("The query is: %s", sql)));
	query = parse_analyze_fixedparams(linitial_node(RawStmt, parsed), sql, NULL, 0, NULL);
	AtEOXact_GUC(false, level);
	return query;
}

/* is_taken says whether an attribute of the relation is among the source's columns. */
static bool
is_taken(const EtlSource *source, AttrNumber attnum)
{
	for (int i = 0; i < source->n; i++)
		if (source->column[i].attnum == attnum)
			return true;
	return false;
}

/* find_obstacle says why the expressions cannot be evaluated over a row of the source's columns; NULL: they can. */
static const char *
find_obstacle(const EtlReadRequest *request, Query *query)
{
	Bitmapset *used = NULL;
	int i = -1;

	if (query->hasSubLinks || query->hasAggs || query->hasWindowFuncs || query->hasTargetSRFs)
		return "the condition for deletes or the filter looks at more than the row";
	pull_varattnos((Node *) query->targetList, 1, &used);
	while ((i = bms_next_member(used, i)) >= 0)
		if (!is_taken(request->source, i + FirstLowInvalidHeapAttributeNumber))
			return "the condition for deletes or the filter uses a column that the extract does not take";
	return NULL;
}

/* copy_only fills in copy when every expression is a plain column; otherwise the executor is needed. */
static void
copy_only(EtlProjection *projection, List *targets)
{
	AttrNumber *copy = palloc(sizeof(AttrNumber) * Max(list_length(targets), 1));
	ListCell *cell;

	foreach (cell, targets)
	{
		TargetEntry *target = lfirst_node(TargetEntry, cell);

		if (!IsA(target->expr, Var))
			return;
		copy[foreach_current_index(cell)] = ((Var *) target->expr)->varattno;
	}
	projection->copy = copy;
}

/* make_input makes the slot for rows of the source: columns that are not read are NULL. */
static TupleTableSlot *
make_input(Oid relid)
{
	Relation rel = table_open(relid, AccessShareLock);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(CreateTupleDescCopy(RelationGetDescr(rel)), &TTSOpsVirtual);

	table_close(rel, NoLock);
	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts * sizeof(bool));
	return slot;
}

/* set_up makes slots and executor state for the select list. */
static EtlProjection *
set_up(const EtlReadRequest *request, Query *query)
{
	EtlProjection *projection = palloc0(sizeof(EtlProjection));
	List *targets = (List *) expression_planner((Expr *) query->targetList);

	projection->input = make_input(request->source->oid);
	projection->output = MakeSingleTupleTableSlot(ExecTypeFromTL(targets), &TTSOpsVirtual);
	projection->passes = request->filter_here && request->filter ? list_length(targets) - 1 : -1;
	projection->deleted = request->deleted ? list_length(targets) - (projection->passes < 0 ? 1 : 2) : -1;
	projection->extra_at = request->map->extra_at;
	projection->estate = CreateExecutorState();
	projection->context = CreateExprContext(projection->estate);
	copy_only(projection, targets);
	if (projection->copy == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(projection->estate->es_query_cxt);

		projection->info = ExecBuildProjectionInfo(targets, projection->context, projection->output, NULL,
												   projection->input->tts_tupleDescriptor);
		MemoryContextSwitchTo(old);
	}
	return projection;
}

/* etl_project_make plans. */
EtlProjection *
etl_project_make(const EtlReadRequest *request, const char **why_not)
{
	MemoryContext old = MemoryContextSwitchTo(request->context);
	Query *query = analyze(request);
	EtlProjection *projection = NULL;

	*why_not = find_obstacle(request, query);
	if (*why_not == NULL)
		projection = set_up(request, query);
	MemoryContextSwitchTo(old);
	return projection;
}

/* copy_columns fills the output from the input, value by value. */
static void
copy_columns(EtlProjection *projection)
{
	TupleTableSlot *input = projection->input;
	TupleTableSlot *output = ExecClearTuple(projection->output);
	int n = output->tts_tupleDescriptor->natts;

	for (int i = 0; i < n; i++)
	{
		int from = projection->copy[i] - 1;

		output->tts_values[i] = input->tts_values[from];
		output->tts_isnull[i] = input->tts_isnull[from];
	}
	ExecStoreVirtualTuple(output);
}

/* add_extra adds what else the row has to _etl_extra. */
static void
add_extra(EtlProjection *projection)
{
	TupleTableSlot *output = projection->output;
	int at = projection->extra_at;

	if (at < 0)
		return;
	if (output->tts_isnull[at])
		output->tts_values[at] = JsonbPGetDatum(projection->extra);
	else
		output->tts_values[at] = DirectFunctionCall2(jsonb_concat, output->tts_values[at],
													 JsonbPGetDatum(projection->extra));
	output->tts_isnull[at] = false;
}

/* etl_project_put evaluates one row. */
void
etl_project_put(EtlProjection *projection, EtlRowSink *sink)
{
	TupleTableSlot *output = projection->output;
	int deleted = projection->deleted;

	if (projection->info)
	{
		TupleTableSlot *input = projection->input;

		ResetExprContext(projection->context);
		/* The values stay where the caller put them; the slot only has to know that they are there. */
		input->tts_flags &= ~TTS_FLAG_EMPTY;
		input->tts_nvalid = input->tts_tupleDescriptor->natts;
		projection->context->ecxt_scantuple = input;
		ExecProject(projection->info);
	}
	else
		copy_columns(projection);
	if (projection->passes >= 0 && !DatumGetBool(output->tts_values[projection->passes]))
		return;
	if (projection->extra)
		add_extra(projection);
	sink->put(sink, output, projection->is_deleted || (deleted >= 0 && DatumGetBool(output->tts_values[deleted])));
}

/* etl_project_free frees. */
void
etl_project_free(EtlProjection *projection)
{
	if (projection == NULL)
		return;
	FreeExecutorState(projection->estate);
	projection->estate = NULL;
}
