/*
 * value.c
 *		Values of cursor and key columns as text and as literals. See value.h.
 *
 * Literals carry their type, so that a foreign data wrapper compares constants of the column's own type: this is what
 * makes postgres_fdw and mysql_fdw ship a condition. mysql_fdw sends a timestamptz in the session's time zone and
 * MariaDB ignores the offset behind it, which is right only when both sessions are in UTC.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "source/value.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/guc.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

/* pin sets one setting until the end of the current GUC nest level. */
static void
pin(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* etl_value_pin_settings makes the text form of every value independent of the settings of role and database. */
void
etl_value_pin_settings(void)
{
	pin("timezone", "UTC");
	pin("datestyle", "ISO, YMD");
	pin("intervalstyle", "postgres");
	pin("extra_float_digits", "1");
	pin("bytea_output", "hex");
}

/* etl_value_type names a type; bpchar is not "character", which would mean one character. */
char *
etl_value_type(Oid type)
{
	return format_type_extended(type, -1, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
}

/* etl_value_literal returns a typed literal. */
char *
etl_value_literal(Oid type, const char *text)
{
	return psprintf("%s::%s", quote_literal_cstr(text), etl_value_type(type));
}

/* etl_value_is_finite keeps 'infinity' and 'NaN' from becoming a watermark that nothing is ever above. */
bool
etl_value_is_finite(Oid type, Datum value)
{
	switch (type)
	{
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return !TIMESTAMP_NOT_FINITE(DatumGetTimestamp(value));
		case DATEOID:
			return !DATE_NOT_FINITE(DatumGetDateADT(value));
		case NUMERICOID:
			return !numeric_is_nan(DatumGetNumeric(value)) && !numeric_is_inf(DatumGetNumeric(value));
		default:
			return true;
	}
}
