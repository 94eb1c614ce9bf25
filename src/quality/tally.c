/*
 * tally.c
 *		The aggregate etl.tally: several counts of rows at fault in one step per row.
 *
 * A check costs little more than looking at its column, so that ten checks of a table cost about as much as counting its
 * columns. The program is a constant, read in the first row: an array with an element for each count,
 *
 *		["n", i]						counts values that are not NULL
 *		["b", i]						counts true, of a boolean
 *		["r", i, low, high]				counts values outside; limits are text or null (none)
 *		["s", i, [value, ...]]			counts texts that are not in the list
 *
 * where i says which of the other arguments it looks at, from 0. NULL is not counted. r takes smallint, integer, bigint,
 * date, timestamp, timestamptz and numeric. s compares bytes, as a deterministic collation does.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "libpq/pqformat.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/jsonb.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

PG_FUNCTION_INFO_V1(etl_tally_step);
PG_FUNCTION_INFO_V1(etl_tally_combine);
PG_FUNCTION_INFO_V1(etl_tally_serialize);
PG_FUNCTION_INFO_V1(etl_tally_deserialize);
PG_FUNCTION_INFO_V1(etl_tally_end);

/* The state: what was counted so far. */
typedef struct Tally
{
	int n;
	int64 count[FLEXIBLE_ARRAY_MEMBER];
} Tally;

/* One count of the program. */
typedef struct Item
{
	char letter;
	Oid type;
	int argument; /* of the value */
	bool has_low;
	bool has_high;
	int64 low; /* of integers and times */
	int64 high;
	Datum low_datum; /* of numeric */
	Datum high_datum;
	int n_values;
	text **value;
} Item;

typedef struct Program
{
	int n;
	Item item[FLEXIBLE_ARRAY_MEMBER];
} Program;

/* integer_of returns a value of a type that is one inside. */
static inline int64
integer_of(Datum value, Oid type)
{
	switch (type)
	{
		case INT2OID:
			return DatumGetInt16(value);
		case INT4OID:
		case DATEOID:
			return DatumGetInt32(value);
		default:
			return DatumGetInt64(value);
	}
}

/* refuse raises an error about a program. */
static void
pg_attribute_noreturn() refuse(const char *why)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("etl.tally has a wrong program"),
					errdetail("%s", why), errhint("Checks call this function; nobody else needs to.")));
}

/* element returns an element of an array; false: there is none, or it is null. */
static bool
element(JsonbContainer *array, int i, JsonbValue *value)
{
	JsonbValue *found = getIthJsonbValueFromContainer(array, i);

	if (found == NULL || found->type == jbvNull)
		return false;
	*value = *found;
	return true;
}

/* string_at returns an element that is a string; NULL: there is none. */
static char *
string_at(JsonbContainer *array, int i)
{
	JsonbValue value;

	if (!element(array, i, &value))
		return NULL;
	if (value.type != jbvString)
		refuse("An element is no text.");
	return pnstrdup(value.val.string.val, value.val.string.len);
}

/* read_limit reads a limit of r; false: there is none. */
static bool
read_limit(JsonbContainer *array, int i, const Item *item, int64 *integer, Datum *datum)
{
	char *text = string_at(array, i);
	Oid input;
	Oid parameter;
	Datum value;

	if (text == NULL)
		return false;
	getTypeInputInfo(item->type, &input, &parameter);
	value = OidInputFunctionCall(input, text, parameter, -1);
	if (item->type == NUMERICOID)
		*datum = value;
	else
		*integer = integer_of(value, item->type);
	return true;
}

/* read_values reads the list of s. */
static void
read_values(JsonbContainer *array, Item *item)
{
	JsonbValue list;

	if (!element(array, 2, &list) || list.type != jbvBinary)
		refuse("s has no list of values.");
	item->n_values = JsonContainerSize(list.val.binary.data);
	item->value = palloc(sizeof(text *) * Max(item->n_values, 1));
	for (int i = 0; i < item->n_values; i++)
		item->value[i] = cstring_to_text(string_at(list.val.binary.data, i));
}

/* read_item reads one count. */
static void
read_item(FunctionCallInfo fcinfo, JsonbContainer *array, Item *item)
{
	char *letter = string_at(array, 0);
	JsonbValue argument;

	if (letter == NULL || strlen(letter) != 1 || strchr("nbrs", letter[0]) == NULL)
		refuse("A letter is none of n, b, r and s.");
	if (!element(array, 1, &argument) || argument.type != jbvNumeric)
		refuse("A count has no argument.");
	item->letter = letter[0];
	item->argument = 2 + DatumGetInt32(DirectFunctionCall1(numeric_int4, NumericGetDatum(argument.val.numeric)));
	if (item->argument < 2 || item->argument >= PG_NARGS())
		refuse("A count looks at an argument that there is not.");
	item->type = get_fn_expr_argtype(fcinfo->flinfo, item->argument);
	if ((item->letter == 'b' && item->type != BOOLOID) || (item->letter == 's' && item->type != TEXTOID))
		refuse("An argument has the wrong type.");
	item->low = PG_INT64_MIN;
	item->high = PG_INT64_MAX;
	if (item->letter == 'r')
	{
		item->has_low = read_limit(array, 2, item, &item->low, &item->low_datum);
		item->has_high = read_limit(array, 3, item, &item->high, &item->high_datum);
	}
	else if (item->letter == 's')
		read_values(array, item);
}

/* read_program reads the program in the first row that a process sees. */
static Program *
read_program(FunctionCallInfo fcinfo)
{
	MemoryContext old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	Jsonb *source = PG_GETARG_JSONB_P_COPY(1);
	int n = JB_ROOT_IS_ARRAY(source) ? JB_ROOT_COUNT(source) : 0;
	Program *program = palloc0(offsetof(Program, item) + sizeof(Item) * Max(n, 1));

	for (int i = 0; i < n; i++)
	{
		JsonbValue *item = getIthJsonbValueFromContainer(&source->root, i);

		if (item->type != jbvBinary)
			refuse("An element is no array.");
		read_item(fcinfo, item->val.binary.data, &program->item[i]);
	}
	program->n = n;
	fcinfo->flinfo->fn_extra = program;
	MemoryContextSwitchTo(old);
	return program;
}

/* is_outside says whether a value is below low or above high. */
static inline bool
is_outside(const Item *item, Datum value)
{
	int64 integer;

	if (item->type == NUMERICOID)
		return (item->has_low && DatumGetInt32(DirectFunctionCall2(numeric_cmp, value, item->low_datum)) < 0) ||
			   (item->has_high && DatumGetInt32(DirectFunctionCall2(numeric_cmp, value, item->high_datum)) > 0);
	integer = integer_of(value, item->type);
	return integer < item->low || integer > item->high;
}

/* is_other says whether a text is none of the values. */
static inline bool
is_other(const Item *item, Datum value)
{
	text *found = DatumGetTextPP(value);
	Size length = VARSIZE_ANY_EXHDR(found);
	bool is_known = false;

	for (int i = 0; i < item->n_values && !is_known; i++)
		is_known = VARSIZE_ANY_EXHDR(item->value[i]) == length &&
				   memcmp(VARDATA_ANY(item->value[i]), VARDATA_ANY(found), length) == 0;
	if ((Pointer) found != DatumGetPointer(value))
		pfree(found);
	return !is_known;
}

/* new_state makes a state with everything at 0. */
static Tally *
new_state(FunctionCallInfo fcinfo, int n)
{
	MemoryContext context;
	Tally *tally;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "etl.tally was called outside of an aggregate");
	tally = MemoryContextAllocZero(context, offsetof(Tally, count) + sizeof(int64) * Max(n, 1));
	tally->n = n;
	return tally;
}

/* etl.tally_step(internal, jsonb, VARIADIC "any") RETURNS internal */
Datum
etl_tally_step(PG_FUNCTION_ARGS)
{
	Program *program = fcinfo->flinfo->fn_extra ? fcinfo->flinfo->fn_extra : read_program(fcinfo);
	Tally *tally = PG_ARGISNULL(0) ? new_state(fcinfo, program->n) : (Tally *) PG_GETARG_POINTER(0);

	for (int i = 0; i < program->n; i++)
	{
		const Item *item = &program->item[i];
		NullableDatum value = fcinfo->args[item->argument];

		if (value.isnull)
			continue;
		switch (item->letter)
		{
			case 'n':
				tally->count[i]++;
				break;
			case 'b':
				tally->count[i] += DatumGetBool(value.value);
				break;
			case 'r':
				tally->count[i] += is_outside(item, value.value);
				break;
			default:
				tally->count[i] += is_other(item, value.value);
		}
	}
	PG_RETURN_POINTER(tally);
}

/* etl.tally_combine(internal, internal) RETURNS internal */
Datum
etl_tally_combine(PG_FUNCTION_ARGS)
{
	Tally *more = PG_ARGISNULL(1) ? NULL : (Tally *) PG_GETARG_POINTER(1);
	Tally *tally = PG_ARGISNULL(0) ? NULL : (Tally *) PG_GETARG_POINTER(0);

	if (more == NULL)
	{
		if (tally == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(tally);
	}
	if (tally == NULL)
		tally = new_state(fcinfo, more->n);
	for (int i = 0; i < more->n; i++)
		tally->count[i] += more->count[i];
	PG_RETURN_POINTER(tally);
}

/* etl.tally_serialize(internal) RETURNS bytea */
Datum
etl_tally_serialize(PG_FUNCTION_ARGS)
{
	const Tally *tally = (Tally *) PG_GETARG_POINTER(0);
	StringInfoData buffer;

	pq_begintypsend(&buffer);
	pq_sendint32(&buffer, tally->n);
	for (int i = 0; i < tally->n; i++)
		pq_sendint64(&buffer, tally->count[i]);
	PG_RETURN_BYTEA_P(pq_endtypsend(&buffer));
}

/* etl.tally_deserialize(bytea, internal) RETURNS internal */
Datum
etl_tally_deserialize(PG_FUNCTION_ARGS)
{
	bytea *bytes = PG_GETARG_BYTEA_PP(0);
	StringInfoData buffer;
	Tally *tally;
	int n;

	initStringInfo(&buffer);
	appendBinaryStringInfo(&buffer, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	n = pq_getmsgint(&buffer, 4);
	tally = new_state(fcinfo, n);
	for (int i = 0; i < n; i++)
		tally->count[i] = pq_getmsgint64(&buffer);
	pfree(buffer.data);
	PG_RETURN_POINTER(tally);
}

/* etl.tally_end(internal) RETURNS bigint[] */
Datum
etl_tally_end(PG_FUNCTION_ARGS)
{
	const Tally *tally = PG_ARGISNULL(0) ? NULL : (Tally *) PG_GETARG_POINTER(0);
	Datum *element;

	if (tally == NULL)
		PG_RETURN_NULL();
	element = palloc(sizeof(Datum) * Max(tally->n, 1));
	for (int i = 0; i < tally->n; i++)
		element[i] = Int64GetDatum(tally->count[i]);
	PG_RETURN_ARRAYTYPE_P(construct_array(element, tally->n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}
