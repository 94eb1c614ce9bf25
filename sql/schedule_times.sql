-- When a schedule is due: the calendar, time zones, and both changes of the clocks.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_ext;
SET timezone = 'UTC';
SET datestyle = 'ISO';
\pset format unaligned
\pset tuples_only on

-- times shows the next times in UTC and as the clocks of the zone show them.
CREATE FUNCTION pg_temp.times(schedule text, zone text, after timestamptz, n integer) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT to_char(t, 'YYYY-MM-DD HH24:MI') || ' UTC = ' || to_char(t AT TIME ZONE zone, 'Dy MM-DD HH24:MI')
  FROM etl.schedule_times(schedule, zone, after, n) AS t
$$;

-- The calendar.
SELECT pg_temp.times('* * * * *', 'UTC', '2024-12-31 23:58:30', 3);
SELECT pg_temp.times('*/20 8-9,17 * * *', 'UTC', '2024-01-01', 8);
SELECT pg_temp.times('0 5 * * mon-fri', 'UTC', '2024-01-05 05:00', 2);
SELECT pg_temp.times('0 0 31 * *', 'UTC', '2024-01-31', 3);
SELECT pg_temp.times('30 6 1,15 * mon', 'UTC', '2024-01-01', 5);
SELECT pg_temp.times('0 0 29 feb *', 'UTC', '2024-02-29', 2);
SELECT pg_temp.times('0 0 29 2 *', 'UTC', '2096-03-01', 1);
SELECT pg_temp.times('@monthly', 'UTC', '2024-11-15', 2);
SELECT pg_temp.times('0 12 * * 7', 'UTC', '2024-01-06', 1);
SELECT pg_temp.times('0 0 1 1 *', 'UTC', '1968-07-01', 3);
-- Strictly after: a time that was just done is not due again.
SELECT pg_temp.times('0 5 * * *', 'UTC', '2024-01-01 04:59:59.999999', 1);
SELECT pg_temp.times('0 5 * * *', 'UTC', '2024-01-01 05:00', 1);
SELECT pg_temp.times('0 5 * * *', 'UTC', '2024-01-01 05:00:00.000001', 1);
-- Nothing within 10 years: a 29 February that is a Sunday comes every 28. Nor before and after all times.
SELECT count(*) FROM etl.schedule_times('0 0 29 2 */7', 'UTC', '2032-03-01');
SELECT count(*) FROM etl.schedule_times('* * * * *', 'UTC', 'infinity');
SELECT count(*) FROM etl.schedule_times('* * * * *', 'UTC', '-infinity');
SELECT count(*) FROM etl.schedule_times('* * * * *', 'UTC', '294276-12-31 23:00');

-- Defaults: five times from now on, in UTC. No schedule, no times.
SELECT count(*), min(t) > now(), max(t) - min(t) FROM etl.schedule_times('0 * * * *') AS t;
SELECT count(*) FROM etl.schedule_times(NULL);
SELECT count(*) FROM etl.schedule_times('* * * * *', n => 0);

-- Clocks put forward: 02:30 is left out and comes an hour later, once; what begins with * follows real time.
SELECT pg_temp.times('30 2 * * *', 'Europe/Madrid', '2025-03-28 12:00', 3);
SELECT pg_temp.times('0 2,3 * * *', 'Europe/Madrid', '2025-03-29 12:00', 3);
SELECT pg_temp.times('*/30 * * * *', 'Europe/Madrid', '2025-03-30 00:00', 4);
SELECT pg_temp.times('15 */2 * * *', 'Europe/Madrid', '2025-03-29 22:00', 4);
SELECT pg_temp.times('30 2 * * *', 'America/New_York', '2025-03-08 12:00', 2);
SELECT pg_temp.times('15 2 * * *', 'Australia/Lord_Howe', '2025-10-03 20:00', 3);
SELECT pg_temp.times('0 5 * * *', 'Asia/Kathmandu', '2025-03-30', 1);
-- Clocks put back: 02:30 comes twice and counts the first time.
SELECT pg_temp.times('30 2 * * *', 'Europe/Madrid', '2025-10-25 12:00', 2);
SELECT pg_temp.times('0,30 2-3 * * *', 'Europe/Madrid', '2025-10-25 12:00', 5);
SELECT pg_temp.times('30 1 * * *', 'America/New_York', '2025-11-01 12:00', 2);
SELECT pg_temp.times('45 1 * * *', 'Australia/Lord_Howe', '2025-04-04 20:00', 3);
SELECT pg_temp.times('0 * * * *', 'Europe/Madrid', '2025-10-25 23:30', 4);
-- Also when asked from within the hour that comes twice.
SELECT pg_temp.times('30 2 * * *', 'Europe/Madrid', '2025-10-26 00:45', 1);
SELECT pg_temp.times('30 2 * * *', 'Europe/Madrid', '2025-10-26 01:15', 1);
-- A change at midnight (a Sunday without its first hour), and a whole day that was left out.
SELECT pg_temp.times('30 0 * * sun', 'America/Santiago', '2024-09-02', 2);
SELECT pg_temp.times('0 5 * * *', 'Pacific/Apia', '2011-12-28 12:00', 3);
SELECT pg_temp.times('0 5 30 12 *', 'Pacific/Apia', '2011-12-28 12:00', 1);

-- The same by brute force over every minute of the days around the changes. A schedule that follows real time is due at
-- each minute whose local time it names. Any other is due at the first minute that shows a local time it names and, for
-- local times that no minute shows, at what PostgreSQL makes of them: as if the clocks had not been put forward.
CREATE TEMP TABLE around (zone text, from_date date);
INSERT INTO around VALUES
  ('Europe/Madrid', '2025-03-29'), ('Europe/Madrid', '2025-10-25'), ('America/New_York', '2025-03-08'),
  ('America/New_York', '2025-11-01'), ('Australia/Lord_Howe', '2025-04-05'), ('Australia/Lord_Howe', '2025-10-04'),
  ('Asia/Kathmandu', '2025-03-29'), ('Pacific/Apia', '2010-09-25'), ('Pacific/Apia', '2011-04-01'),
  ('Pacific/Apia', '2011-12-29'), ('America/Santiago', '2024-04-06'), ('America/Santiago', '2024-09-07'),
  ('Africa/Casablanca', '2025-02-22'), ('Africa/Casablanca', '2025-04-05'), ('Antarctica/Troll', '2025-03-29'),
  ('Antarctica/Troll', '2025-10-25'), ('Asia/Kathmandu', '1985-12-31'), ('UTC', '2024-02-28');
CREATE TEMP TABLE schedule (schedule text, real_time boolean, names text);
INSERT INTO schedule VALUES
  ('* * * * *', true, 'true'),
  ('*/7 * * * *', true, 'm % 7 = 0'),
  ('30 * * * *', true, 'm = 30'),
  ('* 2 * * *', true, 'h = 2'),
  ('10 */3 * * *', true, 'm = 10 AND h % 3 = 0'),
  ('0-59 0-23 * * *', false, 'true'),
  ('0 0 * * *', false, 'm = 0 AND h = 0'),
  ('59 23 * * *', false, 'm = 59 AND h = 23'),
  ('30 2 * * *', false, 'm = 30 AND h = 2'),
  ('45 1 * * *', false, 'm = 45 AND h = 1'),
  ('0,15,30,45 1-3 * * *', false, 'm % 15 = 0 AND h BETWEEN 1 AND 3'),
  ('20 0,1,2,3 * * sun', false, 'm = 20 AND h <= 3 AND dow = 0'),
  ('5 2 1-7,29-31 * *', false, 'm = 5 AND h = 2 AND (d <= 7 OR d >= 29)'),
  ('5 2 30 * sun', false, 'm = 5 AND h = 2 AND (d = 30 OR dow = 0)'),
  ('0 12 * mar,oct */2', false, 'm = 0 AND h = 12 AND mon IN (3, 10) AND dow % 2 = 0');

CREATE TEMP TABLE minute AS
SELECT zone, from_date, t, t AT TIME ZONE zone AS local
FROM around, generate_series((from_date - 1)::timestamp AT TIME ZONE 'UTC', (from_date + 3)::timestamp AT TIME ZONE 'UTC',
                             interval '1 min') AS t;
CREATE INDEX ON minute (zone, from_date, local);
ANALYZE minute;
CREATE TEMP TABLE wall AS
SELECT a.zone, a.from_date, w, min(t) AS t, extract(minute FROM w)::int AS m, extract(hour FROM w)::int AS h,
       extract(day FROM w)::int AS d, extract(month FROM w)::int AS mon, extract(dow FROM w)::int AS dow
FROM (SELECT zone, from_date, min(local), max(local) FROM minute GROUP BY zone, from_date) AS a
CROSS JOIN generate_series(a.min, a.max, interval '1 min') AS w
LEFT JOIN minute AS m ON m.zone = a.zone AND m.from_date = a.from_date AND m.local = w
GROUP BY a.zone, a.from_date, w;
CREATE INDEX ON wall (zone, from_date);
ANALYZE wall;

-- compare tells of the times that one has and the other has not.
CREATE FUNCTION pg_temp.compare(a around, s schedule) RETURNS TABLE (what text) LANGUAGE plpgsql AS $$
DECLARE
  from_time timestamptz := (a.from_date - 1)::timestamp AT TIME ZONE 'UTC';
  to_time timestamptz := (a.from_date + 3)::timestamp AT TIME ZONE 'UTC';
BEGIN
  RETURN QUERY EXECUTE format($sql$
    WITH named AS (SELECT w, t FROM wall WHERE zone = $1 AND from_date = $2 AND (%s)),
    expected AS (
      SELECT m.t FROM named AS n JOIN minute AS m ON m.zone = $1 AND m.from_date = $2 AND m.local = n.w WHERE $3
      UNION
      SELECT coalesce(t, w AT TIME ZONE $1) FROM named WHERE NOT $3),
    found AS (SELECT t FROM etl.schedule_times($4, $1, $5, 10000) AS t WHERE t < $6)
    SELECT $1 || ' ' || $4 || ': ' || coalesce('missing ' || e.t, 'wrong ' || f.t)
    FROM (SELECT t FROM expected WHERE t > $5 AND t < $6) AS e FULL JOIN found AS f ON f.t = e.t
    WHERE e.t IS NULL OR f.t IS NULL
    ORDER BY 1 $sql$, s.names)
  USING a.zone, a.from_date, s.real_time, s.schedule, from_time, to_time;
END
$$;
SELECT count(*) AS combinations FROM around, schedule;
SET enable_nestloop = off;
SELECT c.what FROM around AS a, schedule AS s, pg_temp.compare(a, s) AS c LIMIT 20;
RESET enable_nestloop;

-- A whole year, asked for from each time to the next, is the same as all at once.
WITH RECURSIVE step (t) AS (
  SELECT t FROM etl.schedule_times('30 2 * * *', 'Europe/Madrid', '2025-01-01', 1) AS t
  UNION ALL
  SELECT n FROM step, etl.schedule_times('30 2 * * *', 'Europe/Madrid', step.t, 1) AS n WHERE n < '2026-01-01')
SELECT count(*) AS days, array_agg(t) = ARRAY(SELECT etl.schedule_times('30 2 * * *', 'Europe/Madrid', '2025-01-01', 365)) AS same
FROM step;

-- Refused.
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
SELECT pg_temp.refused($$SELECT etl.schedule_times('0 25 * * *')$$);
SELECT pg_temp.refused($$SELECT etl.schedule_times('@reboot')$$);
SELECT pg_temp.refused($$SELECT etl.schedule_times('0 5 * * *', 'Mars/Olympus')$$);
SELECT pg_temp.refused($$SELECT etl.schedule_times('0 5 * * *', 'UTC+2')$$);
SELECT pg_temp.refused($$SELECT etl.schedule_times('0 5 * * *', n => -1)$$);
SELECT pg_temp.refused($$SELECT etl.schedule_times('0 5 * * *', n => 10001)$$);
