/*
 * raw_index.h
 *		The index entries of the rows that a batch appends to a partition of a raw table, and the partition's statistics.
 */
#ifndef ETL_RAW_INDEX_H
#define ETL_RAW_INDEX_H

#include "access/attnum.h"
#include "nodes/execnodes.h"

typedef struct EtlRawIndex EtlRawIndex;

/*
 * Opens the indexes of a leaf. constant: the two columns that are the same in all rows of the batch. Lives in the current
 * memory context.
 */
extern EtlRawIndex *etl_raw_index_open(ResultRelInfo *leaf, EState *estate, AttrNumber batch, AttrNumber loaded_at);

/* Makes the entries of a row that was just written. Rows come in the order of their blocks. */
extern void etl_raw_index_insert(EtlRawIndex *index, TupleTableSlot *slot);

extern void etl_raw_index_close(EtlRawIndex *index);

/*
 * Brings the BRIN indexes of the leaf up to date, and its statistics if many rows were appended, if the current user may
 * and nobody is in the way.
 */
extern void etl_raw_index_refresh(Oid leaf, int64 appended);

#endif /* ETL_RAW_INDEX_H */
