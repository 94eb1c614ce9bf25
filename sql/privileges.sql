-- Rights: who sees, changes and runs what; whose rights tasks have; what they cannot escape from.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_ext;
CREATE ROLE priv_owner LOGIN;
CREATE ROLE priv_member LOGIN IN ROLE priv_owner;
CREATE ROLE priv_other LOGIN;
CREATE ROLE priv_nobody LOGIN;
GRANT USAGE ON SCHEMA etl TO priv_owner, priv_other;
CREATE SCHEMA priv AUTHORIZATION priv_owner;
CREATE SCHEMA priv_secret;
CREATE TABLE priv_secret.salary (name text, amount int);
INSERT INTO priv_secret.salary VALUES ('boss', 1000000);
GRANT USAGE ON SCHEMA priv TO PUBLIC;
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never

CREATE FUNCTION pg_temp.refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE statement;
  RAISE EXCEPTION 'not refused';
EXCEPTION WHEN OTHERS THEN
  RETURN SQLSTATE || ': ' || regexp_replace(SQLERRM, 'run \d+', 'run N');
END
$$;

SET ROLE priv_owner;
SET search_path = priv, public;
CREATE TABLE source (id int PRIMARY KEY, v text);
INSERT INTO source VALUES (1, 'a');
CREATE TABLE who (mode text, cur text, ses text);
SELECT etl.create_pipeline('priv') > 0;
SELECT etl.add_extract('priv', 'source', 'source', 'priv.raw', primary_key => '{id}', cursor_column => 'id') > 0;
SELECT etl.add_load('priv', 'load', 'SELECT id, v FROM raw', 'priv.target', '{id}') > 0;
SELECT etl.add_check('priv', 'check', 'priv.target', 'row_count', fail => '1') > 0;
SELECT etl.add_sql('priv', 'who', 'INSERT INTO who VALUES (etl.param(''mode''), current_user, session_user)') > 0;
-- Tasks run as the owner, whoever asks.
SELECT etl.run_pipeline('priv', params => '{"mode": "owner"}') AS run \gset
RESET ROLE;
SELECT etl.run_pipeline('priv', params => '{"mode": "superuser"}') > :run;
-- Inline only as the owner: what a task defers to the end of the transaction runs as whoever is current then.
SELECT etl.run_pipeline('priv', params => '{"mode": "superuser inline"}', mode => 'inline') > :run;
SET ROLE priv_owner;
SELECT etl.run_pipeline('priv', params => '{"mode": "inline"}', mode => 'inline') > :run;
SET ROLE priv_member;
SELECT etl.run_pipeline('priv', params => '{"mode": "member"}') > :run;
RESET ROLE;
-- What else the owner has: a pool, a route for alerts, a failed run, a backfill that waits, all of which others must leave alone.
SET ROLE priv_owner;
SELECT etl.create_pool('priv pool', 2);
SELECT etl.add_alert_route('priv route', 'notify', config => '{"channel": "priv"}', match => '{"event": "run_failed"}');
SELECT etl.create_pipeline('priv fails') > 0;
SELECT etl.add_sql('priv fails', 'fails', 'SELECT 1/0') > 0;
SELECT etl.run_pipeline('priv fails', wait => false) AS failed \gset
SELECT etl.wait_for_run(:failed);
SELECT etl.pause_pipeline('priv');
SELECT DISTINCT backfill_id AS backfill FROM etl.backfill('priv', '2020-01-01 UTC', '2020-01-02 UTC') \gset
SELECT (SELECT count(*) FROM etl.alert WHERE pipeline = 'priv fails') > 0 AS alerts,
       (SELECT count(*) FROM etl.alert_delivery WHERE route = 'priv route') AS deliveries,
       (SELECT count(*) FROM etl.backfill), (SELECT count(*) FROM etl.backfill_chunk), (SELECT count(*) FROM etl.alert_route);
RESET ROLE;
SELECT mode, cur, CASE WHEN ses = session_user THEN 'session of the caller' ELSE ses END FROM who ORDER BY mode;
SELECT relname, relowner::regrole FROM pg_class WHERE relnamespace = 'priv'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1;

-- A stranger sees nothing of it, in tables and in views.
SET ROLE priv_other;
SELECT (SELECT count(*) FROM etl.pipeline), (SELECT count(*) FROM etl.task), (SELECT count(*) FROM etl.task_dependency),
       (SELECT count(*) FROM etl.run), (SELECT count(*) FROM etl.task_run), (SELECT count(*) FROM etl.batch),
       (SELECT count(*) FROM etl.watermark), (SELECT count(*) FROM etl.consumed), (SELECT count(*) FROM etl.check_result),
       (SELECT count(*) FROM etl.quarantine), (SELECT count(*) FROM etl.schedule), (SELECT count(*) FROM etl.backfill),
       (SELECT count(*) FROM etl.backfill_chunk), (SELECT count(*) FROM etl.alert), (SELECT count(*) FROM etl.alert_route),
       (SELECT count(*) FROM etl.alert_delivery);
SELECT (SELECT count(*) FROM etl.run_status), (SELECT count(*) FROM etl.task_status), (SELECT count(*) FROM etl.freshness),
       (SELECT count(*) FROM etl.quality), (SELECT count(*) FROM etl.lineage), (SELECT count(*) FROM etl.backfill_status),
       (SELECT count(*) FROM etl.schedule_status);
-- Pools are for everybody to see and use.
SELECT pool, slots, used, waiting FROM etl.pool_status WHERE pool = 'priv pool';
-- He can do nothing with it either.
SELECT pg_temp.refused($$SELECT etl.run_pipeline('priv')$$);
SELECT pg_temp.refused($$SELECT etl.run_pipeline('priv', wait => false)$$);
SELECT pg_temp.refused($$SELECT etl.run_pipeline('priv', mode => 'inline')$$);
SELECT pg_temp.refused($$SELECT etl.alter_pipeline('priv', description => 'mine')$$);
SELECT pg_temp.refused($$SELECT etl.drop_pipeline('priv')$$);
SELECT pg_temp.refused($$SELECT etl.pause_pipeline('priv')$$);
SELECT pg_temp.refused($$SELECT etl.resume_pipeline('priv')$$);
SELECT pg_temp.refused($$SELECT etl.validate('priv')$$);
SELECT pg_temp.refused($$SELECT etl.explain_task('priv', 'load')$$);
SELECT pg_temp.refused($$SELECT etl.report('priv')$$);
SELECT pg_temp.refused($$SELECT etl.graph('priv')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('priv', 'mine', 'SELECT 1')$$);
SELECT pg_temp.refused($$SELECT etl.alter_task('priv', 'who', command => 'SELECT 1')$$);
SELECT pg_temp.refused($$SELECT etl.drop_task('priv', 'who')$$);
SELECT pg_temp.refused(format('SELECT etl.cancel_run(%s)', :run));
SELECT pg_temp.refused(format('SELECT etl.wait_for_run(%s)', :run));
SELECT pg_temp.refused(format('SELECT etl.retry_run(%s)', :failed));
SELECT pg_temp.refused(format('SELECT etl.retry_run(%s, wait => false)', :failed));
SELECT pg_temp.refused($$SELECT etl.backfill('priv', '2020-01-01', '2020-01-02')$$);
SELECT pg_temp.refused($$SELECT etl.backfill('priv', '2020-01-01', '2020-01-02', dry_run => true)$$);
SELECT regexp_replace(pg_temp.refused(format('SELECT etl.cancel_backfill(%s)', :backfill)), '\d+$', 'N');
SELECT pg_temp.refused($$SELECT etl.alter_pool('priv pool', slots => 0)$$);
SELECT pg_temp.refused($$SELECT etl.alter_pool('priv pool', owner => 'priv_other')$$);
SELECT pg_temp.refused($$SELECT etl.drop_pool('priv pool')$$);
SELECT pg_temp.refused($$SELECT etl.alter_alert_route('priv route', enabled => false)$$);
SELECT pg_temp.refused($$SELECT etl.drop_alert_route('priv route')$$);
SELECT pg_temp.refused($$SELECT etl.test_alert_route('priv route')$$);
SELECT pg_temp.refused($$SELECT etl.mute_alerts('infinity', route => 'priv route')$$);
SELECT etl.mute_alerts('2100-01-01') AS routes_of_his_own;
SELECT etl.recover() >= 0 AS recover_does_no_harm;
SELECT pg_temp.refused($$SELECT etl.set_retention('run', '1 h')$$);
CALL etl.execute_pipeline('priv');
-- The name of a pipeline is taken, even if he cannot see it.
SELECT pg_temp.refused($$SELECT etl.create_pipeline('priv')$$);
SELECT pg_temp.refused($$SELECT etl.create_pool('priv pool', 1)$$);
SELECT pg_temp.refused($$SELECT etl.add_alert_route('priv route', 'log')$$);
-- A route of his own does not tell him of pipelines that are not his.
SELECT etl.add_alert_route('other route', 'notify', config => '{"channel": "other"}', match => '{"pipeline": "priv fails"}');
SET ROLE priv_owner;
SELECT etl.retry_run(:failed, wait => false) = :failed;
SELECT etl.wait_for_run(:failed);
SELECT event, count(*) FROM etl.alert WHERE pipeline = 'priv fails' GROUP BY 1 ORDER BY 1;
SET ROLE priv_other;
SELECT count(*) FROM etl.alert;
RESET ROLE;
SELECT count(*) FROM etl.alert_delivery WHERE route = 'other route';
SELECT etl.drop_alert_route('other route');
-- What he could not touch is as it was.
SELECT name, slots, owner FROM etl.pool WHERE name = 'priv pool';
SELECT name, enabled, mute_until, owner FROM etl.alert_route WHERE name = 'priv route';
SELECT state FROM etl.backfill WHERE backfill_id = :backfill;
SELECT count(*) FROM etl.retention;
SET ROLE priv_member;
SELECT etl.cancel_backfill(:backfill);
SELECT etl.alter_pool('priv pool', slots => 1);
SELECT etl.mute_alerts(NULL);
SELECT etl.resume_pipeline('priv');
RESET ROLE;
-- Without USAGE on the schema there is nothing at all.
SET ROLE priv_nobody;
SELECT pg_temp.refused($$SELECT etl.create_pipeline('x')$$);
SELECT pg_temp.refused($$SELECT etl.create_pool('x', 1)$$);
SELECT pg_temp.refused($$SELECT count(*) FROM etl.run_status$$);
SELECT pg_temp.refused($$SELECT count(*) FROM etl.pool_status$$);
RESET ROLE;

-- Nobody but the functions writes the tables.
SET ROLE priv_owner;
SELECT pg_temp.refused($$INSERT INTO etl.pipeline (name, owner) VALUES ('x', 10)$$);
SELECT pg_temp.refused($$UPDATE etl.task SET owner = 10$$);
SELECT pg_temp.refused($$DELETE FROM etl.run$$);
SELECT pg_temp.refused($$UPDATE etl.watermark SET value = '0'$$);
SELECT pg_temp.refused($$TRUNCATE etl.task_run$$);
SELECT pg_temp.refused($$UPDATE etl.pool SET slots = 1000$$);
SELECT pg_temp.refused($$UPDATE etl.alert_route SET owner = 10$$);
SELECT pg_temp.refused($$INSERT INTO etl.retention VALUES ('run', '1 h')$$);
SELECT pg_temp.refused($$DELETE FROM etl.alert$$);
SELECT pg_temp.refused($$UPDATE etl.schedule SET decided_until = '-infinity'$$);
-- Nor does anybody write through a view.
SELECT pg_temp.refused($$UPDATE etl.pool_status SET slots = 1000$$);
SELECT table_name, privilege_type FROM information_schema.role_table_grants
WHERE table_schema = 'etl' AND grantee = 'PUBLIC' AND privilege_type <> 'SELECT';
SELECT pg_temp.refused($$SELECT nextval('etl.run_run_id_seq')$$);

-- Definitions are checked with the rights of the owner, not of the one who writes them.
SELECT pg_temp.refused($$SELECT etl.add_extract('priv', 'x', 'priv_secret.salary', 'priv.raw_x')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('priv', 'x', 'SELECT name FROM priv_secret.salary', 'priv.x', '{name}')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('priv', 'x', 'SELECT id FROM raw', 'priv_secret.x', '{id}')$$);
SELECT pg_temp.refused($$SELECT etl.add_check('priv', 'x', 'priv_secret.salary', 'row_count', fail => '1')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('priv', 'x', 'SELECT 1', owner => 'priv_other')$$);
SELECT pg_temp.refused($$SELECT etl.alter_pipeline('priv', owner => 'priv_other')$$);
RESET ROLE;
SELECT pg_temp.refused($$SELECT etl.add_extract('priv', 'x', 'priv_secret.salary', 'priv.raw_x')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('priv', 'x', 'SELECT name FROM priv_secret.salary', 'priv.x', '{name}')$$);

-- At run time too, also when a superuser runs it.
SET ROLE priv_owner;
SELECT etl.create_pipeline('escape') > 0;
SELECT etl.add_sql('escape', 'reads', 'INSERT INTO priv.who SELECT name FROM priv_secret.salary') > 0;
SELECT etl.add_sql('escape', 'set role', 'SET ROLE priv_other; INSERT INTO priv.who VALUES (''escaped'', current_user, session_user)') > 0;
SELECT etl.add_sql('escape', 'reset role', 'RESET ROLE; INSERT INTO priv.who VALUES (''reset'', current_user, session_user)') > 0;
SELECT etl.add_sql('escape', 'session', 'SET SESSION AUTHORIZATION DEFAULT; INSERT INTO priv.who VALUES (''session'', current_user, session_user)') > 0;
SELECT etl.add_sql('escape', 'in function', 'DO ''BEGIN PERFORM set_config(''''role'''', ''''none'''', false); INSERT INTO priv.who VALUES (''''function'''', current_user, session_user); END''') > 0;
SELECT etl.add_sql('escape', 'definer', 'INSERT INTO etl.pipeline (name, owner) VALUES (''x'', 10)') > 0;
SELECT task, pg_temp.refused(format('SELECT etl.run_pipeline(%L, mode => %L, tasks => ARRAY[%L])', 'escape', 'inline', task))
FROM unnest('{reads,set role,reset role,session,in function,definer}'::text[]) AS task;
RESET ROLE;
SELECT pg_temp.refused($$SELECT etl.run_pipeline('escape')$$);
SELECT task, state, error_sqlstate, error_message FROM etl.task_status WHERE pipeline = 'escape' ORDER BY task;
SELECT DISTINCT mode, cur, ses FROM who WHERE mode IN ('escaped', 'reset', 'session', 'function', 'boss') ORDER BY 1;
SELECT current_user = session_user;

-- What a user puts into his search_path does not change what the engine does.
SET ROLE priv_owner;
CREATE FUNCTION priv.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT ''1900-01-01''::timestamptz';
CREATE FUNCTION priv.evil(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'hijacked'; END $$;
CREATE OPERATOR priv.= (LEFTARG = text, RIGHTARG = text, FUNCTION = priv.evil);
CREATE FUNCTION priv.evil(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'hijacked'; END $$;
CREATE OPERATOR priv.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = priv.evil);
CREATE FUNCTION priv.evil(int, int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'hijacked'; END $$;
CREATE OPERATOR priv.>= (LEFTARG = int, RIGHTARG = int, FUNCTION = priv.evil);
CREATE FUNCTION priv.count(anyelement) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'hijacked'; END $$;
SET search_path = priv, pg_catalog, public;
INSERT INTO source VALUES (2, 'b');
SELECT etl.add_load('priv', 'copy', 'SELECT id, v FROM raw', 'priv.copy', '{id}', order_by => 'v') > 0;
SELECT etl.run_pipeline('priv', tasks => '{source,load,copy,check}') OPERATOR(pg_catalog.>) 0;
SELECT etl.run_pipeline('priv', tasks => '{source,load,copy,check}', mode => 'inline', full_refresh => true) OPERATOR(pg_catalog.>) 0;
RESET search_path;
SELECT task, state, rows_read, rows_inserted FROM etl.task_status WHERE pipeline = 'priv' AND run_id = (SELECT max(run_id) FROM etl.run_status WHERE mode = 'background')
ORDER BY task;
SELECT count(*) FROM priv.target;
SELECT started_at > '2020-01-01' FROM etl.run_status ORDER BY run_id DESC LIMIT 1;
RESET ROLE;

-- Changes of what a task keeps are told to tasks of the same owner only: their expressions are evaluated with his rights.
SET ROLE priv_owner;
SELECT etl.add_aggregate('priv', 'sums', 'SELECT v, count(*) AS n FROM priv.target GROUP BY v', 'priv.sums', '{v}') > 0;
SELECT etl.run_pipeline('priv', params => '{"mode": "owner"}') > 0;
RESET ROLE;
GRANT SELECT ON priv.target TO priv_other;
CREATE SCHEMA priv2 AUTHORIZATION priv_other;
SET ROLE priv_other;
SELECT etl.create_pipeline('spy') > 0;
SELECT etl.add_aggregate('spy', 'sums', 'SELECT v, count(*) AS n FROM priv.target GROUP BY v', 'priv2.sums', '{v}') > 0;
SELECT line FROM etl.explain_task('spy', 'sums') AS line WHERE line ~ '^-- (priv|No)';
SELECT count(*) FROM etl.change_log;
RESET ROLE;
SELECT log_id FROM etl.change_log LIMIT 1 \gset
SET ROLE priv_other;
SELECT pg_temp.refused('SELECT * FROM etl.changed_' || :log_id) ~ '^42501';
SELECT pg_temp.refused(format('SELECT etl.accept_late(%s)', :run));
RESET ROLE;
SELECT etl.drop_pipeline('spy');
-- All functions. None has more rights than its caller; a new one needs a line above, in roles.sql or in security.sql.
SELECT string_agg(DISTINCT proname, ', ' ORDER BY proname) FROM pg_proc
WHERE pronamespace = 'etl'::regnamespace AND NOT prosecdef GROUP BY left(proname, 1) ORDER BY 1;
SELECT proname FROM pg_proc WHERE pronamespace = 'etl'::regnamespace AND (prosecdef OR proacl IS NOT NULL) AND prorettype <> 'trigger'::regtype;

SELECT etl.drop_pipeline('priv');
SELECT etl.drop_pipeline('priv fails');
SELECT etl.drop_pool('priv pool');
SELECT etl.drop_alert_route('priv route');
SELECT etl.drop_pipeline('escape');
REVOKE USAGE ON SCHEMA etl FROM priv_owner, priv_other;
SET client_min_messages = error;
DROP SCHEMA priv, priv2, priv_secret CASCADE;
DROP ROLE priv_member, priv_owner, priv_other, priv_nobody;
