/*
 * late_accept.c
 *		Brings late rows from etl.quarantine into their target after all. See late.h.
 */
#include "postgres.h"

#include "catalog/quarantine.h"
#include "catalog/spi.h"
#include "load/apply.h"
#include "load/capture.h"
#include "load/late.h"
#include "load/target.h"
#include "load/text.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Rows that are taken at a time. */
#define ROWS 1000

/* append_types appends the columns with the types that the query has. */
static void
append_types(StringInfo sql, const EtlPlan *plan)
{
	for (int i = 0; i < plan->columns.n; i++)
	{
		const EtlColumn *column = &plan->columns.column[i];

		appendStringInfo(sql, "%s%s %s%s", i > 0 ? ", " : "", column->quoted,
						 etl_text_type(column->type, column->typmod),
						 etl_text_collate(column->collation, column->type));
	}
}

/* take_rows copies the rows into a table; its columns are those of the query, and a number that keeps their order. */
static int64
take_rows(const EtlPlan *plan, const char *table, int64 run_id)
{
	StringInfoData types;
	StringInfoData names;
	int64 after = 0;
	int64 n = 0;
	Jsonb *rows;

	initStringInfo(&types);
	initStringInfo(&names);
	append_types(&types, plan);
	etl_text_columns(&names, plan, "");
	(void) etl_sql_exec(psprintf("CREATE TEMPORARY TABLE %s (%s, _etl_seq bigint) ON COMMIT DROP", table, types.data),
						SPI_OK_UTILITY);
	while ((rows = etl_quarantine_late(plan->task->task_id, run_id, &after, ROWS)) != NULL)
	{
		char *json = JsonbToCString(NULL, &rows->root, VARSIZE(rows));

		CHECK_FOR_INTERRUPTS();
		n += (int64) etl_sql_exec(psprintf("INSERT INTO %s SELECT %s, " INT64_FORMAT
										   " FROM pg_catalog.jsonb_to_recordset("
										   "%s::pg_catalog.jsonb) AS r(%s)",
										   table, names.data, after, quote_literal_cstr(json), types.data),
								  SPI_OK_INSERT);
		pfree(json);
		pfree(rows);
	}
	return n;
}

/* etl_late_accept does in the caller's transaction what a run would do with these rows. */
int64
etl_late_accept(EtlTask *task, int64 run_id)
{
	EtlAttempt attempt = {
		.run_id = run_id, .task = task, .takes_late = true, .is_inline = true, .context = CurrentMemoryContext};
	EtlPlan *plan = etl_target_plan(task);
	EtlDelta *delta = etl_delta_make(&attempt, plan, NULL);
	char *table = etl_delta_temporary(delta, "late");
	EtlCapture *capture;
	StringInfoData query;
	int64 n;

	etl_target_lock(plan->target);
	n = take_rows(plan, table, run_id);
	initStringInfo(&query);
	appendStringInfoString(&query, "SELECT ");
	etl_text_columns(&query, plan, "l.");
	appendStringInfo(&query, ", l._etl_seq FROM %s AS l", table);
	delta->query = query.data;
	plan->compile->n_sequence = 1;
	etl_delta_fill(delta);
	capture = etl_capture_open(plan);
	delta->old = etl_capture_columns(capture);
	if (delta->rows > 0)
		etl_apply_run(delta);
	etl_capture_write(capture, &attempt, &delta->images);
	etl_delta_end(delta);
	etl_quarantine_forget_late(task->task_id, run_id);
	return n;
}
