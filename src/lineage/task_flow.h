/*
 * task_flow.h
 *		Column lineage of a task: what flows from its inputs into its target.
 */
#ifndef ETL_TASK_FLOW_H
#define ETL_TASK_FLOW_H

#include "dag/flow.h"

/*
 * EtlFlows of a task, from its definition and the tables and views as they are now. Analyzes what its author wrote with the
 * current search_path, which has to be the author's, and as the current user, who has to be the owner. Errors: those of the analysis.
 */
extern List *etl_task_flow(const EtlTask *task);

/* The same as the owner of the task, leaving no locks behind. problem: NULL, or why only relations are known. */
extern List *etl_task_flow_guarded(const EtlTask *task, char **problem);

/* Between the relations that the task reads and writes, as its definition says. */
extern List *etl_task_flow_relations(const EtlTask *task);

#endif /* ETL_TASK_FLOW_H */
