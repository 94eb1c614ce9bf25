/*
 * raw_map.c
 *		How the columns of a source become the columns of a raw table. See raw_map.h.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_proc.h"
#include "feed/feed.h"
#include "parser/parse_coerce.h"
#include "source/raw_map.h"
#include "source/value.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* Pairs per jsonb_build_object: a function takes at most 100 arguments. */
#define PAIRS_PER_OBJECT 40

/* reference returns relation.column as SQL. */
static char *
reference(const EtlSource *source, const EtlColumn *column)
{
	return psprintf("%s.%s", source->alias, quote_identifier(column->name));
}

/*
 * fit applies the length or precision of the raw column. The functions of varchar, char and bit take a third argument
 * that says whether cutting off is allowed, as in an explicit cast: it is not.
 */
static char *
fit(char *expression, Oid type, int32 typmod)
{
	Oid function;

	if (find_typmod_coercion_function(type, &function) != COERCION_PATH_FUNC)
		return expression;
	return psprintf(
		"%s(%s, %d%s)",
		quote_qualified_identifier(get_namespace_name(get_func_namespace(function)), get_func_name(function)),
		expression, typmod, get_func_nargs(function) == 3 ? ", false" : "");
}

/* convert returns the expression that yields a source column as the raw column's type. */
static char *
convert(const EtlSource *source, const EtlColumn *column, Form_pg_attribute att)
{
	char *expression = reference(source, column);

	if (column->type == att->atttypid && (att->atttypmod < 0 || column->typmod == att->atttypmod))
		return expression;
	if (column->type != att->atttypid)
		expression = psprintf("%s::%s", expression, etl_value_type(att->atttypid));
	return att->atttypmod < 0 ? expression : fit(expression, att->atttypid, att->atttypmod);
}

/* find_attribute returns the raw column of a name, or NULL. */
static Form_pg_attribute
find_attribute(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped && strcmp(NameStr(TupleDescAttr(desc, i)->attname), name) == 0)
			return TupleDescAttr(desc, i);
	return NULL;
}

/* add_pair adds a column to the object for _etl_extra. */
static void
add_pair(StringInfo extra, int n, const char *name, const char *expression)
{
	if (n % PAIRS_PER_OBJECT == 0)
		appendStringInfo(extra, "%sjsonb_build_object(", n ? ") || " : "");
	else
		appendStringInfoString(extra, ", ");
	appendStringInfo(extra, "%s, %s", quote_literal_cstr(name), expression);
}

/* etl_raw_map_make walks the source's columns. */
EtlRawMap *
etl_raw_map_make(const EtlSource *source, Oid raw)
{
	EtlRawMap *map = palloc0(sizeof(EtlRawMap));
	Relation rel = table_open(raw, AccessShareLock);
	TupleDesc desc = RelationGetDescr(rel);
	StringInfoData extra;
	int n_extra = 0;

	map->extra_at = -1;
	map->expression = palloc(sizeof(char *) * (source->n + 1));
	map->attnum = palloc(sizeof(AttrNumber) * (source->n + 1));
	initStringInfo(&extra);
	for (int i = 0; i < source->n; i++)
	{
		const EtlColumn *column = &source->column[i];
		Form_pg_attribute att = find_attribute(desc, column->name);

		if (att == NULL)
		{
			add_pair(&extra, n_extra++, column->name, reference(source, column));
			continue;
		}
		map->expression[map->n] = convert(source, column, att);
		map->attnum[map->n++] = att->attnum;
	}
	if (n_extra > 0 || (etl_feed_find(source->fdw) && find_attribute(desc, ETL_RAW_EXTRA)))
	{
		map->expression[map->n] = n_extra > 0 ? psprintf("%s)", extra.data) : "NULL::pg_catalog.jsonb";
		map->extra_at = map->n;
		map->attnum[map->n++] = find_attribute(desc, ETL_RAW_EXTRA)->attnum;
	}
	table_close(rel, NoLock);
	return map;
}
