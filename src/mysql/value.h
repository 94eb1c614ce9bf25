/*
 * value.h
 *		Values of MySQL as values of the foreign table's columns.
 *
 * MySQL sends text, except for BIT and binary strings, which come as bytes. What a value becomes depends on both types;
 * docs/mysql.md has the table. Three things cannot be kept as they are, and are counted: bytes 0 in text are left out
 * ("nul_bytes_removed"), dates that do not exist follow zero_dates ("zero_dates"), and numbers other than 0 and 1 in a
 * boolean column are true ("tinyint_not_boolean"). Everything else that does not fit is an error.
 */
#ifndef ETL_MYSQL_VALUE_H
#define ETL_MYSQL_VALUE_H

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mysql/client.h"
#include "source/reader.h"

typedef enum EtlMyZeroDates
{
	ETL_MY_ZERO_ERROR,
	ETL_MY_ZERO_NULL,
	ETL_MY_ZERO_EPOCH
} EtlMyZeroDates;

typedef struct EtlMyValues EtlMyValues;
typedef struct EtlMyColumn EtlMyColumn;

/* Converts a value; false: it becomes NULL. */
typedef bool (*EtlMyConvert)(EtlMyColumn *column, const char *text, unsigned long length, Datum *value);

struct EtlMyColumn
{
	EtlMyValues *values;
	const EtlColumn *column;
	Oid type; /* that of the column, or what a domain is over */
	int32 typmod;
	bool is_domain;
	bool is_array;
	void *domain; /* memory of domain_check */
	FmgrInfo input;
	Oid ioparam;
	unsigned int bits; /* BIT(n): n */
	EtlMyConvert convert;
	EtlMyConvert inner; /* what convert hands a digested text to */
};

struct EtlMyValues
{
	const EtlSource *source;
	MemoryContext context;
	EtlMyZeroDates zero_policy;
	bool utf8; /* the database's encoding is that of the connection */
	int n;
	EtlMyColumn *column; /* as source->column */
	EtlMyColumn *current;
	StringInfoData buffer;
	int64 zero_dates;
	int64 nul_bytes;
	int64 not_boolean;
};

/* Looks the types up; in a transaction. */
extern EtlMyValues *etl_my_values_make(const EtlReadRequest *request);

/* Chooses how column i is converted, now that MySQL has said what it is. No catalog access. */
extern void etl_my_values_describe(EtlMyValues *values, int i, const MYSQL_FIELD *field);

/* The expression that sends a column exactly: a FLOAT would be printed with six digits. */
extern char *etl_my_values_expression(const MYSQL_FIELD *field, const char *column);

/* Converts a value of column i; false: NULL. In a transaction, in a short-lived context. */
extern bool etl_my_values_convert(EtlMyValues *values, int i, const char *text, unsigned long length, Datum *value);

/* Converts a row into the slot's attributes of the relation. */
extern void etl_my_values_row(EtlMyValues *values, char *const *row, const unsigned long *length, TupleTableSlot *slot);

/* Adds what was counted since the last call to the attempt. */
extern void etl_my_values_count(EtlMyValues *values, EtlAttempt *attempt);

/* ---- value_time.c ---- */

extern bool etl_my_to_date(EtlMyColumn *column, const char *text, unsigned long length, Datum *value);
extern bool etl_my_to_timestamp(EtlMyColumn *column, const char *text, unsigned long length, Datum *value);
extern bool etl_my_to_time(EtlMyColumn *column, const char *text, unsigned long length, Datum *value);
extern bool etl_my_to_interval(EtlMyColumn *column, const char *text, unsigned long length, Datum *value);

/* ---- value_number.c ---- */

extern bool etl_my_to_integer(EtlMyColumn *column, const char *text, unsigned long length, Datum *value);
extern bool etl_my_to_numeric(EtlMyColumn *column, const char *text, unsigned long length, Datum *value);
extern bool etl_my_to_float(EtlMyColumn *column, const char *text, unsigned long length, Datum *value);
extern bool etl_my_to_bool(EtlMyColumn *column, const char *text, unsigned long length, Datum *value);

/* BIT(n) as the digits of a number, and as a string of 0 and 1; both hand over to inner. */
extern bool etl_my_bits_to_digits(EtlMyColumn *column, const char *text, unsigned long length, Datum *value);
extern bool etl_my_bits_to_string(EtlMyColumn *column, const char *text, unsigned long length, Datum *value);

/* ---- value.c ---- */

/* Through the type's input function. */
extern bool etl_my_to_any(EtlMyColumn *column, const char *text, unsigned long length, Datum *value);

#endif /* ETL_MYSQL_VALUE_H */
