-- Lineage: which columns flow into which, over many shapes of queries; what is downstream and upstream; names of sources.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_ext;
\pset format unaligned
\pset tuples_only on
CREATE SCHEMA lin;
CREATE SCHEMA lin_dw;
SET search_path = lin, public;
CREATE TABLE o (id int, cust int, amount numeric, status varchar(10), at timestamptz, tags text[], j jsonb);
CREATE TABLE c (id int, name text, email text, region text);
CREATE VIEW paid AS SELECT o.id, o.amount * 2 AS dbl, c.email AS mail FROM o JOIN c ON c.id = o.cust WHERE o.status = 'paid';
CREATE VIEW paid_named (a, b) AS SELECT id, mail FROM paid;
SELECT etl.create_pipeline('lin') > 0;

-- flows shows the flows of a query: column <- input column (kind), "*" for the rows; of views only what is behind them.
CREATE FUNCTION flows(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM etl.add_load('lin', 'q', query, 'lin_dw.q', mode => 'replace');
  RETURN QUERY
    SELECT coalesce(output_column, '*') || ' <- ' ||
           string_agg(concat(input || '.' || coalesce(quote_ident(input_column), '*') || ' ', '(' || kind, ' via ' || via, ')'), ', '
                      ORDER BY input, input_column NULLS FIRST, kind, via NULLS FIRST)
    FROM etl.column_lineage WHERE pipeline = 'lin' AND task = 'q' AND input IS DISTINCT FROM 'lin.paid'
    GROUP BY output_column ORDER BY output_column NULLS LAST;
  PERFORM etl.drop_task('lin', 'q');
  DROP TABLE lin_dw.q;
END
$$;

\echo == identity, transformation, casts, constants
SELECT flows('SELECT id, cust::bigint AS cust8, status::text AS status_text, upper(status) AS up, amount + id AS total, 1 AS one, now() AS at FROM o');
\echo == star, alias, whole row, field of a row
SELECT flows('SELECT x.* FROM c AS x');
SELECT flows('SELECT to_jsonb(x) AS doc, (x).name AS name FROM c AS x');
SELECT flows('SELECT (r).email AS e FROM (SELECT x AS r FROM c AS x) AS s');
SELECT flows('SELECT (s).a AS a FROM (SELECT id AS a, name AS b FROM c) AS s');
\echo == joins: ON, USING, FULL with a merged column, NATURAL, alias of a join
SELECT flows('SELECT o.id, c.name FROM o LEFT JOIN c ON c.id = o.cust AND c.region = ''EU'' WHERE o.amount > 0');
SELECT flows('SELECT id, o.amount, c.name FROM o JOIN c USING (id)');
SELECT flows('SELECT id FROM o FULL JOIN c USING (id)');
SELECT flows('SELECT id, name FROM o NATURAL RIGHT JOIN c');
SELECT flows('SELECT j.n FROM (o JOIN c ON o.cust = c.id) AS j (a, b, d, e, f, g, h, i, n)');
\echo == aggregates: arguments, FILTER, ORDER BY, count(*), GROUP BY, HAVING, grouping sets, ordered sets
SELECT flows('SELECT cust, sum(amount) AS s, count(*) AS n, count(*) FILTER (WHERE status = ''paid'') AS paid FROM o GROUP BY cust HAVING max(at) > now()');
SELECT flows('SELECT string_agg(name, '','' ORDER BY region) AS names, percentile_cont(0.5) WITHIN GROUP (ORDER BY id) AS median FROM c');
SELECT flows('SELECT region, name, count(id) AS n FROM c GROUP BY GROUPING SETS ((region), (name))');
SELECT flows('SELECT DISTINCT ON (cust) cust, amount FROM o ORDER BY cust, at DESC');
\echo == windows
SELECT flows('SELECT id, row_number() OVER (PARTITION BY cust ORDER BY at) AS n, sum(amount) OVER w AS s, lag(status) OVER w AS before FROM o WINDOW w AS (PARTITION BY cust)');
SELECT flows('SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY cust ORDER BY at DESC) AS n FROM o) AS s WHERE n = 1');
\echo == CASE, COALESCE, NULLIF, greatest
SELECT flows('SELECT CASE WHEN status = ''x'' THEN amount ELSE id END AS v, CASE status WHEN ''a'' THEN 1 END AS w, coalesce(amount, id) AS x, nullif(amount, id) AS y, greatest(id, cust) AS z FROM o');
\echo == subqueries in FROM, LATERAL, sublinks
SELECT flows('SELECT s.m FROM (SELECT cust, max(amount) AS m FROM o WHERE at IS NOT NULL GROUP BY cust) AS s JOIN c ON c.id = s.cust');
SELECT flows('SELECT c.name, l.amount FROM c LEFT JOIN LATERAL (SELECT amount FROM o WHERE o.cust = c.id ORDER BY at DESC LIMIT 1) AS l ON true');
SELECT flows('SELECT id, (SELECT max(amount) FROM o WHERE o.cust = c.id) AS m, EXISTS (SELECT FROM o WHERE o.cust = c.id AND o.status = ''paid'') AS e FROM c');
SELECT flows('SELECT name FROM c WHERE id IN (SELECT cust FROM o WHERE amount > 10)');
SELECT flows('SELECT ARRAY(SELECT name FROM c ORDER BY region) AS names, id = ANY (SELECT cust FROM o) AS has FROM c');
\echo == functions, VALUES, XMLTABLE in FROM
SELECT flows('SELECT o.id, t.tag, t.n FROM o, unnest(o.tags) WITH ORDINALITY AS t (tag, n)');
SELECT flows('SELECT o.id, r.a FROM o CROSS JOIN LATERAL jsonb_to_recordset(o.j) AS r (a int, b text)');
SELECT flows('SELECT v.x, v.y FROM c, LATERAL (VALUES (c.name, c.id), (c.email, 0)) AS v (x, y)');
SELECT flows('SELECT x.a FROM c, XMLTABLE(''/r'' PASSING (c.name::xml) COLUMNS a int PATH ''@a'' DEFAULT c.id) AS x');
\echo == set operations
SELECT flows('SELECT id, name FROM c UNION ALL SELECT cust, status FROM o');
SELECT flows('SELECT id FROM c UNION SELECT cust FROM o');
SELECT flows('SELECT id, name FROM c EXCEPT SELECT cust, status FROM o');
SELECT flows('SELECT id FROM c INTERSECT (SELECT cust FROM o UNION ALL SELECT id FROM o)');
\echo == WITH, nested, recursive (with columns that change places), materialized, not used
SELECT flows('WITH a AS (SELECT id, amount FROM o WHERE amount > 0), b AS (SELECT id, amount * 2 AS d FROM a) SELECT d FROM b');
SELECT flows('WITH RECURSIVE t (n, k) AS (SELECT id, cust FROM o UNION ALL SELECT k, n FROM t WHERE n < 10) SELECT n FROM t');
SELECT flows('WITH RECURSIVE t (n) AS (SELECT id FROM o UNION ALL SELECT n + 1 FROM t) SELECT n FROM t');
SELECT flows('WITH unused AS (SELECT email FROM c) SELECT id FROM o');
SELECT flows('WITH a AS (SELECT id FROM c) SELECT (SELECT count(*) FROM a WHERE a.id = o.cust) AS n FROM o');
\echo == views, views over views, their filters and joins
SELECT flows('SELECT dbl AS d, lower(mail) AS m FROM paid');
SELECT flows('SELECT b FROM paid_named WHERE a > 1');
SELECT flows('SELECT count(*) AS n FROM paid');
\echo == names that need quotes
CREATE TABLE "Odd ""name" ("Col umn" int);
SELECT flows('SELECT "Col umn" + 1 AS "Out put" FROM "Odd ""name"');

\echo == stacked views that use a column many times take no time
DO $$
BEGIN
  EXECUTE 'CREATE VIEW deep0 AS SELECT amount AS x FROM o';
  FOR i IN 1..40 LOOP
    EXECUTE format('CREATE VIEW deep%s AS SELECT CASE WHEN x > 1 THEN x + x ELSE x * x END AS x FROM deep%s', i, i - 1);
  END LOOP;
END $$;
SELECT etl.add_load('lin', 'deep', 'SELECT x FROM deep40', 'lin_dw.deep', mode => 'replace') > 0;
SELECT kind, count(*), min(via) FROM etl.column_lineage WHERE task = 'deep' AND input = 'lin.o' GROUP BY kind ORDER BY kind;
SELECT distance, object, column_name, kind FROM etl.impact('lin.o.amount', false) WHERE task = 'deep';
SELECT etl.drop_task('lin', 'deep');
DROP VIEW deep0 CASCADE;

\echo == statements: INSERT, ON CONFLICT, UPDATE, DELETE, MERGE, CREATE TABLE AS, SELECT INTO, REFRESH, data-modifying WITH
CREATE TABLE t (id int PRIMARY KEY, a text, b text);
CREATE TABLE gone (id int);
CREATE MATERIALIZED VIEW mv AS SELECT region, count(*) AS n FROM c GROUP BY region;
CREATE FUNCTION command_flows(command text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM etl.add_sql('lin', 'q', command);
  RETURN QUERY
    SELECT concat(output, '.' || coalesce(output_column, '*'), ' <- ') ||
           string_agg(concat(input || '.' || coalesce(input_column, '*') || ' ', '(' || kind, ')'), ', ' ORDER BY input, input_column NULLS FIRST, kind)
    FROM etl.column_lineage WHERE pipeline = 'lin' AND task = 'q'
    GROUP BY output, output_column ORDER BY output, output_column NULLS LAST;
  RETURN QUERY SELECT 'reads ' || reads::text || ' writes ' || writes::text FROM etl.task WHERE name = 'q';
  PERFORM etl.drop_task('lin', 'q');
END
$$;
SELECT command_flows('INSERT INTO t (a, id) SELECT name, id FROM c WHERE region = ''EU''');
SELECT command_flows('INSERT INTO t VALUES (1, ''x'', ''y'')');
SELECT command_flows('INSERT INTO t (id, a) SELECT id, name FROM c ON CONFLICT (id) DO UPDATE SET b = excluded.a || t.b');
SELECT command_flows('UPDATE t SET a = c.email FROM c WHERE c.id = t.id');
SELECT command_flows('UPDATE t SET (a, b) = (SELECT name, max(region) FROM c WHERE c.id = t.id GROUP BY name)');
SELECT command_flows('DELETE FROM t USING c WHERE c.id = t.id');
SELECT command_flows('MERGE INTO t USING c ON c.id = t.id WHEN MATCHED AND c.region = ''EU'' THEN UPDATE SET a = c.name WHEN NOT MATCHED THEN INSERT (id, b) VALUES (c.id, c.email)');
SELECT command_flows('CREATE TABLE lin_dw.made (x, y) AS SELECT id, upper(name) FROM c');
SELECT command_flows('SELECT id INTO lin_dw.made FROM c');
SELECT command_flows('CREATE TEMP TABLE made AS SELECT id FROM c');
SELECT command_flows('REFRESH MATERIALIZED VIEW mv');
SELECT command_flows('WITH moved AS (DELETE FROM t WHERE a IS NULL RETURNING id) INSERT INTO gone SELECT id FROM moved');
\echo == what cannot be looked into is known by its relations
SELECT command_flows('CREATE TABLE lin_dw.later AS SELECT id FROM c; INSERT INTO lin_dw.later SELECT cust FROM o; INSERT INTO t (id) SELECT id FROM lin_dw.later');
SELECT command_flows('INSERT INTO t (id) SELECT id FROM c; DO $d$ BEGIN END $d$');

\echo == tasks: extract with columns, filter, deletes; raw and surrogate columns; dimension keys; checks
SELECT etl.add_extract('lin', 'x', 'c', 'lin_dw.raw_c', cursor_column => 'id', columns => '{id,name,email}', filter => 'region <> ''test''', deletes => 'column:email IS NULL') > 0;
SELECT etl.add_load('lin', 'dim', 'SELECT id AS cust_id, name, email FROM lin_dw.raw_c', 'lin_dw.dim_c', '{cust_id}', mode => 'scd2') > 0;
SELECT etl.add_load('lin', 'fact', 'SELECT id AS order_id, cust AS cust_id, amount FROM o', 'lin_dw.fact', '{order_id}', dimension_keys => '{"cust_key": {"dimension": "lin_dw.dim_c", "by": ["cust_id"]}}', mode => 'merge') > 0;
SELECT etl.add_aggregate('lin', 'sums', 'SELECT cust_key, sum(amount) AS total FROM lin_dw.fact GROUP BY 1', 'lin_dw.sums', '{cust_key}') > 0;
CREATE MATERIALIZED VIEW lin_dw.top AS SELECT cust_key FROM lin_dw.sums WHERE total > 100;
CREATE VIEW lin_dw.report AS SELECT d.email, s.total FROM lin_dw.sums AS s JOIN lin_dw.dim_c AS d ON s.cust_key = d.c_key;
SELECT etl.add_check('lin', 'mails', 'lin_dw.dim_c', 'null_pct', '{email}'::text[], fail => '1%') > 0;
SELECT etl.add_check('lin', 'sane', 'lin_dw.fact', 'expression', expression => 'amount > 0', filter => 'order_id > 5', fail => '1') > 0;
SELECT concat_ws('|', task, coalesce(output, '-'), coalesce(output_column, '*'), coalesce(input, '-'), coalesce(input_column, '*'), kind, problem)
FROM etl.column_lineage WHERE pipeline = 'lin' ORDER BY task COLLATE "C", output, output_column NULLS LAST, input, input_column, kind;

\echo == impact: of a column, directly and at all, through tasks, views, materialized views, checks; of a table
SELECT distance, task, through, object, column_name, kind, path FROM etl.impact('lin_dw.dim_c.email') ORDER BY 1, 2, 4, 5;
SELECT distance, task, through, object, column_name, kind FROM etl.impact('lin.c.email', indirect => false) ORDER BY 1, 2, 4, 5;
SELECT distance, task, through, object, column_name, kind FROM etl.impact('lin.o.amount') ORDER BY 1, 2, 4, 5;
SELECT distance, task, through, object, column_name, kind FROM etl.impact('lin.o') ORDER BY 1, 2, 4, 5;
SELECT count(*) FROM etl.impact('c.name') WHERE task = 'dim';
SELECT count(*) FROM etl.impact('"Odd ""name"."Col umn"');
\echo == origin
SELECT distance, task, through, object, column_name, kind FROM etl.origin('lin_dw.report.total', indirect => false) ORDER BY 1, 2, 4, 5;
SELECT distance, task, through, object, column_name, kind FROM etl.origin('lin_dw.sums.cust_key') ORDER BY 1, 2, 4, 5;
\echo == refused
\set VERBOSITY default
SELECT * FROM etl.impact('lin.nothing');
SELECT * FROM etl.impact('lin.c.nothing');
SELECT * FROM etl.impact('a.b.c.d');
SELECT * FROM etl.impact(NULL);
SELECT * FROM etl.impact('a..b');
SELECT * FROM etl.origin('s3://nowhere/at/all');

\echo == sources outside, by the naming rules of OpenLineage, without secrets
CREATE SERVER lin_pg FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'shop-db', port '5433', dbname 'shop');
CREATE SERVER lin_socket FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '/tmp', dbname 'shop');
CREATE SERVER lin_http FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'https://api.example.com/v1/', auth 'api_key', api_key_name 'key', api_key_in 'query');
CREATE SERVER lin_s3 FOREIGN DATA WRAPPER etl_s3 OPTIONS (bucket 'lake', region 'eu-west-1');
CREATE SERVER lin_file FOREIGN DATA WRAPPER etl_file OPTIONS (root '/data/in/');
CREATE SERVER lin_kafka FOREIGN DATA WRAPPER etl_kafka OPTIONS (brokers 'k1:9092, k2:9092');
CREATE USER MAPPING FOR CURRENT_USER SERVER lin_http OPTIONS (api_key 'hush');
CREATE FOREIGN TABLE f_pg (id int) SERVER lin_pg OPTIONS (schema_name 'sales', table_name 'Orders');
CREATE FOREIGN TABLE f_socket (id int) SERVER lin_socket;
CREATE FOREIGN TABLE f_http (id int, mail text) SERVER lin_http OPTIONS (path '/payments', params 'expand=items');
CREATE FOREIGN TABLE f_s3 (id int) SERVER lin_s3 OPTIONS (prefix 'raw/orders/', format 'csv');
CREATE FOREIGN TABLE f_s3_all (id int) SERVER lin_s3 OPTIONS (format 'csv');
CREATE FOREIGN TABLE f_file (id int) SERVER lin_file OPTIONS (prefix 'orders/', format 'csv');
CREATE FOREIGN TABLE f_kafka (id int) SERVER lin_kafka OPTIONS (topic 'orders');
SELECT foreign_table_name, etl.dataset_of('lin.' || foreign_table_name) FROM information_schema.foreign_tables WHERE foreign_table_schema = 'lin' ORDER BY 1;
SELECT etl.dataset_of('lin.c') IS NULL, etl.dataset_of('lin.nothing') IS NULL;
SELECT etl.add_extract('lin', 'api', 'f_http', 'lin_dw.raw_api') > 0;
SELECT input, input_dataset, output FROM etl.lineage WHERE task = 'api';
SELECT distance, through, object, column_name, kind FROM etl.origin('lin_dw.raw_api.mail');
SELECT distance, task, object FROM etl.impact('https://api.example.com/v1/payments');

\echo == a task that cannot be analyzed any more does not break the view
ALTER TABLE o RENAME COLUMN amount TO amount_2;
SELECT task, output, output_column, input, input_column, kind, problem FROM etl.column_lineage WHERE problem IS NOT NULL;
SELECT count(DISTINCT task) > 3 FROM etl.column_lineage;
SELECT distance, task, object, kind FROM etl.impact('lin.o.cust') WHERE task = 'fact';
ALTER TABLE o RENAME COLUMN amount_2 TO amount;
\echo == a view that changes after the definition is seen as it is now
SELECT etl.add_load('lin', 'view', 'SELECT id, mail FROM paid', 'lin_dw.v', '{id}') > 0;
CREATE OR REPLACE VIEW paid AS SELECT o.id, o.amount * 2 AS dbl, c.name AS mail FROM o JOIN c ON c.id = o.cust;
SELECT input, input_column FROM etl.column_lineage WHERE task = 'view' AND output_column = 'mail' ORDER BY 1, 2;
\echo == the looks leave no locks behind
BEGIN;
SELECT count(*) > 0 FROM etl.column_lineage;
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation IN ('lin.o'::regclass, 'lin.c'::regclass);
COMMIT;

\echo == others see nothing of it
CREATE ROLE lin_other;
GRANT USAGE ON SCHEMA etl, lin TO lin_other;
SET ROLE lin_other;
SELECT count(*) FROM etl.column_lineage;
SELECT count(*) FROM etl.lineage;
SELECT count(*) FROM etl.task AS t, etl.column_lineage_of(t.task_id);
SELECT count(*) FROM generate_series(1, 1000) AS i, etl.column_lineage_of(i);
SELECT distance, task, through, object FROM etl.impact('lin.c.name') ORDER BY 1, 4;
SELECT * FROM etl.impact('lin_dw.nothing');
RESET ROLE;

SELECT etl.drop_pipeline('lin');
DROP SCHEMA lin, lin_dw CASCADE;
DROP SERVER lin_pg, lin_socket, lin_http, lin_s3, lin_file, lin_kafka CASCADE;
DROP OWNED BY lin_other;
DROP ROLE lin_other;
