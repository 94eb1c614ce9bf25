/*
 * etl_ext.h
 *		The definitions that every module shares: a pipeline and a task as they stand in the catalog.
 *
 * Strings are palloc'd; NULL (or n = 0) means that the option was not given.
 */
#ifndef ETL_EXT_H
#define ETL_EXT_H

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

typedef enum EtlTaskKind
{
	ETL_TASK_EXTRACT,
	ETL_TASK_LOAD,
	ETL_TASK_AGGREGATE,
	ETL_TASK_SQL,
	ETL_TASK_CHECK
} EtlTaskKind;

/* A list of names, as in a text[] column. */
typedef struct EtlNames
{
	int n;
	char **name;
} EtlNames;

typedef struct EtlPipeline
{
	int64 pipeline_id;
	char *name;
	char *description;
	Oid owner; /* InvalidOid: the role is gone */
	char *owner_name;
	char *schedule;
	char *timezone;
	int max_parallel;
	char *on_overlap;
	Interval *run_timeout;
	char *deadline; /* '09:00' or '4 h'; see schedule/deadline.h */
	char *missed_run;
	bool atomic_publish; /* loads and aggregates of a run become visible at one commit */
	Jsonb *tags;
	bool paused;
} EtlPipeline;

typedef struct EtlTask
{
	int64 task_id;
	int64 pipeline_id;
	char *name;
	EtlTaskKind kind;

	/* extract */
	char *source; /* also check */
	char *target; /* also load, aggregate and check */
	char *cursor_column;
	EtlNames primary_key;
	Interval *lag;
	char *filter;	  /* also check */
	EtlNames columns; /* also check */
	int chunk_rows;	  /* 0: etl.chunk_rows */
	Interval *chunk_interval;
	int slices; /* 0: not given, 1 */
	char *snapshot_group;
	char *reader;		/* NULL or auto, query, postgres, mysql */
	char *null_cursor;	/* NULL or first_load, always, ignore, error */
	char *zero_dates;	/* NULL or error, null, epoch */
	char *on_error;		/* NULL or abort, skip_row, skip_file */
	char *file_changed; /* NULL or append, replace, ignore, error */
	char *deletes;		/* NULL or none, compare, column:<condition> */
	char *delete_scope;
	double max_delete_pct; /* -1: not given, 10 */
	char *schema_drift;	   /* NULL or evolve, freeze, discard */
	bool reconcile;

	/* load, aggregate */
	char *query; /* also check */
	EtlNames key;
	char *mode;
	char *order_by;
	char *on_delete; /* NULL or ignore, delete, mark */
	EtlNames update_columns;
	EtlNames ignore_null_columns;
	EtlNames track;
	char *surrogate_key;
	Jsonb *dimension_keys; /* {column: {"dimension", "by", "missing", "at"}} */
	char *incremental;	   /* NULL or auto, required, full */
	Interval *read_window;
	char *event_time;
	Interval *late_window;
	char *late_policy; /* NULL or quarantine, reject, accept */
	Interval *keep_undo;

	/* sql */
	char *command;

	/* check */
	char *check_type;
	char *expression;
	char *warn;
	char *fail;
	char *gate;
	EtlNames accepted_values;
	char *min_value;
	char *max_value;
	char *pattern;
	char *reference;
	EtlNames reference_columns;
	char *source_filter;
	Jsonb *expected; /* {column: type} */
	int history;	 /* 0: not given */
	int min_history; /* 0: not given */
	bool same_weekday;
	int64 min_change;
	char *action; /* NULL or warn, fail, quarantine, gate */
	char *stage;  /* NULL or source, raw, before_commit, after_commit */
	char *scope;  /* NULL or table, run */
	int samples;  /* -1: not given, 5 */

	/* all */
	EtlNames depends_on; /* name == NULL: everything is inferred */
	bool has_retry_delays;
	int n_retry_delays;
	Interval *retry_delays;
	EtlNames retry_on; /* name == NULL: the default classes */
	char *on_failure;
	Interval *timeout;
	char *trigger_rule;
	int priority;
	char *pool; /* NULL: none */
	int pool_slots;
	Oid owner; /* of the task or, if it has none, of its pipeline; InvalidOid: gone */
	char *owner_name;
	bool enabled;
	Jsonb *tags;
	char *description;
	char *search_path;
	EtlNames reads;
	EtlNames writes;
} EtlTask;

#endif /* ETL_EXT_H */
