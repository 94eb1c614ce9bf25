/*
 * interval.c
 *		Reads a source in intervals of its cursor, which is a time: first loads, and catching up after a long pause.
 *
 * Each interval [a, a + chunk_interval) is read and committed by itself, in whatever chunks the reader makes of it, and moves
 * the watermark to the highest value read, as far as that is safe: so the next attempt continues by itself. Where nothing is
 * found the source is asked for the next value that it has, so that gaps cost one question. The last interval has no end.
 *
 * Rows without a cursor are read first, in a first load, and a row of etl.extract_progress says that they are there.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "catalog/spi.h"
#include "catalog/watermark.h"
#include "miscadmin.h"
#include "source/value.h"
#include "source/whole.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/memutils.h"

/* Most rows of a chunk unless chunk_rows says otherwise: an interval is meant to be one. */
#define MAX_CHUNK 100000000

/* How often a source that grows is asked whether its end is more than an interval away by now. */
#define MAX_LOOKS 10

/* A value below all that a source has in earnest. */
#define BEFORE_ALL "0001-01-01"

/* Where the read of a source is. */
typedef struct Walk
{
	EtlExtract *extract;
	const EtlColumn *cursor;
	char *from; /* start of the next interval */
	char *max;	/* highest value that the source had when it was asked */
	int looks;
} Walk;

/* etl_interval_is_due leaves to whole.c what has to go by key. */
bool
etl_interval_is_due(const EtlExtract *extract)
{
	const EtlTask *task = extract->attempt->task;

	return !extract->attempt->is_backfill && task->chunk_interval && task->cursor_column &&
		   etl_bounds_is_time(etl_relation_column(extract->source, task->cursor_column)->type);
}

/* is_infinite knows how infinity is written. */
static bool
is_infinite(const char *value)
{
	return strcmp(value, "infinity") == 0 || strcmp(value, "-infinity") == 0;
}

/* ask opens a reader without bounds above for a question about the cursor at and above from. */
static void
ask(EtlExtract *extract, const EtlColumn *cursor, const char *from, EtlEdges *edges)
{
	extract->request.lower = extract->bounds.lower;
	extract->request.below = NULL;
	if (extract->reader == NULL)
		etl_extract_open(extract);
	etl_whole_edges(extract, cursor, from, edges);
	etl_extract_close(extract);
}

/* read_bounded reads the rows within bounds and commits them; returns how many. */
static int64
read_bounded(EtlExtract *extract, const char *lower, const char *below, bool nulls)
{
	int64 before = extract->attempt->counts.read;

	extract->request.lower = lower;
	extract->request.below = below;
	extract->request.null_cursors = nulls;
	etl_extract_open(extract);
	while (etl_extract_batch(extract))
		etl_attempt_step(extract->attempt);
	etl_extract_close(extract);
	return extract->attempt->counts.read - before;
}

/* may_have_nulls says whether there can be rows whose cursor is NULL or infinite. */
static bool
may_have_nulls(const EtlColumn *cursor, const EtlEdges *edges)
{
	if (edges->count == 0)
		return false;
	return !cursor->not_null || (edges->min && is_infinite(edges->min)) || (edges->max && is_infinite(edges->max));
}

/* refuse_infinities reports a source that has both. */
static void
refuse_infinities(const EtlExtract *extract, const EtlColumn *cursor)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("source %s cannot be read in intervals of \"%s\"", extract->source->name, cursor->name),
					errdetail("The column has both -infinity and infinity."),
					errhint("Leave such rows out with filter, or leave chunk_interval out.")));
}

/*
 * read_nulls reads the rows whose cursor is NULL or infinite: where no other row can be. That it is done is written down
 * with its last chunk, until the first load is complete.
 */
static void
read_nulls(EtlExtract *extract, const EtlColumn *cursor, const EtlEdges *edges)
{
	const EtlAttempt *attempt = extract->attempt;
	EtlProgress *progress;
	EtlProgress done = {.done = true};
	bool first_load = extract->bounds.lower == NULL && !attempt->full_refresh;

	if (first_load && etl_extract_progress_list(attempt->task->task_id, &progress) > 0)
		return;
	if (edges->max && strcmp(edges->max, "infinity") == 0)
	{
		if (edges->min && is_infinite(edges->min) && strcmp(edges->min, edges->max) != 0)
			refuse_infinities(extract, cursor);
		(void) read_bounded(extract, "infinity", NULL, true);
	}
	else
		(void) read_bounded(extract, NULL, edges->min && is_infinite(edges->min) ? BEFORE_ALL : edges->min, true);
	if (first_load)
		etl_extract_progress_insert(attempt, &done);
	etl_attempt_step(extract->attempt);
}

/* add_interval returns the end of the interval that starts where the walk is, as long as the extract lives. */
static char *
add_interval(const Walk *walk)
{
	const Interval *length = walk->extract->attempt->task->chunk_interval;
	int level = NewGUCNestLevel();
	char *text;
	char *result;

	etl_value_pin_settings();
	text = DatumGetCString(DirectFunctionCall1(interval_out, PointerGetDatum(length)));
	result = etl_sql_text(psprintf("SELECT (%s + %s::interval)::%s", etl_value_literal(walk->cursor->type, walk->from),
								   quote_literal_cstr(text), etl_value_type(walk->cursor->type)));
	AtEOXact_GUC(false, level);
	return MemoryContextStrdup(walk->extract->context, result);
}

/* look asks for the ends of what is left; false: nothing is. */
static bool
look(Walk *walk, const char *from)
{
	EtlEdges edges;

	ask(walk->extract, walk->cursor, from, &edges);
	if (edges.min == NULL || strcmp(edges.min, "infinity") == 0)
		return false;
	walk->from = edges.min;
	walk->max = edges.max;
	return true;
}

/* is_beyond says whether an interval that ends below a value is the one of the highest value. */
static bool
is_beyond(const Walk *walk, const char *below)
{
	return !is_infinite(walk->max) && etl_watermark_compare(walk->cursor->type, below, walk->max) > 0;
}

/* step reads one interval; false: it was the last one. */
static bool
step(Walk *walk)
{
	char *below = add_interval(walk);
	bool last = is_beyond(walk, below);

	/* The source may have grown meanwhile. */
	if (last && walk->looks++ < MAX_LOOKS && look(walk, walk->from))
	{
		below = add_interval(walk);
		last = is_beyond(walk, below);
	}
	if (read_bounded(walk->extract, walk->from, last ? NULL : below, false) == 0 && !last)
	{
		etl_attempt_step(walk->extract->attempt);
		return look(walk, below);
	}
	if (last)
		return false;
	etl_attempt_step(walk->extract->attempt);
	walk->from = below;
	return true;
}

/*
 * start finds the ends and what is safe. A watermark that has to be held although there is none yet becomes the lowest value,
 * so that the next extract recognises what it reads again.
 */
static void
start(Walk *walk, EtlEdges *edges)
{
	EtlExtract *extract = walk->extract;

	etl_extract_open(extract);
	etl_commit_bound_find(extract);
	ask(extract, walk->cursor, NULL, edges);
	if (extract->bounds.hold && extract->bounds.watermark == NULL && edges->min && !is_infinite(edges->min))
	{
		extract->bounds.hold = false;
		extract->bounds.safe = edges->min;
	}
	etl_extract_open_overlap(extract);
}

/* etl_interval_run reads one interval after the other. */
void
etl_interval_run(EtlExtract *extract)
{
	const EtlTask *task = extract->attempt->task;
	bool nulls = extract->request.null_cursors;
	Walk walk = {.extract = extract, .cursor = etl_relation_column(extract->source, task->cursor_column)};
	EtlEdges edges = {0};
	bool more;

	if (task->chunk_rows == 0)
		extract->request.max_rows = MAX_CHUNK;
	start(&walk, &edges);
	if (nulls && may_have_nulls(walk.cursor, &edges))
		read_nulls(extract, walk.cursor, &edges);
	walk.from = edges.min;
	walk.max = edges.max;
	more = edges.min != NULL && strcmp(edges.min, "infinity") != 0;
	if (more && is_infinite(edges.min))
		more = look(&walk, BEFORE_ALL);
	while (more)
	{
		CHECK_FOR_INTERRUPTS();
		more = step(&walk);
	}
	if (!extract->attempt->full_refresh)
		etl_extract_progress_delete(task->task_id);
	extract->request.lower = extract->bounds.lower;
	extract->request.below = NULL;
	extract->request.null_cursors = nulls;
}
