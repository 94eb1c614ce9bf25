/*
 * extract_define.c
 *		Checks the definition of an extract. See extract.h.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "feed/extract.h"
#include "miscadmin.h"
#include "parser/parse_oper.h"
#include "source/bounds.h"
#include "source/condition.h"
#include "source/extract.h"
#include "source/extract_options.h"
#include "source/raw_map.h"
#include "source/raw_table.h"
#include "source/relation.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* refuse_missing_source reports a source that is not there, and wrappers that could bring it but are not installed. */
static void
refuse_missing_source(const char *name)
{
	bool postgres = OidIsValid(get_extension_oid("postgres_fdw", true));
	bool mysql = OidIsValid(get_extension_oid("mysql_fdw", true));
	const char *missing = "";

	if (!postgres && !mysql)
		missing = " Run CREATE EXTENSION postgres_fdw (for PostgreSQL) or mysql_fdw (for MySQL and MariaDB) first.";
	else if (!mysql)
		missing = " For a table in MySQL or MariaDB run CREATE EXTENSION mysql_fdw first.";
	else if (!postgres)
		missing = " For a table in PostgreSQL run CREATE EXTENSION postgres_fdw first.";
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("source %s does not exist", name),
					errdetail("A source is a foreign table, a table or a view that the owner of the task can read."),
					errhint("IMPORT FOREIGN SCHEMA makes foreign tables for the tables of a server.%s", missing)));
}

/* resolve_source finds the relation and its selected columns. */
static EtlSource *
resolve_source(const EtlTask *task)
{
	Oid relid;
	char relkind;
	EtlSource *source;

	if (task->source == NULL || task->source[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("an extract needs a source"),
						errhint("Name a foreign table, a table or a view: source => 'shop.orders'.")));
	relid = etl_relation_find(task->source);
	if (!OidIsValid(relid))
		refuse_missing_source(task->source);
	relkind = get_rel_relkind(relid);
	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE && relkind != RELKIND_FOREIGN_TABLE &&
		relkind != RELKIND_VIEW && relkind != RELKIND_MATVIEW)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("source %s is not a table or view", task->source),
						errhint("Name a foreign table, a table, a view or a materialized view.")));
	source = etl_relation_describe(relid, &task->columns);
	etl_relation_check_select(source);
	return source;
}

/* check_names refuses columns that would collide with our own, and a source without columns. */
static void
check_names(const EtlSource *source)
{
	if (source->n == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION), errmsg("source %s has no columns", source->name),
						errhint("Give the foreign table the columns that the extract should take.")));
	for (int i = 0; i < source->n; i++)
		if (strncmp(source->column[i].name, "_etl_", 5) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_RESERVED_NAME),
					 errmsg("source %s has a column \"%s\"", source->name, source->column[i].name),
					 errdetail("Names that begin with _etl_ belong to etl_ext's own columns of raw tables."),
					 errhint("Read a view that gives the column another name, or leave it out with columns =>.")));
}

/* require_column finds a column that a setting names. */
static const EtlColumn *
require_column(const EtlTask *task, const EtlSource *source, const char *setting, const char *name)
{
	const EtlColumn *column = etl_relation_column(source, name);
	EtlSource *all;

	if (column)
		return column;
	all = etl_relation_describe(source->oid, NULL);
	if (etl_relation_column(all, name))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN), errmsg("%s \"%s\" is not in columns", setting, name),
						errdetail("columns => names the only columns that are read."),
						errhint("Add \"%s\" to columns.", name)));
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
					errmsg("%s \"%s\" is not a column of source %s", setting, name, source->name),
					errhint("Its columns are: %s.", etl_relation_column_list(all))));
	return NULL;
}

/* is_time says whether lag can be subtracted from a type. */
static bool
is_time(Oid type)
{
	return type == TIMESTAMPOID || type == TIMESTAMPTZOID || type == DATEOID;
}

/* check_cursor accepts the types that have an order, a text form and a literal that foreign data wrappers send. */
static void
check_cursor(const EtlTask *task, const EtlSource *source)
{
	const EtlColumn *column;

	if (task->cursor_column == NULL)
	{
		if (task->lag)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("lag needs a cursor_column"),
							errhint("Name the column that grows with every change: cursor_column => 'updated_at'.")));
		return;
	}
	column = require_column(task, source, "cursor_column", task->cursor_column);
	switch (column->type)
	{
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case DATEOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NUMERICOID:
		case TEXTOID:
		case VARCHAROID:
		case UUIDOID:
			break;
		default:
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("cursor_column \"%s\" has type %s", column->name, format_type_be(column->type)),
							errdetail("A cursor is a timestamp, date, integer, numeric, text, varchar or uuid."),
							errhint("Read a view that casts the column, or leave cursor_column out.")));
	}
	if (task->lag && !is_time(column->type))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("lag needs a cursor of type timestamp, timestamptz or date"),
						errdetail("cursor_column \"%s\" has type %s.", column->name, format_type_be(column->type)),
						errhint("Leave lag out, or use a time column as cursor_column.")));
}

/* check_key looks at primary_key. */
static void
check_key(const EtlTask *task, const EtlSource *source)
{
	for (int i = 0; i < task->primary_key.n; i++)
	{
		const EtlColumn *column = require_column(task, source, "primary_key", task->primary_key.name[i]);

		for (int j = 0; j < i; j++)
			if (strcmp(task->primary_key.name[j], column->name) == 0)
				ereport(ERROR, (errcode(ERRCODE_DUPLICATE_COLUMN),
								errmsg("primary_key names column \"%s\" twice", column->name),
								errhint("Name each column of the key once.")));
	}
}

/* check_order refuses key columns that have no order to page by. */
static void
check_order(const EtlTask *task, const EtlSource *source)
{
	for (int i = 0; i < task->primary_key.n; i++)
	{
		const EtlColumn *column = etl_relation_column(source, task->primary_key.name[i]);
		Oid operator;

		get_sort_group_operators(column->type, false, false, false, &operator, NULL, NULL, NULL);
		if (!OidIsValid(operator))
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("primary_key column \"%s\" has type %s, which has no order", column->name,
								   format_type_be(column->type)),
							errhint("Name other columns, or read a view that casts the column.")));
	}
}

/* check_filter refuses a filter that is not one condition over the source's rows. */
static void
check_filter(const EtlTask *task, const EtlSource *source)
{
	if (task->filter)
		(void) etl_condition_check("filter", task->filter, "filter => 'status <> ''draft'''", source->name, NULL);
}

/* resolve_target finds or creates the raw table and returns its qualified name. */
static char *
resolve_target(const EtlTask *task, const EtlSource *source)
{
	Oid raw;

	if (task->target == NULL || task->target[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("an extract needs a target"),
						errhint("Name the raw table, which is created when missing: target => 'raw.orders'.")));
	raw = etl_relation_find(task->target);
	if (raw == source->oid)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("source and target are the same table"),
						errdetail("Both are %s.", source->name),
						errhint("Name another table as target; it is created when missing.")));
	if (OidIsValid(raw))
		etl_raw_table_check(raw, task, source);
	else
		raw = etl_raw_table_create(task->target, source);
	return etl_relation_name(raw);
}

/* one_name makes a list of one name. */
static EtlNames
one_name(char *name)
{
	EtlNames names = {1, palloc(sizeof(char *))};

	names.name[0] = name;
	return names;
}

/* etl_extract_define checks an extract and fills in what follows from its settings. */
void
etl_extract_define(EtlTask *task)
{
	EtlSource *source = resolve_source(task);

	check_names(source);
	etl_feed_extract_define(task, source);
	check_cursor(task, source);
	check_key(task, source);
	check_order(task, source);
	check_filter(task, source);
	etl_extract_check_options(task, source);
	task->target = resolve_target(task, source);
	task->source = source->name;
	task->reads = one_name(task->source);
	task->writes = one_name(task->target);
}
