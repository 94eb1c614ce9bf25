/*
 * watermark.h
 *		etl.watermark: how far each extract has come in its source.
 *
 * A value is the cursor as text in a form that no setting changes (ISO dates, UTC). It never moves backwards, except
 * that a cursor of another type starts afresh.
 */
#ifndef ETL_WATERMARK_H
#define ETL_WATERMARK_H

/* The watermark of an extract whose cursor has this type, or NULL: none yet, or it was of another type. */
extern char *etl_watermark_get(int64 task_id, Oid type);

/* Moves the watermark forward to value; a lower or equal value leaves it alone. */
extern void etl_watermark_advance(int64 task_id, Oid type, const char *value, int64 run_id);

#endif /* ETL_WATERMARK_H */
