-- One run as a person wants to read it: psql -v run_id=N -f report.sql
\set ON_ERROR_STOP on
\set QUIET on
\pset format aligned
\pset border 1
\pset footer off
\pset null ''
\pset numericlocale off
\pset linestyle unicode

SELECT format('Run %s of pipeline %s: %s in %s s', run_id, pipeline, upper(state), round(extract(epoch FROM duration), 2))
       || coalesce(E'\n' || message, '') AS title
FROM etl.run_status WHERE run_id = :run_id \gset
\echo
\echo :title
\echo

-- Each task stands below the one that it waits for (of several, the one that lies deepest), in the order of the DAG.
WITH RECURSIVE
depth AS (
  SELECT t.task_id, 0 AS depth FROM etl.task AS t JOIN etl.run AS r USING (pipeline_id) WHERE r.run_id = :run_id
  UNION
  SELECT d.task_id, p.depth + 1 FROM depth AS p JOIN etl.task_dependency AS d ON d.depends_on = p.task_id
),
parent AS (
  SELECT DISTINCT ON (d.task_id) d.task_id, d.depends_on AS parent_id
  FROM etl.task_dependency AS d JOIN depth AS p ON p.task_id = d.depends_on
  ORDER BY d.task_id, p.depth DESC, d.depends_on
),
tree AS (
  SELECT t.task_id, t.name, 0 AS level, ARRAY[t.task_id] AS path
  FROM etl.task AS t JOIN etl.run AS r USING (pipeline_id)
  WHERE r.run_id = :run_id AND NOT EXISTS (SELECT FROM parent AS p WHERE p.task_id = t.task_id)
  UNION ALL
  SELECT t.task_id, t.name, b.level + 1, b.path || t.task_id
  FROM tree AS b JOIN parent AS p ON p.parent_id = b.task_id JOIN etl.task AS t ON t.task_id = p.task_id
)
SELECT repeat('   ', greatest(b.level - 1, 0)) || CASE WHEN b.level > 0 THEN '└─ ' ELSE '' END || b.name AS task,
       s.kind, s.state,
       to_char(s.rows_read, 'FM999,999,999,990') AS read,
       to_char(s.rows_inserted, 'FM999,999,999,990') AS inserted,
       to_char(s.rows_updated, 'FM999,999,999,990') AS updated,
       to_char(s.rows_unchanged, 'FM999,999,999,990') AS unchanged,
       to_char(s.rows_rejected, 'FM999,999,999,990') AS rejected,
       to_char(extract(epoch FROM s.duration), 'FM9990.00') AS seconds,
       coalesce(s.error_message, '') AS error
FROM tree AS b
JOIN etl.task_run AS x ON x.task_id = b.task_id AND x.run_id = :run_id AND x.attempt = 1
JOIN etl.task_status AS s ON s.run_id = x.run_id AND s.task = x.task
ORDER BY b.path;

SELECT c.check_name AS check, c.check_type AS type, c.target, c.state,
       trim_scale(round(c.measured, 3)) || ' ' || coalesce(c.unit, '') AS measured,
       coalesce(c.baseline::text, '') AS baseline, coalesce(c.warn, '') AS warn, coalesce(c.fail, '') AS fail
FROM etl.check_result AS c
WHERE c.run_id = :run_id
ORDER BY c.check_result_id;
