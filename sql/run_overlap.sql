-- Runs that meet: overlap, waiting, cancelling, callers that would wait for themselves, CALL execute_pipeline.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_ext;
CREATE SCHEMA ov;
SET search_path = ov, public;
\pset format unaligned
\pset tuples_only on
\pset null '(null)'
\set SHOW_CONTEXT never
\set VERBOSITY terse

CREATE TABLE done (run_id bigint);
SELECT etl.create_pipeline('ov') > 0;
-- The task waits as long as this session holds the lock.
SELECT etl.add_sql('ov', 'task', 'SELECT pg_advisory_xact_lock(4711); INSERT INTO done VALUES (etl.run_id())', retry_delays => '{}') > 0;

-- skip: the second run is there to be seen, and did nothing.
SELECT pg_advisory_lock(4711);
SELECT etl.run_pipeline('ov', wait => false) AS first \gset
SELECT etl.wait_for_run(:first, '0') IN ('queued', 'running');
SELECT etl.run_pipeline('ov', wait => false) AS second \gset
SELECT etl.wait_for_run(:second);
SELECT state, message = format('run %s was still active', :first), started_at, ended_at IS NOT NULL, tasks FROM etl.run_status WHERE run_id = :second;
-- The caller who waits is told, and gets no error.
SELECT etl.run_pipeline('ov') > :second;
-- error: refused, without a run.
SELECT etl.alter_pipeline('ov', on_overlap => 'error');
DO $$
BEGIN
  PERFORM etl.run_pipeline('ov', wait => false);
EXCEPTION WHEN SQLSTATE 'ZE005' THEN
  RAISE WARNING '%: %', SQLSTATE, SQLERRM;
END
$$;
SELECT count(*) FROM etl.run_status WHERE pipeline = 'ov';
-- queue: one after the other.
SELECT etl.alter_pipeline('ov', on_overlap => 'queue');
SELECT etl.run_pipeline('ov', wait => false) AS queued \gset
SELECT etl.wait_for_run(:queued, '100 ms');
SELECT etl.run_pipeline('ov', wait => false) AS not_needed \gset
-- A queued run can be cancelled; an ended one not any more.
SELECT etl.cancel_run(:not_needed);
SELECT etl.wait_for_run(:not_needed);
SELECT etl.cancel_run(:not_needed);
SELECT state, attempt, started_at FROM etl.task_status WHERE run_id = :not_needed;
SELECT pg_advisory_unlock(4711);
SELECT etl.wait_for_run(:first), etl.wait_for_run(:queued);
SELECT a.ended_at <= b.started_at FROM etl.run AS a, etl.run AS b WHERE a.run_id = :first AND b.run_id = :queued;
SELECT count(*), count(DISTINCT run_id), min(run_id) = :first, max(run_id) = :queued FROM done;

-- cancel_running: the newer run wins.
TRUNCATE done;
SELECT pg_advisory_lock(4711);
SELECT etl.alter_pipeline('ov', on_overlap => 'cancel_running');
SELECT etl.run_pipeline('ov', wait => false) AS first \gset
SELECT etl.run_pipeline('ov', wait => false) AS second \gset
SELECT etl.wait_for_run(:first);
SELECT message FROM etl.run_status WHERE run_id = :first;
SELECT pg_advisory_unlock(4711);
SELECT etl.wait_for_run(:second);
SELECT count(*), min(run_id) = :second FROM done;

-- cancel_run takes effect at the commit of the one who asks.
SELECT pg_advisory_lock(4711);
SELECT etl.run_pipeline('ov', wait => false) AS run \gset
BEGIN;
SELECT etl.cancel_run(:run);
ROLLBACK;
SELECT etl.wait_for_run(:run, '200 ms') IN ('queued', 'running');
SELECT etl.cancel_run(:run);
SELECT etl.wait_for_run(:run);
SELECT message = 'cancelled by ' || current_user FROM etl.run_status WHERE run_id = :run;
SELECT state FROM etl.task_status WHERE run_id = :run AND state IN ('cancelled');
SELECT pg_advisory_unlock(4711);
SELECT etl.cancel_run(:run);
SELECT etl.wait_for_run(-1);
\echo :SQLSTATE
SELECT etl.cancel_run(-1);
\echo :SQLSTATE
SELECT etl.wait_for_run(NULL);

-- The definition cannot be dropped under a run.
SELECT pg_advisory_lock(4711);
SELECT etl.run_pipeline('ov', wait => false) AS run \gset
SELECT etl.drop_pipeline('ov');
\echo :SQLSTATE
SELECT pg_advisory_unlock(4711);
SELECT etl.wait_for_run(:run);

-- A transaction that has written cannot wait for workers; it can start a run without waiting.
TRUNCATE done;
BEGIN;
INSERT INTO done VALUES (0);
SELECT etl.run_pipeline('ov');
\echo :SQLSTATE
ROLLBACK;
BEGIN;
INSERT INTO done VALUES (0);
SELECT etl.run_pipeline('ov', wait => false) AS run \gset
ROLLBACK;
SELECT etl.wait_for_run(:run);
SELECT count(*), min(run_id) = :run FROM done;
-- The run outlives the rollback of the one who waited for it.
BEGIN;
SELECT etl.run_pipeline('ov') AS run \gset
ROLLBACK;
SELECT state FROM etl.run_status WHERE run_id = :run;

-- A lock of this session that the run waits for: an error instead of a standstill.
BEGIN;
LOCK TABLE done IN SHARE MODE;
SELECT etl.run_pipeline('ov');
\echo :SQLSTATE
ROLLBACK;
-- With its locks gone the run may have ended before it could be cancelled.
SELECT etl.wait_for_run(max(run_id)) IN ('cancelled', 'success') FROM etl.run_status WHERE pipeline = 'ov';
SELECT pg_advisory_lock(4711);
SELECT etl.run_pipeline('ov');
\echo :SQLSTATE
SELECT etl.wait_for_run(max(run_id)) FROM etl.run_status WHERE pipeline = 'ov';
SELECT pg_advisory_unlock(4711);

-- A snapshot of its own would never see the run end.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT etl.run_pipeline('ov');
\echo :SQLSTATE
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT etl.run_pipeline('ov', wait => false) AS run \gset
SELECT etl.wait_for_run(:run);
\echo :SQLSTATE
ROLLBACK;
SELECT etl.wait_for_run(:run);

-- CALL execute_pipeline: success, failure, arguments, and where it is refused.
TRUNCATE done;
SELECT etl.alter_task('ov', 'task', command => 'INSERT INTO done VALUES (etl.param(''n'')::int)');
CALL etl.execute_pipeline('ov', params => '{"n": "17"}', tasks => '{task}', full_refresh => true, logical_time => '2024-02-03');
SELECT * FROM done;
SELECT full_refresh, logical_time = '2024-02-03', waiter IS NOT NULL FROM etl.run ORDER BY run_id DESC LIMIT 1;
DO $$ BEGIN CALL etl.execute_pipeline('ov', params => '{"n": "18"}'); END $$;
SELECT count(*) FROM done;
BEGIN;
CALL etl.execute_pipeline('ov');
\echo :SQLSTATE
ROLLBACK;
CALL etl.execute_pipeline('nobody');
\echo :SQLSTATE
CALL etl.execute_pipeline(NULL);
\echo :SQLSTATE
CALL etl.execute_pipeline('ov', only_when_due => true);
\echo :SQLSTATE
SELECT etl.pause_pipeline('ov');
CALL etl.execute_pipeline('ov');
\echo :SQLSTATE
SELECT etl.resume_pipeline('ov');
\set VERBOSITY sqlstate
SELECT etl.alter_task('ov', 'task', command => 'SELECT 1 / 0');
CALL etl.execute_pipeline('ov');
SELECT state FROM etl.run_status ORDER BY run_id DESC LIMIT 1;
\set VERBOSITY terse
-- The session is as good as before.
SELECT 1;

SELECT etl.drop_pipeline('ov');
DROP SCHEMA ov CASCADE;
