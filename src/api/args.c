/*
 * args.c
 *		Arguments of SQL functions by name. See args.h.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "api/args.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/* The names and types of a function's arguments, kept for the session in fn_extra. */
typedef struct Signature
{
	int n;
	char **name;
	Oid *type;
} Signature;

/* signature_of reads the function's own declaration. */
static Signature *
signature_of(FunctionCallInfo fcinfo)
{
	Signature *signature = fcinfo->flinfo->fn_extra;
	HeapTuple tuple;
	MemoryContext old;
	char *modes;

	if (signature != NULL)
		return signature;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(fcinfo->flinfo->fn_oid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", fcinfo->flinfo->fn_oid);
	old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	signature = palloc0(sizeof(Signature));
	signature->n = get_func_arg_info(tuple, &signature->type, &signature->name, &modes);
	MemoryContextSwitchTo(old);
	ReleaseSysCache(tuple);
	/* The library may be newer or older than the extension's SQL. */
	if (signature->n < PG_NARGS())
		elog(ERROR, "function has %d arguments instead of %d", signature->n, PG_NARGS());
	fcinfo->flinfo->fn_extra = signature;
	return signature;
}

/* place_of returns the position of an argument. */
static int
place_of(FunctionCallInfo fcinfo, const char *name)
{
	Signature *signature = signature_of(fcinfo);

	for (int i = 0; i < PG_NARGS(); i++)
		if (strcmp(signature->name[i], name) == 0)
			return i;
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_PARAMETER), errmsg("the function has no parameter \"%s\"", name),
					errdetail("The library and the extension's SQL are of different versions."),
					errhint("Run ALTER EXTENSION etl_ext UPDATE.")));
}

/* etl_args_find reads an argument; false if it is NULL. */
bool
etl_args_find(FunctionCallInfo fcinfo, const char *name, Datum *value)
{
	int n = place_of(fcinfo, name);

	if (PG_ARGISNULL(n))
		return false;
	*value = PG_GETARG_DATUM(n);
	return true;
}

/* etl_args_text reads an argument of type text; NULL stays NULL. */
char *
etl_args_text(FunctionCallInfo fcinfo, const char *name)
{
	Datum value;

	return etl_args_find(fcinfo, name, &value) ? TextDatumGetCString(value) : NULL;
}

/* etl_args_required reads an argument of type text that must be given. Errors: 22004, 22023 if it is empty. */
char *
etl_args_required(FunctionCallInfo fcinfo, const char *name)
{
	char *value = etl_args_text(fcinfo, name);

	if (value == NULL)
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must not be NULL", name),
						errdetail("It has no default."), errhint("Pass %s => '...'.", name)));
	if (value[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s must not be empty", name),
						errdetail("An empty text was given."), errhint("Pass %s => '...'.", name)));
	return value;
}

/* names_of makes a list from a text[]. Errors: 22004 for a NULL in it. */
static EtlNames
names_of(Datum array, const char *name)
{
	EtlNames names;
	Datum *element;
	bool *null;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &element, &null, &names.n);
	names.name = palloc(sizeof(char *) * Max(names.n, 1));
	for (int i = 0; i < names.n; i++)
	{
		if (null[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must not contain NULL", name),
							errdetail("Element %d is NULL.", i + 1), errhint("Leave the element out.")));
		names.name[i] = TextDatumGetCString(element[i]);
	}
	return names;
}

/* etl_args_names reads an argument of type text[]; NULL is a list without an array. */
EtlNames
etl_args_names(FunctionCallInfo fcinfo, const char *name)
{
	EtlNames names = {0, NULL};
	Datum value;

	return etl_args_find(fcinfo, name, &value) ? names_of(value, name) : names;
}

/* push_string adds a string as a key, a value or an element. */
static void
push_string(JsonbParseState **state, JsonbIteratorToken token, char *text)
{
	JsonbValue v = {.type = jbvString};

	v.val.string.val = text;
	v.val.string.len = strlen(text);
	pushJsonbValue(state, token, &v);
}

/* push_array adds an array as strings. */
static void
push_array(JsonbParseState **state, Datum value, Oid element_type, const char *name)
{
	int16 length;
	bool by_value;
	char align;
	Datum *element;
	bool *null;
	Oid output;
	bool is_varlena;
	int n;

	get_typlenbyvalalign(element_type, &length, &by_value, &align);
	getTypeOutputInfo(element_type, &output, &is_varlena);
	deconstruct_array(DatumGetArrayTypeP(value), element_type, length, by_value, align, &element, &null, &n);
	pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < n; i++)
	{
		if (null[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must not contain NULL", name),
							errdetail("Element %d is NULL.", i + 1), errhint("Leave the element out.")));
		push_string(state, WJB_ELEM, OidOutputFunctionCall(output, element[i]));
	}
	pushJsonbValue(state, WJB_END_ARRAY, NULL);
}

/* push_value adds an argument in the form that jsonb_populate_record reads back: text, array of text, or jsonb. */
static void
push_value(JsonbParseState **state, Datum value, Oid type, const char *name)
{
	Oid element_type = get_element_type(type);
	Oid output;
	bool is_varlena;

	if (OidIsValid(element_type))
		push_array(state, value, element_type, name);
	else if (type == JSONBOID)
	{
		JsonbValue v = {.type = jbvBinary};
		Jsonb *object = DatumGetJsonbP(value);

		v.val.binary.data = &object->root;
		v.val.binary.len = VARSIZE(object) - VARHDRSZ;
		pushJsonbValue(state, WJB_VALUE, &v);
	}
	else
	{
		getTypeOutputInfo(type, &output, &is_varlena);
		push_string(state, WJB_VALUE, OidOutputFunctionCall(output, value));
	}
}

/* etl_args_object returns all arguments that are not NULL as an object with their names. Errors: 22023 for tags. */
Jsonb *
etl_args_object(FunctionCallInfo fcinfo)
{
	Signature *signature = signature_of(fcinfo);
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < PG_NARGS(); i++)
	{
		if (PG_ARGISNULL(i))
			continue;
		if (signature->type[i] == JSONBOID && !JB_ROOT_IS_OBJECT(PG_GETARG_JSONB_P(i)))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s must be a JSON object", signature->name[i]),
					 errdetail("A JSON array or a single value was given."),
					 errhint("For example %s => '{\"team\": \"bi\"}'.", signature->name[i])));
		push_string(&state, WJB_KEY, signature->name[i]);
		push_value(&state, PG_GETARG_DATUM(i), signature->type[i], signature->name[i]);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}
