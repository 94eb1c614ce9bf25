/*
 * markers.c
 *		Delete markers of raw tables in loads. See markers.h.
 *
 * Where the key of the load holds the primary key of the raw table, a marker speaks for exactly one row of the target
 * whatever else the query does: it is then not joined with other tables, whose rows may have gone with it, and not
 * filtered. Otherwise the whole query is evaluated for the markers.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "catalog/spi.h"
#include "catalog/task.h"
#include "load/carry.h"
#include "load/change.h"
#include "load/markers.h"
#include "load/text.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

/* on_delete_of reads the setting. Errors: 22023. */
static EtlOnDelete
on_delete_of(const EtlTask *task)
{
	if (task->on_delete == NULL || strcmp(task->on_delete, "ignore") == 0)
		return ETL_ON_DELETE_IGNORE;
	if (strcmp(task->on_delete, "delete") == 0)
		return ETL_ON_DELETE_DELETE;
	if (strcmp(task->on_delete, "mark") == 0)
		return ETL_ON_DELETE_MARK;
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("on_delete \"%s\" is not known", task->on_delete),
					errhint("Use ignore, delete or mark.")));
}

/* check_mode refuses modes that cannot do it. */
static void
check_mode(const EtlPlan *plan)
{
	const char *setting = plan->task->on_delete;

	if (plan->mode == ETL_MODE_APPEND || plan->n_key == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("on_delete => '%s' needs a key", setting),
						errdetail("The key tells which row of the target was deleted."),
						errhint("Use mode => 'merge' with a key, or leave on_delete out.")));
	if (plan->on_delete == ETL_ON_DELETE_MARK && plan->mode != ETL_MODE_MERGE)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("on_delete => 'mark' does not fit mode %s", plan->mode == ETL_MODE_REPLACE ? "replace"
																: plan->mode == ETL_MODE_SCD2  ? "scd2"
																							   : "insert_only"),
			 errdetail(plan->mode == ETL_MODE_REPLACE ? "Mode replace removes every row that the query does not return."
					   : plan->mode == ETL_MODE_SCD2  ? "Mode scd2 says by valid_to until when a row was there."
													  : "Mode insert_only never changes a row of the target."),
			 errhint("Use mode => 'merge', or on_delete => 'delete'.")));
}

/* refuse_query reports a query of which it is not known which rows of it come from markers. */
static void
refuse_query(const EtlPlan *plan, const char *input, const char *reason)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("on_delete => '%s' cannot be followed through this query", plan->task->on_delete),
					errdetail("Of %s it is not known which rows of the query come from rows that were deleted: %s.",
							  input, reason),
					errhint("Load each raw table by itself with on_delete, and join or aggregate the results.")));
}

/* reads_kept_only says whether all inputs are kept by other loads: then the logs of their changes tell what goes. */
static bool
reads_kept_only(const EtlCompile *compile)
{
	ListCell *cell;

	foreach (cell, compile->inputs)
		if (!((EtlInput *) lfirst(cell))->is_kept)
			return false;
	return compile->inputs != NIL;
}

/* can_follow says whether it is known which rows of the query come from markers: mode scd2 then heeds them by itself. */
static bool
can_follow(const EtlCompile *compile)
{
	const EtlInput *input = compile->single;
	AttrNumber op = input == NULL ? InvalidAttrNumber : get_attnum(input->relation, "_etl_op");

	return op != InvalidAttrNumber && get_atttype(input->relation, op) == TEXTOID &&
		   etl_carry_reason(compile, input) == NULL;
}

/* etl_markers_resolve looks at on_delete. */
void
etl_markers_resolve(EtlPlan *plan)
{
	EtlCompile *compile = plan->compile;
	EtlInput *input = compile->single;
	const char *reason;

	plan->on_delete = on_delete_of(plan->task);
	if (plan->task->on_delete == NULL && plan->mode == ETL_MODE_SCD2 && can_follow(compile))
		plan->on_delete = ETL_ON_DELETE_DELETE;
	if (plan->on_delete == ETL_ON_DELETE_IGNORE)
		return;
	check_mode(plan);
	if (input == NULL && plan->mode != ETL_MODE_SCD2 && reads_kept_only(compile))
		return;
	if (input == NULL && compile->inputs == NIL)
		refuse_query(plan, "other tables", "the query reads no raw table");
	if (input == NULL)
		refuse_query(plan, ((EtlInput *) linitial(compile->inputs))->name,
					 compile->shape ? compile->shape : "it is inside a subquery expression");
	input->op = get_attnum(input->relation, "_etl_op");
	if (input->op == InvalidAttrNumber || get_atttype(input->relation, input->op) != TEXTOID)
		refuse_query(plan, input->name, "it has no column _etl_op");
	reason = etl_carry_reason(compile, input);
	if (reason)
		refuse_query(plan, input->name, reason);
	compile->is_carried = input->path != NIL;
}

/* down_target returns the select list of the markers by themselves, or NIL. */
static List *
down_target(const EtlPlan *plan, EtlNames key)
{
	const EtlInput *input = plan->compile->single;
	List *targets = NIL;
	ListCell *cell;
	int found = 0;
	int n = 0;

	foreach (cell, plan->compile->query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		int position = entry->resjunk ? -1 : etl_query_column(&plan->columns, entry->resname);
		Expr *expression = NULL;
		const EtlColumn *column;
		bool is_needed;

		if (position < 0)
			continue;
		column = &plan->columns.column[position];
		is_needed = column->is_key;
		for (int i = 0; i < plan->n_order; i++)
			is_needed = is_needed || plan->order[i].column == position;
		if (is_needed && (expression = etl_carry_down(input, entry->expr)) == NULL)
			return NIL;
		for (int i = 0; column->is_key && IsA(expression, Var) && i < key.n; i++)
			if (strcmp(get_attname(input->relation, ((Var *) expression)->varattno, false), key.name[i]) == 0)
				found++;
		if (expression == NULL)
			expression = (Expr *) makeNullConst(column->type, column->typmod, column->collation);
		targets = lappend(targets, makeTargetEntry(expression, ++n, pstrdup(column->name), false));
	}
	return found == key.n ? targets : NIL;
}

/* own_query returns a query for the markers by themselves; NULL: they need the query's other tables or conditions. */
static Query *
own_query(const EtlPlan *plan)
{
	const EtlInput *input = plan->compile->single;
	EtlNames key = etl_task_raw_key(input->name);
	List *targets = key.n > 0 ? down_target(plan, key) : NIL;
	AttrNumber batch = get_attnum(input->relation, "_etl_batch");
	RangeTblRef *ref = makeNode(RangeTblRef);
	RangeTblEntry *rte;
	Query *query;

	if (targets == NIL)
		return NULL;
	query = makeNode(Query);
	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	rte = makeNode(RangeTblEntry);
	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = etl_compile_rows(input, ETL_ROWS_DELETED);
	rte->eref = copyObject(input->rte->eref);
	rte->alias = makeAlias("r", NIL);
	rte->inFromCl = true;
	query->rtable = list_make1(rte);
	ref->rtindex = 1;
	query->jointree = makeFromExpr(list_make1(ref), NULL);
	query->targetList = lappend(targets,
								makeTargetEntry((Expr *) makeVar(1, batch, INT8OID, -1, InvalidOid, 0),
												list_length(targets) + 1, etl_compile_sequence_name(0), false));
	return query;
}

/* etl_markers_query returns SQL. */
char *
etl_markers_query(const EtlPlan *plan)
{
	EtlCompile compile = *plan->compile;
	RangeTblEntry *rte = compile.single->rte;
	Query *present = rte->subquery;
	char *sql;

	compile.query = own_query(plan);
	if (compile.query)
		return etl_compile_sql(&compile);
	compile.query = plan->compile->query;
	rte->subquery = etl_compile_rows(compile.single, ETL_ROWS_DELETED);
	sql = etl_compile_sql(&compile);
	rte->subquery = present;
	return sql;
}

/* is_extra says whether a column of order_by has to be kept beside the key. */
static bool
is_extra(const EtlPlan *plan, int order)
{
	if (plan->columns.column[plan->order[order].column].is_key)
		return false;
	for (int i = 0; i < order; i++)
		if (plan->order[i].column == plan->order[order].column)
			return false;
	return true;
}

/* etl_markers_statement returns the statement that keeps the latest marker of each key. */
char *
etl_markers_statement(const EtlPlan *plan, const char *table)
{
	StringInfoData keys;
	StringInfoData columns;
	StringInfoData present;

	initStringInfo(&keys);
	initStringInfo(&columns);
	initStringInfo(&present);
	for (int i = 0; i < plan->n_key; i++)
	{
		const EtlColumn *column = etl_plan_key(plan, i);
		char *key = etl_delta_key(column, "q.", true);

		appendStringInfo(&keys, "%s%s", i > 0 ? ", " : "", key);
		appendStringInfo(&columns, "%s AS %s, ", key, column->quoted);
		appendStringInfo(&present, "%sq.%s IS NOT NULL", i > 0 ? " AND " : "", column->quoted);
	}
	for (int i = 0; i < plan->n_order; i++)
		if (is_extra(plan, i))
			appendStringInfo(&columns, "q.%s, ", plan->columns.column[plan->order[i].column].quoted);
	return psprintf("CREATE TEMPORARY TABLE %s ON COMMIT DROP AS SELECT DISTINCT ON (%s) %sq.%s\nFROM (\n%s\n) AS q\n"
					"WHERE %s\n%s",
					table, keys.data, columns.data, etl_compile_sequence_name(0), etl_markers_query(plan), present.data,
					etl_delta_order(plan, "q.", true));
}

/* append_match appends the condition that g has the key of the row other. */
static void
append_match(StringInfo sql, const EtlPlan *plan, const char *other, bool is_cast)
{
	for (int i = 0; i < plan->n_key; i++)
	{
		const EtlColumn *column = etl_plan_key(plan, i);

		appendStringInfo(sql, "%s%s%sg.%s", i > 0 ? " AND " : "", etl_delta_key(column, other, is_cast),
						 etl_text_comparison(column->target_type, BTEqualStrategyNumber), column->quoted);
	}
}

/*
 * append_not_older appends the condition that g is at least as late as the other row by order_by from position i on, and
 * then by last.
 */
static void
append_not_older(StringInfo sql, const EtlPlan *plan, int i, const char *other, const char *last)
{
	const EtlColumn *column;
	bool is_target = strcmp(other, "t.") == 0;
	char *marker;
	char *version;
	Oid type;

	if (i == plan->n_order)
	{
		appendStringInfoString(sql, last);
		return;
	}
	column = &plan->columns.column[plan->order[i].column];
	type = is_target || column->is_key ? column->target_type : column->type;
	marker = psprintf("g.%s", column->quoted);
	version = column->is_key ? etl_delta_key(column, other, !is_target) : psprintf("%s%s", other, column->quoted);
	if (is_target && !column->is_key && !etl_plan_is_same_type(column))
		marker = psprintf("%s::%s", marker, etl_text_type(type, -1));
	if (is_target && OidIsValid(column->target_collation) && column->collation != column->target_collation)
		marker = psprintf("%s%s", marker, etl_text_collate(column->target_collation, InvalidOid));
	appendStringInfo(
		sql, "(%s%s%s OR (%s IS NULL AND %s IS NOT NULL) OR ((%s%s%s OR (%s IS NULL AND %s IS NULL)) AND ", marker,
		etl_text_comparison(type, plan->order[i].is_ascending ? BTLessStrategyNumber : BTGreaterStrategyNumber),
		version, version, marker, marker, etl_text_comparison(type, BTEqualStrategyNumber), version, marker, version);
	append_not_older(sql, plan, i + 1, other, last);
	appendStringInfoString(sql, "))");
}

/* etl_markers_filter leaves out the versions that are not later than the marker of their key. */
char *
etl_markers_filter(const EtlPlan *plan, const char *query, const char *table)
{
	char *sequence = etl_compile_sequence_name(0);
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT q.* FROM (\n%s\n) AS q\nWHERE NOT EXISTS (SELECT 1 FROM %s AS g WHERE ", query,
					 table);
	append_match(&sql, plan, "q.", true);
	appendStringInfoString(&sql, " AND ");
	append_not_older(&sql, plan, 0, "q.", psprintf("g.%s >= q.%s", sequence, sequence));
	appendStringInfoString(&sql, ")");
	return sql.data;
}

/* etl_markers_same_key compares the keys of g and t. */
char *
etl_markers_same_key(const EtlPlan *plan)
{
	StringInfoData sql;

	initStringInfo(&sql);
	append_match(&sql, plan, "t.", false);
	return sql.data;
}

/* etl_markers_condition says which rows t of the target the markers g concern; order_by counts in mode merge only. */
char *
etl_markers_condition(const EtlPlan *plan, const char *delta)
{
	StringInfoData sql;

	initStringInfo(&sql);
	append_match(&sql, plan, "t.", false);
	if (plan->n_order > 0 && plan->mode == ETL_MODE_MERGE)
	{
		appendStringInfoString(&sql, "\n  AND ");
		append_not_older(&sql, plan, 0, "t.", "true");
	}
	appendStringInfo(&sql, "\n  AND NOT EXISTS (SELECT 1 FROM %s AS d WHERE %s)", delta, etl_change_match(plan));
	return sql.data;
}

/* etl_markers_collect executes the statement as the author, whose expressions are in it. */
void
etl_markers_collect(EtlDelta *delta)
{
	const EtlPlan *plan = delta->plan;
	char *table = etl_delta_temporary(delta, "gone");
	int64 rows;
	int level;

	if (plan->on_delete == ETL_ON_DELETE_IGNORE || plan->compile->single == NULL)
		return;
	level = etl_attempt_author_path(plan->task);
	rows = (int64) etl_sql_exec(etl_markers_statement(plan, table), SPI_OK_UTILITY);
	AtEOXact_GUC(true, level);
	if (rows == 0)
		return;
	(void) etl_sql_exec(psprintf("ANALYZE %s", table), SPI_OK_UTILITY);
	delta->gone = table;
	delta->query = etl_markers_filter(plan, delta->query, table);
}
