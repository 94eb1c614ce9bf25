/* advance.h: what the scheduler does for one run at a time. */
#ifndef ETL_ADVANCE_H
#define ETL_ADVANCE_H

#include "catalog/run.h"
#include "catalog/task_run.h"

/* A task during whose attempts the server went down so many times in a row is held back. */
#define ETL_MAX_CRASHES 3

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
extern bool etl_advance_start(EtlAdvance *advance, int node);
extern void etl_advance_cancel(EtlAdvance *advance);

#endif /* ETL_ADVANCE_H */
