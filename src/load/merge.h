/*
 * merge.h
 *		The statements that bring a delta into its target. Pure: text from a plan.
 */
#ifndef ETL_MERGE_H
#define ETL_MERGE_H

#include "load/plan.h"

typedef struct EtlSource
{
	const char *table;
	bool is_range; /* only the rows low .. high by _etl_n */
	int64 low;
	int64 high;
	const char *lowest; /* lowest and highest value of the first key column as literals, or NULL */
	const char *highest;
	const char *partitions; /* more bounds for t, see partitions.h; or NULL */
	bool is_guarded;		/* a row that order_by places before the one in the target changes nothing */
} EtlSource;

extern char *etl_merge_statement(const EtlPlan *plan, const EtlSource *source);
extern char *etl_merge_insert(const EtlPlan *plan, const EtlSource *source);

/* Deletes the rows of the target whose key the source does not have. */
extern char *etl_merge_delete(const EtlPlan *plan, const EtlSource *source);

/* Deletes all rows of the target. */
extern char *etl_merge_clear(const EtlPlan *plan);

/* Returns 1 when target and source hold the same rows. */
extern char *etl_merge_compare(const EtlPlan *plan, const EtlSource *source);

/* Returns the lowest or highest value of the first key column; NULL: bounds would not help or are not exact. */
extern char *etl_merge_bound(const EtlPlan *plan, const char *table, bool is_highest);

#endif /* ETL_MERGE_H */
