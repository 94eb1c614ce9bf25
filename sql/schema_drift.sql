-- Changes of the columns of local sources; those behind foreign tables are in test/t/037_schema_drift.pl.
SET client_min_messages = warning;
-- Tables are dropped and changed on purpose.
SET etl.guard_ddl = off;
CREATE EXTENSION IF NOT EXISTS etl_ext;
\pset format unaligned
\pset tuples_only on
\pset null (null)

CREATE FUNCTION pg_temp.run(task text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM etl.run_pipeline('drift', tasks => ARRAY[task], mode => 'inline');
  RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
  RETURN SQLSTATE || ': ' || SQLERRM;
END
$$;
CREATE FUNCTION pg_temp.events(task text) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT concat_ws(' ', e.column_name, e.change, e.old_type, '->', e.new_type) || ': ' || e.policy || ', ' || e.action
  FROM etl.schema_event AS e JOIN etl.task AS t USING (task_id) WHERE t.name = task ORDER BY e.event_id
$$;
CREATE FUNCTION pg_temp.shape(relation regclass) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum)
  FROM pg_attribute WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped AND attname NOT LIKE '\_etl%'
$$;

CREATE SCHEMA sd;
CREATE TABLE sd.evolve (id integer PRIMARY KEY, n integer, v varchar(5), d date, p numeric(6,2), at timestamp NOT NULL);
INSERT INTO sd.evolve VALUES (1, 1, 'a', '2024-01-01', 1.5, '2024-01-01');
CREATE TABLE sd.freeze AS SELECT * FROM sd.evolve;
CREATE TABLE sd.discard AS SELECT * FROM sd.evolve;
CREATE TABLE sd.few AS SELECT * FROM sd.evolve;
SELECT etl.create_pipeline('drift') > 0;
SELECT etl.add_extract('drift', 'evolve', 'sd.evolve', 'sd.raw_evolve', cursor_column => 'at', primary_key => '{id}') > 0;
SELECT etl.add_extract('drift', 'freeze', 'sd.freeze', 'sd.raw_freeze', cursor_column => 'at', primary_key => '{id}', schema_drift => 'freeze') > 0;
SELECT etl.add_extract('drift', 'discard', 'sd.discard', 'sd.raw_discard', cursor_column => 'at', primary_key => '{id}', schema_drift => 'discard') > 0;
SELECT etl.add_extract('drift', 'few', 'sd.few', 'sd.raw_few', cursor_column => 'at', primary_key => '{id}', columns => '{id,n,at}') > 0;
SELECT task, pg_temp.run(task) FROM unnest('{evolve,freeze,discard,few}'::text[]) AS task;
SELECT count(*) FROM etl.schema_event;

-- evolve: new columns, wider ones (of the key too) and names of our own.
ALTER TABLE sd.evolve ADD COLUMN c text COLLATE "C", ADD COLUMN _etl_op text, ALTER id TYPE bigint, ALTER n TYPE numeric, ALTER v TYPE text,
  ALTER d TYPE timestamp, ALTER p TYPE numeric(10,2);
INSERT INTO sd.evolve VALUES (5000000000, 0.5, 'longer than that', '2024-01-02 12:00', 12345678.25, '2024-01-02', 'c', 'x');
SELECT pg_temp.run('evolve');
SELECT pg_temp.shape('sd.raw_evolve');
SELECT id, n, v, d::date, p, c, _etl_op FROM sd.raw_evolve ORDER BY id;
SELECT pg_temp.events('evolve');
SELECT pg_temp.run('evolve');
SELECT count(*) FROM etl.schema_event;

-- Narrower, another type, gone and back.
ALTER TABLE sd.evolve ALTER p TYPE numeric(9,1), ALTER d TYPE text, DROP COLUMN c;
SELECT pg_temp.run('evolve');
ALTER TABLE sd.evolve ALTER d TYPE timestamp USING d::timestamp;
INSERT INTO sd.evolve VALUES (3, 3, 'c', '2024-01-03', 3, '2024-01-03');
SELECT pg_temp.run('evolve');
ALTER TABLE sd.evolve ADD COLUMN c text COLLATE "C";
INSERT INTO sd.evolve VALUES (4, 4, 'd', '2024-01-04', 4, '2024-01-04', NULL, 'again');
SELECT pg_temp.run('evolve');
SELECT id, c FROM sd.raw_evolve WHERE id IN (3, 4) ORDER BY id;
SELECT pg_temp.events('evolve') OFFSET 7;

-- A cursor that is gone or has another type.
ALTER TABLE sd.evolve ALTER at TYPE timestamptz;
SELECT pg_temp.run('evolve');
ALTER TABLE sd.evolve DROP COLUMN at;
SELECT pg_temp.run('evolve');

-- freeze: nothing is read until it is accepted.
ALTER TABLE sd.freeze ADD COLUMN c text;
INSERT INTO sd.freeze VALUES (2, 2, 'b', '2024-01-02', 2, '2024-01-02', 'c');
SELECT pg_temp.run('freeze');
SELECT count(*) FROM sd.raw_freeze;
SELECT etl.alter_task('drift', 'freeze', chunk_rows => 10);
SELECT pg_temp.run('freeze');
SELECT etl.alter_task('drift', 'freeze', schema_drift => 'freeze');
SELECT pg_temp.run('freeze');
SELECT id, _etl_extra FROM sd.raw_freeze ORDER BY id;

-- discard: new columns are nowhere, values have to fit.
ALTER TABLE sd.discard ADD COLUMN c text, ALTER n TYPE bigint, DROP COLUMN v;
INSERT INTO sd.discard VALUES (2, 2, '2024-01-02', 2, '2024-01-02', 'c');
SELECT pg_temp.run('discard');
SELECT pg_temp.run('discard');
SELECT id, n, v, _etl_extra FROM sd.raw_discard WHERE id = 2;
INSERT INTO sd.discard VALUES (3, 5000000000, '2024-01-03', 3, '2024-01-03', 'c');
SELECT pg_temp.run('discard');
SELECT pg_temp.events('discard');
-- Taken after all.
SELECT etl.alter_task('drift', 'discard', schema_drift => 'evolve');
SELECT pg_temp.run('discard');
SELECT id, n, v, c FROM sd.raw_discard WHERE id = 3;

-- columns: only those matter.
ALTER TABLE sd.few ADD COLUMN c text, DROP COLUMN v;
SELECT pg_temp.run('few');
SELECT pg_temp.events('few');
SELECT left_out FROM etl.source_schema JOIN etl.task USING (task_id) WHERE name = 'few';
