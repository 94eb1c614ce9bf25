-- Taking runs back, and doing loads again.

CREATE FUNCTION etl.rollback_run(run_id bigint, dry_run boolean DEFAULT false)
RETURNS TABLE (task text, target text, restored bigint, removed bigint) LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_rollback_run';
COMMENT ON FUNCTION etl.rollback_run IS 'Takes a run back, in your transaction: targets of tasks with keep_undo get the rows that they had before it, watermarks and positions of loads go back, raw rows stay. Returns for each such target how many rows were put back and how many were removed. Raises 55000 with the reasons when the run is active, has expired, has tasks that keep no undo, when later runs depend on it, or when rows were changed since. dry_run: only tell.';

CREATE FUNCTION etl.replay(pipeline text, task text, from_batch bigint DEFAULT NULL, wait boolean DEFAULT true, mode text DEFAULT 'background',
  force boolean DEFAULT false)
RETURNS bigint LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_replay';
COMMENT ON FUNCTION etl.replay IS 'Runs one load or aggregate again on what is in the raw tables, and returns the number of the run. from_batch NULL: from the start; the target then equals the query, rows that it does not return are deleted, and rows that are the same stay untouched. Otherwise from that batch on, and nothing is deleted. Readers see the old rows until it commits. wait and mode: as for etl.run_pipeline. force: also when old raw rows are gone, so that what only the target still has is deleted.';
