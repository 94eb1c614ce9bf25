/*
 * define.c
 *		What adding and changing definitions have in common: values, roles, the options of a task, the edges of the DAG.
 */
#include "postgres.h"

#include "api/define.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "catalog/pool.h"
#include "errors.h"
#include "lib/stringinfo.h"
#include "load/load.h"
#include "miscadmin.h"
#include "quality/check.h"
#include "source/extract.h"
#include "source/relation.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "worker/attempt.h"
#include "worker/command.h"
#include "worker/lock.h"
#include "worker/publish_check.h"

#define MAX_RETRIES 100
#define MAX_DELAY_DAYS 30
#define MAX_POOL_SLOTS 1000
#define SQLSTATE_CHARACTERS "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* etl_define_overlay returns definition with changes put over it and the members named in reset left out. */
Jsonb *
etl_define_overlay(Jsonb *definition, Jsonb *changes, const EtlNames *reset)
{
	Datum result = DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(definition), JsonbPGetDatum(changes));

	for (int i = 0; i < reset->n; i++)
		result = DirectFunctionCall2(jsonb_delete, result, CStringGetTextDatum(reset->name[i]));
	return DatumGetJsonbP(result);
}

/*
 * etl_define_owner returns the role of that name for the caller to give things to; NULL means the caller. Errors: 42704,
 * 42501 if the caller is no member of it, 55000 if it cannot log in: its tasks could not run.
 */
Oid
etl_define_owner(const char *name)
{
	Oid role = name ? get_role_oid(name, true) : GetUserId();
	HeapTuple tuple;
	bool can_login;

	if (!OidIsValid(role))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("role \"%s\" does not exist", name),
				 errdetail("It was named as owner."), errhint("CREATE ROLE makes one; owner => NULL means you.")));
	if (!has_privs_of_role(GetUserId(), role))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("permission denied to make role \"%s\" the owner", name),
						errdetail("The tasks would run with rights that you do not have."),
						errhint("Ask for membership in that role.")));
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	can_login = HeapTupleIsValid(tuple) && ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
	ReleaseSysCache(tuple);
	if (!can_login)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("role \"%s\" cannot own a pipeline or task", GetUserNameFromId(role, false)),
						errdetail("Tasks connect as their owner, and this role is not allowed to log in."),
						errhint("ALTER ROLE %s LOGIN, or name another owner.",
								quote_identifier(GetUserNameFromId(role, false)))));
	return role;
}

/* etl_define_choice checks that value is one of a NULL-terminated list. Errors: 22023 with the list as hint. */
void
etl_define_choice(const char *option, const char *value, const char *const *choice)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; choice[i] != NULL; i++)
	{
		if (value == NULL || strcmp(value, choice[i]) == 0)
			return;
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "", choice[i]);
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid %s \"%s\"", option, value),
					errdetail("There is no such %s.", option), errhint("It is one of: %s.", list.data)));
}

/*
 * etl_define_become takes the rights of owner and its author's search_path until etl_define_return. Planning may execute
 * functions of either side. What the owner's would leave for later, to be executed with the rights of the caller - deferred
 * triggers, cursors WITH HOLD - is refused by PostgreSQL, and temporary objects of the caller do not hide what the author meant.
 */
void
etl_define_become(EtlRole *role, Oid owner, const char *search_path)
{
	int context;

	role->guc_level = NewGUCNestLevel();
	GetUserIdAndSecContext(&role->user, &role->sec_context);
	context = role->sec_context | SECURITY_LOCAL_USERID_CHANGE;
	if (role->user != owner)
		context |= SECURITY_RESTRICTED_OPERATION;
	SetUserIdAndSecContext(owner, context);
	(void) set_config_option("search_path", etl_attempt_search_path(search_path), PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/* etl_define_return gives them back. */
void
etl_define_return(EtlRole *role)
{
	AtEOXact_GUC(true, role->guc_level);
	SetUserIdAndSecContext(role->user, role->sec_context);
}

/* etl_define_search_path returns the caller's search_path as a list of existing schemas, "$user" resolved. */
char *
etl_define_search_path(void)
{
	StringInfoData path;
	ListCell *lc;

	initStringInfo(&path);
	foreach (lc, fetch_search_path(false))
	{
		char *schema = get_namespace_name(lfirst_oid(lc));

		if (schema != NULL && !isAnyTempNamespace(lfirst_oid(lc)))
			appendStringInfo(&path, "%s%s", path.len > 0 ? ", " : "", quote_identifier(schema));
	}
	return path.data;
}

/* etl_define_task_owner returns the role that a task runs as. */
Oid
etl_define_task_owner(const EtlPipeline *pipeline, const EtlTask *task)
{
	return OidIsValid(task->owner) ? task->owner : pipeline->owner;
}

/* check_interval makes sure that an interval is not negative (or, strict, positive) and not absurdly long. */
static void
check_interval(const char *option, const Interval *value, bool strict, int max_days)
{
	Interval zero = {0};
	Interval longest = {.day = max_days};
	int sign;

	if (value == NULL)
		return;
	sign = DatumGetInt32(DirectFunctionCall2(interval_cmp, IntervalPGetDatum(value), IntervalPGetDatum(&zero)));
	if (sign < 0 || (strict && sign == 0) ||
		DatumGetInt32(DirectFunctionCall2(interval_cmp, IntervalPGetDatum(value), IntervalPGetDatum(&longest))) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s is out of range", option),
				 errdetail("It is %s.", DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(value)))),
				 errhint("It must be %s and at most %d days.", strict ? "more than 0" : "0 or more", max_days)));
}

/* check_retry_on checks a list of error classes: SQLSTATEs, their first two characters, or one word. Errors: 22023. */
static void
check_retry_on(const EtlNames *classes)
{
	if (classes->name == NULL)
		return;
	if (classes->n == 1 && (strcmp(classes->name[0], "all") == 0 || strcmp(classes->name[0], "none") == 0))
		return;
	if (classes->n == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("retry_on is empty"),
						errdetail("No error was named."),
						errhint("'{none}' retries after no error, '{all}' after every one.")));
	for (int i = 0; i < classes->n; i++)
	{
		const char *name = classes->name[i];
		size_t n = strlen(name);

		if ((n != 5 && n != 2) || strspn(name, SQLSTATE_CHARACTERS) != n)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid element of retry_on \"%s\"", name),
					 errdetail("It is no SQLSTATE and no class of them."),
					 errhint("Name SQLSTATEs ('40001') and classes ('08') in capital letters, or 'all' or 'none' "
							 "by itself.")));
	}
}

/*
 * check_pool makes sure that the pool exists and is large enough, and keeps it from being dropped. One without slots is
 * closed for a while and says nothing about size. Errors: 42704, 22023.
 */
static void
check_pool(const EtlTask *task)
{
	EtlPool *pool;

	if (task->pool_slots < 1 || task->pool_slots > MAX_POOL_SLOTS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("pool_slots is out of range"),
				 errdetail("It is %d.", task->pool_slots), errhint("It must be between 1 and %d.", MAX_POOL_SLOTS)));
	if (task->pool == NULL && task->pool_slots != 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("pool_slots needs a pool"),
						errdetail("Task \"%s\" is in no pool.", task->name),
						errhint("Pass pool => 'name', or set pool_slots back with reset => '{pool_slots}'.")));
	if (task->pool == NULL)
		return;
	pool = etl_pool_find(task->pool, ETL_POOL_USE);
	if (pool == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("pool \"%s\" does not exist", task->pool),
				 errdetail("Task \"%s\" names it.", task->name),
				 errhint("SELECT etl.create_pool(%s, slots => 4) makes it; SELECT name FROM etl.pool lists the pools.",
						 quote_literal_cstr(task->pool))));
	if (pool->slots > 0 && task->pool_slots > pool->slots)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("pool_slots is more than the pool has"),
						errdetail("It is %d, and pool \"%s\" has %d.", task->pool_slots, pool->name, pool->slots),
						errhint("Lower pool_slots, or enlarge the pool with etl.alter_pool.")));
}

/* check_range makes sure that a number is in a range; the first value means that it was not given. */
static void
check_range(const char *option, int value, int none, int most)
{
	if (value < none || value > most)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s is out of range", option),
						errdetail("It is %d.", value), errhint("It must be between %d and %d.", none + 1, most)));
}

/* check_common checks the options that every kind of task has. */
static void
check_common(const EtlTask *task)
{
	static const char *const rules[] = {"all_success", "all_done", "one_failed", "none_failed", "always", NULL};
	static const char *const failures[] = {"fail", "use_last", NULL};
	static const char *const incrementals[] = {"auto", "required", "full", NULL};
	static const char *const actions[] = {"warn", "fail", "quarantine", "gate", NULL};
	static const char *const stages[] = {"source", "raw", "before_commit", "after_commit", NULL};
	static const char *const scopes[] = {"table", "run", NULL};
	static const char *const late_policies[] = {"quarantine", "reject", "accept", NULL};

	if (strlen(task->name) > 128)
		ereport(ERROR, (errcode(ERRCODE_NAME_TOO_LONG), errmsg("the name of the task is too long"),
						errdetail("It has %d bytes.", (int) strlen(task->name)), errhint("Use at most 128.")));
	etl_define_choice("trigger_rule", task->trigger_rule, rules);
	etl_define_choice("on_failure", task->on_failure, failures);
	if (task->incremental != NULL)
		etl_define_choice("incremental", task->incremental, incrementals);
	if (task->late_policy != NULL)
		etl_define_choice("late_policy", task->late_policy, late_policies);
	check_interval("late_window", task->late_window, true, 36500);
	check_interval("read_window", task->read_window, true, 36500);
	check_interval("keep_undo", task->keep_undo, true, 3650);
	if (task->action != NULL)
		etl_define_choice("action", task->action, actions);
	if (task->stage != NULL)
		etl_define_choice("stage", task->stage, stages);
	if (task->scope != NULL)
		etl_define_choice("scope", task->scope, scopes);
	check_range("history", task->history, 0, 1000);
	check_range("min_history", task->min_history, 0, 1000);
	check_range("samples", task->samples, -1, 100);
	check_interval("timeout", task->timeout, true, 365);
	check_interval("lag", task->lag, false, 3650);
	if (task->n_retry_delays > MAX_RETRIES)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("retry_delays has too many elements"),
						errdetail("It has %d.", task->n_retry_delays), errhint("Use at most %d.", MAX_RETRIES)));
	for (int i = 0; i < task->n_retry_delays; i++)
		check_interval("an element of retry_delays", &task->retry_delays[i], false, MAX_DELAY_DAYS);
	check_retry_on(&task->retry_on);
	check_pool(task);
	if (task->chunk_rows < 0 || task->chunk_rows > 100000000)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("chunk_rows is out of range"),
						errdetail("It is %d.", task->chunk_rows), errhint("It must be between 1 and 100000000.")));
}

/* names_of_tasks lists the names for a hint. */
static char *
names_of_tasks(const EtlTaskList *tasks)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < tasks->n && i < 20; i++)
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "", tasks->task[i]->name);
	return tasks->n > 0 ? list.data : "(none)";
}

/* find_in returns the task of that name in a list, or NULL. */
static EtlTask *
find_in(const EtlTaskList *tasks, const char *name)
{
	for (int i = 0; i < tasks->n; i++)
		if (strcmp(tasks->task[i]->name, name) == 0)
			return tasks->task[i];
	return NULL;
}

/* check_depends_on makes sure that the tasks named exist. Errors: 42704, ZE001 for the task itself. */
static void
check_depends_on(const EtlPipeline *pipeline, const EtlTask *task, const EtlTaskList *tasks)
{
	for (int i = 0; i < task->depends_on.n; i++)
	{
		const char *name = task->depends_on.name[i];

		if (strcmp(name, task->name) == 0)
			ereport(ERROR, (errcode(ERRCODE_ETL_CYCLE), errmsg("task \"%s\" cannot depend on itself", name),
							errdetail("%s waits for %s.", name, name), errhint("Leave it out of depends_on.")));
		if (find_in(tasks, name) == NULL)
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
							errmsg("pipeline \"%s\" has no task \"%s\" to depend on", pipeline->name, name),
							errdetail("Task \"%s\" names it in depends_on.", task->name),
							errhint("Its tasks are: %s.", names_of_tasks(tasks))));
	}
}

/* check_gate makes sure that a gate has a task to gate. Errors: 42704, 42809, 22023. */
static void
check_gate(const EtlPipeline *pipeline, const EtlTask *task, const EtlTaskList *tasks)
{
	EtlTask *gated;

	if (task->gate == NULL)
		return;
	gated = find_in(tasks, task->gate);
	if (gated == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("pipeline \"%s\" has no task \"%s\" to gate", pipeline->name, task->gate),
						errdetail("Check \"%s\" names it as gate.", task->name),
						errhint("Its tasks are: %s.", names_of_tasks(tasks))));
	if (gated->kind == ETL_TASK_CHECK)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("task \"%s\" cannot be gated", task->gate),
						errdetail("It is a check itself."), errhint("Name an extract, load, aggregate or sql task.")));
	if (task->depends_on.n > 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("a gate cannot have depends_on"),
						errdetail("It is evaluated as part of task \"%s\".", task->gate),
						errhint("Leave out depends_on or gate.")));
}

/* define_kind checks and completes the options of the task's kind, as its owner. */
static void
define_kind(EtlTask *task)
{
	switch (task->kind)
	{
		case ETL_TASK_EXTRACT:
			etl_extract_define(task);
			break;
		case ETL_TASK_LOAD:
		case ETL_TASK_AGGREGATE:
			etl_load_define(task);
			break;
		case ETL_TASK_SQL:
			etl_command_define(task);
			break;
		case ETL_TASK_CHECK:
			etl_check_define(task);
			break;
	}
}

/*
 * etl_define_task checks a task and completes it: names become qualified, missing tables are created, reads and writes
 * are found. The task may be new or changed; it is not stored.
 */
void
etl_define_task(const EtlPipeline *pipeline, EtlTask *task)
{
	EtlTaskList tasks = etl_task_list(pipeline->pipeline_id);
	EtlRole role;

	check_common(task);
	check_depends_on(pipeline, task, &tasks);
	check_gate(pipeline, task, &tasks);
	etl_define_become(&role, etl_define_task_owner(pipeline, task), task->search_path);
	define_kind(task);
	etl_define_return(&role);
	if (task->kind == ETL_TASK_CHECK)
		etl_check_place(task, &tasks);
	if (task->reads.name == NULL)
		task->reads.name = palloc(sizeof(char *));
	if (task->writes.name == NULL)
		task->writes.name = palloc(sizeof(char *));
}

/* overlap says whether two lists have a name in common. */
static bool
overlap(const EtlNames *a, const EtlNames *b)
{
	for (int i = 0; i < a->n; i++)
		for (int j = 0; j < b->n; j++)
			if (strcmp(a->name[i], b->name[j]) == 0)
				return true;
	return false;
}

/* is_held_by says whether a task waits for a check of the raw table that it reads. */
static bool
is_held_by(const EtlTask *task, const EtlTask *check)
{
	EtlNames target = {1, &unconstify(EtlTask *, check)->target};

	return task->kind != ETL_TASK_CHECK && check->kind == ETL_TASK_CHECK && check->gate == NULL &&
		   etl_check_holds_readers(check) && overlap(&task->reads, &target);
}

/* add_edges adds the edges of one task: those that its author named, then those found by what it reads. */
static void
add_edges(EtlGraph *graph, const EtlTaskList *tasks, int node)
{
	const EtlTask *task = tasks->task[node];

	if (task->gate != NULL)
		return;
	for (int i = 0; i < tasks->n; i++)
		for (int j = 0; j < task->depends_on.n; j++)
			if (strcmp(tasks->task[i]->name, task->depends_on.name[j]) == 0)
				etl_graph_add(graph, node, i, false);
	for (int i = 0; i < tasks->n; i++)
		if (i != node && (overlap(&task->reads, &tasks->task[i]->writes) || is_held_by(task, tasks->task[i])))
			etl_graph_add(graph, node, i, true);
}

/* raise_cycle names the way around. */
static void
raise_cycle(const EtlPipeline *pipeline, const EtlTaskList *tasks, const int *path, int n)
{
	StringInfoData way;

	initStringInfo(&way);
	for (int i = 0; i < n; i++)
		appendStringInfo(&way, "%s%s waits for %s", i > 0 ? ", " : "", tasks->task[path[i]]->name,
						 tasks->task[path[(i + 1) % n]]->name);
	ereport(ERROR, (errcode(ERRCODE_ETL_CYCLE),
					errmsg("the tasks of pipeline \"%s\" would wait for each other in a circle", pipeline->name),
					errdetail("%s.", way.data),
					errhint("A task waits for those in its depends_on and for those that write what it reads.")));
}

/* etl_define_graph works out the DAG of tasks. The order in which they were added plays no part. */
EtlGraph *
etl_define_graph(const EtlTaskList *tasks)
{
	EtlGraph *graph = etl_graph_make(tasks->n);

	for (int i = 0; i < tasks->n; i++)
		add_edges(graph, tasks, i);
	return graph;
}

/* etl_define_publish_problems looks at the tasks that would run, as they are stored. */
List *
etl_define_publish_problems(const EtlPipeline *pipeline)
{
	EtlTaskList tasks;
	EtlTaskList enabled;
	EtlGraph *graph;

	if (!pipeline->atomic_publish)
		return NIL;
	tasks = etl_task_list(pipeline->pipeline_id);
	graph = etl_publish_check_enabled(&tasks, etl_define_graph(&tasks), &enabled);
	return etl_publish_check_problems(pipeline, &enabled, graph);
}

/* etl_define_check_publication lets somebody who has several problems correct them one after the other. */
void
etl_define_check_publication(const EtlPipeline *pipeline, const List *known)
{
	etl_publish_check_raise(etl_define_publish_problems(pipeline), known);
}

/*
 * etl_define_edges works out the DAG of a pipeline anew and stores it. Errors: ZE001 with the path of a cycle.
 */
void
etl_define_edges(const EtlPipeline *pipeline)
{
	EtlTaskList tasks = etl_task_list(pipeline->pipeline_id);
	EtlGraph *graph = etl_define_graph(&tasks);
	int *path = palloc(sizeof(int) * Max(tasks.n, 1));
	int n = etl_graph_cycle(graph, path);

	if (n > 0)
		raise_cycle(pipeline, &tasks, path, n);
	etl_task_replace_edges(pipeline->pipeline_id, &tasks, graph);
}

/* etl_define_find_task refuses a name that there is not. */
EtlTask *
etl_define_find_task(const EtlPipeline *pipeline, const char *name)
{
	EtlTask *task = etl_task_find(pipeline->pipeline_id, name);

	if (task == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("pipeline \"%s\" has no task \"%s\"", pipeline->name, name),
				 errdetail("Names are compared letter by letter, upper and lower case differ."),
				 errhint("SELECT name FROM etl.task lists the tasks.")));
	return task;
}

/* etl_define_refuse_running takes the lock of the raw table until the end of the transaction. */
void
etl_define_refuse_running(const EtlTask *task, const char *what)
{
	Oid raw = etl_relation_find(task->target);

	if (OidIsValid(raw) && !etl_lock_try(ETL_LOCK_TARGET, raw, false))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
						errmsg("%s of task \"%s\" cannot be moved while the task is running", what, task->name),
						errdetail("An extract is writing to raw table %s, and moves it itself.", task->target),
						errhint("Wait for the run with etl.wait_for_run, or cancel it with etl.cancel_run.")));
}
