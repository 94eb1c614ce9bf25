/*
 * change.h
 *		What a run changes in its target, row by row, before anything is written. Pure: text from a plan.
 *
 * The delta is joined with the target once. Rows that stay as they are leave nothing behind; every other one becomes a
 * row of a temporary table with the values that the target will have, where its old version lies, and the old values of
 * the columns that somebody wants to know (aggregates that depend on the target, undo). Columns: those of the plan, and
 *
 *		_etl_op		"char"	what happens: see below
 *		_etl_tid	tid		the row of the target; NULL: none yet
 *		_etl_table	oid		the partition that it lies in
 *		_etl_o<n>			old value of column number n of the target
 */
#ifndef ETL_LOAD_CHANGE_H
#define ETL_LOAD_CHANGE_H

#include "access/attnum.h"
#include "load/plan.h"
#include "nodes/pg_list.h"

#define ETL_CHANGE_INSERT 'i'
#define ETL_CHANGE_UPDATE 'u'
#define ETL_CHANGE_MARK 'm' /* deleted in the source: noted in ETL_DELETED_AT */
#define ETL_CHANGE_DELETE 'd'
#define ETL_CHANGE_LATE 'l'	 /* would change the target, but its event time lies too far back */
#define ETL_CHANGE_STALE 's' /* older than the row of the target, by order_by: nothing happens */

typedef struct EtlChange
{
	const EtlPlan *plan;
	const char *table;	/* pg_temp.etl_change_<attempt> */
	const char *source; /* table of the delta */
	const char *lowest; /* range of the first key column in the delta as literals, or NULL */
	const char *highest;
	const char *partitions;	 /* more bounds for t, see partitions.h; or NULL */
	bool is_guarded;		 /* order_by protects newer rows */
	const char *gone;		 /* table of delete markers, or NULL */
	const char *late_before; /* literal before which the event time is late; NULL: no row is */
	Bitmapset *old;			 /* numbers of the target's columns whose old values are kept */
} EtlChange;

/* The statement that makes the table from the delta. */
extern char *etl_change_statement(const EtlChange *change);

/* The statement that adds rows of the target (alias t) that meet the condition; op: MARK or DELETE. */
extern char *etl_change_add(const EtlChange *change, char op, const char *from, const char *condition);

/* The condition that target t and delta d have the same key. */
extern char *etl_change_match(const EtlPlan *plan);

/* A query for one end of the range of the first key column; NULL: bounds would not help or are not exact. */
extern char *etl_change_bound(const EtlPlan *plan, const char *table, bool is_highest);

/* FROM items with the changed rows as they were, and as they are: the columns in change->old and of the key. */
extern char *etl_change_old_rows(const EtlChange *change);
extern char *etl_change_new_rows(const EtlChange *change);

#endif /* ETL_LOAD_CHANGE_H */
