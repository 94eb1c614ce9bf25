/*
 * prepare.h
 *		A postgres reader before its first page: whether it can do it, what the pages are ordered by, and in which form the
 *		columns come.
 */
#ifndef ETL_PG_PREPARE_H
#define ETL_PG_PREPARE_H

#include "postgres/connection.h"
#include "postgres/copy.h"
#include "postgres/rows.h"
#include "source/project.h"

typedef enum EtlPgPhase
{
	ETL_PG_ROWS,		 /* within the bounds */
	ETL_PG_NULL_CURSORS, /* the rows without a cursor, in the order of the key */
	ETL_PG_NULL_KEYS	 /* the rows that pages leave out because their key is NULL: there must be none */
} EtlPgPhase;

typedef struct EtlPgReader
{
	EtlReader base;
	EtlPgRemote *remote;
	MemoryContext scratch; /* emptied at each batch */
	MemoryContext row_context;
	EtlRemotePage page;
	EtlPgCopy *copy;
	EtlProjection *projection;
	EtlPgRows rows;
	bool described; /* the types at the source are known */
	bool fetched;	/* the source was asked for the next batch */
	bool more;		/* the row behind the batch was seen */
	bool nulls_to_read;
	EtlPgPhase phase;
	char *sql;	   /* what was sent for this batch */
	char *message; /* libpq's; NULL: none */
	int length;
	int64 copied; /* rows of this COPY */
	char **start; /* order values of the row behind which this page begins */
	char **end;	  /* ... and of the last row taken */
	char *first_sql;
	const char *note;
	const char *reason;
} EtlPgReader;

/* Fills a reader in for its request; false: *why_not says why it cannot do it. In a transaction, without network. */
extern bool etl_pg_prepare_open(EtlPgReader *reader, const char **why_not);

/* Asks the source for the types of its columns and decides how each comes. Touches no catalog. */
extern void etl_pg_prepare_describe(EtlPgReader *reader);

/* Sets what the pages are ordered by, and forgets where the last one ended. In a transaction. */
extern void etl_pg_prepare_order(EtlPgReader *reader, bool with_cursor);

#endif /* ETL_PG_PREPARE_H */
