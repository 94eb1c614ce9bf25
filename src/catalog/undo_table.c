/*
 * undo_table.c
 *		The tables etl.undo_<task_id>. See undo_table.h.
 *
 * Rights are granted while a table is no member of the extension: what it has when it becomes one counts as the extension's own,
 * and pg_dump leaves it out with the table.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type_d.h"
#include "catalog/spi.h"
#include "catalog/own_table.h"
#include "catalog/undo_table.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* Rows that are deleted at a time. */
#define PORTION "5000"

/* etl_undo_table_name returns the name. */
char *
etl_undo_table_name(int64 task_id)
{
	return psprintf("etl.undo_" INT64_FORMAT, task_id);
}

/* find returns the table, which may be dropped any moment. */
static Oid
find(int64 task_id)
{
	return etl_own_table_find(psprintf("undo_" INT64_FORMAT, task_id));
}

/* etl_undo_table_lock waits for whoever is dropping it just now. */
Oid
etl_undo_table_lock(int64 task_id)
{
	Oid table = find(task_id);
	Relation relation = OidIsValid(table) ? try_relation_open(table, RowExclusiveLock) : NULL;

	if (relation == NULL)
		return InvalidOid;
	relation_close(relation, NoLock);
	return table;
}

/* etl_undo_table_create makes it with an index by run. */
void
etl_undo_table_create(int64 task_id, const char *columns, Oid role)
{
	char *name = etl_undo_table_name(task_id);

	(void) etl_own_table_execute(psprintf("CREATE TABLE %s (_etl_run bigint NOT NULL, _etl_task_run bigint NOT NULL,"
										  " _etl_image \"char\" NOT NULL, _etl_hash bigint%s)",
										  name, columns),
								 SPI_OK_UTILITY);
	etl_own_table_omit_statistics(find(task_id));
	(void) etl_own_table_execute(psprintf("CREATE INDEX ON %s (_etl_run)", name), SPI_OK_UTILITY);
	(void) etl_own_table_execute(
		psprintf("COMMENT ON TABLE %s IS 'Rows that etl.rollback_run can put back; see etl.undo.'", name),
		SPI_OK_UTILITY);
	(void) etl_own_table_execute(psprintf("REVOKE ALL ON %s FROM PUBLIC", name), SPI_OK_UTILITY);
	etl_own_table_grant(name, role);
	etl_own_table_set_member(find(task_id), true);
}

/* strangers returns the roles, quoted, that have rights and are not the one named; NULL: none. */
static char *
strangers(int64 task_id, Oid role)
{
	static EtlStatement list = {
		"SELECT string_agg(DISTINCT quote_ident(r.rolname), ', ') AS roles FROM pg_class AS c, aclexplode(c.relacl) AS "
		"a"
		" JOIN pg_roles AS r ON r.oid = a.grantee WHERE c.oid = $1 AND a.grantee NOT IN ($2, c.relowner)",
		2,
		{OIDOID, OIDOID}};
	Datum value[2] = {ObjectIdGetDatum(find(task_id)), ObjectIdGetDatum(role)};
	EtlScope scope;
	EtlRow row;
	char *result;

	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&list, value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	result = etl_row_text(&row, "roles");
	etl_catalog_end(&scope);
	return result;
}

/* etl_undo_table_grant follows a change of the task's owner. */
void
etl_undo_table_grant(int64 task_id, Oid role)
{
	char *name = etl_undo_table_name(task_id);
	char *others = strangers(task_id, role);
	AclMode wanted = ACL_SELECT | ACL_INSERT | ACL_DELETE;

	if (others == NULL && pg_class_aclmask(find(task_id), role, wanted, ACLMASK_ALL) == wanted)
		return;
	etl_own_table_set_member(find(task_id), false);
	if (others != NULL)
		(void) etl_own_table_execute(psprintf("REVOKE ALL ON %s FROM %s", name, others), SPI_OK_UTILITY);
	etl_own_table_grant(name, role);
	etl_own_table_set_member(find(task_id), true);
}

/* etl_undo_table_analyze is needed right after a run: without it, the planner takes the rows of a run for a few. */
void
etl_undo_table_analyze(int64 task_id)
{
	if (OidIsValid(find(task_id)))
		(void) etl_own_table_execute(psprintf("ANALYZE %s", etl_undo_table_name(task_id)), SPI_OK_UTILITY);
}

/* etl_undo_table_try holds the lock until the end of the transaction. */
bool
etl_undo_table_try(int64 task_id)
{
	Oid table = find(task_id);

	return !OidIsValid(table) || ConditionalLockRelationOid(table, AccessExclusiveLock);
}

/* etl_undo_table_drop takes it out of the extension first. */
void
etl_undo_table_drop(int64 task_id)
{
	char *name = etl_undo_table_name(task_id);
	Oid table = find(task_id);

	if (!OidIsValid(table))
		return;
	LockRelationOid(table, AccessExclusiveLock);
	if (find(task_id) != table)
		return;
	etl_own_table_set_member(find(task_id), false);
	(void) etl_own_table_execute(psprintf("DROP TABLE %s", name), SPI_OK_UTILITY);
}

/* etl_undo_table_purge does not wait: the scheduler has other things to do. */
bool
etl_undo_table_purge(int64 task_id, int64 run_id, uint64 *deleted)
{
	char *name = etl_undo_table_name(task_id);
	Oid table = find(task_id);

	*deleted = 0;
	if (!OidIsValid(table))
		return true;
	if (!ConditionalLockRelationOid(table, RowExclusiveLock))
		return false;
	if (find(task_id) == table)
		*deleted = etl_own_table_execute(
			psprintf("DELETE FROM %s WHERE ctid = ANY (ARRAY(SELECT ctid FROM %s WHERE _etl_run = " INT64_FORMAT
					 " LIMIT " PORTION "))",
					 name, name, run_id),
			SPI_OK_DELETE);
	return true;
}
