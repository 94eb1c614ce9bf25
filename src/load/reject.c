/*
 * reject.c
 *		Moves rows to etl.quarantine. See reject.h.
 */
#include "postgres.h"

#include "catalog/quarantine.h"
#include "catalog/spi.h"
#include "load/reject.h"
#include "load/text.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

/* etl_reject_rows makes JSON of the rows with the rights of the task's owner and hands it to the catalog. */
void
etl_reject_rows(const EtlDelta *delta, const EtlReject *reject, const char *condition)
{
	const EtlTask *task = delta->plan->task;
	EtlAttempt *attempt = delta->attempt;
	EtlQuarantine quarantine = {
		.pipeline_id = task->pipeline_id,
		.task_id = task->task_id,
		.run_id = attempt->run_id,
		.task_run_id = attempt->task_run_id,
		.target = delta->plan->target_name,
		.reason = reject->reason,
		.sqlstate = reject->sqlstate,
		.column_name = reject->column,
	};
	StringInfoData sql;
	char *rows;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT pg_catalog.jsonb_agg(pg_catalog.to_jsonb(r)) FROM (SELECT ");
	if (reject->columns != NULL)
		appendStringInfoString(&sql, reject->columns);
	for (int i = 0; reject->columns == NULL && i < delta->plan->columns.n; i++)
		/* Columns of etl_ext's own, which mode scd2 adds, are no part of the row. */
		if (strncmp(delta->plan->columns.column[i].name, "_etl_", strlen("_etl_")) != 0)
			appendStringInfo(&sql, "%ss.%s", i > 0 ? ", " : "", delta->plan->columns.column[i].quoted);
	appendStringInfo(&sql, " FROM %s AS s WHERE %s) AS r", reject->table, condition);
	rows = etl_sql_text(sql.data);
	if (rows == NULL)
		return;
	attempt->counts.rejected += etl_quarantine_insert(
		&quarantine, DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(rows))));
	pfree(rows);
	pfree(sql.data);
}
