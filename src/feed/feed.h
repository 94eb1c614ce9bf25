/*
 * feed.h
 *		Sources that etl_ext reads by itself: foreign tables of its own wrappers etl_http, etl_s3, etl_file and etl_kafka.
 *
 * A feed delivers the rows of one foreign table. It serves an extract (reader.c), where its position is kept and commits
 * with the rows, and a plain SELECT (fdw.c), which reads everything and keeps nothing. Its life is
 *
 *		open -> (fetch -> next* -> save -> commit)* -> close
 *
 * open is called in a transaction: it reads options, secrets and the position that was saved last, and checks rights. No
 * network.
 *
 * fetch waits for the source and brings what the next rows are made of, into memory (32 MB at most) or a temporary file.
 * In an extract no transaction is open then: no catalog, no SPI, no snapshot. What is read from a disk of this machine
 * need not be fetched. It looks at interrupts at least every 200 ms, and does nothing while something of the last fetch is
 * left. Errors are raised with an errcode; one of class 08, 53, 57P or 58 is tried again by the task's retry_delays, so
 * that only what may pass by itself is given one. A source that ends before it said it would is such an error (08006 or
 * ZE007), never an end.
 *
 * next is called in a transaction (with bad->position -1 and all else zero), with the settings of etl_value_pin_settings, in a memory context that the caller
 * empties after each row. It fills the slot (the relation's row type, all NULL on entry; only the request's columns) or
 * bad. Values may point into the feed's memory until the next call.
 *
 * save is called in the transaction that holds the rows which next gave out since the last save, also the bad ones: it
 * writes the position behind them, compare-and-set on the position that it read in open or wrote last (ZE004 when
 * another has moved it). Not called for a SELECT, nor in a backfill (attempt->is_backfill), in which open does not look at
 * the position either. A transaction that fails after it ends the attempt.
 *
 * close frees what is outside of memory contexts: sockets, threads, files. It is called once, also after errors with the
 * transaction still to be aborted: it touches no catalog and raises nothing. The request's context and its children are
 * there until it returns. A feed that open could not finish is not closed: what open leaves outside of memory contexts when
 * it raises an error, it frees itself.
 */
#ifndef ETL_FEED_H
#define ETL_FEED_H

#include "executor/tuptable.h"
#include "nodes/pg_list.h"
#include "source/relation.h"
#include "worker/attempt.h"

typedef enum EtlFeedStep
{
	ETL_FEED_ROW,	 /* the slot is filled */
	ETL_FEED_DELETE, /* the slot is filled as far as is known; the row with its key was deleted at the source */
	ETL_FEED_BAD,	 /* a record that is no row: bad is filled */
	ETL_FEED_PAUSE,	 /* what was fetched is used up; fetch again */
	ETL_FEED_END	 /* the source has no more, now */
} EtlFeedStep;

/* A record that could not become a row. Strings live until the next call of next, or longer. */
typedef struct EtlBadRow
{
	int sqlstate;		/* as errcode() takes it */
	const char *reason; /* message, in lower case, without full stop */
	const char *column; /* NULL: not one of them */
	const char *value;	/* of that column, as it came; NULL: not known */
	const char *origin; /* path of a file, topic and partition, address of a page without secrets */
	int64 position;		/* line, offset or number of the record in origin; -1: not known */
	const char *record; /* the record as it came, may be cut off; NULL: not known */
	int record_length;
} EtlBadRow;

typedef struct EtlFeedRequest
{
	const EtlSource *source; /* the foreign table and the columns that are wanted */
	const EtlTask *task;	 /* the extract; NULL: a plain SELECT */
	EtlAttempt *attempt;	 /* for notes and counts; NULL: a plain SELECT, or explain */
	Oid user;				 /* whose user mapping and rights */
	const char *lower; /* only rows with cursor >= lower are needed; NULL: no such limit; text as in etl.watermark */
	const char *below; /* only rows with cursor < below are needed; NULL: no such limit */
	bool full_refresh; /* from the beginning, whatever was read before */
	bool keep_bad;	   /* bad records are put aside and the rest goes on; otherwise the first one is an error */
	int max_rows;	   /* next is called at most so often between two saves */
	MemoryContext context; /* of the feed, until close */
} EtlFeedRequest;

typedef struct EtlFeed EtlFeed;

typedef struct EtlFeedRoutine
{
	const char *name; /* as reader in etl.task_run: http, s3, file, kafka */
	const char *fdw;  /* the wrapper */
	bool keep_bad;	  /* what on_error means when it is not given: true: skip_row, false: abort */

	/* Errors: 42501, 42704 (no mapping), HV... for options that do not fit together. */
	EtlFeed *(*open)(const EtlFeedRequest *request);
	void (*fetch)(EtlFeed *feed);
	EtlFeedStep (*next)(EtlFeed *feed, TupleTableSlot *slot, EtlBadRow *bad);

	/*
	 * highest: the highest cursor value of all rows so far, as text for etl.watermark, or NULL. A feed whose rows do not
	 * come in the order of the cursor keeps it with its position, and gives it back in resumed_highest when it is opened
	 * again in the middle: the watermark moves only after ETL_FEED_END.
	 */
	void (*save)(EtlFeed *feed, const char *highest);
	void (*close)(EtlFeed *feed);

	/*
	 * At definition time, as the owner: checks what the foreign table's options and the task's settings say, and fills in
	 * what follows from the options (cursor_column of http). Errors: 22023, 42501, 0A000, with hints.
	 */
	void (*define)(EtlTask *task, const EtlSource *source);

	/* Lines for explain_task: what the source would be asked. No network, no secrets. */
	List *(*explain)(const EtlFeedRequest *request);

	/* For validate: a list of EtlProblem; may be NULL. May raise errors, which become problems. No network. */
	List *(*problems)(const EtlFeedRequest *request);
} EtlFeedRoutine;

/* Feeds embed this as their first member. */
struct EtlFeed
{
	const EtlFeedRoutine *routine;
	EtlFeedRequest request;
	const char *resumed_highest; /* see save; NULL: none */
	Jsonb *extra;				 /* set by next: fields that no column takes, for _etl_extra; NULL: none */
};

extern const EtlFeedRoutine etl_http_feed;	/* src/http */
extern const EtlFeedRoutine etl_s3_feed;	/* src/file */
extern const EtlFeedRoutine etl_file_feed;	/* src/file */
extern const EtlFeedRoutine etl_kafka_feed; /* src/kafka; without WITH_KAFKA absent.c, which refuses to read */

/* The feed for the tables of a wrapper, or NULL. fdw may be NULL. */
extern const EtlFeedRoutine *etl_feed_find(const char *fdw);

/* Raises the error for a bad record where it ends everything. */
extern void etl_feed_refuse(const EtlBadRow *bad, const EtlSource *source) pg_attribute_noreturn();

#endif /* ETL_FEED_H */
