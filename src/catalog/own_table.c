/*
 * own_table.c
 *		Tables in schema etl that are made while etl_ext works. See own_table.h.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/own_table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type_d.h"
#include "catalog/spi.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* etl_own_table_execute frees the plan, which is used once. */
uint64
etl_own_table_execute(const char *sql, int expected)
{
	EtlStatement statement = {.sql = sql};
	EtlScope scope;
	uint64 n;

	etl_catalog_begin(&scope);
	n = etl_catalog_exec(&statement, NULL, NULL, expected);
	SPI_freeplan(statement.plan);
	etl_catalog_end(&scope);
	return n;
}

/* etl_own_table_find looks into schema etl. */
Oid
etl_own_table_find(const char *name)
{
	return get_relname_relid(name, get_namespace_oid("etl", false));
}

/*
 * etl_own_table_set_member makes the table a member of the extension, or takes it out, as ALTER EXTENSION does: but that would let every other
 * load that does the same wait until the end of this transaction.
 */
void
etl_own_table_set_member(Oid table, bool is_member)
{
	ObjectAddress member;
	ObjectAddress extension;

	ObjectAddressSet(member, RelationRelationId, table);
	ObjectAddressSet(extension, ExtensionRelationId, get_extension_oid("etl_ext", false));
	/* So that it is not dropped meanwhile. */
	LockDatabaseObject(ExtensionRelationId, extension.objectId, 0, AccessShareLock);
	if (is_member)
	{
		recordDependencyOn(&member, &extension, DEPENDENCY_EXTENSION);
		recordExtObjInitPriv(table, RelationRelationId);
	}
	else
	{
		deleteDependencyRecordsForClass(RelationRelationId, table, ExtensionRelationId, DEPENDENCY_EXTENSION);
		removeExtObjInitPriv(table, RelationRelationId);
	}
	CommandCounterIncrement();
}

/* etl_own_table_grant gives the rights to a role. */
void
etl_own_table_grant(const char *name, Oid role)
{
	(void) etl_own_table_execute(
		psprintf("GRANT SELECT, INSERT, DELETE ON %s TO %s", name, quote_identifier(GetUserNameFromId(role, false))),
		SPI_OK_UTILITY);
}

/* etl_own_table_omit_statistics asks for the columns. */
void
etl_own_table_omit_statistics(Oid table)
{
	static EtlStatement list = {"SELECT string_agg(format('ALTER COLUMN %I SET STATISTICS 0', a.attname), ', ') AS "
								"actions FROM pg_attribute AS a"
								" JOIN pg_type AS t ON t.oid = a.atttypid WHERE a.attrelid = $1 AND a.attnum > 0"
								" AND t.typnamespace <> 'pg_catalog'::regnamespace",
								1,
								{OIDOID}};
	Datum value = ObjectIdGetDatum(table);
	EtlScope scope;
	EtlRow row;
	char *actions;

	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&list, &value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	actions = etl_row_text(&row, "actions");
	etl_catalog_end(&scope);
	if (actions != NULL)
		(void) etl_own_table_execute(psprintf("ALTER TABLE etl.%s %s", quote_identifier(get_rel_name(table)), actions),
									 SPI_OK_UTILITY);
}
