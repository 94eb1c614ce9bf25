/*
 * layout.c
 *		Where the nodes of a graph go. See layout.h.
 *
 * The layer of a node is the length of the longest path to it. An edge that skips layers gets a bend in each. Nodes of a layer
 * are put in order by the mean position of their neighbours, in turn from the left and from the right; the order with the
 * fewest crossings stays. Then nodes move towards their neighbours as far as the others of their layer leave room.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "report/layout.h"

#define SWEEPS 12
#define MOVES 16

/* Bends take less room than nodes. */
#define BEND_ROOM 0.45

typedef struct Work
{
	EtlLayout *layout;
	int n_graph;	/* nodes of the graph */
	int n_links;	/* edges between neighbouring layers */
	int *link_left; /* per link: node on the left, node on the right */
	int *link_right;
	int **row;	   /* per layer: its nodes from top to bottom */
	int *n_row;	   /* per layer */
	int *position; /* per node: its place in the row */
	double *pull;  /* per node: where its neighbours are */
} Work;

/* set_layers computes the longest paths; a graph of n nodes needs at most n rounds. */
static void
set_layers(Work *work, const EtlGraph *graph)
{
	int *layer = work->layout->layer;
	bool changed = true;

	for (int round = 0; changed && round <= graph->n_nodes; round++)
	{
		CHECK_FOR_INTERRUPTS();
		changed = false;
		for (int i = 0; i < graph->n_edges; i++)
		{
			const EtlEdge *edge = &graph->edge[i];

			if (layer[edge->from] > layer[edge->to])
				continue;
			layer[edge->from] = layer[edge->to] + 1;
			changed = true;
		}
	}
	for (int i = 0; i < graph->n_nodes; i++)
		work->layout->n_layers = Max(work->layout->n_layers, layer[i] + 1);
}

/* add_link adds an edge between neighbouring layers. */
static void
add_link(Work *work, int left, int right)
{
	work->link_left[work->n_links] = left;
	work->link_right[work->n_links++] = right;
}

/* add_bends splits the edges into links. */
static void
add_bends(Work *work, const EtlGraph *graph)
{
	EtlLayout *layout = work->layout;
	int links = 0;
	int node = graph->n_nodes;

	for (int i = 0; i < graph->n_edges; i++)
		links += layout->layer[graph->edge[i].from] - layout->layer[graph->edge[i].to];
	work->link_left = palloc(sizeof(int) * Max(links, 1));
	work->link_right = palloc(sizeof(int) * Max(links, 1));
	layout->n_nodes = graph->n_nodes + links - graph->n_edges;
	layout->layer = repalloc(layout->layer, sizeof(int) * Max(layout->n_nodes, 1));
	for (int i = 0; i < graph->n_edges; i++)
	{
		const EtlEdge *edge = &graph->edge[i];
		int left = edge->to;

		layout->n_bends[i] = layout->layer[edge->from] - layout->layer[edge->to] - 1;
		layout->bend[i] = palloc(sizeof(int) * Max(layout->n_bends[i], 1));
		for (int b = 0; b < layout->n_bends[i]; b++)
		{
			layout->bend[i][b] = node;
			layout->layer[node] = layout->layer[left] + 1;
			add_link(work, left, node);
			left = node++;
		}
		add_link(work, left, edge->from);
	}
}

/* fill_rows puts the nodes into their layers in the order of their numbers. */
static void
fill_rows(Work *work)
{
	EtlLayout *layout = work->layout;

	work->row = palloc(sizeof(int *) * Max(layout->n_layers, 1));
	work->n_row = palloc0(sizeof(int) * Max(layout->n_layers, 1));
	work->position = palloc0(sizeof(int) * Max(layout->n_nodes, 1));
	work->pull = palloc0(sizeof(double) * Max(layout->n_nodes, 1));
	for (int i = 0; i < layout->n_nodes; i++)
		work->n_row[layout->layer[i]]++;
	for (int l = 0; l < layout->n_layers; l++)
	{
		work->row[l] = palloc(sizeof(int) * Max(work->n_row[l], 1));
		work->n_row[l] = 0;
	}
	for (int i = 0; i < layout->n_nodes; i++)
	{
		int l = layout->layer[i];

		work->position[i] = work->n_row[l];
		work->row[l][work->n_row[l]++] = i;
	}
}

/* set_pull computes for each node the mean of at[] over its neighbours: those on the left, on the right, or (0) both. */
static void
set_pull(Work *work, const double *at, int side)
{
	int n = work->layout->n_nodes;
	int *count = palloc0(sizeof(int) * Max(n, 1));

	memset(work->pull, 0, sizeof(double) * n);
	for (int i = 0; i < work->n_links; i++)
	{
		int left = work->link_left[i];
		int right = work->link_right[i];

		if (side <= 0)
		{
			work->pull[right] += at[left];
			count[right]++;
		}
		if (side >= 0)
		{
			work->pull[left] += at[right];
			count[left]++;
		}
	}
	for (int i = 0; i < n; i++)
		work->pull[i] = count[i] > 0 ? work->pull[i] / count[i] : at[i];
	pfree(count);
}

/* count_crossings counts the pairs of links that cross. */
static int64
count_crossings(const Work *work)
{
	int64 n = 0;

	for (int i = 0; i < work->n_links; i++)
	{
		int layer = work->layout->layer[work->link_left[i]];

		CHECK_FOR_INTERRUPTS();
		for (int k = i + 1; k < work->n_links; k++)
		{
			int left, right;

			if (work->layout->layer[work->link_left[k]] != layer)
				continue;
			left = work->position[work->link_left[i]] - work->position[work->link_left[k]];
			right = work->position[work->link_right[i]] - work->position[work->link_right[k]];
			n += (left < 0 && right > 0) || (left > 0 && right < 0);
		}
	}
	return n;
}

/* sort_row orders a layer by pull, and leaves those that pull alike as they are. */
static void
sort_row(Work *work, int layer)
{
	int *row = work->row[layer];

	for (int i = 1; i < work->n_row[layer]; i++)
	{
		int node = row[i];
		int k = i;

		for (; k > 0 && work->pull[row[k - 1]] > work->pull[node]; k--)
			row[k] = row[k - 1];
		row[k] = node;
	}
	for (int i = 0; i < work->n_row[layer]; i++)
		work->position[row[i]] = i;
}

/* put_in_order sweeps over the layers and keeps the best order. */
static void
put_in_order(Work *work)
{
	EtlLayout *layout = work->layout;
	int *best = palloc(sizeof(int) * Max(layout->n_nodes, 1));
	double *at = palloc(sizeof(double) * Max(layout->n_nodes, 1));
	int64 fewest = count_crossings(work);

	memcpy(best, work->position, sizeof(int) * layout->n_nodes);
	for (int sweep = 0; sweep < SWEEPS && fewest > 0; sweep++)
	{
		bool from_left = sweep % 2 == 0;
		int64 crossings;

		for (int i = 0; i < layout->n_layers; i++)
		{
			for (int k = 0; k < layout->n_nodes; k++)
				at[k] = work->position[k];
			set_pull(work, at, from_left ? -1 : 1);
			sort_row(work, from_left ? i : layout->n_layers - 1 - i);
		}
		crossings = count_crossings(work);
		if (crossings >= fewest)
			continue;
		fewest = crossings;
		memcpy(best, work->position, sizeof(int) * layout->n_nodes);
	}
	memcpy(work->position, best, sizeof(int) * layout->n_nodes);
	for (int i = 0; i < layout->n_nodes; i++)
		work->row[layout->layer[i]][work->position[i]] = i;
	pfree(best);
	pfree(at);
}

/* room is the least distance between two neighbours in a layer. */
static double
room(const Work *work, int a, int b)
{
	return ((a < work->n_graph ? 1 : BEND_ROOM) + (b < work->n_graph ? 1 : BEND_ROOM)) / 2;
}

/* spread_row moves the nodes of a layer to where they are pulled, as far as there is room: the mean of packing down and up. */
static void
spread_row(Work *work, int layer, double *y)
{
	int n = work->n_row[layer];
	const int *row = work->row[layer];
	double *down = palloc(sizeof(double) * Max(n, 1));
	double *up = palloc(sizeof(double) * Max(n, 1));

	for (int i = 0; i < n; i++)
	{
		down[i] = work->pull[row[i]];
		if (i > 0)
			down[i] = Max(down[i], down[i - 1] + room(work, row[i - 1], row[i]));
	}
	for (int i = n - 1; i >= 0; i--)
	{
		up[i] = work->pull[row[i]];
		if (i < n - 1)
			up[i] = Min(up[i], up[i + 1] - room(work, row[i], row[i + 1]));
	}
	for (int i = 0; i < n; i++)
		y[row[i]] = (down[i] + up[i]) / 2;
	pfree(down);
	pfree(up);
}

/* set_heights computes y. */
static void
set_heights(Work *work)
{
	EtlLayout *layout = work->layout;
	double lowest = 0;

	for (int l = 0; l < layout->n_layers; l++)
	{
		double at = 0;

		for (int i = 0; i < work->n_row[l]; i++)
		{
			at += i > 0 ? room(work, work->row[l][i - 1], work->row[l][i]) : 0;
			layout->y[work->row[l][i]] = at;
		}
	}
	for (int move = 0; move < MOVES; move++)
	{
		CHECK_FOR_INTERRUPTS();
		set_pull(work, layout->y, move == MOVES - 1 ? 0 : move % 2 == 0 ? -1 : 1);
		for (int l = 0; l < layout->n_layers; l++)
			spread_row(work, l, layout->y);
	}
	for (int i = 0; i < layout->n_nodes; i++)
		lowest = i == 0 ? layout->y[i] : Min(lowest, layout->y[i]);
	for (int i = 0; i < layout->n_nodes; i++)
	{
		layout->y[i] -= lowest;
		layout->rows = Max(layout->rows, layout->y[i] + 1);
	}
}

/* etl_layout_make does one step after the other. */
EtlLayout *
etl_layout_make(const EtlGraph *graph)
{
	Work work = {.layout = palloc0(sizeof(EtlLayout)), .n_graph = graph->n_nodes};
	EtlLayout *layout = work.layout;
	int n = 0;

	layout->layer = palloc0(sizeof(int) * Max(graph->n_nodes, 1));
	layout->bend = palloc0(sizeof(int *) * Max(graph->n_edges, 1));
	layout->n_bends = palloc0(sizeof(int) * Max(graph->n_edges, 1));
	layout->order = palloc(sizeof(int) * Max(graph->n_nodes, 1));
	set_layers(&work, graph);
	add_bends(&work, graph);
	layout->y = palloc0(sizeof(double) * Max(layout->n_nodes, 1));
	fill_rows(&work);
	put_in_order(&work);
	set_heights(&work);
	for (int l = 0; l < layout->n_layers; l++)
		for (int i = 0; i < work.n_row[l]; i++)
			if (work.row[l][i] < graph->n_nodes)
				layout->order[n++] = work.row[l][i];
	return layout;
}
