/*
 * dimension.c
 *		The option dimension_keys: read, checked, kept. See dimension.h.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "dag/lineage.h"
#include "lib/stringinfo.h"
#include "load/dimension.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"

/* etl_dimension_rule names the rules in the order of EtlMissing. */
const char *
etl_dimension_rule(EtlMissing missing)
{
	static const char *const name[] = {"unknown", "inferred", "reject", "null"};

	return name[missing];
}

/* refuse raises an error about the entry of one column. */
static void
pg_attribute_noreturn() refuse(const char *column, const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid dimension_keys for column \"%s\"", column),
			 errdetail("%s", detail), errhint("%s", hint)));
}

/* string_of returns a string of JSON as C string. */
static char *
string_of(const JsonbValue *value)
{
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/* member returns a member of an object that has to be a string; NULL: it is not there. */
static char *
member(JsonbContainer *object, const char *column, const char *name)
{
	JsonbValue *value = getKeyJsonValueFromContainer(object, name, (int) strlen(name), NULL);

	if (value == NULL || value->type == jbvNull)
		return NULL;
	if (value->type != jbvString || value->val.string.len == 0)
		refuse(column, psprintf("\"%s\" is empty or not a string.", name),
			   "Write {\"dimension\": \"schema.table\", \"by\": [\"column\"], \"missing\": \"unknown\", \"at\": "
			   "\"column\"}.");
	return string_of(value);
}

/* check_members refuses members that mean nothing. */
static void
check_members(JsonbContainer *object, const char *column)
{
	static const char *const known[] = {"dimension", "by", "missing", "at"};
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbValue value;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		bool found = false;

		if (token != WJB_KEY)
			continue;
		for (int i = 0; i < lengthof(known); i++)
			found = found || strcmp(known[i], string_of(&value)) == 0;
		if (!found)
			refuse(column, psprintf("There is no \"%s\" in it.", string_of(&value)),
				   "Its members are dimension, by, missing and at.");
	}
}

/*
 * read_by reads the columns of the query and, where they are named, those of the dimension: two lists, the second one
 * empty otherwise.
 */
static void
read_by(JsonbContainer *object, const char *column, EtlNames *query, EtlNames *dimension)
{
	JsonbValue *by = getKeyJsonValueFromContainer(object, "by", 2, NULL);
	JsonbIterator *iterator;
	JsonbValue value;
	JsonbIteratorToken token;
	int max;

	if (by == NULL || (by->type != jbvBinary && by->type != jbvString))
		refuse(column, "\"by\" does not say by which columns of the query the member is looked up.",
			   "Write \"by\": [\"column\"], or \"by\": {\"column of the dimension\": \"column of the query\"}.");
	max = by->type == jbvString ? 1 : Max((int) JsonContainerSize(by->val.binary.data), 1);
	query->name = palloc(sizeof(char *) * max);
	dimension->name = palloc(sizeof(char *) * max);
	if (by->type == jbvString)
	{
		query->name[query->n++] = string_of(by);
		return;
	}
	iterator = JsonbIteratorInit(by->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			dimension->name[dimension->n++] = string_of(&value);
		else if ((token == WJB_VALUE || token == WJB_ELEM) && value.type == jbvString)
			query->name[query->n++] = string_of(&value);
		else if (token == WJB_VALUE || token == WJB_ELEM)
			refuse(column, "\"by\" holds something that is no name of a column.",
				   "Write \"by\": [\"column\"], or \"by\": {\"column of the dimension\": \"column of the query\"}.");
	}
	if (query->n == 0)
		refuse(column, "\"by\" is empty.", "Name the columns of the query that identify a member.");
}

/* find_query_column returns a column that the query returns. Errors: 42703. */
static EtlColumn
find_query_column(const EtlPlan *plan, const char *column, const char *name, int n_query)
{
	EtlColumns own = {n_query, plan->columns.column};
	int position = etl_query_column(&own, name);

	if (position < 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						errmsg("dimension_keys names column \"%s\", which the query does not return", name),
						errdetail("It is used to look up \"%s\".", column),
						errhint("Columns of the query: %s.", etl_query_column_list(&own))));
	return plan->columns.column[position];
}

/* read_rule reads what a row gets without a member. */
static EtlMissing
read_rule(JsonbContainer *object, const char *column)
{
	char *rule = member(object, column, "missing");

	if (rule == NULL)
		return ETL_MISSING_UNKNOWN;
	for (int i = ETL_MISSING_UNKNOWN; i <= ETL_MISSING_NULL; i++)
		if (strcmp(rule, etl_dimension_rule(i)) == 0)
			return i;
	refuse(column, psprintf("\"missing\" is \"%s\".", rule), "It is one of: unknown, inferred, reject, null.");
}

/* is_time says whether a fact can be placed on the time axis by a column of this type. */
static bool
is_time(Oid type)
{
	return type == DATEOID || type == TIMESTAMPOID || type == TIMESTAMPTZOID;
}

/* read_at reads the column that tells the time of a fact. */
static void
read_at(const EtlPlan *plan, JsonbContainer *object, EtlDimension *dimension, int n_query)
{
	char *at = member(object, dimension->column, "at");

	if (at == NULL)
		return;
	dimension->has_at = true;
	dimension->at = find_query_column(plan, dimension->column, at, n_query);
	if (!is_time(dimension->at.type))
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("column \"%s\" of the query has type %s, which is no time", at,
							   format_type_be(dimension->at.type)),
						errdetail("It tells at which time a version of %s has to be valid.", dimension->name),
						errhint("Cast it to date, timestamp or timestamptz in the query.")));
	if (!dimension->is_versioned)
		refuse(dimension->column,
			   psprintf("\"at\" has no effect: %s has no columns " ETL_DIMENSION_FROM " and " ETL_DIMENSION_TO ".",
						dimension->name),
			   "Leave \"at\" out, or keep the dimension with mode => 'scd2'.");
}

/* append_column appends the column to those of the plan. */
static void
append_column(EtlPlan *plan, const EtlDimension *dimension)
{
	EtlColumns *columns = &plan->columns;
	EtlColumn *column;

	if (etl_query_column(columns, dimension->column) >= 0)
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_COLUMN),
						errmsg("query returns column \"%s\", which dimension_keys looks up", dimension->column),
						errdetail("The column is the key of a member of %s.", dimension->name),
						errhint("Leave the column out of the query, or out of dimension_keys.")));
	columns->column = repalloc(columns->column, sizeof(EtlColumn) * (columns->n + 1));
	column = &columns->column[columns->n++];
	MemSet(column, 0, sizeof(EtlColumn));
	column->name = dimension->column;
	column->quoted = quote_identifier(column->name);
	column->type = dimension->surrogate_type;
	column->typmod = dimension->surrogate_typmod;
	column->is_dimension_key = true;
	column->not_null = dimension->missing != ETL_MISSING_NULL;
}

/* read_dimension reads the entry of one column. */
static void
read_dimension(EtlPlan *plan, EtlDimension *dimension, JsonbContainer *object, int n_query)
{
	EtlNames query = {0, NULL};
	EtlNames names = {0, NULL};
	char *table;

	check_members(object, dimension->column);
	table = member(object, dimension->column, "dimension");
	if (table == NULL)
		refuse(dimension->column, "\"dimension\" does not say in which table the key is looked up.",
			   "Write \"dimension\": \"schema.table\".");
	dimension->missing = read_rule(object, dimension->column);
	read_by(object, dimension->column, &query, &names);
	dimension->n_by = query.n;
	dimension->by = palloc0(sizeof(EtlDimensionBy) * query.n);
	for (int i = 0; i < query.n; i++)
		dimension->by[i].query = find_query_column(plan, dimension->column, query.name[i], n_query);
	etl_dimension_inspect(dimension, table, &names);
	read_at(plan, object, dimension, n_query);
	append_column(plan, dimension);
}

/* etl_dimension_resolve reads the entries. */
void
etl_dimension_resolve(EtlPlan *plan)
{
	Jsonb *option = plan->task->dimension_keys;
	int n_query = plan->columns.n;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue value;

	if (option == NULL)
		return;
	if (!JB_ROOT_IS_OBJECT(option) || JB_ROOT_COUNT(option) == 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("dimension_keys names no column"),
			 errdetail("It is an object with a member for each column of the target that is looked up."),
			 errhint("Write {\"customer_key\": {\"dimension\": \"dw.dim_customer\", \"by\": [\"customer_id\"]}}.")));
	plan->dimension = palloc0(sizeof(EtlDimension) * JB_ROOT_COUNT(option));
	iterator = JsonbIteratorInit(&option->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		EtlDimension *dimension = &plan->dimension[plan->n_dimensions];

		if (token == WJB_KEY)
			dimension->column = string_of(&value);
		if (token != WJB_VALUE)
			continue;
		if (value.type != jbvBinary || !JsonContainerIsObject(value.val.binary.data))
			refuse(dimension->column, "It is not an object.",
				   "Write {\"dimension\": \"schema.table\", \"by\": [\"column\"], \"missing\": \"unknown\", \"at\": "
				   "\"column\"}.");
		read_dimension(plan, dimension, value.val.binary.data, n_query);
		plan->n_dimensions++;
	}
}

/* etl_dimension_check refuses deletes that would have to be looked up: the row that was deleted may have had another key. */
void
etl_dimension_check(const EtlPlan *plan)
{
	if (plan->on_delete == ETL_ON_DELETE_IGNORE)
		return;
	for (int i = 0; i < plan->columns.n; i++)
	{
		const EtlColumn *column = &plan->columns.column[i];
		bool is_used = column->is_key;

		for (int j = 0; j < plan->n_order; j++)
			is_used = is_used || plan->order[j].column == i;
		if (column->is_dimension_key && is_used)
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("on_delete does not fit column \"%s\" in key or order_by", column->name),
							errdetail("The column is looked up in a dimension, and the keys of deleted rows are not."),
							errhint("Use the columns of the query in the key, or leave on_delete out.")));
	}
}

/* is_used says whether a column of the query is used for a lookup. */
static bool
is_used(const EtlPlan *plan, const char *name)
{
	for (int i = 0; i < plan->n_dimensions; i++)
	{
		const EtlDimension *dimension = &plan->dimension[i];

		if (dimension->has_at && strcmp(dimension->at.name, name) == 0)
			return true;
		for (int j = 0; j < dimension->n_by; j++)
			if (strcmp(dimension->by[j].query.name, name) == 0)
				return true;
	}
	return false;
}

/* etl_dimension_drop takes the column out and moves the positions behind it. */
bool
etl_dimension_drop(EtlPlan *plan, int i)
{
	EtlColumns *columns = &plan->columns;

	if (columns->column[i].is_key || columns->column[i].is_dimension_key || !is_used(plan, columns->column[i].name))
		return false;
	for (int j = 0; j < plan->n_order; j++)
		if (plan->order[j].column == i)
			return false;
	memmove(&columns->column[i], &columns->column[i + 1], sizeof(EtlColumn) * (columns->n - i - 1));
	columns->n--;
	for (int j = 0; j < plan->n_key; j++)
		if (plan->key[j] > i)
			plan->key[j]--;
	for (int j = 0; j < plan->n_order; j++)
		if (plan->order[j].column > i)
			plan->order[j].column--;
	return true;
}

/* append_entry appends the entry of one column. */
static void
append_entry(StringInfo text, const EtlDimension *dimension)
{
	escape_json(text, dimension->column);
	appendStringInfoString(text, ": {\"dimension\": ");
	escape_json(text, dimension->name);
	appendStringInfoString(text, ", \"by\": {");
	for (int i = 0; i < dimension->n_by; i++)
	{
		appendStringInfoString(text, i > 0 ? ", " : "");
		escape_json(text, dimension->by[i].name);
		appendStringInfoString(text, ": ");
		escape_json(text, dimension->by[i].query.name);
	}
	appendStringInfo(text, "}, \"missing\": \"%s\"", etl_dimension_rule(dimension->missing));
	if (dimension->has_at)
	{
		appendStringInfoString(text, ", \"at\": ");
		escape_json(text, dimension->at.name);
	}
	appendStringInfoChar(text, '}');
}

/* compare_names orders names for qsort. */
static int
compare_names(const void *left, const void *right)
{
	return strcmp(*(char *const *) left, *(char *const *) right);
}

/* add_read adds a name to a sorted list of different names. */
static void
add_read(EtlNames *reads, char *name)
{
	for (int i = 0; i < reads->n; i++)
		if (strcmp(reads->name[i], name) == 0)
			return;
	reads->name = reads->name ? repalloc(reads->name, sizeof(char *) * (reads->n + 1)) : palloc(sizeof(char *));
	reads->name[reads->n++] = name;
	qsort(reads->name, reads->n, sizeof(char *), compare_names);
}

/*
 * etl_dimension_settle writes the option anew. A dimension in which members are inferred is not among what the task
 * writes: every fact of it would wait for every other one.
 */
void
etl_dimension_settle(EtlTask *task, const EtlPlan *plan)
{
	StringInfoData text;

	if (plan->n_dimensions == 0)
		return;
	initStringInfo(&text);
	for (int i = 0; i < plan->n_dimensions; i++)
	{
		appendStringInfoString(&text, i > 0 ? ", " : "{");
		append_entry(&text, &plan->dimension[i]);
		add_read(&task->reads, plan->dimension[i].name);
	}
	appendStringInfoChar(&text, '}');
	task->dimension_keys = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text.data)));
}
