/*
 * extract_flow.c
 *		What a raw table gets from the columns of its source. See target_flow.h.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "compat.h"
#include "dag/statement.h"
#include "lineage/target_flow.h"
#include "nodes/makefuncs.h"
#include "source/deletes.h"
#include "utils/lsyscache.h"

#define RAW_OP "_etl_op"
#define RAW_EXTRA "_etl_extra"
#define DELETED_IF "column:"

/* type_of returns the type of a column of a named relation, InvalidOid: there is none. */
static Oid
type_of(const char *relation, const char *column)
{
	Oid oid = RangeVarGetRelid(makeRangeVarFromNameList(etl_compat_qualified_name(relation)), NoLock, true);
	AttrNumber number = OidIsValid(oid) ? get_attnum(oid, column) : InvalidAttrNumber;

	return number > 0 ? get_atttype(oid, number) : InvalidOid;
}

/* raw_column sends what goes into a column of the source to the raw table. */
static void
raw_column(const EtlTask *task, Oid raw, EtlFlow *flow)
{
	Oid type;

	if (flow->output_column == NULL || !OidIsValid(raw))
		return;
	if (!etl_target_flow_has(raw, flow->output_column))
	{
		flow->output_column = RAW_EXTRA;
		if (etl_flow_is_direct(flow->kind))
			flow->kind = ETL_FLOW_TRANSFORMATION;
		return;
	}
	type = flow->input_column ? type_of(flow->input, flow->input_column) : InvalidOid;
	if (flow->kind == ETL_FLOW_IDENTITY && OidIsValid(type) && type != type_of(task->target, flow->output_column))
		flow->kind = ETL_FLOW_TRANSFORMATION;
}

/* delete_flows adds what decides whether a raw row is a delete marker. */
static List *
delete_flows(List *flows, const EtlTask *task)
{
	if (etl_deletes_is_compare(task))
		for (int i = 0; i < task->primary_key.n; i++)
			flows = etl_flow_from_column(flows, task->target, RAW_OP, task->source, task->primary_key.name[i],
										 ETL_FLOW_CONDITIONAL);
	else if (task->deletes != NULL && strncmp(task->deletes, DELETED_IF, strlen(DELETED_IF)) == 0)
	{
		char *sql = psprintf("SELECT (\n%s\n) AS deleted FROM %s", task->deletes + strlen(DELETED_IF), task->source);
		Query *query = etl_statement_analyze(linitial_node(RawStmt, etl_statement_parse(sql)), sql);

		flows = etl_flow_follow(flows, etl_flow_of_query(query, NULL), "deleted", task->target, RAW_OP,
								ETL_FLOW_CONDITIONAL);
	}
	return flows;
}

/* etl_target_flow_extract says what a raw table gets. */
List *
etl_target_flow_extract(const EtlTask *task, List *flows)
{
	static const char *const made[] = {"_etl_batch", "_etl_loaded_at", RAW_OP, NULL};
	Oid raw = etl_target_flow_find(task);
	List *result = NIL;
	ListCell *cell;

	foreach (cell, flows)
	{
		EtlFlow flow = *(EtlFlow *) lfirst(cell);

		raw_column(task, raw, &flow);
		result = etl_flow_add_once(result, &flow);
	}
	if (task->cursor_column != NULL)
		result = etl_flow_from_column(result, task->target, NULL, task->source, task->cursor_column, ETL_FLOW_FILTER);
	result = delete_flows(result, task);
	return OidIsValid(raw) ? etl_target_flow_generated(result, task, raw, made) : result;
}
