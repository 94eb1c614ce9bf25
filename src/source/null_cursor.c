/*
 * null_cursor.c
 *		Rows without a cursor: whether they are read, and how many are not. See null_cursor.h.
 */
#include "postgres.h"

#include "catalog/spi.h"
#include "source/null_cursor.h"
#include "source/query_reader.h"
#include "utils/guc.h"

/* etl_null_cursor_wanted: in a first load unless the task says otherwise; an interval has no such rows. */
bool
etl_null_cursor_wanted(const EtlExtract *extract)
{
	const char *policy = extract->attempt->task->null_cursor;

	if (extract->bounds.below)
		return false;
	if (policy == NULL || strcmp(policy, "first_load") == 0)
		return extract->bounds.lower == NULL;
	return strcmp(policy, "always") == 0;
}

/* refuse reports them. */
static void
refuse(const EtlExtract *extract, int64 n)
{
	const EtlTask *task = extract->attempt->task;

	ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					errmsg("source %s has " INT64_FORMAT " rows without a cursor", extract->source->name, n),
					errdetail("Their cursor_column \"%s\" is NULL, and null_cursor is error.", task->cursor_column),
					errhint("Give the rows a value, leave them out with filter, or choose null_cursor => 'first_load',"
							" 'always' or 'ignore'.")));
}

/* etl_null_cursor_count asks only where a column can be NULL. */
void
etl_null_cursor_count(EtlExtract *extract)
{
	const EtlTask *task = extract->attempt->task;
	EtlPage page = {.source = extract->source, .filter = task->filter, .null_cursors = true};
	int64 n = 0;
	int level;

	if (task->cursor_column == NULL || extract->bounds.below || extract->request.null_cursors)
		return;
	page.cursor = etl_relation_column(extract->source, task->cursor_column);
	if (page.cursor->not_null)
		return;
	level = etl_query_begin(task);
	if (!etl_sql_int64(etl_page_count(&page), &n))
		n = 0;
	AtEOXact_GUC(false, level);
	if (n > 0 && task->null_cursor && strcmp(task->null_cursor, "error") == 0)
		refuse(extract, n);
	etl_attempt_count(extract->attempt, "null_cursor_rows", n);
}

/* etl_null_cursor_check_options is called at definition time. */
void
etl_null_cursor_check_options(const EtlTask *task)
{
	if (task->null_cursor && task->cursor_column == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("null_cursor needs a cursor_column"),
						errdetail("It says what becomes of rows whose cursor is NULL."),
						errhint("Name a cursor_column, or leave null_cursor out.")));
}
