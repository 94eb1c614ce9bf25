-- etl.rollback_run and etl.replay: what they refuse, whose rights they use, what they leave behind.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_ext;
CREATE ROLE undo_owner LOGIN;
CREATE ROLE undo_member LOGIN IN ROLE undo_owner;
CREATE ROLE undo_second LOGIN;
CREATE ROLE undo_other LOGIN;
GRANT USAGE ON SCHEMA etl TO undo_owner, undo_second, undo_other;
CREATE SCHEMA undo;
GRANT ALL ON SCHEMA undo TO undo_owner, undo_second;
\pset format unaligned
\pset tuples_only on
\pset null '(null)'
\set SHOW_CONTEXT never

-- refused runs a statement that should fail and shows SQLSTATE, message, detail and hint, without numbers of runs and times.
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
  RETURN regexp_replace(regexp_replace(regexp_replace(
    concat_ws(E'\n', SQLSTATE || ': ' || message, '  detail: ' || nullif(detail, ''), '  hint: ' || nullif(hint, '')),
    '([Rr]un |run\(|batch )\d+', '\1N', 'g'), 'back at [^\n]*', 'back at T', 'g'), '\m4\d{5,}\M', 'N', 'g');
END
$$;
-- last returns the last run of a pipeline that stands.
CREATE FUNCTION pg_temp.last(pipeline text) RETURNS bigint LANGUAGE sql AS $$
  SELECT max(r.run_id) FROM etl.run_status AS r WHERE r.pipeline = last.pipeline AND rolled_back_at IS NULL
$$;

SET ROLE undo_owner;
CREATE TABLE undo.source (id int PRIMARY KEY, v int);
INSERT INTO undo.source VALUES (1, 1), (2, 2);
SELECT etl.create_pipeline('undo') > 0;
SELECT etl.add_extract('undo', 'extract', 'undo.source', 'undo.raw', cursor_column => 'id', primary_key => '{id}') > 0;
SELECT etl.add_load('undo', 'load', 'SELECT id, v FROM undo.raw', 'undo.fact', '{id}', keep_undo => '1 day') > 0;
SELECT etl.run_pipeline('undo') > 0;

-- Runs that cannot be taken back.
SELECT pg_temp.refused('SELECT * FROM etl.rollback_run(999999999)');
SELECT count(*) FROM etl.rollback_run(NULL);
RESET ROLE;
SELECT pg_temp.last('undo') AS run \gset
SET ROLE undo_other;
SELECT pg_temp.refused(format('SELECT * FROM etl.rollback_run(%s)', :run));
SET ROLE undo_owner;
-- A later run, and one of another pipeline that has read what it wrote.
SELECT etl.create_pipeline('undo_reader') > 0;
SELECT etl.add_load('undo_reader', 'copy', 'SELECT id, v FROM undo.fact', 'undo.copy', '{id}', keep_undo => '1 day') > 0;
SELECT etl.add_check('undo_reader', 'check', 'undo.fact', 'row_count', fail => '1') > 0;
SELECT etl.run_pipeline('undo_reader') > 0;
SELECT pg_temp.refused(format('SELECT * FROM etl.rollback_run(%s)', :run));
INSERT INTO undo.source VALUES (3, 3);
SELECT etl.run_pipeline('undo') > 0;
SELECT pg_temp.refused(format('SELECT * FROM etl.rollback_run(%s)', :run));
SELECT * FROM etl.rollback_run(pg_temp.last('undo'));
SELECT pg_temp.refused(format('SELECT * FROM etl.rollback_run(%s)', :run));
SELECT * FROM etl.rollback_run(pg_temp.last('undo_reader'), dry_run => true);
SELECT * FROM etl.rollback_run(pg_temp.last('undo_reader'));
SELECT * FROM etl.rollback_run(:run);
SELECT count(*) FROM undo.fact;
SELECT pg_temp.refused(format('SELECT * FROM etl.rollback_run(%s)', :run));
SELECT state, rolled_back_at IS NOT NULL FROM etl.run_status WHERE run_id = :run;
SELECT state, rolled_back_by, rolled_back_at > ended_at FROM etl.run WHERE run_id = :run;
SELECT role, action, pipeline, details ->> 'run_id' = :'run' FROM etl.audit_log WHERE action = 'rollback_run' AND pipeline = 'undo'
ORDER BY audit_id DESC LIMIT 1;
SELECT reason, old_value, new_value FROM etl.watermark_history AS h JOIN etl.task AS t USING (task_id) WHERE t.name = 'extract'
ORDER BY move_id;
-- It counts as no run for the interval of the next one, and for freshness.
SELECT count(*) FROM etl.freshness WHERE pipeline = 'undo' AND last_success_at IS NOT NULL;
SELECT etl.run_pipeline('undo') > 0;
SELECT interval_start FROM etl.run WHERE run_id = pg_temp.last('undo');
SELECT count(*) FROM undo.fact;

-- A task that keeps no undo: it matters when it has changed something.
SELECT etl.add_load('undo', 'unkept', 'SELECT id, v FROM undo.raw WHERE id < 100', 'undo.unkept', '{id}') > 0;
INSERT INTO undo.source VALUES (4, 4);
SELECT etl.run_pipeline('undo') > 0;
SELECT pg_temp.refused('SELECT * FROM etl.rollback_run(pg_temp.last(''undo''))');
INSERT INTO undo.source VALUES (100, 100);
SELECT etl.run_pipeline('undo') > 0;
SELECT * FROM etl.rollback_run(pg_temp.last('undo'));
SELECT etl.drop_task('undo', 'unkept');
SELECT etl.run_pipeline('undo') > 0;
-- Expired, begun anew.
RESET ROLE;
BEGIN;
UPDATE etl.undo SET expires_at = now() - interval '1 s' WHERE run_id = pg_temp.last('undo') AND n_old IS NOT NULL;
SELECT pg_temp.refused('SELECT * FROM etl.rollback_run(pg_temp.last(''undo''))');
ROLLBACK;
BEGIN;
SELECT etl.alter_task('undo', 'load', target => 'undo.fact2');
SELECT pg_temp.refused('SELECT * FROM etl.rollback_run(pg_temp.last(''undo''))');
ROLLBACK;
BEGIN;
SELECT etl.drop_task('undo', 'load');
SELECT pg_temp.refused('SELECT * FROM etl.rollback_run(pg_temp.last(''undo''))');
ROLLBACK;
-- Active.
SET ROLE undo_owner;
SELECT etl.add_sql('undo', 'wait', 'SELECT pg_advisory_lock(77)', depends_on => '{load}') > 0;
SELECT pg_advisory_lock(77);
SELECT etl.run_pipeline('undo', wait => false) > 0;
SELECT pg_temp.refused(format('SELECT * FROM etl.rollback_run(%s)', pg_temp.last('undo')));
SELECT pg_temp.refused(format('SELECT * FROM etl.rollback_run(%s)', (SELECT max(run_id) FROM etl.run WHERE state = 'success')));
SELECT pg_advisory_unlock(77);
SELECT etl.wait_for_run(pg_temp.last('undo'));
SET client_min_messages = notice;
\set VERBOSITY terse
SELECT * FROM etl.rollback_run(pg_temp.last('undo'));
\set VERBOSITY default
SET client_min_messages = warning;
-- A run that was rolled back is not retried.
SELECT etl.alter_task('undo', 'wait', command => 'SELECT 1/0');
SELECT etl.run_pipeline('undo', wait => false) AS failed \gset
SELECT etl.wait_for_run(:failed);
SELECT * FROM etl.rollback_run(:failed);
SELECT pg_temp.refused('SELECT etl.retry_run(' || :failed || ')');
SELECT etl.drop_task('undo', 'wait');

-- Rights. Targets are written as the owner of the task, also what he defers; nothing is done as who calls.
CREATE TABLE undo.seen (who text);
CREATE FUNCTION undo.look() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO undo.seen VALUES (TG_OP || ' as ' || current_user);
  RETURN NULL;
END
$$;
INSERT INTO undo.source VALUES (200, 200);
SELECT etl.run_pipeline('undo') > 0;
CREATE CONSTRAINT TRIGGER look AFTER INSERT OR UPDATE OR DELETE ON undo.fact DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
EXECUTE FUNCTION undo.look();
RESET ROLE;
SELECT * FROM etl.rollback_run(pg_temp.last('undo'));
SELECT DISTINCT who FROM undo.seen;
SET ROLE undo_owner;
SELECT etl.run_pipeline('undo') > 0;
CREATE OR REPLACE FUNCTION undo.look() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  SET CONSTRAINTS ALL DEFERRED;
  UPDATE undo.fact SET v = v WHERE id = 1;
  RETURN NULL;
END
$$;
RESET ROLE;
SELECT pg_temp.refused('SELECT * FROM etl.rollback_run(pg_temp.last(''undo''))');
SET ROLE undo_owner;
DROP TRIGGER look ON undo.fact;
-- A member may; who is member of the pipeline's owner but not of the task's may not.
RESET ROLE;
SET SESSION AUTHORIZATION undo_member;
SELECT * FROM etl.rollback_run(pg_temp.last('undo'));
RESET SESSION AUTHORIZATION;
GRANT ALL ON undo.fact, undo.raw, undo.source TO undo_second;
SELECT relname ~ '^undo_\d+$', relacl::text ~ 'undo_owner=ard/', relacl::text ~ 'undo_second' FROM pg_class
WHERE oid = (SELECT ('etl.undo_' || task_id)::regclass FROM etl.task JOIN etl.pipeline AS p USING (pipeline_id) WHERE p.name = 'undo' AND etl.task.name = 'load');
REVOKE USAGE ON SCHEMA etl FROM undo_second;
SELECT etl.alter_task('undo', 'load', owner => 'undo_second');
SELECT etl.run_pipeline('undo', wait => false) AS run \gset
SELECT etl.wait_for_run(:run);
SELECT error_sqlstate, error_message, error_detail, error_hint FROM etl.task_status WHERE run_id = :run AND state = 'failed';
GRANT USAGE ON SCHEMA etl TO undo_second;
SELECT etl.retry_run(:run) = :run;
SELECT relacl::text ~ 'undo_owner', relacl::text ~ 'undo_second=ard/' FROM pg_class
WHERE oid = (SELECT ('etl.undo_' || task_id)::regclass FROM etl.task JOIN etl.pipeline AS p USING (pipeline_id) WHERE p.name = 'undo' AND etl.task.name = 'load');
SET SESSION AUTHORIZATION undo_member;
SELECT pg_temp.refused(format('SELECT * FROM etl.rollback_run(%s)', pg_temp.last('undo')));
RESET SESSION AUTHORIZATION;
SELECT * FROM etl.rollback_run(pg_temp.last('undo'));
SELECT etl.alter_task('undo', 'load', reset => '{owner}');
-- Functions of a type that somebody has made are not called with the rights of the extension, when rows of it are kept and counted.
SET ROLE undo_owner;
CREATE FUNCTION undo.diff(int, int) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF current_user <> 'undo_owner' THEN
    RAISE EXCEPTION 'called as %', current_user;
  END IF;
  RETURN $1 - $2;
END
$$;
CREATE TYPE undo.span AS RANGE (subtype = int4, subtype_diff = undo.diff);
CREATE TYPE undo.pair AS (s undo.span, n int);
SELECT etl.create_pipeline('undo_types') > 0;
SELECT etl.add_load('undo_types', 'load', 'SELECT undo.span(id, id + 1) AS s, ROW(undo.span(v, v + 1), v)::undo.pair AS p, ARRAY[undo.span(v, v + 1)] AS a, v
  FROM undo.source', 'undo.spans', '{s}', keep_undo => '1 day') > 0;
SELECT etl.run_pipeline('undo_types') > 0;
UPDATE undo.source SET v = v + 1 WHERE id < 3;
SELECT etl.run_pipeline('undo_types') > 0;
RESET ROLE;
SELECT * FROM etl.rollback_run(pg_temp.last('undo_types'));
SELECT count(*), count(*) FILTER (WHERE (p).n = v AND a[1] = undo.span(v, v + 1)) FROM undo.spans WHERE upper(s) <= 3;
SELECT etl.drop_pipeline('undo_types');
UPDATE undo.source SET v = v - 1 WHERE id < 3;

-- Nobody else reads what was kept.
SELECT etl.run_pipeline('undo') > 0;
SELECT 'etl.undo_' || task_id AS kept FROM etl.task JOIN etl.pipeline AS p USING (pipeline_id) WHERE p.name = 'undo' AND etl.task.name = 'load' \gset
SET ROLE undo_owner;
SELECT count(*) > 0 FROM :kept;
SELECT count(*) > 0 FROM etl.undo;
SET ROLE undo_second;
SELECT pg_temp.refused('SELECT count(*) FROM ' || :'kept') ~ '^42501';
SELECT count(*) FROM etl.undo;
RESET ROLE;
-- REASSIGN OWNED.
REASSIGN OWNED BY undo_owner TO undo_second;
SELECT relacl::text ~ 'undo_owner', relacl::text ~ 'undo_second=ard/' FROM pg_class WHERE oid = :'kept'::regclass;
SELECT * FROM etl.rollback_run(pg_temp.last('undo'));
REASSIGN OWNED BY undo_second TO undo_owner;
-- Dumps do not have these tables, nor rights on them.
SELECT d.deptype, i.initprivs = c.relacl FROM pg_class AS c JOIN pg_depend AS d ON d.objid = c.oid AND d.refclassid = 'pg_extension'::regclass
JOIN pg_init_privs AS i ON i.objoid = c.oid AND i.classoid = 'pg_class'::regclass WHERE c.oid = :'kept'::regclass;

-- What has expired is deleted by the scheduler, and tables that nobody needs.
SET ROLE undo_owner;
SELECT etl.run_pipeline('undo') > 0;
RESET ROLE;
SELECT count(*) > 0 FROM :kept;
UPDATE etl.undo SET expires_at = now() - interval '1 s';
SELECT count(*) > 0 FROM etl.undo;
SELECT pg_temp.last('undo') AS run \gset
DO $$
BEGIN
  -- Each new scheduler looks for old history.
  WHILE EXISTS (SELECT FROM etl.undo WHERE expires_at < now()) OR EXISTS (SELECT FROM pg_class WHERE relname ~ '^undo_\d+$')
  LOOP
    PERFORM etl.recover();
    COMMIT;
    PERFORM pg_sleep(0.05);
  END LOOP;
END
$$;
SELECT to_regclass(:'kept');
SELECT pg_temp.refused(format('SELECT * FROM etl.rollback_run(%s)', :run));

-- Replay.
SET ROLE undo_owner;
SELECT etl.replay('undo', 'load') > 0;
SELECT state, full_refresh, replay_from, force FROM etl.run WHERE run_id = pg_temp.last('undo');
SELECT etl.replay('undo', 'load', from_batch => (SELECT max(batch_id) FROM etl.batch WHERE target = 'undo.raw'), wait => false) AS run \gset
SELECT etl.wait_for_run(:run);
SELECT state, full_refresh, replay_from > 1, force FROM etl.run WHERE run_id = :run;
SELECT pg_temp.refused($$SELECT etl.replay('nothing', 'load')$$);
SELECT pg_temp.refused($$SELECT etl.replay('undo', 'nothing')$$);
SELECT pg_temp.refused($$SELECT etl.replay(NULL, 'load')$$);
SELECT pg_temp.refused($$SELECT etl.replay('undo', 'extract')$$);
SELECT pg_temp.refused($$SELECT etl.replay('undo', 'load', mode => 'later')$$);
SELECT pg_temp.refused($$SELECT etl.replay('undo', 'load', from_batch => 999999999)$$);
SELECT pg_temp.refused($$SELECT etl.replay('undo', 'load', from_batch => 0)$$);
SELECT pg_temp.refused($$SELECT etl.replay('undo', 'load', from_batch => -1)$$);
BEGIN;
CREATE TABLE undo.written ();
SELECT pg_temp.refused($$SELECT etl.replay('undo', 'load')$$);
ROLLBACK;
SELECT etl.add_load('undo', 'log', 'SELECT id, v FROM undo.raw', 'undo.log', mode => 'append') > 0;
SELECT etl.add_aggregate('undo', 'sums', 'SELECT v % 2 AS odd, count(*) AS n FROM undo.raw GROUP BY 1', 'undo.sums', '{odd}') > 0;
SELECT pg_temp.refused($$SELECT etl.replay('undo', 'log', from_batch => 1)$$);
SELECT pg_temp.refused($$SELECT etl.replay('undo', 'sums', from_batch => 1)$$);
SELECT etl.replay('undo', 'sums') > 0;
SELECT etl.replay('undo', 'log') > 0;
SELECT (SELECT count(*) FROM undo.log) = (SELECT count(*) FROM undo.raw);
DELETE FROM undo.raw WHERE _etl_batch = (SELECT min(_etl_batch) FROM undo.raw);
SELECT pg_temp.refused($$SELECT etl.replay('undo', 'load')$$);
SELECT pg_temp.refused($$SELECT etl.replay('undo', 'log')$$);
SELECT etl.replay('undo', 'load', force => true) > 0;
SELECT count(*) FROM undo.fact WHERE id < 3;
SELECT etl.add_load('undo', 'second', 'SELECT id, v FROM undo.source', 'undo.fact', '{id}') > 0;
SELECT pg_temp.refused($$SELECT etl.replay('undo', 'load')$$);
SELECT etl.drop_task('undo', 'second');
RESET ROLE;
ALTER TABLE undo.fact OWNER TO postgres;
GRANT SELECT, INSERT, UPDATE ON undo.fact TO undo_owner;
SET ROLE undo_owner;
SELECT pg_temp.refused($$SELECT etl.replay('undo', 'load')$$);
SELECT etl.run_pipeline('undo', tasks => '{load}', full_refresh => true) AS run \gset
SELECT state, message FROM etl.task_status WHERE run_id = :run;
SELECT problem, hint FROM etl.validate('undo') WHERE task = 'load' AND severity = 'error';
RESET ROLE;
ALTER TABLE undo.fact OWNER TO undo_owner;
SET ROLE undo_owner;
SELECT etl.alter_task('undo', 'load', query => 'SELECT id, v FROM undo.raw WHERE id > etl.param(''low'')::int');
SELECT pg_temp.refused($$SELECT etl.replay('undo', 'load')$$);
SET ROLE undo_other;
SELECT pg_temp.refused($$SELECT etl.replay('undo', 'load')$$);
RESET ROLE;
SELECT etl.drop_pipeline('undo');
SELECT etl.drop_pipeline('undo_reader');
SELECT count(*) FROM etl.undo;
