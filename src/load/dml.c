/*
 * dml.c
 *		Executes one data-modifying statement and counts what it did. See dml.h.
 *
 * The counts come from the state of the ModifyTable node, where EXPLAIN ANALYZE takes them from.
 */
#include "postgres.h"

#include "access/xact.h"
#include "compat.h"
#include "dag/statement.h"
#include "executor/executor.h"
#include "executor/instrument.h"
#include "load/dml.h"
#include "nodes/execnodes.h"
#include "rewrite/rewriteHandler.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* plan_statement parses, rewrites and plans sql. */
static PlannedStmt *
plan_statement(const char *sql)
{
	List *statements = etl_statement_parse(sql);
	List *queries;

	queries = pg_analyze_and_rewrite_fixedparams(linitial_node(RawStmt, statements), sql, NULL, 0, NULL);
	if (list_length(queries) != 1)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("target has a rule that changes statements"),
						errdetail("The statement became %d statements: %s", list_length(queries), sql),
						errhint("Drop the rule or use a trigger instead.")));
	return pg_plan_query(linitial_node(Query, queries), sql, CURSOR_OPT_PARALLEL_OK, NULL);
}

/* rows_before_distinct returns the rows that went into the topmost Unique node, or -1 when there is none. */
static int64
rows_before_distinct(PlanState *state)
{
	while (state != NULL && !IsA(state, UniqueState))
	{
		if (IsA(state, SubqueryScanState))
			state = ((SubqueryScanState *) state)->subplan;
		else
			state = outerPlanState(state);
	}
	if (state == NULL || outerPlanState(state)->instrument == NULL)
		return -1;
	state = outerPlanState(state);
	return (int64) (state->instrument->ntuples + state->instrument->tuplecount);
}

/* count_rows reads the counts off the finished plan. */
static EtlDml
count_rows(QueryDesc *desc)
{
	EtlDml dml = {0, 0, 0, 0};
	int64 processed = (int64) desc->estate->es_processed;
	ModifyTableState *state;

	if (!IsA(desc->planstate, ModifyTableState))
		elog(ERROR, "statement is not data-modifying: %s", desc->sourceText);
	state = castNode(ModifyTableState, desc->planstate);
	switch (desc->operation)
	{
		case CMD_INSERT:
			dml.inserted = processed;
			dml.read = rows_before_distinct(outerPlanState(state));
			if (dml.read < 0)
				dml.read = processed;
			break;
		case CMD_UPDATE:
			dml.updated = processed;
			break;
		case CMD_DELETE:
			dml.deleted = processed;
			break;
		case CMD_MERGE:
			dml.inserted = (int64) state->mt_merge_inserted;
			dml.updated = (int64) state->mt_merge_updated;
			dml.deleted = (int64) state->mt_merge_deleted;
			break;
		default:
			elog(ERROR, "statement is not data-modifying: %s", desc->sourceText);
	}
	return dml;
}

/* etl_dml_run executes a statement; what it leaves in memory goes with a context of its own. */
EtlDml
etl_dml_run(const char *sql)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "etl_ext statement", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	PlannedStmt *plan;
	QueryDesc *desc;
	EtlDml dml;

	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	plan = plan_statement(sql);
	desc = CreateQueryDesc(plan, sql, GetActiveSnapshot(), InvalidSnapshot, None_Receiver, NULL, NULL,
						   plan->commandType == CMD_INSERT ? INSTRUMENT_ROWS : 0);
	ExecutorStart(desc, 0);
	etl_compat_executor_run(desc);
	dml = count_rows(desc);
	ExecutorFinish(desc);
	ExecutorEnd(desc);
	FreeQueryDesc(desc);
	PopActiveSnapshot();
	CommandCounterIncrement();
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return dml;
}
