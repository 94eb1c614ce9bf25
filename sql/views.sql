-- Views: what etl.freshness, etl.task_status and etl.run_status say of good, stale and failed tables.
SET client_min_messages = warning;
-- Tables are dropped and changed on purpose.
SET etl.guard_ddl = off;
CREATE EXTENSION IF NOT EXISTS etl_ext;
CREATE SCHEMA vw;
\pset format unaligned
\pset tuples_only on
\pset null '(null)'

CREATE TABLE vw.shop (id int PRIMARY KEY, v text);
CREATE TABLE vw.other (id int PRIMARY KEY, v text);
INSERT INTO vw.shop VALUES (1, 'a');
INSERT INTO vw.other VALUES (1, 'a');
SELECT etl.create_pipeline('vw', deadline => '1 h') > 0;
SELECT etl.add_extract('vw', 'shop', 'vw.shop', 'vw.raw_shop', primary_key => '{id}', cursor_column => 'id', on_failure => 'use_last') > 0;
SELECT etl.add_extract('vw', 'other', 'vw.other', 'vw.raw_other', primary_key => '{id}', cursor_column => 'id') > 0;
SELECT etl.add_load('vw', 'fact', 'SELECT id, v FROM vw.raw_shop', 'vw.fact', '{id}') > 0;
SELECT etl.add_load('vw', 'dim', 'SELECT id, v FROM vw.raw_other', 'vw.dim', '{id}') > 0;
SELECT etl.add_check('vw', 'rows', 'vw.fact', 'row_count', warn => '5', gate => 'fact') > 0;

-- run runs the pipeline, whatever comes of it; fresh shows the view without its times.
CREATE FUNCTION pg_temp.fresh(OUT task text, OUT fresh_now boolean, OUT stale boolean, OUT last_error text, OUT changed_now boolean)
RETURNS SETOF record LANGUAGE sql AS
$$SELECT f.task, f.last_success_at >= r.started_at, f.stale, f.last_error, f.last_change_at >= r.started_at
  FROM etl.freshness AS f, (SELECT max(started_at) AS started_at FROM etl.run_status) AS r
  WHERE f.pipeline = 'vw' ORDER BY f.task$$;

-- Before the first run.
SELECT task, last_success_at, age, stale, last_error, last_change_at FROM etl.freshness WHERE pipeline = 'vw' ORDER BY task;
-- All is well; a gate that warns leaves its table fresh.
SELECT etl.run_pipeline('vw', wait => false) AS run \gset
SELECT etl.wait_for_run(:run);
SELECT task, state, attempt, attempts, ready_at IS NOT NULL FROM etl.task_status WHERE run_id = :run ORDER BY task;
SELECT * FROM pg_temp.fresh();
SELECT scheduled_for, backfill_id, deadline_at - requested_at BETWEEN '50 min' AND '70 min', deadline_missed_at, retries
FROM etl.run_status WHERE run_id = :run;

-- Both sources are gone: the one that may be stale, and the one that may not.
ALTER TABLE vw.shop RENAME TO shop_gone;
ALTER TABLE vw.other RENAME TO other_gone;
SELECT etl.run_pipeline('vw', wait => false) AS run \gset
SELECT etl.wait_for_run(:run);
SELECT task, state, attempts, error_sqlstate FROM etl.task_status WHERE run_id = :run ORDER BY task;
SELECT * FROM pg_temp.fresh();
-- Only those that failed, without the others: what is stale stays so until it succeeds.
SELECT etl.run_pipeline('vw', tasks => '{shop}', wait => false) AS run \gset
SELECT etl.wait_for_run(:run);
SELECT task, state, attempts, error_sqlstate FROM etl.task_status WHERE run_id = :run ORDER BY task;

-- A retry that waits for its time: when it begins, and that the table is stale meanwhile.
ALTER TABLE vw.other_gone RENAME TO other;
SELECT etl.alter_task('vw', 'other', retry_on => '{22}', retry_delays => '{1 day}', filter => '1 / (id - 1) IS NULL');
SELECT etl.run_pipeline('vw', tasks => '{other}', wait => false) AS run \gset
DO $$
BEGIN
  WHILE NOT EXISTS (SELECT FROM etl.task_status WHERE task = 'other' AND state = 'retry') LOOP
    PERFORM pg_sleep(0.01);
  END LOOP;
END
$$;
SELECT task, state, attempt, attempts, ready_at > now() + interval '20 h', started_at FROM etl.task_status WHERE run_id = :run;
SELECT * FROM pg_temp.fresh() WHERE task = 'other';
SELECT etl.cancel_run(:run);
SELECT etl.wait_for_run(:run);
SELECT * FROM pg_temp.fresh() WHERE task = 'other';

-- What a backfill did says nothing about now.
ALTER TABLE vw.shop_gone RENAME TO shop;
SELECT etl.alter_task('vw', 'other', reset => '{filter,retry_on,retry_delays}');
BEGIN;
SELECT etl.run_pipeline('vw', mode => 'inline') AS run \gset
SELECT task, stale FROM pg_temp.fresh() WHERE stale;
UPDATE etl.run SET backfill_id = 1 WHERE run_id = :run;
SELECT task, fresh_now, stale FROM pg_temp.fresh() WHERE stale;
ROLLBACK;

-- All is well again; nothing new is no change.
SELECT etl.run_pipeline('vw', wait => false) AS run \gset
SELECT etl.wait_for_run(:run);
SELECT * FROM pg_temp.fresh();

SELECT etl.drop_pipeline('vw');
SET client_min_messages = error;
DROP SCHEMA vw CASCADE;
