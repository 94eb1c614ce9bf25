/*
 * reader.c
 *		An extract over a feed: the readers http, s3, file and kafka. See source/reader.h and feed.h.
 *
 * The feed keeps its position by itself, so that there is no order to rely on: rows are taken as they come, filter and
 * deletes are evaluated here, and the watermark moves only when the feed says that it has delivered everything. A bad record
 * goes to etl.quarantine in the transaction of the rows around it, or ends the attempt.
 */
#include "postgres.h"

#include "catalog/quarantine.h"
#include "feed/reader.h"
#include "feed/cursor.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "source/project.h"
#include "source/value.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

/* Longest record that etl.quarantine keeps, in bytes. */
#define MAX_RECORD 65536

typedef struct FeedReader
{
	EtlReader base;
	EtlFeed *feed;
	EtlProjection *projection;
	EtlCursor cursor;
	MemoryContext row; /* emptied after each row */
	int64 rows;		   /* of this batch */
	int64 nulls;	   /* without a cursor, up to the last batch */
	bool ended;
} FeedReader;

/* etl_feed_keeps_bad: on_error, or else what the feed is made for. */
bool
etl_feed_keeps_bad(const EtlTask *task, const EtlFeedRoutine *routine)
{
	return task->on_error ? strcmp(task->on_error, "abort") != 0 : routine->keep_bad;
}

/* etl_feed_request fills it in from what an extract asks a reader for. */
EtlFeedRequest
etl_feed_request(const EtlReadRequest *request, const EtlFeedRoutine *routine)
{
	EtlFeedRequest feed = {
		.source = request->source,
		.task = request->task,
		.attempt = request->attempt,
		.user = GetUserId(),
		.lower = request->lower,
		.below = request->below,
		.full_refresh = request->attempt && request->attempt->full_refresh,
		.keep_bad = etl_feed_keeps_bad(request->task, routine),
		.max_rows = request->max_rows,
		.context = request->context,
	};

	return feed;
}

/* open_reader makes the reader for a feed. */
static EtlReader *
open_reader(const EtlReadRequest *request, const EtlFeedRoutine *feed, const EtlReaderRoutine *routine,
			const char **why_not)
{
	MemoryContext old = MemoryContextSwitchTo(request->context);
	EtlProjection *projection = etl_project_make(request, why_not);
	EtlFeedRequest asked = etl_feed_request(request, feed);
	FeedReader *reader;

	if (projection == NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("reader \"%s\" cannot evaluate filter or deletes of source %s", feed->name, request->source->name),
			 errdetail("%s.", *why_not), errhint("Use conditions on the columns of the row that the extract takes.")));
	reader = palloc0(sizeof(FeedReader));
	reader->base.routine = routine;
	reader->base.request = *request;
	reader->projection = projection;
	reader->row = AllocSetContextCreate(request->context, "etl feed row", ALLOCSET_DEFAULT_SIZES);
	reader->feed = feed->open(&asked);
	etl_cursor_prepare(&reader->cursor, request, reader->feed->resumed_highest);
	MemoryContextSwitchTo(old);
	return &reader->base;
}

/* record_of returns what etl.quarantine keeps of a record. */
static Jsonb *
record_of(const EtlBadRow *bad)
{
	JsonbParseState *state = NULL;
	JsonbValue key = {.type = jbvString, .val.string = {6, "record"}};
	JsonbValue value = {.type = jbvNull};
	EtlBadRow ignored;
	char *text = NULL;

	if (bad->record)
	{
		int length = Min(bad->record_length, MAX_RECORD);

		if (length < bad->record_length)
			length = pg_mbcliplen(bad->record, bad->record_length, length);
		text = etl_input_text(bad->record, length, GetDatabaseEncoding(), &ignored);
		/* Bytes that are no text can be looked at in LATIN1, which has a character for each but \0. */
		if (text == NULL)
			text = etl_input_text(bad->record, strnlen(bad->record, length), PG_LATIN1, &ignored);
	}
	if (text)
	{
		value.type = jbvString;
		value.val.string.val = text;
		value.val.string.len = strlen(text);
	}
	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	(void) pushJsonbValue(&state, WJB_KEY, &key);
	(void) pushJsonbValue(&state, WJB_VALUE, &value);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* put_aside takes a bad record. */
static void
put_aside(FeedReader *reader, const EtlBadRow *bad)
{
	const EtlTask *task = reader->base.request.task;
	EtlAttempt *attempt = reader->base.attempt;
	EtlQuarantine quarantine = {
		.pipeline_id = task->pipeline_id,
		.task_id = task->task_id,
		.run_id = attempt->run_id,
		.task_run_id = attempt->task_run_id,
		.target = task->target,
		.reason = bad->reason,
		.sqlstate = pstrdup(unpack_sql_state(bad->sqlstate)),
		.column_name = bad->column,
		.origin = bad->origin,
		.position = bad->position,
		.value = bad->value,
	};

	if (!reader->feed->request.keep_bad)
		etl_feed_refuse(bad, reader->base.request.source);
	attempt->counts.rejected += etl_quarantine_insert_record(&quarantine, record_of(bad));
}

/* put_row gives a row to the sink, with what no column takes. */
static void
put_row(FeedReader *reader, EtlRowSink *sink, bool deleted)
{
	reader->rows++;
	if (!deleted && !etl_cursor_take(&reader->cursor, reader->projection->input))
		return;
	reader->projection->is_deleted = deleted;
	reader->projection->extra = reader->feed->extra;
	etl_project_put(reader->projection, sink);
}

/* read_batch reads up to max_rows rows of what was fetched. */
static void
read_batch(FeedReader *reader, EtlRowSink *sink)
{
	EtlFeed *feed = reader->feed;
	TupleTableSlot *slot = reader->projection->input;
	int natts = slot->tts_tupleDescriptor->natts;
	EtlFeedStep step = ETL_FEED_ROW;
	EtlBadRow bad;

	for (int i = 0; i < reader->base.request.max_rows && step != ETL_FEED_PAUSE && step != ETL_FEED_END; i++)
	{
		CHECK_FOR_INTERRUPTS();
		memset(slot->tts_isnull, true, natts * sizeof(bool));
		bad = (EtlBadRow){.position = -1};
		feed->extra = NULL;
		step = feed->routine->next(feed, slot, &bad);
		if (step == ETL_FEED_ROW || step == ETL_FEED_DELETE)
			put_row(reader, sink, step == ETL_FEED_DELETE);
		else if (step == ETL_FEED_BAD)
			put_aside(reader, &bad);
		MemoryContextReset(reader->row);
	}
	reader->ended = step == ETL_FEED_END;
}

/* feed_next_batch fetches when it is called first, and reads when there is a sink. */
static bool
feed_next_batch(EtlReader *base, EtlRowSink *sink)
{
	FeedReader *reader = (FeedReader *) base;
	MemoryContext old;
	int level;

	if (sink == NULL)
	{
		reader->feed->routine->fetch(reader->feed);
		return true;
	}
	level = NewGUCNestLevel();
	etl_value_pin_settings();
	reader->rows = 0;
	old = MemoryContextSwitchTo(reader->row);
	read_batch(reader, sink);
	MemoryContextSwitchTo(old);
	AtEOXact_GUC(false, level);
	return !reader->ended;
}

/* feed_state saves the feed's position. Backfills have none: an attempt that is repeated begins anew. */
static void
feed_state(EtlReader *base, EtlReadState *state)
{
	FeedReader *reader = (FeedReader *) base;
	int level = NewGUCNestLevel();
	char *highest;

	etl_value_pin_settings();
	highest = etl_cursor_highest(&reader->cursor);
	state->rows = reader->rows;
	state->null_cursors = reader->cursor.nulls - reader->nulls;
	state->cursor_to = reader->ended ? highest : NULL;
	reader->nulls = reader->cursor.nulls;
	if (!base->attempt->is_backfill)
		reader->feed->routine->save(reader->feed, highest);
	if (reader->ended && base->attempt->counts.rejected > 0)
		etl_attempt_note(base->attempt, INT64_FORMAT " records went to etl.quarantine.",
						 base->attempt->counts.rejected);
	if (reader->ended)
		etl_attempt_count(base->attempt, "rows_outside_bounds", reader->cursor.outside);
	AtEOXact_GUC(false, level);
}

/* feed_close closes the feed. */
static void
feed_close(EtlReader *base)
{
	FeedReader *reader = (FeedReader *) base;

	reader->feed->routine->close(reader->feed);
	etl_project_free(reader->projection);
	reader->projection = NULL;
}

/* feed_edges: nobody asks a feed for its edges; its cursor has no order. */
static void
feed_edges(EtlReader *base, const EtlColumn *column, const char *from, EtlEdges *edges)
{
	elog(ERROR, "reader \"%s\" does not know the edges of column \"%s\"", base->routine->name, column->name);
}

/* A reader for each feed. */
#define FEED_READER(kind)                                                                                              \
	static EtlReader *open_##kind(const EtlReadRequest *request, const char **why_not)                                 \
	{                                                                                                                  \
		return open_reader(request, &etl_##kind##_feed, &etl_##kind##_reader, why_not);                                \
	}                                                                                                                  \
	const EtlReaderRoutine etl_##kind##_reader = {                                                                     \
		.name = #kind,                                                                                                 \
		.fetch_in_transaction = false,                                                                                 \
		.open = open_##kind,                                                                                           \
		.next_batch = feed_next_batch,                                                                                 \
		.state = feed_state,                                                                                           \
		.edges = feed_edges,                                                                                           \
		.close = feed_close,                                                                                           \
	}

FEED_READER(http);
FEED_READER(s3);
FEED_READER(file);
FEED_READER(kafka);
