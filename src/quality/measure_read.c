/*
 * measure_read.c
 *		Executing the queries of checks, and what they return. See measure.h.
 */
#include "postgres.h"

#include <math.h>

#include "executor/spi.h"
#include "miscadmin.h"
#include "quality/measure.h"
#include "quality/schema_check.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* The only row of a result while SPI is connected; columns count from 1. */
typedef struct Row
{
	MemoryContext caller;
} Row;

/* row_open executes a query. Its own SPI code, because one row has several columns. */
static Row
row_open(const char *sql)
{
	Row row = {CurrentMemoryContext};
	int rc;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	rc = SPI_execute(sql, false, 0);
	if (rc != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "check query returned %s with " UINT64_FORMAT " rows: %s", SPI_result_code_string(rc),
			 SPI_processed, sql);
	MemoryContextSwitchTo(row.caller);
	return row;
}

/* row_close frees it. */
static void
row_close(const Row *row)
{
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	MemoryContextSwitchTo(row->caller);
}

/* row_datum reads a column. */
static Datum
row_datum(int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, isnull);
}

/* row_int64 reads a bigint that cannot be NULL. */
static int64
row_int64(int column)
{
	bool isnull;
	Datum value = row_datum(column, &isnull);

	if (isnull)
		elog(ERROR, "measured value is null");
	return DatumGetInt64(value);
}

/* row_double reads a double; false: it is NULL. */
static bool
row_double(int column, double *value)
{
	bool isnull;
	Datum datum = row_datum(column, &isnull);

	*value = isnull ? 0 : DatumGetFloat8(datum);
	return !isnull;
}

/* count_of reads the count of a check with a number, from 0, behind the number of its rows. */
static int64
count_of(const EtlProbe *probe, int number)
{
	ArrayType *counts;
	bool isnull;
	Datum value;

	if (probe->tally_column == 0)
		return row_int64(probe->first + 1 + number);
	value = row_datum(probe->tally_column, &isnull);
	/* Without any row there is no array. */
	if (isnull)
		return 0;
	counts = DatumGetArrayTypeP(value);
	if (ArrayGetNItems(ARR_NDIM(counts), ARR_DIMS(counts)) <= probe->tally + number)
		elog(ERROR, "etl.tally has not counted everything");
	return ((int64 *) ARR_DATA_PTR(counts))[probe->tally + number];
}

/* read_freshness reads newest, whether it is finite, and its age. */
static void
read_freshness(EtlProbe *probe)
{
	EtlMeasure *measure = &probe->measure;
	char *newest = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, probe->first);
	bool isnull;
	Datum value;

	measure->newest = newest ? pstrdup(newest) : NULL;
	value = row_datum(probe->first + 1, &isnull);
	measure->finite = !isnull && DatumGetBool(value);
	if (!row_double(probe->first + 2, &measure->age))
		measure->age = newest && newest[0] != '-' ? -INFINITY : INFINITY;
}

/* read_nulls finds the column with the most NULLs. */
static void
read_nulls(EtlProbe *probe)
{
	EtlMeasure *measure = &probe->measure;

	measure->affected = -1;
	for (int i = 0; i < probe->task->columns.n; i++)
	{
		int64 nulls = measure->rows - count_of(probe, i);

		if (nulls > measure->affected)
		{
			measure->affected = nulls;
			measure->column = probe->task->columns.name[i];
		}
	}
}

/* read_parts reads the rows of each part and works out their shares. */
static void
read_parts(EtlProbe *probe)
{
	EtlMeasure *measure = &probe->measure;
	const EtlBuckets *buckets = probe->buckets;
	int64 left = measure->rows;

	if (measure->rows == 0)
		return;
	measure->share = palloc(sizeof(double) * buckets->n);
	for (int i = 0; i < buckets->n_counted; i++)
	{
		int64 rows = row_int64(probe->first + 1 + i);

		left -= rows;
		measure->share[i] = (double) rows / measure->rows;
	}
	measure->share[buckets->n_counted] = (double) left / measure->rows;
}

/* read_scan reads the columns of one check. */
static void
read_scan(EtlProbe *probe)
{
	EtlMeasure *measure = &probe->measure;

	switch (probe->type->kind)
	{
		case ETL_CHECK_FRESHNESS:
			read_freshness(probe);
			return;
		case ETL_CHECK_RECONCILIATION:
		case ETL_CHECK_ANOMALY:
			measure->has_value = row_double(probe->first, &measure->value);
			return;
		default:
			measure->rows = row_int64(probe->first);
	}
	if (probe->type->kind == ETL_CHECK_NULL_PCT)
		read_nulls(probe);
	else if (probe->type->kind == ETL_CHECK_DISTRIBUTION)
		read_parts(probe);
	else if (probe->type->is_by_row)
		measure->affected = count_of(probe, 0);
}

/* read_own reads the result of a query of its own. */
static void
read_own(EtlProbe *probe)
{
	EtlMeasure *measure = &probe->measure;

	switch (probe->type->kind)
	{
		case ETL_CHECK_DUPLICATES:
			measure->rows = row_int64(1);
			measure->affected = measure->rows - row_int64(2);
			break;
		case ETL_CHECK_UNIQUE:
			measure->rows = row_int64(1);
			measure->affected = row_int64(2);
			break;
		case ETL_CHECK_QUERY:
			measure->affected = row_int64(1);
			break;
		case ETL_CHECK_RECONCILIATION:
			measure->has_source = row_double(1, &measure->source);
			break;
		default:
			elog(ERROR, "a check of type \"%s\" has no query of its own", probe->type->name);
	}
}

/* measure_alone measures what is no part of the scan. */
static void
measure_alone(EtlProbe *probe)
{
	char *sql = etl_measure_own_sql(probe);
	Row row;

	if (probe->type->kind == ETL_CHECK_SCHEMA)
		etl_schema_check_compare(probe);
	if (sql == NULL)
		return;
	row = row_open(sql);
	read_own(probe);
	row_close(&row);
}

/* etl_measure_run executes the scan, then the others. */
void
etl_measure_run(EtlProbe *probe, int n)
{
	char *sql = etl_measure_sql(probe, n);

	if (sql != NULL)
	{
		Row row = row_open(sql);

		for (int i = 0; i < n; i++)
			if (probe[i].first > 0)
				read_scan(&probe[i]);
		row_close(&row);
	}
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		measure_alone(&probe[i]);
	}
}
