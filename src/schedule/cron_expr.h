/*
 * cron_expr.h
 *		A cron expression: five fields (minute hour day month weekday) as sets of allowed values. Pure, no I/O.
 *
 * The language is the one that pg_cron reads (Vixie cron): '*', values, lists, ranges, steps after '*' or a range, names
 * of months and weekdays, 0 and 7 both Sunday, and the macros @yearly, @annually, @monthly, @weekly, @daily, @midnight
 * and @hourly. When neither day nor weekday begins with '*', a day matches if either of them does.
 */
#ifndef ETL_CRON_EXPR_H
#define ETL_CRON_EXPR_H

#include "pgtime.h"

typedef struct EtlCronExpr
{
	uint64 minute;		/* bits 0 to 59 */
	uint64 hour;		/* bits 0 to 23 */
	uint64 day;			/* bits 1 to 31 */
	uint64 month;		/* bits 1 to 12 */
	uint64 weekday;		/* bits 0 to 6, Sunday is 0 */
	bool minute_star;	/* the field begins with '*' */
	bool hour_star;		/* the field begins with '*' */
	bool day_star;		/* the field begins with '*' */
	bool weekday_star;	/* the field begins with '*' */
	const char *fields; /* the five fields, separated by one blank; a macro is spelled out */
} EtlCronExpr;

#define ETL_CRON_ALL_DAYS UINT64CONST(0xfffffffe)
#define ETL_CRON_ALL_MONTHS UINT64CONST(0x1ffe)
#define ETL_CRON_ALL_WEEKDAYS UINT64CONST(0x7f)

/* Reads an expression. Errors: 22023 with the field at fault. */
extern EtlCronExpr *etl_cron_expr_parse(const char *schedule);

/* Says whether it names a day, whose weekday is 0 (Sunday) to 6; its month is not looked at. */
extern bool etl_cron_expr_has_day(const EtlCronExpr *expr, int day, int weekday);

#endif /* ETL_CRON_EXPR_H */
