/*
 * undo_images.h
 *		Which rows a load changes, found by comparing the target before and after: the plain way, for any mode.
 */
#ifndef ETL_UNDO_IMAGES_H
#define ETL_UNDO_IMAGES_H

#include "load/delta.h"
#include "load/images.h"

/* Remembers the rows of the target that the delta may change. NULL: the task keeps no undo. */
extern char *etl_undo_images_before(EtlDelta *delta);

/* Finds what has changed, and keeps it by etl_undo_keep. before: of etl_undo_images_before; NULL: nothing is done. */
extern void etl_undo_images_keep(EtlDelta *delta, const char *before);

#endif /* ETL_UNDO_IMAGES_H */
