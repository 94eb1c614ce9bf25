/*
 * verify.c
 *		What the source counts beside what the mysql reader read of it, in the same snapshot.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "mysql/reader.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/typcache.h"
#include "source/value.h"

/* find_verified returns the first column of the key, or the cursor. */
static int
find_verified(const EtlMyReader *reader)
{
	int order[INDEX_MAX_KEYS + 1];

	if (reader->base.request.task->primary_key.n == 0)
		return reader->cursor;
	if (reader->base.request.task->primary_key.n > INDEX_MAX_KEYS ||
		etl_remote_page_order(&reader->base.request, false, order) == 0)
		return -1;
	return order[0];
}

/* etl_my_verify_prepare: values of types whose order is the source's own are only counted. */
void
etl_my_verify_prepare(EtlMyReader *reader)
{
	const EtlColumn *column;
	TypeCacheEntry *cache;

	reader->verified = -1;
	if (!reader->base.request.verify)
		return;
	reader->verified = find_verified(reader);
	if (reader->verified < 0)
		return;
	column = &reader->base.request.source->column[reader->verified];
	cache = lookup_type_cache(column->type, TYPECACHE_CMP_PROC_FINFO);
	if (column->type == BYTEAOID || column->type == BOOLOID || !OidIsValid(cache->cmp_proc_finfo.fn_oid))
	{
		reader->verified = -1;
		return;
	}
	reader->verify_order = &cache->cmp_proc_finfo;
	etl_held_prepare(&reader->least, column->type);
	etl_held_prepare(&reader->most, column->type);
}

/* etl_my_verify_see keeps the ends. */
void
etl_my_verify_see(EtlMyReader *reader)
{
	TupleTableSlot *slot = reader->projection->input;
	MemoryContext context = reader->base.request.context;
	int attribute;
	Datum value;

	if (reader->verified < 0)
		return;
	attribute = reader->base.request.source->column[reader->verified].attnum - 1;
	if (slot->tts_isnull[attribute])
		return;
	value = slot->tts_values[attribute];
	if (reader->least.isnull ||
		DatumGetInt32(FunctionCall2Coll(reader->verify_order, C_COLLATION_OID, value, reader->least.value)) < 0)
		etl_held_keep(&reader->least, value, false, context);
	if (reader->most.isnull ||
		DatumGetInt32(FunctionCall2Coll(reader->verify_order, C_COLLATION_OID, value, reader->most.value)) > 0)
		etl_held_keep(&reader->most, value, false, context);
}

/* edge_text gives the end of a range as text of this server; bytes as bytea prints them. */
static char *
edge_text(const MYSQL_FIELD *field, const char *value, unsigned long length, Oid type)
{
	char *text;
	uint64 bits = 0;

	if (value == NULL)
		return NULL;
	if (field->type == MYSQL_TYPE_BIT)
	{
		for (unsigned long i = 0; i < length; i++)
			bits = bits << 8 | (unsigned char) value[i];
		return psprintf(UINT64_FORMAT, bits);
	}
	if (type == BYTEAOID)
	{
		text = palloc(2 + 2 * length + 1);
		strcpy(text, "\\x");
		text[2 + hex_encode(value, length, text + 2)] = '\0';
		return text;
	}
	return etl_my_from_utf8(value, length);
}

/* etl_my_verify_ask takes the only row. */
void
etl_my_verify_ask(EtlMyReader *reader, const char *sql, Oid type, EtlEdges *edges)
{
	MYSQL_ROW row;

	memset(edges, 0, sizeof(*edges));
	etl_my_start(reader->my, sql);
	while ((row = etl_my_fetch(reader->my)) != NULL)
	{
		unsigned long *length = mysql_fetch_lengths(reader->my->result);

		edges->count = row[0] ? strtoll(row[0], NULL, 10) : 0;
		edges->min = edge_text(mysql_fetch_field_direct(reader->my->result, 1), row[1], length[1], type);
		edges->max = edge_text(mysql_fetch_field_direct(reader->my->result, 2), row[2], length[2], type);
	}
}

/* same_form prints a source's value as this server prints it; NULL: there is none that can be compared. */
static char *
same_form(EtlMyReader *reader, const char *text)
{
	EtlMyValues *values = reader->values;
	int64 zero_dates = values->zero_dates;
	EtlHeld held;
	Datum value;
	bool found;

	if (text == NULL)
		return NULL;
	etl_held_prepare(&held, values->column[reader->verified].column->type);
	found = etl_my_values_convert(values, reader->verified, text, strlen(text), &value);
	values->zero_dates = zero_dates;
	if (!found)
		return NULL;
	etl_held_keep(&held, value, false, CurrentMemoryContext);
	return etl_held_print(&held);
}

/* etl_my_verify_batch compares and begins anew. */
void
etl_my_verify_batch(EtlMyReader *reader, char **upto)
{
	const EtlReadRequest *request = &reader->base.request;
	const EtlColumn *column = reader->verified >= 0 ? &request->source->column[reader->verified] : NULL;
	EtlRemotePage page = reader->page;
	EtlEdges got = {reader->rows};
	EtlEdges expected;

	if (!request->verify)
		return;
	page.upto = upto;
	etl_my_verify_ask(reader, etl_remote_page_edges(&page, Max(reader->verified, 0), NULL),
					  column ? column->type : BYTEAOID, &expected);
	if (column && reader->field[reader->verified].type != MYSQL_TYPE_BIT)
	{
		got.min = reader->least.isnull ? NULL : etl_held_print(&reader->least);
		got.max = reader->most.isnull ? NULL : etl_held_print(&reader->most);
		expected.min = same_form(reader, expected.min);
		expected.max = same_form(reader, expected.max);
	}
	else
		expected.min = expected.max = NULL;
	etl_verify_batch(request, column, &got, &expected);
	reader->least.isnull = reader->most.isnull = true;
}
