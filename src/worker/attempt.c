/*
 * attempt.c
 *		One attempt of a task: its steps and what it notes. See attempt.h.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/task_run.h"
#include "errors.h"
#include "miscadmin.h"
#include "fault.h"
#include "pgstat.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "worker/attempt.h"

/*
 * etl_attempt_step commits what was done so far together with its counts, and opens the next step. In an inline run the
 * step only becomes visible to what follows. Errors: ZE004 if the attempt is no longer the current one, so that a
 * worker that was given up as dead cannot commit.
 */
void
etl_attempt_step(EtlAttempt *attempt)
{
	/* See finish() in executor.c. */
	CHECK_FOR_INTERRUPTS();
	if (!etl_task_run_progress(attempt))
		ereport(ERROR,
				(errcode(ERRCODE_ETL_STALE_ATTEMPT),
				 errmsg("attempt " INT64_FORMAT " is no longer running and may not commit", attempt->task_run_id)));
	if (attempt->is_inline)
	{
		CommandCounterIncrement();
		return;
	}
	ETL_FAULT("before_commit");
	PopActiveSnapshot();
	CommitTransactionCommand();
	ETL_FAULT("after_commit");
	/* Without this, autovacuum would not learn of the rows before the worker ends. */
	pgstat_report_stat(true);
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
}

/* etl_attempt_note adds a sentence to what the attempt wants a person to know. */
void
etl_attempt_note(EtlAttempt *attempt, const char *format, ...)
{
	MemoryContext old = MemoryContextSwitchTo(attempt->context);
	StringInfoData text;

	initStringInfo(&text);
	for (;;)
	{
		va_list args;
		int needed;

		va_start(args, format);
		needed = appendStringInfoVA(&text, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&text, needed);
	}
	if (attempt->message == NULL)
		attempt->message = makeStringInfo();
	appendStringInfo(attempt->message, "%s%s", attempt->message->len > 0 ? "; " : "", text.data);
	pfree(text.data);
	MemoryContextSwitchTo(old);
}

/* etl_attempt_author_path switches to the search_path of the task's author; returns the GUC level to give back. */
int
etl_attempt_author_path(const EtlTask *task)
{
	int level = NewGUCNestLevel();

	(void) set_config_option("search_path", task->search_path ? task->search_path : "", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	return level;
}
