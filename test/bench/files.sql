-- Rows as CSV and NDJSON in directory :dir, plain tables for COPY, foreign tables for extracts.
CREATE TEMP TABLE lines AS
SELECT n AS line_id, n / 3 AS order_id, (n % 5000)::integer AS product_id, ((n % 100000) / 100.0)::numeric(12,2) AS amount,
       'new'::varchar(20) AS status, md5(n::text) AS note,
       timestamptz '2026-01-01' + n * interval '1 s' AS created_at, timestamptz '2026-01-02' + n * interval '1 s' AS updated_at
FROM generate_series(1::bigint, :rows) AS n;
SET TimeZone = 'UTC';
SELECT format('COPY lines TO %L (FORMAT csv, HEADER)', :'dir' || '/lines.csv') \gexec
SELECT format('COPY (SELECT row_to_json(l) FROM lines AS l) TO %L (FORMAT csv, QUOTE E''\x01'', DELIMITER E''\x02'')', :'dir' || '/lines.ndjson') \gexec
CREATE TABLE plain_csv (LIKE lines);
CREATE TABLE plain_ndjson (doc jsonb);
SELECT format('CREATE SERVER disk FOREIGN DATA WRAPPER etl_file OPTIONS (root %L)', :'dir') \gexec
CREATE SCHEMA files;
CREATE FOREIGN TABLE files.csv (line_id bigint, order_id bigint, product_id integer, amount numeric(12,2), status varchar(20), note text,
  created_at timestamptz, updated_at timestamptz) SERVER disk OPTIONS (prefix 'lines.csv');
CREATE FOREIGN TABLE files.ndjson (line_id bigint, order_id bigint, product_id integer, amount numeric(12,2), status varchar(20), note text,
  created_at timestamptz, updated_at timestamptz) SERVER disk OPTIONS (prefix 'lines.ndjson', format 'ndjson');
