/*
 * define.c
 *		What is checked when an extract from files is defined, explained or opened. See define.h.
 */
#include "postgres.h"

#include "api/problem.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type_d.h"
#include "file/define.h"
#include "file/feed.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

/* etl_file_define_check_role looks at a predefined role. */
void
etl_file_define_check_role(Oid role)
{
	if (has_privs_of_role(role, ROLE_PG_READ_SERVER_FILES))
		return;
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied to read files of this server"),
					errdetail("Role \"%s\" is not a member of pg_read_server_files.", GetUserNameFromId(role, false)),
					errhint("GRANT pg_read_server_files TO %s;", quote_identifier(GetUserNameFromId(role, false)))));
}

/* check_own refuses types that the columns of the feed cannot have. */
static void
check_own(const EtlSource *source, int i, Oid type)
{
	const EtlColumn *column = etl_relation_column(source, etl_file_own[i]);

	if (column && column->type != type)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
				 errmsg("column \"%s\" of %s has type %s", column->name, source->name, format_type_be(column->type)),
				 errdetail("It is filled in by etl_ext."),
				 errhint("ALTER FOREIGN TABLE %s ALTER COLUMN %s TYPE %s;", source->name, column->name,
						 format_type_be(type))));
}

/* etl_file_define_check_columns knows their types. */
void
etl_file_define_check_columns(const EtlSource *source)
{
	check_own(source, ETL_FILE_OWN_FILE, TEXTOID);
	check_own(source, ETL_FILE_OWN_LINE, INT8OID);
	check_own(source, ETL_FILE_OWN_MODIFIED, TIMESTAMPTZOID);
	check_own(source, ETL_FILE_OWN_SIZE, INT8OID);
}

/* check_replace wants to know which rows are those of a file, and which markers are its own. */
static void
check_replace(const EtlTask *task, const EtlSource *source)
{
	if (task->file_changed == NULL || strcmp(task->file_changed, "replace") != 0)
		return;
	if (task->deletes && strcmp(task->deletes, "none") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("file_changed => 'replace' and deletes exclude each other"),
						errdetail("Rows up to the last delete marker of a file count as those of its old versions."),
						errhint("Leave one of them out.")));
	if (etl_relation_column(source, "_file") == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("file_changed => 'replace' needs the column _file of source %s", source->name),
						errdetail("The rows of the old version are found by it."),
						errhint("ALTER FOREIGN TABLE %s ADD COLUMN _file text;", source->name)));
}

/* etl_s3_define_check looks at the task. */
void
etl_s3_define_check(EtlTask *task, const EtlSource *source)
{
	etl_file_define_check_columns(source);
	check_replace(task, source);
}

/* etl_file_define_check looks at the role, too. */
void
etl_file_define_check(EtlTask *task, const EtlSource *source)
{
	etl_file_define_check_role(GetUserId());
	etl_s3_define_check(task, source);
}

/* explain describes what would be listed. */
static List *
explain(const EtlFeedRequest *request, const EtlStoreRoutine *routine)
{
	EtlFileOptions *options = etl_file_options(request->source, request->user);
	EtlStore *store = routine->make(request, options);
	List *lines;
	int64 count[3];

	store->routine = routine;
	store->options = options;
	lines = list_make1(psprintf("-- %s, as %s", routine->describe(store), options->is_csv ? "CSV" : "NDJSON"));
	if (request->task == NULL)
		return lines;
	etl_file_ledger_count(request->task->task_id, count);
	return lappend(lines, psprintf("-- etl.file_ledger: " INT64_FORMAT " files loaded, " INT64_FORMAT
								   " begun, " INT64_FORMAT " skipped; the others are read",
								   count[1], count[0], count[2]));
}

/* etl_s3_define_explain asks nobody. */
List *
etl_s3_define_explain(const EtlFeedRequest *request)
{
	return explain(request, &etl_bucket_store);
}

/* etl_file_define_explain makes sure that the directory is there. */
List *
etl_file_define_explain(const EtlFeedRequest *request)
{
	etl_file_define_check_role(request->user);
	return explain(request, &etl_disk_store);
}

/* etl_s3_define_problems looks for keys. */
List *
etl_s3_define_problems(const EtlFeedRequest *request)
{
	EtlFileOptions *options = etl_file_options(request->source, request->user);
	const char *role = quote_identifier(GetUserNameFromId(request->user, false));
	const char *server = quote_identifier(request->source->server_name);

	if (options->mapping != NIL)
		return NIL;
	return etl_problem_add(
		NIL, false,
		psprintf("Role %s has no user mapping for server %s: requests are not signed, which only public"
				 " buckets allow.",
				 role, server),
		psprintf("CREATE USER MAPPING FOR %s SERVER %s OPTIONS (access_key_id '...', secret_access_key '...');", role,
				 server));
}

/* etl_file_define_problems raises them. */
List *
etl_file_define_problems(const EtlFeedRequest *request)
{
	(void) etl_file_define_explain(request);
	return NIL;
}
