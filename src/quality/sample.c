/*
 * sample.c
 *		Some of the rows that a check found at fault. See sample.h.
 */
#include "postgres.h"

#include "catalog/batch.h"
#include "catalog/spi.h"
#include "catalog/task.h"
#include "dag/statement.h"
#include "lib/stringinfo.h"
#include "load/compile.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "optimizer/optimizer.h"
#include "quality/condition.h"
#include "quality/sample.h"
#include "source/raw_map.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "access/relation.h"

#define DEFAULT_SAMPLES 5

/* Columns that say where a row of a raw table came from. */
static const char *const origin[] = {ETL_RAW_BATCH, "_file", "_line", "_partition", "_offset"};

/* append_object appends a JSON object of columns; prefix stands before each of them. */
static void
append_object(StringInfo sql, const EtlNames *columns, const char *prefix)
{
	appendStringInfoString(sql, "pg_catalog.jsonb_build_object(");
	for (int i = 0; i < columns->n; i++)
		appendStringInfo(sql, "%s%s, %s%s", i > 0 ? ", " : "", quote_literal_cstr(columns->name[i]), prefix,
						 quote_identifier(columns->name[i]));
	appendStringInfoChar(sql, ')');
}

/* primary_key returns the columns of the primary key of a table, or none. */
static EtlNames
primary_key(const EtlSource *target)
{
	Relation relation = relation_open(target->oid, AccessShareLock);
	Bitmapset *columns = relation->rd_rel->relkind == RELKIND_RELATION ||
								 relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE
							 ? RelationGetIndexAttrBitmap(relation, INDEX_ATTR_BITMAP_PRIMARY_KEY)
							 : NULL;
	EtlNames key = {0, palloc(sizeof(char *) * (target->n + 1))};

	for (int i = 0; i < target->n; i++)
		if (bms_is_member(target->column[i].attnum - FirstLowInvalidHeapAttributeNumber, columns))
			key.name[key.n++] = target->column[i].name;
	relation_close(relation, NoLock);
	return key;
}

/* has_all says whether a relation has all columns of a list. */
static bool
has_all(const EtlSource *relation, const EtlNames *columns)
{
	for (int i = 0; i < columns->n; i++)
		if (etl_relation_column(relation, columns->name[i]) == NULL)
			return false;
	return columns->n > 0;
}

/* key_of returns the key by which somebody can find a row of the target. */
static EtlNames
key_of(const EtlSource *target, const EtlTask *writer)
{
	EtlNames none = {0, NULL};

	if (writer != NULL && has_all(target, &writer->key))
		return writer->key;
	if (writer != NULL && has_all(target, &writer->primary_key))
		return writer->primary_key;
	return target->relkind == RELKIND_VIEW ? none : primary_key(target);
}

/* collect_columns notes the columns of the first relation of a query that are used in it. */
static EtlNames
collect_columns(Query *query, const EtlSource *target)
{
	EtlNames names = {0, palloc(sizeof(char *) * (target->n + 1))};
	List *vars = pull_var_clause(query->jointree->quals,
								 PVC_RECURSE_AGGREGATES | PVC_RECURSE_WINDOWFUNCS | PVC_RECURSE_PLACEHOLDERS);

	for (int i = 0; i < target->n; i++)
	{
		ListCell *cell;

		foreach (cell, vars)
		{
			const Var *var = lfirst(cell);

			if (var->varlevelsup == 0 && var->varno == 1 && var->varattno == target->column[i].attnum)
			{
				names.name[names.n++] = target->column[i].name;
				break;
			}
		}
	}
	return names;
}

/* values_of returns the columns that a check looks at: those that it names, or that its expression uses. */
static EtlNames
values_of(const EtlProbe *probe)
{
	char *sql;

	if (probe->type->kind != ETL_CHECK_EXPRESSION)
		return probe->task->columns;
	sql = psprintf("SELECT FROM %s WHERE (\n%s\n)", probe->target->name, probe->task->expression);
	return collect_columns(etl_statement_analyze(linitial_node(RawStmt, etl_statement_parse(sql)), sql), probe->target);
}

/* raw_input returns a raw table that the writer of the target reads and that has its key, with what it brought; or NULL. */
static char *
raw_input(const EtlTask *writer, const EtlNames *key, int64 run_id, char **batches)
{
	for (int i = 0; writer != NULL && i < writer->reads.n; i++)
	{
		Oid relation = etl_relation_find(writer->reads.name[i]);

		if (!OidIsValid(relation) || !etl_compile_is_raw(relation) ||
			!has_all(etl_relation_describe(relation, NULL), key) ||
			pg_class_aclcheck(relation, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
			continue;
		*batches = etl_batch_of_run(writer->reads.name[i], run_id);
		return writer->reads.name[i];
	}
	return NULL;
}

/* append_raw appends where a row came from, as far as that is known. */
static void
append_raw(StringInfo sql, const EtlProbe *probe, const EtlTask *writer, const EtlNames *key, const char *prefix,
		   int64 run_id)
{
	EtlNames columns = {0, palloc(sizeof(char *) * lengthof(origin))};
	char *batches;
	char *raw;

	for (int i = 0; i < lengthof(origin); i++)
		if (etl_relation_column(probe->target, origin[i]) != NULL)
			columns.name[columns.n++] = unconstify(char *, origin[i]);
	if (columns.n > 0)
	{
		appendStringInfoString(sql, ", 'raw', ");
		append_object(sql, &columns, prefix);
		return;
	}
	raw = key->n > 0 ? raw_input(writer, key, run_id, &batches) : NULL;
	if (raw == NULL)
		return;
	appendStringInfo(sql,
					 ", 'raw', (SELECT pg_catalog.jsonb_build_object('table', %s, '" ETL_RAW_BATCH
					 "', pg_catalog.max(_etl_w." ETL_RAW_BATCH ")) FROM %s AS _etl_w WHERE _etl_w." ETL_RAW_BATCH
					 " OPERATOR(pg_catalog.=) ANY (%s::pg_catalog.int8[])",
					 quote_literal_cstr(raw), raw, quote_literal_cstr(batches));
	for (int i = 0; i < key->n; i++)
		appendStringInfo(sql, " AND _etl_w.%s::pg_catalog.text OPERATOR(pg_catalog.=) %s%s::pg_catalog.text",
						 quote_identifier(key->name[i]), prefix, quote_identifier(key->name[i]));
	appendStringInfoChar(sql, ')');
}

/* array_of returns an array of the rows of a query with one column, an object. */
static Jsonb *
array_of(const char *sql)
{
	char *rows = etl_sql_text(psprintf("SELECT pg_catalog.jsonb_agg(r.o) FROM (\n%s\n) AS r (o)", sql));

	return rows ? DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(rows))) : NULL;
}

/* limit_of returns how many rows a check keeps. */
static int
limit_of(const EtlProbe *probe)
{
	return probe->task->samples < 0 ? DEFAULT_SAMPLES : probe->task->samples;
}

/* rows_query returns the query for rows at fault that are seen by themselves. */
static char *
rows_query(const EtlProbe *probe, const char *relation, const char *prefix, const char *condition, int64 run_id)
{
	EtlTask *writer = etl_task_writer(probe->target->name);
	EtlNames key = key_of(probe->target, writer);
	EtlNames values = values_of(probe);
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT pg_catalog.jsonb_build_object(");
	if (key.n > 0)
	{
		appendStringInfoString(&sql, "'key', ");
		append_object(&sql, &key, prefix);
		appendStringInfoString(&sql, ", ");
	}
	appendStringInfoString(&sql, "'values', ");
	append_object(&sql, &values, prefix);
	append_raw(&sql, probe, writer, &key, prefix, run_id);
	appendStringInfo(&sql, ")\nFROM %s\nWHERE (%s)%s%s\nLIMIT %d", relation, condition, probe->where ? " AND " : "",
					 probe->where ? probe->where : "", limit_of(probe));
	return sql.data;
}

/* groups_query returns the query for keys that several rows have. */
static char *
groups_query(const EtlProbe *probe)
{
	bool is_unique = probe->type->kind == ETL_CHECK_UNIQUE;
	const EtlNames *columns = &probe->task->columns;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT pg_catalog.jsonb_build_object('values', ");
	append_object(&sql, columns, "");
	appendStringInfo(&sql, ", 'rows', pg_catalog.count(*))\nFROM %s%s%s", probe->target->name,
					 probe->where || is_unique ? "\nWHERE " : "", probe->where ? probe->where : "");
	if (is_unique)
		appendStringInfo(&sql, "%s%s", probe->where ? " AND " : "", etl_condition_has_values(probe->task, ""));
	for (int i = 0; i < columns->n; i++)
		appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "\nGROUP BY ", quote_identifier(columns->name[i]));
	appendStringInfo(&sql, "\nHAVING pg_catalog.count(*) > 1\nLIMIT %d", limit_of(probe));
	return sql.data;
}

/* etl_sample_rows asks for them. */
Jsonb *
etl_sample_rows(const EtlProbe *probe, int64 run_id)
{
	char *prefix;

	if (limit_of(probe) == 0)
		return NULL;
	if (probe->type->kind == ETL_CHECK_QUERY)
		return array_of(psprintf("SELECT pg_catalog.jsonb_build_object('values', pg_catalog.to_jsonb(q)) FROM (\n%s\n)"
								 " AS q LIMIT %d",
								 probe->task->query, limit_of(probe)));
	if (probe->type->kind == ETL_CHECK_DUPLICATES || probe->type->kind == ETL_CHECK_UNIQUE)
		return array_of(groups_query(probe));
	if (!probe->type->is_by_row)
		return NULL;
	prefix = psprintf("%s.", probe->target->name);
	return array_of(rows_query(probe, probe->target->name, prefix,
							   etl_condition_fault(probe->task, probe->target, prefix), run_id));
}

/* etl_sample_rows_of reads from a relation under the alias of the target. */
Jsonb *
etl_sample_rows_of(const EtlProbe *probe, const char *relation, const char *condition, int64 run_id)
{
	if (limit_of(probe) == 0)
		return NULL;
	return array_of(rows_query(probe, psprintf("%s AS %s", relation, probe->target->alias),
							   psprintf("%s.", probe->target->alias), condition, run_id));
}
