-- Facts that come late, closed groups, partial updates, rows that are older than those of the target.
\set ON_ERROR_STOP 1
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
BEGIN;
SELECT no_plan();

CREATE SCHEMA late;
CREATE TABLE late.src (id bigint PRIMARY KEY, amount int, happened timestamptz, changed timestamptz DEFAULT clock_timestamp());
SELECT etl.create_pipeline('late');
SELECT etl.add_extract('late', 'src', source => 'late.src', target => 'late.raw', cursor_column => 'changed', primary_key => '{id}');
SELECT etl.add_load('late', 'fact', target => 'late.fact', key => '{id}', order_by => 'changed', event_time => 'happened',
                    query => 'SELECT id, amount, happened, changed FROM late.raw');
SELECT etl.add_load('late', 'rejecting', target => 'late.rejecting', key => '{id}', event_time => 'happened', late_window => '10 days',
                    late_policy => 'reject', query => 'SELECT id, amount, happened FROM late.raw');
SELECT etl.add_load('late', 'accepting', target => 'late.accepting', key => '{id}', event_time => 'day', late_policy => 'accept',
                    query => 'SELECT id, amount, happened::date AS day FROM late.raw');
SELECT etl.add_aggregate('late', 'daily', target => 'late.daily', key => '{day}',
                         query => 'SELECT happened::date AS day, count(*) AS n, sum(amount) AS amount FROM late.fact GROUP BY 1');
SELECT etl.add_aggregate('late', 'open_days', target => 'late.open_days', key => '{day}', event_time => 'day', late_window => '5 days',
                         query => 'SELECT happened::date AS day, sum(amount) AS amount FROM late.fact GROUP BY 1');

CREATE FUNCTION pg_temp.last(p_task text, p_name text) RETURNS bigint LANGUAGE sql AS $$
  SELECT (details ->> p_name)::bigint FROM etl.task_run WHERE task = p_task ORDER BY task_run_id DESC LIMIT 1 $$;

INSERT INTO late.src (id, amount, happened) SELECT i, i, now() - i * interval '1 day' FROM generate_series(1, 20) AS i;
SELECT etl.run_pipeline('late', mode => 'inline');
SELECT is((SELECT count(*) FROM late.fact), 20::bigint, 'the first load takes what is old');
SELECT is((SELECT count(*) FROM late.open_days), 20::bigint, 'so does the first aggregate');

UPDATE late.src SET amount = 100, changed = clock_timestamp() WHERE id IN (1, 3, 12);
INSERT INTO late.src (id, amount, happened) VALUES (50, 5, now() - interval '40 days'), (51, 5, now() - interval '1 hour');
SELECT etl.run_pipeline('late', mode => 'inline');
SELECT is((SELECT array_agg(id ORDER BY id) FROM late.fact WHERE amount = 100 OR id > 50), '{1,51}', 'facts within 48 hours are taken');
SELECT is((SELECT array_agg((row_data ->> 'id')::int ORDER BY (row_data ->> 'id')::int) FROM etl.quarantine WHERE target = 'late.fact'), '{3,12,50}',
          'others wait in quarantine');
SELECT is((SELECT DISTINCT error_sqlstate || ' ' || column_name FROM etl.quarantine), 'ZE016 happened', 'with their reason');
SELECT is(pg_temp.last('fact', 'late_quarantined'), 3::bigint, 'and are counted');
SELECT is((SELECT array_agg(id ORDER BY id) FROM late.rejecting WHERE amount = 100 OR id >= 50), '{1,3,51}',
          'reject leaves out what is older than late_window');
SELECT is(pg_temp.last('rejecting', 'late_rejected'), 2::bigint, 'counts it');
SELECT is((SELECT count(*) FROM etl.quarantine WHERE target = 'late.rejecting'), 0::bigint, 'and keeps nothing');
SELECT is((SELECT array_agg(id ORDER BY id) FROM late.accepting WHERE amount = 100 OR id >= 50), '{1,3,12,50,51}',
          'accept takes all');
SELECT is(pg_temp.last('daily', 'groups_touched'), 2::bigint, 'the groups of what was taken are computed, no others');

SELECT is(etl.accept_late((SELECT max(run_id) FROM etl.run)), 3::bigint, 'accept_late says how many rows it takes');
SELECT is((SELECT array_agg(id ORDER BY id) FROM late.fact WHERE amount = 100 OR id >= 50), '{1,3,12,50,51}', 'they are in the target');
SELECT is((SELECT count(*) FROM etl.quarantine), 0::bigint, 'and no longer in quarantine');
SELECT is(etl.accept_late((SELECT max(run_id) FROM etl.run)), 0::bigint, 'a second call finds nothing');
SELECT etl.run_pipeline('late', mode => 'inline');
SELECT is(pg_temp.last('daily', 'groups_touched'), 3::bigint, 'their groups are computed in the next run');
SELECT set_eq('SELECT day, n, amount FROM late.daily',
              'SELECT happened::date, count(*), sum(amount) FROM late.fact GROUP BY 1', 'the aggregate is what its query gives');
SELECT is(pg_temp.last('open_days', 'groups_closed'), 2::bigint, 'an aggregate with late_window counts the groups that it leaves');
SELECT is((SELECT array_agg(amount ORDER BY amount) FROM late.open_days WHERE amount > 99), '{100,100}', 'and leaves them as they were');

-- A version that is older than the one in the target, in a later run.
INSERT INTO late.raw (id, amount, happened, changed, _etl_batch, _etl_loaded_at)
SELECT 1, 7, now(), now() - interval '10 days', nextval('etl.batch_batch_id_seq'), now();
INSERT INTO etl.batch (batch_id, target, task_id, row_count, byte_count, loaded_at)
SELECT currval('etl.batch_batch_id_seq'), 'late.raw', task_id, 1, 0, now() FROM etl.task WHERE name = 'src';
SELECT etl.run_pipeline('late', mode => 'inline', tasks => '{fact}');
SELECT is((SELECT amount FROM late.fact WHERE id = 1), 100, 'an older version does not overwrite a newer one');
SELECT is(pg_temp.last('fact', 'stale'), 1::bigint, 'and is counted');

-- Partial updates.
CREATE TABLE late.part (id int PRIMARY KEY, a int, b int, c int, at timestamptz DEFAULT clock_timestamp());
SELECT etl.create_pipeline('part');
SELECT etl.add_extract('part', 'x', source => 'late.part', target => 'late.raw_part', cursor_column => 'at', primary_key => '{id}');
SELECT etl.add_load('part', 'some', target => 'late.some', key => '{id}', update_columns => '{a}', query => 'SELECT id, a, b FROM late.raw_part');
SELECT etl.add_load('part', 'nulls', target => 'late.nulls', key => '{id}', ignore_null_columns => '{a,b}',
                    query => 'SELECT id, a, b, c FROM late.raw_part');
INSERT INTO late.part VALUES (1, 1, 1, 1), (2, 2, 2, 2), (3, 3, 3, 3);
SELECT etl.run_pipeline('part', mode => 'inline');
UPDATE late.part SET a = 9, b = 9, at = clock_timestamp() WHERE id = 1;
UPDATE late.part SET a = NULL, b = 8, c = NULL, at = clock_timestamp() WHERE id = 2;
UPDATE late.part SET a = NULL, b = NULL, at = clock_timestamp() WHERE id = 3;
SELECT etl.run_pipeline('part', mode => 'inline');
SELECT results_eq('SELECT id, a, b FROM late.some ORDER BY id', 'VALUES (1, 9, 1), (2, NULL, 2), (3, NULL, 3)',
                  'update_columns: only these change in rows that are there');
SELECT results_eq('SELECT id, a, b, c FROM late.nulls ORDER BY id', 'VALUES (1, 9, 9, 1), (2, 2, 8, NULL), (3, 3, 3, 3)',
                  'ignore_null_columns: NULL leaves what is there');
SELECT is((SELECT rows_unchanged FROM etl.task_run WHERE task = 'nulls' ORDER BY task_run_id DESC LIMIT 1), 1::bigint,
          'a row of which only such columns came as NULL is not written');

SELECT * FROM finish();
ROLLBACK;
