/*
 * rows.h
 *		What the postgres reader keeps of the rows of a batch: highest cursor, key of the last row, ends for verify.
 */
#ifndef ETL_PG_ROWS_H
#define ETL_PG_ROWS_H

#include "source/held.h"
#include "source/remote_page.h"

typedef struct EtlPgRows
{
	const EtlReadRequest *request;
	const EtlColumn *cursor; /* NULL: none */
	FmgrInfo *compare;		 /* of the cursor's type */
	EtlHeld highest;		 /* cursor over all batches */
	const EtlColumn **order; /* what the pages are ordered by */
	EtlHeld *held;			 /* their values in the last row taken */
	int n_order;
	const EtlColumn *verify; /* column whose ends are compared; NULL: only the count is, or nothing */
	FmgrInfo *verify_compare;
	EtlHeld min;
	EtlHeld max;
	int64 rows; /* of this batch */
	int64 null_cursors;
} EtlPgRows;

/* Prepares; in request->context and a transaction. */
extern void etl_pg_rows_init(EtlPgRows *rows, const EtlReadRequest *request);

/* Sets what the pages are ordered by: indexes in source->column. In a transaction. */
extern void etl_pg_rows_order(EtlPgRows *rows, const int *order, int n);

/* Forgets the last batch. */
extern void etl_pg_rows_begin(EtlPgRows *rows);

/* Takes a row of the source's columns; false: it is not to be delivered. Errors: 23502 for a NULL key. */
extern bool etl_pg_rows_take(EtlPgRows *rows, TupleTableSlot *slot);

/* Refuses (23505) a row behind the cut that has the key of the last row. */
extern void etl_pg_rows_next(EtlPgRows *rows, TupleTableSlot *slot);

/* Refuses (23502) a key column that is NULL. */
extern void etl_pg_rows_refuse_null(const EtlPgRows *rows, const EtlColumn *column);

/* The order values of the last row as text, into texts[n_order], allocated in request->context. */
extern void etl_pg_rows_print_last(const EtlPgRows *rows, char **texts);

/* Compares count and ends with what the source says: count, min, max as text (ZE012). */
extern void etl_pg_rows_verify(EtlPgRows *rows, char *const *answer);

#endif /* ETL_PG_ROWS_H */
