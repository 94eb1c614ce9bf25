-- What tasks have used and what that costs. The views are security_invoker: readers see the pipelines that they may see.

-- One row per span of time between two changes of a price, with all prices in it.
CREATE VIEW etl.price_list WITH (security_invoker = true) AS
SELECT s.valid_from, s.valid_to,
       (SELECT max(p.currency) FROM etl.price AS p) AS currency,
       max(l.price) FILTER (WHERE l.resource = 'cpu_hour') AS cpu_hour,
       max(l.price) FILTER (WHERE l.resource = 'wall_hour') AS wall_hour,
       max(l.price) FILTER (WHERE l.resource = 'gb_read') AS gb_read,
       max(l.price) FILTER (WHERE l.resource = 'gb_wal') AS gb_wal,
       max(l.price) FILTER (WHERE l.resource = 'gb_temp') AS gb_temp,
       max(l.price) FILTER (WHERE l.resource = 'gb_buffers_read') AS gb_buffers_read,
       max(l.price) FILTER (WHERE l.resource = 'million_rows_read') AS million_rows_read,
       max(l.price) FILTER (WHERE l.resource = 'million_rows_written') AS million_rows_written,
       max(l.price) FILTER (WHERE l.resource = 'attempt') AS attempt
FROM (SELECT d.valid_from, coalesce(lead(d.valid_from) OVER (ORDER BY d.valid_from), 'infinity'::date) AS valid_to
      FROM (SELECT DISTINCT p.valid_from FROM etl.price AS p) AS d) AS s
JOIN LATERAL (SELECT DISTINCT ON (p.resource) p.resource, p.price
              FROM etl.price AS p WHERE p.valid_from <= s.valid_from
              ORDER BY p.resource, p.valid_from DESC) AS l ON true
GROUP BY s.valid_from, s.valid_to;
COMMENT ON VIEW etl.price_list IS 'One row per span of days in which prices did not change, with one column per resource; NULL: it has no price.';
COMMENT ON COLUMN etl.price_list.valid_from IS 'First day.';
COMMENT ON COLUMN etl.price_list.valid_to IS 'Day after the last one.';
COMMENT ON COLUMN etl.price_list.currency IS 'Currency of the prices.';
COMMENT ON COLUMN etl.price_list.cpu_hour IS 'Price of an hour of CPU time.';
COMMENT ON COLUMN etl.price_list.wall_hour IS 'Price of an hour of a worker.';
COMMENT ON COLUMN etl.price_list.gb_read IS 'Price of 10^9 bytes read from a source.';
COMMENT ON COLUMN etl.price_list.gb_wal IS 'Price of 10^9 bytes of WAL.';
COMMENT ON COLUMN etl.price_list.gb_temp IS 'Price of 10^9 bytes of temporary files and tables.';
COMMENT ON COLUMN etl.price_list.gb_buffers_read IS 'Price of 10^9 bytes of blocks of tables and indexes that had to be read.';
COMMENT ON COLUMN etl.price_list.million_rows_read IS 'Price of 10^6 rows read.';
COMMENT ON COLUMN etl.price_list.million_rows_written IS 'Price of 10^6 rows inserted, updated or deleted.';
COMMENT ON COLUMN etl.price_list.attempt IS 'Price of an attempt.';

-- Attempts that ended and are not in etl.cost_day yet, in its columns.
CREATE VIEW etl.cost_uncounted WITH (security_invoker = true) AS
SELECT x.task_id, (x.ended_at AT TIME ZONE 'UTC')::date AS day, r.pipeline_id, x.run_id, x.task, x.kind,
       (x.state = 'failed')::integer AS failed, (x.attempt > 1)::integer AS retries,
       -- A worker that was killed: its time, shared by all that it was to publish at one commit.
       coalesce(x.wall_ms, (extract(epoch FROM x.ended_at - x.started_at) * 1000 / greatest(1,
         (SELECT count(*) FROM etl.task_run AS y
          WHERE y.run_id = x.run_id AND y.worker_pid = x.worker_pid AND y.boot_id = x.boot_id)))::bigint) AS wall_ms,
       coalesce(x.cpu_ms, 0) AS cpu_ms, coalesce(x.rows_read, 0) AS rows_read,
       coalesce(x.rows_inserted, 0) + coalesce(x.rows_updated, 0) + coalesce(x.rows_deleted, 0) AS rows_written,
       coalesce(x.rows_rejected, 0) AS rows_rejected, coalesce(x.bytes_read, 0) AS bytes_read,
       coalesce(x.wal_bytes, 0) AS wal_bytes, coalesce(x.temp_bytes, 0) AS temp_bytes,
       coalesce(x.buffers_hit, 0) AS buffers_hit, coalesce(x.buffers_read, 0) AS buffers_read,
       coalesce(x.buffers_written, 0) AS buffers_written
FROM etl.task_run AS x
JOIN etl.run AS r ON r.run_id = x.run_id
WHERE NOT x.counted AND x.started_at IS NOT NULL AND x.ended_at IS NOT NULL;
COMMENT ON VIEW etl.cost_uncounted IS 'Attempts that have ended and are not part of etl.cost_day yet: of runs that are active or have just ended.';
COMMENT ON COLUMN etl.cost_uncounted.task_id IS 'The task.';
COMMENT ON COLUMN etl.cost_uncounted.day IS 'Day (UTC) on which the attempt ended.';
COMMENT ON COLUMN etl.cost_uncounted.pipeline_id IS 'The pipeline.';
COMMENT ON COLUMN etl.cost_uncounted.run_id IS 'The run.';
COMMENT ON COLUMN etl.cost_uncounted.task IS 'Name of the task.';
COMMENT ON COLUMN etl.cost_uncounted.kind IS 'Kind of the task.';
COMMENT ON COLUMN etl.cost_uncounted.failed IS '1 when it failed.';
COMMENT ON COLUMN etl.cost_uncounted.retries IS '1 when it was not the first attempt in its run.';
COMMENT ON COLUMN etl.cost_uncounted.wall_ms IS 'Time at work, in ms; of a worker that was killed, the time from start to end.';
COMMENT ON COLUMN etl.cost_uncounted.cpu_ms IS 'CPU time, in ms.';
COMMENT ON COLUMN etl.cost_uncounted.rows_read IS 'Rows read.';
COMMENT ON COLUMN etl.cost_uncounted.rows_written IS 'Rows inserted, updated and deleted.';
COMMENT ON COLUMN etl.cost_uncounted.rows_rejected IS 'Rows that went to etl.quarantine.';
COMMENT ON COLUMN etl.cost_uncounted.bytes_read IS 'Bytes of the rows that an extract stored.';
COMMENT ON COLUMN etl.cost_uncounted.wal_bytes IS 'Bytes of WAL.';
COMMENT ON COLUMN etl.cost_uncounted.temp_bytes IS 'Bytes of temporary files and tables.';
COMMENT ON COLUMN etl.cost_uncounted.buffers_hit IS 'Blocks found in shared buffers.';
COMMENT ON COLUMN etl.cost_uncounted.buffers_read IS 'Blocks read.';
COMMENT ON COLUMN etl.cost_uncounted.buffers_written IS 'Blocks written by the worker itself.';

CREATE VIEW etl.cost WITH (security_invoker = true) AS
SELECT u.day, p.name AS pipeline, coalesce(t.name, u.task) AS task, u.kind, p.tags || coalesce(t.tags, '{}') AS tags, u.attempts,
       round(u.wall_ms / 1000.0, 3) AS wall_s, round(u.cpu_ms / 1000.0, 3) AS cpu_s,
       u.rows_read, u.rows_written, u.bytes_read, u.wal_bytes, u.temp_bytes, u.buffers_hit, u.buffers_read, u.buffers_written,
       CASE WHEN c.valid_from IS NOT NULL THEN round(
         coalesce(u.cpu_ms * c.cpu_hour, 0) / 3600000 + coalesce(u.wall_ms * c.wall_hour, 0) / 3600000
         + (coalesce(u.bytes_read * c.gb_read, 0) + coalesce(u.wal_bytes * c.gb_wal, 0) + coalesce(u.temp_bytes * c.gb_temp, 0)
            + coalesce(u.buffers_read * current_setting('block_size')::bigint * c.gb_buffers_read, 0)) / 1000000000
         + (coalesce(u.rows_read * c.million_rows_read, 0) + coalesce(u.rows_written * c.million_rows_written, 0)) / 1000000
         + coalesce(u.attempts * c.attempt, 0), 9) END AS cost,
       c.currency, p.pipeline_id
FROM (SELECT a.day, a.pipeline_id, a.task_id, max(a.task) AS task, max(a.kind) AS kind, sum(a.attempts)::bigint AS attempts,
             sum(a.wall_ms)::bigint AS wall_ms, sum(a.cpu_ms)::bigint AS cpu_ms, sum(a.rows_read)::bigint AS rows_read,
             sum(a.rows_written)::bigint AS rows_written, sum(a.bytes_read)::bigint AS bytes_read,
             sum(a.wal_bytes)::bigint AS wal_bytes, sum(a.temp_bytes)::bigint AS temp_bytes,
             sum(a.buffers_hit)::bigint AS buffers_hit, sum(a.buffers_read)::bigint AS buffers_read,
             sum(a.buffers_written)::bigint AS buffers_written
      FROM (SELECT d.day, d.pipeline_id, d.task_id, d.task, d.kind, d.attempts, d.wall_ms, d.cpu_ms, d.rows_read, d.rows_written,
                   d.bytes_read, d.wal_bytes, d.temp_bytes, d.buffers_hit, d.buffers_read, d.buffers_written
            FROM etl.cost_day AS d
            UNION ALL
            SELECT n.day, n.pipeline_id, n.task_id, n.task, n.kind, 1, n.wall_ms, n.cpu_ms, n.rows_read, n.rows_written,
                   n.bytes_read, n.wal_bytes, n.temp_bytes, n.buffers_hit, n.buffers_read, n.buffers_written
            FROM etl.cost_uncounted AS n) AS a
      GROUP BY a.day, a.pipeline_id, a.task_id) AS u
JOIN etl.pipeline AS p ON p.pipeline_id = u.pipeline_id
LEFT JOIN etl.task AS t ON t.task_id = u.task_id
LEFT JOIN etl.price_list AS c ON u.day >= c.valid_from AND u.day < c.valid_to;
COMMENT ON VIEW etl.cost IS 'One row per pipeline, task and day (UTC): what its attempts that ended on that day have used, and what that costs by the prices of that day.';
COMMENT ON COLUMN etl.cost.day IS 'Day (UTC) on which the attempts ended.';
COMMENT ON COLUMN etl.cost.pipeline IS 'Name of the pipeline.';
COMMENT ON COLUMN etl.cost.task IS 'Name of the task; of one that was dropped, its last name.';
COMMENT ON COLUMN etl.cost.kind IS 'Kind of the task.';
COMMENT ON COLUMN etl.cost.tags IS 'Tags of the task over those of the pipeline, as they are now; of a task that was dropped, those of the pipeline.';
COMMENT ON COLUMN etl.cost.attempts IS 'Attempts, failed ones included.';
COMMENT ON COLUMN etl.cost.wall_s IS 'Time that workers were at work, in seconds.';
COMMENT ON COLUMN etl.cost.cpu_s IS 'CPU time, in seconds; attempts whose worker was killed count as 0, like all that follows.';
COMMENT ON COLUMN etl.cost.rows_read IS 'Rows read.';
COMMENT ON COLUMN etl.cost.rows_written IS 'Rows inserted, updated and deleted.';
COMMENT ON COLUMN etl.cost.bytes_read IS 'Bytes of the rows that extracts stored.';
COMMENT ON COLUMN etl.cost.wal_bytes IS 'Bytes of WAL.';
COMMENT ON COLUMN etl.cost.temp_bytes IS 'Bytes of temporary files and temporary tables.';
COMMENT ON COLUMN etl.cost.buffers_hit IS 'Blocks found in shared buffers.';
COMMENT ON COLUMN etl.cost.buffers_read IS 'Blocks read.';
COMMENT ON COLUMN etl.cost.buffers_written IS 'Blocks written by the workers themselves.';
COMMENT ON COLUMN etl.cost.cost IS 'Cost; a resource without a price costs nothing. NULL: no price was valid on that day.';
COMMENT ON COLUMN etl.cost.pipeline_id IS 'Key of the pipeline; a condition on it is faster than one on its name.';
COMMENT ON COLUMN etl.cost.currency IS 'Currency of the cost; NULL: no price was valid on that day.';

CREATE VIEW etl.cost_by_tag WITH (security_invoker = true) AS
SELECT c.day, k.tag, c.tags->>k.tag AS value, sum(c.attempts)::bigint AS attempts, sum(c.wall_s) AS wall_s, sum(c.cpu_s) AS cpu_s,
       sum(c.rows_read)::bigint AS rows_read, sum(c.rows_written)::bigint AS rows_written, sum(c.bytes_read)::bigint AS bytes_read,
       sum(c.wal_bytes)::bigint AS wal_bytes, sum(c.temp_bytes)::bigint AS temp_bytes, sum(c.cost) AS cost, c.currency
FROM etl.cost AS c
CROSS JOIN LATERAL unnest((
  SELECT array_agg(DISTINCT n.name)
  FROM (SELECT p.tags FROM etl.pipeline AS p UNION SELECT t.tags FROM etl.task AS t) AS a,
       jsonb_object_keys(a.tags) AS n (name))) AS k (tag)
GROUP BY c.day, k.tag, c.tags->>k.tag, c.currency;
COMMENT ON VIEW etl.cost_by_tag IS 'One row per day (UTC), tag and value of the tag: the sums over etl.cost. The values of one tag add up to everything, because tasks that do not have the tag are in the row whose value is NULL.';
COMMENT ON COLUMN etl.cost_by_tag.day IS 'Day (UTC) on which the attempts ended.';
COMMENT ON COLUMN etl.cost_by_tag.tag IS 'Name of the tag.';
COMMENT ON COLUMN etl.cost_by_tag.value IS 'Its value; NULL: the tasks that do not have it.';
COMMENT ON COLUMN etl.cost_by_tag.attempts IS 'Attempts, failed ones included.';
COMMENT ON COLUMN etl.cost_by_tag.wall_s IS 'Time that workers were at work, in seconds.';
COMMENT ON COLUMN etl.cost_by_tag.cpu_s IS 'CPU time, in seconds.';
COMMENT ON COLUMN etl.cost_by_tag.rows_read IS 'Rows read.';
COMMENT ON COLUMN etl.cost_by_tag.rows_written IS 'Rows inserted, updated and deleted.';
COMMENT ON COLUMN etl.cost_by_tag.bytes_read IS 'Bytes of the rows that extracts stored.';
COMMENT ON COLUMN etl.cost_by_tag.wal_bytes IS 'Bytes of WAL.';
COMMENT ON COLUMN etl.cost_by_tag.temp_bytes IS 'Bytes of temporary files and temporary tables.';
COMMENT ON COLUMN etl.cost_by_tag.cost IS 'Cost; NULL: no price was valid on that day.';
COMMENT ON COLUMN etl.cost_by_tag.currency IS 'Currency of the cost.';

CREATE FUNCTION etl.set_price(resource text, price numeric, currency text DEFAULT NULL, valid_from date DEFAULT NULL)
RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_set_price';
COMMENT ON FUNCTION etl.set_price IS 'Sets what a unit of a resource costs from a day on (NULL: today, in UTC); earlier days keep their price. resource: cpu_hour, wall_hour, gb_read, gb_wal, gb_temp, gb_buffers_read, million_rows_read, million_rows_written or attempt; currency: three capital letters, the same for all prices (NULL: that of the others, or USD). Only the owner of the extension and superusers may (42501); raises 22023 for a bad value.';

CREATE FUNCTION etl.drop_price(resource text, valid_from date)
RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_drop_price';
COMMENT ON FUNCTION etl.drop_price IS 'Removes the price of a resource that begins on a day: the one before it goes on. Only the owner of the extension and superusers may (42501); raises 42704 when there is none.';

CREATE FUNCTION etl.set_budget(
  name text, amount numeric, period text DEFAULT 'month', pipeline text DEFAULT NULL, tags jsonb DEFAULT NULL,
  warn text DEFAULT '80%')
RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_set_budget';
COMMENT ON FUNCTION etl.set_budget IS 'Sets what may be spent in each day or month (UTC), as a whole: a budget of that name is replaced. It covers the pipelines whose owner you are a member of: one pipeline, or all, and of them the tasks that have the tags, or all. When warn (a percentage) and when the amount is reached, alert budget_exceeded is raised, once in each period, with severity warning and fail. Raises 22023 for a bad value, 42704 when there is no such pipeline, 42501 for a budget of somebody else.';

CREATE FUNCTION etl.drop_budget(name text)
RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_drop_budget';
COMMENT ON FUNCTION etl.drop_budget IS 'Drops a budget. Its alerts stay. Only members of its owner may (42501); raises 42704 when there is none.';

-- One look at the cost of this month and the week before serves all budgets. What a budget covers depends on its owner, not on the
-- reader, who is a member of that owner and sees at least as much.
CREATE VIEW etl.budget_status WITH (security_invoker = true) AS
WITH clock AS MATERIALIZED (
  SELECT (now() AT TIME ZONE 'UTC')::date AS today, date_trunc('month', now() AT TIME ZONE 'UTC')::date AS month
), spent AS MATERIALIZED (
  SELECT c.day, p.pipeline_id, p.owner, c.tags, sum(c.cost) AS cost
  FROM etl.cost AS c JOIN etl.pipeline AS p ON p.name = c.pipeline
  WHERE c.day >= date_trunc('month', now() AT TIME ZONE 'UTC')::date - 7
  GROUP BY c.day, p.pipeline_id, p.owner, c.tags
), period AS (
  SELECT b.*, k.today, CASE b.period WHEN 'day' THEN k.today ELSE k.month END AS period_start,
         CASE b.period WHEN 'day' THEN k.today ELSE (k.month + interval '1 month')::date - 1 END AS period_end
  FROM etl.budget AS b CROSS JOIN clock AS k
), used AS (
  SELECT b.name, coalesce(sum(s.cost) FILTER (WHERE s.day >= b.period_start), 0) AS spent,
         coalesce(sum(s.cost) FILTER (WHERE s.day = b.today), 0) AS today_spent,
         sum(s.cost) FILTER (WHERE s.day >= b.today - 7 AND s.day < b.today)
           / least(7, b.today - min(s.day) FILTER (WHERE s.day >= b.today - 7 AND s.day < b.today)) AS usual
  FROM period AS b
  LEFT JOIN spent AS s ON (b.pipeline_id IS NULL OR s.pipeline_id = b.pipeline_id) AND s.tags @> b.tags
                          AND pg_has_role(b.owner, s.owner, 'MEMBER')
  GROUP BY b.name, b.today, b.period_start
)
SELECT b.name AS budget, b.owner, p.name AS pipeline, b.tags, b.period, b.period_start, b.period_end, b.amount,
       (SELECT max(l.currency) FROM etl.price AS l) AS currency, u.spent, round(100 * u.spent / b.amount, 2) AS percent,
       u.spent - u.today_spent + greatest(u.today_spent, coalesce(u.usual, 0))
         + coalesce(u.usual, u.today_spent) * (b.period_end - b.today) AS forecast,
       CASE WHEN u.spent >= b.amount THEN 'exceeded' WHEN u.spent >= b.amount * b.warn_pct / 100 THEN 'warning'
            ELSE 'ok' END AS state
FROM period AS b
JOIN used AS u ON u.name = b.name
LEFT JOIN etl.pipeline AS p ON p.pipeline_id = b.pipeline_id;
COMMENT ON VIEW etl.budget_status IS 'One row per budget: what was spent in the current period, and what is expected by its end.';
COMMENT ON COLUMN etl.budget_status.budget IS 'Name of the budget.';
COMMENT ON COLUMN etl.budget_status.owner IS 'Role that made it.';
COMMENT ON COLUMN etl.budget_status.pipeline IS 'Only tasks of this pipeline; NULL: of all that the owner may see.';
COMMENT ON COLUMN etl.budget_status.tags IS 'Only tasks that have these tags.';
COMMENT ON COLUMN etl.budget_status.period IS 'day or month, in UTC.';
COMMENT ON COLUMN etl.budget_status.period_start IS 'First day of the current period.';
COMMENT ON COLUMN etl.budget_status.period_end IS 'Last day of the current period.';
COMMENT ON COLUMN etl.budget_status.amount IS 'Amount of the budget.';
COMMENT ON COLUMN etl.budget_status.currency IS 'Currency of the prices; NULL: there are no prices, and nothing costs anything.';
COMMENT ON COLUMN etl.budget_status.spent IS 'Cost of the attempts that have ended in the period.';
COMMENT ON COLUMN etl.budget_status.percent IS 'spent, in percent of the amount.';
COMMENT ON COLUMN etl.budget_status.forecast IS 'spent at the end of the period, if each day that is left costs what the last seven days have cost on average.';
COMMENT ON COLUMN etl.budget_status.state IS 'ok, warning (the percentage of the warning is reached) or exceeded (the amount is).';
