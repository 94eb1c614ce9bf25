/*
 * value.c
 *		Values of MySQL as values of the foreign table's columns: which conversion, and text. See value.h.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "mysql/value.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/uuid.h"

/* MySQL's number for "these are bytes, not text". */
#define BINARY_CHARSET 63

/* drop_nuls copies a text without its bytes 0. */
static const char *
drop_nuls(EtlMyValues *values, const char *text, unsigned long *length)
{
	resetStringInfo(&values->buffer);
	enlargeStringInfo(&values->buffer, *length);
	for (unsigned long i = 0; i < *length; i++)
	{
		if (text[i] != '\0')
			values->buffer.data[values->buffer.len++] = text[i];
		else
			values->nul_bytes++;
	}
	values->buffer.data[values->buffer.len] = '\0';
	*length = values->buffer.len;
	return values->buffer.data;
}

/* server_text gives a text as this database can store it: checked, converted, without bytes 0; ends with one. */
static const char *
server_text(EtlMyColumn *column, const char *text, unsigned long *length)
{
	EtlMyValues *values = column->values;
	const char *converted;

	if (memchr(text, '\0', *length) != NULL)
		text = drop_nuls(values, text, length);
	converted = pg_any_to_server(text, *length, PG_UTF8);
	if (converted != text)
		*length = strlen(converted);
	return converted;
}

/* etl_my_to_any uses the type's input function. */
bool
etl_my_to_any(EtlMyColumn *column, const char *text, unsigned long length, Datum *value)
{
	*value = InputFunctionCall(&column->input, unconstify(char *, server_text(column, text, &length)), column->ioparam,
							   column->typmod);
	return true;
}

/* to_text converts to text, and to varchar where the length is no question. */
static bool
to_text(EtlMyColumn *column, const char *text, unsigned long length, Datum *value)
{
	if (column->typmod >= VARHDRSZ && length > column->typmod - VARHDRSZ)
		return etl_my_to_any(column, text, length, value);
	text = server_text(column, text, &length);
	*value = PointerGetDatum(cstring_to_text_with_len(text, length));
	return true;
}

/* to_bytea takes the bytes as they are. */
static bool
to_bytea(EtlMyColumn *column, const char *text, unsigned long length, Datum *value)
{
	*value = PointerGetDatum(cstring_to_text_with_len(text, length));
	return true;
}

/* to_uuid takes the 16 bytes of a BINARY(16). */
static bool
to_uuid(EtlMyColumn *column, const char *text, unsigned long length, Datum *value)
{
	pg_uuid_t *uuid;

	if (length != UUID_LEN)
		return etl_my_to_any(column, text, length, value);
	uuid = palloc(sizeof(pg_uuid_t));
	memcpy(uuid->data, text, UUID_LEN);
	*value = UUIDPGetDatum(uuid);
	return true;
}

/* to_array turns the members of a SET into an array constant. */
static bool
to_array(EtlMyColumn *column, const char *text, unsigned long length, Datum *value)
{
	StringInfoData array;

	initStringInfo(&array);
	appendStringInfoString(&array, length > 0 ? "{\"" : "{");
	for (unsigned long i = 0; i < length; i++)
	{
		if (text[i] == ',')
		{
			appendStringInfoString(&array, "\",\"");
			continue;
		}
		if (text[i] == '"' || text[i] == '\\')
			appendStringInfoChar(&array, '\\');
		appendStringInfoChar(&array, text[i]);
	}
	appendStringInfoString(&array, length > 0 ? "\"}" : "}");
	return etl_my_to_any(column, array.data, array.len, value);
}

/* is_number says whether MySQL sends digits. */
static bool
is_number(const MYSQL_FIELD *field)
{
	switch (field->type)
	{
		case MYSQL_TYPE_TINY:
		case MYSQL_TYPE_SHORT:
		case MYSQL_TYPE_INT24:
		case MYSQL_TYPE_LONG:
		case MYSQL_TYPE_LONGLONG:
		case MYSQL_TYPE_YEAR:
		case MYSQL_TYPE_BIT:
			return true;
		default:
			return false;
	}
}

/* is_bytes says whether MySQL sends a binary string. */
static bool
is_bytes(const MYSQL_FIELD *field)
{
	return field->charsetnr == BINARY_CHARSET &&
		   (field->type == MYSQL_TYPE_STRING || field->type == MYSQL_TYPE_VAR_STRING);
}

/* choose returns the conversion for texts. */
static EtlMyConvert
choose(const EtlMyColumn *column, const MYSQL_FIELD *field)
{
	if (column->is_array && (field->flags & SET_FLAG))
		return to_array;
	switch (column->type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
			return etl_my_to_integer;
		case NUMERICOID:
			return etl_my_to_numeric;
		case FLOAT4OID:
		case FLOAT8OID:
			return etl_my_to_float;
		case BOOLOID:
			return is_number(field) ? etl_my_to_bool : etl_my_to_any;
		case TEXTOID:
		case VARCHAROID:
			return to_text;
		case BYTEAOID:
			return to_bytea;
		case DATEOID:
			return etl_my_to_date;
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return etl_my_to_timestamp;
		case TIMEOID:
			return etl_my_to_time;
		case INTERVALOID:
			return field->type == MYSQL_TYPE_TIME ? etl_my_to_interval : etl_my_to_any;
		case UUIDOID:
			return is_bytes(field) ? to_uuid : etl_my_to_any;
		default:
			return etl_my_to_any;
	}
}

/* choose_bits puts the way to a text in front of the conversion of BIT. */
static void
choose_bits(EtlMyColumn *column)
{
	switch (column->type)
	{
		case BYTEAOID:
			return;
		case BITOID:
		case VARBITOID:
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
			column->convert = etl_my_bits_to_string;
			return;
		default:
			column->convert = etl_my_bits_to_digits;
	}
}

/* etl_my_values_describe chooses. */
void
etl_my_values_describe(EtlMyValues *values, int i, const MYSQL_FIELD *field)
{
	EtlMyColumn *column = &values->column[i];

	column->convert = column->inner = choose(column, field);
	column->bits = field->length;
	if (field->type == MYSQL_TYPE_BIT)
		choose_bits(column);
}

/* etl_my_values_expression turns a FLOAT into a DOUBLE. */
char *
etl_my_values_expression(const MYSQL_FIELD *field, const char *column)
{
	return field->type == MYSQL_TYPE_FLOAT ? psprintf("%s + 0e0", column) : pstrdup(column);
}

/* zero_policy reads the task's. */
static EtlMyZeroDates
zero_policy(const EtlTask *task)
{
	if (task->zero_dates && strcmp(task->zero_dates, "null") == 0)
		return ETL_MY_ZERO_NULL;
	if (task->zero_dates && strcmp(task->zero_dates, "epoch") == 0)
		return ETL_MY_ZERO_EPOCH;
	return ETL_MY_ZERO_ERROR;
}

/* look_up fills in what the catalog says about a column's type. A domain is checked after the conversion. */
static void
look_up(EtlMyColumn *column)
{
	Oid input;

	column->typmod = column->column->typmod;
	column->type = getBaseTypeAndTypmod(column->column->type, &column->typmod);
	column->is_domain = column->type != column->column->type;
	column->is_array = OidIsValid(get_element_type(column->type));
	getTypeInputInfo(column->type, &input, &column->ioparam);
	fmgr_info(input, &column->input);
}

/* etl_my_values_make looks up all columns. */
EtlMyValues *
etl_my_values_make(const EtlReadRequest *request)
{
	EtlMyValues *values = palloc0(sizeof(EtlMyValues));

	values->source = request->source;
	values->context = request->context;
	values->zero_policy = zero_policy(request->task);
	values->n = request->source->n;
	values->column = palloc0(sizeof(EtlMyColumn) * Max(values->n, 1));
	initStringInfo(&values->buffer);
	for (int i = 0; i < values->n; i++)
	{
		values->column[i].values = values;
		values->column[i].column = &request->source->column[i];
		values->column[i].convert = etl_my_to_any;
		look_up(&values->column[i]);
	}
	return values;
}

/* refuse_length reports a value that no variable of PostgreSQL can hold. */
static void
refuse_length(const EtlMyColumn *column, unsigned long length)
{
	ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					errmsg("value in column \"%s\" of source %s is too long", column->column->name,
						   column->values->source->name),
					errdetail("It has %lu bytes; a value in PostgreSQL has less than 1 GB.", length),
					errhint("Leave the column out with the columns option, or the row with filter.")));
}

/* etl_my_values_convert converts one value. */
bool
etl_my_values_convert(EtlMyValues *values, int i, const char *text, unsigned long length, Datum *value)
{
	EtlMyColumn *column = &values->column[i];

	values->current = column;
	if (length > MaxAllocSize - VARHDRSZ - 1)
		refuse_length(column, length);
	if (!column->convert(column, text, length, value))
		return false;
	if (column->is_domain)
		domain_check(*value, false, column->column->type, &column->domain, values->context);
	return true;
}

/* name_column tells in an error's context where a value comes from. */
static void
name_column(void *arg)
{
	const EtlMyValues *values = arg;

	if (values->current)
		errcontext("column \"%s\" of source %s", values->current->column->name, values->source->name);
}

/* etl_my_values_row converts a row. */
void
etl_my_values_row(EtlMyValues *values, char *const *row, const unsigned long *length, TupleTableSlot *slot)
{
	ErrorContextCallback callback = {error_context_stack, name_column, values};

	error_context_stack = &callback;
	for (int i = 0; i < values->n; i++)
	{
		int attribute = values->column[i].column->attnum - 1;

		slot->tts_isnull[attribute] = row[i] == NULL || !etl_my_values_convert(values, i, row[i], length[i],
																			   &slot->tts_values[attribute]);
	}
	values->current = NULL;
	error_context_stack = callback.previous;
}

/* etl_my_values_count hands the counts over. */
void
etl_my_values_count(EtlMyValues *values, EtlAttempt *attempt)
{
	if (attempt)
	{
		etl_attempt_count(attempt, "zero_dates", values->zero_dates);
		etl_attempt_count(attempt, "nul_bytes_removed", values->nul_bytes);
		etl_attempt_count(attempt, "tinyint_not_boolean", values->not_boolean);
	}
	values->zero_dates = values->nul_bytes = values->not_boolean = 0;
}
