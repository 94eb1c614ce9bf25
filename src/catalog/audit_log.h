/* audit_log.h: the table etl.audit_log. */
#ifndef ETL_AUDIT_LOG_H
#define ETL_AUDIT_LOG_H

#include "etl_ext.h"

/* A member of details; value NULL: JSON null. */
typedef struct EtlAuditDetail
{
	const char *name;
	const char *value;
} EtlAuditDetail;

/* Writes down that role has called a function by hand; task may be NULL. */
extern void etl_audit_log_insert(Oid role, const char *action, const EtlPipeline *pipeline, const char *task,
								 const EtlAuditDetail *detail, int n);

#endif /* ETL_AUDIT_LOG_H */
