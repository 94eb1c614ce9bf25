/*
 * extract_plan.h
 *		What the next run of an extract would ask its source, for explain_task and validate. Nothing is executed.
 */
#ifndef ETL_EXTRACT_PLAN_H
#define ETL_EXTRACT_PLAN_H

#include "source/extract_run.h"
#include "source/page.h"
#include "source/plan_probe.h"

typedef struct EtlExtractPlan
{
	EtlExtract extract; /* as far as a run would fill it in before it reads; remote is not connected */
	EtlAttempt attempt;
	const char *reader; /* name of the reader */
	const char *reason; /* why not a faster one; NULL: it is the fastest */
	bool is_feed;		/* the source has a feed: only extract and attempt are filled in */
	bool is_own;		/* the reader has a connection of its own, and sends all conditions to the source */
	EtlPage page;		/* of the query reader, if it is not */
	char *sql;			/* the first statement */
	char *all;			/* the same without the limit of a chunk */
} EtlExtractPlan;

/*
 * Plans the next run as the current user, with the author's search_path and pinned settings. sample: as if there were a
 * watermark, whatever it is. Close the remote with etl_extract_plan_end.
 */
extern EtlExtractPlan *etl_extract_plan_make(const EtlTask *task, bool sample);
extern void etl_extract_plan_end(EtlExtractPlan *plan);

/*
 * The number of rows that the next run would read, as the source's planner estimates it, or as our own does for a source
 * without a server that we connect to; -1: *why_not says why it is not known. Connects to the source.
 */
extern double etl_extract_plan_rows(EtlExtractPlan *plan, const char **why_not);

/* The source's plan of the statement, a list of lines; only after etl_extract_plan_rows, of a reader of its own. */
extern List *etl_extract_plan_remote(EtlExtractPlan *plan);

#endif /* ETL_EXTRACT_PLAN_H */
