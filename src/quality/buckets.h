/*
 * buckets.h
 *		The parts into which a check of type distribution divides the values of a column: ranges between bounds for numbers
 *		and times, values for everything else. They are chosen at the first evaluation and kept in the result's details.
 */
#ifndef ETL_BUCKETS_H
#define ETL_BUCKETS_H

#include "etl_ext.h"
#include "lib/stringinfo.h"
#include "quality/history.h"
#include "source/relation.h"

typedef struct EtlBuckets
{
	bool is_range; /* item are bounds, each the highest value of its part; otherwise the values themselves */
	EtlNames item; /* as text */
	int n_counted; /* parts that are counted: item.n, and for ranges what is above the last bound */
	int n;		   /* parts: one more for what is left (NULL, other values) */
	double *usual; /* shares of the parts in earlier runs, on average; NULL: there are none */
	int n_earlier; /* how many runs those are */
} EtlBuckets;

/* The parts of the latest of earlier runs, with the average of those that have the same; NULL: none has any. */
extern EtlBuckets *etl_buckets_of_history(const EtlHistory *history);

/* Chooses parts by the rows of target that meet where (NULL: all): tenths, or the most frequent 20 values. */
extern EtlBuckets *etl_buckets_choose(const EtlSource *target, const EtlColumn *column, const char *where);

/* The condition that a row belongs to a counted part. */
extern char *etl_buckets_condition(const EtlBuckets *buckets, const EtlColumn *column, int part);

/* The details of a result with the shares of its parts. */
extern Jsonb *etl_buckets_details(const EtlBuckets *buckets, const double *share);

#endif /* ETL_BUCKETS_H */
