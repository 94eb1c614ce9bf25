/*
 * apply.c
 *		Brings a filled delta into its target. See apply.h.
 *
 * First a table of changes is made, see change.h, then each kind of them is written by one statement. A statement is tried
 * as a whole; when the target refuses a row (constraint, foreign key, no partition) the changes are numbered and written
 * by bisection, and the rows that are refused go to etl.quarantine.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/spi.h"
#include "load/apply.h"
#include "load/bisect.h"
#include "load/change.h"
#include "load/dml.h"
#include "load/late.h"
#include "load/load.h"
#include "load/markers.h"
#include "load/partitions.h"
#include "load/reject.h"
#include "load/write.h"
#include "load/replay.h"
#include "observe/progress.h"
#include "utils/builtins.h"
#include "utils/guc.h"

/* Correlation of key and place, of pg_stats, above which a table counts as lying in key order. */
#define ORDERED_CORRELATION 0.5

typedef struct Apply
{
	EtlDelta *delta;
	EtlChange change;
	EtlSource source; /* the changes, or the delta where there are none */
	char *(*statement)(const EtlPlan *plan, const EtlSource *source);
	EtlDml last; /* counts of the last statement, added when it stands */
} Apply;

/* How many changes of each kind there are. */
typedef struct Kinds
{
	int64 insert;
	int64 update;
	int64 mark;
	int64 delete;
	int64 stale;
	int64 late;
} Kinds;

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

/* number_source copies the source into a table with row numbers and makes that the source. Returns the number of rows. */
static int64
number_source(Apply *apply)
{
	char *table = etl_delta_temporary(apply->delta, "part");
	int64 rows;

	rows = (int64) etl_sql_exec(psprintf("CREATE TEMPORARY TABLE %s ON COMMIT DROP AS SELECT"
										 " pg_catalog.row_number() OVER () AS _etl_n, d.* FROM %s AS d",
										 table, apply->source.table),
								SPI_OK_UTILITY);
	(void) etl_sql_exec(psprintf("CREATE INDEX ON %s (_etl_n)", table), SPI_OK_UTILITY);
	(void) etl_sql_exec(psprintf("ANALYZE %s", table), SPI_OK_UTILITY);
	apply->source.table = apply->change.table = table;
	return rows;
}

/* write_rows executes one statement on the source, as a whole or, where rows are refused, piece by piece. */
static EtlDml
write_rows(Apply *apply, char *(*statement)(const EtlPlan *plan, const EtlSource *source), int64 *n_numbered)
{
	EtlBisect bisect = {execute_range, accept, reject_row, apply};
	EtlCounts before = apply->delta->attempt->counts;
	const EtlCounts *counts = &apply->delta->attempt->counts;

	apply->statement = statement;
	if (etl_bisect_try(execute, apply) == NULL)
		accept(apply);
	else
	{
		if (*n_numbered == 0)
			*n_numbered = number_source(apply);
		apply->source.is_range = true;
		etl_bisect_run(&bisect, 1, *n_numbered);
		apply->source.is_range = false;
	}
	return (EtlDml){.inserted = counts->inserted - before.inserted,
					.updated = counts->updated - before.updated + counts->rejected - before.rejected,
					.deleted = counts->deleted - before.deleted};
}

/* add_text appends a statement to what etl.task_run shows. */
static void
add_text(const Apply *apply, const char *statement)
{
	EtlAttempt *attempt = apply->delta->attempt;
	MemoryContext caller = MemoryContextSwitchTo(attempt->context);

	attempt->sql = attempt->sql ? psprintf("%s\n\n%s;", attempt->sql, statement) : psprintf("%s;", statement);
	MemoryContextSwitchTo(caller);
}

/* find_bounds reads the range of the first key column in the delta. */
static void
find_bounds(Apply *apply)
{
	char *low = etl_change_bound(apply->delta->plan, apply->delta->table, false);
	char *high = etl_change_bound(apply->delta->plan, apply->delta->table, true);

	apply->change.partitions = etl_partitions_bounds(apply->delta->plan, apply->delta->table);

	if (low == NULL || high == NULL)
		return;
	apply->change.lowest = etl_sql_text(low);
	apply->change.highest = etl_sql_text(high);
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

/* etl_apply_goes_by_key needs an index and the order. */
bool
etl_apply_goes_by_key(const EtlPlan *plan)
{
	return etl_target_has_unique_key(plan->target, &plan->task->key) && is_in_key_order(plan);
}

/*
 * join_target makes the table of changes. Where an index guards the key and the target lies in its order, hash joins are
 * off: the delta then stays the outer side of the join and in key order, so that the target's index is written in order.
 */
static int64
join_target(Apply *apply)
{
	const EtlPlan *plan = apply->delta->plan;
	int level = NewGUCNestLevel();
	char *statement;
	int64 rows;

	if (etl_apply_goes_by_key(plan))
		set_local("enable_hashjoin", "off");
	statement = etl_change_statement(&apply->change);
	add_text(apply, statement);
	rows = (int64) etl_sql_exec(statement, SPI_OK_UTILITY);
	AtEOXact_GUC(true, level);
	return rows;
}

/* add_gone adds the rows of the target that go, or are marked as gone. */
static void
add_gone(Apply *apply)
{
	EtlDelta *delta = apply->delta;
	const EtlPlan *plan = delta->plan;
	char op = plan->on_delete == ETL_ON_DELETE_MARK ? ETL_CHANGE_MARK : ETL_CHANGE_DELETE;
	char *absent = psprintf("NOT EXISTS (SELECT 1 FROM %s AS d WHERE %s)", delta->table, etl_change_match(plan));
	char *statement;

	if (delta->is_complete)
		statement = etl_change_add(&apply->change, op, "", absent);
	else if (delta->touched != NULL)
		statement = etl_change_add(&apply->change, op, psprintf(", %s AS g", delta->touched),
								   psprintf("%s AND %s", etl_markers_same_key(plan), absent));
	else if (delta->gone != NULL)
		statement = etl_change_add(&apply->change, op, psprintf(", %s AS g", delta->gone),
								   etl_markers_condition(plan, delta->table));
	else
		return;
	add_text(apply, statement);
	(void) etl_dml_run(statement);
}

/* count_kinds counts the changes by kind. */
static Kinds
count_kinds(const Apply *apply)
{
	static const char ops[] = {ETL_CHANGE_INSERT, ETL_CHANGE_UPDATE, ETL_CHANGE_MARK,
							   ETL_CHANGE_DELETE, ETL_CHANGE_STALE,	 ETL_CHANGE_LATE};
	Kinds kinds = {0};
	StringInfoData sql;
	char *counts;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT pg_catalog.concat_ws(' '");
	for (int i = 0; i < lengthof(ops); i++)
		appendStringInfo(&sql, ", pg_catalog.count(*) FILTER (WHERE _etl_op = '%c')", ops[i]);
	appendStringInfo(&sql, ") FROM %s", apply->change.table);
	counts = etl_sql_text(sql.data);
	if (sscanf(counts,
			   INT64_FORMAT " " INT64_FORMAT " " INT64_FORMAT " " INT64_FORMAT " " INT64_FORMAT " " INT64_FORMAT,
			   &kinds.insert, &kinds.update, &kinds.mark, &kinds.delete, &kinds.stale, &kinds.late) != lengthof(ops))
		elog(ERROR, "counts of changes are not readable: %s", counts);
	return kinds;
}

/* check_written makes sure that the rows which were found are the rows that were written. Errors: 40001. */
static void
check_written(const Apply *apply, const char *what, int64 expected, int64 written)
{
	if (expected == written || apply->delta->plan->has_row_triggers)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("rows of target %s were changed by somebody else during the load", apply->delta->plan->target_name),
			 errdetail("Of " INT64_FORMAT " rows to be %s, " INT64_FORMAT " were as they had been read.", expected,
					   what, written),
			 errhint("The task is repeated by its retry_delays; nothing else has to be done.")));
}

/* write_changes writes the target: what goes comes first, since a new row may have a value that must be unique. */
static void
write_changes(Apply *apply, const Kinds *kinds)
{
	const EtlPlan *plan = apply->delta->plan;
	int64 n_numbered = 0;

	apply->source.table = apply->change.table;
	if (kinds->delete > 0)
	{
		apply->statement = etl_write_delete;
		add_text(apply, etl_write_delete(plan, &apply->source));
		execute(apply);
		check_written(apply, "deleted", kinds->delete, apply->last.deleted);
		accept(apply);
	}
	if (kinds->mark > 0)
	{
		apply->statement = etl_write_mark;
		add_text(apply, etl_write_mark(plan, &apply->source));
		execute(apply);
		check_written(apply, "marked", kinds->mark, apply->last.updated);
		accept(apply);
		etl_attempt_count(apply->delta->attempt, "marked_deleted", apply->last.updated);
	}
	if (kinds->update > 0 && etl_write_update(plan, &apply->source) != NULL)
	{
		add_text(apply, etl_write_update(plan, &apply->source));
		check_written(apply, "updated", kinds->update, write_rows(apply, etl_write_update, &n_numbered).updated);
	}
	if (kinds->insert > 0)
	{
		add_text(apply, etl_write_insert(plan, &apply->source));
		(void) write_rows(apply, etl_write_insert, &n_numbered);
	}
}

/* absent_condition says which rows of the target go when it is made equal to the query. Rows marked as deleted stay. */
static char *
absent_condition(const EtlDelta *delta)
{
	const EtlPlan *plan = delta->plan;
	char *absent = psprintf("NOT EXISTS (SELECT 1 FROM %s AS d WHERE %s)", delta->table, etl_change_match(plan));

	if (plan->on_delete != ETL_ON_DELETE_MARK)
		return absent;
	if (delta->gone == NULL)
		return psprintf("%s AND t." ETL_DELETED_AT " IS NULL", absent);
	return psprintf("%s AND t." ETL_DELETED_AT " IS NULL AND NOT EXISTS (SELECT 1 FROM %s AS g WHERE %s)", absent,
					delta->gone, etl_markers_same_key(plan));
}

/* delete_absent deletes the rows of the target that the query does not return, after all others were written. */
static int64
delete_absent(Apply *apply)
{
	char *add = etl_change_add(&apply->change, ETL_CHANGE_DELETE, "", absent_condition(apply->delta));
	int64 n = etl_dml_run(add).inserted;

	if (n == 0)
		return 0;
	add_text(apply, add);
	apply->statement = etl_write_delete;
	execute(apply);
	check_written(apply, "deleted", n, apply->last.deleted);
	accept(apply);
	return n;
}

/* keep_images tells what was changed. */
static void
keep_images(Apply *apply, const Kinds *kinds)
{
	EtlImages *images = &apply->delta->images;

	images->n_old = kinds->update + kinds->mark + kinds->delete;
	images->n_new = kinds->insert + kinds->update + kinds->mark;
	if (images->n_old > 0)
		images->old_rows = etl_change_old_rows(&apply->change);
	if (images->n_new > 0)
		images->new_rows = etl_change_new_rows(&apply->change);
}

/* apply_keyed brings in a delta with a key. Settings that change the text form of values are set so that bounds are exact. */
static void
apply_keyed(Apply *apply)
{
	EtlDelta *delta = apply->delta;
	const EtlPlan *plan = delta->plan;
	bool is_exact;
	int level = NewGUCNestLevel();
	int64 rows;
	Kinds kinds;

	set_local("datestyle", "ISO, YMD");
	if (delta->rows > 0)
		find_bounds(apply);
	is_exact = etl_replay_is_exact(delta);
	apply->change.is_guarded = plan->mode == ETL_MODE_MERGE && !is_exact;
	apply->change.late_before = delta->knows_late ? etl_late_before(plan, delta->attempt) : NULL;
	rows = join_target(apply);
	add_gone(apply);
	kinds = count_kinds(apply);
	etl_late_put_aside(delta, apply->change.table, kinds.late);
	write_changes(apply, &kinds);
	if (is_exact && etl_replay_may_delete(delta))
		kinds.delete += delete_absent(apply);
	keep_images(apply, &kinds);
	AtEOXact_GUC(true, level);
	delta->attempt->counts.unchanged += delta->rows - rows + kinds.stale;
	etl_attempt_count(delta->attempt, "stale", kinds.stale);
}

/* apply_append inserts a delta without looking at the target. */
static void
apply_append(Apply *apply)
{
	int64 n_numbered = 0;

	add_text(apply, etl_write_append(apply->delta->plan, &apply->source));
	if (apply->delta->rows > 0)
		(void) write_rows(apply, etl_write_append, &n_numbered);
}

/* apply_replace makes the target hold the rows of the delta, without a key to match them by. */
static void
apply_replace(Apply *apply)
{
	const EtlPlan *plan = apply->delta->plan;
	EtlCounts *counts = &apply->delta->attempt->counts;
	int64 is_same = 0;

	if (etl_sql_int64(etl_write_compare(plan, &apply->source), &is_same) && is_same == 1)
	{
		counts->unchanged += apply->delta->rows;
		return;
	}
	apply->last = etl_dml_run(etl_write_clear(plan));
	accept(apply);
	apply_append(apply);
}

/* etl_apply_run brings the delta into the target as the mode asks for. */
void
etl_apply_run(EtlDelta *delta)
{
	const EtlPlan *plan = delta->plan;
	Apply apply = {.delta = delta, .source = {.table = delta->table}};

	etl_progress_step(ETL_STEP_WRITE);
	apply.change = (EtlChange){.plan = plan,
							   .table = etl_delta_temporary(delta, "change"),
							   .source = delta->table,
							   .gone = delta->gone,
							   .old = delta->old};
	add_text(&apply, psprintf("%s%s", delta->before ? delta->before : "",
							  etl_delta_statement(plan, delta->query, delta->table)));
	if (delta->rows > 0)
		etl_partitions_ensure_for(delta->attempt, plan, delta->table);
	if (plan->n_key > 0)
		apply_keyed(&apply);
	else if (plan->mode == ETL_MODE_APPEND && !delta->attempt->full_refresh)
		apply_append(&apply);
	else
	{
		etl_replay_check_append(delta);
		apply_replace(&apply);
	}
}
