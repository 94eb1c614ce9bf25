-- Options of the wrapper etl_kafka, and what can be said of topics without asking a broker.
\set VERBOSITY default
CREATE SCHEMA kafka_options;
SET search_path = kafka_options;
CREATE SERVER kafka_bus FOREIGN DATA WRAPPER etl_kafka OPTIONS (brokers 'k1.example.com:9092, [2001:db8::1]:9092,k3.example.com',
  security_protocol 'sasl_ssl', sasl_mechanism 'SCRAM-SHA-512', client_id 'etl.daily', timeout '20 s', fetch_wait_max_ms '50',
  socket_keepalive_enable 'true', broker_address_family 'v4');

-- What a server needs, and what it may not have.
CREATE SERVER bad FOREIGN DATA WRAPPER etl_kafka;
CREATE SERVER bad FOREIGN DATA WRAPPER etl_kafka OPTIONS (brokers 'k1:9092', "plugin.library.paths" 'x.so');
CREATE SERVER bad FOREIGN DATA WRAPPER etl_kafka OPTIONS (brokers 'k1:9092', ssl_ca_location '/etc/passwd');
CREATE SERVER bad FOREIGN DATA WRAPPER etl_kafka OPTIONS (brokers 'k1:9092', sasl_kerberos_kinit_cmd 'id');
CREATE SERVER bad FOREIGN DATA WRAPPER etl_kafka OPTIONS (brokers 'k1:9092', debug 'all');
CREATE SERVER bad FOREIGN DATA WRAPPER etl_kafka OPTIONS (brokers 'k1:9092', enable_ssl_certificate_verification 'false');
CREATE SERVER bad FOREIGN DATA WRAPPER etl_kafka OPTIONS (brokers 'k1:9092', sasl_password 'hidden');
CREATE SERVER bad FOREIGN DATA WRAPPER etl_kafka OPTIONS (brokers 'k1:port');
CREATE SERVER bad FOREIGN DATA WRAPPER etl_kafka OPTIONS (brokers 'ssl://k1:9092');
CREATE SERVER bad FOREIGN DATA WRAPPER etl_kafka OPTIONS (brokers 'k1,,k2');
CREATE SERVER bad FOREIGN DATA WRAPPER etl_kafka OPTIONS (brokers 'k1', security_protocol 'tls');
CREATE SERVER bad FOREIGN DATA WRAPPER etl_kafka OPTIONS (brokers 'k1', sasl_mechanism 'GSSAPI');
CREATE SERVER bad FOREIGN DATA WRAPPER etl_kafka OPTIONS (brokers 'k1', sasl_mechanism 'PLAIN');
CREATE SERVER bad FOREIGN DATA WRAPPER etl_kafka OPTIONS (brokers 'k1', timeout '1 h');
CREATE SERVER bad FOREIGN DATA WRAPPER etl_kafka OPTIONS (brokers 'k1', queued_max_messages_kbytes '1000000');
CREATE SERVER bad FOREIGN DATA WRAPPER etl_kafka OPTIONS (brokers 'k1', fetch_max_bytes 'many');
CREATE SERVER bad FOREIGN DATA WRAPPER etl_kafka OPTIONS (brokers 'k1', ssl_ca_pem '-----BEGIN CERTIFICATE-----
x
-----END CERTIFICATE-----');
CREATE SERVER bad FOREIGN DATA WRAPPER etl_kafka OPTIONS (brokers 'k1', security_protocol 'ssl', ssl_ca_pem '-----BEGIN PRIVATE KEY-----');

-- User mappings hold user and password; neither is ever shown.
CREATE USER MAPPING FOR PUBLIC SERVER kafka_bus OPTIONS (sasl_username 'etl', sasl_password E'two\nlines');
CREATE USER MAPPING FOR PUBLIC SERVER kafka_bus OPTIONS (sasl_username 'etl', brokers 'k9');

-- Tables.
CREATE FOREIGN TABLE bad (value jsonb) SERVER kafka_bus;
CREATE FOREIGN TABLE bad (value jsonb) SERVER kafka_bus OPTIONS (topic 'a b');
CREATE FOREIGN TABLE bad (value jsonb) SERVER kafka_bus OPTIONS (topic 'a', value_format 'avro');
CREATE FOREIGN TABLE bad (value jsonb) SERVER kafka_bus OPTIONS (topic 'a', on_out_of_range 'ignore');
CREATE FOREIGN TABLE bad (value jsonb) SERVER kafka_bus OPTIONS (topic 'a', start 'yesterday');
CREATE FOREIGN TABLE bad (value jsonb) SERVER kafka_bus OPTIONS (topic 'a', start '2026-01-31 00:00:00');
CREATE FOREIGN TABLE bad (value jsonb) SERVER kafka_bus OPTIONS (topic 'a', start '2026-02-31T00:00:00Z');
CREATE FOREIGN TABLE bad (value jsonb) SERVER kafka_bus OPTIONS (topic 'a', max_records '0');
CREATE FOREIGN TABLE bad (value jsonb) SERVER kafka_bus OPTIONS (topic 'a', max_wait '30');
CREATE FOREIGN TABLE bad (value jsonb) SERVER kafka_bus OPTIONS (topic 'a', partitions '0;1');
CREATE FOREIGN TABLE bad (id int OPTIONS (json 'id')) SERVER kafka_bus OPTIONS (topic 'a');
CREATE FOREIGN TABLE events (value jsonb, key text, _offset bigint) SERVER kafka_bus OPTIONS (topic 'events', start '2026-01-31T00:00:00+01',
  on_out_of_range 'earliest', max_records '1000', max_wait '10 min', partitions '0, 2');
CREATE FOREIGN TABLE events_again (value jsonb, key text, _offset bigint) SERVER kafka_bus OPTIONS (topic 'events');
CREATE FOREIGN TABLE fields (id int, amount numeric OPTIONS (json '$.total.amount'), value text OPTIONS (json '$.value')) SERVER kafka_bus
  OPTIONS (topic 'events');
CREATE FOREIGN TABLE headers_text (value jsonb, headers text) SERVER kafka_bus OPTIONS (topic 'events');
CREATE FOREIGN TABLE text_and_field (value text, id int) SERVER kafka_bus OPTIONS (topic 'events', value_format 'text');
CREATE FOREIGN TABLE bytes (value text) SERVER kafka_bus OPTIONS (topic 'events', value_format 'bytea');
CREATE FOREIGN TABLE only_offset (_offset bigint) SERVER kafka_bus OPTIONS (topic 'events');

-- Extracts.
SELECT etl.create_pipeline('kafka options') \g /dev/null
SELECT etl.add_extract('kafka options', 'headers', 'headers_text', 'raw.kafka_headers') \g /dev/null
SELECT etl.add_extract('kafka options', 'text', 'text_and_field', 'raw.kafka_text') \g /dev/null
SELECT etl.add_extract('kafka options', 'bytes', 'bytes', 'raw.kafka_bytes') \g /dev/null
SELECT etl.add_extract('kafka options', 'nothing', 'only_offset', 'raw.kafka_nothing') \g /dev/null
SELECT etl.add_extract('kafka options', 'cursor', 'events', 'raw.kafka_events', cursor_column => '_offset') \g /dev/null
SELECT etl.add_extract('kafka options', 'files', 'events', 'raw.kafka_events', on_error => 'skip_file') \g /dev/null
SELECT etl.add_extract('kafka options', 'events', 'events', 'raw.kafka_events') \g /dev/null
SELECT etl.add_extract('kafka options', 'fields', 'fields', 'raw.kafka_fields', primary_key => '{id}') \g /dev/null
SELECT etl.add_sql('kafka options', 'other', 'SELECT 1') \g /dev/null
SELECT etl.explain_task('kafka options', 'events');
SELECT task, severity, problem FROM etl.validate('kafka options') WHERE task = 'events';

-- Positions by hand.
SELECT etl.set_kafka_offset('kafka options', 'nowhere', 0, 0);
SELECT etl.set_kafka_offset('kafka options', 'other', 0, 0);
SELECT etl.set_kafka_offset('kafka options', 'events', -1, 0);
SELECT etl.set_kafka_offset('kafka options', 'events', 0, -2);
SELECT etl.set_kafka_offset('kafka options', 'events', NULL, 5);
SELECT etl.set_kafka_offset('kafka options', 'events', 0, 120, 'the first ones are for tests');
SELECT etl.set_kafka_offset('kafka options', 'events', 2, NULL);
SELECT etl.explain_task('kafka options', 'events');
SELECT topic, partition, next_offset, end_offset, leader_epoch, run_id FROM etl.kafka_offset ORDER BY partition;
SELECT action, task, details FROM etl.audit_log WHERE action = 'set_kafka_offset' ORDER BY audit_id;
ALTER FOREIGN TABLE events OPTIONS (SET topic 'other');
SELECT etl.explain_task('kafka options', 'events');
SELECT etl.set_kafka_offset('kafka options', 'events', 0, 7);
SELECT etl.alter_task('kafka options', 'events', source => 'events_again');
SELECT count(*) FROM etl.kafka_offset;
SELECT etl.drop_pipeline('kafka options');
DROP TABLE raw.kafka_events, raw.kafka_fields;
SET client_min_messages = warning;
DROP SERVER kafka_bus CASCADE;
DROP SCHEMA kafka_options CASCADE;
