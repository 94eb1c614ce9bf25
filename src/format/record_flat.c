/*
 * record_flat.c
 *		A JSON record whose columns take plain fields: one pass of PostgreSQL's JSON parser, no jsonb. See record.h.
 *
 * Values are noted while the parser runs and become values of their types only when the record is known to be JSON. Where
 * a field is there twice the last one counts, as in a jsonb.
 */
#include "postgres.h"

#include "compat.h"
#include "format/record_map.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"

/* A record while it is parsed. */
typedef struct Flat
{
	EtlRecordMap *map;
	JsonLexContext *lexer;
	int column;		   /* of the field that is being parsed; -1: none takes it */
	const char *start; /* of its value */
	char *scalar;	   /* its value, if it is one */
	bool wants_extra;
	bool is_object;		  /* the record */
	StringInfoData extra; /* fields that no column takes, without the closing brace */
} Flat;

/* find_column returns the column that takes a field, trying first the one that is expected; -1: none. */
static int
find_column(EtlRecordMap *map, const char *name)
{
	int guess = map->guess;

	for (int i = 0; i < map->n; i++)
	{
		int at = guess + i < map->n ? guess + i : guess + i - map->n;

		if (strcmp(map->column[at].field, name) == 0)
		{
			map->guess = at + 1 < map->n ? at + 1 : 0;
			return at;
		}
	}
	return -1;
}

/* begin_object notes that the record is one. */
static ETL_JSON_ACTION
begin_object(void *arg)
{
	Flat *flat = arg;

	if (flat->lexer->lex_level == 0)
		flat->is_object = true;
	ETL_JSON_GO_ON;
}

/* begin_field notes where a value begins. */
static ETL_JSON_ACTION
begin_field(void *arg, char *name, bool isnull)
{
	Flat *flat = arg;

	if (flat->lexer->lex_level != 1)
		ETL_JSON_GO_ON;
	flat->column = find_column(flat->map, name);
	flat->start = flat->lexer->token_start;
	flat->scalar = NULL;
	ETL_JSON_GO_ON;
}

/* take_scalar keeps a scalar of the record itself. */
static ETL_JSON_ACTION
take_scalar(void *arg, char *token, JsonTokenType type)
{
	Flat *flat = arg;

	if (flat->lexer->lex_level != 1)
		ETL_JSON_GO_ON;
	flat->scalar = token;
	ETL_JSON_GO_ON;
}

/* keep_extra adds a field that no column takes. */
static void
keep_extra(Flat *flat, const char *name, int length)
{
	if (flat->extra.data == NULL)
		initStringInfo(&flat->extra);
	appendStringInfoChar(&flat->extra, flat->extra.len > 0 ? ',' : '{');
	escape_json(&flat->extra, name);
	appendStringInfoChar(&flat->extra, ':');
	appendBinaryStringInfo(&flat->extra, flat->start, length);
}

/* end_field keeps the value. */
static ETL_JSON_ACTION
end_field(void *arg, char *name, bool isnull)
{
	Flat *flat = arg;
	EtlRecordValue *value;
	int length = (int) (flat->lexer->prev_token_terminator - flat->start);

	if (flat->lexer->lex_level != 1)
		ETL_JSON_GO_ON;
	if (flat->column < 0)
	{
		if (flat->wants_extra)
			keep_extra(flat, name, length);
		ETL_JSON_GO_ON;
	}
	value = &flat->map->value[flat->column];
	value->is_there = true;
	value->is_null = isnull;
	value->scalar = flat->scalar;
	value->raw = flat->start;
	value->raw_length = length;
	ETL_JSON_GO_ON;
}

/* is_early says whether the parser expected more at the end of the text. */
static bool
is_early(const JsonLexContext *lexer, JsonParseErrorType error)
{
	return error != JSON_SUCCESS && (lexer->token_start == NULL || lexer->token_type == JSON_TOKEN_END ||
									 lexer->token_terminator >= lexer->input + lexer->input_length);
}

/* etl_record_check runs the parser. It holds nothing but memory when it raises an error. */
bool
etl_record_check(const char *json, int length, JsonSemAction *actions, JsonLexContext **lexer, EtlBadRow *bad,
				 bool *ends_early)
{
	MemoryContext context = CurrentMemoryContext;
	JsonLexContext *lex = etl_compat_json_lexer(unconstify(char *, json), length, GetDatabaseEncoding());
	volatile bool good = true;

	if (lexer)
		*lexer = lex;
	if (ends_early)
		*ends_early = false;
	PG_TRY();
	{
		JsonParseErrorType error = pg_parse_json(lex, actions ? actions : &nullSemAction);

		if (error != JSON_SUCCESS)
		{
			good = false;
			if (ends_early)
				*ends_early = is_early(lex, error);
			bad->sqlstate = ERRCODE_INVALID_TEXT_REPRESENTATION;
			bad->reason = psprintf("invalid JSON: %s", json_errdetail(error, lex));
		}
	}
	PG_CATCH();
	{
		/* A record that is nested too deep. */
		etl_input_keep_error(bad, context);
		good = false;
	}
	PG_END_TRY();
	return good;
}

/* take_value gives a value to the input function of its column. */
static bool
take_value(EtlRecordMap *map, int i, TupleTableSlot *slot, EtlBadRow *bad)
{
	const EtlRecordColumn *column = &map->column[i];
	const EtlRecordValue *value = &map->value[i];
	char *text = NULL;

	if (!value->is_there || value->is_null)
		return etl_input_value(map->input, column->index, NULL, slot, bad);
	if (column->is_array)
	{
		Jsonb *array = etl_input_jsonb(value->raw, value->raw_length, bad);

		if (array == NULL)
			return false;
		text = etl_record_item_text(column, array);
	}
	else if (value->scalar && !column->is_json)
		text = value->scalar;
	else
		text = pnstrdup(value->raw, value->raw_length);
	return etl_input_value(map->input, column->index, text, slot, bad);
}

/* take_extra makes a jsonb of what no column took. */
static bool
take_extra(Flat *flat, Jsonb **extra, EtlBadRow *bad)
{
	if (flat->extra.len == 0)
		return true;
	appendStringInfoChar(&flat->extra, '}');
	*extra = etl_input_jsonb(flat->extra.data, flat->extra.len, bad);
	return *extra != NULL;
}

/* etl_record_flat parses, then converts. */
bool
etl_record_flat(EtlRecordMap *map, const char *json, int length, TupleTableSlot *slot, Jsonb **extra, EtlBadRow *bad)
{
	Flat flat = {.map = map, .wants_extra = extra && !map->has_whole};
	JsonSemAction actions = {.semstate = &flat,
							 .object_start = begin_object,
							 .object_field_start = begin_field,
							 .object_field_end = end_field,
							 .scalar = take_scalar};

	if (extra)
		*extra = NULL;
	map->guess = 0;
	memset(map->value, 0, sizeof(EtlRecordValue) * map->n);
	if (!etl_record_check(json, length, &actions, &flat.lexer, bad, NULL))
		return false;
	if (!flat.is_object)
		return etl_record_refuse_shape(bad);
	for (int i = 0; i < map->n; i++)
		if (map->column[i].index >= 0 && !take_value(map, i, slot, bad))
			return false;
	return take_extra(&flat, extra, bad);
}
