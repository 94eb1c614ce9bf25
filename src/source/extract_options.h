/*
 * extract_options.h
 *		Checks the options of an extract that go beyond names and types.
 */
#ifndef ETL_EXTRACT_OPTIONS_H
#define ETL_EXTRACT_OPTIONS_H

#include "source/relation.h"

/* Refuses (22023, 0A000) options that do not fit together or that the source cannot serve. */
extern void etl_extract_check_options(const EtlTask *task, const EtlSource *source);

#endif /* ETL_EXTRACT_OPTIONS_H */
