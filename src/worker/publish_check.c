/*
 * publish_check.c
 *		Tasks of a pipeline that cannot be published at one commit. See publish_check.h.
 *
 * The same is looked for when a task or the pipeline is defined, by etl.validate, and when a run is created: in between,
 * owners may have changed.
 */
#include "postgres.h"

#include "dag/publication.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "worker/command.h"
#include "worker/publish_check.h"

/* add appends a problem. */
static List *
add(List *problems, const EtlTask *task, char *message, char *detail, char *hint)
{
	EtlPublishProblem *problem = palloc(sizeof(EtlPublishProblem));

	problem->task = task;
	problem->message = message;
	problem->detail = detail;
	problem->hint = hint;
	return lappend(problems, problem);
}

/* turn_off tells how to do without. */
static char *
turn_off(const EtlPipeline *pipeline)
{
	return psprintf("etl.alter_pipeline(%s, atomic_publish => false)", quote_literal_cstr(pipeline->name));
}

/* extract_problems finds extracts between loads: they commit as they go, so the loads could not commit together. */
static List *
extract_problems(const EtlPipeline *pipeline, const EtlTaskList *tasks, const EtlGraph *graph)
{
	List *problems = NIL;

	for (int node = 0; node < tasks->n; node++)
	{
		const EtlTask *task = tasks->task[node];
		int before;
		int after;

		if (task->kind != ETL_TASK_EXTRACT || !etl_publication_between(tasks->task, graph, node, &before, &after))
			continue;
		problems = add(
			problems, task, psprintf("extract \"%s\" lies between tasks that are published at one commit", task->name),
			psprintf("It waits for task \"%s\", and task \"%s\" waits for it; an extract commits as it goes.",
					 tasks->task[before]->name, tasks->task[after]->name),
			psprintf("Move it, with what follows, to a pipeline of its own, or let each task be published by "
					 "itself: %s.",
					 turn_off(pipeline)));
	}
	return problems;
}

/* command_problem finds statements that cannot be part of a transaction. */
static List *
command_problem(const EtlPipeline *pipeline, const EtlTask *task, List *problems)
{
	if (task->kind != ETL_TASK_SQL || !etl_command_needs_toplevel(task))
		return problems;
	return add(
		problems, task, psprintf("task \"%s\" cannot be published at one commit with others", task->name),
		pstrdup("It lies between loads or aggregates, and one of its statements cannot run inside a transaction."),
		psprintf("Let it run before or after all of them, or let each task be published by itself: %s.",
				 turn_off(pipeline)));
}

/* owner_of returns the role that a task runs as; InvalidOid: it is gone. */
static Oid
owner_of(const EtlPipeline *pipeline, const EtlTask *task)
{
	return OidIsValid(task->owner) ? task->owner : pipeline->owner;
}

/* name_of names a role for people. */
static const char *
name_of(Oid role)
{
	const char *name = GetUserNameFromId(role, true);

	return name ? quote_identifier(name) : "a role that is gone";
}

/* owner_problem finds another owner than that of the first member. */
static List *
owner_problem(const EtlPipeline *pipeline, const EtlTask *task, const EtlTask *first, List *problems)
{
	Oid mine = owner_of(pipeline, task);
	Oid other = owner_of(pipeline, first);

	if (mine == other)
		return problems;
	return add(
		problems, task,
		psprintf("tasks \"%s\" and \"%s\" are published at one commit and have different owners", first->name,
				 task->name),
		psprintf("\"%s\" runs as %s and \"%s\" as %s, but one worker connects as one role.", first->name,
				 name_of(other), task->name, name_of(mine)),
		psprintf("Give all of them the same owner with etl.alter_task(..., owner => ...), or let each be published by "
				 "itself: %s.",
				 turn_off(pipeline)));
}

/* etl_publish_check_problems looks at the extracts, then at each member. */
List *
etl_publish_check_problems(const EtlPipeline *pipeline, const EtlTaskList *tasks, const EtlGraph *graph)
{
	EtlPublication *publication = etl_publication_make(tasks->task, graph);
	List *problems = NIL;

	if (publication == NULL)
		return NIL;
	problems = extract_problems(pipeline, tasks, graph);
	for (int i = 0; i < publication->n; i++)
	{
		const EtlTask *task = tasks->task[publication->member[i]];

		problems = command_problem(pipeline, task, problems);
		problems = owner_problem(pipeline, task, tasks->task[publication->member[0]], problems);
	}
	return problems;
}

/* is_known says whether a problem is in a list. */
static bool
is_known(const EtlPublishProblem *problem, const List *known)
{
	ListCell *lc;

	foreach (lc, known)
		if (strcmp(((const EtlPublishProblem *) lfirst(lc))->message, problem->message) == 0)
			return true;
	return false;
}

/* etl_publish_check_raise raises one problem. */
void
etl_publish_check_raise(const List *problems, const List *known)
{
	ListCell *lc;

	foreach (lc, problems)
	{
		const EtlPublishProblem *problem = lfirst(lc);

		if (is_known(problem, known))
			continue;
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg_internal("%s", problem->message),
						errdetail_internal("%s", problem->detail), errhint("%s", problem->hint)));
	}
}

/* etl_publish_check_enabled numbers the tasks that are kept anew. */
EtlGraph *
etl_publish_check_enabled(const EtlTaskList *tasks, const EtlGraph *graph, EtlTaskList *enabled)
{
	int *place = palloc(sizeof(int) * Max(tasks->n, 1));
	EtlGraph *result;

	enabled->n = 0;
	enabled->task = palloc(sizeof(EtlTask *) * Max(tasks->n, 1));
	for (int i = 0; i < tasks->n; i++)
	{
		bool runs = tasks->task[i]->enabled && tasks->task[i]->gate == NULL;

		place[i] = runs ? enabled->n : -1;
		if (runs)
			enabled->task[enabled->n++] = tasks->task[i];
	}
	result = etl_graph_make(enabled->n);
	for (int i = 0; i < graph->n_edges; i++)
	{
		int from = place[graph->edge[i].from];
		int to = place[graph->edge[i].to];

		if (from >= 0 && to >= 0)
			etl_graph_add(result, from, to, graph->edge[i].inferred);
	}
	pfree(place);
	return result;
}
