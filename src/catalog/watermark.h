/*
 * watermark.h
 *		etl.watermark and etl.watermark_history: how far each extract has come in its source, and every move.
 *
 * A value is the cursor as text in a form that no setting changes (ISO dates, UTC). An extract moves it only forward; a
 * cursor of another type starts afresh. reached is the highest value in the raw table, at or above the watermark.
 */
#ifndef ETL_WATERMARK_H
#define ETL_WATERMARK_H

#include "worker/attempt.h"

typedef struct EtlWatermark
{
	char *value;   /* NULL: none; the extract reads everything */
	char *reached; /* NULL: nothing is known to be there */
} EtlWatermark;

/* The watermark of an extract whose cursor has this type; NULLs: none yet, or it was of another type. */
extern EtlWatermark etl_watermark_get(int64 task_id, Oid type);

/*
 * Moves the watermark of the attempt's task forward to value and reached to reached; a NULL, lower or equal one leaves
 * that part alone. A move of value is written to the history.
 */
extern void etl_watermark_advance(const EtlAttempt *attempt, Oid type, const char *value, const char *reached);

/* Moves the watermark to value by hand, backwards too; NULL: the next extract reads everything. Written to the history. */
extern void etl_watermark_set(int64 task_id, Oid type, const char *value, Oid role, const char *reason);

/* Removes the watermark of a task whose definition changed, with a line in the history. */
extern void etl_watermark_forget(int64 task_id, Oid role, const char *reason);

/* Orders two values of a type given as text: text byte by byte. */
extern int etl_watermark_compare(Oid type, const char *left, const char *right);

/* The cursor column has a wider type now, in which the values are written as before. */
extern void etl_watermark_retype(int64 task_id, Oid type);

#endif /* ETL_WATERMARK_H */
