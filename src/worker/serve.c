/*
 * serve.c
 *		What the worker that got a request does for it, in one transaction: create a run, create what is due, reopen a run.
 */
#include "postgres.h"

#include "catalog/audit_log.h"
#include "catalog/member.h"
#include "catalog/pipeline.h"
#include "catalog/rollback.h"
#include "catalog/run.h"
#include "notify/alert.h"
#include "schedule/due.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"
#include "worker/request.h"
#include "worker/serve.h"
#include "worker/transition.h"

/* find_run returns the pipeline and the state of a run that is to be reopened. Errors: 42704, 42501, 55000, ZE006. */
static EtlPipeline *
find_run(int64 run_id, Oid caller, EtlRunState *state)
{
	char *name = etl_run_pipeline_name(run_id);
	/* Locked before its state is read: of two who want to reopen it only one may. */
	EtlPipeline *pipeline = name ? etl_run_pipeline_for(name, caller) : NULL;

	if (pipeline == NULL || !etl_run_state(run_id, state, NULL))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("run " INT64_FORMAT " does not exist", run_id),
						errdetail("It was never created, or its pipeline was dropped."),
						errhint("SELECT run_id, state FROM etl.run_status lists the runs.")));
	if (!etl_state_run_may(*state, ETL_RUN_QUEUED))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("run " INT64_FORMAT " cannot be retried", run_id),
						errdetail("Its state is %s.", etl_state_run_name(*state)),
						errhint("Runs that are failed, cancelled or warning can be retried; etl.run_pipeline starts a "
								"new run.")));
	if (etl_rollback_done(run_id) != NULL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("run " INT64_FORMAT " cannot be retried", run_id),
						errdetail("It was rolled back at %s.", etl_rollback_done(run_id)),
						errhint("etl.run_pipeline starts a new run.")));
	return pipeline;
}

/* note writes to the audit log that somebody has asked for a run. */
static void
note(Jsonb *request, const char *action, Oid caller, const EtlPipeline *pipeline, int64 run_id)
{
	EtlAuditSession session = etl_audit_log_pull(request);
	EtlAuditDetail detail[] = {{.name = "run_id", .value = psprintf(INT64_FORMAT, run_id)}};
	EtlAuditEntry entry = {.role = caller, .action = action, .session = &session, .detail = detail, .n_details = 1};

	entry.pipeline_id = pipeline->pipeline_id;
	entry.pipeline = pipeline->name;
	etl_audit_log_add(&entry);
}

/* etl_serve_note_run writes down a new run. */
void
etl_serve_note_run(Jsonb *request, Oid caller, int64 run_id)
{
	EtlPipeline *pipeline = etl_pipeline_find(etl_member_text(request, "pipeline"), false);

	note(request, etl_member_text(request, "is_replay") ? "replay" : "run_pipeline", caller, pipeline, run_id);
}

/* retry reopens a run for the tasks that did not succeed. Errors: those of find_run, 55000 when there is no such task. */
static int64
retry(Jsonb *request, Oid caller, EtlRunState *state)
{
	int64 run_id = etl_member_int64(request, "run_id");
	EtlRunState from;
	EtlPipeline *pipeline = find_run(run_id, caller, &from);
	bool latest = strcmp(etl_member_text(request, "latest"), "true") == 0;

	*state = ETL_RUN_QUEUED;
	if (!etl_transition_run(run_id, from, ETL_RUN_QUEUED, NULL))
		elog(ERROR, "run " INT64_FORMAT " is not %s any more", run_id, etl_state_run_name(from));
	if (etl_run_reopen(pipeline->pipeline_id, run_id, latest, etl_member_int64(request, "waiter")) == 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("run " INT64_FORMAT " has nothing to retry", run_id),
						errdetail("None of its tasks failed, was skipped or cancelled."),
						errhint("etl.run_pipeline starts a new run.")));
	note(request, "retry_run", caller, pipeline, run_id);
	return run_id;
}

/* create creates a new run, and tells whoever wants to hear of it that it was skipped. */
static int64
create(Jsonb *request, Oid caller, EtlRunState *state)
{
	int64 run_id = etl_run_create(request, caller, state);

	etl_serve_note_run(request, caller, run_id);
	if (*state == ETL_RUN_SKIPPED)
		etl_alert_run(ETL_ALERT_RUN_SKIPPED, run_id, NULL);
	return run_id;
}

/*
 * etl_serve does what a request, as etl_request_make writes it, asks for in the current transaction, with the rights of the
 * role that asks. Returns the number of the run, 0 if there is none, and its state. Errors: those of etl_run_create,
 * etl_due_fire and retry.
 */
int64
etl_serve(Jsonb *request, Oid caller, EtlRunState *state)
{
	*state = ETL_RUN_SKIPPED;
	switch ((EtlRequestKind) etl_member_int64(request, "kind"))
	{
		case ETL_REQUEST_RUN:
			return create(request, caller, state);
		case ETL_REQUEST_DUE:
			return etl_due_fire(etl_member_text(request, "pipeline"), caller, etl_member_int64(request, "waiter"),
								GetCurrentTimestamp(), state);
		case ETL_REQUEST_RETRY:
			return retry(request, caller, state);
		case ETL_REQUEST_RECOVER:
			return 0;
	}
	pg_unreachable();
}
