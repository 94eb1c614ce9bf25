/*
 * replay_api.c
 *		etl.replay: runs one load or aggregate again on what is in the raw tables.
 */
#include "postgres.h"

#include "access/access.h"
#include "api/args.h"
#include "api/define.h"
#include "api/run_api.h"
#include "catalog/pipeline.h"
#include "load/replay.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/timestamp.h"
#include "worker/inline.h"

PG_FUNCTION_INFO_V1(etl_replay);

/* find_pipeline returns the pipeline, unlocked: a worker will lock it. Errors: 42704, 42501. */
static EtlPipeline *
find_pipeline(const char *name)
{
	EtlPipeline *pipeline = etl_pipeline_find(name, false);

	if (pipeline == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("pipeline \"%s\" does not exist", name),
						errdetail("Names are compared letter by letter, upper and lower case differ."),
						errhint("SELECT name FROM etl.pipeline lists the pipelines.")));
	etl_access_check(GetUserId(), pipeline, ETL_LEVEL_OPERATOR);
	return pipeline;
}

/* find_load returns the task. Errors: 42704, 22023 when it is no load. */
static EtlTask *
find_load(const EtlPipeline *pipeline, const char *name)
{
	EtlTask *task = etl_define_find_task(pipeline, name);

	if (task->kind != ETL_TASK_LOAD && task->kind != ETL_TASK_AGGREGATE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("task \"%s\" cannot be replayed", name),
				 errdetail("Its kind is %s.", etl_task_kind_name(task->kind)),
				 errhint("Loads and aggregates can be replayed; an extract is read again after etl.set_watermark.")));
	return task;
}

/* check returns the batch that the replay begins with; 0: from the start. */
static int64
check(const EtlPipeline *pipeline, EtlTask *task, const int64 *from_batch, bool force)
{
	EtlRole role;
	int64 from;

	task->owner = etl_define_task_owner(pipeline, task);
	etl_define_become(&role, task->owner, task->search_path);
	from = etl_replay_check(task, from_batch, force);
	etl_define_return(&role);
	return from;
}

/* is_inline reads the argument mode. */
static bool
is_inline(FunctionCallInfo fcinfo)
{
	char *mode = etl_args_text(fcinfo, "mode");

	if (mode != NULL && strcmp(mode, "inline") != 0 && strcmp(mode, "background") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid mode \"%s\"", mode),
						errdetail("There is no such mode."), errhint("It is one of: background, inline.")));
	return mode != NULL && strcmp(mode, "inline") == 0;
}

/* etl.replay(pipeline, task, from_batch, wait, mode, force) RETURNS bigint */
Datum
etl_replay(PG_FUNCTION_ARGS)
{
	EtlPipeline *pipeline = find_pipeline(etl_args_required(fcinfo, "pipeline"));
	EtlTask *task = find_load(pipeline, etl_args_required(fcinfo, "task"));
	EtlRequest request = {
		.pipeline = pipeline->name, .logical_time = DT_NOBEGIN, .tasks = {1, &task->name}, .is_replay = true};
	int64 from_batch = 0;
	bool is_partial;
	Datum value;

	is_partial = etl_args_find(fcinfo, "from_batch", &value);
	if (is_partial)
		from_batch = DatumGetInt64(value);
	request.force = etl_args_find(fcinfo, "force", &value) && DatumGetBool(value);
	request.is_inline = is_inline(fcinfo);
	request.replay_from = check(pipeline, task, is_partial ? &from_batch : NULL, request.force);
	request.full_refresh = request.replay_from == 0;
	if (request.is_inline)
		PG_RETURN_INT64(etl_inline_run(&request));
	PG_RETURN_INT64(etl_run_api_submit(&request, !etl_args_find(fcinfo, "wait", &value) || DatumGetBool(value)));
}
