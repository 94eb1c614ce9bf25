-- Views for people and BI. security_invoker: each reader sees what the row policies of the tables allow him.

CREATE VIEW etl.run_status WITH (security_invoker = true) AS
SELECT r.run_id, p.name AS pipeline, r.state, r.mode, r.logical_time, r.requested_at, r.started_at, r.ended_at,
       coalesce(r.ended_at, now()) - r.started_at AS duration,
       t.tasks, t.tasks_done, t.tasks_failed, t.rows_read, t.rows_inserted, t.rows_updated, t.rows_deleted, t.rows_rejected,
       r.message
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
       x.run_id, p.name AS pipeline, x.task, x.kind, x.state, x.attempt, x.started_at, x.ended_at,
       coalesce(x.ended_at, now()) - x.started_at AS duration,
       x.rows_read, x.rows_inserted, x.rows_updated, x.rows_unchanged, x.rows_deleted, x.rows_rejected, x.bytes_read,
       x.worker_pid, x.reader, x.message, x.error_sqlstate, x.error_message, x.error_detail, x.error_hint
FROM etl.task_run AS x
JOIN etl.run AS r ON r.run_id = x.run_id
JOIN etl.pipeline AS p ON p.pipeline_id = r.pipeline_id
ORDER BY x.run_id, x.task_id, x.attempt DESC;
COMMENT ON VIEW etl.task_status IS 'One row per run and task: its last attempt.';

CREATE VIEW etl.freshness WITH (security_invoker = true) AS
SELECT p.name AS pipeline, t.name AS task, t.kind, t.target, d.last_success_at, now() - d.last_success_at AS age,
       w.value AS watermark, d.last_change_at
FROM etl.task AS t
JOIN etl.pipeline AS p ON p.pipeline_id = t.pipeline_id
LEFT JOIN etl.watermark AS w ON w.task_id = t.task_id
LEFT JOIN LATERAL (
  SELECT max(x.ended_at) AS last_success_at,
         max(x.ended_at) FILTER (WHERE x.rows_inserted > 0 OR x.rows_updated > 0 OR x.rows_deleted > 0) AS last_change_at
  FROM etl.task_run AS x WHERE x.task_id = t.task_id AND x.state IN ('success', 'warning')) AS d ON true
WHERE t.kind IN ('extract', 'load', 'aggregate');
COMMENT ON VIEW etl.freshness IS 'One row per table that a pipeline keeps: when it was last brought up to date, and when that last changed a row.';

CREATE VIEW etl.quality WITH (security_invoker = true) AS
SELECT DISTINCT ON (c.task_id)
       p.name AS pipeline, c.check_name, c.check_type, c.target, c.state, c.measured, c.unit, c.baseline, c.warn, c.fail,
       c.message, c.checked_at, c.run_id
FROM etl.check_result AS c
JOIN etl.pipeline AS p ON p.pipeline_id = c.pipeline_id
ORDER BY c.task_id, c.check_result_id DESC;
COMMENT ON VIEW etl.quality IS 'One row per check: its latest result.';

CREATE VIEW etl.lineage WITH (security_invoker = true) AS
SELECT p.name AS pipeline, t.name AS task, t.kind, i.input, o.output
FROM etl.task AS t
JOIN etl.pipeline AS p ON p.pipeline_id = t.pipeline_id
LEFT JOIN LATERAL unnest(t.reads) AS i (input) ON true
LEFT JOIN LATERAL unnest(t.writes) AS o (output) ON true
WHERE i.input IS NOT NULL OR o.output IS NOT NULL;
COMMENT ON VIEW etl.lineage IS 'Which relation flows into which, through which task.';

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
                             WHEN 'etl.quality'::regclass THEN ARRAY['etl.check_result']::regclass[]
                             ELSE ARRAY['etl.task']::regclass[] END)
                     ORDER BY b.attrelid LIMIT 1),
                    x.text) AS text
    FROM pg_attribute AS a
    LEFT JOIN (VALUES
      ('pipeline', 'Name of the pipeline.'), ('task', 'Name of the task.'),
      ('duration', 'Time from start to end, or to now.'), ('tasks', 'Tasks of the run.'),
      ('tasks_done', 'Tasks that succeeded, warned or were skipped.'), ('tasks_failed', 'Tasks that failed, themselves or by what they depend on.'),
      ('last_success_at', 'End of the last successful attempt.'), ('age', 'Time since then.'),
      ('watermark', 'extract: highest cursor value taken.'), ('last_change_at', 'End of the last attempt that changed a row.'),
      ('input', 'Relation that is read.'), ('output', 'Relation that is written.')) AS x (name, text) ON x.name = a.attname
    WHERE a.attrelid IN ('etl.run_status'::regclass, 'etl.task_status'::regclass, 'etl.freshness'::regclass,
                         'etl.quality'::regclass, 'etl.lineage'::regclass) AND a.attnum > 0
  LOOP
    EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', c.view, c.name, c.text);
  END LOOP;
END
$$;
