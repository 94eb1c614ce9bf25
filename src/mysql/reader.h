/*
 * reader.h
 *		The mysql reader: what its files share.
 */
#ifndef ETL_MYSQL_READER_H
#define ETL_MYSQL_READER_H

#include "mysql/connection.h"
#include "mysql/value.h"
#include "source/held.h"
#include "source/project.h"
#include "source/remote_page.h"

typedef struct EtlMyReader
{
	EtlReader base;
	EtlMyRemote *my;
	EtlMyValues *values;
	EtlProjection *projection;
	EtlRemotePage page;
	MYSQL_FIELD *field;	   /* of the source's columns, once MySQL has described them; NULL: not yet */
	MemoryContext scratch; /* emptied at each batch */
	MemoryContext row;	   /* emptied at each row */

	int cursor;			/* index in source->column; -1: none */
	FmgrInfo *compare;	/* of the cursor's type */
	EtlHeld highest;	/* cursor */
	StringInfoData *at; /* order columns of the last row taken, as MySQL sent them */
	bool asked;			/* the query of the batch is under way */
	MYSQL_ROW pending;	/* its first row */
	bool nulls_to_read; /* rows with a NULL cursor come after the others */

	int64 rows; /* of this batch */
	int64 null_cursors;
	bool more; /* the row behind the batch was seen */
	char *first_sql;
	const char *note;

	/* verify: what was read of one column */
	int verified;			/* index in source->column; -1: only the rows are counted */
	FmgrInfo *verify_order; /* compares its values */
	EtlHeld least;
	EtlHeld most;
} EtlMyReader;

/* ---- order.c ---- */

/* Decides in which order the source is read, and whether in pages. In a transaction. */
extern void etl_my_order_decide(EtlMyReader *reader);

/* Refuses (0A000) order columns whose values this server and MySQL would compare differently; once they are described. */
extern void etl_my_order_check(const EtlMyReader *reader);

/* Keeps the order values of a row; refuses (23502) keys without a value. */
extern void etl_my_order_keep(EtlMyReader *reader, MYSQL_ROW row, const unsigned long *length);

/* Refuses (23505) the row behind the cut when it has the key of the last row. */
extern void etl_my_order_compare(const EtlMyReader *reader, MYSQL_ROW row, const unsigned long *length);

/* The order values of the last row as texts for the next page, in the request's context. */
extern char **etl_my_order_last(const EtlMyReader *reader);

/* Turns to the rows whose cursor is NULL; false: there can be none, because the cursor is a key. */
extern bool etl_my_order_start_nulls(EtlMyReader *reader);

extern ETL_NORETURN void etl_my_order_refuse_null(const EtlMyReader *reader, int column);

/* ---- verify.c ---- */

/* Prepares the comparison of batches with the source. In a transaction. */
extern void etl_my_verify_prepare(EtlMyReader *reader);

/* Notes a row's value. */
extern void etl_my_verify_see(EtlMyReader *reader);

/* Compares (ZE012) the batch that ends at upto (NULL: at the end) with what the source counts in the same snapshot. */
extern void etl_my_verify_batch(EtlMyReader *reader, char **upto);

/* Executes a query of etl_remote_page_edges. */
extern void etl_my_verify_ask(EtlMyReader *reader, const char *sql, Oid type, EtlEdges *edges);

#endif /* ETL_MYSQL_READER_H */
