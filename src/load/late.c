/*
 * late.c
 *		Facts that come long after they happened. See late.h.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "catalog/quarantine.h"
#include "catalog/spi.h"
#include "load/dml.h"
#include "load/late.h"
#include "load/reject.h"
#include "load/text.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#define DEFAULT_WINDOW "48 hours"

/* Blocks of a table of changes whose late rows are put aside at a time. */
#define BLOCKS 64

/* policy_of reads the setting; the table allows no other values. */
static EtlLatePolicy
policy_of(const EtlTask *task)
{
	if (task->late_policy == NULL || strcmp(task->late_policy, "quarantine") == 0)
		return ETL_LATE_QUARANTINE;
	return strcmp(task->late_policy, "reject") == 0 ? ETL_LATE_REJECT : ETL_LATE_ACCEPT;
}

/* check_aggregate refuses an event_time that is not part of the key: groups are closed by their key. */
static void
check_aggregate(const EtlPlan *plan, const EtlColumn *column)
{
	if (plan->task->kind != ETL_TASK_AGGREGATE || column->is_key)
		return;
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("event_time \"%s\" of an aggregate must be a key column", column->name),
					errdetail("A group is left as it is when its event time is older than late_window."),
					errhint("Name the key column that says when, for example the day.")));
}

/* etl_late_resolve finds the column. */
void
etl_late_resolve(EtlPlan *plan)
{
	const EtlTask *task = plan->task;
	const EtlColumn *column;

	plan->event_time = -1;
	if (task->event_time == NULL && (task->late_window != NULL || task->late_policy != NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s needs event_time", task->late_window != NULL ? "late_window" : "late_policy"),
				 errdetail("Without it nobody knows when a row happened."),
				 errhint("Set event_time to a column of the query: %s.", etl_query_column_list(&plan->columns))));
	if (task->event_time == NULL)
		return;
	plan->event_time = etl_plan_column(plan, "event_time", task->event_time);
	column = &plan->columns.column[plan->event_time];
	if (column->type != TIMESTAMPTZOID && column->type != TIMESTAMPOID && column->type != DATEOID)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("event_time \"%s\" has type %s", column->name, format_type_be(column->type)),
						errdetail("It has to be a date, a timestamp or a timestamp with time zone."),
						errhint("Cast the column in the query, or name another one.")));
	check_aggregate(plan, column);
	if (task->kind == ETL_TASK_LOAD && plan->mode != ETL_MODE_MERGE && plan->mode != ETL_MODE_INSERT_ONLY)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("event_time needs mode merge or insert_only"),
						errdetail("Late rows are told by what they would change in the target, which needs a key."),
						errhint("Use mode => 'merge' with a key, or leave event_time out.")));
}

/* etl_late_before subtracts the window from the logical time of the run. */
char *
etl_late_before(const EtlPlan *plan, const EtlAttempt *attempt)
{
	const EtlColumn *column;
	char *window;

	if (plan->event_time < 0 || attempt->full_refresh || attempt->is_backfill || attempt->takes_late ||
		policy_of(plan->task) == ETL_LATE_ACCEPT)
		return NULL;
	column = &plan->columns.column[plan->event_time];
	window = plan->task->late_window
				 ? DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(plan->task->late_window)))
				 : DEFAULT_WINDOW;
	return psprintf("%s::%s",
					quote_literal_cstr(etl_sql_text(
						psprintf("SELECT (%s::pg_catalog.timestamptz - %s::pg_catalog.interval)::%s::pg_catalog.text",
								 quote_literal_cstr(timestamptz_to_str(attempt->logical_time)),
								 quote_literal_cstr(window), format_type_be_qualified(column->type)))),
					format_type_be_qualified(column->type));
}

/* to_quarantine puts the late rows aside, some blocks of the table at a time. */
static void
to_quarantine(const EtlDelta *delta, const char *changes)
{
	const EtlColumn *column = &delta->plan->columns.column[delta->plan->event_time];
	EtlReject reject = {changes, psprintf("\"%s\" is older than late_window allows", column->name), "ZE016",
						column->name};
	int64 blocks = 0;

	(void) etl_sql_int64(psprintf("SELECT pg_catalog.pg_relation_size(%s::pg_catalog.regclass) / %d",
								  quote_literal_cstr(changes), BLCKSZ),
						 &blocks);
	for (int64 block = 0; block < blocks; block += BLOCKS)
	{
		CHECK_FOR_INTERRUPTS();
		etl_reject_rows(delta, &reject,
						psprintf("s._etl_op = 'l' AND s.ctid >= '(" INT64_FORMAT ",0)' AND s.ctid < '(" INT64_FORMAT
								 ",0)'",
								 block, block + BLOCKS));
	}
}

/* etl_late_put_aside counts the rows, too. */
void
etl_late_put_aside(const EtlDelta *delta, const char *changes, int64 n)
{
	EtlAttempt *attempt = delta->attempt;

	if (n == 0)
		return;
	if (policy_of(delta->plan->task) == ETL_LATE_QUARANTINE)
	{
		to_quarantine(delta, changes);
		etl_attempt_count(attempt, "late_quarantined", n);
		etl_attempt_note(attempt, "late rows wait in etl.quarantine; etl.accept_late(" INT64_FORMAT ") takes them",
						 attempt->run_id);
		return;
	}
	attempt->counts.rejected += n;
	etl_attempt_count(attempt, "late_rejected", n);
}

/* etl_late_close deletes keys. */
void
etl_late_close(EtlDelta *delta, const char *touched)
{
	char *before = etl_late_before(delta->plan, delta->attempt);
	int64 n;

	if (before == NULL)
		return;
	n = etl_dml_run(psprintf("DELETE FROM %s AS g WHERE g.%s < %s", touched,
							 delta->plan->columns.column[delta->plan->event_time].quoted, before))
			.deleted;
	etl_attempt_count(delta->attempt, "groups_closed", n);
	if (n > 0)
		etl_attempt_note(delta->attempt, INT64_FORMAT " groups are older than late_window and stay as they are", n);
}
