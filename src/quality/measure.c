/*
 * measure.c
 *		What a check looks at. See measure.h.
 *
 * What the author wrote is set in parentheses on lines of its own, so that a comment at its end closes nothing else;
 * etl_check_define has made sure that it is one expression.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "compat.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "load/load.h"
#include "nodes/makefuncs.h"
#include "quality/measure.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

/* append_columns appends a list of quoted column names, each between before and after. */
static void
append_columns(StringInfo sql, const EtlNames *columns, const char *before, const char *after)
{
	for (int i = 0; i < columns->n; i++)
		appendStringInfo(sql, "%s%s%s%s", i > 0 ? ", " : "", before, quote_identifier(columns->name[i]), after);
}

/* append_source appends FROM and WHERE. */
static void
append_source(StringInfo sql, const EtlTask *task)
{
	appendStringInfo(sql, "FROM %s", task->target);
	if (task->filter)
		appendStringInfo(sql, "\nWHERE (\n%s\n)", task->filter);
}

/* is_not_null says whether a column cannot be NULL: NULLs are distinct to an index, but not to a check. */
static bool
is_not_null(Oid relation, const char *column)
{
	HeapTuple tuple = SearchSysCacheAttName(relation, column);
	bool result = HeapTupleIsValid(tuple) && ((Form_pg_attribute) GETSTRUCT(tuple))->attnotnull;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return result;
}

/* is_guarded says whether a unique index makes duplicates impossible: then counting the rows is enough. */
static bool
is_guarded(const EtlTask *task)
{
	Oid relation = RangeVarGetRelid(makeRangeVarFromNameList(etl_compat_qualified_name(task->target)), AccessShareLock,
									true);

	if (!OidIsValid(relation) || !etl_target_has_unique_key(relation, &task->columns))
		return false;
	for (int i = 0; i < task->columns.n; i++)
		if (!is_not_null(relation, task->columns.name[i]))
			return false;
	return true;
}

/* etl_measure_sql builds the query of a check. */
char *
etl_measure_sql(const EtlTask *task)
{
	StringInfoData sql;

	initStringInfo(&sql);
	if (strcmp(task->check_type, "null_pct") == 0)
	{
		appendStringInfoString(&sql, "SELECT pg_catalog.count(*), ");
		append_columns(&sql, &task->columns, "pg_catalog.count(", ")");
		appendStringInfoChar(&sql, '\n');
		append_source(&sql, task);
	}
	else if (strcmp(task->check_type, "freshness") == 0)
	{
		appendStringInfoString(&sql, "SELECT newest::pg_catalog.text, pg_catalog.isfinite(newest), CASE WHEN"
									 " pg_catalog.isfinite(newest) THEN pg_catalog.date_part('epoch',"
									 " pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) newest) END\nFROM (SELECT ");
		append_columns(&sql, &task->columns, "pg_catalog.max(", ")::pg_catalog.timestamptz AS newest\n");
		append_source(&sql, task);
		appendStringInfoString(&sql, ") AS n");
	}
	else if (strcmp(task->check_type, "duplicates") == 0 && is_guarded(task))
	{
		appendStringInfoString(&sql, "SELECT pg_catalog.count(*), pg_catalog.count(*)\n");
		append_source(&sql, task);
	}
	else if (strcmp(task->check_type, "duplicates") == 0)
	{
		appendStringInfoString(&sql, "SELECT coalesce(pg_catalog.sum(k.n), 0)::pg_catalog.int8, pg_catalog.count(*)\n"
									 "FROM (SELECT pg_catalog.count(*) AS n\n");
		append_source(&sql, task);
		appendStringInfoString(&sql, "\nGROUP BY ");
		append_columns(&sql, &task->columns, "", "");
		appendStringInfoString(&sql, ") AS k");
	}
	else if (strcmp(task->check_type, "expression") == 0)
	{
		appendStringInfo(&sql, "SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE (\n%s\n) IS NOT TRUE)\n",
						 task->expression);
		append_source(&sql, task);
	}
	else
	{
		appendStringInfoString(&sql, "SELECT pg_catalog.count(*)\n");
		append_source(&sql, task);
	}
	return sql.data;
}

/* result_int64 reads a bigint of the only row; columns count from 1. */
static int64
result_int64(int column)
{
	bool isnull;
	Datum value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &isnull);

	if (isnull)
		elog(ERROR, "measured value is null");
	return DatumGetInt64(value);
}

/* read_freshness reads the columns of a freshness query. */
static void
read_freshness(MemoryContext context, EtlMeasure *measure)
{
	HeapTuple tuple = SPI_tuptable->vals[0];
	TupleDesc desc = SPI_tuptable->tupdesc;
	char *newest = SPI_getvalue(tuple, desc, 1);
	bool isnull;
	Datum value;

	measure->newest = newest ? MemoryContextStrdup(context, newest) : NULL;
	value = SPI_getbinval(tuple, desc, 2, &isnull);
	measure->finite = !isnull && DatumGetBool(value);
	value = SPI_getbinval(tuple, desc, 3, &isnull);
	if (!isnull)
		measure->age = DatumGetFloat8(value);
	else
		measure->age = newest && newest[0] != '-' ? -INFINITY : INFINITY;
}

/* read_nulls finds the column with the most NULLs. */
static void
read_nulls(const EtlTask *task, EtlMeasure *measure)
{
	measure->rows = result_int64(1);
	measure->affected = -1;
	for (int i = 0; i < task->columns.n; i++)
	{
		int64 nulls = measure->rows - result_int64(i + 2);

		if (nulls > measure->affected)
		{
			measure->affected = nulls;
			measure->column = task->columns.name[i];
		}
	}
}

/* read_counts reads the counts of the other types; duplicates returns the number of keys, not of surplus rows. */
static void
read_counts(const EtlTask *task, EtlMeasure *measure)
{
	measure->rows = result_int64(1);
	if (strcmp(task->check_type, "duplicates") == 0)
		measure->affected = measure->rows - result_int64(2);
	else if (strcmp(task->check_type, "expression") == 0)
		measure->affected = result_int64(2);
}

/* etl_measure_run executes the query and reads its row. Its own SPI code, because one row has several columns. */
void
etl_measure_run(const EtlTask *task, const char *sql, EtlMeasure *measure)
{
	MemoryContext caller = CurrentMemoryContext;
	int rc;

	memset(measure, 0, sizeof(EtlMeasure));
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	rc = SPI_execute(sql, false, 0);
	if (rc != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "check query returned %s with " UINT64_FORMAT " rows: %s", SPI_result_code_string(rc),
			 SPI_processed, sql);
	if (strcmp(task->check_type, "freshness") == 0)
		read_freshness(caller, measure);
	else if (strcmp(task->check_type, "null_pct") == 0)
		read_nulls(task, measure);
	else
		read_counts(task, measure);
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	MemoryContextSwitchTo(caller);
}
