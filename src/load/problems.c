/*
 * problems.c
 *		What is wrong, or could be better, with a load as things stand now. See load.h.
 */
#include "postgres.h"

#include "access/xact.h"
#include "api/problem.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/dbcommands.h"
#include "compat.h"
#include "dag/lineage.h"
#include "lib/stringinfo.h"
#include "load/dimension.h"
#include "load/history.h"
#include "load/load.h"
#include "load/plan.h"
#include "load/target.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

/* make_plan parses the query and matches the target; without a target the plan is returned unmatched. */
static EtlPlan *
make_plan(const EtlTask *task)
{
	int level = etl_attempt_author_path(task);
	EtlPlan *plan = etl_plan_make(task);
	char *schema;
	char *name;
	Oid target = etl_target_find(task->target, &schema, &name);

	if (OidIsValid(target))
		etl_target_match(plan, target);
	AtEOXact_GUC(true, level);
	return plan;
}

/* try_plan makes the plan in a subtransaction; an error becomes a problem and NULL is returned. */
static EtlPlan *
try_plan(const EtlTask *task, List **problems)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	EtlPlan *volatile plan = NULL;
	ErrorData *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		plan = make_plan(task);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	if (error != NULL && ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
		ReThrowError(error);
	if (error != NULL)
		*problems = etl_problem_add(*problems, true, psprintf("The definition is no longer valid: %s.", error->message),
									error->hint);
	return error == NULL ? plan : NULL;
}

/* check_read adds the inputs that the owner of the task may not read, in whole or in part. */
static List *
check_read(List *problems, const EtlTask *task)
{
	for (int i = 0; i < task->reads.n; i++)
	{
		const char *name = task->reads.name[i];
		Oid relation = RangeVarGetRelid(makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(name))),
										NoLock, true);
		bool can_use;

		if (!OidIsValid(relation))
			continue;
		can_use = etl_compat_namespace_aclcheck(get_rel_namespace(relation), task->owner, ACL_USAGE) == ACLCHECK_OK;
		if (can_use && (pg_class_aclcheck(relation, task->owner, ACL_SELECT) == ACLCHECK_OK ||
						pg_attribute_aclcheck_all(relation, task->owner, ACL_SELECT, ACLMASK_ANY) == ACLCHECK_OK))
			continue;
		problems = etl_problem_add(
			problems, true, psprintf("Owner %s may not read %s.", task->owner_name, name),
			psprintf("Run GRANT %s %s TO %s.", can_use ? "SELECT ON" : "USAGE ON SCHEMA",
					 can_use ? name : quote_identifier(get_namespace_name(get_rel_namespace(relation))),
					 quote_identifier(task->owner_name)));
	}
	return problems;
}

/* check_write adds the rights on the target that the owner of the task lacks. */
static List *
check_write(List *problems, const EtlTask *task, const EtlPlan *plan)
{
	static const struct
	{
		AclMode mode;
		const char *name;
	} rights[] = {{ACL_SELECT, "SELECT"}, {ACL_INSERT, "INSERT"}, {ACL_UPDATE, "UPDATE"}, {ACL_DELETE, "DELETE"}};
	StringInfoData missing;

	initStringInfo(&missing);
	for (int i = 0; i < lengthof(rights); i++)
	{
		AclMode mode = rights[i].mode;

		if (mode == ACL_UPDATE && (plan->n_key == 0 || plan->mode == ETL_MODE_INSERT_ONLY))
			continue;
		if (mode == ACL_DELETE && plan->mode != ETL_MODE_REPLACE && plan->mode != ETL_MODE_SCD2 &&
			plan->on_delete != ETL_ON_DELETE_DELETE && task->keep_undo == NULL)
			continue;
		if (pg_class_aclcheck(plan->target, task->owner, mode) != ACLCHECK_OK)
			appendStringInfo(&missing, "%s%s", missing.len > 0 ? ", " : "", rights[i].name);
	}
	if (missing.len > 0)
		problems = etl_problem_add(
			problems, true,
			psprintf("Owner %s lacks %s on target %s.", task->owner_name, missing.data, plan->target_name),
			psprintf("Run GRANT %s ON %s TO %s.", missing.data, plan->target_name, quote_identifier(task->owner_name)));
	if (etl_compat_database_aclcheck(MyDatabaseId, task->owner, ACL_CREATE_TEMP) != ACLCHECK_OK)
		problems = etl_problem_add(
			problems, true, psprintf("Owner %s may not create temporary tables.", task->owner_name),
			psprintf("Run GRANT TEMPORARY ON DATABASE %s TO %s.", quote_identifier(get_database_name(MyDatabaseId)),
					 quote_identifier(task->owner_name)));
	return problems;
}

/* check_target adds what the target lacks. */
static List *
check_target(List *problems, const EtlTask *task, const EtlPlan *plan)
{
	if (!OidIsValid(plan->target))
		return etl_problem_add(problems, true, psprintf("Target %s does not exist.", task->target),
							   "Call etl.alter_task with the same target to create it again.");
	problems = etl_history_problems(problems, plan);
	if (plan->n_key > 0 && plan->mode != ETL_MODE_SCD2 && !etl_target_has_unique_key(plan->target, &task->key))
	{
		StringInfoData key;

		initStringInfo(&key);
		for (int i = 0; i < plan->n_key; i++)
			appendStringInfo(&key, "%s%s", i > 0 ? ", " : "", etl_plan_key(plan, i)->quoted);
		problems = etl_problem_add(
			problems, false,
			psprintf("Target %s has no unique index on its key (%s): each run reads it whole, and other"
					 " writers can add a key twice.",
					 plan->target_name, key.data),
			psprintf("Run CREATE UNIQUE INDEX ON %s (%s).", plan->target_name, key.data));
	}
	return OidIsValid(task->owner) ? check_write(problems, task, plan) : problems;
}

/* check_trust warns of a target whose owner could execute something with the rights of the task's owner, by a trigger of it. */
static List *
check_trust(List *problems, const EtlTask *task, const EtlPlan *plan)
{
	HeapTuple tuple = OidIsValid(plan->target) ? SearchSysCache1(RELOID, ObjectIdGetDatum(plan->target)) : NULL;
	Oid owner;

	if (!HeapTupleIsValid(tuple))
		return problems;
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	if (superuser_arg(owner) || !OidIsValid(task->owner) || has_privs_of_role(task->owner, owner))
		return problems;
	return etl_problem_add(
		problems, false,
		psprintf("Target %s belongs to role \"%s\", whose triggers and defaults are executed with the "
				 "rights of role \"%s\".",
				 plan->target_name, GetUserNameFromId(owner, true), task->owner_name),
		psprintf("Write only tables of roles that you trust: ALTER TABLE %s OWNER TO %s.", plan->target_name,
				 quote_identifier(task->owner_name)));
}

/* etl_load_problems returns what is wrong with a load. */
List *
etl_load_problems(const EtlTask *task)
{
	List *problems = NIL;
	EtlPlan *plan = try_plan(task, &problems);

	if (OidIsValid(task->owner))
		problems = check_read(problems, task);
	if (plan == NULL)
		return problems;
	problems = check_target(problems, task, plan);
	problems = check_trust(problems, task, plan);
	problems = etl_dimension_problems(problems, task, plan);
	if (plan->compile->reason != NULL && plan->mode == ETL_MODE_APPEND)
		problems = etl_problem_add(
			problems, true, psprintf("Mode append would add all rows again at each run: %s.", plan->compile->reason),
			"Use mode => 'merge' with a key, or mode => 'replace'.");
	else if (plan->compile->reason != NULL && plan->mode != ETL_MODE_REPLACE && task->read_window == NULL &&
			 task->incremental == NULL)
		problems = etl_problem_add(
			problems, false,
			psprintf("Each run reads all batches of %s: %s.", ((EtlInput *) linitial(plan->compile->inputs))->name,
					 plan->compile->reason),
			"This is correct but takes longer as the raw table grows; load each raw table by itself and"
			" join the results, or say incremental => 'full', or read_window => interval to read the last batches "
			"only.");
	return problems;
}
