/*
 * copy.c
 *		From a message of COPY (FORMAT binary) to values. See copy.h.
 *
 * The types that most rows consist of are decoded here; for the others their receive function is called on the message's
 * memory. Nothing is copied that need not be: the header of a short text is written into the message, over the last byte
 * of its length.
 *
 * Receive functions convert text from the encoding of this session's client, which is somebody else. Where that is not
 * the encoding of the database, columns that would pass through it come as text, whose input functions do not convert.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "postgres/copy.h"
#include "source/value.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

static const char signature[11] = "PGCOPY\n\377\r\n\0";

/* Types whose binary form has been the same since version 10 (17 gave intervals values that older ones misread). */
static const Oid stable[] = {
	BOOLOID, INT2OID, INT4OID, INT8OID, OIDOID, FLOAT4OID, FLOAT8OID, NUMERICOID, BYTEAOID, DATEOID, TIMEOID, TIMETZOID,
	TIMESTAMPOID, TIMESTAMPTZOID, UUIDOID, INETOID, CIDROID, MACADDROID, BITOID, VARBITOID,
	/* arrays */
	BOOLARRAYOID, INT2ARRAYOID, INT4ARRAYOID, INT8ARRAYOID, OIDARRAYOID, FLOAT4ARRAYOID, FLOAT8ARRAYOID,
	NUMERICARRAYOID, BYTEAARRAYOID, DATEARRAYOID, TIMEARRAYOID, TIMETZARRAYOID, TIMESTAMPARRAYOID, TIMESTAMPTZARRAYOID,
	UUIDARRAYOID, INETARRAYOID, CIDRARRAYOID, MACADDRARRAYOID, BITARRAYOID, VARBITARRAYOID};

/* The same, for types whose receive function converts text from the encoding of the client. */
static const Oid stable_text[] = {JSONBOID,		TEXTARRAYOID, VARCHARARRAYOID, BPCHARARRAYOID,
								  NAMEARRAYOID, JSONARRAYOID, JSONBARRAYOID};

/* Types whose binary form is their text. */
static const Oid characters[] = {TEXTOID, VARCHAROID, BPCHAROID, NAMEOID, JSONOID};

#define IN(list, type) is_in(list, lengthof(list), type)

/* is_in says whether a list has a type. */
static bool
is_in(const Oid *list, int n, Oid type)
{
	for (int i = 0; i < n; i++)
		if (list[i] == type)
			return true;
	return false;
}

/* prepare_column looks up the functions of a type. */
static void
prepare_column(EtlPgColumn *column)
{
	Oid type = column->column->type;
	Oid function;

	column->as_own_type = psprintf("%%s::%s", etl_value_type(type));
	getTypeInputInfo(type, &function, &column->input_param);
	fmgr_info(function, &column->input);
	if (IN(stable, type) || IN(stable_text, type))
	{
		getTypeBinaryInputInfo(type, &function, &column->receive_param);
		fmgr_info(function, &column->receive);
	}
}

/* etl_pg_copy_make prepares. */
EtlPgCopy *
etl_pg_copy_make(const EtlSource *source)
{
	EtlPgCopy *copy = palloc0(sizeof(EtlPgCopy));

	copy->n = source->n;
	copy->column = palloc0(sizeof(EtlPgColumn) * source->n);
	copy->source = source->name;
	copy->same_encoding = pg_get_client_encoding() == GetDatabaseEncoding();
	for (int i = 0; i < source->n; i++)
	{
		copy->column[i].column = &source->column[i];
		copy->column[i].index = source->column[i].attnum - 1;
		prepare_column(&copy->column[i]);
	}
	return copy;
}

/* own_form returns how a type that is the same on both sides comes; ETL_PG_TEXT: as text. */
static EtlPgForm
own_form(const EtlPgCopy *copy, const EtlColumn *column)
{
	switch (column->type)
	{
		case BOOLOID:
			return ETL_PG_BOOL;
		case INT2OID:
			return ETL_PG_INT2;
		case INT4OID:
			return ETL_PG_INT4;
		case INT8OID:
			return ETL_PG_INT8;
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return column->typmod < 0 ? ETL_PG_TIMESTAMP : ETL_PG_BINARY;
		default:
			if (IN(stable, column->type) || (copy->same_encoding && IN(stable_text, column->type)))
				return ETL_PG_BINARY;
			return ETL_PG_TEXT;
	}
}

/* choose_characters decides for a type whose binary form is its text; it needs no input function where nothing is cut. */
static void
choose_characters(EtlPgColumn *column, Oid remote_type, int32 remote_typmod)
{
	const EtlColumn *local = column->column;
	bool as_it_is = local->type == TEXTOID || (local->type == VARCHAROID && local->typmod < 0) ||
					(local->type == VARCHAROID && remote_type == VARCHAROID && local->typmod == remote_typmod);

	column->form = as_it_is ? ETL_PG_CHARACTERS : ETL_PG_TEXT;
	column->converted = false;
	column->select = remote_type == BPCHAROID ? "%s::pg_catalog.bpchar" : "%s::pg_catalog.text";
}

/*
 * etl_pg_copy_choose decides. The select list names the type that was decided on, which costs nothing: a column that
 * somebody alters meanwhile is an error and no other value.
 */
void
etl_pg_copy_choose(EtlPgCopy *copy, int i, Oid remote_type, int32 remote_typmod)
{
	EtlPgColumn *column = &copy->column[i];
	const EtlColumn *local = column->column;

	if (IN(characters, remote_type))
	{
		choose_characters(column, remote_type, remote_typmod);
		return;
	}
	column->form = remote_type == local->type ? own_form(copy, local) : ETL_PG_TEXT;
	column->converted = column->form == ETL_PG_TEXT;
	column->select = column->converted ? "CASE WHEN %1$s IS DISTINCT FROM NULL THEN pg_catalog.format('%%s', %1$s) END"
									   : column->as_own_type;
}

/* etl_pg_copy_begin resets. */
void
etl_pg_copy_begin(EtlPgCopy *copy)
{
	copy->begun = false;
	copy->ended = false;
	copy->next = copy->end = NULL;
}

/* refuse_format reports a message that is none. */
static void
refuse_format(const EtlPgCopy *copy, const char *what)
{
	ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
					errmsg("the source of %s sent a COPY that is not valid", copy->source), errdetail("%s.", what),
					errhint("reader => 'query' reads it through postgres_fdw.")));
}

/* need checks that the message has some more bytes. */
static inline void
need(const EtlPgCopy *copy, int n)
{
	if (unlikely(copy->end - copy->next < n))
		refuse_format(copy, "A row ends before its end");
}

/* take_int16 reads. */
static inline int16
take_int16(EtlPgCopy *copy)
{
	uint16 n;

	need(copy, sizeof(n));
	memcpy(&n, copy->next, sizeof(n));
	copy->next += sizeof(n);
	return (int16) pg_ntoh16(n);
}

/* take_int32 reads. */
static inline int32
take_int32(EtlPgCopy *copy)
{
	uint32 n;

	need(copy, sizeof(n));
	memcpy(&n, copy->next, sizeof(n));
	copy->next += sizeof(n);
	return (int32) pg_ntoh32(n);
}

/* etl_pg_copy_feed takes a message; the first one begins with the header. */
void
etl_pg_copy_feed(EtlPgCopy *copy, char *message, int length)
{
	int32 extension;

	copy->next = message;
	copy->end = message + length;
	if (copy->begun)
		return;
	need(copy, sizeof(signature));
	if (memcmp(copy->next, signature, sizeof(signature)) != 0)
		refuse_format(copy, "It does not begin as one does");
	copy->next += sizeof(signature);
	if ((take_int32(copy) >> 16) != 0)
		refuse_format(copy, "It has a flag that this version does not know");
	extension = take_int32(copy);
	if (extension < 0)
		refuse_format(copy, "Its header is damaged");
	need(copy, extension);
	copy->next += extension;
	copy->begun = true;
}

/* take_characters makes a text value: a short one in place, its header over the last byte of its length. */
static inline Datum
take_characters(const EtlPgCopy *copy, char *data, int length)
{
	char *value;

	if (copy->verify_text)
		(void) pg_verifymbstr(data, length, false);
	if (length + VARHDRSZ_SHORT <= VARATT_SHORT_MAX)
	{
		value = data - VARHDRSZ_SHORT;
		SET_VARSIZE_SHORT(value, length + VARHDRSZ_SHORT);
		return PointerGetDatum(value);
	}
	value = palloc(length + VARHDRSZ);
	SET_VARSIZE(value, length + VARHDRSZ);
	memcpy(VARDATA(value), data, length);
	return PointerGetDatum(value);
}

/* take_through calls the input or receive function on the field's memory, with a zero behind it for its time. */
static Datum
take_through(EtlPgColumn *column, const EtlPgCopy *copy, char *data, int length)
{
	char saved = data[length];
	Datum value;

	data[length] = '\0';
	if (column->form == ETL_PG_TEXT)
	{
		if (copy->verify_text)
			(void) pg_verifymbstr(data, length, false);
		value = InputFunctionCall(&column->input, data, column->input_param, column->column->typmod);
	}
	else
	{
		StringInfoData field = {.data = data, .len = length, .maxlen = length + 1};

		value = ReceiveFunctionCall(&column->receive, &field, column->receive_param, column->column->typmod);
		if (field.cursor != length)
			refuse_format(copy, psprintf("Column \"%s\" has bytes that its type does not", column->column->name));
	}
	data[length] = saved;
	return value;
}

/* take_int64 reads eight bytes. */
static inline int64
take_int64(const char *data)
{
	uint64 n;

	memcpy(&n, data, sizeof(n));
	return (int64) pg_ntoh64(n);
}

/* fixed checks the length of a value of a fixed size. */
static inline void
fixed(const EtlPgCopy *copy, const EtlPgColumn *column, int length, int expected)
{
	if (unlikely(length != expected))
		refuse_format(copy, psprintf("A value of column \"%s\" has %d bytes", column->column->name, length));
}

/* take_timestamp refuses what no timestamp can be. */
static inline Datum
take_timestamp(const EtlPgCopy *copy, const char *data)
{
	Timestamp value = take_int64(data);

	if (unlikely(!TIMESTAMP_NOT_FINITE(value) && !IS_VALID_TIMESTAMP(value)))
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
	return TimestampGetDatum(value);
}

/* take_value makes a value of a field that is not NULL. */
static inline Datum
take_value(EtlPgCopy *copy, EtlPgColumn *column, char *data, int length)
{
	uint32 four;
	uint16 two;

	switch (column->form)
	{
		case ETL_PG_CHARACTERS:
			return take_characters(copy, data, length);
		case ETL_PG_INT8:
			fixed(copy, column, length, sizeof(int64));
			return Int64GetDatum(take_int64(data));
		case ETL_PG_TIMESTAMP:
			fixed(copy, column, length, sizeof(int64));
			return take_timestamp(copy, data);
		case ETL_PG_INT4:
			fixed(copy, column, length, sizeof(four));
			memcpy(&four, data, sizeof(four));
			return Int32GetDatum((int32) pg_ntoh32(four));
		case ETL_PG_INT2:
			fixed(copy, column, length, sizeof(two));
			memcpy(&two, data, sizeof(two));
			return Int16GetDatum((int16) pg_ntoh16(two));
		case ETL_PG_BOOL:
			fixed(copy, column, length, 1);
			return BoolGetDatum(data[0] != 0);
		default:
			return take_through(column, copy, data, length);
	}
}

/* etl_pg_copy_row reads a row. */
bool
etl_pg_copy_row(EtlPgCopy *copy, TupleTableSlot *slot)
{
	int n;

	if (copy->next == copy->end)
		return false;
	if (copy->ended)
		refuse_format(copy, "It goes on behind its end");
	n = take_int16(copy);
	if (n == -1)
	{
		copy->ended = true;
		return false;
	}
	if (n != copy->n)
		refuse_format(copy, psprintf("A row has %d columns instead of %d", n, copy->n));
	for (int i = 0; i < n; i++)
	{
		EtlPgColumn *column = &copy->column[i];
		int32 length = take_int32(copy);

		slot->tts_isnull[column->index] = length == -1;
		if (length == -1)
			continue;
		if (length < 0)
			refuse_format(copy, "A value has a length below zero");
		need(copy, length);
		slot->tts_values[column->index] = take_value(copy, column, copy->next, length);
		copy->next += length;
	}
	return true;
}
