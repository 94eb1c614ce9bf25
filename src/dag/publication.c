/*
 * publication.c
 *		Which tasks of a run are published at one commit. See publication.h.
 */
#include "postgres.h"

#include "dag/publication.h"

/* is_core says whether a task is what publications are made for. */
static bool
is_core(const EtlTask *task)
{
	return task->kind == ETL_TASK_LOAD || task->kind == ETL_TASK_AGGREGATE;
}

/* spread marks what marked nodes wait for, directly or through others, or, up, what waits for them. */
static void
spread(const EtlGraph *graph, bool *mark, bool up)
{
	bool changed = true;

	while (changed)
	{
		changed = false;
		for (int i = 0; i < graph->n_edges; i++)
		{
			int source = up ? graph->edge[i].to : graph->edge[i].from;
			int other = up ? graph->edge[i].from : graph->edge[i].to;

			if (!mark[source] || mark[other])
				continue;
			mark[other] = true;
			changed = true;
		}
	}
}

/* beside_core marks the nodes that a load or aggregate waits for or, up, that wait for one. */
static bool *
beside_core(EtlTask *const *task, const EtlGraph *graph, bool up)
{
	bool *mark = palloc0(sizeof(bool) * Max(graph->n_nodes, 1));

	for (int i = 0; i < graph->n_edges; i++)
	{
		int core = up ? graph->edge[i].to : graph->edge[i].from;

		if (is_core(task[core]))
			mark[up ? graph->edge[i].from : graph->edge[i].to] = true;
	}
	spread(graph, mark, up);
	return mark;
}

/* count_waits adds by to the number of members that each node waits for, for one of them. */
static void
count_waits(const EtlGraph *graph, int *waits, int member, int by)
{
	for (int i = 0; i < graph->n_edges; i++)
		if (graph->edge[i].to == member)
			waits[graph->edge[i].from] += by;
}

/* put_in_order fills the members: dependencies first, then the highest priority, then the oldest task. */
static void
put_in_order(EtlPublication *publication, EtlTask *const *task, const EtlGraph *graph)
{
	bool *done = palloc0(sizeof(bool) * graph->n_nodes);
	int *waits = palloc0(sizeof(int) * graph->n_nodes);

	for (int node = 0; node < graph->n_nodes; node++)
		if (publication->is_member[node])
			count_waits(graph, waits, node, 1);
	for (int i = 0; i < publication->n; i++)
	{
		int best = -1;

		for (int node = 0; node < graph->n_nodes; node++)
			if (publication->is_member[node] && !done[node] && waits[node] == 0 &&
				(best < 0 || task[node]->priority > task[best]->priority))
				best = node;
		if (best < 0)
			elog(ERROR, "the tasks of a publication wait for each other");
		publication->member[i] = best;
		done[best] = true;
		count_waits(graph, waits, best, -1);
	}
	pfree(done);
	pfree(waits);
}

/* etl_publication_make finds the members and puts them in order. */
EtlPublication *
etl_publication_make(EtlTask *const *task, const EtlGraph *graph)
{
	EtlPublication *publication = palloc0(sizeof(EtlPublication));
	bool *before = beside_core(task, graph, false);
	bool *behind = beside_core(task, graph, true);

	publication->is_member = palloc0(sizeof(bool) * Max(graph->n_nodes, 1));
	for (int node = 0; node < graph->n_nodes; node++)
	{
		bool between = behind[node] && before[node] && task[node]->kind != ETL_TASK_EXTRACT;

		publication->is_member[node] = is_core(task[node]) || between;
		publication->n += publication->is_member[node];
	}
	pfree(behind);
	pfree(before);
	if (publication->n < 2)
		return NULL;
	publication->member = palloc(sizeof(int) * publication->n);
	put_in_order(publication, task, graph);
	return publication;
}

/* etl_publication_has looks a node up. */
bool
etl_publication_has(const EtlPublication *publication, int node)
{
	return publication != NULL && publication->is_member[node];
}

/* etl_publication_reach marks the members and what waits for them. */
bool *
etl_publication_reach(const EtlPublication *publication, const EtlGraph *graph)
{
	bool *mark = palloc(sizeof(bool) * graph->n_nodes);

	memcpy(mark, publication->is_member, sizeof(bool) * graph->n_nodes);
	spread(graph, mark, true);
	return mark;
}

/* find_core returns a load or aggregate that a node waits for or, up, that waits for it; -1: there is none. */
static int
find_core(EtlTask *const *task, const EtlGraph *graph, int node, bool up)
{
	bool *mark = palloc0(sizeof(bool) * graph->n_nodes);
	int found = -1;

	/* The node itself is marked as well, and is not what is looked for. */
	mark[node] = true;
	spread(graph, mark, up);
	for (int i = 0; i < graph->n_nodes && found < 0; i++)
		if (i != node && mark[i] && is_core(task[i]))
			found = i;
	pfree(mark);
	return found;
}

/* etl_publication_between looks in both directions. */
bool
etl_publication_between(EtlTask *const *task, const EtlGraph *graph, int node, int *before, int *after)
{
	*before = find_core(task, graph, node, false);
	*after = find_core(task, graph, node, true);
	return *before >= 0 && *after >= 0;
}
