/*
 * command.c
 *		Tasks of kind sql: any statement or statements.
 *
 * As long as all statements can run inside a transaction block they do, in one transaction with the task's state. If
 * one of them cannot (VACUUM, CALL, CREATE INDEX CONCURRENTLY, ...) each runs as a transaction of its own, as psql would
 * do it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/defrem.h"
#include "compat.h"
#include "dag/lineage.h"
#include "dag/statement.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "worker/command.h"

/* vacuum_is_toplevel: VACUUM never runs in a block, ANALYZE does. */
static bool
vacuum_is_toplevel(const VacuumStmt *statement)
{
	return statement->is_vacuumcmd;
}

/* reindex_is_toplevel: REINDEX CONCURRENTLY and that of a whole schema or database commit as they go. */
static bool
reindex_is_toplevel(const ReindexStmt *statement)
{
	ListCell *lc;

	if (statement->kind != REINDEX_OBJECT_INDEX && statement->kind != REINDEX_OBJECT_TABLE)
		return true;
	foreach (lc, statement->params)
	{
		DefElem *option = lfirst(lc);

		if (strcmp(option->defname, "concurrently") == 0)
			return defGetBoolean(option);
	}
	return false;
}

/* detaches_concurrently: ALTER TABLE ... DETACH PARTITION ... CONCURRENTLY. */
static bool
detaches_concurrently(const AlterTableStmt *statement)
{
	ListCell *lc;

	foreach (lc, statement->cmds)
	{
		AlterTableCmd *command = lfirst(lc);

		if (command->subtype == AT_DetachPartition && ((PartitionCmd *) command->def)->concurrent)
			return true;
	}
	return false;
}

/* needs_toplevel says whether a statement cannot run inside a transaction block, or commits by itself. */
static bool
needs_toplevel(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_CallStmt:
		case T_CreatedbStmt:
		case T_DropdbStmt:
		case T_CreateTableSpaceStmt:
		case T_DropTableSpaceStmt:
		case T_AlterSystemStmt:
			return true;
		case T_VacuumStmt:
			return vacuum_is_toplevel((VacuumStmt *) statement);
		case T_ClusterStmt:
			return ((ClusterStmt *) statement)->relation == NULL;
		case T_IndexStmt:
			return ((IndexStmt *) statement)->concurrent;
		case T_DropStmt:
			return ((DropStmt *) statement)->concurrent;
		case T_ReindexStmt:
			return reindex_is_toplevel((ReindexStmt *) statement);
		case T_AlterTableStmt:
			return detaches_concurrently((AlterTableStmt *) statement);
		default:
			return false;
	}
}

/* any_needs_toplevel looks for such a statement in a list of RawStmt. */
static bool
any_needs_toplevel(List *statements)
{
	ListCell *lc;

	foreach (lc, statements)
		if (needs_toplevel(lfirst_node(RawStmt, lc)->stmt))
			return true;
	return false;
}

/*
 * etl_command_define checks a task's command and finds what it reads and writes. Errors: 42601 for a syntax error or
 * nothing at all, 0A000 for transaction control.
 */
void
etl_command_define(EtlTask *task)
{
	List *statements;
	ListCell *lc;

	if (task->command == NULL)
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("a sql task needs a command"),
						errdetail("command is NULL."), errhint("Pass command => $$...$$.")));
	statements = etl_statement_parse(task->command);
	if (statements == NIL)
		ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("the command of task \"%s\" is empty", task->name),
						errdetail("It holds no statement."), errhint("Write at least one SQL statement.")));
	foreach (lc, statements)
		if (IsA(lfirst_node(RawStmt, lc)->stmt, TransactionStmt))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("the command of task \"%s\" contains transaction control", task->name),
					 errdetail("A task's transaction begins and ends with the task."),
					 errhint("Leave BEGIN, COMMIT and ROLLBACK out, or put them into a procedure and CALL it.")));
	etl_lineage_command(task->command, &task->reads, &task->writes);
}

/* count_rows adds what a statement wrote to the counts of the attempt. */
static void
count_rows(EtlAttempt *attempt, const QueryCompletion *completion)
{
	switch (completion->commandTag)
	{
		case CMDTAG_INSERT:
		case CMDTAG_COPY:
			attempt->counts.inserted += completion->nprocessed;
			break;
		case CMDTAG_UPDATE:
		case CMDTAG_MERGE:
			attempt->counts.updated += completion->nprocessed;
			break;
		case CMDTAG_DELETE:
			attempt->counts.deleted += completion->nprocessed;
			break;
		default:
			break;
	}
}

/* execute_statement runs one statement to its end; the rows of a SELECT go nowhere. */
static void
execute_statement(EtlAttempt *attempt, RawStmt *statement, bool toplevel)
{
	const char *sql = attempt->task->command;
	QueryCompletion completion;
	Portal portal;
	List *plans;

	if (analyze_requires_snapshot(statement))
		PushActiveSnapshot(GetTransactionSnapshot());
	else
		PushActiveSnapshot(GetLatestSnapshot());
	plans = pg_plan_queries(pg_analyze_and_rewrite_fixedparams(statement, sql, NULL, 0, NULL), sql,
							CURSOR_OPT_PARALLEL_OK, NULL);
	PopActiveSnapshot();

	portal = CreateNewPortal();
	portal->visible = false;
	PortalDefineQuery(portal, NULL, sql, CreateCommandTag(statement->stmt), plans, NULL);
	PortalStart(portal, NULL, 0, InvalidSnapshot);
	InitializeQueryCompletion(&completion);
	(void) etl_compat_portal_run(portal, toplevel, None_Receiver, &completion);
	count_rows(attempt, &completion);
	PortalDrop(portal, false);
}

/* run_in_step executes all statements inside the open step. */
static void
run_in_step(EtlAttempt *attempt, List *statements)
{
	ListCell *lc;
	int path = etl_attempt_author_path(attempt->task);

	foreach (lc, statements)
	{
		CHECK_FOR_INTERRUPTS();
		execute_statement(attempt, lfirst_node(RawStmt, lc), false);
		CommandCounterIncrement();
	}
	AtEOXact_GUC(true, path);
}

/*
 * run_one_by_one executes each statement as a transaction of its own. The parse trees live in the attempt's context,
 * and search_path is set for the session, because both must survive the commits.
 */
static void
run_one_by_one(EtlAttempt *attempt, List *statements)
{
	ListCell *lc;

	PopActiveSnapshot();
	CommitTransactionCommand();
	SetConfigOption("search_path", etl_attempt_search_path(attempt->task->search_path), PGC_USERSET, PGC_S_SESSION);
	foreach (lc, statements)
	{
		CHECK_FOR_INTERRUPTS();
		StartTransactionCommand();
		MemoryContextSwitchTo(attempt->context);
		execute_statement(attempt, lfirst_node(RawStmt, lc), true);
		CommitTransactionCommand();
	}
	SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION);
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
}

/* etl_command_run executes a task of kind sql. */
void
etl_command_run(EtlAttempt *attempt)
{
	MemoryContext old = MemoryContextSwitchTo(attempt->context);
	List *statements = raw_parser(attempt->task->command, RAW_PARSE_DEFAULT);

	attempt->sql = attempt->task->command;
	MemoryContextSwitchTo(old);
	if (!any_needs_toplevel(statements))
		run_in_step(attempt, statements);
	else if (attempt->is_published)
		ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
						errmsg("task \"%s\" cannot be published at one commit with others", attempt->task->name),
						errdetail("One of its statements cannot run inside a transaction."),
						errhint("Let it run before or after the loads and aggregates, or turn off atomic_publish.")));
	else if (attempt->is_inline)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION), errmsg("task \"%s\" cannot run inline", attempt->task->name),
				 errdetail("One of its statements cannot run inside a transaction."),
				 errhint("Run the pipeline without mode => 'inline', or leave the task out with tasks => '{...}'.")));
	else
		run_one_by_one(attempt, statements);
}

/* etl_command_needs_toplevel parses the command. */
bool
etl_command_needs_toplevel(const EtlTask *task)
{
	return any_needs_toplevel(raw_parser(task->command, RAW_PARSE_DEFAULT));
}

/* etl_command_explain returns the lines that etl.explain_task shows. */
List *
etl_command_explain(const EtlTask *task)
{
	bool one_by_one = etl_command_needs_toplevel(task);

	return list_make2(pstrdup(one_by_one ? "-- each statement in a transaction of its own"
										 : "-- in one transaction with the task's state"),
					  pstrdup(task->command));
}
