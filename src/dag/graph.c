/*
 * graph.c
 *		A directed graph over the tasks of a pipeline. See graph.h.
 */
#include "postgres.h"

#include "dag/graph.h"

/* What a depth-first search knows of a node. */
typedef enum Mark
{
	UNSEEN,
	ON_PATH,
	DONE
} Mark;

typedef struct Search
{
	const EtlGraph *graph;
	int *first;	  /* per node: its first edge in by_from */
	int *by_from; /* edges ordered by their from */
	Mark *mark;
	int *next; /* per node on the path: the edge to look at next */
} Search;

/* etl_graph_make returns a graph of n nodes without edges. */
EtlGraph *
etl_graph_make(int n_nodes)
{
	EtlGraph *graph = palloc0(sizeof(EtlGraph));

	graph->n_nodes = n_nodes;
	graph->max_edges = Max(n_nodes, 8);
	graph->edge = palloc(sizeof(EtlEdge) * graph->max_edges);
	return graph;
}

/*
 * etl_graph_add adds an edge unless it is there already. An edge that the author named stays named when the parser
 * finds it too: add the named ones first.
 */
void
etl_graph_add(EtlGraph *graph, int from, int to, bool inferred)
{
	for (int i = 0; i < graph->n_edges; i++)
		if (graph->edge[i].from == from && graph->edge[i].to == to)
			return;
	if (graph->n_edges == graph->max_edges)
	{
		graph->max_edges *= 2;
		graph->edge = repalloc(graph->edge, sizeof(EtlEdge) * graph->max_edges);
	}
	graph->edge[graph->n_edges++] = (EtlEdge){from, to, inferred};
}

/* index_edges fills first and by_from by counting sort. */
static void
index_edges(Search *search)
{
	const EtlGraph *graph = search->graph;
	int *fill;

	search->first = palloc0(sizeof(int) * (graph->n_nodes + 2));
	search->by_from = palloc(sizeof(int) * Max(graph->n_edges, 1));
	for (int i = 0; i < graph->n_edges; i++)
		search->first[graph->edge[i].from + 1]++;
	for (int i = 0; i < graph->n_nodes; i++)
		search->first[i + 1] += search->first[i];
	fill = palloc(sizeof(int) * (graph->n_nodes + 1));
	memcpy(fill, search->first, sizeof(int) * (graph->n_nodes + 1));
	for (int i = 0; i < graph->n_edges; i++)
		search->by_from[fill[graph->edge[i].from]++] = i;
}

/* search_from walks from a node; path[0 .. depth] is the way to the current one. Returns the length of a cycle, or 0. */
static int
search_from(Search *search, int start, int *path)
{
	int depth = 0;

	path[0] = start;
	search->mark[start] = ON_PATH;
	search->next[start] = search->first[start];
	while (depth >= 0)
	{
		int node = path[depth];
		int to;

		if (search->next[node] == search->first[node + 1])
		{
			search->mark[node] = DONE;
			depth--;
			continue;
		}
		to = search->graph->edge[search->by_from[search->next[node]++]].to;
		if (search->mark[to] == ON_PATH)
		{
			int begin = 0;

			while (path[begin] != to)
				begin++;
			memmove(path, path + begin, sizeof(int) * (depth - begin + 1));
			return depth - begin + 1;
		}
		if (search->mark[to] == UNSEEN)
		{
			path[++depth] = to;
			search->mark[to] = ON_PATH;
			search->next[to] = search->first[to];
		}
	}
	return 0;
}

/*
 * etl_graph_cycle looks for a cycle. Returns the number of its nodes and puts them into path (room for n_nodes) in the
 * order in which each waits for the next and the last for the first; 0 if there is none.
 */
int
etl_graph_cycle(const EtlGraph *graph, int *path)
{
	Search search = {.graph = graph};

	index_edges(&search);
	search.mark = palloc0(sizeof(Mark) * Max(graph->n_nodes, 1));
	search.next = palloc0(sizeof(int) * Max(graph->n_nodes, 1));
	for (int i = 0; i < graph->n_nodes; i++)
		if (search.mark[i] == UNSEEN)
		{
			int n = search_from(&search, i, path);

			if (n > 0)
				return n;
		}
	return 0;
}
