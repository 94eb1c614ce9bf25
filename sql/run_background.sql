-- Runs in background workers: states, trigger rules, retries, overlap, refusals.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_ext;
CREATE SCHEMA bg;
SET search_path = bg, public;
\pset format unaligned
\pset tuples_only on
\pset null '(null)'
\set SHOW_CONTEXT never

CREATE TABLE done (task text);
CREATE TABLE other (n int);
CREATE SEQUENCE tries;
-- fail_until raises an error of the given SQLSTATE until it was called often enough; sequences are not rolled back.
CREATE FUNCTION fail_until(calls int, state text) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  IF nextval('bg.tries') < calls THEN
    RAISE EXCEPTION 'not yet' USING ERRCODE = state, DETAIL = 'Detail of it.', HINT = 'Hint of it.';
  END IF;
  RETURN 1;
END
$$;
-- failing runs a pipeline that should fail and shows SQLSTATE, message, detail and hint without numbers of runs.
CREATE FUNCTION failing(pipeline text, only_tasks text[] DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  detail text;
  hint text;
BEGIN
  PERFORM etl.run_pipeline(pipeline, tasks => only_tasks);
  RETURN 'it did not fail';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  SELECT string_agg(line, ' | ' ORDER BY line) INTO detail FROM regexp_split_to_table(detail, '\n') AS line;
  RETURN concat_ws(E'\n', SQLSTATE || ': ' || regexp_replace(SQLERRM, 'run \d+', 'run N'),
                   '  detail: ' || nullif(detail, ''), '  hint: ' || nullif(regexp_replace(hint, '= \d+', '= N'), ''));
END
$$;
-- The attempts of the last run.
CREATE VIEW attempt AS
SELECT task, attempt, state, error_sqlstate, error_message FROM etl.task_run
WHERE run_id = (SELECT max(run_id) FROM etl.run_status WHERE pipeline LIKE 'bg%') ORDER BY task, attempt;
CREATE VIEW last_run AS SELECT pipeline, state, tasks, tasks_done, tasks_failed FROM etl.run_status
WHERE pipeline LIKE 'bg%' ORDER BY run_id DESC LIMIT 1;

-- Success.
SELECT etl.create_pipeline('bg') > 0;
SELECT etl.add_sql('bg', 'one', 'INSERT INTO done VALUES (''one'')') > 0;
SELECT etl.add_sql('bg', 'two', 'INSERT INTO done SELECT ''two'' FROM done WHERE task = ''one''', depends_on => '{one}') > 0;
SELECT etl.run_pipeline('bg', params => '{"a": "b"}', logical_time => '2024-02-01') AS run \gset
SELECT * FROM attempt;
SELECT * FROM last_run;
SELECT * FROM done;
SELECT mode, logical_time = '2024-02-01', params, requested_by = current_user::regrole, started_at >= requested_at, ended_at >= started_at
FROM etl.run WHERE run_id = :run;
SELECT bool_and(worker_pid > 0 AND started_at >= ready_at AND ended_at >= started_at), count(DISTINCT worker_pid) FROM etl.task_run WHERE run_id = :run;
SELECT etl.wait_for_run(:run);

-- Failure: the error names the tasks, those behind them do not run; trigger rules say who runs after all.
SELECT etl.add_sql('bg', 'fails', 'SELECT 1 / 0', retry_delays => '{0 s}') > 0;
SELECT etl.add_sql('bg', 'fails too', 'SELECT bg.fail_until(1000, ''P0001'')') > 0;
SELECT etl.add_sql('bg', 'behind', 'SELECT 1', depends_on => '{fails}') > 0;
SELECT etl.add_sql('bg', 'far behind', 'SELECT 1', depends_on => '{behind,one}') > 0;
SELECT etl.add_sql('bg', 'all_done', 'SELECT 1', depends_on => '{fails,one}', trigger_rule => 'all_done') > 0;
SELECT etl.add_sql('bg', 'one_failed', 'SELECT 1', depends_on => '{fails,one}', trigger_rule => 'one_failed') > 0;
SELECT etl.add_sql('bg', 'nothing failed', 'SELECT 1', depends_on => '{one}', trigger_rule => 'one_failed') > 0;
SELECT etl.add_sql('bg', 'after skipped', 'SELECT 1', depends_on => '{nothing failed}') > 0;
SELECT etl.add_sql('bg', 'none_failed', 'SELECT 1', depends_on => '{nothing failed}', trigger_rule => 'none_failed') > 0;
SELECT etl.add_sql('bg', 'none_failed after failure', 'SELECT 1', depends_on => '{fails}', trigger_rule => 'none_failed') > 0;
SELECT etl.add_sql('bg', 'always', 'SELECT 1', depends_on => '{fails}', trigger_rule => 'always') > 0;
SELECT failing('bg');
SELECT * FROM attempt;
SELECT * FROM last_run;
SELECT error_detail, error_hint, error_context LIKE '%task "fails too" of run %' FROM etl.task_run
WHERE task = 'fails too' ORDER BY task_run_id DESC LIMIT 1;
SELECT regexp_replace(message, '\n', ' | ', 'g') LIKE '%division by zero%' FROM etl.run_status ORDER BY run_id DESC LIMIT 1;

-- Only some tasks; disabled ones are left out, and those behind them run.
SELECT etl.run_pipeline('bg', tasks => '{two,always}') > :run;
SELECT * FROM attempt;
SELECT etl.create_pipeline('bg2') > 0;
SELECT etl.add_sql('bg2', 'off', 'SELECT 1 / 0', enabled => false) > 0;
SELECT etl.add_sql('bg2', 'on', 'SELECT 1', depends_on => '{off}') > 0;
SELECT etl.run_pipeline('bg2') > :run;
SELECT * FROM attempt;

-- Retries: an error that may pass is tried again, another one is not; no retry_delays: once more at once.
SELECT etl.alter_task('bg2', 'on', command => 'SELECT bg.fail_until(3, ''40001'')', retry_delays => '{0 s,0 s,0 s}');
ALTER SEQUENCE tries RESTART;
SELECT etl.run_pipeline('bg2') > :run;
SELECT * FROM attempt;
ALTER SEQUENCE tries RESTART;
SELECT etl.alter_task('bg2', 'on', command => 'SELECT bg.fail_until(3, ''22023'')');
SELECT failing('bg2');
SELECT * FROM attempt;
ALTER SEQUENCE tries RESTART;
SELECT etl.alter_task('bg2', 'on', command => 'SELECT bg.fail_until(3, ''08006'')', reset => '{retry_delays}');
SELECT failing('bg2');
SELECT * FROM attempt;
ALTER SEQUENCE tries RESTART;
SELECT etl.alter_task('bg2', 'on', retry_delays => '{}');
SELECT failing('bg2');
SELECT * FROM attempt;

-- A timeout ends the attempt; the time-out of the run cancels it.
SELECT etl.alter_task('bg2', 'on', command => 'SELECT pg_sleep(600)', timeout => '100 ms');
SELECT failing('bg2');
SELECT * FROM attempt;
SELECT etl.alter_task('bg2', 'on', reset => '{timeout}');
SELECT etl.alter_pipeline('bg2', run_timeout => '100 ms');
\set VERBOSITY sqlstate
SELECT etl.run_pipeline('bg2');
\set VERBOSITY default
SELECT * FROM attempt;
SELECT state, message FROM etl.run_status ORDER BY run_id DESC LIMIT 1;
SELECT etl.alter_pipeline('bg2', reset => '{run_timeout}');

-- Warnings; a failed gate keeps its result, and nothing else.
SELECT etl.add_check('bg2', 'check', 'bg.done', 'row_count', warn => '1000', fail => '1') > 0;
SELECT etl.alter_task('bg2', 'on', command => 'INSERT INTO bg.other VALUES (1)');
SELECT etl.run_pipeline('bg2') > :run;
SELECT * FROM attempt;
SELECT * FROM last_run;
SELECT etl.add_check('bg2', 'gate', 'bg.other', 'row_count', fail => '1000', gate => 'on') > 0;
SELECT failing('bg2', '{on}');
SELECT * FROM attempt;
SELECT count(*) FROM other;
SELECT check_name, state, message FROM etl.quality WHERE pipeline = 'bg2' ORDER BY 1;
SELECT etl.alter_task('bg2', 'check', fail => '1000', reset => '{warn}');
SELECT failing('bg2', '{check}');
SELECT * FROM attempt;

-- Statements that cannot run in a transaction, and procedures that commit.
CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO bg.other VALUES (2); COMMIT; INSERT INTO bg.other VALUES (3); END $$;
SELECT etl.drop_task('bg2', 'gate');
SELECT etl.alter_task('bg2', 'on', command => 'VACUUM (ANALYZE) other; CALL commits(); CREATE INDEX CONCURRENTLY other_idx ON other (n); DELETE FROM other WHERE n = 3');
CALL etl.execute_pipeline('bg2', tasks => '{on}');
SELECT * FROM attempt;
SELECT * FROM other ORDER BY 1;
SELECT indisvalid FROM pg_index WHERE indexrelid = 'bg.other_idx'::regclass;
-- Without those, statements are one transaction.
SELECT etl.alter_task('bg2', 'on', command => 'INSERT INTO other VALUES (4); SELECT 1 / 0', retry_delays => '{}');
SELECT failing('bg2', '{on}');
SELECT count(*) FROM other WHERE n = 4;

SELECT etl.drop_pipeline('bg');
SELECT etl.drop_pipeline('bg2');
DROP SCHEMA bg CASCADE;
