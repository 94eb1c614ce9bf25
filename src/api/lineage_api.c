/*
 * lineage_api.c
 *		The SQL functions that tell of lineage.
 */
#include "postgres.h"

#include "api/args.h"
#include "catalog/lineage_task.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "dag/lineage.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "lineage/dataset.h"
#include "lineage/graph.h"
#include "lineage/task_flow.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"
#include "utils/varlena.h"

PG_FUNCTION_INFO_V1(etl_column_lineage_of);
PG_FUNCTION_INFO_V1(etl_dataset_of);
PG_FUNCTION_INFO_V1(etl_impact);
PG_FUNCTION_INFO_V1(etl_origin);

/* Text that is not there is NULL. */
static void
set_text(Datum *value, bool *isnull, const char *text)
{
	*isnull = text == NULL;
	*value = text ? CStringGetTextDatum(text) : (Datum) 0;
}

/* etl.column_lineage_of(task_id bigint) RETURNS SETOF (output, output_column, input, input_column, kind, via, problem) */
Datum
etl_column_lineage_of(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	EtlLineageTask *task;
	ListCell *cell;
	char *problem;

	InitMaterializedSRF(fcinfo, 0);
	if (etl_lineage_task_list(PG_GETARG_INT64(0), &task) == 0)
		return (Datum) 0;
	foreach (cell, etl_task_flow_guarded(task[0].task, &problem))
	{
		const EtlFlow *flow = lfirst(cell);
		Datum value[7];
		bool isnull[7];

		set_text(&value[0], &isnull[0], flow->output);
		set_text(&value[1], &isnull[1], flow->output_column);
		set_text(&value[2], &isnull[2], flow->input);
		set_text(&value[3], &isnull[3], flow->input_column);
		set_text(&value[4], &isnull[4], etl_flow_kind_name(flow->kind));
		set_text(&value[5], &isnull[5], flow->via);
		set_text(&value[6], &isnull[6], problem);
		tuplestore_putvalues(result->setResult, result->setDesc, value, isnull);
	}
	return (Datum) 0;
}

/* etl.dataset_of(relation text) RETURNS text */
Datum
etl_dataset_of(PG_FUNCTION_ARGS)
{
	RangeVar *range = makeRangeVarFromNameList(etl_compat_qualified_name(text_to_cstring(PG_GETARG_TEXT_PP(0))));
	Oid schema = range->schemaname ? get_namespace_oid(range->schemaname, true) : InvalidOid;
	Oid relation = OidIsValid(schema) ? get_relname_relid(range->relname, schema) : InvalidOid;
	EtlDataset dataset;

	if (!etl_dataset_of_source(relation, &dataset))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(etl_dataset_uri(&dataset)));
}

/* path_of returns the way to a node, its beginning first. */
static Datum
path_of(const EtlReach *reach)
{
	int n = reach->distance + 1;
	Datum *step = palloc(sizeof(Datum) * n);

	for (int i = n - 1; reach != NULL && i >= 0; i--, reach = reach->from)
	{
		const char *object = reach->object ? reach->object : psprintf("check %s", quote_identifier(reach->task));

		step[i] = CStringGetTextDatum(reach->column ? psprintf("%s.%s", object, quote_identifier(reach->column))
													: object);
	}
	return PointerGetDatum(construct_array(step, n, TEXTOID, -1, false, TYPALIGN_INT));
}

/* put_reach writes a step as a row. */
static void
put_reach(ReturnSetInfo *result, const EtlReach *reach)
{
	Datum value[8];
	bool isnull[8];

	value[0] = Int32GetDatum(reach->distance);
	isnull[0] = false;
	set_text(&value[1], &isnull[1], reach->pipeline);
	set_text(&value[2], &isnull[2], reach->task);
	set_text(&value[3], &isnull[3], reach->through);
	set_text(&value[4], &isnull[4], reach->object);
	set_text(&value[5], &isnull[5], reach->column);
	set_text(&value[6], &isnull[6], reach->kind >= 0 ? etl_flow_kind_name((EtlFlowKind) reach->kind) : NULL);
	value[7] = path_of(reach);
	isnull[7] = false;
	tuplestore_putvalues(result->setResult, result->setDesc, value, isnull);
}

/* raise_missing refuses what nothing is called. */
static void
pg_attribute_noreturn() raise_missing(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE), errmsg("there is no relation or column \"%s\"", what),
			 errdetail("It is neither a relation of this database nor read or written by a task that you see."),
			 errhint("Write schema.table or schema.table.column, in double quotes where a name needs them; etl.lineage "
					 "lists what tasks read and write.")));
}

/* name_of returns the qualified, quoted name of a relation that is there, or that a task names; NULL: there is none. */
static const char *
name_of(const EtlLineageGraph *graph, const char *schema, const char *relation)
{
	const char *name;
	Oid oid;

	if (schema == NULL)
	{
		oid = RelnameGetRelid(relation);
		return OidIsValid(oid) ? etl_lineage_name(oid) : NULL;
	}
	name = quote_qualified_identifier(schema, relation);
	oid = get_namespace_oid(schema, true);
	if (OidIsValid(oid) && OidIsValid(get_relname_relid(relation, oid)))
		return name;
	return etl_lineage_graph_knows(graph, name) ? name : NULL;
}

/* check_column refuses a column that a relation which is there does not have. */
static void
check_column(const char *relation, const char *column)
{
	Oid oid = RangeVarGetRelid(makeRangeVarFromNameList(etl_compat_qualified_name(relation)), NoLock, true);

	if (OidIsValid(oid) && get_attnum(oid, column) == InvalidAttrNumber)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						errmsg("column \"%s\" of relation %s does not exist", column, relation),
						errdetail("The last part of the name was taken for a column."),
						errhint("Write schema.table for the whole table, or name one of its columns.")));
}

/* find finds what a name means: a relation, or a column of one. */
static const char *
find(const EtlLineageGraph *graph, const char *what, const char **column)
{
	List *parts;
	bool is_valid = SplitIdentifierString(pstrdup(what), '.', &parts);
	int n = is_valid ? list_length(parts) : 0;
	const char *first = n > 0 ? linitial(parts) : NULL;
	const char *second = n > 1 ? lsecond(parts) : NULL;
	const char *name = NULL;

	*column = NULL;
	if (n == 3)
	{
		*column = lthird(parts);
		name = name_of(graph, first, second);
	}
	else if (n == 2)
	{
		name = name_of(graph, first, second);
		if (name == NULL)
		{
			*column = second;
			name = name_of(graph, NULL, first);
		}
	}
	else if (n == 1)
		name = name_of(graph, NULL, first);
	if (name == NULL)
		raise_missing(what);
	if (*column != NULL)
		check_column(name, *column);
	return name;
}

/* tables_of returns the names of the foreign tables behind which a source outside is. Errors: 42P01. */
static List *
tables_of(const char *uri)
{
	MemoryContext caller = CurrentMemoryContext;
	List *tables = NIL;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute("SELECT ftrelid FROM pg_catalog.pg_foreign_table ORDER BY ftrelid", true, 0) != SPI_OK_SELECT)
		elog(ERROR, "foreign tables could not be listed");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool isnull;
		Oid table = DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));
		EtlDataset dataset;
		MemoryContext spi = MemoryContextSwitchTo(caller);

		if (etl_dataset_of_source(table, &dataset) && strcmp(etl_dataset_uri(&dataset), uri) == 0)
			tables = lappend(tables, etl_lineage_name(table));
		MemoryContextSwitchTo(spi);
	}
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	MemoryContextSwitchTo(caller);
	if (tables == NIL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("there is no source \"%s\"", uri),
						errdetail("No foreign table of this database reads it."),
						errhint("SELECT DISTINCT input_dataset FROM etl.lineage lists the sources that tasks read.")));
	return tables;
}

/* put_walk writes all that is connected with something, in one direction. */
static Datum
put_walk(FunctionCallInfo fcinfo, bool upstream)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	const char *what = etl_args_required(fcinfo, "what");
	bool indirect = PG_ARGISNULL(1) || PG_GETARG_BOOL(1);
	EtlLineageGraph *graph;
	const char *column = NULL;
	List *starts;
	ListCell *start;
	ListCell *cell;

	InitMaterializedSRF(fcinfo, 0);
	graph = etl_lineage_graph_make();
	if (strstr(what, "://") != NULL)
		starts = tables_of(what);
	else
		starts = list_make1((void *) find(graph, what, &column));
	foreach (start, starts)
		foreach (cell, etl_lineage_graph_walk(graph, lfirst(start), column, upstream, indirect))
			put_reach(result, lfirst(cell));
	return (Datum) 0;
}

/* etl.impact(what text, indirect boolean) RETURNS SETOF (distance, pipeline, task, through, object, column_name, kind, path) */
Datum
etl_impact(PG_FUNCTION_ARGS)
{
	return put_walk(fcinfo, false);
}

/* etl.origin(what text, indirect boolean) RETURNS SETOF (distance, pipeline, task, through, object, column_name, kind, path) */
Datum
etl_origin(PG_FUNCTION_ARGS)
{
	return put_walk(fcinfo, true);
}
