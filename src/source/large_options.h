/*
 * large_options.h
 *		Checks the options for large and first loads.
 */
#ifndef ETL_LARGE_OPTIONS_H
#define ETL_LARGE_OPTIONS_H

#include "source/relation.h"

/* Refuses chunk_interval, slices and snapshot_group where they cannot work. */
extern void etl_large_options_check(const EtlTask *task, const EtlSource *source);

#endif /* ETL_LARGE_OPTIONS_H */
