/*
 * task_flow.c
 *		Column lineage of a task. See task_flow.h.
 *
 * It is computed when somebody asks and stored nowhere: a view may change after a task was defined, a target may get other
 * columns, and what was stored would be wrong then without anybody noticing. An analysis takes about a millisecond.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "compat.h"
#include "dag/lineage.h"
#include "dag/statement.h"
#include "lineage/target_flow.h"
#include "lineage/task_flow.h"
#include "load/query.h"
#include "miscadmin.h"
#include "quality/check_query.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/syscache.h"

/* analyze analyzes one statement. */
static Query *
analyze(const char *sql)
{
	return etl_statement_analyze(linitial_node(RawStmt, etl_statement_parse(sql)), sql);
}

/* of_extract returns the flows of an extract: its query, as a SELECT on the source, into the raw table. */
static List *
of_extract(const EtlTask *task)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (int i = 0; i < task->columns.n; i++)
		appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "", quote_identifier(task->columns.name[i]));
	appendStringInfo(&sql, "%s FROM %s", task->columns.n == 0 ? "*" : "", task->source);
	if (task->filter != NULL)
		appendStringInfo(&sql, " WHERE (\n%s\n)", task->filter);
	return etl_target_flow_extract(task, etl_flow_of_query(analyze(sql.data), task->target));
}

/* of_command returns the flows of a command; what could not be analyzed is known by relation only. */
static List *
of_command(const EtlTask *task)
{
	bool is_whole;
	List *flows = etl_flow_of_command(task->command, &is_whole);

	if (is_whole)
		return flows;
	return list_concat(flows, etl_task_flow_relations(task));
}

/* of_check returns the flows of a check, which have no output; the columns that it names are always among them. */
static List *
of_check(const EtlTask *task)
{
	List *flows = NIL;
	List *result = NIL;
	ListCell *cell;

	foreach (cell, etl_check_queries(task))
		flows = list_concat(flows, etl_flow_of_query(lfirst_node(Query, cell), NULL));
	for (int i = 0; i < task->columns.n; i++)
		result = etl_flow_add(result, NULL, NULL, task->target, task->columns.name[i], ETL_FLOW_AGGREGATION);
	foreach (cell, flows)
	{
		EtlFlow *flow = lfirst(cell);
		bool known = flow->kind == ETL_FLOW_GENERATED;
		ListCell *other;

		flow->output_column = NULL;
		foreach (other, result)
		{
			const EtlFlow *earlier = lfirst(other);

			known = known || (earlier->kind == flow->kind && strcmp(earlier->input, flow->input) == 0 &&
							  (earlier->input_column == NULL || flow->input_column == NULL
								   ? earlier->input_column == flow->input_column
								   : strcmp(earlier->input_column, flow->input_column) == 0));
		}
		if (!known)
			result = lappend(result, flow);
	}
	return result;
}

/* etl_task_flow analyzes a task. */
List *
etl_task_flow(const EtlTask *task)
{
	switch (task->kind)
	{
		case ETL_TASK_EXTRACT:
			return of_extract(task);
		case ETL_TASK_LOAD:
		case ETL_TASK_AGGREGATE:
			return etl_target_flow_load(task, etl_flow_of_query(etl_query_parse(task->query), task->target));
		case ETL_TASK_SQL:
			return of_command(task);
		case ETL_TASK_CHECK:
			return of_check(task);
	}
	pg_unreachable();
}

/* etl_task_flow_relations connects all that a task reads with all that it writes. */
List *
etl_task_flow_relations(const EtlTask *task)
{
	List *flows = NIL;

	for (int i = 0; i < task->reads.n; i++)
		for (int j = 0; j < Max(task->writes.n, 1); j++)
		{
			const char *output = task->writes.n > 0 ? task->writes.name[j] : NULL;

			if (output == NULL || strcmp(output, task->reads.name[i]) != 0)
				flows = etl_flow_add(flows, output, NULL, task->reads.name[i], NULL, ETL_FLOW_UNKNOWN);
		}
	for (int j = 0; task->reads.n == 0 && j < task->writes.n; j++)
		flows = etl_flow_add(flows, task->writes.name[j], NULL, NULL, NULL, ETL_FLOW_GENERATED);
	return flows;
}

/* as_owner analyzes a task with the rights and the search_path that it has. */
static List *
as_owner(const EtlTask *task)
{
	Oid user;
	int sec_context;
	int level = NewGUCNestLevel();
	List *flows;

	GetUserIdAndSecContext(&user, &sec_context);
	SetUserIdAndSecContext(task->owner, sec_context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	(void) set_config_option("search_path", task->search_path ? task->search_path : "", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	flows = etl_task_flow(task);
	AtEOXact_GUC(true, level);
	SetUserIdAndSecContext(user, sec_context);
	return flows;
}

/*
 * etl_task_flow_guarded analyzes in a subtransaction that is always rolled back: so a look at the lineage of many tasks holds the
 * locks of one at a time, and an error in one task does not hide the others. A cancel is not swallowed.
 */
List *
etl_task_flow_guarded(const EtlTask *task, char **problem)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	List *volatile flows = NIL;

	*problem = NULL;
	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(task->owner)))
	{
		*problem = pstrdup("the owner of the task does not exist any more");
		return etl_task_flow_relations(task);
	}
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		flows = as_owner(task);
		MemoryContextSwitchTo(context);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
		{
			RollbackAndReleaseCurrentSubTransaction();
			MemoryContextSwitchTo(context);
			CurrentResourceOwner = owner;
			ReThrowError(error);
		}
		*problem = error->message;
		flows = etl_task_flow_relations(task);
	}
	PG_END_TRY();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return flows;
}
