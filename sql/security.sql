-- Attacks: by the authors of pipelines, by those whom they have let in, and by strangers. docs/security.md says what each of them tries.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_ext;
CREATE ROLE sec_owner LOGIN;
CREATE ROLE sec_power LOGIN;
CREATE ROLE sec_member LOGIN IN ROLE sec_owner;
CREATE ROLE sec_noinherit LOGIN NOINHERIT IN ROLE sec_owner;
CREATE ROLE sec_operator LOGIN;
CREATE ROLE sec_author LOGIN;
CREATE ROLE sec_stranger LOGIN;
GRANT USAGE ON SCHEMA etl TO sec_owner, sec_power, sec_noinherit, sec_stranger;
CREATE SCHEMA sec AUTHORIZATION sec_owner;
GRANT USAGE, CREATE ON SCHEMA sec TO PUBLIC;
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

SET ROLE sec_owner;
SET search_path = sec;
CREATE TABLE sec.source (id int PRIMARY KEY, v text);
INSERT INTO sec.source VALUES (1, 'a'), (2, 'b');
CREATE TABLE sec.said (who text, what text);
GRANT INSERT, SELECT ON sec.said TO PUBLIC;
SELECT etl.create_pipeline('sec') > 0;
SELECT etl.add_extract('sec', 'extract', 'source', 'sec.raw', primary_key => '{id}') > 0;
SELECT etl.add_load('sec', 'load', 'SELECT id, v FROM raw', 'sec.target', '{id}') > 0;
SELECT etl.add_sql('sec', 'says', 'INSERT INTO sec.said VALUES (current_user, etl.param(''x''))') > 0;
SELECT etl.grant_role('sec_operator', 'operator', 'sec'), etl.grant_role('sec_author', 'author', 'sec');
RESET ROLE;

-- A task that runs as another role than the pipeline's owner: members of the owner do not get that role's rights by it.
SELECT etl.add_sql('sec', 'power', 'SELECT 1', owner => 'sec_power') > 0;
SELECT etl.add_load('sec', 'power load', 'SELECT 1 AS id', 'sec.power_target', '{id}', owner => 'sec_power') > 0;
SET ROLE sec_member;
SELECT pg_temp.refused($$SELECT etl.alter_task('sec', 'power', command => 'INSERT INTO sec.said VALUES (current_user, ''stolen'')')$$);
SELECT pg_temp.refused($$SELECT etl.alter_task('sec', 'power', owner => 'sec_member')$$);
SELECT pg_temp.refused($$SELECT etl.alter_task('sec', 'power', reset => '{owner}')$$);
SELECT pg_temp.refused($$SELECT etl.add_check('sec', 'gate', 'sec.power_target', 'expression', expression => 'id > 0', gate => 'power load')$$);
SELECT etl.add_check('sec', 'check', 'sec.target', 'row_count', fail => '1') > 0;
SELECT pg_temp.refused($$SELECT etl.alter_task('sec', 'check', gate => 'power load')$$);
SELECT etl.drop_task('sec', 'check');
-- What is not a matter of rights they may change.
SELECT etl.alter_task('sec', 'power', priority => 1, description => 'the first');

-- An author runs code as himself alone.
SET ROLE sec_author;
SELECT etl.add_sql('sec', 'mine', 'INSERT INTO sec.said VALUES (current_user, ''mine'')') > 0;
SELECT owner FROM etl.task WHERE name = 'mine';
SELECT pg_temp.refused($$SELECT etl.add_sql('sec', 'x', 'SELECT 1', owner => 'sec_owner')$$);
SELECT pg_temp.refused($$SELECT etl.alter_task('sec', 'mine', owner => 'sec_owner')$$);
SELECT pg_temp.refused($$SELECT etl.alter_task('sec', 'mine', reset => '{owner}')$$);
SELECT pg_temp.refused($$SELECT etl.alter_task('sec', 'load', query => 'SELECT id, v FROM raw WHERE id > 1')$$);
SELECT pg_temp.refused($$SELECT etl.alter_task('sec', 'load', order_by => 'v')$$);
SELECT pg_temp.refused($$SELECT etl.add_check('sec', 'x', 'sec.said', 'row_count', fail => '1', gate => 'load')$$);
SELECT pg_temp.refused($$SELECT etl.alter_pipeline('sec', owner => 'sec_author')$$);
SELECT pg_temp.refused($$SELECT etl.drop_task('sec', 'load')$$);
SELECT pg_temp.refused($$SELECT etl.drop_pipeline('sec')$$);
SELECT pg_temp.refused($$SELECT etl.grant_role('sec_stranger', 'viewer', 'sec')$$);
SELECT pg_temp.refused($$SELECT etl.grant_bi('sec_stranger', 'sec')$$);
SELECT pg_temp.refused($$SELECT count(*) FROM sec.raw$$);
RESET ROLE;

-- Parameters of an operator are values.
SET ROLE sec_operator;
SELECT etl.run_pipeline('sec', params => '{"x": "''); DROP TABLE sec.target; --"}', tasks => '{says,mine}') > 0;
SELECT pg_temp.refused($$SELECT etl.run_pipeline('sec', mode => 'inline')$$);
RESET ROLE;
SELECT who, what FROM sec.said ORDER BY 1;

-- A member that does not inherit sees and does nothing before SET ROLE.
SET ROLE sec_noinherit;
SELECT count(*) FROM etl.pipeline;
SELECT pg_temp.refused($$SELECT etl.pause_pipeline('sec')$$);
RESET ROLE;

-- Temporary objects of an operator do not take the place of what the owner's query names, when it is planned with his rights.
SET ROLE sec_operator;
CREATE FUNCTION pg_temp.steal() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RAISE EXCEPTION 'executed as %', current_user; END$$;
CREATE TEMPORARY VIEW raw AS SELECT pg_temp.steal() AS id, ''::text AS v;
GRANT SELECT ON raw TO sec_owner;
SELECT count(*) > 0 FROM etl.explain_task('sec', 'load');
SELECT count(*) FROM etl.validate('sec') WHERE task IN ('extract', 'load');
DROP VIEW pg_temp.raw;
RESET ROLE;

-- What the owner's functions would leave for the end of a superuser's transaction does not happen.
SET ROLE sec_owner;
CREATE TABLE sec.trap (n int);
CREATE FUNCTION sec.spring() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO sec.said VALUES (current_user, 'sprung'); RETURN NULL; END$$;
CREATE CONSTRAINT TRIGGER spring AFTER INSERT ON sec.trap DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION sec.spring();
CREATE FUNCTION sec.arm() RETURNS int LANGUAGE plpgsql VOLATILE AS $$BEGIN IF current_setting('sec.armed', true) = 'yes' THEN INSERT INTO sec.trap VALUES (1); END IF; RETURN 1; END$$;
CREATE FUNCTION sec.innocent() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT sec.arm()';
SELECT etl.add_load('sec', 'bait', 'SELECT id, v FROM raw WHERE sec.innocent() = 1', 'sec.bait', '{id}') > 0;
RESET ROLE;
SET sec.armed = 'yes';
SELECT pg_temp.refused($$SELECT etl.explain_task('sec', 'bait')$$);
SELECT problem FROM etl.validate('sec') WHERE task = 'bait';
RESET sec.armed;
SELECT count(*) FROM sec.said WHERE what = 'sprung';

-- A domain, whose check is a function of the owner, is no cursor: etl.set_watermark would execute it.
SET ROLE sec_owner;
CREATE FUNCTION sec.tell(text) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN INSERT INTO sec.said VALUES (current_user, 'domain'); RETURN true; END$$;
CREATE DOMAIN sec.odd AS text CHECK (sec.tell(VALUE));
CREATE TABLE sec.odd_source (id sec.odd PRIMARY KEY);
SELECT etl.add_extract('sec', 'odd', 'odd_source', 'sec.raw_odd', cursor_column => 'id', primary_key => '{id}') > 0;
RESET ROLE;
SELECT count(*) FROM sec.said WHERE what = 'domain';

-- Nobody forges or shortens the log; a superuser has to mean it.
SET ROLE sec_owner;
CREATE TABLE sec.forged (name text, pipeline_id int);
SELECT pg_temp.refused($$CREATE TRIGGER forge AFTER INSERT ON sec.forged FOR EACH ROW EXECUTE FUNCTION etl.audit_change('drop_pipeline', 'x', 'x', 'name')$$);
SELECT pg_temp.refused($$INSERT INTO etl.audit_log (at, role, role_name, session_role, action) VALUES (now(), 10, 'x', 'x', 'x')$$);
SELECT pg_temp.refused($$UPDATE etl.audit_log SET role_name = 'sec_stranger'$$);
SELECT pg_temp.refused($$DELETE FROM etl.audit_log$$);
SELECT pg_temp.refused($$TRUNCATE etl.audit_log$$);
SELECT pg_temp.refused($$INSERT INTO etl.role_grant VALUES ('sec_stranger', NULL, 'admin', 'sec_stranger', now(), false)$$);
RESET ROLE;
SELECT pg_temp.refused($$DELETE FROM etl.audit_log$$);
SELECT pg_temp.refused($$TRUNCATE etl.audit_log$$);

-- A function of a stranger that tells its arguments hears of nothing.
SET ROLE sec_stranger;
CREATE FUNCTION sec.leak(anyelement) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$BEGIN RAISE WARNING 'leaked %', $1; RETURN true; END$$;
SELECT count(*) FROM etl.pipeline WHERE sec.leak(name);
SELECT count(*) FROM etl.task WHERE sec.leak(name);
SELECT count(*) FROM etl.run_status WHERE sec.leak(pipeline);
SELECT count(*) FROM etl.freshness WHERE sec.leak(target);
SELECT count(*) FROM etl.quarantine_summary WHERE sec.leak(pipeline);
SELECT count(*) FROM etl.audit_log WHERE sec.leak(pipeline);
SELECT count(*) FROM etl.role_grant WHERE sec.leak(level);
SELECT count(*) FROM etl.bi_grant WHERE sec.leak(granted_at);
SELECT etl.may('viewer', 'sec'), etl.may('viewer'), etl.granted_pipelines('viewer');
RESET ROLE;

-- A table of a stranger executes his triggers with the rights of who writes it: etl.validate says so.
SET ROLE sec_stranger;
CREATE TABLE sec.strange (id int PRIMARY KEY, v text);
GRANT SELECT, INSERT, UPDATE, DELETE ON sec.strange TO sec_owner;
SET ROLE sec_owner;
SELECT etl.add_load('sec', 'strange', 'SELECT id, v FROM raw', 'sec.strange', '{id}') > 0;
SELECT task, severity, problem, hint FROM etl.validate('sec') WHERE task IN ('strange', 'load');
RESET ROLE;

-- Names are names.
SET ROLE sec_owner;
SELECT etl.create_pipeline('p''; DROP TABLE sec.source; --') > 0;
SELECT etl.add_sql('p''; DROP TABLE sec.source; --', 't"; SELECT 1/0; --', 'SELECT 1', description => '$$; ''x') > 0;
CREATE TABLE sec."a""; b'" (id int PRIMARY KEY, "c""; DROP d'" int);
SELECT etl.add_extract('p''; DROP TABLE sec.source; --', 'e', 'sec."a""; b''"', 'sec."raw""; ''"', primary_key => '{id}') > 0;
SELECT etl.add_load('p''; DROP TABLE sec.source; --', 'l', 'SELECT * FROM (SELECT id, "c""; DROP d''" FROM sec."raw""; ''") AS q', 'sec."t""; ''"', '{id}', description => 'it''s') > 0;
SELECT etl.grant_bi('sec_stranger', 'p''; DROP TABLE sec.source; --');
SELECT etl.run_pipeline('p''; DROP TABLE sec.source; --', mode => 'inline') > 0;
SELECT col_description('sec."t""; ''"'::regclass, 2);
SELECT count(*) FROM sec.source;
SELECT etl.drop_pipeline('p''; DROP TABLE sec.source; --');
RESET ROLE;

SELECT etl.drop_pipeline('sec');
RESET search_path;
DROP SCHEMA sec CASCADE;
DROP OWNED BY sec_owner, sec_power, sec_member, sec_noinherit, sec_operator, sec_author, sec_stranger;
DROP ROLE sec_owner, sec_power, sec_member, sec_noinherit, sec_operator, sec_author, sec_stranger;
