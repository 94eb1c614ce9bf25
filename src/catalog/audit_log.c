/*
 * audit_log.c
 *		etl.audit_log: what was done by hand, and every change of a definition. Rows are only added.
 */
#include "postgres.h"

#include "catalog/audit_log.h"
#include "catalog/member.h"
#include "catalog/pg_type_d.h"
#include "catalog/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/timestamp.h"

/* make_object makes the object. */
static Datum
make_object(const EtlAuditDetail *detail, int n)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < n; i++)
	{
		appendStringInfoString(&text, i ? ", " : "{");
		escape_json(&text, detail[i].name);
		appendStringInfoString(&text, ": ");
		if (detail[i].value)
			escape_json(&text, detail[i].value);
		else
			appendStringInfoString(&text, "null");
	}
	appendStringInfoString(&text, n > 0 ? "}" : "{}");
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(text.data));
}

/* etl_audit_log_session looks at this process; a worker has no client. */
EtlAuditSession
etl_audit_log_session(void)
{
	static EtlStatement statement = {"SELECT host(inet_client_addr()) AS client_addr", 0, {0}};
	EtlAuditSession session = {.role = GetUserNameFromId(GetSessionUserId(), true)};
	EtlScope scope;
	EtlRow row;

	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&statement, NULL, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	session.client_addr = etl_row_text(&row, "client_addr");
	etl_catalog_end(&scope);
	if (application_name != NULL && application_name[0] != '\0')
		session.application = application_name;
	return session;
}

/* etl_audit_log_push is read by etl_audit_log_pull. */
void
etl_audit_log_push(JsonbParseState **state)
{
	EtlAuditSession session = etl_audit_log_session();

	etl_member_push(state, "session_role", session.role);
	etl_member_push(state, "client_addr", session.client_addr);
	etl_member_push(state, "application", session.application);
}

/* etl_audit_log_pull reads what etl_audit_log_push has written. */
EtlAuditSession
etl_audit_log_pull(Jsonb *object)
{
	EtlAuditSession session;

	session.role = etl_member_text(object, "session_role");
	session.client_addr = etl_member_text(object, "client_addr");
	session.application = etl_member_text(object, "application");
	return session;
}

/* etl_audit_log_add writes a row. */
void
etl_audit_log_add(const EtlAuditEntry *entry)
{
	static EtlStatement statement = {
		.sql = "INSERT INTO etl.audit_log (at, role, role_name, session_role, client_addr, application, action, "
			   "pipeline_id, pipeline, task, object, details, old_values, new_values) VALUES ($1, $2, coalesce((SELECT "
			   "r.rolname FROM pg_roles AS r WHERE r.oid = $2), $2::text), $3, $4::inet, $5, $6, nullif($7, 0), $8, "
			   "$9, $10, $11, $12, $13)",
		.nargs = 13,
		.argtype = {TIMESTAMPTZOID, OIDOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT8OID, TEXTOID, TEXTOID, TEXTOID,
					JSONBOID, JSONBOID, JSONBOID},
	};
	EtlAuditSession own = entry->session ? *entry->session : etl_audit_log_session();
	Datum arg[13];
	char null[] = "             ";

	arg[0] = TimestampTzGetDatum(GetCurrentTimestamp());
	arg[1] = ObjectIdGetDatum(entry->role);
	arg[2] = etl_arg_text(own.role ? own.role : "(gone)", &null[2]);
	arg[3] = etl_arg_text(own.client_addr, &null[3]);
	arg[4] = etl_arg_text(own.application, &null[4]);
	arg[5] = CStringGetTextDatum(entry->action);
	arg[6] = Int64GetDatum(entry->pipeline_id);
	arg[7] = etl_arg_text(entry->pipeline, &null[7]);
	arg[8] = etl_arg_text(entry->task, &null[8]);
	arg[9] = etl_arg_text(entry->object, &null[9]);
	arg[10] = make_object(entry->detail, entry->n_details);
	arg[11] = etl_arg_pointer(entry->old_values, &null[11]);
	arg[12] = etl_arg_pointer(entry->new_values, &null[12]);
	(void) etl_catalog_call(&statement, arg, null, SPI_OK_INSERT);
}

/* etl_audit_log_insert writes a row in the transaction that does what it tells of. */
void
etl_audit_log_insert(Oid role, const char *action, const EtlPipeline *pipeline, const char *task,
					 const EtlAuditDetail *detail, int n)
{
	EtlAuditEntry entry = {.role = role, .action = action, .task = task, .detail = detail, .n_details = n};

	if (pipeline != NULL)
	{
		entry.pipeline_id = pipeline->pipeline_id;
		entry.pipeline = pipeline->name;
	}
	etl_audit_log_add(&entry);
}

/* etl_audit_log_differences returns what a row has that the other has not, without what changes by itself; NULL: nothing. */
Jsonb *
etl_audit_log_differences(Jsonb *row, Jsonb *other, const EtlNames *hidden)
{
	static EtlStatement statement = {
		.sql =
			"SELECT jsonb_object_agg(e.key, CASE WHEN e.key = ANY ($3) THEN '\"(hidden)\"' ELSE e.value END) AS values "
			"FROM jsonb_each($1) AS e WHERE e.key <> ALL ('{created_at,updated_at,granted_at,granted_by,gives_usage}') "
			"AND (CASE WHEN $2 IS NULL THEN e.value NOT IN ('null', '{}') ELSE e.value IS DISTINCT FROM $2 -> e.key "
			"END)",
		.nargs = 3,
		.argtype = {JSONBOID, JSONBOID, TEXTARRAYOID},
	};
	EtlScope scope;
	Datum arg[3];
	char null[] = "   ";
	Jsonb *values;
	EtlRow found;

	if (row == NULL)
		return NULL;
	arg[0] = JsonbPGetDatum(row);
	arg[1] = etl_arg_pointer(other, &null[1]);
	arg[2] = etl_arg_names(hidden, &null[2]);
	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&statement, arg, null, SPI_OK_SELECT);
	found = etl_catalog_row(&scope, 0);
	values = etl_row_jsonb(&found, "values");
	etl_catalog_end(&scope);
	return values;
}
