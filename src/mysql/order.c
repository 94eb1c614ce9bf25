/*
 * order.c
 *		The order of the pages of the mysql reader, and where one ends and the next begins.
 *
 * The values of the last row are kept as MySQL sent them and go back to it: nothing is rounded or reformatted on the way,
 * so that no row falls between two pages, whatever the foreign table's types are.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mysql/reader.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define BINARY_CHARSET 63

/* column_of describes a column of the source. */
static const EtlColumn *
column_of(const EtlMyReader *reader, int i)
{
	return &reader->base.request.source->column[i];
}

/* orders_safely says whether pages may be cut by a type's values. */
static bool
orders_safely(Oid type)
{
	switch (type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NUMERICOID:
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case BYTEAOID:
		case UUIDOID:
			return true;
		default:
			return false;
	}
}

/* fill_order lists the order columns. */
static void
fill_order(EtlMyReader *reader, bool with_cursor)
{
	EtlRemotePage *page = &reader->page;

	page->n_order = etl_remote_page_order(&reader->base.request, with_cursor, page->order);
	page->last = NULL;
}

/* set_nulls decides when the rows without a cursor are read: in cursor order after the others, else among them. */
static void
set_nulls(EtlMyReader *reader)
{
	const EtlReadRequest *request = &reader->base.request;
	EtlRemotePage *page = &reader->page;
	bool leads = page->n_order > 0 && page->order[0] == reader->cursor;

	page->nulls = ETL_NULLS_AS_THEY_COME;
	if (page->n_order > 0 && !column_of(reader, page->order[0])->not_null && (request->null_cursors || !leads))
		reader->nulls_to_read = request->until == NULL;
	if (reader->cursor < 0 || leads)
		return;
	if (request->null_cursors)
		page->nulls = ETL_NULLS_TOO;
	else if (request->lower == NULL && request->below == NULL)
		page->nulls = ETL_NULLS_LEFT_OUT;
}

/* etl_my_order_decide reads in pages where there is a key of types that both sides sort alike. */
void
etl_my_order_decide(EtlMyReader *reader)
{
	const EtlReadRequest *request = &reader->base.request;
	EtlRemotePage *page = &reader->page;
	int most = request->task->primary_key.n + 1;

	page->order = palloc(sizeof(int) * most);
	reader->at = palloc(sizeof(StringInfoData) * most);
	for (int i = 0; i < most; i++)
		initStringInfo(&reader->at[i]);
	if (request->task->primary_key.n > 0)
		fill_order(reader, !request->by_key);
	for (int i = 0; i < page->n_order; i++)
	{
		const EtlColumn *column = column_of(reader, page->order[i]);

		if (orders_safely(column->type))
			continue;
		reader->note = psprintf(
			"Read in one piece: values of type %s (column \"%s\") may sort differently in the source.",
			format_type_be(column->type), column->name);
		page->n_order = 0;
	}
	set_nulls(reader);
	if (request->by_key && page->n_order > 0)
		page->last = (char **) request->after;
}

/* is_time says whether MySQL's type is a date with or without a time. */
static bool
is_time(const MYSQL_FIELD *field)
{
	switch (field->type)
	{
		case MYSQL_TYPE_DATE:
		case MYSQL_TYPE_NEWDATE:
		case MYSQL_TYPE_DATETIME:
		case MYSQL_TYPE_TIMESTAMP:
			return true;
		default:
			return false;
	}
}

/* is_exact_number says whether MySQL's type is a number that a decimal constant is compared with exactly. */
static bool
is_exact_number(const MYSQL_FIELD *field)
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
		case MYSQL_TYPE_DECIMAL:
		case MYSQL_TYPE_NEWDECIMAL:
			return true;
		default:
			return false;
	}
}

/* agrees says whether a column means the same order in both servers. */
static bool
agrees(const EtlColumn *column, const MYSQL_FIELD *field)
{
	switch (column->type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NUMERICOID:
			return is_exact_number(field);
		case DATEOID:
			return is_time(field);
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return is_time(field) && (column->typmod < 0 || column->typmod >= (int) field->decimals);
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
			return field->type != MYSQL_TYPE_BIT;
		case BYTEAOID:
			return field->charsetnr == BINARY_CHARSET && !is_exact_number(field) && !is_time(field);
		default:
			return field->charsetnr != BINARY_CHARSET || field->length != 16;
	}
}

/* check_column refuses a column. Called without a transaction: nothing of the catalog is in the message. */
static void
check_column(const EtlMyReader *reader, int i)
{
	const EtlColumn *column = column_of(reader, i);

	if (agrees(column, &reader->field[i]))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("column \"%s\" of source %s cannot be a cursor or key as it is declared", column->name,
					reader->base.request.source->name),
			 errdetail("MySQL would compare its values in another way than this server, and rows could be left out."),
			 errhint("Declare the column of the foreign table as what it is: a number, date, timestamp with all its"
					 " digits, text, or bytea for binary strings. IMPORT FOREIGN SCHEMA does so.")));
}

/* etl_my_order_check looks at the cursor and all order columns. */
void
etl_my_order_check(const EtlMyReader *reader)
{
	const EtlReadRequest *request = &reader->base.request;

	for (int i = 0; i < reader->page.n_order; i++)
		check_column(reader, reader->page.order[i]);
	if (reader->cursor >= 0 && orders_safely(column_of(reader, reader->cursor)->type) &&
		(request->lower || request->below || !request->task->primary_key.n))
		check_column(reader, reader->cursor);
}

/* etl_my_order_refuse_null reports a key column that is NULL: the row could not be found again after a cut. */
void
etl_my_order_refuse_null(const EtlMyReader *reader, int column)
{
	ereport(ERROR, (errcode(ERRCODE_NOT_NULL_VIOLATION),
					errmsg("column \"%s\" of the primary key of source %s is NULL", column_of(reader, column)->name,
						   reader->base.request.source->name),
					errhint("Name columns without NULLs as primary_key, or leave primary_key out: the source is then"
							" read in one piece.")));
}

/* etl_my_order_keep copies the values. */
void
etl_my_order_keep(EtlMyReader *reader, MYSQL_ROW row, const unsigned long *length)
{
	for (int i = 0; i < reader->page.n_order; i++)
	{
		int column = reader->page.order[i];

		if (row[column] == NULL)
			etl_my_order_refuse_null(reader, column);
		resetStringInfo(&reader->at[i]);
		appendBinaryStringInfo(&reader->at[i], row[column], length[column]);
	}
}

/* print_value gives a value as the text that source/remote_page.h takes. */
static char *
print_value(const EtlMyReader *reader, int column, const StringInfoData *value)
{
	const MYSQL_FIELD *field = &reader->field[column];
	char *text;
	uint64 bits = 0;

	if (field->type == MYSQL_TYPE_BIT)
	{
		for (int i = 0; i < value->len; i++)
			bits = bits << 8 | (unsigned char) value->data[i];
		return psprintf(UINT64_FORMAT, bits);
	}
	if (column_of(reader, column)->type == BYTEAOID)
	{
		text = palloc(2 + 2 * value->len + 1);
		strcpy(text, "\\x");
		text[2 + hex_encode(value->data, value->len, text + 2)] = '\0';
		return text;
	}
	if (memchr(value->data, '\0', value->len) != NULL)
		ereport(ERROR, (errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
						errmsg("a value in column \"%s\" of source %s has a byte 0", column_of(reader, column)->name,
							   reader->base.request.source->name),
						errdetail("It is a cursor or key, which has to go back to the source unchanged."),
						errhint("Declare the column of the foreign table as bytea, or leave primary_key out.")));
	return etl_my_from_utf8(value->data, value->len);
}

/* etl_my_order_compare compares bytes. */
void
etl_my_order_compare(const EtlMyReader *reader, MYSQL_ROW row, const unsigned long *length)
{
	const EtlRemotePage *page = &reader->page;
	int last = page->n_order - 1;

	for (int i = 0; i < page->n_order; i++)
	{
		int column = page->order[i];

		if (row[column] == NULL || length[column] != reader->at[i].len ||
			memcmp(row[column], reader->at[i].data, length[column]) != 0)
			return;
	}
	ereport(
		ERROR,
		(errcode(ERRCODE_UNIQUE_VIOLATION),
		 errmsg("primary_key does not identify a row of source %s", reader->base.request.source->name),
		 errdetail("Two rows have the same value (%s) in column \"%s\" and equal values in all columns of the key.",
				   print_value(reader, page->order[last], &reader->at[last]),
				   column_of(reader, page->order[last])->name),
		 errhint("Name all columns of the key as primary_key, or leave primary_key out: the source is then read in one"
				 " piece.")));
}

/* etl_my_order_last prints the values. */
char **
etl_my_order_last(const EtlMyReader *reader)
{
	MemoryContext old = MemoryContextSwitchTo(reader->base.request.context);
	char **last = palloc(sizeof(char *) * Max(reader->page.n_order, 1));

	for (int i = 0; i < reader->page.n_order; i++)
		last[i] = print_value(reader, reader->page.order[i], &reader->at[i]);
	MemoryContextSwitchTo(old);
	return last;
}

/* lead_is_key says whether the first order column belongs to the primary key. */
static bool
lead_is_key(const EtlMyReader *reader)
{
	const EtlNames *key = &reader->base.request.task->primary_key;

	for (int i = 0; i < key->n; i++)
		if (strcmp(key->name[i], column_of(reader, reader->page.order[0])->name) == 0)
			return true;
	return false;
}

/* etl_my_order_start_nulls looks for keys that are NULL, or begins with the rows without a cursor. */
bool
etl_my_order_start_nulls(EtlMyReader *reader)
{
	MemoryContext old;

	reader->nulls_to_read = false;
	if (lead_is_key(reader))
	{
		char **row = etl_remote_row(&reader->my->base, etl_remote_page_null_keys(&reader->page), 1);

		if (row && row[0] && strcmp(row[0], "0") != 0)
			etl_my_order_refuse_null(reader, reader->page.order[0]);
		return false;
	}
	old = MemoryContextSwitchTo(reader->base.request.context);
	reader->page.nulls = ETL_NULLS_ONLY;
	fill_order(reader, false);
	MemoryContextSwitchTo(old);
	return true;
}
