-- Delete markers: what on_delete => '...' accepts, and what explain_task and validate say about it.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_ext;
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

CREATE SCHEMA del;
CREATE TABLE del.orders (order_id bigint PRIMARY KEY, customer integer, amount numeric, updated_at timestamptz NOT NULL);
SELECT etl.create_pipeline('del') > 0;
SELECT etl.add_extract('del', 'orders', source => 'del.orders', target => 'del.raw', primary_key => '{order_id}',
         cursor_column => 'updated_at', deletes => 'compare', max_delete_pct => 5, delete_scope => 'customer > 0') > 0;

-- Modes.
SELECT pg_temp.refused($$SELECT etl.add_load('del', 'x', target => 'del.x', mode => 'append', on_delete => 'delete',
  query => 'SELECT order_id FROM del.raw')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('del', 'x', target => 'del.x', mode => 'replace', on_delete => 'delete',
  query => 'SELECT order_id FROM del.raw')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('del', 'x', target => 'del.x', mode => 'replace', key => '{order_id}', on_delete => 'mark',
  query => 'SELECT order_id FROM del.raw')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('del', 'x', target => 'del.x', mode => 'insert_only', key => '{order_id}', on_delete => 'mark',
  query => 'SELECT order_id FROM del.raw')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('del', 'x', target => 'del.x', key => '{order_id}', on_delete => 'nix',
  query => 'SELECT order_id FROM del.raw')$$);

-- Queries of which it is not known which rows come from markers.
SELECT query, pg_temp.refused(format($$SELECT etl.add_load('del', 'x', target => 'del.x', key => '{id}', on_delete => 'delete', query => %L)$$, query))
FROM unnest(ARRAY[
  'SELECT customer AS id, sum(amount) AS amount FROM del.raw GROUP BY 1',
  'SELECT DISTINCT order_id AS id FROM del.raw',
  'SELECT s.id FROM (SELECT DISTINCT order_id AS id FROM del.raw) AS s',
  'SELECT a.order_id AS id FROM del.raw AS a JOIN del.raw AS b USING (order_id)',
  'SELECT order_id AS id FROM del.raw UNION SELECT 1',
  'WITH w AS (SELECT order_id AS id FROM del.raw) SELECT id FROM w',
  'SELECT r.order_id AS id FROM del.orders AS o LEFT JOIN del.raw AS r USING (order_id)',
  'SELECT j.order_id AS id FROM (del.raw AS r JOIN del.orders AS o USING (order_id)) AS j',
  'SELECT order_id AS id FROM del.orders WHERE EXISTS (SELECT FROM del.raw)',
  'SELECT order_id AS id FROM del.orders']) AS query;

-- A target without the column that mark needs.
CREATE TABLE del.target (id bigint PRIMARY KEY);
SELECT pg_temp.refused($$SELECT etl.add_load('del', 'x', target => 'del.target', key => '{id}', on_delete => 'mark',
  query => 'SELECT order_id AS id FROM del.raw')$$);
ALTER TABLE del.target ADD COLUMN _etl_deleted_at text;
SELECT pg_temp.refused($$SELECT etl.add_load('del', 'x', target => 'del.target', key => '{id}', on_delete => 'mark',
  query => 'SELECT order_id AS id FROM del.raw')$$);

-- What a run would execute: the marker of a key that holds the raw table's primary key needs no join; another one does.
SELECT etl.add_load('del', 'own', target => 'del.own', key => '{id}', order_by => 'updated_at', on_delete => 'mark',
         query => 'SELECT r.order_id AS id, r.amount, o.customer, r.updated_at
                   FROM (SELECT * FROM del.raw WHERE amount > 0) AS r JOIN del.orders AS o USING (order_id)') > 0;
SELECT regexp_replace(line, '''\d{4}-.*?''', '''...''', 'g') FROM etl.explain_task('del', 'own') AS line WHERE line NOT LIKE '--   %';
SELECT etl.add_load('del', 'joined', target => 'del.joined', key => '{customer}', on_delete => 'delete',
         query => 'SELECT o.customer, r.amount FROM del.raw AS r JOIN del.orders AS o USING (order_id)') > 0;
SELECT line FROM etl.explain_task('del', 'joined') AS line WHERE line NOT LIKE '--   %';
\d del.own
SELECT col_description('del.own'::regclass, attnum) FROM pg_attribute WHERE attrelid = 'del.own'::regclass AND attname = '_etl_deleted_at';

-- Who may not delete is told so.
CREATE ROLE regress_del LOGIN;
GRANT USAGE ON SCHEMA del TO regress_del;
GRANT SELECT ON ALL TABLES IN SCHEMA del TO regress_del;
GRANT INSERT, UPDATE ON del.joined TO regress_del;
SELECT etl.alter_task('del', 'joined', owner => 'regress_del');
SELECT problem, hint FROM etl.validate('del') WHERE task = 'joined' AND problem LIKE '%DELETE%';
SELECT etl.drop_pipeline('del');
DROP SCHEMA del CASCADE;
DROP OWNED BY regress_del;
DROP ROLE regress_del;
