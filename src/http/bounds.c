/*
 * bounds.c
 *		The bounds of a read as an API takes them. See bounds.h.
 *
 * Times without a zone, and dates, are UTC.
 */
#include "postgres.h"

#include "catalog/pg_collation_d.h"
#include "catalog/pg_type_d.h"
#include "datatype/timestamp.h"
#include "http/bounds.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/formatting.h"
#include "utils/timestamp.h"

/* is_time says whether values of a type are times. */
static bool
is_time(Oid type)
{
	return type == TIMESTAMPTZOID || type == TIMESTAMPOID || type == DATEOID;
}

/* read_time reads the text of a watermark as microseconds since 2000 in UTC. */
static Timestamp
read_time(Oid type, const char *text)
{
	Datum value = CStringGetDatum(text);

	if (type == DATEOID)
		return (Timestamp) DatumGetDateADT(DirectFunctionCall1(date_in, value)) * USECS_PER_DAY;
	return DatumGetTimestamp(DirectFunctionCall3(type == TIMESTAMPOID ? timestamp_in : timestamptz_in, value,
												 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

/* divide divides, rounding down, or up. */
static int64
divide(int64 value, int64 by, bool up)
{
	int64 result = value / by;

	if (value % by < 0)
		result--;
	if (up && value % by != 0)
		result++;
	return result;
}

/* format_iso writes a time like 2026-01-31T05:00:00Z, with a fraction if there is one. */
static char *
format_iso(Timestamp time)
{
	struct pg_tm tm;
	fsec_t fsec;
	char *text;

	if (timestamp2tm(time, NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
	text = psprintf("%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year, tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min,
					tm.tm_sec);
	return fsec != 0 ? psprintf("%s.%06dZ", text, fsec) : psprintf("%sZ", text);
}

/* format_pattern writes a time as to_char does. What the pattern leaves out is not known: an end goes to the next day. */
static char *
format_pattern(Timestamp time, const char *pattern, bool up)
{
	Datum value = TimestampGetDatum(up && time % USECS_PER_DAY != 0 ? time + USECS_PER_DAY : time);

	return TextDatumGetCString(
		DirectFunctionCall2Coll(timestamp_to_char, DEFAULT_COLLATION_OID, value, CStringGetTextDatum(pattern)));
}

/* format_time writes a time in the table's format. */
static char *
format_time(const char *format, Timestamp time, bool up)
{
	int64 since_1970 = time + (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;

	if (strcmp(format, "iso8601") == 0)
		return format_iso(time);
	if (strcmp(format, "epoch") == 0)
		return psprintf(INT64_FORMAT, divide(since_1970, USECS_PER_SEC, up));
	if (strcmp(format, "epoch_ms") == 0)
		return psprintf(INT64_FORMAT, divide(since_1970, 1000, up));
	if (strcmp(format, "date") == 0)
		return pnstrdup(format_iso(divide(time, USECS_PER_DAY, up) * USECS_PER_DAY), strlen("2000-01-01"));
	return format_pattern(time, format, up);
}

/* is_numeric says whether values of a type are numbers in JSON. */
static bool
is_numeric(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID || type == NUMERICOID;
}

/* etl_http_bounds_make formats the bounds. */
void
etl_http_bounds_make(const EtlHttpTable *table, const EtlSource *source, const char *lower, const char *below,
					 EtlHttpBounds *bounds)
{
	const EtlColumn *column = NULL;
	const char *format = table->since_format;

	memset(bounds, 0, sizeof(*bounds));
	if (table->since_column != NULL)
		column = etl_relation_column(etl_relation_describe(source->oid, NULL), table->since_column);
	if (table->since_column != NULL && column == NULL)
		etl_http_refuse_option("since_column",
							   psprintf("The foreign table has no column \"%s\".", table->since_column));
	if (column == NULL || table->since_param == NULL)
		return;
	if (format != NULL && !is_time(column->type))
		etl_http_refuse_option("since_format", psprintf("Column \"%s\" is no time.", column->name));
	if (format == NULL)
		format = column->type == DATEOID ? "date" : "iso8601";
	bounds->is_number = is_time(column->type) ? strncmp(format, "epoch", 5) == 0 : is_numeric(column->type);
	if (lower != NULL)
		bounds->since = is_time(column->type) ? format_time(format, read_time(column->type, lower), false) : lower;
	if (below != NULL && table->until_param != NULL)
		bounds->until = is_time(column->type) ? format_time(format, read_time(column->type, below), true) : below;
}
