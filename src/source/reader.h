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
 * fetch_in_transaction = false (own connections: postgres, mysql, HTTP, S3, Kafka): no wait for an answer may happen while
 * a snapshot is held, so that next_batch is called twice for each batch. First without a transaction (inline: within the
 * caller's) and with sink = NULL: a source that streams sends its question and waits for the first row; others fetch up
 * to max_rows rows into a spool of the reader's own (memory up to a few MB, then a temporary file). No catalog access, no
 * palloc in callbacks of a foreign library, and a look at interrupts at least every 200 ms. Its result does not count.
 * Then in a transaction with the sink: read or convert the rows and put each. Returns true when there may be more behind
 * the batch. A transaction that fails after the fetch leaves the source where it was: acknowledge nothing before the commit.
 *
 * Two orders. by_key = false: in the order of the cursor and then the key, so that each batch ends where the next begins
 * and the watermark can follow; without a key or cursor in one piece. by_key = true: the whole source in the order of its
 * key, from behind after up to until; a row that moves to a higher cursor meanwhile is read by the next extract.
 *
 * Row layout: the map's columns; then the cursor, if the task has one; then a boolean, if request->deleted is given.
 *
 * verify = true: each batch is compared with count(*), min and max of the first key column (or of the cursor, without a
 * key) that the source finds within the batch's bounds in the same snapshot; a difference is ZE012 (etl_verify_batch).
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
#include "source/remote.h"
#include "worker/attempt.h"

/* Where a reader puts its rows. deleted: the row goes to the raw table with
 * _etl_op = 'd'. The slot has the row layout above; it is read before put returns. */
typedef struct EtlRowSink
{
	void (*put)(struct EtlRowSink *sink, TupleTableSlot *slot, bool deleted);
} EtlRowSink;

/* What an extract asks a reader for. Strings and lists live as long as the reader. */
typedef struct EtlReadRequest
{
	const EtlTask *task; /* primary_key, cursor_column, search_path, zero_dates */
	EtlAttempt *attempt; /* NULL in explain and validate */
	const EtlSource *source;
	const EtlRawMap *map; /* the columns to deliver, in this order */
	EtlRemote *remote;	  /* a connection of our own to the source's server, connected; NULL: none */
	const char *snapshot; /* PostgreSQL: name of an exported snapshot to read in; NULL: each batch in one of its own */
	const char *filter;	  /* SQL condition on the source's rows, as the author wrote it; NULL: none */
	bool filter_here;	  /* the source cannot evaluate it: the projection does (project.h) */
	const char *deleted;  /* SQL condition that says which rows count as deleted; NULL: none */
	const char *lower;	  /* rows with cursor >= lower; NULL: no such limit. Text as in etl.watermark */
	const char *below;	  /* rows with cursor < below; NULL: no such limit */
	bool null_cursors;	  /* also the rows whose cursor is NULL (or infinite), after all others or among them */
	bool by_key;		  /* in the order of the primary key */
	char *const *after;	  /* by_key: rows behind this key, a text per key column; NULL: from the start */
	const char *until;	  /* by_key: rows whose first key column is at most this; NULL: to the end */
	bool verify;		  /* compare each batch with the source */
	int max_rows;		  /* most rows of a batch */
	MemoryContext context;
} EtlReadRequest;

/* How far the last batch reaches. */
typedef struct EtlReadState
{
	int64 rows;			   /* rows that came from the source */
	int64 null_cursors;	   /* of them without a cursor */
	const char *cursor_to; /* highest finite cursor value so far, as text for etl.watermark; NULL: none */
	char *const *last_key; /* by_key: key of the last row of the batch, a text per key column; NULL: no row */
	const char *sql;	   /* what the source was asked first; NULL: nothing that is SQL */
	const char *note;	   /* a sentence for the person who looks at the attempt; NULL: none */
	const char *reason; /* for etl.task_run.reader_reason: what could not be taken in the fastest way; NULL: nothing */
} EtlReadState;

/* What a source says about one column within the bounds of a request. */
typedef struct EtlEdges
{
	int64 count; /* rows */
	char *min;	 /* as text; NULL: no row, or all NULL */
	char *max;
} EtlEdges;

typedef struct EtlReader EtlReader;

typedef struct EtlReaderRoutine
{
	const char *name; /* as in etl.task_run.reader */
	bool fetch_in_transaction;

	/* NULL: this reader cannot do it, *why_not says why in words, and another one is asked. In a transaction; no network. */
	EtlReader *(*open)(const EtlReadRequest *request, const char **why_not);
	bool (*next_batch)(EtlReader *reader, EtlRowSink *sink);
	void (*state)(EtlReader *reader, EtlReadState *state);

	/*
	 * count(*), min and max of a column over the rows of the request (filter, lower, below, until) whose value in the
	 * column is at least from (NULL: all). Called before the first batch, with a transaction open if fetch_in_transaction
	 * says so. For a column whose order is not that of this server (text of MySQL) min and max are the source's.
	 */
	void (*edges)(EtlReader *reader, const EtlColumn *column, const char *from, EtlEdges *edges);
	void (*close)(EtlReader *reader);
} EtlReaderRoutine;

/* Readers embed this as their first member. */
struct EtlReader
{
	const EtlReaderRoutine *routine;
	EtlReadRequest request;
	EtlAttempt *attempt; /* to count values that had to be changed (etl_attempt_count); NULL in explain and validate */
};

/* The reader for everything that can be SELECTed from (query_reader.c). */
extern const EtlReaderRoutine etl_query_reader;

/* COPY through a libpq connection of our own, for tables of postgres_fdw (src/postgres/reader.c). */
extern const EtlReaderRoutine etl_postgres_reader;

/* Unbuffered through libmariadb, for tables of mysql_fdw (src/mysql/reader.c); absent without WITH_MYSQL. */
extern const EtlReaderRoutine etl_mysql_reader;

/*
 * Opens the best reader that can do it: the one that the task names, or that of the source's wrapper, or the query
 * reader. *reason says why that one, for etl.task_run.reader_reason. Errors: 0A000 when the task names a reader that cannot.
 */
extern EtlReader *etl_reader_open(const EtlReadRequest *request, const char **reason);

/* The same without the query reader: NULL, with the reason, when that one has to do it. */
extern EtlReader *etl_reader_open_own(const EtlReadRequest *request, const char **reason);

/* Refuses (ZE012) a batch that differs from what the source counted within the same bounds. */
extern void etl_verify_batch(const EtlReadRequest *request, const EtlColumn *column, const EtlEdges *got,
							 const EtlEdges *expected);

#endif /* ETL_READER_H */
