-- A fact of 10M rows over a year, and corrections of 100 of them on 30 days.
DROP TABLE IF EXISTS dw.base, dw.fact_plain, dw.fact;
CREATE TABLE dw.fact AS
SELECT i::bigint AS order_id, (i % 1000)::numeric(12,2) AS amount, timestamptz '2025-01-01' + i * interval '3 s' AS created_at
FROM generate_series(1, 10000000) AS i;
ALTER TABLE dw.fact ADD PRIMARY KEY (order_id);
CREATE INDEX ON dw.fact (created_at);
VACUUM ANALYZE dw.fact;
CREATE TABLE src.correction (order_id bigint, amount numeric(12,2), created_at timestamptz);
SET client_min_messages = warning;
SELECT etl.create_pipeline('late');
SELECT etl.add_extract('late', 'correction', source => 'src.correction', target => 'raw.correction');
SELECT etl.add_load('late', 'fact', target => 'dw.fact', key => '{order_id}',
         query => $$SELECT order_id, amount, created_at FROM raw.correction$$);
SELECT etl.add_aggregate('late', 'daily', target => 'dw.daily', key => '{day}',
         query => $$SELECT created_at::date AS day, count(*) AS orders, sum(amount) AS amount FROM dw.fact GROUP BY 1$$);
SELECT etl.run_pipeline('late');
INSERT INTO src.correction SELECT order_id, amount + 1, created_at FROM dw.fact
WHERE order_id IN (SELECT (d * 12 + 5) * 28800 + n FROM generate_series(0, 29) AS d, generate_series(1, 3) AS n) OR order_id <= 10;
CHECKPOINT;
