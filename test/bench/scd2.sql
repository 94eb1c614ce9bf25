-- A dimension of 1M customers, kept by a load in mode scd2 from a raw table.
CREATE SCHEMA IF NOT EXISTS src;
CREATE TABLE src.customer AS
SELECT i::bigint AS customer_id, 'name ' || i AS name, 'city ' || i % 1000 AS city, 'segment ' || i % 5 AS segment,
       (i % 1000)::numeric(12, 2) AS credit, timestamptz '2026-01-01' + i * interval '1 s' AS updated_at
FROM generate_series(1, 1000000) AS i;
SELECT etl.create_pipeline('customer_extract');
SELECT etl.add_extract('customer_extract', 'customer', source => 'src.customer', target => 'raw.customer');
SELECT etl.create_pipeline('customer_load');
SELECT etl.add_load('customer_load', 'dim_customer', target => 'dw.dim_customer', mode => 'scd2', key => '{customer_id}',
         order_by => 'updated_at', query => 'SELECT customer_id, name, city, segment, credit, updated_at FROM raw.customer');
SELECT etl.run_pipeline('customer_extract');
