-- What etl.rollback_run needs to take a run back. History: not dumped, and purged by the scheduler. The rows themselves are in
-- tables etl.undo_<task_id>, which are made when a run needs them and belong to the extension, so that no dump has them.

CREATE TABLE etl.undo (
  run_id     bigint NOT NULL,
  task_id    bigint NOT NULL,
  target     text,
  relation   oid,
  key        text[],
  n_old      bigint,
  n_new      bigint,
  before     jsonb NOT NULL,
  kept_at    timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  lost       text,
  PRIMARY KEY (run_id, task_id)
) WITH (autovacuum_vacuum_scale_factor = 0.02);
COMMENT ON TABLE etl.undo IS 'What was before each task of a run, for pipelines in which some task has keep_undo; etl.rollback_run goes back there.';
COMMENT ON COLUMN etl.undo.run_id IS 'The run.';
COMMENT ON COLUMN etl.undo.task_id IS 'The extract, load or aggregate.';
COMMENT ON COLUMN etl.undo.target IS 'Table that the task wrote.';
COMMENT ON COLUMN etl.undo.relation IS 'Its Oid; NULL: no rows were kept.';
COMMENT ON COLUMN etl.undo.key IS 'Columns by which rows are found again; NULL: there is no key, whole rows are compared.';
COMMENT ON COLUMN etl.undo.n_old IS 'Rows of before that were kept in etl.undo_<task_id>; NULL: the task keeps none, or wrote none.';
COMMENT ON COLUMN etl.undo.n_new IS 'Rows that the run inserted, of which the keys were kept.';
COMMENT ON COLUMN etl.undo.before IS 'Positions before the run: {"consumed": {input: batch}, "watermark": {"value", "type"}}.';
COMMENT ON COLUMN etl.undo.kept_at IS 'When the task first began in the run.';
COMMENT ON COLUMN etl.undo.expires_at IS 'Until when the run can be taken back; then the row and what was kept are deleted.';
COMMENT ON COLUMN etl.undo.lost IS 'Why it can no longer be used; NULL: it can.';
CREATE INDEX undo_task_idx ON etl.undo (task_id);
CREATE INDEX undo_expires_idx ON etl.undo (expires_at);
