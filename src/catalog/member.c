/*
 * member.c
 *		Members of JSON objects that are strings. See member.h.
 */
#include "postgres.h"

#include "catalog/member.h"
#include "utils/builtins.h"

/* string_of makes a JSON string. */
static JsonbValue
string_of(const char *text)
{
	JsonbValue value = {.type = jbvString};

	value.val.string.val = (char *) text;
	value.val.string.len = strlen(text);
	return value;
}

/* etl_member_text returns a member as text. */
char *
etl_member_text(Jsonb *object, const char *name)
{
	JsonbValue key = string_of(name);
	JsonbValue *value = findJsonbValueFromContainer(&object->root, JB_FOBJECT, &key);

	if (value == NULL || value->type != jbvString)
		return NULL;
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/* etl_member_int64 returns a member that is a number in a string. */
int64
etl_member_int64(Jsonb *object, const char *name)
{
	char *text = etl_member_text(object, name);

	return text ? DatumGetInt64(DirectFunctionCall1(int8in, CStringGetDatum(text))) : 0;
}

/* etl_member_push adds a member to an object that is being made. */
void
etl_member_push(JsonbParseState **state, const char *name, const char *value)
{
	JsonbValue v;

	if (value == NULL)
		return;
	v = string_of(name);
	pushJsonbValue(state, WJB_KEY, &v);
	v = string_of(value);
	pushJsonbValue(state, WJB_VALUE, &v);
}
