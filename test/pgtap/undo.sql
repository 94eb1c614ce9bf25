-- etl.rollback_run: the state before a run is the state after it was rolled back, for every mode and many kinds of columns; running
-- again gives what the run had given. etl.replay and full_refresh: the target equals the query.
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
SELECT plan(71);

CREATE SCHEMA t_src;
CREATE SCHEMA t_dw;
CREATE DOMAIN t_dw.percent AS numeric NOT NULL CHECK (VALUE BETWEEN 0 AND 100);
CREATE TYPE t_dw.color AS ENUM ('red', 'green');
CREATE TABLE t_src.item (id integer PRIMARY KEY, region text, v integer, note jsonb, at point, removed boolean NOT NULL DEFAULT false,
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp());
-- Targets with what a copy has to get right: identity, defaults, generated columns, domains, types without equality, foreign keys.
CREATE TABLE t_dw.region (region text PRIMARY KEY, n bigint NOT NULL, region_key bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE t_dw.merged (id integer PRIMARY KEY, region text NOT NULL REFERENCES t_dw.region, v integer, note json, at point,
  pct t_dw.percent DEFAULT 5, color t_dw.color DEFAULT 'green', twice integer GENERATED ALWAYS AS (v * 2) STORED,
  "odd ""name" text DEFAULT 'x');
CREATE TABLE t_dw.parted (id integer, v integer, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE t_dw.parted_low PARTITION OF t_dw.parted FOR VALUES FROM (MINVALUE) TO (20);
CREATE TABLE t_dw.parted_high PARTITION OF t_dw.parted FOR VALUES FROM (20) TO (MAXVALUE);
CREATE TABLE t_dw.log (id integer, v integer, note jsonb, logged_at timestamptz DEFAULT clock_timestamp());

CREATE TABLE t_dw.sums (region text PRIMARY KEY, v bigint, n bigint, sum_key bigint GENERATED ALWAYS AS IDENTITY);

SELECT etl.create_pipeline('t_undo') \g /dev/null
SELECT etl.add_extract('t_undo', 'item', source => 't_src.item', target => 't_raw.item', primary_key => '{id}',
  cursor_column => 'updated_at', deletes => 'column:removed', chunk_rows => 7) \g /dev/null
SELECT etl.add_load('t_undo', 'region', 'SELECT region, count(*) AS n FROM t_raw.item GROUP BY 1', 't_dw.region', '{region}',
  keep_undo => '1 day') \g /dev/null
SELECT etl.add_load('t_undo', 'merged', 'SELECT id, region, v, note, at FROM t_raw.item', 't_dw.merged', '{id}',
  on_delete => 'delete', keep_undo => '1 day', depends_on => '{region}') \g /dev/null
SELECT etl.add_load('t_undo', 'marked', 'SELECT id, v FROM t_raw.item', 't_dw.marked', '{id}', on_delete => 'mark',
  keep_undo => '1 day') \g /dev/null
SELECT etl.add_load('t_undo', 'parted', 'SELECT id, v FROM t_raw.item', 't_dw.parted', '{id}', keep_undo => '1 day') \g /dev/null
SELECT etl.add_load('t_undo', 'first', 'SELECT id, v FROM t_raw.item', 't_dw.first', '{id}', mode => 'insert_only',
  keep_undo => '1 day') \g /dev/null
SELECT etl.add_load('t_undo', 'log', 'SELECT id, v, note FROM t_raw.item', 't_dw.log', mode => 'append', keep_undo => '1 day') \g /dev/null
SELECT etl.add_load('t_undo', 'whole', 'SELECT region, v % 3 AS class FROM t_dw.merged', 't_dw.whole', mode => 'replace',
  keep_undo => '1 day') \g /dev/null
SELECT etl.add_aggregate('t_undo', 'sums', 'SELECT region, sum(v) AS v, count(*) AS n FROM t_dw.merged GROUP BY 1', 't_dw.sums',
  '{region}', keep_undo => '1 day') \g /dev/null

CREATE FUNCTION pg_temp.run() RETURNS bigint LANGUAGE sql AS $$ SELECT etl.run_pipeline('t_undo', mode => 'inline') $$;
CREATE FUNCTION pg_temp.last_run() RETURNS bigint LANGUAGE sql AS $$ SELECT max(run_id) FROM etl.run WHERE rolled_back_at IS NULL $$;

-- A picture of all targets and positions. exact: with columns that get another value in each run.
CREATE FUNCTION pg_temp.picture(exact boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  t regclass;
  part text;
  result text := '';
BEGIN
  FOR t IN SELECT c.oid FROM pg_class AS c WHERE c.relnamespace = 't_dw'::regnamespace AND c.relkind IN ('r', 'p') ORDER BY c.relname LOOP
    EXECUTE format('SELECT string_agg(r, E''\n'' ORDER BY r) FROM (SELECT (to_jsonb(x) %s)::text AS r FROM %s AS x) AS y',
      CASE WHEN exact THEN '' ELSE '- ''{region_key,sum_key,created_at,logged_at,_etl_deleted_at}''::text[]' END, t) INTO part;
    result := result || E'\n' || t || E'\n' || coalesce(part, '');
  END LOOP;
  RETURN result || E'\n' || (SELECT coalesce(string_agg(concat_ws(' ', t.name, c.input, CASE WHEN exact THEN c.batch_id END), ',' ORDER BY t.name), '')
    FROM etl.consumed AS c JOIN etl.task AS t USING (task_id)) || (SELECT coalesce(max(value), '') FROM etl.watermark WHERE exact);
END
$$;
CREATE TEMPORARY TABLE state (round integer, kind text, picture text);
CREATE TEMPORARY TABLE ran (round integer, run_id bigint, picture text);
CREATE FUNCTION pg_temp.change(round integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM setseed(round / 100.0);
  INSERT INTO t_src.item SELECT i, (ARRAY['EU', 'US', 'AS', 'XX' || round])[1 + floor(random() * 4)::int], floor(random() * 50)::int,
      jsonb_build_object('n', floor(random() * 5)), point(random(), 1)
    FROM generate_series(1, 40) AS i WHERE random() < 0.3 ON CONFLICT DO NOTHING;
  UPDATE t_src.item SET v = floor(random() * 50)::int, note = nullif(note, '{"n": 1}'), updated_at = clock_timestamp() WHERE random() < 0.25;
  UPDATE t_src.item SET removed = NOT removed, updated_at = clock_timestamp() WHERE random() < 0.15;
END
$$;
-- One statement a transaction, as the watermark does not pass an open one.
SELECT format(x.s, r) FROM generate_series(1, 8) AS r,
  unnest(ARRAY['DO $d$ BEGIN PERFORM pg_temp.change(%1$s); END $d$',
    'INSERT INTO state SELECT %1$s, ''before'', pg_temp.picture(true)',
    'INSERT INTO ran SELECT %1$s, pg_temp.run()',
    'INSERT INTO state SELECT %1$s, ''after'', pg_temp.picture(false)',
    'DO $d$ BEGIN PERFORM etl.rollback_run((SELECT run_id FROM ran WHERE round = %1$s)); END $d$',
    'SELECT is(pg_temp.picture(true), picture, ''round %1$s: rolled back is as before'') FROM state WHERE round = %1$s AND kind = ''before''',
    'SELECT isnt(pg_temp.picture(false), picture, ''round %1$s: the run had changed something'') FROM state WHERE round = %1$s AND kind = ''after''',
    'UPDATE ran SET run_id = pg_temp.run() WHERE round = %1$s',
    'SELECT is(pg_temp.picture(false), picture, ''round %1$s: running again gives the same'') FROM state WHERE round = %1$s AND kind = ''after'''])
    WITH ORDINALITY AS x (s, i)
ORDER BY r, x.i \gexec
-- All of them, the latest one first.
SELECT format(x.s, r) FROM generate_series(8, 1, -1) AS r,
  unnest(ARRAY['DO $d$ BEGIN PERFORM etl.rollback_run((SELECT run_id FROM ran WHERE round = %1$s)); END $d$',
    'SELECT is(pg_temp.picture(true), picture, ''back to before round %1$s'') FROM state WHERE round = %1$s AND kind = ''before'''])
    WITH ORDINALITY AS x (s, i)
ORDER BY r DESC, x.i \gexec
SELECT is((SELECT count(*) FROM t_dw.merged) + (SELECT count(*) FROM t_dw.log) + (SELECT count(*) FROM etl.consumed), 0::bigint,
  'nothing is left of any run');
SELECT isnt((SELECT count(*) FROM t_raw.item), 0::bigint, 'but the raw rows are');
SELECT is((SELECT count(*) FROM etl.undo), 0::bigint, 'what was kept has gone with the runs');
SELECT pg_temp.run() \g /dev/null
-- Apart from what depends on the order: first values, keys that were marked, regions that came and went.
CREATE FUNCTION pg_temp.lasting(picture text) RETURNS text LANGUAGE sql AS
$$ SELECT substring(picture FROM 't_dw\.log.*?(?=t_dw\.marked)') || substring(picture FROM 't_dw\.merged.*?(?=t_dw\.region)') ||
  substring(picture FROM 't_dw\.sums.*$') $$;
SELECT is(pg_temp.lasting(pg_temp.picture(false)), pg_temp.lasting(picture), 'one run brings all of it back') FROM state
WHERE round = 8 AND kind = 'after';

-- What somebody else has changed is not overwritten.
CREATE FUNCTION pg_temp.rollback() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  message text;
  detail text;
BEGIN
  RETURN (SELECT string_agg(concat_ws(' ', task, restored, removed), ', ' ORDER BY task) FROM etl.rollback_run(pg_temp.last_run()));
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
  RETURN SQLSTATE || ' ' || regexp_replace(message, 'run \d+', 'run N') || ': ' || detail;
END
$$;
CREATE TABLE t_src.plain (id integer, v integer, u integer);
INSERT INTO t_src.plain VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3);
SELECT etl.create_pipeline('t_plain') \g /dev/null
SELECT etl.add_load('t_plain', 'keyed', 'SELECT id, v FROM t_src.plain', 't_dw2.keyed', '{id}', keep_undo => '1 day') \g /dev/null
SELECT etl.add_load('t_plain', 'bag', 'SELECT v FROM t_src.plain', 't_dw2.bag', mode => 'replace', keep_undo => '1 day') \g /dev/null
SELECT etl.run_pipeline('t_plain', mode => 'inline') \g /dev/null
UPDATE t_src.plain SET v = 20 WHERE id = 2;
INSERT INTO t_src.plain VALUES (4, 4);
SELECT etl.run_pipeline('t_plain', mode => 'inline') \g /dev/null
UPDATE t_dw2.keyed SET v = 21 WHERE id = 2;
SELECT is(pg_temp.rollback(), '55000 target t_dw2.keyed cannot be put back: it was changed since the run: The row with key (2) is not as the run left it.',
  'a row that the run had updated and somebody has changed');
UPDATE t_dw2.keyed SET v = 20 WHERE id = 2;
DELETE FROM t_dw2.keyed WHERE id = 4;
SELECT is(pg_temp.rollback(), '55000 target t_dw2.keyed cannot be put back: it was changed since the run: The row with key (4) is not as the run left it.',
  'a row that the run had inserted and somebody has deleted');
INSERT INTO t_dw2.keyed VALUES (4, 4);
UPDATE t_dw2.keyed SET v = 100 WHERE id = 1;
DELETE FROM t_dw2.bag WHERE v = 4;
SELECT is(pg_temp.rollback(), '55000 target t_dw2.bag cannot be put back: it was changed since the run: The row (4) is not there any more as the run left it.',
  'a row without a key that somebody has deleted');
INSERT INTO t_dw2.bag VALUES (4), (4), (2);
SELECT is(pg_temp.rollback(), 'bag 1 2, keyed 1 1', 'rows that the run had not touched may change, copies may be added');
SELECT is((SELECT string_agg(v::text, ',' ORDER BY v) FROM t_dw2.bag), '1,2,2,3,4', 'without a key: as many copies go as the run had added');
SELECT is((SELECT string_agg(id || ':' || v, ',' ORDER BY id) FROM t_dw2.keyed), '1:100,2:2,3:3', 'with a key: the rest stays as it is');

-- A row that the run had deleted, and that is there again.
SELECT etl.create_pipeline('t_gone') \g /dev/null
SELECT etl.add_aggregate('t_gone', 'sums', 'SELECT id, sum(v) AS v FROM t_src.plain GROUP BY 1', 't_dw2.sums', '{id}',
  keep_undo => '1 day') \g /dev/null
SELECT etl.run_pipeline('t_gone', mode => 'inline') \g /dev/null
DELETE FROM t_src.plain WHERE id = 3;
SELECT etl.run_pipeline('t_gone', mode => 'inline') \g /dev/null
INSERT INTO t_dw2.sums VALUES (3, 33);
SELECT is(pg_temp.rollback(), '55000 target t_dw2.sums cannot be put back: it was changed since the run: The row with key (3) was deleted by the run and is there again.',
  'a row that the run had deleted and that is there again');
DELETE FROM t_dw2.sums WHERE id = 3;
SELECT is((SELECT restored || ' ' || removed FROM etl.rollback_run(pg_temp.last_run(), dry_run => true)), '1 0', 'dry_run tells');
SELECT is((SELECT count(*) FROM t_dw2.sums WHERE id = 3), 0::bigint, 'and does nothing');
SELECT is(pg_temp.rollback(), 'sums 1 0', 'it comes back otherwise');
-- Columns that were added since.
SELECT etl.run_pipeline('t_gone', mode => 'inline') \g /dev/null
ALTER TABLE t_dw2.sums ADD COLUMN extra integer;
SELECT is(pg_temp.rollback(), '55000 run N cannot be rolled back: What was kept of task "sums" cannot be used: the columns of t_dw2.sums have changed.',
  'a target with other columns');
INSERT INTO t_src.plain VALUES (7, 7);
SELECT etl.run_pipeline('t_gone', mode => 'inline') \g /dev/null
SELECT is(pg_temp.rollback(), 'sums 0 1', 'the next run keeps its rows in a table that fits');
SELECT is(pg_temp.rollback(), '55000 run N cannot be rolled back: What was kept of task "sums" cannot be used: the columns of t_dw2.sums have changed.',
  'what was kept before is lost');
SELECT etl.drop_pipeline('t_gone') \g /dev/null
SELECT is((SELECT count(*) FROM pg_class AS c WHERE c.relnamespace = 'etl'::regnamespace AND c.relname LIKE 'undo\_%' AND c.relkind = 'r'
  AND NOT EXISTS (SELECT FROM etl.task AS t WHERE 'undo_' || t.task_id = c.relname)), 0::bigint, 'a dropped pipeline takes its tables along');

-- full_refresh and replay: rows that the query does not return are deleted, the others are not touched.
CREATE TABLE t_src.log (id integer PRIMARY KEY, v integer, u integer);
INSERT INTO t_src.log SELECT i, i, i FROM generate_series(1, 5) AS i;
SELECT etl.create_pipeline('t_replay') \g /dev/null
SELECT etl.add_extract('t_replay', 'log', 't_src.log', 't_raw.log', cursor_column => 'u', primary_key => '{id}') \g /dev/null
SELECT etl.add_load('t_replay', 'merged', 'SELECT id, v FROM t_raw.log WHERE v >= 0', 't_dw2.replayed', '{id}', keep_undo => '1 day') \g /dev/null
SELECT etl.add_load('t_replay', 'first', 'SELECT id, v FROM t_raw.log WHERE v >= 0', 't_dw2.first', '{id}', mode => 'insert_only') \g /dev/null
SELECT etl.add_load('t_replay', 'log_copy', 'SELECT id, v FROM t_raw.log', 't_dw2.log', mode => 'append') \g /dev/null
INSERT INTO t_dw2.replayed VALUES (77, 77);
SELECT etl.run_pipeline('t_replay', tasks => '{merged}', full_refresh => true, mode => 'inline') \g /dev/null
SELECT is((SELECT count(*) FROM t_dw2.replayed), 1::bigint, 'full_refresh of a load whose raw table has no batch yet deletes nothing');
DELETE FROM t_dw2.replayed;
SELECT etl.run_pipeline('t_replay', mode => 'inline') \g /dev/null
INSERT INTO t_src.log VALUES (6, 6, 6);
SELECT etl.run_pipeline('t_replay', mode => 'inline') \g /dev/null
CREATE FUNCTION pg_temp.spoil() RETURNS void LANGUAGE sql AS $$
  INSERT INTO t_dw2.replayed VALUES (90, 90); UPDATE t_dw2.replayed SET v = 99 WHERE id = 2; DELETE FROM t_dw2.replayed WHERE id = 3;
$$;
CREATE FUNCTION pg_temp.replayed() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(id || ':' || v, ',' ORDER BY id) FROM t_dw2.replayed $$;
CREATE FUNCTION pg_temp.counts(task text) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', rows_inserted, rows_updated, rows_deleted, rows_unchanged, x.message) FROM etl.task_run AS x
  WHERE x.task = counts.task ORDER BY task_run_id DESC LIMIT 1 $$;
SELECT pg_temp.spoil() \g /dev/null
SELECT etl.replay('t_replay', 'merged', mode => 'inline') \g /dev/null
SELECT is(pg_temp.replayed(), '1:1,2:2,3:3,4:4,5:5,6:6', 'replay makes the target equal to the query');
SELECT is(pg_temp.counts('merged'), '1 1 1 4', 'and writes only what differs');
SELECT is(pg_temp.rollback(), 'merged 2 1', 'a replay can be rolled back');
SELECT is(pg_temp.replayed(), '1:1,2:99,4:4,5:5,6:6,90:90', 'to what was there before');
SELECT etl.replay('t_replay', 'merged', from_batch => (SELECT max(batch_id) FROM etl.batch WHERE target = 't_raw.log'), mode => 'inline') \g /dev/null
SELECT is(pg_temp.replayed(), '1:1,2:99,4:4,5:5,6:6,90:90', 'from a batch: what older batches hold is left');
SELECT etl.replay('t_replay', 'merged', from_batch => (SELECT min(batch_id) FROM etl.batch WHERE target = 't_raw.log'), mode => 'inline') \g /dev/null
SELECT is(pg_temp.replayed(), '1:1,2:2,3:3,4:4,5:5,6:6', 'from the first batch: from the start');
INSERT INTO t_dw2.first VALUES (91, 91);
UPDATE t_dw2.first SET v = 11 WHERE id = 1;
SELECT etl.replay('t_replay', 'first', mode => 'inline') \g /dev/null
SELECT is(pg_temp.counts('first'), '0 0 1 6', 'insert_only: what is there stays, what the query does not return goes');
-- Nothing is deleted where the query may not describe all of the target.
DELETE FROM t_raw.log WHERE _etl_batch = (SELECT min(batch_id) FROM etl.batch WHERE target = 't_raw.log');
SELECT pg_temp.spoil() \g /dev/null
SELECT etl.run_pipeline('t_replay', tasks => '{merged}', full_refresh => true, mode => 'inline') \g /dev/null
SELECT matches(pg_temp.counts('merged'), '^0 0 0 1 Rows that the query does not return were kept: raw table t_raw.log no longer holds batch \d+\.$',
  'full_refresh deletes nothing when old raw rows are gone');
SELECT is(pg_temp.replayed(), '1:1,2:99,4:4,5:5,6:6,90:90', 'so that the target keeps what only it has');
SELECT throws_like($$SELECT etl.replay('t_replay', 'log_copy', mode => 'inline')$$, '%cannot be rebuilt from the start', 'nor does replay in mode append');
SELECT throws_ok($$SELECT etl.run_pipeline('t_replay', tasks => '{log_copy}', full_refresh => true, mode => 'inline')$$, '55000', NULL,
  'and full_refresh refuses to');
SELECT etl.replay('t_replay', 'merged', force => true, mode => 'inline') \g /dev/null
SELECT is(pg_temp.replayed(), '6:6', 'force: the target has what the raw table has');
SELECT etl.alter_task('t_replay', 'merged', query => 'SELECT id, v FROM t_raw.log WHERE v >= 0 AND etl.run_id() > 0') \g /dev/null
SELECT pg_temp.spoil() \g /dev/null
SELECT throws_ok($$SELECT etl.replay('t_replay', 'merged', force => true, mode => 'inline')$$, '55000',
  'target of task "merged" cannot be made equal to its query', 'a query that depends on its run');
SELECT etl.run_pipeline('t_replay', tasks => '{merged}', full_refresh => true, mode => 'inline') \g /dev/null
SELECT is(pg_temp.replayed(), '6:6,90:90', 'full_refresh deletes nothing then');
SELECT etl.alter_task('t_replay', 'merged', query => 'SELECT id, v FROM t_raw.log') \g /dev/null
SELECT etl.add_load('t_replay', 'second', 'SELECT id, v FROM t_src.log WHERE id = 1', 't_dw2.replayed', '{id}') \g /dev/null
SELECT throws_ok($$SELECT etl.replay('t_replay', 'merged', force => true, mode => 'inline')$$, '55000',
  'target of task "merged" cannot be made equal to its query', 'a target with two writers');
SELECT etl.drop_task('t_replay', 'second') \g /dev/null
ALTER TABLE t_dw2.replayed ADD CHECK (v < 50) NOT VALID;
INSERT INTO t_src.log VALUES (8, 80, 8);
SELECT etl.run_pipeline('t_replay', tasks => '{log}', mode => 'inline') \g /dev/null
SELECT etl.replay('t_replay', 'merged', force => true, mode => 'inline') \g /dev/null
SELECT is(pg_temp.counts('merged'), '0 0 0 1 Rows that the query does not return were kept, because rows were rejected.; 1 rows went to etl.quarantine.',
  'rows that were rejected: nothing is deleted');
-- A source whose rows would not be recognised if they came again: the position stays, and the load takes what is there again.
CREATE FUNCTION pg_temp.write_file(name text, content text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  object oid := lo_from_bytea(0, convert_to(content, 'UTF8'));
BEGIN
  PERFORM lo_export(object, format('%s/t_undo_%s_%s', current_setting('data_directory'), pg_backend_pid(), name)), lo_unlink(object);
END
$$;
SELECT pg_temp.write_file('1.csv', E'id,v\n1,1\n2,2\n') \g /dev/null
SELECT format('CREATE SERVER t_disk FOREIGN DATA WRAPPER etl_file OPTIONS (root %L)', current_setting('data_directory')) \gexec
SELECT format('CREATE FOREIGN TABLE t_src.file (id integer, v integer) SERVER t_disk OPTIONS (pattern %L, format ''csv'', header ''match'')',
  't_undo_' || pg_backend_pid() || '_*.csv') \gexec
SELECT etl.create_pipeline('t_file') \g /dev/null
SELECT etl.add_extract('t_file', 'file', 't_src.file', 't_raw.file') \g /dev/null
SELECT etl.add_load('t_file', 'lines', 'SELECT id, v FROM t_raw.file', 't_dw2.lines', mode => 'append', keep_undo => '1 day') \g /dev/null
SELECT etl.run_pipeline('t_file', mode => 'inline') \g /dev/null
SELECT pg_temp.write_file('2.csv', E'id,v\n3,3\n') \g /dev/null
SELECT etl.run_pipeline('t_file', mode => 'inline') \g /dev/null
SELECT is(pg_temp.rollback(), 'lines 0 1', 'files: the run is rolled back');
SELECT is((SELECT count(*) FROM etl.file_ledger AS l JOIN etl.task AS t USING (task_id) WHERE t.name = 'file' AND l.state = 'loaded'), 2::bigint,
  'files: what was read stays read');
SELECT etl.run_pipeline('t_file', mode => 'inline') \g /dev/null
SELECT is((SELECT string_agg(id::text, ',' ORDER BY id) FROM t_dw2.lines), '1,2,3', 'files: running again brings each row once');
SELECT is((SELECT count(*) FROM t_raw.file), 3::bigint, 'files: also in the raw table');
SELECT * FROM finish();
