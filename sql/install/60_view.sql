-- Views for people and BI. security_invoker: each reader sees what the row policies of the tables allow him; the others say what they check instead.

CREATE VIEW etl.run_status WITH (security_invoker = true) AS
SELECT r.run_id, p.name AS pipeline, r.state, r.mode, r.logical_time, r.scheduled_for, r.backfill_id, r.requested_at,
       r.started_at, r.ended_at, coalesce(r.ended_at, now()) - r.started_at AS duration,
       r.deadline_at, r.deadline_missed_at, r.retries,
       t.tasks, t.tasks_done, t.tasks_failed, t.rows_read, t.rows_inserted, t.rows_updated, t.rows_deleted, t.rows_rejected,
       r.message, r.rolled_back_at
FROM etl.run AS r
JOIN etl.pipeline AS p ON p.pipeline_id = r.pipeline_id
LEFT JOIN LATERAL (
  SELECT count(*) AS tasks,
         count(*) FILTER (WHERE l.state IN ('success', 'warning', 'skipped')) AS tasks_done,
         count(*) FILTER (WHERE l.state IN ('failed', 'upstream_failed')) AS tasks_failed,
         sum(l.rows_read) AS rows_read, sum(l.rows_inserted) AS rows_inserted, sum(l.rows_updated) AS rows_updated,
         sum(l.rows_deleted) AS rows_deleted, sum(l.rows_rejected) AS rows_rejected
  FROM (SELECT DISTINCT ON (x.task_id) x.*
        FROM etl.task_run AS x WHERE x.run_id = r.run_id
        ORDER BY x.task_id, x.attempt DESC) AS l) AS t ON true;
COMMENT ON VIEW etl.run_status IS 'One row per run: state, times, and the sums over its tasks (their last attempts).';

CREATE VIEW etl.task_status WITH (security_invoker = true) AS
SELECT DISTINCT ON (x.run_id, x.task_id)
       x.run_id, p.name AS pipeline, x.task, x.kind, x.state, x.attempt,
       count(x.started_at) OVER (PARTITION BY x.run_id, x.task_id) AS attempts, x.ready_at, x.started_at, x.ended_at,
       coalesce(x.ended_at, now()) - x.started_at AS duration,
       x.rows_read, x.rows_inserted, x.rows_updated, x.rows_unchanged, x.rows_deleted, x.rows_rejected, x.bytes_read,
       x.worker_pid, x.reader, x.message, x.error_sqlstate, x.error_message, x.error_detail, x.error_hint
FROM etl.task_run AS x
JOIN etl.run AS r ON r.run_id = x.run_id
JOIN etl.pipeline AS p ON p.pipeline_id = r.pipeline_id
ORDER BY x.run_id, x.task_id, x.attempt DESC;
COMMENT ON VIEW etl.task_status IS 'One row per run and task: its last attempt.';

-- An attempt that ended as warning with an error has kept the rows of earlier runs (on_failure => 'use_last'). Runs of a
-- backfill fill intervals of the past and say nothing about now. Each LATERAL walks back along task_run_task_idx.
-- With the rights of the extension: whoever may read the target of a load or an aggregate sees how fresh it is, though not the
-- pipeline itself, nor what an error says.
CREATE VIEW etl.freshness WITH (security_barrier = true) AS
SELECT p.name AS pipeline, t.name AS task, t.kind, t.target, s.ended_at AS last_success_at, now() - s.ended_at AS age,
       coalesce(l.stale, false) AS stale, CASE WHEN l.stale AND p.is_seen THEN l.error END AS last_error,
       CASE WHEN p.is_seen THEN w.value END AS watermark, c.ended_at AS last_change_at, s.logical_time AS data_until
FROM etl.task AS t
JOIN (SELECT x.pipeline_id, x.name, pg_has_role(current_user, x.owner, 'USAGE')
             OR x.pipeline_id = ANY ((SELECT etl.granted_pipelines('viewer'))::bigint[]) AS is_seen
      FROM etl.pipeline AS x) AS p ON p.pipeline_id = t.pipeline_id
LEFT JOIN etl.watermark AS w ON w.task_id = t.task_id
LEFT JOIN LATERAL (
  SELECT x.state <> 'success' AND (x.state <> 'warning' OR x.error_sqlstate IS NOT NULL) AS stale,
         coalesce(x.error_message, x.message, x.state) AS error
  FROM etl.task_run AS x JOIN etl.run AS r ON r.run_id = x.run_id AND r.backfill_id IS NULL
  WHERE x.task_id = t.task_id AND x.state IN ('success', 'warning', 'failed', 'upstream_failed', 'cancelled')
  ORDER BY x.task_run_id DESC LIMIT 1) AS l ON true
LEFT JOIN LATERAL (
  SELECT x.ended_at, r.logical_time
  FROM etl.task_run AS x JOIN etl.run AS r ON r.run_id = x.run_id AND r.backfill_id IS NULL AND r.rolled_back_at IS NULL
  WHERE x.task_id = t.task_id AND (x.state = 'success' OR x.state = 'warning' AND x.error_sqlstate IS NULL)
  ORDER BY x.task_run_id DESC LIMIT 1) AS s ON true
LEFT JOIN LATERAL (
  SELECT x.ended_at
  FROM etl.task_run AS x
  WHERE x.task_id = t.task_id AND x.state IN ('success', 'warning')
    AND (x.rows_inserted > 0 OR x.rows_updated > 0 OR x.rows_deleted > 0)
  ORDER BY x.task_run_id DESC LIMIT 1) AS c ON true
WHERE t.kind IN ('extract', 'load', 'aggregate')
  AND (p.is_seen OR t.kind <> 'extract' AND has_table_privilege(current_user, to_regclass(t.target), 'SELECT'));
COMMENT ON VIEW etl.freshness IS 'One row per table that a pipeline keeps: when it was last brought up to date, whether the attempts since then have failed, and when a row last changed.';

CREATE VIEW etl.quality WITH (security_invoker = true) AS
SELECT DISTINCT ON (c.task_id)
       p.name AS pipeline, c.check_name, c.check_type, c.target, c.state, c.measured, c.unit, c.baseline, c.warn, c.fail,
       c.message, c.checked_at, c.run_id
FROM etl.check_result AS c
JOIN etl.pipeline AS p ON p.pipeline_id = c.pipeline_id
ORDER BY c.task_id, c.check_result_id DESC;
COMMENT ON VIEW etl.quality IS 'One row per check: its latest result.';

-- With the rights of the extension, because a pool is shared: readers see numbers of pipelines that they do not see.
CREATE VIEW etl.pool_status WITH (security_barrier = true) AS
SELECT p.name AS pool, p.slots, coalesce(u.used, 0) AS used, coalesce(u.waiting, 0) AS waiting, p.description
FROM etl.pool AS p
LEFT JOIN (
  SELECT w.pool, sum(w.used) AS used, sum(w.waiting)::bigint AS waiting
  FROM (
    -- Tasks that are published at one commit have one worker, and take what the one takes that takes most.
    SELECT d.task->>'pool' AS pool,
           max(coalesce((d.task->>'pool_slots')::integer, 1)) FILTER (WHERE x.state = 'running') AS used,
           count(*) FILTER (WHERE x.state = 'ready') AS waiting
    FROM etl.run AS r
    CROSS JOIN LATERAL jsonb_array_elements(r.definition->'task') AS d (task)
    JOIN etl.task_run AS x ON x.run_id = r.run_id AND x.task_id = (d.task->>'task_id')::bigint
    WHERE r.state IN ('queued', 'running') AND x.state IN ('ready', 'running') AND d.task ? 'pool'
    GROUP BY 1, r.run_id, coalesce(x.worker_pid::bigint, -x.task_run_id)) AS w
  GROUP BY 1) AS u ON u.pool = p.name;
COMMENT ON VIEW etl.pool_status IS 'One row per pool: its slots, how many are taken now and how many tasks wait, over the pipelines of everybody.';

DO $$
DECLARE
  c record;
BEGIN
  -- View columns keep the comment of the table column of the same name; the rest is said here.
  FOR c IN
    SELECT a.attrelid::regclass AS view, a.attname AS name,
           coalesce((SELECT col_description(b.attrelid, b.attnum)
                     FROM pg_attribute AS b
                     WHERE b.attname = a.attname AND col_description(b.attrelid, b.attnum) IS NOT NULL
                       AND b.attrelid = ANY (CASE a.attrelid
                             WHEN 'etl.run_status'::regclass THEN ARRAY['etl.run', 'etl.task_run']::regclass[]
                             WHEN 'etl.task_status'::regclass THEN ARRAY['etl.task_run']::regclass[]
                             WHEN 'etl.pool_status'::regclass THEN ARRAY['etl.pool']::regclass[]
                             WHEN 'etl.quality'::regclass THEN ARRAY['etl.check_result']::regclass[]
                             ELSE ARRAY['etl.task']::regclass[] END)
                     ORDER BY b.attrelid LIMIT 1),
                    x.text) AS text
    FROM pg_attribute AS a
    LEFT JOIN (VALUES
      ('pipeline', 'Name of the pipeline.'), ('task', 'Name of the task.'),
      ('duration', 'Time from start to end, or to now.'), ('tasks', 'Tasks of the run.'),
      ('tasks_done', 'Tasks that succeeded, warned or were skipped.'), ('tasks_failed', 'Tasks that failed, themselves or by what they depend on.'),
      ('attempts', 'Attempts that have begun so far.'),
      ('last_success_at', 'End of the last successful attempt; one that ended with on_failure => ''use_last'' is none. NULL: never, or longer ago than history is kept.'),
      ('age', 'Time since then.'),
      ('stale', 'true: the latest attempt that has ended did not bring the table up to date: it failed, was cancelled, or could not start because of what it depends on.'),
      ('last_error', 'stale: why; NULL for those who see the target but not the pipeline.'),
      ('data_until', 'Logical time of the run that last brought it up to date.'),
      ('watermark', 'extract: highest cursor value taken.'), ('last_change_at', 'End of the last attempt that changed a row.'),
      ('pool', 'Name of the pool.'), ('used', 'Slots that running tasks have taken, by the definitions of their runs.'),
      ('waiting', 'Tasks of the pool that are ready to start.')) AS x (name, text) ON x.name = a.attname
    WHERE a.attrelid IN ('etl.run_status'::regclass, 'etl.task_status'::regclass, 'etl.freshness'::regclass,
                         'etl.quality'::regclass, 'etl.pool_status'::regclass) AND a.attnum > 0
  LOOP
    EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', c.view, c.name, c.text);
  END LOOP;
END
$$;
