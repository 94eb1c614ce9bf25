-- Loads into partitioned targets: partitions that rows need are made, others are pruned; who may not make them loses no rows.
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SET timezone = 'UTC';
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
SELECT plan(36);

CREATE SCHEMA t_src;
CREATE SCHEMA t_dw;
CREATE TABLE t_src.sale (sale_id bigint, sold_on date, sold_at timestamptz, n bigint, amount numeric, task text);
SELECT etl.create_pipeline('t_part') \g /dev/null
SELECT etl.add_extract('t_part', 'sale', source => 't_src.sale', target => 't_raw.sale') \g /dev/null

-- The partitions of a table with their bounds, in the order of their names.
CREATE FUNCTION pg_temp.parts(target regclass) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(c.relname || ' ' || substr(pg_get_expr(c.relpartbound, c.oid), 12), '; ' ORDER BY c.relname)
  FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = target
$$;
-- What the last attempt of a task says.
CREATE FUNCTION pg_temp.last(task text, OUT counts text, OUT message text, OUT made int) LANGUAGE sql AS $$
  SELECT format('%s %s', rows_inserted, rows_rejected), message, (details ->> 'partitions_created')::int
  FROM etl.task_run AS t WHERE t.task = $1 ORDER BY task_run_id DESC LIMIT 1
$$;
CREATE FUNCTION pg_temp.sql(task text) RETURNS text LANGUAGE sql AS $$
  SELECT sql FROM etl.task_run AS t WHERE t.task = $1 ORDER BY task_run_id DESC LIMIT 1
$$;
CREATE PROCEDURE pg_temp.run(task text) LANGUAGE plpgsql AS $$
BEGIN
  UPDATE t_src.sale SET task = $1;
  PERFORM etl.run_pipeline('t_part', mode => 'inline', tasks => ARRAY['sale', task]);
  TRUNCATE t_src.sale;
END $$;

-- By month, with a pattern in the names; the partition column is part of the key.
CREATE TABLE t_dw.month (sale_id bigint, sold_on date, amount numeric CHECK (amount >= 0), twice numeric
  GENERATED ALWAYS AS (amount * 2) STORED, PRIMARY KEY (sale_id, sold_on)) PARTITION BY RANGE (sold_on);
CREATE TABLE t_dw.month_2026_01 PARTITION OF t_dw.month FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE INDEX ON t_dw.month (amount);
SELECT etl.add_load('t_part', 'month', target => 't_dw.month', key => '{sale_id,sold_on}',
  query => $$SELECT sale_id, sold_on, amount FROM t_raw.sale WHERE task = 'month'$$) \g /dev/null
INSERT INTO t_src.sale (sale_id, sold_on, amount) VALUES (1, '2026-01-31', 1), (2, '2026-02-01', 2), (3, '2026-02-28', 3),
  (4, '2026-04-15', 4), (5, '2025-12-31', 5), (6, '9999-12-31', 6), (7, 'infinity', 7), (8, NULL, 8), (9, '2026-02-02', -1);
CALL pg_temp.run('month');
SELECT is(pg_temp.parts('t_dw.month'), concat_ws('; ',
  $$month_2025_12 FROM ('2025-12-01') TO ('2026-01-01')$$, $$month_2026_01 FROM ('2026-01-01') TO ('2026-02-01')$$,
  $$month_2026_02 FROM ('2026-02-01') TO ('2026-03-01')$$, $$month_2026_04 FROM ('2026-04-01') TO ('2026-05-01')$$,
  $$month_9999_12 FROM ('9999-12-01') TO ('10000-01-01')$$), 'the months that rows need are made, no others');
SELECT is((pg_temp.last('month')).counts, '6 3', 'rows with infinity, NULL or another mistake go to quarantine');
SELECT is((pg_temp.last('month')).made, 4, 'the partitions that were made are counted');
SELECT is((SELECT count(*) FROM pg_indexes WHERE tablename = 'month_2026_02'), 2::bigint, 'a new partition has the indexes');
SELECT is((SELECT twice FROM t_dw.month WHERE sale_id = 2), 4::numeric, 'and the generated column');
SELECT is((SELECT string_agg(DISTINCT error_sqlstate, ' ' ORDER BY error_sqlstate) FROM etl.quarantine), '23502 23514',
  'with their errors');

-- Pruning: the run looks only into the partitions that its rows can be in.
INSERT INTO t_src.sale (sale_id, sold_on, amount) VALUES (1, '2026-01-31', 10), (2, '2026-02-01', 20);
CALL pg_temp.run('month');
SELECT matches((SELECT sql FROM etl.task_run WHERE task = 'month' ORDER BY task_run_id DESC LIMIT 1),
  $$t\.sold_on >= '2026-01-31'::pg_catalog\.date AND t\.sold_on <= '2026-02-01'::pg_catalog\.date$$, 'the statement has the range of the rows');
SELECT is((SELECT array_agg(amount ORDER BY sale_id) FROM t_dw.month WHERE sale_id < 3), '{10,20}', 'rows are found and updated');
SELECT is((pg_temp.last('month')).made, NULL, 'nothing is made when nothing is missing');
CREATE TEMPORARY TABLE d AS SELECT sale_id, sold_on, amount FROM t_dw.month WHERE sale_id < 3;
ANALYZE d;
CREATE FUNCTION pg_temp.plan_of(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN RETURN QUERY EXECUTE 'EXPLAIN ' || statement; END $$;
CREATE FUNCTION pg_temp.pruned() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(DISTINCT m[1], ' ' ORDER BY m[1]) FROM
  pg_temp.plan_of(regexp_replace((SELECT (regexp_match(sql, 'etl_change_\d+ ON COMMIT DROP AS\s+(SELECT [^;]*);'))[1] FROM etl.task_run WHERE task = 'month'
    ORDER BY task_run_id DESC LIMIT 1), 'pg_temp\.etl_delta_\d+', 'd')) AS line, regexp_matches(line, 'month_\d+_\d+') AS m
  WHERE line ~ 'Scan'
$$;
SELECT is(pg_temp.pruned(), 'month_2026_01 month_2026_02', 'EXPLAIN shows the partitions of the range only');

-- The key does not hold the partition column: no pruning, an existing row may be anywhere.
CREATE TABLE t_dw.moved (sale_id bigint, sold_on date) PARTITION BY RANGE (sold_on);
CREATE TABLE t_dw.moved_202601 PARTITION OF t_dw.moved FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
SELECT etl.add_load('t_part', 'moved', target => 't_dw.moved', key => '{sale_id}',
  query => $$SELECT sale_id, sold_on FROM t_raw.sale WHERE task = 'moved'$$) \g /dev/null
INSERT INTO t_src.sale (sale_id, sold_on) VALUES (1, '2026-01-31');
CALL pg_temp.run('moved');
INSERT INTO t_src.sale (sale_id, sold_on) VALUES (1, '2026-03-01');
CALL pg_temp.run('moved');
SELECT is((SELECT string_agg(tableoid::regclass || ' ' || sold_on, '; ') FROM t_dw.moved WHERE sale_id = 1), 't_dw.moved_202603 2026-03-01',
  'a row moves into a partition that was made for it');
SELECT doesnt_match((pg_temp.sql('moved')), 't\.sold_on >=', 'the statement has no range of a column outside of the key');

-- timestamptz by day in the session's time zone; one period ahead of now.
SET timezone = 'Europe/Madrid';
CREATE TABLE t_dw.daily (sale_id bigint, sold_at timestamptz) PARTITION BY RANGE (sold_at);
SELECT format('CREATE TABLE t_dw.daily_%s PARTITION OF t_dw.daily FOR VALUES FROM (%L) TO (%L)',
  to_char(now(), 'YYYYMMDD'), current_date, current_date + 1) \gexec
SELECT etl.add_load('t_part', 'daily', target => 't_dw.daily', mode => 'append',
  query => $$SELECT sale_id, sold_at FROM t_raw.sale WHERE task = 'daily'$$) \g /dev/null
INSERT INTO t_src.sale (sale_id, sold_at) VALUES (1, now()), (2, '2026-03-29 12:00+02'), (3, '2026-03-28 23:00+00'), (4, '2026-03-29 21:59+00');
CALL pg_temp.run('daily');
SELECT is((SELECT count(*) FROM pg_inherits WHERE inhparent = 't_dw.daily'::regclass), 3::bigint, 'one day for the rows, one ahead of now');
SELECT is((SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'daily_20260329'),
  $$FOR VALUES FROM ('2026-03-29 00:00:00+01') TO ('2026-03-30 00:00:00+02')$$, 'days follow the clock of the time zone, also when it changes');
SELECT has_table('t_dw', ('daily_' || to_char(current_date + 1, 'YYYYMMDD'))::name, 'tomorrow has its partition');
SET timezone = 'UTC';

-- No partition yet: by UTC month.
CREATE TABLE t_dw.fresh (sale_id bigint, sold_at timestamptz) PARTITION BY RANGE (sold_at);
SELECT etl.add_load('t_part', 'fresh', target => 't_dw.fresh', mode => 'append',
  query => $$SELECT sale_id, sold_at FROM t_raw.sale WHERE task = 'fresh'$$) \g /dev/null
INSERT INTO t_src.sale (sale_id, sold_at) VALUES (1, '2026-01-01 00:00+00'), (2, '2026-01-31 23:59:59.999999+00'), (3, '2024-02-29 12:00+00');
CALL pg_temp.run('fresh');
SELECT is(pg_temp.parts('t_dw.fresh'), concat_ws('; ', $$fresh_p202402 FROM ('2024-02-01 00:00:00+00') TO ('2024-03-01 00:00:00+00')$$,
  $$fresh_p202601 FROM ('2026-01-01 00:00:00+00') TO ('2026-02-01 00:00:00+00')$$), 'a table without partitions gets months');
SELECT is((pg_temp.last('fresh')).counts, '3 0', 'and all rows');

-- Integers: the width of the existing ones; odd neighbours cut a partition.
CREATE TABLE t_dw.number (n bigint PRIMARY KEY, amount numeric) PARTITION BY RANGE (n);
CREATE TABLE t_dw.number_odd PARTITION OF t_dw.number FOR VALUES FROM (2500) TO (2600);
CREATE TABLE t_dw.number_5000 PARTITION OF t_dw.number FOR VALUES FROM (5000) TO (6000);
SELECT etl.add_load('t_part', 'number', target => 't_dw.number', key => '{n}', query => $$SELECT n, amount FROM t_raw.sale WHERE task = 'number'$$) \g /dev/null
INSERT INTO t_src.sale (n) VALUES (2400), (2550), (2601), (0), (-1), (9223372036854775807);
CALL pg_temp.run('number');
SELECT is(pg_temp.parts('t_dw.number'), concat_ws('; ', $$number_0 FROM ('0') TO ('1000')$$, $$number_2000 FROM ('2000') TO ('2500')$$,
  $$number_2600 FROM ('2600') TO ('3000')$$, $$number_5000 FROM ('5000') TO ('6000')$$, $$number_odd FROM ('2500') TO ('2600')$$,
  $$number_pm1000 FROM ('-1000') TO ('0')$$), 'integers: periods count from the existing one and end at their neighbours');
SELECT is((pg_temp.last('number')).counts, '5 1', 'the largest number has no upper bound and goes to quarantine');
CREATE TABLE t_dw.unknown (n int) PARTITION BY RANGE (n);
SELECT etl.add_load('t_part', 'unknown', target => 't_dw.unknown', mode => 'append', query => $$SELECT n::int FROM t_raw.sale WHERE task = 'unknown'$$) \g /dev/null
INSERT INTO t_src.sale (n) VALUES (1);
CALL pg_temp.run('unknown');
SELECT matches((pg_temp.last('unknown')).message, 'rows need were not made: it has none yet that would tell their width', 'integers without a partition: the message says why');

-- Partitions by quarter; MINVALUE; a name that is taken.
CREATE TABLE t_dw.quarter (sale_id bigint, sold_on date) PARTITION BY RANGE (sold_on);
CREATE TABLE t_dw.old PARTITION OF t_dw.quarter FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
CREATE TABLE t_dw.quarter_2026_q1 PARTITION OF t_dw.quarter FOR VALUES FROM ('2026-01-01') TO ('2026-04-01');
CREATE TABLE t_dw.quarter_2026_q3 ();
SELECT etl.add_load('t_part', 'quarter', target => 't_dw.quarter', mode => 'append', query => $$SELECT sale_id, sold_on FROM t_raw.sale WHERE task = 'quarter'$$) \g /dev/null
INSERT INTO t_src.sale (sale_id, sold_on) VALUES (1, '2026-06-30'), (2, '1999-01-01'), (3, '2026-07-01');
CALL pg_temp.run('quarter');
SELECT is(pg_temp.parts('t_dw.quarter'), concat_ws('; ', $$old FROM (MINVALUE) TO ('2026-01-01')$$,
  $$quarter_2026_q1 FROM ('2026-01-01') TO ('2026-04-01')$$, $$quarter_2026_q2 FROM ('2026-04-01') TO ('2026-07-01')$$,
  $$quarter_p202607 FROM ('2026-07-01') TO ('2026-10-01')$$), 'quarters, also where a name is taken');

-- A DEFAULT partition takes every row: nothing is made.
CREATE TABLE t_dw.caught (sale_id bigint, sold_on date) PARTITION BY RANGE (sold_on);
CREATE TABLE t_dw.caught_202601 PARTITION OF t_dw.caught FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE t_dw.caught_rest PARTITION OF t_dw.caught DEFAULT;
SELECT etl.add_load('t_part', 'caught', target => 't_dw.caught', mode => 'append', query => $$SELECT sale_id, sold_on FROM t_raw.sale WHERE task = 'caught'$$) \g /dev/null
INSERT INTO t_src.sale (sale_id, sold_on) VALUES (1, '2026-02-01'), (2, '2026-01-01');
CALL pg_temp.run('caught');
SELECT is((SELECT count(*) FROM pg_inherits WHERE inhparent = 't_dw.caught'::regclass), 2::bigint, 'with a DEFAULT partition nothing is made');
SELECT is((SELECT count(*) FROM t_dw.caught_rest), 1::bigint, 'the row is in there');
SELECT is((pg_temp.last('caught')).message, NULL, 'and nothing is said');

-- Partitions by list, by hash and by two columns are left alone.
CREATE TABLE t_dw.listed (sale_id bigint, sold_on date) PARTITION BY LIST (sold_on);
CREATE TABLE t_dw.listed_1 PARTITION OF t_dw.listed FOR VALUES IN ('2026-01-01');
CREATE TABLE t_dw.both (sale_id bigint, sold_on date, PRIMARY KEY (sale_id, sold_on)) PARTITION BY RANGE (sold_on, sale_id);
CREATE TABLE t_dw.both_1 PARTITION OF t_dw.both FOR VALUES FROM ('2026-01-01', 0) TO ('2026-01-02', 0);
SELECT etl.add_load('t_part', 'listed', target => 't_dw.listed', mode => 'append', query => $$SELECT sale_id, sold_on FROM t_raw.sale WHERE task = 'listed'$$) \g /dev/null
SELECT etl.add_load('t_part', 'both', target => 't_dw.both', key => '{sale_id,sold_on}', query => $$SELECT sale_id, sold_on FROM t_raw.sale WHERE task = 'both'$$) \g /dev/null
INSERT INTO t_src.sale (sale_id, sold_on) VALUES (1, '2026-01-01'), (2, '2026-02-01');
CALL pg_temp.run('listed');
INSERT INTO t_src.sale (sale_id, sold_on) VALUES (1, '2026-01-01'), (2, '2026-02-01');
CALL pg_temp.run('both');
SELECT is((pg_temp.last('listed')).counts, '1 1', 'a list is left alone, its row goes to quarantine');
SELECT is((pg_temp.last('both')).counts, '1 1', 'two columns are left alone too');
SELECT is((SELECT count(*) FROM pg_inherits WHERE inhparent IN ('t_dw.listed'::regclass, 't_dw.both'::regclass)), 2::bigint, 'no partition was made');
INSERT INTO t_src.sale (sale_id, sold_on) VALUES (1, '2026-01-01');
CALL pg_temp.run('both');
SELECT matches((SELECT sql FROM etl.task_run WHERE task = 'both' ORDER BY task_run_id DESC LIMIT 1), 't\.sold_on >= ', 'bounds serve range partitions of two columns as well');

-- Who may not make partitions.
CREATE ROLE t_part_owner LOGIN;
CREATE ROLE t_part_other LOGIN;
GRANT USAGE ON SCHEMA t_dw, t_src, etl TO t_part_other, t_part_owner;
GRANT SELECT ON t_src.sale TO t_part_other, t_part_owner;
CREATE TABLE t_dw.foreign_month (sale_id bigint, sold_on date) PARTITION BY RANGE (sold_on);
CREATE TABLE t_dw.foreign_month_202601 PARTITION OF t_dw.foreign_month FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
ALTER TABLE t_dw.foreign_month OWNER TO t_part_owner;
ALTER TABLE t_dw.foreign_month_202601 OWNER TO t_part_owner;
GRANT SELECT, INSERT ON t_dw.foreign_month TO t_part_other;
SELECT etl.create_pipeline('t_' || r, owner => r) FROM unnest('{t_part_other,t_part_owner}'::text[]) AS r \g /dev/null
SELECT etl.add_load('t_' || r, r, target => 't_dw.foreign_month', mode => 'append', query => 'SELECT sale_id, sold_on FROM t_src.sale')
FROM unnest('{t_part_other,t_part_owner}'::text[]) AS r \g /dev/null
INSERT INTO t_src.sale (sale_id, sold_on) VALUES (1, '2026-02-01'), (2, '2026-01-01');
SET ROLE t_part_other;
SELECT etl.run_pipeline('t_t_part_other', mode => 'inline') \g /dev/null
RESET ROLE;
SELECT is((pg_temp.last('t_part_other')).counts, '1 1', 'not the owner: the row goes to quarantine');
SELECT matches((pg_temp.last('t_part_other')).message, 't_part_other is not its owner', 'and the message says why');
SET ROLE t_part_owner;
SELECT etl.run_pipeline('t_t_part_owner', mode => 'inline') \g /dev/null
RESET ROLE;
SELECT matches((pg_temp.last('t_part_owner')).message, 't_part_owner may not create tables in schema t_dw', 'the right to create tables is needed too');
GRANT CREATE ON SCHEMA t_dw TO t_part_owner;
SET ROLE t_part_owner;
SELECT etl.run_pipeline('t_t_part_owner', mode => 'inline') \g /dev/null
RESET ROLE;
TRUNCATE t_src.sale;
SELECT is((SELECT relowner::regrole::text FROM pg_class WHERE relname = 'foreign_month_202602'), 't_part_owner', 'with it the partition is made, as the owner');

-- Something that cannot be attached ends nothing.
CREATE TABLE t_dw.nested (sale_id bigint, sold_on date) PARTITION BY RANGE (sold_on);
CREATE TABLE t_dw.nested_202601 PARTITION OF t_dw.nested FOR VALUES FROM ('2026-01-01') TO ('2026-02-01') PARTITION BY LIST (sale_id);
SELECT etl.add_load('t_part', 'nested', target => 't_dw.nested', mode => 'append', query => $$SELECT sale_id, sold_on FROM t_raw.sale WHERE task = 'nested'$$) \g /dev/null
INSERT INTO t_src.sale (sale_id, sold_on) VALUES (1, '2026-02-01');
CALL pg_temp.run('nested');
SELECT matches((pg_temp.last('nested')).message, 'its partitions are partitioned themselves', 'two levels are left alone');

-- More days than one run makes partitions for.
CREATE TABLE t_dw.many (sale_id bigint, sold_on date) PARTITION BY RANGE (sold_on);
CREATE TABLE t_dw.many_20200101 PARTITION OF t_dw.many FOR VALUES FROM ('2020-01-01') TO ('2020-01-02');
SELECT etl.add_load('t_part', 'many', target => 't_dw.many', mode => 'append', query => $$SELECT sale_id, sold_on FROM t_raw.sale WHERE task = 'many'$$) \g /dev/null
INSERT INTO t_src.sale (sale_id, sold_on) SELECT 1, date '2020-01-01' + n FROM generate_series(0, 1003) AS n;
INSERT INTO t_src.sale (sale_id, sold_on) SELECT 1, '2022-09-29' FROM generate_series(1, 5);
CALL pg_temp.run('many');
SELECT is((pg_temp.last('many')).made, 1000, 'one run makes 1000 partitions');
SELECT matches((pg_temp.last('many')).message, 'more than 1000 new partitions', 'and says so');
SELECT is((pg_temp.last('many')).counts, '1006 3', 'the days with the fewest rows are left out');

SELECT * FROM finish();
ROLLBACK;
