/* lineage_task.h: the tasks whose lineage somebody asks for, over all pipelines. */
#ifndef ETL_LINEAGE_TASK_H
#define ETL_LINEAGE_TASK_H

#include "catalog/task.h"

typedef struct EtlLineageTask
{
	char *pipeline;
	EtlTask *task; /* owner: the role that it runs as */
} EtlLineageTask;

/* The tasks that the current user sees: one (task_id), or all (0). Returns how many. */
extern int etl_lineage_task_list(int64 task_id, EtlLineageTask **task);

#endif /* ETL_LINEAGE_TASK_H */
