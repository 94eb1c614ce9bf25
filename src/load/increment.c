/*
 * increment.c
 *		Which part of its inputs a run evaluates. See increment.h.
 */
#include "postgres.h"

#include "catalog/consumed.h"
#include "catalog/spi.h"
#include "load/increment.h"
#include "load/kept.h"
#include "load/target.h"
#include "load/touch.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

/* follows_deletes says whether rows of the target go when what they were made of goes. */
static bool
follows_deletes(const EtlPlan *plan)
{
	return plan->task->kind == ETL_TASK_AGGREGATE || plan->on_delete != ETL_ON_DELETE_IGNORE;
}

/* etl_increment_kind: an aggregate goes by keys; a load does where rows go and no delete markers of a raw table tell. */
EtlIncrementKind
etl_increment_kind(const EtlPlan *plan)
{
	bool by_keys = plan->task->kind == ETL_TASK_AGGREGATE ||
				   (plan->on_delete != ETL_ON_DELETE_IGNORE && plan->compile->single == NULL);

	if (plan->compile->drivers == NIL || (by_keys && etl_touch_reason(plan, plan->compile->query) != NULL))
		return ETL_INCREMENT_WHOLE;
	return by_keys ? ETL_INCREMENT_KEYS : ETL_INCREMENT_ROWS;
}

/* is_keys says whether the log of the one input can hold the keys that it touches. */
static bool
is_keys(const EtlPlan *plan)
{
	return etl_increment_kind(plan) == ETL_INCREMENT_KEYS && list_length(plan->compile->inputs) == 1;
}

/* read_kept reads how much is known of the changes of a kept input. */
static void
read_kept(EtlIncrement *increment, const EtlInput *input, EtlPosition *position, bool is_dry)
{
	const EtlPlan *plan = increment->plan;
	bool as_keys = is_keys(plan);
	char *definition = etl_kept_definition(plan, input, as_keys, follows_deletes(plan));
	bool was_made = false;

	position->log = is_dry ? etl_change_log_find(plan->task, input->name, as_keys, definition)
						   : etl_change_log_ensure(plan->task, input->name, as_keys, definition, &was_made);
	if (was_made || position->log == NULL)
		position->is_known = false;
	if (!position->is_known)
		return;
	if (!etl_change_log_is_complete(position->log, position->after, position->range.last))
	{
		position->is_known = false;
		increment->reason = psprintf("some changes of %s were not noted", input->name);
	}
}

/* read_position reads how far an input was read and what is new in it. */
static void
read_position(EtlIncrement *increment, const EtlInput *input, EtlPosition *position, bool is_dry)
{
	position->is_driver = list_member_ptr(increment->plan->compile->drivers, input);
	position->was_read = etl_consumed_find(increment->plan->task->task_id, input->name, &position->after);
	position->is_known = position->was_read;
	if (increment->replay_from > 0 && !input->is_kept)
		position->after = increment->replay_from - 1;
	position->is_new = etl_batch_range(input->name, position->after, &position->range);
	if (!position->is_new)
		position->range.last = position->after;
	if (position->is_driver && input->is_kept)
		read_kept(increment, input, position, is_dry);
	if (position->is_driver && position->is_new)
	{
		increment->n_new++;
		increment->rows += position->range.rows;
	}
}

/* find_unknown sets the reason why all is read, if a position is missing that is needed. */
static void
find_unknown(EtlIncrement *increment)
{
	const EtlCompile *compile = increment->plan->compile;
	bool need_all = increment->kind == ETL_INCREMENT_KEYS || list_length(compile->drivers) > 1;
	bool is_unknown = false;
	int i = 0;
	ListCell *cell;

	foreach (cell, compile->inputs)
	{
		const EtlInput *input = lfirst(cell);
		const EtlPosition *position = &increment->position[i++];

		/* One raw input alone: no position means all of its batches. */
		if (position->is_driver && !position->is_known && (need_all || input->is_kept))
			is_unknown = true;
	}
	if (!is_unknown)
		return;
	increment->kind = ETL_INCREMENT_WHOLE;
	if (increment->reason == NULL)
		increment->reason = "it is the first time";
}

/* lock_kept waits until nobody is changing the kept inputs: what he changes now would be in no log. */
static void
lock_kept(const EtlPlan *plan)
{
	List *relations = NIL;
	ListCell *cell;

	foreach (cell, plan->compile->drivers)
		if (((EtlInput *) lfirst(cell))->is_kept)
			relations = list_append_unique_oid(relations, ((EtlInput *) lfirst(cell))->relation);
	/* In one order, so that two of them do not wait for each other. */
	list_sort(relations, list_oid_cmp);
	foreach (cell, relations)
		etl_target_lock(lfirst_oid(cell));
}

/* read_all reads all positions. */
static void
read_all(EtlIncrement *increment, bool is_dry)
{
	int i = 0;
	ListCell *cell;

	increment->n_new = 0;
	increment->rows = 0;
	foreach (cell, increment->plan->compile->inputs)
	{
		memset(&increment->position[i], 0, sizeof(EtlPosition));
		read_position(increment, lfirst(cell), &increment->position[i], is_dry);
		i++;
	}
}

/* etl_increment_read reads a second time under the locks. */
EtlIncrement *
etl_increment_read(const EtlPlan *plan, bool is_full, int64 replay_from, bool is_dry)
{
	EtlIncrement *increment = palloc0(sizeof(EtlIncrement));

	increment->plan = plan;
	increment->replay_from = replay_from;
	increment->kind = etl_increment_kind(plan);
	increment->position = palloc0(sizeof(EtlPosition) * Max(list_length(plan->compile->inputs), 1));
	read_all(increment, is_dry);
	for (int i = 0; i < list_length(plan->compile->inputs) && !is_full; i++)
		increment->is_recent = increment->is_recent ||
							   (increment->kind == ETL_INCREMENT_WHOLE && increment->position[i].was_read);
	if (is_full && increment->kind != ETL_INCREMENT_WHOLE)
	{
		increment->kind = ETL_INCREMENT_WHOLE;
		increment->reason = "a full refresh was asked for";
	}
	if (increment->kind != ETL_INCREMENT_WHOLE)
		find_unknown(increment);
	if (increment->kind == ETL_INCREMENT_WHOLE && plan->compile->drivers != NIL && !is_dry)
	{
		lock_kept(plan);
		read_all(increment, is_dry);
	}
	return increment;
}

/* limit_raw leaves out of a raw input what is beyond the range that the run takes. */
static void
limit_raw(EtlInput *input, const EtlPosition *position, bool only_old)
{
	EtlBatchRange range = {.last = only_old ? position->after : position->range.last};

	if (input->op == InvalidAttrNumber && input->is_special)
		return;
	etl_compile_narrow(input, 0, &range);
}

/*
 * branch returns the query with one driver narrowed. Raw drivers before it are read without what is new, because that was
 * read in their own branches; other raw drivers up to where the run goes.
 */
static char *
branch(const EtlIncrement *increment, EtlCompile *compile, int n)
{
	int i = 0;
	ListCell *cell;

	foreach (cell, compile->inputs)
	{
		EtlInput *input = lfirst(cell);
		const EtlPosition *position = &increment->position[i];

		if (i == n && input->is_kept)
			etl_compile_replace(
				input, etl_kept_rows(input, position->log, position->after, position->range.last, ETL_KEPT_NEW));
		else if (i == n)
			etl_compile_narrow(input, position->after, &position->range);
		else if (position->is_driver && !input->is_kept)
			limit_raw(input, position, i < n);
		i++;
	}
	if (increment->plan->n_key > 0)
		etl_compile_sequence(compile);
	etl_compile_leave_out(compile);
	return etl_compile_sql(compile);
}

/* rows_query returns the union of the branches that have something new. The last one uses the plan's own tree. */
static char *
rows_query(EtlIncrement *increment)
{
	const EtlPlan *plan = increment->plan;
	int n = list_length(plan->compile->inputs);
	int left = Max(increment->n_new, 1);
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < n; i++)
	{
		const EtlPosition *position = &increment->position[i];
		EtlCompile *compile = plan->compile;

		if (!position->is_driver || (!position->is_new && increment->n_new > 0))
			continue;
		if (left > 1)
			compile = etl_compile_copy(compile);
		if (increment->n_new > 1)
			appendStringInfo(&sql, "%s(%s)", sql.len > 0 ? "\nUNION ALL\n" : "", branch(increment, compile, i));
		else
			return branch(increment, compile, i);
		left--;
	}
	return sql.data;
}

/* limit_recent leaves out of a raw input what was loaded longer ago than read_window. */
static void
limit_recent(EtlInput *input, const EtlPosition *position, const Interval *window)
{
	TimestampTz since = DatumGetTimestampTz(DirectFunctionCall2(
		timestamptz_mi_interval, TimestampTzGetDatum(GetCurrentTimestamp()), IntervalPGetDatum(window)));
	int64 after = etl_batch_before(input->name, since);
	EtlBatchRange range;

	memset(&range, 0, sizeof(range));
	if (!etl_batch_range(input->name, after, &range))
		range.last = Max(after, position->range.last);
	etl_compile_narrow(input, after, &range);
}

/* whole_query returns the query as it is, raw drivers up to where the run goes. */
static char *
whole_query(const EtlIncrement *increment)
{
	EtlCompile *compile = increment->plan->compile;
	int i = 0;
	ListCell *cell;

	foreach (cell, compile->inputs)
	{
		EtlInput *input = lfirst(cell);
		const EtlPosition *position = &increment->position[i++];

		if (increment->plan->task->read_window != NULL && increment->is_recent && !input->is_kept &&
			!input->is_special && !input->in_view)
			limit_recent(input, position, increment->plan->task->read_window);
		else if (position->is_driver && !input->is_kept)
			limit_raw(input, position, false);
	}
	if (increment->plan->n_key > 0)
		etl_compile_sequence(compile);
	etl_compile_leave_out(compile);
	return etl_compile_sql(compile);
}

/* etl_increment_query: for keys, the caller restricts plan->compile->query first. */
char *
etl_increment_query(EtlIncrement *increment)
{
	return increment->kind == ETL_INCREMENT_ROWS ? rows_query(increment) : whole_query(increment);
}

/*
 * touched_by returns the query for the keys that changed rows of one driver touch. The others have all rows, and those that
 * changed as they were: a row of the target may come from two rows that have both changed. What was committed while this run
 * was under way is looked at with its old values, too.
 */
static char *
touched_by(const EtlIncrement *increment, int n)
{
	EtlCompile *compile = etl_compile_copy(increment->plan->compile);
	int i = 0;
	ListCell *cell;

	etl_touch_project(increment->plan, compile->query);
	foreach (cell, compile->inputs)
	{
		EtlInput *input = lfirst(cell);
		const EtlPosition *position = &increment->position[i];

		if (i == n && input->is_kept)
			etl_compile_replace(
				input, etl_kept_rows(input, position->log, position->after, position->range.last, ETL_KEPT_TOUCHED));
		else if (i == n)
			etl_compile_narrow(input, position->after, &position->range);
		else if (input->is_kept)
			etl_compile_replace(input,
								etl_kept_rows(input, position->log, position->after, PG_INT64_MAX, ETL_KEPT_BOTH));
		i++;
	}
	etl_compile_leave_out(compile);
	return etl_compile_sql(compile);
}

/* etl_increment_touched has one query for each driver with something new. */
List *
etl_increment_touched(const EtlIncrement *increment)
{
	const EtlPlan *plan = increment->plan;
	List *queries = NIL;
	StringInfoData sql;

	for (int i = 0; i < list_length(plan->compile->inputs); i++)
	{
		const EtlPosition *position = &increment->position[i];

		if (!position->is_driver || !position->is_new)
			continue;
		if (position->log == NULL || !position->log->is_keys)
		{
			queries = lappend(queries, touched_by(increment, i));
			continue;
		}
		initStringInfo(&sql);
		for (int k = 0; k < plan->n_key; k++)
			appendStringInfo(&sql, "%s l.%s", k > 0 ? "," : "SELECT", etl_plan_key(plan, k)->quoted);
		appendStringInfo(&sql, " FROM %s AS l WHERE %s", position->log->table,
						 etl_kept_range(position->after, position->range.last));
		queries = lappend(queries, sql.data);
	}
	return queries;
}

/* forget deletes what an earlier run has taken: the last range stays until the next run, in case this one is taken back. */
static void
forget(const EtlPosition *position)
{
	(void) etl_sql_exec(
		psprintf("DELETE FROM %s AS l WHERE l._etl_batch <= " INT64_FORMAT, position->log->table, position->after),
		SPI_OK_DELETE);
	etl_change_log_forget(position->log, position->after);
}

/* etl_increment_keep: of a table that is read twice, the driver decides. */
void
etl_increment_keep(const EtlIncrement *increment, const EtlAttempt *attempt)
{
	const EtlCompile *compile = increment->plan->compile;
	int i = 0;
	ListCell *cell;

	foreach (cell, compile->inputs)
	{
		const EtlInput *input = lfirst(cell);
		const EtlPosition *position = &increment->position[i++];

		if (position->range.last == 0 && !(position->is_driver && input->is_kept) &&
			!(position->is_driver && attempt->task->kind == ETL_TASK_AGGREGATE))
			continue;
		etl_consumed_set(attempt->task->task_id, input->name, position->range.last, attempt->run_id);
		if (position->log != NULL && position->is_new)
			forget(position);
	}
}
