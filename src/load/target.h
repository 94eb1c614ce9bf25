/*
 * target.h
 *		The table that a load writes.
 */
#ifndef ETL_TARGET_H
#define ETL_TARGET_H

#include "load/plan.h"

/* The table of that name (search_path applies), or InvalidOid with the schema and name that it would have. */
extern Oid etl_target_find(const char *target, char **schema, char **name);

/* Creates schema.name for the columns of the plan, the schema too when it is missing. Errors: 42501 with the GRANT. */
extern void etl_target_create(const EtlPlan *plan, const char *schema, const char *name);

/* The plan of a task, matched with its target. Errors: 42P01 and those of etl_plan_make and etl_target_match. */
extern EtlPlan *etl_target_plan(const EtlTask *task);

/* Checks that the target can take the columns of the plan and fills in what it makes of them. */
extern void etl_target_match(EtlPlan *plan, Oid target);

/* Whether a valid index begins with the column. */
extern bool etl_target_leads_index(Oid relation, const char *column);

/* Waits for other loads of the same target; held until the end of the transaction. */
extern void etl_target_lock(Oid target);

#endif /* ETL_TARGET_H */
