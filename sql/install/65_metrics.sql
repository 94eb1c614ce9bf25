-- Numbers for monitoring: views with plain columns, and all of them as text in the format of OpenMetrics. None reads the
-- whole history: sums are kept by etl.cost_total and etl.run_count, the latest row of each subject is found by an index.

CREATE VIEW etl.metric_run WITH (security_invoker = true) AS
SELECT p.name AS pipeline, u.state, sum(u.runs)::bigint AS runs, round(sum(u.duration_ms) / 1000.0, 3) AS duration_s
FROM (SELECT c.pipeline_id, c.state, c.runs, c.duration_ms FROM etl.run_count AS c
      UNION ALL
      SELECT r.pipeline_id, r.state, 1, coalesce(extract(epoch FROM r.ended_at - r.started_at) * 1000, 0)
      FROM etl.run AS r WHERE NOT r.counted AND r.state NOT IN ('queued', 'running')) AS u
JOIN etl.pipeline AS p ON p.pipeline_id = u.pipeline_id
GROUP BY p.name, u.state;
COMMENT ON VIEW etl.metric_run IS 'One row per pipeline and last state of runs: how many have ended so since the extension was created, and how long they took together.';
COMMENT ON COLUMN etl.metric_run.pipeline IS 'Name of the pipeline.';
COMMENT ON COLUMN etl.metric_run.state IS 'success, warning, failed, cancelled or skipped.';
COMMENT ON COLUMN etl.metric_run.runs IS 'Counter: runs that have ended in the state.';
COMMENT ON COLUMN etl.metric_run.duration_s IS 'Counter: seconds that they took together.';

CREATE VIEW etl.metric_pipeline WITH (security_invoker = true) AS
SELECT p.name AS pipeline, p.paused::integer AS paused,
       (SELECT count(*) FROM etl.run AS r WHERE r.pipeline_id = p.pipeline_id AND r.state = 'queued') AS runs_queued,
       (SELECT count(*) FROM etl.run AS r WHERE r.pipeline_id = p.pipeline_id AND r.state = 'running') AS runs_running,
       l.state AS last_state, round(extract(epoch FROM l.ended_at - l.started_at), 3) AS last_duration_s,
       round(extract(epoch FROM l.ended_at), 3) AS last_end_s,
       round(extract(epoch FROM s.ended_at), 3) AS last_success_s,
       round(extract(epoch FROM clock_timestamp() - s.ended_at), 3) AS last_success_age_s
FROM etl.pipeline AS p
LEFT JOIN LATERAL (
  SELECT r.state, r.started_at, r.ended_at FROM etl.run AS r
  WHERE r.pipeline_id = p.pipeline_id AND r.ended_at IS NOT NULL AND r.state <> 'skipped'
  ORDER BY r.run_id DESC LIMIT 1) AS l ON true
LEFT JOIN LATERAL (
  SELECT r.ended_at FROM etl.run AS r
  WHERE r.pipeline_id = p.pipeline_id AND r.state IN ('success', 'warning') AND r.backfill_id IS NULL
  ORDER BY r.logical_time DESC LIMIT 1) AS s ON true;
COMMENT ON VIEW etl.metric_pipeline IS 'One row per pipeline: its active runs, and its last one.';
COMMENT ON COLUMN etl.metric_pipeline.pipeline IS 'Name of the pipeline.';
COMMENT ON COLUMN etl.metric_pipeline.paused IS 'Gauge: 1 while it is paused.';
COMMENT ON COLUMN etl.metric_pipeline.runs_queued IS 'Gauge: runs that wait.';
COMMENT ON COLUMN etl.metric_pipeline.runs_running IS 'Gauge: runs at work.';
COMMENT ON COLUMN etl.metric_pipeline.last_state IS 'State of the last run that has ended and was not skipped.';
COMMENT ON COLUMN etl.metric_pipeline.last_duration_s IS 'Gauge: seconds that it took.';
COMMENT ON COLUMN etl.metric_pipeline.last_end_s IS 'Gauge: when it ended, in seconds since 1970.';
COMMENT ON COLUMN etl.metric_pipeline.last_success_s IS 'Gauge: when the run with the latest logical time that ended as success or warning did so, in seconds since 1970; backfills do not count.';
COMMENT ON COLUMN etl.metric_pipeline.last_success_age_s IS 'Gauge: seconds since then.';

CREATE VIEW etl.metric_task WITH (security_invoker = true) AS
SELECT p.name AS pipeline, t.name AS task, t.kind, coalesce(u.attempts, 0) AS attempts, coalesce(u.failed, 0) AS failed,
       coalesce(u.retries, 0) AS retries, coalesce(round(u.wall_ms / 1000.0, 3), 0) AS duration_s,
       coalesce(round(u.cpu_ms / 1000.0, 3), 0) AS cpu_s, coalesce(u.rows_read, 0) AS rows_read,
       coalesce(u.rows_written, 0) AS rows_written, coalesce(u.rows_rejected, 0) AS rows_rejected,
       coalesce(u.bytes_read, 0) AS bytes_read, coalesce(u.wal_bytes, 0) AS wal_bytes, coalesce(u.temp_bytes, 0) AS temp_bytes,
       l.state AS last_state, round(extract(epoch FROM l.ended_at - l.started_at), 3) AS last_duration_s
FROM etl.task AS t
JOIN etl.pipeline AS p ON p.pipeline_id = t.pipeline_id
LEFT JOIN (
  SELECT a.task_id, sum(a.attempts)::bigint AS attempts, sum(a.failed)::bigint AS failed, sum(a.retries)::bigint AS retries,
         sum(a.wall_ms)::bigint AS wall_ms, sum(a.cpu_ms)::bigint AS cpu_ms, sum(a.rows_read)::bigint AS rows_read,
         sum(a.rows_written)::bigint AS rows_written, sum(a.rows_rejected)::bigint AS rows_rejected,
         sum(a.bytes_read)::bigint AS bytes_read, sum(a.wal_bytes)::bigint AS wal_bytes, sum(a.temp_bytes)::bigint AS temp_bytes
  FROM (SELECT d.task_id, d.attempts, d.failed, d.retries, d.wall_ms, d.cpu_ms, d.rows_read, d.rows_written, d.rows_rejected,
               d.bytes_read, d.wal_bytes, d.temp_bytes
        FROM etl.cost_total AS d
        UNION ALL
        SELECT n.task_id, 1, n.failed, n.retries, n.wall_ms, n.cpu_ms, n.rows_read, n.rows_written, n.rows_rejected,
               n.bytes_read, n.wal_bytes, n.temp_bytes
        FROM etl.cost_uncounted AS n) AS a
  GROUP BY a.task_id) AS u ON u.task_id = t.task_id
LEFT JOIN LATERAL (
  SELECT x.state, x.started_at, x.ended_at FROM etl.task_run AS x
  WHERE x.task_id = t.task_id AND x.started_at IS NOT NULL AND x.ended_at IS NOT NULL
  ORDER BY x.task_run_id DESC LIMIT 1) AS l ON true;
COMMENT ON VIEW etl.metric_task IS 'One row per task: what its attempts that have ended have done since it was added, and its last one.';
COMMENT ON COLUMN etl.metric_task.pipeline IS 'Name of the pipeline.';
COMMENT ON COLUMN etl.metric_task.task IS 'Name of the task.';
COMMENT ON COLUMN etl.metric_task.kind IS 'Kind of the task.';
COMMENT ON COLUMN etl.metric_task.attempts IS 'Counter: attempts.';
COMMENT ON COLUMN etl.metric_task.failed IS 'Counter: attempts that failed.';
COMMENT ON COLUMN etl.metric_task.retries IS 'Counter: attempts that were not the first one in their run.';
COMMENT ON COLUMN etl.metric_task.duration_s IS 'Counter: seconds at work.';
COMMENT ON COLUMN etl.metric_task.cpu_s IS 'Counter: seconds of CPU time.';
COMMENT ON COLUMN etl.metric_task.rows_read IS 'Counter: rows read.';
COMMENT ON COLUMN etl.metric_task.rows_written IS 'Counter: rows inserted, updated and deleted.';
COMMENT ON COLUMN etl.metric_task.rows_rejected IS 'Counter: rows that went to etl.quarantine.';
COMMENT ON COLUMN etl.metric_task.bytes_read IS 'Counter: bytes of the rows that an extract stored.';
COMMENT ON COLUMN etl.metric_task.wal_bytes IS 'Counter: bytes of WAL.';
COMMENT ON COLUMN etl.metric_task.temp_bytes IS 'Counter: bytes of temporary files and tables.';
COMMENT ON COLUMN etl.metric_task.last_state IS 'State of the last attempt that has ended.';
COMMENT ON COLUMN etl.metric_task.last_duration_s IS 'Gauge: seconds that it took.';

CREATE VIEW etl.metric_freshness WITH (security_invoker = true) AS
SELECT f.pipeline, f.task, f.target, round(extract(epoch FROM f.last_success_at), 3) AS last_success_s,
       round(extract(epoch FROM clock_timestamp() - f.last_success_at), 3) AS age_s, f.stale::integer AS stale,
       round(extract(epoch FROM clock_timestamp() - m.at), 3) AS watermark_age_s
FROM etl.freshness AS f
-- etl.freshness also shows tables of pipelines that the caller does not see but may read.
JOIN etl.pipeline AS seen ON seen.name = f.pipeline
LEFT JOIN LATERAL (
  SELECT CASE WHEN w.type = 'timestamptz'::regtype THEN w.value::timestamptz
              ELSE w.value::timestamp AT TIME ZONE 'UTC' END AS at
  FROM etl.watermark AS w
  JOIN etl.task AS t ON t.task_id = w.task_id
  JOIN etl.pipeline AS p ON p.pipeline_id = t.pipeline_id
  WHERE t.name = f.task AND p.name = f.pipeline AND w.value NOT IN ('infinity', '-infinity')
    AND w.type IN ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype)) AS m ON true;
COMMENT ON VIEW etl.metric_freshness IS 'One row per table that a pipeline keeps: how old it is.';
COMMENT ON COLUMN etl.metric_freshness.pipeline IS 'Name of the pipeline.';
COMMENT ON COLUMN etl.metric_freshness.task IS 'Name of the task.';
COMMENT ON COLUMN etl.metric_freshness.target IS 'The table.';
COMMENT ON COLUMN etl.metric_freshness.last_success_s IS 'Gauge: when it was last brought up to date, in seconds since 1970.';
COMMENT ON COLUMN etl.metric_freshness.age_s IS 'Gauge: seconds since then.';
COMMENT ON COLUMN etl.metric_freshness.stale IS 'Gauge: 1 when the latest attempt did not bring it up to date.';
COMMENT ON COLUMN etl.metric_freshness.watermark_age_s IS 'Gauge: seconds since the watermark of an extract, where its cursor is a time (without a zone: taken as UTC).';

CREATE VIEW etl.metric_check WITH (security_invoker = true) AS
SELECT p.name AS pipeline, t.name AS "check", t.target, t.check_type, c.state,
       CASE c.state WHEN 'pass' THEN 0 WHEN 'warn' THEN 1 WHEN 'fail' THEN 2 WHEN 'error' THEN 3 ELSE -1 END AS status,
       c.measured, c.unit, round(extract(epoch FROM c.checked_at), 3) AS checked_s
FROM etl.task AS t
JOIN etl.pipeline AS p ON p.pipeline_id = t.pipeline_id
CROSS JOIN LATERAL (
  SELECT r.state, r.measured, r.unit, r.checked_at FROM etl.check_result AS r
  WHERE r.task_id = t.task_id ORDER BY r.check_result_id DESC LIMIT 1) AS c
WHERE t.kind = 'check';
COMMENT ON VIEW etl.metric_check IS 'One row per check that was evaluated: its latest result.';
COMMENT ON COLUMN etl.metric_check.pipeline IS 'Name of the pipeline.';
COMMENT ON COLUMN etl.metric_check."check" IS 'Name of the check.';
COMMENT ON COLUMN etl.metric_check.target IS 'Table that was checked.';
COMMENT ON COLUMN etl.metric_check.check_type IS 'Type of the check.';
COMMENT ON COLUMN etl.metric_check.state IS 'pass, warn, fail, error or not_evaluated.';
COMMENT ON COLUMN etl.metric_check.status IS 'Gauge: the state as a number: 0 pass, 1 warn, 2 fail, 3 error, -1 not_evaluated.';
COMMENT ON COLUMN etl.metric_check.measured IS 'Gauge: measured value in unit.';
COMMENT ON COLUMN etl.metric_check.unit IS 'Unit of the measured value.';
COMMENT ON COLUMN etl.metric_check.checked_s IS 'Gauge: when it was evaluated, in seconds since 1970.';

-- The queue: tasks of active runs by state. Only the last attempt of a task is its state.
CREATE VIEW etl.metric_queue WITH (security_invoker = true) AS
SELECT a.pipeline, a.state, count(*) AS tasks
FROM (SELECT DISTINCT ON (x.run_id, x.task_id) p.name AS pipeline, x.state
      FROM etl.run AS r
      JOIN etl.pipeline AS p ON p.pipeline_id = r.pipeline_id
      JOIN etl.task_run AS x ON x.run_id = r.run_id
      WHERE r.state IN ('queued', 'running')
      ORDER BY x.run_id, x.task_id, x.attempt DESC) AS a
WHERE a.state IN ('waiting', 'ready', 'running', 'retry')
GROUP BY a.pipeline, a.state;
COMMENT ON VIEW etl.metric_queue IS 'One row per pipeline and state of tasks that are still to be done in its active runs.';
COMMENT ON COLUMN etl.metric_queue.pipeline IS 'Name of the pipeline.';
COMMENT ON COLUMN etl.metric_queue.state IS 'waiting (for other tasks), ready (for a worker), running, or retry (for its time).';
COMMENT ON COLUMN etl.metric_queue.tasks IS 'Gauge: tasks.';

CREATE FUNCTION etl.worker_count(type text)
RETURNS integer LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'etl_worker_count';
COMMENT ON FUNCTION etl.worker_count IS 'Number of background workers of a type (''etl executor'' and others of etl_ext) in this database.';

CREATE VIEW etl.metric_worker WITH (security_invoker = true) AS
SELECT k.type, etl.worker_count(k.type) AS workers, k.most AS max_workers
FROM (VALUES ('etl executor', current_setting('etl.max_workers')::integer), ('etl slice', NULL), ('etl snapshot', NULL),
             ('etl scheduler', 1), ('etl notifier', 1)) AS k (type, most);
COMMENT ON VIEW etl.metric_worker IS 'One row per type of background worker: how many are at work in this database.';
COMMENT ON COLUMN etl.metric_worker.type IS 'Type, as in pg_stat_activity.backend_type.';
COMMENT ON COLUMN etl.metric_worker.workers IS 'Gauge: workers.';
COMMENT ON COLUMN etl.metric_worker.max_workers IS 'Gauge: most that may be at work at the same time; NULL: limited by max_worker_processes only.';

CREATE VIEW etl.metric_alert WITH (security_invoker = true) AS
SELECT a.pipeline, a.severity, count(*) AS open_alerts
FROM etl.alert AS a
JOIN etl.pipeline AS p ON p.pipeline_id = a.pipeline_id
WHERE a.severity IN ('fail', 'deadline') AND a.recovered_at IS NULL
GROUP BY a.pipeline, a.severity;
COMMENT ON VIEW etl.metric_alert IS 'One row per pipeline and severity with alerts that no later success has answered.';
COMMENT ON COLUMN etl.metric_alert.pipeline IS 'Name of the pipeline.';
COMMENT ON COLUMN etl.metric_alert.severity IS 'fail or deadline.';
COMMENT ON COLUMN etl.metric_alert.open_alerts IS 'Gauge: alerts that are open.';
CREATE INDEX alert_open_idx ON etl.alert (pipeline_id, severity) WHERE recovered_at IS NULL AND severity IN ('fail', 'deadline');

CREATE VIEW etl.metric_cost WITH (security_invoker = true) AS
SELECT c.pipeline, sum(c.cost) AS cost_today, max(c.currency) AS currency
FROM etl.cost AS c
WHERE c.day = (now() AT TIME ZONE 'UTC')::date AND c.cost IS NOT NULL
GROUP BY c.pipeline;
COMMENT ON VIEW etl.metric_cost IS 'One row per pipeline: what it has cost today (UTC).';
COMMENT ON COLUMN etl.metric_cost.pipeline IS 'Name of the pipeline.';
COMMENT ON COLUMN etl.metric_cost.cost_today IS 'Gauge: cost since midnight UTC.';
COMMENT ON COLUMN etl.metric_cost.currency IS 'Currency.';

CREATE FUNCTION etl.metric_labels(VARIADIC pairs text[])
RETURNS text LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'etl_metric_labels';
COMMENT ON FUNCTION etl.metric_labels IS 'Labels of a sample in the format of OpenMetrics, from names and values in turn; a label whose value is NULL is left out.';

-- One row per sample. Families are in the order of their names; what a subject does not have, it has no sample of.
CREATE VIEW etl.metric_sample WITH (security_invoker = true) AS
SELECT s.family, s.suffix, s.labels, s.value
FROM (
  SELECT v.family, v.suffix, etl.metric_labels('pipeline', m.pipeline) AS labels, v.value
  FROM etl.metric_pipeline AS m
  CROSS JOIN LATERAL (VALUES
    ('etl_pipeline_paused', '', m.paused::numeric),
    ('etl_run_last_duration_seconds', '', m.last_duration_s),
    ('etl_run_last_end_timestamp_seconds', '', m.last_end_s),
    ('etl_run_last_success_timestamp_seconds', '', m.last_success_s),
    ('etl_run_last_success_age_seconds', '', m.last_success_age_s)) AS v (family, suffix, value)
  UNION ALL
  SELECT 'etl_runs_active', '', etl.metric_labels('pipeline', m.pipeline, 'state', v.state), v.value
  FROM etl.metric_pipeline AS m
  CROSS JOIN LATERAL (VALUES ('queued', m.runs_queued), ('running', m.runs_running)) AS v (state, value)
  UNION ALL
  SELECT 'etl_runs', '_total', etl.metric_labels('pipeline', m.pipeline, 'state', m.state), m.runs
  FROM etl.metric_run AS m
  UNION ALL
  SELECT 'etl_run_duration_seconds', v.suffix, etl.metric_labels('pipeline', m.pipeline), v.value
  FROM (SELECT r.pipeline, sum(r.runs) AS runs, sum(r.duration_s) AS duration_s FROM etl.metric_run AS r GROUP BY r.pipeline) AS m
  CROSS JOIN LATERAL (VALUES ('_count', m.runs), ('_sum', m.duration_s)) AS v (suffix, value)
  UNION ALL
  SELECT v.family, v.suffix, m.labels, v.value
  FROM (SELECT etl.metric_labels('pipeline', t.pipeline, 'task', t.task) AS labels, t.* FROM etl.metric_task AS t
        OFFSET 0) AS m
  CROSS JOIN LATERAL (VALUES
    ('etl_task_attempts', '_total', m.attempts::numeric),
    ('etl_task_failures', '_total', m.failed),
    ('etl_task_retries', '_total', m.retries),
    ('etl_task_duration_seconds', '_count', m.attempts),
    ('etl_task_duration_seconds', '_sum', m.duration_s),
    ('etl_task_last_duration_seconds', '', m.last_duration_s),
    ('etl_task_cpu_seconds', '_total', m.cpu_s),
    ('etl_task_rows_read', '_total', m.rows_read),
    ('etl_task_rows_written', '_total', m.rows_written),
    ('etl_task_rows_rejected', '_total', m.rows_rejected),
    ('etl_task_read_bytes', '_total', m.bytes_read),
    ('etl_task_wal_bytes', '_total', m.wal_bytes),
    ('etl_task_temp_bytes', '_total', m.temp_bytes)) AS v (family, suffix, value)
  UNION ALL
  SELECT v.family, '', etl.metric_labels('pipeline', m.pipeline, 'task', m.task), v.value
  FROM etl.metric_freshness AS m
  CROSS JOIN LATERAL (VALUES
    ('etl_table_last_success_timestamp_seconds', m.last_success_s),
    ('etl_table_age_seconds', m.age_s),
    ('etl_table_stale', m.stale),
    ('etl_watermark_age_seconds', m.watermark_age_s)) AS v (family, value)
  UNION ALL
  SELECT v.family, '', etl.metric_labels('pipeline', m.pipeline, 'check', m."check"), v.value
  FROM etl.metric_check AS m
  CROSS JOIN LATERAL (VALUES
    ('etl_check_status', m.status::numeric),
    ('etl_check_measured', m.measured),
    ('etl_check_last_timestamp_seconds', m.checked_s)) AS v (family, value)
  UNION ALL
  SELECT 'etl_tasks_active', '', etl.metric_labels('pipeline', m.pipeline, 'state', m.state), m.tasks
  FROM etl.metric_queue AS m
  UNION ALL
  SELECT v.family, '', etl.metric_labels('pool', m.pool), v.value
  FROM etl.pool_status AS m
  CROSS JOIN LATERAL (VALUES
    ('etl_pool_slots', m.slots::numeric), ('etl_pool_used_slots', m.used), ('etl_pool_waiting_tasks', m.waiting)) AS v (family, value)
  UNION ALL
  SELECT v.family, '', etl.metric_labels('type', m.type), v.value
  FROM etl.metric_worker AS m
  CROSS JOIN LATERAL (VALUES ('etl_workers', m.workers), ('etl_workers_max', m.max_workers)) AS v (family, value)
  UNION ALL
  SELECT 'etl_alerts_open', '', etl.metric_labels('pipeline', m.pipeline, 'severity', m.severity), m.open_alerts
  FROM etl.metric_alert AS m
  UNION ALL
  SELECT 'etl_cost_today', '', etl.metric_labels('pipeline', m.pipeline, 'currency', m.currency), m.cost_today
  FROM etl.metric_cost AS m
  UNION ALL
  SELECT v.family, '', etl.metric_labels('budget', m.budget, 'period', m.period, 'currency', m.currency), v.value
  FROM etl.budget_status AS m
  CROSS JOIN LATERAL (VALUES ('etl_budget_amount', m.amount), ('etl_budget_spent', m.spent)) AS v (family, value)
  UNION ALL
  SELECT 'etl_build', '_info', etl.metric_labels('version', e.extversion), 1
  FROM pg_catalog.pg_extension AS e WHERE e.extname = 'etl_ext'
) AS s
WHERE s.value IS NOT NULL;
COMMENT ON VIEW etl.metric_sample IS 'One row per sample of etl.metrics().';
COMMENT ON COLUMN etl.metric_sample.family IS 'Name of the metric.';
COMMENT ON COLUMN etl.metric_sample.suffix IS 'What follows the name in the sample.';
COMMENT ON COLUMN etl.metric_sample.labels IS 'Labels, as text.';
COMMENT ON COLUMN etl.metric_sample.value IS 'Value.';

-- To compile the query takes longer than to run it.
CREATE FUNCTION etl.metrics()
RETURNS text LANGUAGE sql VOLATILE SET jit = off
BEGIN ATOMIC
  SELECT coalesce(string_agg(f.head || f.samples, '' ORDER BY f.name), '') || E'# EOF\n'
  FROM (
    SELECT k.name, format(E'# TYPE %s %s\n', k.name, k.type) || CASE WHEN k.unit IS NULL THEN '' ELSE format(E'# UNIT %s %s\n', k.name, k.unit) END
                   || format(E'# HELP %s %s\n', k.name, k.help) AS head,
           string_agg(s.family || s.suffix || s.labels || ' ' || trim_scale(s.value) || E'\n', ''
                      ORDER BY s.labels COLLATE "C", s.suffix COLLATE "C") AS samples
    FROM (VALUES
      ('etl_alerts_open', 'gauge', NULL, 'Alerts of severity fail or deadline that no later success has answered.'),
      ('etl_budget_amount', 'gauge', NULL, 'Amount of a budget.'),
      ('etl_budget_spent', 'gauge', NULL, 'Cost in the current period of a budget.'),
      ('etl_build', 'info', NULL, 'Version of etl_ext.'),
      ('etl_check_last_timestamp_seconds', 'gauge', 'seconds', 'When a check was last evaluated.'),
      ('etl_check_measured', 'gauge', NULL, 'Value that a check last measured, in the unit of the check.'),
      ('etl_check_status', 'gauge', NULL, 'Last result of a check: 0 pass, 1 warn, 2 fail, 3 error, -1 not evaluated.'),
      ('etl_cost_today', 'gauge', NULL, 'Cost since midnight UTC.'),
      ('etl_pipeline_paused', 'gauge', NULL, '1 while a pipeline is paused.'),
      ('etl_pool_slots', 'gauge', NULL, 'Slots of a pool.'),
      ('etl_pool_used_slots', 'gauge', NULL, 'Slots of a pool that running tasks have taken.'),
      ('etl_pool_waiting_tasks', 'gauge', NULL, 'Tasks of a pool that are ready to start.'),
      ('etl_run_duration_seconds', 'summary', 'seconds', 'Time from start to end of the runs that have ended.'),
      ('etl_run_last_duration_seconds', 'gauge', 'seconds', 'Time that the last run took.'),
      ('etl_run_last_end_timestamp_seconds', 'gauge', 'seconds', 'When the last run ended.'),
      ('etl_run_last_success_age_seconds', 'gauge', 'seconds', 'Time since the last run that ended as success or warning.'),
      ('etl_run_last_success_timestamp_seconds', 'gauge', 'seconds', 'When the last run ended that did so as success or warning.'),
      ('etl_runs', 'counter', NULL, 'Runs that have ended, by their last state.'),
      ('etl_runs_active', 'gauge', NULL, 'Runs that wait or are at work.'),
      ('etl_table_age_seconds', 'gauge', 'seconds', 'Time since the target of a task was last brought up to date.'),
      ('etl_table_last_success_timestamp_seconds', 'gauge', 'seconds', 'When the target of a task was last brought up to date.'),
      ('etl_table_stale', 'gauge', NULL, '1 when the latest attempt did not bring the target of a task up to date.'),
      ('etl_task_attempts', 'counter', NULL, 'Attempts that have ended.'),
      ('etl_task_cpu_seconds', 'counter', 'seconds', 'CPU time of attempts.'),
      ('etl_task_duration_seconds', 'summary', 'seconds', 'Time at work of attempts.'),
      ('etl_task_failures', 'counter', NULL, 'Attempts that failed.'),
      ('etl_task_last_duration_seconds', 'gauge', 'seconds', 'Time that the last attempt took.'),
      ('etl_task_read_bytes', 'counter', 'bytes', 'Size of the rows that extracts stored.'),
      ('etl_task_retries', 'counter', NULL, 'Attempts that were not the first one in their run.'),
      ('etl_task_rows_read', 'counter', NULL, 'Rows read.'),
      ('etl_task_rows_rejected', 'counter', NULL, 'Rows that went to quarantine.'),
      ('etl_task_rows_written', 'counter', NULL, 'Rows inserted, updated and deleted.'),
      ('etl_task_temp_bytes', 'counter', 'bytes', 'Bytes written to temporary files and tables.'),
      ('etl_task_wal_bytes', 'counter', 'bytes', 'Bytes of WAL.'),
      ('etl_tasks_active', 'gauge', NULL, 'Tasks that are still to be done in active runs, by state.'),
      ('etl_watermark_age_seconds', 'gauge', 'seconds', 'Time since the watermark of an extract whose cursor is a time.'),
      ('etl_workers', 'gauge', NULL, 'Background workers at work.'),
      ('etl_workers_max', 'gauge', NULL, 'Most background workers that may be at work at the same time.')) AS k (name, type, unit, help)
    JOIN etl.metric_sample AS s ON s.family = k.name
    GROUP BY k.name, k.type, k.unit, k.help) AS f;
END;
COMMENT ON FUNCTION etl.metrics IS 'Everything that there is to monitor as text in the format of OpenMetrics 1.0: of the pipelines that you may see, and pools and workers. Ends with # EOF.';
