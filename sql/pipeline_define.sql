-- Pipelines: create, alter, pause, resume, drop; and what each wrong argument is answered with.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_ext;
CREATE ROLE define_owner LOGIN;
CREATE ROLE define_stranger LOGIN;
CREATE ROLE define_group;
\pset format unaligned
\pset tuples_only on
\pset null '(null)'

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
-- definition shows what is stored of a pipeline.
CREATE VIEW pg_temp.definition AS
SELECT name, description, nullif(owner::text, current_user::text) AS owner, schedule, timezone, max_parallel, on_overlap,
       run_timeout, tags, paused, deadline, missed_run, atomic_publish
FROM etl.pipeline WHERE name LIKE 'p%' ORDER BY name;

-- Defaults, and every setting.
SELECT etl.create_pipeline('p1') > 0;
SELECT etl.create_pipeline('p2', timezone => 'Europe/Madrid', description => 'Second', owner => 'define_owner',
         tags => '{"team": "bi"}', max_parallel => 256, on_overlap => 'queue', run_timeout => '3 h',
         deadline => '09:00', missed_run => 'catch_up', atomic_publish => true) > 0;
SELECT * FROM pg_temp.definition;

-- NULL leaves a setting alone, reset sets it back, new_name renames.
SELECT etl.alter_pipeline('p2', max_parallel => 1, on_overlap => 'error');
SELECT etl.alter_pipeline('p2', reset => '{tags,run_timeout,description}', timezone => 'UTC');
SELECT etl.alter_pipeline('p2', new_name => 'p3', owner => current_user::text);
SELECT name, owner = current_user::regrole, description, timezone, max_parallel, on_overlap, run_timeout, tags
FROM etl.pipeline WHERE name LIKE 'p%' ORDER BY name;
SELECT etl.alter_pipeline('p3', reset => '{max_parallel,on_overlap,timezone,schedule}');
SELECT name, timezone, max_parallel, on_overlap FROM etl.pipeline WHERE name = 'p3';
SELECT etl.alter_pipeline('p3', max_parallel => 2);
SELECT deadline, missed_run FROM etl.pipeline WHERE name = 'p3';
SELECT etl.alter_pipeline('p3', deadline => '4 h', missed_run => 'skip');
SELECT deadline, missed_run FROM etl.pipeline WHERE name = 'p3';
SELECT etl.alter_pipeline('p3', reset => '{deadline,missed_run,max_parallel}');
SELECT deadline, missed_run FROM etl.pipeline WHERE name = 'p3';
SELECT etl.alter_pipeline('p3');
SELECT updated_at >= created_at FROM etl.pipeline WHERE name = 'p3';

-- Paused pipelines start no run.
SELECT etl.pause_pipeline('p3');
SELECT paused FROM etl.pipeline WHERE name = 'p3';
SELECT pg_temp.refused($$SELECT etl.run_pipeline('p3')$$);
SELECT pg_temp.refused($$SELECT etl.run_pipeline('p3', mode => 'inline')$$);
SELECT etl.resume_pipeline('p3');
SELECT paused FROM etl.pipeline WHERE name = 'p3';

-- A name can be anything of 1 to 128 bytes.
SELECT etl.create_pipeline('p "quoted" ''name'' ; with / everything') > 0;
SELECT etl.drop_pipeline('p "quoted" ''name'' ; with / everything');
SELECT etl.create_pipeline(repeat('p', 128)) > 0;
SELECT etl.drop_pipeline(repeat('p', 128));

-- Names that are wrong.
SELECT pg_temp.refused($$SELECT etl.create_pipeline('p1')$$);
SELECT pg_temp.refused($$SELECT etl.create_pipeline(NULL)$$);
SELECT pg_temp.refused($$SELECT etl.create_pipeline('')$$);
SELECT pg_temp.refused($$SELECT etl.create_pipeline(repeat('x', 129))$$);
SELECT pg_temp.refused($$SELECT etl.alter_pipeline('nobody', max_parallel => 2)$$);
SELECT pg_temp.refused($$SELECT etl.alter_pipeline(NULL, max_parallel => 2)$$);
SELECT pg_temp.refused($$SELECT etl.alter_pipeline('p1', new_name => 'p3')$$);
SELECT pg_temp.refused($$SELECT etl.alter_pipeline('p1', new_name => '')$$);
SELECT pg_temp.refused($$SELECT etl.drop_pipeline('nobody')$$);
SELECT pg_temp.refused($$SELECT etl.pause_pipeline('nobody')$$);
SELECT pg_temp.refused($$SELECT etl.resume_pipeline('nobody')$$);
SELECT pg_temp.refused($$SELECT etl.validate('nobody')$$);
SELECT pg_temp.refused($$SELECT etl.run_pipeline('nobody')$$);
SELECT pg_temp.refused($$SELECT etl.run_pipeline('nobody', mode => 'inline')$$);

-- Values that are wrong.
SELECT pg_temp.refused($$SELECT etl.create_pipeline('p4', on_overlap => 'wait')$$);
SELECT pg_temp.refused($$SELECT etl.create_pipeline('p4', max_parallel => 0)$$);
SELECT pg_temp.refused($$SELECT etl.create_pipeline('p4', max_parallel => 257)$$);
SELECT pg_temp.refused($$SELECT etl.create_pipeline('p4', run_timeout => '0 s')$$);
SELECT pg_temp.refused($$SELECT etl.create_pipeline('p4', run_timeout => '-1 h')$$);
SELECT pg_temp.refused($$SELECT etl.create_pipeline('p4', tags => '["bi"]')$$);
SELECT pg_temp.refused($$SELECT etl.create_pipeline('p4', tags => '"bi"')$$);
SELECT pg_temp.refused($$SELECT etl.create_pipeline('p4', timezone => 'Mars/Olympus')$$);
SELECT pg_temp.refused($$SELECT etl.create_pipeline('p4', timezone => '')$$);
SELECT pg_temp.refused($$SELECT etl.create_pipeline('p4', schedule => '')$$);
SELECT pg_temp.refused($$SELECT etl.create_pipeline('p4', schedule => 'every day')$$);
SELECT pg_temp.refused($$SELECT etl.create_pipeline('p4', schedule => '0 25 * * *')$$);
SELECT pg_temp.refused($$SELECT etl.create_pipeline('p4', schedule => '0 0 30 2 *')$$);
SELECT pg_temp.refused($$SELECT etl.alter_pipeline('p1', on_overlap => '')$$);
SELECT pg_temp.refused($$SELECT etl.alter_pipeline('p1', max_parallel => -1)$$);
SELECT pg_temp.refused($$SELECT etl.alter_pipeline('p1', tags => '1')$$);
SELECT pg_temp.refused($$SELECT etl.alter_pipeline('p1', reset => '{name}')$$);
SELECT pg_temp.refused($$SELECT etl.alter_pipeline('p1', reset => '{NULL}')$$);
SELECT pg_temp.refused($$SELECT etl.run_pipeline('p1', mode => 'later')$$);
SELECT pg_temp.refused($$SELECT etl.run_pipeline('p1', params => '[1]')$$);
SELECT pg_temp.refused($$SELECT etl.run_pipeline('p1', tasks => '{nothing}', mode => 'inline')$$);

SELECT pg_temp.refused($$SELECT etl.create_pipeline('p4', missed_run => 'all')$$);
SELECT pg_temp.refused($$SELECT etl.alter_pipeline('p1', missed_run => '')$$);
SELECT pg_temp.refused($$SELECT etl.create_pipeline('p4', deadline => 'soon')$$);
SELECT pg_temp.refused($$SELECT etl.create_pipeline('p4', deadline => '')$$);
SELECT pg_temp.refused($$SELECT etl.create_pipeline('p4', deadline => '24:30')$$);
SELECT pg_temp.refused($$SELECT etl.create_pipeline('p4', deadline => '09:00 Europe/Madrid')$$);
SELECT pg_temp.refused($$SELECT etl.create_pipeline('p4', deadline => '0 s')$$);
SELECT pg_temp.refused($$SELECT etl.create_pipeline('p4', deadline => '-1 h')$$);
SELECT pg_temp.refused($$SELECT etl.alter_pipeline('p1', deadline => '2026-01-01')$$);

-- A deadline counts from when a run was asked for, without a schedule.
SELECT etl.create_pipeline('p deadline', deadline => '4 h') > 0;
SELECT etl.add_sql('p deadline', 'nothing', command => 'SELECT 1') > 0;
SELECT etl.run_pipeline('p deadline', mode => 'inline') AS run \gset
SELECT deadline_at - requested_at BETWEEN '3 h 50 min' AND '4 h 10 min', deadline_missed_at FROM etl.run_status WHERE run_id = :run;
SELECT etl.run_pipeline('p deadline', mode => 'inline', logical_time => '2020-01-01 UTC') AS run \gset
SELECT logical_time = '2020-01-01 UTC', deadline_at - requested_at BETWEEN '3 h 50 min' AND '4 h 10 min' FROM etl.run_status WHERE run_id = :run;
SELECT etl.alter_pipeline('p deadline', deadline => '09:00', timezone => 'Asia/Tokyo');
SELECT etl.run_pipeline('p deadline', mode => 'inline') AS run \gset
SELECT (deadline_at AT TIME ZONE 'Asia/Tokyo')::time, deadline_at - requested_at BETWEEN '0' AND '24 h' FROM etl.run_status WHERE run_id = :run;
SELECT etl.alter_pipeline('p deadline', reset => '{deadline}');
SELECT etl.run_pipeline('p deadline', mode => 'inline') AS run \gset
SELECT deadline_at FROM etl.run_status WHERE run_id = :run;
SELECT etl.drop_pipeline('p deadline');

-- Owners that are wrong: unknown, one who cannot log in, one whose rights the caller does not have.
SELECT pg_temp.refused($$SELECT etl.create_pipeline('p4', owner => 'nobody_at_all')$$);
SELECT pg_temp.refused($$SELECT etl.create_pipeline('p4', owner => 'define_group')$$);
SELECT pg_temp.refused($$SELECT etl.alter_pipeline('p1', owner => 'define_group')$$);
GRANT USAGE ON SCHEMA etl TO define_stranger;
SET ROLE define_stranger;
SELECT pg_temp.refused($$SELECT etl.create_pipeline('p4', owner => 'define_owner')$$);
SELECT etl.create_pipeline('p4') > 0;
SELECT name, owner FROM etl.pipeline WHERE name LIKE 'p%';
SELECT pg_temp.refused($$SELECT etl.alter_pipeline('p4', owner => 'define_owner')$$);
RESET ROLE;
SELECT name, owner FROM etl.pipeline WHERE name = 'p4';

-- Definitions are transactional.
BEGIN;
SELECT etl.create_pipeline('p5') > 0;
SELECT etl.alter_pipeline('p1', new_name => 'p6');
SELECT etl.drop_pipeline('p3');
SELECT name FROM etl.pipeline WHERE name LIKE 'p%' ORDER BY name;
ROLLBACK;
SELECT name FROM etl.pipeline WHERE name LIKE 'p%' ORDER BY name;

-- Dropping takes tasks and history along.
SELECT etl.add_sql('p1', 'nothing', command => 'SELECT 1') > 0;
SELECT etl.run_pipeline('p1', mode => 'inline') > 0;
SELECT count(*) FROM etl.task_status WHERE pipeline = 'p1';
SELECT etl.drop_pipeline('p1');
SELECT count(*) FROM etl.task_run WHERE task = 'nothing';
SELECT etl.drop_pipeline('p3');
SELECT etl.drop_pipeline('p4');
SELECT count(*) FROM etl.pipeline WHERE name LIKE 'p%';
-- A NULL name drops nothing.
SELECT etl.drop_pipeline(NULL);

REVOKE USAGE ON SCHEMA etl FROM define_stranger;
DROP ROLE define_owner, define_stranger, define_group;
