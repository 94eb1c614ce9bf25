-- Levels that others than the owner have, what each may do, who reads the targets, and the log of it.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_ext;
CREATE ROLE lvl_owner LOGIN;
CREATE ROLE lvl_viewer LOGIN;
CREATE ROLE lvl_operator LOGIN;
CREATE ROLE lvl_author LOGIN;
CREATE ROLE lvl_admin LOGIN;
CREATE ROLE lvl_all LOGIN;
CREATE ROLE lvl_bi LOGIN;
CREATE ROLE lvl_team NOLOGIN;
CREATE ROLE lvl_joined LOGIN IN ROLE lvl_team;
GRANT USAGE ON SCHEMA etl TO lvl_owner;
CREATE SCHEMA lvl AUTHORIZATION lvl_owner;
CREATE SCHEMA lvl_other;
GRANT CREATE, USAGE ON SCHEMA lvl_other TO lvl_owner;
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never

CREATE FUNCTION pg_temp.refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  d text;
  h text;
BEGIN
  EXECUTE statement;
  RAISE EXCEPTION 'not refused';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
  RETURN concat_ws(E'\n  ', SQLSTATE || ': ' || SQLERRM, d, h);
END
$$;
-- Which of what can be done with a pipeline somebody may do, without doing it.
CREATE FUNCTION pg_temp.can(statements text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  s text;
  result text[];
BEGIN
  FOREACH s IN ARRAY statements LOOP
    BEGIN
      EXECUTE 'SELECT count(*) FROM ' || s;
      RAISE EXCEPTION 'undo' USING ERRCODE = 'XX999';
    EXCEPTION
      WHEN SQLSTATE 'XX999' THEN result := result || substring(s from 'etl\.(\w+)');
      WHEN insufficient_privilege THEN NULL;
    END;
  END LOOP;
  RETURN coalesce(array_to_string(result, ' '), '(nothing)');
END
$$;

SET ROLE lvl_owner;
CREATE TABLE lvl.source (id int PRIMARY KEY, name text, amount numeric, secret text);
COMMENT ON COLUMN lvl.source.name IS 'What the customer is called';
INSERT INTO lvl.source VALUES (1, 'Ann', 10, 'x'), (2, 'Bob', 20, 'y');
SELECT etl.create_pipeline('lvl') > 0, etl.create_pipeline('lvl two') > 0;
SELECT etl.add_extract('lvl', 'extract', 'lvl.source', 'lvl.raw', primary_key => '{id}', cursor_column => 'id') > 0;
SELECT etl.add_load('lvl', 'fact', 'SELECT id, name, amount, amount * 2 AS twice, id + amount AS both_of FROM lvl.raw', 'lvl.fact', '{id}', description => 'Sales.') > 0;
SELECT etl.run_pipeline('lvl', mode => 'inline') > 0;
SELECT etl.add_alert_route('lvl route', 'notify', config => '{"channel": "lvl"}', match => '{"pipeline": "lvl"}');
SELECT etl.add_alert_route('lvl wide', 'notify', config => '{"channel": "lvl"}');

-- ---- refusals
SELECT pg_temp.refused($$SELECT etl.grant_role('nobody at all', 'viewer', 'lvl')$$);
SELECT pg_temp.refused($$SELECT etl.grant_role('lvl_viewer', 'king', 'lvl')$$);
SELECT pg_temp.refused($$SELECT etl.grant_role('lvl_viewer', 'viewer', 'no such')$$);
SELECT pg_temp.refused($$SELECT etl.grant_role('lvl_viewer', NULL, 'lvl')$$);
SELECT regexp_replace(pg_temp.refused($$SELECT etl.grant_role('lvl_viewer', 'viewer')$$), 'role "[^"]*", which', 'role "...", which');
SELECT pg_temp.refused($$SELECT etl.grant_bi('lvl_bi')$$);
SELECT pg_temp.refused($$SELECT etl.grant_bi('nobody at all', 'lvl')$$);
SELECT pg_temp.refused($$SELECT etl.grant_bi('lvl_bi', 'lvl', targets => '{lvl.raw}')$$);
SELECT pg_temp.refused($$SELECT etl.may('king')$$);

-- ---- levels
SELECT etl.grant_role('lvl_viewer', 'viewer', 'lvl'), etl.grant_role('lvl_operator', 'operator', 'lvl'),
       etl.grant_role('lvl_author', 'author', 'lvl'), etl.grant_role('lvl_admin', 'admin', 'lvl'), etl.grant_role('lvl_team', 'viewer', 'lvl');
RESET ROLE;
SELECT etl.grant_role('lvl_all', 'admin');
SELECT role, coalesce(p.name, '(all)'), level, gives_usage FROM etl.role_grant AS g LEFT JOIN etl.pipeline AS p USING (pipeline_id) WHERE role::text LIKE 'lvl%' ORDER BY 1;

CREATE TEMPORARY TABLE trial (who text, can text);
GRANT ALL ON trial TO PUBLIC;
\set things '{"etl.pause_pipeline(''lvl'')", "etl.run_pipeline(''lvl'', mode => ''inline'')", "etl.set_watermark(''lvl'', ''extract'', NULL)", "etl.backfill(''lvl'', ''2020-01-01'', ''2020-01-02'')", "etl.explain_task(''lvl'', ''fact'')", "etl.validate(''lvl'')", "etl.mute_alerts(''2100-01-01'', ''lvl route'')", "etl.alter_pipeline(''lvl'', description => ''x'')", "etl.alter_task(''lvl'', ''fact'', priority => 1)", "etl.alter_task(''lvl'', ''fact'', query => ''SELECT 1 AS id'')", "etl.add_sql(''lvl'', ''x'', ''SELECT 1'')", "etl.grant_role(''lvl_bi'', ''viewer'', ''lvl'')", "etl.drop_task(''lvl'', ''fact'')", "etl.drop_pipeline(''lvl'')", "etl.drop_alert_route(''lvl wide'')", "etl.set_retention(''run'', ''30 days'')", "etl.create_pipeline(''x'')", "etl.create_pool(''x'', 1)"}'
SET ROLE lvl_viewer; INSERT INTO trial VALUES ('1 viewer', pg_temp.can(:'things'));
SET ROLE lvl_operator; INSERT INTO trial VALUES ('2 operator', pg_temp.can(:'things'));
SET ROLE lvl_author; INSERT INTO trial VALUES ('3 author', pg_temp.can(:'things'));
SET ROLE lvl_admin; INSERT INTO trial VALUES ('4 admin', pg_temp.can(:'things'));
SET ROLE lvl_all; INSERT INTO trial VALUES ('5 admin of all', pg_temp.can(:'things'));
SET ROLE lvl_owner; INSERT INTO trial VALUES ('6 owner', pg_temp.can(:'things'));
RESET ROLE;
SELECT who || ': ' || can FROM trial ORDER BY who;

-- Seeing: one pipeline and all that belongs to it; rows of the source for the owner and admins alone.
INSERT INTO etl.quarantine (pipeline_id, task_id, run_id, task_run_id, target, reason, error_sqlstate, column_name, row_data, created_at)
SELECT p.pipeline_id, t.task_id, 1, 1, 'lvl.fact', 'invalid input syntax for type integer: "Ann 4711"', '22P02', 'id', '{"name": "Ann"}', now()
FROM etl.pipeline AS p JOIN etl.task AS t USING (pipeline_id) WHERE p.name = 'lvl' AND t.name = 'fact';
WITH r AS (
  INSERT INTO etl.check_result (pipeline_id, task_id, check_name, check_type, target, state, message, checked_at)
  SELECT pipeline_id, 1, 'c', 'range', 'lvl.fact', 'fail', 'm', now() FROM etl.pipeline WHERE name = 'lvl' RETURNING check_result_id, pipeline_id)
INSERT INTO etl.check_sample (check_result_id, n, pipeline_id, row_values) SELECT check_result_id, 1, pipeline_id, '{"name": "Ann"}' FROM r;
SET ROLE lvl_viewer; SELECT (SELECT count(*) FROM etl.check_result) AS results, (SELECT count(*) FROM etl.check_sample) AS samples;
SET ROLE lvl_operator; SELECT (SELECT count(*) FROM etl.check_result) AS results, (SELECT count(*) FROM etl.check_sample) AS samples;
SET ROLE lvl_admin; SELECT (SELECT count(*) FROM etl.check_result) AS results, (SELECT count(*) FROM etl.check_sample) AS samples;
SET ROLE lvl_owner; SELECT (SELECT count(*) FROM etl.check_result) AS results, (SELECT count(*) FROM etl.check_sample) AS samples;
RESET ROLE;
\set seen '(SELECT string_agg(name, \',\' ORDER BY name) FROM etl.pipeline), (SELECT count(*) FROM etl.task), (SELECT count(*) FROM etl.run), (SELECT count(*) FROM etl.task_run), (SELECT count(*) FROM etl.freshness), (SELECT count(*) FROM etl.quarantine), (SELECT string_agg(reason, \',\') FROM etl.quarantine_summary), (SELECT count(*) FROM etl.role_grant WHERE role::text LIKE \'lvl%\')'
SET ROLE lvl_viewer; SELECT :seen;
SET ROLE lvl_joined; SELECT :seen;
SET ROLE lvl_author; SELECT :seen;
SET ROLE lvl_admin; SELECT :seen;
SET ROLE lvl_bi; SELECT pg_temp.refused('SELECT count(*) FROM etl.pipeline');
RESET ROLE;

-- A route that tells of other pipelines too is not for the operator of one.
SET ROLE lvl_operator;
SELECT pg_temp.refused($$SELECT etl.mute_alerts('2100-01-01', 'lvl wide')$$);
SELECT etl.mute_alerts('2100-01-01'), etl.mute_alerts(NULL);
SELECT etl.may('operator', 'lvl'), etl.may('author', 'lvl'), etl.may('viewer', 'lvl two'), etl.may('viewer'), etl.may('viewer', 'no such');
RESET ROLE;

-- Nobody gives away more than he has, and no level is for good.
SET ROLE lvl_admin;
SELECT pg_temp.refused($$SELECT etl.grant_role('lvl_bi', 'viewer', 'lvl two')$$);
SELECT pg_temp.refused($$SELECT etl.grant_bi('lvl_admin', 'lvl')$$);
SELECT etl.grant_role('lvl_viewer', 'operator', 'lvl');
SELECT etl.revoke_role('lvl_viewer', 'lvl'), etl.revoke_role('lvl_viewer', 'lvl');
RESET ROLE;
SELECT has_schema_privilege('lvl_viewer', 'etl', 'USAGE'), has_schema_privilege('lvl_operator', 'etl', 'USAGE');

-- ---- BI
SET ROLE lvl_owner;
SELECT etl.grant_bi('lvl_bi', 'lvl');
-- Also what is made later, in another schema and as a dimension; what the owner may not grant is told.
SELECT etl.add_load('lvl', 'dim', 'SELECT id, name FROM lvl.raw', 'lvl.dim_customer', '{id}', mode => 'scd2') > 0;
SET client_min_messages = notice;
SELECT etl.add_aggregate('lvl', 'total', 'SELECT name, sum(amount) AS total, count(*) AS n FROM lvl.fact GROUP BY name', 'lvl_other.total', '{name}') > 0;
SET client_min_messages = warning;
RESET ROLE;
GRANT USAGE ON SCHEMA lvl_other TO lvl_bi;
SET ROLE lvl_owner;
SELECT etl.run_pipeline('lvl', mode => 'inline') > 0;
SET ROLE lvl_bi;
SELECT id, name, amount, twice FROM lvl.fact ORDER BY id;
SELECT total FROM lvl_other.total ORDER BY 1;
SELECT name FROM lvl.dim_customer_as_of WHERE name IS NOT NULL ORDER BY 1;
SELECT pipeline, task, target, last_success_at IS NOT NULL, age IS NOT NULL, stale, watermark, data_until IS NOT NULL FROM etl.freshness ORDER BY task;
SELECT pg_temp.refused('SELECT count(*) FROM lvl.raw');
SELECT pg_temp.refused('SELECT count(*) FROM lvl.source');
SELECT pg_temp.refused('INSERT INTO lvl.fact VALUES (9)');
SELECT pg_temp.refused($$SELECT etl.create_pipeline('bi')$$);
SELECT pg_temp.refused($$SELECT etl.run_pipeline('lvl')$$);
SELECT (SELECT count(*) FROM etl.pipeline), (SELECT count(*) FROM etl.task), (SELECT count(*) FROM etl.run), (SELECT count(*) FROM etl.quarantine),
       (SELECT count(*) FROM etl.quarantine_summary), (SELECT count(*) FROM etl.audit_log), (SELECT count(*) FROM etl.batch);
-- Every table and column that etl_ext has made says what it is.
SELECT c.relname, a.attname, col_description(c.oid, a.attnum) FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relnamespace IN ('lvl'::regnamespace, 'lvl_other'::regnamespace) AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition AND c.relname NOT IN ('source', 'raw')
ORDER BY c.relname, a.attnum;
SELECT relname, obj_description(oid, 'pg_class') FROM pg_class WHERE relnamespace IN ('lvl'::regnamespace, 'lvl_other'::regnamespace)
  AND relkind IN ('r', 'p', 'v') AND NOT relispartition AND relname <> 'source' ORDER BY 1;
SELECT a.attname, col_description(a.attrelid, a.attnum) FROM pg_attribute AS a WHERE a.attrelid = 'lvl.raw'::regclass AND a.attnum > 0 ORDER BY a.attnum;
-- Only some targets, and none.
SET ROLE lvl_owner;
SELECT etl.grant_bi('lvl_bi', 'lvl', targets => '{lvl.dim_customer}');
SET ROLE lvl_bi;
SELECT pg_temp.refused('SELECT count(*) FROM lvl.fact');
SELECT count(*) > 0 FROM lvl.dim_customer;
SELECT target FROM etl.freshness;
SET ROLE lvl_owner;
SELECT etl.revoke_bi('lvl_bi', 'lvl'), etl.revoke_bi('lvl_bi', 'lvl');
SET ROLE lvl_bi;
SELECT pg_temp.refused('SELECT count(*) FROM lvl.dim_customer');
SELECT pg_temp.refused('SELECT count(*) FROM etl.freshness');
-- Of all pipelines whose owner's rights the grantor has.
RESET ROLE;
SELECT etl.grant_bi('lvl_bi') >= 3;
SELECT has_table_privilege('lvl_bi', 'lvl.fact', 'SELECT');
SELECT etl.revoke_bi('lvl_bi');
SELECT has_table_privilege('lvl_bi', 'lvl.fact', 'SELECT');

-- ---- the log
SET ROLE lvl_owner;
SELECT etl.alter_pipeline('lvl', description => 'One', tags => '{"a": "b"}');
SELECT etl.alter_pipeline('lvl', description => 'Two');
SELECT etl.alter_pipeline('lvl', description => 'Two');
SELECT etl.alter_alert_route('lvl route', config => '{"channel": "hidden"}');
SELECT etl.create_pool('lvl pool', 2);
SELECT etl.alter_pool('lvl pool', slots => 3);
SELECT etl.drop_pool('lvl pool');
SELECT etl.drop_alert_route('lvl route'), etl.drop_alert_route('lvl wide');
SELECT etl.drop_pipeline('lvl two');
RESET ROLE;
SELECT role_name, session_role = session_user, application, action, pipeline, task, object,
       details - '{run_id,backfill_id}'::text[], old_values - '{pipeline_id,task_id}'::text[], new_values - '{pipeline_id,task_id}'::text[]
FROM etl.audit_log WHERE role_name LIKE 'lvl%' AND action <> 'add_task' AND action NOT LIKE 'grant%' AND action NOT LIKE 'revoke%' ORDER BY audit_id;
SELECT role_name, action, object, old_values->>'level', new_values->>'level' FROM etl.audit_log
WHERE action IN ('grant_role', 'revoke_role', 'grant_bi', 'revoke_bi') AND object LIKE 'lvl%' ORDER BY audit_id;
-- What was rolled back is not in it.
BEGIN;
SELECT etl.pause_pipeline('lvl');
ROLLBACK;
SELECT count(*) FROM etl.audit_log WHERE action = 'pause_pipeline' AND pipeline = 'lvl';
-- Who sees it: who sees the pipeline, and everybody what he has done himself.
SET ROLE lvl_viewer;
SELECT pg_temp.refused('SELECT count(*) FROM etl.audit_log');
SET ROLE lvl_operator;
SELECT count(*) > 0, count(*) FILTER (WHERE pipeline IS DISTINCT FROM 'lvl' AND role_name <> 'lvl_operator') FROM etl.audit_log;
RESET ROLE;

-- Grants go with the pipeline, and the use of the schema with them; grants go with the role.
SET ROLE lvl_owner;
SELECT etl.drop_pipeline('lvl');
RESET ROLE;
SELECT role FROM etl.role_grant WHERE role::text LIKE 'lvl%';
SELECT has_schema_privilege('lvl_operator', 'etl', 'USAGE'), has_schema_privilege('lvl_all', 'etl', 'USAGE');
DROP OWNED BY lvl_all;
DROP ROLE lvl_all;
SELECT count(*) FROM etl.role_grant WHERE NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = role);
DROP SCHEMA lvl, lvl_other CASCADE;
DROP OWNED BY lvl_owner, lvl_viewer, lvl_operator, lvl_author, lvl_admin, lvl_bi, lvl_team, lvl_joined;
DROP ROLE lvl_owner, lvl_viewer, lvl_operator, lvl_author, lvl_admin, lvl_bi, lvl_team, lvl_joined;
