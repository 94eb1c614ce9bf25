/*
 * apply.c
 *		Brings a filled delta into its target. See apply.h.
 *
 * The statement is tried as a whole; when the target refuses a row (constraint, foreign key, no partition) the delta is
 * numbered and applied by bisection, and the rows that are refused go to etl.quarantine.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/spi.h"
#include "load/apply.h"
#include "load/bisect.h"
#include "load/dml.h"
#include "load/load.h"
#include "load/markers.h"
#include "load/merge.h"
#include "load/partitions.h"
#include "load/reject.h"
#include "utils/builtins.h"
#include "utils/guc.h"

/* Correlation of key and place, of pg_stats, above which a table counts as lying in key order. */
#define ORDERED_CORRELATION 0.5

typedef struct Apply
{
	EtlDelta *delta;
	EtlSource source;
	char *(*statement)(const EtlPlan *plan, const EtlSource *source);
	EtlDml last; /* counts of the last statement, added when it stands */
} Apply;

/* set_local changes a setting until the caller leaves its GUC nest level. */
static void
set_local(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* accept adds the counts of a statement that stands. */
static void
accept(void *arg)
{
	Apply *apply = arg;
	EtlCounts *counts = &apply->delta->attempt->counts;

	counts->inserted += apply->last.inserted;
	counts->updated += apply->last.updated;
	counts->deleted += apply->last.deleted;
}

/* execute executes the statement on the source as it is set, for etl_bisect_try. */
static void
execute(void *arg)
{
	Apply *apply = arg;

	apply->last = etl_dml_run(apply->statement(apply->delta->plan, &apply->source));
}

/* execute_range executes the statement on some rows of the source. */
static void
execute_range(void *arg, int64 low, int64 high)
{
	Apply *apply = arg;

	apply->source.low = low;
	apply->source.high = high;
	execute(arg);
}

/* reject_row puts a row aside that the target refused, and takes it out of the source. */
static void
reject_row(void *arg, int64 row, const ErrorData *error)
{
	Apply *apply = arg;
	char *sqlstate = pstrdup(unpack_sql_state(error->sqlerrcode));
	EtlReject reject = {apply->source.table, error->message, sqlstate, error->column_name};

	etl_reject_rows(apply->delta, &reject, psprintf("s._etl_n = " INT64_FORMAT, row));
	(void) etl_dml_run(psprintf("DELETE FROM %s WHERE _etl_n = " INT64_FORMAT, apply->source.table, row));
}

/* number_source copies the delta into a table with row numbers and makes that the source. */
static void
number_source(Apply *apply)
{
	EtlDelta *delta = apply->delta;
	char *table = etl_delta_name(delta->attempt, "part");

	(void) etl_sql_exec(psprintf("CREATE TEMPORARY TABLE %s ON COMMIT DROP AS SELECT pg_catalog.row_number() OVER ()"
								 " AS _etl_n, d.* FROM %s AS d",
								 table, delta->table),
						SPI_OK_UTILITY);
	(void) etl_sql_exec(psprintf("CREATE INDEX ON %s (_etl_n)", table), SPI_OK_UTILITY);
	(void) etl_sql_exec(psprintf("ANALYZE %s", table), SPI_OK_UTILITY);
	etl_delta_drop(delta->table);
	delta->table = table;
	apply->source.table = table;
}

/* apply_rows executes the statement as a whole or, where rows are refused, piece by piece. */
static void
apply_rows(Apply *apply)
{
	EtlBisect bisect = {execute_range, accept, reject_row, apply};

	if (etl_bisect_try(execute, apply) == NULL)
	{
		accept(apply);
		return;
	}
	number_source(apply);
	apply->source.is_range = true;
	etl_bisect_run(&bisect, 1, apply->delta->rows);
	apply->source.is_range = false;
}

/* note_statement keeps the statements that were executed for etl.task_run. */
static void
note_statement(const Apply *apply)
{
	EtlDelta *delta = apply->delta;
	StringInfoData sql;
	MemoryContext caller = MemoryContextSwitchTo(delta->attempt->context);

	initStringInfo(&sql);
	MemoryContextSwitchTo(caller);
	appendStringInfo(&sql, "%s%s;\n\n%s;", delta->before ? delta->before : "",
					 etl_delta_statement(delta->plan, delta->query, delta->table),
					 apply->statement(delta->plan, &apply->source));
	if (delta->gone)
		appendStringInfo(&sql, "\n\n%s;", etl_markers_apply(delta->plan, delta->gone, delta->table));
	delta->attempt->sql = sql.data;
}

/* find_bounds reads the range of the first key column in the delta. */
static void
find_bounds(Apply *apply)
{
	char *low = etl_merge_bound(apply->delta->plan, apply->delta->table, false);
	char *high = etl_merge_bound(apply->delta->plan, apply->delta->table, true);

	apply->source.partitions = etl_partitions_bounds(apply->delta->plan, apply->delta->table);
	if (low == NULL || high == NULL)
		return;
	apply->source.lowest = etl_sql_text(low);
	apply->source.highest = etl_sql_text(high);
}

/*
 * is_in_key_order says whether the target lies more or less in the order of its key, as its statistics tell: tables whose
 * keys count up do. In another table, reading by key means a random page for each row.
 */
static bool
is_in_key_order(const EtlPlan *plan)
{
	char *correlation = etl_sql_text(
		psprintf("SELECT s.correlation FROM pg_catalog.pg_stats AS s JOIN pg_catalog.pg_class AS c"
				 " ON c.relname = s.tablename JOIN pg_catalog.pg_namespace AS n"
				 " ON n.oid = c.relnamespace AND n.nspname = s.schemaname"
				 " WHERE c.oid = %u AND s.attname = %s ORDER BY s.inherited DESC LIMIT 1",
				 plan->target, quote_literal_cstr(etl_plan_key(plan, 0)->name)));

	return correlation != NULL && fabs(strtod(correlation, NULL)) > ORDERED_CORRELATION;
}

/*
 * apply_merge merges the delta. Where an index guards the key and the target lies in its order, hash joins are off: the
 * delta then stays the outer side of the join and in key order, so that the target's index is written in order. Settings that change the text form of
 * values are set so that the bounds are exact.
 */
static void
apply_merge(Apply *apply)
{
	const EtlPlan *plan = apply->delta->plan;
	int level = NewGUCNestLevel();

	set_local("datestyle", "ISO, YMD");
	if (plan->mode != ETL_MODE_REPLACE)
		find_bounds(apply);
	if (etl_target_has_unique_key(plan->target, &plan->task->key) && is_in_key_order(plan))
		set_local("enable_hashjoin", "off");
	apply->statement = etl_merge_statement;
	apply->source.is_guarded = plan->mode == ETL_MODE_MERGE;
	note_statement(apply);
	apply_rows(apply);
	AtEOXact_GUC(true, level);
}

/* apply_replace makes the target hold the rows of the delta, without a key to match them by. */
static void
apply_replace(Apply *apply)
{
	const EtlPlan *plan = apply->delta->plan;
	int64 is_same = 0;

	apply->statement = etl_merge_insert;
	note_statement(apply);
	if (etl_sql_int64(etl_merge_compare(plan, &apply->source), &is_same) && is_same == 1)
		return;
	apply->last = etl_dml_run(etl_merge_clear(plan));
	accept(apply);
	if (apply->delta->rows > 0)
		apply_rows(apply);
}

/*
 * apply_markers deletes or marks the rows of the target that the markers concern and returns how many. In mode replace
 * rows without a version go anyway. Done first: a new row may have a value that must be unique and was in a deleted one.
 */
static EtlDml
apply_markers(Apply *apply)
{
	EtlDelta *delta = apply->delta;
	EtlDml none = {0, 0, 0, 0};

	if (delta->gone == NULL || delta->plan->mode == ETL_MODE_REPLACE)
		return none;
	return etl_dml_run(etl_markers_apply(delta->plan, delta->gone, delta->table));
}

/* etl_apply_run brings the delta into the target as the mode asks for. */
void
etl_apply_run(EtlDelta *delta)
{
	const EtlPlan *plan = delta->plan;
	EtlCounts *counts = &delta->attempt->counts;
	Apply apply = {.delta = delta, .source = {.table = delta->table}};
	int64 rejected = counts->rejected;
	EtlDml gone = apply_markers(&apply);

	if (delta->rows > 0)
		etl_partitions_ensure_for(delta->attempt, plan, delta->table);
	if (plan->mode == ETL_MODE_APPEND && !delta->attempt->full_refresh)
	{
		apply.statement = etl_merge_insert;
		note_statement(&apply);
		if (delta->rows > 0)
			apply_rows(&apply);
	}
	else if (plan->n_key == 0)
		apply_replace(&apply);
	else
	{
		apply_merge(&apply);
		if (plan->mode == ETL_MODE_REPLACE)
		{
			apply.last = etl_dml_run(etl_merge_delete(plan, &apply.source));
			accept(&apply);
		}
	}
	counts->unchanged += Max(delta->rows - counts->inserted - counts->updated - (counts->rejected - rejected), 0);
	counts->deleted += gone.deleted;
	counts->updated += gone.updated;
	etl_attempt_count(delta->attempt, "marked_deleted", gone.updated);
}
