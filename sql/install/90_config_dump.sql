-- Definitions and progress go into pg_dump with their sequences, so that a restored warehouse continues where the
-- dumped one stood. The sequences of runs and alerts go along to keep old numbers from being given out again.
SELECT pg_extension_config_dump('etl.pool', '');
SELECT pg_extension_config_dump('etl.retention', '');
SELECT pg_extension_config_dump('etl.alert_route', '');
SELECT pg_extension_config_dump('etl.pipeline', '');
SELECT pg_extension_config_dump('etl.pipeline_pipeline_id_seq', '');
-- A role that is gone would be dumped as a number, which may be another role's where the dump is restored.
SELECT pg_extension_config_dump('etl.role_grant', 'WHERE EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid OPERATOR(pg_catalog.=) role)');
SELECT pg_extension_config_dump('etl.bi_grant', 'WHERE EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid OPERATOR(pg_catalog.=) role) AND EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid OPERATOR(pg_catalog.=) granted_by)');
SELECT pg_extension_config_dump('etl.price', '');
SELECT pg_extension_config_dump('etl.budget', '');
SELECT pg_extension_config_dump('etl.task', '');
SELECT pg_extension_config_dump('etl.task_task_id_seq', '');
SELECT pg_extension_config_dump('etl.task_dependency', '');
SELECT pg_extension_config_dump('etl.batch', '');
SELECT pg_extension_config_dump('etl.batch_batch_id_seq', '');
SELECT pg_extension_config_dump('etl.watermark', '');
SELECT pg_extension_config_dump('etl.source_schema', '');
SELECT pg_extension_config_dump('etl.extract_progress', '');
SELECT pg_extension_config_dump('etl.kafka_offset', '');
SELECT pg_extension_config_dump('etl.consumed', '');
SELECT pg_extension_config_dump('etl.file_ledger', '');
SELECT pg_extension_config_dump('etl.http_progress', '');
SELECT pg_extension_config_dump('etl.run_run_id_seq', '');
SELECT pg_extension_config_dump('etl.task_run_task_run_id_seq', '');
SELECT pg_extension_config_dump('etl.alert_alert_id_seq', '');
SELECT pg_extension_config_dump('etl.contract', '');
SELECT pg_extension_config_dump('etl.contract_contract_id_seq', '');
SELECT pg_extension_config_dump('etl.task_reference', '');
