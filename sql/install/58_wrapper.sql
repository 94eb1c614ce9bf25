-- Sources that etl_ext reads by itself. etl_http is also where webhooks go (55_api_alert.sql).

CREATE FUNCTION etl.s3_validator(options text[], catalog oid)
RETURNS void LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'etl_s3_validator';
COMMENT ON FUNCTION etl.s3_validator IS 'Checks the options of foreign data wrapper etl_s3; called by CREATE and ALTER of its objects.';
CREATE FOREIGN DATA WRAPPER etl_s3 HANDLER etl.feed_handler VALIDATOR etl.s3_validator;
COMMENT ON FOREIGN DATA WRAPPER etl_s3 IS 'Files in a bucket of S3 or of a service that speaks its protocol.';

CREATE FUNCTION etl.file_validator(options text[], catalog oid)
RETURNS void LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'etl_file_validator';
COMMENT ON FUNCTION etl.file_validator IS 'Checks the options of foreign data wrapper etl_file; called by CREATE and ALTER of its objects.';
CREATE FOREIGN DATA WRAPPER etl_file HANDLER etl.feed_handler VALIDATOR etl.file_validator;
COMMENT ON FOREIGN DATA WRAPPER etl_file IS 'Files on the server''s disk. Reading them needs the rights of pg_read_server_files.';

CREATE FUNCTION etl.kafka_validator(options text[], catalog oid)
RETURNS void LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'etl_kafka_validator';
COMMENT ON FUNCTION etl.kafka_validator IS 'Checks the options of foreign data wrapper etl_kafka; called by CREATE and ALTER of its objects.';
CREATE FOREIGN DATA WRAPPER etl_kafka HANDLER etl.feed_handler VALIDATOR etl.kafka_validator;
COMMENT ON FOREIGN DATA WRAPPER etl_kafka IS 'Topics of a Kafka cluster.';
