/*
 * whole.c
 *		Reads the whole source in the order of its key: first loads, full refreshes, and sources without a cursor.
 *
 * Each chunk commits with the key of its last row in etl.extract_progress, and the next attempt continues behind it. Rows
 * change and come while this goes on, before and behind the place where the read is. Therefore the watermark is set at the
 * end, to what was safe before the first chunk (bounds.safe): whatever changed later lies above and is read again by the
 * next extract.
 *
 * A first load is continued by any later run, because nobody else has read anything meanwhile; what is to be one state of the
 * source (full_refresh, no cursor, snapshot_group) only within its run. With slices several workers read ranges of the key,
 * see slice.c.
 */
#include "postgres.h"

#include "catalog/watermark.h"
#include "source/value.h"
#include "source/whole.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "worker/attempt.h"

/* cursor_of returns the cursor column, or NULL. */
static const EtlColumn *
cursor_of(const EtlExtract *extract)
{
	const char *name = extract->attempt->task->cursor_column;

	return name ? etl_relation_column(extract->source, name) : NULL;
}

/*
 * etl_whole_is_due: intervals of the cursor are another way to read a source for the first time (interval.c), but what was
 * begun in the order of the key is ended so. They cannot resume a full refresh: the watermark is above already.
 */
bool
etl_whole_is_due(const EtlExtract *extract)
{
	const EtlAttempt *attempt = extract->attempt;

	/* With reached but no watermark, rows are there that have to be recognised: extract.c reads in cursor order. */
	if (attempt->is_backfill || attempt->task->primary_key.n == 0 || extract->bounds.reached != NULL)
		return false;
	return attempt->task->chunk_interval == NULL || attempt->full_refresh || attempt->task->cursor_column == NULL ||
		   etl_extract_progress_is_open(attempt->task->task_id);
}

/* keep_text replaces a text that lives as long as the extract. */
static void
keep_text(EtlExtract *extract, char **kept, const char *text)
{
	if (*kept)
		pfree(*kept);
	*kept = MemoryContextStrdup(extract->context, text);
}

/* keep_key replaces the key of the last row. */
static void
keep_key(EtlExtract *extract, EtlNames *key, char *const *value)
{
	int n = extract->attempt->task->primary_key.n;

	if (key->name == NULL)
		key->name = MemoryContextAllocZero(extract->context, sizeof(char *) * n);
	key->n = n;
	for (int i = 0; i < n; i++)
		keep_text(extract, &key->name[i], value[i]);
}

/* record_chunk is the EtlBatchRecord of a read in key order. */
static void
record_chunk(EtlExtract *extract, EtlBatch *batch, const EtlReadState *state)
{
	struct EtlWhole *whole = extract->whole;
	EtlProgress *range = whole->current;
	const EtlColumn *cursor = cursor_of(extract);
	bool waits = whole->n > 1 && batch->row_count > 0;

	batch->cursor_to = state->cursor_to;
	if (batch->row_count > 0 && !waits)
		etl_batch_insert(batch);
	if (state->last_key)
		keep_key(extract, &range->key_after, state->last_key);
	if (cursor && state->cursor_to &&
		(range->reached == NULL || etl_watermark_compare(cursor->type, state->cursor_to, range->reached) > 0))
		keep_text(extract, &range->reached, state->cursor_to);
	range->rows_read += state->rows;
	etl_extract_progress_store(extract->attempt, range, waits ? batch : NULL);
	etl_extract_count(extract, batch, state);
}

/* prepare makes extract->whole for ranges that live in the extract's context. */
static void
prepare(EtlExtract *extract, EtlProgress *range, int n)
{
	struct EtlWhole *whole = extract->whole;

	if (whole == NULL)
		whole = extract->whole = MemoryContextAllocZero(extract->context, sizeof(struct EtlWhole));
	whole->n = n;
	whole->range = range;
	whole->filter = extract->attempt->task->filter;
	extract->record = record_chunk;
	extract->request.by_key = true;
}

/* etl_whole_load reads the rows. */
bool
etl_whole_load(EtlExtract *extract)
{
	MemoryContext old = MemoryContextSwitchTo(extract->context);
	EtlProgress *range;
	int n = etl_extract_progress_list(extract->attempt->task->task_id, &range);

	MemoryContextSwitchTo(old);
	if (n > 0)
		prepare(extract, range, n);
	return n > 0;
}

/* may_continue says whether the ranges that are there are those of this read. */
static bool
may_continue(const EtlExtract *extract)
{
	const EtlAttempt *attempt = extract->attempt;
	const struct EtlWhole *whole = extract->whole;
	bool open = false;

	for (int i = 0; i < whole->n; i++)
	{
		const EtlProgress *range = &whole->range[i];

		open |= !range->done;
		if (range->full_refresh != attempt->full_refresh ||
			(range->key_after.n > 0 && range->key_after.n != attempt->task->primary_key.n))
			return false;
		if (range->run_id != attempt->run_id &&
			(attempt->full_refresh || attempt->task->cursor_column == NULL || attempt->task->snapshot_group))
			return false;
	}
	return open || whole->n > 1;
}

/* resume takes up what a former attempt has left; false: there is nothing, or not of this read. */
static bool
resume(EtlExtract *extract)
{
	int64 rows = 0;

	if (!etl_whole_load(extract))
		return false;
	if (!may_continue(extract))
	{
		etl_extract_progress_delete(extract->attempt->task->task_id);
		return false;
	}
	for (int i = 0; i < extract->whole->n; i++)
		rows += extract->whole->range[i].rows_read;
	if (rows > 0)
		etl_attempt_note(extract->attempt, "Continues behind " INT64_FORMAT " rows of an earlier attempt.", rows);
	return true;
}

/* etl_whole_edges asks for the ends of a column, outside of a step if the reader waits for its source. */
void
etl_whole_edges(EtlExtract *extract, const EtlColumn *column, const char *from, EtlEdges *edges)
{
	const EtlReaderRoutine *routine = extract->reader->routine;
	MemoryContext old;

	if (!routine->fetch_in_transaction)
		etl_attempt_pause(extract->attempt);
	old = MemoryContextSwitchTo(extract->context);
	routine->edges(extract->reader, column, from, edges);
	MemoryContextSwitchTo(old);
	if (!routine->fetch_in_transaction)
		etl_attempt_resume(extract->attempt);
}

/*
 * find_safe finds what the watermark may be at the end. Where nothing is known of open transactions, it is the highest value
 * that is there before the first chunk, so that what comes meanwhile is read again; where the watermark has to be held but
 * there is none yet, the lowest one, so that the next extract reads everything again but sees what it has. False: the
 * source has no rows.
 */
static bool
find_safe(EtlExtract *extract, char **safe)
{
	const EtlColumn *cursor = cursor_of(extract);
	EtlEdges edges = {0};

	*safe = NULL;
	if (cursor == NULL)
		return true;
	etl_commit_bound_find(extract);
	*safe = extract->bounds.safe;
	if (*safe)
		return true;
	etl_whole_edges(extract, cursor, NULL, &edges);
	*safe = extract->bounds.hold ? edges.min : edges.max;
	if (*safe == NULL)
		*safe = "";
	return edges.count > 0;
}

/* start begins a read: what is safe, the ranges, and their rows in etl.extract_progress. False: there is nothing to read. */
static bool
start(EtlExtract *extract)
{
	MemoryContext old;
	EtlProgress *range;
	char **until = NULL;
	char *safe;
	int n = 1;

	extract->request.by_key = true;
	etl_extract_open(extract);
	if (!find_safe(extract, &safe))
		return false;
	if (extract->attempt->task->slices > 1 && !extract->attempt->is_inline)
		until = etl_slice_cut(extract, &n);
	old = MemoryContextSwitchTo(extract->context);
	range = palloc0(sizeof(EtlProgress) * n);
	MemoryContextSwitchTo(old);
	for (int i = 0; i < n; i++)
	{
		range[i].slice = i;
		range[i].safe = safe;
		range[i].key_until = i + 1 < n ? until[i] : NULL;
		etl_extract_progress_insert(extract->attempt, &range[i]);
	}
	prepare(extract, range, n);
	if (n > 1)
		etl_extract_close(extract);
	return true;
}

/* add_lower_end adds the lower end of a range to the filter. NULL keys belong to the last range, whose reader refuses them. */
static char *
add_lower_end(const EtlExtract *extract, int i)
{
	const struct EtlWhole *whole = extract->whole;
	const EtlColumn *key = etl_relation_column(extract->source, extract->attempt->task->primary_key.name[0]);
	char *name = psprintf("%s.%s", extract->source->alias, quote_identifier(key->name));
	char *condition = psprintf("%s > %s", name, etl_value_literal(key->type, whole->range[i - 1].key_until));

	if (i + 1 == whole->n && !key->not_null)
		condition = psprintf("(%s OR %s IS NULL)", condition, name);
	return whole->filter ? psprintf("(%s\n) AND %s", whole->filter, condition) : condition;
}

/*
 * bound sets the bounds of a range. Its lower end is a condition, because keys may have more columns than the first; the
 * key is copied, because record_chunk replaces the one of the range.
 */
static void
bound(EtlExtract *extract, int i)
{
	const struct EtlWhole *whole = extract->whole;
	const EtlProgress *range = &whole->range[i];
	EtlReadRequest *request = &extract->request;
	MemoryContext old = MemoryContextSwitchTo(extract->context);

	request->after = NULL;
	if (range->key_after.n > 0)
	{
		char **after = palloc(sizeof(char *) * range->key_after.n);

		for (int k = 0; k < range->key_after.n; k++)
			after[k] = pstrdup(range->key_after.name[k]);
		request->after = after;
	}
	request->until = range->key_until;
	request->filter = whole->filter;
	if (i > 0)
		request->filter = add_lower_end(extract, i);
	MemoryContextSwitchTo(old);
}

/* etl_whole_read reads a range with a reader of its own, or with the one that is open. */
void
etl_whole_read(EtlExtract *extract, int i)
{
	struct EtlWhole *whole = extract->whole;

	whole->current = &whole->range[i];
	if (extract->reader == NULL)
	{
		bound(extract, i);
		etl_extract_open(extract);
	}
	while (etl_extract_batch(extract))
	{
		etl_attempt_step(extract->attempt);
		if (whole->team)
			etl_helper_check(whole->team);
	}
	etl_extract_close(extract);
	whole->current->done = true;
	if (whole->n > 1)
		etl_extract_progress_store(extract->attempt, whole->current, NULL);
}

/* finish sets the watermark and removes the progress, in the transaction of the last chunk. */
static void
finish(EtlExtract *extract)
{
	EtlAttempt *attempt = extract->attempt;
	const struct EtlWhole *whole = extract->whole;
	const EtlColumn *cursor = cursor_of(extract);
	const char *safe = whole->range[0].safe;
	const char *reached = NULL;

	for (int i = 0; cursor && i < whole->n; i++)
	{
		const char *value = whole->range[i].reached;

		if (value && (reached == NULL || etl_watermark_compare(cursor->type, value, reached) > 0))
			reached = value;
	}
	if (reached)
	{
		if (safe == NULL || (safe[0] && etl_watermark_compare(cursor->type, reached, safe) <= 0))
			safe = reached;
		etl_watermark_advance(attempt, cursor->type, safe[0] ? safe : NULL, reached);
	}
	etl_extract_progress_delete(attempt->task->task_id);
}

/* etl_whole_run reads everything that is left. */
void
etl_whole_run(EtlExtract *extract)
{
	if (!resume(extract) && !start(extract))
	{
		etl_extract_close(extract);
		return;
	}
	/* The rows have to be there for other workers, and for the next attempt. */
	etl_attempt_step(extract->attempt);
	if (extract->whole->n > 1)
		etl_slice_read_all(extract);
	else
		etl_whole_read(extract, 0);
	finish(extract);
	extract->record = etl_extract_record;
	extract->request.by_key = false;
	extract->request.filter = extract->attempt->task->filter;
	extract->request.after = NULL;
	extract->request.until = NULL;
}
