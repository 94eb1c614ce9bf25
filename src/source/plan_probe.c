/*
 * plan_probe.c
 *		What the plan of a generated query says about pushdown. See plan_probe.h.
 *
 * EXPLAIN is the one place where every foreign data wrapper says what it sends: postgres_fdw as "Remote SQL", mysql_fdw
 * as "Remote query".
 */
#include "postgres.h"

#include "catalog/spi.h"
#include "miscadmin.h"
#include "source/plan_probe.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/jsonb.h"

/* member returns a string member of an object, or NULL. */
static char *
member(JsonbContainer *node, const char *key)
{
	JsonbValue value;

	if (getKeyJsonValueFromContainer(node, key, strlen(key), &value) == NULL || value.type != jbvString)
		return NULL;
	return pnstrdup(value.val.string.val, value.val.string.len);
}

/* children returns an array member of an object, or NULL. */
static JsonbContainer *
children(JsonbContainer *node, const char *key)
{
	JsonbValue value;

	if (getKeyJsonValueFromContainer(node, key, strlen(key), &value) == NULL || value.type != jbvBinary)
		return NULL;
	return value.val.binary.data;
}

/* look_at notes what one node says; below_sort: a Sort is above it. */
static void
look_at(JsonbContainer *node, EtlPlanFacts *facts, bool below_sort)
{
	char *remote = member(node, "Remote SQL");
	char *mysql = member(node, "Remote query");

	facts->foreign = true;
	facts->mysql = facts->mysql || mysql != NULL;
	facts->local_filter = facts->local_filter || member(node, "Filter") != NULL;
	facts->local_sort = facts->local_sort || below_sort;
	if (facts->remote_sql == NULL)
		facts->remote_sql = remote ? remote : mysql;
}

/* walk visits a plan node and those below it. */
static void
walk(JsonbContainer *node, EtlPlanFacts *facts, bool below_sort)
{
	char *type = member(node, "Node Type");
	JsonbContainer *plans = children(node, "Plans");

	check_stack_depth();
	if (type && (strcmp(type, "Sort") == 0 || strcmp(type, "Incremental Sort") == 0))
		below_sort = true;
	if (type && strcmp(type, "Foreign Scan") == 0)
		look_at(node, facts, below_sort);
	for (uint32 i = 0; plans && i < JsonContainerSize(plans); i++)
	{
		JsonbValue *child = getIthJsonbValueFromContainer(plans, i);

		if (child && child->type == jbvBinary)
			walk(child->val.binary.data, facts, below_sort);
	}
}

/* etl_plan_probe plans sql. */
void
etl_plan_probe(const char *sql, EtlPlanFacts *facts)
{
	char *text = etl_sql_text(psprintf("EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON) %s", sql));
	Jsonb *explained = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	JsonbValue *query = getIthJsonbValueFromContainer(&explained->root, 0);
	JsonbContainer *plan = NULL;

	memset(facts, 0, sizeof(*facts));
	if (query && query->type == jbvBinary)
		plan = children(query->val.binary.data, "Plan");
	if (plan == NULL)
		elog(ERROR, "unexpected EXPLAIN output: %s", text);
	walk(plan, facts, false);
	facts->only_scan = facts->foreign && !facts->local_filter && children(plan, "Plans") == NULL;
}

/* etl_plan_leave_sorting makes a sort on this server the last resort. */
void
etl_plan_leave_sorting(void)
{
	(void) set_config_option("enable_sort", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}
