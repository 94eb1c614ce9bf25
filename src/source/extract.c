/*
 * extract.c
 *		Runs an extract: reader -> overlap -> raw table, one batch per step.
 *
 * One extract at a time writes to a raw table: a session lock is held over all steps, and the lock of the last
 * transaction takes over from it, so that the next extract draws its numbers when this one's batches are visible. The
 * rows of a batch, its row in etl.batch and the watermark commit together; whatever ends an attempt, the next one goes
 * on from the last committed batch.
 *
 * In a run of a backfill the same is done for the rows of its interval, whatever the raw table has of them: they are
 * appended again, and the watermark stays where it is. An attempt that is repeated begins at the start of the interval.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/extract_progress.h"
#include "catalog/pg_class.h"
#include "catalog/spi.h"
#include "catalog/watermark.h"
#include "fault.h"
#include "feed/extract.h"
#include "feed/feed.h"
#include "guc.h"
#include "miscadmin.h"
#include "observe/progress.h"
#include "source/extract.h"
#include "source/extract_run.h"
#include "source/null_cursor.h"
#include "source/partition.h"
#include "source/parts.h"
#include "source/raw_table.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "worker/lock.h"

/* put_row appends a row unless the raw table has it. */
static void
put_row(EtlRowSink *sink, TupleTableSlot *slot, bool deleted)
{
	EtlExtract *extract = (EtlExtract *) sink;
	MemoryContext old;

	slot_getallattrs(slot);
	if (extract->overlap && etl_overlap_has(extract->overlap, slot, deleted))
	{
		extract->skipped++;
		return;
	}
	if (deleted)
	{
		extract->attempt->counts.deleted++;
		etl_attempt_count(extract->attempt, "deletes", 1);
	}
	old = MemoryContextSwitchTo(extract->row_context);
	etl_raw_sink_put(extract->batch, slot, deleted);
	MemoryContextSwitchTo(old);
	MemoryContextReset(extract->row_context);
}

/* find_relation resolves a name that the definition stored. */
static Oid
find_relation(const char *what, const char *name)
{
	Oid relid = etl_relation_find(name);

	if (!OidIsValid(relid))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("%s %s does not exist", what, name),
						errdetail("It was there when the task was defined."),
						errhint("Create it again, or name another one with etl.alter_task.")));
	return relid;
}

/* connect makes the connection of our own to the source's server, if there is one; no step is open while it waits. */
static void
connect(EtlExtract *extract)
{
	EtlAttempt *attempt = extract->attempt;
	MemoryContext old = MemoryContextSwitchTo(extract->context);
	EtlSource *source = etl_relation_describe(find_relation("source", attempt->task->source), &attempt->task->columns);

	etl_relation_check_select(source);
	extract->source = source;
	extract->remote = etl_remote_make(source, &extract->remote_why);
	MemoryContextSwitchTo(old);
	if (extract->remote == NULL)
		return;
	etl_attempt_pause(attempt);
	etl_remote_connect(extract->remote);
	etl_attempt_resume(attempt);
}

/* prepare looks at source, raw table and watermark as they are now. */
static void
prepare(EtlExtract *extract)
{
	EtlAttempt *attempt = extract->attempt;
	const EtlTask *task = attempt->task;
	MemoryContext old = MemoryContextSwitchTo(extract->context);
	EtlReadRequest *request = &extract->request;
	EtlSource *source = etl_relation_describe(find_relation("source", task->source), &extract->columns);

	etl_relation_check_select(source);
	etl_raw_table_check(extract->raw, task, source);
	extract->source = source;
	extract->bounds = attempt->is_backfill ? etl_bounds_interval(attempt, source)
										   : etl_bounds_get(task, source, attempt->full_refresh);
	extract->reached = extract->bounds.reached;
	request->task = task;
	request->attempt = attempt;
	request->source = source;
	request->map = etl_raw_map_make(source, extract->raw);
	request->filter_here = etl_feed_find(source->fdw) != NULL;
	request->remote = extract->remote;
	request->filter = task->filter;
	request->deleted = etl_deletes_condition(task);
	request->lower = extract->bounds.lower;
	request->below = extract->bounds.below;
	request->null_cursors = etl_null_cursor_wanted(extract);
	request->verify = task->reconcile;
	request->max_rows = task->chunk_rows > 0 ? task->chunk_rows : etl_chunk_rows;
	request->context = extract->context;
	MemoryContextSwitchTo(old);
}

/* etl_extract_open_overlap loads them. */
void
etl_extract_open_overlap(EtlExtract *extract)
{
	MemoryContext old = MemoryContextSwitchTo(extract->context);

	if (extract->bounds.reached)
		extract->overlap = etl_overlap_open(&extract->request, extract->raw, extract->bounds.reached);
	if (extract->overlap && etl_overlap_is_full(extract->overlap))
		etl_attempt_note(extract->attempt,
						 "The lag covers more rows than are compared with the raw table; some rows may have"
						 " been appended again.");
	MemoryContextSwitchTo(old);
}

/* refuse_snapshot: only one reader can read in the snapshot of a group. */
static void
refuse_snapshot(const EtlExtract *extract, const char *reason)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("source %s cannot be read in the snapshot of its group", extract->source->name),
			 errdetail("Its reader is %s: %s.", extract->reader->routine->name, reason ? reason : "no other can"),
			 errhint("Change what keeps the postgres reader from it, or reset snapshot_group.")));
}

/* expect_rows tells how many rows the source has, as far as that is known, if all of them are read. */
static void
expect_rows(const EtlExtract *extract)
{
	HeapTuple tuple;

	if (extract->attempt->is_helper)
		return;
	etl_progress_step(ETL_STEP_READ);
	if (extract->bounds.lower != NULL || extract->bounds.below != NULL || extract->attempt->task->filter != NULL)
		return;
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(extract->source->oid));
	if (!HeapTupleIsValid(tuple))
		return;
	if (((Form_pg_class) GETSTRUCT(tuple))->reltuples > 0)
		etl_progress_total((int64) ((Form_pg_class) GETSTRUCT(tuple))->reltuples, true);
	ReleaseSysCache(tuple);
}

/* etl_extract_open asks for the best reader. */
void
etl_extract_open(EtlExtract *extract)
{
	MemoryContext old = MemoryContextSwitchTo(extract->context);
	const char *reason = NULL;

	extract->reader = etl_reader_open(&extract->request, &reason);
	extract->reader->attempt = extract->attempt;
	expect_rows(extract);
	if (extract->request.snapshot && extract->reader->routine != &etl_postgres_reader)
		refuse_snapshot(extract, reason);
	extract->attempt->reader = extract->reader->routine->name;
	if (reason && extract->attempt->reader_reason == NULL)
		extract->attempt->reader_reason = MemoryContextStrdup(extract->attempt->context, reason);
	MemoryContextSwitchTo(old);
}

/* etl_extract_close ends the reader; also called after errors. */
void
etl_extract_close(EtlExtract *extract)
{
	EtlReader *reader = extract->reader;

	extract->reader = NULL;
	if (reader)
		reader->routine->close(reader);
}

/* ensure_partitions makes missing partitions in a step of their own, so that their locks are short. */
static void
ensure_partitions(EtlExtract *extract)
{
	/* Two processes would make the same one. */
	if (extract->attempt->is_helper)
		return;
	if (etl_partition_ensure(extract->raw))
		etl_attempt_step(extract->attempt);
}

/* etl_extract_count keeps the first SQL and note: they say how the source is asked. */
void
etl_extract_count(EtlExtract *extract, const EtlBatch *batch, const EtlReadState *state)
{
	EtlAttempt *attempt = extract->attempt;

	if (attempt->sql == NULL && state->sql)
	{
		attempt->sql = MemoryContextStrdup(attempt->context, state->sql);
		if (state->note)
			etl_attempt_note(attempt, "%s", state->note);
	}
	if (state->reason && attempt->reader_reason == NULL)
		attempt->reader_reason = MemoryContextStrdup(attempt->context, state->reason);
	attempt->counts.read += state->rows;
	attempt->counts.inserted += batch->row_count;
	attempt->counts.bytes += batch->byte_count;
	attempt->counts.unchanged = extract->skipped;
	etl_attempt_count(attempt, "null_cursor_rows", state->null_cursors);
}

/* safe_part returns the cursor value up to which the watermark may move after a batch; NULL: it stays. */
static const char *
safe_part(const EtlExtract *extract, Oid type, const char *cursor_to)
{
	const EtlBounds *bounds = &extract->bounds;

	if (bounds->hold)
		return NULL;
	if (bounds->safe && etl_watermark_compare(type, cursor_to, bounds->safe) > 0)
		return bounds->safe;
	return cursor_to;
}

/* etl_extract_record writes etl.batch, the watermark and the counts for what the last batch appended. */
void
etl_extract_record(EtlExtract *extract, EtlBatch *batch, const EtlReadState *state)
{
	EtlAttempt *attempt = extract->attempt;
	Oid type;

	batch->cursor_to = state->cursor_to;
	if (batch->row_count > 0)
		etl_batch_insert(batch);
	if (state->cursor_to && !attempt->is_backfill)
	{
		type = etl_relation_column(extract->source, attempt->task->cursor_column)->type;
		etl_watermark_advance(attempt, type, safe_part(extract, type, state->cursor_to), state->cursor_to);
	}
	etl_extract_count(extract, batch, state);
}

/* etl_extract_begin_batch notes from where the batch goes on. */
void
etl_extract_begin_batch(EtlExtract *extract, EtlBatch *batch)
{
	etl_attempt_begin_batch(extract->attempt, batch);
	batch->cursor_from = extract->request.lower;
}

/* fetch lets a reader that waits for its source do so while no step is open. */
static void
fetch(EtlExtract *extract)
{
	if (extract->reader->routine->fetch_in_transaction)
		return;
	etl_attempt_pause(extract->attempt);
	(void) extract->reader->routine->next_batch(extract->reader, NULL);
	etl_attempt_resume(extract->attempt);
}

/* etl_extract_batch reads and appends one batch; false: the source has no more. */
bool
etl_extract_batch(EtlExtract *extract)
{
	EtlAttempt *attempt = extract->attempt;
	EtlReadState state = {0};
	MemoryContext old;
	EtlBatch batch;
	int64 skipped;
	bool more;

	ensure_partitions(extract);
	fetch(extract);
	old = MemoryContextSwitchTo(extract->batch_context);
	etl_extract_begin_batch(extract, &batch);
	extract->batch = etl_raw_sink_open(extract->raw, extract->request.map, batch.batch_id, batch.loaded_at);
	skipped = extract->skipped;
	more = extract->reader->routine->next_batch(extract->reader, &extract->sink);
	ETL_FAULT("fetched");
	etl_raw_sink_close(extract->batch, &batch.row_count, &batch.byte_count);
	extract->reader->routine->state(extract->reader, &state);
	if (extract->request.verify)
		etl_verify_appended(extract, &state, batch.row_count, extract->skipped - skipped);
	extract->record(extract, &batch, &state);
	ETL_FAULT("raw_written");
	if (!more && batch.row_count > 0)
		etl_raw_sink_summarize(extract->raw, batch.loaded_at, attempt->counts.inserted);
	MemoryContextSwitchTo(old);
	MemoryContextReset(extract->batch_context);
	return more;
}

/* read_source chooses how the source is cut into batches. */
static void
read_source(EtlExtract *extract)
{
	if (etl_feed_find(extract->source->fdw))
	{
		etl_feed_extract_run(extract);
		return;
	}
	/* What a full refresh or a first load has left is of no use to an extract that goes on from a watermark. */
	if (extract->bounds.watermark)
		etl_extract_progress_delete(extract->attempt->task->task_id);
	if (etl_whole_is_due(extract))
	{
		etl_whole_run(extract);
		return;
	}
	if (etl_interval_is_due(extract))
	{
		etl_interval_run(extract);
		return;
	}
	etl_extract_open(extract);
	etl_commit_bound_find(extract);
	etl_parts_read(extract);
}

/* etl_extract_join is what run_batches does, for a process that helps another one which has done the rest. */
void
etl_extract_join(EtlExtract *extract)
{
	connect(extract);
	/* The other process has followed the changes; this one has to know which columns are left out. */
	etl_drift_check(extract);
	prepare(extract);
	if (extract->attempt->task->snapshot_group)
		etl_snapshot_group_join(extract);
}

/* run_batches runs an extract under the lock of its raw table. */
static void
run_batches(EtlExtract *extract)
{
	etl_extract_progress_claim(extract->attempt);
	ensure_partitions(extract);
	connect(extract);
	etl_drift_check(extract);
	prepare(extract);
	if (etl_feed_find(extract->source->fdw) == NULL)
		etl_null_cursor_count(extract);
	if (extract->attempt->task->snapshot_group)
		etl_snapshot_group_join(extract);
	read_source(extract);
	etl_deletes_compare(extract);
}

/*
 * run_locked runs an extract with a session lock and hands over to a lock of the last transaction; inline the one of the
 * caller's transaction is enough. What is outside of memory contexts is closed whatever happens.
 */
static void
run_locked(EtlExtract *extract)
{
	bool session = !extract->attempt->is_inline;

	etl_lock_take(ETL_LOCK_TARGET, extract->raw, session);
	PG_TRY();
	{
		run_batches(extract);
		if (session)
			etl_lock_take(ETL_LOCK_TARGET, extract->raw, false);
	}
	PG_FINALLY();
	{
		etl_extract_close(extract);
		etl_remote_close(extract->remote);
		if (session)
			etl_lock_release(ETL_LOCK_TARGET, extract->raw);
	}
	PG_END_TRY();
}

/*
 * may_backfill says whether an extract can read the rows of an interval. One that cannot leaves that to the live runs:
 * it succeeds without doing anything, so that the tasks behind it run.
 */
static bool
may_backfill(EtlAttempt *attempt)
{
	const EtlTask *task = attempt->task;
	const EtlColumn *cursor;

	if (task->cursor_column == NULL)
	{
		etl_attempt_note(attempt, "Nothing was read: without cursor_column the extract does not know which rows belong"
								  " to the interval.");
		return false;
	}
	cursor = etl_relation_column(etl_relation_describe(find_relation("source", task->source), &task->columns),
								 task->cursor_column);
	if (cursor == NULL || etl_bounds_is_time(cursor->type))
		return true;
	etl_attempt_note(attempt,
					 "Nothing was read: the cursor column \"%s\" is of type %s, which says nothing about the"
					 " interval.",
					 task->cursor_column, format_type_be(cursor->type));
	return false;
}

/* etl_extract_make makes it for an attempt. */
EtlExtract *
etl_extract_make(EtlAttempt *attempt)
{
	EtlExtract *extract = MemoryContextAllocZero(attempt->context, sizeof(EtlExtract));

	extract->sink.put = put_row;
	extract->record = etl_extract_record;
	extract->attempt = attempt;
	extract->columns = attempt->task->columns;
	extract->context = AllocSetContextCreate(attempt->context, "etl extract", ALLOCSET_DEFAULT_SIZES);
	extract->batch_context = AllocSetContextCreate(extract->context, "etl batch", ALLOCSET_DEFAULT_SIZES);
	extract->row_context = AllocSetContextCreate(extract->context, "etl row", ALLOCSET_SMALL_SIZES);
	extract->raw = find_relation("raw table", attempt->task->target);
	return extract;
}

/* etl_extract_run runs an attempt of an extract. */
void
etl_extract_run(EtlAttempt *attempt)
{
	EtlExtract *extract;

	if (attempt->is_backfill && !may_backfill(attempt))
		return;
	extract = etl_extract_make(attempt);
	run_locked(extract);
	MemoryContextDelete(extract->context);
}
