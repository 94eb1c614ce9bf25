/*
 * task_api.c
 *		The SQL functions that define tasks.
 */
#include "postgres.h"

#include "access/access.h"
#include "access/bi.h"
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
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

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
	int kinds;	  /* bits of EtlTaskKind */
	int required; /* those of them for which it has no default, so that it cannot be reset */
} Option;

#define EXTRACT (1 << ETL_TASK_EXTRACT)
#define LOAD (1 << ETL_TASK_LOAD)
#define AGGREGATE (1 << ETL_TASK_AGGREGATE)
#define SQL (1 << ETL_TASK_SQL)
#define CHECK (1 << ETL_TASK_CHECK)
#define ALL (EXTRACT | LOAD | AGGREGATE | SQL | CHECK)

static const Option options[] = {
	{"source", EXTRACT | CHECK, EXTRACT},
	{"target", EXTRACT | LOAD | AGGREGATE | CHECK, EXTRACT | LOAD | AGGREGATE | CHECK},
	{"cursor_column", EXTRACT, 0},
	{"primary_key", EXTRACT, 0},
	{"lag", EXTRACT, 0},
	{"filter", EXTRACT | CHECK, 0},
	{"columns", EXTRACT | CHECK, 0},
	{"chunk_rows", EXTRACT, 0},
	{"chunk_interval", EXTRACT, 0},
	{"slices", EXTRACT, 0},
	{"snapshot_group", EXTRACT, 0},
	{"reader", EXTRACT, 0},
	{"null_cursor", EXTRACT, 0},
	{"zero_dates", EXTRACT, 0},
	{"on_error", EXTRACT, 0},
	{"file_changed", EXTRACT, 0},
	{"deletes", EXTRACT, 0},
	{"delete_scope", EXTRACT, 0},
	{"max_delete_pct", EXTRACT, 0},
	{"schema_drift", EXTRACT, 0},
	{"reconcile", EXTRACT, 0},
	{"on_failure", EXTRACT, 0},
	{"query", LOAD | AGGREGATE | CHECK, LOAD | AGGREGATE},
	{"key", LOAD | AGGREGATE, 0},
	{"mode", LOAD, 0},
	{"order_by", LOAD, 0},
	{"on_delete", LOAD, 0},
	{"update_columns", LOAD, 0},
	{"ignore_null_columns", LOAD, 0},
	{"track", LOAD, 0},
	{"surrogate_key", LOAD, 0},
	{"dimension_keys", LOAD, 0},
	{"incremental", LOAD | AGGREGATE, 0},
	{"read_window", LOAD, 0},
	{"event_time", LOAD | AGGREGATE, 0},
	{"late_window", LOAD | AGGREGATE, 0},
	{"late_policy", LOAD, 0},
	{"keep_undo", LOAD | AGGREGATE, 0},
	{"command", SQL, SQL},
	{"type", CHECK, CHECK},
	{"expression", CHECK, 0},
	{"warn", CHECK, 0},
	{"fail", CHECK, 0},
	{"gate", CHECK, 0},
	{"accepted_values", CHECK, 0},
	{"min_value", CHECK, 0},
	{"max_value", CHECK, 0},
	{"pattern", CHECK, 0},
	{"reference", CHECK, 0},
	{"reference_columns", CHECK, 0},
	{"source_filter", CHECK, 0},
	{"expected", CHECK, 0},
	{"history", CHECK, 0},
	{"min_history", CHECK, 0},
	{"same_weekday", CHECK, 0},
	{"min_change", CHECK, 0},
	{"action", CHECK, 0},
	{"stage", CHECK, 0},
	{"scope", CHECK, 0},
	{"samples", CHECK, 0},
	{"depends_on", ALL, 0},
	{"retry_delays", ALL, 0},
	{"timeout", ALL, 0},
	{"trigger_rule", ALL, 0},
	{"priority", ALL, 0},
	{"pool", ALL, 0},
	{"pool_slots", ALL, 0},
	{"retry_on", ALL, 0},
	{"owner", ALL, 0},
	{"tags", ALL, 0},
	{"description", ALL, 0},
	{"enabled", ALL, 0},
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

/* check_gated refuses a gate by somebody without the rights of the task that it gates: it runs with these. Errors: 42501. */
static void
check_gated(const EtlPipeline *pipeline, const EtlTask *task)
{
	const EtlTask *gated = task->gate ? etl_task_find(pipeline->pipeline_id, task->gate) : NULL;

	if (gated != NULL)
		etl_access_check_code(gated, etl_define_task_owner(pipeline, gated));
}

/* add_task adds a task of a kind with the arguments of the call. */
static Datum
add_task(FunctionCallInfo fcinfo, EtlTaskKind kind)
{
	EtlPipeline *pipeline = etl_access_pipeline(etl_args_required(fcinfo, "pipeline"), ETL_LEVEL_AUTHOR);
	char *type = kind == ETL_TASK_CHECK ? etl_args_required(fcinfo, "type") : NULL;
	char *owner = etl_args_text(fcinfo, "owner");
	EtlTask *task;
	List *problems;
	int64 task_id;

	(void) etl_args_required(fcinfo, "name");
	for (int i = 0; i < lengthof(options); i++)
		if ((options[i].required & (1 << kind)) != 0)
			(void) etl_args_required(fcinfo, options[i].name);
	if (kind == ETL_TASK_EXTRACT)
		check_chunk_rows(fcinfo);
	task = parse_definition(etl_args_object(fcinfo), etl_task_kind_name(kind), type);
	task->pipeline_id = pipeline->pipeline_id;
	/* An author's task runs as the author: nobody but a member of the pipeline's owner may let it run as that. */
	task->owner = owner || !etl_access_is_owner(pipeline) ? etl_define_owner(owner) : InvalidOid;
	task->search_path = etl_define_search_path();
	check_gated(pipeline, task);
	if (etl_task_find(pipeline->pipeline_id, task->name) != NULL)
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
						errmsg("pipeline \"%s\" has a task \"%s\" already", pipeline->name, task->name),
						errdetail("The names of tasks are unique in a pipeline."),
						errhint("etl.alter_task changes it, etl.drop_task removes it.")));
	etl_define_task(pipeline, task);
	problems = etl_define_publish_problems(pipeline);
	task_id = etl_task_insert(task);
	etl_bi_share(pipeline, task);
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

		if (option == NULL || (option->required & (1 << task->kind)) != 0 || (option->kinds & (1 << task->kind)) == 0)
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
	static const char *const texts[] = {"source",	  "target", "query",		 "dimension_keys", "command",
										"expression", "filter", "source_filter", "reference"};
	Datum value;

	for (int i = 0; i < lengthof(texts); i++)
		if (etl_args_find(fcinfo, texts[i], &value))
			return true;
	return false;
}

/* changes_work says whether the call changes what a task does, or as whom, and not only when and how often. */
static bool
changes_work(FunctionCallInfo fcinfo, const EtlNames *reset)
{
	static const char *const harmless[] = {"depends_on", "retry_delays", "timeout", "trigger_rule", "priority", "pool",
										   "pool_slots", "retry_on",	 "tags",	"description",	"enabled",	NULL};
	Datum value;

	for (int i = 0; i < lengthof(options); i++)
	{
		bool changes = etl_args_find(fcinfo, options[i].name, &value);

		for (int j = 0; j < reset->n; j++)
			changes = changes || strcmp(reset->name[j], options[i].name) == 0;
		for (int j = 0; changes && harmless[j] != NULL; j++)
			if (strcmp(harmless[j], options[i].name) == 0)
				changes = false;
		if (changes)
			return true;
	}
	return false;
}

/* check_rights refuses a change by somebody without the rights with which the task runs, before and after. Errors: 42501. */
static void
check_rights(const EtlPipeline *pipeline, const EtlTask *old, const EtlTask *task)
{
	etl_access_check_code(old, etl_define_task_owner(pipeline, old));
	etl_access_check_code(task, etl_define_task_owner(pipeline, task));
	check_gated(pipeline, old);
	check_gated(pipeline, task);
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

/* exists says whether the table that a task writes is there, also for a caller who may not use its schema. */
static bool
exists(const EtlTask *task)
{
	RangeVar *name;
	Oid schema;

	if (task->target == NULL)
		return true;
	name = makeRangeVarFromNameList(etl_compat_qualified_name(task->target));
	if (name->schemaname == NULL)
		return OidIsValid(RangeVarGetRelid(name, NoLock, true));
	schema = get_namespace_oid(name->schemaname, true);
	return OidIsValid(schema) && OidIsValid(get_relname_relid(name->relname, schema));
}

/* etl.alter_task(pipeline, name, ...) RETURNS void */
Datum
etl_alter_task(PG_FUNCTION_ARGS)
{
	EtlPipeline *pipeline = etl_access_pipeline(etl_args_required(fcinfo, "pipeline"), ETL_LEVEL_AUTHOR);
	EtlTask *old = etl_define_find_task(pipeline, etl_args_required(fcinfo, "name"));
	EtlNames reset = etl_args_names(fcinfo, "reset");
	char *owner = etl_args_text(fcinfo, "owner");
	char *type = etl_args_text(fcinfo, "type");
	char *new_name = NULL;
	bool had_target = exists(old);
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
	if (changes_work(fcinfo, &reset))
		check_rights(pipeline, old, task);
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
	{
		etl_task_forget_progress(task->task_id);
		etl_bi_share(pipeline, task);
	}
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
	EtlPipeline *pipeline = etl_access_pipeline(etl_args_required(fcinfo, "pipeline"), ETL_LEVEL_AUTHOR);
	EtlTask *task = etl_define_find_task(pipeline, etl_args_required(fcinfo, "name"));
	EtlTaskList tasks = etl_task_list(pipeline->pipeline_id);

	if (!etl_access_may(GetUserId(), pipeline, ETL_LEVEL_ADMIN))
		etl_access_check_code(task, etl_define_task_owner(pipeline, task));
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
