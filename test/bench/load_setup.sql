-- A fact of 5M rows, and 1M rows in no order in a raw table, of which half change it and half are new. shape says how
-- keys lie:
--   random  keys in random order, as uuids or hashes would be
--   recent  ascending keys; the changes are among the last fifth
--   spread  ascending keys; every tenth row changes
CREATE SCHEMA IF NOT EXISTS dw;
CREATE SCHEMA IF NOT EXISTS src;
DROP TABLE IF EXISTS dw.base, src.delta;
CREATE FUNCTION pg_temp.key_of(i bigint) RETURNS bigint LANGUAGE sql IMMUTABLE
RETURN CASE WHEN :'shape' = 'random' THEN hashint8extended(i, 0) ELSE i END;
CREATE TABLE dw.base AS
SELECT pg_temp.key_of(i) AS order_id, (i % 100000)::int AS customer_id, (i % 1000)::numeric(12,2) AS amount,
       'EUR' AS currency, 'paid' AS status, timestamptz '2026-01-01' + i * interval '1 s' AS created_at
FROM generate_series(1, 5000000) AS i;
CREATE TABLE src.delta AS
SELECT pg_temp.key_of(CASE WHEN i % 2 = 0 THEN 5000000 + i
                           WHEN :'shape' = 'recent' THEN 4000000 + i
                           ELSE (i::bigint * 7919) % 5000000 + 1 END) AS order_id,
       (i % 100000)::int AS customer_id, (i % 1000 + 0.5)::numeric(12,2) AS amount, 'EUR' AS currency,
       'shipped' AS status, timestamptz '2026-03-01' + i * interval '1 s' AS created_at
FROM generate_series(1, 1000000) AS i
ORDER BY hashint8(i);
ANALYZE dw.base;
ANALYZE src.delta;
SET client_min_messages = warning;
SELECT etl.create_pipeline('extract');
SELECT etl.add_extract('extract', 'delta', source => 'src.delta', target => 'raw.delta');
SELECT etl.run_pipeline('extract');
