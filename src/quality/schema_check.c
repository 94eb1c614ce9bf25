/*
 * schema_check.c
 *		Checks of type schema. See schema_check.h.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "load/text_type.h"
#include "parser/parse_type.h"
#include "quality/schema_check.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"

/* type_name returns a type as it is stored: with its schema where that is not pg_catalog. */
static char *
type_name(Oid type, int32 typmod)
{
	return format_type_extended(type, typmod, FORMAT_TYPE_TYPEMOD_GIVEN);
}

/* columns_of returns {column: type} of the target; technical columns of etl_ext are left out. */
static Jsonb *
columns_of(const EtlSource *target)
{
	StringInfoData text;
	const char *separator = "{";

	initStringInfo(&text);
	for (int i = 0; i < target->n; i++)
	{
		const EtlColumn *column = &target->column[i];

		if (strncmp(column->name, "_etl_", strlen("_etl_")) == 0)
			continue;
		appendStringInfoString(&text, separator);
		escape_json(&text, column->name);
		appendStringInfoString(&text, ": ");
		escape_json(&text, type_name(column->type, column->typmod));
		separator = ", ";
	}
	appendStringInfoString(&text, *separator == '{' ? "{}" : "}");
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text.data)));
}

/* A pass over the members of an object. */
typedef struct Member
{
	JsonbIterator *iterator;
	char *name;
	char *value;
} Member;

/* next_member moves on to the next string member; false: there is none. */
static bool
next_member(Member *member)
{
	JsonbValue v;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&member->iterator, &v, true)) != WJB_DONE)
	{
		if (token != WJB_KEY)
			continue;
		member->name = pnstrdup(v.val.string.val, v.val.string.len);
		if (JsonbIteratorNext(&member->iterator, &v, true) != WJB_VALUE || v.type != jbvString)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("the type of column \"%s\" in expected is no text", member->name),
							errdetail("expected says which columns there have to be, and of which types."),
							errhint("Write it like expected => '{\"order_id\": \"bigint\"}'.")));
		member->value = pnstrdup(v.val.string.val, v.val.string.len);
		return true;
	}
	return false;
}

/* resolved returns a type as its name is stored, so that int8 and bigint are the same. Errors: 42704. */
static char *
resolved(const char *text)
{
	Oid type;
	int32 typmod;

	parseTypeString(text, &type, &typmod, false);
	return type_name(type, typmod);
}

/* etl_schema_check_define resolves each type. */
void
etl_schema_check_define(const EtlTask *task)
{
	Member member = {0};

	if (task->expected == NULL)
		return;
	member.iterator = JsonbIteratorInit(&task->expected->root);
	while (next_member(&member))
		(void) resolved(member.value);
}

/* has_member says whether an object has a member of that name. */
static bool
has_member(const Jsonb *object, const char *name)
{
	JsonbValue value;

	return getKeyJsonValueFromContainer(unconstify(JsonbContainer *, &object->root), name, strlen(name), &value) !=
		   NULL;
}

/* compare_column compares one expected column with the target. */
static void
compare_column(EtlProbe *probe, const Member *member, const char *type)
{
	const EtlColumn *column = etl_relation_column(probe->target, member->name);
	List **differences = &probe->measure.differences;
	char *found;

	if (column == NULL)
	{
		*differences = lappend(*differences, psprintf("%s is missing", quote_identifier(member->name)));
		return;
	}
	found = type_name(column->type, column->typmod);
	if (strcmp(found, type) != 0)
		*differences = lappend(*differences, psprintf("%s is %s, not %s", quote_identifier(member->name), found, type));
}

/* add_new lists the columns of the target that are not expected. */
static void
add_new(EtlProbe *probe, const Jsonb *expected)
{
	Member member = {0};

	member.iterator = JsonbIteratorInit(&probe->measure.columns->root);
	while (next_member(&member))
		if (!has_member(expected, member.name))
			probe->measure.differences = lappend(probe->measure.differences,
												 psprintf("%s is new", quote_identifier(member.name)));
}

/* former_columns returns the columns that the last evaluation found, or NULL. */
static Jsonb *
former_columns(const EtlProbe *probe)
{
	JsonbValue value;
	Jsonb *details = probe->history.n > 0 ? probe->history.details[0] : NULL;

	if (details == NULL || getKeyJsonValueFromContainer(&details->root, "columns", 7, &value) == NULL)
		return NULL;
	return JsonbValueToJsonb(&value);
}

/* etl_schema_check_compare compares in both directions. */
void
etl_schema_check_compare(EtlProbe *probe)
{
	bool is_given = probe->task->expected != NULL;
	Jsonb *expected = is_given ? probe->task->expected : former_columns(probe);
	Member member = {0};

	probe->measure.columns = columns_of(probe->target);
	probe->measure.has_former = expected != NULL;
	if (expected == NULL)
		return;
	member.iterator = JsonbIteratorInit(&expected->root);
	while (next_member(&member))
		compare_column(probe, &member, is_given ? resolved(member.value) : member.value);
	add_new(probe, expected);
}
