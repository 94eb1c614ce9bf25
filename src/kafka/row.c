/*
 * row.c
 *		A message becomes a row. See row.h.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "kafka/row.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* Milliseconds from 1970 to 2000. */
#define EPOCH_MS ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000)

struct EtlKafkaRows
{
	const EtlKafkaTable *table;
	const EtlSource *source;
	EtlInput *input;
	EtlRecordMap *map; /* NULL: no columns for fields */
	int key_field;	   /* the one column of the primary key, if it is a field; -1: it is not */
	Datum topic;
};

/* field_of returns the field that is the whole primary key of a task, or -1. */
static int
field_of(const EtlKafkaTable *table, const EtlSource *source, const EtlTask *task)
{
	if (task == NULL || task->primary_key.n != 1)
		return -1;
	for (const char *const *own = table->own; *own != NULL; own++)
		if (strcmp(*own, task->primary_key.name[0]) == 0)
			return -1;
	return etl_input_find(source, task->primary_key.name[0]);
}

/* etl_kafka_row_prepare looks types and paths up. */
EtlKafkaRows *
etl_kafka_row_prepare(const EtlKafkaTable *table, const EtlSource *source, const EtlTask *task)
{
	EtlKafkaRows *rows = palloc0(sizeof(EtlKafkaRows));

	rows->table = table;
	rows->source = source;
	rows->input = etl_input_make(source);
	if (table->has_fields)
		rows->map = etl_record_map_make(source, rows->input, table->own);
	rows->key_field = field_of(table, source, task);
	rows->topic = CStringGetTextDatum(table->topic);
	return rows;
}

/* blame says which column it was. */
static bool
blame(EtlKafkaRows *rows, int column, EtlBadRow *bad)
{
	if (bad->column == NULL && column >= 0)
		bad->column = rows->source->column[column].name;
	return false;
}

/* put_bytes puts bytes into a column: as they are into a bytea, else as text through the type's input function. */
static bool
put_bytes(EtlKafkaRows *rows, int column, const void *bytes, size_t length, TupleTableSlot *slot, EtlBadRow *bad)
{
	char *text = NULL;

	if (bytes != NULL && rows->source->column[column].type == BYTEAOID)
	{
		etl_input_datum(rows->input, column, PointerGetDatum(cstring_to_text_with_len(bytes, length)), slot);
		return true;
	}
	if (bytes != NULL && (text = etl_input_text(bytes, length, PG_UTF8, bad)) == NULL)
		return blame(rows, column, bad);
	return etl_input_value(rows->input, column, text, slot, bad);
}

/* header_value returns a header's value: null, a string, or the text form of a bytea where the bytes are no text. */
static JsonbValue
header_value(const void *bytes, size_t length)
{
	JsonbValue value = {.type = jbvNull};
	EtlBadRow ignored;
	char *text;

	if (bytes == NULL)
		return value;
	text = etl_input_text(bytes, length, PG_UTF8, &ignored);
	if (text == NULL)
		text = DatumGetCString(DirectFunctionCall1(byteaout, PointerGetDatum(cstring_to_text_with_len(bytes, length))));
	value.type = jbvString;
	value.val.string.val = text;
	value.val.string.len = strlen(text);
	return value;
}

/* push_header adds a header to an object: its value, or an array of its values if it is there more than once. */
static bool
push_header(JsonbParseState **state, const rd_kafka_headers_t *headers, const char *name, EtlBadRow *bad)
{
	char *text = etl_input_text(name, strlen(name), PG_UTF8, bad);
	JsonbValue value = {.type = jbvString};
	const void *bytes;
	size_t length;
	size_t n = 0;

	if (text == NULL)
		return false;
	value.val.string.val = text;
	value.val.string.len = strlen(text);
	(void) pushJsonbValue(state, WJB_KEY, &value);
	while (n < 2 && rd_kafka_header_get(headers, n, name, &bytes, &length) == RD_KAFKA_RESP_ERR_NO_ERROR)
		n++;
	if (n > 1)
		(void) pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	for (size_t i = 0; rd_kafka_header_get(headers, i, name, &bytes, &length) == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
	{
		CHECK_FOR_INTERRUPTS();
		value = header_value(bytes, length);
		(void) pushJsonbValue(state, n > 1 ? WJB_ELEM : WJB_VALUE, &value);
	}
	if (n > 1)
		(void) pushJsonbValue(state, WJB_END_ARRAY, NULL);
	return true;
}

/* is_first says whether a header is the first of its name. */
static bool
is_first(const rd_kafka_headers_t *headers, size_t at, const char *name)
{
	const char *other;
	const void *bytes;
	size_t length;

	for (size_t i = 0; i < at; i++)
		if (rd_kafka_header_get_all(headers, i, &other, &bytes, &length) == RD_KAFKA_RESP_ERR_NO_ERROR &&
			strcmp(other, name) == 0)
			return false;
	return true;
}

/* put_headers makes an object of the headers; a message without any has NULL. */
static bool
put_headers(EtlKafkaRows *rows, const rd_kafka_message_t *message, TupleTableSlot *slot, EtlBadRow *bad)
{
	int column = rows->table->column[ETL_KAFKA_HEADERS];
	rd_kafka_headers_t *headers;
	JsonbParseState *state = NULL;
	const char *name;
	const void *bytes;
	size_t length;

	if (column < 0 || rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return true;
	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &bytes, &length) == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (is_first(headers, i, name) && !push_header(&state, headers, name, bad))
			return blame(rows, column, bad);
	}
	etl_input_datum(rows->input, column,
					JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL))), slot);
	return true;
}

/* put_moment puts the time of a message, of which a producer may have said anything. */
static bool
put_moment(EtlKafkaRows *rows, const rd_kafka_message_t *message, TupleTableSlot *slot, EtlBadRow *bad)
{
	int column = rows->table->column[ETL_KAFKA_TIMESTAMP];
	rd_kafka_timestamp_type_t type;
	int64 ms;
	TimestampTz moment;

	if (column < 0)
		return true;
	ms = rd_kafka_message_timestamp(message, &type);
	if (type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE || ms < 0)
		return true;
	if (ms > END_TIMESTAMP / 1000 || (moment = (ms - EPOCH_MS) * 1000, !IS_VALID_TIMESTAMP(moment)))
	{
		bad->sqlstate = ERRCODE_DATETIME_VALUE_OUT_OF_RANGE;
		bad->reason = psprintf("timestamp out of range: " INT64_FORMAT " ms", ms);
		return blame(rows, column, bad);
	}
	etl_input_datum(rows->input, column, TimestampTzGetDatum(moment), slot);
	return true;
}

/* put_own fills the columns that every message has. */
static bool
put_own(EtlKafkaRows *rows, const rd_kafka_message_t *message, TupleTableSlot *slot, EtlBadRow *bad)
{
	const int *column = rows->table->column;

	if (column[ETL_KAFKA_TOPIC] >= 0)
		etl_input_datum(rows->input, column[ETL_KAFKA_TOPIC], rows->topic, slot);
	if (column[ETL_KAFKA_PARTITION] >= 0)
		etl_input_datum(rows->input, column[ETL_KAFKA_PARTITION], Int32GetDatum(message->partition), slot);
	if (column[ETL_KAFKA_OFFSET] >= 0)
		etl_input_datum(rows->input, column[ETL_KAFKA_OFFSET], Int64GetDatum(message->offset), slot);
	if (column[ETL_KAFKA_KEY] >= 0 &&
		!put_bytes(rows, column[ETL_KAFKA_KEY], message->key, message->key_len, slot, bad))
		return false;
	return put_moment(rows, message, slot, bad) && put_headers(rows, message, slot, bad);
}

/* put_json fills the columns for the value and its fields from JSON. */
static bool
put_json(EtlKafkaRows *rows, const char *json, size_t length, TupleTableSlot *slot, Jsonb **extra, EtlBadRow *bad)
{
	int column = rows->table->column[ETL_KAFKA_VALUE];
	char *text = etl_input_text(json, length, PG_UTF8, bad);
	Jsonb *whole;

	if (text == NULL)
		return blame(rows, column, bad);
	length = strlen(text);
	if (rows->table->has_value)
		extra = NULL;
	if (column < 0 || rows->source->column[column].type != JSONBOID)
	{
		if (rows->map != NULL ? !etl_record_text(rows->map, text, length, slot, extra, bad)
							  : etl_record_parse(text, length, bad, NULL) == NULL)
			return blame(rows, column, bad);
		return column < 0 || etl_input_value(rows->input, column, text, slot, bad);
	}
	whole = etl_input_jsonb(text, length, bad);
	if (whole == NULL)
	{
		/* The parser knows better what is wrong, if it is the syntax. */
		(void) etl_record_parse(text, length, bad, NULL);
		return blame(rows, column, bad);
	}
	etl_input_datum(rows->input, column, JsonbPGetDatum(whole), slot);
	return rows->map == NULL || etl_record_jsonb(rows->map, whole, slot, NULL, bad);
}

/* put_value fills what comes from the value. */
static bool
put_value(EtlKafkaRows *rows, const rd_kafka_message_t *message, TupleTableSlot *slot, Jsonb **extra, EtlBadRow *bad)
{
	int column = rows->table->column[ETL_KAFKA_VALUE];

	if (rows->table->format == ETL_KAFKA_JSON)
		return put_json(rows, message->payload, message->len, slot, extra, bad);
	return column < 0 || put_bytes(rows, column, message->payload, message->len, slot, bad);
}

/*
 * put_deleted_key fills the columns of the key of a row that was deleted: from the fields of a key that is a JSON object, or
 * the one column of the primary key from the key as text.
 */
static bool
put_deleted_key(EtlKafkaRows *rows, const rd_kafka_message_t *message, TupleTableSlot *slot, EtlBadRow *bad)
{
	char *text;

	if (rows->map == NULL)
		return true;
	text = etl_input_text(message->key, message->key_len, PG_UTF8, bad);
	if (text == NULL)
		return false;
	if (text[strspn(text, " \t\r\n")] == '{')
		return etl_record_text(rows->map, text, strlen(text), slot, NULL, bad);
	return rows->key_field < 0 || etl_input_value(rows->input, rows->key_field, text, slot, bad);
}

/* refuse_nothing says that a message has neither key nor value. */
static bool
refuse_nothing(EtlBadRow *bad)
{
	bad->sqlstate = ERRCODE_NULL_VALUE_NOT_ALLOWED;
	bad->reason = "the message has neither a key nor a value";
	return false;
}

/* etl_kafka_row_convert decides by the value. */
EtlFeedStep
etl_kafka_row_convert(EtlKafkaRows *rows, const rd_kafka_message_t *message, TupleTableSlot *slot, Jsonb **extra,
					  EtlBadRow *bad)
{
	bool is_deleted = message->payload == NULL;
	bool good = put_own(rows, message, slot, bad);

	if (good && is_deleted)
		good = message->key != NULL ? put_deleted_key(rows, message, slot, bad) : refuse_nothing(bad);
	else if (good)
		good = put_value(rows, message, slot, extra, bad);
	if (good)
		return is_deleted ? ETL_FEED_DELETE : ETL_FEED_ROW;
	bad->origin = psprintf("%s/%d", rows->table->topic, message->partition);
	bad->position = message->offset;
	bad->record = is_deleted ? message->key : message->payload;
	bad->record_length = is_deleted ? message->key_len : message->len;
	return ETL_FEED_BAD;
}
