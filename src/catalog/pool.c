/*
 * pool.c
 *		The table etl.pool. See pool.h.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "catalog/pool.h"
#include "utils/builtins.h"

#define POOL_COLUMNS "name, slots, description, owner::oid AS owner, owner::text AS owner_name"

/* read_pool fills the struct from a row of POOL_COLUMNS. */
static void
read_pool(const EtlRow *row, EtlPool *pool)
{
	pool->name = etl_row_text(row, "name");
	pool->slots = etl_row_int32(row, "slots");
	pool->description = etl_row_text(row, "description");
	pool->owner = etl_row_oid(row, "owner");
	pool->owner_name = etl_row_text(row, "owner_name");
}

/* etl_pool_list lists all pools by name and returns how many there are. */
int
etl_pool_list(EtlPool **pool)
{
	static EtlStatement list = {"SELECT " POOL_COLUMNS " FROM etl.pool ORDER BY name", 0, {0}};
	EtlScope scope;
	int n;

	etl_catalog_begin(&scope);
	n = etl_catalog_exec(&list, NULL, NULL, SPI_OK_SELECT);
	*pool = MemoryContextAlloc(scope.caller, sizeof(EtlPool) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		EtlRow row = etl_catalog_row(&scope, i);

		read_pool(&row, &(*pool)[i]);
	}
	etl_catalog_end(&scope);
	return n;
}

/* etl_pool_find returns the pool of that name, locked as asked for, or NULL. */
EtlPool *
etl_pool_find(const char *name, EtlPoolLock lock)
{
	static EtlStatement find[] = {
		[ETL_POOL_READ] = {"SELECT " POOL_COLUMNS " FROM etl.pool WHERE name = $1", 1, {TEXTOID}},
		[ETL_POOL_USE] = {"SELECT " POOL_COLUMNS " FROM etl.pool WHERE name = $1 FOR KEY SHARE", 1, {TEXTOID}},
		[ETL_POOL_CHANGE] = {"SELECT " POOL_COLUMNS " FROM etl.pool WHERE name = $1 FOR NO KEY UPDATE", 1, {TEXTOID}},
		[ETL_POOL_DROP] = {"SELECT " POOL_COLUMNS " FROM etl.pool WHERE name = $1 FOR UPDATE", 1, {TEXTOID}}};
	EtlScope scope;
	EtlPool *pool = NULL;
	Datum value = CStringGetTextDatum(name);

	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&find[lock], &value, NULL, SPI_OK_SELECT) > 0)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		pool = MemoryContextAllocZero(scope.caller, sizeof(EtlPool));
		read_pool(&row, pool);
	}
	etl_catalog_end(&scope);
	return pool;
}

/* pool_arguments fills the arguments that INSERT and UPDATE share. */
static void
pool_arguments(const EtlPool *pool, Datum *value, char *null)
{
	value[0] = etl_arg_text(pool->name, &null[0]);
	value[1] = Int32GetDatum(pool->slots);
	value[2] = etl_arg_text(pool->description, &null[2]);
	value[3] = ObjectIdGetDatum(pool->owner);
	null[1] = null[3] = ' ';
}

/* etl_pool_insert stores a new pool; false when the name is taken. */
bool
etl_pool_insert(const EtlPool *pool)
{
	static EtlStatement insert = {"INSERT INTO etl.pool (name, slots, description, owner) VALUES ($1, $2, $3, $4) "
								  "ON CONFLICT (name) DO NOTHING",
								  4,
								  {TEXTOID, INT4OID, TEXTOID, OIDOID}};
	Datum value[4];
	char null[4];

	pool_arguments(pool, value, null);
	return etl_catalog_call(&insert, value, null, SPI_OK_INSERT) > 0;
}

/* etl_pool_update stores all settings of a pool. */
void
etl_pool_update(const EtlPool *pool)
{
	static EtlStatement update = {
		"UPDATE etl.pool SET slots = $2, description = $3, owner = $4, updated_at = now() WHERE name = $1",
		4,
		{TEXTOID, INT4OID, TEXTOID, OIDOID}};
	Datum value[4];
	char null[4];

	pool_arguments(pool, value, null);
	etl_catalog_call(&update, value, null, SPI_OK_UPDATE);
}

/* etl_pool_delete removes a pool that no task takes. */
void
etl_pool_delete(const char *name)
{
	static EtlStatement delete = {"DELETE FROM etl.pool WHERE name = $1", 1, {TEXTOID}};
	Datum value = CStringGetTextDatum(name);

	etl_catalog_call(&delete, &value, NULL, SPI_OK_DELETE);
}

/*
 * etl_pool_users names the tasks that take slots of a pool, in words; NULL if there are none. Of tasks in pipelines that
 * reader may not see it gives the number.
 */
char *
etl_pool_users(const char *name, Oid reader)
{
	static EtlStatement list = {
		"SELECT count(*) AS n, count(*) FILTER (WHERE NOT u.visible) AS hidden, "
		"string_agg(format('\"%s\" of pipeline \"%s\"', u.task, u.pipeline), ', ' ORDER BY u.pipeline, u.task) "
		"  FILTER (WHERE u.visible) AS visible "
		"FROM (SELECT t.name AS task, p.name AS pipeline, coalesce(pg_has_role($2, p.owner, 'MEMBER'), false) AS "
		"visible "
		"  FROM etl.task AS t JOIN etl.pipeline AS p ON p.pipeline_id = t.pipeline_id "
		"  WHERE t.pool = $1) AS u",
		2,
		{TEXTOID, OIDOID}};
	EtlScope scope;
	EtlRow row;
	char *users = NULL;
	int64 hidden;
	Datum value[2] = {CStringGetTextDatum(name), ObjectIdGetDatum(reader)};

	etl_catalog_begin(&scope);
	etl_catalog_exec(&list, value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	hidden = etl_row_int64(&row, "hidden");
	users = etl_row_text(&row, "visible");
	etl_catalog_end(&scope);
	if (hidden > 0)
		users = psprintf("%s%s" INT64_FORMAT " %s of pipelines that you cannot see", users ? users : "",
						 users ? " and " : "", hidden, hidden == 1 ? "task" : "tasks");
	return users;
}
