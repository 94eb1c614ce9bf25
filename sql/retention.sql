-- History is deleted when it is old and nobody needs it; etl.set_retention.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_ext;
CREATE ROLE retention_user;
GRANT USAGE ON SCHEMA etl TO retention_user;
\pset format unaligned
\pset tuples_only on
\pset null '(null)'
\set SHOW_CONTEXT never

-- refused runs a statement that should fail and shows SQLSTATE, message, detail and hint.
CREATE FUNCTION pg_temp.refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  message text;
  detail text;
  hint text;
BEGIN
  EXECUTE statement;
  RAISE EXCEPTION 'not refused';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN concat_ws(E'\n', SQLSTATE || ': ' || message, '  detail: ' || nullif(detail, ''), '  hint: ' || nullif(hint, ''));
END
$$;

-- Settings.
SELECT etl.set_retention('run', '30 days');
SELECT etl.set_retention('run', '40 days');
SELECT etl.set_retention(history => 'quarantine', keep => '1 h');
SELECT history, keep FROM etl.retention ORDER BY history;
SELECT etl.set_retention('quarantine', NULL);
SELECT etl.set_retention('quarantine');
SELECT history, keep FROM etl.retention ORDER BY history;
SELECT pg_temp.refused($$SELECT etl.set_retention('run', '59 min')$$);
SELECT pg_temp.refused($$SELECT etl.set_retention('run', '1001 years')$$);
SELECT pg_temp.refused($$SELECT etl.set_retention('batch', '1 year')$$);
SELECT pg_temp.refused($$SELECT etl.set_retention(NULL, '1 year')$$);
SELECT pg_temp.refused($$SELECT etl.set_retention('', '1 year')$$);
SET ROLE retention_user;
SELECT regexp_replace(pg_temp.refused($$SELECT etl.set_retention('run', '1 year')$$), 'role ".*"', 'role "..."');
SELECT count(*) FROM etl.retention;
RESET ROLE;

-- make_runs adds runs of a pipeline that ended so many days ago, one per element of states: s, f, b (success of a
-- backfill), r (still running, inline). make_tasks adds one attempt per run.
CREATE FUNCTION pg_temp.make_runs(pipeline text, days int, states text) RETURNS void LANGUAGE sql AS $$
  INSERT INTO etl.run (pipeline_id, state, mode, logical_time, interval_end, requested_by, requested_at, started_at, ended_at,
                       backfill_id, message, definition)
  SELECT p.pipeline_id, CASE s WHEN 'f' THEN 'failed' WHEN 'r' THEN 'running' ELSE 'success' END, 'inline', t, t, 'postgres', t, t,
         CASE WHEN s <> 'r' THEN t END, CASE WHEN s = 'b' THEN 0 END, s || n, '{}'
  FROM etl.pipeline AS p, regexp_split_to_table(states, '') WITH ORDINALITY AS x (s, n),
       LATERAL (SELECT now() - days * interval '1 day' + n * interval '1 s') AS y (t)
  WHERE p.name = pipeline ORDER BY n
$$;
CREATE FUNCTION pg_temp.make_tasks(pipeline text, runs text, task text, state text) RETURNS void LANGUAGE sql AS $$
  INSERT INTO etl.task_run (run_id, task_id, task, kind, attempt, state, ended_at)
  SELECT r.run_id, t.task_id, t.name, t.kind, 1, make_tasks.state, r.ended_at
  FROM etl.run AS r JOIN etl.pipeline AS p USING (pipeline_id) JOIN etl.task AS t USING (pipeline_id)
  WHERE p.name = pipeline AND t.name = task AND r.message = ANY (runs::text[]) ORDER BY r.run_id
$$;
CREATE VIEW pg_temp.kept AS
SELECT p.name, string_agg(r.message, ' ' ORDER BY r.run_id) AS runs
FROM etl.run AS r JOIN etl.pipeline AS p USING (pipeline_id) WHERE p.name LIKE 'kept%' GROUP BY 1 ORDER BY 1;

SELECT etl.create_pipeline('retention') > 0;
SELECT etl.add_sql('retention', 'nothing', 'SELECT 1') > 0;
SELECT count(etl.create_pipeline('kept' || n)) FROM generate_series(1, 7) AS n;
SELECT count(etl.add_sql('kept' || n, 'a', 'SELECT 1')) FROM generate_series(1, 7) AS n;
SELECT etl.add_sql('kept4', 'b', 'SELECT 1') > 0;
-- kept1: the newest 10. kept2: the last success, too. kept3: what runs. kept4: the last success of each task. kept5: the
-- success of a backfill is none of the pipeline. kept6: younger. kept7: too few.
SELECT pg_temp.make_runs('kept1', 50, 'sssssssssssssss');
SELECT pg_temp.make_runs('kept2', 50, 'ssffffffffffff');
SELECT pg_temp.make_runs('kept3', 50, 'fffrfffffffffff');
SELECT pg_temp.make_runs('kept4', 50, 'sssssssssssssss');
SELECT pg_temp.make_tasks('kept4', '{s1,s2,s3,s14}', 'a', 'success');
SELECT pg_temp.make_tasks('kept4', '{s1,s3}', 'b', 'success');
SELECT pg_temp.make_tasks('kept4', '{s4,s15}', 'b', 'failed');
SELECT pg_temp.make_runs('kept5', 50, 'sbffffffffffff');
SELECT pg_temp.make_runs('kept6', 39, 'sssssssssssss');
SELECT pg_temp.make_runs('kept7', 50, 'ffff');

-- Many more than fit into a portion.
SELECT etl.create_pipeline('many') > 0;
SELECT count(etl.add_sql('many', 't' || n, 'SELECT 1')) FROM generate_series(1, 7) AS n;
SELECT pg_temp.make_runs('many', 60, repeat('s', 2300));
INSERT INTO etl.task_run (run_id, task_id, task, kind, attempt, state)
SELECT r.run_id, t.task_id, t.name, t.kind, 1, 'success'
FROM etl.run AS r JOIN etl.pipeline AS p USING (pipeline_id) JOIN etl.task AS t USING (pipeline_id) WHERE p.name = 'many';

-- Backfills: ended with and without runs that are left, still running, young.
INSERT INTO etl.backfill (pipeline_id, state, from_time, to_time, step, reprocess, newest_first, max_active, params, tasks,
                          requested_by, requested_at, ended_at)
SELECT p.pipeline_id, b.state, now(), now(), '1 day', 'all', false, 1, jsonb_build_object('n', b.n), '{}', 'postgres',
       now() - b.days * interval '1 day', CASE WHEN b.state <> 'running' THEN now() - b.days * interval '1 day' END
FROM etl.pipeline AS p, (VALUES (1, 'success', 50), (2, 'success', 50), (3, 'success', 1)) AS b (n, state, days)
WHERE p.name = 'retention' ORDER BY b.n;
INSERT INTO etl.backfill_chunk (backfill_id, interval_start, interval_end)
SELECT backfill_id, now(), now() FROM etl.backfill WHERE params ? 'n';
UPDATE etl.run SET backfill_id = (SELECT backfill_id FROM etl.backfill WHERE params = '{"n": 2}')
WHERE message = 's13' AND pipeline_id = (SELECT pipeline_id FROM etl.pipeline WHERE name = 'kept1');

-- Results of checks: 15 of a check, of which only the first may be compared with; 12 of one that was dropped.
INSERT INTO etl.check_result (pipeline_id, task_id, run_id, task_run_id, check_name, check_type, target, state, measured,
                              message, checked_at)
SELECT t.pipeline_id, CASE c.name WHEN 'dropped' THEN 0 ELSE t.task_id END, 0, 0, c.name, 'row_count_variance', 'x',
       CASE WHEN n IN (2, 3) THEN 'pass' ELSE 'fail' END, n, c.name || n, now() - interval '100 days' + n * interval '1 s'
FROM etl.task AS t JOIN etl.pipeline AS p USING (pipeline_id), generate_series(1, 15) AS n, (VALUES ('check'), ('dropped')) AS c (name)
WHERE p.name = 'retention' ORDER BY n;

INSERT INTO etl.quarantine (pipeline_id, task_id, run_id, task_run_id, target, reason, error_sqlstate, row_data, created_at)
SELECT p.pipeline_id, 0, 0, 0, 'x', days::text, '22000', '{}', now() - days * interval '1 day'
FROM etl.pipeline AS p, (SELECT 100 AS days FROM generate_series(1, 12000) UNION ALL VALUES (89), (91)) AS q
WHERE p.name = 'retention';

-- Alerts: the newest 10 of a severity, and those that are still to be delivered.
INSERT INTO etl.alert (event, severity, pipeline_id, pipeline, message, created_at)
SELECT 'run_failed', s, p.pipeline_id, p.name, s || n, now() - interval '100 days' + n * interval '1 s'
FROM etl.pipeline AS p, (VALUES ('fail', 15), ('warning', 3)) AS x (s, most), generate_series(1, most) AS n
WHERE p.name = 'retention' ORDER BY n;
INSERT INTO etl.alert_delivery (alert_id, route, owner, try, state, due_at)
SELECT alert_id, 'r', 'postgres', 1, CASE message WHEN 'fail2' THEN 'pending' ELSE 'sent' END, now() + interval '1 day'
FROM etl.alert WHERE message IN ('fail1', 'fail2', 'fail15');

-- Moves of watermarks: only their age counts.
INSERT INTO etl.watermark_history (task_id, moved_at, moved_by, type, new_value, reason)
SELECT t.task_id, now() - d * interval '1 day', 'postgres', 'bigint', d, 'retention'
FROM etl.task AS t JOIN etl.pipeline AS p USING (pipeline_id), unnest('{100,91,89,1}'::int[]) AS d
WHERE p.name = 'retention' AND t.task_id = (SELECT min(task_id) FROM etl.task WHERE pipeline_id = p.pipeline_id) ORDER BY d DESC;

-- The scheduler deletes a portion at a time beside its runs; moves of watermarks come last.
SELECT etl.run_pipeline('retention') > 0;
DO $$
BEGIN
  WHILE EXISTS (SELECT FROM etl.watermark_history WHERE reason = 'retention' AND new_value = '100')
  LOOP
    PERFORM pg_sleep(0.01);
  END LOOP;
END
$$;
SELECT * FROM pg_temp.kept;
SELECT count(*), min(substr(message, 2)::int), (SELECT count(*) FROM etl.task_run AS t JOIN etl.run AS u USING (run_id)
                                                WHERE u.pipeline_id = r.pipeline_id)
FROM etl.run AS r JOIN etl.pipeline AS p USING (pipeline_id) WHERE p.name = 'many' GROUP BY r.pipeline_id;
SELECT params, (SELECT count(*) FROM etl.backfill_chunk AS c WHERE c.backfill_id = b.backfill_id) AS chunks
FROM etl.backfill AS b WHERE params ? 'n' ORDER BY 1;
SELECT string_agg(message, ' ' ORDER BY check_result_id) FROM etl.check_result WHERE check_name IN ('check', 'dropped');
SELECT string_agg(reason, ' ') FROM etl.quarantine WHERE target = 'x';
SELECT string_agg(new_value, ' ' ORDER BY move_id) FROM etl.watermark_history WHERE reason = 'retention';
SELECT string_agg(a.message || coalesce(' ' || d.state, ''), ', ' ORDER BY a.severity, a.alert_id)
FROM etl.alert AS a LEFT JOIN etl.alert_delivery AS d USING (alert_id) WHERE a.pipeline = 'retention' AND a.severity <> 'recovery';

SELECT etl.set_retention('run');
SELECT count(etl.drop_pipeline(name)) FROM etl.pipeline
WHERE name IN ('retention', 'many') OR (name LIKE 'kept%' AND name <> 'kept3');
DELETE FROM etl.run WHERE state = 'running' AND message = 'r4';
SELECT etl.drop_pipeline('kept3');
DROP OWNED BY retention_user;
DROP ROLE retention_user;
