/*
 * load.c
 *		One run of a load or an aggregate. See load.h and README.md.
 *
 * Everything happens in the one transaction that the executor commits together with the state of the attempt, so the
 * target and the positions in its inputs move together or not at all.
 */
#include "postgres.h"

#include "catalog/consumed.h"
#include "fault.h"
#include "load/apply.h"
#include "load/delta.h"
#include "load/history.h"
#include "load/load.h"
#include "load/markers.h"
#include "load/statistics.h"
#include "load/target.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"

/* Memory for the sort of a delta, in kB. Hash tables get no more than sorts, so that a worker stays within bounds. */
#define SORT_MEMORY 65536

/* make_plan parses the query with the search_path of its author and matches it with the target. */
static EtlPlan *
make_plan(const EtlTask *task)
{
	int level = etl_attempt_author_path(task);
	EtlPlan *plan = etl_plan_make(task);
	char *schema;
	char *name;
	Oid target = etl_target_find(task->target, &schema, &name);

	if (!OidIsValid(target))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("target %s does not exist", task->target),
						errdetail("It was created or found when the task was defined and has been dropped since."),
						errhint("Call etl.alter_task with the same target to create it again.")));
	etl_target_match(plan, target);
	AtEOXact_GUC(true, level);
	return plan;
}

/*
 * narrow limits the input that can be narrowed to what is new and returns false when nothing is. A full refresh has no
 * lower bound, but still an upper one: what comes later belongs to the next run.
 */
static bool
narrow(EtlAttempt *attempt, EtlPlan *plan, EtlBatchRange *range)
{
	EtlInput *input = plan->compile->narrowed;
	int64 after = attempt->full_refresh ? 0 : etl_consumed_get(attempt->task->task_id, input->name);

	MemSet(range, 0, sizeof(EtlBatchRange));
	if (!etl_batch_range(input->name, after, range) && !attempt->full_refresh)
	{
		etl_attempt_note(attempt, "Nothing new in %s after batch " INT64_FORMAT ".", input->name, after);
		return false;
	}
	etl_compile_narrow(plan->compile, after, range);
	return true;
}

/* last_batch returns the highest batch of an input that is read whole; 0: none. */
static int64
last_batch(const EtlInput *input)
{
	EtlBatchRange range;

	return etl_batch_range(input->name, 0, &range) ? range.last : 0;
}

/* read_positions returns for each input the batch up to which this run reads it, before the query is evaluated. */
static int64 *
read_positions(const EtlPlan *plan, const EtlBatchRange *range)
{
	int64 *position = palloc0(sizeof(int64) * Max(list_length(plan->compile->inputs), 1));
	ListCell *cell;
	int i = 0;

	foreach (cell, plan->compile->inputs)
	{
		EtlInput *input = lfirst(cell);

		position[i++] = input == plan->compile->narrowed ? range->last : last_batch(input);
	}
	return position;
}

/* keep_positions records how far the inputs were read; the narrowed one decides where a table is read twice. */
static void
keep_positions(const EtlAttempt *attempt, const EtlPlan *plan, const int64 *position)
{
	const EtlInput *narrowed = plan->compile->narrowed;
	ListCell *cell;
	int i = 0;

	foreach (cell, plan->compile->inputs)
	{
		EtlInput *input = lfirst(cell);
		int64 batch = position[i++];

		if (batch == 0 || (narrowed != NULL && input != narrowed && input->relation == narrowed->relation))
			continue;
		etl_consumed_set(attempt->task->task_id, input->name, batch, attempt->run_id);
	}
}

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
note_result(EtlAttempt *attempt, const EtlPlan *plan)
{
	if (plan->compile->reason != NULL && plan->mode != ETL_MODE_REPLACE)
		etl_attempt_note(attempt, "All rows were read: %s.", plan->compile->reason);
	if (attempt->counts.rejected > 0)
		etl_attempt_note(attempt, INT64_FORMAT " rows went to etl.quarantine.", attempt->counts.rejected);
}

/* etl_load_run evaluates what is new and brings it into the target. */
void
etl_load_run(EtlAttempt *attempt)
{
	EtlPlan *plan = make_plan(attempt->task);
	EtlBatchRange range;
	EtlDelta *delta;
	int64 *position;
	int level;

	if (plan->compile->narrowed != NULL && !narrow(attempt, plan, &range))
		return;
	etl_target_lock(plan->target);
	position = read_positions(plan, &range);
	if (plan->n_key > 0)
		etl_compile_sequence(plan->compile);
	etl_compile_leave_out(plan->compile);
	level = NewGUCNestLevel();
	set_limits();
	delta = etl_delta_make(attempt, plan);
	if (plan->mode == ETL_MODE_SCD2)
		etl_history_run(delta);
	else
	{
		etl_markers_collect(delta);
		etl_delta_fill(delta);
	}
	attempt->counts.read = plan->compile->narrowed != NULL ? range.rows : delta->read;
	if (plan->mode == ETL_MODE_SCD2)
		;
	else if (delta->rows > 0 || delta->gone != NULL || plan->mode == ETL_MODE_REPLACE || attempt->full_refresh)
	{
		ETL_FAULT("before_merge");
		etl_apply_run(delta);
		ETL_FAULT("after_merge");
	}
	AtEOXact_GUC(true, level);
	etl_statistics_refresh(plan->target, attempt->counts.inserted + attempt->counts.updated + attempt->counts.deleted);
	etl_delta_drop(delta->table);
	keep_positions(attempt, plan, position);
	note_result(attempt, plan);
}
