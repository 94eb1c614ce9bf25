/*
 * feed.c
 *		The feeds of etl_file and etl_s3 tables: pieces become rows, and what was read becomes etl.file_ledger. See feed.h.
 */
#include "postgres.h"

#include "api/problem.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type_d.h"
#include "file/feed.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Where a column that the feed fills stands in etl_file_own. */
enum
{
	OWN_FILE,
	OWN_LINE,
	OWN_MODIFIED,
	OWN_SIZE
};

/* check_role refuses a role that may not read the server's files. */
static void
check_role(Oid role)
{
	if (has_privs_of_role(role, ROLE_PG_READ_SERVER_FILES))
		return;
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied to read files of this server"),
					errdetail("Role \"%s\" is not a member of pg_read_server_files.", GetUserNameFromId(role, false)),
					errhint("GRANT pg_read_server_files TO %s;", quote_identifier(GetUserNameFromId(role, false)))));
}

/* check_own refuses types that the columns of the feed cannot have. */
static void
check_own(const EtlSource *source, int i, Oid type)
{
	const EtlColumn *column = etl_relation_column(source, etl_file_own[i]);

	if (column && column->type != type)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
				 errmsg("column \"%s\" of %s has type %s", column->name, source->name, format_type_be(column->type)),
				 errdetail("It is filled in by etl_ext."),
				 errhint("ALTER FOREIGN TABLE %s ALTER COLUMN %s TYPE %s;", source->name, column->name,
						 format_type_be(type))));
}

/* check_source refuses columns of other types. */
static void
check_source(const EtlSource *source)
{
	check_own(source, OWN_FILE, TEXTOID);
	check_own(source, OWN_LINE, INT8OID);
	check_own(source, OWN_MODIFIED, TIMESTAMPTZOID);
	check_own(source, OWN_SIZE, INT8OID);
}

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

	check_source(request->source);
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

	if (feed->own[OWN_FILE] >= 0)
		etl_input_datum(feed->input, feed->own[OWN_FILE], CStringGetTextDatum(file->path), slot);
	if (feed->own[OWN_LINE] >= 0)
		etl_input_datum(feed->input, feed->own[OWN_LINE], Int64GetDatum(feed->parser->line), slot);
	if (feed->own[OWN_MODIFIED] >= 0 && file->modified != DT_NOBEGIN)
		etl_input_datum(feed->input, feed->own[OWN_MODIFIED], TimestampTzGetDatum(file->modified), slot);
	if (feed->own[OWN_SIZE] >= 0)
		etl_input_datum(feed->input, feed->own[OWN_SIZE], Int64GetDatum(file->size), slot);
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

/* check_replace wants to know which rows are those of a file, and which markers are its own. */
static void
check_replace(const EtlTask *task, const EtlSource *source)
{
	if (task->file_changed == NULL || strcmp(task->file_changed, "replace") != 0)
		return;
	if (task->deletes && strcmp(task->deletes, "none") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("file_changed => 'replace' and deletes exclude each other"),
						errdetail("Rows up to the last delete marker of a file count as those of its old versions."),
						errhint("Leave one of them out.")));
	if (etl_relation_column(source, "_file") == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("file_changed => 'replace' needs the column _file of source %s", source->name),
						errdetail("The rows of the old version are found by it."),
						errhint("ALTER FOREIGN TABLE %s ADD COLUMN _file text;", source->name)));
}

static void
s3_define(EtlTask *task, const EtlSource *source)
{
	check_source(source);
	check_replace(task, source);
}

static void
file_define(EtlTask *task, const EtlSource *source)
{
	check_role(GetUserId());
	s3_define(task, source);
}

/* explain describes what would be listed. */
static List *
explain(const EtlFeedRequest *request, const EtlStoreRoutine *routine)
{
	EtlFileOptions *options = etl_file_options(request->source, request->user);
	EtlStore *store = routine->make(request, options);
	List *lines;
	int64 count[3];

	store->routine = routine;
	store->options = options;
	lines = list_make1(psprintf("-- %s, as %s", routine->describe(store), options->is_csv ? "CSV" : "NDJSON"));
	if (request->task == NULL)
		return lines;
	etl_file_ledger_count(request->task->task_id, count);
	return lappend(lines, psprintf("-- etl.file_ledger: " INT64_FORMAT " files loaded, " INT64_FORMAT
								   " begun, " INT64_FORMAT " skipped; the others are read",
								   count[1], count[0], count[2]));
}

static List *
s3_explain(const EtlFeedRequest *request)
{
	return explain(request, &etl_bucket_store);
}

static List *
file_explain(const EtlFeedRequest *request)
{
	check_role(request->user);
	return explain(request, &etl_disk_store);
}

/* s3_problems looks for keys. */
static List *
s3_problems(const EtlFeedRequest *request)
{
	EtlFileOptions *options = etl_file_options(request->source, request->user);
	EtlProblem *problem;

	if (options->mapping != NIL)
		return NIL;
	problem = palloc0(sizeof(EtlProblem));
	problem->problem = psprintf("Role %s has no user mapping for server %s: requests are not signed, which only public"
								" buckets allow.",
								quote_identifier(GetUserNameFromId(request->user, false)),
								quote_identifier(request->source->server_name));
	problem->hint = psprintf(
		"CREATE USER MAPPING FOR %s SERVER %s OPTIONS (access_key_id '...', secret_access_key '...');",
		quote_identifier(GetUserNameFromId(request->user, false)), quote_identifier(request->source->server_name));
	return list_make1(problem);
}

/* file_problems makes sure that the directory is there. */
static List *
file_problems(const EtlFeedRequest *request)
{
	(void) file_explain(request);
	return NIL;
}

static EtlFeed *
s3_open(const EtlFeedRequest *request)
{
	return open_feed(request, &etl_s3_feed, &etl_bucket_store);
}

static EtlFeed *
file_open(const EtlFeedRequest *request)
{
	check_role(request->user);
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
	.define = s3_define,
	.explain = s3_explain,
	.problems = s3_problems,
};

const EtlFeedRoutine etl_file_feed = {
	.name = "file",
	.fdw = "etl_file",
	.open = file_open,
	.fetch = feed_fetch,
	.next = feed_next,
	.save = feed_save,
	.close = feed_close,
	.define = file_define,
	.explain = file_explain,
	.problems = file_problems,
};
