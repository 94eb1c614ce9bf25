-- Rows that a source has deleted: found by a condition or by comparing keys, and brought to targets in every mode.
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
SELECT plan(52);

CREATE SCHEMA t_src;
SELECT etl.create_pipeline('t_deletes') \g /dev/null
CREATE FUNCTION pg_temp.run() RETURNS void LANGUAGE sql AS $$ SELECT etl.run_pipeline('t_deletes', mode => 'inline') $$;
-- The versions of one key in a raw table, oldest first.
CREATE FUNCTION pg_temp.versions(raw regclass, id integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  result text;
BEGIN
  EXECUTE format('SELECT string_agg(_etl_op || v, '' '' ORDER BY _etl_batch) FROM %s WHERE id = $1', raw) INTO result USING id;
  RETURN result;
END
$$;

-- column: the source keeps its deleted rows and says which they are.
CREATE TABLE t_src.soft (id integer PRIMARY KEY, v integer, removed boolean, updated_at timestamptz);
INSERT INTO t_src.soft SELECT i, i, i = 9, '2026-01-01'::timestamptz + i * interval '1 min' FROM generate_series(1, 10) AS i;
SELECT etl.add_extract('t_deletes', 'soft', source => 't_src.soft', target => 't_raw.soft', primary_key => '{id}',
  cursor_column => 'updated_at', lag => '1 hour', deletes => 'column:removed', chunk_rows => 4) \g /dev/null
SELECT lives_ok('SELECT pg_temp.run()', 'column: the first run succeeds');
SELECT is(pg_temp.versions('t_raw.soft', 9), 'd9', 'column: a row that meets the condition is a marker');
SELECT is((SELECT count(*) FROM t_raw.soft WHERE _etl_op = 'u'), 9::bigint, 'column: the others are not');
SELECT is((SELECT details FROM etl.task_run WHERE task = 'soft' ORDER BY task_run_id DESC LIMIT 1), '{"deletes": 1}',
  'column: markers are counted');
UPDATE t_src.soft SET removed = true WHERE id = 5;
UPDATE t_src.soft SET removed = NULL WHERE id = 6;
SELECT pg_temp.run() \g /dev/null
SELECT is(pg_temp.versions('t_raw.soft', 5), 'u5 d5', 'column: a row that is removed becomes a marker, with the same cursor');
SELECT is(pg_temp.versions('t_raw.soft', 6), 'u6 u6', 'column: NULL counts as not removed');
UPDATE t_src.soft SET removed = false WHERE id IN (5, 9);
SELECT pg_temp.run() \g /dev/null
SELECT is(pg_temp.versions('t_raw.soft', 5), 'u5 d5 u5', 'column: a row that is taken back comes as present again');
SELECT is(pg_temp.versions('t_raw.soft', 9), 'd9 u9', 'column: also one that was never seen before');
SELECT pg_temp.run() \g /dev/null
SELECT is((SELECT count(*) FROM t_raw.soft), 14::bigint, 'column: a run without changes appends nothing');
SELECT etl.drop_task('t_deletes', 'soft') \g /dev/null

-- compare: rows disappear.
CREATE TABLE t_src.hard (id integer PRIMARY KEY, v integer, region text, updated_at timestamptz);
INSERT INTO t_src.hard SELECT i, i, CASE WHEN i % 2 = 0 THEN 'EU' ELSE 'US' END, '2026-01-01'::timestamptz + i * interval '1 min'
FROM generate_series(1, 40) AS i;
SELECT etl.add_extract('t_deletes', 'hard', source => 't_src.hard', target => 't_raw.hard', primary_key => '{id}',
  cursor_column => 'updated_at', deletes => 'compare', chunk_rows => 7) \g /dev/null
SELECT pg_temp.run() \g /dev/null
SELECT is((SELECT count(*) FROM t_raw.hard WHERE _etl_op = 'd'), 0::bigint, 'compare: nothing is gone in the first run');
DELETE FROM t_src.hard WHERE id IN (1, 2);
UPDATE t_src.hard SET v = 33, updated_at = '2026-01-02' WHERE id = 3;
SELECT pg_temp.run() \g /dev/null
SELECT is(pg_temp.versions('t_raw.hard', 1), 'u1 d1', 'compare: a row that is gone gets a marker with its last values');
SELECT is(pg_temp.versions('t_raw.hard', 3), 'u3 u33', 'compare: a row that changed does not');
SELECT is((SELECT format('%s %s %s', rows_inserted, rows_deleted, details) FROM etl.task_run WHERE task = 'hard'
           ORDER BY task_run_id DESC LIMIT 1), '1 2 {"deletes": 2}', 'compare: markers are counted');
SELECT is((SELECT row_count FROM etl.batch WHERE target = 't_raw.hard' ORDER BY batch_id DESC LIMIT 1), 2::bigint,
  'compare: markers are a batch of their own');
SELECT pg_temp.run() \g /dev/null
SELECT is(pg_temp.versions('t_raw.hard', 1), 'u1 d1', 'compare: it is marked once');
INSERT INTO t_src.hard VALUES (1, 1, 'US', '2026-01-01 00:01'), (2, 22, 'EU', '2026-01-03');
SELECT pg_temp.run() \g /dev/null
SELECT is(pg_temp.versions('t_raw.hard', 1), 'u1 d1 u1', 'compare: a row that is back as it was, below the watermark, is present again');
SELECT is(pg_temp.versions('t_raw.hard', 2), 'u2 d2 u22', 'compare: a row that is back with new values has them');
SELECT is((SELECT details ->> 'undeleted' FROM etl.task_run WHERE task = 'hard' ORDER BY task_run_id DESC LIMIT 1), '1',
  'compare: rows that were brought back from the raw table are counted');
DELETE FROM t_src.hard WHERE id = 2;
SELECT pg_temp.run() \g /dev/null
SELECT is(pg_temp.versions('t_raw.hard', 2), 'u2 d2 u22 d22', 'compare: and it can go again');

-- Guards.
DELETE FROM t_src.hard WHERE id BETWEEN 10 AND 21;
INSERT INTO t_src.hard VALUES (100, 100, 'EU', '2026-01-04');
SELECT throws_ok('SELECT pg_temp.run()', 'ZE014', '12 of 40 rows of source t_src.hard seem to be deleted, more than max_delete_pct allows',
  'guard: more than 10 % and more than 10 rows');
SELECT etl.alter_task('t_deletes', 'hard', max_delete_pct => 30) \g /dev/null
SELECT lives_ok('SELECT pg_temp.run()', 'guard: exactly max_delete_pct is allowed');
SELECT is((SELECT count(*) FROM t_raw.hard WHERE _etl_op = 'd' AND id BETWEEN 10 AND 21), 12::bigint, 'guard: then they are marked');
SELECT etl.alter_task('t_deletes', 'hard', max_delete_pct => 0) \g /dev/null
DELETE FROM t_src.hard WHERE id = 22;
SELECT throws_ok('SELECT pg_temp.run()', 'ZE014', NULL, 'guard: a max_delete_pct that is given holds for one row too');
SELECT etl.alter_task('t_deletes', 'hard', max_delete_pct => 99) \g /dev/null
CREATE TEMPORARY TABLE kept AS SELECT * FROM t_src.hard;
TRUNCATE t_src.hard;
SELECT throws_ok('SELECT pg_temp.run()', 'ZE014', 'source t_src.hard has no rows to compare, but raw table t_raw.hard has 28',
  'guard: an empty source');
SELECT etl.alter_task('t_deletes', 'hard', max_delete_pct => 100) \g /dev/null
SELECT lives_ok('SELECT pg_temp.run()', 'guard: max_delete_pct => 100 believes it');
SELECT is((SELECT count(*) FROM (SELECT DISTINCT ON (id) _etl_op FROM t_raw.hard ORDER BY id, _etl_batch DESC) AS l
           WHERE _etl_op = 'u'), 0::bigint, 'guard: then nothing is left');
SELECT etl.alter_task('t_deletes', 'hard', max_delete_pct => 50) \g /dev/null
SELECT lives_ok('SELECT pg_temp.run()', 'guard: an empty source is no matter when the raw table has none left either');
INSERT INTO t_src.hard SELECT * FROM kept;

-- Scope and filter.
SELECT etl.alter_task('t_deletes', 'hard', delete_scope => $$region = 'EU' -- only these$$) \g /dev/null
SELECT etl.run_pipeline('t_deletes', mode => 'inline', full_refresh => true) \g /dev/null
DELETE FROM t_src.hard WHERE id IN (30, 31);
SELECT pg_temp.run() \g /dev/null
SELECT alike(pg_temp.versions('t_raw.hard', 30), '% d30', 'scope: a row within it is marked');
SELECT unalike(pg_temp.versions('t_raw.hard', 31), '% d31', 'scope: a row outside is not');
SELECT etl.drop_task('t_deletes', 'hard') \g /dev/null
CREATE TABLE t_src.days (id integer, part text, v integer, day date, PRIMARY KEY (part, id));
INSERT INTO t_src.days SELECT i, 'a', i, CURRENT_DATE - i FROM generate_series(0, 9) AS i;
SELECT etl.add_extract('t_deletes', 'days', source => 't_src.days', target => 't_raw.days', primary_key => '{part,id}',
  filter => 'day > CURRENT_DATE - 9', deletes => 'compare') \g /dev/null
SELECT pg_temp.run() \g /dev/null
SELECT is((SELECT count(*) FROM t_raw.days), 9::bigint, 'filter: the read has it');
UPDATE t_raw.days SET day = day - 3;
UPDATE t_src.days SET day = day - 3;
DELETE FROM t_src.days WHERE id IN (2, 7);
SELECT etl.alter_task('t_deletes', 'days', chunk_rows => 2) \g /dev/null
SELECT pg_temp.run() \g /dev/null
SELECT is((SELECT string_agg(id::text, ',') FROM t_raw.days WHERE _etl_op = 'd'), '2',
  'filter: what has left it by the passing of time is not marked, without a cursor and with a key of two columns');
UPDATE t_src.days SET day = '2020-01-01' WHERE id = 3;
SELECT pg_temp.run() \g /dev/null
SELECT is((SELECT string_agg(id::text, ',' ORDER BY id) FROM t_raw.days WHERE _etl_op = 'd'), '2,3',
  'filter: a row that was changed so that it is outside is marked');
SELECT etl.drop_task('t_deletes', 'days') \g /dev/null

-- Loads: markers are no rows.
CREATE TABLE t_src.item (id integer PRIMARY KEY, grp integer, v integer, removed boolean DEFAULT false, updated_at timestamptz);
CREATE TABLE t_src.grp (grp integer PRIMARY KEY, name text);
INSERT INTO t_src.grp SELECT i, 'g' || i FROM generate_series(0, 3) AS i;
INSERT INTO t_src.item SELECT i, i % 4, i, false, '2026-01-01'::timestamptz + i * interval '1 min' FROM generate_series(1, 12) AS i;
SELECT etl.add_extract('t_deletes', 'item', source => 't_src.item', target => 't_raw.item', primary_key => '{id}',
  cursor_column => 'updated_at', deletes => 'compare') \g /dev/null
SELECT etl.add_load('t_deletes', 'ignored', target => 't_dw.ignored', key => '{id}', query => 'SELECT id, v FROM t_raw.item') \g /dev/null
SELECT etl.add_load('t_deletes', 'appended', target => 't_dw.appended', mode => 'append', query => 'SELECT id, v FROM t_raw.item') \g /dev/null
SELECT etl.add_load('t_deletes', 'looked', target => 't_dw.looked', mode => 'append',
  query => 'SELECT id, v, _etl_op AS op FROM t_raw.item') \g /dev/null
SELECT etl.add_aggregate('t_deletes', 'counted', target => 't_dw.counted', key => '{grp}',
  query => 'SELECT grp, count(*) AS n FROM t_raw.item GROUP BY grp') \g /dev/null
SELECT etl.add_load('t_deletes', 'exists', target => 't_dw.exists', key => '{grp}', mode => 'replace',
  query => 'SELECT grp, (SELECT count(*) FROM t_raw.item AS i WHERE i.grp = g.grp) AS n FROM t_src.grp AS g') \g /dev/null
SELECT etl.add_load('t_deletes', 'removed', target => 't_dw.removed', key => '{id}', order_by => 'updated_at', on_delete => 'delete',
  query => 'SELECT i.id, i.v, g.name, i.updated_at FROM t_raw.item AS i JOIN t_src.grp AS g USING (grp)') \g /dev/null
SELECT etl.add_load('t_deletes', 'marked', target => 't_dw.marked', key => '{id}', order_by => 'updated_at', on_delete => 'mark',
  query => 'SELECT i.id, i.v, g.name, i.updated_at FROM (SELECT * FROM t_raw.item WHERE v < 1000) AS i'
           ' LEFT JOIN t_src.grp AS g USING (grp)') \g /dev/null
SELECT pg_temp.run() \g /dev/null
DELETE FROM t_src.item WHERE id IN (3, 4);
DELETE FROM t_src.grp WHERE grp = 3;
SELECT pg_temp.run() \g /dev/null
SELECT is((SELECT count(*) FROM t_dw.ignored), 12::bigint, 'ignore: rows stay');
SELECT is((SELECT count(*) FROM t_dw.appended), 12::bigint, 'append: markers are not appended');
SELECT is((SELECT count(*) FROM t_dw.looked WHERE op = 'd'), 2::bigint, 'a query that looks at _etl_op sees the markers');
SELECT is((SELECT sum(n) FROM t_dw.counted), 12::numeric, 'an aggregate does not count markers');
SELECT is((SELECT sum(n) FROM t_dw.exists), 9::numeric, 'nor does a subquery expression');
SELECT is((SELECT string_agg(id::text, ',' ORDER BY id) FROM t_dw.removed), '1,2,5,6,7,8,9,10,11,12',
  'delete: rows go, also when the row that they are joined with has gone too');
SELECT is((SELECT rows_deleted FROM etl.task_run WHERE task = 'removed' ORDER BY task_run_id DESC LIMIT 1), 2::bigint,
  'delete: they are counted');
SELECT is((SELECT string_agg(format('%s %s', id, v), ',' ORDER BY id) FROM t_dw.marked WHERE _etl_deleted_at IS NOT NULL), '3 3,4 4',
  'mark: rows are marked and keep their values');
SELECT is((SELECT count(*) FROM t_dw.marked WHERE _etl_deleted_at IS NULL), 10::bigint, 'mark: others are not');
INSERT INTO t_src.item VALUES (3, 1, 30, false, '2026-01-05');
SELECT pg_temp.run() \g /dev/null
SELECT is((SELECT v FROM t_dw.removed WHERE id = 3), 30, 'delete: a row that is back is inserted');
SELECT is((SELECT format('%s %s', v, _etl_deleted_at IS NULL) FROM t_dw.marked WHERE id = 3), '30 t', 'mark: a row that is back is cleared');
SELECT etl.run_pipeline('t_deletes', mode => 'inline', full_refresh => true, tasks => '{removed,marked}') \g /dev/null
SELECT is((SELECT bool_or(id = 4) FROM t_dw.removed), false, 'delete: a full refresh brings nothing back');
SELECT is((SELECT format('%s %s', v, _etl_deleted_at IS NOT NULL) FROM t_dw.marked WHERE id = 4), '4 t', 'mark: nor does it clear a mark');
SELECT is((SELECT details ->> 'marked_deleted' FROM etl.task_run WHERE task = 'marked' ORDER BY task_run_id DESC LIMIT 1), NULL,
  'mark: what is marked is not marked again');
CREATE TABLE t_dw.plain (id integer PRIMARY KEY, v integer);
SELECT throws_ok($$SELECT etl.add_load('t_deletes', 'plain', target => 't_dw.plain', key => '{id}', on_delete => 'mark',
  query => 'SELECT id, v FROM t_raw.item')$$, '42703', 'target t_dw.plain has no column _etl_deleted_at', 'mark: the column is required');
SELECT col_type_is('t_dw'::name, 'marked'::name, '_etl_deleted_at'::name, 'timestamp with time zone', 'mark: and made with a new target');

-- Whatever happens in whatever order, in whatever batches: targets equal their source.
CREATE TABLE t_src.chaos (id integer PRIMARY KEY, v integer, removed boolean NOT NULL DEFAULT false, changed bigint NOT NULL);
CREATE VIEW t_src.chaos_present AS SELECT id, v, changed FROM t_src.chaos WHERE NOT removed;
CREATE SEQUENCE t_src.change;
SELECT etl.create_pipeline('t_chaos') \g /dev/null
SELECT etl.add_extract('t_chaos', 'compared', source => 't_src.chaos_present', target => 't_raw.compared', primary_key => '{id}',
  cursor_column => 'changed', deletes => 'compare', max_delete_pct => 100, chunk_rows => 5) \g /dev/null
SELECT etl.add_extract('t_chaos', 'whole', source => 't_src.chaos_present', target => 't_raw.whole', primary_key => '{id}',
  deletes => 'compare', max_delete_pct => 100) \g /dev/null
SELECT etl.add_extract('t_chaos', 'flagged', source => 't_src.chaos', target => 't_raw.flagged', primary_key => '{id}',
  cursor_column => 'changed', deletes => 'column:removed', chunk_rows => 3) \g /dev/null
SELECT etl.add_load('t_chaos', format('%s_%s', raw, kind), target => format('t_dw.%s_%s', raw, kind), key => '{id}',
  order_by => order_by, mode => mode, on_delete => on_delete, query => format(query, 't_raw.' || raw))
FROM unnest('{compared,whole,flagged}'::text[]) AS raw,
  (VALUES ('plain', 'merge', NULL, 'delete', 'SELECT id, v FROM %s'),
          ('ordered', 'merge', 'changed', 'delete', 'SELECT id, v, changed FROM %s'),
          ('marked', 'merge', 'changed', 'mark', 'SELECT o.id, o.v, o.changed FROM (SELECT * FROM %s) AS o JOIN (VALUES (1)) AS one(n) ON true'),
          ('replaced', 'replace', 'changed', 'delete', 'SELECT id, v, changed FROM %s'),
          ('expression', 'merge', NULL, 'delete', 'SELECT id * 2 / 2 AS id, v FROM %s'),
          ('inserted', 'insert_only', NULL, 'delete', 'SELECT id FROM %s'))
  AS l (kind, mode, order_by, on_delete, query) \g /dev/null

-- change_once changes a row in one of the ways in which an application does.
CREATE FUNCTION pg_temp.change_once() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  one integer := 1 + floor(random() * 12);
  value integer := floor(random() * 100);
  way double precision := random();
BEGIN
  IF way < 0.15 THEN
    UPDATE t_src.chaos SET removed = true, changed = nextval('t_src.change') WHERE id = one AND NOT removed;
  ELSIF way < 0.45 THEN
    INSERT INTO t_src.chaos VALUES (one, value, false, nextval('t_src.change'))
    ON CONFLICT (id) DO UPDATE SET v = value, removed = false, changed = excluded.changed;
  ELSIF way < 0.7 THEN
    UPDATE t_src.chaos SET v = value, changed = nextval('t_src.change') WHERE id = one;
  ELSE
    UPDATE t_src.chaos SET removed = NOT removed, changed = nextval('t_src.change') WHERE id = one;
  END IF;
END
$$;

-- live returns the rows of all targets that differ from the source, as text; NULL: none.
CREATE FUNCTION pg_temp.differing() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  result text;
  target text;
  found bigint;
BEGIN
  FOR target IN SELECT t.target FROM etl.task AS t JOIN etl.pipeline AS p USING (pipeline_id)
                WHERE p.name = 't_chaos' AND t.kind = 'load' ORDER BY 1
  LOOP
    EXECUTE format('SELECT count(*) FROM ((SELECT %1$s FROM %2$s WHERE %3$s EXCEPT ALL SELECT %1$s FROM t_src.chaos_present)'
                   ' UNION ALL (SELECT %1$s FROM t_src.chaos_present EXCEPT ALL SELECT %1$s FROM %2$s WHERE %3$s)) AS d',
                   CASE WHEN target LIKE '%inserted' THEN 'id' ELSE 'id, v' END, target,
                   CASE WHEN target LIKE '%marked' THEN '_etl_deleted_at IS NULL' ELSE 'true' END) INTO found;
    IF found > 0 THEN
      result := concat_ws(', ', result, target);
    END IF;
  END LOOP;
  RETURN result;
END
$$;

-- chaos changes some rows, runs the extracts (several times, so that loads find several batches) and then the loads.
CREATE FUNCTION pg_temp.chaos(seed double precision, rounds integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  result text;
BEGIN
  PERFORM setseed(seed);
  FOR round IN 1 .. rounds LOOP
    FOR part IN 1 .. 1 + floor(random() * 3) LOOP
      FOR change IN 1 .. floor(random() * 6) LOOP
        PERFORM pg_temp.change_once();
      END LOOP;
      PERFORM etl.run_pipeline('t_chaos', mode => 'inline', tasks => '{compared,whole,flagged}');
    END LOOP;
    PERFORM etl.run_pipeline('t_chaos', mode => 'inline', full_refresh => random() < 0.1,
      tasks => (SELECT array_agg(t.name) FROM etl.task AS t JOIN etl.pipeline AS p USING (pipeline_id)
                WHERE p.name = 't_chaos' AND t.kind = 'load'));
    result := pg_temp.differing();
    IF result IS NOT NULL THEN
      RETURN format('round %s: %s', round, result);
    END IF;
  END LOOP;
  RETURN NULL;
END
$$;
SELECT is(pg_temp.chaos(seed / 10.0, 6), NULL, format('targets equal their source after each round, seed %s', seed))
FROM generate_series(1, 4) AS seed;
SELECT * FROM finish();
ROLLBACK;
