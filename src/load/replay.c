/*
 * replay.c
 *		Doing a load again from its raw tables. See replay.h.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/spi.h"
#include "catalog/task.h"
#include "dag/lineage.h"
#include "load/replay.h"
#include "load/target.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

/* calls_run finds a call of a function of etl_ext: etl.param(), etl.interval_start() and the like. */
static bool
calls_run(Node *node, void *schema)
{
	if (node == NULL)
		return false;
	if (IsA(node, FuncExpr) && get_func_namespace(((FuncExpr *) node)->funcid) == *(Oid *) schema)
		return true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, calls_run, schema, 0);
	return expression_tree_walker(node, calls_run, schema);
}

/* is_kept says whether rows of the target stay that the query does not return, unless it is made equal. */
static bool
is_kept(const EtlPlan *plan)
{
	return plan->n_key > 0 && (plan->mode == ETL_MODE_MERGE || plan->mode == ETL_MODE_INSERT_ONLY);
}

/* holds says whether a raw table has rows of a batch. */
static bool
holds(const EtlInput *input, int64 batch, TimestampTz loaded_at)
{
	return etl_sql_text(
			   psprintf("SELECT 1 FROM %s WHERE _etl_batch OPERATOR(pg_catalog.=) " INT64_FORMAT
						"::pg_catalog.int8 AND _etl_loaded_at OPERATOR(pg_catalog.=) '%s'::pg_catalog.timestamptz"
						" LIMIT 1",
						input->name, batch, timestamptz_to_str(loaded_at))) != NULL;
}

/*
 * incomplete says which raw table has lost what the load has taken of it; NULL: none. A raw table that never had a batch says
 * nothing about a target from which rows could be deleted.
 */
static const char *
incomplete(const EtlPlan *plan)
{
	ListCell *cell;

	foreach (cell, plan->compile->inputs)
	{
		const EtlInput *input = lfirst(cell);
		TimestampTz loaded_at;
		int64 batch = input->is_kept ? 0 : etl_batch_first(input->name, &loaded_at);

		if (batch != 0 && !holds(input, batch, loaded_at))
			return psprintf("raw table %s no longer holds batch " INT64_FORMAT, input->name, batch);
		if (batch == 0 && is_kept(plan))
			return psprintf("raw table %s has no batch yet", input->name);
	}
	return NULL;
}

/* partial says why the query does not describe all of the target, whatever the raw tables hold; NULL: it does. */
static const char *
partial(const EtlPlan *plan, Oid target)
{
	Oid schema = get_namespace_oid("etl", false);
	char *writer = etl_task_other_writer(plan->task->task_id, etl_lineage_name(target));

	if (writer != NULL)
		return psprintf("%s writes it too", writer);
	if (query_tree_walker(plan->compile->query, calls_run, &schema, 0))
		return "the query depends on its run (etl.param, etl.interval_start and the like)";
	if (plan->task->read_window != NULL)
		return "read_window leaves old batches out";
	if (pg_class_aclcheck(target, GetUserId(), ACL_DELETE) != ACLCHECK_OK)
		return psprintf("\"%s\" may not delete rows of it", GetUserNameFromId(GetUserId(), false));
	return NULL;
}

/* etl_replay_is_exact looks for a reason why not. */
bool
etl_replay_is_exact(EtlDelta *delta)
{
	const EtlPlan *plan = delta->plan;
	const char *reason;

	if (!delta->attempt->full_refresh || !is_kept(plan))
		return false;
	reason = partial(plan, plan->target);
	if (reason == NULL && !delta->attempt->force)
		reason = incomplete(plan);
	if (reason != NULL)
		etl_attempt_note(delta->attempt, "Rows that the query does not return were kept: %s.", reason);
	return reason == NULL;
}

/* etl_replay_may_delete keeps everything when rows could not be read into the delta: an older version of them may be in the target. */
bool
etl_replay_may_delete(EtlDelta *delta)
{
	if (delta->attempt->counts.rejected == 0)
		return true;
	etl_attempt_note(delta->attempt, "Rows that the query does not return were kept, because rows were rejected.");
	return false;
}

/* refuse_incomplete raises the error of raw tables that do not hold everything. */
static void
refuse_incomplete(const EtlTask *task, const char *reason)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("target of task \"%s\" cannot be rebuilt from the start", task->name),
			 errdetail("Its %s: rows that only the target still has would be lost.", reason),
			 errhint("etl.replay with from_batch deletes nothing; force => true rebuilds it from what is there.")));
}

/* etl_replay_check_append looks at full refreshes only. */
void
etl_replay_check_append(const EtlDelta *delta)
{
	const char *reason;

	if (delta->plan->mode != ETL_MODE_APPEND || delta->attempt->force)
		return;
	reason = incomplete(delta->plan);
	if (reason != NULL)
		refuse_incomplete(delta->plan->task, reason);
}

/* check_batch checks from_batch and returns where the replay begins. */
static int64
check_batch(const EtlPlan *plan, int64 from_batch)
{
	const EtlInput *input = list_length(plan->compile->drivers) == 1 ? linitial(plan->compile->drivers) : NULL;
	const EtlTask *task = plan->task;
	EtlBatchRange range;
	TimestampTz loaded_at;

	if (input == NULL || input->is_kept || task->kind != ETL_TASK_LOAD)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("task \"%s\" cannot be replayed from a batch", task->name),
				 errdetail("It is no load of new batches of one raw table%s%s.", plan->compile->reason ? ": " : "",
						   plan->compile->reason ? plan->compile->reason : ""),
				 errhint("Leave from_batch out.")));
	if (plan->mode == ETL_MODE_APPEND)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("task \"%s\" cannot be replayed from a batch", task->name),
						errdetail("Mode append would add the rows once more."),
						errhint("Leave from_batch out: the target is then made equal to the query.")));
	if (from_batch < 1 || !etl_batch_range(input->name, 0, &range) || from_batch > range.last)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no batch " INT64_FORMAT " of %s", from_batch, input->name),
				 errdetail("Task \"%s\" reads this raw table.", task->name),
				 errhint("SELECT * FROM etl.batch WHERE target = %s lists them.", quote_literal_cstr(input->name))));
	return from_batch <= etl_batch_first(input->name, &loaded_at) ? 0 : from_batch;
}

/* check_start refuses what would lose rows. */
static void
check_start(const EtlPlan *plan, bool force)
{
	const EtlTask *task = plan->task;
	char *schema;
	char *name;
	Oid target = etl_target_find(task->target, &schema, &name);
	const char *reason = OidIsValid(target) && is_kept(plan) ? partial(plan, target) : NULL;

	if (reason != NULL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("target of task \"%s\" cannot be made equal to its query", task->name),
						errdetail("Rows that it does not return may belong there: %s.", reason),
						errhint("Use etl.run_pipeline(..., full_refresh => true), which deletes nothing then.")));
	if (force || plan->mode == ETL_MODE_REPLACE)
		return;
	reason = incomplete(plan);
	if (reason != NULL)
		refuse_incomplete(task, reason);
}

/* etl_replay_check parses the query as a run would. */
int64
etl_replay_check(const EtlTask *task, const int64 *from_batch, bool force)
{
	EtlPlan *plan = etl_plan_make(task);
	int64 from = from_batch ? check_batch(plan, *from_batch) : 0;

	if (from == 0)
		check_start(plan, force);
	return from;
}
