-- What a merge load does with new, changed, unchanged, duplicate and bad rows.
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
SELECT plan(22);

CREATE SCHEMA t_src;
CREATE SCHEMA t_dw;
CREATE TABLE t_src.orders (id integer, customer text, amount numeric, note text, updated_at timestamptz);
CREATE TABLE t_dw.customer (customer text PRIMARY KEY, customer_key integer);
INSERT INTO t_dw.customer VALUES ('ann', 1), ('bob', 2);
CREATE TABLE t_dw.orders (id integer PRIMARY KEY, customer_key integer NOT NULL, amount numeric(6, 2), note varchar(5),
  updated_at timestamptz, CHECK (amount >= 0));

SELECT etl.create_pipeline('t_load') \g /dev/null
SELECT etl.add_extract('t_load', 'orders', source => 't_src.orders', target => 't_raw.orders') \g /dev/null
SELECT etl.add_load('t_load', 'load', target => 't_dw.orders', key => '{id}', order_by => 'updated_at',
  query => $$SELECT o.id, c.customer_key, o.amount, o.note, o.updated_at
             FROM t_raw.orders AS o JOIN t_dw.customer AS c USING (customer)$$) \g /dev/null

-- The counts of the load in its last run.
CREATE FUNCTION pg_temp.counts() RETURNS text LANGUAGE sql AS $$
  SELECT format('read %s inserted %s updated %s unchanged %s rejected %s', rows_read, rows_inserted, rows_updated,
                rows_unchanged, rows_rejected)
  FROM etl.task_run WHERE task = 'load' ORDER BY task_run_id DESC LIMIT 1
$$;

INSERT INTO t_src.orders SELECT i, CASE WHEN i % 2 = 0 THEN 'ann' ELSE 'bob' END, i, 'new', '2026-01-01'
FROM generate_series(1, 10) AS i;
SELECT lives_ok($$SELECT etl.run_pipeline('t_load', mode => 'inline')$$, 'the first run succeeds');
SELECT is(pg_temp.counts(), 'read 10 inserted 10 updated 0 unchanged 0 rejected 0', 'the first run inserts every row');
SELECT is((SELECT count(*) FROM t_dw.orders), 10::bigint, 'they are in the target');
SELECT is((SELECT batch_id FROM etl.consumed JOIN etl.task USING (task_id) WHERE name = 'load'),
  (SELECT max(batch_id) FROM etl.batch WHERE target = 't_raw.orders'), 'the position is the last batch');

TRUNCATE t_src.orders;
CREATE TEMPORARY TABLE before AS SELECT id, ctid AS place FROM t_dw.orders;
SELECT lives_ok($$SELECT etl.run_pipeline('t_load', mode => 'inline')$$, 'a run without new rows succeeds');
SELECT is_empty($$SELECT id, ctid FROM t_dw.orders EXCEPT SELECT * FROM before$$, 'and writes nothing to the target');

INSERT INTO t_src.orders VALUES
  (1, 'bob', 100, 'old', '2026-01-02'), (1, 'bob', 101, 'last', '2026-01-03'),
  (2, 'ann', 2, 'new', '2026-01-01'),
  (3, 'bob', 300, 'late', '2025-12-31'),
  (11, 'ann', 11, 'new', '2026-01-02'), (11, 'ann', 12, 'none', NULL);
SELECT lives_ok($$SELECT etl.run_pipeline('t_load', mode => 'inline')$$, 'a run with duplicates succeeds');
SELECT is(pg_temp.counts(), 'read 6 inserted 1 updated 1 unchanged 2 rejected 0',
  'one new, one changed, one the same, one older than the target');
SELECT is((SELECT note FROM t_dw.orders WHERE id = 1), 'last', 'the latest version by order_by wins');
SELECT is((SELECT amount FROM t_dw.orders WHERE id = 3), 3.00, 'an older version does not overwrite');
SELECT is((SELECT note FROM t_dw.orders WHERE id = 11), 'new', 'NULL in order_by is the oldest');
SELECT is((SELECT ctid FROM t_dw.orders WHERE id = 2), (SELECT place FROM before WHERE id = 2),
  'a row that did not change is not written');

TRUNCATE t_src.orders;
INSERT INTO t_src.orders VALUES
  (NULL, 'ann', 1, 'a', '2026-02-01'), (21, 'ann', 21, 'too long', '2026-02-01'),
  (22, 'ann', 99999, 'b', '2026-02-01'), (23, 'ann', -1, 'c', '2026-02-01'), (24, 'ann', 24, 'good', '2026-02-01');
SELECT lives_ok($$SELECT etl.run_pipeline('t_load', mode => 'inline')$$, 'a run with bad rows succeeds');
SELECT is(pg_temp.counts(), 'read 5 inserted 1 updated 0 unchanged 0 rejected 4', 'the good row goes in');
SELECT results_eq($$SELECT error_sqlstate, column_name, row_data ->> 'id' FROM etl.quarantine
                    WHERE target = 't_dw.orders' ORDER BY 1, 3$$,
  $$VALUES ('22001', 'note', '21'), ('22003', 'amount', '22'), ('23502', 'id', NULL), ('23514', NULL, '23')$$,
  'the others are in quarantine with SQLSTATE, column and row');
SELECT is((SELECT count(*) FROM t_dw.orders WHERE id > 20), 1::bigint, 'and not in the target');
SELECT is_empty($$SELECT relname FROM pg_class WHERE relpersistence = 't' AND relname LIKE 'etl\_%'$$,
  'no temporary table is left');

SELECT throws_ok($$SELECT etl.add_load('t_load', 'x', target => 't_dw.x', key => '{nix}',
  query => 'SELECT id FROM t_raw.orders')$$, '42703', NULL, 'an unknown key column is refused');
SELECT throws_ok($$SELECT etl.add_load('t_load', 'x', target => 't_dw.x', key => '{id}',
  query => 'SELECT id FROM t_raw.orders; SELECT 1')$$, '42601', NULL, 'two statements are refused');
SELECT throws_ok($$SELECT etl.add_load('t_load', 'x', target => 't_dw.x', key => '{id}',
  query => 'DELETE FROM t_raw.orders')$$, '0A000', NULL, 'a DELETE is refused');
SELECT throws_ok($$SELECT etl.add_load('t_load', 'x', target => 't_dw.x', mode => 'append',
  query => 'SELECT id FROM t_raw.orders GROUP BY id')$$, '0A000', NULL, 'append needs a query that can be narrowed');
SELECT throws_ok($$SELECT etl.add_load('t_load', 'x', target => 't_dw.orders', key => '{id}',
  query => 'SELECT id, 1 AS nix FROM t_raw.orders')$$, '42703', NULL, 'a column that the target lacks is refused');

SELECT * FROM finish();
ROLLBACK;
