-- A fact of 5M rows with one secondary index, and 1M rows in no order in a raw table: half change it, half are new.
CREATE SCHEMA IF NOT EXISTS dw;
CREATE SCHEMA IF NOT EXISTS src;
DROP TABLE IF EXISTS dw.base, src.delta;
CREATE TABLE dw.base AS
SELECT i::bigint AS order_id, (i % 100000)::int AS customer_id, (i % 1000)::numeric(12,2) AS amount,
       'EUR' AS currency, 'paid' AS status, timestamptz '2026-01-01' + i * interval '1 s' AS created_at
FROM generate_series(1, 5000000) AS i;
CREATE TABLE src.delta AS
SELECT k AS order_id, (k % 100000)::int AS customer_id, (k % 1000 + 0.5)::numeric(12,2) AS amount, 'EUR' AS currency,
       'shipped' AS status, timestamptz '2026-01-01' + k * interval '1 s' AS created_at
FROM (SELECT CASE WHEN i % 2 = 0 THEN 5000000 + i ELSE (i::bigint * 7919) % 5000000 + 1 END AS k
      FROM generate_series(1, 1000000) AS i) AS d
ORDER BY hashint8(k);
CREATE TABLE src.fresh AS
SELECT order_id + 10000000 AS order_id, customer_id, amount, currency, status, created_at FROM src.delta;
ANALYZE dw.base;
ANALYZE src.delta;
SET client_min_messages = warning;
SELECT etl.create_pipeline('extract');
SELECT etl.add_extract('extract', 'delta', source => 'src.delta', target => 'raw.delta');
SELECT etl.run_pipeline('extract');
