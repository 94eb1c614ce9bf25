-- Options of loads and aggregates: what they refuse, and what explain_task says of inputs.
\set SHOW_CONTEXT never
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_ext;
CREATE SCHEMA lo;
CREATE TABLE lo.src (id int PRIMARY KEY, amount int, at timestamptz, day date, at_text text);
CREATE TABLE lo.other (id int PRIMARY KEY, name text);
SELECT etl.create_pipeline('lo') > 0;
SELECT etl.add_extract('lo', 'a', source => 'lo.src', target => 'lo.raw_a', primary_key => '{id}') > 0;
SELECT etl.add_extract('lo', 'b', source => 'lo.other', target => 'lo.raw_b', primary_key => '{id}') > 0;
SELECT etl.add_load('lo', 'kept', target => 'lo.kept', key => '{id}', query => 'SELECT id, name FROM lo.raw_b') > 0;
-- Late data.
SELECT etl.add_load('lo', 'x', target => 'lo.x', key => '{id}', late_window => '1 day', query => 'SELECT id, at FROM lo.raw_a') > 0;
SELECT etl.add_load('lo', 'x', target => 'lo.x', key => '{id}', late_policy => 'reject', query => 'SELECT id, at FROM lo.raw_a') > 0;
SELECT etl.add_load('lo', 'x', target => 'lo.x', key => '{id}', event_time => 'gone', query => 'SELECT id, at FROM lo.raw_a') > 0;
SELECT etl.add_load('lo', 'x', target => 'lo.x', key => '{id}', event_time => 'at_text', query => 'SELECT id, at_text FROM lo.raw_a') > 0;
SELECT etl.add_load('lo', 'x', target => 'lo.x', mode => 'append', event_time => 'at', query => 'SELECT id, at FROM lo.raw_a') > 0;
SELECT etl.add_load('lo', 'x', target => 'lo.x', key => '{id}', event_time => 'at', late_policy => 'drop', query => 'SELECT id, at FROM lo.raw_a') > 0;
SELECT etl.add_aggregate('lo', 'x', target => 'lo.x', key => '{id}', event_time => 'last',
                         query => 'SELECT id, max(at) AS last FROM lo.raw_a GROUP BY id') > 0;
SELECT etl.accept_late(4711);
-- Partial updates.
SELECT etl.add_load('lo', 'x', target => 'lo.x', key => '{id}', mode => 'insert_only', update_columns => '{amount}',
                    query => 'SELECT id, amount FROM lo.raw_a') > 0;
SELECT etl.add_load('lo', 'x', target => 'lo.x', key => '{id}', update_columns => '{gone}', query => 'SELECT id, amount FROM lo.raw_a') > 0;
SELECT etl.add_load('lo', 'x', target => 'lo.x', key => '{id}', ignore_null_columns => '{gone}', query => 'SELECT id, amount FROM lo.raw_a') > 0;
-- Incremental or not.
SELECT etl.add_load('lo', 'x', target => 'lo.x', key => '{id}', incremental => 'required',
                    query => 'SELECT a.id, b.name FROM lo.raw_a AS a LEFT JOIN lo.raw_b AS b USING (id)') > 0;
SELECT etl.add_load('lo', 'x', target => 'lo.x', key => '{id}', incremental => 'required',
                    query => 'SELECT a.id, k.name FROM lo.raw_a AS a LEFT JOIN lo.kept AS k USING (id)') > 0;
SELECT etl.add_load('lo', 'x', target => 'lo.x', key => '{day}', incremental => 'required',
                    query => 'SELECT day, sum(amount) AS amount FROM lo.raw_a GROUP BY day') > 0;
SELECT etl.add_load('lo', 'x', target => 'lo.x', key => '{id}', incremental => 'required', query => 'SELECT id FROM lo.src') > 0;
SELECT etl.add_aggregate('lo', 'x', target => 'lo.x', key => '{name}', incremental => 'required',
                         query => 'SELECT name, count(*) AS n FROM lo.kept WHERE name < current_date::text GROUP BY name') > 0;
SELECT etl.add_aggregate('lo', 'x', target => 'lo.x', key => '{name}', incremental => 'required',
                         query => 'SELECT k.name, count(*) AS n FROM lo.kept AS k JOIN lo.other AS o USING (id) GROUP BY k.name') > 0;
SELECT etl.add_load('lo', 'x', target => 'lo.x', key => '{id}', incremental => 'sometimes', query => 'SELECT id FROM lo.raw_a') > 0;
SELECT etl.add_load('lo', 'x', target => 'lo.x', mode => 'replace', read_window => '1 day', query => 'SELECT id FROM lo.raw_a') > 0;
SELECT etl.add_load('lo', 'x', target => 'lo.x', key => '{id}', on_delete => 'delete', read_window => '1 day', query => 'SELECT id FROM lo.raw_a') > 0;
-- What is followed, as explain_task says it.
CREATE FUNCTION pg_temp.inputs(name text) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT regexp_replace(line, '\d+', 'N', 'g') FROM etl.explain_task('lo', name) AS line WHERE line ~ '^-- lo\.' $$;
SELECT etl.add_load('lo', 'joined', target => 'lo.joined', key => '{id}',
                    query => 'SELECT a.id, a.amount, k.name FROM lo.raw_a AS a JOIN lo.kept AS k USING (id)') > 0;
SELECT pg_temp.inputs('joined');
SELECT etl.add_load('lo', 'outer', target => 'lo.outer_', key => '{id}',
                    query => 'SELECT a.id, a.amount, k.name FROM lo.raw_a AS a LEFT JOIN lo.kept AS k USING (id)') > 0;
SELECT pg_temp.inputs('outer');
SELECT etl.add_load('lo', 'recent', target => 'lo.recent', key => '{id}', read_window => '7 days',
                    query => 'SELECT a.id, b.name FROM lo.raw_a AS a LEFT JOIN lo.raw_b AS b USING (id)') > 0;
SELECT pg_temp.inputs('recent');
SELECT etl.add_load('lo', 'whole', target => 'lo.whole', key => '{id}', incremental => 'full', query => 'SELECT id FROM lo.raw_a') > 0;
SELECT pg_temp.inputs('whole');
SELECT etl.add_aggregate('lo', 'names', target => 'lo.names', key => '{name}', query => 'SELECT name, count(*) AS n FROM lo.kept GROUP BY name') > 0;
SELECT pg_temp.inputs('names');
INSERT INTO lo.src VALUES (1, 1, now(), now()::date, '');
INSERT INTO lo.other VALUES (1, 'one');
SELECT etl.run_pipeline('lo', mode => 'inline') > 0;
SELECT task, message FROM etl.task_run WHERE message LIKE 'All rows%' AND run_id = (SELECT max(run_id) FROM etl.run) ORDER BY task;
INSERT INTO lo.other VALUES (2, 'two');
INSERT INTO lo.src VALUES (2, 2, now(), now()::date, '');
SELECT etl.run_pipeline('lo', mode => 'inline', tasks => '{a,b,kept}') > 0;
SELECT pg_temp.inputs('joined') UNION ALL SELECT pg_temp.inputs('names');
SELECT regexp_replace(line, '\d+', 'N', 'g') FROM etl.explain_task('lo', 'joined') AS line WHERE line ~ 'UNION ALL|etl.changed_';
-- A task that is gone leaves no log.
SELECT count(*) FROM etl.change_log AS l JOIN pg_class ON relname = 'changed_' || log_id WHERE relnamespace = 'etl'::regnamespace AND input LIKE 'lo.%';
SELECT etl.drop_task('lo', 'names');
SELECT count(*) FROM etl.change_log AS l JOIN pg_class ON relname = 'changed_' || log_id WHERE relnamespace = 'etl'::regnamespace AND input LIKE 'lo.%';
SELECT etl.drop_pipeline('lo');
SELECT count(*) FROM etl.change_log AS l JOIN pg_class ON relname = 'changed_' || log_id WHERE relnamespace = 'etl'::regnamespace AND input LIKE 'lo.%';
SELECT count(*) FROM etl.change_log WHERE input LIKE 'lo.%';
DROP SCHEMA lo CASCADE;
