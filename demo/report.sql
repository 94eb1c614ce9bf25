-- One run as a person wants to read it: psql -v run_id=N -f report.sql
\set ON_ERROR_STOP on
\set QUIET on
\pset format aligned
\pset border 1
\pset footer off
\pset null ''
\pset numericlocale on
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
       CASE WHEN c.rows THEN s.rows_read END AS read,
       CASE WHEN c.rows THEN s.rows_inserted END AS inserted,
       CASE WHEN c.rows THEN s.rows_updated END AS updated,
       CASE WHEN c.rows THEN s.rows_unchanged END AS unchanged,
       CASE WHEN c.rows THEN s.rows_rejected END AS rejected,
       round(extract(epoch FROM s.duration), 2) AS seconds
FROM tree AS b
JOIN etl.task_run AS x ON x.task_id = b.task_id AND x.run_id = :run_id AND x.attempt = 1
JOIN etl.task_status AS s ON s.run_id = x.run_id AND s.task = x.task
CROSS JOIN LATERAL (SELECT s.kind IN ('extract', 'load', 'aggregate')) AS c (rows)
ORDER BY b.path;

SELECT count(*) > 0 AS has_errors FROM etl.task_status WHERE run_id = :run_id AND error_message IS NOT NULL \gset
\if :has_errors
SELECT task, error_sqlstate AS sqlstate, error_message AS message, error_detail AS detail, error_hint AS hint
FROM etl.task_status
WHERE run_id = :run_id AND error_message IS NOT NULL
ORDER BY ended_at;
\endif

SELECT c.check_name AS check, c.check_type AS type, c.target, t.gate AS "gate of", c.state,
       trim_scale(round(c.measured, 3)) AS measured, c.unit, trim_scale(c.baseline) AS baseline, c.warn, c.fail
FROM etl.check_result AS c
LEFT JOIN etl.task AS t ON t.task_id = c.task_id
WHERE c.run_id = :run_id
ORDER BY c.task_id;
