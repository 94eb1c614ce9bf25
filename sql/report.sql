-- etl.report and etl.graph: what is refused. What they write is in test/pgtap/report.sql.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_ext;
\set VERBOSITY verbose
\set SHOW_CONTEXT never
\pset format unaligned
\pset tuples_only on
CREATE FUNCTION pg_temp.refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  detail text;
  hint text;
BEGIN
  EXECUTE statement;
  RETURN 'not refused';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN concat_ws(E'\n  ', SQLSTATE || ': ' || SQLERRM, detail, hint);
END
$$;
SELECT etl.create_pipeline('rep') > 0;
SELECT etl.create_pipeline('rep''s other') > 0;
SELECT pg_temp.refused($$SELECT etl.report('nope')$$);
SELECT pg_temp.refused($$SELECT etl.report(NULL)$$);
SELECT pg_temp.refused($$SELECT etl.report('rep', 0)$$);
SELECT pg_temp.refused($$SELECT etl.report('rep', 1001)$$);
SELECT pg_temp.refused($$SELECT etl.report('rep', NULL)$$);
SELECT pg_temp.refused($$SELECT etl.graph('nope')$$);
SELECT pg_temp.refused($$SELECT etl.graph(NULL)$$);
SELECT pg_temp.refused($$SELECT etl.graph('rep', 'svg')$$);
SELECT pg_temp.refused($$SELECT etl.graph('rep', run_id => 0)$$);
SELECT etl.run_pipeline('rep', mode => 'inline') AS run \gset
SELECT replace(pg_temp.refused(format($$SELECT etl.graph('rep''s other', run_id => %s)$$, :run)), :'run', 'N');
SELECT etl.graph('rep', run_id => :run);
-- They read and write nothing, also in a transaction that may not write.
BEGIN READ ONLY;
SELECT length(etl.report('rep')) > 1000, etl.graph('rep', 'dot') LIKE 'digraph%';
ROLLBACK;
-- The search_path of the caller does not matter, and stays.
SET search_path = pg_temp, public;
CREATE FUNCTION pg_temp.to_char(timestamp, text) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'hijacked'; END$$;
SELECT length(etl.report('rep')) > 1000;
SHOW search_path;
RESET search_path;
SELECT etl.drop_pipeline('rep');
SELECT etl.drop_pipeline('rep''s other');
