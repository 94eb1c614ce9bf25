/* publish_check.h: tasks of a pipeline that cannot be published at one commit (atomic_publish). */
#ifndef ETL_PUBLISH_CHECK_H
#define ETL_PUBLISH_CHECK_H

#include "catalog/task.h"
#include "nodes/pg_list.h"

typedef struct EtlPublishProblem
{
	const EtlTask *task; /* to which the problem belongs */
	char *message;
	char *detail;
	char *hint;
} EtlPublishProblem;

/*
 * List of EtlPublishProblem: what keeps the tasks of a pipeline, which are the nodes of graph, from being published
 * together. Gates and tasks that do not run (disabled, left out) are not among them.
 */
extern List *etl_publish_check_problems(const EtlPipeline *pipeline, const EtlTaskList *tasks, const EtlGraph *graph);

/* Raises the first of them that is not among known as an error, 0A000, if there is one. */
extern void etl_publish_check_raise(const List *problems, const List *known);

/* Keeps of tasks and graph what would run: tasks that are enabled and no gates. graph is over all of tasks. */
extern EtlGraph *etl_publish_check_enabled(const EtlTaskList *tasks, const EtlGraph *graph, EtlTaskList *enabled);

#endif /* ETL_PUBLISH_CHECK_H */
