/*
 * bi_grant.c
 *		The table etl.bi_grant.
 */
#include "postgres.h"

#include "catalog/bi_grant.h"
#include "catalog/pg_type_d.h"
#include "catalog/spi.h"
#include "utils/builtins.h"

/* Whether grant b is about task t. */
#define COVERS                                                                                                         \
	"(b.pipeline_id IS NULL OR b.pipeline_id = t.pipeline_id) AND (b.targets IS NULL OR t.target = ANY (b.targets))"

/* etl_bi_grant_set keeps gives_usage when it is set already. */
void
etl_bi_grant_set(Oid role, int64 pipeline_id, const EtlNames *targets, Oid granted_by, bool gives_usage)
{
	static EtlStatement set = {
		"INSERT INTO etl.bi_grant AS b (role, pipeline_id, targets, granted_by, granted_at, gives_usage) "
		"VALUES ($1, nullif($2, 0), $3, $4, now(), $5) ON CONFLICT (role, coalesce(pipeline_id, 0)) DO UPDATE SET "
		"targets = excluded.targets, granted_by = excluded.granted_by, granted_at = excluded.granted_at, "
		"gives_usage = b.gives_usage OR excluded.gives_usage",
		5,
		{OIDOID, INT8OID, TEXTARRAYOID, OIDOID, BOOLOID}};
	Datum value[5] = {ObjectIdGetDatum(role), Int64GetDatum(pipeline_id), 0, ObjectIdGetDatum(granted_by),
					  BoolGetDatum(gives_usage)};
	char null[] = "     ";

	value[2] = etl_arg_names(targets, &null[2]);
	(void) etl_catalog_call(&set, value, null, SPI_OK_INSERT);
}

/* etl_bi_grant_delete takes a grant away. */
bool
etl_bi_grant_delete(Oid role, int64 pipeline_id)
{
	static EtlStatement delete = {
		"DELETE FROM etl.bi_grant WHERE role::oid = $1 AND coalesce(pipeline_id, 0) = $2", 2, {OIDOID, INT8OID}};
	Datum value[2] = {ObjectIdGetDatum(role), Int64GetDatum(pipeline_id)};

	return etl_catalog_call(&delete, value, NULL, SPI_OK_DELETE) > 0;
}

/* etl_bi_grant_targets lists each target once. */
int
etl_bi_grant_targets(Oid role, Oid by, EtlBiTarget **target)
{
	static EtlStatement list = {
		"SELECT DISTINCT ON (t.target) t.target, coalesce(t.owner, p.owner)::oid AS owner FROM etl.task AS t "
		"JOIN etl.pipeline AS p ON p.pipeline_id = t.pipeline_id JOIN etl.bi_grant AS b ON " COVERS
		" WHERE b.role::oid = $1 AND t.kind IN ('load', 'aggregate') AND t.target IS NOT NULL "
		"AND pg_has_role($2, coalesce(t.owner, p.owner)::oid, 'USAGE') ORDER BY t.target",
		2,
		{OIDOID, OIDOID}};
	Datum value[2] = {ObjectIdGetDatum(role), ObjectIdGetDatum(by)};
	EtlScope scope;
	int n;

	etl_catalog_begin(&scope);
	n = (int) etl_catalog_exec(&list, value, NULL, SPI_OK_SELECT);
	*target = MemoryContextAlloc(scope.caller, sizeof(EtlBiTarget) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		EtlRow row = etl_catalog_row(&scope, i);

		(*target)[i].target = etl_row_text(&row, "target");
		(*target)[i].owner = etl_row_oid(&row, "owner");
	}
	etl_catalog_end(&scope);
	return n;
}

/* etl_bi_grant_readers leaves out roles that are gone. */
int
etl_bi_grant_readers(int64 pipeline_id, const char *target, Oid owner, Oid **role)
{
	static EtlStatement list = {
		"SELECT DISTINCT r.oid AS role FROM (SELECT $1 AS pipeline_id, $2 AS target) AS t JOIN etl.bi_grant AS b "
		"ON " COVERS
		" JOIN pg_roles AS r ON r.oid = b.role::oid WHERE pg_has_role(b.granted_by::oid, $3, 'USAGE') ORDER BY 1",
		3,
		{INT8OID, TEXTOID, OIDOID}};
	Datum value[3] = {Int64GetDatum(pipeline_id), CStringGetTextDatum(target), ObjectIdGetDatum(owner)};
	EtlScope scope;
	int n;

	etl_catalog_begin(&scope);
	n = (int) etl_catalog_exec(&list, value, NULL, SPI_OK_SELECT);
	*role = MemoryContextAlloc(scope.caller, sizeof(Oid) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		EtlRow row = etl_catalog_row(&scope, i);

		(*role)[i] = etl_row_oid(&row, "role");
	}
	etl_catalog_end(&scope);
	return n;
}

/* etl_bi_grant_unknown finds the first in the order that was given. */
char *
etl_bi_grant_unknown(int64 pipeline_id, const EtlNames *targets)
{
	static EtlStatement find = {
		"SELECT n.name FROM unnest($2) WITH ORDINALITY AS n (name, place) WHERE NOT EXISTS "
		"(SELECT FROM etl.task AS t WHERE t.target = n.name AND t.kind IN ('load', 'aggregate') "
		"AND ($1 = 0 OR t.pipeline_id = $1)) ORDER BY n.place LIMIT 1",
		2,
		{INT8OID, TEXTARRAYOID}};
	Datum value[2] = {Int64GetDatum(pipeline_id)};
	char null[] = "  ";
	char *name = NULL;
	EtlScope scope;

	value[1] = etl_arg_names(targets, &null[1]);
	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&find, value, null, SPI_OK_SELECT) > 0)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		name = etl_row_text(&row, "name");
	}
	etl_catalog_end(&scope);
	return name;
}
