/*
 * late_api.c
 *		Late rows by hand: etl.accept_late.
 */
#include "postgres.h"

#include "access/access.h"
#include "api/args.h"
#include "api/define.h"
#include "catalog/audit_log.h"
#include "catalog/pipeline.h"
#include "catalog/run.h"
#include "fmgr.h"
#include "load/late.h"
#include "miscadmin.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(etl_accept_late);

/* check_task makes sure that the rows can be taken by the caller. Errors: 42501. */
static void
check_task(const EtlTask *task)
{
	if (task->owner != GetUserId())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("late rows of task \"%s\" can be taken only as its owner", task->name),
				 errdetail("It belongs to role \"%s\", with whose rights the target is written.", task->owner_name),
				 errhint("SET ROLE %s first.", quote_identifier(task->owner_name))));
}

/* etl.accept_late(run_id) RETURNS bigint */
Datum
etl_accept_late(PG_FUNCTION_ARGS)
{
	int64 run_id = PG_GETARG_INT64(0);
	char *name = etl_run_pipeline_name(run_id);
	EtlPipeline *pipeline;
	EtlTaskList tasks;
	EtlAuditDetail details[2] = {{.name = "run_id", .value = psprintf(INT64_FORMAT, run_id)}, {.name = "rows"}};
	int64 n = 0;

	if (name == NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("run " INT64_FORMAT " does not exist", run_id),
			 errdetail("etl.run has no such row, or its history was deleted."),
			 errhint("SELECT run_id FROM etl.quarantine WHERE error_sqlstate = 'ZE016' shows runs with late rows.")));
	pipeline = etl_access_pipeline(name, ETL_LEVEL_OPERATOR);
	tasks = etl_task_list(pipeline->pipeline_id);
	for (int i = 0; i < tasks.n; i++)
	{
		EtlTask *task = tasks.task[i];
		int64 rows;

		CHECK_FOR_INTERRUPTS();
		if (task->kind != ETL_TASK_LOAD || task->event_time == NULL)
			continue;
		if (!OidIsValid(task->owner))
		{
			task->owner = pipeline->owner;
			task->owner_name = pipeline->owner_name;
		}
		check_task(task);
		rows = etl_late_accept(task, run_id);
		details[1].value = psprintf(INT64_FORMAT, rows);
		if (rows > 0)
			etl_audit_log_insert(GetUserId(), "accept_late", pipeline, task->name, details, lengthof(details));
		n += rows;
	}
	PG_RETURN_INT64(n);
}
