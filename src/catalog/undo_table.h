/*
 * undo_table.h
 *		The tables etl.undo_<task_id>, in which loads with keep_undo keep rows of their targets.
 *
 * Columns: _etl_run, _etl_task_run, _etl_image ('i': the key of a row that the run inserted, 'u': a row that it updated, as it was
 * before, 'd': one that it deleted), _etl_hash of the row after, then those of the target by name, all of them nullable. They belong to the extension's owner;
 * the task's owner may read, add and delete rows. They are members of the extension: no dump has them, DROP EXTENSION takes
 * them along.
 */
#ifndef ETL_UNDO_TABLE_H
#define ETL_UNDO_TABLE_H

#include "c.h"

/* Name of the table of a task, for SQL. */
extern char *etl_undo_table_name(int64 task_id);

/* The table, locked against being dropped until the end of the transaction; InvalidOid: there is none. */
extern Oid etl_undo_table_lock(int64 task_id);

/* Makes it. columns: ", name type" for each column of the target; types only, nothing that is evaluated. */
extern void etl_undo_table_create(int64 task_id, const char *columns, Oid role);

/* Lets a role use it, and no other. */
extern void etl_undo_table_grant(int64 task_id, Oid role);

/* Lets the planner know how many rows were kept. */
extern void etl_undo_table_analyze(int64 task_id);

/* Takes the table for oneself, if nobody uses it just now; true also when there is none. */
extern bool etl_undo_table_try(int64 task_id);

/* Drops it, if it is there. */
extern void etl_undo_table_drop(int64 task_id);

/* Deletes a portion of what was kept of a run and counts it; false: somebody has locked the table, nothing was done. */
extern bool etl_undo_table_purge(int64 task_id, int64 run_id, uint64 *deleted);

#endif /* ETL_UNDO_TABLE_H */
