/*
 * history.c
 *		What a check measured in earlier runs. See history.h.
 */
#include "postgres.h"

#include <math.h>

#include "quality/history.h"

#define NORMAL_FROM_MEDIAN 1.4826
#define NORMAL_FROM_MEAN 1.2533
#define LEAST_DEVIATION 0.01
#define EMPTY_PART 0.0001

/* compare orders two doubles. */
static int
compare(const void *a, const void *b)
{
	double left = *(const double *) a;
	double right = *(const double *) b;

	return left < right ? -1 : left > right;
}

/* etl_history_median sorts a copy. */
double
etl_history_median(const double *value, int n)
{
	double *sorted = palloc(sizeof(double) * n);
	double median;

	memcpy(sorted, value, sizeof(double) * n);
	qsort(sorted, n, sizeof(double), compare);
	median = n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
	pfree(sorted);
	return median;
}

/* etl_history_deviation looks at the distances from the median. */
double
etl_history_deviation(const double *value, int n, double median)
{
	double *distance = palloc(sizeof(double) * n);
	double deviation;
	double sum = 0;

	for (int i = 0; i < n; i++)
	{
		distance[i] = fabs(value[i] - median);
		sum += distance[i];
	}
	deviation = NORMAL_FROM_MEDIAN * etl_history_median(distance, n);
	if (deviation == 0)
		deviation = NORMAL_FROM_MEAN * sum / n;
	pfree(distance);
	return Max(deviation, LEAST_DEVIATION * fabs(median));
}

/* etl_history_score divides. */
double
etl_history_score(double value, double median, double deviation)
{
	if (value == median)
		return 0;
	return deviation > 0 ? fabs(value - median) / deviation : INFINITY;
}

/* etl_history_stability adds up the parts. */
double
etl_history_stability(const double *share, const double *usual, int n)
{
	double sum = 0;

	for (int i = 0; i < n; i++)
	{
		double p = Max(share[i], EMPTY_PART);
		double q = Max(usual[i], EMPTY_PART);

		sum += (p - q) * log(p / q);
	}
	return sum;
}
