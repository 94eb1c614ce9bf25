/*
 * observe_api.c
 *		The SQL functions that look at workers.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "worker/bgw.h"

PG_FUNCTION_INFO_V1(etl_worker_count);
PG_FUNCTION_INFO_V1(etl_metric_labels);

/* etl.worker_count(type) RETURNS integer */
Datum
etl_worker_count(PG_FUNCTION_ARGS)
{
	char *type = text_to_cstring(PG_GETARG_TEXT_PP(0));

	if (strncmp(type, "etl ", 4) != 0)
		PG_RETURN_INT32(0);
	PG_RETURN_INT32(etl_bgw_count_type(MyDatabaseId, type));
}

/* append_value adds a value of a label with what would end it escaped. */
static void
append_value(StringInfo out, const text *value)
{
	const char *c = VARDATA_ANY(value);

	for (int left = VARSIZE_ANY_EXHDR(value); left > 0; left--, c++)
	{
		if (*c == '\n')
			appendStringInfoString(out, "\\n");
		else if (*c == '\\' || *c == '"')
			appendStringInfo(out, "\\%c", *c);
		else
			appendStringInfoChar(out, *c);
	}
}

/* etl.metric_labels(VARIADIC pairs) RETURNS text */
Datum
etl_metric_labels(PG_FUNCTION_ARGS)
{
	StringInfoData out;
	Datum *pair;
	bool *isnull;
	int n;

	initStringInfo(&out);
	if (PG_ARGISNULL(0))
		PG_RETURN_TEXT_P(cstring_to_text(""));
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT, &pair, &isnull, &n);
	for (int i = 0; i + 1 < n; i += 2)
	{
		if (isnull[i] || isnull[i + 1])
			continue;
		appendStringInfoChar(&out, out.len > 0 ? ',' : '{');
		appendBinaryStringInfo(&out, VARDATA_ANY(DatumGetTextPP(pair[i])), VARSIZE_ANY_EXHDR(DatumGetTextPP(pair[i])));
		appendStringInfoString(&out, "=\"");
		append_value(&out, DatumGetTextPP(pair[i + 1]));
		appendStringInfoChar(&out, '"');
	}
	if (out.len > 0)
		appendStringInfoChar(&out, '}');
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}
