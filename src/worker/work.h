/* work.h: the work of one attempt, the same in a worker and inline. */
#ifndef ETL_WORK_H
#define ETL_WORK_H

#include "catalog/check_result.h"
#include "catalog/run.h"
#include "catalog/task_run.h"

/* What a gate or a check left behind, so that it can be stored after a rollback too. */
typedef struct EtlWork
{
	EtlAttempt attempt;
	EtlTaskList gates;
	EtlCheckResult **result; /* of the check itself, or of each of gates; in attempt.context */
	int n_results;
	List *siblings;	   /* EtlWork of checks that the same scan answers; see siblings.h */
	bool is_evaluated; /* another one's scan has answered this check */
} EtlWork;

extern void etl_work_prepare(EtlWork *work, EtlTask *task, int64 run_id, int64 task_run_id);
extern void etl_work_of_run(EtlWork *work, const EtlRunInfo *info);
extern EtlTaskState etl_work_run(EtlWork *work);
extern EtlTaskState etl_work_check_state(EtlWork *work);
extern bool etl_work_explain_failure(EtlWork *work, const ErrorData *error);
extern void etl_work_store_results(const EtlWork *work);

#endif /* ETL_WORK_H */
