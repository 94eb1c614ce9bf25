/*
 * publish.h
 *		What one executor does in one transaction: the work of one attempt or, with atomic_publish, of all that are published
 *		together, one after the other.
 */
#ifndef ETL_PUBLISH_H
#define ETL_PUBLISH_H

#include "worker/work.h"

typedef struct EtlPublish
{
	int n;
	EtlWork **work;		 /* in the order in which they are done */
	EtlTaskState *state; /* that each reaches at the commit */
	int at;				 /* which of them is at work, or was last */
	bool is_complete;	 /* all have done their work; what fails now fails for all */
} EtlPublish;

/* Allocates for n works in the current context; they are added one by one. */
extern EtlPublish *etl_publish_make(int n);
extern void etl_publish_add(EtlPublish *publish, EtlTask *task, const EtlRunInfo *info, int64 task_run_id);

/*
 * Does the work of one of several, as the current user, in the open transaction, which what it does must not end. Errors: ZE003
 * when it is a check that fails, beside those of the work.
 */
extern void etl_publish_member(EtlPublish *publish);

/*
 * Records how all ended, and tells listeners, in the open step. Errors: ZE004 when an attempt is no longer the current one.
 */
extern void etl_publish_finish(EtlPublish *publish);

/*
 * Records, in a new step, that all ended as failed or, cancelled, as cancelled: change is how the one at fault did, the others
 * were rolled back because of it.
 */
extern void etl_publish_record_failure(EtlPublish *publish, EtlTaskChange *change, const ErrorData *error);

/* Finds out at whom an error points that came when all had done their work: a constraint that is checked at commit. */
extern void etl_publish_blame(EtlPublish *publish, const ErrorData *error);

#endif /* ETL_PUBLISH_H */
