-- Options of extracts that do not fit together, or that a source cannot serve.
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

CREATE SCHEMA eo;
CREATE TABLE eo.orders (order_id bigint PRIMARY KEY, amount numeric, is_deleted boolean, updated_at timestamptz NOT NULL);
SELECT etl.create_pipeline('eo') > 0;

-- Deletes.
SELECT pg_temp.refused(format('SELECT etl.add_extract(''eo'', ''x'', source => ''eo.orders'', target => ''eo.raw'', %s)', options))
FROM unnest(ARRAY[
  $$deletes => 'nix'$$,
  $$deletes => 'compare'$$,
  $$max_delete_pct => 5$$,
  $$deletes => 'column:is_deleted', delete_scope => 'amount > 0'$$,
  $$deletes => 'column:'$$,
  $$deletes => 'column:is_deleted; SELECT 1'$$,
  $$deletes => 'column:amount'$$,
  $$deletes => 'column:is_deleted', columns => '{order_id,amount}'$$,
  $$deletes => 'compare', primary_key => '{order_id}', delete_scope => 'nix = 1'$$,
  $$deletes => 'compare', primary_key => '{order_id}', filter => 'amount > 0', columns => '{order_id}'$$]) AS options;

-- Large loads.
CREATE TABLE eo.plain (id bigint, day date, at timestamptz);
CREATE FOREIGN DATA WRAPPER eo_fdw;
CREATE SERVER eo_one FOREIGN DATA WRAPPER postgres_fdw;
CREATE SERVER eo_two FOREIGN DATA WRAPPER postgres_fdw;
CREATE SERVER eo_other FOREIGN DATA WRAPPER eo_fdw;
CREATE FOREIGN TABLE eo.one (id bigint, at timestamptz) SERVER eo_one;
CREATE FOREIGN TABLE eo.two (id bigint, at timestamptz) SERVER eo_two;
CREATE FOREIGN TABLE eo.other (id bigint, at timestamptz) SERVER eo_other;
SELECT etl.add_extract('eo', 'one', source => 'eo.one', target => 'eo.raw_one', cursor_column => 'at', snapshot_group => 'g') > 0;
SELECT pg_temp.refused(format('SELECT etl.add_extract(''eo'', ''x'', target => ''eo.raw'', source => %s)', options))
FROM unnest(ARRAY[
  $$'eo.plain', chunk_interval => '1 day'$$,
  $$'eo.plain', chunk_interval => '1 day', cursor_column => 'id'$$,
  $$'eo.plain', chunk_interval => '1 h', cursor_column => 'day'$$,
  $$'eo.plain', chunk_interval => '-1 h', cursor_column => 'at'$$,
  $$'eo.plain', slices => 4$$,
  $$'eo.plain', slices => 65, primary_key => '{id}'$$,
  $$'eo.plain', snapshot_group => 'g'$$,
  $$'eo.other', snapshot_group => 'g'$$,
  $$'eo.one', snapshot_group => ''$$,
  $$'eo.one', snapshot_group => 'g', reader => 'query'$$,
  $$'eo.one', snapshot_group => 'g', cursor_column => 'id'$$,
  $$'eo.two', snapshot_group => 'g'$$]) AS options;

-- Options that only tables of one wrapper have.
SELECT pg_temp.refused(format('SELECT etl.add_extract(''eo'', ''x'', target => ''eo.raw'', source => %s)', options))
FROM unnest(ARRAY[
  $$'eo.plain', reader => 'postgres'$$,
  $$'eo.one', reader => 'mysql'$$,
  $$'eo.one', reader => 'fast'$$,
  $$'eo.one', zero_dates => 'null'$$,
  $$'eo.plain', zero_dates => 'epoch'$$,
  $$'eo.plain', schema_drift => 'follow'$$]) AS options;
