-- atomic_publish: the option, what is a member, what is refused, the states that follow from trigger rules.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_ext;
CREATE ROLE pub_other LOGIN;
CREATE SCHEMA pub;
SET search_path = pub, public;
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
CREATE VIEW pg_temp.atomic AS SELECT name, atomic_publish FROM etl.pipeline WHERE name LIKE 'pub%' ORDER BY name;

-- The option: default, set, changed, reset; a run keeps the one that it began with.
SELECT etl.create_pipeline('pub') > 0;
SELECT etl.create_pipeline('pub2', atomic_publish => true) > 0;
SELECT * FROM pg_temp.atomic;
SELECT etl.alter_pipeline('pub', atomic_publish => true), etl.alter_pipeline('pub2', atomic_publish => false);
SELECT * FROM pg_temp.atomic;
SELECT etl.alter_pipeline('pub', max_parallel => 3);
SELECT * FROM pg_temp.atomic;
SELECT etl.alter_pipeline('pub', reset => '{atomic_publish}');
SELECT * FROM pg_temp.atomic;
SELECT etl.alter_pipeline('pub', atomic_publish => true);
SELECT etl.run_pipeline('pub', mode => 'inline') AS run \gset
SELECT definition->'pipeline'->>'atomic_publish' FROM etl.run WHERE run_id = :run;

-- An extract between two members is refused when the second one comes, and when it is enabled; at the ends it is not.
CREATE TABLE orders (id int PRIMARY KEY, amount int);
INSERT INTO orders SELECT n, n FROM generate_series(1, 10) AS n;
SELECT etl.add_extract('pub', 'orders', 'pub.orders', 'pub.raw', cursor_column => 'id', primary_key => '{id}') > 0;
SELECT etl.add_load('pub', 'fact', 'SELECT id, amount FROM raw', 'pub.fact', '{id}') > 0;
SELECT etl.add_extract('pub', 'again', 'pub.fact', 'pub.raw_again', cursor_column => 'id', primary_key => '{id}') > 0;
SELECT pg_temp.refused($$SELECT etl.add_load('pub', 'late', 'SELECT id FROM raw_again', 'pub.late', '{id}')$$);
SELECT etl.add_load('pub', 'late', 'SELECT id FROM raw_again', 'pub.late', '{id}', enabled => false) > 0;
SELECT pg_temp.refused($$SELECT etl.alter_task('pub', 'late', enabled => true)$$);
SELECT * FROM etl.validate('pub') WHERE severity = 'error';
SELECT etl.alter_pipeline('pub', atomic_publish => false), etl.alter_task('pub', 'late', enabled => true);
SELECT pg_temp.refused($$SELECT etl.alter_pipeline('pub', atomic_publish => true)$$);

-- What was defined behind the back of these functions is found by validate, and when a run is created.
UPDATE etl.pipeline SET atomic_publish = true WHERE name = 'pub';
SELECT * FROM etl.validate('pub') WHERE severity = 'error';
SELECT pg_temp.refused($$SELECT etl.run_pipeline('pub', mode => 'inline')$$);
SELECT pg_temp.refused($$SELECT etl.run_pipeline('pub', wait => false)$$);
SELECT count(*) FROM etl.run AS r JOIN etl.pipeline AS p USING (pipeline_id) WHERE p.name = 'pub' AND r.run_id > :run;
SELECT etl.run_pipeline('pub', mode => 'inline', tasks => '{orders,fact,again}') > :run;
SELECT etl.drop_task('pub', 'late'), etl.drop_task('pub', 'again');

-- A sql task between two members whose statements cannot run in a transaction.
SELECT etl.add_sql('pub', 'tidy', 'VACUUM pub.fact', depends_on => '{fact}') > 0;
SELECT etl.add_sql('pub', 'grow', 'ALTER TABLE pub.fact ALTER id SET STATISTICS 10; ANALYZE pub.fact', depends_on => '{fact}') > 0;
SELECT pg_temp.refused($$SELECT etl.add_aggregate('pub', 'total', 'SELECT 1 AS n, sum(amount) AS amount FROM fact', 'pub.total', '{n}', depends_on => '{tidy}')$$);
SELECT etl.add_aggregate('pub', 'total', 'SELECT 1 AS n, sum(amount) AS amount FROM fact', 'pub.total', '{n}', depends_on => '{grow}') > 0;
SELECT pg_temp.refused($$SELECT etl.alter_task('pub', 'grow', command => 'CALL pub.whatever()')$$);
SELECT pg_temp.refused($$SELECT etl.alter_task('pub', 'total', depends_on => '{grow,tidy}')$$);
-- Several problems can be corrected one after the other.
UPDATE etl.task SET command = 'REINDEX SCHEMA pub' WHERE name = 'grow';
UPDATE etl.task SET owner = 'pub_other' WHERE name = 'fact';
SELECT * FROM etl.validate('pub') WHERE problem LIKE 'Task %';
SELECT etl.alter_task('pub', 'fact', reset => '{owner}');
SELECT pg_temp.refused($$SELECT etl.run_pipeline('pub', mode => 'inline')$$);
SELECT etl.drop_task('pub', 'tidy'), etl.alter_task('pub', 'grow', command => 'ANALYZE pub.fact');

-- Members of different owners; the owner of the pipeline counts where a task has none.
SELECT replace(pg_temp.refused($$SELECT etl.alter_task('pub', 'grow', owner => 'pub_other')$$), 'runs as ' || quote_ident(current_user), 'runs as USER');
SELECT etl.alter_task('pub', 'orders', owner => current_user::text);
SELECT etl.alter_task('pub', 'fact', owner => current_user::text);
SELECT pg_temp.refused($$SELECT etl.alter_pipeline('pub', owner => 'pub_other')$$)
       = replace($$0A000: tasks "fact" and "grow" are published at one commit and have different owners
  detail: "fact" runs as USER and "grow" as pub_other, but one worker connects as one role.
  hint: Give all of them the same owner with etl.alter_task(..., owner => ...), or let each be published by itself: etl.alter_pipeline('pub', atomic_publish => false).$$, 'USER', quote_ident(current_user));
SELECT etl.alter_task('pub', 'fact', reset => '{owner}');
UPDATE etl.task SET owner = 'pub_other' WHERE name = 'grow';
SELECT task, severity FROM etl.validate('pub') WHERE problem LIKE 'Tasks%';
UPDATE etl.task SET owner = NULL WHERE name = 'grow';
SELECT * FROM etl.validate('pub') WHERE severity = 'error';

-- Inline, the same states; a sql task in between sees what was written.
INSERT INTO orders VALUES (11, 100);
SELECT etl.run_pipeline('pub', mode => 'inline') AS run \gset
SELECT task, state, rows_inserted, rows_updated FROM etl.task_status WHERE run_id = :run ORDER BY task;
SELECT count(*), (SELECT amount FROM total) FROM fact;

-- The order of the work: what depends on another comes later, then the higher priority, then what was added first.
CREATE SEQUENCE at;
SELECT etl.create_pipeline('pub3', atomic_publish => true) > 0;
SELECT etl.add_load('pub3', name, format('SELECT 1 AS id, nextval(%L) AS at', 'pub.at'), 'pub.' || name, '{id}', mode => 'replace', priority => n,
         depends_on => depends)
       > 0
FROM (VALUES ('a', 0, NULL::text[]), ('b', 1, NULL), ('c', 9, '{a}'), ('d', 0, NULL)) AS x (name, n, depends);
SELECT etl.run_pipeline('pub3', mode => 'inline') > 0;
SELECT string_agg(name, ' ' ORDER BY at) FROM (SELECT 'a' AS name, at FROM a UNION ALL SELECT 'b', at FROM b UNION ALL SELECT 'c', at FROM c UNION ALL SELECT 'd', at FROM d) AS x;

-- Trigger rules: what is skipped is not published, and does not keep the others; within a publication nothing can react to a failure.
SELECT etl.create_pipeline('pub4', atomic_publish => true) > 0;
SELECT etl.add_sql('pub4', 'before', 'SELECT 1') > 0;
SELECT etl.add_load('pub4', 'plain', 'SELECT 1 AS id', 'pub.plain', '{id}', mode => 'replace', depends_on => '{before}') > 0;
SELECT etl.add_load('pub4', 'instead', 'SELECT 1 AS id', 'pub.instead', '{id}', mode => 'replace', depends_on => '{before}', trigger_rule => 'one_failed') > 0;
SELECT etl.add_load('pub4', 'behind', 'SELECT 1 AS id', 'pub.behind', '{id}', mode => 'replace', depends_on => '{instead}') > 0;
SELECT etl.add_load('pub4', 'anyway', 'SELECT 1 AS id', 'pub.anyway', '{id}', mode => 'replace', depends_on => '{instead,plain}', trigger_rule => 'none_failed') > 0;
SELECT etl.add_load('pub4', 'repair', 'SELECT 1 AS id', 'pub.repair', '{id}', mode => 'replace', depends_on => '{plain}', trigger_rule => 'one_failed') > 0;
SELECT etl.add_load('pub4', 'always', 'SELECT 1 AS id', 'pub.always', '{id}', mode => 'replace', depends_on => '{before}', trigger_rule => 'always') > 0;
SELECT etl.run_pipeline('pub4', mode => 'inline') AS run \gset
SELECT task, state FROM etl.task_status WHERE run_id = :run ORDER BY task;

-- An error of one takes all with it; a check in between that fails does, too.
SELECT etl.add_check('pub', 'middle', target => 'pub.fact', type => 'row_count', fail => '100') > 0;
SELECT etl.alter_task('pub', 'total', depends_on => '{grow,middle}');
SELECT pg_temp.refused($$SELECT etl.run_pipeline('pub', mode => 'inline')$$);
SELECT etl.alter_task('pub', 'middle', fail => '1');
SELECT etl.run_pipeline('pub', mode => 'inline') AS run \gset
SELECT task, state FROM etl.task_status WHERE run_id = :run ORDER BY task;

SELECT etl.drop_pipeline(name) FROM etl.pipeline WHERE name LIKE 'pub%' ORDER BY name;
DROP SCHEMA pub CASCADE;
DROP ROLE pub_other;
