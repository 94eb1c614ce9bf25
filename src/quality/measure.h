/*
 * measure.h
 *		What checks look at, and the numbers that they find: all checks of one table in one scan of it, and beside that the
 *		questions that need a query of their own.
 */
#ifndef ETL_MEASURE_H
#define ETL_MEASURE_H

#include "etl_ext.h"
#include "nodes/pg_list.h"
#include "quality/buckets.h"
#include "quality/check_type.h"
#include "quality/history.h"

typedef struct EtlMeasure
{
	int64 rows;			/* rows looked at; not of freshness, schema, query */
	int64 affected;		/* rows at fault: null_pct of the worst column; surplus rows; rows of a query */
	const char *column; /* null_pct: the worst column */
	const char *newest; /* freshness: highest value as text; NULL: no row has one */
	bool finite;		/* freshness: newest is not an infinity */
	double age;			/* freshness: age of newest in seconds, negative in the future */
	bool has_value;		/* anomaly, reconciliation: false: the aggregate was NULL */
	double value;
	bool has_source; /* reconciliation: the same of the source */
	double source;
	double *share;	   /* distribution: of each of the parts; NULL: no rows */
	List *differences; /* schema: char *, in words */
	Jsonb *columns;	   /* schema: {column: type} */
	bool has_former;   /* schema: there was something to compare with */
} EtlMeasure;

/* A check that is being evaluated. Strings live in the context that was current at etl_measure_prepare. */
typedef struct EtlProbe
{
	const EtlTask *task;
	const EtlCheckType *type;
	const EtlSource *target;
	char *where;		 /* condition on the rows that are looked at; NULL: all */
	EtlHistory history;	 /* what earlier runs measured */
	EtlBuckets *buckets; /* distribution */
	int first;			 /* its first column in the scan, from 1; 0: none */
	int tally_column;	 /* column with the counts of etl.tally; 0: its counts are columns behind first */
	int tally;			 /* place of its first count there, from 0 */
	EtlMeasure measure;
} EtlProbe;

/*
 * Describes a check that is to be evaluated in a run (0: in none; rolls_back: before a commit that it may prevent) and, for distribution, chooses the parts by the data.
 * With the author's search_path, as the owner.
 */
extern void etl_measure_prepare(EtlProbe *probe, const EtlTask *task, int64 run_id, bool rolls_back);

/* The same without looking at data or history, for etl_measure_sql. */
extern void etl_measure_describe(EtlProbe *probe, const EtlTask *task, int64 run_id);

/* The query that measures n checks of one target; NULL: they need none. Fills in where each one's columns are. */
extern char *etl_measure_sql(EtlProbe *probe, int n);

/* The query that a check needs beside it or instead of it; NULL: none. */
extern char *etl_measure_own_sql(const EtlProbe *probe);

/* Executes both for n checks of one target, as the current user with the current search_path. */
extern void etl_measure_run(EtlProbe *probe, int n);

#endif /* ETL_MEASURE_H */
