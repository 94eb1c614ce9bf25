/*
 * extract_options.c
 *		Checks the options of an extract that go beyond names and types. See extract_options.h.
 */
#include "postgres.h"

#include "source/deletes.h"
#include "source/extract_options.h"
#include "source/large_options.h"
#include "source/null_cursor.h"

/* check_choice refuses a value that is not in the list, which ends with NULL. */
static void
check_choice(const char *setting, const char *value, const char *const *list, const char *words)
{
	if (value == NULL)
		return;
	for (int i = 0; list[i]; i++)
		if (strcmp(value, list[i]) == 0)
			return;
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid %s", setting),
					errdetail("It is \"%s\".", value), errhint("It is one of: %s.", words)));
}

/* check_choices looks at the options that are one of a few words. */
static void
check_choices(const EtlTask *task)
{
	static const char *const readers[] = {"auto", "query", "postgres", "mysql", "http", "s3", "file", "kafka", NULL};
	static const char *const zero_dates[] = {"error", "null", "epoch", NULL};
	static const char *const on_error[] = {"abort", "skip_row", "skip_file", NULL};
	static const char *const file_changed[] = {"append", "replace", "ignore", "error", NULL};
	static const char *const policies[] = {"evolve", "freeze", "discard", NULL};

	check_choice("reader", task->reader, readers, "auto, query, postgres, mysql, http, s3, file, kafka");
	check_choice("zero_dates", task->zero_dates, zero_dates, "error, null, epoch");
	check_choice("on_error", task->on_error, on_error, "abort, skip_row, skip_file");
	check_choice("file_changed", task->file_changed, file_changed, "append, replace, ignore, error");
	check_choice("schema_drift", task->schema_drift, policies, "evolve, freeze, discard");
}

/* check_wrapper refuses what only tables of another wrapper have. */
static void
check_wrapper(const EtlTask *task, const EtlSource *source)
{
	static const struct
	{
		const char *reader;
		const char *fdw;
	} readers[] = {{"postgres", "postgres_fdw"}, {"mysql", "mysql_fdw"}, {"http", "etl_http"}, {"s3", "etl_s3"},
				   {"file", "etl_file"},		 {"kafka", "etl_kafka"}};
	const char *fdw = source->fdw ? source->fdw : "";
	const char *needed = NULL;

	for (int i = 0; task->reader && i < lengthof(readers); i++)
		if (strcmp(task->reader, readers[i].reader) == 0)
			needed = readers[i].fdw;
	if (needed && strcmp(fdw, needed) != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("reader \"%s\" cannot read source %s", task->reader, source->name),
						errdetail("It reads foreign tables of %s; this is %s.", needed,
								  source->fdw ? psprintf("one of %s", fdw) : "not a foreign table"),
						errhint("Leave reader out: the fastest one that can read the source is taken.")));
	if (task->zero_dates && strcmp(fdw, "mysql_fdw") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("zero_dates does not apply to source %s", source->name),
						errdetail("Only MySQL and MariaDB have dates such as 0000-00-00."), errhint("Leave it out.")));
}

/* etl_extract_check_options is called at definition time, with cursor and key already checked. */
void
etl_extract_check_options(const EtlTask *task, const EtlSource *source)
{
	check_choices(task);
	check_wrapper(task, source);
	etl_large_options_check(task, source);
	etl_deletes_check(task, source);
	etl_null_cursor_check_options(task);
}
