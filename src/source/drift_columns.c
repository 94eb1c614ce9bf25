/*
 * drift_columns.c
 *		Which columns a source has now. See drift.h.
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "foreign/foreign.h"
#include "lib/stringinfo.h"
#include "source/drift.h"
#include "source/drift_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/* What the answer of a server goes into. */
typedef struct Answer
{
	EtlDriftColumns *columns;
	int size;
	MemoryContext context;
} Answer;

/* same_letters compares names of PostgreSQL. */
static bool
same_letters(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* same_ignoring_case compares names of columns of MySQL. */
static bool
same_ignoring_case(const char *a, const char *b)
{
	return pg_strcasecmp(a, b) == 0;
}

/* option_of returns the value of an option, or a default. */
static const char *
option_of(List *options, const char *name, const char *otherwise)
{
	ListCell *cell;

	foreach (cell, options)
	{
		DefElem *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, name) == 0)
			return strVal(option->arg);
	}
	return otherwise;
}

/* postgres_query asks for the columns of a relation: name, type (of a domain its base), whether we may read it. */
static char *
postgres_query(const EtlRemote *remote, const EtlSource *source)
{
	List *options = GetForeignTable(source->oid)->options;
	const char *schema = option_of(options, "schema_name", get_namespace_name(get_rel_namespace(source->oid)));
	const char *table = option_of(options, "table_name", get_rel_name(source->oid));

	return psprintf("SELECT a.attname, CASE t.typtype WHEN 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod) "
					"ELSE pg_catalog.format_type(a.atttypid, a.atttypmod) END, "
					"pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT') "
					"FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid "
					"JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid "
					"JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace "
					"WHERE n.nspname = %s AND c.relname = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
					etl_remote_literal(remote, schema), etl_remote_literal(remote, table));
}

/* mysql_query asks for the same; MySQL shows only columns that we may read. */
static char *
mysql_query(const EtlRemote *remote, const EtlSource *source)
{
	List *options = GetForeignTable(source->oid)->options;
	const char *schema = option_of(options, "dbname", get_namespace_name(get_rel_namespace(source->oid)));
	const char *table = option_of(options, "table_name", get_rel_name(source->oid));

	return psprintf("SELECT column_name, column_type, 't' FROM information_schema.columns "
					"WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
					etl_remote_literal(remote, schema), etl_remote_literal(remote, table));
}

/* take_column adds a column of the answer; no transaction may be open. */
static void
take_column(char *const *value, void *arg)
{
	Answer *answer = arg;
	EtlDriftColumns *columns = answer->columns;
	MemoryContext old = MemoryContextSwitchTo(answer->context);

	if (columns->n == answer->size)
	{
		answer->size *= 2;
		columns->column = repalloc(columns->column, sizeof(EtlDriftColumn) * answer->size);
	}
	memset(&columns->column[columns->n], 0, sizeof(EtlDriftColumn));
	columns->column[columns->n].name = pstrdup(value[0]);
	columns->column[columns->n].type = pstrdup(value[1]);
	columns->column[columns->n++].readable = value[2][0] == 't';
	MemoryContextSwitchTo(old);
}

/* ask_server fills in what the server says; no step is open while it waits. */
static void
ask_server(EtlExtract *extract, EtlDriftColumns *columns)
{
	Answer answer = {columns, 64, extract->context};
	char *sql = extract->remote->routine->kind == ETL_REMOTE_POSTGRES ? postgres_query(extract->remote, columns->all)
																	  : mysql_query(extract->remote, columns->all);

	columns->column = palloc(sizeof(EtlDriftColumn) * answer.size);
	etl_attempt_pause(extract->attempt);
	(void) etl_remote_query(extract->remote, sql, 3, take_column, &answer);
	etl_attempt_resume(extract->attempt);
}

/* type_name writes a type; of a domain its base. */
static char *
type_name(Oid type, int32 typmod)
{
	type = getBaseTypeAndTypmod(type, &typmod);
	return format_type_with_typemod(type, typmod);
}

/* local_type returns the type that takes the values of a column of a server: its own if every server has it, or text. */
static char *
local_type(const EtlDriftColumns *columns, const char *type, EtlRemoteKind kind)
{
	Oid oid;
	int32 typmod;

	if (kind == ETL_REMOTE_MYSQL)
		type = etl_drift_type_from_mysql(type);
	if (!etl_compat_parse_type(type, &oid, &typmod) || oid >= FirstGenbkiObjectId || get_typtype(oid) == TYPTYPE_PSEUDO)
		return pstrdup("text");
	return type_name(oid, typmod);
}

/* use_relation takes the columns of the source itself. */
static void
use_relation(EtlDriftColumns *columns)
{
	const EtlSource *all = columns->all;

	columns->n = all->n;
	columns->column = palloc0(sizeof(EtlDriftColumn) * Max(all->n, 1));
	for (int i = 0; i < all->n; i++)
	{
		EtlDriftColumn *column = &columns->column[i];

		column->name = all->column[i].name;
		column->type = type_name(all->column[i].type, all->column[i].typmod);
		column->local_type = column->type;
		column->readable = true;
	}
}

/* join_columns finds the column of the foreign table for each one of the source. */
static void
join_columns(EtlDriftColumns *columns, const EtlExtract *extract)
{
	for (int i = 0; i < columns->n; i++)
	{
		EtlDriftColumn *column = &columns->column[i];

		for (int j = 0; j < columns->all->n; j++)
			if (columns->same_name(columns->remote_name[j], column->name))
				column->local = &columns->all->column[j];
		if (columns->is_remote)
			column->local_type = local_type(columns, column->type, extract->remote->routine->kind);
	}
}

/* etl_drift_columns_get asks the server, or looks at the relation. */
EtlDriftColumns *
etl_drift_columns_get(EtlExtract *extract)
{
	MemoryContext old = MemoryContextSwitchTo(extract->context);
	EtlDriftColumns *columns = palloc0(sizeof(EtlDriftColumns));

	columns->all = etl_relation_describe(extract->source->oid, NULL);
	columns->is_remote = extract->remote != NULL;
	columns->origin = columns->is_remote ? extract->source->fdw : "relation";
	columns->same_name = columns->is_remote && extract->remote->routine->kind == ETL_REMOTE_MYSQL ? same_ignoring_case
																								  : same_letters;
	columns->remote_name = palloc0(sizeof(char *) * Max(columns->all->n, 1));
	for (int i = 0; i < columns->all->n; i++)
	{
		const EtlColumn *column = &columns->all->column[i];

		columns->remote_name[i] = column->name;
		if (columns->is_remote)
			columns->remote_name[i] = pstrdup(
				option_of(GetForeignColumnOptions(columns->all->oid, column->attnum), "column_name", column->name));
	}
	if (columns->is_remote)
		ask_server(extract, columns);
	else
		use_relation(columns);
	MemoryContextSwitchTo(extract->context);
	join_columns(columns, extract);
	MemoryContextSwitchTo(old);
	return columns;
}

/* etl_drift_columns_find compares names as the source does. */
EtlDriftColumn *
etl_drift_columns_find(const EtlDriftColumns *columns, const char *name)
{
	for (int i = 0; i < columns->n; i++)
		if (columns->same_name(columns->column[i].name, name))
			return &columns->column[i];
	return NULL;
}
