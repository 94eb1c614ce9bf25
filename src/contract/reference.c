/*
 * reference.c
 *		What a task names. See reference.h.
 *
 * Columns come from the analyzed query: the parser marks each one that is named, in WHERE, JOIN and ORDER BY as well. A
 * statement that cannot be analyzed now (it names what another one makes) is known by what etl.task.reads says of it.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/xact.h"
#include "api/define.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/namespace.h"
#include "catalog/task_reference.h"
#include "compat.h"
#include "contract/reference.h"
#include "dag/lineage.h"
#include "dag/statement.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "source/relation.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

typedef struct Found
{
	EtlReference *item;
	int n;
	int size;
} Found;

/* add notes a relation or column once. */
static void
add(Found *found, const char *relation, const char *column, bool is_write)
{
	for (int i = 0; i < found->n; i++)
	{
		const EtlReference *item = &found->item[i];

		if (item->is_write == is_write && strcmp(item->relation, relation) == 0 &&
			(item->column == NULL || column == NULL ? item->column == column : strcmp(item->column, column) == 0))
			return;
	}
	if (found->n == found->size)
	{
		found->size = found->size == 0 ? 32 : found->size * 2;
		found->item = found->item == NULL ? palloc(sizeof(EtlReference) * found->size)
										  : repalloc(found->item, sizeof(EtlReference) * found->size);
	}
	found->item[found->n++] = (EtlReference){pstrdup(relation), column ? pstrdup(column) : NULL, is_write};
}

/* add_names notes columns of a relation. */
static void
add_names(Found *found, const char *relation, const EtlNames *names, bool is_write)
{
	for (int i = 0; i < names->n; i++)
		add(found, relation, names->name[i], is_write);
}

/* add_columns notes the columns of a set as the parser makes them; a whole row is all of them. */
static void
add_columns(Found *found, Oid relation, const Bitmapset *columns, bool is_write)
{
	char *name = etl_lineage_name(relation);
	int member = -1;

	while ((member = bms_next_member(columns, member)) >= 0)
	{
		AttrNumber attnum = member + FirstLowInvalidHeapAttributeNumber;

		if (attnum > 0)
			add(found, name, get_attname(relation, attnum, true), is_write);
		else if (attnum == 0)
		{
			EtlSource *all = etl_relation_describe(relation, NULL);

			for (int i = 0; i < all->n; i++)
				add(found, name, all->column[i].name, is_write);
		}
	}
}

static void walk_query(Query *query, Found *found);

/* walk_node visits the queries below a node. */
static bool
walk_node(Node *node, Found *found)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		walk_query((Query *) node, found);
		return false;
	}
	return expression_tree_walker(node, walk_node, found);
}

/* walk_query notes what a query names, and goes on below it. */
static void
walk_query(Query *query, Found *found)
{
	ListCell *cell;
	int index = 0;

	check_stack_depth();
	foreach (cell, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);
		Bitmapset *selected;
		Bitmapset *written;

		index++;
		if (rte->rtekind != RTE_RELATION || get_rel_namespace(rte->relid) == PG_CATALOG_NAMESPACE ||
			isAnyTempNamespace(get_rel_namespace(rte->relid)))
			continue;
		add(found, etl_lineage_name(rte->relid), NULL, index == query->resultRelation);
		etl_compat_columns(query, rte, &selected, &written);
		add_columns(found, rte->relid, selected, false);
		add_columns(found, rte->relid, written, true);
	}
	(void) query_tree_walker(query, walk_node, found, 0);
}

/* analyze notes what the statements of a text name. */
static void
analyze(const char *text, Found *found)
{
	ListCell *cell;

	foreach (cell, etl_statement_parse(text))
	{
		Query *query = etl_statement_analyze(lfirst_node(RawStmt, cell), text);

		/* CREATE TABLE AS holds a query that is analyzed as well. */
		if (query->commandType != CMD_UTILITY)
			walk_query(query, found);
		else if (IsA(query->utilityStmt, CreateTableAsStmt))
			(void) walk_node(((CreateTableAsStmt *) query->utilityStmt)->query, found);
	}
}

/* try_analyze does so in a subtransaction; what cannot be analyzed is left out. A cancel is not swallowed. */
static void
try_analyze(const char *text, Found *found)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		analyze(text, found);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
			ReThrowError(error);
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
}

/* try_condition notes what a condition on the rows of a relation names. */
static void
try_condition(const char *relation, const char *condition, Found *found)
{
	if (condition)
		try_analyze(psprintf("SELECT 1 FROM %s WHERE (%s\n)", relation, condition), found);
}

/*
 * find_extract: columns that it cannot do without. The others come and go as schema_drift says, unless it freezes them.
 */
static void
find_extract(const EtlTask *task, Found *found)
{
	add(found, task->source, NULL, false);
	add(found, task->target, NULL, true);
	if (task->cursor_column)
		add(found, task->source, task->cursor_column, false);
	add_names(found, task->source, &task->primary_key, false);
	add_names(found, task->source, &task->columns, false);
	if (task->schema_drift && strcmp(task->schema_drift, "freeze") == 0 && task->columns.n == 0)
		try_analyze(psprintf("SELECT * FROM %s", task->source), found);
	try_condition(task->source, task->filter, found);
	try_condition(task->source, task->delete_scope, found);
	if (task->deletes && strncmp(task->deletes, "column:", 7) == 0)
		try_condition(task->source, task->deletes + 7, found);
}

/* find_load: what its query names, and the columns of the target that it fills. */
static void
find_load(const EtlTask *task, Found *found)
{
	ListCell *cell;

	try_analyze(task->query, found);
	add(found, task->target, NULL, true);
	add_names(found, task->target, &task->key, true);
	foreach (cell, etl_statement_parse(task->query))
	{
		Query *query = etl_statement_analyze(lfirst_node(RawStmt, cell), task->query);
		ListCell *lc;

		foreach (lc, query->targetList)
		{
			TargetEntry *entry = lfirst_node(TargetEntry, lc);

			if (!entry->resjunk && entry->resname)
				add(found, task->target, entry->resname, true);
		}
	}
}

/* find_check: the columns and conditions of a check. */
static void
find_check(const EtlTask *task, Found *found)
{
	if (task->target == NULL)
		return;
	add(found, task->target, NULL, false);
	add_names(found, task->target, &task->columns, false);
	try_condition(task->target, task->filter, found);
	try_condition(task->target, task->expression, found);
}

/* etl_reference_store finds it as the owner of the task. */
void
etl_reference_store(const EtlPipeline *pipeline, const EtlTask *task, int64 task_id)
{
	Found found = {0};
	EtlRole role;

	etl_define_become(&role, etl_define_task_owner(pipeline, task), task->search_path);
	switch (task->kind)
	{
		case ETL_TASK_EXTRACT:
			find_extract(task, &found);
			break;
		case ETL_TASK_LOAD:
		case ETL_TASK_AGGREGATE:
			find_load(task, &found);
			break;
		case ETL_TASK_CHECK:
			find_check(task, &found);
			break;
		case ETL_TASK_SQL:
		{
			ListCell *cell;
			List *statements = etl_statement_parse(task->command);

			foreach (cell, statements)
			{
				RawStmt *raw = lfirst_node(RawStmt, cell);
				int length = raw->stmt_len > 0 ? raw->stmt_len : (int) strlen(task->command + raw->stmt_location);

				try_analyze(pnstrdup(task->command + raw->stmt_location, length), &found);
			}
			for (int i = 0; i < task->reads.n; i++)
				add(&found, task->reads.name[i], NULL, false);
			for (int i = 0; i < task->writes.n; i++)
				add(&found, task->writes.name[i], NULL, true);
			break;
		}
	}
	etl_define_return(&role);
	etl_task_reference_replace(task_id, found.item, found.n);
}
