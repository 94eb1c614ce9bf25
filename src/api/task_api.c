/*
 * task_api.c
 *		The SQL functions that define tasks.
 */
#include "postgres.h"

#include "api/args.h"
#include "api/define.h"
#include "catalog/consumed.h"
#include "catalog/extract_progress.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "catalog/pipeline.h"
#include "catalog/source_schema.h"
#include "contract/reference.h"
#include "compat.h"
#include "utils/array.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(etl_add_extract);
PG_FUNCTION_INFO_V1(etl_add_load);
PG_FUNCTION_INFO_V1(etl_add_aggregate);
PG_FUNCTION_INFO_V1(etl_add_sql);
PG_FUNCTION_INFO_V1(etl_add_check);
PG_FUNCTION_INFO_V1(etl_alter_task);
PG_FUNCTION_INFO_V1(etl_drop_task);

/* Options that only some kinds have, by the name of their parameter. */
typedef struct Option
{
	const char *name;
	int kinds;	   /* bits of EtlTaskKind */
	bool required; /* cannot be reset */
} Option;

#define EXTRACT (1 << ETL_TASK_EXTRACT)
#define LOAD (1 << ETL_TASK_LOAD)
#define AGGREGATE (1 << ETL_TASK_AGGREGATE)
#define SQL (1 << ETL_TASK_SQL)
#define CHECK (1 << ETL_TASK_CHECK)
#define ALL (EXTRACT | LOAD | AGGREGATE | SQL | CHECK)

static const Option options[] = {
	{"source", EXTRACT, true},
	{"target", EXTRACT | LOAD | AGGREGATE | CHECK, true},
	{"cursor_column", EXTRACT, false},
	{"primary_key", EXTRACT, false},
	{"lag", EXTRACT, false},
	{"filter", EXTRACT | CHECK, false},
	{"columns", EXTRACT | CHECK, false},
	{"chunk_rows", EXTRACT, false},
	{"chunk_interval", EXTRACT, false},
	{"slices", EXTRACT, false},
	{"snapshot_group", EXTRACT, false},
	{"reader", EXTRACT, false},
	{"null_cursor", EXTRACT, false},
	{"zero_dates", EXTRACT, false},
	{"on_error", EXTRACT, false},
	{"file_changed", EXTRACT, false},
	{"deletes", EXTRACT, false},
	{"delete_scope", EXTRACT, false},
	{"max_delete_pct", EXTRACT, false},
	{"schema_drift", EXTRACT, false},
	{"reconcile", EXTRACT, false},
	{"on_failure", EXTRACT, false},
	{"query", LOAD | AGGREGATE, true},
	{"key", LOAD | AGGREGATE, false},
	{"mode", LOAD, false},
	{"order_by", LOAD, false},
	{"on_delete", LOAD, false},
	{"update_columns", LOAD, false},
	{"ignore_null_columns", LOAD, false},
	{"track", LOAD, false},
	{"surrogate_key", LOAD, false},
	{"dimension_keys", LOAD, false},
	{"incremental", LOAD | AGGREGATE, false},
	{"read_window", LOAD, false},
	{"event_time", LOAD | AGGREGATE, false},
	{"late_window", LOAD | AGGREGATE, false},
	{"late_policy", LOAD, false},
	{"keep_undo", LOAD | AGGREGATE, false},
	{"command", SQL, true},
	{"type", CHECK, true},
	{"expression", CHECK, false},
	{"warn", CHECK, false},
	{"fail", CHECK, false},
	{"gate", CHECK, false},
	{"depends_on", ALL, false},
	{"retry_delays", ALL, false},
	{"timeout", ALL, false},
	{"trigger_rule", ALL, false},
	{"priority", ALL, false},
	{"pool", ALL, false},
	{"pool_slots", ALL, false},
	{"retry_on", ALL, false},
	{"owner", ALL, false},
	{"tags", ALL, false},
	{"description", ALL, false},
	{"enabled", ALL, false},
};

/* find_option returns the option of that name, or NULL. */
static const Option *
find_option(const char *name)
{
	for (int i = 0; i < lengthof(options); i++)
		if (strcmp(options[i].name, name) == 0)
			return &options[i];
	return NULL;
}

/* with_member returns a definition with one more member, a string. */
static Jsonb *
with_member(Jsonb *definition, const char *name, const char *value)
{
	Datum argument[] = {CStringGetTextDatum(name), CStringGetTextDatum(value)};
	EtlNames none = {0, NULL};
	ArrayType *pair;
	Datum object;

	pair = construct_array(argument, 2, TEXTOID, -1, false, TYPALIGN_INT);
	object = DirectFunctionCall1(jsonb_object, PointerGetDatum(pair));
	return etl_define_overlay(definition, DatumGetJsonbP(object), &none);
}

/* parse_definition makes a task from arguments; type and owner have names or values that the table does not have. */
static EtlTask *
parse_definition(Jsonb *definition, const char *kind, const char *type)
{
	char *owner[] = {"owner"};
	EtlNames names = {1, owner};

	definition = etl_define_overlay(definition, definition, &names);
	definition = with_member(definition, "kind", kind);
	if (type != NULL)
		definition = with_member(definition, "check_type", type);
	return etl_task_parse(definition);
}

/* check_chunk_rows refuses 0, which would be taken for a chunk_rows that was not given. Errors: 22023. */
static void
check_chunk_rows(FunctionCallInfo fcinfo)
{
	Datum value;

	if (etl_args_find(fcinfo, "chunk_rows", &value) && DatumGetInt32(value) == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("chunk_rows is out of range"),
						errdetail("It is 0."), errhint("It must be between 1 and 100000000.")));
}

/* add_task adds a task of a kind with the arguments of the call. */
static Datum
add_task(FunctionCallInfo fcinfo, EtlTaskKind kind)
{
	EtlPipeline *pipeline = etl_pipeline_get(etl_args_required(fcinfo, "pipeline"));
	char *type = kind == ETL_TASK_CHECK ? etl_args_required(fcinfo, "type") : NULL;
	char *owner = etl_args_text(fcinfo, "owner");
	EtlTask *task;
	List *problems;
	int64 task_id;

	(void) etl_args_required(fcinfo, "name");
	for (int i = 0; i < lengthof(options); i++)
		if (options[i].required && (options[i].kinds & (1 << kind)) != 0)
			(void) etl_args_required(fcinfo, options[i].name);
	if (kind == ETL_TASK_EXTRACT)
		check_chunk_rows(fcinfo);
	task = parse_definition(etl_args_object(fcinfo), etl_task_kind_name(kind), type);
	task->pipeline_id = pipeline->pipeline_id;
	task->owner = owner ? etl_define_owner(owner) : InvalidOid;
	task->search_path = etl_define_search_path();
	if (etl_task_find(pipeline->pipeline_id, task->name) != NULL)
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
						errmsg("pipeline \"%s\" has a task \"%s\" already", pipeline->name, task->name),
						errdetail("The names of tasks are unique in a pipeline."),
						errhint("etl.alter_task changes it, etl.drop_task removes it.")));
	etl_define_task(pipeline, task);
	problems = etl_define_publish_problems(pipeline);
	task_id = etl_task_insert(task);
	etl_reference_store(pipeline, task, task_id);
	etl_define_edges(pipeline);
	etl_define_check_publication(pipeline, problems);
	PG_RETURN_INT64(task_id);
}

/* etl.add_extract(pipeline, name, source, target, ...) RETURNS bigint */
Datum
etl_add_extract(PG_FUNCTION_ARGS)
{
	return add_task(fcinfo, ETL_TASK_EXTRACT);
}

/* etl.add_load(pipeline, name, query, target, ...) RETURNS bigint */
Datum
etl_add_load(PG_FUNCTION_ARGS)
{
	return add_task(fcinfo, ETL_TASK_LOAD);
}

/* etl.add_aggregate(pipeline, name, query, target, key, ...) RETURNS bigint */
Datum
etl_add_aggregate(PG_FUNCTION_ARGS)
{
	return add_task(fcinfo, ETL_TASK_AGGREGATE);
}

/* etl.add_sql(pipeline, name, command, ...) RETURNS bigint */
Datum
etl_add_sql(PG_FUNCTION_ARGS)
{
	return add_task(fcinfo, ETL_TASK_SQL);
}

/* etl.add_check(pipeline, name, target, type, ...) RETURNS bigint */
Datum
etl_add_check(PG_FUNCTION_ARGS)
{
	return add_task(fcinfo, ETL_TASK_CHECK);
}

/* check_applicable makes sure that the options given exist for the task's kind. Errors: 22023. */
static void
check_applicable(FunctionCallInfo fcinfo, const EtlTask *task, const EtlNames *reset)
{
	Datum value;

	for (int i = 0; i < lengthof(options); i++)
		if ((options[i].kinds & (1 << task->kind)) == 0 && etl_args_find(fcinfo, options[i].name, &value))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("%s is no option of task \"%s\"", options[i].name, task->name),
							errdetail("Its kind is %s.", etl_task_kind_name(task->kind)),
							errhint("Leave %s out.", options[i].name)));
	for (int i = 0; i < reset->n; i++)
	{
		const Option *option = find_option(reset->name[i]);

		if (option == NULL || option->required || (option->kinds & (1 << task->kind)) == 0)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("%s cannot be reset for task \"%s\"", reset->name[i], task->name),
							errdetail("Its kind is %s, and only options that have a default can be reset.",
									  etl_task_kind_name(task->kind)),
							errhint("Name options of that kind in reset, or pass a new value instead.")));
	}
}

/* changes_meaning says whether the call passes text whose names have to be read with the caller's search_path. */
static bool
changes_meaning(FunctionCallInfo fcinfo)
{
	static const char *const texts[] = {"source",  "target",	 "query", "dimension_keys",
										"command", "expression", "filter"};
	Datum value;

	for (int i = 0; i < lengthof(texts); i++)
		if (etl_args_find(fcinfo, texts[i], &value))
			return true;
	return false;
}

/* rename_in replaces a name in a list; false if it is not there. */
static bool
rename_in(EtlNames *names, const char *from, char *to)
{
	bool found = false;

	for (int i = 0; i < names->n; i++)
		if (strcmp(names->name[i], from) == 0)
		{
			names->name[i] = to;
			found = true;
		}
	return found;
}

/* follow_rename changes the tasks that name a renamed one. */
static void
follow_rename(const EtlPipeline *pipeline, const char *from, char *to)
{
	EtlTaskList tasks = etl_task_list(pipeline->pipeline_id);

	for (int i = 0; i < tasks.n; i++)
	{
		EtlTask *task = tasks.task[i];
		bool changed = rename_in(&task->depends_on, from, to);

		if (task->gate != NULL && strcmp(task->gate, from) == 0)
		{
			task->gate = to;
			changed = true;
		}
		if (changed)
			etl_task_update(task);
	}
}

/* differs compares two strings of which both may be missing. */
static bool
differs(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a != b : strcmp(a, b) != 0;
}

/* same_names compares two lists of names. */
static bool
same_names(const EtlNames *a, const EtlNames *b)
{
	if (a->n != b->n)
		return false;
	for (int i = 0; i < a->n; i++)
		if (strcmp(a->name[i], b->name[i]) != 0)
			return false;
	return true;
}

/* exists says whether the table that a task writes is there. */
static bool
exists(const char *target)
{
	return target == NULL ||
		   OidIsValid(RangeVarGetRelid(makeRangeVarFromNameList(etl_compat_qualified_name(target)), NoLock, true));
}

/* etl.alter_task(pipeline, name, ...) RETURNS void */
Datum
etl_alter_task(PG_FUNCTION_ARGS)
{
	EtlPipeline *pipeline = etl_pipeline_get(etl_args_required(fcinfo, "pipeline"));
	EtlTask *old = etl_define_find_task(pipeline, etl_args_required(fcinfo, "name"));
	EtlNames reset = etl_args_names(fcinfo, "reset");
	char *owner = etl_args_text(fcinfo, "owner");
	char *type = etl_args_text(fcinfo, "type");
	char *new_name = NULL;
	bool had_target = exists(old->target);
	EtlTask *task;
	List *problems;

	check_applicable(fcinfo, old, &reset);
	check_chunk_rows(fcinfo);
	task = parse_definition(etl_define_overlay(etl_task_definition(old->task_id), etl_args_object(fcinfo), &reset),
							etl_task_kind_name(old->kind), type);
	task->task_id = old->task_id;
	task->pipeline_id = pipeline->pipeline_id;
	task->owner = owner ? etl_define_owner(owner) : old->owner;
	for (int i = 0; i < reset.n; i++)
		if (strcmp(reset.name[i], "owner") == 0)
			task->owner = InvalidOid;
	if (changes_meaning(fcinfo))
		task->search_path = etl_define_search_path();
	etl_define_task(pipeline, task);
	if (etl_args_text(fcinfo, "new_name") != NULL)
	{
		new_name = etl_args_required(fcinfo, "new_name");
		if (etl_task_find(pipeline->pipeline_id, new_name) != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("pipeline \"%s\" has a task \"%s\" already", pipeline->name, new_name),
					 errdetail("The names of tasks are unique in a pipeline."), errhint("Choose another new_name.")));
		task->name = new_name;
	}
	problems = etl_define_publish_problems(pipeline);
	etl_task_update(task);
	etl_reference_store(pipeline, task, task->task_id);
	/* A watermark of another column, or positions of another or a lost target, would leave rows out. */
	if (!had_target || differs(task->source, old->source) || differs(task->cursor_column, old->cursor_column) ||
		differs(task->target, old->target))
		etl_task_forget_progress(task->task_id);
	else if (!same_names(&task->primary_key, &old->primary_key))
		etl_extract_progress_abandon(task->task_id);
	/* Groups that nothing touches would stay as the old query made them. */
	if (task->kind == ETL_TASK_AGGREGATE && (differs(task->query, old->query) || !same_names(&task->key, &old->key)))
		etl_consumed_forget(task->task_id);
	/* Whoever freezes the columns means those that are there now. */
	if (differs(task->source, old->source) ||
		(etl_args_text(fcinfo, "schema_drift") != NULL && strcmp(task->schema_drift, "freeze") == 0))
		etl_source_schema_forget(task->task_id);
	if (new_name != NULL)
		follow_rename(pipeline, old->name, new_name);
	etl_define_edges(pipeline);
	etl_define_check_publication(pipeline, problems);
	PG_RETURN_VOID();
}

/* etl.drop_task(pipeline, name) RETURNS void */
Datum
etl_drop_task(PG_FUNCTION_ARGS)
{
	EtlPipeline *pipeline = etl_pipeline_get(etl_args_required(fcinfo, "pipeline"));
	EtlTask *task = etl_define_find_task(pipeline, etl_args_required(fcinfo, "name"));
	EtlTaskList tasks = etl_task_list(pipeline->pipeline_id);

	for (int i = 0; i < tasks.n; i++)
	{
		const EtlTask *other = tasks.task[i];
		bool named = other->gate != NULL && strcmp(other->gate, task->name) == 0;

		for (int j = 0; j < other->depends_on.n; j++)
			named = named || strcmp(other->depends_on.name[j], task->name) == 0;
		if (named)
			ereport(ERROR, (errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
							errmsg("task \"%s\" cannot be dropped", task->name),
							errdetail("Task \"%s\" names it in depends_on or gate.", other->name),
							errhint("Change or drop that task first.")));
	}
	etl_task_delete(task->task_id);
	etl_define_edges(pipeline);
	PG_RETURN_VOID();
}
