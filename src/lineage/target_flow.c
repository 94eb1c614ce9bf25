/*
 * target_flow.c
 *		What a task adds to the flows of its query. See target_flow.h.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "compat.h"
#include "catalog/namespace.h"
#include "lineage/target_flow.h"
#include "load/dimension.h"
#include "load/history.h"
#include "load/plan.h"
#include "nodes/makefuncs.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/* etl_target_flow_find returns the table that a task writes; InvalidOid: it is not there. */
Oid
etl_target_flow_find(const EtlTask *task)
{
	return RangeVarGetRelid(makeRangeVarFromNameList(etl_compat_qualified_name(task->target)), NoLock, true);
}

/* etl_target_flow_has says whether a relation has a column. */
bool
etl_target_flow_has(Oid relation, const char *column)
{
	return get_attnum(relation, column) > 0;
}

/* has_flow says whether something flows into a column. */
static bool
has_flow(const List *flows, const char *output, const char *column)
{
	ListCell *cell;

	foreach (cell, flows)
	{
		const EtlFlow *flow = lfirst(cell);

		if (flow->output_column != NULL && strcmp(flow->output, output) == 0 &&
			strcmp(flow->output_column, column) == 0)
			return true;
	}
	return false;
}

/* etl_target_flow_generated adds the columns of a list that the target has and nothing else flows into. */
List *
etl_target_flow_generated(List *flows, const EtlTask *task, Oid target, const char *const *columns)
{
	for (int i = 0; columns[i] != NULL; i++)
		if (etl_target_flow_has(target, columns[i]) && !has_flow(flows, task->target, columns[i]))
			flows = etl_flow_from_column(flows, task->target, columns[i], NULL, NULL, ETL_FLOW_GENERATED);
	return flows;
}

/* dimension_flows adds a key that is looked up: its value is the surrogate, found by other columns. */
static List *
dimension_flows(List *flows, const List *query, const EtlTask *task, const EtlDimension *dimension)
{
	flows = etl_flow_from_column(flows, task->target, dimension->column, dimension->name, dimension->surrogate,
								 ETL_FLOW_IDENTITY);
	for (int i = 0; i < dimension->n_by; i++)
	{
		const EtlDimensionBy *by = &dimension->by[i];

		flows = etl_flow_from_column(flows, task->target, dimension->column, dimension->name, by->name, ETL_FLOW_JOIN);
		flows = etl_flow_follow(flows, query, by->query.name, task->target, dimension->column, ETL_FLOW_JOIN);
		if (dimension->missing == ETL_MISSING_INFERRED)
			flows = etl_flow_follow(flows, query, by->query.name, dimension->name, by->name, ETL_FLOW_IDENTITY);
	}
	if (dimension->has_at)
		flows = etl_flow_follow(flows, query, dimension->at.name, task->target, dimension->column, ETL_FLOW_JOIN);
	if (dimension->is_versioned)
	{
		flows = etl_flow_from_column(flows, task->target, dimension->column, dimension->name, ETL_DIMENSION_FROM,
									 ETL_FLOW_JOIN);
		flows = etl_flow_from_column(flows, task->target, dimension->column, dimension->name, ETL_DIMENSION_TO,
									 ETL_FLOW_JOIN);
	}
	return flows;
}

/* history_flows adds the columns of versions: they come from the time of the row, or from that of the run. */
static List *
history_flows(List *flows, const List *query, const EtlTask *task, const EtlPlan *plan, Oid target)
{
	static const char *const times[] = {ETL_VALID_FROM, ETL_VALID_TO, ETL_IS_CURRENT, NULL};
	static const char *const flag[] = {ETL_IS_INFERRED, NULL};

	if (plan->history->time < 0)
		flows = etl_target_flow_generated(flows, task, target, times);
	else
		for (int i = 0; times[i] != NULL; i++)
			flows = etl_flow_follow(flows, query, plan->columns.column[plan->history->time].name, task->target,
									times[i], ETL_FLOW_TRANSFORMATION);
	return etl_target_flow_generated(flows, task, target, flag);
}

/* numbered adds the identity column of the target, which numbers its rows. */
static List *
numbered(List *flows, const EtlTask *task, Oid target)
{
	for (AttrNumber i = 1; i <= MaxHeapAttributeNumber; i++)
	{
		HeapTuple tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(target), Int16GetDatum(i));
		Form_pg_attribute attribute;

		if (!HeapTupleIsValid(tuple))
			break;
		attribute = (Form_pg_attribute) GETSTRUCT(tuple);
		if (!attribute->attisdropped && attribute->attidentity != '\0')
			flows = etl_target_flow_generated(flows, task, target,
											  (const char *const[]){pstrdup(NameStr(attribute->attname)), NULL});
		ReleaseSysCache(tuple);
	}
	return flows;
}

/* etl_target_flow_load says what a target gets. */
List *
etl_target_flow_load(const EtlTask *task, List *flows)
{
	static const char *const made[] = {ETL_DELETED_AT, NULL};
	EtlPlan *plan = etl_plan_make(task);
	Oid target = etl_target_flow_find(task);
	List *result = NIL;
	ListCell *cell;

	foreach (cell, flows)
	{
		const EtlFlow *flow = lfirst(cell);

		/* A column that is there only to look something up goes nowhere. */
		if (flow->output_column == NULL || !OidIsValid(target) || etl_target_flow_has(target, flow->output_column))
			result = etl_flow_add_once(result, flow);
	}
	for (int i = 0; i < plan->n_order; i++)
		result = etl_flow_follow(result, flows, plan->columns.column[plan->order[i].column].name, task->target, NULL,
								 ETL_FLOW_SORT);
	for (int i = 0; i < plan->n_dimensions; i++)
		result = dimension_flows(result, flows, task, &plan->dimension[i]);
	if (!OidIsValid(target))
		return result;
	if (plan->history != NULL)
		result = history_flows(result, flows, task, plan, target);
	result = etl_target_flow_generated(result, task, target, made);
	return numbered(result, task, target);
}
