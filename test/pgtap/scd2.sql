-- Loads in mode scd2: a row for each version of a key. Each statement is a transaction of its own, so that runs have times of
-- their own.
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
SELECT plan(101);

CREATE SCHEMA t_raw;
CREATE SCHEMA t_dw;
SELECT etl.create_pipeline('t_scd2') \g /dev/null

-- A log of changes as one would come from a stream: versions and deletes, each with its time.
CREATE FUNCTION pg_temp.make_raw(name text, columns text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE TABLE t_raw.%I (%s, _etl_op text NOT NULL DEFAULT ''u'', _etl_batch bigint, _etl_loaded_at timestamptz,'
                 ' _etl_extra jsonb)', name, columns);
END
$$;
-- feed appends a batch to a raw table, one hour after the one before; rows: a VALUES list, with the operation as last column.
CREATE FUNCTION pg_temp.feed(name text, rows text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  batch bigint := nextval('etl.batch_batch_id_seq');
  loaded timestamptz := '2026-06-01'::timestamptz + batch * interval '1 hour';
BEGIN
  EXECUTE format('INSERT INTO t_raw.%I SELECT v.*, %s, %L FROM (VALUES %s) AS v', name, batch, loaded, rows);
  INSERT INTO etl.batch (batch_id, target, row_count, byte_count, loaded_at) VALUES (batch, 't_raw.' || name, 1, 1, loaded);
END
$$;
-- run runs one load and returns its counts.
CREATE FUNCTION pg_temp.run(load text, refresh boolean DEFAULT false) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  result text;
BEGIN
  PERFORM etl.run_pipeline('t_scd2', mode => 'inline', tasks => ARRAY[load], full_refresh => refresh);
  SELECT format('%s+ %s~ %s- %s= %s!', rows_inserted, rows_updated, rows_deleted, rows_unchanged, rows_rejected) INTO result
  FROM etl.task_run WHERE task = load ORDER BY task_run_id DESC LIMIT 1;
  RETURN result;
END
$$;
-- history returns the versions of a key: their values with the days from and to which they were valid.
CREATE FUNCTION pg_temp.history(target regclass, value text, key text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  result text;
BEGIN
  EXECUTE format($q$SELECT string_agg(format('%%s[%%s,%%s)', coalesce(%s::text, '-'), to_char(valid_from, 'MMDD'),
    CASE WHEN valid_to = 'infinity' THEN 'now' ELSE to_char(valid_to, 'MMDD') END), ' ' ORDER BY valid_from) FROM %s WHERE id::text = $1$q$,
    value, target) INTO result USING key;
  RETURN result;
END
$$;
CREATE FUNCTION pg_temp.h(key text) RETURNS text LANGUAGE sql AS $$ SELECT pg_temp.history('t_dw.dim_customer'::text::regclass, 'city', key) $$;
CREATE FUNCTION pg_temp.details(load text) RETURNS jsonb LANGUAGE sql AS $$
  SELECT details FROM etl.task_run WHERE task = load ORDER BY task_run_id DESC LIMIT 1 $$;

SELECT pg_temp.make_raw('customer', 'id integer, city text, phone text, at timestamptz, seq integer') \g /dev/null
SELECT etl.add_load('t_scd2', 'customer', target => 't_dw.dim_customer', mode => 'scd2', key => '{id}', order_by => 'at, seq',
  track => '{city}', query => 'SELECT id, city, phone, at, seq FROM t_raw.customer') \g /dev/null

-- The table.
SELECT col_is_pk('t_dw'::name, 'dim_customer'::name, 'customer_key'::name, 'the surrogate key is named after the table and is the primary key');
SELECT col_type_is('t_dw'::name, 'dim_customer'::name, 'valid_from'::name, 'timestamp with time zone', 'valid_from has the type of the time');
SELECT results_eq($$SELECT customer_key, id, valid_from, valid_to, is_current, is_inferred FROM t_dw.dim_customer$$,
  $$VALUES (-1::bigint, NULL::integer, '-infinity'::timestamptz, 'infinity'::timestamptz, true, false)$$, 'it is made with the unknown member');
SELECT throws_ok($$INSERT INTO t_dw.dim_customer (id, valid_from, is_current) VALUES (NULL, now(), true)$$, '23514', NULL,
  'only the unknown member has no key');
SELECT throws_ok($$INSERT INTO t_dw.dim_customer (id, valid_from, valid_to, is_current) VALUES (0, '2026-01-02', '2026-01-02', false)$$, '23514', NULL,
  'an interval is not empty');
SELECT throws_ok($$INSERT INTO t_dw.dim_customer (id, valid_from, is_current) VALUES (0, '2026-01-02', false)$$, '23514', NULL,
  'is_current agrees with valid_to');

-- Versions.
SELECT pg_temp.feed('customer', $$(1, 'A', 'x', '2026-01-01'::timestamptz, 1, 'u'), (1, 'B', 'x', '2026-01-05', 1, 'u'), (1, 'A', 'x', '2026-01-09', 1, 'u')$$) \g /dev/null
SELECT is(pg_temp.run('customer'), '3+ 0~ 0- 0= 0!', 'A to B to A in one batch: counts');
SELECT is(pg_temp.h('1'), 'A[0101,0105) B[0105,0109) A[0109,now)', 'A to B to A in one batch gives three rows');
SELECT pg_temp.feed('customer', $$(1, 'A', 'x', '2026-01-12'::timestamptz, 1, 'u'), (1, 'B', 'x', '2026-01-15', 1, 'u'), (1, 'C', 'x', '2026-01-16', 1, 'u')$$) \g /dev/null
SELECT is(pg_temp.run('customer'), '2+ 1~ 0- 1= 0!', 'several changes of a key in one batch: counts');
SELECT is(pg_temp.h('1'), 'A[0101,0105) B[0105,0109) A[0109,0115) B[0115,0116) C[0116,now)', 'several changes of a key in one batch are all kept');
SELECT is(pg_temp.details('customer') ->> 'versions_closed', '1', 'the row that was current is counted as closed');
SELECT results_eq('SELECT city FROM t_dw.dim_customer WHERE id = 1 AND is_current', $$VALUES ('C')$$, 'one row is current');
SELECT is((SELECT at FROM t_dw.dim_customer WHERE id = 1 AND valid_from = '2026-01-09'), '2026-01-09'::timestamptz,
  'columns of order_by are those that began the version');

-- Runs and rows that change nothing.
CREATE TEMPORARY TABLE places AS SELECT customer_key, ctid AS place FROM t_dw.dim_customer;
SELECT pg_temp.feed('customer', $$(1, 'C', 'x', '2026-01-20'::timestamptz, 1, 'u'), (1, 'C', 'x', '2026-01-16', 1, 'u'), (1, 'C', 'x', '2026-01-16', 1, 'u')$$) \g /dev/null
SELECT is(pg_temp.run('customer'), '0+ 0~ 0- 2= 0!', 'versions that change nothing are counted as unchanged');
SELECT is_empty('SELECT customer_key, ctid FROM t_dw.dim_customer EXCEPT SELECT * FROM places', 'and nothing is written');
SELECT is(pg_temp.run('customer'), '0+ 0~ 0- 0= 0!', 'a run without a new batch does nothing');

-- The same time twice.
SELECT pg_temp.feed('customer', $$(2, 'A', 'x', '2026-01-01'::timestamptz, 1, 'u'), (2, 'C', 'x', '2026-01-01', 3, 'u'), (2, 'B', 'x', '2026-01-01', 2, 'u')$$) \g /dev/null
SELECT pg_temp.run('customer') \g /dev/null
SELECT is(pg_temp.h('2'), 'C[0101,now)', 'the same time twice in one batch: further columns of order_by decide');
SELECT pg_temp.feed('customer', $$(2, 'D', 'x', '2026-01-01'::timestamptz, 3, 'u')$$) \g /dev/null
SELECT is(pg_temp.run('customer'), '0+ 1~ 0- 0= 0!', 'the same time in a later batch: counts');
SELECT is(pg_temp.h('2'), 'D[0101,now)', 'the same time in a later batch: the later batch decides, in place');
SELECT pg_temp.feed('customer', $$(3, 'A', 'x', '2026-01-01'::timestamptz, 1, 'u')$$) \g /dev/null
SELECT pg_temp.feed('customer', $$(3, 'B', 'x', '2026-01-01'::timestamptz, 1, 'u')$$) \g /dev/null
SELECT pg_temp.run('customer') \g /dev/null
SELECT is(pg_temp.h('3'), 'B[0101,now)', 'the same time in two batches of one run: the later batch decides');
SELECT pg_temp.feed('customer', $$(4, 'A', 'x', '2026-01-01'::timestamptz, 1, 'u'), (4, 'A', 'x', '2026-01-01', 1, 'u')$$) \g /dev/null
SELECT is(pg_temp.run('customer'), '1+ 0~ 0- 0= 0!', 'duplicates in one batch are one version');

-- NULL in tracked columns.
SELECT pg_temp.feed('customer', $$(5, NULL, 'x', '2026-01-01'::timestamptz, 1, 'u'), (5, NULL, 'x', '2026-01-02', 1, 'u'),
  (5, 'A', 'x', '2026-01-03', 1, 'u'), (5, NULL, 'x', '2026-01-04', 1, 'u')$$) \g /dev/null
SELECT pg_temp.run('customer') \g /dev/null
SELECT is(pg_temp.h('5'), '-[0101,0103) A[0103,0104) -[0104,now)', 'NULL is a value like any other');
SELECT pg_temp.feed('customer', $$(5, NULL, 'x', '2026-01-05'::timestamptz, 1, 'u')$$) \g /dev/null
SELECT is(pg_temp.run('customer'), '0+ 0~ 0- 1= 0!', 'NULL after NULL is no change');

-- Late versions.
SELECT pg_temp.feed('customer', $$(6, 'A', 'x', '2026-01-01'::timestamptz, 1, 'u'), (6, 'B', 'x', '2026-01-20', 1, 'u')$$) \g /dev/null
SELECT pg_temp.run('customer') \g /dev/null
CREATE TEMPORARY TABLE keys AS SELECT customer_key, city FROM t_dw.dim_customer WHERE id = 6;
SELECT pg_temp.feed('customer', $$(6, 'C', 'x', '2026-01-10'::timestamptz, 1, 'u')$$) \g /dev/null
SELECT is(pg_temp.run('customer'), '1+ 1~ 0- 0= 0!', 'a late version: counts');
SELECT is(pg_temp.h('6'), 'A[0101,0110) C[0110,0120) B[0120,now)', 'a late version splits an interval');
SELECT is(pg_temp.details('customer'), '{"late_versions": 1, "versions_split": 1}', 'a late version is counted as such');
SELECT pg_temp.feed('customer', $$(6, 'A', 'x', '2026-01-05'::timestamptz, 1, 'u')$$) \g /dev/null
SELECT is(pg_temp.run('customer') || pg_temp.h('6'), '0+ 0~ 0- 1= 0!A[0101,0110) C[0110,0120) B[0120,now)',
  'a late version that equals the one before it changes nothing');
SELECT pg_temp.feed('customer', $$(6, 'B', 'x', '2026-01-15'::timestamptz, 1, 'u')$$) \g /dev/null
SELECT is(pg_temp.run('customer') || pg_temp.h('6'), '0+ 2~ 0- 0= 0!A[0101,0110) C[0110,0115) B[0115,now)',
  'a late version that equals the one after it lets that begin earlier');
SELECT is((SELECT customer_key FROM t_dw.dim_customer WHERE id = 6 AND city = 'B'), (SELECT customer_key FROM keys WHERE city = 'B'),
  'which keeps its surrogate');
SELECT pg_temp.feed('customer', $$(6, 'A', 'x', '2026-01-10'::timestamptz, 2, 'u')$$) \g /dev/null
SELECT is(pg_temp.run('customer') || pg_temp.h('6'), '0+ 1~ 1- 0= 0!A[0101,0115) B[0115,now)', 'a correction that makes versions equal joins them');
SELECT is((SELECT customer_key FROM t_dw.dim_customer WHERE id = 6 AND city = 'A'), (SELECT customer_key FROM keys WHERE city = 'A'),
  'and the first surrogate stays');
SELECT pg_temp.feed('customer', $$(6, 'Z', 'x', '2025-12-01'::timestamptz, 2, 'u')$$) \g /dev/null
SELECT is(pg_temp.run('customer') || pg_temp.h('6'), '1+ 0~ 0- 0= 0!Z[1201,0101) A[0101,0115) B[0115,now)', 'a version before all others');

-- Deletes.
SELECT pg_temp.feed('customer', $$(7, 'A', 'x', '2026-01-01'::timestamptz, 1, 'u'), (8, 'A', 'x', '2026-01-01', 1, 'u')$$) \g /dev/null
SELECT pg_temp.feed('customer', $$(7, 'A', 'x', '2026-01-10'::timestamptz, 1, 'd'), (8, 'A', 'x', '2026-01-01', 1, 'd')$$) \g /dev/null
SELECT is(pg_temp.run('customer') || pg_temp.h('7'), '2+ 0~ 0- 0= 0!A[0101,0110)', 'a delete closes, also in the run in which the row came');
SELECT is((SELECT format('%s %s %s', valid_to = (SELECT max(_etl_loaded_at) FROM t_raw.customer), is_current, city) FROM t_dw.dim_customer WHERE id = 8),
  't f A', 'a delete that repeats the time of the version closes it when it was loaded; its values stay');
SELECT pg_temp.feed('customer', $$(7, 'A', 'x', '2026-01-12'::timestamptz, 1, 'd'), (8, NULL, NULL, NULL, NULL, 'd'), (99, 'A', 'x', '2026-01-12', 1, 'd')$$) \g /dev/null
SELECT is(pg_temp.run('customer') || pg_temp.h('7'), '0+ 0~ 0- 0= 0!A[0101,0110)', 'a delete is recorded only once');
SELECT pg_temp.feed('customer', $$(7, 'A', 'x', '2026-02-01'::timestamptz, 1, 'u')$$) \g /dev/null
SELECT is(pg_temp.run('customer') || pg_temp.h('7'), '1+ 0~ 0- 0= 0!A[0101,0110) A[0201,now)', 'a row that is back begins anew, also with the values that it had');
SELECT pg_temp.feed('customer', $$(9, 'A', 'x', '2026-01-01'::timestamptz, 1, 'u')$$) \g /dev/null
SELECT pg_temp.run('customer') \g /dev/null
SELECT pg_temp.feed('customer', $$(9, 'A', 'x', '2026-01-01'::timestamptz, 1, 'd')$$) \g /dev/null
SELECT pg_temp.run('customer') \g /dev/null
SELECT is((SELECT valid_to FROM t_dw.dim_customer WHERE id = 9), (SELECT max(_etl_loaded_at) FROM t_raw.customer),
  'the same when the version came in an earlier run');
SELECT pg_temp.feed('customer', $$(7, 'B', 'x', '2026-01-05'::timestamptz, 1, 'u'), (7, 'C', 'x', '2026-01-20', 1, 'u')$$) \g /dev/null
SELECT pg_temp.run('customer') \g /dev/null
SELECT is(pg_temp.h('7'), 'A[0101,0105) B[0105,0110) C[0120,0201) A[0201,now)', 'late versions before and within the gap');
SELECT pg_temp.feed('customer', $$(7, 'C', 'x', '2026-01-25'::timestamptz, 1, 'd')$$) \g /dev/null
SELECT is(pg_temp.run('customer') || pg_temp.h('7'), '0+ 1~ 0- 0= 0!A[0101,0105) B[0105,0110) C[0120,0125) A[0201,now)', 'a late delete');
SELECT pg_temp.feed('customer', $$(7, NULL, NULL, NULL::timestamptz, NULL::integer, 'd')$$) \g /dev/null
SELECT pg_temp.run('customer') \g /dev/null
SELECT is((SELECT valid_to FROM t_dw.dim_customer WHERE id = 7 AND valid_from = '2026-02-01'), (SELECT max(_etl_loaded_at) FROM t_raw.customer),
  'a delete without a time closes when it was loaded');
SELECT is((SELECT count(*) FROM t_dw.dim_customer WHERE id = 99), 0::bigint, 'a delete of a row that nobody knows makes none');

-- Columns of type 1.
SELECT pg_temp.feed('customer', $$(1, 'C', 'new', '2026-03-01'::timestamptz, 1, 'u')$$) \g /dev/null
SELECT is(pg_temp.run('customer'), '0+ 5~ 0- 0= 0!', 'a change of a column that is not tracked is no version');
SELECT results_eq('SELECT DISTINCT phone FROM t_dw.dim_customer WHERE id = 1', $$VALUES ('new')$$, 'it overwrites all versions of the key');
SELECT pg_temp.feed('customer', $$(1, 'B', 'old', '2026-01-07'::timestamptz, 1, 'u'), (1, 'D', 'newest', '2026-04-01', 1, 'u')$$) \g /dev/null
SELECT pg_temp.run('customer') \g /dev/null
SELECT results_eq('SELECT DISTINCT phone FROM t_dw.dim_customer WHERE id = 1', $$VALUES ('newest')$$, 'with the value of the latest version');

-- The inferred and the unknown member.
INSERT INTO t_dw.dim_customer (id, valid_from, is_current, is_inferred) VALUES (20, '-infinity', true, true), (21, '-infinity', true, true);
CREATE TEMPORARY TABLE inferred AS SELECT id, customer_key FROM t_dw.dim_customer WHERE is_inferred;
SELECT pg_temp.feed('customer', $$(20, 'B', 'x', '2026-01-20'::timestamptz, 1, 'u'), (20, 'A', 'x', '2026-01-10', 1, 'u')$$) \g /dev/null
SELECT is(pg_temp.run('customer'), '1+ 1~ 0- 0= 0!', 'an inferred row is completed: counts');
SELECT results_eq('SELECT city, customer_key = (SELECT customer_key FROM inferred WHERE id = 20), valid_from, valid_to, is_inferred FROM t_dw.dim_customer'
  ' WHERE id = 20 ORDER BY valid_from', $$VALUES ('A', true, '-infinity'::timestamptz, '2026-01-20'::timestamptz, false),
  ('B', false, '2026-01-20', 'infinity', false)$$, 'the first version takes its place and its surrogate, valid from ever');
SELECT pg_temp.feed('customer', $$(20, 'C', 'x', '2026-01-05'::timestamptz, 1, 'u')$$) \g /dev/null
SELECT pg_temp.run('customer') \g /dev/null
SELECT is((SELECT string_agg(format('%s %s', city, valid_to::date), ', ' ORDER BY valid_from) FROM t_dw.dim_customer WHERE id = 20),
  'A 2026-01-05, C 2026-01-10, A 2026-01-20, B infinity', 'what is older than the version that completed it comes before that');
SELECT results_eq('SELECT city, is_inferred FROM t_dw.dim_customer WHERE id = 21', $$VALUES (NULL::text, true)$$, 'an inferred row without a version stays');
SELECT pg_temp.feed('customer', $$(21, NULL, NULL, '2026-01-20'::timestamptz, 1, 'd')$$) \g /dev/null
SELECT pg_temp.run('customer') \g /dev/null
SELECT pg_temp.feed('customer', $$(21, 'A', 'x', '2026-02-20'::timestamptz, 1, 'u')$$) \g /dev/null
SELECT pg_temp.run('customer') \g /dev/null
SELECT is((SELECT string_agg(format('%s %s', city, valid_to::date), ', ' ORDER BY valid_from) FROM t_dw.dim_customer WHERE id = 21),
  'A 2026-01-20, A infinity', 'one that was deleted and is back');
SELECT results_eq('SELECT id, city, valid_to FROM t_dw.dim_customer WHERE customer_key = -1', $$VALUES (NULL::integer, NULL::text, 'infinity'::timestamptz)$$,
  'no load touches the unknown member');

-- Rows that cannot be versions.
SELECT pg_temp.feed('customer', $$(NULL, 'A', 'x', '2026-01-01'::timestamptz, 1, 'u'), (30, 'A', 'x', NULL, 1, 'u'), (30, 'A', 'x', 'infinity', 1, 'u'),
  (30, 'A', 'x', '2026-01-01', 1, 'u')$$) \g /dev/null
SELECT is(pg_temp.run('customer'), '1+ 0~ 0- 0= 3!', 'rows without key or time are rejected, the rest is loaded');
SELECT results_eq($$SELECT column_name, reason FROM etl.quarantine ORDER BY 1, 2$$,
  $$VALUES ('at', 'a version cannot begin at infinity, the value of "at"'), ('at', 'null value in "at", the time of a version'),
           ('id', 'null value in key column "id"')$$, 'and the quarantine says why');
SELECT is((SELECT row_data FROM etl.quarantine WHERE column_name = 'id'), '{"id": null, "city": "A", "phone": "x", "at": "2026-01-01T00:00:00+00:00", "seq": 1}'::jsonb,
  'with the row as the query returned it');
ALTER TABLE t_dw.dim_customer ADD CONSTRAINT no_x CHECK (city <> 'X');
SELECT pg_temp.feed('customer', $$(31, 'A', 'x', '2026-01-01'::timestamptz, 1, 'u'), (32, 'X', 'x', '2026-01-01', 1, 'u'), (32, 'Y', 'x', '2026-01-02', 1, 'u'),
  (33, 'A', 'x', '2026-01-01', 1, 'u'), (1, 'E', 'newest', '2026-05-01', 1, 'u')$$) \g /dev/null
SELECT is(pg_temp.run('customer'), '3+ 1~ 0- 0= 2!', 'all versions of a key go when the target refuses one; other keys are loaded');
SELECT pg_temp.feed('customer', $$(2, 'X', 'x', '2026-01-09'::timestamptz, 1, 'u')$$) \g /dev/null
SELECT is(pg_temp.run('customer') || pg_temp.h('2'), '0+ 0~ 0- 0= 1!D[0101,now)', 'a key that is refused stays as it was');
ALTER TABLE t_dw.dim_customer DROP CONSTRAINT no_x;
ALTER TABLE t_dw.dim_customer ADD CONSTRAINT stays CHECK (id <> 4 OR is_current);
SELECT pg_temp.feed('customer', $$(4, 'A', 'x', '2026-01-09'::timestamptz, 1, 'd')$$) \g /dev/null
SELECT throws_ok($$SELECT pg_temp.run('customer')$$, '23514', NULL, 'a delete that the target refuses has no row for the quarantine and is an error');
ALTER TABLE t_dw.dim_customer DROP CONSTRAINT stays;
SELECT is(pg_temp.run('customer') || pg_temp.h('4'), '0+ 1~ 0- 0= 0!A[0101,0109)', 'the next run does it');

-- Full refresh.
CREATE TEMPORARY TABLE before AS SELECT * FROM t_dw.dim_customer WHERE id NOT IN (2, 32);
SELECT pg_temp.run('customer', true) \g /dev/null
SELECT set_eq('SELECT * FROM t_dw.dim_customer WHERE id NOT IN (2, 20, 32)', 'SELECT * FROM before WHERE id <> 20', 'a full refresh rebuilds the same rows with the same surrogates');
SELECT is(pg_temp.h('32'), 'X[0101,0102) Y[0102,now)', 'and has what was refused before');
SELECT is(pg_temp.h('2'), 'D[0101,0109) X[0109,now)', 'also for keys that were there');
UPDATE t_dw.dim_customer SET city = 'wrong' WHERE id = 6 AND is_current;
INSERT INTO t_dw.dim_customer (id, city, valid_from, valid_to, is_current) VALUES (6, 'wrong', '2020-01-01', '2020-01-02', false);
SELECT pg_temp.run('customer', true) \g /dev/null
SELECT is(pg_temp.h('6'), 'Z[1201,0101) A[0101,0115) B[0115,now)', 'it corrects and removes rows that do not follow from the raw table');
CREATE TEMPORARY TABLE refreshed AS SELECT ctid AS place, * FROM t_dw.dim_customer;
SELECT pg_temp.run('customer', true) \g /dev/null
SELECT is_empty('SELECT ctid, * FROM t_dw.dim_customer EXCEPT SELECT * FROM refreshed', 'a second one writes nothing');

-- Constraint and view.
SELECT throws_ok($$INSERT INTO t_dw.dim_customer (id, valid_from, valid_to, is_current) VALUES (6, '2026-01-02', '2026-01-03', false)$$, '23P01', NULL,
  'a row that overlaps another is refused');
SELECT throws_ok($$UPDATE t_dw.dim_customer SET valid_to = '2026-01-20' WHERE id = 6 AND city = 'A'$$, '23P01', NULL, 'also one that is made longer');
SELECT lives_ok($$UPDATE t_dw.dim_customer SET valid_from = valid_from + interval '1 h', valid_to = valid_to + interval '1 h' WHERE id = 6$$, 'rows that overlap only in the middle of a statement are not');
UPDATE t_dw.dim_customer SET valid_from = valid_from - interval '1 h', valid_to = valid_to - interval '1 h' WHERE id = 6;
SELECT is((SELECT city FROM t_dw.dim_customer_as_of WHERE id = 6), 'B', 'the view shows what is valid now');
SET etl.as_of = '2026-01-14 23:59:59';
SELECT is((SELECT city FROM t_dw.dim_customer_as_of WHERE id = 6), 'A', 'and what was valid at the moment of etl.as_of');
SET etl.as_of = '2026-01-15';
SELECT is((SELECT city FROM t_dw.dim_customer_as_of WHERE id = 6), 'B', 'an interval begins with its first moment');
SET etl.as_of = '2025-01-15';
SELECT is((SELECT array_agg(customer_key) FROM t_dw.dim_customer_as_of WHERE id IS NULL OR id = 6), '{-1}', 'before the first version there is the unknown member only');
RESET etl.as_of;

-- Without order_by: versions of runs.
SELECT pg_temp.make_raw('plain', 'id text, v integer') \g /dev/null
SELECT etl.add_load('t_scd2', 'plain', target => 't_dw.plain', mode => 'scd2', key => '{id}', query => 'SELECT id, v FROM t_raw.plain') \g /dev/null
SELECT pg_temp.feed('plain', $$('a', 1, 'u'), ('b', 1, 'u')$$) \g /dev/null
SELECT pg_temp.feed('plain', $$('a', 2, 'u')$$) \g /dev/null
SELECT pg_temp.run('plain') \g /dev/null
SELECT pg_temp.feed('plain', $$('a', 3, 'u'), ('b', 1, 'd')$$) \g /dev/null
SELECT is(pg_temp.run('plain'), '1+ 2~ 0- 0= 0!', 'without order_by: counts');
SELECT is((SELECT string_agg(format('%s%s%s', id, v, CASE WHEN is_current THEN '*' END), ' ' ORDER BY id, valid_from) FROM t_dw.plain WHERE plain_key > 0), 'a2 a3* b1',
  'without order_by a run adds one version of a key, the latest');
SELECT is((SELECT max(valid_from) FROM t_dw.plain), (SELECT max(valid_to) FROM t_dw.plain WHERE NOT is_current), 'valid from the start of the run');
SELECT pg_temp.feed('plain', $$('b', 1, 'u')$$) \g /dev/null
SELECT pg_temp.run('plain') \g /dev/null
SELECT is((SELECT count(*) FROM t_dw.plain WHERE id = 'b'), 2::bigint, 'without order_by: a row that is back begins anew');
SELECT pg_temp.run('plain', true) \g /dev/null
SELECT is((SELECT count(*) FROM t_dw.plain), 5::bigint, 'without order_by a full refresh keeps the versions, which nothing else knows');

-- Types of keys, times and columns.
SELECT pg_temp.make_raw('types', 'a uuid, b numeric, j json, p point, n varchar(3), day date') \g /dev/null
SELECT etl.add_load('t_scd2', 'types', target => 't_dw.d_types', mode => 'scd2', key => '{a,b}', order_by => 'day', surrogate_key => 'sk',
  query => 'SELECT * FROM (SELECT a, b, j, p, n, day FROM t_raw.types) AS t') \g /dev/null
SELECT pg_temp.feed('types', $$('00000000-0000-0000-0000-000000000001'::uuid, 1.0, '{"a":1}'::json, '(1,1)'::point, 'x', '2026-01-01'::date, 'u'),
  ('00000000-0000-0000-0000-000000000001', 1.00, '{"a":1}', '(1,1)', 'x', '2026-01-02', 'u'), ('00000000-0000-0000-0000-000000000001', 1, '{"a":2}', '(1,1)', 'x', '2026-01-03', 'u'),
  ('00000000-0000-0000-0000-000000000001', 1, '{"a":2}', '(1,2)', 'x', '2026-01-04', 'u'), ('00000000-0000-0000-0000-000000000002', 1, NULL, NULL, NULL, '2026-01-04', 'u')$$) \g /dev/null
SELECT is(pg_temp.run('types'), '4+ 0~ 0- 1= 0!', 'a key of uuid and numeric, a date as time, columns without equality');
SELECT is((SELECT string_agg(format('%s %s', valid_from, valid_to), ', ' ORDER BY valid_from) FROM t_dw.d_types WHERE p IS NOT NULL),
  '2026-01-01 2026-01-03, 2026-01-03 2026-01-04, 2026-01-04 infinity', 'versions are days');
SELECT col_is_pk('t_dw'::name, 'd_types'::name, 'sk'::name, 'surrogate_key names the surrogate key');
SET etl.as_of = '2026-01-03 12:00';
SELECT is((SELECT j ->> 'a' FROM t_dw.d_types_as_of WHERE b = 1 AND p IS NOT NULL), '2', 'the view of a dimension with days');
RESET etl.as_of;

-- A column is added.
ALTER TABLE t_raw.customer ADD COLUMN vip boolean;
ALTER TABLE t_dw.dim_customer ADD COLUMN vip boolean;
SELECT etl.alter_task('t_scd2', 'customer', track => '{city,vip}', query => 'SELECT id, city, phone, at, seq, vip FROM t_raw.customer') \g /dev/null
CREATE TEMPORARY TABLE wide AS SELECT ctid AS place, * FROM t_dw.dim_customer;
INSERT INTO t_raw.customer SELECT id, city, phone, '2026-05-05', 1, 'u', nextval('etl.batch_batch_id_seq'), '2026-07-01', NULL, CASE WHEN id = 6 THEN true END
FROM t_dw.dim_customer WHERE is_current AND id IN (6, 33);
INSERT INTO etl.batch (batch_id, target, row_count, byte_count, loaded_at) SELECT DISTINCT _etl_batch, 't_raw.customer', 1, 1, _etl_loaded_at FROM t_raw.customer WHERE at = '2026-05-05';
SELECT is(pg_temp.run('customer'), '1+ 1~ 0- 1= 0!', 'a new column begins versions only where it has a value');
SELECT is_empty('SELECT ctid, * FROM t_dw.dim_customer WHERE id <> 6 EXCEPT SELECT * FROM wide', 'and touches nothing else');

-- Targets that were there.
CREATE EXTENSION btree_gist;
CREATE TABLE t_dw.made (nr integer GENERATED ALWAYS AS IDENTITY UNIQUE, id integer NOT NULL, city varchar(4), at timestamptz, note text DEFAULT 'hello',
  valid_from timestamptz NOT NULL, valid_to timestamptz NOT NULL, is_current boolean NOT NULL, is_inferred boolean NOT NULL, UNIQUE (id, valid_from),
  EXCLUDE USING gist (id WITH =, tstzrange(valid_from, valid_to) WITH &&));
INSERT INTO t_dw.made (id, city, at, note, valid_from, valid_to, is_current, is_inferred) VALUES (1, 'A', '2026-01-01', 'mine', '2026-01-01', 'infinity', true, false);
SELECT etl.add_load('t_scd2', 'made', target => 't_dw.made', mode => 'scd2', key => '{id}', order_by => 'at', query => 'SELECT id, city, at FROM t_raw.customer') \g /dev/null
SELECT matches(pg_temp.run('made'), '^[0-9]+[+] ', 'a table that was made by hand, with an exclusion constraint, is loaded');
SELECT set_eq($$SELECT id, city, valid_from, valid_to FROM t_dw.made WHERE id NOT IN (20, 21)$$,
  $$SELECT id, city, min(valid_from), max(valid_to) FROM (SELECT *, count(*) FILTER (WHERE NOT same) OVER (PARTITION BY id ORDER BY valid_from) AS g FROM (SELECT *,
      coalesce(lag(city) OVER w IS NOT DISTINCT FROM city AND lag(valid_to) OVER w = valid_from, false) AS same
      FROM t_dw.dim_customer WHERE id NOT IN (20, 21) WINDOW w AS (PARTITION BY id ORDER BY valid_from)) AS x) AS y GROUP BY id, city, g$$,
  'a load of all batches at once gives the versions that came one after the other');
INSERT INTO t_dw.made (nr, id, city, valid_from, valid_to, is_current, is_inferred) OVERRIDING SYSTEM VALUE VALUES (-1, 50, '?', '-infinity', 'infinity', true, false);
SELECT pg_temp.feed('customer', $$(50, 'A', 'x', '2026-01-01'::timestamptz, 1, 'u')$$) \g /dev/null
SELECT is(pg_temp.run('made'), '0+ 0~ 0- 0= 1!', 'a key that only the unknown member has is refused by the constraint');
SELECT is((SELECT format('%s %s', city, valid_to) FROM t_dw.made WHERE nr = -1), '? infinity', 'and the unknown member stays as it is');
SELECT is((SELECT note FROM t_dw.made WHERE nr = 1), 'mine', 'columns that the query does not return stay');
SELECT is((SELECT count(*) FROM etl.validate('t_scd2') WHERE severity = 'error'), 0::bigint, 'validate finds nothing wrong');

-- Names that need quotes, and a role that owns nothing but its schema.
CREATE ROLE t_scd2_owner LOGIN;
GRANT USAGE ON SCHEMA etl TO t_scd2_owner;
CREATE SCHEMA "T own" AUTHORIZATION t_scd2_owner;
SET ROLE t_scd2_owner;
CREATE TABLE "T own"."Raw" ("Id" text, "select" text, "At" date, _etl_op text NOT NULL DEFAULT 'u', _etl_batch bigint, _etl_loaded_at timestamptz);
INSERT INTO "T own"."Raw" VALUES ('a', 'x', '2026-01-01', 'u', 1000000, now()), ('a', 'y', '2026-01-02', 'u', 1000000, now()), ('a', 'y', '2026-01-05', 'd', 1000000, now());
RESET ROLE;
INSERT INTO etl.batch (batch_id, target, row_count, byte_count, loaded_at) VALUES (1000000, '"T own"."Raw"', 1, 1, now());
SET ROLE t_scd2_owner;
SELECT etl.create_pipeline('t_own') \g /dev/null
SELECT lives_ok($$SELECT etl.add_load('t_own', 'l', target => '"T own"."Dim Shop"', mode => 'scd2', key => '{Id}', order_by => '"At"', surrogate_key => 'No',
  query => 'SELECT "Id", "select", "At" FROM "T own"."Raw"')$$, 'a role without more rights than on its schema creates a target');
SELECT lives_ok($$SELECT etl.run_pipeline('t_own', mode => 'inline')$$, 'and loads it');
SELECT is((SELECT string_agg(format('%s %s %s', "select", valid_from, valid_to), ', ' ORDER BY valid_from) FROM "T own"."Dim Shop" WHERE "No" > 0),
  'x 2026-01-01 2026-01-02, y 2026-01-02 2026-01-05', 'with names that need quotes');
SET etl.as_of = '2026-01-02';
SELECT is((SELECT string_agg("select", ',') FROM "T own"."Dim Shop_as_of"), 'y', 'the view is named after the table');
RESET etl.as_of;
RESET ROLE;

-- A dimension without history.
SELECT etl.add_load('t_scd2', 'merged', target => 't_dw.dim_city', key => '{city}', surrogate_key => 'city_key', order_by => 'at',
  query => 'SELECT city, phone, at FROM t_raw.customer') \g /dev/null
SELECT matches(pg_temp.run('merged'), '^[0-9]+[+] 0~ 0- 0= ', 'mode merge with a surrogate key');
SELECT is((SELECT count(*) FROM t_dw.dim_city WHERE city_key > 0), (SELECT count(DISTINCT city) FROM t_raw.customer WHERE _etl_op = 'u'), 'one row per key');
SELECT results_eq('SELECT city, is_inferred FROM t_dw.dim_city WHERE city_key = -1', $$VALUES (NULL::text, false)$$, 'and the unknown member');

-- A full refresh when the raw table has lost the versions of a key, but not its marker.
CREATE TEMPORARY TABLE lost AS SELECT * FROM t_dw.dim_customer WHERE id = 7;
DELETE FROM t_raw.customer WHERE id = 7 AND _etl_op = 'u';
SELECT pg_temp.run('customer', true) \g /dev/null
SELECT set_eq('SELECT * FROM t_dw.dim_customer WHERE id = 7', 'SELECT * FROM lost', 'a full refresh leaves keys of which the raw table has no versions');

-- Whatever comes in whatever order: the target equals a model that goes through the events of each run one by one.
SELECT pg_temp.make_raw('event', 'id integer, city text, phone text, at timestamptz') \g /dev/null
SELECT etl.add_load('t_scd2', 'event', target => 't_dw.event', mode => 'scd2', key => '{id}', order_by => 'at', track => '{city}',
  query => 'SELECT id, city, phone, at FROM t_raw.event') \g /dev/null
CREATE TEMPORARY TABLE model (id integer, city text, phone text, valid_from timestamptz, valid_to timestamptz);
-- model_key computes the intervals of a key from those in the model and the events of a run.
CREATE FUNCTION pg_temp.model_key(key integer, first_batch bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  event jsonb := '{}';
  old record;
  new record;
  moment text;
  value jsonb;
  city text;
  phone text;
  is_open boolean := false;
  begun timestamptz;
  result model[] := '{}';
  latest text;
BEGIN
  FOR old IN SELECT * FROM model WHERE id = key ORDER BY valid_from LOOP
    event := event || jsonb_build_object(to_char(old.valid_from, 'YYYYMMDDHH24MISS'), jsonb_build_object('op', 'u', 'city', old.city, 'phone', old.phone, 'at', old.valid_from));
    IF old.valid_to <> 'infinity' AND NOT EXISTS (SELECT FROM model WHERE id = key AND valid_from = old.valid_to) THEN
      event := event || jsonb_build_object(to_char(old.valid_to, 'YYYYMMDDHH24MISS'), jsonb_build_object('op', 'd', 'at', old.valid_to));
    END IF;
  END LOOP;
  FOR new IN SELECT * FROM t_raw.event WHERE id = key AND _etl_batch >= first_batch ORDER BY _etl_batch LOOP
    event := event || jsonb_build_object(to_char(new.at, 'YYYYMMDDHH24MISS'), jsonb_build_object('op', new._etl_op, 'city', new.city, 'phone', new.phone, 'at', new.at));
  END LOOP;
  FOR moment, value IN SELECT * FROM jsonb_each(event) ORDER BY 1 LOOP
    IF value ->> 'op' = 'd' THEN
      IF is_open THEN
        result := result || ROW(key, city, NULL, begun, (value ->> 'at')::timestamptz)::model;
        is_open := false;
      END IF;
    ELSE
      latest := value ->> 'phone';
      IF NOT is_open OR city IS DISTINCT FROM value ->> 'city' THEN
        IF is_open THEN
          result := result || ROW(key, city, NULL, begun, (value ->> 'at')::timestamptz)::model;
        END IF;
        is_open := true;
        begun := (value ->> 'at')::timestamptz;
        city := value ->> 'city';
      END IF;
    END IF;
  END LOOP;
  IF is_open THEN
    result := result || ROW(key, city, NULL, begun, 'infinity')::model;
  END IF;
  DELETE FROM model WHERE id = key;
  INSERT INTO model SELECT r.id, r.city, latest, r.valid_from, r.valid_to FROM unnest(result) AS r;
END
$$;
-- round adds some batches of random events, runs the load and returns how many rows differ from the model.
CREATE FUNCTION pg_temp.round(n integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  first_batch bigint := currval('etl.batch_batch_id_seq') + 1;
  rows text;
  differences bigint;
BEGIN
  FOR i IN 1 .. 1 + n % 3 LOOP
    -- Deletes have times of their own, at half past, so that their time is never that of a version.
    SELECT string_agg(format('(%s, %L, %L, %L::timestamptz, %L)', 1 + floor(random() * 12), nullif(chr(64 + ceil(random() * 4)::integer), 'D'),
      floor(random() * 3), '2026-01-01'::timestamptz + floor(random() * 60) * interval '1 day' + CASE WHEN is_delete THEN interval '30 min' ELSE interval '0' END,
      CASE WHEN is_delete THEN 'd' ELSE 'u' END), ', ') INTO rows
    FROM (SELECT random() < 0.2 AS is_delete FROM generate_series(1, 8)) AS e;
    -- One event per key and time in a batch: within a batch nothing decides among them.
    PERFORM pg_temp.feed('event', rows);
    DELETE FROM t_raw.event AS a USING t_raw.event AS b WHERE a.id = b.id AND a.at = b.at AND a._etl_batch = b._etl_batch AND a.ctid < b.ctid;
  END LOOP;
  PERFORM pg_temp.run('event');
  PERFORM pg_temp.model_key(id, first_batch) FROM (SELECT DISTINCT id FROM t_raw.event WHERE _etl_batch >= first_batch) AS k;
  SELECT count(*) INTO differences FROM (
    (SELECT id, city, phone, valid_from, valid_to FROM t_dw.event WHERE event_key > 0 EXCEPT ALL SELECT * FROM model) UNION ALL
    (SELECT * FROM model EXCEPT ALL SELECT id, city, phone, valid_from, valid_to FROM t_dw.event WHERE event_key > 0)) AS d;
  RETURN differences;
END
$$;
SELECT setseed(0.42) \g /dev/null
SELECT is((SELECT string_agg(n::text, ' ') FROM generate_series(1, 60) AS n WHERE pg_temp.round(n) > 0), NULL,
  'after each of 60 runs with random events, late ones and deletes among them, the target equals the model');
SELECT is_empty($$SELECT a.id FROM t_dw.event AS a JOIN t_dw.event AS b ON a.id = b.id AND a.event_key < b.event_key
  WHERE a.valid_from < b.valid_to AND b.valid_from < a.valid_to$$, 'no versions overlap');
SELECT cmp_ok((SELECT count(*) FROM t_dw.event), '>', 100::bigint, 'and there are many');
SELECT is((SELECT count(*) FROM (SELECT id FROM t_dw.event WHERE is_current AND event_key > 0 GROUP BY id HAVING count(*) > 1) AS d), 0::bigint, 'at most one is current');

-- Extracts that find deletes: whatever the application does, the current rows equal the source, and no change is lost.
CREATE SCHEMA t_src;
CREATE TABLE t_src.shop (id integer PRIMARY KEY, v integer, removed boolean NOT NULL DEFAULT false, changed timestamptz NOT NULL);
CREATE VIEW t_src.present AS SELECT id, v, changed FROM t_src.shop WHERE NOT removed;
SELECT etl.create_pipeline('t_shop') \g /dev/null
SELECT etl.add_extract('t_shop', 'compared', source => 't_src.present', target => 't_raw.compared', primary_key => '{id}',
  cursor_column => 'changed', deletes => 'compare', max_delete_pct => 100) \g /dev/null
SELECT etl.add_extract('t_shop', 'flagged', source => 't_src.shop', target => 't_raw.flagged', primary_key => '{id}',
  deletes => 'column:removed') \g /dev/null
SELECT etl.add_load('t_shop', format('%s_%s', raw, kind), target => format('t_dw.%s_%s', raw, kind), mode => 'scd2', key => '{id}',
  order_by => order_by, query => format(query, 't_raw.' || raw))
FROM unnest('{compared,flagged}'::text[]) AS raw,
  (VALUES ('timed', 'changed', 'SELECT id, v, changed FROM %s'), ('plain', NULL, 'SELECT id, v FROM %s'),
          ('joined', 'changed', 'SELECT o.id * 2 / 2 AS id, o.v, o.changed FROM (SELECT * FROM %s) AS o JOIN (VALUES (1)) AS one(n) ON true'))
  AS l (kind, order_by, query) \g /dev/null
-- change changes rows in the ways in which an application does; some deletes and restores leave the time as it was.
CREATE FUNCTION pg_temp.change(n integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO t_src.shop SELECT i, n, false, clock_timestamp() FROM generate_series(1, 10) AS i WHERE random() < 0.2 ON CONFLICT (id) DO NOTHING;
  UPDATE t_src.shop SET v = floor(random() * 3), changed = clock_timestamp() WHERE random() < 0.3 AND NOT removed;
  UPDATE t_src.shop SET removed = true, changed = CASE WHEN id % 2 = 0 THEN changed ELSE clock_timestamp() END WHERE random() < 0.2;
  UPDATE t_src.shop SET removed = false, changed = CASE WHEN id % 2 = 0 THEN changed ELSE clock_timestamp() END WHERE removed AND random() < 0.5;
  DELETE FROM t_src.shop WHERE removed AND random() < 0;
END
$$;
CREATE FUNCTION pg_temp.differing(n integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  target text;
  differs boolean;
  result text := '';
BEGIN
  PERFORM pg_temp.change(n);
  PERFORM etl.run_pipeline('t_shop', mode => 'inline');
  FOREACH target IN ARRAY '{compared_timed,compared_plain,compared_joined,flagged_timed,flagged_plain,flagged_joined}'::text[] LOOP
    EXECUTE format('SELECT EXISTS ((SELECT id, v FROM t_dw.%1$I WHERE is_current AND id IS NOT NULL EXCEPT SELECT id, v FROM t_src.present)'
      ' UNION ALL (SELECT id, v FROM t_src.present EXCEPT SELECT id, v FROM t_dw.%1$I WHERE is_current))', target) INTO differs;
    result := result || CASE WHEN differs THEN target || ' ' ELSE '' END;
  END LOOP;
  RETURN result;
END
$$;
CREATE PROCEDURE pg_temp.rounds(n integer, INOUT result text) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. n LOOP
    result := result || pg_temp.differing(i);
    COMMIT;
  END LOOP;
END
$$;
CALL pg_temp.rounds(25, '') \gset
SELECT is(:'result'::text, ''::text, 'after each of 25 runs the current rows equal the source');
SELECT etl.run_pipeline('t_shop', mode => 'inline', full_refresh => true, tasks => '{compared_timed,compared_plain,compared_joined,flagged_timed,flagged_plain,flagged_joined}') \g /dev/null
SELECT set_eq($$SELECT id, v FROM t_dw.compared_timed WHERE is_current AND id IS NOT NULL$$, 'SELECT id, v FROM t_src.present', 'also after a full refresh, with compared keys');
SELECT set_eq($$SELECT id, v FROM t_dw.flagged_timed WHERE is_current AND id IS NOT NULL$$, 'SELECT id, v FROM t_src.present', 'and with a column that says what is deleted');

SELECT * FROM finish();
SELECT etl.drop_pipeline('t_own') \g /dev/null
DROP OWNED BY t_scd2_owner CASCADE;
DROP ROLE t_scd2_owner;
