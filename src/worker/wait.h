/* wait.h: waiting for a run, and telling a person of it. */
#ifndef ETL_WAIT_H
#define ETL_WAIT_H

#include "catalog/run.h"
#include "catalog/task_run.h"

typedef struct EtlWait
{
	int64 run_id;
	bool report;	   /* tell of each task as it ends */
	int64 after;	   /* but not of attempts up to this one */
	bool commit;	   /* in a procedure: end the transaction between two looks */
	TimestampTz until; /* DT_NOEND: as long as it takes */
} EtlWait;

extern void etl_wait_check_isolation(void);
extern EtlRunState etl_wait_for(const EtlWait *wait);
extern void etl_wait_report_task(const EtlTaskEnd *end);
extern void etl_wait_raise(int64 run_id, const char *pipeline, EtlRunState state);

#endif /* ETL_WAIT_H */
