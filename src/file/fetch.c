/*
 * fetch.c
 *		Fetches files in pieces that hold whole records. See feed.h.
 *
 * Up to PIECE bytes are fetched at a time, of one file or of many small ones: each fetch becomes a batch. Only a record that
 * is longer than that lets a piece grow.
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

/* Files whose pieces one fetch brings. */
#define MOST_PIECES 10000

/* read_store is the byte source of decompress.c. */
static size_t
read_store(void *arg, char *buffer, size_t size)
{
	EtlStore *store = arg;

	return store->routine->read(store, buffer, size);
}

/* etl_file_fetch_close closes what is open. */
void
etl_file_fetch_close(EtlFileFeed *feed)
{
	etl_decompress_close(feed->stream);
	feed->stream = NULL;
	feed->open = NULL;
	feed->store->routine->close_file(feed->store);
}

/* open_next opens the next wanted file. */
static void
open_next(EtlFileFeed *feed)
{
	EtlWanted *wanted = &feed->wanted[feed->next_wanted];
	MemoryContext old;

	MemoryContextReset(feed->open_context);
	feed->buffered = 0;
	feed->store->routine->open_file(feed->store, &wanted->file);
	feed->open = wanted;
	feed->open_begun = false;
	old = MemoryContextSwitchTo(feed->open_context);
	feed->stream = etl_decompress_open(feed->options->compression, psprintf("file \"%s\"", wanted->file.path),
									   feed->options->max_bytes, read_store, feed->store);
	MemoryContextSwitchTo(old);
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

/* make_room makes the buffer longer, for a record that does not end in it. */
static void
make_room(EtlFileFeed *feed)
{
	if (feed->buffered >= MOST_RECORD)
		refuse_length(feed);
	if (feed->buffer == NULL)
		feed->buffer = MemoryContextAllocHuge(feed->base.request.context, feed->buffer_size = PIECE + STEP);
	else
		feed->buffer = repalloc_huge(feed->buffer, feed->buffer_size *= 2);
}

/* add_piece copies the first bytes of the buffer and moves what is behind them to its front. */
static void
add_piece(EtlFileFeed *feed, size_t length, bool is_last)
{
	EtlPiece *piece = &feed->piece[feed->n_pieces++];

	piece->wanted = feed->open;
	piece->bytes = palloc_extended(Max(length, 1), MCXT_ALLOC_HUGE);
	piece->length = length;
	piece->is_first = !feed->open_begun;
	piece->is_last = is_last;
	memcpy(piece->bytes, feed->buffer, length);
	feed->buffered -= length;
	memmove(feed->buffer, feed->buffer + length, feed->buffered);
	feed->open_begun = true;
}

/* fill reads until the buffer has room bytes; returns whether the file has ended. */
static bool
fill(EtlFileFeed *feed, size_t room)
{
	while (feed->buffered < room && feed->buffer_size - feed->buffered >= STEP)
	{
		size_t n = etl_decompress_read(feed->stream, feed->buffer + feed->buffered, feed->buffer_size - feed->buffered);

		CHECK_FOR_INTERRUPTS();
		if (n == 0)
			return true;
		feed->buffered += n;
	}
	return false;
}

/* read_piece reads about room bytes of the open file, up to the end of a record; returns how many. */
static size_t
read_piece(EtlFileFeed *feed, size_t room)
{
	size_t whole = 0;
	bool is_end = false;

	while (whole == 0 && !is_end)
	{
		if (feed->buffer == NULL || feed->buffer_size - feed->buffered < STEP)
			make_room(feed);
		is_end = fill(feed, room);
		whole = feed->parser->routine->cut(feed->parser, feed->buffer, feed->buffered, is_end);
		room = feed->buffer_size;
	}
	add_piece(feed, whole, is_end);
	return whole;
}

/* fetch_pieces fetches until enough is there. */
static void
fetch_pieces(EtlFileFeed *feed)
{
	size_t total = 0;

	MemoryContextReset(feed->piece_context);
	MemoryContextSwitchTo(feed->piece_context);
	feed->piece = palloc(sizeof(EtlPiece) * MOST_PIECES);
	feed->n_pieces = feed->next_piece = 0;
	while (total < PIECE && feed->n_pieces < MOST_PIECES && feed->next_wanted < feed->n_wanted)
	{
		CHECK_FOR_INTERRUPTS();
		if (feed->open == NULL)
			open_next(feed);
		total += read_piece(feed, PIECE - total);
		if (!feed->piece[feed->n_pieces - 1].is_last)
			break;
		etl_file_fetch_close(feed);
		feed->next_wanted++;
		/* A file that may turn out to be bad is dealt with before the next one. */
		if (feed->checks_files)
			break;
	}
}

/* fetch_list fetches the next part of the list. */
static void
fetch_list(EtlFileFeed *feed)
{
	MemoryContextReset(feed->list_context);
	MemoryContextSwitchTo(feed->list_context);
	feed->n_wanted = feed->next_wanted = 0;
	feed->list_ended = !feed->store->routine->list(feed->store, &feed->list);
	feed->is_listed = true;
}

/* etl_file_fetch does one of both. */
void
etl_file_fetch(EtlFileFeed *feed)
{
	MemoryContext old = CurrentMemoryContext;

	if (feed->is_listed || feed->next_piece < feed->n_pieces)
		return;
	if (feed->next_wanted < feed->n_wanted)
		fetch_pieces(feed);
	else if (!feed->list_ended)
		fetch_list(feed);
	MemoryContextSwitchTo(old);
}
