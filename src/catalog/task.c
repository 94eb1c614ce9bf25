/*
 * task.c
 *		The tables etl.task and etl.task_dependency.
 */
#include "postgres.h"

#include "catalog/change_log.h"
#include "catalog/consumed.h"
#include "catalog/extract_progress.h"
#include "catalog/file_ledger.h"
#include "catalog/http_progress.h"
#include "catalog/kafka_offset.h"
#include "catalog/pg_type.h"
#include "catalog/task.h"
#include "catalog/undo.h"
#include "catalog/watermark.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

static const char *const kind_name[] = {
	[ETL_TASK_EXTRACT] = "extract", [ETL_TASK_LOAD] = "load",	[ETL_TASK_AGGREGATE] = "aggregate",
	[ETL_TASK_SQL] = "sql",			[ETL_TASK_CHECK] = "check",
};

/* etl_task_kind_name returns the name of a kind as the table holds it. */
const char *
etl_task_kind_name(EtlTaskKind kind)
{
	return kind_name[kind];
}

/* kind_of returns the kind of that name. */
static EtlTaskKind
kind_of(const char *name)
{
	for (int i = 0; i < lengthof(kind_name); i++)
		if (name != NULL && strcmp(name, kind_name[i]) == 0)
			return i;
	elog(ERROR, "unknown kind of task \"%s\"", name ? name : "(none)");
}

/* read_delays fills retry_delays from an interval[] column. */
static void
read_delays(const EtlRow *row, EtlTask *task)
{
	bool isnull;
	Datum value = etl_row_datum(row, "retry_delays", &isnull);
	Datum *element;
	bool *null;

	if (isnull)
		return;
	deconstruct_array(DatumGetArrayTypeP(value), INTERVALOID, sizeof(Interval), false, TYPALIGN_DOUBLE, &element, &null,
					  &task->n_retry_delays);
	task->has_retry_delays = true;
	task->retry_delays = MemoryContextAllocZero(row->context, sizeof(Interval) * Max(task->n_retry_delays, 1));
	for (int i = 0; i < task->n_retry_delays; i++)
		if (!null[i])
			task->retry_delays[i] = *DatumGetIntervalP(element[i]);
}

/* etl_task_read makes the struct from a row of ETL_TASK_COLUMNS. */
EtlTask *
etl_task_read(const EtlRow *row)
{
	EtlTask *task = MemoryContextAllocZero(row->context, sizeof(EtlTask));

	task->task_id = etl_row_int64(row, "task_id");
	task->pipeline_id = etl_row_int64(row, "pipeline_id");
	task->name = etl_row_text(row, "name");
	task->kind = kind_of(etl_row_text(row, "kind"));
	task->source = etl_row_text(row, "source");
	task->target = etl_row_text(row, "target");
	task->cursor_column = etl_row_text(row, "cursor_column");
	task->primary_key = etl_row_names(row, "primary_key");
	task->lag = etl_row_interval(row, "lag");
	task->filter = etl_row_text(row, "filter");
	task->columns = etl_row_names(row, "columns");
	task->chunk_rows = etl_row_int32(row, "chunk_rows");
	task->chunk_interval = etl_row_interval(row, "chunk_interval");
	task->slices = etl_row_int32(row, "slices");
	task->snapshot_group = etl_row_text(row, "snapshot_group");
	task->reader = etl_row_text(row, "reader");
	task->null_cursor = etl_row_text(row, "null_cursor");
	task->zero_dates = etl_row_text(row, "zero_dates");
	task->on_error = etl_row_text(row, "on_error");
	task->file_changed = etl_row_text(row, "file_changed");
	task->deletes = etl_row_text(row, "deletes");
	task->delete_scope = etl_row_text(row, "delete_scope");
	task->max_delete_pct = etl_row_double(row, "max_delete_pct");
	task->schema_drift = etl_row_text(row, "schema_drift");
	task->reconcile = etl_row_bool(row, "reconcile");
	task->on_delete = etl_row_text(row, "on_delete");
	task->update_columns = etl_row_names(row, "update_columns");
	task->ignore_null_columns = etl_row_names(row, "ignore_null_columns");
	task->track = etl_row_names(row, "track");
	task->surrogate_key = etl_row_text(row, "surrogate_key");
	task->dimension_keys = etl_row_jsonb(row, "dimension_keys");
	task->incremental = etl_row_text(row, "incremental");
	task->read_window = etl_row_interval(row, "read_window");
	task->event_time = etl_row_text(row, "event_time");
	task->late_window = etl_row_interval(row, "late_window");
	task->late_policy = etl_row_text(row, "late_policy");
	task->keep_undo = etl_row_interval(row, "keep_undo");
	task->query = etl_row_text(row, "query");
	task->key = etl_row_names(row, "key");
	task->mode = etl_row_text(row, "mode");
	task->order_by = etl_row_text(row, "order_by");
	task->command = etl_row_text(row, "command");
	task->check_type = etl_row_text(row, "check_type");
	task->expression = etl_row_text(row, "expression");
	task->warn = etl_row_text(row, "warn");
	task->fail = etl_row_text(row, "fail");
	task->gate = etl_row_text(row, "gate");
	task->accepted_values = etl_row_names(row, "accepted_values");
	task->min_value = etl_row_text(row, "min_value");
	task->max_value = etl_row_text(row, "max_value");
	task->pattern = etl_row_text(row, "pattern");
	task->reference = etl_row_text(row, "reference");
	task->reference_columns = etl_row_names(row, "reference_columns");
	task->source_filter = etl_row_text(row, "source_filter");
	task->expected = etl_row_jsonb(row, "expected");
	task->history = etl_row_int32(row, "history");
	task->min_history = etl_row_int32(row, "min_history");
	task->same_weekday = etl_row_bool(row, "same_weekday");
	task->min_change = etl_row_int64(row, "min_change");
	task->action = etl_row_text(row, "action");
	task->stage = etl_row_text(row, "stage");
	task->scope = etl_row_text(row, "scope");
	task->samples = etl_row_int32(row, "samples");
	task->depends_on = etl_row_names(row, "depends_on");
	read_delays(row, task);
	task->retry_on = etl_row_names(row, "retry_on");
	task->on_failure = etl_row_text(row, "on_failure");
	task->timeout = etl_row_interval(row, "timeout");
	task->trigger_rule = etl_row_text(row, "trigger_rule");
	task->priority = etl_row_int32(row, "priority");
	task->pool = etl_row_text(row, "pool");
	task->pool_slots = etl_row_int32(row, "pool_slots");
	task->owner = etl_row_oid(row, "owner");
	task->owner_name = etl_row_text(row, "owner_name");
	task->tags = etl_row_jsonb(row, "tags");
	task->description = etl_row_text(row, "description");
	task->enabled = etl_row_bool(row, "enabled");
	task->search_path = etl_row_text(row, "search_path");
	task->reads = etl_row_names(row, "reads");
	task->writes = etl_row_names(row, "writes");
	return task;
}

/* etl_task_read_all makes a list from the n rows of the last result, which have ETL_TASK_COLUMNS. */
EtlTaskList
etl_task_read_all(const EtlScope *scope, uint64 n)
{
	EtlTaskList tasks = {n, MemoryContextAlloc(scope->caller, sizeof(EtlTask *) * Max(n, 1))};

	for (int i = 0; i < tasks.n; i++)
	{
		EtlRow row = etl_catalog_row(scope, i);

		tasks.task[i] = etl_task_read(&row);
	}
	return tasks;
}

/* etl_task_parse makes the struct from a definition: an object with the columns of etl.task. */
EtlTask *
etl_task_parse(Jsonb *definition)
{
	static EtlStatement parse = {
		"SELECT " ETL_TASK_COLUMNS " FROM jsonb_populate_record(NULL::etl.task, $1) AS r", 1, {JSONBOID}};
	EtlScope scope;
	EtlRow row;
	EtlTask *task;
	Datum value = JsonbPGetDatum(definition);

	etl_catalog_begin(&scope);
	etl_catalog_exec(&parse, &value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	task = etl_task_read(&row);
	etl_catalog_end(&scope);
	return task;
}

/* etl_task_find returns the task of that name in a pipeline, or NULL. Its owner is its own: InvalidOid if it has none. */
EtlTask *
etl_task_find(int64 pipeline_id, const char *name)
{
	static EtlStatement find = {"SELECT " ETL_TASK_COLUMNS
								" FROM etl.task AS r WHERE r.pipeline_id = $1 AND r.name = $2",
								2,
								{INT8OID, TEXTOID}};
	EtlScope scope;
	EtlTask *task = NULL;
	Datum value[2] = {Int64GetDatum(pipeline_id), CStringGetTextDatum(name)};

	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&find, value, NULL, SPI_OK_SELECT) > 0)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		task = etl_task_read(&row);
	}
	etl_catalog_end(&scope);
	return task;
}

/* etl_task_definition returns a task's row as an object without the options that are not set. */
Jsonb *
etl_task_definition(int64 task_id)
{
	static EtlStatement get = {
		"SELECT jsonb_strip_nulls(to_jsonb(t)) AS definition FROM etl.task AS t WHERE task_id = $1", 1, {INT8OID}};
	EtlScope scope;
	EtlRow row;
	Jsonb *definition;
	Datum value = Int64GetDatum(task_id);

	etl_catalog_begin(&scope);
	etl_catalog_exec(&get, &value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	definition = etl_row_jsonb(&row, "definition");
	etl_catalog_end(&scope);
	return definition;
}

/* etl_task_list returns all tasks of a pipeline in the order in which they were added. */
EtlTaskList
etl_task_list(int64 pipeline_id)
{
	static EtlStatement list = {
		"SELECT " ETL_TASK_COLUMNS " FROM etl.task AS r WHERE r.pipeline_id = $1 ORDER BY r.task_id", 1, {INT8OID}};
	EtlScope scope;
	EtlTaskList tasks;
	Datum value = Int64GetDatum(pipeline_id);

	etl_catalog_begin(&scope);
	tasks = etl_task_read_all(&scope, etl_catalog_exec(&list, &value, NULL, SPI_OK_SELECT));
	etl_catalog_end(&scope);
	return tasks;
}

/* delays_argument makes the interval[] argument of retry_delays. */
static Datum
delays_argument(const EtlTask *task, char *null)
{
	Datum *element;

	*null = task->has_retry_delays ? ' ' : 'n';
	if (!task->has_retry_delays)
		return (Datum) 0;
	element = palloc(sizeof(Datum) * Max(task->n_retry_delays, 1));
	for (int i = 0; i < task->n_retry_delays; i++)
		element[i] = IntervalPGetDatum(&task->retry_delays[i]);
	return PointerGetDatum(
		construct_array(element, task->n_retry_delays, INTERVALOID, sizeof(Interval), false, TYPALIGN_DOUBLE));
}

#define N_TASK_ARGUMENTS 79
#define TASK_COLUMN_NAMES                                                                                              \
	"name, kind, source, target, cursor_column, primary_key, lag, filter, columns, chunk_rows, query, key, mode, "     \
	"order_by, command, check_type, expression, warn, fail, gate, depends_on, retry_delays, timeout, trigger_rule, "   \
	"priority, owner, tags, description, enabled, search_path, reads, writes, retry_on, on_failure, pool, "            \
	"pool_slots, "                                                                                                     \
	"chunk_interval, slices, snapshot_group, reader, null_cursor, zero_dates, deletes, delete_scope, max_delete_pct, " \
	"schema_drift, reconcile, on_delete, on_error, file_changed, update_columns, ignore_null_columns, track, "         \
	"surrogate_key, dimension_keys, incremental, read_window, event_time, late_window, late_policy, keep_undo, "       \
	"accepted_values, min_value, max_value, pattern, reference, reference_columns, source_filter, expected, history, " \
	"min_history, same_weekday, min_change, action, stage, scope, samples"
#define TASK_PARAMETERS                                                                                                \
	"$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, "  \
	"$25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40, $41, $42, $43, $44, $45, $46, "   \
	"$47, $48, $49, $50, $51, $52, $53, $54, $55, $56, $57, $58, $59, $60, $61, $62, $63, $64, $65, $66, $67, $68, "   \
	"$69, $70, $71, $72, $73, $74, $75, $76, $77"
#define TASK_TYPES                                                                                                     \
	{                                                                                                                  \
		TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTARRAYOID, INTERVALOID, TEXTOID, TEXTARRAYOID, INT4OID,        \
			TEXTOID, TEXTARRAYOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID,             \
			TEXTARRAYOID, INTERVALARRAYOID, INTERVALOID, TEXTOID, INT4OID, OIDOID, JSONBOID, TEXTOID, BOOLOID,         \
			TEXTOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTOID, TEXTOID, INT4OID, INTERVALOID, INT4OID,        \
			TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, FLOAT8OID, TEXTOID, BOOLOID, TEXTOID, TEXTOID,       \
			TEXTOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTOID, JSONBOID, TEXTOID, INTERVALOID, TEXTOID,       \
			INTERVALOID, TEXTOID, INTERVALOID, TEXTARRAYOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTARRAYOID,         \
			TEXTOID, JSONBOID, INT4OID, INT4OID, BOOLOID, INT8OID, TEXTOID, TEXTOID, TEXTOID, INT4OID, INT8OID,        \
			INT8OID                                                                                                    \
	}

/* task_arguments fills the arguments that INSERT and UPDATE share. */
static void
task_arguments(const EtlTask *task, Datum *value, char *null)
{
	int n = 0;

#define TEXT(field) (value[n] = etl_arg_text(task->field, &null[n]), n++)
#define NAMES(field) (value[n] = etl_arg_names(&task->field, &null[n]), n++)
#define POINTER(field) (value[n] = etl_arg_pointer(task->field, &null[n]), n++)
#define SCALAR(datum, isnull) (value[n] = (datum), null[n] = (isnull) ? 'n' : ' ', n++)
	TEXT(name);
	SCALAR(CStringGetTextDatum(kind_name[task->kind]), false);
	TEXT(source);
	TEXT(target);
	TEXT(cursor_column);
	NAMES(primary_key);
	POINTER(lag);
	TEXT(filter);
	NAMES(columns);
	SCALAR(Int32GetDatum(task->chunk_rows), task->chunk_rows == 0);
	TEXT(query);
	NAMES(key);
	TEXT(mode);
	TEXT(order_by);
	TEXT(command);
	TEXT(check_type);
	TEXT(expression);
	TEXT(warn);
	TEXT(fail);
	TEXT(gate);
	NAMES(depends_on);
	value[n] = delays_argument(task, &null[n]);
	n++;
	POINTER(timeout);
	TEXT(trigger_rule);
	SCALAR(Int32GetDatum(task->priority), false);
	SCALAR(ObjectIdGetDatum(task->owner), !OidIsValid(task->owner));
	POINTER(tags);
	TEXT(description);
	SCALAR(BoolGetDatum(task->enabled), false);
	TEXT(search_path);
	NAMES(reads);
	NAMES(writes);
	NAMES(retry_on);
	TEXT(on_failure);
	TEXT(pool);
	SCALAR(Int32GetDatum(task->pool_slots), false);
	POINTER(chunk_interval);
	SCALAR(Int32GetDatum(task->slices), task->slices == 0);
	TEXT(snapshot_group);
	TEXT(reader);
	TEXT(null_cursor);
	TEXT(zero_dates);
	TEXT(deletes);
	TEXT(delete_scope);
	SCALAR(Float8GetDatum(task->max_delete_pct), task->max_delete_pct < 0);
	TEXT(schema_drift);
	SCALAR(BoolGetDatum(task->reconcile), !task->reconcile);
	TEXT(on_delete);
	TEXT(on_error);
	TEXT(file_changed);
	NAMES(update_columns);
	NAMES(ignore_null_columns);
	NAMES(track);
	TEXT(surrogate_key);
	POINTER(dimension_keys);
	TEXT(incremental);
	POINTER(read_window);
	TEXT(event_time);
	POINTER(late_window);
	TEXT(late_policy);
	POINTER(keep_undo);
	NAMES(accepted_values);
	TEXT(min_value);
	TEXT(max_value);
	TEXT(pattern);
	TEXT(reference);
	NAMES(reference_columns);
	TEXT(source_filter);
	POINTER(expected);
	SCALAR(Int32GetDatum(task->history), task->history == 0);
	SCALAR(Int32GetDatum(task->min_history), task->min_history == 0);
	SCALAR(BoolGetDatum(task->same_weekday), !task->same_weekday);
	SCALAR(Int64GetDatum(task->min_change), task->min_change == 0);
	TEXT(action);
	TEXT(stage);
	TEXT(scope);
	SCALAR(Int32GetDatum(task->samples), task->samples < 0);
	SCALAR(Int64GetDatum(task->pipeline_id), false);
	SCALAR(Int64GetDatum(task->task_id), false);
#undef TEXT
#undef NAMES
#undef POINTER
#undef SCALAR
	Assert(n == N_TASK_ARGUMENTS);
}

/* etl_task_insert stores a new task and returns its number. Errors: 42710 when the name is taken. */
int64
etl_task_insert(const EtlTask *task)
{
	static EtlStatement insert = {"INSERT INTO etl.task (" TASK_COLUMN_NAMES ", pipeline_id) SELECT " TASK_PARAMETERS
								  ", $78 "
								  "WHERE $79 IS NOT NULL ON CONFLICT (pipeline_id, name) DO NOTHING RETURNING task_id",
								  N_TASK_ARGUMENTS, TASK_TYPES};
	EtlScope scope;
	EtlRow row;
	int64 task_id;
	Datum value[N_TASK_ARGUMENTS];
	char null[N_TASK_ARGUMENTS];

	task_arguments(task, value, null);
	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&insert, value, null, SPI_OK_INSERT_RETURNING) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT), errmsg("task \"%s\" already exists in this pipeline", task->name),
				 errdetail("The names of tasks are unique in a pipeline."),
				 errhint("etl.alter_task changes it, etl.drop_task removes it.")));
	row = etl_catalog_row(&scope, 0);
	task_id = etl_row_int64(&row, "task_id");
	etl_catalog_end(&scope);
	return task_id;
}

/* etl_task_update stores all options of a task. */
void
etl_task_update(const EtlTask *task)
{
	static EtlStatement update = {"UPDATE etl.task SET (" TASK_COLUMN_NAMES
								  ", pipeline_id, updated_at) = ROW(" TASK_PARAMETERS ", $78, now()) "
								  "WHERE task_id = $79",
								  N_TASK_ARGUMENTS, TASK_TYPES};
	Datum value[N_TASK_ARGUMENTS];
	char null[N_TASK_ARGUMENTS];

	task_arguments(task, value, null);
	etl_catalog_call(&update, value, null, SPI_OK_UPDATE);
	etl_undo_follow_owners(task->pipeline_id);
}

/* etl_task_delete removes a task with its edges, watermark and positions. */
void
etl_task_delete(int64 task_id)
{
	static EtlStatement delete = {"DELETE FROM etl.task WHERE task_id = $1", 1, {INT8OID}};
	Datum value = Int64GetDatum(task_id);

	etl_change_log_drop_task(task_id);
	etl_undo_forget_task(task_id);
	etl_catalog_call(&delete, &value, NULL, SPI_OK_DELETE);
}

/* etl_task_forget_progress lets a task begin anew: it now reads from or writes to somewhere else. */
void
etl_task_forget_progress(int64 task_id)
{
	etl_undo_lose(task_id, "etl.alter_task has let the task begin anew since", false);
	etl_watermark_forget(task_id, GetUserId(), "alter_task");
	etl_extract_progress_abandon(task_id);
	etl_kafka_offset_forget(task_id, NULL, -1);
	etl_consumed_forget(task_id);
	etl_file_ledger_delete(task_id);
	etl_http_progress_delete(task_id);
}

/* etl_task_writer returns the first task that keeps a table; NULL: there is none. */
EtlTask *
etl_task_writer(const char *target)
{
	static EtlStatement statement = {
		.sql = "SELECT " ETL_TASK_COLUMNS " FROM etl.task AS r WHERE r.target = $1"
			   " AND r.kind IN ('extract', 'load', 'aggregate') ORDER BY r.task_id LIMIT 1",
		.nargs = 1,
		.argtype = {TEXTOID},
	};
	Datum value = CStringGetTextDatum(target);
	EtlScope scope;
	EtlTask *task = NULL;

	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&statement, &value, NULL, SPI_OK_SELECT) > 0)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		task = etl_task_read(&row);
	}
	etl_catalog_end(&scope);
	return task;
}

/* etl_task_other_writer names another task that writes a table, for people; NULL: there is none. */
char *
etl_task_other_writer(int64 task_id, const char *target)
{
	static EtlStatement statement = {
		.sql = "SELECT format('task \"%s\" of pipeline \"%s\"', t.name, p.name) AS writer FROM etl.task AS t"
			   " JOIN etl.pipeline AS p ON p.pipeline_id = t.pipeline_id WHERE t.task_id <> $1 AND $2 = ANY (t.writes)"
			   " ORDER BY t.task_id LIMIT 1",
		.nargs = 2,
		.argtype = {INT8OID, TEXTOID},
	};
	Datum value[2] = {Int64GetDatum(task_id), CStringGetTextDatum(target)};
	EtlScope scope;
	char *result = NULL;

	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&statement, value, NULL, SPI_OK_SELECT) > 0)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		result = etl_row_text(&row, "writer");
	}
	etl_catalog_end(&scope);
	return result;
}

/*
 * etl_task_raw_key returns what the extracts into a raw table call its primary key; n = 0: nothing, or not the same.
 */
EtlNames
etl_task_raw_key(const char *target)
{
	static EtlStatement statement = {
		.sql = "SELECT min(primary_key) AS key FROM etl.task WHERE kind = 'extract' AND target = $1"
			   " HAVING count(DISTINCT coalesce(primary_key, '{}')) = 1",
		.nargs = 1,
		.argtype = {TEXTOID},
	};
	Datum value = CStringGetTextDatum(target);
	EtlNames key = {0, NULL};
	EtlScope scope;
	EtlRow row;

	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&statement, &value, NULL, SPI_OK_SELECT) == 1)
	{
		row = etl_catalog_row(&scope, 0);
		key = etl_row_names(&row, "key");
	}
	etl_catalog_end(&scope);
	return key;
}

/* etl_task_load_key returns the key of the loads that keep a table; n = 0: there are none, or they differ. */
EtlNames
etl_task_load_key(const char *target, char **surrogate_key)
{
	static EtlStatement statement = {
		.sql = "SELECT min(key) AS key, min(surrogate_key) AS surrogate_key FROM etl.task"
			   " WHERE kind = 'load' AND target = $1 HAVING count(DISTINCT coalesce(key, '{}')) = 1",
		.nargs = 1,
		.argtype = {TEXTOID},
	};
	Datum value = CStringGetTextDatum(target);
	EtlNames key = {0, NULL};
	EtlScope scope;
	EtlRow row;

	*surrogate_key = NULL;
	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&statement, &value, NULL, SPI_OK_SELECT) == 1)
	{
		row = etl_catalog_row(&scope, 0);
		key = etl_row_names(&row, "key");
		*surrogate_key = etl_row_text(&row, "surrogate_key");
	}
	etl_catalog_end(&scope);
	return key;
}

/*
 * etl_task_kept_key says whether a table is kept by loads and aggregates of the owner of a task alone, other than the task
 * itself, by one key that all of them have: then what they change in it is known.
 */
bool
etl_task_kept_key(const char *target, const EtlTask *reader, EtlNames *key)
{
	static EtlStatement statement = {
		.sql = "SELECT min(t.key) AS key FROM etl.task AS t JOIN etl.pipeline AS p USING (pipeline_id)"
			   " WHERE $1 = ANY (t.writes) HAVING count(*) > 0 AND count(DISTINCT t.key) = 1"
			   " AND bool_and(t.kind IN ('load', 'aggregate') AND coalesce(t.mode, 'merge') <> 'append'"
			   " AND t.key <> '{}' AND t.task_id <> $2 AND coalesce(t.owner, p.owner) = $3)",
		.nargs = 3,
		.argtype = {TEXTOID, INT8OID, OIDOID},
	};
	Datum value[3] = {CStringGetTextDatum(target), Int64GetDatum(reader->task_id), ObjectIdGetDatum(GetUserId())};
	EtlScope scope;
	EtlRow row;
	bool found;

	etl_catalog_begin(&scope);
	found = etl_catalog_exec(&statement, value, NULL, SPI_OK_SELECT) == 1;
	if (found)
	{
		row = etl_catalog_row(&scope, 0);
		*key = etl_row_names(&row, "key");
	}
	etl_catalog_end(&scope);
	return found;
}

/*
 * etl_task_raw_deletes says how the extracts into a raw table find deleted rows. is_observed: each row was in the source
 * when it was loaded. is_compared: of a deleted row it is known only since when it is missing.
 */
void
etl_task_raw_deletes(const char *target, bool *is_observed, bool *is_compared)
{
	static EtlStatement statement = {
		.sql = "SELECT coalesce(bool_and(coalesce(deletes, 'none') <> 'none'), false) AS observed,"
			   " coalesce(bool_and(coalesce(deletes, 'none') = 'compare'), false) AS compared"
			   " FROM etl.task WHERE kind = 'extract' AND target = $1",
		.nargs = 1,
		.argtype = {TEXTOID},
	};
	Datum value = CStringGetTextDatum(target);
	EtlScope scope;
	EtlRow row;

	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&statement, &value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	*is_observed = etl_row_bool(&row, "observed");
	*is_compared = etl_row_bool(&row, "compared");
	etl_catalog_end(&scope);
}

/* etl_task_replace_edges makes etl.task_dependency hold exactly the edges of graph, whose nodes are tasks. */
void
etl_task_replace_edges(int64 pipeline_id, const EtlTaskList *tasks, const EtlGraph *graph)
{
	static EtlStatement clear = {"DELETE FROM etl.task_dependency WHERE pipeline_id = $1", 1, {INT8OID}};
	static EtlStatement insert = {
		"INSERT INTO etl.task_dependency (pipeline_id, task_id, depends_on, inferred) VALUES ($1, $2, $3, $4)",
		4,
		{INT8OID, INT8OID, INT8OID, BOOLOID}};
	EtlScope scope;
	Datum value[4] = {Int64GetDatum(pipeline_id)};

	etl_catalog_begin(&scope);
	etl_catalog_exec(&clear, value, NULL, SPI_OK_DELETE);
	for (int i = 0; i < graph->n_edges; i++)
	{
		value[1] = Int64GetDatum(tasks->task[graph->edge[i].from]->task_id);
		value[2] = Int64GetDatum(tasks->task[graph->edge[i].to]->task_id);
		value[3] = BoolGetDatum(graph->edge[i].inferred);
		etl_catalog_exec(&insert, value, NULL, SPI_OK_INSERT);
	}
	etl_catalog_end(&scope);
}
