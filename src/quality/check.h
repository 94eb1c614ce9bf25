/*
 * check.h
 *		Quality checks: a question about the rows of one table. See README.md for the types.
 */
#ifndef ETL_CHECK_H
#define ETL_CHECK_H

#include "api/problem.h"
#include "catalog/check_result.h"
#include "catalog/task.h"
#include "etl_ext.h"
#include "quality/check_query.h"
#include "quality/measure.h"

/*
 * Checks the definition of a check and completes it: target qualified, thresholds' defaults, reads and writes. Called as
 * the task's owner with the author's search_path. Errors: 22023, 42P01, 42703, 42804, 42809, 42883, those of parsing SQL
 * and of values that are none of a column's type.
 */
extern void etl_check_define(EtlTask *task);

/*
 * Checks and completes where the check stands among the tasks of its pipeline: gate, stage, action. After
 * etl_check_define. Errors: 22023, 42809.
 */
extern void etl_check_place(EtlTask *task, const EtlTaskList *tasks);

/*
 * Evaluates n checks as the current user, those of one table in one scan. run_id, task_run_id and rolls_back of each result
 * are given; new strings live in the current context. What keeps a query from being executed (a dropped table, a missing
 * privilege) is raised as it is, and stands as ETL_CHECK_ERROR in the result of the check that raised it.
 */
extern void etl_check_evaluate(const EtlTask **task, EtlCheckResult **result, int n);

/* Fills in which check a result belongs to, with the state that stands if the evaluation ends in an exception. */
extern void etl_check_begin(const EtlTask *task, EtlCheckResult *result);

/* Judges what was measured. */
extern void etl_check_judge(const EtlProbe *probe, EtlCheckResult *result);

/* Whether two checks can be evaluated in the same scan. */
extern bool etl_check_goes_with(const EtlTask *one, const EtlTask *other);

/* Whether the rows at fault go to etl.quarantine instead of the target. */
extern bool etl_check_is_screen(const EtlTask *task);

/* Whether a gate is evaluated before its task begins. */
extern bool etl_check_is_before_task(const EtlTask *task);

/* Whether a check that fails only warns. */
extern bool etl_check_only_warns(const EtlTask *task);

/* Whether the tasks that read the target wait for the check. */
extern bool etl_check_holds_readers(const EtlTask *task);

/* What the queries of a check read, with the current search_path. */
extern EtlNames etl_check_reads(const EtlTask *task);

/* List of EtlProblem: what would keep the check from being evaluated by its owner. */
extern List *etl_check_problems(const EtlTask *task);

/* List of char *: the queries and their plans, line by line. */
extern List *etl_check_explain(const EtlTask *task);

#endif /* ETL_CHECK_H */
