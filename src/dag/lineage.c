/*
 * lineage.c
 *		Which relations SQL reads and writes. See lineage.h.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "dag/lineage.h"
#include "dag/statement.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/syscache.h"

typedef struct Walk
{
	List *reads;  /* Oids */
	List *writes; /* Oids */
	List *made;	  /* names of tables that are made, which need not be there yet */
	Oid view;	  /* whose query is being walked: its own range table names it without reading it */
} Walk;

static void walk_query(Query *query, Walk *walk);

/* etl_lineage_name returns the schema-qualified, quoted name of a relation. */
char *
etl_lineage_name(Oid relation)
{
	char *name = get_rel_name(relation);

	if (name == NULL)
		elog(ERROR, "cache lookup failed for relation %u", relation);
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), name);
}

/* etl_lineage_n_columns returns the number of columns of a relation. */
int
etl_lineage_n_columns(Oid relation)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	int n;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relation);
	n = ((Form_pg_class) GETSTRUCT(tuple))->relnatts;
	ReleaseSysCache(tuple);
	return n;
}

/* is_system says whether a relation is part of PostgreSQL itself or temporary: neither makes a dependency. */
static bool
is_system(Oid relation)
{
	Oid schema = get_rel_namespace(relation);
	char *name = get_namespace_name(schema);

	return name == NULL || schema == PG_CATALOG_NAMESPACE || strcmp(name, "information_schema") == 0 ||
		   isAnyTempNamespace(schema);
}

/* read_relation notes a relation that is read and goes on into a view. */
static void
read_relation(Oid relation, Walk *walk)
{
	Oid outer = walk->view;

	if (relation == walk->view || is_system(relation) || list_member_oid(walk->reads, relation))
		return;
	walk->reads = lappend_oid(walk->reads, relation);
	if (get_rel_relkind(relation) != RELKIND_VIEW)
		return;
	walk->view = relation;
	walk_query(etl_statement_view(relation), walk);
	walk->view = outer;
}

/* walk_node visits the expressions of a query, for the subqueries in them. */
static bool
walk_node(Node *node, Walk *walk)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		walk_query((Query *) node, walk);
		return false;
	}
	return expression_tree_walker(node, walk_node, walk);
}

/* walk_query visits a query: its range table, then everything below it. */
static void
walk_query(Query *query, Walk *walk)
{
	ListCell *cell;
	int index = 0;

	check_stack_depth();
	foreach (cell, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

		index++;
		if (rte->rtekind != RTE_RELATION)
			continue;
		if (index != query->resultRelation)
			read_relation(rte->relid, walk);
		else if (!is_system(rte->relid))
			walk->writes = list_append_unique_oid(walk->writes, rte->relid);
	}
	(void) query_tree_walker(query, walk_node, walk, 0);
}

/* compare_names orders names for qsort. */
static int
compare_names(const void *left, const void *right)
{
	return strcmp(*(char *const *) left, *(char *const *) right);
}

/* names_of returns the sorted names of relations, and of those that are only names. */
static EtlNames
names_of(List *relations, List *made)
{
	EtlNames names = {0, NULL};
	ListCell *cell;
	int n = 0;

	names.name = palloc(sizeof(char *) * Max(list_length(relations) + list_length(made), 1));
	foreach (cell, relations)
		names.name[names.n++] = etl_lineage_name(lfirst_oid(cell));
	foreach (cell, made)
		names.name[names.n++] = lfirst(cell);
	qsort(names.name, names.n, sizeof(char *), compare_names);
	for (int i = 0; i < names.n; i++)
		if (n == 0 || strcmp(names.name[n - 1], names.name[i]) != 0)
			names.name[n++] = names.name[i];
	names.n = n;
	return names;
}

/* etl_lineage_reads returns the names of all relations that a query reads. */
EtlNames
etl_lineage_reads(Query *query)
{
	Walk walk = {NIL, NIL, NIL, InvalidOid};

	walk_query(query, &walk);
	return names_of(walk.reads, NIL);
}

/* etl_lineage_reads_all goes through all of them. */
EtlNames
etl_lineage_reads_all(List *queries)
{
	Walk walk = {NIL, NIL, NIL, InvalidOid};
	ListCell *cell;

	foreach (cell, queries)
		walk_query(lfirst_node(Query, cell), &walk);
	return names_of(walk.reads, NIL);
}

/* etl_lineage_is_analyzable says whether a statement has a query tree that can be analyzed without executing anything. */
bool
etl_lineage_is_analyzable(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_CreateTableAsStmt:
		case T_SelectStmt:
		case T_InsertStmt:
		case T_UpdateStmt:
		case T_DeleteStmt:
		case T_MergeStmt:
			return true;
		default:
			return false;
	}
}

/* etl_lineage_is_opaque says whether a statement may read and write what nobody can tell: EXECUTE, CALL, DO, COPY. */
bool
etl_lineage_is_opaque(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_ExecuteStmt:
		case T_CallStmt:
		case T_DoStmt:
		case T_CopyStmt:
			return true;
		default:
			return false;
	}
}

/* etl_lineage_into names the table that CREATE TABLE AS or SELECT INTO makes, or returns NULL for a temporary one. */
char *
etl_lineage_into(const IntoClause *into)
{
	const RangeVar *name = into->rel;
	Oid schema;

	if (name == NULL || name->relpersistence == RELPERSISTENCE_TEMP)
		return NULL;
	schema = RangeVarGetCreationNamespace(name);
	return isAnyTempNamespace(schema) ? NULL : quote_qualified_identifier(get_namespace_name(schema), name->relname);
}

/* collect_create adds what CREATE TABLE AS reads, and the table that it makes. */
static void
collect_create(CreateTableAsStmt *statement, Walk *walk)
{
	char *made = etl_lineage_into(statement->into);

	if (!IsA(statement->query, Query) || ((Query *) statement->query)->commandType == CMD_UTILITY)
		return;
	walk_query((Query *) statement->query, walk);
	if (made != NULL)
		walk->made = lappend(walk->made, made);
}

/* collect adds what one statement reads and writes. Errors: whatever the analysis finds. */
static void
collect(RawStmt *raw, const char *text, Walk *walk)
{
	if (IsA(raw->stmt, RefreshMatViewStmt))
	{
		RangeVar *name = ((RefreshMatViewStmt *) raw->stmt)->relation;
		Oid relation = RangeVarGetRelid(name, AccessShareLock, false);

		if (get_rel_relkind(relation) != RELKIND_MATVIEW)
			return;
		walk->writes = list_append_unique_oid(walk->writes, relation);
		walk->view = relation;
		walk_query(etl_statement_view(relation), walk);
		walk->view = InvalidOid;
	}
	else
	{
		Query *query = etl_statement_analyze(raw, text);

		if (query->commandType == CMD_UTILITY)
			collect_create(castNode(CreateTableAsStmt, query->utilityStmt), walk);
		else
			walk_query(query, walk);
	}
}

/*
 * try_collect collects in a subtransaction and forgets the statement when it cannot be analyzed now, for example
 * because an earlier statement of the same command creates the table. A cancel is not swallowed.
 */
static void
try_collect(RawStmt *raw, const char *text, Walk *walk)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	Walk found = {list_copy(walk->reads), list_copy(walk->writes), list_copy(walk->made), InvalidOid};

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		collect(raw, text, &found);
		ReleaseCurrentSubTransaction();
		*walk = found;
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

/* etl_lineage_command says what the statements of a command read and write. */
void
etl_lineage_command(const char *command, EtlNames *reads, EtlNames *writes)
{
	Walk walk = {NIL, NIL, NIL, InvalidOid};
	ListCell *cell;

	foreach (cell, etl_statement_parse(command))
	{
		RawStmt *raw = lfirst_node(RawStmt, cell);

		if (etl_lineage_is_analyzable(raw->stmt) || IsA(raw->stmt, RefreshMatViewStmt))
			try_collect(raw, command, &walk);
	}
	*reads = names_of(walk.reads, NIL);
	*writes = names_of(walk.writes, walk.made);
}
