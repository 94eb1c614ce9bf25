/*
 * bounds.c
 *		Where an extract starts. See bounds.h.
 *
 * Rows at the watermark itself are read again (>=), because more of the same value may have been committed since.
 */
#include "postgres.h"

#include "catalog/backfill.h"
#include "catalog/pg_type_d.h"
#include "catalog/spi.h"
#include "catalog/watermark.h"
#include "source/bounds.h"
#include "source/value.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

/* etl_bounds_subtract lets SQL do the arithmetic, so that months are months. */
char *
etl_bounds_subtract(Oid type, const char *watermark, const Interval *lag)
{
	char *interval;
	char *result;
	int level = NewGUCNestLevel();

	etl_value_pin_settings();
	interval = DatumGetCString(DirectFunctionCall1(interval_out, PointerGetDatum(lag)));
	result = etl_sql_text(psprintf("SELECT (%s - %s::interval)::%s", etl_value_literal(type, watermark),
								   quote_literal_cstr(interval), etl_value_type(type)));
	AtEOXact_GUC(false, level);
	return result;
}

/* etl_bounds_get reads the watermark. */
EtlBounds
etl_bounds_get(const EtlTask *task, const EtlSource *source, bool full_refresh)
{
	EtlBounds bounds = {0};
	EtlWatermark stored;
	const EtlColumn *cursor;

	if (task->cursor_column == NULL || full_refresh)
		return bounds;
	cursor = etl_relation_column(source, task->cursor_column);
	stored = etl_watermark_get(task->task_id, cursor->type);
	bounds.watermark = stored.value;
	bounds.reached = stored.reached ? stored.reached : stored.value;
	if (bounds.watermark == NULL)
		return bounds;
	bounds.lower = task->lag ? etl_bounds_subtract(cursor->type, bounds.watermark, task->lag) : bounds.watermark;
	return bounds;
}

/* etl_bounds_is_time knows the three types. */
bool
etl_bounds_is_time(Oid type)
{
	Oid base = getBaseType(type);

	return base == TIMESTAMPTZOID || base == TIMESTAMPOID || base == DATEOID;
}

/*
 * limit returns a limit of an interval as text of the cursor's type. For a date it is the first day that begins at or
 * after the moment, so that each day lies in exactly one interval, whatever its length.
 */
static char *
limit(Oid type, TimestampTz at, const char *timezone)
{
	char *moment = quote_literal_cstr(timestamptz_to_str(at));

	switch (getBaseType(type))
	{
		case TIMESTAMPOID:
			return etl_sql_text(psprintf("SELECT %s::timestamptz AT TIME ZONE 'UTC'", moment));
		case DATEOID:
			return etl_sql_text(psprintf("SELECT l::date + CASE WHEN l = date_trunc('day', l) THEN 0 ELSE 1 END"
										 " FROM (SELECT %s::timestamptz AT TIME ZONE %s) AS x (l)",
										 moment, quote_literal_cstr(timezone)));
		default:
			return etl_sql_text(psprintf("SELECT %s::timestamptz", moment));
	}
}

/* etl_bounds_interval reads the interval of the run. */
EtlBounds
etl_bounds_interval(const EtlAttempt *attempt, const EtlSource *source)
{
	EtlBounds bounds = {0};
	Oid type = etl_relation_column(source, attempt->task->cursor_column)->type;
	char *timezone = etl_backfill_timezone(attempt->run_id);
	int level = NewGUCNestLevel();

	etl_value_pin_settings();
	bounds.lower = limit(type, attempt->interval_start, timezone);
	bounds.below = limit(type, attempt->interval_end, timezone);
	AtEOXact_GUC(false, level);
	return bounds;
}
