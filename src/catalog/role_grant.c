/*
 * role_grant.c
 *		The table etl.role_grant. A grant to a role holds for whoever has its rights (inherits them, or has SET ROLE).
 */
#include "postgres.h"

#include "catalog/own_table.h"
#include "catalog/pg_type_d.h"
#include "catalog/role_grant.h"
#include "catalog/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

static const char *const level_name[] = {"none", "viewer", "operator", "author", "admin"};

/* The level of row g as a number that can be compared. */
#define RANK "array_position('{viewer,operator,author,admin}', g.level)"

/* etl_role_grant_level_name returns the name of a level. */
const char *
etl_role_grant_level_name(EtlLevel level)
{
	return level_name[level];
}

/* etl_role_grant_level finds a level by its name. */
EtlLevel
etl_role_grant_level(const char *name)
{
	for (EtlLevel level = ETL_LEVEL_VIEWER; level <= ETL_LEVEL_ADMIN; level++)
		if (strcmp(name, level_name[level]) == 0)
			return level;
	return ETL_LEVEL_NONE;
}

/* etl_role_grant_held looks at the grants for the pipeline and those for all. */
EtlLevel
etl_role_grant_held(Oid role, int64 pipeline_id)
{
	static EtlStatement get = {"SELECT coalesce(max(" RANK "), 0) AS level FROM etl.role_grant AS g "
							   "WHERE (g.pipeline_id = $2 OR g.pipeline_id IS NULL) "
							   "AND pg_has_role($1, g.role::oid, 'USAGE')",
							   2,
							   {OIDOID, INT8OID}};
	Datum value[2] = {ObjectIdGetDatum(role), Int64GetDatum(pipeline_id)};
	EtlScope scope;
	EtlLevel level;
	EtlRow row;

	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&get, value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	level = (EtlLevel) etl_row_int32(&row, "level");
	etl_catalog_end(&scope);
	return level;
}

/* etl_role_grant_pipelines lists all pipelines where a grant is for all. */
ArrayType *
etl_role_grant_pipelines(Oid role, EtlLevel level)
{
	static EtlStatement list = {
		"WITH held AS (SELECT g.pipeline_id FROM etl.role_grant AS g "
		"  WHERE " RANK " >= $2 AND pg_has_role($1, g.role::oid, 'USAGE')) "
		"SELECT ARRAY(SELECT p.pipeline_id FROM etl.pipeline AS p WHERE EXISTS (SELECT FROM held AS h "
		"  WHERE h.pipeline_id IS NULL OR h.pipeline_id = p.pipeline_id)) AS pipelines",
		2,
		{OIDOID, INT4OID}};
	Datum value[2] = {ObjectIdGetDatum(role), Int32GetDatum(level)};
	EtlScope scope;
	MemoryContext old;
	ArrayType *pipelines;
	EtlRow row;
	bool isnull;

	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&list, value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	old = MemoryContextSwitchTo(row.context);
	pipelines = DatumGetArrayTypePCopy(etl_row_datum(&row, "pipelines", &isnull));
	MemoryContextSwitchTo(old);
	etl_catalog_end(&scope);
	return pipelines;
}

/* etl_role_grant_set keeps gives_usage when it is set already. */
void
etl_role_grant_set(Oid role, int64 pipeline_id, EtlLevel level, Oid granted_by, bool gives_usage)
{
	static EtlStatement set = {
		"INSERT INTO etl.role_grant AS g (role, pipeline_id, level, granted_by, granted_at, gives_usage) "
		"VALUES ($1, nullif($2, 0), $3, $4, now(), $5) ON CONFLICT (role, coalesce(pipeline_id, 0)) DO UPDATE SET "
		"level = excluded.level, granted_by = excluded.granted_by, granted_at = excluded.granted_at, "
		"gives_usage = g.gives_usage OR excluded.gives_usage",
		5,
		{OIDOID, INT8OID, TEXTOID, OIDOID, BOOLOID}};
	Datum value[5] = {ObjectIdGetDatum(role), Int64GetDatum(pipeline_id), CStringGetTextDatum(level_name[level]),
					  ObjectIdGetDatum(granted_by), BoolGetDatum(gives_usage)};

	(void) etl_catalog_call(&set, value, NULL, SPI_OK_INSERT);
}

/* etl_role_grant_delete takes a grant away. */
bool
etl_role_grant_delete(Oid role, int64 pipeline_id)
{
	static EtlStatement delete = {
		"DELETE FROM etl.role_grant WHERE role::oid = $1 AND coalesce(pipeline_id, 0) = $2", 2, {OIDOID, INT8OID}};
	Datum value[2] = {ObjectIdGetDatum(role), Int64GetDatum(pipeline_id)};

	return etl_catalog_call(&delete, value, NULL, SPI_OK_DELETE) > 0;
}

/* etl_role_grant_forget takes all grants of a role away. */
void
etl_role_grant_forget(Oid role)
{
	static EtlStatement grants = {"DELETE FROM etl.role_grant WHERE role::oid = $1", 1, {OIDOID}};
	static EtlStatement bi = {"DELETE FROM etl.bi_grant WHERE role::oid = $1", 1, {OIDOID}};
	Datum value = ObjectIdGetDatum(role);

	(void) etl_catalog_call(&grants, &value, NULL, SPI_OK_DELETE);
	(void) etl_catalog_call(&bi, &value, NULL, SPI_OK_DELETE);
}

/* etl_role_grant_usage_of lists them before a pipeline is dropped. */
int
etl_role_grant_usage_of(int64 pipeline_id, Oid **role)
{
	static EtlStatement list = {"SELECT role::oid AS role FROM etl.role_grant WHERE pipeline_id = $1 AND gives_usage "
								"UNION SELECT role::oid FROM etl.bi_grant WHERE pipeline_id = $1 AND gives_usage",
								1,
								{INT8OID}};
	Datum value = Int64GetDatum(pipeline_id);
	EtlScope scope;
	int n;

	etl_catalog_begin(&scope);
	n = (int) etl_catalog_exec(&list, &value, NULL, SPI_OK_SELECT);
	*role = MemoryContextAlloc(scope.caller, sizeof(Oid) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		EtlRow row = etl_catalog_row(&scope, i);

		(*role)[i] = etl_row_oid(&row, "role");
	}
	etl_catalog_end(&scope);
	return n;
}

/* etl_role_grant_settle_usage is for roles that are not gone. */
void
etl_role_grant_settle_usage(const Oid *role, int n)
{
	for (int i = 0; i < n; i++)
		if (SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(role[i])) && !etl_role_grant_gives_usage(role[i]))
			etl_role_grant_usage(role[i], false);
}

/* etl_role_grant_gives_usage looks for a grant with which USAGE came. */
bool
etl_role_grant_gives_usage(Oid role)
{
	static EtlStatement find = {"SELECT FROM etl.role_grant WHERE role::oid = $1 AND gives_usage "
								"UNION ALL SELECT FROM etl.bi_grant WHERE role::oid = $1 AND gives_usage",
								1,
								{OIDOID}};
	Datum value = ObjectIdGetDatum(role);

	return etl_catalog_call(&find, &value, NULL, SPI_OK_SELECT) > 0;
}

/* etl_role_grant_has_own_usage looks at the schema's privileges without those that came with grants. */
bool
etl_role_grant_has_own_usage(Oid role)
{
	static EtlStatement find = {
		"SELECT FROM pg_namespace AS n, "
		"LATERAL aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS a "
		"WHERE n.nspname = 'etl' AND a.privilege_type = 'USAGE' AND (a.grantee = 0 OR "
		"pg_has_role($1, a.grantee, 'USAGE') "
		"  AND NOT EXISTS (SELECT FROM etl.role_grant AS g WHERE g.role::oid = a.grantee AND g.gives_usage) "
		"  AND NOT EXISTS (SELECT FROM etl.bi_grant AS b WHERE b.role::oid = a.grantee AND b.gives_usage))",
		1,
		{OIDOID}};
	Datum value = ObjectIdGetDatum(role);

	return etl_catalog_call(&find, &value, NULL, SPI_OK_SELECT) > 0;
}

/*
 * etl_role_grant_usage runs as the owner of the schema. Of two sessions that change its privileges at once PostgreSQL would let one fail
 * ("tuple concurrently updated"), so one waits.
 */
void
etl_role_grant_usage(Oid role, bool give)
{
	const char *name = quote_identifier(GetUserNameFromId(role, false));

	(void) etl_own_table_execute("LOCK TABLE etl.role_grant IN SHARE ROW EXCLUSIVE MODE", SPI_OK_UTILITY);
	(void) etl_own_table_execute(give ? psprintf("GRANT USAGE ON SCHEMA etl TO %s", name)
									  : psprintf("REVOKE USAGE ON SCHEMA etl FROM %s", name),
								 SPI_OK_UTILITY);
}
