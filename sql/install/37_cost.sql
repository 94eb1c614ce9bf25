-- Cost: prices and budgets are definitions; what was used by day is history that outlives the attempts.

CREATE TABLE etl.price (
  resource   text NOT NULL CHECK (resource IN ('cpu_hour', 'wall_hour', 'gb_read', 'gb_wal', 'gb_temp', 'gb_buffers_read',
                                               'million_rows_read', 'million_rows_written', 'attempt')),
  valid_from date NOT NULL,
  price      numeric NOT NULL CHECK (price >= 0 AND price < 'Infinity'),
  currency   text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  unit       text NOT NULL GENERATED ALWAYS AS (
    CASE resource
      WHEN 'cpu_hour' THEN 'hour of CPU time' WHEN 'wall_hour' THEN 'hour of a worker'
      WHEN 'gb_read' THEN '10^9 bytes read from a source' WHEN 'gb_wal' THEN '10^9 bytes of WAL'
      WHEN 'gb_temp' THEN '10^9 bytes of temporary files' WHEN 'gb_buffers_read' THEN '10^9 bytes of blocks read'
      WHEN 'million_rows_read' THEN '10^6 rows read' WHEN 'million_rows_written' THEN '10^6 rows written'
      WHEN 'attempt' THEN 'attempt of a task' END) STORED,
  PRIMARY KEY (resource, valid_from)
);
COMMENT ON TABLE etl.price IS 'What resources cost from a day on; empty at first. Changed only through etl.set_price and etl.drop_price.';
COMMENT ON COLUMN etl.price.resource IS 'cpu_hour, wall_hour, gb_read, gb_wal, gb_temp, gb_buffers_read, million_rows_read, million_rows_written or attempt.';
COMMENT ON COLUMN etl.price.valid_from IS 'First day (UTC) of the price; it ends where the next one of the resource begins.';
COMMENT ON COLUMN etl.price.price IS 'Price of one unit.';
COMMENT ON COLUMN etl.price.currency IS 'Currency, three capital letters; the same for all prices.';
COMMENT ON COLUMN etl.price.unit IS 'The unit, in words.';

CREATE TABLE etl.budget (
  name          text PRIMARY KEY CHECK (name <> '' AND length(name) <= 128),
  amount        numeric NOT NULL CHECK (amount > 0 AND amount < 'Infinity'),
  period        text NOT NULL CHECK (period IN ('day', 'month')),
  pipeline_id   bigint REFERENCES etl.pipeline ON DELETE CASCADE,
  tags          jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(tags) = 'object'),
  warn_pct      numeric NOT NULL DEFAULT 80 CHECK (warn_pct > 0 AND warn_pct <= 100),
  owner         regrole NOT NULL,
  warned_for    date,
  exceeded_for  date,
  created_at    timestamptz NOT NULL DEFAULT now(),
  updated_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE etl.budget IS 'What may be spent in a day or month. Changed only through etl.set_budget and etl.drop_budget.';
COMMENT ON COLUMN etl.budget.name IS 'Name of the budget; 1 to 128 characters.';
COMMENT ON COLUMN etl.budget.amount IS 'Amount, in the currency of the prices.';
COMMENT ON COLUMN etl.budget.period IS 'day or month, in UTC.';
COMMENT ON COLUMN etl.budget.pipeline_id IS 'Only tasks of this pipeline; NULL: of all pipelines whose owner the owner of the budget is a member of.';
COMMENT ON COLUMN etl.budget.tags IS 'Only tasks that have these tags; {}: all.';
COMMENT ON COLUMN etl.budget.warn_pct IS 'Percentage of the amount from which on the budget warns.';
COMMENT ON COLUMN etl.budget.owner IS 'Role that made the budget.';
COMMENT ON COLUMN etl.budget.warned_for IS 'First day of the latest period in which it has warned.';
COMMENT ON COLUMN etl.budget.exceeded_for IS 'First day of the latest period in which it was exceeded.';
COMMENT ON COLUMN etl.budget.created_at IS 'When the budget was made.';
COMMENT ON COLUMN etl.budget.updated_at IS 'When its definition last changed.';
CREATE INDEX budget_pipeline_idx ON etl.budget (pipeline_id);

CREATE TABLE etl.cost_day (
  task_id         bigint NOT NULL,
  day             date NOT NULL,
  pipeline_id     bigint NOT NULL REFERENCES etl.pipeline ON DELETE CASCADE,
  task            text NOT NULL,
  kind            text NOT NULL,
  attempts        bigint NOT NULL,
  failed          bigint NOT NULL,
  retries         bigint NOT NULL,
  wall_ms         bigint NOT NULL,
  cpu_ms          bigint NOT NULL,
  rows_read       bigint NOT NULL,
  rows_written    bigint NOT NULL,
  rows_rejected   bigint NOT NULL,
  bytes_read      bigint NOT NULL,
  wal_bytes       bigint NOT NULL,
  temp_bytes      bigint NOT NULL,
  buffers_hit     bigint NOT NULL,
  buffers_read    bigint NOT NULL,
  buffers_written bigint NOT NULL,
  PRIMARY KEY (task_id, day)
) WITH (fillfactor = 70);
COMMENT ON TABLE etl.cost_day IS 'What the attempts of a task that ended on a day have used, added up by the scheduler when their run has ended. Outlives the attempts; etl.cost adds those that are not in it yet.';
COMMENT ON COLUMN etl.cost_day.task_id IS 'The task.';
COMMENT ON COLUMN etl.cost_day.day IS 'Day (UTC) on which the attempts ended.';
COMMENT ON COLUMN etl.cost_day.pipeline_id IS 'The pipeline.';
COMMENT ON COLUMN etl.cost_day.task IS 'Name of the task at that time.';
COMMENT ON COLUMN etl.cost_day.kind IS 'Kind of the task.';
COMMENT ON COLUMN etl.cost_day.attempts IS 'Attempts that began and ended.';
COMMENT ON COLUMN etl.cost_day.failed IS 'Those of them that failed.';
COMMENT ON COLUMN etl.cost_day.retries IS 'Those of them that were not the first attempt in their run.';
COMMENT ON COLUMN etl.cost_day.wall_ms IS 'Time at work, in ms.';
COMMENT ON COLUMN etl.cost_day.cpu_ms IS 'CPU time, in ms.';
COMMENT ON COLUMN etl.cost_day.rows_read IS 'Rows read.';
COMMENT ON COLUMN etl.cost_day.rows_written IS 'Rows inserted, updated and deleted.';
COMMENT ON COLUMN etl.cost_day.rows_rejected IS 'Rows that went to etl.quarantine.';
COMMENT ON COLUMN etl.cost_day.bytes_read IS 'Bytes of the rows that extracts stored.';
COMMENT ON COLUMN etl.cost_day.wal_bytes IS 'Bytes of WAL.';
COMMENT ON COLUMN etl.cost_day.temp_bytes IS 'Bytes of temporary files and tables.';
COMMENT ON COLUMN etl.cost_day.buffers_hit IS 'Blocks found in shared buffers.';
COMMENT ON COLUMN etl.cost_day.buffers_read IS 'Blocks read.';
COMMENT ON COLUMN etl.cost_day.buffers_written IS 'Blocks written by the workers themselves.';
CREATE INDEX cost_day_day_idx ON etl.cost_day (day);
CREATE INDEX cost_day_pipeline_idx ON etl.cost_day (pipeline_id, day);

CREATE TABLE etl.cost_total (
  task_id         bigint NOT NULL,
  pipeline_id     bigint NOT NULL REFERENCES etl.pipeline ON DELETE CASCADE,
  task            text NOT NULL,
  kind            text NOT NULL,
  attempts        bigint NOT NULL,
  failed          bigint NOT NULL,
  retries         bigint NOT NULL,
  wall_ms         bigint NOT NULL,
  cpu_ms          bigint NOT NULL,
  rows_read       bigint NOT NULL,
  rows_written    bigint NOT NULL,
  rows_rejected   bigint NOT NULL,
  bytes_read      bigint NOT NULL,
  wal_bytes       bigint NOT NULL,
  temp_bytes      bigint NOT NULL,
  buffers_hit     bigint NOT NULL,
  buffers_read    bigint NOT NULL,
  buffers_written bigint NOT NULL,
  PRIMARY KEY (task_id)
) WITH (fillfactor = 50);
COMMENT ON TABLE etl.cost_total IS 'What the attempts of a task have used since it was added: the sums over etl.cost_day, for counters that never go back.';
COMMENT ON COLUMN etl.cost_total.task_id IS 'The task.';
COMMENT ON COLUMN etl.cost_total.pipeline_id IS 'The pipeline.';
COMMENT ON COLUMN etl.cost_total.task IS 'Name of the task at that time.';
COMMENT ON COLUMN etl.cost_total.kind IS 'Kind of the task.';
COMMENT ON COLUMN etl.cost_total.attempts IS 'Attempts that began and ended.';
COMMENT ON COLUMN etl.cost_total.failed IS 'Those of them that failed.';
COMMENT ON COLUMN etl.cost_total.retries IS 'Those of them that were not the first attempt in their run.';
COMMENT ON COLUMN etl.cost_total.wall_ms IS 'Time at work, in ms.';
COMMENT ON COLUMN etl.cost_total.cpu_ms IS 'CPU time, in ms.';
COMMENT ON COLUMN etl.cost_total.rows_read IS 'Rows read.';
COMMENT ON COLUMN etl.cost_total.rows_written IS 'Rows inserted, updated and deleted.';
COMMENT ON COLUMN etl.cost_total.rows_rejected IS 'Rows that went to etl.quarantine.';
COMMENT ON COLUMN etl.cost_total.bytes_read IS 'Bytes of the rows that extracts stored.';
COMMENT ON COLUMN etl.cost_total.wal_bytes IS 'Bytes of WAL.';
COMMENT ON COLUMN etl.cost_total.temp_bytes IS 'Bytes of temporary files and tables.';
COMMENT ON COLUMN etl.cost_total.buffers_hit IS 'Blocks found in shared buffers.';
COMMENT ON COLUMN etl.cost_total.buffers_read IS 'Blocks read.';
COMMENT ON COLUMN etl.cost_total.buffers_written IS 'Blocks written by the workers themselves.';
CREATE INDEX cost_total_pipeline_idx ON etl.cost_total (pipeline_id);

CREATE TABLE etl.run_count (
  pipeline_id bigint NOT NULL REFERENCES etl.pipeline ON DELETE CASCADE,
  state       text NOT NULL,
  runs        bigint NOT NULL,
  duration_ms bigint NOT NULL,
  PRIMARY KEY (pipeline_id, state)
) WITH (fillfactor = 50);
COMMENT ON TABLE etl.run_count IS 'How many runs of a pipeline have ended in a state since the extension was created, added up by the scheduler. Outlives the runs.';
COMMENT ON COLUMN etl.run_count.pipeline_id IS 'The pipeline.';
COMMENT ON COLUMN etl.run_count.state IS 'State that the runs ended in; one that etl.retry_run reopened has ended more than once.';
COMMENT ON COLUMN etl.run_count.runs IS 'Runs.';
COMMENT ON COLUMN etl.run_count.duration_ms IS 'Time from their start to their end, in ms, added up.';
