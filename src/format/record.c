/*
 * record.c
 *		A JSON record becomes a row. See record.h.
 *
 * Two ways lead there. Where all columns take plain fields, record_flat.c lets the JSON parser report fields and keeps
 * pieces of the text. Otherwise the record becomes a jsonb, in which columns look for what they take.
 */
#include "postgres.h"

#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "format/record_map.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonpath.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/* etl_record_path parses. */
Datum
etl_record_path(const char *path)
{
	return DirectFunctionCall1(jsonpath_in, CStringGetDatum(path));
}

/* etl_record_is_path wants it to begin at the record. */
bool
etl_record_is_path(const char *path)
{
	const char *rest = path;

	if (strncmp(rest, "lax ", 4) == 0)
		rest += 4;
	else if (strncmp(rest, "strict ", 7) == 0)
		rest += 7;
	if (rest[strspn(rest, " ")] != '$')
		return false;
	(void) etl_record_path(path);
	return true;
}

/* is_field says whether a path is '$.name', with a name that needs no quotes. */
static bool
is_field(const char *path)
{
	if (strncmp(path, "$.", 2) != 0 || path[2] == '\0' || strchr("0123456789", path[2]) != NULL)
		return false;
	return strspn(path + 2, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == strlen(path + 2);
}

/* option_of returns the column's option json, or NULL. */
static const char *
option_of(const EtlSource *source, const EtlColumn *column)
{
	ListCell *cell;

	foreach (cell, GetForeignColumnOptions(source->oid, column->attnum))
	{
		DefElem *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "json") == 0)
			return defGetString(option);
	}
	return NULL;
}

/* is_own says whether the feed fills a column by itself. */
static bool
is_own(const char *name, const char *const *own)
{
	for (; own != NULL && *own != NULL; own++)
		if (strcmp(*own, name) == 0)
			return true;
	return false;
}

/*
 * add_column decides where a column's values come from. index is that in the source's columns; -1: the column is not wanted,
 * but its field has a place, so that it is nothing extra.
 */
static void
add_column(EtlRecordMap *map, const EtlSource *all, int i, int index)
{
	const EtlColumn *from = &all->column[i];
	EtlRecordColumn *column = &map->column[map->n];
	const char *path = option_of(all, from);

	if (index < 0 && path && !is_field(path))
	{
		map->has_whole |= strcmp(path, "$") == 0;
		return;
	}
	map->n++;
	column->index = index;
	column->is_json = from->type == JSONBOID || from->type == JSONOID;
	column->is_jsonb = from->type == JSONBOID;
	column->is_array = OidIsValid(get_element_type(from->type));
	if (path == NULL)
		column->field = from->name;
	else if (is_field(path))
		column->field = path + 2;
	else if (strcmp(path, "$") == 0)
		column->is_whole = map->has_whole = true;
	else
		column->path = etl_record_path(path);
	if (column->field == NULL)
		map->is_flat = false;
	else
		column->field_length = strlen(column->field);
}

/* etl_record_map_make goes through the columns. */
EtlRecordMap *
etl_record_map_make(const EtlSource *source, EtlInput *input, const char *const *own)
{
	const EtlSource *all = etl_relation_describe(source->oid, NULL);
	EtlRecordMap *map = palloc0(offsetof(EtlRecordMap, column) + sizeof(EtlRecordColumn) * all->n);

	map->input = input;
	map->is_flat = true;
	for (int i = 0; i < all->n; i++)
		if (!is_own(all->column[i].name, own))
			add_column(map, all, i, etl_input_find(source, all->column[i].name));
	map->value = palloc0(sizeof(EtlRecordValue) * Max(map->n, 1));
	return map;
}

/* etl_record_first looks for the first item; lax and silent, as a record of another shape is nothing special. */
Jsonb *
etl_record_first(Jsonb *record, Datum path)
{
	LOCAL_FCINFO(call, 4);
	Datum result;

	InitFunctionCallInfoData(*call, NULL, 4, InvalidOid, NULL, NULL);
	call->args[0].value = JsonbPGetDatum(record);
	call->args[1].value = path;
	call->args[2].value = JsonbPGetDatum(etl_record_nothing());
	call->args[3].value = BoolGetDatum(true);
	for (int i = 0; i < 4; i++)
		call->args[i].isnull = false;
	result = jsonb_path_query_first(call);
	return call->isnull ? NULL : DatumGetJsonbP(result);
}

/* etl_record_nothing returns an empty object. */
Jsonb *
etl_record_nothing(void)
{
	JsonbParseState *state = NULL;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* append_element appends a scalar as an element of an array literal. */
static void
append_element(StringInfo literal, const JsonbValue *value)
{
	char *text;

	switch (value->type)
	{
		case jbvNull:
			appendStringInfoString(literal, "NULL");
			return;
		case jbvBool:
			appendStringInfoString(literal, value->val.boolean ? "true" : "false");
			return;
		case jbvNumeric:
			appendStringInfoString(
				literal, DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric))));
			return;
		case jbvString:
			text = pnstrdup(value->val.string.val, value->val.string.len);
			break;
		default:
			text = JsonbToCString(NULL, value->val.binary.data, value->val.binary.len);
			break;
	}
	appendStringInfoChar(literal, '"');
	for (const char *c = text; *c; c++)
	{
		if (*c == '"' || *c == '\\')
			appendStringInfoChar(literal, '\\');
		appendStringInfoChar(literal, *c);
	}
	appendStringInfoChar(literal, '"');
}

/* append_array appends the literal of an array, and of those in it; objects in it as their text. */
static void
append_array(StringInfo literal, JsonbContainer *array)
{
	JsonbIterator *it = JsonbIteratorInit(array);
	JsonbValue value;
	JsonbIteratorToken token;
	bool first = true;

	check_stack_depth();
	appendStringInfoChar(literal, '{');
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		if (!first)
			appendStringInfoChar(literal, ',');
		first = false;
		if (value.type == jbvBinary && JsonContainerIsArray(value.val.binary.data))
			append_array(literal, value.val.binary.data);
		else
			append_element(literal, &value);
	}
	appendStringInfoChar(literal, '}');
}

/* etl_record_item_text returns what the input function of a column gets for a JSON value; NULL: null. */
char *
etl_record_item_text(const EtlRecordColumn *column, Jsonb *item)
{
	JsonbValue scalar;
	StringInfoData literal;

	if (column->is_array && !JB_ROOT_IS_SCALAR(item) && JB_ROOT_IS_ARRAY(item))
	{
		initStringInfo(&literal);
		append_array(&literal, &item->root);
		return literal.data;
	}
	if (column->is_json || !JsonbExtractScalar(&item->root, &scalar))
		return JsonbToCString(NULL, &item->root, VARSIZE(item));
	switch (scalar.type)
	{
		case jbvNull:
			return NULL;
		case jbvString:
			return pnstrdup(scalar.val.string.val, scalar.val.string.len);
		case jbvBool:
			return pstrdup(scalar.val.boolean ? "true" : "false");
		default:
			return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(scalar.val.numeric)));
	}
}

/* is_null says whether an item is JSON's null. */
static bool
is_null(Jsonb *item)
{
	JsonbValue scalar;

	return JsonbExtractScalar(&item->root, &scalar) && scalar.type == jbvNull;
}

/* find_item returns what a column takes out of a record, or NULL. */
static Jsonb *
find_item(const EtlRecordColumn *column, Jsonb *record)
{
	JsonbValue value;

	if (column->is_whole)
		return record;
	if (column->field == NULL)
		return etl_record_first(record, column->path);
	if (!JB_ROOT_IS_OBJECT(record) ||
		getKeyJsonValueFromContainer(&record->root, column->field, column->field_length, &value) == NULL)
		return NULL;
	return JsonbValueToJsonb(&value);
}

/* etl_record_refuse_shape says that a record is no object. */
bool
etl_record_refuse_shape(EtlBadRow *bad)
{
	bad->sqlstate = ERRCODE_INVALID_TEXT_REPRESENTATION;
	bad->reason = "the record is not a JSON object";
	return false;
}

/* find_extra returns the fields that no column takes; NULL: there are none. */
static Jsonb *
find_extra(const EtlRecordMap *map, Jsonb *record)
{
	JsonbIterator *it = JsonbIteratorInit(&record->root);
	JsonbParseState *state = NULL;
	JsonbValue key;
	JsonbValue value;
	bool found = false;

	(void) JsonbIteratorNext(&it, &key, true);
	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	while (JsonbIteratorNext(&it, &key, true) == WJB_KEY)
	{
		(void) JsonbIteratorNext(&it, &value, true);
		if (etl_record_takes(map, key.val.string.val, key.val.string.len))
			continue;
		found = true;
		(void) pushJsonbValue(&state, WJB_KEY, &key);
		(void) pushJsonbValue(&state, WJB_VALUE, &value);
	}
	return found ? JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)) : NULL;
}

/* etl_record_takes says whether a column takes a field. */
bool
etl_record_takes(const EtlRecordMap *map, const char *name, int length)
{
	for (int i = 0; i < map->n; i++)
		if (map->column[i].field && map->column[i].field_length == length &&
			memcmp(map->column[i].field, name, length) == 0)
			return true;
	return false;
}

/* needs_object says whether a column takes a field. */
static bool
needs_object(const EtlRecordMap *map)
{
	for (int i = 0; i < map->n; i++)
		if (map->column[i].field)
			return true;
	return false;
}

/* etl_record_jsonb takes each column out of the jsonb. */
bool
etl_record_jsonb(EtlRecordMap *map, Jsonb *record, TupleTableSlot *slot, Jsonb **extra, EtlBadRow *bad)
{
	if (extra)
		*extra = NULL;
	if (needs_object(map) && !JB_ROOT_IS_OBJECT(record))
		return etl_record_refuse_shape(bad);
	for (int i = 0; i < map->n; i++)
	{
		const EtlRecordColumn *column = &map->column[i];
		Jsonb *item = column->index < 0 ? NULL : find_item(column, record);

		if (column->index < 0)
			continue;
		if (item && !column->is_whole && is_null(item))
			item = NULL;
		if (item && column->is_jsonb)
			etl_input_datum(map->input, column->index, JsonbPGetDatum(item), slot);
		else if (!etl_input_value(map->input, column->index, item ? etl_record_item_text(column, item) : NULL, slot,
								  bad))
			return false;
	}
	if (extra && !map->has_whole && JB_ROOT_IS_OBJECT(record))
		*extra = find_extra(map, record);
	return true;
}

/* etl_record_parse checks with the parser, which says where it ends too early, and then lets jsonb_in do the rest. */
Jsonb *
etl_record_parse(const char *json, int length, EtlBadRow *bad, bool *ends_early)
{
	if (!etl_record_check(json, length, NULL, NULL, bad, ends_early))
		return NULL;
	return etl_input_jsonb(json, length, bad);
}

/* etl_record_text chooses the way. */
bool
etl_record_text(EtlRecordMap *map, const char *json, int length, TupleTableSlot *slot, Jsonb **extra, EtlBadRow *bad)
{
	Jsonb *record;

	if (map->is_flat)
		return etl_record_flat(map, json, length, slot, extra, bad);
	record = etl_record_parse(json, length, bad, NULL);
	return record != NULL && etl_record_jsonb(map, record, slot, extra, bad);
}
