/*
 * define.c
 *		Checks and completes the definition of a load or an aggregate. See load.h.
 */
#include "postgres.h"

#include "access/xact.h"
#include "dag/lineage.h"
#include "load/dimension.h"
#include "load/increment.h"
#include "load/history.h"
#include "load/load.h"
#include "load/plan.h"
#include "load/target.h"
#include "load/touch.h"
#include "utils/builtins.h"

/* check_append refuses mode append where old rows would be appended again at each run. */
static void
check_append(const EtlPlan *plan)
{
	const EtlCompile *compile = plan->compile;

	if (plan->mode != ETL_MODE_APPEND || compile->drivers != NIL || compile->inputs == NIL)
		return;
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("query cannot be read incrementally, which mode append needs"),
					errdetail("%s is read whole: %s.", ((EtlInput *) linitial(compile->inputs))->name,
							  compile->reason ? compile->reason : "it is inside a subquery expression"),
					errhint("Use mode => 'merge' with a key, or mode => 'replace'.")));
}

/* check_window refuses read_window where it would take rows out of the target, or has nothing to limit. */
static void
check_window(const EtlTask *task, const EtlPlan *plan)
{
	if (task->read_window == NULL)
		return;
	if (plan->mode != ETL_MODE_MERGE && plan->mode != ETL_MODE_INSERT_ONLY)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("read_window needs mode merge or insert_only"),
						errdetail("In the other modes rows that are not read would be deleted, or added twice."),
						errhint("Use mode => 'merge' with a key, or leave read_window out.")));
	if (plan->on_delete != ETL_ON_DELETE_IGNORE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("read_window does not fit on_delete => '%s'", task->on_delete),
				 errdetail("Rows that are not read would count as deleted."), errhint("Leave one of them out.")));
}

/* check_required refuses a query that cannot be read incrementally, where that was asked for. */
static void
check_required(const EtlTask *task, const EtlPlan *plan)
{
	const EtlCompile *compile = plan->compile;
	const char *reason = compile->reason;

	if (task->incremental == NULL || strcmp(task->incremental, "required") != 0)
		return;
	if (reason == NULL && compile->drivers == NIL)
		reason = "it reads no raw table and no table that another task keeps";
	if (reason == NULL && etl_increment_kind(plan) == ETL_INCREMENT_WHOLE)
		reason = etl_touch_reason(plan, compile->query);
	for (int i = 0; reason == NULL && i < list_length(compile->inputs); i++)
	{
		const EtlInput *input = list_nth(compile->inputs, i);

		if (!list_member_ptr(compile->drivers, input) && !input->in_expression)
			reason = psprintf("%s: %s", input->name,
							  input->reason ? input->reason : "deletes are followed of one raw table alone");
	}
	if (reason == NULL)
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("query cannot be read incrementally"),
		 errdetail("Changes cannot be followed: %s.", reason),
		 errhint("Use incremental => 'full' to evaluate it whole in each run%s, or split the query into a task that"
				 " can be read incrementally and one that joins or aggregates its result.",
				 task->kind == ETL_TASK_LOAD ? ", or read_window => interval to evaluate the last batches only" : "")));
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
	check_window(task, plan);
	target = etl_target_find(task->target, &schema, &name);
	if (!OidIsValid(target))
	{
		is_new = true;
		etl_target_create(plan, schema, name);
		CommandCounterIncrement();
		target = etl_target_find(quote_qualified_identifier(schema, name), &schema, &name);
	}
	etl_target_match(plan, target);
	check_required(task, plan);
	if (!is_new && plan->history != NULL)
		etl_history_check_rows(plan);
	task->target = plan->target_name;
	task->reads = etl_lineage_reads(plan->compile->query);
	etl_dimension_settle(task, plan);
	task->writes.n = 1;
	task->writes.name = palloc(sizeof(char *));
	task->writes.name[0] = plan->target_name;
}
