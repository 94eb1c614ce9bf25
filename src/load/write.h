/*
 * write.h
 *		The statements that write a target. Pure: text from a plan.
 */
#ifndef ETL_LOAD_WRITE_H
#define ETL_LOAD_WRITE_H

#include "load/plan.h"

/* Rows of a temporary table: all, or those low .. high by _etl_n. */
typedef struct EtlSource
{
	const char *table;
	bool is_range;
	int64 low;
	int64 high;
} EtlSource;

/* From a table of changes, see change.h: the rows that are inserted, updated (NULL: only keys), marked or deleted. */
extern char *etl_write_insert(const EtlPlan *plan, const EtlSource *source);
extern char *etl_write_update(const EtlPlan *plan, const EtlSource *source);
extern char *etl_write_mark(const EtlPlan *plan, const EtlSource *source);
extern char *etl_write_delete(const EtlPlan *plan, const EtlSource *source);

/* Inserts all rows of a delta. */
extern char *etl_write_append(const EtlPlan *plan, const EtlSource *source);

/* Deletes all rows of the target. */
extern char *etl_write_clear(const EtlPlan *plan);

/* Returns 1 when target and source hold the same rows. */
extern char *etl_write_compare(const EtlPlan *plan, const EtlSource *source);

#endif /* ETL_LOAD_WRITE_H */
