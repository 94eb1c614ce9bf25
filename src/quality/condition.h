/*
 * condition.h
 *		What makes a row one at fault, as SQL. What the author wrote is set in parentheses on lines of its own, so that a
 *		comment at its end closes nothing else; etl_check_define has made sure that it is one expression.
 */
#ifndef ETL_CONDITION_H
#define ETL_CONDITION_H

#include "etl_ext.h"
#include "source/relation.h"

/*
 * A condition that is true for the rows of target that are at fault, of a check whose type is by row. prefix: what stands
 * before its columns, with a dot, where another relation is beside it. NULL values are no fault, but of null_pct and
 * expression.
 */
extern char *etl_condition_fault(const EtlTask *task, const EtlSource *target, const char *prefix);

/* The relation of a check of type relationship, as a join that adds to each row of target one row or none. */
extern char *etl_condition_join(const EtlTask *task, const EtlSource *target, const char *alias);

/* A condition that is true for rows that the join found nothing for, although they have values. */
extern char *etl_condition_unjoined(const EtlTask *task, const EtlSource *target, const char *alias);

/* "a IS NOT NULL AND b IS NOT NULL" for the columns of a check. */
extern char *etl_condition_has_values(const EtlTask *task, const char *prefix);

#endif /* ETL_CONDITION_H */
