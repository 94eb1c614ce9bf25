-- Types of checks, their options, samples, stages and actions; checks by hand and proposals.
SET client_min_messages = warning;
SET etl.guard_ddl = off;
CREATE EXTENSION IF NOT EXISTS etl_ext;
\set VERBOSITY default
\set SHOW_CONTEXT never
CREATE SCHEMA shelf;
SET search_path = shelf;
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TABLE author (author_id int PRIMARY KEY, name text);
INSERT INTO author VALUES (1, 'a'), (2, 'b');
CREATE TABLE book (book_id int PRIMARY KEY, isbn text, author_id int, price numeric(8,2), state text, mood mood, printed_at timestamptz);
INSERT INTO book SELECT n, CASE WHEN n % 50 = 0 THEN 'bad' ELSE '978-' || n END, CASE WHEN n = 7 THEN 9 WHEN n = 8 THEN NULL ELSE 1 + n % 2 END,
  CASE WHEN n = 3 THEN -1 WHEN n = 4 THEN NULL ELSE n END, CASE WHEN n <= 2 THEN 'lost' ELSE 'sold' END, 'good', now() - interval '1 h' FROM generate_series(1, 200) AS n;
UPDATE book SET isbn = '978-11' WHERE book_id IN (11, 12, 13);
UPDATE book SET isbn = NULL WHERE book_id IN (21, 22);
CREATE VIEW supply AS SELECT * FROM book WHERE book_id <= 190;

SELECT etl.create_pipeline('shelf') IS NOT NULL AS created;
SELECT etl.add_check('shelf', 'isbn_unique', 'book', 'unique', columns => '{isbn}', warn => '1') > 0 AND
       etl.add_check('shelf', 'isbn_twice', 'book', 'duplicates', columns => '{isbn}', warn => '1%') > 0 AND
       etl.add_check('shelf', 'key', 'book', 'unique', columns => '{book_id}') > 0 AND
       etl.add_check('shelf', 'states', 'book', 'accepted_values', columns => '{state}', accepted_values => '{sold,open}', warn => '0', fail => '5%') > 0 AS refused;
SELECT etl.add_check('shelf', 'isbn_unique', 'book', 'unique', columns => '{isbn}', warn => '1') > 0 AND
       etl.add_check('shelf', 'isbn_twice', 'book', 'duplicates', columns => '{isbn}', warn => '1%') > 0 AND
       etl.add_check('shelf', 'key', 'book', 'unique', columns => '{book_id}') > 0 AND
       etl.add_check('shelf', 'states', 'book', 'accepted_values', columns => '{state}', accepted_values => '{sold,open}', warn => '0.5%', fail => '5%') > 0 AND
       etl.add_check('shelf', 'moods', 'book', 'accepted_values', columns => '{mood}', accepted_values => '{good}') > 0 AND
       etl.add_check('shelf', 'prices', 'book', 'range', columns => '{price}', min_value => '0', max_value => '1000', action => 'warn') > 0 AND
       etl.add_check('shelf', 'isbns', 'book', 'regex', columns => '{isbn}', pattern => '^978-\d+$', warn => '1', samples => 2) > 0 AND
       etl.add_check('shelf', 'authors', 'book', 'relationship', columns => '{author_id}', reference => 'author', warn => '0') > 0 AND
       etl.add_check('shelf', 'columns', 'book', 'schema', expected => '{"book_id": "int4", "isbn": "text", "author_id": "bigint", "price": "numeric(8,2)", "state": "text", "printed_at": "timestamptz", "gone": "int"}', warn => '0') > 0 AND
       etl.add_check('shelf', 'balance', 'book', 'reconciliation', source => 'supply', warn => '5%', fail => '10%') > 0 AND
       etl.add_check('shelf', 'balance_sum', 'book', 'reconciliation', source => 'supply', expression => 'sum(price)', source_filter => 'price > 0', warn => '5%') > 0 AND
       etl.add_check('shelf', 'free', 'book', 'query', query => 'SELECT book_id, price FROM book WHERE price < 3 ORDER BY 1', warn => '0') > 0 AND
       etl.add_check('shelf', 'dear', 'book', 'expression', expression => 'price < 190 AND state <> ''none''', filter => 'price IS NOT NULL', warn => '0', samples => 3) > 0 AND
       etl.add_check('shelf', 'shape', 'book', 'distribution', columns => '{price}') > 0 AND
       etl.add_check('shelf', 'shape_text', 'book', 'distribution', columns => '{state}') > 0 AND
       etl.add_check('shelf', 'usual', 'book', 'anomaly', min_history => 3) > 0 AND
       etl.add_check('shelf', 'usual_sum', 'book', 'anomaly', expression => 'sum(price)', filter => 'price > 0', min_history => 3, fail => '10') > 0 AND
       etl.add_check('shelf', 'variance', 'book', 'row_count_variance', fail => '10%', min_change => 5, history => 3) > 0 AND
       etl.add_check('shelf', 'rows', 'book', 'row_count') > 0 AND
       etl.add_check('shelf', 'fresh', 'book', 'freshness', columns => '{printed_at}', fail => '2 h') > 0 AND
       etl.add_check('shelf', 'nulls', 'book', 'null_pct', columns => '{price,isbn}', warn => '0%') > 0 AS added;

-- One scan for all of them.
SELECT etl.run_pipeline('shelf', wait => false) AS run \gset
SELECT etl.wait_for_run(:run);
SELECT check_name, state, measured, unit, baseline, message FROM etl.check_result WHERE run_id = :run AND check_type <> 'freshness' ORDER BY 1;
SELECT check_name, s.n, key, row_values, rows, raw FROM etl.check_result JOIN etl.check_sample AS s USING (check_result_id) WHERE run_id = :run ORDER BY 1, 2;
SELECT check_name, details FROM etl.check_result WHERE run_id = :run AND check_type IN ('schema', 'distribution') ORDER BY 1;
SELECT count(*) AS attempts, count(DISTINCT worker_pid) AS workers FROM etl.task_run WHERE run_id = :run;
SELECT r.state, count(*) FROM etl.run AS r JOIN etl.task_run AS t USING (run_id) WHERE run_id = :run GROUP BY 1;

-- What is usual is known after some runs.
SELECT etl.run_pipeline('shelf', wait => false) AS run2 \gset
SELECT etl.wait_for_run(:run2);
SELECT etl.run_pipeline('shelf', mode => 'inline') > 0 AS inline;
INSERT INTO book SELECT n, '978-' || n, 1, 2, 'found', 'bad', now() FROM generate_series(201, 300) AS n;
SELECT etl.run_pipeline('shelf', wait => false) AS run \gset
SELECT etl.wait_for_run(:run);
SELECT check_name, state, measured, baseline, details, message FROM etl.check_result
WHERE run_id = :run AND check_type IN ('anomaly', 'distribution', 'row_count_variance') ORDER BY 1;

-- What a gate measured in rows that another one rolled back is no baseline.
CREATE TABLE box (box_id int PRIMARY KEY, weight int);
INSERT INTO box VALUES (1, 1), (2, 2), (3, 3);
SELECT etl.create_pipeline('boxes') > 0 AND etl.add_load('boxes', 'boxes', 'SELECT * FROM box', 'stock', '{box_id}') > 0
   AND etl.add_check('boxes', 'vary', 'stock', 'row_count_variance', fail => '90%', history => 1, action => 'gate') > 0
   AND etl.add_check('boxes', 'light', 'stock', 'range', columns => '{weight}', max_value => '9', action => 'gate') > 0 AS added;
SELECT etl.wait_for_run(etl.run_pipeline('boxes', wait => false));
INSERT INTO box VALUES (4, 40);
SELECT etl.wait_for_run(etl.run_pipeline('boxes', wait => false));
DELETE FROM box WHERE box_id = 4;
INSERT INTO box VALUES (5, 5);
SELECT etl.wait_for_run(etl.run_pipeline('boxes', wait => false));
SELECT check_name, state, measured, baseline FROM etl.check_result WHERE check_name IN ('vary', 'light') ORDER BY check_result_id;
SELECT etl.drop_pipeline('boxes');

-- Whoever may read no more than the column that is checked gets no samples, but a result; also without USAGE on schema etl.
CREATE ROLE shelf_reader LOGIN;
GRANT USAGE ON SCHEMA shelf TO shelf_reader;
GRANT SELECT (price) ON book TO shelf_reader;
SELECT etl.create_pipeline('reader', owner => 'shelf_reader') > 0 AND
       etl.add_check('reader', 'price', 'book', 'range', columns => '{price}', min_value => '0', warn => '0') > 0 AND
       etl.add_check('reader', 'nulls', 'book', 'null_pct', columns => '{price}', warn => '0%') > 0 AS added;
SELECT check_name, state, measured, samples FROM etl.run_checks('book', 'reader') ORDER BY 1;
SELECT count(*) FILTER (WHERE l LIKE '%tally%') AS tallies FROM etl.explain_task('reader', 'price') AS l;
GRANT USAGE ON SCHEMA etl TO shelf_reader;
SELECT check_name, state, measured, samples FROM etl.run_checks('book', 'reader') ORDER BY 1;
SELECT etl.drop_pipeline('reader');
DROP OWNED BY shelf_reader;
DROP ROLE shelf_reader;

-- What checks count with, serial and parallel, and what it refuses.
CREATE TABLE many AS SELECT CASE WHEN n % 10 > 0 THEN n END AS i, (n % 7)::numeric / 2 AS m, ('v' || n % 5) AS v, n % 3 = 0 AS b, '2026-01-01'::date + n % 100 AS d
  FROM generate_series(1, 30000) AS n;
SELECT etl.tally('[["n", 0], ["r", 0, "10", "29990"], ["r", 1, null, "2"], ["r", 1, "1", null], ["s", 2, ["v1", "v2"]], ["b", 3], ["r", 4, "2026-01-10", "2026-04-01"]]', i, m, v, b, d) AS counts,
       ARRAY[count(i), count(*) FILTER (WHERE i < 10 OR i > 29990), count(*) FILTER (WHERE m > 2), count(*) FILTER (WHERE m < 1), count(*) FILTER (WHERE v NOT IN ('v1', 'v2')),
             count(*) FILTER (WHERE b), count(*) FILTER (WHERE d < '2026-01-10' OR d > '2026-04-01')] AS expected FROM many \gset
SELECT :'counts' = :'expected' AS same;
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
EXPLAIN (COSTS off) SELECT etl.tally('[["n", 0]]', i) FROM many;
SELECT etl.tally('[["n", 0], ["r", 0, "10", "29990"], ["r", 1, null, "2"], ["r", 1, "1", null], ["s", 2, ["v1", "v2"]], ["b", 3], ["r", 4, "2026-01-10", "2026-04-01"]]', i, m, v, b, d)::text = :'expected' AS same FROM many;
RESET parallel_setup_cost; RESET parallel_tuple_cost; RESET min_parallel_table_scan_size;
SELECT etl.tally('[["n", 0]]', i) FROM many WHERE false;
SELECT etl.tally('[["x", 0]]', i) FROM many;
SELECT etl.tally('[["n"]]', i) FROM many;
SELECT etl.tally('[["n", 1]]', i) FROM many;
SELECT etl.tally('[["b", 0]]', i) FROM many;
SELECT etl.tally('[["s", 0]]', v) FROM many;
SELECT etl.tally('[1]', v) FROM many;

-- By hand.
ALTER TABLE book RENAME COLUMN mood TO temper;
SELECT check_name, state, measured, message FROM etl.run_checks('book') WHERE check_name IN ('moods', 'states', 'key', 'variance') ORDER BY 1;
SELECT count(*), count(*) FILTER (WHERE state = 'error') AS errors FROM etl.check_result WHERE run_id IS NULL;
SELECT count(*) FROM etl.run_checks('shelf.book', 'shelf', store => false);
SELECT count(*) FROM etl.check_result WHERE run_id IS NULL;
SELECT * FROM etl.run_checks('author');
SELECT * FROM etl.run_checks('nothing');
SELECT task, severity, problem FROM etl.validate('shelf') ORDER BY 1;

-- Proposals.
SELECT * FROM etl.suggest_checks('nothing');
SELECT * FROM etl.suggest_checks('author');
ANALYZE book;
SELECT check_name, check_type, reason, command FROM etl.suggest_checks('shelf.book', 'shelf') WHERE check_type <> 'freshness';
SELECT check_type FROM etl.suggest_checks('book') WHERE check_type = 'freshness';
DO $$
DECLARE c text;
BEGIN
  FOR c IN SELECT command FROM etl.suggest_checks('shelf.book', 'shelf') LOOP EXECUTE c; END LOOP;
END $$;

-- Refused.
CREATE FUNCTION pg_temp.refused(call text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE d text; h text;
BEGIN
  EXECUTE call;
  RETURN NEXT 'accepted';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
  RETURN NEXT SQLSTATE || ' ' || SQLERRM; RETURN NEXT 'DETAIL ' || d; RETURN NEXT 'HINT ' || h;
END $$;
SET search_path = shelf, pg_temp;
\pset format unaligned
\pset tuples_only on
CREATE FUNCTION pg_temp.c(options text) RETURNS SETOF text LANGUAGE sql AS $$SELECT pg_temp.refused('SELECT etl.add_check(''shelf'', ''try'', ''book'', ' || options || ')')$$;
SELECT pg_temp.c($$'accepted_values', '{state}'$$);
SELECT pg_temp.c($$'accepted_values', '{price}', accepted_values => '{a}'$$);
SELECT pg_temp.c($$'row_count', accepted_values => '{a}'$$);
SELECT pg_temp.c($$'range', '{price}'$$);
SELECT pg_temp.c($$'range', '{price}', min_value => 'x'$$);
SELECT pg_temp.c($$'range', '{price}', min_value => '5', max_value => '4'$$);
SELECT pg_temp.c($$'regex', '{isbn}'$$);
SELECT pg_temp.c($$'regex', '{isbn}', pattern => '('$$);
SELECT pg_temp.c($$'relationship', '{author_id}'$$);
SELECT pg_temp.c($$'relationship', '{author_id}', reference => 'nothing'$$);
SELECT pg_temp.c($$'relationship', '{author_id}', reference => 'author', reference_columns => '{author_id,name}'$$);
SELECT pg_temp.c($$'relationship', '{isbn}', reference => 'author'$$);
SELECT pg_temp.c($$'relationship', '{isbn}', reference => 'author', reference_columns => '{author_id}'$$);
SELECT pg_temp.c($$'schema', expected => '{"a": "nothing"}'$$);
SELECT pg_temp.c($$'schema', expected => '{"a": 1}'$$);
SELECT pg_temp.c($$'reconciliation'$$);
SELECT pg_temp.c($$'reconciliation', source => 'nothing'$$);
SELECT pg_temp.c($$'reconciliation', source => 'supply', expression => 'price'$$);
SELECT pg_temp.c($$'reconciliation', source => 'supply', source_filter => 'nothing'$$);
SELECT pg_temp.c($$'anomaly', expression => 'max(state)'$$);
SELECT pg_temp.c($$'anomaly', history => 3$$);
SELECT pg_temp.c($$'anomaly', history => 2000$$);
SELECT pg_temp.c($$'distribution', '{price,state}'$$);
SELECT pg_temp.c($$'query'$$);
SELECT pg_temp.c($$'query', query => 'DELETE FROM book'$$);
SELECT pg_temp.c($$'query', query => 'SELECT 1; SELECT 2'$$);
SELECT pg_temp.c($$'row_count', history => 3$$);
SELECT pg_temp.c($$'row_count', samples => 101$$);
SELECT pg_temp.c($$'row_count', action => 'shout'$$);
SELECT pg_temp.c($$'row_count', stage => 'later'$$);
SELECT pg_temp.c($$'row_count', scope => 'all'$$);
SELECT pg_temp.c($$'row_count', scope => 'run'$$);
SELECT pg_temp.c($$'row_count', stage => 'raw'$$);
SELECT pg_temp.c($$'row_count', stage => 'source'$$);
SELECT pg_temp.c($$'row_count', action => 'gate'$$);
SELECT pg_temp.c($$'row_count', action => 'gate', stage => 'after_commit'$$);
SELECT etl.add_load('shelf', 'dear_books', 'SELECT book_id, price, state FROM book', 'dear_book', '{book_id}') > 0;
SELECT etl.add_aggregate('shelf', 'prices_of', 'SELECT state, sum(price) AS price FROM book GROUP BY 1', 'price_of', '{state}') > 0;
CREATE FUNCTION pg_temp.g(options text) RETURNS SETOF text LANGUAGE sql AS $$SELECT pg_temp.refused('SELECT etl.add_check(''shelf'', ''try'', ' || options || ')')$$;
SELECT pg_temp.g($$'dear_book', 'row_count', action => 'quarantine'$$);
SELECT pg_temp.g($$'price_of', 'range', '{price}', min_value => '0', action => 'quarantine'$$);
SELECT pg_temp.g($$'book', 'range', '{price}', min_value => '0', action => 'quarantine', gate => 'dear_books'$$);
SELECT pg_temp.g($$'dear_book', 'range', '{price}', min_value => '0', action => 'quarantine', filter => 'true'$$);
SELECT pg_temp.g($$'dear_book', 'range', '{price}', min_value => '0', action => 'quarantine', stage => 'source', gate => 'dear_books'$$);
SELECT pg_temp.g($$'dear_book', 'row_count', gate => 'dear_books', stage => 'after_commit'$$);
SELECT pg_temp.g($$'dear_book', 'row_count', action => 'gate', depends_on => '{dear_books}'$$);
SELECT etl.add_sql('shelf', 'also', 'INSERT INTO dear_book SELECT 0, 0, ''x'' WHERE false') > 0;
SELECT pg_temp.g($$'dear_book', 'row_count', action => 'gate'$$);
\pset format aligned
\pset tuples_only off
SET client_min_messages = error;
SELECT etl.drop_pipeline('shelf');
DROP SCHEMA shelf CASCADE;
