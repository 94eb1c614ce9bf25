/*
 * inspect_api.c
 *		The SQL functions that look at definitions: etl.validate and etl.explain_task.
 */
#include "postgres.h"

#include "access/access.h"
#include "access/xact.h"
#include "api/args.h"
#include "api/define.h"
#include "api/problem.h"
#include "catalog/pg_authid.h"
#include "catalog/pipeline.h"
#include "catalog/pool.h"
#include "funcapi.h"
#include "load/load.h"
#include "miscadmin.h"
#include "quality/check.h"
#include "source/extract.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"
#include "worker/command.h"
#include "worker/publish_check.h"

PG_FUNCTION_INFO_V1(etl_validate);
PG_FUNCTION_INFO_V1(etl_explain_task);

/* owner_problems finds what is wrong with the role that a task runs as. */
static List *
owner_problems(Oid owner)
{
	HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(owner));
	bool can_login;

	if (!HeapTupleIsValid(tuple))
		return etl_problem_add(NIL, true, pstrdup("The owner of the task does not exist any more."),
							   pstrdup("Give it another one: etl.alter_task(..., owner => 'role')."));
	can_login = ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
	ReleaseSysCache(tuple);
	if (can_login)
		return NIL;
	return etl_problem_add(NIL, true,
						   psprintf("The owner \"%s\" is not allowed to log in, so its tasks cannot run.",
									GetUserNameFromId(owner, false)),
						   psprintf("ALTER ROLE %s LOGIN.", quote_identifier(GetUserNameFromId(owner, false))));
}

/* pool_problems finds what keeps a task waiting for slots of its pool. */
static List *
pool_problems(const EtlTask *task)
{
	EtlPool *pool = task->pool ? etl_pool_find(task->pool, ETL_POOL_READ) : NULL;

	if (pool == NULL || task->pool_slots <= pool->slots)
		return NIL;
	if (pool->slots == 0)
		return etl_problem_add(NIL, false,
							   psprintf("Pool \"%s\" has no slots at present, so the task does not start.", pool->name),
							   psprintf("etl.alter_pool(%s, slots => ...) opens it.", quote_literal_cstr(pool->name)));
	return etl_problem_add(
		NIL, false,
		psprintf("The task takes %d slots of pool \"%s\", which has only %d: it waits until no other task of "
				 "the pool works.",
				 task->pool_slots, pool->name, pool->slots),
		pstrdup("Lower pool_slots with etl.alter_task, or enlarge the pool with etl.alter_pool."));
}

/* kind_problems finds what is wrong with a task's own options, as its owner. */
static List *
kind_problems(const EtlTask *task)
{
	switch (task->kind)
	{
		case ETL_TASK_EXTRACT:
			return etl_extract_problems(task);
		case ETL_TASK_LOAD:
		case ETL_TASK_AGGREGATE:
			return etl_load_problems(task);
		case ETL_TASK_CHECK:
			return etl_check_problems(task);
		case ETL_TASK_SQL:
			return NIL;
	}
	pg_unreachable();
}

/* guarded_problems turns an error of the looking into a problem, so that one task does not hide the others. */
static List *
guarded_problems(const EtlTask *task, Oid owner)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner resources = CurrentResourceOwner;
	List *volatile problems = NIL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		EtlRole role;

		etl_define_become(&role, owner, task->search_path);
		problems = kind_problems(task);
		etl_define_return(&role);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
			ReThrowError(error);
		problems = etl_problem_add(problems, true, error->message, error->hint);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = resources;
	return problems;
}

/* put_problems writes the problems of a task as rows. */
static void
put_problems(ReturnSetInfo *result, const EtlTask *task, List *problems)
{
	ListCell *lc;

	foreach (lc, problems)
	{
		EtlProblem *problem = lfirst(lc);
		Datum value[4];
		bool isnull[4] = {false, false, false, problem->hint == NULL};

		value[0] = CStringGetTextDatum(task->name);
		value[1] = CStringGetTextDatum(problem->is_error ? "error" : "warning");
		value[2] = CStringGetTextDatum(problem->problem);
		value[3] = problem->hint ? CStringGetTextDatum(problem->hint) : (Datum) 0;
		tuplestore_putvalues(result->setResult, result->setDesc, value, isnull);
	}
}

/* publish_problems finds what keeps a task from being published with the others of its pipeline. */
static List *
publish_problems(const EtlTask *task, List *found)
{
	List *problems = NIL;
	ListCell *lc;

	foreach (lc, found)
	{
		const EtlPublishProblem *problem = lfirst(lc);
		char *text;

		if (problem->task->task_id != task->task_id)
			continue;
		text = psprintf("%s. %s", problem->message, problem->detail);
		text[0] = pg_toupper((unsigned char) text[0]);
		problems = etl_problem_add(problems, true, text, problem->hint);
	}
	return problems;
}

/* etl.validate(pipeline) RETURNS SETOF (task, severity, problem, hint) */
Datum
etl_validate(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	EtlPipeline *pipeline = etl_access_pipeline(etl_args_required(fcinfo, "pipeline"), ETL_LEVEL_OPERATOR);
	EtlTaskList tasks = etl_task_list(pipeline->pipeline_id);
	List *together = etl_define_publish_problems(pipeline);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < tasks.n; i++)
	{
		EtlTask *task = tasks.task[i];
		Oid owner = task->owner = etl_define_task_owner(pipeline, task);
		List *problems = list_concat(owner_problems(owner), pool_problems(task));

		CHECK_FOR_INTERRUPTS();
		if (task->owner_name == NULL)
			task->owner_name = pipeline->owner_name;
		if (SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(owner)))
			problems = list_concat(problems, guarded_problems(task, owner));
		problems = list_concat(problems, publish_problems(task, together));
		put_problems(result, task, problems);
	}
	return (Datum) 0;
}

/* explain_kind returns the lines that describe what the next run would do. */
static List *
explain_kind(const EtlTask *task)
{
	switch (task->kind)
	{
		case ETL_TASK_EXTRACT:
			return etl_extract_explain(task);
		case ETL_TASK_LOAD:
		case ETL_TASK_AGGREGATE:
			return etl_load_explain(task);
		case ETL_TASK_CHECK:
			return etl_check_explain(task);
		case ETL_TASK_SQL:
			return etl_command_explain(task);
	}
	pg_unreachable();
}

/* put_lines writes text as rows, one for each of its lines. */
static void
put_lines(ReturnSetInfo *result, const char *text)
{
	for (;;)
	{
		const char *end = strchrnul(text, '\n');
		Datum value = PointerGetDatum(cstring_to_text_with_len(text, end - text));
		bool isnull = false;

		tuplestore_putvalues(result->setResult, result->setDesc, &value, &isnull);
		if (*end == '\0')
			return;
		text = end + 1;
	}
}

/* etl.explain_task(pipeline, task) RETURNS SETOF text */
Datum
etl_explain_task(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	EtlPipeline *pipeline = etl_access_pipeline(etl_args_required(fcinfo, "pipeline"), ETL_LEVEL_OPERATOR);
	char *name = etl_args_required(fcinfo, "task");
	EtlTask *task = etl_define_find_task(pipeline, name);
	EtlRole role;
	List *lines;
	ListCell *lc;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	task->owner = etl_define_task_owner(pipeline, task);
	etl_define_become(&role, task->owner, task->search_path);
	lines = explain_kind(task);
	etl_define_return(&role);
	foreach (lc, lines)
		put_lines(result, lfirst(lc));
	return (Datum) 0;
}
