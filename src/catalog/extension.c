/*
 * extension.c
 *		The extension itself, as workers see it. See extension.h.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/extension.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#define EXTENSION "etl_ext"

/* What the first look of this process found. */
static Oid first_oid = InvalidOid;
static char *first_version = NULL;
static bool is_same = true;

/* read_version returns the Oid of the extension and its version; InvalidOid when it is not installed. */
static Oid
read_version(char **version)
{
	Relation relation = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;
	Oid oid = InvalidOid;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ, CStringGetDatum(EXTENSION));
	scan = systable_beginscan(relation, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool isnull;
		Datum value = heap_getattr(tuple, Anum_pg_extension_extversion, RelationGetDescr(relation), &isnull);

		oid = ((Form_pg_extension) GETSTRUCT(tuple))->oid;
		*version = isnull ? pstrdup("") : TextDatumGetCString(value);
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return oid;
}

/* etl_extension_hold keeps the extension from being dropped until the end of the transaction. */
bool
etl_extension_hold(void)
{
	Oid oid = get_extension_oid(EXTENSION, true);

	if (!OidIsValid(oid) || !ConditionalLockDatabaseObject(ExtensionRelationId, oid, 0, AccessShareLock))
		return false;
	/* It may have been dropped before the lock was there. */
	return get_extension_oid(EXTENSION, true) == oid;
}

/* etl_extension_contended says whether somebody is dropping the extension or waits to. */
bool
etl_extension_contended(void)
{
	Oid oid = get_extension_oid(EXTENSION, true);

	if (!OidIsValid(oid))
		return false;
	if (!ConditionalLockDatabaseObject(ExtensionRelationId, oid, 0, AccessShareLock))
		return true;
	UnlockDatabaseObject(ExtensionRelationId, oid, 0, AccessShareLock);
	return false;
}

/* remember notes what the first look has found, and says when library and extension do not belong together. */
static void
remember(Oid oid, const char *version)
{
	first_oid = oid;
	first_version = MemoryContextStrdup(TopMemoryContext, version);
	if (strcmp(version, ETL_VERSION) != 0)
		ereport(WARNING, (errmsg("extension etl_ext has version %s, its library has version %s", version, ETL_VERSION),
						  errhint("Run ALTER EXTENSION etl_ext UPDATE; with shared_preload_libraries, restart the "
								  "server after the library was replaced.")));
}

/* etl_extension_current says whether the extension is the one that this process saw first. */
bool
etl_extension_current(void)
{
	char *version = NULL;
	Oid oid = read_version(&version);

	if (OidIsValid(oid) && !OidIsValid(first_oid))
		remember(oid, version);
	is_same = OidIsValid(oid) && oid == first_oid;
	return is_same && strcmp(version, first_version) == 0;
}

/* etl_extension_is_same says whether that was the same extension. */
bool
etl_extension_is_same(void)
{
	return is_same;
}
