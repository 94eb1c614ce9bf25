-- Tasks: what each wrong definition is answered with, and that nothing of it stays behind.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_ext;
CREATE SCHEMA tr;
CREATE SCHEMA tr_raw;
SET search_path = tr, public;
\pset format unaligned
\pset tuples_only on

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

CREATE TABLE orders (order_id bigint PRIMARY KEY, amount numeric, box box, updated_at timestamptz, flag boolean);
CREATE TABLE reserved (order_id bigint, _etl_batch bigint);
CREATE INDEX orders_idx ON orders (amount);
CREATE TABLE narrow (order_id bigint PRIMARY KEY, amount json);
CREATE VIEW narrow_view AS SELECT * FROM narrow;
CREATE TABLE needs (order_id bigint PRIMARY KEY, must text NOT NULL);
SELECT etl.create_pipeline('tr') > 0;
CREATE VIEW pg_temp.task AS
SELECT t.* FROM etl.task AS t JOIN etl.pipeline AS p ON p.pipeline_id = t.pipeline_id AND p.name = 'tr';
SELECT etl.add_extract('tr', 'orders', 'orders', 'tr_raw.orders', primary_key => '{order_id}') > 0;

-- Names.
SELECT pg_temp.refused($$SELECT etl.add_sql('nobody', 'a', 'SELECT 1')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql(NULL, 'a', 'SELECT 1')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', NULL, 'SELECT 1')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', '', 'SELECT 1')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', repeat('x', 129), 'SELECT 1')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', 'orders', 'SELECT 1')$$);

-- Options that every kind has.
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', 'a', 'SELECT 1', trigger_rule => 'any')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', 'a', 'SELECT 1', timeout => '0')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', 'a', 'SELECT 1', timeout => '-1 s')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', 'a', 'SELECT 1', timeout => '2 years')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', 'a', 'SELECT 1', retry_delays => '{1 min,-1 min}')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', 'a', 'SELECT 1', retry_delays => '{31 days}')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', 'a', 'SELECT 1', retry_delays => '{NULL}')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', 'a', 'SELECT 1', retry_delays => array_fill(interval '1 s', '{101}'))$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', 'a', 'SELECT 1', retry_on => '{}')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', 'a', 'SELECT 1', retry_on => '{NULL}')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', 'a', 'SELECT 1', retry_on => '{""}')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', 'a', 'SELECT 1', retry_on => '{08,all}')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', 'a', 'SELECT 1', retry_on => '{none,none}')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', 'a', 'SELECT 1', retry_on => '{08,hv00l}')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', 'a', 'SELECT 1', retry_on => '{080}')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', 'a', 'SELECT 1', retry_on => '{0800}')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', 'a', 'SELECT 1', retry_on => '{400é}')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', 'a', 'SELECT 1', retry_on => '{deadlock_detected}')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', 'a', 'SELECT 1', pool => 'nothing')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', 'a', 'SELECT 1', tags => '[]')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', 'a', 'SELECT 1', owner => 'nobody_at_all')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', 'a', 'SELECT 1', depends_on => '{nothing}')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', 'a', 'SELECT 1', depends_on => '{orders,a}')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', 'a', 'SELECT 1', depends_on => '{NULL}')$$);

-- Commands.
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', 'a', NULL)$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', 'a', '')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', 'a', ' -- nothing')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', 'a', 'SELEC 1')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', 'a', 'SELECT 1; COMMIT; SELECT 2')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', 'a', 'BEGIN')$$);
SELECT pg_temp.refused($$SELECT etl.add_sql('tr', 'a', 'SAVEPOINT s')$$);

-- Extracts.
SELECT pg_temp.refused($$SELECT etl.add_extract('tr', 'a', NULL, 'tr_raw.a')$$);
SELECT pg_temp.refused($$SELECT etl.add_extract('tr', 'a', 'orders', NULL)$$);
SELECT pg_temp.refused($$SELECT etl.add_extract('tr', 'a', 'shop.nothing', 'tr_raw.a')$$);
SELECT pg_temp.refused($$SELECT etl.add_extract('tr', 'a', 'nothing', 'tr_raw.a')$$);
SELECT pg_temp.refused($$SELECT etl.add_extract('tr', 'a', 'orders_idx', 'tr_raw.a')$$);
SELECT pg_temp.refused($$SELECT etl.add_extract('tr', 'a', 'a.b.c.d', 'tr_raw.a')$$);
SELECT pg_temp.refused($$SELECT etl.add_extract('tr', 'a', 'reserved', 'tr_raw.a')$$);
SELECT pg_temp.refused($$SELECT etl.add_extract('tr', 'a', 'orders', 'orders')$$);
SELECT pg_temp.refused($$SELECT etl.add_extract('tr', 'a', 'orders', 'narrow')$$);
SELECT pg_temp.refused($$SELECT etl.add_extract('tr', 'a', 'orders', 'tr_raw.a', cursor_column => 'changed')$$);
SELECT pg_temp.refused($$SELECT etl.add_extract('tr', 'a', 'orders', 'tr_raw.a', cursor_column => 'flag')$$);
SELECT pg_temp.refused($$SELECT etl.add_extract('tr', 'a', 'orders', 'tr_raw.a', primary_key => '{id}')$$);
SELECT pg_temp.refused($$SELECT etl.add_extract('tr', 'a', 'orders', 'tr_raw.a', primary_key => '{order_id,order_id}')$$);
SELECT pg_temp.refused($$SELECT etl.add_extract('tr', 'a', 'orders', 'tr_raw.a', primary_key => '{box}')$$);
SELECT pg_temp.refused($$SELECT etl.add_extract('tr', 'a', 'orders', 'tr_raw.a', columns => '{order_id,nothing}')$$);
SELECT pg_temp.refused($$SELECT etl.add_extract('tr', 'a', 'orders', 'tr_raw.a', columns => '{order_id}', cursor_column => 'updated_at')$$);
SELECT pg_temp.refused($$SELECT etl.add_extract('tr', 'a', 'orders', 'tr_raw.a', lag => '1 h')$$);
SELECT pg_temp.refused($$SELECT etl.add_extract('tr', 'a', 'orders', 'tr_raw.a', cursor_column => 'order_id', lag => '1 h')$$);
SELECT pg_temp.refused($$SELECT etl.add_extract('tr', 'a', 'orders', 'tr_raw.a', cursor_column => 'updated_at', lag => '-1 h')$$);
SELECT pg_temp.refused($$SELECT etl.add_extract('tr', 'a', 'orders', 'tr_raw.a', chunk_rows => 0)$$);
SELECT pg_temp.refused($$SELECT etl.add_extract('tr', 'a', 'orders', 'tr_raw.a', chunk_rows => -1)$$);
SELECT pg_temp.refused($$SELECT etl.add_extract('tr', 'a', 'orders', 'tr_raw.a', on_failure => 'last')$$);
SELECT pg_temp.refused($$SELECT etl.add_extract('tr', 'a', 'orders', 'tr_raw.a', filter => 'nothing > 1')$$);
SELECT pg_temp.refused($$SELECT etl.add_extract('tr', 'a', 'orders', 'tr_raw.a', filter => 'true); DELETE FROM tr.orders; --')$$);
SELECT pg_temp.refused($$SELECT etl.add_extract('tr', 'a', 'orders', 'tr_raw.a', filter => 'amount')$$);

-- Loads.
SELECT pg_temp.refused($$SELECT etl.add_load('tr', 'a', NULL, 'tr.fact')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('tr', 'a', 'SELECT order_id FROM tr_raw.orders', NULL)$$);
SELECT pg_temp.refused($$SELECT etl.add_load('tr', 'a', 'SELECT order_id FROM tr_raw.orders', 'tr.fact')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('tr', 'a', 'SELECT order_id FROM tr_raw.orders', 'tr.fact', '{}')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('tr', 'a', 'SELECT order_id FROM tr_raw.orders', 'tr.fact', '{id}')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('tr', 'a', 'SELECT order_id FROM tr_raw.orders', 'tr.fact', '{order_id}', mode => 'upsert')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('tr', 'a', 'SELECT order_id FROM tr_raw.orders', 'tr.fact', '{order_id}', order_by => 'updated_at')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('tr', 'a', 'SELECT order_id FROM tr_raw.orders', 'tr.fact', '{order_id}', order_by => 'order_id; DROP TABLE tr.orders')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('tr', 'a', '', 'tr.fact', '{order_id}')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('tr', 'a', ' ;', 'tr.fact', '{order_id}')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('tr', 'a', 'SELECT 1 AS order_id; SELECT 2 AS order_id', 'tr.fact', '{order_id}')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('tr', 'a', 'INSERT INTO tr.orders VALUES (1)', 'tr.fact', '{order_id}')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('tr', 'a', 'SELECT order_id INTO x FROM tr_raw.orders', 'tr.fact', '{order_id}')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('tr', 'a', 'SELECT order_id FROM tr_raw.orders FOR UPDATE', 'tr.fact', '{order_id}')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('tr', 'a', 'WITH d AS (DELETE FROM tr.orders RETURNING *) SELECT order_id FROM d', 'tr.fact', '{order_id}')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('tr', 'a', 'SELECT order_id, amount + 1 FROM tr_raw.orders', 'tr.fact', '{order_id}')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('tr', 'a', 'SELECT order_id, amount AS order_id FROM tr_raw.orders', 'tr.fact', '{order_id}')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('tr', 'a', 'SELECT * FROM tr_raw.orders', 'tr.fact', '{order_id}')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('tr', 'a', 'SELECT order_id FORM tr_raw.orders', 'tr.fact', '{order_id}')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('tr', 'a', 'SELECT order_id FROM tr_raw.order', 'tr.fact', '{order_id}')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('tr', 'a', 'SELECT order_no FROM tr_raw.orders', 'tr.fact', '{order_no}')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('tr', 'a', 'SELECT $1 AS order_id', 'tr.fact', '{order_id}')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('tr', 'a', 'SELECT order_id FROM tr_raw.orders', 'tr.narrow_view', '{order_id}')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('tr', 'a', 'SELECT order_id, updated_at FROM tr_raw.orders', 'tr.narrow', '{order_id}')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('tr', 'a', 'SELECT order_id, flag AS amount FROM tr_raw.orders', 'tr.narrow', '{order_id}')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('tr', 'a', 'SELECT order_id FROM tr_raw.orders', 'tr.needs', '{order_id}')$$);
SELECT pg_temp.refused($$SELECT etl.add_aggregate('tr', 'a', 'SELECT count(*) AS n FROM tr_raw.orders', 'tr.agg', NULL)$$);

-- Checks and gates.
SELECT pg_temp.refused($$SELECT etl.add_check('tr', 'a', 'tr.nothing', 'row_count', fail => '1')$$);
SELECT pg_temp.refused($$SELECT etl.add_check('tr', 'a', 'tr.orders', NULL, fail => '1')$$);
SELECT pg_temp.refused($$SELECT etl.add_check('tr', 'a', 'tr.orders', 'rows', fail => '1')$$);
SELECT pg_temp.refused($$SELECT etl.add_check('tr', 'a', 'tr.orders', 'freshness', '{updated_at}')$$);
SELECT pg_temp.refused($$SELECT etl.add_check('tr', 'a', 'tr.orders', 'row_count', fail => '5%')$$);
SELECT pg_temp.refused($$SELECT etl.add_check('tr', 'a', 'tr.orders', 'row_count', fail => 'many')$$);
SELECT pg_temp.refused($$SELECT etl.add_check('tr', 'a', 'tr.orders', 'null_pct', '{amount}', fail => '101%')$$);
SELECT pg_temp.refused($$SELECT etl.add_check('tr', 'a', 'tr.orders', 'null_pct', '{amount}', fail => '2 h')$$);
SELECT pg_temp.refused($$SELECT etl.add_check('tr', 'a', 'tr.orders', 'null_pct', fail => '1%')$$);
SELECT pg_temp.refused($$SELECT etl.add_check('tr', 'a', 'tr.orders', 'null_pct', '{nothing}', fail => '1%')$$);
SELECT pg_temp.refused($$SELECT etl.add_check('tr', 'a', 'tr.orders', 'null_pct', '{amount}', warn => '5%', fail => '1%')$$);
SELECT pg_temp.refused($$SELECT etl.add_check('tr', 'a', 'tr.orders', 'freshness', '{amount}', fail => '1 day')$$);
SELECT pg_temp.refused($$SELECT etl.add_check('tr', 'a', 'tr.orders', 'freshness', '{updated_at}', fail => '5%')$$);
SELECT pg_temp.refused($$SELECT etl.add_check('tr', 'a', 'tr.orders', 'expression', fail => '0')$$);
SELECT pg_temp.refused($$SELECT etl.add_check('tr', 'a', 'tr.orders', 'expression', expression => 'nothing > 0', fail => '0')$$);
SELECT pg_temp.refused($$SELECT etl.add_check('tr', 'a', 'tr.orders', 'row_count', fail => '1', gate => 'nothing')$$);
SELECT etl.add_check('tr', 'check', 'tr.orders', 'row_count', fail => '1') > 0;
SELECT pg_temp.refused($$SELECT etl.add_check('tr', 'a', 'tr.orders', 'row_count', fail => '1', gate => 'check')$$);
SELECT pg_temp.refused($$SELECT etl.add_check('tr', 'a', 'tr.orders', 'row_count', fail => '1', gate => 'orders', depends_on => '{check}')$$);

-- A cycle is refused with its path.
SELECT etl.add_sql('tr', 'first', 'SELECT 1', depends_on => '{orders}') > 0;
SELECT etl.add_sql('tr', 'second', 'SELECT 1', depends_on => '{first}') > 0;
SELECT pg_temp.refused($$SELECT etl.alter_task('tr', 'orders', depends_on => '{second}')$$);

-- Nothing of all this has left a task, a table or a changed row behind.
SELECT name FROM pg_temp.task ORDER BY name;
SELECT c.relname FROM pg_class AS c
WHERE c.relnamespace = 'tr_raw'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1;
SELECT to_regclass('tr.fact') IS NULL, to_regclass('tr.agg') IS NULL, count(*) FROM tr.orders;

SELECT etl.drop_pipeline('tr');
SET client_min_messages = error;
DROP SCHEMA tr, tr_raw CASCADE;
