/*
 * pipeline.c
 *		The table etl.pipeline.
 */
#include "postgres.h"

#include "access/access.h"
#include "catalog/pg_type.h"
#include "catalog/change_log.h"
#include "catalog/pipeline.h"
#include "catalog/undo.h"
#include "miscadmin.h"
#include "utils/builtins.h"

/* Columns with defaults get them here, so that a definition may leave them out. */
#define PIPELINE_COLUMNS                                                                                               \
	"r.pipeline_id, r.name, r.description, r.owner::oid AS owner, r.owner::text AS owner_name, r.schedule, "           \
	"coalesce(r.timezone, 'UTC') AS timezone, coalesce(r.max_parallel, 4) AS max_parallel, "                           \
	"coalesce(r.on_overlap, 'skip') AS on_overlap, r.run_timeout, r.deadline, "                                        \
	"coalesce(r.missed_run, 'run_once') AS missed_run, coalesce(r.tags, '{}') AS tags, coalesce(r.paused, false) AS "  \
	"paused, coalesce(r.atomic_publish, false) AS atomic_publish"

/* read_pipeline makes the struct from a row of PIPELINE_COLUMNS. */
static EtlPipeline *
read_pipeline(const EtlRow *row)
{
	EtlPipeline *pipeline = MemoryContextAllocZero(row->context, sizeof(EtlPipeline));

	pipeline->pipeline_id = etl_row_int64(row, "pipeline_id");
	pipeline->name = etl_row_text(row, "name");
	pipeline->description = etl_row_text(row, "description");
	pipeline->owner = etl_row_oid(row, "owner");
	pipeline->owner_name = etl_row_text(row, "owner_name");
	pipeline->schedule = etl_row_text(row, "schedule");
	pipeline->timezone = etl_row_text(row, "timezone");
	pipeline->max_parallel = etl_row_int32(row, "max_parallel");
	pipeline->on_overlap = etl_row_text(row, "on_overlap");
	pipeline->run_timeout = etl_row_interval(row, "run_timeout");
	pipeline->deadline = etl_row_text(row, "deadline");
	pipeline->missed_run = etl_row_text(row, "missed_run");
	pipeline->tags = etl_row_jsonb(row, "tags");
	pipeline->paused = etl_row_bool(row, "paused");
	pipeline->atomic_publish = etl_row_bool(row, "atomic_publish");
	return pipeline;
}

/* etl_pipeline_find returns the pipeline of that name or NULL; lock: keeps others from changing it until commit. */
EtlPipeline *
etl_pipeline_find(const char *name, bool lock)
{
	static EtlStatement find = {"SELECT " PIPELINE_COLUMNS " FROM etl.pipeline AS r WHERE r.name = $1", 1, {TEXTOID}};
	static EtlStatement find_lock = {
		"SELECT " PIPELINE_COLUMNS " FROM etl.pipeline AS r WHERE r.name = $1 FOR NO KEY UPDATE", 1, {TEXTOID}};
	EtlScope scope;
	EtlPipeline *pipeline = NULL;
	Datum value = CStringGetTextDatum(name);

	etl_catalog_begin(&scope);
	if (etl_catalog_exec(lock ? &find_lock : &find, &value, NULL, SPI_OK_SELECT) > 0)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		pipeline = read_pipeline(&row);
	}
	etl_catalog_end(&scope);
	return pipeline;
}

/* etl_pipeline_name returns the name of a pipeline, or NULL. */
char *
etl_pipeline_name(int64 pipeline_id)
{
	static EtlStatement get = {"SELECT name FROM etl.pipeline WHERE pipeline_id = $1", 1, {INT8OID}};
	Datum value = Int64GetDatum(pipeline_id);
	char *name = NULL;
	EtlScope scope;

	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&get, &value, NULL, SPI_OK_SELECT) > 0)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		name = etl_row_text(&row, "name");
	}
	etl_catalog_end(&scope);
	return name;
}

/*
 * etl_pipeline_get returns the pipeline of that name for a caller who may do everything with it, locked against other
 * changes; lesser levels: etl_access_pipeline. Errors: 42704 if there is none, 42501.
 */
EtlPipeline *
etl_pipeline_get(const char *name)
{
	return etl_access_pipeline(name, ETL_LEVEL_ADMIN);
}

/* etl_pipeline_parse makes the struct from a definition: an object with the columns of etl.pipeline. */
EtlPipeline *
etl_pipeline_parse(Jsonb *definition)
{
	static EtlStatement parse = {
		"SELECT " PIPELINE_COLUMNS " FROM jsonb_populate_record(NULL::etl.pipeline, $1) AS r", 1, {JSONBOID}};
	EtlScope scope;
	EtlPipeline *pipeline;
	EtlRow row;
	Datum value = JsonbPGetDatum(definition);

	etl_catalog_begin(&scope);
	etl_catalog_exec(&parse, &value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	pipeline = read_pipeline(&row);
	etl_catalog_end(&scope);
	return pipeline;
}

/* etl_pipeline_definition returns a pipeline's row as an object. */
Jsonb *
etl_pipeline_definition(int64 pipeline_id)
{
	static EtlStatement get = {
		"SELECT to_jsonb(p) AS definition FROM etl.pipeline AS p WHERE pipeline_id = $1", 1, {INT8OID}};
	EtlScope scope;
	EtlRow row;
	Jsonb *definition;
	Datum value = Int64GetDatum(pipeline_id);

	etl_catalog_begin(&scope);
	etl_catalog_exec(&get, &value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	definition = etl_row_jsonb(&row, "definition");
	etl_catalog_end(&scope);
	return definition;
}

/* pipeline_arguments fills the arguments that INSERT and UPDATE share. */
static void
pipeline_arguments(const EtlPipeline *pipeline, Datum *value, char *null)
{
	value[0] = etl_arg_text(pipeline->name, &null[0]);
	value[1] = etl_arg_text(pipeline->description, &null[1]);
	value[2] = ObjectIdGetDatum(pipeline->owner);
	value[3] = etl_arg_text(pipeline->schedule, &null[3]);
	value[4] = etl_arg_text(pipeline->timezone, &null[4]);
	value[5] = Int32GetDatum(pipeline->max_parallel);
	value[6] = etl_arg_text(pipeline->on_overlap, &null[6]);
	value[7] = etl_arg_pointer(pipeline->run_timeout, &null[7]);
	value[8] = etl_arg_pointer(pipeline->tags, &null[8]);
	value[9] = BoolGetDatum(pipeline->paused);
	value[10] = etl_arg_text(pipeline->deadline, &null[10]);
	value[11] = etl_arg_text(pipeline->missed_run, &null[11]);
	value[12] = Int64GetDatum(pipeline->pipeline_id);
	value[13] = BoolGetDatum(pipeline->atomic_publish);
	null[2] = null[5] = null[9] = null[12] = null[13] = ' ';
}

#define PIPELINE_TYPES                                                                                                 \
	{                                                                                                                  \
		TEXTOID, TEXTOID, OIDOID, TEXTOID, TEXTOID, INT4OID, TEXTOID, INTERVALOID, JSONBOID, BOOLOID, TEXTOID,         \
			TEXTOID, INT8OID, BOOLOID                                                                                  \
	}

/* etl_pipeline_insert stores a new pipeline and returns its number. Errors: 42710 when the name is taken. */
int64
etl_pipeline_insert(const EtlPipeline *pipeline)
{
	static EtlStatement insert = {
		"INSERT INTO etl.pipeline (name, description, owner, schedule, timezone, "
		"max_parallel, on_overlap, run_timeout, "
		"tags, paused, deadline, missed_run, atomic_publish) SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, "
		"$11, $12, $14 WHERE $13 IS NOT NULL "
		"ON CONFLICT (name) DO NOTHING RETURNING pipeline_id",
		14, PIPELINE_TYPES};
	EtlScope scope;
	EtlRow row;
	int64 pipeline_id;
	Datum value[14];
	char null[14];

	pipeline_arguments(pipeline, value, null);
	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&insert, value, null, SPI_OK_INSERT_RETURNING) == 0)
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT), errmsg("pipeline \"%s\" already exists", pipeline->name),
						errdetail("The names of pipelines are unique in a database."),
						errhint("etl.alter_pipeline changes it, etl.drop_pipeline removes it.")));
	row = etl_catalog_row(&scope, 0);
	pipeline_id = etl_row_int64(&row, "pipeline_id");
	etl_catalog_end(&scope);
	return pipeline_id;
}

/* etl_pipeline_update stores all settings of a pipeline. */
void
etl_pipeline_update(const EtlPipeline *pipeline)
{
	static EtlStatement update = {
		"UPDATE etl.pipeline SET name = $1, description = $2, owner = $3, schedule = $4, timezone = $5, "
		"max_parallel = $6, on_overlap = $7, run_timeout = $8, tags = $9, paused = $10, deadline = $11, missed_run = "
		"$12, atomic_publish = $14, updated_at = now() "
		"WHERE pipeline_id = $13",
		14, PIPELINE_TYPES};
	Datum value[14];
	char null[14];

	pipeline_arguments(pipeline, value, null);
	etl_catalog_call(&update, value, null, SPI_OK_UPDATE);
	etl_undo_follow_owners(pipeline->pipeline_id);
}

/* etl_pipeline_delete removes a pipeline with its tasks and history. */
void
etl_pipeline_delete(int64 pipeline_id)
{
	static EtlStatement delete = {"DELETE FROM etl.pipeline WHERE pipeline_id = $1", 1, {INT8OID}};
	Datum value = Int64GetDatum(pipeline_id);

	etl_change_log_drop_pipeline(pipeline_id);
	etl_undo_forget_pipeline(pipeline_id);
	etl_catalog_call(&delete, &value, NULL, SPI_OK_DELETE);
}

/* etl_pipeline_active says whether a run of the pipeline is queued or running. */
bool
etl_pipeline_active(int64 pipeline_id)
{
	static EtlStatement active = {
		"SELECT FROM etl.run WHERE pipeline_id = $1 AND state IN ('queued', 'running') LIMIT 1", 1, {INT8OID}};
	Datum value = Int64GetDatum(pipeline_id);

	return etl_catalog_call(&active, &value, NULL, SPI_OK_SELECT) > 0;
}

/* etl_pipeline_unscheduled lists the pipelines of a role that have a schedule which is not carried out in this database. */
int
etl_pipeline_unscheduled(Oid role, int64 **pipeline_id)
{
	static EtlStatement list = {
		"SELECT p.pipeline_id FROM etl.pipeline AS p WHERE p.schedule IS NOT NULL AND NOT p.paused "
		"AND pg_has_role($1, p.owner, 'USAGE') AND NOT EXISTS (SELECT FROM etl.schedule AS s "
		"  WHERE s.pipeline_id = p.pipeline_id AND s.database = $2) ORDER BY p.pipeline_id",
		2,
		{OIDOID, OIDOID}};
	EtlScope scope;
	int n;
	Datum value[2] = {ObjectIdGetDatum(role), ObjectIdGetDatum(MyDatabaseId)};

	etl_catalog_begin(&scope);
	n = etl_catalog_exec(&list, value, NULL, SPI_OK_SELECT);
	*pipeline_id = MemoryContextAlloc(scope.caller, sizeof(int64) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		EtlRow row = etl_catalog_row(&scope, i);

		(*pipeline_id)[i] = etl_row_int64(&row, "pipeline_id");
	}
	etl_catalog_end(&scope);
	return n;
}

/* etl_pipeline_names_checking returns the names of the pipelines that have checks of a table. */
EtlNames
etl_pipeline_names_checking(const char *target)
{
	static EtlStatement list = {
		"SELECT coalesce(array_agg(p.name ORDER BY p.name), '{}') AS names FROM etl.pipeline AS p "
		"WHERE EXISTS (SELECT FROM etl.task AS t WHERE t.pipeline_id = p.pipeline_id "
		"AND t.kind = 'check' AND t.target = $1)",
		1,
		{TEXTOID}};
	Datum value = CStringGetTextDatum(target);
	EtlScope scope;
	EtlNames names;
	EtlRow row;

	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&list, &value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	names = etl_row_names(&row, "names");
	etl_catalog_end(&scope);
	return names;
}
