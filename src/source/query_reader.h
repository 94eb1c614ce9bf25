/*
 * query_reader.h
 *		The query reader's state, for its two files: query_reader.c reads, query_plan.c decides how.
 */
#ifndef ETL_QUERY_READER_H
#define ETL_QUERY_READER_H

#include "source/held.h"
#include "source/page.h"
#include "source/reader.h"

/* A batch that is compared with what the source counts. */
typedef struct EtlQueryCheck
{
	EtlPage page; /* as it was read */
	MemoryContext context;
	const EtlColumn *column; /* whose ends are compared; NULL: only rows are counted */
	int at;
	FmgrInfo *compare;
	int64 rows;
	EtlHeld min;
	EtlHeld max;
} EtlQueryCheck;

typedef struct EtlQueryReader
{
	EtlReader base;
	MemoryContext scratch; /* emptied at each batch */
	EtlPage page;
	bool foreign;
	bool mysql;
	bool mysql_stores;	/* a text column makes mysql_fdw hold whole results */
	bool nulls_to_read; /* rows with a NULL cursor come after the others */
	int stalls;			/* pages in a row that gave nothing although there is something */
	int64 width;		/* average bytes of a row so far */

	FmgrInfo *compare; /* of the cursor type */
	EtlHeld highest;   /* cursor */
	EtlHeld *held;	   /* order columns of the last row taken */
	int64 rows;		   /* of this batch */
	int64 null_cursors;
	int64 bytes;
	bool more; /* the row behind the batch was seen */
	EtlRowSink *sink;
	EtlQueryCheck *check; /* NULL: the batch is not compared */
	char *first_sql;
	const char *note;
} EtlQueryReader;

/* Makes the author's search_path and the pinned settings hold until AtEOXact_GUC with the level that is returned. */
extern int etl_query_begin(const EtlTask *task);

/* Fills a reader in: pages or one piece, order, bounds. All in the request's context. */
extern void etl_query_plan(EtlQueryReader *reader);

/* Makes the list of order columns: cursor, then the key columns that are not the cursor. */
extern void etl_query_order(EtlQueryReader *reader, bool with_cursor);

/* Compare a batch (query_verify.c): before it is read, for each of its rows, and when its last row is known. */
extern void etl_query_verify_begin(EtlQueryReader *reader);
extern void etl_query_verify_take(EtlQueryCheck *check, TupleTableSlot *slot);
extern void etl_query_verify_end(EtlQueryReader *reader);

#endif /* ETL_QUERY_READER_H */
