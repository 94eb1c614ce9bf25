/*
 * define.c
 *		Whether a contract makes sense. See contract.h.
 */
#include "postgres.h"

#include "api/define.h"
#include "compat.h"
#include "contract/contract.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* refuse raises 22023. */
ETL_NORETURN static void
refuse(const char *what, const char *detail, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid %s", what), errdetail("%s", detail),
					errhint("%s", hint)));
}

/* type_of brings the name of a type into its usual form; MySQL's are left as they are. */
static char *
type_of(const char *column, const char *type, bool is_foreign)
{
	Oid oid = InvalidOid;
	int32 typmod;

	if (etl_compat_parse_type(type, &oid, &typmod))
		return format_type_with_typemod(oid, typmod);
	if (!is_foreign)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("type \"%s\" does not exist", type),
						errdetail("The contract promises it for column \"%s\".", column),
						errhint("Write it as in CREATE TABLE; only columns of foreign tables may have other types.")));
	return pstrdup(type);
}

/* push_text adds a key and a text. */
static void
push_text(JsonbParseState **state, JsonbIteratorToken token, const char *text)
{
	JsonbValue v = {.type = jbvString};

	v.val.string.val = unconstify(char *, text);
	v.val.string.len = strlen(text);
	pushJsonbValue(state, token, &v);
}

/* check_column refuses a value that describes no column. */
static void
check_column(const char *name, JsonbValue *value)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue v;
	const char *what = psprintf("column \"%s\" of the contract", name);
	const char *hint = "Write {\"name\": \"type\"} or {\"name\": {\"type\": \"...\", \"not_null\": true}}.";

	if (value->type == jbvString)
		return;
	if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
		refuse(what, "It is neither the name of a type nor an object.", hint);
	it = JsonbIteratorInit(value->val.binary.data);
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		char *key;

		if (token != WJB_KEY)
			continue;
		key = pnstrdup(v.val.string.val, v.val.string.len);
		(void) JsonbIteratorNext(&it, &v, true);
		if (!(strcmp(key, "type") == 0 && v.type == jbvString) && !(strcmp(key, "not_null") == 0 && v.type == jbvBool))
			refuse(what, psprintf("\"%s\" is not known, or has a value of another type.", key), hint);
	}
}

/* check_columns checks what was promised, and returns it in one form. */
static Jsonb *
check_columns(Jsonb *columns, bool is_foreign)
{
	JsonbIterator *it = JsonbIteratorInit(&columns->root);
	JsonbIteratorToken token;
	JsonbParseState *state = NULL;
	EtlPromisedColumn *promised;
	JsonbValue v;
	int n;

	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
		if (token == WJB_KEY)
		{
			char *name = pnstrdup(v.val.string.val, v.val.string.len);

			(void) JsonbIteratorNext(&it, &v, true);
			check_column(name, &v);
		}
	n = etl_contract_columns(columns, &promised);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < n; i++)
	{
		JsonbValue flag = {.type = jbvBool};

		push_text(&state, WJB_KEY, promised[i].name);
		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		if (promised[i].type)
		{
			push_text(&state, WJB_KEY, "type");
			push_text(&state, WJB_VALUE, type_of(promised[i].name, promised[i].type, is_foreign));
		}
		push_text(&state, WJB_KEY, "not_null");
		flag.val.boolean = promised[i].not_null;
		pushJsonbValue(&state, WJB_VALUE, &flag);
		pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* check_volume checks the numbers of rows. */
static void
check_volume(const EtlContract *contract)
{
	static const char *const periods[] = {"run", "day", NULL};

	etl_define_choice("volume_per", contract->volume_per, periods);
	if (contract->min_rows < -1 || contract->max_rows < -1)
		refuse("number of rows", "It is negative.", "Pass 0 or more.");
	if (contract->min_rows >= 0 && contract->max_rows >= 0 && contract->min_rows > contract->max_rows)
		refuse("max_rows", psprintf("It is less than min_rows, " INT64_FORMAT ".", contract->min_rows),
			   "Pass a number that is not smaller.");
	if (contract->max_change_pct && strtod(contract->max_change_pct, NULL) <= 0)
		refuse("max_change_pct", psprintf("It is %s.", contract->max_change_pct), "Pass percent, more than 0.");
}

/* etl_contract_check checks all settings together. */
void
etl_contract_check(EtlContract *contract)
{
	static const char *const severities[] = {"warning", "fail", NULL};
	Interval zero = {0};
	Interval longest = {.day = 3660};
	EtlSource *source = etl_relation_describe(etl_relation_find(contract->source), NULL);

	etl_define_choice("severity", contract->severity, severities);
	(void) etl_contract_next_due(contract->arrival ? contract->arrival : "00:00", contract->timezone,
								 GetCurrentTimestamp());
	if (contract->freshness)
	{
		Datum value = IntervalPGetDatum(contract->freshness);

		if (DatumGetInt32(DirectFunctionCall2(interval_cmp, value, IntervalPGetDatum(&zero))) <= 0 ||
			DatumGetInt32(DirectFunctionCall2(interval_cmp, value, IntervalPGetDatum(&longest))) > 0)
			refuse("freshness", psprintf("It is %s.", DatumGetCString(DirectFunctionCall1(interval_out, value))),
				   "It must be more than 0 and at most 10 years.");
	}
	check_volume(contract);
	if (contract->columns)
		contract->columns = check_columns(contract->columns, source->relkind == 'f');
	if (!contract->extra_columns && contract->columns == NULL)
		refuse("extra_columns", "Without columns there are none that others could be compared with.",
			   "Pass columns, too.");
}
