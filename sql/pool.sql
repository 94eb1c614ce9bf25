-- Pools: create, alter, drop; who may; and the options of tasks that name them.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_ext;
CREATE ROLE pool_owner LOGIN;
CREATE ROLE pool_user LOGIN;
CREATE ROLE pool_group;
GRANT USAGE ON SCHEMA etl TO pool_owner, pool_user;
\pset format unaligned
\pset tuples_only on
\pset null '(null)'
\set SHOW_CONTEXT never

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
CREATE VIEW pg_temp.task AS
SELECT t.name, t.pool, t.pool_slots, t.retry_on, t.on_failure, t.priority
FROM etl.task AS t JOIN etl.pipeline AS p ON p.pipeline_id = t.pipeline_id AND p.name IN ('pool', 'other') ORDER BY t.name;
GRANT SELECT ON pg_temp.task TO PUBLIC;

-- A pool belongs to whoever makes it.
SET ROLE pool_owner;
SELECT etl.create_pool('shop', 4, description => 'Connections to the shop');
SELECT etl.create_pool('closed', slots => 0);
SELECT etl.create_pool('largest', 1000);
SELECT name, slots, description, owner, created_at <= updated_at FROM etl.pool ORDER BY name;
SELECT pg_temp.refused($$SELECT etl.create_pool('shop', 2)$$);
SELECT pg_temp.refused($$SELECT etl.create_pool('x', -1)$$);
SELECT pg_temp.refused($$SELECT etl.create_pool('x', 1001)$$);
SELECT pg_temp.refused($$SELECT etl.create_pool('x', NULL)$$);
SELECT pg_temp.refused($$SELECT etl.create_pool(NULL, 1)$$);
SELECT pg_temp.refused($$SELECT etl.create_pool('', 1)$$);
SELECT pg_temp.refused($$SELECT etl.create_pool(repeat('x', 129), 1)$$);
SELECT etl.create_pool(repeat('x', 128), 1);
SELECT etl.drop_pool(repeat('x', 128));

-- NULL leaves a setting alone.
SELECT etl.alter_pool('shop', slots => 3);
SELECT etl.alter_pool('shop', description => 'Few connections');
SELECT etl.alter_pool('shop');
SELECT slots, description, owner FROM etl.pool WHERE name = 'shop';
SELECT pg_temp.refused($$SELECT etl.alter_pool('shop', slots => -1)$$);
SELECT pg_temp.refused($$SELECT etl.alter_pool('shop', slots => 1001)$$);
SELECT pg_temp.refused($$SELECT etl.alter_pool('Shop', slots => 1)$$);
SELECT pg_temp.refused($$SELECT etl.alter_pool(NULL, slots => 1)$$);
SELECT pg_temp.refused($$SELECT etl.drop_pool('Shop')$$);
SELECT etl.drop_pool(NULL);

-- Only members of its owner change it, and give it only to roles that they are members of; one that cannot log in will do.
SELECT pg_temp.refused($$SELECT etl.alter_pool('shop', owner => 'pool_group')$$);
SELECT pg_temp.refused($$SELECT etl.alter_pool('shop', owner => 'nobody_at_all')$$);
SET ROLE pool_user;
SELECT pg_temp.refused($$SELECT etl.alter_pool('shop', slots => 1000)$$);
SELECT pg_temp.refused($$SELECT etl.alter_pool('shop', owner => 'pool_user')$$);
SELECT pg_temp.refused($$SELECT etl.drop_pool('shop')$$);
RESET ROLE;
GRANT pool_group TO pool_owner, pool_user;
SET ROLE pool_owner;
SELECT etl.alter_pool('shop', owner => 'pool_group');
SET ROLE pool_user;
SELECT etl.alter_pool('shop', slots => 4);
SELECT slots, owner FROM etl.pool WHERE name = 'shop';
RESET ROLE;
REVOKE pool_group FROM pool_user;

-- Anybody may use it, with as many slots as it has.
SET ROLE pool_user;
SELECT etl.create_pipeline('pool') > 0;
SELECT etl.add_sql('pool', 'one', 'SELECT 1', pool => 'shop') > 0;
SELECT etl.add_sql('pool', 'all', 'SELECT 1', pool => 'shop', pool_slots => 4) > 0;
SELECT etl.add_sql('pool', 'later', 'SELECT 1', pool => 'closed', pool_slots => 2) > 0;
SELECT etl.add_sql('pool', 'none', 'SELECT 1') > 0;
SELECT pg_temp.refused($$SELECT etl.add_sql('pool', 'x', 'SELECT 1', pool => 'SHOP')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('pool', 'x', 'SELECT 1', pool => '')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('pool', 'x', 'SELECT 1', pool => 'shop', pool_slots => 5)$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('pool', 'x', 'SELECT 1', pool => 'shop', pool_slots => 0)$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('pool', 'x', 'SELECT 1', pool => 'largest', pool_slots => 1001)$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('pool', 'x', 'SELECT 1', pool_slots => 2)$$);
SELECT etl.alter_task('pool', 'none', pool => 'largest', pool_slots => 1000);
SELECT pg_temp.refused($$SELECT etl.alter_task('pool', 'none', pool => 'shop')$$);
SELECT pg_temp.refused($$SELECT etl.alter_task('pool', 'none', reset => '{pool}')$$);
SELECT pg_temp.refused($$SELECT etl.alter_task('pool', 'one', pool => 'nothing')$$);
SELECT etl.alter_task('pool', 'none', reset => '{pool_slots}');
SELECT name, pool, pool_slots FROM pg_temp.task;
SELECT etl.alter_task('pool', 'none', reset => '{pool}');
SELECT name, pool, pool_slots FROM pg_temp.task WHERE name = 'none';

-- validate tells of a pool without slots, and of one that is smaller than what a task takes.
SET ROLE pool_owner;
SELECT etl.alter_pool('shop', slots => 0);
SET ROLE pool_user;
SELECT task, severity, problem, hint FROM etl.validate('pool') ORDER BY task;
SET ROLE pool_owner;
SELECT etl.alter_pool('shop', slots => 2);
SET ROLE pool_user;
SELECT task, severity, problem, hint FROM etl.validate('pool') ORDER BY task;

-- A pool with tasks cannot be dropped; tasks of others are counted, not named.
SET ROLE pool_owner;
SELECT etl.create_pipeline('other') > 0;
SELECT pg_temp.refused($$SELECT etl.drop_pool('shop')$$);
SELECT etl.add_sql('other', 'mine', 'SELECT 1', pool => 'shop') > 0;
SELECT pg_temp.refused($$SELECT etl.drop_pool('shop')$$);
SELECT etl.alter_task('other', 'mine', reset => '{pool}');
RESET ROLE;
SELECT pg_temp.refused($$SELECT etl.drop_pool('shop')$$);
SELECT etl.drop_task('pool', 'all');
SELECT etl.alter_task('pool', 'one', reset => '{pool}');
BEGIN;
SELECT etl.drop_pool('shop');
SELECT count(*) FROM etl.pool WHERE name = 'shop';
ROLLBACK;
SELECT slots FROM etl.pool WHERE name = 'shop';

-- A run keeps pool, slots, errors and priority as they were when it began.
SELECT etl.alter_pool('shop', slots => 3);
SELECT etl.alter_task('pool', 'one', pool => 'shop', pool_slots => 3, priority => 7, retry_on => '{40P01}');
SET ROLE pool_user;
SELECT etl.run_pipeline('pool', mode => 'inline', tasks => '{one}') AS run \gset
RESET ROLE;
SELECT etl.alter_task('pool', 'one', reset => '{pool,pool_slots,priority,retry_on}');
SELECT name, pool, pool_slots, retry_on, on_failure, priority FROM pg_temp.task WHERE name = 'one';
SELECT t->>'pool', t->>'pool_slots', t->>'priority', t->'retry_on'
FROM etl.run, jsonb_array_elements(definition->'task') AS t WHERE run_id = :run;

-- What is at work and what waits, of all pipelines; readers see the numbers of pipelines that they do not see.
CREATE FUNCTION pg_temp.pretend(pretended bigint, new_state text) RETURNS void LANGUAGE sql AS
$$UPDATE etl.run SET state = 'running' WHERE run_id = pretended;
  UPDATE etl.task_run SET state = new_state WHERE run_id = pretended$$;
SELECT etl.alter_task('pool', 'one', pool => 'shop', pool_slots => 2);
SELECT etl.alter_task('other', 'mine', pool => 'shop');
BEGIN;
SELECT pool, slots, used, waiting, description FROM etl.pool_status ORDER BY pool;
SET LOCAL ROLE pool_user;
SELECT etl.run_pipeline('pool', mode => 'inline', tasks => '{one,none}') AS one \gset
SET LOCAL ROLE pool_owner;
SELECT etl.run_pipeline('other', mode => 'inline') AS mine \gset
RESET ROLE;
SELECT pg_temp.pretend(:one, 'running');
SELECT pg_temp.pretend(:mine, 'ready');
-- The definition of now plays no part.
SELECT etl.alter_task('pool', 'one', reset => '{pool_slots}');
SET LOCAL ROLE pool_owner;
SELECT task, state FROM etl.task_status;
SELECT pool, slots, used, waiting FROM etl.pool_status ORDER BY pool;
RESET ROLE;
SELECT pg_temp.pretend(:mine, 'running');
SELECT pool, slots, used, waiting FROM etl.pool_status WHERE pool = 'shop';
SELECT pg_temp.pretend(:mine, 'retry');
SELECT pool, slots, used, waiting FROM etl.pool_status WHERE pool = 'shop';
ROLLBACK;

-- A pool without slots keeps its tasks waiting, and no others; opening it at a commit lets them start.
SELECT etl.alter_task('pool', 'one', retry_delays => '{}');
SELECT etl.alter_pool('shop', slots => 0);
SELECT etl.run_pipeline('pool', tasks => '{one,none}', wait => false) AS run \gset
DO $$
BEGIN
  WHILE NOT EXISTS (SELECT FROM etl.task_status WHERE task = 'none' AND state = 'success') LOOP
    PERFORM pg_sleep(0.01);
  END LOOP;
END
$$;
SELECT task, state FROM etl.task_status WHERE run_id = :run ORDER BY task;
SELECT pool, slots, used, waiting FROM etl.pool_status WHERE pool = 'shop';
-- Smaller than what the task takes: it takes all there is.
SELECT etl.alter_pool('shop', slots => 1);
SELECT etl.wait_for_run(:run, '5 min');
SELECT task, state FROM etl.task_status WHERE run_id = :run ORDER BY task;

SELECT etl.drop_pipeline('pool');
SELECT etl.drop_pipeline('other');
SELECT etl.drop_pool(name) FROM unnest('{shop,closed,largest}'::text[]) AS name;
SELECT count(*) FROM etl.pool WHERE owner IN ('pool_owner'::regrole, 'pool_group'::regrole);
REVOKE USAGE ON SCHEMA etl FROM pool_owner, pool_user;
DROP ROLE pool_owner, pool_user, pool_group;
