-- What is tried again, what a failure after the last retry means, and etl.retry_run.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_ext;
CREATE SCHEMA rt;
SET search_path = rt, public;
\pset format unaligned
\pset tuples_only on
\pset null '(null)'

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
  RETURN regexp_replace(concat_ws(E'\n', SQLSTATE || ': ' || message, '  detail: ' || nullif(detail, ''), '  hint: ' || nullif(hint, '')),
                        'run [0-9]+', 'run N', 'g');
END
$$;
CREATE FUNCTION fail(code text) RETURNS int LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'failed with %', code USING ERRCODE = code; END $$;
-- The attempts of the latest run, by task.
CREATE VIEW pg_temp.attempts AS
SELECT task, string_agg(concat_ws(' ', state, error_sqlstate, 'after ' || nullif(retry, 0)), ', ' ORDER BY attempt) AS attempts
FROM etl.task_run WHERE run_id = (SELECT max(run_id) FROM etl.run) GROUP BY task ORDER BY task;

-- By default an error that may pass is tried again: once, at once, for everything but extracts.
SELECT etl.create_pipeline('rt') > 0;
SELECT etl.add_sql('rt', code, format('SELECT rt.fail(%L)', code)) > 0
FROM unnest('{08006,40001,40P01,53100,55P03,57P01,58030,22012,23505,28000,42501,ZE003,57014}'::text[]) AS code;
SELECT etl.wait_for_run(etl.run_pipeline('rt', wait => false));
SELECT * FROM pg_temp.attempts;
SELECT etl.drop_pipeline('rt');

-- A task may name the errors itself: classes and single ones, all, none. retry_delays says how often.
SELECT etl.create_pipeline('rt') > 0;
SELECT etl.add_sql('rt', name, format('SELECT rt.fail(%L)', code), retry_on => retry_on::text[], retry_delays => delays::interval[]) > 0
FROM (VALUES ('class', '22012', '{22}', '{0 s,0 s}'), ('single', '23505', '{23505,P0001}', '{0 s}'), ('other', '23503', '{23505}', '{0 s}'),
             ('all', '42501', '{all}', '{0 s}'), ('none', '40001', '{none}', '{0 s}'), ('never', '40001', NULL, '{}'))
     AS t (name, code, retry_on, delays);
SELECT etl.wait_for_run(etl.run_pipeline('rt', wait => false));
SELECT * FROM pg_temp.attempts;
-- One alert for each task, after its last retry, and one for the run.
SELECT event, count(*), count(DISTINCT task) FROM etl.alert WHERE pipeline = 'rt' GROUP BY event ORDER BY event;
SELECT etl.drop_pipeline('rt');

-- on_failure => 'use_last': the run goes on with what earlier runs brought, and says so.
CREATE TABLE source (id int PRIMARY KEY, v text);
INSERT INTO source VALUES (1, 'one'), (2, 'two');
CREATE VIEW shaky AS SELECT * FROM source;
SELECT etl.create_pipeline('rt') > 0;
SELECT etl.add_extract('rt', 'shaky', 'shaky', 'rt.raw', retry_delays => '{0 s}', on_failure => 'use_last') > 0;
SELECT etl.add_load('rt', 'load', 'SELECT id, v FROM raw', 'rt.target', '{id}') > 0;
SELECT etl.wait_for_run(etl.run_pipeline('rt', wait => false));
CREATE OR REPLACE VIEW shaky AS SELECT id, v || rt.fail('08006') AS v FROM source;
INSERT INTO source VALUES (3, 'three');
SELECT etl.wait_for_run(etl.run_pipeline('rt', wait => false));
SELECT * FROM pg_temp.attempts;
SELECT event, severity, task, message FROM etl.alert WHERE pipeline = 'rt' ORDER BY alert_id;
SELECT task, stale, last_error FROM etl.freshness WHERE pipeline = 'rt' ORDER BY task;
-- When it is retried, what depends on it is done again.
CREATE OR REPLACE VIEW shaky AS SELECT * FROM source;
SELECT etl.retry_run(max(run_id)) > 0 FROM etl.run;
SELECT * FROM pg_temp.attempts;
SELECT state, retries FROM etl.run WHERE run_id = (SELECT max(run_id) FROM etl.run);
SELECT task, stale, last_error FROM etl.freshness WHERE pipeline = 'rt' ORDER BY task;
SELECT count(*) FROM target;
SELECT etl.drop_pipeline('rt');

-- retry_run by the definitions of the run, and by the latest.
CREATE TABLE done (what text);
SELECT etl.create_pipeline('rt') > 0;
SELECT etl.add_sql('rt', 'good', 'INSERT INTO done VALUES (''good'')') > 0;
SELECT etl.add_sql('rt', 'bad', 'SELECT rt.fail(''22012'')', depends_on => '{good}') > 0;
SELECT etl.add_sql('rt', 'after', 'INSERT INTO done VALUES (''after'')', depends_on => '{bad}') > 0;
SELECT etl.wait_for_run(etl.run_pipeline('rt', wait => false));
SELECT etl.alter_task('rt', 'bad', command => 'INSERT INTO done VALUES (''bad'')');
SELECT etl.wait_for_run(etl.retry_run(max(run_id), wait => false)) FROM etl.run;
SELECT * FROM pg_temp.attempts;
SELECT etl.retry_run(max(run_id), version => 'latest') > 0 FROM etl.run;
SELECT * FROM pg_temp.attempts;
SELECT * FROM done;

-- What it refuses.
SELECT pg_temp.refused('SELECT etl.retry_run(max(run_id)) FROM etl.run');
SELECT pg_temp.refused('SELECT etl.retry_run(0)');
SELECT pg_temp.refused($$SELECT etl.retry_run(max(run_id), version => 'newest') FROM etl.run$$);
SELECT pg_temp.refused('CREATE TEMP TABLE written AS SELECT 1 AS one; SELECT etl.retry_run(max(run_id)) FROM etl.run');
SELECT etl.retry_run(NULL);
SELECT etl.pause_pipeline('rt');
SELECT pg_temp.refused('SELECT etl.retry_run(max(run_id), wait => false) FROM etl.run');
SELECT etl.resume_pipeline('rt');
CREATE ROLE rt_other;
GRANT USAGE ON SCHEMA etl, rt TO rt_other;
SELECT max(run_id) AS run_id FROM etl.run \gset
SET ROLE rt_other;
\set VERBOSITY sqlstate
SELECT etl.retry_run(:run_id);
\set VERBOSITY default
RESET ROLE;
-- Only some tasks were asked for: the latest definitions are of those, too.
SELECT etl.alter_task('rt', 'bad', command => 'SELECT rt.fail(''22012'')');
SELECT etl.wait_for_run(etl.run_pipeline('rt', wait => false, tasks => '{bad}'));
SELECT etl.alter_task('rt', 'bad', command => 'SELECT 1');
SELECT etl.retry_run(max(run_id), version => 'latest') > 0 FROM etl.run;
SELECT * FROM pg_temp.attempts;
-- Nothing is active, so there is nothing to recover.
SELECT etl.recover();

SELECT etl.drop_pipeline('rt');
DROP OWNED BY rt_other;
DROP ROLE rt_other;
DROP SCHEMA rt CASCADE;
