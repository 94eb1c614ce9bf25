/*
 * observe_api.c
 *		The SQL functions that look at workers.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "observe/live.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "worker/bgw.h"

PG_FUNCTION_INFO_V1(etl_worker_count);
PG_FUNCTION_INFO_V1(etl_metric_labels);
PG_FUNCTION_INFO_V1(etl_progress_of);

/* Names of EtlProgressStep. */
static const char *const steps[] = {"start", "connect", "read",	   "compare", "compile",
									"delta", "write",	"command", "check",	  "finish"};

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

/* etl.progress_of(live, task_run_id) RETURNS TABLE(...): one row, or none when the worker is gone */
Datum
etl_progress_of(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	EtlLive live;
	Datum value[8];
	bool isnull[8] = {false};

	InitMaterializedSRF(fcinfo, 0);
	if (!etl_live_look((uint32) PG_GETARG_INT64(0), PG_GETARG_INT64(1), &live))
		return (Datum) 0;
	value[0] = CStringGetTextDatum(steps[Min(pg_atomic_read_u32(&live.step), lengthof(steps) - 1)]);
	value[1] = TimestampTzGetDatum((TimestampTz) pg_atomic_read_u64(&live.step_began));
	value[2] = Int32GetDatum((int32) pg_atomic_read_u32(&live.part));
	value[3] = Int64GetDatum((int64) pg_atomic_read_u64(&live.rows));
	value[4] = Int64GetDatum((int64) pg_atomic_read_u64(&live.bytes));
	value[5] = Int64GetDatum((int64) pg_atomic_read_u64(&live.done));
	value[6] = Int64GetDatum((int64) pg_atomic_read_u64(&live.total));
	value[7] = BoolGetDatum(pg_atomic_read_u32(&live.is_estimate) != 0);
	isnull[6] = pg_atomic_read_u64(&live.total) == 0;
	isnull[7] = isnull[6];
	tuplestore_putvalues(result->setResult, result->setDesc, value, isnull);
	return (Datum) 0;
}
