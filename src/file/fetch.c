/*
 * fetch.c
 *		Fetches files in pieces that hold whole records. See feed.h.
 *
 * Up to PIECE bytes are fetched at a time, of one file or of many small ones: each fetch becomes a batch. All of them lie in one
 * buffer, piece behind piece, and behind the last one what has arrived of a record that is not complete; the next fetch moves
 * that to the front. Only a record that is longer than the buffer lets it grow, until it has been read.
 */
#include "postgres.h"

#include "file/feed.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* Bytes of decompressed files that are held. */
#define PIECE ((size_t) 16 * 1024 * 1024)

/* As much is read at a time, at least. */
#define STEP ((size_t) 65536)

/* Longest record. */
#define MOST_RECORD ((size_t) 64 * 1024 * 1024)

/* read_store is the byte source of decompress.c. */
static size_t
read_store(void *arg, char *buffer, size_t size)
{
	EtlStore *store = arg;

	return store->routine->read(store, buffer, size);
}

/* etl_file_fetch_close closes what is open, and forgets what is in no piece. */
void
etl_file_fetch_close(EtlFileFeed *feed)
{
	feed->filled = feed->start;
	etl_decompress_close(feed->stream);
	feed->stream = NULL;
	feed->open = NULL;
	feed->store->routine->close_file(feed->store);
}

/* open_next opens the next wanted file. What it takes is in the current context, which is emptied first. */
static void
open_next(EtlFileFeed *feed)
{
	EtlWanted *wanted = &feed->wanted[feed->next_wanted];

	MemoryContextReset(feed->open_context);
	feed->store->routine->open_file(feed->store, &wanted->file);
	feed->open = wanted;
	feed->open_begun = false;
	feed->stream = etl_decompress_open(feed->options->compression, psprintf("file \"%s\"", wanted->file.path),
									   feed->options->max_bytes, read_store, feed->store);
}

/* refuse_length reports a record that is too long. */
static void
pg_attribute_noreturn() refuse_length(const EtlFileFeed *feed)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("file \"%s\" has a record of more than %d MB", feed->open->file.path,
					(int) (MOST_RECORD / 1024 / 1024)),
			 errdetail("No end of a record was found in so many bytes."),
			 errhint("Check quote, escape and format of the foreign table, and the ends of lines in the file.")));
}

/* resize gives the buffer another size. */
static void
resize(EtlFileFeed *feed, size_t size)
{
	if (feed->buffer == NULL)
		feed->buffer = MemoryContextAllocHuge(feed->base.request.context, size);
	else
		feed->buffer = repalloc_huge(feed->buffer, size);
	feed->buffer_size = size;
}

/* make_room makes the buffer longer, for a record that does not end in it. */
static void
make_room(EtlFileFeed *feed)
{
	if (feed->filled - feed->start >= MOST_RECORD)
		refuse_length(feed);
	resize(feed, feed->buffer_size * 2);
}

/* begin_buffer moves what is left to the front. */
static void
begin_buffer(EtlFileFeed *feed)
{
	feed->n_pieces = feed->next_piece = 0;
	feed->filled -= feed->start;
	if (feed->filled > 0)
		memmove(feed->buffer, feed->buffer + feed->start, feed->filled);
	feed->start = 0;
	if (feed->buffer == NULL || (feed->buffer_size > PIECE + STEP && feed->filled < PIECE))
		resize(feed, PIECE + STEP);
}

/* fill reads until the buffer has PIECE bytes, or a piece that is longer is full; returns whether the file has ended. */
static bool
fill(EtlFileFeed *feed, size_t until)
{
	while (feed->filled < until && feed->buffer_size - feed->filled >= STEP)
	{
		size_t n = etl_decompress_read(feed->stream, feed->buffer + feed->filled, feed->buffer_size - feed->filled);

		CHECK_FOR_INTERRUPTS();
		if (n == 0)
			return true;
		feed->filled += n;
	}
	return false;
}

/* add_piece makes a piece of what comes next in the buffer. */
static void
add_piece(EtlFileFeed *feed, size_t length, bool is_last)
{
	EtlPiece *piece = &feed->piece[feed->n_pieces++];

	piece->wanted = feed->open;
	piece->at = feed->start;
	piece->length = length;
	piece->is_first = !feed->open_begun;
	piece->is_last = is_last;
	piece->error = NULL;
	feed->start += length;
	feed->open_begun = true;
}

/* read_piece reads some of the open file, up to the end of a record; false: the rest of the buffer does not hold one. */
static bool
read_piece(EtlFileFeed *feed)
{
	size_t until = PIECE;

	for (;;)
	{
		bool is_end = fill(feed, until);
		size_t whole = feed->parser->routine->cut(feed->parser, feed->buffer + feed->start, feed->filled - feed->start,
												  is_end);

		if (whole > 0 || is_end)
		{
			add_piece(feed, whole, is_end);
			return true;
		}
		/* At the front of the buffer the record has more room. */
		if (feed->n_pieces > 0)
			return false;
		if (feed->buffer_size - feed->filled < STEP)
			make_room(feed);
		until = feed->buffer_size;
	}
}

/* try_piece is read_piece for a file that is only checked: what is wrong with its bytes is not an error, but makes it bad. */
static bool
try_piece(EtlFileFeed *feed)
{
	volatile bool found = true;

	PG_TRY();
	{
		found = read_piece(feed);
	}
	PG_CATCH();
	{
		int class = ERRCODE_TO_CATEGORY(geterrcode());

		if (class != ERRCODE_DATA_EXCEPTION && class != ERRCODE_PROGRAM_LIMIT_EXCEEDED)
			PG_RE_THROW();
		feed->filled = feed->start;
		add_piece(feed, 0, true);
		MemoryContextSwitchTo(feed->list_context);
		feed->piece[feed->n_pieces - 1].error = CopyErrorData();
		MemoryContextSwitchTo(feed->open_context);
		FlushErrorState();
	}
	PG_END_TRY();
	return found;
}

/* fetch_pieces fetches until enough is there. */
static void
fetch_pieces(EtlFileFeed *feed)
{
	MemoryContext old = MemoryContextSwitchTo(feed->open_context);

	begin_buffer(feed);
	while (feed->start < PIECE && feed->n_pieces < ETL_FILE_PIECES && feed->next_wanted < feed->n_wanted)
	{
		CHECK_FOR_INTERRUPTS();
		if (feed->open == NULL)
			open_next(feed);
		if (!(feed->checks_files && !feed->open->is_checked ? try_piece(feed) : read_piece(feed)) ||
			!feed->piece[feed->n_pieces - 1].is_last)
			break;
		etl_file_fetch_close(feed);
		feed->next_wanted++;
		/* A file that may turn out to be bad is dealt with before the next one. */
		if (feed->checks_files)
			break;
	}
	MemoryContextSwitchTo(old);
}

/* fetch_list fetches the next part of the list. */
static void
fetch_list(EtlFileFeed *feed)
{
	MemoryContext old;

	MemoryContextReset(feed->list_context);
	old = MemoryContextSwitchTo(feed->list_context);
	feed->n_wanted = feed->next_wanted = 0;
	feed->list_ended = !feed->store->routine->list(feed->store, &feed->list);
	feed->is_listed = true;
	MemoryContextSwitchTo(old);
}

/* etl_file_fetch does one of both. */
void
etl_file_fetch(EtlFileFeed *feed)
{
	if (feed->is_listed || feed->next_piece < feed->n_pieces)
		return;
	if (feed->next_wanted < feed->n_wanted)
		fetch_pieces(feed);
	else if (!feed->list_ended)
		fetch_list(feed);
}
