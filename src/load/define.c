/*
 * define.c
 *		Checks and completes the definition of a load or an aggregate. See load.h.
 */
#include "postgres.h"

#include "access/xact.h"
#include "dag/lineage.h"
#include "load/history.h"
#include "load/load.h"
#include "load/plan.h"
#include "load/target.h"
#include "utils/builtins.h"

/* check_append refuses mode append where old rows would be appended again at each run. */
static void
check_append(const EtlPlan *plan)
{
	const EtlCompile *compile = plan->compile;

	if (plan->mode != ETL_MODE_APPEND || compile->narrowed != NULL || compile->inputs == NIL)
		return;
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("query cannot be read incrementally, which mode append needs"),
					errdetail("%s is read whole: %s.", ((EtlInput *) linitial(compile->inputs))->name,
							  compile->reason ? compile->reason : "it is inside a subquery expression"),
					errhint("Use mode => 'merge' with a key, or mode => 'replace'.")));
}

/* etl_load_define checks a definition, resolves its target and notes what it reads and writes. */
void
etl_load_define(EtlTask *task)
{
	EtlPlan *plan;
	Oid target;
	bool is_new = false;
	char *schema = NULL;
	char *name = NULL;

	if (task->kind == ETL_TASK_LOAD && task->mode == NULL)
		task->mode = pstrdup("merge");
	plan = etl_plan_make(task);
	check_append(plan);
	target = etl_target_find(task->target, &schema, &name);
	if (!OidIsValid(target))
	{
		is_new = true;
		etl_target_create(plan, schema, name);
		CommandCounterIncrement();
		target = etl_target_find(quote_qualified_identifier(schema, name), &schema, &name);
	}
	etl_target_match(plan, target);
	if (!is_new && plan->history != NULL)
		etl_history_check_rows(plan);
	task->target = plan->target_name;
	task->reads = etl_lineage_reads(plan->compile->query);
	task->writes.n = 1;
	task->writes.name = palloc(sizeof(char *));
	task->writes.name[0] = plan->target_name;
}
