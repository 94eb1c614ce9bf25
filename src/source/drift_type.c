/*
 * drift_type.c
 *		Types of source columns by name. See drift_type.h.
 *
 * Each type that is known here is a range of values with a number of digits behind the point (of a number or of a second)
 * within a family. A type is wider than another one of its family if its range and its digits include the other's.
 */
#include "postgres.h"

#include <math.h>

#include "source/drift_type.h"

typedef enum Family
{
	FAMILY_OTHER,
	FAMILY_NUMBER,
	FAMILY_FLOAT,
	FAMILY_TEXT,
	FAMILY_TIME, /* date, timestamp */
	FAMILY_TIME_ZONE,
	FAMILY_BINARY
} Family;

typedef struct Range
{
	Family family;
	double low;
	double high;
	double digits;
} Range;

/* A type as it is written: name(a,b) rest. */
typedef struct Spelling
{
	char base[NAMEDATALEN];
	int n; /* arguments */
	int argument[2];
	bool is_unsigned;
} Spelling;

/* What names mean; low and high of types with a length or precision come from their arguments. */
static const struct
{
	const char *name;
	Range range;
} known[] = {
	{"tinyint", {FAMILY_NUMBER, -128, 127, 0}},
	{"smallint", {FAMILY_NUMBER, -32768, 32767, 0}},
	{"mediumint", {FAMILY_NUMBER, -8388608, 8388607, 0}},
	{"int", {FAMILY_NUMBER, -2147483648.0, 2147483647.0, 0}},
	{"integer", {FAMILY_NUMBER, -2147483648.0, 2147483647.0, 0}},
	{"bigint", {FAMILY_NUMBER, -9223372036854775808.0, 9223372036854775807.0, 0}},
	{"numeric", {FAMILY_NUMBER, -HUGE_VAL, HUGE_VAL, HUGE_VAL}},
	{"decimal", {FAMILY_NUMBER, -HUGE_VAL, HUGE_VAL, HUGE_VAL}},
	{"real", {FAMILY_FLOAT, 0, 24, 0}},
	{"float", {FAMILY_FLOAT, 0, 24, 0}},
	{"double precision", {FAMILY_FLOAT, 0, 53, 0}},
	{"double", {FAMILY_FLOAT, 0, 53, 0}},
	{"character varying", {FAMILY_TEXT, 0, HUGE_VAL, 0}},
	{"varchar", {FAMILY_TEXT, 0, HUGE_VAL, 0}},
	{"character", {FAMILY_TEXT, 0, 1, 0}},
	{"char", {FAMILY_TEXT, 0, 1, 0}},
	{"tinytext", {FAMILY_TEXT, 0, 255, 0}},
	{"mediumtext", {FAMILY_TEXT, 0, HUGE_VAL, 0}},
	{"longtext", {FAMILY_TEXT, 0, HUGE_VAL, 0}},
	{"text", {FAMILY_TEXT, 0, HUGE_VAL, 0}},
	{"date", {FAMILY_TIME, 0, 0, -1}},
	{"timestamp without time zone", {FAMILY_TIME, 0, 0, 6}},
	{"datetime", {FAMILY_TIME, 0, 0, 0}},
	{"timestamp with time zone", {FAMILY_TIME_ZONE, 0, 0, 6}},
	{"timestamp", {FAMILY_TIME_ZONE, 0, 0, 0}}, /* MySQL's */
	{"binary", {FAMILY_BINARY, 0, 1, 0}},
	{"varbinary", {FAMILY_BINARY, 0, HUGE_VAL, 0}},
	{"tinyblob", {FAMILY_BINARY, 0, 255, 0}},
	{"blob", {FAMILY_BINARY, 0, 65535, 0}},
	{"mediumblob", {FAMILY_BINARY, 0, 16777215, 0}},
	{"longblob", {FAMILY_BINARY, 0, HUGE_VAL, 0}},
	{"bytea", {FAMILY_BINARY, 0, HUGE_VAL, 0}},
};

/* split takes a name apart: "decimal(12,2) unsigned", "timestamp(3) without time zone". */
static void
split(const char *type, Spelling *name)
{
	const char *open = strchr(type, '(');
	const char *close = open ? strchr(open, ')') : NULL;
	char *suffix;

	memset(name, 0, sizeof(Spelling));
	if (close)
	{
		name->n = sscanf(open, "(%d,%d", &name->argument[0], &name->argument[1]);
		snprintf(name->base, sizeof(name->base), "%.*s%s", (int) (open - type), type, close + 1);
	}
	else
		strlcpy(name->base, type, sizeof(name->base));
	suffix = strstr(name->base, " unsigned");
	name->is_unsigned = suffix != NULL;
	if (suffix)
		*suffix = '\0';
}

/* find returns what a name means; false: nothing that is known here. */
static bool
find(const char *base, Range *range)
{
	for (int i = 0; i < lengthof(known); i++)
		if (strcmp(known[i].name, base) == 0)
		{
			*range = known[i].range;
			return true;
		}
	return false;
}

/* describe returns the range of values of a type. MySQL's display width of integers is none. */
static Range
describe(const char *type)
{
	Range range = {FAMILY_OTHER};
	Spelling name;

	split(type, &name);
	if (!find(name.base, &range))
		return range;
	if (range.family == FAMILY_NUMBER && range.digits > 0 && name.n > 0)
	{
		range.digits = name.n > 1 ? name.argument[1] : 0;
		range.high = pow(10, name.argument[0] - range.digits);
		range.low = -range.high;
	}
	else if ((range.family == FAMILY_TEXT || range.family == FAMILY_BINARY) && name.n > 0)
		range.high = name.argument[0];
	else if ((range.family == FAMILY_TIME || range.family == FAMILY_TIME_ZONE) && name.n > 0)
		range.digits = name.argument[0];
	if (range.family == FAMILY_NUMBER && name.is_unsigned)
	{
		range.high = range.digits > 0 ? range.high : range.high * 2 + 1;
		range.low = 0;
	}
	return range;
}

/* includes says whether every value of b is one of a. */
static bool
includes(const Range *a, const Range *b)
{
	return a->low <= b->low && a->high >= b->high && a->digits >= b->digits;
}

/* etl_drift_type_compare compares the ranges. */
EtlTypeChange
etl_drift_type_compare(const char *old_type, const char *new_type)
{
	Range old = describe(old_type);
	Range new = describe(new_type);
	bool wider;
	bool narrower;

	if (strcmp(old_type, new_type) == 0)
		return ETL_TYPE_SAME;
	if (old.family != new.family || old.family == FAMILY_OTHER)
		return ETL_TYPE_CHANGED;
	wider = includes(&new, &old);
	narrower = includes(&old, &new);
	if (wider && narrower)
		return ETL_TYPE_SAME;
	if (wider)
		return ETL_TYPE_WIDENED;
	return narrower ? ETL_TYPE_NARROWED : ETL_TYPE_CHANGED;
}

/* etl_drift_type_in_place knows the casts that PostgreSQL makes without a look at the rows. */
bool
etl_drift_type_in_place(const char *old_type, const char *new_type)
{
	Spelling old;
	Spelling new;

	split(old_type, &old);
	split(new_type, &new);
	if (strcmp(old.base, "character varying") == 0)
		return strcmp(new.base, "text") == 0 || strcmp(new.base, "character varying") == 0;
	if (strcmp(old.base, new.base) != 0)
		return false;
	if (strcmp(old.base, "numeric") == 0)
		return new.n == 0 || old.argument[1] == new.argument[1];
	return strncmp(old.base, "timestamp", 9) == 0;
}

/* etl_drift_type_from_mysql follows IMPORT FOREIGN SCHEMA of mysql_fdw, but makes text of what has no fixed form. */
char *
etl_drift_type_from_mysql(const char *type)
{
	static const char *const types[][2] = {
		{"tinyint", "smallint"}, {"smallint", "smallint"},	{"mediumint", "integer"},
		{"int", "integer"},		 {"integer", "integer"},	{"bigint", "bigint"},
		{"year", "smallint"},	 {"float", "real"},			{"double", "double precision"},
		{"date", "date"},		 {"datetime", "timestamp"}, {"timestamp", "timestamp"},
		{"binary", "bytea"},	 {"varbinary", "bytea"},	{"tinyblob", "bytea"},
		{"blob", "bytea"},		 {"mediumblob", "bytea"},	{"longblob", "bytea"},
		{"json", "jsonb"},
	};
	static const char *const unsigned_types[][2] = {
		{"smallint", "integer"}, {"int", "bigint"}, {"integer", "bigint"}, {"bigint", "numeric(20,0)"}};
	Spelling name;

	split(type, &name);
	for (int i = 0; name.is_unsigned && i < lengthof(unsigned_types); i++)
		if (strcmp(unsigned_types[i][0], name.base) == 0)
			return pstrdup(unsigned_types[i][1]);
	if (strcmp(name.base, "decimal") == 0 && name.n == 2)
		return psprintf("numeric(%d,%d)", name.argument[0], name.argument[1]);
	if ((strcmp(name.base, "varchar") == 0 || strcmp(name.base, "char") == 0) && name.n == 1 && name.argument[0] > 0)
		return psprintf("character varying(%d)", name.argument[0]);
	for (int i = 0; i < lengthof(types); i++)
		if (strcmp(types[i][0], name.base) == 0)
			return pstrdup(types[i][1]);
	return pstrdup("text");
}
