/*
 * fresh.c
 *		The short way for rows that are all new. See fresh.h.
 *
 * The lowest key of the new batches is looked up before anything is evaluated, which costs a scan of one column of them; one
 * look into the index of the target then tells. Joins and conditions of the query only leave keys out.
 */
#include "postgres.h"

#include "catalog/spi.h"
#include "fault.h"
#include "load/bisect.h"
#include "load/carry.h"
#include "load/change.h"
#include "load/dml.h"
#include "load/fresh.h"
#include "load/target.h"
#include "load/text.h"
#include "observe/progress.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

typedef struct Fresh
{
	const EtlDelta *delta;
	char *statement;
	EtlDml result;
} Fresh;

/* key_column returns the column of a raw input that the first key column is; InvalidAttrNumber: it is no such thing. */
static AttrNumber
key_column(const EtlPlan *plan, const EtlInput *input)
{
	const char *name = etl_plan_key(plan, 0)->name;
	ListCell *cell;

	foreach (cell, plan->compile->query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		Expr *expression;

		if (entry->resjunk || strcmp(entry->resname, name) != 0)
			continue;
		expression = etl_carry_down(input, entry->expr);
		return expression != NULL && IsA(expression, Var) ? ((Var *) expression)->varattno : InvalidAttrNumber;
	}
	return InvalidAttrNumber;
}

/* etl_fresh_fits looks at the plan only. */
bool
etl_fresh_fits(const EtlPlan *plan)
{
	const EtlInput *input = plan->compile->single;
	EtlColumn *column;

	if (plan->n_key == 0 || input == NULL || list_length(plan->compile->drivers) != 1 || plan->n_dimensions > 0 ||
		plan->mode == ETL_MODE_REPLACE || plan->mode == ETL_MODE_SCD2 || plan->task->keep_undo != NULL)
		return false;
	column = etl_plan_key(plan, 0);
	return etl_plan_is_same_type(column) && column->collation == column->target_collation &&
		   etl_change_bound(plan, "x", false) != NULL && etl_target_leads_index(plan->target, column->name) &&
		   key_column(plan, input) != InvalidAttrNumber;
}

/* etl_fresh_may looks at this run. */
bool
etl_fresh_may(const EtlDelta *delta, const EtlIncrement *increment)
{
	return increment->kind == ETL_INCREMENT_ROWS && increment->n_new == 1 && delta->gone == NULL &&
		   !delta->knows_late && !delta->images_are_needed && etl_fresh_fits(delta->plan);
}

/* lowest_key returns the lowest key of the new batches as a literal, or NULL. */
static char *
lowest_key(const EtlPlan *plan, const EtlPosition *position)
{
	const EtlInput *input = plan->compile->single;
	const char *name = quote_identifier(get_attname(input->relation, key_column(plan, input), false));
	char *low = etl_sql_text(psprintf(
		"SELECT pg_catalog.min(r.%s)::pg_catalog.text FROM %s AS r WHERE r._etl_batch > " INT64_FORMAT
		" AND r._etl_batch <= " INT64_FORMAT " AND r._etl_loaded_at >= '%s'::pg_catalog.timestamptz",
		name, input->name, position->after, position->range.last, timestamptz_to_str(position->range.loaded_from)));

	return low ? psprintf("%s::%s", quote_literal_cstr(low), etl_text_type(etl_plan_key(plan, 0)->target_type, -1))
			   : NULL;
}

/* insert executes the statement with the search_path of the author, for etl_bisect_try. */
static void
insert(void *arg)
{
	Fresh *fresh = arg;
	int level = etl_attempt_author_path(fresh->delta->plan->task);

	fresh->result = etl_dml_run(fresh->statement);
	AtEOXact_GUC(true, level);
}

/* position_of returns the position of the one driver. */
static const EtlPosition *
position_of(const EtlIncrement *increment)
{
	int i = 0;

	while (!increment->position[i].is_driver)
		i++;
	return &increment->position[i];
}

/* etl_fresh_run takes everything or nothing. */
bool
etl_fresh_run(EtlDelta *delta, const EtlIncrement *increment)
{
	const EtlPlan *plan = delta->plan;
	Fresh fresh = {.delta = delta};
	char *low = lowest_key(plan, position_of(increment));
	MemoryContext caller;
	int64 found;

	etl_progress_step(ETL_STEP_WRITE);
	if (low == NULL ||
		etl_sql_int64(
			psprintf("SELECT 1 FROM %s AS t WHERE t.%s%s%s LIMIT 1", plan->target_name, etl_plan_key(plan, 0)->quoted,
					 etl_text_comparison(etl_plan_key(plan, 0)->target_type, BTGreaterEqualStrategyNumber), low),
			&found))
		return false;
	fresh.statement = etl_delta_statement(plan, delta->query, plan->target_name);
	ETL_FAULT("before_merge");
	if (etl_bisect_try(insert, &fresh) != NULL)
		return false;
	ETL_FAULT("after_merge");
	delta->rows = fresh.result.inserted;
	delta->attempt->counts.inserted += fresh.result.inserted;
	caller = MemoryContextSwitchTo(delta->attempt->context);
	delta->attempt->sql = psprintf("-- All keys are above those of the target.\n%s;", fresh.statement);
	MemoryContextSwitchTo(caller);
	return true;
}
