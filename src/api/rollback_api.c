/*
 * rollback_api.c
 *		etl.rollback_run: takes a run back.
 *
 * Everything happens in the caller's transaction. Targets are written with the rights of the tasks' owners. Where that is not the
 * caller, nothing of it may be left for the end of the transaction, when the rights are those of the caller: deferred triggers are
 * made immediate, and what else would wait is refused by PostgreSQL (security-restricted operation).
 */
#include "postgres.h"

#include "api/args.h"
#include "api/define.h"
#include "api/run_api.h"
#include "catalog/audit_log.h"
#include "catalog/pipeline.h"
#include "catalog/rollback.h"
#include "catalog/run.h"
#include "catalog/undo_table.h"
#include "funcapi.h"
#include "load/target.h"
#include "load/undo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"

PG_FUNCTION_INFO_V1(etl_rollback_run);

/* One call. */
typedef struct Rollback
{
	int64 run_id;
	bool dry_run;
	EtlPipeline *pipeline;
	int n;
	EtlUndo *undo;
	EtlTask **task; /* of each undo */
} Rollback;

/* refuse raises the error that says why a run cannot be taken back. */
static void
refuse(const Rollback *rollback, const char *detail, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("run " INT64_FORMAT " cannot be rolled back", rollback->run_id), errdetail("%s", detail),
					errhint("%s", hint)));
}

/* check_history refuses what the states of the runs do not allow. */
static void
check_history(const Rollback *rollback)
{
	int64 active = etl_rollback_active(rollback->pipeline->pipeline_id);
	char *done = etl_rollback_done(rollback->run_id);
	char *later;

	if (done != NULL)
		refuse(rollback, psprintf("It was rolled back at %s.", done), "etl.run_status shows which runs stand.");
	if (active == rollback->run_id)
		refuse(rollback, "It is active.",
			   psprintf("Wait for it with etl.wait_for_run(" INT64_FORMAT "), or end it with etl.cancel_run.", active));
	if (active != 0)
		refuse(rollback, psprintf("Run " INT64_FORMAT " of its pipeline is active.", active),
			   psprintf("Wait for it with etl.wait_for_run(" INT64_FORMAT "), or end it with etl.cancel_run.", active));
	later = etl_rollback_later(rollback->run_id);
	if (later != NULL)
		refuse(rollback, psprintf("Later runs have changed or read what it wrote:\n%s", later),
			   "Roll these back first, the latest one first.");
}

/* check_kept refuses a run of which something was not kept. */
static void
check_kept(const Rollback *rollback)
{
	char *unkept = etl_rollback_unkept(rollback->run_id);

	if (unkept != NULL)
		refuse(rollback, psprintf("There is no undo of it, or no longer, of these tasks: %s.", unkept),
			   "etl.alter_task(..., keep_undo => '7 days') lets a load or aggregate keep it in later runs.");
	for (int i = 0; i < rollback->n; i++)
	{
		const EtlUndo *undo = &rollback->undo[i];

		if (undo->lost == NULL && !undo->has_expired)
			continue;
		if (undo->lost != NULL)
			refuse(rollback,
				   psprintf("What was kept of task \"%s\" cannot be used: %s.", undo->task ? undo->task : undo->target,
							undo->lost),
				   "etl.replay rebuilds a target from the raw tables.");
		refuse(rollback, psprintf("What was kept of task \"%s\" has expired.", undo->task),
			   "A longer keep_undo keeps it longer; etl.replay rebuilds a target from the raw tables.");
	}
}

/* find_tasks finds the tasks of now, whose owners' rights are used, and what the catalog tells of their targets. */
static void
find_tasks(Rollback *rollback)
{
	Oid caller = GetUserId();

	rollback->task = palloc0(sizeof(EtlTask *) * Max(rollback->n, 1));
	for (int i = 0; i < rollback->n; i++)
	{
		EtlUndo *undo = &rollback->undo[i];
		EtlTask *task = etl_define_find_task(rollback->pipeline, undo->task);

		task->owner = etl_define_task_owner(rollback->pipeline, task);
		rollback->task[i] = task;
		if (OidIsValid(undo->relation) && !has_privs_of_role(caller, task->owner))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied for task \"%s\"", task->name),
					 errdetail("Its target is put back with the rights of role \"%s\".",
							   GetUserNameFromId(task->owner, true)),
					 errhint("Ask for membership in that role.")));
		if (!OidIsValid(undo->relation))
			continue;
		etl_undo_table_grant(undo->task_id, task->owner);
		etl_undo_table_analyze(undo->task_id);
	}
}

/* restore_target puts one target back as the owner of its task. */
static EtlUndoResult
restore_target(const Rollback *rollback, const EtlUndo *undo, Oid owner)
{
	int level = NewGUCNestLevel();
	const char *mismatch;
	EtlUndoResult result;
	int sec_context;
	Oid user;

	GetUserIdAndSecContext(&user, &sec_context);
	if (user != owner)
		SetUserIdAndSecContext(owner, sec_context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	etl_target_lock(undo->relation);
	mismatch = etl_undo_mismatch(undo);
	if (mismatch != NULL)
		refuse(rollback, psprintf("What was kept of task \"%s\" cannot be used: %s.", undo->task, mismatch),
			   "etl.replay rebuilds a target from the raw tables.");
	result = etl_undo_restore(undo, rollback->run_id, rollback->dry_run);
	SetUserIdAndSecContext(user, sec_context);
	AtEOXact_GUC(false, level);
	return result;
}

/* restore_targets puts all of them back and writes a row for each. */
static void
restore_targets(const Rollback *rollback, ReturnSetInfo *rows)
{
	for (int i = 0; i < rollback->n; i++)
	{
		const EtlUndo *undo = &rollback->undo[i];
		bool null[4] = {false, false, false, false};
		EtlUndoResult result;
		Datum value[4];

		CHECK_FOR_INTERRUPTS();
		if (!OidIsValid(undo->relation))
			continue;
		result = restore_target(rollback, undo, rollback->task[i]->owner);
		value[0] = CStringGetTextDatum(undo->task);
		value[1] = CStringGetTextDatum(undo->target);
		value[2] = Int64GetDatum(result.restored);
		value[3] = Int64GetDatum(result.removed);
		tuplestore_putvalues(rows->setResult, rows->setDesc, value, null);
	}
}

/* restore_positions moves watermarks and positions of loads back. */
static void
restore_positions(const Rollback *rollback)
{
	for (int i = 0; i < rollback->n; i++)
	{
		const EtlUndo *undo = &rollback->undo[i];

		if (rollback->task[i]->kind != ETL_TASK_EXTRACT)
			etl_undo_restore_consumed(undo);
		else if (rollback->task[i]->cursor_column != NULL)
		{
			etl_define_refuse_running(rollback->task[i], "the watermark");
			etl_undo_restore_watermark(undo, GetUserId());
		}
	}
}

/* make_immediate lets deferred triggers of the targets fire while their owners' rights are in use. */
static void
make_immediate(const Rollback *rollback)
{
	for (int i = 0; i < rollback->n; i++)
		if (OidIsValid(rollback->undo[i].relation) && rollback->task[i]->owner != GetUserId())
		{
			(void) etl_sql_exec("SET CONSTRAINTS ALL IMMEDIATE", SPI_OK_UTILITY);
			return;
		}
}

/* tell_commands says what is not taken back. */
static void
tell_commands(const Rollback *rollback)
{
	char *commands = etl_rollback_commands(rollback->run_id);

	if (commands != NULL)
		ereport(NOTICE, (errmsg("what tasks of kind sql have done is not taken back: %s", commands)));
}

/* etl.rollback_run(run_id, dry_run) RETURNS TABLE (task, target, restored, removed) */
Datum
etl_rollback_run(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rows = (ReturnSetInfo *) fcinfo->resultinfo;
	Rollback rollback = {0};
	EtlAuditDetail detail[1] = {{.name = "run_id"}};
	Datum value;
	char *name;

	InitMaterializedSRF(fcinfo, 0);
	if (!etl_args_find(fcinfo, "run_id", &value))
		return (Datum) 0;
	rollback.run_id = DatumGetInt64(value);
	rollback.dry_run = etl_args_find(fcinfo, "dry_run", &value) && DatumGetBool(value);
	name = etl_run_api_check(rollback.run_id);
	/* Locked: no run of the pipeline begins meanwhile. */
	rollback.pipeline = etl_pipeline_find(name, true);
	check_history(&rollback);
	rollback.n = etl_undo_list(rollback.run_id, &rollback.undo);
	check_kept(&rollback);
	find_tasks(&rollback);
	make_immediate(&rollback);
	restore_targets(&rollback, rows);
	tell_commands(&rollback);
	if (rollback.dry_run)
		return (Datum) 0;
	restore_positions(&rollback);
	etl_undo_forget_run(rollback.run_id);
	etl_rollback_note(rollback.run_id, GetUserId());
	detail[0].value = psprintf(INT64_FORMAT, rollback.run_id);
	etl_audit_log_insert(GetUserId(), "rollback_run", rollback.pipeline, NULL, detail, lengthof(detail));
	return (Datum) 0;
}
