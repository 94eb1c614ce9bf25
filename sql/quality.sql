-- Quality checks: what each type measures and when it warns and fails, and what a definition refuses.
SET client_min_messages = warning;
-- Tables are dropped and changed on purpose.
SET etl.guard_ddl = off;
CREATE EXTENSION IF NOT EXISTS etl_ext;
\set VERBOSITY verbose
\set SHOW_CONTEXT never
CREATE SCHEMA quality;
SET search_path = quality;
CREATE TABLE payment (payment_id int, amount numeric, paid_at timestamptz, note json);
INSERT INTO payment SELECT n, nullif(n, 7), now() - interval '2 h', '{}' FROM generate_series(1, 998) AS n;
INSERT INTO payment SELECT n, 5, now() - interval '3 h', '{}' FROM generate_series(1, 2) AS n;
CREATE TABLE empty (id int, at timestamptz);
CREATE TABLE future (at timestamp);
INSERT INTO future VALUES (now() + interval '2 days');
CREATE VIEW paid AS SELECT payment_id, amount FROM payment WHERE amount > 0;

SELECT etl.create_pipeline('quality') IS NOT NULL AS created;
SELECT etl.add_check('quality', c.name, 'payment', c.type, columns => c.columns::text[], expression => c.expression,
                     filter => c.filter, warn => c.warn, fail => c.fail, trigger_rule => 'always') IS NOT NULL AS added
FROM (VALUES
  ('rows', 'row_count', NULL, NULL, NULL, NULL, NULL),
  ('rows_warn', 'row_count', NULL, NULL, NULL, '2000', '500'),
  ('rows_filter', 'row_count', NULL, NULL, 'amount > 990 -- few', NULL, '100'),
  ('nulls', 'null_pct', '{payment_id,amount}', NULL, NULL, '0%', '5%'),
  ('nulls_default', 'null_pct', '{amount}', NULL, NULL, NULL, NULL),
  ('twice', 'duplicates', '{payment_id}', NULL, NULL, NULL, NULL),
  ('twice_pct', 'duplicates', '{payment_id}', NULL, NULL, '0.1%', '0.5 %'),
  ('condition', 'expression', NULL, 'amount >= 1', NULL, NULL, '1'),
  ('condition_pct', 'expression', NULL, 'amount > 10 -- comment', NULL, NULL, '1%'),
  ('subquery', 'expression', NULL, 'payment_id IN (SELECT payment_id FROM paid)', NULL, '1%', NULL),
  ('variance', 'row_count_variance', NULL, NULL, NULL, '5%', '10%')
) AS c (name, type, columns, expression, filter, warn, fail);
SELECT etl.add_check('quality', c.name, c.target, c.type, columns => c.columns::text[], warn => c.warn, fail => c.fail,
                     trigger_rule => 'always') IS NOT NULL AS added
FROM (VALUES
  ('empty_rows', 'empty', 'row_count', NULL, NULL, NULL),
  ('empty_nulls', 'empty', 'null_pct', '{id}', NULL, NULL),
  ('empty_twice', 'empty', 'duplicates', '{id}', NULL, '1%'),
  ('empty_age', 'empty', 'freshness', '{at}', NULL, '1 day'),
  ('future', 'future', 'freshness', '{at}', NULL, '1 day'),
  ('view', 'quality.paid', 'row_count', NULL, NULL, NULL)
) AS c (name, target, type, columns, warn, fail);
SELECT t.name, t.target, t.reads, t.writes, t.warn, t.fail FROM etl.task AS t
WHERE t.name IN ('rows', 'subquery', 'view', 'nulls_default') ORDER BY 1;

SELECT etl.run_pipeline('quality', wait => false) AS run \gset
SELECT etl.wait_for_run(:run);
SELECT check_name, state, measured, unit, message FROM etl.check_result
WHERE run_id = :run AND check_type <> 'freshness' ORDER BY check_name;
SELECT check_name, state, measured IS NOT NULL AS measured, unit FROM etl.check_result
WHERE run_id = :run AND check_type = 'freshness' ORDER BY check_name;
SELECT state, count(*) FROM etl.task_run WHERE run_id = :run GROUP BY 1 ORDER BY 1;

-- The age of the newest value.
SELECT etl.add_check('quality', 'age', 'payment', 'freshness', columns => '{paid_at}', warn => '90 min', fail => '1 day') > 0 AS added;
-- The change since the last run; a failed result is the next baseline.
INSERT INTO payment (payment_id) SELECT n FROM generate_series(2001, 2080) AS n;
SELECT etl.run_pipeline('quality', wait => false, tasks => '{variance,age}') AS run \gset
SELECT etl.wait_for_run(:run);
SELECT check_name, state, unit, baseline FROM etl.check_result WHERE run_id = :run ORDER BY 1;
DELETE FROM payment WHERE payment_id > 500;
SELECT etl.run_pipeline('quality', wait => false, tasks => '{variance}') AS run \gset
SELECT etl.wait_for_run(:run);
SELECT state, measured, baseline, message FROM etl.check_result WHERE run_id = :run;
SELECT etl.run_pipeline('quality', wait => false, tasks => '{variance}') AS run \gset
SELECT etl.wait_for_run(:run);
SELECT state, measured, baseline, message FROM etl.check_result WHERE run_id = :run;

-- The query of a check; what is wrong with a definition that no longer fits.
SELECT l FROM etl.explain_task('quality', 'twice') AS l WHERE l !~ 'cost=|Key:';
ALTER TABLE payment DROP COLUMN amount CASCADE;
ALTER TABLE empty RENAME TO renamed;
SELECT task, severity, problem, hint FROM etl.validate('quality') ORDER BY 1, 3;

-- Refused definitions.
CREATE FUNCTION pg_temp.try(target text, type text, columns text[] DEFAULT NULL, expression text DEFAULT NULL,
                            filter text DEFAULT NULL, warn text DEFAULT NULL, fail text DEFAULT NULL)
RETURNS TABLE (report text) LANGUAGE plpgsql AS $$
DECLARE
  detail text; hint text;
BEGIN
  PERFORM etl.add_check('quality', 'try', target, type, columns => columns, expression => expression, filter => filter,
                        warn => warn, fail => fail);
  report := 'accepted';
  RETURN NEXT;
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  FOREACH report IN ARRAY ARRAY[SQLSTATE || ' ' || SQLERRM, 'DETAIL ' || detail, 'HINT ' || hint]
  LOOP
    RETURN NEXT;
  END LOOP;
END
$$;
SET search_path = quality, pg_temp;
\pset format unaligned
\pset tuples_only on
SELECT pg_temp.try('payment', 'rowcount');
SELECT pg_temp.try('nothing', 'row_count');
SELECT pg_temp.try('payment', 'row_count', '{payment_id}');
SELECT pg_temp.try('payment', 'null_pct');
SELECT pg_temp.try('payment', 'null_pct', '{nothing}');
SELECT pg_temp.try('payment', 'freshness', '{payment_id}', fail => '1 h');
SELECT pg_temp.try('payment', 'freshness', '{paid_at}');
SELECT pg_temp.try('payment', 'freshness', '{paid_at,paid_at}', fail => '1 h');
SELECT pg_temp.try('payment', 'row_count_variance');
SELECT pg_temp.try('payment', 'duplicates', '{note}');
SELECT pg_temp.try('payment', 'row_count', fail => '5%');
SELECT pg_temp.try('payment', 'row_count', fail => '-1');
SELECT pg_temp.try('payment', 'row_count', warn => '5', fail => '10');
SELECT pg_temp.try('payment', 'null_pct', '{payment_id}', fail => '150%');
SELECT pg_temp.try('payment', 'null_pct', '{payment_id}', warn => '5%', fail => '1%');
SELECT pg_temp.try('payment', 'duplicates', '{payment_id}', warn => '1%', fail => '10');
SELECT pg_temp.try('payment', 'freshness', '{paid_at}', fail => '5 apples');
SELECT pg_temp.try('payment', 'expression');
SELECT pg_temp.try('payment', 'row_count', expression => 'true');
SELECT pg_temp.try('payment', 'expression', expression => 'payment_id');
SELECT pg_temp.try('payment', 'expression', expression => 'payment_id >');
SELECT pg_temp.try('payment', 'expression', expression => 'nothing > 0');
SELECT pg_temp.try('payment', 'expression', expression => 'count(*) > 0');
SELECT pg_temp.try('payment', 'expression', expression => 'true) FROM payment WHERE (true');
SELECT pg_temp.try('payment', 'expression', expression => 'true; DROP TABLE payment');
SELECT pg_temp.try('payment', 'row_count', filter => 'true) --');
\pset format aligned
\pset tuples_only off
SET client_min_messages = error;
SELECT etl.drop_pipeline('quality');
DROP SCHEMA quality CASCADE;
