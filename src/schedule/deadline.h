/*
 * deadline.h
 *		When a run has to be done: a time of day ('09:00'), the first one at or after the run was due, or an interval after
 *		that ('4 h'). Pure.
 */
#ifndef ETL_DEADLINE_H
#define ETL_DEADLINE_H

#include "datatype/timestamp.h"

/* Checks a deadline. Errors: 22023. */
extern void etl_deadline_validate(const char *deadline);

/* The deadline of a run that was due at due; timezone is that of the pipeline. deadline is not NULL. */
extern TimestampTz etl_deadline_at(const char *deadline, const char *timezone, TimestampTz due);

#endif /* ETL_DEADLINE_H */
