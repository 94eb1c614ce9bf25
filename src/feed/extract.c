/*
 * extract.c
 *		Extracts from feeds: what differs from those of other sources. See extract.h.
 */
#include "postgres.h"

#include "api/problem.h"
#include "feed/extract.h"
#include "feed/reader.h"
#include "lib/stringinfo.h"
#include "source/condition.h"
#include "utils/builtins.h"

/* etl_feed_extract_run reads until the feed has no more; there is no order, and nothing to cut it by. */
void
etl_feed_extract_run(EtlExtract *extract)
{
	etl_extract_open(extract);
	if (extract->bounds.reached)
		etl_extract_open_overlap(extract);
	while (etl_extract_batch(extract))
		etl_attempt_step(extract->attempt);
	etl_extract_close(extract);
}

/* refuse_setting reports a setting that has no meaning for tables of a wrapper. */
static void
refuse_setting(const char *setting, const EtlSource *source, const char *why, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s does not apply to source %s", setting, source->name),
			 errdetail("%s", why), errhint("%s", hint)));
}

/* check_unused refuses what belongs to sources that can be asked in SQL. */
static void
check_unused(const EtlTask *task, const EtlSource *source)
{
	const char *setting = NULL;

	if (task->slices > 1)
		setting = "slices";
	else if (task->chunk_interval)
		setting = "chunk_interval";
	else if (task->snapshot_group)
		setting = "snapshot_group";
	else if (task->reconcile)
		setting = "reconcile";
	else if (task->deletes && strcmp(task->deletes, "compare") == 0)
		setting = "deletes => 'compare'";
	if (setting)
		refuse_setting(setting, source, psprintf("Tables of %s cannot be asked for a part of their rows.", source->fdw),
					   "Leave it out.");
}

/* is_by_file says whether a source is made of files. */
static bool
is_by_file(const EtlSource *source)
{
	return strcmp(source->fdw, etl_s3_feed.fdw) == 0 || strcmp(source->fdw, etl_file_feed.fdw) == 0;
}

/* check_progress: files and topics know what was read, whatever is in the rows. */
static void
check_progress(const EtlTask *task, const EtlSource *source)
{
	bool by_file = is_by_file(source);

	if (strcmp(source->fdw, etl_http_feed.fdw) == 0)
	{
		if (task->file_changed)
			refuse_setting("file_changed", source, "It is for tables of etl_s3 and etl_file.", "Leave it out.");
		return;
	}
	if (task->cursor_column)
		refuse_setting("cursor_column", source,
					   by_file ? "What was read is kept in etl.file_ledger, file by file."
							   : "What was read is kept in etl.kafka_offset, partition by partition.",
					   "Leave it out: the next run reads what is new.");
	if (!by_file && task->file_changed)
		refuse_setting("file_changed", source, "It is for tables of etl_s3 and etl_file.", "Leave it out.");
}

/* check_on_error: only files can be left out as a whole. */
static void
check_on_error(const EtlTask *task, const EtlSource *source)
{
	bool by_file = is_by_file(source);

	if (task->on_error && strcmp(task->on_error, "skip_file") == 0 && !by_file)
		refuse_setting("on_error => 'skip_file'", source, "It is for tables of etl_s3 and etl_file.",
					   "Use 'skip_row' or 'abort'.");
}

/* check_condition: conditions are evaluated here, row by row. */
static void
check_condition(const EtlSource *source, const char *setting, const char *condition)
{
	if (condition == NULL)
		return;
	if (etl_condition_check(
			setting, condition, psprintf("%s => 'amount > 0'", setting), etl_relation_selected(source),
			"Name a column of the source that the extract takes: if there is columns =>, add it there."))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s of source %s has a subquery", setting, source->name),
				 errdetail("Tables of %s are read row by row, and the condition is evaluated on each.", source->fdw),
				 errhint("Use conditions on the columns of the row; filter further in the load's query.")));
}

/* etl_feed_extract_define is called before cursor and key are checked: the feed may name the cursor. */
void
etl_feed_extract_define(EtlTask *task, const EtlSource *source)
{
	const EtlFeedRoutine *routine = etl_feed_find(source->fdw);

	if (routine == NULL)
	{
		if (task->on_error || task->file_changed)
			refuse_setting(task->on_error ? "on_error" : "file_changed", source,
						   "It is for tables of etl_http, etl_s3, etl_file and etl_kafka.", "Leave it out.");
		return;
	}
	if (task->reader && strcmp(task->reader, "auto") != 0 && strcmp(task->reader, routine->name) != 0)
		refuse_setting(psprintf("reader \"%s\"", task->reader), source,
					   psprintf("Tables of %s have the reader \"%s\".", routine->fdw, routine->name),
					   "Leave reader out.");
	check_unused(task, source);
	check_progress(task, source);
	check_on_error(task, source);
	check_condition(source, "filter", task->filter);
	if (task->deletes && strncmp(task->deletes, "column:", 7) == 0)
		check_condition(source, "deletes", task->deletes + 7);
	if (routine->define)
		routine->define(task, source);
}

/* etl_feed_extract_explain asks the feed. */
List *
etl_feed_extract_explain(const EtlReadRequest *request)
{
	const EtlFeedRoutine *routine = etl_feed_find(request->source->fdw);
	EtlFeedRequest asked = etl_feed_request(request, routine);
	List *lines = list_make1(psprintf("-- reader %s", routine->name));

	lines = lappend(lines, psprintf("-- bad records: %s", asked.keep_bad ? "go to etl.quarantine" : "end the attempt"));
	if (request->filter)
		lines = lappend(lines, psprintf("-- filter, evaluated here: %s", request->filter));
	return routine->explain ? list_concat(lines, routine->explain(&asked)) : lines;
}

/* etl_feed_extract_problems asks the feed. */
List *
etl_feed_extract_problems(const EtlReadRequest *request)
{
	const EtlFeedRoutine *routine = etl_feed_find(request->source->fdw);
	EtlFeedRequest asked = etl_feed_request(request, routine);

	return routine->problems ? routine->problems(&asked) : NIL;
}

/* etl_feed_refuse tells all that is known of the record. */
void
etl_feed_refuse(const EtlBadRow *bad, const EtlSource *source)
{
	StringInfoData detail;

	initStringInfo(&detail);
	appendStringInfo(&detail, "Source %s", source->name);
	if (bad->origin)
		appendStringInfo(&detail, ", %s", bad->origin);
	if (bad->position >= 0)
		appendStringInfo(&detail, ", record " INT64_FORMAT, bad->position);
	if (bad->column)
		appendStringInfo(&detail, ", column \"%s\"", bad->column);
	if (bad->value)
		appendStringInfo(&detail, ", value \"%s\"", bad->value);
	ereport(ERROR, (errcode(bad->sqlstate), errmsg("%s", bad->reason), errdetail("%s.", detail.data),
					errhint("Correct it at the source; an extract with on_error => 'skip_row' puts such records into"
							" etl.quarantine and goes on%s.",
							is_by_file(source) ? ", and etl.skip_file passes over a file" : "")));
}
