/*
 * schema_check.h
 *		Checks of type schema: the columns of a table and their types.
 */
#ifndef ETL_SCHEMA_CHECK_H
#define ETL_SCHEMA_CHECK_H

#include "quality/measure.h"

/* Compares the columns of the target with those that are expected, or that it had at the evaluation before. */
extern void etl_schema_check_compare(EtlProbe *probe);

/* Refuses expectations that are no types. Errors: 22023, those of parsing types. */
extern void etl_schema_check_define(const EtlTask *task);

#endif /* ETL_SCHEMA_CHECK_H */
