-- Tasks. All definition calls are transactional. NULL means: the default.

CREATE FUNCTION etl.add_extract(
  pipeline text, name text, source text, target text,
  cursor_column text DEFAULT NULL, primary_key text[] DEFAULT NULL, lag interval DEFAULT NULL,
  filter text DEFAULT NULL, columns text[] DEFAULT NULL, deletes text DEFAULT NULL, on_failure text DEFAULT NULL,
  chunk_rows integer DEFAULT NULL, chunk_interval interval DEFAULT NULL, slices integer DEFAULT NULL,
  snapshot_group text DEFAULT NULL, delete_scope text DEFAULT NULL, max_delete_pct numeric DEFAULT NULL,
  schema_drift text DEFAULT NULL, reconcile boolean DEFAULT NULL, null_cursor text DEFAULT NULL,
  zero_dates text DEFAULT NULL, reader text DEFAULT NULL,
  on_error text DEFAULT NULL, file_changed text DEFAULT NULL,
  depends_on text[] DEFAULT NULL, retry_delays interval[] DEFAULT NULL, timeout interval DEFAULT NULL,
  trigger_rule text DEFAULT NULL, priority integer DEFAULT NULL, pool text DEFAULT NULL, pool_slots integer DEFAULT NULL,
  retry_on text[] DEFAULT NULL, owner text DEFAULT NULL,
  tags jsonb DEFAULT NULL, description text DEFAULT NULL, enabled boolean DEFAULT NULL)
RETURNS bigint LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_add_extract';
COMMENT ON FUNCTION etl.add_extract IS 'Adds a task that appends new rows of source (a foreign table, table or view) to the raw table target, which is created when missing. cursor_column: only rows at or above the watermark are read; lag: start that much below it; primary_key: lets the read be cut into chunks of chunk_rows rows, each committed by itself; deletes: none, column:<condition> or compare; schema_drift: evolve (default), freeze or discard; reconcile: compare count and key bounds with the source; on_error: what becomes of a record that is no row: abort, skip_row or skip_file; file_changed: what becomes of a file that has changed: append, replace, ignore or error.';

CREATE FUNCTION etl.add_load(
  pipeline text, name text, query text, target text,
  key text[] DEFAULT NULL, mode text DEFAULT NULL, order_by text DEFAULT NULL, on_delete text DEFAULT NULL,
  update_columns text[] DEFAULT NULL, ignore_null_columns text[] DEFAULT NULL,
  track text[] DEFAULT NULL, surrogate_key text DEFAULT NULL, dimension_keys jsonb DEFAULT NULL,
  event_time text DEFAULT NULL, late_window interval DEFAULT NULL, late_policy text DEFAULT NULL,
  incremental text DEFAULT NULL, read_window interval DEFAULT NULL, keep_undo interval DEFAULT NULL,
  depends_on text[] DEFAULT NULL, retry_delays interval[] DEFAULT NULL, timeout interval DEFAULT NULL,
  trigger_rule text DEFAULT NULL, priority integer DEFAULT NULL, pool text DEFAULT NULL, pool_slots integer DEFAULT NULL,
  retry_on text[] DEFAULT NULL, owner text DEFAULT NULL,
  tags jsonb DEFAULT NULL, description text DEFAULT NULL, enabled boolean DEFAULT NULL)
RETURNS bigint LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_add_load';
COMMENT ON FUNCTION etl.add_load IS 'Adds a task that loads the rows of query (one SELECT) into target, which is created when missing. mode: merge (default: insert new keys, update changed rows), insert_only (insert new keys), append, or replace. order_by: output columns that tell which version of a key is the latest. on_delete: what becomes of rows that the source has deleted: ignore (default), delete or mark. update_columns, ignore_null_columns: partial updates. event_time, late_window, late_policy: facts that come late. incremental: auto, required or full.';

CREATE FUNCTION etl.add_aggregate(
  pipeline text, name text, query text, target text, key text[],
  late_window interval DEFAULT NULL, event_time text DEFAULT NULL,
  incremental text DEFAULT NULL, keep_undo interval DEFAULT NULL,
  depends_on text[] DEFAULT NULL, retry_delays interval[] DEFAULT NULL, timeout interval DEFAULT NULL,
  trigger_rule text DEFAULT NULL, priority integer DEFAULT NULL, pool text DEFAULT NULL, pool_slots integer DEFAULT NULL,
  retry_on text[] DEFAULT NULL, owner text DEFAULT NULL,
  tags jsonb DEFAULT NULL, description text DEFAULT NULL, enabled boolean DEFAULT NULL)
RETURNS bigint LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_add_aggregate';
COMMENT ON FUNCTION etl.add_aggregate IS 'Adds a task that keeps target equal to query (one SELECT, usually with GROUP BY): changed groups are updated, new ones inserted, vanished ones deleted, unchanged ones not touched. Only groups that changes of its inputs touch are computed, where these can be followed. late_window with event_time: older groups stay as they are.';

CREATE FUNCTION etl.add_sql(
  pipeline text, name text, command text,
  depends_on text[] DEFAULT NULL, retry_delays interval[] DEFAULT NULL, timeout interval DEFAULT NULL,
  trigger_rule text DEFAULT NULL, priority integer DEFAULT NULL, pool text DEFAULT NULL, pool_slots integer DEFAULT NULL,
  retry_on text[] DEFAULT NULL, owner text DEFAULT NULL,
  tags jsonb DEFAULT NULL, description text DEFAULT NULL, enabled boolean DEFAULT NULL)
RETURNS bigint LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_add_sql';
COMMENT ON FUNCTION etl.add_sql IS 'Adds a task that executes any SQL statement or statements: in one transaction together with the task''s state, or, when one of them cannot run in a transaction block (VACUUM, CALL, ...), each in its own.';

CREATE FUNCTION etl.add_check(
  pipeline text, name text, target text, type text, columns text[] DEFAULT NULL,
  expression text DEFAULT NULL, filter text DEFAULT NULL,
  warn text DEFAULT NULL, fail text DEFAULT NULL, gate text DEFAULT NULL,
  accepted_values text[] DEFAULT NULL, min_value text DEFAULT NULL, max_value text DEFAULT NULL, pattern text DEFAULT NULL,
  reference text DEFAULT NULL, reference_columns text[] DEFAULT NULL, source text DEFAULT NULL, source_filter text DEFAULT NULL,
  expected jsonb DEFAULT NULL, history integer DEFAULT NULL, min_history integer DEFAULT NULL, same_weekday boolean DEFAULT NULL,
  min_change bigint DEFAULT NULL, action text DEFAULT NULL, stage text DEFAULT NULL, scope text DEFAULT NULL, samples integer DEFAULT NULL,
  query text DEFAULT NULL,
  depends_on text[] DEFAULT NULL, retry_delays interval[] DEFAULT NULL, timeout interval DEFAULT NULL,
  trigger_rule text DEFAULT NULL, priority integer DEFAULT NULL, pool text DEFAULT NULL, pool_slots integer DEFAULT NULL,
  retry_on text[] DEFAULT NULL, owner text DEFAULT NULL,
  tags jsonb DEFAULT NULL, description text DEFAULT NULL, enabled boolean DEFAULT NULL)
RETURNS bigint LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_add_check';
COMMENT ON FUNCTION etl.add_check IS 'Adds a quality check of target. type: row_count, row_count_variance, null_pct, freshness, duplicates, unique, accepted_values, range, regex, relationship, schema, reconciliation, distribution, anomaly, expression or query. warn and fail are thresholds with their unit (''0'', ''5%'', ''2 h''). gate => task evaluates it before that task commits; a failed gate rolls the task back. action: what becomes of a breach of fail: warn, fail, quarantine or gate. stage: source, raw, before_commit or after_commit. samples: rows at fault that are kept with a result.';

CREATE FUNCTION etl.alter_task(
  pipeline text, name text,
  source text DEFAULT NULL, target text DEFAULT NULL, cursor_column text DEFAULT NULL, primary_key text[] DEFAULT NULL,
  lag interval DEFAULT NULL, filter text DEFAULT NULL, columns text[] DEFAULT NULL, deletes text DEFAULT NULL,
  on_failure text DEFAULT NULL, chunk_rows integer DEFAULT NULL, chunk_interval interval DEFAULT NULL, slices integer DEFAULT NULL,
  snapshot_group text DEFAULT NULL, delete_scope text DEFAULT NULL, max_delete_pct numeric DEFAULT NULL,
  schema_drift text DEFAULT NULL, reconcile boolean DEFAULT NULL, null_cursor text DEFAULT NULL,
  zero_dates text DEFAULT NULL, reader text DEFAULT NULL,
  on_error text DEFAULT NULL, file_changed text DEFAULT NULL,
  query text DEFAULT NULL, key text[] DEFAULT NULL, mode text DEFAULT NULL, order_by text DEFAULT NULL, on_delete text DEFAULT NULL,
  update_columns text[] DEFAULT NULL, ignore_null_columns text[] DEFAULT NULL,
  track text[] DEFAULT NULL, surrogate_key text DEFAULT NULL, dimension_keys jsonb DEFAULT NULL,
  event_time text DEFAULT NULL, late_window interval DEFAULT NULL, late_policy text DEFAULT NULL,
  incremental text DEFAULT NULL, read_window interval DEFAULT NULL, keep_undo interval DEFAULT NULL,
  command text DEFAULT NULL, type text DEFAULT NULL, expression text DEFAULT NULL, warn text DEFAULT NULL,
  fail text DEFAULT NULL, gate text DEFAULT NULL,
  accepted_values text[] DEFAULT NULL, min_value text DEFAULT NULL, max_value text DEFAULT NULL, pattern text DEFAULT NULL,
  reference text DEFAULT NULL, reference_columns text[] DEFAULT NULL, source_filter text DEFAULT NULL,
  expected jsonb DEFAULT NULL, history integer DEFAULT NULL, min_history integer DEFAULT NULL, same_weekday boolean DEFAULT NULL,
  min_change bigint DEFAULT NULL, action text DEFAULT NULL, stage text DEFAULT NULL, scope text DEFAULT NULL, samples integer DEFAULT NULL,
  depends_on text[] DEFAULT NULL, retry_delays interval[] DEFAULT NULL,
  timeout interval DEFAULT NULL, trigger_rule text DEFAULT NULL, priority integer DEFAULT NULL, pool text DEFAULT NULL, pool_slots integer DEFAULT NULL,
  retry_on text[] DEFAULT NULL, owner text DEFAULT NULL,
  tags jsonb DEFAULT NULL, description text DEFAULT NULL, enabled boolean DEFAULT NULL,
  new_name text DEFAULT NULL, reset text[] DEFAULT NULL)
RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_alter_task';
COMMENT ON FUNCTION etl.alter_task IS 'Changes the named settings of a task, checked as when it was added; NULL leaves a setting alone, reset => ''{lag}'' sets it back to its default. Another source, target or cursor_column lets the task begin anew. Active runs keep the definition that they started with.';

CREATE FUNCTION etl.drop_task(pipeline text, name text)
RETURNS void LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'etl_drop_task';
COMMENT ON FUNCTION etl.drop_task IS 'Drops a task with its watermark and positions. Its tables stay. Refused (2BP01) while another task names it in depends_on or gate.';

CREATE FUNCTION etl.explain_task(pipeline text, task text)
RETURNS SETOF text LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'etl_explain_task';
COMMENT ON FUNCTION etl.explain_task IS 'The SQL that the next run of the task would execute, and its plan, line by line. Nothing is executed.';

CREATE FUNCTION etl.set_watermark(pipeline text, task text, value text, reason text DEFAULT NULL)
RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_set_watermark';
COMMENT ON FUNCTION etl.set_watermark IS 'Moves the watermark of an extract by hand: the next run starts at value (NULL: reads everything). Written to etl.watermark_history and etl.audit_log with the reason.';

CREATE FUNCTION etl.set_kafka_offset(pipeline text, task text, partition integer, next_offset bigint, reason text DEFAULT NULL)
RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_set_kafka_offset';
COMMENT ON FUNCTION etl.set_kafka_offset IS 'Moves the position of an extract in a partition of its Kafka topic by hand: the next run starts at next_offset (NULL: at the beginning of what the topic has). partition NULL with next_offset NULL forgets the positions of all partitions, so that the option start of the foreign table counts again. Written to etl.audit_log with the reason.';
