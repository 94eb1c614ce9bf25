/*
 * feed.c
 *		The feeds of etl_file and etl_s3 tables: pieces become rows, and what was read becomes etl.file_ledger. See feed.h;
 *		define.c has what is checked before.
 */
#include "postgres.h"

#include "file/define.h"
#include "file/feed.h"
#include "miscadmin.h"
#include "observe/progress.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* make_parser makes the parser of the format. */
static EtlParser *
make_parser(const EtlFileFeed *feed)
{
	const EtlFileOptions *options = feed->options;

	if (options->is_csv)
		return etl_csv_make(feed->base.request.source, feed->input, etl_file_own, &options->csv);
	return etl_lines_make(feed->base.request.source, feed->input, etl_file_own, options->csv.encoding);
}

/* make_contexts makes what is emptied now and then. */
static void
make_contexts(EtlFileFeed *feed)
{
	MemoryContext parent = feed->base.request.context;

	feed->list_context = AllocSetContextCreate(parent, "etl file list", ALLOCSET_DEFAULT_SIZES);
	feed->open_context = AllocSetContextCreate(parent, "etl open file", ALLOCSET_SMALL_SIZES);
	feed->check_context = AllocSetContextCreate(parent, "etl checked row", ALLOCSET_DEFAULT_SIZES);
}

/* open_feed makes a feed over a store. */
static EtlFeed *
open_feed(const EtlFeedRequest *request, const EtlFeedRoutine *routine, const EtlStoreRoutine *store)
{
	EtlFileFeed *feed = palloc0(sizeof(EtlFileFeed));

	etl_file_define_check_columns(request->source);
	feed->base.routine = routine;
	feed->base.request = *request;
	feed->options = etl_file_options(request->source, request->user);
	feed->store = store->make(request, feed->options);
	feed->store->routine = store;
	feed->store->options = feed->options;
	feed->store->context = request->context;
	feed->input = etl_input_make(request->source);
	feed->parser = make_parser(feed);
	feed->checks_files = request->task && request->task->on_error && strcmp(request->task->on_error, "skip_file") == 0;
	for (int i = 0; i < lengthof(feed->own); i++)
		feed->own[i] = etl_input_find(request->source, etl_file_own[i]);
	feed->piece = palloc(sizeof(EtlPiece) * ETL_FILE_PIECES);
	make_contexts(feed);
	return &feed->base;
}

/* fill_own fills the columns of the feed. */
static void
fill_own(EtlFileFeed *feed, TupleTableSlot *slot)
{
	const EtlFile *file = &feed->current->file;

	if (feed->own[ETL_FILE_OWN_FILE] >= 0)
		etl_input_datum(feed->input, feed->own[ETL_FILE_OWN_FILE], CStringGetTextDatum(file->path), slot);
	if (feed->own[ETL_FILE_OWN_LINE] >= 0)
		etl_input_datum(feed->input, feed->own[ETL_FILE_OWN_LINE], Int64GetDatum(feed->parser->line), slot);
	if (feed->own[ETL_FILE_OWN_MODIFIED] >= 0 && file->modified != DT_NOBEGIN)
		etl_input_datum(feed->input, feed->own[ETL_FILE_OWN_MODIFIED], TimestampTzGetDatum(file->modified), slot);
	if (feed->own[ETL_FILE_OWN_SIZE] >= 0)
		etl_input_datum(feed->input, feed->own[ETL_FILE_OWN_SIZE], Int64GetDatum(file->size), slot);
}

/* rethrow adds the place to an error about data that a parser raises: nothing behind it can be read. */
static void
rethrow(const EtlFileFeed *feed, MemoryContext context)
{
	ErrorData *error;

	if (ERRCODE_TO_CATEGORY(geterrcode()) != ERRCODE_DATA_EXCEPTION)
		PG_RE_THROW();
	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	error->detail = psprintf("%s%sFile \"%s\", line " INT64_FORMAT ".", error->detail ? error->detail : "",
							 error->detail ? " " : "", feed->current->file.path, feed->parser->line);
	if (error->hint == NULL)
		error->hint = pstrdup(
			"Correct the file at its source, or pass over it with etl.skip_file or on_error => 'skip_file'.");
	ReThrowError(error);
}

/*
 * parse reads the next record of the current piece. An error that ends the file is, where files are only checked, no more than
 * what is wrong with the file.
 */
static EtlFeedStep
parse(EtlFileFeed *feed, TupleTableSlot *slot, EtlBadRow *bad, bool is_check)
{
	MemoryContext context = CurrentMemoryContext;
	volatile EtlFeedStep step = ETL_FEED_BAD;

	PG_TRY();
	{
		step = feed->parser->routine->next(feed->parser, slot, feed->base.request.task ? &feed->base.extra : NULL, bad);
	}
	PG_CATCH();
	{
		if (!is_check)
			rethrow(feed, context);
		/* COPY's parser holds nothing but memory. */
		etl_input_keep_error(bad, context);
		bad->position = feed->parser->line;
	}
	PG_END_TRY();
	bad->origin = feed->current->file.path;
	return step;
}

/* give lets the parser have the next piece. */
static void
give(EtlFileFeed *feed, const EtlPiece *piece)
{
	feed->current = piece->wanted;
	if (piece->is_first)
	{
		feed->parser->routine->begin(feed->parser);
		feed->parser->skip = piece->wanted->ledger.records;
		feed->skips_current = false;
	}
	if (!feed->skips_current)
		feed->parser->routine->give(feed->parser, feed->buffer + piece->at, piece->length);
	feed->is_given = true;
}

/* count counts for the attempt, if there is one. */
static void
count(const EtlFileFeed *feed, const char *name)
{
	if (feed->base.request.attempt)
		etl_attempt_count(feed->base.request.attempt, name, 1);
}

/* end_piece turns to the next piece; a file that was only checked is fetched again, or read again from the same bytes. */
static void
end_piece(EtlFileFeed *feed, const EtlPiece *piece)
{
	EtlWanted *wanted = piece->wanted;

	feed->is_given = false;
	if (piece->is_last && feed->checks_files && !wanted->is_checked)
	{
		wanted->is_checked = true;
		if (piece->is_first && !feed->skips_current)
			return;
		if (!feed->skips_current)
			feed->next_wanted--;
	}
	else if (piece->is_last && !feed->skips_current)
	{
		wanted->ledger.state = "loaded";
		wanted->is_touched = true;
		count(feed, "files");
		etl_progress_add(0, 0, wanted->file.size);
	}
	feed->next_piece++;
}

/* skip_file gives a bad file up. */
static void
skip_file(EtlFileFeed *feed, EtlPiece *piece, const EtlBadRow *bad)
{
	EtlWanted *wanted = piece->wanted;

	wanted->ledger.state = "skipped";
	wanted->ledger.reason = MemoryContextStrdup(
		feed->list_context,
		bad->position > 0 ? psprintf("line " INT64_FORMAT ": %s", bad->position, bad->reason) : bad->reason);
	wanted->ledger.records = 0;
	wanted->ledger.bad_records = 1;
	wanted->is_touched = true;
	feed->skips_current = true;
	count(feed, "files_skipped");
	/* What of it was not fetched yet is not needed. */
	if (feed->open == wanted)
	{
		etl_file_fetch_close(feed);
		feed->next_wanted++;
	}
}

/* check_rest reads a piece of a file that is only checked; ETL_FEED_BAD at its first bad record. */
static EtlFeedStep
check_rest(EtlFileFeed *feed, EtlPiece *piece, TupleTableSlot *slot, EtlBadRow *bad)
{
	EtlFeedStep step = ETL_FEED_ROW;

	while (step == ETL_FEED_ROW)
	{
		MemoryContext old = MemoryContextSwitchTo(feed->check_context);

		CHECK_FOR_INTERRUPTS();
		step = parse(feed, slot, bad, true);
		MemoryContextSwitchTo(old);
		if (step == ETL_FEED_BAD)
			skip_file(feed, piece, bad);
		else
			MemoryContextReset(feed->check_context);
		memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts * sizeof(bool));
	}
	return step;
}

/* read_piece reads the next record of the current piece; ETL_FEED_PAUSE: it is used up. */
static EtlFeedStep
read_piece(EtlFileFeed *feed, EtlPiece *piece, TupleTableSlot *slot, EtlBadRow *bad)
{
	EtlWanted *wanted = piece->wanted;
	EtlFeedStep step;

	if (feed->skips_current)
		return ETL_FEED_PAUSE;
	if (piece->error)
	{
		bad->sqlstate = piece->error->sqlerrcode;
		bad->reason = piece->error->message;
		bad->origin = wanted->file.path;
		bad->position = feed->parser->line;
		skip_file(feed, piece, bad);
		return ETL_FEED_BAD;
	}
	if (feed->checks_files && !wanted->is_checked)
		return check_rest(feed, piece, slot, bad);
	step = parse(feed, slot, bad, false);
	if (step == ETL_FEED_PAUSE)
		return step;
	wanted->is_touched = true;
	wanted->ledger.records = feed->parser->records;
	if (step == ETL_FEED_BAD)
		wanted->ledger.bad_records++;
	else
		fill_own(feed, slot);
	return step;
}

/* replaced marks what was read of a changed file as deleted; true: a batch has to end here. */
static bool
replaced(EtlFileFeed *feed, const EtlPiece *piece)
{
	EtlWanted *wanted = piece->wanted;

	if (!wanted->replaces || (feed->checks_files && !wanted->is_checked))
		return false;
	wanted->replaces = false;
	return etl_file_replace(feed, wanted->file.path) > 0;
}

/* feed_next gives out the next record of what was fetched. */
static EtlFeedStep
feed_next(EtlFeed *base, TupleTableSlot *slot, EtlBadRow *bad)
{
	EtlFileFeed *feed = (EtlFileFeed *) base;

	if (feed->is_listed)
		etl_file_diff(feed);
	while (feed->next_piece < feed->n_pieces)
	{
		EtlPiece *piece = &feed->piece[feed->next_piece];
		EtlFeedStep step;

		CHECK_FOR_INTERRUPTS();
		if (!feed->is_given && replaced(feed, piece))
			return ETL_FEED_PAUSE;
		if (!feed->is_given)
			give(feed, piece);
		step = read_piece(feed, piece, slot, bad);
		if (step != ETL_FEED_PAUSE)
			return step;
		end_piece(feed, piece);
	}
	return feed->next_wanted == feed->n_wanted && feed->list_ended ? ETL_FEED_END : ETL_FEED_PAUSE;
}

/* feed_fetch fetches. */
static void
feed_fetch(EtlFeed *base)
{
	etl_file_fetch((EtlFileFeed *) base);
}

/* feed_save writes the ledger rows of all files that were touched. */
static void
feed_save(EtlFeed *base, const char *highest)
{
	EtlFileFeed *feed = (EtlFileFeed *) base;

	for (int i = 0; i < feed->n_wanted; i++)
	{
		EtlWanted *wanted = &feed->wanted[i];

		CHECK_FOR_INTERRUPTS();
		if (!wanted->is_touched)
			continue;
		etl_file_ledger_save(base->request.attempt, &wanted->ledger, wanted->known);
		wanted->known = wanted->ledger.records;
		wanted->is_touched = false;
	}
}

/* feed_close closes the open file. */
static void
feed_close(EtlFeed *base)
{
	EtlFileFeed *feed = (EtlFileFeed *) base;

	etl_file_fetch_close(feed);
	feed->store->routine->close(feed->store);
}

/* s3_open opens a feed over a bucket. */
static EtlFeed *
s3_open(const EtlFeedRequest *request)
{
	return open_feed(request, &etl_s3_feed, &etl_bucket_store);
}

/* file_open opens a feed over a directory, if the role may read it. */
static EtlFeed *
file_open(const EtlFeedRequest *request)
{
	etl_file_define_check_role(request->user);
	return open_feed(request, &etl_file_feed, &etl_disk_store);
}

const EtlFeedRoutine etl_s3_feed = {
	.name = "s3",
	.fdw = "etl_s3",
	.open = s3_open,
	.fetch = feed_fetch,
	.next = feed_next,
	.save = feed_save,
	.close = feed_close,
	.define = etl_s3_define_check,
	.explain = etl_s3_define_explain,
	.problems = etl_s3_define_problems,
};

const EtlFeedRoutine etl_file_feed = {
	.name = "file",
	.fdw = "etl_file",
	.open = file_open,
	.fetch = feed_fetch,
	.next = feed_next,
	.save = feed_save,
	.close = feed_close,
	.define = etl_file_define_check,
	.explain = etl_file_define_explain,
	.problems = etl_file_define_problems,
};
