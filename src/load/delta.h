/*
 * delta.h
 *		The rows of one run in a temporary table: with the types of the target, one row per key.
 */
#ifndef ETL_DELTA_H
#define ETL_DELTA_H

#include "load/images.h"
#include "load/plan.h"
#include "nodes/bitmapset.h"
#include "worker/attempt.h"

typedef struct EtlDelta
{
	EtlAttempt *attempt;
	const EtlPlan *plan;
	char *query;		 /* compiled SQL */
	char *table;		 /* pg_temp.etl_delta_<attempt> */
	char *gone;			 /* table of the delete markers, see markers.h; NULL: there are none, or they are ignored */
	const char *touched; /* table of keys: rows of the target with one of them and none in the delta go; NULL: none */
	bool knows_late;	 /* rows may be late: this is not the first load of the target */
	bool is_complete;	 /* rows of the target that the delta does not have go */
	int64 rows;			 /* in table */
	int64 read;			 /* rows that the query returned */
	char *before;		 /* statements that were executed before query, see resolve.h; or NULL */
	int64 set_aside;	 /* rows that the query returned and that are no longer in it */
	bool is_read_known;	 /* the number of rows that are read is known otherwise */
	bool images_are_needed; /* somebody wants to know what changes */
	Bitmapset *old;			/* numbers of the columns of the target whose old values somebody wants to know */
	List *temporary;		/* names of tables to drop in the end */
	EtlImages images;		/* of what was changed; set by etl_apply_run */
} EtlDelta;

/* A delta of this attempt from the rows of a query; nothing is executed. */
extern EtlDelta *etl_delta_make(EtlAttempt *attempt, const EtlPlan *plan, char *query);

/* Evaluates the query; rows that cannot be stored go to etl.quarantine. */
extern void etl_delta_fill(EtlDelta *delta);

/* The statement that fills the table. */
extern char *etl_delta_statement(const EtlPlan *plan, const char *query, const char *table);

/* Name of a temporary table of this attempt. */
extern char *etl_delta_name(const EtlAttempt *attempt, const char *kind);

/* The same for one that etl_delta_end drops. */
extern char *etl_delta_temporary(EtlDelta *delta, const char *kind);

/* Drops what is left of temporary tables. */
extern void etl_delta_end(EtlDelta *delta);

/* Creates a temporary table for rows of the plan; extra: more column definitions or "". */
extern void etl_delta_create(const EtlPlan *plan, const char *table, bool strict, const char *extra);

/* Drops a temporary table. */
extern void etl_delta_drop(const char *table);

/* The order that puts the latest version of each key first; source: alias of the rows, with a dot. */
extern char *etl_delta_order(const EtlPlan *plan, const char *source, bool is_cast);

/* A key column of the rows source as the target will see it. */
extern char *etl_delta_key(const EtlColumn *column, const char *source, bool is_cast);

/* "SELECT DISTINCT ON (key)" or "SELECT". */
extern char *etl_delta_select(const EtlPlan *plan, const char *source, bool is_cast);

/* Fills the delta row by row where needed. Called when filling it by one statement failed. */
extern void etl_salvage_fill(EtlDelta *delta);

#endif /* ETL_DELTA_H */
