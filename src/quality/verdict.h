/*
 * verdict.h
 *		From numbers to a result: compares what a check measured with its thresholds and says it in words. Pure, no I/O.
 */
#ifndef ETL_VERDICT_H
#define ETL_VERDICT_H

#include "catalog/check_result.h"
#include "lib/stringinfo.h"
#include "quality/measure.h"
#include "quality/threshold.h"

typedef struct EtlVerdictInput
{
	const EtlProbe *probe;
	EtlThreshold warn;
	EtlThreshold fail;
} EtlVerdictInput;

/* Fills in state, measured, baseline, unit, warn, fail, details and message. */
extern void etl_verdict_reach(const EtlVerdictInput *input, EtlCheckResult *result);

/* The state of a value: beyond fail, beyond warn, or neither. */
extern EtlCheckState etl_verdict_judge(const EtlVerdictInput *input, double value);

/* A number with at most digits decimals, without zeros at its end. */
extern char *etl_verdict_number(double value, int digits);

/* "3 rows". */
extern char *etl_verdict_rows(int64 rows);

/* The types that compare with earlier runs or with the source; message gets the result in words. */
extern void etl_verdict_variance(const EtlVerdictInput *input, EtlCheckResult *result, StringInfo message);
extern void etl_verdict_anomaly(const EtlVerdictInput *input, EtlCheckResult *result, StringInfo message);
extern void etl_verdict_distribution(const EtlVerdictInput *input, EtlCheckResult *result, StringInfo message);
extern void etl_verdict_reconciliation(const EtlVerdictInput *input, EtlCheckResult *result, StringInfo message);
extern void etl_verdict_schema(const EtlVerdictInput *input, EtlCheckResult *result, StringInfo message);

#endif /* ETL_VERDICT_H */
