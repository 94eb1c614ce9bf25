-- Files of extracts by hand.

CREATE FUNCTION etl.reload_file(pipeline text, task text, path text, reason text DEFAULT NULL)
RETURNS integer LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_reload_file';
COMMENT ON FUNCTION etl.reload_file IS 'Lets the next run of an extract read a file again, from its beginning: its rows in etl.file_ledger are forgotten. With file_changed => replace, what was read of it is marked as deleted then. Returns how many those were. Raises 42704 when the ledger has no such file, 22023 for a task that reads no files, 55006 while the extract is running.';

CREATE FUNCTION etl.skip_file(pipeline text, task text, path text, reason text DEFAULT NULL)
RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_skip_file';
COMMENT ON FUNCTION etl.skip_file IS 'Lets all runs of an extract pass over a file, whatever becomes of it, until etl.reload_file. What was read of it stays. Raises 22023 for a task that reads no files, 55006 while the extract is running.';
