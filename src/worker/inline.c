/*
 * inline.c
 *		mode => 'inline': a whole run in the caller's transaction, one task after the other, as their owners.
 *
 * All or nothing: the first failure is an error, and nothing of the run remains. There are no retries.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pipeline.h"
#include "errors.h"
#include "miscadmin.h"
#include "observe/live.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker/advance.h"
#include "worker/context.h"
#include "worker/inline.h"
#include "worker/publish.h"
#include "worker/serve.h"
#include "worker/siblings.h"
#include "worker/transition.h"
#include "worker/wait.h"

/*
 * run_as_owner does the work of an attempt with the rights of the task's owner. What a task SETs ends with it: its
 * search_path must not stay in the session of the caller, who may have more rights.
 */
static EtlTaskState
run_as_owner(EtlWork *work)
{
	EtlTaskState state;
	Oid user;
	int sec_context;
	int level = NewGUCNestLevel();

	GetUserIdAndSecContext(&user, &sec_context);
	SetUserIdAndSecContext(work->attempt.task->owner, sec_context | SECURITY_LOCAL_USERID_CHANGE);
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
	PushActiveSnapshot(GetTransactionSnapshot());
	state = etl_work_run(work);
	PopActiveSnapshot();
	AtEOXact_GUC(false, level);
	SetUserIdAndSecContext(user, sec_context);
	return state;
}

/* run_work does the work of one task. Errors: whatever the task raises; ZE003 for a failed check. */
static void
run_work(EtlPublish *publish, const EtlRunInfo *info)
{
	EtlWork *work = publish->work[publish->at];
	EtlTaskState state;

	work->attempt.is_inline = true;
	work->attempt.is_published = publish->n > 1;
	etl_siblings_find(publish, info);
	etl_usage_start(&work->attempt.meter);
	state = publish->state[publish->at] = run_as_owner(work);
	etl_live_read(&work->attempt.meter);
	if (state == ETL_TASK_FAILED)
		ereport(ERROR, (errcode(ERRCODE_ETL_CHECK_FAILED),
						errmsg("check \"%s\" failed: %s", work->attempt.task->name, work->result[0]->message),
						errdetail("The run was inline, so everything that it had done was rolled back.")));
	CommandCounterIncrement();
}

/* add_works adds a task, or all that are published with it. */
static EtlPublish *
add_works(const EtlAdvance *advance, int node, const EtlRunInfo *info)
{
	const EtlRun *run = advance->run;
	EtlPublish *publish = etl_publish_make(run->tasks.n);

	if (!etl_publication_has(run->publication, node))
		etl_publish_add(publish, run->tasks.task[node], info, advance->current[node].task_run_id);
	else
		for (int i = 0; i < run->publication->n; i++)
		{
			int member = run->publication->member[i];

			if (advance->current[member].state == ETL_TASK_RUNNING)
				etl_publish_add(publish, run->tasks.task[member], info, advance->current[member].task_run_id);
		}
	/* An error takes them along. */
	for (int i = 0; i < publish->n; i++)
		MemoryContextSetParent(publish->work[i]->attempt.context, CurTransactionContext);
	return publish;
}

/* run_task does a task, or all that are published with it, and records how it ended. Errors: those of run_work. */
static void
run_task(const EtlAdvance *advance, int node, const EtlRunInfo *info)
{
	EtlPublish *publish = add_works(advance, node, info);

	for (publish->at = 0; publish->at < publish->n; publish->at++)
		run_work(publish, info);
	etl_publish_finish(publish);
	CommandCounterIncrement();
	for (int i = 0; i < publish->n; i++)
		MemoryContextDelete(publish->work[i]->attempt.context);
}

/* report_tasks tells of the tasks that have ended and were not told of; n_told counts them. */
static void
report_tasks(int64 run_id, Datum *told, int *n_told)
{
	EtlTaskEnd *end;
	int n = etl_task_run_ended(run_id, 0, told, *n_told, &end);

	for (int i = 0; i < n; i++)
	{
		etl_wait_report_task(&end[i]);
		told[(*n_told)++] = Int64GetDatum(end[i].task_run_id);
	}
}

/*
 * check_owners makes sure that the caller is the owner of every task. What a task leaves for the end of the transaction -
 * deferred triggers, cursors WITH HOLD - happens with the rights of whoever is current then, which must be its owner.
 */
static void
check_owners(const EtlRun *run)
{
	for (int i = 0; i < run->tasks.n; i++)
	{
		const EtlTask *task = run->tasks.task[i];

		if (task->owner == GetUserId())
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("task \"%s\" can run inline only as its owner", task->name),
				 errdetail(
					 "It belongs to role \"%s\", and what it defers to the end of the transaction would run as \"%s\".",
					 task->owner_name, GetUserNameFromId(GetUserId(), false)),
				 errhint("SET ROLE %s first, or leave out mode => 'inline'.", task->owner_name)));
	}
}

/* start_best starts the ready task of the highest priority; false if none is ready. */
static bool
start_best(EtlAdvance *advance, int *node)
{
	const EtlTaskList *tasks = &advance->run->tasks;
	int best = -1;

	for (int i = 0; i < tasks->n; i++)
		if (advance->current[i].state == ETL_TASK_READY &&
			(best < 0 || tasks->task[i]->priority > tasks->task[best]->priority))
			best = i;
	*node = best;
	return best >= 0 && etl_advance_start(advance, best);
}

/* run_all does the tasks of a run, each as soon as what it depends on has ended. */
static void
run_all(EtlAdvance *advance, const EtlRunInfo *info)
{
	int64 run_id = advance->run->run_id;
	Datum *told = palloc(sizeof(Datum) * Max(advance->run->tasks.n, 1));
	int n_told = 0;
	int node;

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		advance->current = etl_task_run_current(run_id, &advance->run->tasks);
		etl_advance_run(advance);
		if (advance->ended || !start_best(advance, &node))
			break;
		run_task(advance, node, info);
		report_tasks(run_id, told, &n_told);
	}
	report_tasks(run_id, told, &n_told);
}

/* etl_inline_run creates a run and does it. Returns its number. */
int64
etl_inline_run(const EtlRequest *request)
{
	EtlAdvance advance = {0};
	EtlRunState state;
	EtlRunInfo info;
	Jsonb *object = etl_request_make(request);
	int64 run_id = etl_run_create(object, GetUserId(), &state);

	etl_serve_note_run(object, GetUserId(), run_id);
	if (state == ETL_RUN_SKIPPED)
	{
		etl_wait_raise(run_id, request->pipeline, state);
		return run_id;
	}
	(void) etl_transition_run(run_id, ETL_RUN_QUEUED, ETL_RUN_RUNNING, NULL);
	advance.run = etl_run_load(run_id);
	check_owners(advance.run);
	/* Parallel workers tell there what they have used. */
	if (etl_live_mine() == NULL)
		(void) etl_live_make(0);
	etl_run_info(run_id, &info);
	etl_context_set(&info);
	PG_TRY();
	{
		run_all(&advance, &info);
	}
	PG_FINALLY();
	{
		etl_context_set(NULL);
	}
	PG_END_TRY();
	return run_id;
}
