/*
 * undo_restore.c
 *		Puts a target back to what it was before a run. See undo.h.
 *
 * Every statement that changes the target compares the hash of the row with that of the row that the run left behind, so that a
 * row that somebody changes at the same moment is not lost: the counts then do not add up, and everything is undone.
 */
#include "postgres.h"

#include "catalog/spi.h"
#include "catalog/undo_table.h"
#include "load/dml.h"
#include "load/undo.h"
#include "load/undo_columns.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

typedef struct Restore
{
	const EtlUndo *undo;
	const EtlUndoColumns *columns;
	const char *inserted; /* FROM items with the images of one attempt, alias u */
	const char *updated;
	const char *deleted;
	EtlUndoResult *result;
} Restore;

/* images returns a FROM item with the images of one kind, of one attempt. */
static char *
images(int64 task_id, int64 run_id, const char *task_run_id, char image)
{
	return psprintf("(SELECT * FROM %s WHERE _etl_run = " INT64_FORMAT
					" AND _etl_task_run = %s AND _etl_image = '%c') AS u",
					etl_undo_table_name(task_id), run_id, task_run_id, image);
}

/* count counts the rows of a FROM item. */
static int64
count(const char *rows)
{
	int64 n = 0;

	(void) etl_sql_int64(psprintf("SELECT pg_catalog.count(*) FROM %s", rows), &n);
	return n;
}

/*
 * same_row returns the condition that row t of the target is the one that the run left behind. The hash is compared by the
 * function, because the planner would take equality with it for something that hardly any row meets.
 */
static char *
same_row(const Restore *restore)
{
	return psprintf("%s AND pg_catalog.int8eq(%s, u._etl_hash)", etl_undo_columns_same_key(restore->columns, "t", "u"),
					etl_undo_columns_hash(restore->columns, "t"));
}

/* refuse raises the error of a row that is not as the run left it. */
static void
refuse(const Restore *restore, const char *row, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("target %s cannot be put back: it was changed since the run", restore->columns->target_name),
			 row == NULL				   ? errdetail("%s", what)
			 : restore->columns->n_key > 0 ? errdetail("The row with key %s %s.", row, what)
										   : errdetail("The row %s %s.", row, what),
			 errhint("Take back what has changed the row first: a later run with etl.rollback_run, other changes by"
					 " hand.")));
}

/* refuse_if raises that error for a row of a query, if there is one. */
static void
refuse_if(const Restore *restore, const char *query, const char *what)
{
	char *row = etl_sql_text(query);

	if (row != NULL)
		refuse(restore, row, what);
}

/* first_key returns an expression for people: the first key, as text. An aggregate, so that the planner does not go row by row. */
static char *
first_key(const Restore *restore)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "pg_catalog.min(ROW(");
	etl_undo_columns_list(&sql, restore->columns, "u.", true);
	appendStringInfoString(&sql, ")::pg_catalog.text)");
	return sql.data;
}

/* check_changed refuses rows that are not as the run left them. */
static void
check_changed(const Restore *restore, const char *rows)
{
	const EtlUndoColumns *columns = restore->columns;

	refuse_if(
		restore,
		psprintf(
			"SELECT %s FROM %s LEFT JOIN %s AS t ON %s WHERE t.%s IS NULL OR NOT pg_catalog.int8eq(%s, u._etl_hash)",
			first_key(restore), rows, columns->target_name, etl_undo_columns_same_key(columns, "t", "u"),
			columns->column[columns->key[0]].quoted, etl_undo_columns_hash(columns, "t")),
		"is not as the run left it");
}

/* check_keyed compares the target with what the run left behind. */
static void
check_keyed(const Restore *restore)
{
	check_changed(restore, restore->updated);
	check_changed(restore, restore->inserted);
	refuse_if(restore,
			  psprintf("SELECT %s FROM %s JOIN %s AS t ON %s", first_key(restore), restore->deleted,
					   restore->columns->target_name, etl_undo_columns_same_key(restore->columns, "t", "u")),
			  "was deleted by the run and is there again");
}

/* delete_statement deletes the rows that the run had inserted. */
static char *
delete_statement(const Restore *restore)
{
	return psprintf("DELETE FROM %s AS t USING %s WHERE %s", restore->columns->target_name, restore->inserted,
					same_row(restore));
}

/* update_statement gives the rows that the run had changed their old values; NULL: there is nothing that can change. */
static char *
update_statement(const Restore *restore)
{
	const EtlUndoColumns *columns = restore->columns;
	StringInfoData set;

	initStringInfo(&set);
	for (int i = 0; i < columns->n; i++)
		if (!columns->column[i].is_key && !columns->column[i].is_identity)
			appendStringInfo(&set, "%s%s = u.%s", set.len > 0 ? ", " : "", columns->column[i].quoted,
							 columns->column[i].quoted);
	if (set.len == 0)
		return NULL;
	return psprintf("UPDATE %s AS t SET %s FROM %s WHERE %s", columns->target_name, set.data, restore->updated,
					same_row(restore));
}

/* insert_statement brings rows back that the run had deleted. */
static char *
insert_statement(const Restore *restore)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s (", restore->columns->target_name);
	etl_undo_columns_list(&sql, restore->columns, "", false);
	appendStringInfoString(&sql, ") OVERRIDING SYSTEM VALUE SELECT ");
	etl_undo_columns_list(&sql, restore->columns, "u.", false);
	appendStringInfo(&sql, " FROM %s", restore->deleted);
	return sql.data;
}

/* expect raises an error when a statement has not changed as many rows as it had to. */
static void
expect(const Restore *restore, int64 expected, int64 done)
{
	if (done != expected)
		refuse(restore, NULL,
			   psprintf(INT64_FORMAT " rows were to be put back, but only " INT64_FORMAT
									 " could be: others are being changed just now, or a trigger has kept them.",
						expected, done));
}

/*
 * restore_keyed removes what the run inserted, then changes what it changed, then brings back what it deleted: a value that must
 * be unique is free again before it is needed.
 */
static void
restore_keyed(const Restore *restore, bool dry_run)
{
	int64 inserted = count(restore->inserted);
	int64 updated = count(restore->updated);
	int64 deleted = count(restore->deleted);

	restore->result->restored += updated + deleted;
	restore->result->removed += inserted;
	if (dry_run)
		return;
	if (inserted > 0)
		expect(restore, inserted, etl_dml_run(delete_statement(restore)).deleted);
	if (updated > 0 && update_statement(restore) != NULL)
		expect(restore, updated, etl_dml_run(update_statement(restore)).updated);
	if (deleted > 0)
		expect(restore, deleted, etl_dml_run(insert_statement(restore)).inserted);
}

/* candidates returns a subquery of rows of the target that may be among the new ones, with their text as image. */
static char *
candidates(const Restore *restore, const char *columns)
{
	return psprintf("(SELECT %s%s AS image FROM %s AS t WHERE %s IN (SELECT u._etl_hash FROM %s))", columns,
					etl_undo_columns_text(restore->columns, "t"), restore->columns->target_name,
					etl_undo_columns_hash(restore->columns, "t"), restore->inserted);
}

/* groups returns a subquery of the new rows without duplicates: image and how often it is there. */
static char *
groups(const Restore *restore)
{
	return psprintf("(SELECT %s AS image, pg_catalog.count(*) AS copies FROM %s GROUP BY 1) AS g",
					etl_undo_columns_text(restore->columns, "u"), restore->inserted);
}

/* check_whole compares the target with what the run left behind: each row must be there at least as often. */
static void
check_whole(const Restore *restore)
{
	refuse_if(
		restore,
		psprintf(
			"SELECT g.image FROM %s LEFT JOIN (SELECT x.image, pg_catalog.count(*) AS copies FROM %s AS x GROUP BY 1)"
			" AS h ON h.image = g.image WHERE coalesce(h.copies, 0) < g.copies",
			groups(restore), candidates(restore, "")),
		"is not there any more as the run left it");
}

/* restore_whole removes as many copies of each new row as the run has written, and brings the old rows back. */
static void
restore_whole(const Restore *restore, bool dry_run)
{
	int64 inserted = count(restore->inserted);
	int64 deleted = count(restore->deleted);

	restore->result->restored += deleted;
	restore->result->removed += inserted;
	if (dry_run)
		return;
	if (inserted > 0)
		expect(restore, inserted,
			   etl_dml_run(
				   psprintf("DELETE FROM %s AS t USING (SELECT x.relation, x.place FROM (SELECT y.*,"
							" pg_catalog.row_number() OVER (PARTITION BY y.image) AS copy FROM %s AS y) AS x JOIN %s"
							" ON g.image = x.image WHERE x.copy <= g.copies) AS d"
							" WHERE t.tableoid = d.relation AND t.ctid = d.place",
							restore->columns->target_name,
							candidates(restore, "t.tableoid AS relation, t.ctid AS place, "), groups(restore)))
				   .deleted);
	if (deleted > 0)
		expect(restore, deleted, etl_dml_run(insert_statement(restore)).inserted);
}

/* restore_attempt puts back what one attempt has done. */
static void
restore_attempt(const Restore *restore, bool check, bool dry_run)
{
	bool is_keyed = restore->columns->n_key > 0;

	if (check && is_keyed)
		check_keyed(restore);
	else if (check)
		check_whole(restore);
	if (is_keyed)
		restore_keyed(restore, dry_run);
	else
		restore_whole(restore, dry_run);
}

/* etl_undo_restore goes through the attempts of the run that have kept something, the last one first. */
EtlUndoResult
etl_undo_restore(const EtlUndo *undo, int64 run_id, bool dry_run)
{
	char *table = etl_undo_table_name(undo->task_id);
	EtlUndoResult result = {0, 0};
	Restore restore = {.undo = undo, .columns = etl_undo_columns_read(undo->relation, &undo->key), .result = &result};
	int level = etl_undo_columns_pin();
	char *attempt = "9223372036854775807";
	bool is_last = true;

	while ((attempt = etl_sql_text(psprintf(
				"SELECT pg_catalog.max(_etl_task_run) FROM %s WHERE _etl_run = " INT64_FORMAT " AND _etl_task_run < %s",
				table, run_id, attempt))) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		restore.inserted = images(undo->task_id, run_id, attempt, 'i');
		restore.updated = images(undo->task_id, run_id, attempt, 'u');
		restore.deleted = images(undo->task_id, run_id, attempt, 'd');
		/* What earlier attempts have left shows only when the later ones are taken back. */
		restore_attempt(&restore, is_last || !dry_run, dry_run);
		is_last = false;
	}
	if (!dry_run)
		(void) etl_sql_exec(psprintf("DELETE FROM %s WHERE _etl_run = " INT64_FORMAT, table, run_id), SPI_OK_DELETE);
	AtEOXact_GUC(true, level);
	return result;
}

/* etl_undo_mismatch looks at the target and at what was kept, as they are now. */
const char *
etl_undo_mismatch(const EtlUndo *undo)
{
	Oid table;

	if (!OidIsValid(undo->relation))
		return NULL;
	if (get_rel_name(undo->relation) == NULL)
		return "the target was dropped";
	table = etl_undo_table_lock(undo->task_id);
	if (!OidIsValid(table) || !etl_undo_columns_match(etl_undo_columns_read(undo->relation, NULL), table))
		return psprintf("the columns of %s have changed", undo->target);
	return NULL;
}
