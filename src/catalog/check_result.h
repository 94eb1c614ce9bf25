/*
 * check_result.h
 *		etl.check_result: what the evaluations of checks found.
 */
#ifndef ETL_CHECK_RESULT_H
#define ETL_CHECK_RESULT_H

#include "etl_ext.h"

typedef enum EtlCheckState
{
	ETL_CHECK_PASS,
	ETL_CHECK_WARN,
	ETL_CHECK_FAIL,
	ETL_CHECK_ERROR,		/* it could not be evaluated, by an error: set by the caller who caught it */
	ETL_CHECK_NOT_EVALUATED /* there is nothing to measure, or nothing to compare with */
} EtlCheckState;

typedef struct EtlCheckResult
{
	/* Where it belongs: filled in by the caller before etl_check_evaluate. */
	int64 run_id; /* baselines come from earlier runs; 0: any run */
	int64 task_run_id;
	bool rolls_back; /* when it fails, the rows that it has measured are rolled back */

	/* Which check: filled in first by etl_check_evaluate, so that they are there after an error too. */
	int64 pipeline_id;
	int64 task_id;
	const char *check_name;
	const char *check_type;
	const char *target;

	/* What was found; new strings live in the memory context of the caller. */
	EtlCheckState state;
	const char *measured; /* number as text, or NULL */
	const char *baseline; /* number as text, or NULL */
	const char *unit;	  /* rows, percent or seconds */
	const char *warn;	  /* thresholds that were applied, or NULL */
	const char *fail;
	const char *message; /* in words */
	const char *sql;	 /* the statement that measured it */
} EtlCheckResult;

/* pass, warn, fail, error or not_evaluated. */
extern const char *etl_check_result_state(EtlCheckState state);

/* Records a result. */
extern void etl_check_result_insert(const EtlCheckResult *result);

/*
 * The value that the latest result before a run measured (before_run 0: of any run); false: there is none. Results that
 * only noted a first value count, those of a failed check only if accept_failed: behind a gate, the rows that failed were
 * rolled back.
 */
extern bool etl_check_result_baseline(int64 task_id, int64 before_run, bool accept_failed, int64 *measured);

#endif /* ETL_CHECK_RESULT_H */
