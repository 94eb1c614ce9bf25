-- Schedules.

CREATE FUNCTION etl.schedule_times(
  schedule text, timezone text DEFAULT 'UTC', after timestamptz DEFAULT now(), n integer DEFAULT 5)
RETURNS SETOF timestamptz LANGUAGE c STABLE STRICT ROWS 5 AS 'MODULE_PATHNAME', 'etl_schedule_times';
COMMENT ON FUNCTION etl.schedule_times IS 'The next n times (0 to 10000) after a moment at which a schedule, read in a time zone, starts a run. Fewer where none comes within 10 years. Raises 22023 for a bad schedule or time zone.';

CREATE FUNCTION etl.deadline_of(deadline text, timezone text DEFAULT 'UTC', due timestamptz DEFAULT now())
RETURNS timestamptz LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'etl_deadline_of';
COMMENT ON FUNCTION etl.deadline_of IS 'When a run that is due at a moment has to be done by a deadline: a time of day in the time zone (''09:00''), or an interval (''4 h''). Raises 22023 for a bad deadline or time zone.';

CREATE VIEW etl.schedule_status WITH (security_invoker = true) AS
SELECT p.name AS pipeline, p.schedule, p.timezone, p.paused, p.missed_run,
       (SELECT max(r.scheduled_for) FROM etl.run AS r WHERE r.pipeline_id = p.pipeline_id) AS last_scheduled_for,
       n.next_run_at
FROM etl.pipeline AS p
LEFT JOIN etl.schedule AS s ON s.pipeline_id = p.pipeline_id AND NOT p.paused
  AND s.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
LEFT JOIN LATERAL etl.schedule_times(p.schedule, p.timezone, s.decided_until, 1) AS n (next_run_at) ON true
WHERE p.schedule IS NOT NULL;
COMMENT ON VIEW etl.schedule_status IS 'One row per pipeline with a schedule: what it was last started for, and when it is due next.';
COMMENT ON COLUMN etl.schedule_status.pipeline IS 'Name of the pipeline.';
COMMENT ON COLUMN etl.schedule_status.schedule IS 'Its cron expression.';
COMMENT ON COLUMN etl.schedule_status.timezone IS 'Time zone in which the schedule is read.';
COMMENT ON COLUMN etl.schedule_status.paused IS 'Paused pipelines start no runs.';
COMMENT ON COLUMN etl.schedule_status.missed_run IS 'What becomes of missed times: run_once, skip or catch_up.';
COMMENT ON COLUMN etl.schedule_status.last_scheduled_for IS 'The latest scheduled time that has a run, be it a skipped one.';
COMMENT ON COLUMN etl.schedule_status.next_run_at IS 'The next scheduled time; in the past while its run could not be started yet. NULL: paused, or not carried out in this copy of the database before etl.recover() or etl.resume_pipeline.';
