/*
 * raw_sink.h
 *		Appends the rows of one batch to the partition of a raw table, in bulk.
 */
#ifndef ETL_RAW_SINK_H
#define ETL_RAW_SINK_H

#include "datatype/timestamp.h"
#include "executor/tuptable.h"
#include "source/raw_map.h"

typedef struct EtlRawSink EtlRawSink;

/* Opens the partition for loaded_at (which must exist). The sink lives in the current memory context. */
extern EtlRawSink *etl_raw_sink_open(Oid raw, const EtlRawMap *map, int64 batch_id, TimestampTz loaded_at);

/* Appends a row whose first map->n columns are the mapped ones, with _etl_op = 'd' if deleted; the slot is not needed afterwards. */
extern void etl_raw_sink_put(EtlRawSink *sink, TupleTableSlot *slot, bool deleted);

/* Writes what is buffered, reports rows and bytes, and closes. */
extern void etl_raw_sink_close(EtlRawSink *sink, int64 *rows, int64 *bytes);

/* Brings the partition's BRIN indexes and statistics up to date, if the current user may and nobody is in the way. */
extern void etl_raw_sink_summarize(Oid raw, TimestampTz loaded_at, int64 appended);

#endif /* ETL_RAW_SINK_H */
