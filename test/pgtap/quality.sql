-- Checks among the tasks of a run: gates, rows that are put aside, checks of sources and of raw tables, baselines.
\set ON_ERROR_STOP 1
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
BEGIN;
SELECT plan(43);
SET client_min_messages = error;
CREATE SCHEMA src; CREATE SCHEMA raw; CREATE SCHEMA dw;

CREATE TABLE src.sale (sale_id int PRIMARY KEY, shop int, amount numeric, country text, updated_at timestamptz NOT NULL);
INSERT INTO src.sale SELECT n, n % 3, n, 'ES', now() - interval '1 day' FROM generate_series(1, 100) AS n;
CREATE TABLE dw.shop (shop int PRIMARY KEY);
INSERT INTO dw.shop VALUES (0), (1), (2);

SELECT etl.create_pipeline('q');
SELECT etl.add_extract('q', 'sale', 'src.sale', 'raw.sale', cursor_column => 'updated_at', primary_key => '{sale_id}');
SELECT etl.add_load('q', 'fact', 'SELECT sale_id, shop, amount, country FROM raw.sale', 'dw.fact', '{sale_id}');
SELECT etl.add_aggregate('q', 'by_country', 'SELECT country, sum(amount) AS amount FROM dw.fact GROUP BY 1', 'dw.by_country', '{country}');
SELECT etl.add_check('q', 'positive', 'dw.fact', 'range', columns => '{amount}', min_value => '0', action => 'quarantine', fail => '10%');
SELECT etl.add_check('q', 'known_shop', 'dw.fact', 'relationship', columns => '{shop}', reference => 'dw.shop', action => 'quarantine');
SELECT is((SELECT array_agg(t.gate ORDER BY t.name) FROM etl.task AS t WHERE kind = 'check'), '{fact,fact}', 'what puts rows aside is a gate of the load');
SELECT is((SELECT array_agg(t.warn ORDER BY t.name) FROM etl.task AS t WHERE kind = 'check'), '{0,NULL}', 'and warns by default');

CREATE FUNCTION run() RETURNS bigint LANGUAGE sql AS $$SELECT etl.run_pipeline('q', mode => 'inline')$$;
CREATE FUNCTION result(text) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', state, measured, message) FROM etl.check_result WHERE check_name = $1 ORDER BY check_result_id DESC LIMIT 1$$;
CREATE FUNCTION state_of(text) RETURNS text LANGUAGE sql AS $$SELECT state FROM etl.task_run WHERE task = $1 ORDER BY task_run_id DESC LIMIT 1$$;

SELECT run();
SELECT is((SELECT count(*) FROM dw.fact), 100::bigint, 'good rows are loaded');
SELECT is(result('positive'), 'pass 0 0 of 100 rows with (amount) out of range (0%); fails above 10%', 'a check that puts nothing aside passes');
SELECT run();
SELECT is(result('positive'), 'not_evaluated nothing was loaded', 'without new rows there is nothing to look at');

-- Rows at fault: one by both checks, which counts for the first; one that updates a row of the target.
INSERT INTO src.sale VALUES (101, 1, -1, 'PT', now()), (102, 9, -2, 'PT', now()), (103, 9, 3, 'PT', now()), (104, 2, 4, 'PT', now());
INSERT INTO src.sale SELECT n, 1, 1, 'FR', now() FROM generate_series(200, 240) AS n;
UPDATE src.sale SET amount = -5, updated_at = now() WHERE sale_id = 7;
SELECT run();
SELECT is((SELECT array_agg(sale_id ORDER BY sale_id) FROM dw.fact WHERE sale_id BETWEEN 101 AND 110), '{104}', 'rows at fault are not loaded');
SELECT is((SELECT amount FROM dw.fact WHERE sale_id = 7), 7::numeric, 'a row of the target stays as it was when its new version is at fault');
SELECT is((SELECT amount FROM dw.by_country WHERE country = 'PT'), 4::numeric, 'aggregates do not see them');
SELECT results_eq($$SELECT row_data->>'sale_id', reason, error_sqlstate, column_name FROM etl.quarantine ORDER BY quarantine_id$$,
  $$VALUES ('7', 'check "positive"', 'ZE003', 'amount'), ('101', 'check "positive"', 'ZE003', 'amount'), ('102', 'check "positive"', 'ZE003', 'amount'),
           ('103', 'check "known_shop"', 'ZE003', 'shop')$$, 'they are in the quarantine with the check as reason');
SELECT is((SELECT rows_rejected FROM etl.task_run WHERE task = 'fact' ORDER BY task_run_id DESC LIMIT 1), 4::bigint, 'and counted');
SELECT is(state_of('fact'), 'warning', 'the load warns');
SELECT matches(result('positive'), '^pass 6.5\d+ 3 of 46 rows with \(amount\) out of range', 'measured is their share of the rows of the load');
SELECT matches(result('known_shop'), '^warn 1 1 of 43 rows .* not in dw.shop; warns above 0; they go to etl.quarantine$', 'of those that other checks have left');
SELECT is((SELECT key FROM etl.check_result JOIN etl.check_sample USING (check_result_id) WHERE check_name = 'known_shop' ORDER BY check_result_id DESC LIMIT 1), '{"sale_id": 103}', 'samples have the key');
SELECT is((SELECT (raw->>'_etl_batch')::bigint FROM etl.check_result JOIN etl.check_sample USING (check_result_id) WHERE check_name = 'known_shop' ORDER BY check_result_id DESC LIMIT 1),
  (SELECT max(_etl_batch) FROM raw.sale WHERE sale_id = 103), 'and the batch that brought the row');

-- Too many.
INSERT INTO src.sale SELECT n, 1, -n, 'FR', clock_timestamp() FROM generate_series(300, 340) AS n;
SAVEPOINT s;
SELECT throws_ok('SELECT run()', 'ZE003', NULL, 'beyond fail the load fails');
ROLLBACK TO s;
SELECT is((SELECT count(*) FROM dw.fact WHERE country = 'FR'), 41::bigint, 'and nothing of it is there');
DELETE FROM src.sale WHERE sale_id >= 300;

-- Full refresh: what is put aside is not taken for deleted.
SELECT etl.run_pipeline('q', mode => 'inline', full_refresh => true);
SELECT is((SELECT amount FROM dw.fact WHERE sale_id = 7), 7::numeric, 'a full refresh keeps the row whose new version is at fault');

-- The same in other modes.
SELECT etl.add_load('q', 'hist', 'SELECT sale_id, country, amount, updated_at FROM raw.sale', 'dw.hist', '{sale_id}', mode => 'scd2', order_by => 'updated_at');
SELECT etl.add_check('q', 'hist_positive', 'dw.hist', 'expression', expression => 'amount >= 0', action => 'quarantine');
SELECT etl.add_load('q', 'log', 'SELECT sale_id, amount FROM raw.sale', 'dw.log', mode => 'append');
SELECT etl.add_check('q', 'log_positive', 'dw.log', 'null_pct', columns => '{amount}', action => 'quarantine');
INSERT INTO src.sale VALUES (400, 1, NULL, 'PT', clock_timestamp());
SELECT run();
SELECT is((SELECT count(*) FROM dw.hist WHERE sale_id IS NOT NULL AND (amount < 0 OR amount IS NULL)), 0::bigint, 'scd2: versions at fault are put aside');
SELECT ok((SELECT count(*) FROM dw.hist) > 100, 'scd2: others are not');
SELECT is((SELECT count(*) FROM dw.log WHERE amount IS NULL), 0::bigint, 'append: rows at fault are put aside');
SELECT ok((SELECT count(*) FROM dw.log) > 100, 'append: others are not');
SELECT is((SELECT count(*) FROM etl.quarantine WHERE reason = 'check "log_positive"'), 1::bigint, 'append: and are in the quarantine');

-- A join of which only the touched keys are read.
SELECT etl.add_load('q', 'joined', 'SELECT s.sale_id, s.amount, f.country FROM raw.sale AS s JOIN dw.fact AS f USING (sale_id)', 'dw.joined', '{sale_id}', on_delete => 'delete');
SELECT etl.add_check('q', 'joined_price', 'dw.joined', 'range', columns => '{amount}', min_value => '0', action => 'quarantine');
SELECT run();
SELECT is((SELECT amount FROM dw.joined WHERE sale_id = 8), 8::numeric, 'a join');
SELECT etl.alter_task('q', 'positive', reset => '{fail}');
UPDATE src.sale SET amount = -8, updated_at = clock_timestamp() WHERE sale_id = 8;
SELECT run();
SELECT is((SELECT amount FROM dw.joined WHERE sale_id = 8), 8::numeric, 'of which a row is put aside keeps what it had');

-- Gates by action; a gate that only warns.
SELECT etl.add_check('q', 'few', 'dw.fact', 'row_count', fail => '1000', action => 'gate');
SELECT is((SELECT gate FROM etl.task WHERE name = 'few'), 'fact', 'action gate finds its task');
INSERT INTO src.sale VALUES (500, 1, 5, 'PT', clock_timestamp());
SAVEPOINT s;
SELECT throws_like('SELECT run()', 'gate "few" failed:%', 'and rolls it back');
ROLLBACK TO s;
SELECT etl.alter_task('q', 'few', action => 'warn');
SELECT run();
SELECT is(state_of('fact'), 'warning', 'with action warn it does not');
SELECT matches(result('few'), '^fail ', 'although the result is fail');
SELECT etl.drop_task('q', 'few');

-- Before the extract.
SELECT etl.add_check('q', 'source_rows', 'src.sale', 'row_count', fail => '1000', gate => 'sale', stage => 'source');
SAVEPOINT s;
SELECT throws_like('SELECT run()', 'gate "source_rows" failed:%', 'a check of the source fails the extract');
ROLLBACK TO s;
SELECT etl.alter_task('q', 'source_rows', fail => '1');
SELECT run();
SELECT matches(result('source_rows'), '^pass ', 'or lets it begin');

-- Between the extract and those that read the raw table.
SELECT etl.add_check('q', 'raw_amount', 'raw.sale', 'range', columns => '{amount}', max_value => '100000', stage => 'raw');
SELECT results_eq($$SELECT t.name, d.name FROM etl.task_dependency AS e JOIN etl.task AS t USING (task_id) JOIN etl.task AS d ON d.task_id = e.depends_on
  WHERE 'raw_amount' IN (t.name, d.name) ORDER BY 1, 2$$,
  $$VALUES ('fact', 'raw_amount'), ('hist', 'raw_amount'), ('joined', 'raw_amount'), ('log', 'raw_amount'), ('raw_amount', 'sale')$$, 'those that read the raw table wait for its check');
INSERT INTO src.sale VALUES (600, 1, 6, 'PT', clock_timestamp());
SELECT run();
SELECT is(result('raw_amount'), 'pass 0 0 of 1 row with (amount) out of range; fails above 0', 'it looks at the rows of the run');
SELECT etl.alter_task('q', 'raw_amount', scope => 'table');
SELECT run();
SELECT matches(result('raw_amount'), '^pass 0 0 of \d{3,} rows', 'or at all');
SELECT etl.alter_task('q', 'raw_amount', reset => '{scope}');
INSERT INTO src.sale VALUES (601, 1, 1000000, 'PT', clock_timestamp());
SAVEPOINT s;
SELECT throws_like('SELECT run()', 'check "raw_amount" failed:%', 'and holds them when it fails');
ROLLBACK TO s;
SELECT etl.alter_task('q', 'raw_amount', action => 'warn');
SELECT run();
SELECT is((SELECT raw->>'_etl_batch' FROM etl.check_result JOIN etl.check_sample USING (check_result_id) WHERE check_name = 'raw_amount' ORDER BY check_result_id DESC LIMIT 1),
  (SELECT max(_etl_batch)::text FROM raw.sale WHERE sale_id = 601), 'samples of a raw table have the batch');
SELECT is((SELECT key FROM etl.check_result JOIN etl.check_sample USING (check_result_id) WHERE check_name = 'raw_amount' ORDER BY check_result_id DESC LIMIT 1), '{"sale_id": 601}', 'and the key of the source');

-- Baselines: the median of comparable runs.
SELECT etl.create_pipeline('b', timezone => 'UTC');
CREATE TABLE dw.day (n int);
SELECT etl.add_check('b', 'vary', 'dw.day', 'row_count_variance', fail => '10%', history => 3, same_weekday => true);
SELECT etl.add_check('b', 'vary_any', 'dw.day', 'row_count_variance', warn => '10%', history => 3, min_history => 2);
CREATE FUNCTION on_day(day date, n int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  TRUNCATE dw.day;
  INSERT INTO dw.day SELECT generate_series(1, n);
  PERFORM etl.run_pipeline('b', mode => 'inline', logical_time => day);
  RETURN (SELECT string_agg(concat_ws(' ', state, baseline), ', ' ORDER BY check_result_id DESC) FROM
          (SELECT * FROM etl.check_result WHERE check_name LIKE 'vary%' ORDER BY check_result_id DESC LIMIT 2) AS r);
END $$;
SELECT is(on_day('2026-01-05', 100), 'not_evaluated, not_evaluated', 'a Monday: nothing to compare with');
SELECT is(on_day('2026-01-06', 50), 'not_evaluated, not_evaluated', 'a Tuesday is not comparable; one run is too few');
SELECT is(on_day('2026-01-12', 105), 'warn 75, pass 100', 'the next Monday is; the median of two');
SELECT is(on_day('2026-01-13', 52), 'warn 100, pass 50', 'and the next Tuesday');
SELECT etl.alter_task('b', 'vary_any', min_change => 100);
SELECT is(on_day('2026-01-14', 90), 'pass 52, not_evaluated', 'a change of few rows is good');
SELECT etl.alter_task('b', 'vary_any', reset => '{min_change}');
SELECT is(on_day('2026-01-19', 104), 'warn 90, pass 102.5', 'the median of three, and of two Mondays');
SELECT * FROM finish();
ROLLBACK;
