/* task.h: the tables etl.task and etl.task_dependency. */
#ifndef ETL_TASK_H
#define ETL_TASK_H

#include "catalog/spi.h"
#include "dag/graph.h"

typedef struct EtlTaskList
{
	int n;
	EtlTask **task;
} EtlTaskList;

extern const char *etl_task_kind_name(EtlTaskKind kind);
extern EtlTask *etl_task_read(const EtlRow *row);
extern EtlTaskList etl_task_read_all(const EtlScope *scope, uint64 n);
extern EtlTask *etl_task_parse(Jsonb *definition);
extern EtlTask *etl_task_find(int64 pipeline_id, const char *name);
extern Jsonb *etl_task_definition(int64 task_id);
extern EtlTaskList etl_task_list(int64 pipeline_id);
extern int64 etl_task_insert(const EtlTask *task);
extern void etl_task_update(const EtlTask *task);
extern void etl_task_delete(int64 task_id);
extern void etl_task_forget_progress(int64 task_id);
extern bool etl_task_kept_key(const char *target, const EtlTask *reader, EtlNames *key);
extern EtlTask *etl_task_writer(const char *target);
extern char *etl_task_other_writer(int64 task_id, const char *target);
extern EtlNames etl_task_load_key(const char *target, char **surrogate_key);
extern EtlNames etl_task_raw_key(const char *target);
extern void etl_task_raw_deletes(const char *target, bool *is_observed, bool *is_compared);
extern void etl_task_replace_edges(int64 pipeline_id, const EtlTaskList *tasks, const EtlGraph *graph);

/* Column list that etl_task_read understands; r is a record of type etl.task. */
#define ETL_TASK_COLUMNS                                                                                               \
	"r.task_id, r.pipeline_id, r.name, r.kind, r.source, r.target, r.cursor_column, r.primary_key, r.lag, r.filter, "  \
	"r.columns, r.chunk_rows, r.chunk_interval, r.slices, r.snapshot_group, r.reader, r.null_cursor, r.zero_dates, "   \
	"r.on_error, r.file_changed, "                                                                                     \
	"r.deletes, r.delete_scope, coalesce(r.max_delete_pct, -1)::float8 AS max_delete_pct, r.schema_drift, "            \
	"coalesce(r.reconcile, false) AS reconcile, r.on_delete, r.update_columns, r.ignore_null_columns, r.track, "       \
	"r.surrogate_key, r.dimension_keys, r.incremental, r.read_window, r.event_time, r.late_window, r.late_policy, "    \
	"r.keep_undo, r.query, r.key, r.mode, r.order_by, r.command, "                                                     \
	"r.check_type, r.expression, r.warn, "                                                                             \
	"r.accepted_values, r.min_value, r.max_value, r.pattern, r.reference, r.reference_columns, r.source_filter, "      \
	"r.expected, coalesce(r.history, 0) AS history, coalesce(r.min_history, 0) AS min_history, "                       \
	"coalesce(r.same_weekday, false) AS same_weekday, coalesce(r.min_change, 0) AS min_change, r.action, r.stage, "    \
	"r.scope, coalesce(r.samples, -1) AS samples, "                                                                    \
	"r.fail, r.gate, r.depends_on, r.retry_delays, r.retry_on, coalesce(r.on_failure, 'fail') AS on_failure, "         \
	"r.timeout, coalesce(r.trigger_rule, 'all_success') AS "                                                           \
	"trigger_rule, "                                                                                                   \
	"coalesce(r.priority, 0) AS priority, r.pool, coalesce(r.pool_slots, 1) AS pool_slots, r.owner::oid AS owner, "    \
	"r.owner::text AS owner_name, "                                                                                    \
	"coalesce(r.tags, '{}') AS tags, r.description, coalesce(r.enabled, true) AS enabled, r.search_path, r.reads, "    \
	"r.writes"

#endif /* ETL_TASK_H */
