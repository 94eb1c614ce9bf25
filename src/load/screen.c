/*
 * screen.c
 *		Rows that a check puts aside. See screen.h.
 */
#include "postgres.h"

#include "catalog/spi.h"
#include "load/dml.h"
#include "load/reject.h"
#include "load/screen.h"
#include "miscadmin.h"
#include "quality/screen.h"
#include "utils/guc.h"
#include "utils/memutils.h"

/* Rows that are put aside by one statement. */
#define ROWS 1000

/* note_faults notes where the rows at fault are, under the author's search_path. Returns how many there are. */
static int64
note_faults(const EtlDelta *delta, EtlScreen *screen, const char *faults)
{
	MemoryContext caller = MemoryContextSwitchTo(delta->attempt->context);
	int level = etl_attempt_author_path(screen->check);
	char *alias;
	char *condition = etl_screen_condition(screen, &alias);
	int64 n = (int64) etl_sql_exec(
		psprintf(
			"CREATE TEMPORARY TABLE %s ON COMMIT DROP AS SELECT %s.ctid AS tid, pg_catalog.row_number() OVER () AS n"
			" FROM %s AS %s WHERE %s",
			faults, alias, delta->table, alias, condition),
		SPI_OK_UTILITY);

	etl_screen_note(screen, delta->rows, n, delta->table, condition);
	AtEOXact_GUC(true, level);
	MemoryContextSwitchTo(caller);
	return n;
}

/* put_aside copies them to the quarantine, some at a time. */
static void
put_aside(const EtlDelta *delta, const EtlScreen *screen, const char *faults, int64 n)
{
	const EtlTask *check = screen->check;
	EtlReject reject = {delta->table, psprintf("check \"%s\"", check->name), "ZE003",
						check->columns.n == 1 ? check->columns.name[0] : NULL};

	for (int64 first = 0; first < n; first += ROWS)
	{
		CHECK_FOR_INTERRUPTS();
		etl_reject_rows(delta, &reject,
						psprintf("s.ctid = ANY (ARRAY(SELECT f.tid FROM %s AS f WHERE f.n > " INT64_FORMAT
								 " AND f.n <= " INT64_FORMAT "))",
								 faults, first, first + ROWS));
	}
}

/* forget_touched leaves the rows that the target has of the keys as they are: they are not gone. */
static void
forget_touched(const EtlDelta *delta, const char *faults)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "DELETE FROM %s AS g USING %s AS s, %s AS f WHERE s.ctid = f.tid", delta->touched,
					 delta->table, faults);
	for (int i = 0; i < delta->plan->n_key; i++)
		appendStringInfo(&sql, " AND NOT g.%s IS DISTINCT FROM s.%s", etl_plan_key(delta->plan, i)->quoted,
						 etl_plan_key(delta->plan, i)->quoted);
	(void) etl_dml_run(sql.data);
}

/* screen_by moves the rows that one check finds at fault. */
static void
screen_by(EtlDelta *delta, EtlScreen *screen)
{
	char *faults = etl_delta_temporary(delta, psprintf("faults_" INT64_FORMAT, screen->check->task_id));
	int64 n = note_faults(delta, screen, faults);

	if (n > 0)
	{
		put_aside(delta, screen, faults, n);
		if (delta->touched != NULL)
			forget_touched(delta, faults);
		(void) etl_dml_run(psprintf("DELETE FROM %s AS s USING %s AS f WHERE s.ctid = f.tid", delta->table, faults));
		delta->rows -= n;
		if (delta->is_complete && delta->plan->mode != ETL_MODE_REPLACE)
			etl_attempt_note(delta->attempt,
							 "Rows that the query does not return were kept, because rows were rejected.");
		delta->is_complete = delta->is_complete && delta->plan->mode == ETL_MODE_REPLACE;
	}
	etl_delta_drop(faults);
}

/* etl_screen_run goes through the checks in the order in which they were added. */
void
etl_screen_run(EtlDelta *delta)
{
	ListCell *cell;

	foreach (cell, delta->attempt->screens)
		screen_by(delta, lfirst(cell));
}
