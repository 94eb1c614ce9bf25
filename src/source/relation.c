/*
 * relation.c
 *		What an extract knows about the relation that it reads. See relation.h.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "compat.h"
#include "foreign/fdwapi.h"
#include "foreign/foreign.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "source/relation.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/varlena.h"

/* check_schema refuses a schema that exists but that the current user may not use, with the GRANT that is missing. */
static void
check_schema(const char *schema)
{
	Oid oid = get_namespace_oid(schema, true);

	if (OidIsValid(oid) && etl_compat_namespace_aclcheck(oid, GetUserId(), ACL_USAGE) != ACLCHECK_OK)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied for schema %s", schema),
						errdetail("Role \"%s\" owns the task and has no USAGE on the schema.",
								  GetUserNameFromId(GetUserId(), false)),
						errhint("GRANT USAGE ON SCHEMA %s TO %s;", quote_identifier(schema),
								quote_identifier(GetUserNameFromId(GetUserId(), false)))));
}

/* etl_relation_find resolves a name as SQL would; a name that is not one (42602) is refused. */
Oid
etl_relation_find(const char *name)
{
	RangeVar *var = makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(name)));

	if (var->schemaname)
		check_schema(var->schemaname);
	return RangeVarGetRelid(var, NoLock, true);
}

/* etl_relation_name returns schema.relation, each part quoted where needed. */
char *
etl_relation_name(Oid relid)
{
	char *name = get_rel_name(relid);

	if (name == NULL)
		elog(ERROR, "cache lookup failed for relation %u", relid);
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), name);
}

/* describe_server fills in what a foreign table adds. */
static void
describe_server(EtlSource *source)
{
	ForeignServer *server = GetForeignServer(GetForeignServerIdByRelId(source->oid));

	source->server = server->serverid;
	source->server_name = pstrdup(server->servername);
	source->fdw = pstrdup(GetForeignDataWrapper(server->fdwid)->fdwname);
}

/* is_wanted says whether a column is in the list, or the list is empty. */
static bool
is_wanted(const EtlNames *columns, const char *name)
{
	if (columns == NULL || columns->n == 0)
		return true;
	for (int i = 0; i < columns->n; i++)
		if (strcmp(columns->name[i], name) == 0)
			return true;
	return false;
}

/* fill_columns takes the columns that are there and wanted, in the order of the relation. */
static void
fill_columns(EtlSource *source, TupleDesc desc, const EtlNames *columns)
{
	source->column = palloc0(sizeof(EtlColumn) * Max(desc->natts, 1));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		EtlColumn *column = &source->column[source->n];

		if (att->attisdropped || !is_wanted(columns, NameStr(att->attname)))
			continue;
		column->name = pstrdup(NameStr(att->attname));
		column->attnum = att->attnum;
		column->type = att->atttypid;
		column->typmod = att->atttypmod;
		column->collation = att->attcollation;
		column->not_null = att->attnotnull;
		source->n++;
	}
}

/* etl_relation_describe looks at a relation as it is now. */
EtlSource *
etl_relation_describe(Oid relid, const EtlNames *columns)
{
	EtlSource *source = palloc0(sizeof(EtlSource));
	Relation rel = relation_open(relid, AccessShareLock);

	source->oid = relid;
	source->relkind = rel->rd_rel->relkind;
	source->name = etl_relation_name(relid);
	source->alias = pstrdup(quote_identifier(RelationGetRelationName(rel)));
	fill_columns(source, RelationGetDescr(rel), columns);
	relation_close(rel, NoLock);
	if (source->relkind == RELKIND_FOREIGN_TABLE)
		describe_server(source);
	for (int i = 0; columns && i < columns->n; i++)
		if (etl_relation_column(source, columns->name[i]) == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("source %s has no column \"%s\"", source->name, columns->name[i]),
					 errhint("Its columns are: %s.", etl_relation_column_list(etl_relation_describe(relid, NULL)))));
	return source;
}

/* etl_relation_column finds a column by its exact name. */
const EtlColumn *
etl_relation_column(const EtlSource *source, const char *name)
{
	for (int i = 0; i < source->n; i++)
		if (strcmp(source->column[i].name, name) == 0)
			return &source->column[i];
	return NULL;
}

/* etl_relation_column_list returns the names, separated by commas. */
char *
etl_relation_column_list(const EtlSource *source)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < source->n; i++)
		appendStringInfo(&list, "%s%s", i ? ", " : "", quote_identifier(source->column[i].name));
	return list.data;
}

/* etl_relation_check_select accepts a privilege on the table or on each column that the extract takes. */
void
etl_relation_check_select(const EtlSource *source)
{
	char *user = GetUserNameFromId(GetUserId(), false);

	if (pg_class_aclcheck(source->oid, GetUserId(), ACL_SELECT) == ACLCHECK_OK)
		return;
	for (int i = 0; i < source->n; i++)
		if (pg_attribute_aclcheck(source->oid, source->column[i].attnum, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
			ereport(
				ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied for source %s", source->name),
				 errdetail("Role \"%s\" owns the task and may not read column \"%s\".", user, source->column[i].name),
				 errhint("GRANT SELECT ON %s TO %s;", source->name, quote_identifier(user))));
}

/* etl_relation_selected returns the source as an item of FROM with only the columns that the extract takes. */
char *
etl_relation_selected(const EtlSource *source)
{
	StringInfoData from;

	initStringInfo(&from);
	for (int i = 0; i < source->n; i++)
		appendStringInfo(&from, "%s%s", i > 0 ? ", " : "(SELECT ", quote_identifier(source->column[i].name));
	appendStringInfo(&from, " FROM %s) AS %s", source->name, source->alias);
	return from.data;
}
