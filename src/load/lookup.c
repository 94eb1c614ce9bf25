/*
 * lookup.c
 *		The statements that look up keys of dimensions. See lookup.h.
 *
 * Of a dimension with versions, the one counts that began last before the time of the fact; before the first one, the
 * first; without a time, the current one. So a member that has ever been there is found at any time, and each row of the
 * query finds one version at most, whatever the validities in the dimension say.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "load/lookup.h"
#include "load/text.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

/* etl_lookup_table names a table. */
char *
etl_lookup_table(const EtlLookup *lookup, const char *kind, int i)
{
	return i < 0 ? psprintf("pg_temp.etl_%s%s", kind, lookup->suffix)
				 : psprintf("pg_temp.etl_%s%d%s", kind, i + 1, lookup->suffix);
}

/* etl_lookup_columns walks through the select list. */
char *
etl_lookup_columns(const EtlLookup *lookup, const char *prefix, bool sequence)
{
	StringInfoData list;
	ListCell *cell;

	initStringInfo(&list);
	foreach (cell, lookup->plan->compile->query->targetList)
	{
		const TargetEntry *entry = lfirst_node(TargetEntry, cell);
		bool is_ours = !entry->resjunk && strncmp(entry->resname, "_etl_", strlen("_etl_")) == 0;

		if (!entry->resjunk && (sequence || !is_ours))
			appendStringInfo(&list, "%s%s%s", list.len > 0 ? ", " : "", prefix, quote_identifier(entry->resname));
	}
	return list.data;
}

/* value returns a column of the query in row s as it is compared. */
static char *
value(const EtlDimensionBy *by)
{
	Oid type = by->is_cast ? by->type : by->query.type;
	char *sql = psprintf("s.%s", by->query.quoted);

	if (by->is_cast)
		sql = psprintf("%s::%s", sql, etl_text_type(by->type, -1));
	if (OidIsValid(by->collation) && by->query.collation != by->collation && type_is_collatable(type))
		sql = psprintf("%s%s", sql, etl_text_collate(by->collation, InvalidOid));
	return sql;
}

/* qualified returns an infix operator with its schema: a search_path may name another schema before pg_catalog. */
static char *
qualified(Oid operator_oid)
{
	char *text = etl_text_operator(operator_oid);

	return text[0] == ' ' && strncmp(text, " OPERATOR", strlen(" OPERATOR")) != 0
			   ? psprintf(" OPERATOR(pg_catalog.%.*s) ", (int) strlen(text) - 2, text + 1)
			   : text;
}

/* append_equal appends that two rows have the same member: left is s, d or m, right another alias of members. */
static void
append_equal(StringInfo sql, const EtlDimension *dimension, const char *left, const char *right)
{
	for (int i = 0; i < dimension->n_by; i++)
	{
		const EtlDimensionBy *by = &dimension->by[i];
		Oid equal = lookup_type_cache(by->is_cast ? by->type : by->query.type, TYPECACHE_EQ_OPR)->eq_opr;
		char *name = psprintf("%s.k%d", left, i + 1);

		if (left[0] == 's')
			name = value(by);
		else if (left[0] == 'd')
		{
			name = psprintf("d.%s", by->quoted);
			equal = by->equal;
		}
		appendStringInfo(sql, "%s%s%s%s.k%d", i > 0 ? " AND " : "", name, qualified(equal), right, i + 1);
	}
}

/* append_keys appends the key columns of members. */
static void
append_keys(StringInfo sql, const EtlDimension *dimension, const char *prefix)
{
	for (int i = 0; i < dimension->n_by; i++)
		appendStringInfo(sql, "%s%sk%d", i > 0 ? ", " : "", prefix, i + 1);
}

/* etl_lookup_is_null joins the columns by OR. */
char *
etl_lookup_is_null(const EtlLookup *lookup, int i)
{
	const EtlDimension *dimension = &lookup->plan->dimension[i];
	StringInfoData sql;

	initStringInfo(&sql);
	for (int j = 0; j < dimension->n_by; j++)
		appendStringInfo(&sql, "%ss.%s IS NULL", j > 0 ? " OR " : "", dimension->by[j].query.quoted);
	return sql.data;
}

/* create returns what begins a statement that creates a table. */
static char *
create(const EtlLookup *lookup, const char *kind, int i)
{
	return psprintf("CREATE TEMPORARY TABLE %s ON COMMIT DROP AS\n", etl_lookup_table(lookup, kind, i));
}

/* etl_lookup_stage keeps the types of the query. */
char *
etl_lookup_stage(const EtlLookup *lookup, const char *query)
{
	return psprintf("%s%s", create(lookup, "stage", -1), query);
}

/* etl_lookup_members leaves NULL out: it is nobody's key. */
char *
etl_lookup_members(const EtlLookup *lookup, int i)
{
	const EtlDimension *dimension = &lookup->plan->dimension[i];
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "%sSELECT DISTINCT ", create(lookup, "member", i));
	for (int j = 0; j < dimension->n_by; j++)
		appendStringInfo(&sql, "%s%s AS k%d", j > 0 ? ", " : "", value(&dimension->by[j]), j + 1);
	appendStringInfo(&sql, "\nFROM %s AS s WHERE NOT (%s)", etl_lookup_table(lookup, "stage", -1),
					 etl_lookup_is_null(lookup, i));
	return sql.data;
}

/* append_versions selects all versions of members where facts have a time, otherwise one row per member. */
static void
append_versions(StringInfo sql, const EtlLookup *lookup, int i, const char *members)
{
	const EtlDimension *dimension = &lookup->plan->dimension[i];
	StringInfoData keys;

	initStringInfo(&keys);
	append_keys(&keys, dimension, "m.");
	if (dimension->has_at)
		appendStringInfo(sql,
						 "SELECT %s, d.%s AS surrogate, d." ETL_DIMENSION_FROM " AS began,"
						 " pg_catalog.lead(d." ETL_DIMENSION_FROM ") OVER w AS ended,"
						 " pg_catalog.row_number() OVER w = 1 AS is_first",
						 keys.data, dimension->surrogate_quoted);
	else
		appendStringInfo(sql, "SELECT DISTINCT ON (%s) %s, d.%s AS surrogate, true AS is_first", keys.data, keys.data,
						 dimension->surrogate_quoted);
	appendStringInfo(sql, "\nFROM %s AS m JOIN %s AS d ON ", etl_lookup_table(lookup, members, i), dimension->name);
	append_equal(sql, dimension, "d", "m");
	if (dimension->has_at)
		appendStringInfo(sql, "\nWINDOW w AS (PARTITION BY %s ORDER BY d." ETL_DIMENSION_FROM " NULLS FIRST, d.%s)",
						 keys.data, dimension->surrogate_quoted);
	else
		appendStringInfo(sql, "\nORDER BY %s%s%s, d.%s", keys.data,
						 dimension->has_current ? ", d." ETL_DIMENSION_CURRENT " DESC NULLS LAST" : "",
						 dimension->is_versioned ? ", d." ETL_DIMENSION_FROM " DESC NULLS LAST" : "",
						 dimension->surrogate_quoted);
}

/* etl_lookup_versions looks at all members. */
char *
etl_lookup_versions(const EtlLookup *lookup, int i)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, create(lookup, "lookup", i));
	append_versions(&sql, lookup, i, "member");
	return sql.data;
}

/* etl_lookup_again looks at the missing members. */
char *
etl_lookup_again(const EtlLookup *lookup, int i)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s\n", etl_lookup_table(lookup, "lookup", i));
	append_versions(&sql, lookup, i, "missing");
	return sql.data;
}

/* etl_lookup_forget deletes what is found from what is missing. */
char *
etl_lookup_forget(const EtlLookup *lookup, int i)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "DELETE FROM %s AS m USING %s AS l WHERE ", etl_lookup_table(lookup, "missing", i),
					 etl_lookup_table(lookup, "lookup", i));
	append_equal(&sql, &lookup->plan->dimension[i], "m", "l");
	return sql.data;
}

/* etl_lookup_missing numbers the members that were not found. */
char *
etl_lookup_missing(const EtlLookup *lookup, int i)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "%sSELECT pg_catalog.row_number() OVER () AS _etl_n, m.* FROM %s AS m\n"
					 "WHERE NOT EXISTS (SELECT 1 FROM %s AS l WHERE ",
					 create(lookup, "missing", i), etl_lookup_table(lookup, "member", i),
					 etl_lookup_table(lookup, "lookup", i));
	append_equal(&sql, &lookup->plan->dimension[i], "m", "l");
	appendStringInfoString(&sql, ")");
	return sql.data;
}

/* etl_lookup_infer gives the members what they need; other columns have NULL or their default. */
char *
etl_lookup_infer(const EtlLookup *lookup, int i, const char *condition)
{
	const EtlDimension *dimension = &lookup->plan->dimension[i];
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s (", dimension->name);
	for (int j = 0; j < dimension->n_by; j++)
		appendStringInfo(&sql, "%s, ", dimension->by[j].quoted);
	appendStringInfo(&sql, ETL_DIMENSION_INFERRED "%s%s)\nSELECT ",
					 dimension->is_versioned ? ", " ETL_DIMENSION_FROM ", " ETL_DIMENSION_TO : "",
					 dimension->is_versioned && dimension->has_current ? ", " ETL_DIMENSION_CURRENT : "");
	append_keys(&sql, dimension, "m.");
	appendStringInfo(&sql, ", true%s%s\nFROM %s AS m%s", dimension->is_versioned ? ", '-infinity', 'infinity'" : "",
					 dimension->is_versioned && dimension->has_current ? ", true" : "",
					 etl_lookup_table(lookup, "missing", i), condition);
	return sql.data;
}

/* append_first joins the rows with the first version of their member. */
static void
append_first(StringInfo sql, const EtlLookup *lookup, int i, const char *join)
{
	appendStringInfo(sql, "\nFROM %s AS s %s %s AS l ON ", etl_lookup_table(lookup, "stage", -1), join,
					 etl_lookup_table(lookup, "lookup", i));
	append_equal(sql, &lookup->plan->dimension[i], "s", "l");
	appendStringInfoString(sql, " AND l.is_first");
}

/* etl_lookup_refused keeps the place of each row, so that it can be deleted. */
char *
etl_lookup_refused(const EtlLookup *lookup, int i, bool is_strict)
{
	char *is_null = etl_lookup_is_null(lookup, i);
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "%sSELECT pg_catalog.row_number() OVER () AS _etl_n, s.ctid AS _etl_place, %s AS _etl_null, s.*",
					 create(lookup, "refused", i), is_null);
	append_first(&sql, lookup, i, "LEFT JOIN");
	appendStringInfoString(&sql, "\nWHERE l.is_first IS NULL");
	if (!is_strict)
		appendStringInfo(&sql, " AND NOT (%s)", is_null);
	return sql.data;
}

/* etl_lookup_refuse deletes by place. */
char *
etl_lookup_refuse(const EtlLookup *lookup, int i)
{
	return psprintf("DELETE FROM %s AS s USING %s AS r WHERE s.ctid OPERATOR(pg_catalog.=) r._etl_place",
					etl_lookup_table(lookup, "stage", -1), etl_lookup_table(lookup, "refused", i));
}

/* etl_lookup_found counts the rows that have a member. */
char *
etl_lookup_found(const EtlLookup *lookup, int i)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT pg_catalog.count(*)");
	append_first(&sql, lookup, i, "JOIN");
	return sql.data;
}

/* etl_lookup_early joins only when some fact is earlier than some member. */
char *
etl_lookup_early(const EtlLookup *lookup, int i)
{
	const char *at = lookup->plan->dimension[i].at.quoted;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT pg_catalog.count(*)");
	append_first(&sql, lookup, i, "JOIN");
	appendStringInfo(&sql,
					 "\nWHERE s.%s < l.began AND (SELECT pg_catalog.min(s.%s) FROM %s AS s)"
					 " < (SELECT pg_catalog.max(l.began) FROM %s AS l WHERE l.is_first)",
					 at, at, etl_lookup_table(lookup, "stage", -1), etl_lookup_table(lookup, "lookup", i));
	return sql.data;
}

/* append_join joins the rows with the version of a member that counts for them. */
static void
append_join(StringInfo sql, const EtlLookup *lookup, int i)
{
	const EtlDimension *dimension = &lookup->plan->dimension[i];
	char *alias = psprintf("l%d", i + 1);
	char *at;

	appendStringInfo(sql, "\nLEFT JOIN %s AS %s ON ", etl_lookup_table(lookup, "lookup", i), alias);
	append_equal(sql, dimension, "s", alias);
	if (!dimension->has_at)
		return;
	at = psprintf("COALESCE(s.%s, 'infinity')", dimension->at.quoted);
	appendStringInfo(sql,
					 "\n  AND (%s.is_first OR %s.began OPERATOR(pg_catalog.<=) %s)"
					 " AND (%s.ended IS NULL OR %s OPERATOR(pg_catalog.<) %s.ended)",
					 alias, alias, at, alias, at, alias);
}

/* append_result appends the column that is looked up. */
static void
append_result(StringInfo sql, const EtlLookup *lookup, int i)
{
	const EtlDimension *dimension = &lookup->plan->dimension[i];
	bool is_null = dimension->missing == ETL_MISSING_NULL || dimension->missing == ETL_MISSING_REJECT;

	if (is_null)
		appendStringInfo(sql, ", l%d.surrogate", i + 1);
	else
		appendStringInfo(sql, ", COALESCE(l%d.surrogate, (" ETL_DIMENSION_UNKNOWN ")::%s)", i + 1,
						 etl_text_type(dimension->surrogate_type, -1));
	appendStringInfo(sql, " AS %s", quote_identifier(dimension->column));
}

/* etl_lookup_query is executed with the search_path of the author, so operators are written with their schema. */
char *
etl_lookup_query(const EtlLookup *lookup)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT %s", etl_lookup_columns(lookup, "s.", true));
	for (int i = 0; i < lookup->plan->n_dimensions; i++)
		append_result(&sql, lookup, i);
	appendStringInfo(&sql, "\nFROM %s AS s", etl_lookup_table(lookup, "stage", -1));
	for (int i = 0; i < lookup->plan->n_dimensions; i++)
		append_join(&sql, lookup, i);
	return sql.data;
}
