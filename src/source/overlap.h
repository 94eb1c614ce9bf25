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
 * Reads what the raw table has at and above request->lower (NULL: everything) and, if request->null_cursors, without a
 * cursor; reached is the highest value that can be there. NULL when there is nothing. Allocates in the current memory context, at most about 100 MB.
 */
extern EtlOverlap *etl_overlap_open(const EtlReadRequest *request, Oid raw, const char *reached);

/* Whether the row in the slot (the map's columns, then the cursor) is there already in its present form. */
extern bool etl_overlap_has(EtlOverlap *overlap, TupleTableSlot *slot, bool deleted);

/* Whether the raw table had more rows than could be kept: some rows may be appended twice. */
extern bool etl_overlap_is_full(const EtlOverlap *overlap);

#endif /* ETL_OVERLAP_H */
