/*
 * feed.h
 *		The feed of etl_http tables while it is at work: what http_feed.c, walk.c, fetch.c and position.c share.
 *
 * Pages are asked for in an order, answered in any, and looked at in that order again: each says what comes behind it
 * (walk.c). pages holds those that were asked for and whose records were not all given out, in that order.
 */
#ifndef ETL_HTTP_FEED_H
#define ETL_HTTP_FEED_H

#include "catalog/http_progress.h"
#include "format/parser.h"
#include "format/record.h"
#include "http/document.h"
#include "http/rate.h"
#include "http/request.h"
#include "utils/hsearch.h"

typedef enum EtlHttpPageState
{
	ETL_HTTP_WAITING, /* to be sent when due has come */
	ETL_HTTP_SENT,
	ETL_HTTP_ANSWERED,
	ETL_HTTP_READY /* looked at, in its turn; its records may be given out */
} EtlHttpPageState;

typedef struct EtlHttpPage
{
	MemoryContext context; /* of all that is in here */
	EtlHttpPosition position;
	EtlHttpPageState state;
	EtlTransferRequest request;
	bool built;
	int tries;
	int redirects;
	bool renewed; /* with a new token, after the old one was refused */
	TimestampTz due;
	EtlTransferResult result;
	EtlHttpFailure *failure; /* NULL: none; raised when it is its turn */
	EtlHttpDocument document;
	int given; /* records that were given out, or passed over */
	int skip;  /* records that are committed already */

	/* Once it is ready: */
	bool unchanged;		   /* 304 */
	bool is_end;		   /* nothing comes behind it */
	EtlHttpPosition after; /* what comes behind it */
	int64 received;		   /* records of the parent, with those of this page */
} EtlHttpPage;

typedef struct EtlHttpFeed
{
	EtlFeed base;
	EtlHttpTable *table;
	EtlHttpBounds bounds;
	EtlHttpParents *parents;
	EtlHttpReader *reader;
	EtlInput *input;
	EtlRecordMap *map;	 /* JSON */
	EtlParser *parser;	 /* lines and CSV */
	int *parent_column;	 /* for each column of the source, the column of for_each that fills it; -1: the record does */
	EtlTransferSet *set; /* NULL: not open */
	EtlHttpRate rate;
	TimestampTz started;

	/* walk.c */
	List *pages;		  /* of EtlHttpPage */
	EtlHttpPosition next; /* to be asked for */
	bool asked_all;		  /* there is no next, as far as is known */
	bool goes_ahead;	  /* this parent has a page that was full: more may be asked for at the same time */
	int64 last_number;	  /* of this parent's pages, as total says; -1: not known */
	int64 received;		  /* records of this parent, on the pages that were looked at */
	int n_pages;		  /* looked at */
	HTAB *seen;

	/* http_feed.c */
	EtlHttpPage *current; /* whose records are given out */
	bool is_resumed;	  /* the first page is one that an earlier attempt has come to */

	/* position.c */
	EtlHttpProgress progress;
	EtlHttpPosition done; /* what comes behind all that was given out */
	int64 done_received;
	bool done_all;
	bool ends_with_one; /* the read took one page */
	char *etag;
	char *last_modified;
} EtlHttpFeed;

/* walk.c: which page is asked for next, what an answer says about the one behind it. */
extern void etl_http_walk_begin(EtlHttpFeed *feed);
extern EtlHttpPage *etl_http_walk_ask(EtlHttpFeed *feed); /* NULL: nothing can be asked for now */
extern EtlHttpFailure *etl_http_walk_look(EtlHttpFeed *feed, EtlHttpPage *page);
extern void etl_http_walk_drop(EtlHttpFeed *feed, EtlHttpPage *page);

/* fetch.c: brings pages, until there is enough to give out, or no more. */
extern void etl_http_fetch(EtlHttpFeed *feed);

/* position.c: etl.http_progress. */
extern void etl_http_position_read(EtlHttpFeed *feed);
extern void etl_http_position_save(EtlHttpFeed *feed, const char *highest);

#endif /* ETL_HTTP_FEED_H */
