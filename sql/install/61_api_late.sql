-- Late rows by hand.

CREATE FUNCTION etl.accept_late(run_id bigint)
RETURNS bigint LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'etl_accept_late';
COMMENT ON FUNCTION etl.accept_late IS 'Brings the rows that loads of the run put aside as late (SQLSTATE ZE016 in etl.quarantine) into their targets after all, in your transaction and only as the owner of the tasks (42501), and takes them out of etl.quarantine. Aggregates that follow the targets compute the touched groups in their next run. Returns the number of rows.';
