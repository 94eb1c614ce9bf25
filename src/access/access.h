/*
 * access.h
 *		Who may do what with pipelines.
 *
 * Whoever has the rights of a pipeline's owner may do everything with it; so may superusers. Others have the level that
 * etl.grant_role gave them. No level lets anybody run code as a role whose rights he has not: see etl_access_check_code.
 */
#ifndef ETL_ACCESS_H
#define ETL_ACCESS_H

#include "catalog/role_grant.h"

/* Whether a role may do with a pipeline what a level allows. */
extern bool etl_access_may(Oid role, const EtlPipeline *pipeline, EtlLevel level);

/* Whether a role may do it with all pipelines, those that others will make included. */
extern bool etl_access_may_all(Oid role, EtlLevel level);

/* Whether the current role has the rights of the pipeline's owner. */
extern bool etl_access_is_owner(const EtlPipeline *pipeline);

/* Errors: 42501. */
extern void etl_access_check(Oid role, const EtlPipeline *pipeline, EtlLevel level);

/*
 * The pipeline of that name, for the current role to do with it what a level allows, locked against other changes. Errors:
 * 42704, 42501.
 */
extern EtlPipeline *etl_access_pipeline(const char *name, EtlLevel level);

/* Refuses a role whose use of schema etl came with a lesser grant to make things of its own. Errors: 42501. */
extern void etl_access_check_create(const char *what);

/* Refuses to let a task do something else by a role without the rights that the task has. Errors: 42501. */
extern void etl_access_check_code(const EtlTask *task, Oid owner);

#endif /* ETL_ACCESS_H */
