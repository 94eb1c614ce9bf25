/*
 * input.c
 *		Texts that come from outside become values of a relation's columns. See input.h.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "format/fast.h"
#include "format/input.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

/* Longest piece of a value that a bad row keeps, in bytes. */
#define MAX_VALUE 1000

typedef struct InputColumn
{
	const char *name;
	AttrNumber attnum;
	FmgrInfo function;
	Oid ioparam;
	int32 typmod;
	bool plain; /* errors of the input function leave nothing but memory behind */
	bool text;	/* text without a limit: nothing to check */
	Oid fast;	/* the type, if its texts have a plain form */
} InputColumn;

struct EtlInput
{
	int n;
	InputColumn column[FLEXIBLE_ARRAY_MEMBER];
};

/*
 * is_plain knows the types whose input functions, when they raise an error, hold nothing that a subtransaction would have to
 * release: no buffer, no relation, no reference to a cache.
 */
static bool
is_plain(Oid type)
{
	switch (type)
	{
		case BOOLOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
		case CASHOID:
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case NAMEOID:
		case CHAROID:
		case BYTEAOID:
		case DATEOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case INTERVALOID:
		case UUIDOID:
		case INETOID:
		case CIDROID:
		case MACADDROID:
		case MACADDR8OID:
		case BITOID:
		case VARBITOID:
		case JSONOID:
		case JSONBOID:
			return true;
		default:
			return false;
	}
}

/* etl_input_make looks the types up. */
EtlInput *
etl_input_make(const EtlSource *source)
{
	EtlInput *input = palloc0(offsetof(EtlInput, column) + sizeof(InputColumn) * source->n);

	input->n = source->n;
	for (int i = 0; i < source->n; i++)
	{
		const EtlColumn *from = &source->column[i];
		InputColumn *column = &input->column[i];
		Oid function;

		getTypeInputInfo(from->type, &function, &column->ioparam);
		fmgr_info(function, &column->function);
		column->name = from->name;
		column->attnum = from->attnum;
		column->typmod = from->typmod;
		column->plain = is_plain(from->type);
		column->text = from->type == TEXTOID;
		column->fast = etl_fast_has(from->type) && from->typmod < 0 ? from->type : InvalidOid;
	}
	return input;
}

/* etl_input_find compares exactly. */
int
etl_input_find(const EtlSource *source, const char *name)
{
	for (int i = 0; i < source->n; i++)
		if (strcmp(source->column[i].name, name) == 0)
			return i;
	return -1;
}

/* is_data_error says whether an error is about the value, and not a cancel or a lack of memory. */
static bool
is_data_error(int sqlstate)
{
	int class = ERRCODE_TO_CATEGORY(sqlstate);

	return class == ERRCODE_DATA_EXCEPTION || class == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION ||
		   class == ERRCODE_PROGRAM_LIMIT_EXCEEDED || sqlstate == ERRCODE_FEATURE_NOT_SUPPORTED;
}

/* shortened copies the beginning of a value, cut between two characters. */
static char *
shortened(const char *text)
{
	int length = strlen(text);

	return pnstrdup(text, length > MAX_VALUE ? pg_mbcliplen(text, length, MAX_VALUE) : length);
}

/* etl_input_keep_error takes the error over. */
void
etl_input_keep_error(EtlBadRow *bad, MemoryContext context)
{
	ErrorData *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	if (!is_data_error(error->sqlerrcode))
		ReThrowError(error);
	FlushErrorState();
	bad->sqlstate = error->sqlerrcode;
	bad->reason = error->message;
}

/* blame says which value it was. */
static void
blame(const InputColumn *column, const char *text, EtlBadRow *bad)
{
	bad->column = column->name;
	bad->value = text ? shortened(text) : NULL;
}

/* convert_plain calls an input function that leaves nothing behind. */
static bool
convert_plain(InputColumn *column, char *text, Datum *value, EtlBadRow *bad)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool good = true;

	PG_TRY();
	{
		*value = InputFunctionCall(&column->function, text, column->ioparam, column->typmod);
	}
	PG_CATCH();
	{
		etl_input_keep_error(bad, context);
		blame(column, text, bad);
		good = false;
	}
	PG_END_TRY();
	return good;
}

/* convert_guarded calls one that may: NULL goes through it too, because a domain may refuse it. */
static bool
convert_guarded(InputColumn *column, char *text, Datum *value, EtlBadRow *bad)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool good = true;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		*value = InputFunctionCall(&column->function, text, column->ioparam, column->typmod);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		etl_input_keep_error(bad, context);
		blame(column, text, bad);
		RollbackAndReleaseCurrentSubTransaction();
		good = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return good;
}

/* convert calls the input function where it has to. */
static bool
convert(InputColumn *column, char *text, Datum *value, EtlBadRow *bad)
{
	if (OidIsValid(column->fast) && etl_fast_value(column->fast, text, value))
		return true;
	return column->plain ? convert_plain(column, text, value, bad) : convert_guarded(column, text, value, bad);
}

/* etl_input_value converts. */
bool
etl_input_value(EtlInput *input, int i, char *text, TupleTableSlot *slot, EtlBadRow *bad)
{
	InputColumn *column = &input->column[i];
	Datum value = (Datum) 0;

	if (column->text && text)
		value = PointerGetDatum(cstring_to_text(text));
	else if (text == NULL && column->plain)
		return true;
	else if (!convert(column, text, &value, bad))
		return false;
	if (text == NULL)
		return true;
	etl_input_datum(input, i, value, slot);
	return true;
}

/* etl_input_datum stores. */
void
etl_input_datum(EtlInput *input, int i, Datum value, TupleTableSlot *slot)
{
	int at = input->column[i].attnum - 1;

	slot->tts_values[at] = value;
	slot->tts_isnull[at] = false;
}

/* refuse_text describes bytes that are no text. */
static char *
refuse_text(const char *bytes, int length, int valid, int encoding, EtlBadRow *bad)
{
	StringInfoData hex;

	initStringInfo(&hex);
	for (int i = valid; i < length && i < valid + 4; i++)
		appendStringInfo(&hex, "%s0x%02x", i > valid ? " " : "", (unsigned char) bytes[i]);
	bad->sqlstate = ERRCODE_CHARACTER_NOT_IN_REPERTOIRE;
	bad->reason = psprintf("invalid bytes for encoding \"%s\": %s", pg_encoding_to_char(encoding), hex.data);
	return NULL;
}

/* recode converts a valid text; NULL: it has a character that the database's encoding has not. */
static char *
recode(const char *bytes, int length, int encoding, EtlBadRow *bad)
{
	MemoryContext context = CurrentMemoryContext;
	char *volatile text = NULL;

	PG_TRY();
	{
		char *result = pg_any_to_server(bytes, length, encoding);

		text = result == bytes ? pnstrdup(bytes, length) : result;
	}
	PG_CATCH();
	{
		etl_input_keep_error(bad, context);
	}
	PG_END_TRY();
	return text;
}

/* etl_input_text verifies first, so that the conversion has only characters without a counterpart to complain about. */
char *
etl_input_text(const char *bytes, int length, int encoding, EtlBadRow *bad)
{
	const char *zero = memchr(bytes, '\0', length);
	int valid;

	if (encoding == PG_SQL_ASCII)
		encoding = GetDatabaseEncoding();
	valid = pg_encoding_verifymbstr(encoding, bytes, length);
	if (zero && zero - bytes < valid)
		valid = (int) (zero - bytes);
	if (valid < length)
		return refuse_text(bytes, length, valid, encoding, bad);
	if (encoding == GetDatabaseEncoding() || GetDatabaseEncoding() == PG_SQL_ASCII)
		return pnstrdup(bytes, length);
	return recode(bytes, length, encoding, bad);
}

/* etl_input_jsonb lets jsonb_in do it, which refuses numbers and strings that a jsonb cannot hold. */
Jsonb *
etl_input_jsonb(const char *json, int length, EtlBadRow *bad)
{
	MemoryContext context = CurrentMemoryContext;
	char *text = pnstrdup(json, length);
	Jsonb *volatile result = NULL;

	PG_TRY();
	{
		result = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	}
	PG_CATCH();
	{
		etl_input_keep_error(bad, context);
	}
	PG_END_TRY();
	return result;
}
