/*
 * check_options.h
 *		The options of checks that only some types take.
 */
#ifndef ETL_CHECK_OPTIONS_H
#define ETL_CHECK_OPTIONS_H

#include "etl_ext.h"
#include "quality/check_type.h"
#include "source/relation.h"

/* Checks and completes the options of a check; names of relations become qualified. Errors: 22023, 42P01, 42703, 42804, 42883, those of parsing SQL. */
extern void etl_check_options_define(EtlTask *task, const EtlCheckType *type, const EtlSource *target);

/* Checks the values of options against a column of the check. Errors: 22023, 42883, 2201B, those of the column's type. */
extern void etl_check_options_column(const EtlTask *task, const EtlCheckType *type, const EtlColumn *column);

#endif /* ETL_CHECK_OPTIONS_H */
