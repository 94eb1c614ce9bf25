/*
 * bounds.c
 *		Where an extract starts. See bounds.h.
 *
 * Rows at the watermark itself are read again (>=), because more of the same value may have been committed since.
 */
#include "postgres.h"

#include "catalog/spi.h"
#include "catalog/watermark.h"
#include "source/bounds.h"
#include "source/value.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"

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
	EtlBounds bounds = {NULL, NULL};
	const EtlColumn *cursor;

	if (task->cursor_column == NULL || full_refresh)
		return bounds;
	cursor = etl_relation_column(source, task->cursor_column);
	bounds.watermark = etl_watermark_get(task->task_id, cursor->type);
	if (bounds.watermark == NULL)
		return bounds;
	bounds.lower = task->lag ? etl_bounds_subtract(cursor->type, bounds.watermark, task->lag) : bounds.watermark;
	return bounds;
}
