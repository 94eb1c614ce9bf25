-- Schedules.

CREATE FUNCTION etl.schedule_times(
  schedule text, timezone text DEFAULT 'UTC', after timestamptz DEFAULT now(), n integer DEFAULT 5)
RETURNS SETOF timestamptz LANGUAGE c STABLE STRICT ROWS 5 AS 'MODULE_PATHNAME', 'etl_schedule_times';
COMMENT ON FUNCTION etl.schedule_times IS 'The next n times (0 to 10000) after a moment at which a schedule, read in a time zone, starts a run. Fewer where none comes within 10 years. Raises 22023 for a bad schedule or time zone.';
