/*
 * value_number.c
 *		Numbers and bits of MySQL. See value.h.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "mysql/value.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/numeric.h"

/* Any number of so many digits fits into an int64. */
#define SAFE_DIGITS 18

#define MAX_BITS 64

/* refuse_range reports a whole number that the column's type cannot hold. */
static void
refuse_range(const EtlMyColumn *column, const char *text)
{
	ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					errmsg("value %s in column \"%s\" of source %s is out of range for type %s", text,
						   column->column->name, column->values->source->name, format_type_be(column->type)),
					errdetail("MySQL's unsigned types hold twice as much as the type of the same size here."),
					errhint("Declare the column of the foreign table as %s.",
							column->type == INT8OID ? "numeric(20)" : "bigint")));
}

/* take_integer reads a whole number; false: it is something else, or does not fit into 64 bits. */
static bool
take_integer(const char *text, unsigned long length, int64 *number)
{
	bool negative = length > 0 && *text == '-';
	unsigned long i = negative ? 1 : 0;
	int64 n = 0;

	if (i == length)
		return false;
	if (length - i > SAFE_DIGITS)
	{
		char *end;

		errno = 0;
		*number = strtoll(text, &end, 10);
		return errno == 0 && *end == '\0';
	}
	for (; i < length; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return false;
		n = n * 10 + (text[i] - '0');
	}
	*number = negative ? -n : n;
	return true;
}

/* etl_my_to_integer converts to smallint, integer and bigint. */
bool
etl_my_to_integer(EtlMyColumn *column, const char *text, unsigned long length, Datum *value)
{
	int64 number;

	if (!take_integer(text, length, &number))
	{
		if (length > SAFE_DIGITS && strspn(text + (*text == '-'), "0123456789") == length - (*text == '-'))
			refuse_range(column, text);
		return etl_my_to_any(column, text, length, value);
	}
	if ((column->type == INT2OID && (number < PG_INT16_MIN || number > PG_INT16_MAX)) ||
		(column->type == INT4OID && (number < PG_INT32_MIN || number > PG_INT32_MAX)))
		refuse_range(column, text);
	if (column->type == INT2OID)
		*value = Int16GetDatum((int16) number);
	else if (column->type == INT4OID)
		*value = Int32GetDatum((int32) number);
	else
		*value = Int64GetDatum(number);
	return true;
}

/*
 * take_decimal reads a number with a fraction as an integer and the number of its decimals; false: it is something else, or
 * has more digits than an int64 takes for sure.
 */
static bool
take_decimal(const char *text, unsigned long length, int64 *number, int *whole, int *decimals)
{
	bool negative = length > 0 && *text == '-';
	const char *point = memchr(text, '.', length);
	unsigned long first = negative ? 1 : 0;
	int64 n = 0;

	if (length - first > SAFE_DIGITS || length == first || point == text + first || point == text + length - 1)
		return false;
	for (unsigned long i = first; i < length; i++)
	{
		if (text + i == point)
			continue;
		if (text[i] < '0' || text[i] > '9')
			return false;
		n = n * 10 + (text[i] - '0');
	}
	*number = negative ? -n : n;
	*whole = (int) ((point ? point - text : length) - first);
	*decimals = point ? (int) (text + length - 1 - point) : 0;
	return true;
}

/* fits says whether a number needs neither rounding nor a check for a numeric(precision, scale). */
static bool
fits(int32 typmod, int whole, int decimals)
{
	int precision = (typmod - VARHDRSZ) >> 16 & 0xFFFF;
	int scale = (typmod - VARHDRSZ) & 0x7FF;

	return typmod < VARHDRSZ || (scale == decimals && whole <= precision - scale);
}

/* etl_my_to_numeric takes what is short the short way: numeric_in is slow, and most amounts are short. */
bool
etl_my_to_numeric(EtlMyColumn *column, const char *text, unsigned long length, Datum *value)
{
	int64 number;
	int whole;
	int decimals;

	if (!take_decimal(text, length, &number, &whole, &decimals) || !fits(column->typmod, whole, decimals))
		return etl_my_to_any(column, text, length, value);
	*value = NumericGetDatum(int64_div_fast_to_numeric(number, decimals));
	return true;
}

/* etl_my_to_float converts to real and double precision; MySQL has neither NaN nor infinity. */
bool
etl_my_to_float(EtlMyColumn *column, const char *text, unsigned long length, Datum *value)
{
	char *end;
	double number;
	float single;

	errno = 0;
	if (column->type == FLOAT8OID)
	{
		number = strtod(text, &end);
		*value = Float8GetDatum(number);
	}
	else
	{
		single = strtof(text, &end);
		*value = Float4GetDatum(single);
	}
	/* The input function has the messages for what is not a number or does not fit. */
	if (errno != 0 || length == 0 || end != text + length)
		return etl_my_to_any(column, text, length, value);
	return true;
}

/* etl_my_to_bool takes a number: 0 is false. */
bool
etl_my_to_bool(EtlMyColumn *column, const char *text, unsigned long length, Datum *value)
{
	int64 number;

	if (!take_integer(text, length, &number))
		return etl_my_to_any(column, text, length, value);
	if (number != 0 && number != 1)
		column->values->not_boolean++;
	*value = BoolGetDatum(number != 0);
	return true;
}

/* take_bits reads the bytes of a BIT(n), the highest first. */
static uint64
take_bits(const char *text, unsigned long length)
{
	uint64 bits = 0;

	for (unsigned long i = 0; i < length; i++)
		bits = bits << 8 | (unsigned char) text[i];
	return bits;
}

/* etl_my_bits_to_digits prints the number. */
bool
etl_my_bits_to_digits(EtlMyColumn *column, const char *text, unsigned long length, Datum *value)
{
	char digits[32];
	int n = snprintf(digits, sizeof(digits), UINT64_FORMAT, take_bits(text, length));

	return column->inner(column, digits, n, value);
}

/* etl_my_bits_to_string prints n digits of 0 and 1. */
bool
etl_my_bits_to_string(EtlMyColumn *column, const char *text, unsigned long length, Datum *value)
{
	char digits[MAX_BITS + 1];
	uint64 bits = take_bits(text, length);
	int n = Min(column->bits, MAX_BITS);

	for (int i = 0; i < n; i++)
		digits[i] = bits >> (n - 1 - i) & 1 ? '1' : '0';
	digits[n] = '\0';
	return column->inner(column, digits, n, value);
}
