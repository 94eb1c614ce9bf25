-- When a run has to be done: deadlines as times of day and as lengths of time, across changes of the clocks.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_ext;
SET timezone = 'UTC';
SET datestyle = 'ISO';
\pset format unaligned
\pset tuples_only on

-- deadline shows the deadline of a run that was due at a moment, in UTC and as the clocks of the zone show it.
CREATE FUNCTION pg_temp.deadline(deadline text, zone text, due timestamptz) RETURNS text LANGUAGE sql AS $$
  SELECT to_char(t, 'YYYY-MM-DD HH24:MI:SS') || ' UTC = ' || to_char(t AT TIME ZONE zone, 'MM-DD HH24:MI:SS')
  FROM etl.deadline_of(deadline, zone, due) AS t
$$;

-- A time of day: the first one at or after the run was due, in the zone of the pipeline.
SELECT pg_temp.deadline('09:00', 'UTC', '2025-01-15 05:00');
SELECT pg_temp.deadline('09:00', 'UTC', '2025-01-15 09:00');
SELECT pg_temp.deadline('09:00', 'UTC', '2025-01-15 09:00:00.000001');
SELECT pg_temp.deadline('9:00:30', 'Europe/Madrid', '2025-01-15 05:00');
SELECT pg_temp.deadline('00:00', 'America/New_York', '2025-12-31 23:00');
SELECT pg_temp.deadline('23:59:59', 'Asia/Kathmandu', '2025-01-15 05:00');
-- Clocks put forward: the deadline is when they jump over it. Put back: the first one after the run was due.
SELECT pg_temp.deadline('09:00', 'Europe/Madrid', '2025-03-30 00:00');
SELECT pg_temp.deadline('02:30', 'Europe/Madrid', '2025-03-30 00:00');
SELECT pg_temp.deadline('02:00', 'Europe/Madrid', '2025-03-30 00:00');
SELECT pg_temp.deadline('03:00', 'Europe/Madrid', '2025-03-30 00:00');
SELECT pg_temp.deadline('02:30', 'Europe/Madrid', '2025-10-26 00:00');
SELECT pg_temp.deadline('02:30', 'Europe/Madrid', '2025-10-26 00:45');
SELECT pg_temp.deadline('02:30', 'Europe/Madrid', '2025-10-26 01:45');
SELECT pg_temp.deadline('02:15', 'Australia/Lord_Howe', '2025-10-04 12:00');
SELECT pg_temp.deadline('05:00', 'Pacific/Apia', '2011-12-30 09:00');
SELECT pg_temp.deadline('05:00', 'Europe/Madrid', '1890-06-01 00:00');

-- A length of time. Days and months are those of the clocks of the zone, hours are real ones.
SELECT pg_temp.deadline('4 h', 'Europe/Madrid', '2025-01-15 05:00');
SELECT pg_temp.deadline('90 min', 'UTC', '2025-01-15 05:00:00.5');
SELECT pg_temp.deadline('PT2H', 'UTC', '2025-01-15 05:00');
SELECT pg_temp.deadline('1 day', 'Europe/Madrid', '2025-03-29 08:00');
SELECT pg_temp.deadline('24 h', 'Europe/Madrid', '2025-03-29 08:00');
SELECT pg_temp.deadline('1 day 2 h', 'Europe/Madrid', '2025-10-25 08:00');
SELECT pg_temp.deadline('1 mon', 'UTC', '2025-01-31 05:00');
SELECT pg_temp.deadline('1 year', 'UTC', '2024-02-29 05:00');

-- No moment.
SELECT etl.deadline_of('4 h', due => 'infinity');
SELECT etl.deadline_of(NULL);

-- A run has the deadline of its pipeline. One that is started by hand is due at that moment.
SELECT etl.create_pipeline('sd', deadline => '4 h') > 0;
SELECT etl.add_sql('sd', 'nothing', command => 'SELECT 1') > 0;
SELECT etl.run_pipeline('sd', mode => 'inline', logical_time => '2020-01-01') > 0;
SELECT deadline_at - requested_at BETWEEN interval '3:59' AND '4 h' FROM etl.run ORDER BY run_id DESC LIMIT 1;
SELECT etl.alter_pipeline('sd', reset => '{deadline}');
SELECT etl.run_pipeline('sd', mode => 'inline') > 0;
SELECT deadline_at IS NULL FROM etl.run ORDER BY run_id DESC LIMIT 1;

-- Refused.
CREATE FUNCTION pg_temp.refused(deadline text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  detail text;
BEGIN
  PERFORM etl.alter_pipeline('sd', deadline => deadline);
  RAISE EXCEPTION 'not refused';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
  RETURN SQLSTATE || ': ' || SQLERRM || ' - ' || detail;
END
$$;
SELECT pg_temp.refused(d)
FROM unnest(ARRAY['', 'soon', '9', '09:60', '24:00', '25:00', '09:00:60', '9:5', '0 h', '-4 h', '1 h -2 h', '2 years', '13 mon',
                  '400 days', 'infinity', '09:00 Europe/Madrid', '1e300 h', '99999999999 days']) AS d;
SELECT etl.drop_pipeline('sd');
