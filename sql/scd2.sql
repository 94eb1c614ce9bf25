-- Mode scd2 and surrogate keys: what is refused, what explain_task and validate say, etl.as_of, etl.no_overlap.
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

CREATE SCHEMA scd;
CREATE TABLE scd.raw (id bigint, name text, city text, day date, at timestamptz, changed timestamptz,
  _etl_op text NOT NULL DEFAULT 'u', _etl_batch bigint, _etl_loaded_at timestamptz, _etl_extra jsonb);
SELECT etl.create_pipeline('scd') > 0;

-- Options.
SELECT options, pg_temp.refused(format($$SELECT etl.add_load('scd', 'x', target => 'scd.x', query => 'SELECT id, name, city, at FROM scd.raw', %s)$$, options))
FROM unnest(ARRAY[
  $$mode => 'scd2'$$,
  $$mode => 'scd3', key => '{id}'$$,
  $$mode => 'scd2', key => '{id}', order_by => 'name'$$,
  $$mode => 'scd2', key => '{id}', order_by => 'at ASC'$$,
  $$mode => 'scd2', key => '{id,at}', order_by => 'at'$$,
  $$mode => 'scd2', key => '{id}', order_by => 'at', track => '{nix}'$$,
  $$mode => 'scd2', key => '{id}', order_by => 'at', track => '{id}'$$,
  $$mode => 'scd2', key => '{id}', order_by => 'at', track => '{at}'$$,
  $$mode => 'merge', key => '{id}', track => '{name}'$$,
  $$mode => 'append', surrogate_key => 'sk'$$,
  $$mode => 'scd2', key => '{id}', update_columns => '{name}'$$,
  $$mode => 'scd2', key => '{id}', ignore_null_columns => '{name}'$$,
  $$mode => 'scd2', key => '{id}', on_delete => 'mark'$$,
  $$mode => 'scd2', key => '{id}', surrogate_key => 'name'$$]) AS options;

-- Columns of the query that have the names of those that etl_ext keeps.
SELECT pg_temp.refused($$SELECT etl.add_load('scd', 'x', target => 'scd.x', mode => 'scd2', key => '{id}', query => 'SELECT id, at AS valid_from FROM scd.raw')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('scd', 'x', target => 'scd.x', mode => 'merge', surrogate_key => 'sk', key => '{id}', query => 'SELECT id, true AS is_inferred FROM scd.raw')$$);
SELECT pg_temp.refused($$SELECT etl.add_load('scd', 'x', target => 'scd.dim_x', mode => 'scd2', key => '{id}', query => 'SELECT id, 1 AS x_key FROM scd.raw')$$);

-- A query through which deletes cannot be followed: refused when they are asked for, ignored otherwise.
SELECT pg_temp.refused($$SELECT etl.add_load('scd', 'x', target => 'scd.x', mode => 'scd2', key => '{id}', on_delete => 'delete', query => 'SELECT DISTINCT id, name FROM scd.raw')$$);
SELECT etl.add_load('scd', 'distinct', target => 'scd.d_distinct', mode => 'scd2', key => '{id}', query => 'SELECT DISTINCT id, name FROM scd.raw') > 0;

-- Names of surrogate keys.
SELECT etl.add_load('scd', 'dim', target => 'scd.dim_customer', mode => 'scd2', key => '{id}', order_by => 'changed, at', track => '{name}',
  query => 'SELECT id, name, city, at, changed FROM scd.raw') > 0;
SELECT etl.add_load('scd', 'named', target => 'scd.product', mode => 'scd2', key => '{id,name}', order_by => 'day', surrogate_key => 'nr',
  query => 'SELECT id, name, city, day FROM scd.raw') > 0;
SELECT etl.add_load('scd', 'merged', target => 'scd.country', key => '{id}', surrogate_key => 'country_key', query => 'SELECT id, name FROM scd.raw') > 0;
SELECT table_name, string_agg(column_name || ' ' || data_type || CASE is_nullable WHEN 'NO' THEN ' not null' ELSE '' END, ', ' ORDER BY ordinal_position)
FROM information_schema.columns WHERE table_schema = 'scd' AND table_name IN ('d_distinct', 'dim_customer', 'product', 'country') GROUP BY 1 ORDER BY 1;
SELECT conrelid::regclass, contype, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'scd'::regnamespace
  AND conrelid IN ('scd.dim_customer'::regclass, 'scd.country'::regclass, 'scd.product'::regclass) ORDER BY conrelid::regclass::text, contype, 3;
SELECT tgrelid::regclass, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = 'no_overlap' ORDER BY 1::text;
SELECT indexdef FROM pg_indexes WHERE schemaname = 'scd' AND indexdef LIKE '%WHERE%' ORDER BY 1;
SELECT * FROM scd.dim_customer;
SELECT * FROM scd.country;
SELECT pg_get_viewdef('scd.product_as_of');
SELECT obj_description('scd.dim_customer_as_of'::regclass);

-- Targets that were there.
CREATE TABLE scd.old (id bigint, name text, at timestamptz);
CREATE FUNCTION pg_temp.try(target text DEFAULT 'scd.old', options text DEFAULT '') RETURNS text LANGUAGE sql AS $$
  SELECT pg_temp.refused(format($q$SELECT etl.add_load('scd', 'x', target => %L, mode => 'scd2', key => '{id}', order_by => 'at', query => 'SELECT id, name, at FROM scd.raw'%s)$q$, target, options))
$$;
SELECT pg_temp.try();
SELECT pg_temp.try(options => $$, surrogate_key => 'sk'$$);
ALTER TABLE scd.old ADD COLUMN sk bigint;
SELECT pg_temp.try(options => $$, surrogate_key => 'sk'$$);
ALTER TABLE scd.old DROP COLUMN sk;
ALTER TABLE scd.old ADD COLUMN sk bigint GENERATED BY DEFAULT AS IDENTITY;
SELECT pg_temp.try();
ALTER TABLE scd.old ADD UNIQUE (sk);
SELECT pg_temp.try();
ALTER TABLE scd.old ADD COLUMN valid_from date NOT NULL DEFAULT '-infinity', ADD COLUMN valid_to timestamptz NOT NULL DEFAULT 'infinity';
SELECT pg_temp.try();
ALTER TABLE scd.old DROP COLUMN valid_from;
ALTER TABLE scd.old ADD COLUMN valid_from timestamptz NOT NULL DEFAULT '-infinity';
SELECT pg_temp.try();
ALTER TABLE scd.old ADD COLUMN is_current boolean NOT NULL DEFAULT true, ADD COLUMN is_inferred integer;
SELECT pg_temp.try();
ALTER TABLE scd.old DROP COLUMN is_inferred;
ALTER TABLE scd.old ADD COLUMN is_inferred boolean NOT NULL DEFAULT false;
SELECT pg_temp.try();
ALTER TABLE scd.old ADD UNIQUE (id, valid_from);
SELECT pg_temp.try();
INSERT INTO scd.old (id, valid_from, valid_to, is_current) VALUES (1, '2026-01-01', '2026-01-05', false), (1, '2026-01-04', 'infinity', true);
CREATE CONSTRAINT TRIGGER no_overlap AFTER INSERT OR UPDATE ON scd.old FOR EACH ROW EXECUTE FUNCTION etl.no_overlap('id');
SELECT pg_temp.try();
UPDATE scd.old SET valid_to = '2026-01-04' WHERE valid_from = '2026-01-01';
SELECT pg_temp.try();
ALTER TABLE scd.old DISABLE TRIGGER no_overlap;
SELECT pg_temp.try();
CREATE TABLE scd.part (LIKE scd.old INCLUDING IDENTITY INCLUDING DEFAULTS) PARTITION BY LIST (id);
SELECT pg_temp.try('scd.part');
SELECT pg_temp.refused($$SELECT etl.add_load('scd', 'x', target => 'scd.part', key => '{id}', surrogate_key => 'nix', query => 'SELECT id, name FROM scd.raw')$$);

-- What explain_task and validate say.
ALTER TABLE scd.old ENABLE TRIGGER no_overlap;
SELECT etl.add_load('scd', 'old', target => 'scd.old', mode => 'scd2', key => '{id}', order_by => 'at', query => 'SELECT id, name, at FROM scd.raw') > 0;
SELECT * FROM etl.validate('scd');
ALTER TABLE scd.old DISABLE TRIGGER no_overlap;
SELECT * FROM etl.validate('scd') WHERE severity = 'error';
SELECT line FROM etl.explain_task('scd', 'dim') AS line WHERE line LIKE '-- %' AND line NOT LIKE '--  %' OR line ~ '^(UPDATE|DELETE|INSERT|CREATE)';
SELECT line FROM etl.explain_task('scd', 'distinct') AS line WHERE line LIKE '-- %' AND line NOT LIKE '--  %' OR line ~ '^(UPDATE|DELETE|INSERT|CREATE)';

-- etl.as_of.
SHOW etl.as_of;
SELECT etl.as_of() = now();
SET etl.as_of = '2026-01-31 12:00+01';
SELECT etl.as_of() = '2026-01-31 11:00+00';
SELECT pg_temp.refused($$SET etl.as_of = 'yesteryear'$$);
SELECT pg_temp.refused($$SET etl.as_of = 'infinity'$$);
SELECT pg_temp.refused($$SET etl.as_of = '2026-02-30'$$);
RESET etl.as_of;

-- etl.no_overlap.
CREATE TABLE scd.plain (a text, b int, valid_from date NOT NULL, valid_to date NOT NULL);
CREATE CONSTRAINT TRIGGER no_overlap AFTER INSERT OR UPDATE ON scd.plain FOR EACH ROW EXECUTE FUNCTION etl.no_overlap('b', 'a');
SELECT pg_temp.refused($$INSERT INTO scd.plain VALUES ('x', 1, '2026-01-01', '2026-01-02')$$);
ALTER TABLE scd.plain ADD UNIQUE (a, b, valid_from);
INSERT INTO scd.plain VALUES ('x', 1, '2026-01-01', '2026-01-05'), ('x', 2, '2026-01-01', '2026-01-05'), ('x', 1, '2026-01-05', 'infinity'),
  ('x', NULL, '2026-01-01', '2026-01-05'), ('x', NULL, '2026-01-02', '2026-01-05');
SELECT pg_temp.refused($$INSERT INTO scd.plain VALUES ('x', 1, '2026-01-04', '2026-01-05')$$);
SELECT pg_temp.refused($$INSERT INTO scd.plain VALUES ('x', 1, '2025-01-04', '2026-01-02')$$);
SELECT pg_temp.refused($$INSERT INTO scd.plain VALUES ('x', 1, '-infinity', 'infinity')$$);
SELECT pg_temp.refused($$UPDATE scd.plain SET b = 1 WHERE b = 2$$);
SELECT pg_temp.refused($$UPDATE scd.plain SET valid_to = '2026-01-06' WHERE b = 1 AND valid_to = '2026-01-05'$$);
BEGIN;
UPDATE scd.plain SET valid_to = '2026-01-03' WHERE b = 1 AND valid_to = '2026-01-05';
UPDATE scd.plain SET valid_from = '2026-01-03' WHERE b = 1 AND valid_to = 'infinity';
DELETE FROM scd.plain WHERE b = 2;
INSERT INTO scd.plain VALUES ('x', 2, '2026-01-01', '2026-01-05');
COMMIT;
SELECT * FROM scd.plain WHERE b = 1 ORDER BY 3;
SELECT pg_temp.refused($$CREATE TRIGGER wrong BEFORE INSERT ON scd.plain FOR EACH ROW EXECUTE FUNCTION etl.no_overlap('b', 'a');
  INSERT INTO scd.plain VALUES ('x', 3, '2026-01-04', '2026-01-05')$$);

-- A view of that name is left alone.
CREATE VIEW scd.taken_as_of AS SELECT 1 AS one;
SELECT etl.add_load('scd', 'taken', target => 'scd.taken', mode => 'scd2', key => '{id}', query => 'SELECT id FROM scd.raw') > 0;
SELECT * FROM scd.taken_as_of;

DROP EXTENSION etl_ext CASCADE;
SELECT count(*) FROM scd.dim_customer;
DROP SCHEMA scd CASCADE;
