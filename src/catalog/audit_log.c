/*
 * audit_log.c
 *		etl.audit_log: what was done by hand.
 */
#include "postgres.h"

#include "catalog/audit_log.h"
#include "catalog/pg_type_d.h"
#include "catalog/spi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
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

/* etl_audit_log_insert writes a row in the transaction that does what it tells of. */
void
etl_audit_log_insert(Oid role, const char *action, const EtlPipeline *pipeline, const char *task,
					 const EtlAuditDetail *detail, int n)
{
	static EtlStatement statement = {
		.sql = "INSERT INTO etl.audit_log (at, role, action, pipeline_id, pipeline, task, details)"
			   " VALUES ($1, $2, $3, $4, $5, $6, $7)",
		.nargs = 7,
		.argtype = {TIMESTAMPTZOID, REGROLEOID, TEXTOID, INT8OID, TEXTOID, TEXTOID, JSONBOID},
	};
	Datum arg[7];
	char null[] = "       ";

	arg[0] = TimestampTzGetDatum(GetCurrentTimestamp());
	arg[1] = ObjectIdGetDatum(role);
	arg[2] = CStringGetTextDatum(action);
	arg[3] = Int64GetDatum(pipeline->pipeline_id);
	arg[4] = CStringGetTextDatum(pipeline->name);
	arg[5] = etl_arg_text(task, &null[5]);
	arg[6] = make_object(detail, n);
	(void) etl_catalog_call(&statement, arg, null, SPI_OK_INSERT);
}
