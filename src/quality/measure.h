/*
 * measure.h
 *		What a check looks at: one SQL query over its target, and the numbers that it returns.
 */
#ifndef ETL_MEASURE_H
#define ETL_MEASURE_H

#include "etl_ext.h"

typedef struct EtlMeasure
{
	int64 rows; /* all types but freshness: rows looked at */
	int64
		affected; /* rows at fault: null_pct of the worst column, surplus rows, rows that do not meet the expression */
	const char *column; /* null_pct: the worst column */
	const char *newest; /* freshness: highest value as text; NULL: no row has one */
	bool finite;		/* freshness: newest is not an infinity */
	double age;			/* freshness: age of newest in seconds, negative in the future */
} EtlMeasure;

/* The query of a check. Names in filter and expression are read with the author's search_path. */
extern char *etl_measure_sql(const EtlTask *task);

/* Executes sql as the current user with the current search_path. */
extern void etl_measure_run(const EtlTask *task, const char *sql, EtlMeasure *measure);

#endif /* ETL_MEASURE_H */
