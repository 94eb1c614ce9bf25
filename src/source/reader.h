/*
 * reader.h
 *		The one interface through which an extract gets rows from a source, whatever the source is.
 *
 * The extract (extract.c) owns the transactions, the single-writer lock of the raw table, the batch numbers, etl.batch
 * and etl.watermark. A reader owns the way to the source and its own position in it. Its life is
 *
 *		open -> (next_batch -> state -> commit)* -> close
 *
 * fetch_in_transaction = true (relations, foreign data wrappers, COPY through postgres_fdw's options): open and
 * next_batch are called with a step open: in a transaction with an active snapshot. next_batch reads from the source
 * and puts each row into the sink at once.
 *
 * fetch_in_transaction = false (HTTP, S3, Kafka): no wait for the network may happen while a snapshot is held, so that
 * next_batch is called twice for each batch. First without a transaction and with sink = NULL: fetch up to max_rows
 * rows into a spool of the reader's own (memory up to a few MB, then a temporary file); no catalog access, no palloc in
 * callbacks of a foreign library, and a look at interrupts at least every 200 ms. Then in a short transaction with the
 * sink: convert what is in the spool, put it, and forget it. Both return true when there may be more behind the batch.
 * A transaction that fails after the fetch leaves the source where it was: acknowledge nothing before the commit.
 *
 * state is called in the transaction that holds the batch's rows, after the last of them. It says how far the batch
 * reaches; a reader with a ledger of its own (files seen, Kafka offsets) writes it there and then, so that position and
 * data commit together. The next open starts from what was committed last: nothing else is remembered.
 *
 * close frees what is outside of memory contexts (sockets, files). It is also called after an error, with the
 * transaction still to be aborted: it must not touch the catalog and must not raise errors.
 *
 * Memory: a reader allocates in request->context, which lives as long as the attempt, or in a child of it that it
 * resets; what it uses may not grow with the number of rows.
 */
#ifndef ETL_READER_H
#define ETL_READER_H

#include "executor/tuptable.h"
#include "source/raw_map.h"
#include "source/relation.h"

/* Where a reader puts its rows. Only the first map->n columns of the slot count; it is read before put returns. */
typedef struct EtlRowSink
{
	void (*put)(struct EtlRowSink *sink, TupleTableSlot *slot);
} EtlRowSink;

/* What an extract asks a reader for. */
typedef struct EtlReadRequest
{
	const EtlTask *task;
	const EtlSource *source;
	const EtlRawMap *map; /* the columns to deliver, in this order */
	const char *lower;	  /* rows with cursor >= lower; NULL: all rows. Text as in etl.watermark */
	const char *below;	  /* rows with cursor < below; NULL: no such limit */
	int max_rows;		  /* most rows of a batch */
	MemoryContext context;
} EtlReadRequest;

/* How far the last batch reaches. */
typedef struct EtlReadState
{
	int64 rows;			   /* rows that came from the source */
	const char *cursor_to; /* highest cursor value so far, as text for etl.watermark; NULL: none */
	const char *sql;	   /* what the source was asked first; NULL: nothing that is SQL */
	const char *note;	   /* a sentence for the person who looks at the attempt; NULL: none */
} EtlReadState;

typedef struct EtlReader EtlReader;

typedef struct EtlReaderRoutine
{
	const char *name; /* as in etl.task_run.reader */
	bool fetch_in_transaction;
	EtlReader *(*open)(const EtlReadRequest *request);
	bool (*next_batch)(EtlReader *reader, EtlRowSink *sink);
	void (*state)(EtlReader *reader, EtlReadState *state);
	void (*close)(EtlReader *reader);
} EtlReaderRoutine;

/* Readers embed this as their first member. */
struct EtlReader
{
	const EtlReaderRoutine *routine;
	EtlReadRequest request;
};

/* The reader for everything that can be SELECTed from (query_reader.c). */
extern const EtlReaderRoutine etl_query_reader;

#endif /* ETL_READER_H */
