/*
 * buckets.c
 *		The parts of a distribution. See buckets.h.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "catalog/pg_class_d.h"
#include "catalog/pg_type_d.h"
#include "catalog/spi.h"
#include "load/text_type.h"
#include "quality/buckets.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "access/relation.h"

#define MAX_VALUES 20
/* The bounds of a larger table are found in a sample of about so many rows. */
#define SAMPLE_ROWS 100000.0

/* names_in returns the strings or numbers of an array in an object. */
static EtlNames
names_in(const Jsonb *object, const char *key)
{
	EtlNames names = {0, NULL};
	JsonbValue array;
	JsonbValue element;
	JsonbIterator *iterator;
	JsonbIteratorToken token;

	if (object == NULL ||
		getKeyJsonValueFromContainer(unconstify(JsonbContainer *, &object->root), key, strlen(key), &array) == NULL ||
		array.type != jbvBinary)
		return names;
	names.name = palloc(sizeof(char *) * (JsonContainerSize(array.val.binary.data) + 1));
	iterator = JsonbIteratorInit(array.val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		if (element.type == jbvString)
			names.name[names.n++] = pnstrdup(element.val.string.val, element.val.string.len);
		else if (element.type == jbvNumeric)
			names.name[names.n++] = DatumGetCString(
				DirectFunctionCall1(numeric_out, NumericGetDatum(element.val.numeric)));
	}
	return names;
}

/* is_same says whether two lists have the same elements. */
static bool
is_same(const EtlNames *a, const EtlNames *b)
{
	if (a->n != b->n)
		return false;
	for (int i = 0; i < a->n; i++)
		if (strcmp(a->name[i], b->name[i]) != 0)
			return false;
	return true;
}

/* make returns parts of items. */
static EtlBuckets *
make(bool is_range, EtlNames item)
{
	EtlBuckets *buckets = palloc0(sizeof(EtlBuckets));

	buckets->is_range = is_range;
	buckets->item = item;
	buckets->n_counted = item.n + (is_range ? 1 : 0);
	buckets->n = buckets->n_counted + 1;
	return buckets;
}

/* etl_buckets_of_history takes the latest. */
EtlBuckets *
etl_buckets_of_history(const EtlHistory *history)
{
	EtlBuckets *buckets = NULL;

	for (int i = 0; i < history->n; i++)
	{
		EtlNames bounds = names_in(history->details[i], "bounds");
		EtlNames values = names_in(history->details[i], "values");
		EtlNames shares = names_in(history->details[i], "shares");

		if (buckets == NULL && shares.n > 0)
		{
			buckets = make(bounds.name != NULL, bounds.name != NULL ? bounds : values);
			buckets->usual = palloc0(sizeof(double) * buckets->n);
		}
		if (buckets == NULL || shares.n != buckets->n || (bounds.name != NULL) != buckets->is_range ||
			!is_same(&buckets->item, buckets->is_range ? &bounds : &values))
			continue;
		buckets->n_earlier++;
		for (int part = 0; part < buckets->n; part++)
			buckets->usual[part] += strtod(shares.name[part], NULL);
	}
	for (int part = 0; buckets != NULL && part < buckets->n; part++)
		buckets->usual[part] /= Max(buckets->n_earlier, 1);
	return buckets;
}

/* sample_clause returns TABLESAMPLE for a table that is large by its statistics, or "". */
static const char *
sample_clause(const EtlSource *target)
{
	Relation relation;
	double rows;

	if (target->relkind != RELKIND_RELATION && target->relkind != RELKIND_MATVIEW)
		return "";
	relation = relation_open(target->oid, AccessShareLock);
	rows = relation->rd_rel->reltuples;
	relation_close(relation, NoLock);
	if (rows <= 2 * SAMPLE_ROWS)
		return "";
	return psprintf(" TABLESAMPLE SYSTEM (%f) REPEATABLE (0)", 100 * SAMPLE_ROWS / rows);
}

/* has_ranges says whether values of a type are divided by bounds. */
static bool
has_ranges(Oid type)
{
	char category;
	bool preferred;

	get_type_category_preferred(getBaseType(type), &category, &preferred);
	return category == TYPCATEGORY_NUMERIC || category == TYPCATEGORY_DATETIME || category == TYPCATEGORY_TIMESPAN;
}

/* etl_buckets_choose asks for the bounds or the values. */
EtlBuckets *
etl_buckets_choose(const EtlSource *target, const EtlColumn *column, const char *where)
{
	bool is_range = has_ranges(column->type);
	const char *name = quote_identifier(column->name);
	const char *condition = where ? psprintf("%s AND ", where) : "";
	char *sql;
	char *found;
	Jsonb *object;

	if (is_range)
		sql = psprintf("SELECT pg_catalog.jsonb_build_object('items', (SELECT pg_catalog.jsonb_agg(b::pg_catalog.text)"
					   " FROM (SELECT DISTINCT b FROM pg_catalog.unnest((SELECT pg_catalog.percentile_disc("
					   "ARRAY[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]) WITHIN GROUP (ORDER BY %s)"
					   " FROM %s%s WHERE %s%s IS NOT NULL)) AS b ORDER BY b) AS o WHERE b IS NOT NULL))",
					   name, target->name, sample_clause(target), condition, name);
	else
		sql = psprintf("SELECT pg_catalog.jsonb_build_object('items', (SELECT pg_catalog.jsonb_agg(v ORDER BY v COLLATE"
					   " \"C\") FROM (SELECT %s::pg_catalog.text AS v FROM %s%s WHERE %s%s IS NOT NULL GROUP BY 1"
					   " ORDER BY pg_catalog.count(*) DESC, (%s::pg_catalog.text) COLLATE \"C\" LIMIT %d) AS o))",
					   name, target->name, sample_clause(target), condition, name, name, MAX_VALUES);
	found = etl_sql_text(sql);
	object = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(found)));
	return make(is_range, names_in(object, "items"));
}

/* etl_buckets_condition: the last counted part of ranges is above the last bound. */
char *
etl_buckets_condition(const EtlBuckets *buckets, const EtlColumn *column, int part)
{
	const char *name = quote_identifier(column->name);
	Oid type = getBaseType(column->type);
	StringInfoData sql;

	if (!buckets->is_range)
		return psprintf("%s::pg_catalog.text OPERATOR(pg_catalog.=) %s", name,
						quote_literal_cstr(buckets->item.name[part]));
	initStringInfo(&sql);
	if (part > 0)
		appendStringInfo(&sql, "%s%s%s::%s", name, etl_text_comparison(type, BTGreaterStrategyNumber),
						 quote_literal_cstr(buckets->item.name[part - 1]), etl_text_type(type, -1));
	if (part < buckets->item.n)
		appendStringInfo(&sql, "%s%s%s%s::%s", part > 0 ? " AND " : "", name,
						 etl_text_comparison(type, BTLessEqualStrategyNumber),
						 quote_literal_cstr(buckets->item.name[part]), etl_text_type(type, -1));
	if (sql.len == 0)
		appendStringInfo(&sql, "%s IS NOT NULL", name);
	return sql.data;
}

/* etl_buckets_details writes JSON. */
Jsonb *
etl_buckets_details(const EtlBuckets *buckets, const double *share)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "{\"%s\": [", buckets->is_range ? "bounds" : "values");
	for (int i = 0; i < buckets->item.n; i++)
	{
		appendStringInfoString(&text, i > 0 ? ", " : "");
		escape_json(&text, buckets->item.name[i]);
	}
	appendStringInfoString(&text, "], \"shares\": [");
	for (int i = 0; i < buckets->n; i++)
		appendStringInfo(&text, "%s%.6f", i > 0 ? ", " : "", share[i]);
	appendStringInfoString(&text, "]}");
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text.data)));
}
