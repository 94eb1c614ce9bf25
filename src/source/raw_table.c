/*
 * raw_table.c
 *		Raw tables: made when missing, checked when there. See raw_table.h.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "catalog/spi.h"
#include "commands/dbcommands.h"
#include "compat.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "source/partition.h"
#include "source/raw_map.h"
#include "source/raw_table.h"
#include "source/value.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/varlena.h"

/* The columns that every raw table has besides the source's. */
static const struct
{
	const char *name;
	Oid type;
	const char *definition;
	const char *comment;
} own_column[] = {
	{ETL_RAW_BATCH, INT8OID, "bigint NOT NULL", "Number of the batch that brought the row: etl.batch.batch_id."},
	{ETL_RAW_LOADED_AT, TIMESTAMPTZOID, "timestamptz NOT NULL", "When the batch was loaded; the partition key."},
	{ETL_RAW_OP, TEXTOID, "text NOT NULL DEFAULT 'u'",
	 "u: the row as the source has it (upsert); d: the source has deleted it."},
	{ETL_RAW_EXTRA, JSONBOID, "jsonb", "Values of source columns that the table has no column for."},
};

/* current_user_name returns the role that the task runs as. */
static char *
current_user_name(void)
{
	return GetUserNameFromId(GetUserId(), false);
}

/* ensure_schema creates the schema of a new raw table, or refuses with the GRANT that is missing. */
static void
ensure_schema(const char *schema)
{
	Oid oid = get_namespace_oid(schema, true);
	const char *user = quote_identifier(current_user_name());

	if (OidIsValid(oid))
	{
		if (etl_compat_namespace_aclcheck(oid, GetUserId(), ACL_CREATE) != ACLCHECK_OK)
			ereport(
				ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied for schema %s", schema),
				 errdetail("The raw table does not exist and role %s, which owns the task, may not create it.", user),
				 errhint("GRANT CREATE, USAGE ON SCHEMA %s TO %s;", quote_identifier(schema), user)));
		return;
	}
	if (etl_compat_database_aclcheck(MyDatabaseId, GetUserId(), ACL_CREATE) != ACLCHECK_OK)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("schema \"%s\" does not exist and role %s may not create it", schema, user),
						errhint("CREATE SCHEMA %s AUTHORIZATION %s;", quote_identifier(schema), user)));
	(void) etl_sql_exec(psprintf("CREATE SCHEMA %s", quote_identifier(schema)), SPI_OK_UTILITY);
}

/* append_column adds a source column to CREATE TABLE: same type (of a domain its base), always nullable. */
static void
append_column(StringInfo sql, const EtlColumn *column)
{
	int32 typmod = column->typmod;
	Oid type = getBaseTypeAndTypmod(column->type, &typmod);

	appendStringInfo(sql, "\n  %s %s", quote_identifier(column->name),
					 format_type_extended(type, typmod, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
	if (OidIsValid(column->collation) && column->collation != get_typcollation(type))
		appendStringInfo(sql, " COLLATE %s",
						 DatumGetCString(DirectFunctionCall1(regcollationout, ObjectIdGetDatum(column->collation))));
	appendStringInfoChar(sql, ',');
}

/* comment_columns says what the columns are: the source's comments and our own. */
static void
comment_columns(const char *raw, const EtlSource *source)
{
	for (int i = 0; i < source->n; i++)
	{
		char *comment = etl_sql_text(
			psprintf("SELECT pg_catalog.col_description(%u, %d)", source->oid, source->column[i].attnum));

		if (comment == NULL)
			comment = psprintf("Column %s of %s.", quote_identifier(source->column[i].name), source->name);
		(void) etl_sql_exec(psprintf("COMMENT ON COLUMN %s.%s IS %s", raw, quote_identifier(source->column[i].name),
									 quote_literal_cstr(comment)),
							SPI_OK_UTILITY);
	}
	for (int i = 0; i < lengthof(own_column); i++)
		(void) etl_sql_exec(psprintf("COMMENT ON COLUMN %s.%s IS %s", raw, own_column[i].name,
									 quote_literal_cstr(own_column[i].comment)),
							SPI_OK_UTILITY);
	(void) etl_sql_exec(
		psprintf("COMMENT ON TABLE %s IS %s", raw,
				 quote_literal_cstr(psprintf("Raw rows of %s, appended in batches by etl_ext, partitioned"
											 " by the UTC day of loading. Never updated.",
											 source->name))),
		SPI_OK_UTILITY);
}

/* etl_raw_table_create makes the table, its index on _etl_batch, its comments and its first partitions. */
Oid
etl_raw_table_create(const char *name, const EtlSource *source)
{
	RangeVar *var = makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(name)));
	StringInfoData sql;
	char *qualified;
	Oid raw;

	if (var->schemaname)
		ensure_schema(var->schemaname);
	else
		var->schemaname = get_namespace_name(RangeVarGetCreationNamespace(var));
	qualified = quote_qualified_identifier(var->schemaname, var->relname);
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TABLE %s (", qualified);
	for (int i = 0; i < source->n; i++)
		append_column(&sql, &source->column[i]);
	for (int i = 0; i < lengthof(own_column); i++)
		appendStringInfo(&sql, "\n  %s %s%s", own_column[i].name, own_column[i].definition,
						 i + 1 < lengthof(own_column) ? "," : "");
	appendStringInfo(&sql, "\n) PARTITION BY RANGE (%s)", ETL_RAW_LOADED_AT);
	(void) etl_sql_exec(sql.data, SPI_OK_UTILITY);
	(void) etl_sql_exec(
		psprintf("CREATE INDEX ON %s USING brin (%s) WITH (pages_per_range = 32)", qualified, ETL_RAW_BATCH),
		SPI_OK_UTILITY);
	comment_columns(qualified, source);
	raw = RangeVarGetRelid(var, NoLock, false);
	(void) etl_partition_ensure(raw);
	return raw;
}

/* refuse_shape reports a relation that is not a raw table. */
static void
refuse_shape(Relation raw, const char *fact)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
					errmsg("%s is not a raw table", etl_relation_name(RelationGetRelid(raw))), errdetail("%s", fact),
					errhint("Name a table that does not exist: the extract creates it.")));
}

/* check_shape looks at the partitioning and our own columns. */
static void
check_shape(Relation raw)
{
	PartitionKey key = RelationGetPartitionKey(raw);

	if (raw->rd_rel->relkind != RELKIND_PARTITIONED_TABLE || key == NULL)
		refuse_shape(raw, "It is not a partitioned table.");
	if (key->strategy != PARTITION_STRATEGY_RANGE || key->partnatts != 1 ||
		key->partattrs[0] != get_attnum(RelationGetRelid(raw), ETL_RAW_LOADED_AT))
		refuse_shape(raw, "It is not partitioned by range of " ETL_RAW_LOADED_AT ".");
	for (int i = 0; i < lengthof(own_column); i++)
	{
		AttrNumber attnum = get_attnum(RelationGetRelid(raw), own_column[i].name);

		if (attnum == InvalidAttrNumber ||
			TupleDescAttr(RelationGetDescr(raw), attnum - 1)->atttypid != own_column[i].type)
			refuse_shape(raw, psprintf("It has no column %s of type %s.", own_column[i].name,
									   format_type_be(own_column[i].type)));
	}
	if (raw->trigdesc && (raw->trigdesc->trig_insert_before_row || raw->trigdesc->trig_insert_after_row))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("raw table %s has row triggers", etl_relation_name(RelationGetRelid(raw))),
				 errdetail("Rows are appended in bulk, which does not fire them."),
				 errhint("Drop the triggers (a foreign key counts as one) and add a load that reads the raw table.")));
}

/* check_types looks at each column that source and raw table share. */
static void
check_types(Relation raw, const EtlSource *source)
{
	for (int i = 0; i < source->n; i++)
	{
		const EtlColumn *column = &source->column[i];
		AttrNumber attnum = get_attnum(RelationGetRelid(raw), column->name);
		Form_pg_attribute att;

		if (attnum == InvalidAttrNumber)
			continue;
		att = TupleDescAttr(RelationGetDescr(raw), attnum - 1);
		if (att->attgenerated || att->attidentity)
			refuse_shape(raw, psprintf("Column \"%s\" is generated.", column->name));
		if (!can_coerce_type(1, &column->type, &att->atttypid, COERCION_ASSIGNMENT))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
					 errmsg("column \"%s\" of raw table %s cannot take the source's values", column->name,
							etl_relation_name(RelationGetRelid(raw))),
					 errdetail("The source's type is %s, the raw table's %s.", format_type_be(column->type),
							   format_type_be(att->atttypid)),
					 errhint("ALTER TABLE %s ALTER COLUMN %s TYPE %s;", etl_relation_name(RelationGetRelid(raw)),
							 quote_identifier(column->name), format_type_with_typemod(column->type, column->typmod))));
	}
}

/* require_column refuses a raw table that has no column for the cursor or a key. */
static void
require_column(Oid raw, const EtlSource *source, const char *name)
{
	const EtlColumn *column = etl_relation_column(source, name);

	if (column == NULL || get_attnum(raw, name) != InvalidAttrNumber)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("raw table %s has no column \"%s\"", etl_relation_name(raw), name),
			 errdetail("The columns of primary_key and cursor_column are needed to find rows that are there already."),
			 errhint("ALTER TABLE %s ADD COLUMN %s %s;", etl_relation_name(raw), quote_identifier(name),
					 format_type_with_typemod(column->type, column->typmod))));
}

/* check_rights refuses a raw table that the task's owner cannot append to or read back. */
static void
check_rights(Relation raw)
{
	Oid relid = RelationGetRelid(raw);
	const char *user = quote_identifier(current_user_name());

	if (pg_class_aclcheck(relid, GetUserId(), ACL_INSERT) != ACLCHECK_OK ||
		pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("permission denied for raw table %s", etl_relation_name(relid)),
						errdetail("Role %s owns the task; an extract appends rows and reads back recent ones.", user),
						errhint("GRANT SELECT, INSERT ON %s TO %s;", etl_relation_name(relid), user)));
	if (check_enable_rls(relid, GetUserId(), true) == RLS_ENABLED)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("row-level security applies to role %s on raw table %s", user, etl_relation_name(relid)),
						errdetail("Rows are appended in bulk, past the policies."),
						errhint("Let the owner of the table own the task.")));
}

/* etl_raw_table_check is also called before each run: the table may have changed since the definition. */
void
etl_raw_table_check(Oid relid, const EtlTask *task, const EtlSource *source)
{
	Relation raw = table_open(relid, AccessShareLock);

	check_shape(raw);
	check_rights(raw);
	check_types(raw, source);
	if (task->cursor_column)
		require_column(relid, source, task->cursor_column);
	for (int i = 0; i < task->primary_key.n; i++)
		require_column(relid, source, task->primary_key.name[i]);
	table_close(raw, NoLock);
}
