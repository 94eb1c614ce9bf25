/*
 * touch.h
 *		The keys of a target that rows of an input touch, and the query for some keys only. Works on query trees.
 */
#ifndef ETL_TOUCH_H
#define ETL_TOUCH_H

#include "load/plan.h"

/* Why a plan cannot be evaluated for some of its keys; NULL: it can. */
extern const char *etl_touch_reason(const EtlPlan *plan, Query *query);

/* Turns a query into the one for its distinct keys: no groups, only key columns. */
extern void etl_touch_project(const EtlPlan *plan, Query *query);

/* Adds the condition that the key of a row is in a table, which has the plan's key columns, of the query's types. */
extern void etl_touch_restrict(const EtlPlan *plan, Query *query, const char *table);

#endif /* ETL_TOUCH_H */
