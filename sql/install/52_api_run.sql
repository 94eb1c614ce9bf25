-- Runs.

CREATE FUNCTION etl.run_pipeline(
  name text, params jsonb DEFAULT NULL, wait boolean DEFAULT true, mode text DEFAULT 'background',
  tasks text[] DEFAULT NULL, full_refresh boolean DEFAULT false, logical_time timestamptz DEFAULT NULL)
RETURNS bigint LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_run_pipeline';
COMMENT ON FUNCTION etl.run_pipeline IS 'Runs a pipeline and returns the number of the run. Waits by default and tells of each task as it ends; raises ZE002 when the run failed. wait => false returns at once. mode => ''inline'' runs all in your own transaction, without workers, and only as the owner of the tasks (42501). tasks: only these. full_refresh: ignore watermarks and positions.';

CREATE PROCEDURE etl.execute_pipeline(
  name text, params jsonb DEFAULT NULL, tasks text[] DEFAULT NULL, full_refresh boolean DEFAULT false,
  logical_time timestamptz DEFAULT NULL, only_when_due boolean DEFAULT false)
LANGUAGE c AS 'MODULE_PATHNAME', 'etl_execute_pipeline';
COMMENT ON PROCEDURE etl.execute_pipeline IS 'Runs a pipeline like etl.run_pipeline, without holding a snapshot while it waits: the form for pg_cron. only_when_due: run what the pipeline''s schedule has due and nobody has started yet; see etl.schedule.';

CREATE FUNCTION etl.wait_for_run(run_id bigint, timeout interval DEFAULT NULL)
RETURNS text LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_wait_for_run';
COMMENT ON FUNCTION etl.wait_for_run IS 'Waits until a run has ended and returns its state, or the state it has when timeout is over. Giving up waiting does not cancel the run.';

CREATE FUNCTION etl.cancel_run(run_id bigint)
RETURNS boolean LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'etl_cancel_run';
COMMENT ON FUNCTION etl.cancel_run IS 'Asks to cancel a run: takes effect when your transaction commits. false: the run had ended already.';

CREATE FUNCTION etl.retry_run(run_id bigint, version text DEFAULT 'original', wait boolean DEFAULT true)
RETURNS bigint LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_retry_run';
COMMENT ON FUNCTION etl.retry_run IS 'Reopens a run that failed, was cancelled or ended as warning, for its failed, skipped and cancelled tasks only; what succeeded is kept. version: original (the definitions that the run was created with) or latest. Waits by default, like etl.run_pipeline. Raises 55000 when there is nothing to retry.';

CREATE FUNCTION etl.recover()
RETURNS bigint LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_recover';
COMMENT ON FUNCTION etl.recover IS 'After a crash, a restart or a restore without the launcher: resumes interrupted runs, and lets the schedules of your pipelines begin anew where a restored copy has none. Returns the number of active runs.';

CREATE FUNCTION etl.param(name text)
RETURNS text LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'etl_param';
COMMENT ON FUNCTION etl.param IS 'In task SQL: the value of a parameter of the run as text; NULL when it was not given or outside a run.';

CREATE FUNCTION etl.run_id()
RETURNS bigint LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'etl_run_id';
COMMENT ON FUNCTION etl.run_id IS 'In task SQL: the number of the run; NULL outside a run.';

CREATE FUNCTION etl.logical_time()
RETURNS timestamptz LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'etl_logical_time';
COMMENT ON FUNCTION etl.logical_time IS 'In task SQL: the moment that the run stands for; NULL outside a run.';

CREATE FUNCTION etl.interval_start()
RETURNS timestamptz LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'etl_interval_start';
COMMENT ON FUNCTION etl.interval_start IS 'In task SQL: start (inclusive) of the interval that the run stands for; NULL for the first run and outside a run.';

CREATE FUNCTION etl.interval_end()
RETURNS timestamptz LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'etl_interval_end';
COMMENT ON FUNCTION etl.interval_end IS 'In task SQL: end (exclusive) of the interval that the run stands for; NULL outside a run.';
