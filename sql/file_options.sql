-- Options of etl_s3 and etl_file: what is valid, where it belongs; settings of extracts from files.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_ext;
CREATE FUNCTION pg_temp.refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  m text; d text; h text;
BEGIN
  EXECUTE statement;
  RETURN 'not refused';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
  RETURN SQLSTATE || ': ' || m || E'\n  ' || d || E'\n  ' || h;
END $$;
\pset format unaligned
\pset tuples_only on

-- Servers.
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_s3$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_s3 OPTIONS (bucket 'No Bucket')$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_s3 OPTIONS (bucket 'acme', endpoint 'https://s3.example.com@key:secret')$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_s3 OPTIONS (bucket 'acme', endpoint 'https://s3.example.com/path')$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_s3 OPTIONS (bucket 'acme', region 'EU west')$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_s3 OPTIONS (bucket 'acme', addressing 'host')$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_s3 OPTIONS (bucket 'acme', secret_access_key 'hidden')$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_file OPTIONS (root 'relative')$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_file OPTIONS (root '/srv/../etc')$$);
SELECT pg_temp.refused($$CREATE SERVER x FOREIGN DATA WRAPPER etl_file OPTIONS (bucket 'acme')$$);
CREATE SERVER fo_lake FOREIGN DATA WRAPPER etl_s3 OPTIONS (bucket 'acme');
CREATE SERVER fo_disk FOREIGN DATA WRAPPER etl_file OPTIONS (root '/srv/etl_ext_no_such_directory');
CREATE SERVER fo_api FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'https://api.example.com');

-- User mappings.
SELECT pg_temp.refused($$CREATE USER MAPPING FOR CURRENT_USER SERVER fo_lake OPTIONS (access_key_id 'hidden')$$);
SELECT pg_temp.refused($$CREATE USER MAPPING FOR CURRENT_USER SERVER fo_lake OPTIONS (access_key_id 'a', secret_access_key E'hid\nden')$$);
SELECT pg_temp.refused($$CREATE USER MAPPING FOR CURRENT_USER SERVER fo_disk OPTIONS (password 'hidden')$$);

-- Tables and columns.
SELECT pg_temp.refused($$CREATE FOREIGN TABLE x (a int) SERVER fo_lake OPTIONS (prefix '/raw')$$);
SELECT pg_temp.refused($$CREATE FOREIGN TABLE x (a int) SERVER fo_disk OPTIONS (prefix 'a/../../b')$$);
SELECT pg_temp.refused($$CREATE FOREIGN TABLE x (a int) SERVER fo_disk OPTIONS (format 'parquet')$$);
SELECT pg_temp.refused($$CREATE FOREIGN TABLE x (a int) SERVER fo_disk OPTIONS (format 'ndjson', delimiter ';')$$);
SELECT pg_temp.refused($$CREATE FOREIGN TABLE x (a int) SERVER fo_disk OPTIONS (delimiter '::')$$);
SELECT pg_temp.refused($$CREATE FOREIGN TABLE x (a int) SERVER fo_disk OPTIONS (delimiter ';', quote ';')$$);
SELECT pg_temp.refused($$CREATE FOREIGN TABLE x (a int) SERVER fo_disk OPTIONS (delimiter ';', "null" 'a;b')$$);
SELECT pg_temp.refused($$CREATE FOREIGN TABLE x (a int) SERVER fo_disk OPTIONS (encoding 'SJIS', escape '\')$$);
SELECT pg_temp.refused($$CREATE FOREIGN TABLE x (a int) SERVER fo_disk OPTIONS (header 'yes')$$);
SELECT pg_temp.refused($$CREATE FOREIGN TABLE x (a int) SERVER fo_disk OPTIONS (encoding 'UTF-7')$$);
SELECT pg_temp.refused($$CREATE FOREIGN TABLE x (a int) SERVER fo_disk OPTIONS (compression 'zip')$$);
SELECT pg_temp.refused($$CREATE FOREIGN TABLE x (a int) SERVER fo_disk OPTIONS (max_bytes '100')$$);
SELECT pg_temp.refused($$CREATE FOREIGN TABLE x (a int) SERVER fo_disk OPTIONS (root '/tmp')$$);
SELECT pg_temp.refused($$CREATE FOREIGN TABLE x (a int OPTIONS (json 'name')) SERVER fo_disk$$);
SELECT pg_temp.refused($$CREATE FOREIGN TABLE x (a int OPTIONS (prefix 'name')) SERVER fo_disk$$);

-- Extracts.
CREATE SCHEMA fo;
CREATE FOREIGN TABLE fo.lake (id int, at timestamptz, _file text) SERVER fo_lake OPTIONS (prefix 'raw/');
CREATE FOREIGN TABLE fo.disk (id int) SERVER fo_disk;
CREATE FOREIGN TABLE fo.line (id int, _line int) SERVER fo_disk;
CREATE FOREIGN TABLE fo.api (id int) SERVER fo_api OPTIONS (path '/x');
CREATE TABLE fo.local (id int);
SELECT etl.create_pipeline('fo') \g /dev/null
CREATE FUNCTION pg_temp.extract(source text, settings text) RETURNS text LANGUAGE sql AS $$
  SELECT pg_temp.refused(format('SELECT etl.add_extract(''fo'', ''x'', source => %L, target => ''fo_raw.x'', %s)', source, settings))
$$;
SELECT pg_temp.extract('fo.lake', $$cursor_column => 'at'$$);
SELECT pg_temp.extract('fo.lake', $$slices => 2, primary_key => '{id}'$$);
SELECT pg_temp.extract('fo.lake', $$chunk_interval => '1 day'$$);
SELECT pg_temp.extract('fo.lake', $$snapshot_group => 'g'$$);
SELECT pg_temp.extract('fo.lake', $$reconcile => true$$);
SELECT pg_temp.extract('fo.lake', $$deletes => 'compare', primary_key => '{id}'$$);
SELECT pg_temp.extract('fo.lake', $$reader => 'query'$$);
SELECT pg_temp.extract('fo.lake', $$reader => 'kafka'$$);
SELECT pg_temp.extract('fo.lake', $$on_error => 'ignore'$$);
SELECT pg_temp.extract('fo.lake', $$file_changed => 'keep'$$);
SELECT pg_temp.extract('fo.lake', $$filter => 'id IN (SELECT 1)'$$);
SELECT pg_temp.extract('fo.lake', $$filter => 'at > now()', columns => '{id}'$$);
SELECT pg_temp.extract('fo.disk', $$file_changed => 'replace'$$);
SELECT pg_temp.extract('fo.lake', $$file_changed => 'replace', deletes => 'column: id < 0'$$);
SELECT pg_temp.extract('fo.line', $$on_error => 'abort'$$);
SELECT pg_temp.extract('fo.api', $$on_error => 'skip_file'$$);
SELECT pg_temp.extract('fo.api', $$file_changed => 'append'$$);
SELECT pg_temp.extract('fo.local', $$on_error => 'abort'$$);
SELECT pg_temp.refused($$SELECT * FROM fo.disk$$);

-- What is known without asking.
SELECT etl.add_extract('fo', 'lake', source => 'fo.lake', target => 'fo_raw.lake', filter => 'id > 0', on_error => 'skip_row', file_changed => 'replace') \g /dev/null
SELECT * FROM etl.explain_task('fo', 'lake');
SELECT severity, replace(problem, quote_ident(current_user), 'ME'), replace(hint, quote_ident(current_user), 'ME') FROM etl.validate('fo') WHERE task = 'lake';
EXPLAIN (VERBOSE, COSTS OFF) SELECT id FROM fo.lake WHERE id > 1;
SELECT on_error, file_changed FROM etl.task WHERE name = 'lake';
SELECT etl.alter_task('fo', 'lake', reset => '{on_error,file_changed}');
SELECT on_error, file_changed FROM etl.task WHERE name = 'lake';

SELECT etl.drop_pipeline('fo');
DROP SERVER fo_lake, fo_disk, fo_api CASCADE;
DROP SCHEMA fo, fo_raw CASCADE;
