/*
 * schedule_api.c
 *		The SQL functions about schedules.
 */
#include "postgres.h"

#include "api/args.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "schedule/cron_next.h"
#include "schedule/cron_zone.h"
#include "schedule/deadline.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(etl_schedule_times);
PG_FUNCTION_INFO_V1(etl_deadline_of);

#define MAX_TIMES 10000

/* etl.schedule_times(schedule, timezone, after, n) RETURNS SETOF timestamptz */
Datum
etl_schedule_times(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	EtlCronExpr *expr = etl_cron_expr_parse(etl_args_text(fcinfo, "schedule"));
	pg_tz *zone = etl_cron_zone_find(etl_args_text(fcinfo, "timezone"));
	TimestampTz at;
	Datum value;
	int n;

	(void) etl_args_find(fcinfo, "after", &value);
	at = DatumGetTimestampTz(value);
	(void) etl_args_find(fcinfo, "n", &value);
	n = DatumGetInt32(value);
	if (n < 0 || n > MAX_TIMES)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("n is out of range"),
						errdetail("It is %d.", n), errhint("It must be between 0 and %d.", MAX_TIMES)));
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	for (int i = 0; i < n; i++)
	{
		bool isnull = false;

		CHECK_FOR_INTERRUPTS();
		at = etl_cron_next(expr, zone, at);
		if (TIMESTAMP_IS_NOEND(at))
			break;
		value = TimestampTzGetDatum(at);
		tuplestore_putvalues(result->setResult, result->setDesc, &value, &isnull);
	}
	return (Datum) 0;
}

/* etl.deadline_of(deadline, timezone, due) RETURNS timestamptz */
Datum
etl_deadline_of(PG_FUNCTION_ARGS)
{
	Datum due;

	(void) etl_args_find(fcinfo, "due", &due);
	PG_RETURN_TIMESTAMPTZ(etl_deadline_at(etl_args_text(fcinfo, "deadline"), etl_args_text(fcinfo, "timezone"),
										  DatumGetTimestampTz(due)));
}
