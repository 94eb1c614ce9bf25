/*
 * raw_marker.h
 *		Batches that repeat rows of a raw table with another _etl_op: markers of what its source has no longer.
 */
#ifndef ETL_RAW_MARKER_H
#define ETL_RAW_MARKER_H

#include "catalog/batch.h"

/* The columns of a raw table that such a row repeats, each quoted, with commas between them. */
extern char *etl_raw_marker_columns(Oid raw);

/*
 * Appends the rows of "FROM from" (which has these columns) with a batch's number and time, op 'd' or 'u', as the current user;
 * returns how many, which the batch counts too. The partition for the batch's time must exist.
 */
extern int64 etl_raw_marker_append(EtlBatch *batch, const char *columns, const char *from, char op);

#endif /* ETL_RAW_MARKER_H */
