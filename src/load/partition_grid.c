/*
 * partition_grid.c
 *		How a table is cut into partitions. See partition_grid.h.
 *
 * A period is a number of calendar months where the bounds of an existing partition fall on the same day of the month,
 * otherwise a fixed width. Bounds of a timestamptz are looked at in UTC and, where they are no midnight there but one in
 * the time zone of the session, in that.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "common/int.h"
#include "load/partition_grid.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

/* A day of the month that every month has. */
#define LAST_COMMON_DAY 28

/* What the name of a partition may hold of its lower bound, longest first: Year Month Day Hour Quarter. */
static const char *const patterns[] = {
	"YMDH", "YMD_H", "Y_M_D_H", "YMD", "Y_M_D", "Y-M-D", "yYmMdD", "Y_qQ",
	"YqQ",	"Y_QQ",	 "YQQ",		"YM",  "Y_M",	"Y-M",	 "yYmM",   "Y",
};

/* A time that was taken apart. */
typedef struct Civil
{
	int year;
	int month;
	int day;
	int64 time; /* microseconds of the day */
} Civil;

/* etl_partition_grid_is_time says whether points are times. */
bool
etl_partition_grid_is_time(Oid type)
{
	return type == DATEOID || type == TIMESTAMPOID || type == TIMESTAMPTZOID;
}

/* etl_partition_grid_knows lists the types. */
bool
etl_partition_grid_knows(Oid type)
{
	return etl_partition_grid_is_time(type) || type == INT2OID || type == INT4OID || type == INT8OID;
}

/* etl_partition_grid_point widens a value. */
int64
etl_partition_grid_point(Oid type, Datum value)
{
	switch (type)
	{
		case DATEOID:
			return DatumGetDateADT(value);
		case INT2OID:
			return DatumGetInt16(value);
		case INT4OID:
			return DatumGetInt32(value);
		default:
			return DatumGetInt64(value);
	}
}

/* etl_partition_grid_value narrows a point that is known to fit. */
Datum
etl_partition_grid_value(Oid type, int64 point)
{
	switch (type)
	{
		case DATEOID:
			return DateADTGetDatum((DateADT) point);
		case INT2OID:
			return Int16GetDatum((int16) point);
		case INT4OID:
			return Int32GetDatum((int32) point);
		default:
			return Int64GetDatum(point);
	}
}

/* fits says whether a point is a finite value of the type. */
static bool
fits(Oid type, int64 point)
{
	switch (type)
	{
		case DATEOID:
			return point > PG_INT32_MIN && point < PG_INT32_MAX && IS_VALID_DATE((DateADT) point);
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return IS_VALID_TIMESTAMP(point);
		case INT2OID:
			return point >= PG_INT16_MIN && point <= PG_INT16_MAX;
		case INT4OID:
			return point >= PG_INT32_MIN && point <= PG_INT32_MAX;
		default:
			return true;
	}
}

/* floor_div divides and rounds down. */
static int64
floor_div(int64 a, int64 b)
{
	int64 result = a / b;

	return a % b < 0 ? result - 1 : result;
}

/* to_local turns a point into the clock of the grid. */
static int64
to_local(const EtlGrid *grid, int64 point)
{
	if (!grid->is_local)
		return point;
	return DatumGetTimestamp(DirectFunctionCall1(timestamptz_timestamp, TimestampTzGetDatum(point)));
}

/* from_local turns the clock of the grid into a point. */
static int64
from_local(const EtlGrid *grid, int64 point)
{
	if (!grid->is_local || !IS_VALID_TIMESTAMP(point))
		return point;
	return DatumGetTimestampTz(DirectFunctionCall1(timestamp_timestamptz, TimestampGetDatum(point)));
}

/* take_apart reads a clock. */
static Civil
take_apart(Oid type, int64 local)
{
	int64 day = type == DATEOID ? local : floor_div(local, USECS_PER_DAY);
	Civil civil;

	civil.time = type == DATEOID ? 0 : local - day * USECS_PER_DAY;
	j2date((int) (day + POSTGRES_EPOCH_JDATE), &civil.year, &civil.month, &civil.day);
	return civil;
}

/* add_months moves a clock by months; its day is one that every month has. */
static int64
add_months(Oid type, int64 local, int64 months)
{
	Civil civil = take_apart(type, local);
	int64 month = (int64) civil.year * MONTHS_PER_YEAR + civil.month - 1 + months;
	int year = (int) floor_div(month, MONTHS_PER_YEAR);
	int64 day = (int64) date2j(year, (int) (month - (int64) year * MONTHS_PER_YEAR) + 1, civil.day) -
				POSTGRES_EPOCH_JDATE;

	return type == DATEOID ? day : day * USECS_PER_DAY + civil.time;
}

/* month_number counts months since the year 0. */
static int64
month_number(Civil civil)
{
	return (int64) civil.year * MONTHS_PER_YEAR + civil.month - 1;
}

/* etl_partition_grid_measure looks at the bounds of a partition. */
bool
etl_partition_grid_measure(EtlGrid *grid, int64 low, int64 high)
{
	Civil from;
	Civil to;

	if (!fits(grid->type, low) || !fits(grid->type, high) || pg_sub_s64_overflow(high, low, &grid->width))
		return false;
	grid->anchor = low;
	grid->months = 0;
	grid->is_local = false;
	if (!etl_partition_grid_is_time(grid->type))
		return true;
	if (grid->type == TIMESTAMPTZOID && low % USECS_PER_DAY != 0)
	{
		grid->is_local = true;
		grid->is_local = to_local(grid, low) % USECS_PER_DAY == 0 && to_local(grid, high) % USECS_PER_DAY == 0;
	}
	from = take_apart(grid->type, to_local(grid, low));
	to = take_apart(grid->type, to_local(grid, high));
	if (from.day == to.day && from.day <= LAST_COMMON_DAY && from.time == to.time)
		grid->months = (int) (month_number(to) - month_number(from));
	grid->width = to_local(grid, high) - to_local(grid, low);
	return true;
}

/* etl_partition_grid_period counts periods from the anchor. */
bool
etl_partition_grid_period(const EtlGrid *grid, int64 point, int64 *low, int64 *high)
{
	int64 anchor = to_local(grid, grid->anchor);
	int64 local = to_local(grid, point);
	int64 distance;
	int64 n;

	if (grid->months > 0)
	{
		n = floor_div(month_number(take_apart(grid->type, local)) - month_number(take_apart(grid->type, anchor)),
					  grid->months);
		if (add_months(grid->type, anchor, n * grid->months) > local)
			n--;
		*low = add_months(grid->type, anchor, n * grid->months);
		*high = add_months(grid->type, anchor, (n + 1) * grid->months);
	}
	else
	{
		if (pg_sub_s64_overflow(local, anchor, &distance))
			return false;
		n = floor_div(distance, grid->width);
		*low = anchor + n * grid->width;
		if (pg_add_s64_overflow(*low, grid->width, high))
			return false;
	}
	*low = from_local(grid, *low);
	*high = from_local(grid, *high);
	return fits(grid->type, *low) && fits(grid->type, *high);
}

/* etl_partition_grid_piece returns a day, or less where periods are shorter. */
int64
etl_partition_grid_piece(const EtlGrid *grid)
{
	int64 day = grid->type == DATEOID ? 1 : USECS_PER_DAY;

	if (!etl_partition_grid_is_time(grid->type))
		return grid->width;
	return grid->months > 0 ? day : Min(day, grid->width);
}

/* render prints a lower bound after a pattern; NULL: the pattern does not say all of it. */
static char *
render(const char *pattern, Civil civil)
{
	char *text = palloc0(NAMEDATALEN);
	char *end = text;

	if (civil.year < 0 || civil.year > 9999)
		return NULL;
	for (const char *letter = pattern; *letter; letter++)
	{
		switch (*letter)
		{
			case 'Y':
				end += sprintf(end, "%04d", civil.year);
				break;
			case 'M':
				end += sprintf(end, "%02d", civil.month);
				break;
			case 'D':
				end += sprintf(end, "%02d", civil.day);
				break;
			case 'H':
				end += sprintf(end, "%02d", (int) (civil.time / USECS_PER_HOUR));
				break;
			case 'Q':
				end += sprintf(end, "%d", (civil.month + 2) / 3);
				break;
			default:
				*end++ = *letter;
		}
	}
	return text;
}

/* last_of returns where a text begins for the last time in a name, or NULL. */
static const char *
last_of(const char *name, const char *text)
{
	const char *found = NULL;
	const char *at = name;

	while ((at = strstr(at, text)) != NULL)
		found = at++;
	return found;
}

/* swap returns name with its last occurrence of one text replaced by another; NULL: it is not in there. */
static char *
swap(const char *name, const char *from, const char *to)
{
	const char *at = last_of(name, from);

	return at == NULL ? NULL : psprintf("%.*s%s%s", (int) (at - name), name, to, at + strlen(from));
}

/* etl_partition_grid_name tries the patterns. */
char *
etl_partition_grid_name(const EtlGrid *grid, int64 low)
{
	Civil from;
	Civil to;

	if (grid->name == NULL)
		return NULL;
	if (!etl_partition_grid_is_time(grid->type))
		return low < 0 ? NULL : swap(grid->name, psprintf(INT64_FORMAT, grid->anchor), psprintf(INT64_FORMAT, low));
	from = take_apart(grid->type, to_local(grid, grid->anchor));
	to = take_apart(grid->type, to_local(grid, low));
	for (int i = 0; i < lengthof(patterns); i++)
	{
		char *text = render(patterns[i], from);
		char *name = text ? swap(grid->name, text, "") : NULL;

		if (name != NULL && render(patterns[i], to) != NULL)
			return swap(grid->name, text, render(patterns[i], to));
	}
	return NULL;
}

/* etl_partition_grid_label names a bound by itself. */
char *
etl_partition_grid_label(const EtlGrid *grid, int64 low)
{
	Civil civil;
	char *text;

	if (!etl_partition_grid_is_time(grid->type))
		return low < 0 ? psprintf("pm" UINT64_FORMAT, (uint64) 0 - (uint64) low) : psprintf("p" INT64_FORMAT, low);
	civil = take_apart(grid->type, to_local(grid, low));
	text = render(civil.time != 0 ? "pYMD_H" : grid->months > 0 && civil.day == 1 ? "pYM" : "pYMD", civil);
	return text ? text : psprintf("p" INT64_FORMAT, low);
}
