/*
 * check.h
 *		Quality checks: a question about the rows of one table, asked by one SQL query.
 *
 *		row_count			number of rows; a breach when there are fewer than the threshold
 *		row_count_variance	change of that number since the last evaluation in an earlier run, in percent
 *		null_pct			share of rows without a value, of the worst of columns
 *		freshness			age of the highest value of one date or timestamp column; date and timestamp are read in the
 *							session's time zone
 *		duplicates			rows beyond the first of each combination of columns (NULLs are equal), as count or percent
 *		expression			rows for which expression is not true (NULL is not true), as count or percent
 */
#ifndef ETL_CHECK_H
#define ETL_CHECK_H

#include "api/problem.h"
#include "catalog/check_result.h"
#include "etl_ext.h"

/*
 * Checks the definition of a check and completes it: target qualified, thresholds' defaults, reads and writes. Called as
 * the task's owner with the author's search_path. Errors: 22023, 42P01, 42703, 42804, 42809, those of parsing SQL.
 */
extern void etl_check_define(EtlTask *task);

/*
 * Evaluates a check as the current user. result->run_id and task_run_id are given. What keeps the query from being
 * executed (a dropped table, a missing privilege) is raised as it is.
 */
extern void etl_check_evaluate(const EtlTask *task, EtlCheckResult *result);

/* List of EtlProblem: what would keep the check from being evaluated by its owner. */
extern List *etl_check_problems(const EtlTask *task);

/* List of char *: the query and its plan, line by line. */
extern List *etl_check_explain(const EtlTask *task);

#endif /* ETL_CHECK_H */
