/*
 * inspect.c
 *		Which raw inputs a query has, and whether one of them can be narrowed. See compile.h.
 *
 * The walk follows the jointree, because only what is joined there can be narrowed, and carries the reason why what
 * lies below can not. Pure: looks at the tree and at the catalog, changes nothing.
 */
#include "postgres.h"

#include "access/attnum.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type_d.h"
#include "catalog/task.h"
#include "dag/lineage.h"
#include "dag/statement.h"
#include "load/compile.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

/* What holds for everything below a place in the tree. */
typedef struct Place
{
	const char *reason; /* why nothing here can be narrowed, or NULL */
	bool in_expression;
	bool is_visible;
	bool allow_distinct;
	bool is_hidden;
	List *path;		   /* of EtlStep */
	Oid view;		   /* whose query this is */
	bool allow_groups; /* the query may group rows: only whole groups are computed anew */
} Place;

typedef struct Walk
{
	List *inputs;
	Place place;
	const EtlTask *task;
	const char *other; /* a table that is read and is no input */
} Walk;

/* Looks for a column of one range table entry; InvalidAttrNumber: for any system column. */
typedef struct ColumnSearch
{
	int index;
	int depth;
	AttrNumber attnum;
} ColumnSearch;

static void visit_query(Query *query, Walk *walk);

/* etl_compile_is_raw says whether a relation has the columns of a raw table. */
bool
etl_compile_is_raw(Oid relation)
{
	char kind = get_rel_relkind(relation);
	AttrNumber batch;
	AttrNumber loaded_at;

	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		return false;
	batch = get_attnum(relation, "_etl_batch");
	loaded_at = get_attnum(relation, "_etl_loaded_at");
	return batch != InvalidAttrNumber && loaded_at != InvalidAttrNumber && get_atttype(relation, batch) == INT8OID &&
		   get_atttype(relation, loaded_at) == TIMESTAMPTZOID;
}

/* has_column finds the use of a column of the entry, also from within subqueries. */
static bool
has_column(Node *node, ColumnSearch *wanted)
{
	bool result;

	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var *var = (Var *) node;

		return var->varno == wanted->index && (int) var->varlevelsup == wanted->depth &&
			   (wanted->attnum == InvalidAttrNumber ? var->varattno < 0 : var->varattno == wanted->attnum);
	}
	if (!IsA(node, Query))
		return expression_tree_walker(node, has_column, wanted);
	wanted->depth++;
	result = query_tree_walker((Query *) node, has_column, wanted, QTW_IGNORE_JOINALIASES);
	wanted->depth--;
	return result;
}

/* level_reason says why a query cannot pass on narrowed rows, whichever input they come from. */
static const char *
level_reason(const Query *query, bool allow_distinct, bool allow_groups)
{
	if (query->setOperations != NULL)
		return "it is in a branch of UNION, INTERSECT or EXCEPT";
	if (allow_groups && query->groupingSets == NIL && (query->groupClause != NIL || !query->hasAggs))
		;
	else if (query->groupClause != NIL || query->groupingSets != NIL || query->hasAggs || query->havingQual != NULL)
		return "it is under GROUP BY or an aggregate function";
	if (query->hasWindowFuncs)
		return "it is under a window function";
	if (query->hasDistinctOn)
		return "it is under DISTINCT ON";
	if (query->distinctClause != NIL && !allow_distinct)
		return "it is under DISTINCT and the target has no key";
	if (query->limitCount != NULL || query->limitOffset != NULL)
		return "it is under LIMIT or OFFSET";
	return NULL;
}

/* entry_reason says why one entry of a range table cannot be narrowed, apart from where it stands. */
static const char *
entry_reason(Query *query, int index)
{
	RangeTblEntry *rte = rt_fetch(index, query->rtable);
	ColumnSearch wanted = {index, 0, InvalidAttrNumber};

	if (rte->tablesample != NULL)
		return "it is read by TABLESAMPLE";
	if (!rte->inh)
		return "it is read by ONLY";
	if (query_tree_walker(query, has_column, &wanted, QTW_IGNORE_JOINALIASES))
		return "a system column of it is used";
	return NULL;
}

/* op_column returns the column that tells delete markers, unless the query looks at it itself. */
static AttrNumber
op_column(Query *query, int index)
{
	Oid relation = rt_fetch(index, query->rtable)->relid;
	ColumnSearch wanted = {index, 0, get_attnum(relation, "_etl_op")};

	if (wanted.attnum == InvalidAttrNumber || get_atttype(relation, wanted.attnum) != TEXTOID ||
		query_tree_walker(query, has_column, &wanted, QTW_IGNORE_JOINALIASES))
		return InvalidAttrNumber;
	return wanted.attnum;
}

/* visit_relation notes a raw input and goes on into a view. */
static void
visit_relation(Query *query, int index, Walk *walk)
{
	RangeTblEntry *rte = rt_fetch(index, query->rtable);
	Place outer = walk->place;
	EtlInput *input;

	if (get_rel_relkind(rte->relid) == RELKIND_VIEW)
	{
		walk->place.view = rte->relid;
		walk->place.is_visible = false;
		if (walk->place.reason == NULL)
			walk->place.reason = psprintf("it is read through view %s", etl_lineage_name(rte->relid));
		visit_query(etl_statement_view(rte->relid), walk);
		walk->place = outer;
		return;
	}
	input = palloc0(sizeof(EtlInput));
	input->relation = rte->relid;
	input->name = etl_lineage_name(rte->relid);
	input->is_kept = !etl_compile_is_raw(rte->relid);
	if (input->is_kept && !etl_task_kept_key(input->name, walk->task, &input->key))
	{
		if (get_rel_namespace(rte->relid) != PG_CATALOG_NAMESPACE)
			walk->other = input->name;
		return;
	}
	input->reason = entry_reason(query, index);
	input->is_special = input->reason != NULL;
	if (outer.reason)
		input->reason = outer.reason;
	input->op = input->is_kept ? InvalidAttrNumber : op_column(query, index);
	input->is_hidden = outer.is_hidden;
	input->in_view = OidIsValid(outer.view);
	input->path = outer.path;
	input->in_expression = outer.in_expression;
	input->is_visible = outer.is_visible;
	input->rte = rte;
	input->level = query;
	input->index = index;
	walk->inputs = lappend(walk->inputs, input);
}

/* visit_entry visits what a reference in the jointree, or a branch of a set operation, stands for. */
static void
visit_entry(Query *query, int index, Walk *walk)
{
	RangeTblEntry *rte = rt_fetch(index, query->rtable);
	Place outer = walk->place;
	EtlStep *step;

	if (rte->rtekind == RTE_RELATION && rte->relid != outer.view)
		visit_relation(query, index, walk);
	else if (rte->rtekind == RTE_SUBQUERY)
	{
		step = palloc(sizeof(EtlStep));
		step->level = query;
		step->index = index;
		walk->place.is_visible = false;
		walk->place.path = lappend(list_copy(outer.path), step);
		visit_query(rte->subquery, walk);
		walk->place = outer;
	}
}

/* visit_join visits a node of the jointree; the nullable side of an outer join may not lose rows. */
static void
visit_join(Query *query, Node *node, Walk *walk)
{
	Place before = walk->place;
	Place outer = before;
	const char *nullable = "it is on the nullable side of an outer join";
	JoinExpr *join;
	ListCell *cell;

	check_stack_depth();
	if (IsA(node, RangeTblRef))
	{
		visit_entry(query, ((RangeTblRef *) node)->rtindex, walk);
		return;
	}
	if (IsA(node, FromExpr))
	{
		foreach (cell, ((FromExpr *) node)->fromlist)
			visit_join(query, lfirst(cell), walk);
		return;
	}
	join = castNode(JoinExpr, node);
	if (join->alias != NULL)
	{
		walk->place.is_visible = outer.is_visible = false;
		walk->place.is_hidden = outer.is_hidden = true;
	}
	if (outer.reason == NULL && (join->jointype == JOIN_RIGHT || join->jointype == JOIN_FULL))
		walk->place.reason = nullable;
	visit_join(query, join->larg, walk);
	walk->place.reason = outer.reason;
	if (outer.reason == NULL && (join->jointype == JOIN_LEFT || join->jointype == JOIN_FULL))
		walk->place.reason = nullable;
	visit_join(query, join->rarg, walk);
	walk->place = before;
}

/* visit_expression visits the subqueries in expressions; what they read is always read whole. */
static bool
visit_expression(Node *node, Walk *walk)
{
	Place outer = walk->place;

	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, visit_expression, walk);
	walk->place.in_expression = true;
	walk->place.is_visible = false;
	walk->place.reason = "it is inside a subquery expression";
	visit_query((Query *) node, walk);
	walk->place = outer;
	return false;
}

/* visit_query visits the WITH queries, the jointree and the expressions of a query. */
static void
visit_query(Query *query, Walk *walk)
{
	Place outer = walk->place;
	ListCell *cell;

	check_stack_depth();
	if (walk->place.reason == NULL)
		walk->place.reason = level_reason(query, outer.allow_distinct, outer.allow_groups);
	walk->place.allow_groups = false;
	if (query->setOperations != NULL)
		for (int i = 1; i <= list_length(query->rtable); i++)
			visit_entry(query, i, walk);
	else
		visit_join(query, (Node *) query->jointree, walk);
	walk->place = outer;
	foreach (cell, query->cteList)
	{
		walk->place.is_visible = false;
		if (outer.reason == NULL)
			walk->place.reason = "it is inside a WITH query";
		visit_query(castNode(Query, lfirst_node(CommonTableExpr, cell)->ctequery), walk);
		walk->place = outer;
	}
	(void) query_tree_walker(query, visit_expression, walk, QTW_IGNORE_RT_SUBQUERIES | QTW_IGNORE_CTE_SUBQUERIES);
}

/* is_driver says whether new rows of an input are a reason to evaluate the query for them. */
static bool
is_driver(const EtlInput *input)
{
	return !input->in_expression && input->reason == NULL && !input->in_view;
}

/*
 * find_drivers fills drivers, or reason. A raw input that cannot be narrowed means that everything is read. Of a kept one
 * that a load reads, changes are then not followed, as of any other table; an aggregate has to follow all that it reads.
 */
static void
find_drivers(EtlCompile *compile, const EtlTask *task)
{
	bool is_aggregate = task->kind == ETL_TASK_AGGREGATE;
	ListCell *cell;

	foreach (cell, compile->inputs)
	{
		EtlInput *input = lfirst(cell);

		/* Without a key, rows that a changed row gives again would be added again. */
		if (is_driver(input) && (compile->has_key || !input->is_kept))
			compile->drivers = lappend(compile->drivers, input);
		else if (compile->reason == NULL && (is_aggregate || (!input->is_kept && !input->in_expression)))
			compile->reason = input->reason ? psprintf("%s: %s", input->name, input->reason) : "it is read in a view";
	}
}

/* find_single sets the raw input that the delete markers of a load come from, if there is one. */
static void
find_single(EtlCompile *compile)
{
	ListCell *cell;

	foreach (cell, compile->inputs)
	{
		EtlInput *input = lfirst(cell);

		if (input->is_kept || input->in_expression)
			continue;
		if (compile->single != NULL || !is_driver(input))
		{
			compile->shape = compile->single == NULL ? input->reason
							 : input->relation == compile->single->relation
								 ? psprintf("%s is read more than once", input->name)
								 : psprintf("%s and %s are both raw inputs", compile->single->name, input->name);
			compile->single = NULL;
			return;
		}
		compile->single = input;
	}
}

/* follow_single leaves the raw input as the only driver: delete markers are followed for one input. */
static void
follow_single(EtlCompile *compile)
{
	compile->drivers = list_make1(compile->single);
}

/* etl_compile_inspect finds the inputs of a query and those that can be narrowed. */
EtlCompile *
etl_compile_inspect(Query *query, const EtlTask *task, const char *is_whole, bool has_key)
{
	EtlCompile *compile = palloc0(sizeof(EtlCompile));
	bool is_aggregate = task->kind == ETL_TASK_AGGREGATE;
	bool deletes = (task->on_delete != NULL && strcmp(task->on_delete, "ignore") != 0) ||
				   (task->mode != NULL && strcmp(task->mode, "scd2") == 0);
	Walk walk = {.place = {.is_visible = true, .allow_distinct = has_key, .allow_groups = is_aggregate}, .task = task};

	visit_query(query, &walk);
	compile->query = query;
	compile->task = task;
	compile->is_whole = is_whole;
	compile->has_key = has_key;
	compile->inputs = walk.inputs;
	find_drivers(compile, task);
	find_single(compile);
	if (compile->single != NULL && deletes)
		follow_single(compile);
	if (compile->drivers != NIL && is_aggregate && walk.other != NULL)
		compile->reason = psprintf("changes of %s are not known", walk.other);
	if (compile->drivers != NIL && is_whole != NULL)
		compile->reason = is_whole;
	if (compile->reason != NULL)
		compile->drivers = NIL;
	return compile;
}

/* etl_compile_copy finds the inputs anew. */
EtlCompile *
etl_compile_copy(const EtlCompile *compile)
{
	EtlCompile *copy = etl_compile_inspect(copyObject(compile->query), compile->task, compile->is_whole,
										   compile->has_key);

	copy->is_carried = compile->is_carried;
	return copy;
}
