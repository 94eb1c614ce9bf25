/*
 * check_result.h
 *		etl.check_result: what the evaluations of checks found.
 */
#ifndef ETL_CHECK_RESULT_H
#define ETL_CHECK_RESULT_H

#include "etl_ext.h"
#include "quality/history.h"

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
	const char *unit;	  /* rows, percent, seconds, columns, score or value */
	const char *warn;	  /* thresholds that were applied, or NULL */
	const char *fail;
	const char *message; /* in words */
	Jsonb *details;		 /* or NULL; see etl.check_result.details */
	Jsonb *samples;		 /* [{"key", "values", "rows", "raw"}], or NULL; see etl.check_sample */
	const char *sql;	 /* the statement that measured it */
} EtlCheckResult;

/* pass, warn, fail, error or not_evaluated. */
extern const char *etl_check_result_state(EtlCheckState state);

/* Whether an evaluation has begun, so that there is a result. */
extern bool etl_check_result_begun(const EtlCheckResult *result);

/* Records a result. */
extern void etl_check_result_insert(const EtlCheckResult *result);

/*
 * What a check measured in up to limit earlier runs, the latest first: the last result of each, also a failed one. Left out
 * are runs that were rolled back, backfills, results without anything to compare with, and, of checks before a commit
 * (rolls_back: it is one), what was measured in rows that were rolled back. before_run 0: the present. Where the check asks for it, only runs whose
 * logical time has the same day of the week, in the pipeline's time zone.
 */
extern void etl_check_result_history(const EtlTask *task, int64 before_run, bool rolls_back, int limit,
									 EtlHistory *history);

#endif /* ETL_CHECK_RESULT_H */
