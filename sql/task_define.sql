-- Tasks: what defining one creates, how it is changed and dropped.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_ext;
CREATE SCHEMA td;
SET search_path = td, public;
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
  RETURN concat_ws(E'\n', SQLSTATE || ': ' || message, '  detail: ' || nullif(detail, ''), '  hint: ' || nullif(hint, ''));
END
$$;

CREATE TABLE orders (
  order_id bigint PRIMARY KEY, customer_id int NOT NULL, amount numeric(12,2), "Odd name" text, tags text[],
  created_at timestamp NOT NULL, updated_at timestamptz NOT NULL);
COMMENT ON TABLE orders IS 'Orders of the shop.';
COMMENT ON COLUMN orders.amount IS 'Total in euro.';
CREATE TABLE customers (customer_id int PRIMARY KEY, name varchar(40) COLLATE "C" NOT NULL, segment text);

SELECT etl.create_pipeline('td', description => 'Task definitions') > 0;
CREATE VIEW pg_temp.task AS
SELECT t.* FROM etl.task AS t JOIN etl.pipeline AS p ON p.pipeline_id = t.pipeline_id AND p.name = 'td';

-- An extract makes a raw table: the columns of the source without their constraints, and its own; partitions ahead.
SELECT etl.add_extract('td', 'orders', source => 'orders', target => 'td_raw.orders', cursor_column => 'updated_at',
         primary_key => '{order_id}', lag => '10 min', chunk_rows => 5000, retry_delays => '{5 min,1 h}', timeout => '2 h',
         priority => 3, tags => '{"layer": "raw"}', description => 'All orders', filter => 'amount IS NOT NULL') > 0;
SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, col_description(a.attrelid, a.attnum)
FROM pg_attribute AS a WHERE a.attrelid = 'td_raw.orders'::regclass AND a.attnum > 0 ORDER BY a.attnum;
SELECT relkind, pg_get_partkeydef(oid), obj_description(oid) FROM pg_class WHERE oid = 'td_raw.orders'::regclass;
SELECT count(*) > 1 AS has_partitions FROM pg_partition_tree('td_raw.orders') WHERE isleaf;
SELECT source, target, cursor_column, primary_key, lag, chunk_rows, retry_delays, timeout, priority, tags, description,
       filter, search_path, reads, writes, trigger_rule, enabled
FROM pg_temp.task WHERE name = 'orders';

-- Only some columns; the key can be left out.
SELECT etl.add_extract('td', 'customers', 'customers', 'td_raw.customers', columns => '{customer_id,name}') > 0;
SELECT attname, format_type(atttypid, atttypmod), attcollation = '"C"'::regcollation FROM pg_attribute
WHERE attrelid = 'td_raw.customers'::regclass AND attnum > 0 ORDER BY attnum;

-- A load makes its target: types of the query, a primary key, a comment.
SELECT etl.add_load('td', 'fact', target => 'td_dw.fact', key => '{order_id}', order_by => 'updated_at DESC',
         query => $$SELECT o.order_id, c.name, o.amount, o.amount * 2 AS twice, o.updated_at
                    FROM td_raw.orders AS o LEFT JOIN td_raw.customers AS c USING (customer_id)$$) > 0;
SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull FROM pg_attribute AS a
WHERE a.attrelid = 'td_dw.fact'::regclass AND a.attnum > 0 ORDER BY a.attnum;
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'td_dw.fact'::regclass;
SELECT obj_description('td_dw.fact'::regclass);
SELECT kind, target, key, mode, order_by, reads, writes FROM pg_temp.task WHERE name = 'fact';

-- Aggregates, commands, checks.
SELECT etl.add_aggregate('td', 'daily', target => 'td_dw.daily', key => '{day}',
         query => $$SELECT updated_at::date AS day, count(*) AS orders FROM td_dw.fact GROUP BY 1$$) > 0;
SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'td_dw.daily'::regclass;
SELECT etl.add_sql('td', 'refresh', command => 'ANALYZE td_dw.daily; DELETE FROM td_dw.daily WHERE orders = 0') > 0;
SELECT reads, writes FROM pg_temp.task WHERE name = 'refresh';
SELECT etl.add_check('td', 'volume', target => 'td_dw.fact', type => 'row_count', warn => '10', fail => '1') > 0;
SELECT etl.add_check('td', 'keys', target => 'td_dw.fact', type => 'duplicates', columns => '{order_id}',
         gate => 'fact') > 0;
SELECT name, check_type, columns, warn, fail, gate, reads FROM pg_temp.task WHERE kind = 'check' ORDER BY name;
SELECT t.name, d.name, e.inferred FROM etl.task_dependency AS e JOIN etl.task AS t USING (task_id)
JOIN etl.task AS d ON d.task_id = e.depends_on ORDER BY 1, 2;

-- Tables that exist are taken as they are.
CREATE TABLE td_dw.existing (order_id bigint PRIMARY KEY, amount numeric, note text DEFAULT 'x');
SELECT etl.add_load('td', 'existing', 'SELECT order_id, amount FROM td_raw.orders', 'td_dw.existing', '{order_id}') > 0;
SELECT count(*) FROM pg_attribute WHERE attrelid = 'td_dw.existing'::regclass AND attnum > 0;
SELECT etl.add_extract('td', 'orders_again', 'orders', 'td_raw.orders', primary_key => '{order_id}') > 0;

-- alter_task: NULL leaves alone, reset goes back to the default, new_name is followed by those who name the task.
SELECT etl.alter_task('td', 'orders', lag => '0', priority => 0, reset => '{filter,retry_delays,timeout,chunk_rows,tags}');
SELECT lag, priority, filter, retry_delays, timeout, chunk_rows, tags, cursor_column FROM pg_temp.task WHERE name = 'orders';
SELECT etl.alter_task('td', 'refresh', depends_on => '{volume}', enabled => false, trigger_rule => 'all_done');
SELECT etl.alter_task('td', 'volume', new_name => 'volume of facts', fail => '2', warn => '20');
SELECT etl.alter_task('td', 'fact', new_name => 'facts', key => '{order_id}');
SELECT name, depends_on, gate, enabled, trigger_rule, warn, fail FROM etl.task
WHERE name IN ('refresh', 'keys', 'volume of facts') ORDER BY name;
SELECT etl.alter_task('td', 'daily', query => 'SELECT updated_at::date AS day, sum(1) AS orders FROM td_dw.fact GROUP BY 1');
SELECT query FROM pg_temp.task WHERE name = 'daily';
SELECT etl.alter_task('td', 'refresh', command => 'SELECT 1', reset => '{depends_on,trigger_rule,enabled}');
SELECT depends_on, trigger_rule, enabled, reads FROM pg_temp.task WHERE name = 'refresh';
-- What becomes of a failed attempt.
SELECT etl.alter_task('td', 'orders', on_failure => 'use_last', retry_on => '{08,40001,HV00L,ZE008}', retry_delays => '{0,1 min}');
SELECT on_failure, retry_on, retry_delays FROM pg_temp.task WHERE name = 'orders';
SELECT etl.alter_task('td', 'orders', retry_on => '{all}');
SELECT etl.alter_task('td', 'daily', retry_on => '{none}', priority => -2147483648);
SELECT name, on_failure, retry_on, priority FROM pg_temp.task WHERE name IN ('orders', 'daily') ORDER BY name;
SELECT etl.alter_task('td', 'orders', reset => '{on_failure,retry_on,retry_delays}');
SELECT etl.alter_task('td', 'daily', reset => '{retry_on,priority}');
SELECT name, on_failure, retry_on, retry_delays, priority FROM pg_temp.task WHERE name IN ('orders', 'daily') ORDER BY name;
SELECT pg_temp.refused($$SELECT etl.alter_task('td', 'daily', on_failure => 'use_last')$$);
SELECT pg_temp.refused($$SELECT etl.alter_task('td', 'daily', reset => '{on_failure}')$$);
SELECT pg_temp.refused($$SELECT etl.alter_task('td', 'nothing', priority => 1)$$);
SELECT pg_temp.refused($$SELECT etl.alter_task('td', 'daily', new_name => 'facts')$$);
SELECT pg_temp.refused($$SELECT etl.alter_task('td', 'daily', new_name => '')$$);
SELECT pg_temp.refused($$SELECT etl.alter_task('td', 'daily', cursor_column => 'day')$$);
SELECT pg_temp.refused($$SELECT etl.alter_task('td', 'daily', mode => 'append')$$);
SELECT pg_temp.refused($$SELECT etl.alter_task('td', 'refresh', warn => '1')$$);
SELECT pg_temp.refused($$SELECT etl.alter_task('td', 'daily', reset => '{query}')$$);
SELECT pg_temp.refused($$SELECT etl.alter_task('td', 'daily', reset => '{lag}')$$);
SELECT pg_temp.refused($$SELECT etl.alter_task('td', 'daily', reset => '{key}')$$);
SELECT pg_temp.refused($$SELECT etl.alter_task('td', 'daily', query => 'SELECT 1')$$);

-- The author's search_path is kept with the task; the caller's own schema of another day plays no part.
SELECT etl.add_sql('td', 'path', command => 'INSERT INTO customers VALUES (9, ''nine'')') > 0;
SET search_path = public;
SELECT search_path, writes FROM pg_temp.task WHERE name = 'path';
SELECT etl.alter_task('td', 'path', priority => 1);
SELECT search_path, writes FROM pg_temp.task WHERE name = 'path';

-- All of it is transactional, the tables included.
BEGIN;
SELECT etl.add_extract('td', 'rolled_back', 'td.orders', 'td_new.orders') > 0;
SELECT etl.add_load('td', 'rolled_back_too', 'SELECT order_id FROM td_new.orders', 'td_new.fact', '{order_id}') > 0;
SELECT etl.drop_task('td', 'path');
SELECT to_regclass('td_new.orders') IS NULL, to_regclass('td_new.fact') IS NULL;
ROLLBACK;
SELECT to_regclass('td_new.orders') IS NULL, to_regclass('td_new.fact') IS NULL, to_regnamespace('td_new') IS NULL;
SELECT count(*) FROM pg_temp.task WHERE name IN ('rolled_back', 'rolled_back_too', 'path');

-- drop_task: tables stay; a task that others name cannot go.
SELECT pg_temp.refused($$SELECT etl.drop_task('td', 'nothing')$$);
SELECT pg_temp.refused($$SELECT etl.drop_task('td', 'facts')$$);
SELECT etl.drop_task('td', 'keys');
SELECT etl.drop_task('td', 'facts');
SELECT to_regclass('td_dw.fact');
SELECT count(*) FROM etl.task_dependency AS e JOIN etl.task AS t USING (task_id) WHERE t.name = 'daily';

SELECT etl.drop_pipeline('td');
SELECT to_regclass('td_raw.orders'), to_regclass('td_dw.daily');
SET client_min_messages = error;
DROP SCHEMA td, td_raw, td_dw CASCADE;
