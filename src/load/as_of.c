/*
 * as_of.c
 *		Setting etl.as_of and function etl.as_of(). See as_of.h.
 *
 * The value is parsed once, when it is set: the function is called for each row of a view. A time without a time zone is
 * in the one that the session has then.
 */
#include "postgres.h"

#include "access/xact.h"
#include "compat.h"
#include "fmgr.h"
#include "load/as_of.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(etl_as_of);

static char *as_of_text = NULL;
static const TimestampTz *as_of_time = NULL; /* NULL: now */

/* parse_time reads a moment without raising errors, because the server's configuration may be read at any time. */
static bool
parse_time(const char *text, TimestampTz *result)
{
	char work[MAXDATELEN + MAXDATEFIELDS];
	char *field[MAXDATEFIELDS];
	int type[MAXDATEFIELDS];
	struct pg_tm tm;
	fsec_t fsec;
	int n;
	int kind;
	int tz;

	if (ParseDateTime(text, work, sizeof(work), field, type, MAXDATEFIELDS, &n) != 0 ||
		etl_compat_decode_datetime(field, type, n, &kind, &tm, &fsec, &tz) != 0)
		return false;
	return kind == DTK_DATE && tm2timestamp(&tm, fsec, &tz, result) == 0;
}

/* check_as_of refuses what is no moment. */
static bool
check_as_of(char **value, void **extra, GucSource source)
{
	TimestampTz moment;

	if (**value == '\0')
		return true;
	if (!parse_time(*value, &moment))
	{
		GUC_check_errdetail("It must be empty, for the present, or a moment such as 2026-01-31 12:00:00+00.");
		return false;
	}
	*extra = etl_compat_guc_alloc(sizeof(TimestampTz));
	if (*extra == NULL)
		return false;
	memcpy(*extra, &moment, sizeof(moment));
	return true;
}

/* assign_as_of keeps the moment. */
static void
assign_as_of(const char *value, void *extra)
{
	as_of_time = extra;
}

/* etl_as_of_init defines the setting. */
void
etl_as_of_init(void)
{
	DefineCustomStringVariable("etl.as_of", "Moment at which as-of views show dimensions. Empty: now.", NULL,
							   &as_of_text, "", PGC_USERSET, 0, check_as_of, assign_as_of, NULL);
}

/* etl_as_of returns the moment. */
Datum
etl_as_of(PG_FUNCTION_ARGS)
{
	if (as_of_time == NULL)
		PG_RETURN_TIMESTAMPTZ(GetCurrentTransactionStartTimestamp());
	PG_RETURN_TIMESTAMPTZ(*as_of_time);
}
