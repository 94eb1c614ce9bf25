/*
 * history.h
 *		What a check measured in earlier runs, and what is usual by it. Pure, no I/O.
 */
#ifndef ETL_HISTORY_H
#define ETL_HISTORY_H

#include "etl_ext.h"

typedef struct EtlHistory
{
	int n;			 /* earlier runs, the latest first */
	double *value;	 /* what each measured */
	Jsonb **details; /* etl.check_result.details of each, or NULL */
} EtlHistory;

/* The median of n values, n > 0; values are not changed. */
extern double etl_history_median(const double *value, int n);

/*
 * How far values usually are from their median: the median of their distances, scaled so that it equals the standard
 * deviation of a normal distribution (1.4826); where half of them are the same, 1.2533 times the mean distance. At least a
 * hundredth of the median, so that what hardly ever changes may change a little.
 * Source: Iglewicz, Hoaglin: How to Detect and Handle Outliers, 1993.
 */
extern double etl_history_deviation(const double *value, int n, double median);

/* How many deviations a value is away from the median; infinite when it differs from values that never do. */
extern double etl_history_score(double value, double median, double deviation);

/*
 * Population stability index of two lists of n shares (0 to 1): the sum of (p - q) ln(p / q); empty parts count as 0.0001.
 */
extern double etl_history_stability(const double *share, const double *usual, int n);

#endif /* ETL_HISTORY_H */
