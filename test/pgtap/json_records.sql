-- JSON records become rows: where values are taken from, what types make of them, what is left over, what is refused.
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
SELECT plan(33);

-- write makes a file below the server's data directory: each element a line.
CREATE FUNCTION pg_temp.write(name text, VARIADIC lines text[]) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  object oid := lo_from_bytea(0, convert_to(array_to_string(lines, E'\n') || E'\n', 'UTF8'));
BEGIN
  RETURN lo_export(object, current_setting('data_directory') || '/' || name);
END $$;
SELECT format('CREATE SERVER t_disk FOREIGN DATA WRAPPER etl_file OPTIONS (root %L)', current_setting('data_directory')) \gexec
CREATE SCHEMA t_in;
CREATE DOMAIN t_in.even AS integer CHECK (VALUE % 2 = 0);
CREATE TYPE t_in.mood AS ENUM ('good', 'bad');

-- ---- plain fields ------------------------------------------------------------------------------------------------------
CREATE FOREIGN TABLE t_in.flat (
  id int, name text, price numeric(6, 2), ok boolean, at timestamptz, doc jsonb, raw json, list text[], grid int[], n int OPTIONS (json '$.count'))
SERVER t_disk OPTIONS (prefix 'etl_flat', pattern '.json', format 'ndjson');
SELECT pg_temp.write('etl_flat.json',
  '{"id": 1, "name": "a\u00e9\"b", "price": 12.345, "ok": true, "at": "2026-01-02 03:04:05", "doc": {"a": [1, null]}, "raw": {"b":  1}, "list": ["x", "y,\"z", null], "grid": [[1,2],[3,4]], "count": 7}',
  '{"name": null, "id": 2, "id": 3}',
  '{"id": "4", "name": 5, "price": "1e2", "ok": "no", "doc": "text", "list": []}',
  '{"id": 5, "name": {"first": "x"}, "doc": null}') \g /dev/null
SELECT is((SELECT name FROM t_in.flat WHERE id = 1), 'aé"b', 'a string without its escapes');
SELECT is((SELECT price FROM t_in.flat WHERE id = 1), 12.35, 'a number with the precision of its column');
SELECT ok((SELECT ok FROM t_in.flat WHERE id = 1), 'true');
SET TIME ZONE 'Asia/Tokyo';
SELECT is((SELECT at FROM t_in.flat WHERE id = 1), '2026-01-02 03:04:05+00'::timestamptz, 'a time without zone is in UTC');
RESET TIME ZONE;
SELECT is((SELECT doc FROM t_in.flat WHERE id = 1), '{"a": [1, null]}'::jsonb, 'an object as jsonb');
SELECT is((SELECT raw::text FROM t_in.flat WHERE id = 1), '{"b":  1}', 'and as json, letter by letter');
SELECT is((SELECT list FROM t_in.flat WHERE id = 1), ARRAY['x', 'y,"z', NULL], 'a list as array');
SELECT is((SELECT grid FROM t_in.flat WHERE id = 1), ARRAY[[1, 2], [3, 4]], 'a list of lists as array');
SELECT is((SELECT n FROM t_in.flat WHERE id = 1), 7, 'a column of another name than its field');
SELECT is((SELECT count(*) FROM t_in.flat WHERE id = 3 AND name IS NULL AND doc IS NULL), 1::bigint, 'the last of equal fields counts; null and what is missing are NULL');
SELECT is((SELECT array_agg(row(name, price, ok, doc, list)::text) FROM t_in.flat WHERE id = 4), ARRAY['(5,100.00,f,"""text""",{})'], 'strings and numbers as their columns want them');
SELECT is((SELECT name FROM t_in.flat WHERE id = 5), '{"first": "x"}', 'an object in a text column is its JSON');
SELECT is((SELECT count(*) FROM t_in.flat), 4::bigint, 'a query that needs no column counts the records');
SELECT is((SELECT sum(f.id) FROM t_in.flat AS f JOIN t_in.flat AS g ON g.id = f.id), 13::bigint, 'a table can be read twice in a query');

-- ---- jsonpath and the whole record -------------------------------------------------------------------------------------
CREATE FOREIGN TABLE t_in.deep (
  id int, city text OPTIONS (json '$.address.city'), first text OPTIONS (json '$.tags[0]'), big int OPTIONS (json '$.n ? (@ > 10)'), doc jsonb OPTIONS (json '$'))
SERVER t_disk OPTIONS (prefix 'etl_deep', pattern '.json', format 'ndjson');
SELECT pg_temp.write('etl_deep.json', '{"id": 1, "address": {"city": "Cádiz"}, "tags": ["x"], "n": 11, "more": true}', '{"id": 2, "address": "none", "n": 3}') \g /dev/null
SELECT is((SELECT row(city, first, big)::text FROM t_in.deep WHERE id = 1), '(Cádiz,x,11)', 'values that a jsonpath finds');
SELECT is((SELECT row(city, first, big)::text FROM t_in.deep WHERE id = 2), '(,,)', 'what it does not find is NULL');
SELECT is((SELECT doc ->> 'more' FROM t_in.deep WHERE id = 1), 'true', 'the whole record');
SELECT throws_ok($$CREATE FOREIGN TABLE t_in.x (a int OPTIONS (json '$.a[')) SERVER t_disk OPTIONS (prefix 'x')$$, '42601', NULL, 'a jsonpath with an error is refused');
SELECT throws_ok($$CREATE FOREIGN TABLE t_in.x (a int OPTIONS (json 'name')) SERVER t_disk OPTIONS (prefix 'x')$$, 'HV024', NULL, 'so is what does not begin at the record');

-- ---- records that are none ---------------------------------------------------------------------------------------------
CREATE FOREIGN TABLE t_in.bad (id int, small smallint, e t_in.even, m t_in.mood, doc jsonb)
SERVER t_disk OPTIONS (prefix 'etl_bad', pattern '.json', format 'ndjson');
SELECT pg_temp.write('etl_bad.json',
  '{"id": 1, "small": 1, "e": 2, "m": "good"}',
  '{"id": 2, "small": 70000}',
  '{"id": 3, "e": 3}',
  '{"id": 4, "m": "fair"}',
  '{"id": 5',
  '[6]',
  '{"id": 7, "name": "\u0000"}',
  '{"id": 8, "doc": ' || repeat('[', 50000) || repeat(']', 50000) || '}',
  '{"id": 9, "doc": 1e400000}',
  '{"id": 10, "colour": "red", "size": {"x": 1}}') \g /dev/null
SELECT throws_ok('SELECT * FROM t_in.bad', '22003', NULL, 'a SELECT ends at the first bad record');
SELECT etl.create_pipeline('t_json') \g /dev/null
SELECT etl.add_extract('t_json', 'bad', source => 't_in.bad', target => 't_raw.bad', on_error => 'skip_row') \g /dev/null
SELECT etl.run_pipeline('t_json', mode => 'inline') \g /dev/null
SELECT is((SELECT string_agg(id::text, ' ' ORDER BY id) FROM t_raw.bad), '1 10', 'an extract that skips bad records takes the good ones');
SELECT is((SELECT string_agg(position || ' ' || error_sqlstate || coalesce(' ' || column_name || '=' || left(value, 10), ''), ', ' ORDER BY quarantine_id) FROM etl.quarantine),
  '2 22003 small=70000, 3 23514 e=3, 4 22P02 m=fair, 5 22P02, 6 22P02, 7 22P02, 8 54001, 9 22003 doc=1e400000', 'each bad record is in quarantine, with line, SQLSTATE, column and value');
SELECT is((SELECT row_data ->> 'record' FROM etl.quarantine WHERE position = 5), '{"id": 5', 'with the record itself');
SELECT is((SELECT min(octet_length(row_data ->> 'record')) FROM etl.quarantine WHERE position = 8), 65536, 'of a long one the first 64 kB');
SELECT is((SELECT origin FROM etl.quarantine WHERE position = 5), 'etl_bad.json', 'and the file');
SELECT is((SELECT rows_rejected FROM etl.task_run WHERE task = 'bad'), 8::bigint, 'they are counted');
SELECT is((SELECT _etl_extra FROM t_raw.bad WHERE id = 10), '{"colour": "red", "size": {"x": 1}}'::jsonb, 'fields that no column takes are kept');

-- ---- what an extract does with its settings ----------------------------------------------------------------------------
SELECT etl.add_extract('t_json', 'flat', source => 't_in.flat', target => 't_raw.flat', columns => '{id,name,ok}', filter => 'id > 1', deletes => 'column:id = 4') \g /dev/null
SELECT etl.run_pipeline('t_json', mode => 'inline', tasks => '{flat}') \g /dev/null
SELECT is((SELECT string_agg(id || _etl_op, ' ' ORDER BY id) FROM t_raw.flat), '3u 4d 5u', 'filter and deletes are evaluated');
SELECT is((SELECT count(*) FROM t_raw.flat WHERE _etl_extra IS NOT NULL), 0::bigint, 'columns that were left out are nothing extra');
SELECT etl.run_pipeline('t_json', mode => 'inline') \g /dev/null
SELECT is((SELECT count(*) FROM t_raw.flat), 3::bigint, 'a second run reads no file again');
SELECT etl.run_pipeline('t_json', mode => 'inline', tasks => '{flat}', full_refresh => true) \g /dev/null
SELECT is((SELECT count(*) FROM t_raw.flat), 6::bigint, 'a full refresh does');
SELECT throws_ok($$SELECT etl.add_extract('t_json', 'x', source => 't_in.flat', target => 't_raw.x', filter => 'id IN (SELECT 1)')$$, '0A000', NULL, 'a filter that looks elsewhere is refused');
SELECT is((SELECT reader FROM etl.task_run WHERE task = 'flat' ORDER BY task_run_id LIMIT 1), 'file', 'the reader is named');
SELECT * FROM finish();
ROLLBACK;
