/*
 * verdict.h
 *		From numbers to a result: compares what a check measured with its thresholds and says it in words. Pure, no I/O.
 */
#ifndef ETL_VERDICT_H
#define ETL_VERDICT_H

#include "catalog/check_result.h"
#include "quality/measure.h"
#include "quality/threshold.h"

typedef struct EtlVerdictInput
{
	const EtlTask *task;
	EtlThreshold warn;
	EtlThreshold fail;
	EtlMeasure measure;
	bool has_baseline; /* row_count_variance */
	int64 baseline;
} EtlVerdictInput;

/* Fills in state, measured, baseline, unit, warn, fail and message. */
extern void etl_verdict_reach(const EtlVerdictInput *input, EtlCheckResult *result);

#endif /* ETL_VERDICT_H */
