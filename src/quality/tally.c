/*
 * tally.c
 *		The aggregate etl.tally: several counts of rows at fault in one step per row.
 *
 * A check costs little more than looking at its column, so that ten checks of a table cost about as much as counting its
 * columns. The program has a letter for each count; each takes its arguments from those that follow:
 *
 *		n	any value					counts those that are not NULL
 *		b	boolean						counts true
 *		r	value, low, high			counts values outside; NULL low or high: no limit; NULL value: not counted
 *		s	text, text[]				counts values that are not in the list; NULL: not counted
 *
 * r takes smallint, integer, bigint, date, timestamp, timestamptz and numeric. s compares bytes, as a deterministic
 * collation does. All but values are constants: they are read in the first row.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "libpq/pqformat.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#define MAX_COUNTS 512

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

/* read_limits reads the arguments of r. */
static void
read_limits(FunctionCallInfo fcinfo, Item *item)
{
	int at = item->argument;

	item->has_low = !PG_ARGISNULL(at + 1);
	item->has_high = !PG_ARGISNULL(at + 2);
	if (item->type == NUMERICOID)
	{
		item->low_datum = item->has_low ? PointerGetDatum(PG_GETARG_NUMERIC_COPY(at + 1)) : (Datum) 0;
		item->high_datum = item->has_high ? PointerGetDatum(PG_GETARG_NUMERIC_COPY(at + 2)) : (Datum) 0;
		return;
	}
	item->low = item->has_low ? integer_of(PG_GETARG_DATUM(at + 1), item->type) : PG_INT64_MIN;
	item->high = item->has_high ? integer_of(PG_GETARG_DATUM(at + 2), item->type) : PG_INT64_MAX;
}

/* read_values reads the arguments of s. */
static void
read_values(FunctionCallInfo fcinfo, Item *item)
{
	Datum *element;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P_COPY(item->argument + 1), TEXTOID, -1, false, TYPALIGN_INT, &element, NULL,
					  &item->n_values);
	item->value = palloc(sizeof(text *) * Max(item->n_values, 1));
	for (int i = 0; i < item->n_values; i++)
		item->value[i] = DatumGetTextPP(element[i]);
}

/* read_item reads one count; returns the argument behind its own. */
static int
read_item(FunctionCallInfo fcinfo, Item *item, char letter, int argument)
{
	int takes = letter == 'r' ? 3 : letter == 's' ? 2 : 1;

	if (strchr("nbrs", letter) == NULL || argument + takes > PG_NARGS())
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("etl.tally has a wrong program"),
						errdetail("A letter is none of n, b, r and s, or has too few arguments."),
						errhint("Checks call this function; nobody else needs to.")));
	item->letter = letter;
	item->argument = argument;
	item->type = get_fn_expr_argtype(fcinfo->flinfo, argument);
	if ((letter == 'b' && item->type != BOOLOID) || (letter == 's' && item->type != TEXTOID))
		elog(ERROR, "argument %d of etl.tally has type %u", argument, item->type);
	if (letter == 'r')
		read_limits(fcinfo, item);
	else if (letter == 's')
		read_values(fcinfo, item);
	return argument + takes;
}

/* read_program reads the program in the first row that a process sees. */
static Program *
read_program(FunctionCallInfo fcinfo)
{
	MemoryContext old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	char *letters = text_to_cstring(PG_GETARG_TEXT_PP(1));
	int n = strlen(letters);
	Program *program = palloc0(offsetof(Program, item) + sizeof(Item) * Max(n, 1));
	int argument = 2;

	if (n > MAX_COUNTS)
		elog(ERROR, "etl.tally counts at most %d things", MAX_COUNTS);
	for (int i = 0; i < n; i++)
		argument = read_item(fcinfo, &program->item[i], letters[i], argument);
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

/* etl.tally_step(internal, text, VARIADIC "any") RETURNS internal */
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
