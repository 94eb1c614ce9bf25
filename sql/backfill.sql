-- Backfills: how ranges are cut, what is left out and why, refusals. Nothing runs here: see test/t/042_backfill.pl.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_ext;
CREATE SCHEMA bf;
SET search_path = bf, public;
SET timezone = 'UTC';
SET datestyle = 'ISO';
\pset format unaligned
\pset tuples_only on
\pset null '(null)'
\set SHOW_CONTEXT never

CREATE FUNCTION failing(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  detail text;
  hint text;
BEGIN
  EXECUTE statement;
  RETURN 'it did not fail';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN concat_ws(E'\n', SQLSTATE || ': ' || SQLERRM, '  detail: ' || nullif(detail, ''), '  hint: ' || nullif(hint, ''));
END
$$;
-- cut shows how a range is cut.
CREATE FUNCTION cut(pipeline text, from_time timestamptz, to_time timestamptz, step interval)
RETURNS TABLE (interval_start timestamptz, interval_end timestamptz, length interval) LANGUAGE sql AS $$
  SELECT interval_start, interval_end, interval_end - interval_start
  FROM etl.backfill(pipeline, from_time, to_time, step, dry_run => true)
$$;
-- actions shows what would be done, without numbers.
CREATE FUNCTION actions(reprocess text, tasks text[] DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(extract(day FROM interval_start) || ' ' || regexp_replace(action, '\d+', 'N'), ', ')
  FROM etl.backfill('bf', '2026-01-01', '2026-01-08', reprocess => actions.reprocess, tasks => actions.tasks, dry_run => true)
$$;
-- ran stores a run that has ended or is active, as if it had been done.
CREATE FUNCTION ran(day date, state text, only_tasks text[] DEFAULT NULL, backfill bigint DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
  INSERT INTO etl.run (pipeline_id, state, mode, logical_time, interval_start, interval_end, backfill_id, requested_by, requested_at, definition)
  SELECT pipeline_id, ran.state, 'inline', day + 1, day, day + 1, backfill, current_user::regrole, now(),
         jsonb_build_object('only', only_tasks)
  FROM etl.pipeline WHERE name = 'bf'
$$;

SELECT etl.create_pipeline('bf') > 0;
SELECT etl.add_sql('bf', 'one', 'SELECT 1') > 0;
SELECT etl.add_sql('bf', 'two', 'SELECT 1') > 0;
SELECT etl.add_sql('bf', 'off', 'SELECT 1', enabled => false) > 0;
SELECT etl.create_pipeline('madrid', timezone => 'Europe/Madrid') > 0;
SELECT etl.create_pipeline('york', timezone => 'America/New_York') > 0;

-- Literals resolve; the last interval ends at to_time; nothing is written.
SELECT etl.backfill('bf', '2026-01-01', '2026-01-03 12:00', dry_run => true);
SELECT etl.backfill('bf', '2026-01-01', '2026-02-01', step => '2 weeks', dry_run => true, newest_first => true);
SELECT count(*) FROM etl.backfill_status;

-- Days are days across both clock changes, months are months, hours are hours; the zone is that of the pipeline.
SELECT * FROM cut('madrid', '2026-03-28 Europe/Madrid', '2026-03-31 Europe/Madrid', '1 day');
SELECT * FROM cut('madrid', '2026-10-24 Europe/Madrid', '2026-10-27 Europe/Madrid', '1 day');
SELECT * FROM cut('madrid', '2026-03-28 12:00 Europe/Madrid', '2026-03-29 12:00 Europe/Madrid', '6 hours');
SELECT * FROM cut('madrid', '2026-01-01 Europe/Madrid', '2026-05-01 Europe/Madrid', '1 month');
SELECT * FROM cut('bf', '2026-01-31', '2026-05-01', '1 month');
SET timezone = 'Europe/Madrid';
SELECT * FROM cut('madrid', '2026-03-28', '2026-03-31', '1 day');
SET timezone = 'UTC';
-- Whoever forgets the zone is told. Who names it, or means another time of the day, is not.
SET client_min_messages = notice;
SELECT count(*) FROM cut('york', '2026-03-07', '2026-03-10', '1 day');
SELECT count(*) FROM cut('york', '2026-03-07 America/New_York', '2026-03-10 America/New_York', '1 day');
SELECT count(*) FROM cut('york', '2026-03-07', '2026-03-07 02:00', '1 hour');
SELECT count(*) FROM cut('york', '2026-03-07 05:00', '2026-03-10 05:00', '1 day');
SET client_min_messages = warning;

-- What reprocess leaves out: by the last run, and by the runs that did all of the tasks.
SELECT ran('2026-01-01', 'success');
SELECT ran('2026-01-02', 'failed');
SELECT ran('2026-01-03', 'cancelled');
SELECT ran('2026-01-04', 'failed'), ran('2026-01-04', 'warning', backfill => 0);
SELECT ran('2026-01-05', 'success'), ran('2026-01-05', 'failed');
SELECT ran('2026-01-06', 'success', '{one}');
SELECT ran('2026-01-07', 'running');
SELECT actions('missing');
SELECT actions('failed');
SELECT actions('all');
SELECT actions('missing', '{one}');
SELECT actions('missing', '{one,two}');
SELECT actions('failed', '{two}');
UPDATE etl.run SET state = 'skipped' WHERE state = 'running';
SELECT actions('missing');
SELECT action, count(*) FROM etl.backfill('bf', '2026-01-01', '2026-01-08', step => '12 hours', dry_run => true) GROUP BY action;
SET client_min_messages = notice;
SELECT action = 'skip: run ' || (SELECT min(run_id) FROM etl.run AS r JOIN etl.pipeline AS p USING (pipeline_id) WHERE p.name = 'bf') || ' succeeded', backfill_id
FROM etl.backfill('bf', '2026-01-01', '2026-01-02');
SET client_min_messages = warning;
SELECT count(*) FROM etl.backfill_status;

-- What a backfill stores; another one leaves to it what it has yet to do. The pipeline is paused, so that nothing begins.
SELECT etl.pause_pipeline('bf');
SET client_min_messages = notice;
SELECT interval_start, action, backfill_id > 0 FROM etl.backfill('bf', '2026-01-02', '2026-01-04', newest_first => true, max_active => 2, params => '{"a": null}');
SET client_min_messages = warning;
SELECT pipeline, state, intervals, done, failed, active, remaining, from_time, to_time, requested_at <= now(), ended_at, message FROM etl.backfill_status;
SELECT state, step, timezone, reprocess, newest_first, max_active, params, tasks, requested_by = current_user::regrole FROM etl.backfill;
SELECT interval_start, interval_end, run_id FROM etl.backfill_chunk ORDER BY 1;
SELECT actions('missing'), actions('failed'), actions('all'), actions('missing', '{two}');
SELECT etl.cancel_backfill(max(backfill_id)), etl.cancel_backfill(max(backfill_id)) FROM etl.backfill;
SELECT state, remaining, ended_at >= requested_at, regexp_replace(message, current_user, 'ME') FROM etl.backfill_status;
SELECT actions('missing');
SELECT 1 FROM etl.backfill('bf', '2026-01-02', '2026-01-04', tasks => '{one}');
SELECT actions('missing'), actions('missing', '{one}'), actions('missing', '{one,two}');
SELECT etl.cancel_backfill(max(backfill_id)) FROM etl.backfill;
SELECT etl.resume_pipeline('bf');
-- In the future.
BEGIN;
SET client_min_messages = notice;
SELECT count(*) FROM etl.backfill('bf', now(), now() + interval '1 day');
ROLLBACK;
SELECT count(*) FROM etl.backfill_status WHERE state = 'running';

-- Refusals.
SELECT failing($$SELECT etl.backfill('nobody', '2026-01-01', '2026-02-01')$$);
SELECT failing($$SELECT etl.backfill(NULL, '2026-01-01', '2026-02-01')$$);
SELECT failing($$SELECT etl.backfill('bf', NULL, '2026-02-01')$$);
SELECT failing($$SELECT etl.backfill('bf', '2026-01-01', NULL)$$);
SELECT failing($$SELECT etl.backfill('bf', '2026-02-01', '2026-01-01')$$);
SELECT failing($$SELECT etl.backfill('bf', '2026-01-01', '2026-01-01')$$);
SELECT failing($$SELECT etl.backfill('bf', '-infinity', '2026-01-01')$$);
SELECT failing($$SELECT etl.backfill('bf', '2026-01-01', 'infinity')$$);
SELECT failing($$SELECT etl.backfill('bf', '2026-01-01', '2026-02-01', step => '0')$$);
SELECT failing($$SELECT etl.backfill('bf', '2026-01-01', '2026-02-01', step => '-1 day')$$);
SELECT failing($$SELECT etl.backfill('bf', '2026-01-01', '2026-12-31', step => '1 month -29 days')$$);
SELECT failing($$SELECT etl.backfill('bf', '2026-01-01', '2026-02-01', step => '1 second')$$);
SELECT count(*) FROM etl.backfill('bf', '2026-01-01', '2026-01-01 02:46:40', step => '1 second', dry_run => true);
SELECT failing($$SELECT etl.backfill('bf', '2026-01-01', '2026-01-01 02:46:41', step => '1 second', dry_run => true)$$);
SELECT failing($$SELECT etl.backfill('bf', '2026-01-01', '2026-02-01', reprocess => 'some')$$);
SELECT failing($$SELECT etl.backfill('bf', '2026-01-01', '2026-02-01', max_active => 0)$$);
SELECT failing($$SELECT etl.backfill('bf', '2026-01-01', '2026-02-01', max_active => 101)$$);
SELECT failing($$SELECT etl.backfill('bf', '2026-01-01', '2026-02-01', tasks => '{one,three}')$$);
SELECT failing($$SELECT etl.backfill('bf', '2026-01-01', '2026-02-01', tasks => '{off}')$$);
SELECT failing($$SELECT etl.backfill('bf', '2026-01-01', '2026-02-01', tasks => '{}')$$);
SELECT failing($$SELECT etl.backfill('bf', '2026-01-01', '2026-02-01', tasks => '{NULL}')$$);
SELECT failing($$SELECT etl.backfill('bf', '2026-01-01', '2026-02-01', params => '[1]')$$);
SELECT failing($$SELECT etl.cancel_backfill(0)$$);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT failing($$SELECT etl.cancel_backfill(max(backfill_id)) FROM etl.backfill$$);
ROLLBACK;
-- NULL stands for the default.
SELECT count(*) FROM etl.backfill('bf', '2026-02-01', '2026-02-03', NULL, NULL, NULL, NULL, true, NULL, NULL);

-- Others neither start, nor cancel, nor see it.
CREATE ROLE regress_bf_other;
GRANT USAGE ON SCHEMA bf TO regress_bf_other;
GRANT USAGE ON SCHEMA etl TO regress_bf_other;
SELECT max(backfill_id) AS backfill FROM etl.backfill \gset
SET ROLE regress_bf_other;
SELECT failing($$SELECT etl.backfill('bf', '2026-01-01', '2026-02-01')$$) ~ '^42501';
SELECT failing(format('SELECT etl.cancel_backfill(%s)', :backfill)) ~ '^42501';
SELECT count(*) FROM etl.backfill_status;
RESET ROLE;

DELETE FROM etl.run USING etl.pipeline AS p WHERE p.pipeline_id = run.pipeline_id AND p.name = 'bf';
SELECT etl.drop_pipeline('bf'), etl.drop_pipeline('madrid'), etl.drop_pipeline('york');
SELECT count(*) FROM etl.backfill_chunk;
REVOKE USAGE ON SCHEMA etl FROM regress_bf_other;
DROP SCHEMA bf CASCADE;
DROP ROLE regress_bf_other;
