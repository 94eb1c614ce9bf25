/*
 * define.h
 *		What adding and changing definitions have in common.
 */
#ifndef ETL_DEFINE_H
#define ETL_DEFINE_H

#include "catalog/task.h"

/* Rights and names of another role for a while. */
typedef struct EtlRole
{
	Oid user;
	int sec_context;
	int guc_level;
} EtlRole;

extern Jsonb *etl_define_overlay(Jsonb *definition, Jsonb *changes, const EtlNames *reset);
extern Oid etl_define_owner(const char *name);
extern void etl_define_choice(const char *option, const char *value, const char *const *choice);
extern void etl_define_become(EtlRole *role, Oid owner, const char *search_path);
extern void etl_define_return(EtlRole *role);
extern char *etl_define_search_path(void);
extern Oid etl_define_task_owner(const EtlPipeline *pipeline, const EtlTask *task);

/* A task by its name; 42704 when there is none. */
extern EtlTask *etl_define_find_task(const EtlPipeline *pipeline, const char *name);

/* Refuses (55006) while an extract into the raw table of task is running, and keeps others from starting; what: "the watermark". */
extern void etl_define_refuse_running(const EtlTask *task, const char *what);

extern void etl_define_task(const EtlPipeline *pipeline, EtlTask *task);
extern void etl_define_edges(const EtlPipeline *pipeline);

/* The DAG of tasks, gates included (without edges). */
extern EtlGraph *etl_define_graph(const EtlTaskList *tasks);

/* EtlPublishProblems of the tasks as they are stored; NIL without atomic_publish. */
extern List *etl_define_publish_problems(const EtlPipeline *pipeline);

/* Refuses (0A000) what keeps tasks from being published at one commit and is not among known, the problems before the change. */
extern void etl_define_check_publication(const EtlPipeline *pipeline, const List *known);

#endif /* ETL_DEFINE_H */
