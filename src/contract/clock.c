/*
 * clock.c
 *		When promises are due: times of day and cron expressions in the time zone of a contract. See contract.h.
 */
#include "postgres.h"

#include <ctype.h>

#include "contract/contract.h"
#include "schedule/cron_next.h"
#include "schedule/cron_zone.h"
#include "utils/timestamp.h"

/* expression_of turns a time of day into a cron expression; anything else is one, or an error. Errors: 22023. */
static EtlCronExpr *
expression_of(const char *arrival)
{
	int hour;
	int minute;
	int end = 0;

	if (sscanf(arrival, "%2d:%2d%n", &hour, &minute, &end) != 2 || arrival[end] != '\0' ||
		strspn(arrival, "0123456789:") != strlen(arrival))
		return etl_cron_expr_parse(arrival);
	if (hour > 23 || minute > 59)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid arrival \"%s\"", arrival),
						errdetail("A time of day is between 00:00 and 23:59."),
						errhint("Write a time of day, such as '06:00', or a cron expression, such as '0 6 * * 1-5'.")));
	return etl_cron_expr_parse(psprintf("%d %d * * *", minute, hour));
}

/* etl_contract_next_due asks the expression. */
TimestampTz
etl_contract_next_due(const char *arrival, const char *timezone, TimestampTz after)
{
	return etl_cron_next(expression_of(arrival), etl_cron_zone_find(timezone), after);
}

/* etl_contract_due_before looks back as far as need be, and not at more than a few moments. */
TimestampTz
etl_contract_due_before(const char *arrival, const char *timezone, TimestampTz due)
{
	static const int hours[] = {2, 25, 24 * 8, 24 * 32, 24 * 367};
	EtlCronExpr *expr = expression_of(arrival);
	pg_tz *zone = etl_cron_zone_find(timezone);

	for (int i = 0; i < lengthof(hours); i++)
	{
		TimestampTz last = DT_NOBEGIN;
		TimestampTz at = etl_cron_next(expr, zone, due - hours[i] * USECS_PER_HOUR);

		for (; at < due; at = etl_cron_next(expr, zone, at))
			last = at;
		if (last != DT_NOBEGIN)
			return last;
	}
	return due - hours[lengthof(hours) - 1] * USECS_PER_HOUR;
}
