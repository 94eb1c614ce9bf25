/*
 * images.h
 *		What a run has changed in its target, for whoever needs the rows of before and after.
 *
 * Both are FROM items as SQL, whose columns have the names of the target's; generated columns may be left out.
 */
#ifndef ETL_IMAGES_H
#define ETL_IMAGES_H

#include "c.h"

typedef struct EtlImages
{
	const char *old_rows; /* rows that were updated or deleted, as they were; NULL: none */
	const char *new_rows; /* rows that were inserted or updated, as they are; NULL: none */
	int64 n_old;
	int64 n_new;
} EtlImages;

#endif /* ETL_IMAGES_H */
