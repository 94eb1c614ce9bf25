/*
 * text.c
 *		Pieces of generated SQL. See text.h.
 *
 * The text is executed with search_path = pg_catalog, pg_temp, so whatever is elsewhere is written with its schema.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "load/text.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

/* etl_text_type returns a type for a column definition or a cast. */
char *
etl_text_type(Oid type, int32 typmod)
{
	return format_type_extended(type, typmod, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
}

/* etl_text_collate returns a COLLATE clause where one is needed. */
const char *
etl_text_collate(Oid collation, Oid type)
{
	if (!OidIsValid(collation) || collation == get_typcollation(type))
		return "";
	return psprintf(" COLLATE %s", generate_collation_name(collation));
}

/* etl_text_operator returns an infix operator with blanks around it. */
char *
etl_text_operator(Oid operator_oid)
{
	HeapTuple tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator_oid));
	Form_pg_operator form;
	char *result;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", operator_oid);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	if (form->oprnamespace == PG_CATALOG_NAMESPACE)
		result = psprintf(" %s ", NameStr(form->oprname));
	else
		result = psprintf(" OPERATOR(%s.%s) ", quote_identifier(get_namespace_name(form->oprnamespace)),
						  NameStr(form->oprname));
	ReleaseSysCache(tuple);
	return result;
}

/* etl_text_comparison looks into the default btree operator family. */
char *
etl_text_comparison(Oid type, StrategyNumber strategy)
{
	TypeCacheEntry *cache = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY | TYPECACHE_EQ_OPR);
	Oid found = cache->eq_opr;

	if (strategy != BTEqualStrategyNumber)
		found = get_opfamily_member(cache->btree_opf, cache->btree_opintype, cache->btree_opintype, strategy);
	if (!OidIsValid(found))
		elog(ERROR, "type %u has no btree operator %d", type, strategy);
	return etl_text_operator(found);
}

/* etl_text_columns appends the columns of the plan. */
void
etl_text_columns(StringInfo sql, const EtlPlan *plan, const char *prefix)
{
	for (int i = 0; i < plan->columns.n; i++)
		appendStringInfo(sql, "%s%s%s", i > 0 ? ", " : "", prefix, plan->columns.column[i].quoted);
}

/* etl_text_definitions appends column definitions with the types of the target. */
void
etl_text_definitions(StringInfo sql, const EtlPlan *plan, bool strict)
{
	for (int i = 0; i < plan->columns.n; i++)
	{
		const EtlColumn *column = &plan->columns.column[i];

		appendStringInfo(sql, "%s%s %s%s%s", i > 0 ? ", " : "", column->quoted,
						 etl_text_type(column->target_type, column->target_typmod),
						 etl_text_collate(column->target_collation, column->target_type),
						 strict && (column->not_null || column->is_key) ? " NOT NULL" : "");
	}
}

/*
 * has_exact_equality says whether equality of a column means that nothing changed. Not so for types without equality,
 * for case-insensitive collations, and for types of extensions such as citext, whose = we could not name either.
 */
static bool
has_exact_equality(const EtlColumn *column)
{
	TypeCacheEntry *cache = lookup_type_cache(column->target_type, TYPECACHE_EQ_OPR);
	HeapTuple tuple;
	bool result;

	if (!OidIsValid(cache->eq_opr))
		return false;
	if (OidIsValid(column->target_collation) && !get_collation_isdeterministic(column->target_collation))
		return false;
	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(cache->eq_opr));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", cache->eq_opr);
	result = ((Form_pg_operator) GETSTRUCT(tuple))->oprnamespace == PG_CATALOG_NAMESPACE;
	ReleaseSysCache(tuple);
	return result;
}

/* etl_text_comparable returns a column, as text where its type has no exact equality. */
char *
etl_text_comparable(const EtlColumn *column, const char *prefix)
{
	return psprintf(has_exact_equality(column) ? "%s%s" : "%s%s::pg_catalog.text COLLATE pg_catalog.\"C\"", prefix,
					column->quoted);
}

/* etl_text_differs returns the condition that a column differs between target t and delta d. */
char *
etl_text_differs(const EtlColumn *column)
{
	return psprintf("%s IS DISTINCT FROM %s", etl_text_comparable(column, "t."), etl_text_comparable(column, "d."));
}
