/*
 * load.c
 *		One run of a load or an aggregate. See load.h and README.md.
 *
 * Everything happens in the one transaction that the executor commits together with the state of the attempt, so the
 * target and the positions in its inputs move together or not at all.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/spi.h"
#include "fault.h"
#include "load/apply.h"
#include "load/capture.h"
#include "load/delta.h"
#include "load/fresh.h"
#include "load/increment.h"
#include "load/late.h"
#include "load/history.h"
#include "load/load.h"
#include "load/markers.h"
#include "load/resolve.h"
#include "load/statistics.h"
#include "load/target.h"
#include "load/touch.h"
#include "load/undo.h"
#include "load/undo_images.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/rel.h"

/* Memory for the sort of a delta, in kB. Hash tables get no more than sorts, so that a worker stays within bounds. */
#define SORT_MEMORY 65536

/* set_memory sets a setting in kB until the nest level ends. */
static void
set_memory(const char *name)
{
	(void) set_config_option(name, psprintf("%d", SORT_MEMORY), PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
}

/*
 * set_limits gives sorts enough memory, and hash tables and the index of the delta no more, until the nest level ends:
 * whatever the server's settings are, a worker is neither slow nor large. Compiling statements that run once does not pay.
 */
static void
set_limits(void)
{
	(void) set_config_option("jit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	set_memory("work_mem");
	set_memory("maintenance_work_mem");
	(void) set_config_option("hash_mem_multiplier", "1", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* note_result says in words what counts alone do not. */
static void
note_result(EtlAttempt *attempt, const EtlIncrement *increment)
{
	const EtlPlan *plan = increment->plan;

	if (plan->compile->reason != NULL && (plan->mode != ETL_MODE_REPLACE || attempt->task->kind == ETL_TASK_AGGREGATE))
		etl_attempt_note(attempt, "All rows were read: %s.", plan->compile->reason);
	else if (increment->reason != NULL && !attempt->full_refresh && plan->compile->reason == NULL)
		etl_attempt_note(attempt, "All rows were read: %s.", increment->reason);
	if (attempt->counts.rejected > 0)
		etl_attempt_note(attempt, INT64_FORMAT " rows went to etl.quarantine.", attempt->counts.rejected);
}

/* note_nothing says that there is nothing to do. */
static void
note_nothing(EtlAttempt *attempt, const EtlIncrement *increment)
{
	StringInfoData inputs;
	int i = 0;
	ListCell *cell;

	initStringInfo(&inputs);
	foreach (cell, increment->plan->compile->inputs)
	{
		const EtlPosition *position = &increment->position[i++];

		if (position->is_driver)
			appendStringInfo(&inputs, "%s%s after batch " INT64_FORMAT, inputs.len > 0 ? ", " : "",
							 ((EtlInput *) lfirst(cell))->name, position->after);
	}
	etl_attempt_note(attempt, "Nothing new in %s.", inputs.data);
}

/* collect_touched fills the table of touched keys. Returns its name. */
static char *
collect_touched(EtlDelta *delta, const EtlIncrement *increment)
{
	char *table = etl_delta_temporary(delta, "touched");
	StringInfoData sql;
	const char *separator = "";
	ListCell *cell;
	int64 rows;
	int level;

	initStringInfo(&sql);
	foreach (cell, etl_increment_touched(increment))
	{
		appendStringInfo(&sql, "%s(%s)", separator, (char *) lfirst(cell));
		separator = "\nUNION ALL\n";
	}
	level = etl_attempt_author_path(delta->plan->task);
	rows = (int64) etl_sql_exec(
		psprintf("CREATE TEMPORARY TABLE %s ON COMMIT DROP AS SELECT DISTINCT k.* FROM (\n%s\n) AS k", table, sql.data),
		SPI_OK_UTILITY);
	AtEOXact_GUC(true, level);
	(void) etl_sql_exec(psprintf("ANALYZE %s", table), SPI_OK_UTILITY);
	etl_attempt_count(delta->attempt, "groups_touched", rows);
	if (delta->plan->task->kind == ETL_TASK_AGGREGATE)
		etl_late_close(delta, table);
	return table;
}

/* knows_late says whether rows may be late: not in the first load of a target. */
static bool
knows_late(const EtlIncrement *increment)
{
	const EtlPlan *plan = increment->plan;
	int n = list_length(plan->compile->inputs);
	int64 found;

	if (plan->event_time < 0)
		return false;
	for (int i = 0; i < n; i++)
		if (increment->position[i].was_read)
			return true;
	return n == 0 && etl_sql_int64(psprintf("SELECT 1 FROM %s LIMIT 1", plan->target_name), &found);
}

/* make_delta returns the delta with its query, which for touched keys is restricted to them. */
static EtlDelta *
make_delta(EtlAttempt *attempt, EtlIncrement *increment)
{
	const EtlPlan *plan = increment->plan;
	EtlDelta *delta = etl_delta_make(attempt, plan, NULL);

	delta->is_read_known = increment->kind == ETL_INCREMENT_ROWS;
	delta->knows_late = knows_late(increment);
	delta->is_complete = increment->kind == ETL_INCREMENT_WHOLE &&
						 (plan->mode == ETL_MODE_REPLACE ||
						  (plan->on_delete != ETL_ON_DELETE_IGNORE && plan->compile->single == NULL));
	if (increment->kind == ETL_INCREMENT_KEYS)
	{
		delta->touched = collect_touched(delta, increment);
		etl_touch_restrict(plan, plan->compile->query, delta->touched);
	}
	delta->query = etl_increment_query(increment);
	return delta;
}

/* all_columns returns the numbers of the columns of the target. */
static Bitmapset *
all_columns(const EtlPlan *plan)
{
	Relation relation = table_open(plan->target, AccessShareLock);
	Bitmapset *columns = NULL;

	for (int i = 0; i < RelationGetDescr(relation)->natts; i++)
		if (!TupleDescAttr(RelationGetDescr(relation), i)->attisdropped)
			columns = bms_add_member(columns, i + 1);
	table_close(relation, NoLock);
	return columns;
}

/* keep keeps what can be taken back, and tells those who follow the target. In mode scd2 only the surrogate key is unique. */
static void
keep(EtlDelta *delta, EtlCapture *capture)
{
	const EtlPlan *plan = delta->plan;
	EtlNames surrogate = {1, (char *[]){plan->surrogate_name}};

	etl_capture_write(capture, delta->attempt, &delta->images);
	etl_undo_keep(delta->attempt, plan->target, plan->mode == ETL_MODE_SCD2 ? &surrogate : &plan->task->key,
				  &delta->images);
}

/* apply brings a filled delta into the target. */
static void
apply(EtlDelta *delta, EtlCapture *capture)
{
	bool is_keyed = delta->plan->n_key > 0;
	char *before = is_keyed ? NULL : etl_undo_images_before(delta);

	delta->old = is_keyed && delta->plan->task->keep_undo != NULL ? all_columns(delta->plan)
																  : etl_capture_columns(capture);
	ETL_FAULT("before_merge");
	etl_apply_run(delta);
	if (is_keyed)
		keep(delta, capture);
	else
		etl_undo_images_keep(delta, before);
	ETL_FAULT("after_merge");
}

/* is_needed says whether a delta without rows has to be applied all the same: rows of the target may go. */
static bool
is_needed(const EtlDelta *delta)
{
	return delta->rows > 0 || delta->gone != NULL || delta->touched != NULL || delta->attempt->full_refresh ||
		   delta->is_complete;
}

/* bring evaluates the query of a delta and brings the rows into the target. */
static void
bring(EtlDelta *delta, EtlCapture *capture)
{
	etl_resolve_run(delta);
	if (delta->plan->mode == ETL_MODE_SCD2)
	{
		etl_history_run(delta);
		keep(delta, capture);
	}
	else
		etl_delta_fill(delta);
	etl_resolve_done(delta);
	if (delta->plan->mode != ETL_MODE_SCD2 && is_needed(delta))
		apply(delta, capture);
}

/* etl_load_run evaluates what is new and brings it into the target. */
void
etl_load_run(EtlAttempt *attempt)
{
	EtlPlan *plan = etl_target_plan(attempt->task);
	EtlIncrement *increment;
	EtlCapture *capture;
	EtlDelta *delta;
	int level;

	increment = etl_increment_read(plan, attempt->full_refresh, attempt->replay_from, false);
	if (increment->kind != ETL_INCREMENT_WHOLE && increment->n_new == 0)
	{
		note_nothing(attempt, increment);
		return;
	}
	etl_target_lock(plan->target);
	level = NewGUCNestLevel();
	set_limits();
	delta = make_delta(attempt, increment);
	if (plan->mode != ETL_MODE_SCD2)
		etl_markers_collect(delta);
	capture = etl_capture_open(plan);
	delta->images_are_needed = capture != NULL || attempt->task->keep_undo != NULL;
	if (!etl_fresh_may(delta, increment) || !etl_fresh_run(delta, increment))
		bring(delta, capture);
	attempt->counts.read = delta->is_read_known ? increment->rows : delta->read + delta->set_aside;
	AtEOXact_GUC(true, level);
	etl_statistics_refresh(plan->target, attempt->counts.inserted + attempt->counts.updated + attempt->counts.deleted);
	etl_delta_end(delta);
	etl_increment_keep(increment, attempt);
	note_result(attempt, increment);
}
