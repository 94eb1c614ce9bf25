/*
 * statistics.h
 *		The planner's statistics of a table that etl_ext has just changed.
 */
#ifndef ETL_STATISTICS_H
#define ETL_STATISTICS_H

/* Analyzes a table of which changed rows were written since, if that is many of them. Never waits, never fails. */
extern void etl_statistics_refresh(Oid relation, int64 changed);

#endif /* ETL_STATISTICS_H */
