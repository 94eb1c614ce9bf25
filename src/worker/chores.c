/*
 * chores.c
 *		What the scheduler does beside the runs. See chores.h.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/budget.h"
#include "catalog/cost_day.h"
#include "catalog/extension.h"
#include "catalog/retention.h"
#include "catalog/undo.h"
#include "notify/alert.h"
#include "notify/notifier.h"
#include "schedule/backfill.h"
#include "schedule/due.h"
#include "utils/timestamp.h"
#include "worker/chores.h"
#include "worker/launcher.h"
#include "worker/step.h"

/* Schedules and backfills are looked at again when somebody has woken the scheduler, but not more often than this (ms). */
#define LOOK_PAUSE 1000
/* Old history is looked for this often. */
#define RETENTION_PAUSE (60 * 60 * 1000)
/* No worker was free for the notifier: try again after this time. */
#define NOTIFIER_PAUSE 1000
/* Budgets are looked at again when somebody has woken the scheduler, but not more often than this (ms). */
#define BUDGET_PAUSE 10000
/* After an error. */
#define ERROR_PAUSE 60000

static TimestampTz schedule_due = DT_NOBEGIN;
static TimestampTz looked_at = DT_NOBEGIN;
static TimestampTz retention_due = DT_NOBEGIN;
static TimestampTz delivery_due = DT_NOEND;
static TimestampTz budget_due = DT_NOBEGIN;
static bool count_owed = true; /* a run has ended that is not in the sums of etl.cost_day yet */
static int backfills = 0;
static bool backfill_moved = true;
static bool look_owed = false; /* somebody may have woken the scheduler too soon after it had looked */

/* etl_chores_may_work says whether the scheduler may go on. */
bool
etl_chores_may_work(void)
{
	return etl_extension_current();
}

/* may_look says whether schedules and backfills were not looked at a moment ago. */
static bool
may_look(TimestampTz now)
{
	return looked_at == DT_NOBEGIN || now >= TimestampTzPlusMilliseconds(looked_at, LOOK_PAUSE);
}

/* look_at_plans starts what schedules and backfills have due. Without the launcher, pg_cron looks at schedules. */
static void
look_at_plans(TimestampTz now)
{
	look_owed = !may_look(now) && now < schedule_due && !backfill_moved;
	if (look_owed)
		return;
	schedule_due = etl_launcher_exists() ? etl_due_step(now) : DT_NOEND;
	backfills = etl_backfill_step();
	backfill_moved = false;
	looked_at = now;
}

/* deliver has due alerts delivered. */
static void
deliver(TimestampTz now)
{
	etl_step_begin();
	delivery_due = etl_notifier_due();
	etl_step_end();
	if (delivery_due <= now && !etl_notifier_start())
		delivery_due = TimestampTzPlusMilliseconds(now, NOTIFIER_PAUSE);
	else if (delivery_due <= now)
		delivery_due = DT_NOEND;
}

/* count_cost adds runs that have ended to the sums by day, and looks whether a budget is to warn. */
static void
count_cost(TimestampTz now)
{
	EtlBudgetAlert *alert;

	if (!count_owed && now < budget_due)
		return;
	etl_step_begin();
	if (count_owed)
		count_owed = etl_cost_day_count();
	for (int i = !count_owed && etl_budget_exists() ? etl_budget_due(&alert) : 0; i > 0; i--)
		etl_alert_budget(&alert[i - 1]);
	etl_step_end();
	budget_due = TimestampTzPlusMilliseconds(now, BUDGET_PAUSE);
}

/* forget_history deletes a portion of old history. */
static void
forget_history(TimestampTz now)
{
	bool more;

	if (now < retention_due)
		return;
	etl_step_begin();
	more = etl_retention_step();
	more = etl_undo_purge() || more;
	etl_step_end();
	retention_due = more ? now : TimestampTzPlusMilliseconds(now, RETENTION_PAUSE);
}

/* exists says whether there is anything to look at. */
static bool
exists(void)
{
	bool result;

	etl_step_begin();
	result = etl_chores_may_work();
	etl_step_end();
	return result;
}

/* do_all does what is due. An error in one of these must not stop the runs: it is logged, and tried again later. */
static void
do_all(void)
{
	MemoryContext caller = CurrentMemoryContext;

	PG_TRY();
	{
		TimestampTz now = GetCurrentTimestamp();

		look_at_plans(now);
		count_cost(now);
		deliver(now);
		forget_history(now);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		EmitErrorReport();
		FlushErrorState();
		AbortCurrentTransaction();
		looked_at = GetCurrentTimestamp();
		count_owed = false;
		schedule_due = retention_due = budget_due = TimestampTzPlusMilliseconds(looked_at, ERROR_PAUSE);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
}

/* etl_chores_do does what is due. */
bool
etl_chores_do(void)
{
	if (!exists())
		return false;
	do_all();
	return backfills > 0 || count_owed || retention_due <= GetCurrentTimestamp() || delivery_due < DT_NOEND;
}

/* etl_chores_next says when there is something to do again. */
TimestampTz
etl_chores_next(void)
{
	TimestampTz next = Min(schedule_due, delivery_due);

	if (look_owed)
		next = Min(next, TimestampTzPlusMilliseconds(looked_at, LOOK_PAUSE));
	if (count_owed)
		next = Min(next, GetCurrentTimestamp());
	return Min(next, retention_due);
}

/* etl_chores_run_ended notes that another run of a backfill may begin. */
void
etl_chores_run_ended(const EtlRunLine *line)
{
	backfill_moved = backfill_moved || line->backfill_id != 0;
	count_owed = true;
}

/* etl_chores_must_look makes up, before the scheduler leaves, for a look that was put off. */
bool
etl_chores_must_look(void)
{
	/* The run whose end lets the scheduler leave is counted first. */
	if (count_owed)
		return true;
	if (!look_owed)
		return false;
	looked_at = DT_NOBEGIN;
	return true;
}
