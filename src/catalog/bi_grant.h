/* bi_grant.h: the table etl.bi_grant. */
#ifndef ETL_BI_GRANT_H
#define ETL_BI_GRANT_H

#include "etl_ext.h"

/* A target and the role that its task runs as. */
typedef struct EtlBiTarget
{
	char *target;
	Oid owner;
} EtlBiTarget;

/* Stores a grant, or replaces it; pipeline_id 0: all pipelines; targets->name NULL: all. */
extern void etl_bi_grant_set(Oid role, int64 pipeline_id, const EtlNames *targets, Oid granted_by, bool gives_usage);

/* Takes a grant away; false if there was none. */
extern bool etl_bi_grant_delete(Oid role, int64 pipeline_id);

/* The targets of loads and aggregates that the grants of a role cover, of owners whose rights by has, and their number. */
extern int etl_bi_grant_targets(Oid role, Oid by, EtlBiTarget **target);

/* The roles that read a target by a grant, of a grantor with the rights of the owner, and their number. */
extern int etl_bi_grant_readers(int64 pipeline_id, const char *target, Oid owner, Oid **role);

/* The first of these names that is no target of a load or aggregate of a pipeline (0: of any); NULL: all are. */
extern char *etl_bi_grant_unknown(int64 pipeline_id, const EtlNames *targets);

#endif /* ETL_BI_GRANT_H */
