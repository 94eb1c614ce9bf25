-- A history of 90 daily runs of a pipeline of 60 tasks, written straight into the tables of etl_ext: for the report page. Run as a
-- superuser with -v owner=ROLE. It is the same each time, but for the dates: the last run was today.
\set QUIET on
BEGIN;
INSERT INTO etl.pipeline (name, description, owner, schedule, timezone, deadline, atomic_publish, tags)
VALUES ('warehouse', 'Sales, stock and payments of all shops, ready before nine', :'owner'::regrole, '0 5 * * *', 'Europe/Madrid', '09:00', true,
        '{"team": "bi", "tier": "1"}');

-- Fourteen sources; a load for each, and more that join them; aggregates; checks, every second one a gate.
CREATE TEMP TABLE made ON COMMIT DROP AS
SELECT n, k.kind, k.i,
       CASE k.kind WHEN 'extract' THEN s.name WHEN 'load' THEN (CASE WHEN k.i % 3 = 0 THEN 'dim_' ELSE 'fact_' END) || s.name || CASE WHEN k.i > 14 THEN '_' || k.i ELSE '' END
         WHEN 'aggregate' THEN 'daily_' || s.name || '_by_shop' WHEN 'sql' THEN 'refresh_' || s.name ELSE 'check_' || s.name END AS name,
       s.name AS subject
FROM generate_series(1, 60) AS n
CROSS JOIN LATERAL (SELECT CASE WHEN n <= 14 THEN 'extract' WHEN n <= 36 THEN 'load' WHEN n <= 46 THEN 'aggregate' WHEN n <= 50 THEN 'sql' ELSE 'check' END,
                           CASE WHEN n <= 14 THEN n WHEN n <= 36 THEN n - 14 WHEN n <= 46 THEN n - 36 WHEN n <= 50 THEN n - 46 ELSE n - 50 END) AS k (kind, i)
CROSS JOIN LATERAL (SELECT (ARRAY['orders', 'customers', 'products', 'payments', 'returns', 'stock', 'shops', 'clicks', 'rates', 'carriers',
                                  'suppliers', 'campaigns', 'coupons', 'shipments'])[(k.i - 1) % 14 + 1]) AS s (name);

INSERT INTO etl.task (pipeline_id, name, kind, source, target, gate, check_type, warn, fail, key, mode, query, command, search_path, description)
SELECT p.pipeline_id, m.name, m.kind, CASE WHEN m.kind = 'extract' THEN 'shop.' || m.subject END,
       CASE m.kind WHEN 'extract' THEN 'raw.' || m.subject WHEN 'sql' THEN NULL WHEN 'check' THEN 'dw.fact_' || m.subject ELSE 'dw.' || m.name END,
       CASE WHEN m.kind = 'check' AND m.i % 2 = 0 THEN (SELECT g.name FROM made AS g WHERE g.kind = 'load' AND g.i = m.i) END,
       CASE WHEN m.kind = 'check' THEN (ARRAY['row_count', 'row_count_variance', 'null_pct', 'freshness', 'duplicates'])[(m.i - 1) % 5 + 1] END,
       CASE WHEN m.kind = 'check' THEN (ARRAY['9000', '10%', '1%', '2 h', '0'])[(m.i - 1) % 5 + 1] END,
       CASE WHEN m.kind = 'check' THEN (ARRAY['8000', '25%', '5%', '6 h', '10'])[(m.i - 1) % 5 + 1] END,
       CASE WHEN m.kind IN ('load', 'aggregate') THEN '{id}'::text[] END, CASE WHEN m.kind = 'load' THEN 'merge' END,
       CASE WHEN m.kind IN ('load', 'aggregate') THEN 'SELECT 1 AS id' END, CASE WHEN m.kind = 'sql' THEN 'SELECT 1' END,
       'pg_catalog', CASE WHEN m.n % 4 = 0 THEN 'Keeps ' || m.subject || ' as the shops see them' END
FROM made AS m CROSS JOIN etl.pipeline AS p WHERE p.name = 'warehouse' ORDER BY m.n;

-- Loads wait for their extract, and every third for the dimension before it as well; aggregates for two loads; sql for aggregates.
INSERT INTO etl.task_dependency (pipeline_id, task_id, depends_on, inferred)
SELECT DISTINCT w.pipeline_id, w.task_id, d.task_id, true
FROM made AS m
JOIN etl.pipeline AS p ON p.name = 'warehouse'
JOIN etl.task AS w ON w.pipeline_id = p.pipeline_id AND w.name = m.name
JOIN made AS o ON
     m.kind = 'load' AND (o.kind = 'extract' AND o.i = (m.i - 1) % 14 + 1 OR o.kind = 'load' AND o.i % 3 = 0 AND o.i < m.i AND m.i - o.i IN (1, 4, 7) AND m.i % 3 = 1)
  OR m.kind = 'aggregate' AND o.kind = 'load' AND o.i IN (m.i, m.i + 9)
  OR m.kind = 'sql' AND o.kind = 'aggregate' AND o.i IN (m.i, m.i + 4)
  OR m.kind = 'check' AND m.i % 2 = 1 AND o.kind = 'load' AND o.i = m.i
JOIN etl.task AS d ON d.pipeline_id = p.pipeline_id AND d.name = o.name;

INSERT INTO etl.run (pipeline_id, state, mode, logical_time, interval_end, scheduled_for, requested_by, requested_at, started_at, ended_at, counted, message, definition)
SELECT p.pipeline_id,
       CASE WHEN n.n = 0 THEN 'failed' WHEN n.n % 23 = 7 THEN 'failed' WHEN n.n % 9 = 4 THEN 'warning' ELSE 'success' END, 'background',
       n.due, n.due, n.due, p.owner, n.due, n.due + interval '1 s', n.due + interval '1 s' + interval '1 s' * (400 + (n.n * 37) % 160), true,
       CASE WHEN n.n = 0 OR n.n % 23 = 7 THEN 'failed: fact_payments' END,
       jsonb_build_object('pipeline', to_jsonb(p),
         'task', (SELECT jsonb_agg(jsonb_strip_nulls(to_jsonb(t)) ORDER BY t.task_id) FROM etl.task AS t WHERE t.pipeline_id = p.pipeline_id),
         'dependency', (SELECT jsonb_agg(jsonb_build_array(d.task_id, d.depends_on)) FROM etl.task_dependency AS d WHERE d.pipeline_id = p.pipeline_id))
FROM etl.pipeline AS p, (SELECT g AS n, date_trunc('day', now(), 'UTC') - interval '1 day' * g AS due FROM generate_series(89, 0, -1) AS g) AS n
WHERE p.name = 'warehouse' ORDER BY n.n DESC;

-- An attempt for each task but the gates, begun one layer after the other; what follows a failure does not begin.
INSERT INTO etl.task_run (run_id, task_id, task, kind, attempt, state, ready_at, started_at, ended_at, counted, rows_read, rows_inserted, rows_updated,
                          rows_deleted, rows_rejected, bytes_read, wall_ms, cpu_ms, wal_bytes, temp_bytes, buffers_hit, buffers_read, buffers_written,
                          error_sqlstate, error_message, error_detail, error_hint, retry, settled)
SELECT r.run_id, t.task_id, t.name, t.kind, a.attempt, x.state, CASE WHEN x.ran THEN x.begun - interval '2 s' END, CASE WHEN x.ran THEN x.begun END,
       coalesce(CASE WHEN x.ran THEN x.begun + interval '1 ms' * x.ms END, r.ended_at), true,
       CASE WHEN x.state = 'success' AND t.kind IN ('extract', 'load', 'aggregate') THEN 1000 * m.i + x.ms END,
       CASE WHEN x.state = 'success' AND t.kind IN ('extract', 'load', 'aggregate') THEN 900 * m.i END,
       CASE WHEN x.state = 'success' AND t.kind IN ('load', 'aggregate') THEN 50 * m.i END, NULL,
       CASE WHEN x.state = 'success' AND t.kind = 'load' THEN m.i % 3 END,
       CASE WHEN x.state = 'success' AND t.kind = 'extract' THEN 120000::bigint * m.i END,
       CASE WHEN x.ran THEN x.ms END, CASE WHEN x.ran THEN x.ms / 3 END, CASE WHEN x.ran THEN 30000::bigint * x.ms END, 0, 1000, 100, 10,
       CASE WHEN x.state = 'failed' THEN '22012' END, CASE WHEN x.state = 'failed' THEN 'division by zero' END,
       CASE WHEN x.state = 'failed' THEN 'The amount of payment 8123 is 0.' END,
       CASE WHEN x.state = 'failed' THEN 'Leave such rows out with WHERE amount <> 0, or correct them in the shop.' END, a.attempt - 1, true
FROM etl.run AS r
JOIN etl.pipeline AS p ON p.pipeline_id = r.pipeline_id AND p.name = 'warehouse'
JOIN etl.task AS t ON t.pipeline_id = p.pipeline_id AND t.gate IS NULL
JOIN made AS m ON m.name = t.name
CROSS JOIN generate_series(1, 2) AS a (attempt)
CROSS JOIN LATERAL (SELECT (ARRAY['extract', 'load', 'aggregate', 'sql', 'check'])[1:5], r.state = 'failed' AS bad) AS k (kinds, bad)
CROSS JOIN LATERAL (
  SELECT k.bad AND (m.kind = 'aggregate' AND m.i = 4 OR m.kind = 'sql' AND m.i = 4) AS behind,
         k.bad AND m.kind = 'load' AND m.i = 4 AS culprit) AS f
CROSS JOIN LATERAL (
  SELECT CASE WHEN f.behind THEN 'upstream_failed' WHEN f.culprit THEN 'failed'
              WHEN m.n % 20 = 3 AND r.run_id % 11 = 2 AND a.attempt = 1 THEN 'failed' WHEN r.state = 'warning' AND m.n = 51 THEN 'warning'
              WHEN m.n = 50 AND r.run_id % 6 = 1 THEN 'skipped' ELSE 'success' END,
         NOT f.behind AND NOT (m.n = 50 AND r.run_id % 6 = 1),
         r.started_at + interval '1 s' * ((array_position(k.kinds, m.kind) - 1) * 90 + (m.i * 53) % 60 + (a.attempt - 1) * 45),
         6000 + (m.n * 7919 + r.run_id * 104729) % 30000) AS x (state, ran, begun, ms)
-- A second attempt where the first one failed.
WHERE a.attempt = 1 OR f.culprit OR m.n % 20 = 3 AND r.run_id % 11 = 2
ORDER BY r.run_id, t.task_id, a.attempt;

INSERT INTO etl.check_result (pipeline_id, task_id, run_id, task_run_id, check_name, check_type, target, state, measured, baseline, unit, warn, fail, message, checked_at)
SELECT p.pipeline_id, t.task_id, r.run_id, 0, t.name, t.check_type, t.target,
       CASE WHEN v.wave > 0.985 THEN 'fail' WHEN v.wave > 0.94 THEN 'warn' ELSE 'pass' END,
       CASE t.check_type WHEN 'row_count' THEN CASE WHEN v.wave > 0.985 THEN 7900 WHEN v.wave > 0.94 THEN 8600 ELSE 9500 + (1000 * (1 - v.wave))::integer END
         WHEN 'row_count_variance' THEN 10000 * (1 + CASE WHEN v.wave > 0.985 THEN 0.3 WHEN v.wave > 0.94 THEN 0.15 ELSE v.wave * 0.08 END)
         WHEN 'null_pct' THEN CASE WHEN v.wave > 0.985 THEN 6 WHEN v.wave > 0.94 THEN 2 ELSE 0.2 + v.wave / 2 END
         WHEN 'freshness' THEN CASE WHEN v.wave > 0.985 THEN 25000 WHEN v.wave > 0.94 THEN 9000 ELSE 1800 + 3000 * v.wave END
         ELSE CASE WHEN v.wave > 0.985 THEN 14 WHEN v.wave > 0.94 THEN 3 ELSE 0 END END,
       CASE t.check_type WHEN 'row_count_variance' THEN 10000 END,
       (ARRAY['rows', 'rows', 'percent', 'seconds', 'rows'])[array_position(ARRAY['row_count', 'row_count_variance', 'null_pct', 'freshness', 'duplicates'], t.check_type)],
       t.warn, t.fail, 'measured in run ' || r.run_id || '; warns at ' || t.warn || ', fails at ' || t.fail, r.ended_at
FROM etl.pipeline AS p
JOIN etl.run AS r ON r.pipeline_id = p.pipeline_id
JOIN etl.task AS t ON t.pipeline_id = p.pipeline_id AND t.kind = 'check'
CROSS JOIN LATERAL (SELECT abs(sin((r.run_id * 12.9898 + t.task_id * 78.233)::float8))) AS v (wave)
WHERE p.name = 'warehouse' ORDER BY r.run_id, t.task_id;

INSERT INTO etl.cost_day (task_id, day, pipeline_id, task, kind, attempts, failed, retries, wall_ms, cpu_ms, rows_read, rows_written, rows_rejected, bytes_read,
                          wal_bytes, temp_bytes, buffers_hit, buffers_read, buffers_written)
SELECT x.task_id, (x.ended_at AT TIME ZONE 'UTC')::date, r.pipeline_id, max(x.task), max(x.kind), count(*), count(*) FILTER (WHERE x.state = 'failed'),
       count(*) FILTER (WHERE x.attempt > 1), coalesce(sum(x.wall_ms), 0), coalesce(sum(x.cpu_ms), 0) * CASE max(x.task) WHEN 'orders' THEN 90 WHEN 'fact_clicks' THEN 60 WHEN 'clicks' THEN 40 ELSE 1 END, coalesce(sum(x.rows_read), 0),
       coalesce(sum(x.rows_inserted + coalesce(x.rows_updated, 0)), 0), 0, coalesce(sum(x.bytes_read), 0), coalesce(sum(x.wal_bytes), 0), 0, 0, 0, 0
FROM etl.task_run AS x JOIN etl.run AS r USING (run_id) JOIN etl.pipeline AS p ON p.pipeline_id = r.pipeline_id AND p.name = 'warehouse'
WHERE x.started_at IS NOT NULL GROUP BY 1, 2, 3;
INSERT INTO etl.price (resource, valid_from, price, currency)
SELECT v.resource, '2020-01-01', v.price, 'EUR' FROM (VALUES ('cpu_hour', 2.4), ('gb_wal', 0.35), ('million_rows_read', 0.08)) AS v (resource, price)
ON CONFLICT DO NOTHING;

INSERT INTO etl.alert (event, severity, pipeline_id, pipeline, run_id, task, message, created_at)
SELECT v.event, v.severity, p.pipeline_id, p.name, (SELECT max(r.run_id) FROM etl.run AS r WHERE r.pipeline_id = p.pipeline_id), v.task, v.message, now()
FROM etl.pipeline AS p, (VALUES ('task_failed', 'fail', 'fact_payments', 'task fact_payments failed: division by zero'),
                                ('run_failed', 'fail', NULL, 'run failed: fact_payments'),
                                ('schema_changed', 'warning', 'orders', 'source shop.orders has a new column "channel"')) AS v (event, severity, task, message)
WHERE p.name = 'warehouse';
INSERT INTO etl.quarantine (pipeline_id, task_id, run_id, task_run_id, target, reason, error_sqlstate, row_data, created_at)
SELECT t.pipeline_id, t.task_id, (SELECT max(r.run_id) FROM etl.run AS r WHERE r.pipeline_id = t.pipeline_id), 0, t.target,
       'null value in column "amount" violates not-null constraint', '23502', '{}', now() - interval '1 h' * n
FROM etl.task AS t CROSS JOIN generate_series(1, 17) AS n WHERE t.name IN ('fact_customers', 'fact_payments');
COMMIT;
ANALYZE etl.run, etl.task_run, etl.check_result, etl.cost_day, etl.task;
