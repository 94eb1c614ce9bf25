-- Pipelines.

CREATE FUNCTION etl.create_pipeline(
  name text, schedule text DEFAULT NULL, timezone text DEFAULT NULL, description text DEFAULT NULL,
  owner text DEFAULT NULL, tags jsonb DEFAULT NULL, max_parallel integer DEFAULT NULL,
  on_overlap text DEFAULT NULL, run_timeout interval DEFAULT NULL, deadline text DEFAULT NULL,
  missed_run text DEFAULT NULL, atomic_publish boolean DEFAULT NULL)
RETURNS bigint LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_create_pipeline';
COMMENT ON FUNCTION etl.create_pipeline IS 'Creates a pipeline and returns its number. schedule: five cron fields read in timezone (default UTC); owner: role the tasks run as (default: you); max_parallel: 1 to 256 (default 4); on_overlap: skip (default), queue, error or cancel_running; deadline: time of day in timezone (''09:00'') or interval (''4 h'') after which a run that is not done raises an alert; missed_run: run_once (default), skip or catch_up; atomic_publish: whether the loads and aggregates of a run become visible at one commit (default false). Raises 42710 when the name is taken, 22023 for a bad value.';

CREATE FUNCTION etl.alter_pipeline(
  name text, schedule text DEFAULT NULL, timezone text DEFAULT NULL, description text DEFAULT NULL,
  owner text DEFAULT NULL, tags jsonb DEFAULT NULL, max_parallel integer DEFAULT NULL,
  on_overlap text DEFAULT NULL, run_timeout interval DEFAULT NULL, deadline text DEFAULT NULL,
  missed_run text DEFAULT NULL, atomic_publish boolean DEFAULT NULL, new_name text DEFAULT NULL, reset text[] DEFAULT NULL)
RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_alter_pipeline';
COMMENT ON FUNCTION etl.alter_pipeline IS 'Changes the named settings of a pipeline; NULL leaves a setting alone, reset => ''{schedule}'' sets it back to its default. Raises 0A000 when atomic_publish is set and its tasks cannot be published together. Active runs keep the definition that they started with.';

CREATE FUNCTION etl.drop_pipeline(name text)
RETURNS void LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'etl_drop_pipeline';
COMMENT ON FUNCTION etl.drop_pipeline IS 'Drops a pipeline, its tasks and its history. Raw and target tables stay. Refused (55006) while a run is active.';

CREATE FUNCTION etl.pause_pipeline(name text)
RETURNS void LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'etl_pause_pipeline';
COMMENT ON FUNCTION etl.pause_pipeline IS 'Stops a pipeline from starting new runs, by schedule or by hand. An active run goes on.';

CREATE FUNCTION etl.resume_pipeline(name text)
RETURNS void LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'etl_resume_pipeline';
COMMENT ON FUNCTION etl.resume_pipeline IS 'Lets a paused pipeline run again.';

CREATE FUNCTION etl.validate(pipeline text, OUT task text, OUT severity text, OUT problem text, OUT hint text)
RETURNS SETOF record LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'etl_validate';
COMMENT ON FUNCTION etl.validate IS 'Every problem of a pipeline at once, one row each; severity is error (the next run would fail) or warning. No rows: nothing was found.';
