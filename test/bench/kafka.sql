-- Three ways to take the same topic: the value as text, as jsonb, and its fields. See part_kafka in run.sh; psql's variable
-- brokers names the broker.
CREATE SERVER bus FOREIGN DATA WRAPPER etl_kafka OPTIONS (brokers :'brokers');
CREATE SCHEMA topics;
CREATE FOREIGN TABLE topics.text (value text, key text, _partition integer, _offset bigint, _timestamp timestamptz)
  SERVER bus OPTIONS (topic 'bench');
CREATE FOREIGN TABLE topics.jsonb (value jsonb, key text, _partition integer, _offset bigint, _timestamp timestamptz)
  SERVER bus OPTIONS (topic 'bench');
CREATE FOREIGN TABLE topics.fields (order_id bigint, customer_id bigint, amount numeric, status text, created_at timestamptz,
  country text, note text, key text, _partition integer, _offset bigint, _timestamp timestamptz) SERVER bus OPTIONS (topic 'bench');
SELECT etl.create_pipeline('kafka');
SELECT etl.add_extract('kafka', 'text', source => 'topics.text', target => 'raw.topic_text');
SELECT etl.add_extract('kafka', 'jsonb', source => 'topics.jsonb', target => 'raw.topic_jsonb');
SELECT etl.add_extract('kafka', 'fields', source => 'topics.fields', target => 'raw.topic_fields');
