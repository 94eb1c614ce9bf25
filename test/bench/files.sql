-- One million rows as files, and the tables that COPY and etl_ext read them into. root: a directory that the server may write to.
SET client_min_messages = warning;
CREATE SCHEMA files;
CREATE TABLE files.source AS
SELECT i AS id, 1 + i % 100000 AS customer_id, ((i * 7919 % 49500 + 500) / 100.0)::numeric(10, 2) AS amount, 'EUR'::text AS currency,
       (ARRAY['new', 'paid', 'returned'])[1 + i % 3] AS status, md5(i::text) AS note, timestamptz '2026-01-01' + i * interval '1 s' AS created_at,
       timestamptz '2026-01-02' + i * interval '1 s' AS updated_at
FROM generate_series(1, 1000000::bigint) AS i;
SELECT format('COPY files.source TO %L (FORMAT csv, HEADER)', :'root' || '/lines.csv') \gexec
SELECT format('COPY (SELECT to_jsonb(s) FROM files.source AS s) TO %L (FORMAT csv, QUOTE E''\x01'', DELIMITER E''\x02'')', :'root' || '/lines.ndjson') \gexec
CREATE TABLE files.plain_csv (LIKE files.source);
CREATE TABLE files.plain_ndjson (doc jsonb);
CREATE SERVER files FOREIGN DATA WRAPPER etl_file OPTIONS (root :'root');
CREATE FOREIGN TABLE files.csv (id bigint, customer_id bigint, amount numeric(10, 2), currency text, status text, note text, created_at timestamptz,
  updated_at timestamptz) SERVER files OPTIONS (prefix 'lines.csv');
CREATE FOREIGN TABLE files.ndjson (id bigint, customer_id bigint, amount numeric(10, 2), currency text, status text, note text, created_at timestamptz,
  updated_at timestamptz) SERVER files OPTIONS (prefix 'lines.ndjson', format 'ndjson');
CREATE SERVER lake FOREIGN DATA WRAPPER etl_s3 OPTIONS (endpoint :'endpoint', region :'region', bucket 'bench');
CREATE USER MAPPING FOR CURRENT_USER SERVER lake OPTIONS (access_key_id :'key', secret_access_key :'secret');
CREATE FOREIGN TABLE files.s3_csv (id bigint, customer_id bigint, amount numeric(10, 2), currency text, status text, note text, created_at timestamptz,
  updated_at timestamptz) SERVER lake OPTIONS (prefix 'lines.csv');
CREATE FOREIGN TABLE files.s3_ndjson (id bigint, customer_id bigint, amount numeric(10, 2), currency text, status text, note text, created_at timestamptz,
  updated_at timestamptz) SERVER lake OPTIONS (prefix 'lines.ndjson', format 'ndjson');
SELECT etl.create_pipeline('files');
SELECT etl.add_extract('files', name, source => 'files.' || name, target => 'raw.' || name)
FROM unnest('{csv,ndjson,s3_csv,s3_ndjson}'::text[]) AS name;
