-- The installation as a whole.

CREATE FUNCTION etl.set_retention(history text, keep interval DEFAULT NULL)
RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_set_retention';
COMMENT ON FUNCTION etl.set_retention IS 'Sets how long history is kept: run (with task_run and backfill), check_result, quarantine, alert, watermark_history or contract_result; keep: 1 hour to 1000 years, NULL: the default of 90 days (contract_result: 400). What is needed to go on is kept longer: active runs, the last successful and the newest 10 runs of a pipeline, the newest 10 results of a check. Only the owner of the extension and superusers may (42501); raises 22023 for another history or keep out of range.';
