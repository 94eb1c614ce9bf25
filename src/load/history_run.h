/*
 * history_run.h
 *		One run of a load in mode scd2, for the files that share the work: stage, timeline, write.
 *
 * Temporary tables, each with _etl_k, the number of the key within the run:
 * versions	the rows that the query returned, one per key and time (no _etl_k)
 * gone		delete markers: key, _etl_time (may be NULL), _etl_batch (no _etl_k)
 * loaded	_etl_batch, _etl_loaded_at: when etl_ext got to know of them (no _etl_k)
 * keys		the touched keys: _etl_k, the key, _etl_v (there are versions of it)
 * old		the rows of the target with these keys: its columns, _etl_k, _etl_v, _etl_s (surrogate)
 * points	what begins or ends at a time _etl_t, see history_timeline.c; only where points have to be added
 * changes	what to write: _etl_op I, U or D, see history_timeline.c
 */
#ifndef ETL_HISTORY_RUN_H
#define ETL_HISTORY_RUN_H

#include "load/history.h"

typedef struct EtlHistoryTables
{
	char *versions;
	char *gone;
	char *loaded;
	char *keys;
	char *old;
	char *points;
	char *changes;
} EtlHistoryTables;

/* What the table of changes says. */
typedef struct EtlHistoryTally
{
	int64 inserted;
	int64 updated;
	int64 deleted;
	int64 closed;	 /* updates of a current row that ends now */
	int64 split;	 /* updates of an earlier row that ends earlier */
	int64 grown;	 /* updates of a row that begins earlier or ends later */
	int64 effective; /* versions that changed something */
} EtlHistoryTally;

typedef struct EtlHistoryRun
{
	EtlDelta *delta;
	const EtlPlan *plan; /* of the load */
	EtlPlan *stage;		 /* the same with the time as part of the key, and perhaps _etl_batch as a column */
	EtlDelta *versions;	 /* rows of stage */
	EtlHistoryTables table;
	char *moment;	  /* literal: the start of the run, in the type of valid_from */
	bool is_rebuild;  /* full refresh: of the rows of the target only their surrogates are kept */
	bool has_gone;	  /* there are delete markers */
	bool has_loaded;  /* table.loaded is filled */
	bool has_points;  /* table.points is filled; otherwise the points are part of the statement for changes */
	bool is_observed; /* each row of the raw table was seen in the source when it was loaded */
	bool is_compared; /* markers say when a row was found missing, not when it was deleted */
	int64 n_keys;
	int64 n_old;
	EtlHistoryTally tally;
} EtlHistoryRun;

/* The run of a delta with its names; nothing is executed. */
extern EtlHistoryRun *etl_history_prepare(EtlDelta *delta);

/* Fills versions, gone, loaded, keys and old. */
extern void etl_history_stage(EtlHistoryRun *run);

/* Lets joins with rows of the target use its indexes when it is much larger; returns the GUC level to give back. */
extern int etl_history_prefer_index(const EtlPlan *plan, int64 rows);

/* Statements that stage executes, for explain. */
extern char *etl_history_versions_query(const EtlHistoryRun *run);
extern char *etl_history_gone_statement(const EtlHistoryRun *run);
extern char *etl_history_loaded_statement(const EtlHistoryRun *run);
extern char *etl_history_keys_statement(const EtlHistoryRun *run);
extern char *etl_history_old_statement(const EtlHistoryRun *run);

/* Statements that make points and changes. */
extern char *etl_history_points_statement(const EtlHistoryRun *run);
extern char *etl_history_reopen_statement(const EtlHistoryRun *run);
extern char *etl_history_changes_statement(const EtlHistoryRun *run);

/* Statements that write keys low .. high of the changes. */
extern char *etl_history_delete_statement(const EtlHistoryRun *run, int64 low, int64 high);
extern char *etl_history_update_statement(const EtlHistoryRun *run, int64 low, int64 high);
extern char *etl_history_grow_statement(const EtlHistoryRun *run, int64 low, int64 high);
extern char *etl_history_insert_statement(const EtlHistoryRun *run, int64 low, int64 high);

/* Writes the changes; keys that the target refuses go to etl.quarantine and leave the changes. */
extern void etl_history_write(EtlHistoryRun *run);

/* "a.key = b.key AND ...". */
extern char *etl_history_same_key(const EtlPlan *plan, const char *left, const char *right);

/* The quoted name of the time column, or NULL. */
extern const char *etl_history_time(const EtlPlan *plan);

/* "::type" for values of the type of valid_from. */
extern char *etl_history_cast(const EtlPlan *plan);

#endif /* ETL_HISTORY_RUN_H */
