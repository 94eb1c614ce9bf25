/*
 * cursor.h
 *		The cursor of rows that come in any order: which of them lie within the bounds of a read, and the highest value.
 */
#ifndef ETL_CURSOR_H
#define ETL_CURSOR_H

#include "source/held.h"
#include "source/reader.h"

typedef struct EtlCursor
{
	const EtlColumn *column; /* NULL: the extract has none, and all rows are taken */
	FmgrInfo *compare;
	Oid collation;
	bool null_cursors; /* rows without a cursor are taken */
	bool has_lower;
	bool has_below;
	Datum lower;
	Datum below;
	EtlHeld highest;
	int64 nulls;   /* rows without a cursor */
	int64 outside; /* rows outside of the bounds */
	MemoryContext context;
} EtlCursor;

/* For the cursor and the bounds of a request, in its context. highest: of earlier reads, or NULL. */
extern void etl_cursor_prepare(EtlCursor *cursor, const EtlReadRequest *request, const char *highest);

/* Looks at a row of the source; false: it is not taken. */
extern bool etl_cursor_take(EtlCursor *cursor, const TupleTableSlot *slot);

/* The highest value so far, as text for etl.watermark, or NULL; under etl_value_pin_settings. */
extern char *etl_cursor_highest(const EtlCursor *cursor);

#endif /* ETL_CURSOR_H */
