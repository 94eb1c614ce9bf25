/*
 * owner.c
 *		Who owns what in schema etl. See owner.h.
 */
#include "postgres.h"

#include "catalog/owner.h"
#include "catalog/pg_type.h"
#include "catalog/pipeline.h"
#include "catalog/spi.h"
#include "catalog/undo.h"
#include "schedule/cron_bridge.h"
#include "utils/builtins.h"

/* Most things that an error names. */
#define MOST_NAMED 10

/* etl_owner_holdings lists what a role owns: pipelines first. */
char *
etl_owner_holdings(Oid role)
{
	static EtlStatement list = {
		"SELECT format('pipeline \"%s\"', name) AS thing FROM etl.pipeline WHERE owner::oid = $1 "
		"UNION ALL SELECT format('task \"%s\" of pipeline \"%s\"', t.name, p.name) FROM etl.task AS t "
		"  JOIN etl.pipeline AS p ON p.pipeline_id = t.pipeline_id WHERE t.owner::oid = $1 "
		"UNION ALL SELECT format('pool \"%s\"', name) FROM etl.pool WHERE owner::oid = $1 "
		"UNION ALL SELECT format('alert route \"%s\"', name) FROM etl.alert_route WHERE owner::oid = $1 "
		"UNION ALL SELECT format('contract of source %s', source) FROM etl.contract WHERE owner::oid = $1",
		1,
		{OIDOID}};
	Datum value = ObjectIdGetDatum(role);
	StringInfoData text;
	EtlScope scope;
	int n;

	initStringInfo(&text);
	etl_catalog_begin(&scope);
	n = etl_catalog_exec(&list, &value, NULL, SPI_OK_SELECT);
	for (int i = 0; i < Min(n, MOST_NAMED); i++)
	{
		EtlRow row = etl_catalog_row(&scope, i);

		appendStringInfo(&text, "%s%s", i > 0 ? ", " : "", etl_row_text(&row, "thing"));
	}
	etl_catalog_end(&scope);
	if (n > MOST_NAMED)
		appendStringInfo(&text, " and %d more", n - MOST_NAMED);
	return n > 0 ? text.data : NULL;
}

/* reassign_pipelines gives the pipelines to their new owner and returns the names of those that have a schedule. */
static EtlNames
reassign_pipelines(const Datum *value)
{
	static EtlStatement update = {
		"WITH changed AS (UPDATE etl.pipeline SET owner = $2, updated_at = now() WHERE owner::oid = $1 "
		"  RETURNING name, schedule) "
		"SELECT array_agg(name ORDER BY name) FILTER (WHERE schedule IS NOT NULL) AS scheduled FROM changed",
		2,
		{OIDOID, OIDOID}};
	EtlScope scope;
	EtlRow row;
	EtlNames names;

	etl_catalog_begin(&scope);
	etl_catalog_exec(&update, value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	names = etl_row_names(&row, "scheduled");
	etl_catalog_end(&scope);
	return names;
}

/* reassign_active changes the definitions of the runs that have not ended: they outlive the old owner. */
static void
reassign_active(const Datum *value)
{
	static EtlStatement update = {
		"UPDATE etl.run AS r SET definition = r.definition || jsonb_build_object("
		"  'pipeline', CASE WHEN r.definition->'pipeline'->>'owner' = $1::regrole::text "
		"    THEN r.definition->'pipeline' || jsonb_build_object('owner', $2::regrole) "
		"    ELSE r.definition->'pipeline' END, "
		"  'task', (SELECT coalesce(jsonb_agg(CASE WHEN e->>'owner' = $1::regrole::text "
		"    THEN e || jsonb_build_object('owner', $2::regrole) ELSE e END ORDER BY place), '[]') "
		"    FROM jsonb_array_elements(r.definition->'task') WITH ORDINALITY AS x (e, place))) "
		"WHERE r.state IN ('queued', 'running')",
		2,
		{OIDOID, OIDOID}};

	etl_catalog_call(&update, value, NULL, SPI_OK_UPDATE);
}

/* etl_owner_reassign gives everything of a role to another one. */
void
etl_owner_reassign(Oid from, Oid to)
{
	static EtlStatement task = {
		"UPDATE etl.task SET owner = $2, updated_at = now() WHERE owner::oid = $1", 2, {OIDOID, OIDOID}};
	static EtlStatement pool = {
		"UPDATE etl.pool SET owner = $2, updated_at = now() WHERE owner::oid = $1", 2, {OIDOID, OIDOID}};
	static EtlStatement route = {
		"UPDATE etl.alert_route SET owner = $2, updated_at = now() WHERE owner::oid = $1", 2, {OIDOID, OIDOID}};
	static EtlStatement contract = {
		"UPDATE etl.contract SET owner = $2, updated_at = now() WHERE owner::oid = $1", 2, {OIDOID, OIDOID}};
	static EtlStatement delivery = {"UPDATE etl.alert_delivery SET owner = $2 WHERE owner::oid = $1 "
									"AND state IN ('pending', 'sending')",
									2,
									{OIDOID, OIDOID}};
	Datum value[2] = {ObjectIdGetDatum(from), ObjectIdGetDatum(to)};
	EtlNames scheduled = reassign_pipelines(value);

	etl_catalog_call(&task, value, NULL, SPI_OK_UPDATE);
	etl_catalog_call(&pool, value, NULL, SPI_OK_UPDATE);
	etl_catalog_call(&route, value, NULL, SPI_OK_UPDATE);
	etl_catalog_call(&contract, value, NULL, SPI_OK_UPDATE);
	etl_catalog_call(&delivery, value, NULL, SPI_OK_UPDATE);
	reassign_active(value);
	etl_undo_follow_owners(0);
	for (int i = 0; i < scheduled.n; i++)
		etl_cron_sync(etl_pipeline_find(scheduled.name[i], false));
}
