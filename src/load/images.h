/*
 * images.h
 *		The rows that a run has changed in a target, as they were and as they are.
 */
#ifndef ETL_IMAGES_H
#define ETL_IMAGES_H

#include "c.h"

/* FROM items whose columns have the names of the target's; NULL: there are none. */
typedef struct EtlImages
{
	const char *old_rows; /* updated or deleted rows, as they were: the columns that were asked for */
	const char *new_rows; /* inserted or updated rows, as they are: all columns */
	int64 n_old;
	int64 n_new;
} EtlImages;

#endif /* ETL_IMAGES_H */
