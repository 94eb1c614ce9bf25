/*
 * extract.h
 *		Extracts: tasks that append the new rows of a source to a raw table.
 */
#ifndef ETL_EXTRACT_H
#define ETL_EXTRACT_H

#include "nodes/pg_list.h"
#include "worker/attempt.h"

/*
 * Checks the settings of an extract, as the task's owner with the author's search_path active; creates the raw table
 * when it is missing; sets source, target, reads and writes to schema-qualified names.
 */
extern void etl_extract_define(EtlTask *task);

/* Runs an attempt: see attempt.h. The last batch is left uncommitted for the executor. */
extern void etl_extract_run(EtlAttempt *attempt);

/* The SQL of the first page, its bounds and its plan: lines of text. Nothing is executed. */
extern List *etl_extract_explain(const EtlTask *task);

/* What is wrong with an extract now: a list of EtlProblem. Runs as the task's owner; raises no errors of its own. */
extern List *etl_extract_problems(const EtlTask *task);

#endif /* ETL_EXTRACT_H */
