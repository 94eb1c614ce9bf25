/*
 * overlap.h
 *		The rows that a raw table has already, at and above the lower bound of an extract.
 *
 * An extract starts at its watermark (or a lag below it), so that it reads rows again that were appended before. They
 * are recognised and left out: no row twice, however often an extract runs.
 */
#ifndef ETL_OVERLAP_H
#define ETL_OVERLAP_H

#include "executor/tuptable.h"
#include "source/reader.h"

typedef struct EtlOverlap EtlOverlap;

/*
 * Reads what the raw table has from request->lower (NULL: everything) to request->below and, if request->null_cursors, without a
 * cursor; reached is the highest value that can be there. NULL when there is nothing. Allocates in a child of the current memory context, about 50 bytes for each of etl.compare_rows.
 */
extern EtlOverlap *etl_overlap_open(const EtlReadRequest *request, Oid raw, const char *reached);

/* Whether the row in the slot (the map's columns, then the cursor) is there already in its present form. */
extern bool etl_overlap_has(EtlOverlap *overlap, TupleTableSlot *slot, bool deleted);

/* Whether the raw table had more rows than could be kept. */
extern bool etl_overlap_is_full(const EtlOverlap *overlap);

/*
 * A cursor value above request->lower below which the raw table has no more rows than can be kept, unless too many have one
 * value; NULL: none of them is above it.
 */
extern char *etl_overlap_cut(const EtlReadRequest *request);

/* Frees it; NULL is allowed. */
extern void etl_overlap_close(EtlOverlap *overlap);

#endif /* ETL_OVERLAP_H */
