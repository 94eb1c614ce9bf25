-- A wide source of 4M rows: extract and load must stay within bounds whatever its size.
CREATE SCHEMA IF NOT EXISTS src;
CREATE SCHEMA IF NOT EXISTS dw;
CREATE TABLE src.wide AS
SELECT i::bigint AS id, timestamptz '2026-01-01' + i * interval '1 s' AS updated_at, repeat(md5(i::text), 12) AS payload
FROM generate_series(1, 4000000) AS i;
ALTER TABLE src.wide ADD PRIMARY KEY (id);
CREATE INDEX ON src.wide (updated_at, id);
ANALYZE src.wide;
SELECT etl.create_pipeline('memory');
SELECT etl.add_extract('memory', 'wide', source => 'src.wide', target => 'raw.wide', cursor_column => 'updated_at',
         primary_key => '{id}');
SELECT etl.add_load('memory', 'fact_wide', target => 'dw.fact_wide', key => '{id}',
         query => $$SELECT id, updated_at, payload FROM raw.wide$$);
