/*
 * attempt.c
 *		One attempt of a task: its steps and what it notes. See attempt.h.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/task_run.h"
#include "errors.h"
#include "miscadmin.h"
#include "observe/live.h"
#include "fault.h"
#include "pgstat.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker/attempt.h"

/*
 * etl_attempt_pause commits what was done so far together with its counts. In an inline run the step only becomes
 * visible to what follows. Errors: ZE004 if the attempt is no longer the current one, so that a worker that was given up
 * as dead cannot commit.
 */
void
etl_attempt_pause(EtlAttempt *attempt)
{
	/* See finish() in executor.c. */
	CHECK_FOR_INTERRUPTS();
	etl_live_read(&attempt->meter);
	if (!attempt->is_helper && !etl_task_run_progress(attempt))
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
}

/* etl_attempt_resume opens the next step. */
void
etl_attempt_resume(EtlAttempt *attempt)
{
	if (attempt->is_inline)
		return;
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
}

/* etl_attempt_step goes from one step to the next. */
void
etl_attempt_step(EtlAttempt *attempt)
{
	etl_attempt_pause(attempt);
	etl_attempt_resume(attempt);
}

/* etl_attempt_begin_batch draws the number. */
void
etl_attempt_begin_batch(const EtlAttempt *attempt, EtlBatch *batch)
{
	memset(batch, 0, sizeof(*batch));
	batch->batch_id = etl_batch_next();
	batch->target = attempt->task->target;
	batch->task_id = attempt->task->task_id;
	batch->run_id = attempt->run_id;
	batch->task_run_id = attempt->task_run_id;
	batch->loaded_at = GetCurrentTimestamp();
	batch->backfill = attempt->is_backfill;
}

/* etl_attempt_count looks the name up by its text. */
void
etl_attempt_count(EtlAttempt *attempt, const char *name, int64 n)
{
	MemoryContext old;
	EtlTally *tally;
	ListCell *cell;

	if (n == 0)
		return;
	foreach (cell, attempt->tally)
	{
		tally = lfirst(cell);
		if (strcmp(tally->name, name) == 0)
		{
			tally->n += n;
			return;
		}
	}
	old = MemoryContextSwitchTo(attempt->context);
	tally = palloc(sizeof(EtlTally));
	tally->name = name;
	tally->n = n;
	attempt->tally = lappend(attempt->tally, tally);
	MemoryContextSwitchTo(old);
}

/* etl_attempt_details makes the object. */
Jsonb *
etl_attempt_details(const EtlAttempt *attempt)
{
	StringInfoData text;
	ListCell *cell;

	if (attempt->tally == NIL)
		return NULL;
	initStringInfo(&text);
	foreach (cell, attempt->tally)
	{
		const EtlTally *tally = lfirst(cell);

		appendStringInfoString(&text, text.len ? ", " : "{");
		escape_json(&text, tally->name);
		appendStringInfo(&text, ": " INT64_FORMAT, tally->n);
	}
	appendStringInfoChar(&text, '}');
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text.data)));
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

/* etl_attempt_search_path lets temporary objects come last: those of a caller must not hide what the author has named. */
char *
etl_attempt_search_path(const char *search_path)
{
	return psprintf("%s, pg_temp", search_path != NULL && search_path[0] != '\0' ? search_path : "pg_catalog");
}

/* etl_attempt_author_path switches to the search_path of the task's author; returns the GUC level to give back. */
int
etl_attempt_author_path(const EtlTask *task)
{
	int level = NewGUCNestLevel();

	(void) set_config_option("search_path", etl_attempt_search_path(task->search_path), PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	return level;
}
