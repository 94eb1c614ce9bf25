/*
 * undo.c
 *		Keeps what a run has changed. See undo.h.
 *
 * What was inserted or updated is read from the target itself where it has a key: triggers and defaults may have changed what
 * the load wrote. Its hash tells later whether somebody else has changed the row since.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/spi.h"
#include "catalog/undo_table.h"
#include "compat.h"
#include "load/undo.h"
#include "load/undo_columns.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"

/* need_table makes the table where rows are kept; one that was made for other columns goes, with what is in it. */
static void
need_table(const EtlTask *task, const EtlUndoColumns *columns)
{
	Oid table = etl_undo_table_lock(task->task_id);

	if (etl_compat_namespace_aclcheck(get_namespace_oid("etl", false), GetUserId(), ACL_USAGE) != ACLCHECK_OK)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("task \"%s\" cannot keep undo", task->name),
						errdetail("Its owner \"%s\" has no right to use schema etl, where the rows are kept.",
								  GetUserNameFromId(GetUserId(), false)),
						errhint("Run GRANT USAGE ON SCHEMA etl TO %s.",
								quote_identifier(GetUserNameFromId(GetUserId(), false)))));
	if (OidIsValid(table) && !etl_undo_columns_match(columns, table))
	{
		etl_undo_lose(task->task_id, psprintf("the columns of %s have changed", columns->target_name), true);
		etl_undo_table_drop(task->task_id);
		table = InvalidOid;
	}
	if (OidIsValid(table))
		etl_undo_table_grant(task->task_id, GetUserId());
	else
		etl_undo_table_create(task->task_id, etl_undo_columns_definitions(columns), GetUserId());
}

/* begin_insert begins an INSERT of images, up to the values of the columns of the target, which come from source. */
static StringInfo
begin_insert(const EtlAttempt *attempt, const EtlUndoColumns *columns, const char *image, const char *source,
			 bool only_key)
{
	StringInfo sql = makeStringInfo();

	appendStringInfo(sql, "INSERT INTO %s (_etl_run, _etl_task_run, _etl_image, _etl_hash, ",
					 etl_undo_table_name(attempt->task->task_id));
	etl_undo_columns_list(sql, columns, "", only_key);
	appendStringInfo(sql, ") SELECT " INT64_FORMAT ", " INT64_FORMAT ", %s, %s, ", attempt->run_id,
					 attempt->task_run_id, image, etl_undo_columns_hash(columns, columns->n_key > 0 ? "t" : source));
	etl_undo_columns_list(sql, columns, psprintf("%s.", source), only_key);
	return sql;
}

/* keep_old keeps the rows of before, with the hash of what has become of them. */
static int64
keep_old(const EtlAttempt *attempt, const EtlUndoColumns *columns, const char *rows)
{
	StringInfo sql;
	const char *key;

	if (rows == NULL)
		return 0;
	if (columns->n_key == 0)
	{
		sql = begin_insert(attempt, columns, "'d'", "o", false);
		appendStringInfo(sql, " FROM %s AS o", rows);
	}
	else
	{
		key = columns->column[columns->key[0]].quoted;
		sql = begin_insert(attempt, columns,
						   psprintf("CASE WHEN t.%s IS NULL THEN 'd' ELSE 'u' END::pg_catalog.\"char\"", key), "o",
						   false);
		appendStringInfo(sql, " FROM %s AS o LEFT JOIN %s AS t ON %s", rows, columns->target_name,
						 etl_undo_columns_same_key(columns, "t", "o"));
	}
	return (int64) etl_sql_exec(sql->data, SPI_OK_INSERT);
}

/* keep_new keeps the keys of the rows that were not there before, or whole rows where there is no key. */
static int64
keep_new(const EtlAttempt *attempt, const EtlUndoColumns *columns, const EtlImages *images)
{
	StringInfo sql;

	if (images->new_rows == NULL)
		return 0;
	sql = begin_insert(attempt, columns, "'i'", "t", columns->n_key > 0);
	if (columns->n_key == 0)
		appendStringInfo(sql, " FROM %s AS t", images->new_rows);
	else
	{
		appendStringInfo(sql, " FROM %s AS t WHERE EXISTS (SELECT 1 FROM %s AS n WHERE %s)", columns->target_name,
						 images->new_rows, etl_undo_columns_same_key(columns, "t", "n"));
		if (images->old_rows != NULL)
			appendStringInfo(sql, " AND NOT EXISTS (SELECT 1 FROM %s AS o WHERE %s)", images->old_rows,
							 etl_undo_columns_same_key(columns, "t", "o"));
	}
	return (int64) etl_sql_exec(sql->data, SPI_OK_INSERT);
}

/* etl_undo_keep keeps both. */
void
etl_undo_keep(EtlAttempt *attempt, Oid target, const EtlNames *key, const EtlImages *images)
{
	EtlUndoColumns *columns;
	int64 n_old;
	int64 n_new;
	int level;

	if (attempt->task->keep_undo == NULL || (images->old_rows == NULL && images->new_rows == NULL))
		return;
	columns = etl_undo_columns_read(target, key);
	need_table(attempt->task, columns);
	level = etl_undo_columns_pin();
	n_old = keep_old(attempt, columns, images->old_rows);
	n_new = keep_new(attempt, columns, images);
	AtEOXact_GUC(true, level);
	etl_undo_kept(attempt, target, key, n_old, n_new);
}
