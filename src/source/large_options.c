/*
 * large_options.c
 *		Checks the options for large and first loads. See large_options.h.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "catalog/task.h"
#include "source/bounds.h"
#include "source/large_options.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#define MAX_SLICES 64

/* check_interval: intervals are cut along a cursor that is a time; one of a date has whole days. */
static void
check_interval(const EtlTask *task, const EtlSource *source)
{
	const Interval *length = task->chunk_interval;
	const Interval zero = {0};
	const EtlColumn *cursor;

	if (length == NULL)
		return;
	if (DatumGetBool(DirectFunctionCall2(interval_le, IntervalPGetDatum(length), IntervalPGetDatum(&zero))))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("chunk_interval must be longer than 0"),
						errhint("Write it as in chunk_interval => '1 day'.")));
	if (task->cursor_column == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("chunk_interval needs a cursor_column"),
						errdetail("A source is cut into intervals of a column that is a time."),
						errhint("Name that column as cursor_column, or use chunk_rows.")));
	cursor = etl_relation_column(source, task->cursor_column);
	if (!etl_bounds_is_time(cursor->type))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("chunk_interval needs a cursor of type timestamp, timestamptz or date"),
						errdetail("cursor_column \"%s\" has type %s.", cursor->name, format_type_be(cursor->type)),
						errhint("Use chunk_rows instead.")));
	if (getBaseType(cursor->type) == DATEOID && length->month == 0 && length->day == 0 && length->time < USECS_PER_DAY)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("chunk_interval of a cursor of type date must be a day or longer"),
						errdetail("All rows of a day have the same value in \"%s\".", cursor->name),
						errhint("Set chunk_interval to '1 day', or use chunk_rows.")));
}

/* check_slices: ranges are cut along the key. */
static void
check_slices(const EtlTask *task)
{
	if (task->slices < 0 || task->slices > MAX_SLICES)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("slices must be between 1 and %d", MAX_SLICES),
						errdetail("%d were asked for; each is a process and a connection to the source.", task->slices),
						errhint("Use a few, and no more than the source has processors to spare.")));
	if (task->slices > 1 && task->primary_key.n == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("slices needs a primary_key"),
						errdetail("A source is cut into ranges of the first column of its key."),
						errhint("Name the columns of its key: primary_key => '{id}'.")));
}

/* refuse_group reports a source whose state cannot be shared by several connections. */
static void
refuse_group(const EtlSource *source, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("source %s cannot be part of a snapshot_group", source->name), errdetail("%s", why),
			 errhint("Extracts of a group read foreign tables of one server of postgres_fdw. Others can be read in"
					 " one task from a view that joins them.")));
}

/* check_group_cursor: what is open when the snapshot is taken bounds cursors that are moments. */
static void
check_group_cursor(const EtlTask *task, const EtlSource *source)
{
	const EtlColumn *cursor = task->cursor_column ? etl_relation_column(source, task->cursor_column) : NULL;

	if (cursor && !etl_bounds_is_time(cursor->type) && cursor->type != UUIDOID)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("snapshot_group needs a cursor of type timestamp, timestamptz, date or uuid, or none"),
						errdetail("cursor_column \"%s\" has type %s: nobody knows which lower values will still be"
								  " committed when the snapshot is taken.",
								  cursor->name, format_type_be(cursor->type)),
						errhint("Use a time as cursor_column, or leave snapshot_group or cursor_column out.")));
}

/* check_group: the other members that are defined already must be of the same server. */
static void
check_group(const EtlTask *task, const EtlSource *source)
{
	EtlTaskList tasks;

	if (task->snapshot_group == NULL)
		return;
	if (task->snapshot_group[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("snapshot_group must not be empty"),
						errhint("Give the group a name, or leave it out.")));
	if (source->fdw == NULL)
		refuse_group(source, "It is in this database.");
	if (strcmp(source->fdw, "postgres_fdw") != 0)
		refuse_group(source, psprintf("Servers of %s cannot share a snapshot between connections.", source->fdw));
	if (task->reader && strcmp(task->reader, "query") == 0)
		refuse_group(source, "The query reader reads through postgres_fdw, which has snapshots of its own.");
	check_group_cursor(task, source);
	tasks = etl_task_list(task->pipeline_id);
	for (int i = 0; i < tasks.n; i++)
	{
		const EtlTask *other = tasks.task[i];
		Oid relid;

		if (other->task_id == task->task_id || other->snapshot_group == NULL ||
			strcmp(other->snapshot_group, task->snapshot_group) != 0)
			continue;
		relid = etl_relation_find(other->source);
		if (OidIsValid(relid) && etl_relation_describe(relid, NULL)->server != source->server)
			refuse_group(source, psprintf("Task \"%s\" of the group reads from another server.", other->name));
	}
}

/* etl_large_options_check is called at definition time. */
void
etl_large_options_check(const EtlTask *task, const EtlSource *source)
{
	check_interval(task, source);
	check_slices(task);
	check_group(task, source);
}
