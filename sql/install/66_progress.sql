-- How far running tasks are.

CREATE FUNCTION etl.progress_of(
  live bigint, task_run_id bigint, OUT step text, OUT step_started_at timestamptz, OUT part integer, OUT rows bigint,
  OUT bytes bigint, OUT done bigint, OUT total bigint, OUT is_estimate boolean)
RETURNS SETOF record LANGUAGE c VOLATILE STRICT ROWS 1 AS 'MODULE_PATHNAME', 'etl_progress_of';
COMMENT ON FUNCTION etl.progress_of IS 'What the worker of an attempt says in its shared memory; no row when it is gone. For etl.progress.';

CREATE VIEW etl.progress WITH (security_invoker = true) AS
SELECT x.run_id, p.name AS pipeline, x.task, x.kind, x.attempt, x.started_at, l.step, l.step_started_at,
       nullif(l.part, 0) AS batch, l.rows, l.bytes,
       round(l.rows / greatest(extract(epoch FROM clock_timestamp() - l.step_started_at), 0.001)) AS rows_per_s,
       l.done, l.total, l.is_estimate,
       CASE WHEN l.total > 0 THEN least(round(100.0 * l.done / l.total, 1), CASE WHEN l.is_estimate THEN 99.9 ELSE 100 END) END AS percent,
       CASE WHEN cardinality(b.pids) > 0 THEN b.pids END AS blocked_by, x.worker_pid
FROM etl.task_run AS x
JOIN etl.run AS r ON r.run_id = x.run_id
JOIN etl.pipeline AS p ON p.pipeline_id = r.pipeline_id
LEFT JOIN LATERAL etl.progress_of(x.live, x.task_run_id) AS l ON true
CROSS JOIN LATERAL (SELECT pg_blocking_pids(x.worker_pid) AS pids) AS b
WHERE x.state = 'running';
COMMENT ON VIEW etl.progress IS 'One row per attempt at work: how far it is now, while its transaction is open. Runs with mode => ''inline'' are not in it. Counters are those of the step, or of its latest long statement; what is NULL is not known.';
COMMENT ON COLUMN etl.progress.run_id IS 'The run.';
COMMENT ON COLUMN etl.progress.pipeline IS 'Name of the pipeline.';
COMMENT ON COLUMN etl.progress.task IS 'Name of the task.';
COMMENT ON COLUMN etl.progress.kind IS 'Kind of the task.';
COMMENT ON COLUMN etl.progress.attempt IS '1 for the first attempt.';
COMMENT ON COLUMN etl.progress.started_at IS 'When the attempt began.';
COMMENT ON COLUMN etl.progress.step IS 'start, connect (asks the source), read (extract: reads and stores rows), compare (extract: looks for deleted rows), compile (load: finds out what is new), delta (load: evaluates the query), write (load: changes the target), command (sql), check, or finish. NULL: the worker has not begun, is at another task of its publication, or is gone.';
COMMENT ON COLUMN etl.progress.step_started_at IS 'When the step began, or its latest long statement.';
COMMENT ON COLUMN etl.progress.batch IS 'read: number of the batch.';
COMMENT ON COLUMN etl.progress.rows IS 'Rows so far: read and stored; of a long statement, read by its largest scan.';
COMMENT ON COLUMN etl.progress.bytes IS 'read: size of the rows that were stored, in bytes.';
COMMENT ON COLUMN etl.progress.rows_per_s IS 'Rows per second since the step began.';
COMMENT ON COLUMN etl.progress.done IS 'How much of total is done.';
COMMENT ON COLUMN etl.progress.total IS 'How much there is: rows of a table that is read whole (its statistics), offsets of a topic, bytes of files, rows of a long statement (the planner''s estimate).';
COMMENT ON COLUMN etl.progress.is_estimate IS 'true: total is an estimate.';
COMMENT ON COLUMN etl.progress.percent IS 'done in percent of total; at most 99.9 where that is an estimate.';
COMMENT ON COLUMN etl.progress.blocked_by IS 'Processes that hold a lock that the worker waits for.';
COMMENT ON COLUMN etl.progress.worker_pid IS 'Process of the worker; pg_stat_activity.query of it says the same in words.';
