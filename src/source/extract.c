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

#include "access/table.h"
#include "access/xact.h"
#include "catalog/batch.h"
#include "catalog/spi.h"
#include "catalog/watermark.h"
#include "fault.h"
#include "guc.h"
#include "miscadmin.h"
#include "source/bounds.h"
#include "source/extract.h"
#include "source/overlap.h"
#include "source/partition.h"
#include "source/raw_sink.h"
#include "source/raw_table.h"
#include "source/reader.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "worker/lock.h"

/* A run of an extract. It is the reader's sink: rows come in through put. */
typedef struct Extract
{
	EtlRowSink sink;
	EtlAttempt *attempt;
	MemoryContext context;		 /* of the run, over all steps */
	MemoryContext batch_context; /* of one batch */
	MemoryContext row_context;	 /* of one row */
	Oid raw;
	EtlReadRequest request;
	EtlBounds bounds;
	EtlReader *reader;
	EtlOverlap *overlap; /* NULL: no row can be there already */
	EtlRawSink *batch;
	int64 skipped;
} Extract;

/* put_row appends a row unless the raw table has it. */
static void
put_row(EtlRowSink *sink, TupleTableSlot *slot)
{
	Extract *extract = (Extract *) sink;
	MemoryContext old;

	slot_getallattrs(slot);
	if (extract->overlap && etl_overlap_has(extract->overlap, slot))
	{
		extract->skipped++;
		return;
	}
	old = MemoryContextSwitchTo(extract->row_context);
	etl_raw_sink_put(extract->batch, slot);
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

/* prepare looks at source, raw table and watermark as they are now. */
static void
prepare(Extract *extract)
{
	EtlAttempt *attempt = extract->attempt;
	const EtlTask *task = attempt->task;
	MemoryContext old = MemoryContextSwitchTo(extract->context);
	EtlSource *source = etl_relation_describe(find_relation("source", task->source), &task->columns);

	etl_relation_check_select(source);
	etl_raw_table_check(extract->raw, task, source);
	extract->bounds = attempt->is_backfill ? etl_bounds_interval(attempt, source)
										   : etl_bounds_get(task, source, attempt->full_refresh);
	extract->request.task = task;
	extract->request.source = source;
	extract->request.map = etl_raw_map_make(source, extract->raw);
	extract->request.lower = extract->bounds.lower;
	extract->request.below = extract->bounds.below;
	extract->request.max_rows = task->chunk_rows > 0 ? task->chunk_rows : etl_chunk_rows;
	extract->request.context = extract->context;
	MemoryContextSwitchTo(old);
}

/* open_reader starts the read and loads what the raw table has of it. */
static void
open_reader(Extract *extract)
{
	MemoryContext old = MemoryContextSwitchTo(extract->context);

	extract->reader = etl_query_reader.open(&extract->request);
	extract->attempt->reader = extract->reader->routine->name;
	if (extract->bounds.watermark)
		extract->overlap = etl_overlap_open(&extract->request, extract->raw, extract->bounds.watermark);
	if (extract->overlap && etl_overlap_is_full(extract->overlap))
		etl_attempt_note(extract->attempt,
						 "The lag covers more rows than are compared with the raw table; some rows may have"
						 " been appended again.");
	MemoryContextSwitchTo(old);
}

/* ensure_partitions makes missing partitions in a step of their own, so that their locks are short. */
static void
ensure_partitions(Extract *extract)
{
	if (etl_partition_ensure(extract->raw))
		etl_attempt_step(extract->attempt);
}

/* record_batch writes etl.batch, the watermark and the counts for what the last batch appended. */
static void
record_batch(Extract *extract, EtlBatch *batch)
{
	EtlAttempt *attempt = extract->attempt;
	const EtlTask *task = attempt->task;
	EtlReadState state = {0};

	extract->reader->routine->state(extract->reader, &state);
	batch->cursor_to = state.cursor_to;
	if (batch->row_count > 0)
		etl_batch_insert(batch);
	if (state.cursor_to && !attempt->is_backfill)
		etl_watermark_advance(task->task_id, etl_relation_column(extract->request.source, task->cursor_column)->type,
							  state.cursor_to, attempt->run_id);
	if (attempt->sql == NULL && state.sql)
	{
		attempt->sql = MemoryContextStrdup(attempt->context, state.sql);
		if (state.note)
			etl_attempt_note(attempt, "%s", state.note);
	}
	attempt->counts.read += state.rows;
	attempt->counts.inserted += batch->row_count;
	attempt->counts.bytes += batch->byte_count;
	attempt->counts.unchanged = extract->skipped;
}

/* read_batch reads and appends one batch; false: the source has no more. */
static bool
read_batch(Extract *extract)
{
	EtlAttempt *attempt = extract->attempt;
	MemoryContext old;
	EtlBatch batch = {0};
	bool more;

	ensure_partitions(extract);
	old = MemoryContextSwitchTo(extract->batch_context);
	batch.batch_id = etl_batch_next();
	batch.target = attempt->task->target;
	batch.task_id = attempt->task->task_id;
	batch.run_id = attempt->run_id;
	batch.task_run_id = attempt->task_run_id;
	batch.cursor_from = extract->bounds.lower;
	batch.loaded_at = GetCurrentTimestamp();
	batch.backfill = attempt->is_backfill;
	extract->batch = etl_raw_sink_open(extract->raw, extract->request.map, batch.batch_id, batch.loaded_at);
	more = extract->reader->routine->next_batch(extract->reader, &extract->sink);
	ETL_FAULT("fetched");
	etl_raw_sink_close(extract->batch, &batch.row_count, &batch.byte_count);
	record_batch(extract, &batch);
	ETL_FAULT("raw_written");
	if (!more && batch.row_count > 0)
		etl_raw_sink_summarize(extract->raw, batch.loaded_at, attempt->counts.inserted);
	MemoryContextSwitchTo(old);
	MemoryContextReset(extract->batch_context);
	return more;
}

/* run_batches runs an extract under the lock of its raw table. */
static void
run_batches(Extract *extract)
{
	ensure_partitions(extract);
	prepare(extract);
	open_reader(extract);
	while (read_batch(extract))
		etl_attempt_step(extract->attempt);
	extract->reader->routine->close(extract->reader);
}

/* run_locked runs an extract with a session lock and hands over to a lock of the last transaction. */
static void
run_locked(Extract *extract)
{
	if (extract->attempt->is_inline)
	{
		etl_lock_take(ETL_LOCK_TARGET, extract->raw, false);
		run_batches(extract);
		return;
	}
	etl_lock_take(ETL_LOCK_TARGET, extract->raw, true);
	PG_TRY();
	{
		run_batches(extract);
		etl_lock_take(ETL_LOCK_TARGET, extract->raw, false);
	}
	PG_FINALLY();
	{
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

/* etl_extract_run runs an attempt of an extract. */
void
etl_extract_run(EtlAttempt *attempt)
{
	Extract *extract;

	if (attempt->is_backfill && !may_backfill(attempt))
		return;
	extract = MemoryContextAllocZero(attempt->context, sizeof(Extract));
	extract->sink.put = put_row;
	extract->attempt = attempt;
	extract->context = AllocSetContextCreate(attempt->context, "etl extract", ALLOCSET_DEFAULT_SIZES);
	extract->batch_context = AllocSetContextCreate(extract->context, "etl batch", ALLOCSET_DEFAULT_SIZES);
	extract->row_context = AllocSetContextCreate(extract->context, "etl row", ALLOCSET_SMALL_SIZES);
	extract->raw = find_relation("raw table", attempt->task->target);
	run_locked(extract);
	MemoryContextDelete(extract->context);
}
