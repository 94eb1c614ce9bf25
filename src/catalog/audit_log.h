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

/* Where somebody sits; NULL: not known. */
typedef struct EtlAuditSession
{
	char *role; /* that logged in */
	char *client_addr;
	char *application;
} EtlAuditSession;

/* A row of the log. */
typedef struct EtlAuditEntry
{
	Oid role;			/* that called the function */
	const char *action; /* the function */
	int64 pipeline_id;	/* 0: none */
	const char *pipeline;
	const char *task;
	const char *object; /* what else it is about: name of a pool, route, role */
	const EtlAuditDetail *detail;
	int n_details;
	const Jsonb *old_values; /* what has changed, before; NULL: nothing */
	const Jsonb *new_values;
	const EtlAuditSession *session; /* NULL: this one */
} EtlAuditEntry;

extern void etl_audit_log_add(const EtlAuditEntry *entry);

/* Writes down that role has called a function by hand; pipeline and task may be NULL. */
extern void etl_audit_log_insert(Oid role, const char *action, const EtlPipeline *pipeline, const char *task,
								 const EtlAuditDetail *detail, int n);

/* The session of this process, and its way to a worker that does what was asked for there. */
extern EtlAuditSession etl_audit_log_session(void);
extern void etl_audit_log_push(JsonbParseState **state);
extern EtlAuditSession etl_audit_log_pull(Jsonb *object);

/* What a row has that the other one has not; other NULL: all of it. The values of hidden columns are not told. */
extern Jsonb *etl_audit_log_differences(Jsonb *row, Jsonb *other, const EtlNames *hidden);

#endif /* ETL_AUDIT_LOG_H */
