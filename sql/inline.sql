-- mode => 'inline': a whole run in the caller's transaction, all or nothing.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_ext;
CREATE SCHEMA inl;
SET search_path = inl, public;
\pset format unaligned
\pset tuples_only on
\pset null '(null)'
\set SHOW_CONTEXT never

CREATE TABLE orders (order_id int PRIMARY KEY, customer_id int, amount numeric, updated_at timestamptz NOT NULL);
INSERT INTO orders SELECT n, n % 10, n, '2024-01-01'::timestamptz + n * interval '1 min' FROM generate_series(1, 100) AS n;
CREATE TABLE seen (run_id bigint, country text, missing text, logical_time timestamptz, from_time timestamptz, to_time timestamptz, who text);
CREATE VIEW pg_temp.last_run AS
SELECT task, state, attempt, rows_read, rows_inserted, rows_updated, rows_unchanged, rows_deleted, error_sqlstate
FROM etl.task_status WHERE run_id = (SELECT max(run_id) FROM etl.run_status WHERE pipeline = 'inl') ORDER BY task;

SELECT etl.create_pipeline('inl') > 0;
SELECT etl.add_extract('inl', 'orders', 'orders', 'inl.raw', cursor_column => 'updated_at', primary_key => '{order_id}', chunk_rows => 30) > 0;
SELECT etl.add_load('inl', 'fact', 'SELECT order_id, customer_id, amount, updated_at FROM raw', 'inl.fact', '{order_id}', order_by => 'updated_at') > 0;
SELECT etl.add_aggregate('inl', 'total', 'SELECT customer_id, sum(amount) AS amount FROM fact GROUP BY 1', 'inl.total', '{customer_id}') > 0;
SELECT etl.add_check('inl', 'gate', 'inl.fact', 'row_count', fail => '100', gate => 'fact') > 0;
SELECT etl.add_check('inl', 'sums', 'inl.total', 'expression', expression => 'amount < 10000', fail => '0') > 0;
SELECT etl.add_sql('inl', 'context', $$
  INSERT INTO seen SELECT etl.run_id(), etl.param('country'), etl.param('nothing'), etl.logical_time(), etl.interval_start(),
                          etl.interval_end(), current_user$$, depends_on => '{total}') > 0;

-- A first run, and one that finds nothing new.
SET client_min_messages = error;
SELECT etl.run_pipeline('inl', mode => 'inline', params => '{"country": "es", "n": {"deep": [1]}}', logical_time => '2024-02-01 05:00+00') AS run \gset
SELECT * FROM pg_temp.last_run;
SELECT state, mode, logical_time = '2024-02-01 05:00+00', started_at <= ended_at, tasks, tasks_done, tasks_failed
FROM etl.run_status WHERE run_id = :run;
SELECT run_id = :run, country, missing, logical_time = '2024-02-01 05:00+00', from_time, to_time = logical_time, who = current_user FROM seen;
SELECT count(*), sum(amount) FROM fact;
SELECT count(*), sum(amount) FROM total;
SELECT check_name, state, measured, unit FROM etl.quality WHERE pipeline = 'inl' ORDER BY 1;
SELECT count(DISTINCT _etl_batch), count(*) FROM raw;

SELECT etl.run_pipeline('inl', mode => 'inline', logical_time => '2024-02-02 05:00+00') > :run;
SELECT * FROM pg_temp.last_run;
SELECT country, from_time = '2024-02-01 05:00+00', to_time = '2024-02-02 05:00+00' FROM seen WHERE run_id > :run;

-- New and changed rows only.
INSERT INTO orders VALUES (101, 1, 5, '2024-01-02');
UPDATE orders SET amount = 0, updated_at = '2024-01-02' WHERE order_id = 10;
SELECT etl.run_pipeline('inl', mode => 'inline', tasks => '{orders,fact,total}') > :run;
SELECT * FROM pg_temp.last_run;
SELECT sum(amount) FROM total;

-- full_refresh reads everything again and changes nothing.
SELECT etl.run_pipeline('inl', mode => 'inline', tasks => '{orders,fact,total}', full_refresh => true) > :run;
SELECT task, state, rows_read, rows_inserted, rows_updated, rows_unchanged FROM pg_temp.last_run;
SELECT count(*) FROM etl.quarantine WHERE target = 'inl.fact';

-- A gate that fails takes everything with it: rows, watermark, batches, positions, the run itself.
CREATE TEMP TABLE before AS
SELECT (SELECT count(*) FROM raw) AS raw, (SELECT count(*) FROM fact) AS fact, (SELECT max(run_id) FROM etl.run) AS run,
       (SELECT max(batch_id) FROM etl.batch WHERE target = 'inl.raw') AS batch,
       (SELECT value FROM etl.watermark AS w JOIN etl.task AS t USING (task_id) WHERE t.target = 'inl.raw') AS watermark,
       (SELECT count(*) FROM etl.check_result) AS results, (SELECT count(*) FROM seen) AS seen;
CREATE VIEW pg_temp.now AS
SELECT (SELECT count(*) FROM raw) AS raw, (SELECT count(*) FROM fact) AS fact, (SELECT max(run_id) FROM etl.run) AS run,
       (SELECT max(batch_id) FROM etl.batch WHERE target = 'inl.raw') AS batch,
       (SELECT value FROM etl.watermark AS w JOIN etl.task AS t USING (task_id) WHERE t.target = 'inl.raw') AS watermark,
       (SELECT count(*) FROM etl.check_result) AS results, (SELECT count(*) FROM seen) AS seen;
INSERT INTO orders VALUES (102, 1, 5, '2024-01-03');
SELECT etl.alter_task('inl', 'gate', fail => '1000');
SELECT etl.run_pipeline('inl', mode => 'inline');
\echo :SQLSTATE
SELECT count(*) AS unchanged FROM (SELECT * FROM before INTERSECT SELECT * FROM pg_temp.now) AS x;
SELECT etl.alter_task('inl', 'gate', fail => '100');

-- So does a check that fails as a step of its own, and any error; there are no retries.
SELECT etl.alter_task('inl', 'sums', expression => 'amount < 500', fail => '0');
SELECT etl.run_pipeline('inl', mode => 'inline');
\echo :SQLSTATE
SELECT etl.alter_task('inl', 'sums', expression => 'amount < 10000');
SELECT etl.alter_task('inl', 'context', command => 'INSERT INTO seen (run_id) VALUES (1 / 0)', retry_delays => '{0 s,0 s}');
SELECT etl.run_pipeline('inl', mode => 'inline');
\echo :SQLSTATE
SELECT count(*) AS unchanged FROM (SELECT * FROM before INTERSECT SELECT * FROM pg_temp.now) AS x;
SELECT etl.run_id(), etl.logical_time(), etl.param('country'), etl.interval_start(), etl.interval_end();

-- A warning is no failure.
SELECT etl.alter_task('inl', 'context', command => 'SELECT 1');
SELECT etl.alter_task('inl', 'gate', warn => '1000');
SELECT etl.run_pipeline('inl', mode => 'inline') > :run;
SELECT task, state FROM pg_temp.last_run;
SELECT state FROM etl.run_status ORDER BY run_id DESC LIMIT 1;
SELECT etl.alter_task('inl', 'gate', reset => '{warn}');

-- The caller's transaction: he sees his own uncommitted rows in the run, and a rollback leaves nothing.
INSERT INTO before SELECT * FROM pg_temp.now;
BEGIN;
INSERT INTO orders VALUES (103, 1, 5, '2024-01-04');
SELECT etl.run_pipeline('inl', mode => 'inline') > :run;
SELECT count(*) FROM fact WHERE order_id = 103;
SELECT etl.run_id();
ROLLBACK;
SELECT count(*) AS unchanged FROM (SELECT * FROM before INTERSECT SELECT * FROM pg_temp.now) AS x;
SELECT count(*) FROM fact WHERE order_id = 103;
-- A savepoint survives a failed run; a definition of the same transaction can be run.
BEGIN;
SAVEPOINT s;
SELECT etl.add_sql('inl', 'fails', 'SELECT 1 / 0') > 0;
SELECT etl.run_pipeline('inl', mode => 'inline', tasks => '{fails}');
ROLLBACK TO s;
SELECT etl.create_pipeline('inl2') > 0;
SELECT etl.add_sql('inl2', 'fine', 'CREATE TABLE made (x int)') > 0;
SELECT etl.run_pipeline('inl2', mode => 'inline') > 0;
SELECT count(*) FROM made;
ROLLBACK;
SELECT to_regclass('inl.made');

-- What cannot run inside a transaction is refused; so is a run of nothing.
SELECT etl.add_sql('inl', 'vacuum', 'VACUUM inl.fact') > 0;
SELECT etl.run_pipeline('inl', mode => 'inline', tasks => '{vacuum}');
\echo :SQLSTATE
SELECT etl.alter_task('inl', 'vacuum', enabled => false);
SELECT etl.run_pipeline('inl', mode => 'inline', tasks => '{vacuum}');
SELECT etl.run_pipeline('inl', mode => 'inline', tasks => '{}');
\echo :SQLSTATE
-- The caller's settings are as before, whatever a task sets.
SELECT etl.add_sql('inl', 'settings', 'SET search_path = pg_catalog; SET datestyle = ''SQL, DMY''; SELECT set_config(''work_mem'', ''77MB'', false)') > 0;
SELECT etl.run_pipeline('inl', mode => 'inline', tasks => '{settings}') > :run;
SHOW search_path;
SHOW datestyle;
SELECT current_setting('work_mem') <> '77MB';
SELECT current_user = session_user;

SELECT etl.drop_pipeline('inl');
DROP SCHEMA inl CASCADE;
