/*
 * watermark_api.c
 *		The SQL function that moves a watermark by hand.
 */
#include "postgres.h"

#include "access/access.h"
#include "api/args.h"
#include "api/define.h"
#include "catalog/audit_log.h"
#include "catalog/extract_progress.h"
#include "catalog/pipeline.h"
#include "catalog/task.h"
#include "catalog/watermark.h"
#include "miscadmin.h"
#include "source/relation.h"
#include "source/value.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(etl_set_watermark);

/* get_extract returns the extract to change. Errors: 42704, 22023 when it has no watermark. */
static EtlTask *
get_extract(const EtlPipeline *pipeline, const char *name)
{
	EtlTask *task = etl_define_find_task(pipeline, name);

	if (task->kind != ETL_TASK_EXTRACT || task->cursor_column == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("task \"%s\" has no watermark", name),
						task->kind != ETL_TASK_EXTRACT
							? errdetail("Its kind is %s.", etl_task_kind_name(task->kind))
							: errdetail("It has no cursor_column, so that it reads everything each time."),
						errhint("Only extracts with a cursor_column have one.")));
	return task;
}

/* cursor_type returns the type of an extract's cursor. Errors: 42P01, 42703. */
static Oid
cursor_type(const EtlTask *task)
{
	Oid relid = etl_relation_find(task->source);
	const EtlColumn *column;

	if (!OidIsValid(relid))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("source %s does not exist", task->source),
						errdetail("It was there when the task was defined."),
						errhint("Create it again, or name another one with etl.alter_task.")));
	column = etl_relation_column(etl_relation_describe(relid, &task->columns), task->cursor_column);
	if (column == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						errmsg("source %s has no column \"%s\"", task->source, task->cursor_column),
						errdetail("It was there when the task was defined."),
						errhint("Name another cursor_column with etl.alter_task.")));
	return column->type;
}

/* read_value makes a value of the cursor's type; the error of a bad one gets a hint. */
static Datum
read_value(Oid type, const EtlTask *task, char *text)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile Datum value = 0;
	Oid input;
	Oid ioparam;

	getTypeInputInfo(type, &input, &ioparam);
	PG_TRY();
	{
		value = OidInputFunctionCall(input, text, ioparam, -1);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		if (error->hint == NULL)
			error->hint = psprintf("The cursor_column \"%s\" is of type %s.", task->cursor_column,
								   format_type_be(type));
		ReThrowError(error);
	}
	PG_END_TRY();
	return value;
}

/* normal_form returns a value as etl.watermark stores it; it is read with the settings of the caller. */
static char *
normal_form(Oid type, const EtlTask *task, char *text)
{
	Datum value = read_value(type, task, text);
	char *result;
	bool varlena;
	Oid output;
	int level;

	if (!etl_value_is_finite(type, value))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s cannot be a watermark", text),
						errdetail("Nothing would ever be above it, or everything."),
						errhint("NULL lets the next run read everything.")));
	level = NewGUCNestLevel();
	etl_value_pin_settings();
	getTypeOutputInfo(type, &output, &varlena);
	result = OidOutputFunctionCall(output, value);
	AtEOXact_GUC(false, level);
	return result;
}

/*
 * as_owner returns the type of the cursor and the value in its normal form, with the rights of the task's owner: who may move a
 * watermark need not see the source, and must not execute functions of it. Errors: 55006 while the extract is running.
 */
static Oid
as_owner(const EtlPipeline *pipeline, const EtlTask *task, char **value)
{
	EtlRole role;
	Oid type;

	etl_define_become(&role, etl_define_task_owner(pipeline, task), task->search_path);
	/* First: a running extract may itself wait for the source. */
	etl_define_refuse_running(task, "the watermark");
	type = cursor_type(task);
	if (*value)
		*value = normal_form(type, task, *value);
	etl_define_return(&role);
	return type;
}

/* etl.set_watermark(pipeline, task, value, reason) RETURNS void */
Datum
etl_set_watermark(PG_FUNCTION_ARGS)
{
	EtlPipeline *pipeline = etl_access_pipeline(etl_args_required(fcinfo, "pipeline"), ETL_LEVEL_OPERATOR);
	EtlTask *task = get_extract(pipeline, etl_args_required(fcinfo, "task"));
	char *value = etl_args_text(fcinfo, "value");
	char *reason = etl_args_text(fcinfo, "reason");
	Oid type;
	EtlAuditDetail details[3] = {{.name = "old_value"}, {.name = "new_value"}, {.name = "reason"}};

	type = as_owner(pipeline, task, &value);
	details[0].value = etl_watermark_get(task->task_id, type).value;
	details[1].value = value;
	details[2].value = reason;
	etl_extract_progress_abandon(task->task_id);
	etl_watermark_set(task->task_id, type, value, GetUserId(), reason ? reason : "set_watermark");
	etl_audit_log_insert(GetUserId(), "set_watermark", pipeline, task->name, details, lengthof(details));
	PG_RETURN_VOID();
}
