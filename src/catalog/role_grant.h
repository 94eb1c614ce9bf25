/* role_grant.h: the table etl.role_grant. */
#ifndef ETL_ROLE_GRANT_H
#define ETL_ROLE_GRANT_H

#include "etl_ext.h"
#include "utils/array.h"

/* What a role may do with a pipeline; each level has what those before it have. */
typedef enum EtlLevel
{
	ETL_LEVEL_NONE,
	ETL_LEVEL_VIEWER,
	ETL_LEVEL_OPERATOR,
	ETL_LEVEL_AUTHOR,
	ETL_LEVEL_ADMIN
} EtlLevel;

extern const char *etl_role_grant_level_name(EtlLevel level);

/* ETL_LEVEL_NONE: there is no such level. */
extern EtlLevel etl_role_grant_level(const char *name);

/* The highest level that grants give a role for a pipeline; pipeline_id 0: for all pipelines. */
extern EtlLevel etl_role_grant_held(Oid role, int64 pipeline_id);

/* The numbers of the pipelines for which grants give a role a level or more, as bigint[]. */
extern ArrayType *etl_role_grant_pipelines(Oid role, EtlLevel level);

/* Stores a grant, or changes its level. gives_usage: USAGE on schema etl comes with it. */
extern void etl_role_grant_set(Oid role, int64 pipeline_id, EtlLevel level, Oid granted_by, bool gives_usage);

/* Takes a grant away; false if there was none. */
extern bool etl_role_grant_delete(Oid role, int64 pipeline_id);

/* Takes all grants of a role away, as it is dropped. */
extern void etl_role_grant_forget(Oid role);

/* Whether the use of schema etl was given to a role by grants alone, these of BI included. */
extern bool etl_role_grant_gives_usage(Oid role);

/* Whether a role may use schema etl by a GRANT of USAGE that no grant here has made. */
extern bool etl_role_grant_has_own_usage(Oid role);

/* The roles that may use schema etl because of grants for a pipeline, and their number. */
extern int etl_role_grant_usage_of(int64 pipeline_id, Oid **role);

/* Takes the use of the schema from those roles that have no grant left that gives it. */
extern void etl_role_grant_settle_usage(const Oid *role, int n);

/* GRANT USAGE ON SCHEMA etl, or REVOKE. */
extern void etl_role_grant_usage(Oid role, bool give);

#endif /* ETL_ROLE_GRANT_H */
