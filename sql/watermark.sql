-- Watermarks: moves by hand and their history; rows at the cut for every type of cursor; rows without a cursor.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_ext;
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never
SET TimeZone = 'UTC';

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

-- One table per type; each gets two rows with the same cursor value, then a third with that value again, then a higher one.
CREATE SCHEMA wm;
CREATE FUNCTION wm.make(name text, type text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE TABLE wm.%I (id int PRIMARY KEY, c %s, v text)', name, type);
  EXECUTE format('CREATE TABLE wm.%I (id int NOT NULL, c %s, v text)', name || '_nokey', type);
  PERFORM etl.add_extract('wm', name, 'wm.' || name, 'wm_raw.' || name, cursor_column => 'c', primary_key => '{id}', chunk_rows => 2);
  PERFORM etl.add_extract('wm', name || '_nokey', 'wm.' || name || '_nokey', 'wm_raw.' || name || '_nokey', cursor_column => 'c');
END
$$;
CREATE FUNCTION wm.put(id int, n int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  t record;
BEGIN
  FOR t IN SELECT * FROM wm.type LOOP
    EXECUTE format('INSERT INTO wm.%I VALUES (%s, %L, ''v'')', t.name, id, t.value[n]);
    EXECUTE format('INSERT INTO wm.%I VALUES (%s, %L, ''v'')', t.name || '_nokey', id, t.value[n]);
  END LOOP;
END
$$;
CREATE TABLE wm.type (name text, type text, value text[]);
INSERT INTO wm.type VALUES
  ('moment', 'timestamptz', '{2024-01-01 00:00:00.000001+00,2024-01-01 00:00:00.000002+00,2024-01-01 00:00:00.000003+00}'),
  ('wall', 'timestamp', '{2024-01-01 00:00:00.000001,2024-01-01 00:00:00.000002,2024-01-01 00:00:00.000003}'),
  ('day', 'date', '{2024-01-01,2024-01-02,2024-01-03}'),
  ('small', 'smallint', '{-1,9,10}'),
  ('big', 'bigint', '{9,10,9000000000000000000}'),
  ('num', 'numeric', '{0.1,0.10000000000000000001,0.2}'),
  ('uuid4', 'uuid', '{00000000-0000-4000-8000-000000000000,00000000-0000-4000-8000-000000000001,ffffffff-ffff-4fff-bfff-ffffffffffff}'),
  ('uuid7', 'uuid', '{018cc251-f400-7000-8000-000000000000,018cc251-f400-7000-8000-000000000001,018cc251-f401-7000-8000-000000000000}'),
  ('word', 'text', '{B,a,b}'),
  ('short', 'varchar(5)', '{B,a,b}');
SELECT etl.create_pipeline('wm') > 0;
SELECT count(wm.make(name, type)) FROM wm.type;
SELECT wm.put(1, 1), wm.put(2, 2), wm.put(3, 2);
SELECT etl.run_pipeline('wm') > 0;
SELECT wm.put(4, 2);
SELECT etl.run_pipeline('wm') > 0;
SELECT etl.run_pipeline('wm') > 0;
SELECT wm.put(5, 3), wm.put(6, 1);
SELECT etl.run_pipeline('wm') > 0;
SELECT etl.run_pipeline('wm') > 0;
-- Row 6 is behind the watermark: only where the watermark is one that may still be passed (wall, day) it is found.
CREATE FUNCTION wm.found(name text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  result text;
BEGIN
  EXECUTE format('SELECT string_agg(id::text, '' '' ORDER BY id) FROM wm_raw.%I', name) INTO result;
  RETURN result;
END
$$;
SELECT name, wm.found(name), wm.found(name || '_nokey') FROM wm.type ORDER BY name;
SELECT t.name, CASE t.name WHEN 'wall' THEN (w.value < w.reached)::text ELSE w.value END, w.reached, w.type
FROM etl.watermark AS w JOIN etl.task AS t USING (task_id) WHERE t.pipeline_id = (SELECT pipeline_id FROM etl.pipeline WHERE name = 'wm') AND t.name !~ 'nokey' ORDER BY t.name;

-- The history: who, which run, old and new.
SELECT t.name, h.old_value, h.new_value, h.reason, h.moved_by = 'postgres'::regrole OR h.moved_by = current_user::regrole,
       h.run_id IS NOT NULL, r.task = t.name
FROM etl.watermark_history AS h JOIN etl.task AS t USING (task_id) JOIN etl.task_run AS r USING (task_run_id)
WHERE t.name IN ('big', 'word') ORDER BY t.name, h.move_id;

-- By hand. Backwards, the rows are read again and recognised; row 6 is found now.
SELECT etl.set_watermark('wm', 'big', '9', 'row 6 was missing');
SELECT etl.set_watermark('wm', 'moment', '2024-01-01 01:00:00.000001+01');
SELECT etl.set_watermark('wm', 'word', NULL, 'everything again');
SELECT etl.set_watermark('wm', 'word_nokey', NULL);
SELECT t.name, w.value, w.reached, w.run_id FROM etl.watermark AS w JOIN etl.task AS t USING (task_id)
WHERE t.name IN ('big', 'moment', 'word') ORDER BY t.name;
SELECT etl.run_pipeline('wm') > 0;
SELECT name, wm.found(name), wm.found(name || '_nokey') FROM wm.type WHERE name IN ('big', 'moment', 'word') ORDER BY name;
SELECT t.name, h.old_value, h.new_value, h.reason, h.run_id IS NULL AS by_hand
FROM etl.watermark_history AS h JOIN etl.task AS t USING (task_id)
WHERE t.name IN ('big', 'moment', 'word', 'word_nokey') AND h.move_id > (SELECT min(move_id) FROM etl.watermark_history WHERE run_id IS NULL) - 1
ORDER BY t.name, h.move_id;
SELECT action, pipeline, task, details, role = current_user::regrole FROM etl.audit_log WHERE pipeline = 'wm' AND action = 'set_watermark' ORDER BY audit_id;
-- Forwards: what lies between is never read.
SELECT etl.set_watermark('wm', 'small', '100');
INSERT INTO wm.small VALUES (7, 99, 'never'), (8, 100, 'read');
SELECT etl.run_pipeline('wm', tasks => '{small}') > 0;
SELECT wm.found('small');
-- A change of the definition.
SELECT etl.alter_task('wm', 'num', cursor_column => 'id');
SELECT old_value, new_value, reason FROM etl.watermark_history AS h JOIN etl.task AS t USING (task_id) WHERE t.name = 'num' ORDER BY move_id;

-- More rows are read again than can be compared at a time: in parts.
CREATE TABLE wm.many (id int PRIMARY KEY, c int, v text DEFAULT 'v');
INSERT INTO wm.many SELECT n, n / 3 FROM generate_series(1, 200) AS n;
INSERT INTO wm.many VALUES (1000, NULL, 'null');
CREATE VIEW wm.many_nokey AS SELECT * FROM wm.many;
SELECT etl.create_pipeline('wm many') > 0;
SELECT etl.add_extract('wm many', name, 'wm.' || name, 'wm_raw.' || name, cursor_column => 'c', null_cursor => 'always',
                       primary_key => CASE name WHEN 'many' THEN '{id}'::text[] END, chunk_rows => 7) > 0
FROM unnest('{many,many_nokey}'::text[]) AS name;
SELECT etl.run_pipeline('wm many', mode => 'inline') > 0;
SELECT etl.set_watermark('wm many', 'many', NULL), etl.set_watermark('wm many', 'many_nokey', '-1');
UPDATE wm.many SET v = 'w' WHERE id IN (3, 100, 200, 1000);
INSERT INTO wm.many VALUES (1001, 0), (1002, 33), (1003, 70);
SET etl.compare_rows = 20;
SELECT etl.run_pipeline('wm many', mode => 'inline') > 0;
SELECT count(*), count(DISTINCT id), string_agg(id || v, ' ' ORDER BY id) FILTER (WHERE v = 'w' OR id > 1000) FROM wm_raw.many;
SELECT count(*), count(DISTINCT id), string_agg(id || v, ' ' ORDER BY id) FILTER (WHERE v = 'w' OR id > 1000) FROM wm_raw.many_nokey;
SELECT t.name, w.value FROM etl.watermark AS w JOIN etl.task AS t USING (task_id) WHERE t.name ~ 'many' ORDER BY t.name;
SELECT DISTINCT coalesce(message, 'no message') FROM etl.task_run WHERE task ~ 'many';
-- More of one value than that.
INSERT INTO wm.many SELECT 2000 + n, 71 FROM generate_series(1, 50) AS n;
SELECT etl.run_pipeline('wm many', mode => 'inline') > 0;
SELECT etl.set_watermark('wm many', 'many', NULL), etl.set_watermark('wm many', 'many_nokey', '-1');
SELECT etl.run_pipeline('wm many', mode => 'inline') > 0;
SELECT task, message FROM etl.task_run WHERE task ~ 'many' AND message ~ 'compare' ORDER BY task;
SELECT count(*) - count(DISTINCT (id, v)) BETWEEN 1 AND 50 FROM wm_raw.many;
RESET etl.compare_rows;

-- Refused.
SELECT pg_temp.refused($$SELECT etl.set_watermark('wm', 'moment', 'yesterday evening')$$);
SELECT pg_temp.refused($$SELECT etl.set_watermark('wm', 'big', '1.5')$$);
SELECT pg_temp.refused($$SELECT etl.set_watermark('wm', 'uuid7', 'x')$$);
SELECT pg_temp.refused($$SELECT etl.set_watermark('wm', 'moment', 'infinity')$$);
SELECT pg_temp.refused($$SELECT etl.set_watermark('wm', 'num', 'NaN')$$);
SELECT pg_temp.refused($$SELECT etl.set_watermark('wm', 'none', '1')$$);
SELECT pg_temp.refused($$SELECT etl.set_watermark('nowhere', 'big', '1')$$);
SELECT pg_temp.refused($$SELECT etl.set_watermark('wm', NULL, '1')$$);
SELECT etl.add_sql('wm', 'statement', 'SELECT 1') > 0;
SELECT pg_temp.refused($$SELECT etl.set_watermark('wm', 'statement', '1')$$);
SELECT etl.add_extract('wm', 'all', 'wm.big', 'wm_raw.everything') > 0;
SELECT pg_temp.refused($$SELECT etl.set_watermark('wm', 'all', '1')$$);
CREATE ROLE wm_other;
GRANT USAGE ON SCHEMA etl TO wm_other;
SET ROLE wm_other;
SELECT pg_temp.refused($$SELECT etl.set_watermark('wm', 'big', '1')$$);
SELECT count(*) FROM etl.audit_log;
SELECT count(*) FROM etl.watermark_history;
RESET ROLE;

-- Rows without a cursor.
CREATE TABLE wm.gap (id int PRIMARY KEY, c timestamptz, v text);
INSERT INTO wm.gap VALUES (1, '2024-01-01', 'a'), (2, NULL, 'a'), (3, 'infinity', 'a'), (4, '-infinity', 'a');
SELECT etl.create_pipeline('wm gap') > 0;
SELECT etl.add_extract('wm gap', policy, 'wm.gap', 'wm_gap.' || policy, cursor_column => 'c', primary_key => '{id}', null_cursor => policy,
                       retry_delays => '{}') > 0
FROM unnest('{first_load,always,ignore}'::text[]) AS policy;
SELECT etl.run_pipeline('wm gap') > 0;
INSERT INTO wm.gap VALUES (5, '2024-01-02', 'a'), (6, NULL, 'a');
UPDATE wm.gap SET v = 'b' WHERE id = 2;
SELECT etl.run_pipeline('wm gap') > 0;
SELECT etl.run_pipeline('wm gap') > 0;
SELECT 'first_load', string_agg(id || v, ' ' ORDER BY id, v) FROM wm_gap.first_load
UNION ALL SELECT 'always', string_agg(id || v, ' ' ORDER BY id, v) FROM wm_gap.always
UNION ALL SELECT 'ignore', string_agg(id || v, ' ' ORDER BY id, v) FROM wm_gap.ignore;
SELECT task, string_agg(coalesce(details ->> 'null_cursor_rows', '-'), ' ' ORDER BY run_id) FROM etl.task_run
WHERE task IN ('first_load', 'always', 'ignore')
GROUP BY task ORDER BY task;
SELECT etl.add_extract('wm gap', 'error', 'wm.gap', 'wm_gap.error', cursor_column => 'c', primary_key => '{id}', null_cursor => 'error', retry_delays => '{}') > 0;
SELECT etl.run_pipeline('wm gap', tasks => '{error}', wait => false) AS run \gset
SELECT etl.wait_for_run(:run);
SELECT error_sqlstate, error_message, error_detail FROM etl.task_run WHERE run_id = :run;
DELETE FROM wm.gap WHERE c IS NULL;
SELECT etl.run_pipeline('wm gap', tasks => '{error}') > 0;

-- Values that nothing is ever above.
CREATE TABLE wm.never (id int PRIMARY KEY, d date, t timestamp, n numeric);
INSERT INTO wm.never VALUES (1, '2024-01-01', '2024-01-01', 1), (2, 'infinity', 'infinity', 'NaN'), (3, '5000000-01-01', '-infinity', '-infinity');
SELECT etl.create_pipeline('wm never') > 0;
SELECT etl.add_extract('wm never', 'never_' || c, 'wm.never', 'wm_gap.never_' || c, cursor_column => c, primary_key => '{id}', null_cursor => 'always') > 0
FROM unnest('{d,t,n}'::text[]) AS c;
SELECT etl.run_pipeline('wm never') > 0;
INSERT INTO wm.never VALUES (4, '2024-01-02', '2024-01-02', 2);
SELECT etl.run_pipeline('wm never') > 0;
SELECT etl.run_pipeline('wm never') > 0;
SELECT (SELECT string_agg(id::text, ' ' ORDER BY id) FROM wm_gap.never_d), (SELECT string_agg(id::text, ' ' ORDER BY id) FROM wm_gap.never_t),
       (SELECT string_agg(id::text, ' ' ORDER BY id) FROM wm_gap.never_n);
SELECT DISTINCT task, message FROM etl.task_run WHERE task ~ '^never' ORDER BY task;
SELECT t.name, w.value::date < now() FROM etl.watermark AS w JOIN etl.task AS t USING (task_id) WHERE t.name IN ('never_d', 'never_t') ORDER BY t.name;

-- validate says where nothing can be known about open transactions.
CREATE MATERIALIZED VIEW wm.stale AS SELECT * FROM wm.gap;
CREATE UNIQUE INDEX ON wm.stale (id);
SELECT etl.add_extract('wm gap', 'stale', 'wm.stale', 'wm_gap.stale', cursor_column => 'c', primary_key => '{id}') > 0;
SELECT task, severity, problem, hint FROM etl.validate('wm gap') WHERE problem ~ 'committed later';
SELECT etl.run_pipeline('wm gap', tasks => '{stale}') > 0;
SELECT message FROM etl.task_run WHERE task = 'stale';
SELECT etl.alter_task('wm gap', 'stale', lag => '1 h');
SELECT count(*) FROM etl.validate('wm gap') WHERE problem ~ 'committed later';

SELECT etl.drop_pipeline('wm'), etl.drop_pipeline('wm gap'), etl.drop_pipeline('wm many'), etl.drop_pipeline('wm never');
SET client_min_messages = error;
DROP SCHEMA wm, wm_raw, wm_gap CASCADE;
REVOKE ALL ON SCHEMA etl FROM wm_other;
DROP ROLE wm_other;
