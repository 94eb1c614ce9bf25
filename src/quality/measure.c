/*
 * measure.c
 *		What checks look at, as SQL. See measure.h.
 *
 * The checks of a table become the columns of one query over it. Conditions that all of them have are its WHERE, others
 * the FILTER of their aggregates. A check of type relationship joins what it looks up, which adds no rows.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/batch.h"
#include "catalog/check_result.h"
#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "compat.h"
#include "lib/stringinfo.h"
#include "load/load.h"
#include "load/text_type.h"
#include "miscadmin.h"
#include "quality/condition.h"
#include "quality/measure.h"
#include "source/raw_map.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#define COUNT "pg_catalog.count(*)"

/* is_not_null says whether a column cannot be NULL: NULLs are distinct to an index, but not to a check. */
static bool
is_not_null(Oid relation, const char *column)
{
	HeapTuple tuple = SearchSysCacheAttName(relation, column);
	bool result = HeapTupleIsValid(tuple) && ((Form_pg_attribute) GETSTRUCT(tuple))->attnotnull;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return result;
}

/* is_guarded says whether a unique index makes duplicates impossible: then counting the rows is enough. */
static bool
is_guarded(const EtlProbe *probe)
{
	const EtlNames *columns = &probe->task->columns;

	if (!etl_target_has_unique_key(probe->target->oid, columns))
		return false;
	for (int i = 0; i < columns->n && probe->type->kind == ETL_CHECK_DUPLICATES; i++)
		if (!is_not_null(probe->target->oid, columns->name[i]))
			return false;
	return true;
}

/* is_of_run says whether a check looks at the rows of its run only. */
static bool
is_of_run(const EtlTask *task)
{
	if (task->scope != NULL)
		return strcmp(task->scope, "run") == 0;
	return task->stage != NULL && strcmp(task->stage, "raw") == 0;
}

/* where_of returns the condition on the rows of a check, or NULL. */
static char *
where_of(const EtlTask *task, int64 run_id)
{
	char *batches = is_of_run(task) ? etl_batch_of_run(task->target, run_id) : NULL;
	char *filter = task->filter ? psprintf("(\n%s\n)", task->filter) : NULL;

	if (batches == NULL)
		return filter;
	batches = psprintf(ETL_RAW_BATCH " OPERATOR(pg_catalog.=) ANY (%s::pg_catalog.int8[])",
					   quote_literal_cstr(batches));
	return filter ? psprintf("%s AND %s", batches, filter) : batches;
}

/* etl_measure_describe finds the target. Errors: 42P01. */
void
etl_measure_describe(EtlProbe *probe, const EtlTask *task, int64 run_id)
{
	Oid relation = etl_relation_find(task->target);

	if (!OidIsValid(relation))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("%s does not exist", task->target),
						errdetail("Check \"%s\" looks at it.", task->name),
						errhint("Create it again, or drop the check with etl.drop_task.")));
	memset(probe, 0, sizeof(EtlProbe));
	probe->task = task;
	probe->type = etl_check_type_get(task->check_type);
	probe->target = etl_relation_describe(relation, NULL);
	probe->where = where_of(task, run_id);
}

/* etl_measure_prepare reads what earlier runs measured. */
void
etl_measure_prepare(EtlProbe *probe, const EtlTask *task, int64 run_id, bool rolls_back)
{
	etl_measure_describe(probe, task, run_id);
	if (probe->type->history == 0)
		return;
	etl_check_result_history(task, run_id, rolls_back, task->history > 0 ? task->history : probe->type->history,
							 &probe->history);
	if (probe->type->kind != ETL_CHECK_DISTRIBUTION)
		return;
	probe->buckets = etl_buckets_of_history(&probe->history);
	if (probe->buckets == NULL)
		probe->buckets = etl_buckets_choose(probe->target, etl_relation_column(probe->target, task->columns.name[0]),
											probe->where);
}

/* A query that is being built. */
typedef struct CheckScan
{
	StringInfoData items;
	StringInfoData joins;
	const char *common; /* condition that all checks have, or NULL */
	int n;				/* columns so far */
	bool has_tally;		/* counts may go into etl.tally */
	StringInfoData program;
	List *arguments; /* char * */
	int n_tally;
} CheckScan;

/* may_tally says whether the current user may call etl.tally. */
static bool
may_tally(void)
{
	Oid schema = get_namespace_oid("etl", true);

	return OidIsValid(schema) && etl_compat_namespace_aclcheck(schema, GetUserId(), ACL_USAGE) == ACLCHECK_OK;
}

/* add_column adds a column. */
static void pg_attribute_printf(2, 3) add_column(CheckScan *scan, const char *format, ...)
{
	appendStringInfoString(&scan->items, scan->n++ > 0 ? ",\n  " : "");
	for (;;)
	{
		va_list args;
		int needed;

		va_start(args, format);
		needed = appendStringInfoVA(&scan->items, format, args);
		va_end(args);
		if (needed == 0)
			return;
		enlargeStringInfo(&scan->items, needed);
	}
}

/* filter returns the FILTER clause of an aggregate over the rows of a check that meet a condition (NULL: all). */
static const char *
filter(const CheckScan *scan, const EtlProbe *probe, const char *condition)
{
	const char *where = scan->common ? NULL : probe->where;

	if (where && condition)
		return psprintf(" FILTER (WHERE %s AND (%s))", where, condition);
	if (where || condition)
		return psprintf(" FILTER (WHERE %s)", where ? where : condition);
	return "";
}

/* add_count adds the number of rows that meet a condition (NULL: all). */
static void
add_count(CheckScan *scan, const EtlProbe *probe, const char *condition)
{
	add_column(scan, COUNT "%s", filter(scan, probe, condition));
}

/* tallies says whether the counts of a check go into etl.tally: where FILTER is not needed. */
static bool
tallies(const CheckScan *scan, const EtlProbe *probe)
{
	return scan->has_tally && (scan->common != NULL || probe->where == NULL);
}

/* argument returns the number of an argument of etl.tally, which is added when it is new. */
static int
argument(CheckScan *scan, const char *text)
{
	ListCell *cell;

	foreach (cell, scan->arguments)
		if (strcmp(lfirst(cell), text) == 0)
			return foreach_current_index(cell);
	scan->arguments = lappend(scan->arguments, pstrdup(text));
	return list_length(scan->arguments) - 1;
}

/* add_tally adds a count of an argument to the program of etl.tally; rest: what stands behind it. */
static void
add_tally(CheckScan *scan, char letter, const char *text, const char *rest)
{
	appendStringInfo(&scan->program, "%s[\"%c\", %d%s]", scan->n_tally++ > 0 ? ", " : "[", letter, argument(scan, text),
					 rest);
}

/* has_tally_range says whether etl.tally can compare values of a type. */
static bool
has_tally_range(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID || type == DATEOID || type == TIMESTAMPOID ||
		   type == TIMESTAMPTZOID || type == NUMERICOID;
}

/* append_limit appends a limit as JSON. */
static void
append_limit(StringInfo rest, const char *value)
{
	appendStringInfoString(rest, ", ");
	if (value)
		escape_json(rest, value);
	else
		appendStringInfoString(rest, "null");
}

/* append_values appends the accepted values as JSON. */
static void
append_values(StringInfo rest, const EtlNames *values)
{
	for (int i = 0; i < values->n; i++)
	{
		appendStringInfoString(rest, i > 0 ? ", " : ", [");
		escape_json(rest, values->name[i]);
	}
	appendStringInfoChar(rest, ']');
}

/* add_fault_tally adds the rows at fault to etl.tally, by the column itself where it knows how. */
static void
add_fault_tally(CheckScan *scan, const EtlProbe *probe)
{
	const EtlTask *task = probe->task;
	const EtlColumn *column = task->columns.n == 1 ? etl_relation_column(probe->target, task->columns.name[0]) : NULL;
	StringInfoData rest;

	initStringInfo(&rest);
	if (column && probe->type->kind == ETL_CHECK_RANGE && has_tally_range(column->type))
	{
		append_limit(&rest, task->min_value);
		append_limit(&rest, task->max_value);
		add_tally(scan, 'r', quote_identifier(column->name), rest.data);
	}
	else if (column && probe->type->kind == ETL_CHECK_ACCEPTED_VALUES && column->type == TEXTOID &&
			 get_collation_isdeterministic(column->collation))
	{
		append_values(&rest, &task->accepted_values);
		add_tally(scan, 's', quote_identifier(column->name), rest.data);
	}
	else
		add_tally(scan, 'b', psprintf("(%s)", etl_condition_fault(task, probe->target, "")), "");
}

/* add_faults adds the rows and those at fault. */
static void
add_faults(CheckScan *scan, const EtlProbe *probe)
{
	add_count(scan, probe, NULL);
	if (tallies(scan, probe))
		add_fault_tally(scan, probe);
	else
		add_count(scan, probe, etl_condition_fault(probe->task, probe->target, ""));
}

/* add_freshness adds the newest value as text, whether it is finite, and its age. */
static void
add_freshness(CheckScan *scan, const EtlProbe *probe)
{
	char *newest = psprintf("pg_catalog.max(%s)%s::pg_catalog.timestamptz",
							quote_identifier(probe->task->columns.name[0]), filter(scan, probe, NULL));

	add_column(scan, "(%s)::pg_catalog.text", newest);
	add_column(scan, "pg_catalog.isfinite(%s)", newest);
	add_column(scan,
			   "CASE WHEN pg_catalog.isfinite(%s) THEN pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()"
			   " OPERATOR(pg_catalog.-) %s) END",
			   newest, newest);
}

/* add_value adds the aggregate that the author wrote, which FILTER cannot be put into. */
static void
add_value(CheckScan *scan, const EtlProbe *probe)
{
	const char *expression = probe->task->expression ? probe->task->expression : COUNT;

	if (scan->common || probe->where == NULL)
		add_column(scan, "(\n%s\n)::pg_catalog.float8", expression);
	else
		add_column(scan, "(SELECT (\n%s\n)::pg_catalog.float8 FROM %s WHERE %s)", expression, probe->target->name,
				   probe->where);
}

/* add_relationship adds the rows and those that have no partner. */
static void
add_relationship(CheckScan *scan, const EtlProbe *probe, int number)
{
	char *alias = psprintf("_etl_r%d", number);

	add_count(scan, probe, NULL);
	add_count(scan, probe, etl_condition_unjoined(probe->task, probe->target, alias));
	appendStringInfo(&scan->joins, "\n%s", etl_condition_join(probe->task, probe->target, alias));
}

/* add_nulls adds the rows and the values of each column. */
static void
add_nulls(CheckScan *scan, const EtlProbe *probe)
{
	add_count(scan, probe, NULL);
	for (int i = 0; i < probe->task->columns.n && tallies(scan, probe); i++)
		add_tally(scan, 'n', quote_identifier(probe->task->columns.name[i]), "");
	for (int i = 0; i < probe->task->columns.n && !tallies(scan, probe); i++)
		add_column(scan, "pg_catalog.count(%s)%s", quote_identifier(probe->task->columns.name[i]),
				   filter(scan, probe, NULL));
}

/* add_parts adds the rows and those of each part of a distribution. */
static void
add_parts(CheckScan *scan, const EtlProbe *probe)
{
	const EtlColumn *column = etl_relation_column(probe->target, probe->task->columns.name[0]);

	add_count(scan, probe, NULL);
	for (int i = 0; probe->buckets != NULL && i < probe->buckets->n_counted; i++)
		add_count(scan, probe, etl_buckets_condition(probe->buckets, column, i));
}

/* add_probe adds the columns of a check. */
static void
add_probe(CheckScan *scan, EtlProbe *probe, int number)
{
	int first = scan->n + 1;
	int tally = scan->n_tally;

	switch (probe->type->kind)
	{
		case ETL_CHECK_SCHEMA:
		case ETL_CHECK_QUERY:
			return;
		case ETL_CHECK_DUPLICATES:
		case ETL_CHECK_UNIQUE:
			if (!is_guarded(probe))
				return;
			add_count(scan, probe, NULL);
			break;
		case ETL_CHECK_ROW_COUNT:
		case ETL_CHECK_VARIANCE:
			add_count(scan, probe, NULL);
			break;
		case ETL_CHECK_NULL_PCT:
			add_nulls(scan, probe);
			break;
		case ETL_CHECK_FRESHNESS:
			add_freshness(scan, probe);
			break;
		case ETL_CHECK_RELATIONSHIP:
			add_relationship(scan, probe, number);
			break;
		case ETL_CHECK_RECONCILIATION:
		case ETL_CHECK_ANOMALY:
			add_value(scan, probe);
			break;
		case ETL_CHECK_DISTRIBUTION:
			add_parts(scan, probe);
			break;
		case ETL_CHECK_ACCEPTED_VALUES:
		case ETL_CHECK_RANGE:
		case ETL_CHECK_REGEX:
		case ETL_CHECK_EXPRESSION:
			add_faults(scan, probe);
			break;
	}
	probe->first = first;
	probe->tally = tally;
	/* Until the column is known: whether there is one. */
	probe->tally_column = scan->n_tally > tally ? 1 : 0;
}

/* add_tally_column adds what etl.tally counts. */
static void
add_tally_column(CheckScan *scan)
{
	StringInfoData arguments;
	ListCell *cell;

	initStringInfo(&arguments);
	foreach (cell, scan->arguments)
		appendStringInfo(&arguments, ", %s", (char *) lfirst(cell));
	add_column(scan, "etl.tally(%s::pg_catalog.jsonb%s)", quote_literal_cstr(psprintf("%s]", scan->program.data)),
			   arguments.data);
}

/* common_where returns the condition that all checks have, or NULL. */
static const char *
common_where(const EtlProbe *probe, int n)
{
	for (int i = 0; i < n; i++)
		if (probe[i].where == NULL || strcmp(probe[i].where, probe[0].where) != 0)
			return NULL;
	return probe[0].where;
}

/* etl_measure_sql builds the query. */
char *
etl_measure_sql(EtlProbe *probe, int n)
{
	CheckScan scan = {.common = common_where(probe, n), .has_tally = may_tally()};
	StringInfoData sql;

	initStringInfo(&scan.items);
	initStringInfo(&scan.joins);
	initStringInfo(&scan.program);
	for (int i = 0; i < n; i++)
		add_probe(&scan, &probe[i], i);
	if (scan.n == 0)
		return NULL;
	if (scan.n_tally > 0)
		add_tally_column(&scan);
	for (int i = 0; i < n; i++)
		probe[i].tally_column = probe[i].tally_column > 0 ? scan.n : 0;
	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT %s\nFROM %s%s", scan.items.data, probe[0].target->name, scan.joins.data);
	if (scan.common)
		appendStringInfo(&sql, "\nWHERE %s", scan.common);
	return sql.data;
}

/* groups_sql counts rows, and those whose key others have too; of duplicates, the keys. */
static char *
groups_sql(const EtlProbe *probe)
{
	StringInfoData keys;
	const char *where = probe->where ? psprintf("\nWHERE %s", probe->where) : "";

	initStringInfo(&keys);
	for (int i = 0; i < probe->task->columns.n; i++)
		appendStringInfo(&keys, "%s%s", i > 0 ? ", " : "", quote_identifier(probe->task->columns.name[i]));
	if (probe->type->kind == ETL_CHECK_DUPLICATES)
		return psprintf("SELECT coalesce(pg_catalog.sum(k.n), 0)::pg_catalog.int8, pg_catalog.count(*)\n"
						"FROM (SELECT pg_catalog.count(*) AS n\nFROM %s%s\nGROUP BY %s) AS k",
						probe->target->name, where, keys.data);
	return psprintf("SELECT coalesce(pg_catalog.sum(k.n), 0)::pg_catalog.int8, coalesce(pg_catalog.sum(k.n) FILTER"
					" (WHERE k.n > 1 AND k.has_values), 0)::pg_catalog.int8\n"
					"FROM (SELECT pg_catalog.count(*) AS n, %s AS has_values\nFROM %s%s\nGROUP BY %s) AS k",
					etl_condition_has_values(probe->task, ""), probe->target->name, where, keys.data);
}

/* etl_measure_own_sql builds the query of those that cannot be columns of the scan. */
char *
etl_measure_own_sql(const EtlProbe *probe)
{
	const EtlTask *task = probe->task;

	switch (probe->type->kind)
	{
		case ETL_CHECK_DUPLICATES:
		case ETL_CHECK_UNIQUE:
			return is_guarded(probe) ? NULL : groups_sql(probe);
		case ETL_CHECK_QUERY:
			return psprintf("SELECT " COUNT " FROM (\n%s\n) AS q", task->query);
		case ETL_CHECK_RECONCILIATION:
			return psprintf("SELECT (\n%s\n)::pg_catalog.float8\nFROM %s%s",
							task->expression ? task->expression : COUNT, task->source,
							task->source_filter ? psprintf("\nWHERE (\n%s\n)", task->source_filter) : "");
		default:
			return NULL;
	}
}
