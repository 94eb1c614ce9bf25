/* advance.h: what the scheduler does for one run at a time. */
#ifndef ETL_ADVANCE_H
#define ETL_ADVANCE_H

#include "catalog/run.h"
#include "catalog/task_run.h"

/* What a step of a run asks of the scheduler. */
typedef struct EtlAdvance
{
	EtlRun *run;
	EtlTaskRun *current; /* state of run->tasks, in the same order */
	int n_running;
	TimestampTz next_due; /* earliest retry; DT_NOEND: none */
	bool ended;
} EtlAdvance;

extern void etl_advance_run(EtlAdvance *advance);
extern int etl_advance_pick(const EtlAdvance *advance, int *node, int max);
extern void etl_advance_cancel(EtlAdvance *advance);

#endif /* ETL_ADVANCE_H */
