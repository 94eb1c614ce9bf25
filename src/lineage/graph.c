/*
 * graph.c
 *		Lineage over all pipelines as a graph. See graph.h.
 */
#include "postgres.h"

#include "catalog/lineage_task.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "compat.h"
#include "dag/lineage.h"
#include "executor/spi.h"
#include "lineage/dataset.h"
#include "lineage/graph.h"
#include "lineage/task_flow.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"

/* The kind of a way that is about rows from its beginning. */
#define NO_KIND (-1)

typedef struct Edge
{
	EtlFlow *flow;
	const char *pipeline;
	const char *task;
	const char *through;
} Edge;

/* The edges at a relation. */
typedef struct Place
{
	char name[NAMEDATALEN * 4 + 8]; /* qualified and quoted */
	List *out;						/* Edges that begin here */
	List *in;						/* that end here */
	bool has_views_out;				/* the views over it are among out */
	bool has_view_in;				/* what it selects, as a view, is among in */
} Place;

struct EtlLineageGraph
{
	HTAB *places;
};

/* A walk: what was met, and what is to be gone on from. */
typedef struct Walk
{
	EtlLineageGraph *graph;
	bool upstream;
	bool indirect;
	List *reached; /* EtlReach, in the order of their distance; the first is the beginning */
	HTAB *seen;
} Walk;

typedef struct Seen
{
	char key[NAMEDATALEN * 10];
} Seen;

/* make_table makes a hash table with text keys. */
static HTAB *
make_table(const char *name, Size key, Size entry)
{
	HASHCTL control = {.keysize = key, .entrysize = entry, .hcxt = CurrentMemoryContext};

	return hash_create(name, 256, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

/* place_of returns the edges at a relation. */
static Place *
place_of(EtlLineageGraph *graph, const char *relation)
{
	bool found;
	char key[sizeof(((Place *) NULL)->name)];
	Place *place;

	strlcpy(key, relation, sizeof(key));
	place = hash_search(graph->places, key, HASH_ENTER, &found);
	if (!found)
	{
		place->out = place->in = NIL;
		place->has_views_out = place->has_view_in = false;
	}
	return place;
}

/*
 * add_edge adds a flow. Where a view is named, the way goes through the view, whose own flows lead on: flows that look through it are
 * left out.
 */
static void
add_edge(EtlLineageGraph *graph, EtlFlow *flow, const char *pipeline, const char *task, const char *through)
{
	Edge *edge;
	Place *place;

	if (flow->via != NULL || flow->input == NULL)
		return;
	edge = palloc(sizeof(Edge));
	edge->flow = flow;
	edge->pipeline = pipeline;
	edge->task = task;
	edge->through = through;
	place = place_of(graph, flow->input);
	place->out = lappend(place->out, edge);
	if (flow->output != NULL)
	{
		place = place_of(graph, flow->output);
		place->in = lappend(place->in, edge);
	}
}

/* etl_lineage_graph_make reads the flows of tasks. */
EtlLineageGraph *
etl_lineage_graph_make(void)
{
	EtlLineageGraph *graph = palloc0(sizeof(EtlLineageGraph));
	EtlLineageTask *task;
	int n = etl_lineage_task_list(0, &task);

	graph->places = make_table("etl lineage", sizeof(((Place *) NULL)->name), sizeof(Place));
	for (int i = 0; i < n; i++)
	{
		char *problem;
		ListCell *cell;

		CHECK_FOR_INTERRUPTS();
		foreach (cell, etl_task_flow_guarded(task[i].task, &problem))
			add_edge(graph, lfirst(cell), task[i].pipeline, task[i].task->name, etl_task_kind_name(task[i].task->kind));
	}
	return graph;
}

/* etl_lineage_graph_knows says whether any flow names a relation. */
bool
etl_lineage_graph_knows(const EtlLineageGraph *graph, const char *relation)
{
	char key[sizeof(((Place *) NULL)->name)];

	strlcpy(key, relation, sizeof(key));
	return hash_search(graph->places, key, HASH_FIND, NULL) != NULL;
}

/* find_relation returns a relation by its qualified, quoted name, or InvalidOid. */
static Oid
find_relation(const char *name)
{
	RangeVar *range = makeRangeVarFromNameList(etl_compat_qualified_name(name));
	Oid schema = range->schemaname ? get_namespace_oid(range->schemaname, true) : InvalidOid;

	return OidIsValid(schema) ? get_relname_relid(range->relname, schema) : InvalidOid;
}

/* add_view adds the flows of a view. */
static void
add_view(EtlLineageGraph *graph, Oid view)
{
	Place *place = place_of(graph, etl_lineage_name(view));
	ListCell *cell;

	if (place->has_view_in)
		return;
	place->has_view_in = true;
	foreach (cell, etl_flow_of_view(view))
		add_edge(graph, lfirst(cell), NULL, NULL,
				 get_rel_relkind(view) == RELKIND_MATVIEW ? "materialized view" : "view");
}

/* views_over returns the views and materialized views that select from a relation. */
static List *
views_over(Oid relation)
{
	MemoryContext caller = CurrentMemoryContext;
	List *views = NIL;
	char *sql = psprintf("SELECT DISTINCT r.ev_class FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_rewrite AS r "
						 "ON r.oid OPERATOR(pg_catalog.=) d.objid JOIN pg_catalog.pg_class AS c "
						 "ON c.oid OPERATOR(pg_catalog.=) r.ev_class AND c.relkind IN ('v', 'm') "
						 "AND c.relnamespace OPERATOR(pg_catalog.<>) 'etl'::pg_catalog.regnamespace "
						 "WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass "
						 "AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass "
						 "AND d.refobjid OPERATOR(pg_catalog.=) %u AND r.ev_class OPERATOR(pg_catalog.<>) %u "
						 "AND r.ev_type OPERATOR(pg_catalog.=) '1' ORDER BY 1",
						 relation, relation);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute(sql, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "views could not be listed");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool isnull;
		Oid view = DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));
		MemoryContext spi = MemoryContextSwitchTo(caller);

		views = lappend_oid(views, view);
		MemoryContextSwitchTo(spi);
	}
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	MemoryContextSwitchTo(caller);
	return views;
}

/* look_up adds the flows of views at a relation. */
static void
look_up(const Walk *walk, const char *relation)
{
	Place *place = place_of(walk->graph, relation);
	Oid oid;
	ListCell *cell;

	if (walk->upstream ? place->has_view_in : place->has_views_out)
		return;
	oid = find_relation(relation);
	if (!OidIsValid(oid))
		return;
	if (walk->upstream)
	{
		char kind = get_rel_relkind(oid);

		if (kind == RELKIND_VIEW || kind == RELKIND_MATVIEW)
			add_view(walk->graph, oid);
		return;
	}
	place->has_views_out = true;
	foreach (cell, views_over(oid))
		add_view(walk->graph, lfirst_oid(cell));
}

/* is_new notes what was met; false: it was met before. */
static bool
is_new(const Walk *walk, const char *object, const char *column, const Edge *by)
{
	char *key = psprintf("%s %s%s %s %s", object ? object : "", column ? "." : "", column ? column : "",
						 by && by->pipeline ? quote_identifier(by->pipeline)
						 : by				? by->through
											: "",
						 by && by->task ? quote_identifier(by->task) : "");
	Seen seen;
	bool found;

	strlcpy(seen.key, key, sizeof(seen.key));
	(void) hash_search(walk->seen, &seen, HASH_ENTER, &found);
	return !found;
}

/* kind_of_way returns the kind of a way that goes on by an edge: once it only decides, it does so to its end. */
static int
kind_of_way(int way, EtlFlowKind edge)
{
	if (way == NO_KIND || (way != ETL_FLOW_IDENTITY && !etl_flow_is_direct((EtlFlowKind) way)))
		return way;
	return etl_flow_is_direct(edge) ? Max(way, (int) edge) : (int) edge;
}

/* arrive notes a step. */
static void
arrive(Walk *walk, EtlReach *from, const Edge *edge, const char *object, const char *column)
{
	EtlReach *reach;

	if (!is_new(walk, object, column, edge))
		return;
	reach = palloc0(sizeof(EtlReach));
	reach->distance = from->distance + 1;
	reach->pipeline = edge->pipeline;
	reach->task = edge->task;
	reach->through = edge->through;
	reach->object = object;
	reach->column = column;
	reach->kind = kind_of_way(from->kind, edge->flow->kind);
	reach->from = from;
	walk->reached = lappend(walk->reached, reach);
}

/* follow takes an edge from a node, if it begins there, with the flow or against it. */
static void
follow(Walk *walk, EtlReach *from, const Edge *edge)
{
	const EtlFlow *flow = edge->flow;
	const char *near = walk->upstream ? flow->output_column : flow->input_column;
	const char *object = walk->upstream ? flow->input : flow->output;
	const char *column = walk->upstream ? flow->input_column : flow->output_column;
	bool is_direct = etl_flow_is_direct(flow->kind) || flow->kind == ETL_FLOW_UNKNOWN;

	if (!walk->indirect && !is_direct)
		return;
	if (from->column == NULL)
	{
		arrive(walk, from, edge, object, NULL);
		return;
	}
	/* Of a column, flows between relations that are not known better are followed as well; upstream, what decides about the rows. */
	if (near == NULL ? flow->kind != ETL_FLOW_UNKNOWN && !walk->upstream : strcmp(near, from->column) != 0)
		return;
	arrive(walk, from, edge, object, column);
}

/* add_source adds what is behind a foreign table. */
static void
add_source(Walk *walk, EtlReach *from)
{
	static EtlFlow flow = {.kind = ETL_FLOW_IDENTITY};
	Edge edge = {&flow, NULL, NULL, "source"};
	EtlDataset dataset;

	if (etl_dataset_of_source(find_relation(from->object), &dataset))
		arrive(walk, from, &edge, etl_dataset_uri(&dataset), from->column);
}

/* go_on takes all edges from a node. */
static void
go_on(Walk *walk, EtlReach *from)
{
	Place *place;
	ListCell *cell;

	if (from->object == NULL || strcmp(from->through, "source") == 0 || !is_new(walk, from->object, from->column, NULL))
		return;
	look_up(walk, from->object);
	place = place_of(walk->graph, from->object);
	foreach (cell, walk->upstream ? place->in : place->out)
		follow(walk, from, lfirst(cell));
	if (walk->upstream)
		add_source(walk, from);
}

/* etl_lineage_graph_walk goes from one node to all that are connected with it. */
List *
etl_lineage_graph_walk(EtlLineageGraph *graph, const char *relation, const char *column, bool upstream, bool indirect)
{
	Walk walk = {graph, upstream, indirect, NIL, make_table("etl lineage walk", sizeof(Seen), sizeof(Seen))};
	EtlReach *start = palloc0(sizeof(EtlReach));

	start->object = relation;
	start->column = column;
	start->through = "";
	start->kind = column ? ETL_FLOW_IDENTITY : NO_KIND;
	walk.reached = list_make1(start);
	for (int i = 0; i < list_length(walk.reached); i++)
	{
		CHECK_FOR_INTERRUPTS();
		go_on(&walk, list_nth(walk.reached, i));
	}
	return list_delete_first(walk.reached);
}
