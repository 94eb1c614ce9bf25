/*
 * parts.h
 *		An extract in cursor order that reads many rows again: cut so that what the raw table has of each part can be held.
 */
#ifndef ETL_PARTS_H
#define ETL_PARTS_H

#include "source/extract_run.h"

/* Reads and appends everything within the bounds of extract->request; a reader is open that has read nothing. */
extern void etl_parts_read(EtlExtract *extract);

#endif /* ETL_PARTS_H */
