/*
 * lineage_task.c
 *		The tasks whose lineage somebody asks for. See lineage_task.h.
 */
#include "postgres.h"

#include "catalog/lineage_task.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

/* visible_ids returns the numbers of the tasks that the current user sees, as an array: the row policies decide. */
static char *
visible_ids(int64 task_id)
{
	if (task_id != 0)
		return etl_sql_text(
			psprintf("SELECT pg_catalog.array_agg(task_id) FROM etl.task WHERE task_id = " INT64_FORMAT, task_id));
	return etl_sql_text("SELECT pg_catalog.array_agg(task_id) FROM etl.task");
}

/* etl_lineage_task_list reads the definitions. */
int
etl_lineage_task_list(int64 task_id, EtlLineageTask **task)
{
	static EtlStatement list = {
		"SELECT p.name AS pipeline, coalesce(r.owner, p.owner)::oid AS runs_as, " ETL_TASK_COLUMNS
		" FROM etl.task AS r JOIN etl.pipeline AS p ON p.pipeline_id = r.pipeline_id "
		"WHERE r.task_id = ANY ($1::bigint[]) ORDER BY p.name, r.task_id",
		1,
		{TEXTOID}};
	char *ids = visible_ids(task_id);
	EtlScope scope;
	Datum value;
	int n;

	if (ids == NULL)
		return 0;
	value = CStringGetTextDatum(ids);
	etl_catalog_begin(&scope);
	n = (int) etl_catalog_exec(&list, &value, NULL, SPI_OK_SELECT);
	*task = MemoryContextAlloc(scope.caller, sizeof(EtlLineageTask) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		EtlRow row = etl_catalog_row(&scope, i);

		(*task)[i].pipeline = etl_row_text(&row, "pipeline");
		(*task)[i].task = etl_task_read(&row);
		(*task)[i].task->owner = etl_row_oid(&row, "runs_as");
	}
	etl_catalog_end(&scope);
	return n;
}
