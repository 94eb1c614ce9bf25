-- Backfills.

CREATE FUNCTION etl.backfill(
  name text, from_time timestamptz, to_time timestamptz, step interval DEFAULT '1 day',
  reprocess text DEFAULT 'missing', newest_first boolean DEFAULT false, max_active integer DEFAULT 1,
  dry_run boolean DEFAULT false, tasks text[] DEFAULT NULL, params jsonb DEFAULT NULL)
RETURNS TABLE (backfill_id bigint, interval_start timestamptz, interval_end timestamptz, action text)
LANGUAGE c VOLATILE ROWS 31 AS 'MODULE_PATHNAME', 'etl_backfill';
COMMENT ON FUNCTION etl.backfill IS 'Runs a pipeline once for each interval of [from_time, to_time), below live runs in priority; returns at once, with one row per interval and what becomes of it (run, or skip and why). Extracts read the rows whose cursor lies in the interval and leave the watermark alone. step: added in the time zone of the pipeline; reprocess: missing (intervals without a successful run, the default), failed (whose last run failed or was cancelled) or all; newest_first: the latest interval first; max_active: runs at the same time, 1 to 100; dry_run: only say what would be done. Raises 22023 for a bad value.';

CREATE FUNCTION etl.cancel_backfill(backfill_id bigint)
RETURNS boolean LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'etl_cancel_backfill';
COMMENT ON FUNCTION etl.cancel_backfill IS 'Cancels a backfill: no more runs are created, those that are active are cancelled. Takes effect when your transaction commits. false: it had ended already.';

CREATE VIEW etl.backfill_status WITH (security_invoker = true) AS
SELECT b.backfill_id, p.name AS pipeline, b.state, c.intervals, c.done, c.failed, c.active, c.remaining,
       b.from_time, b.to_time, b.requested_at, b.ended_at, b.message
FROM etl.backfill AS b
JOIN etl.pipeline AS p ON p.pipeline_id = b.pipeline_id
LEFT JOIN LATERAL (
  SELECT count(*) AS intervals,
         count(*) FILTER (WHERE r.state IN ('success', 'warning')) AS done,
         count(*) FILTER (WHERE r.state IN ('failed', 'cancelled', 'skipped')) AS failed,
         count(*) FILTER (WHERE r.state IN ('queued', 'running')) AS active,
         count(*) FILTER (WHERE k.run_id IS NULL) AS remaining
  FROM etl.backfill_chunk AS k
  LEFT JOIN etl.run AS r ON r.run_id = k.run_id
  WHERE k.backfill_id = b.backfill_id) AS c ON true;
COMMENT ON VIEW etl.backfill_status IS 'One row per backfill: its state and how many of its intervals are done.';
COMMENT ON COLUMN etl.backfill_status.backfill_id IS 'Number of the backfill.';
COMMENT ON COLUMN etl.backfill_status.pipeline IS 'Name of the pipeline.';
COMMENT ON COLUMN etl.backfill_status.state IS 'running, success, failed (some of its runs failed, or message says why it was given up) or cancelled.';
COMMENT ON COLUMN etl.backfill_status.intervals IS 'Intervals that it was to do; those that it skipped are not counted.';
COMMENT ON COLUMN etl.backfill_status.done IS 'Intervals whose run succeeded, with or without warnings.';
COMMENT ON COLUMN etl.backfill_status.failed IS 'Intervals whose run failed or was cancelled.';
COMMENT ON COLUMN etl.backfill_status.active IS 'Intervals whose run is queued or running.';
COMMENT ON COLUMN etl.backfill_status.remaining IS 'Intervals without a run: not begun yet, or never, if the backfill has ended.';
COMMENT ON COLUMN etl.backfill_status.from_time IS 'Start of the range, inclusive.';
COMMENT ON COLUMN etl.backfill_status.to_time IS 'End of the range, exclusive.';
COMMENT ON COLUMN etl.backfill_status.requested_at IS 'When it was asked for.';
COMMENT ON COLUMN etl.backfill_status.ended_at IS 'When its last run ended, or when it was cancelled or given up; NULL: not yet.';
COMMENT ON COLUMN etl.backfill_status.message IS 'Who cancelled it, or why it was given up.';
