/*
 * file_api.c
 *		Files of extracts by hand: etl.reload_file and etl.skip_file.
 */
#include "postgres.h"

#include "access/access.h"
#include "api/args.h"
#include "api/define.h"
#include "catalog/audit_log.h"
#include "catalog/file_ledger.h"
#include "catalog/pipeline.h"
#include "catalog/task.h"
#include "feed/feed.h"
#include "miscadmin.h"
#include "source/relation.h"

PG_FUNCTION_INFO_V1(etl_reload_file);
PG_FUNCTION_INFO_V1(etl_skip_file);

/* get_extract finds an extract from files that is not running. */
static EtlTask *
get_extract(EtlPipeline *pipeline, const char *name)
{
	EtlTask *task = etl_define_find_task(pipeline, name);
	const EtlFeedRoutine *feed;
	EtlRole role;
	Oid source;

	etl_define_become(&role, etl_define_task_owner(pipeline, task), task->search_path);
	source = task->kind == ETL_TASK_EXTRACT ? etl_relation_find(task->source) : InvalidOid;
	feed = OidIsValid(source) ? etl_feed_find(etl_relation_describe(source, NULL)->fdw) : NULL;
	if (feed != &etl_s3_feed && feed != &etl_file_feed)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("task \"%s\" reads no files", task->name),
						errdetail("Its source is no table of etl_s3 or etl_file."),
						errhint("SELECT * FROM etl.file_ledger shows the files of all extracts.")));
	etl_define_refuse_running(task, "the files");
	etl_define_return(&role);
	return task;
}

/* record writes who did what. */
static void
record(const char *action, EtlPipeline *pipeline, const EtlTask *task, const char *path, const char *reason)
{
	EtlAuditDetail details[2] = {{.name = "path", .value = path}, {.name = "reason", .value = reason}};

	etl_audit_log_insert(GetUserId(), action, pipeline, task->name, details, lengthof(details));
}

/* etl.reload_file(pipeline, task, path, reason) RETURNS integer */
Datum
etl_reload_file(PG_FUNCTION_ARGS)
{
	EtlPipeline *pipeline = etl_access_pipeline(etl_args_required(fcinfo, "pipeline"), ETL_LEVEL_OPERATOR);
	EtlTask *task = get_extract(pipeline, etl_args_required(fcinfo, "task"));
	char *path = etl_args_required(fcinfo, "path");
	int64 n = etl_file_ledger_forget(task->task_id, path);

	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("file \"%s\" was not read", path),
				 errdetail("etl.file_ledger has no row of it for task \"%s\".", task->name),
				 errhint("The next run reads it by itself, if prefix and pattern of the foreign table name it.")));
	/* What the raw table has of it is to be replaced, as if the file had changed. */
	if (task->file_changed && strcmp(task->file_changed, "replace") == 0)
		etl_file_ledger_leave(task->task_id, path);
	record("reload_file", pipeline, task, path, etl_args_text(fcinfo, "reason"));
	PG_RETURN_INT32((int32) n);
}

/* etl.skip_file(pipeline, task, path, reason) RETURNS void */
Datum
etl_skip_file(PG_FUNCTION_ARGS)
{
	EtlPipeline *pipeline = etl_access_pipeline(etl_args_required(fcinfo, "pipeline"), ETL_LEVEL_OPERATOR);
	EtlTask *task = get_extract(pipeline, etl_args_required(fcinfo, "task"));
	char *path = etl_args_required(fcinfo, "path");
	char *reason = etl_args_text(fcinfo, "reason");

	etl_file_ledger_skip(task->task_id, path, reason ? reason : "etl.skip_file");
	record("skip_file", pipeline, task, path, reason);
	PG_RETURN_VOID();
}
