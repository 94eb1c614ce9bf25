/*
 * attempt.h
 *		One attempt of a task, as the code that does the work sees it. The same code serves a worker, which commits
 *		after each step, and mode => 'inline', where every step is part of the caller's transaction.
 *
 * A task kind's run function (etl_extract_run, etl_load_run, ...) is called with a step open: in a transaction, with an
 * active snapshot, as the task's owner, with search_path = pg_catalog, pg_temp. It may close the step and open the next
 * one with etl_attempt_step, and returns with a step open. What it leaves uncommitted is committed by the executor in
 * one transaction with the gate checks and the state of the attempt.
 */
#ifndef ETL_ATTEMPT_H
#define ETL_ATTEMPT_H

#include "catalog/batch.h"
#include "etl_ext.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "observe/usage.h"

typedef struct EtlCounts
{
	int64 read;
	int64 inserted;
	int64 updated;
	int64 unchanged;
	int64 deleted;
	int64 rejected;
	int64 bytes;
} EtlCounts;

typedef struct EtlAttempt
{
	int64 run_id;
	int64 task_run_id;
	const EtlTask *task;
	bool full_refresh;
	int64 replay_from;			/* load: read the batches from this one on again; 0: those that are new */
	bool force;					/* full_refresh: delete although old raw rows are gone */
	bool is_inline;				/* part of a transaction of somebody else's: also when is_published */
	bool is_published;			/* one of several that become visible at one commit (atomic_publish) */
	bool is_helper;				/* in a worker that helps the one of the attempt, who alone writes etl.task_run */
	bool takes_late;			/* late rows are what is loaded: etl.accept_late */
	bool is_backfill;			/* read the rows of the interval, leave the watermark alone */
	TimestampTz logical_time;	/* of the run */
	TimestampTz interval_start; /* of the run; DT_NOBEGIN: none */
	TimestampTz interval_end;
	MemoryContext context; /* lives as long as the attempt, over all steps */

	/* What the work leaves behind; written to etl.task_run at each step. Strings live in context. */
	EtlCounts counts;
	const char *reader; /* extract: which reader fetched the rows */
	const char *reader_reason;
	const char *sql;	/* main statement */
	StringInfo message; /* what a person should know; may be empty */
	List *screens;		/* load: of EtlScreen: checks that put rows aside */
	List *tally;		/* of EtlTally: what was counted by name, for etl.task_run.details */
	EtlMeter meter;		/* what it has used of the server */
} EtlAttempt;

/* Something that was counted: rows without a cursor, values that had to be changed. */
typedef struct EtlTally
{
	const char *name;
	int64 n;
} EtlTally;

/* Commits what was done so far with the counts (fenced: ZE004 if the attempt is no longer current) and goes on. */
extern void etl_attempt_step(EtlAttempt *attempt);

/*
 * Ends the step without beginning another: no transaction is open until etl_attempt_resume, so that a wait for the
 * network holds no snapshot. Inline both do nothing: everything is one transaction of the caller's.
 */
extern void etl_attempt_pause(EtlAttempt *attempt);
extern void etl_attempt_resume(EtlAttempt *attempt);

/* A new batch of an extract: its number, whose it is, the time. */
extern void etl_attempt_begin_batch(const EtlAttempt *attempt, EtlBatch *batch);

/* Adds n to what is counted under a name; the name must live as long as the attempt (a string constant). */
extern void etl_attempt_count(EtlAttempt *attempt, const char *name, int64 n);

/* What was counted, as an object {name: number}; NULL: nothing. */
extern Jsonb *etl_attempt_details(const EtlAttempt *attempt);

/* Adds a sentence to attempt->message. */
extern void etl_attempt_note(EtlAttempt *attempt, const char *format, ...) pg_attribute_printf(2, 3);

/* Switches search_path to that of the task's author, for parsing and running what he wrote; undo with AtEOXact_GUC. */
extern char *etl_attempt_search_path(const char *search_path);
extern int etl_attempt_author_path(const EtlTask *task);

#endif /* ETL_ATTEMPT_H */
