-- Index entries of raw partitions: one per block of a batch is enough for the BRIN index, others get one per row.
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
SELECT plan(7);

CREATE SCHEMA src;
CREATE TABLE src.wide AS SELECT n AS id, repeat(md5(n::text), 12) AS payload FROM generate_series(1, 6000) AS n;
ALTER TABLE src.wide ADD PRIMARY KEY (id);
SELECT etl.create_pipeline('wide') \g /dev/null
SELECT etl.add_extract('wide', 'wide', source => 'src.wide', target => 'raw.wide', primary_key => '{id}', chunk_rows => 700) \g /dev/null
SELECT etl.run_pipeline('wide', mode => 'inline') \g /dev/null

-- leaf is today's partition.
CREATE VIEW src.leaf AS SELECT tableoid::regclass AS relation FROM raw.wide LIMIT 1;
CREATE FUNCTION src.found(batch bigint) RETURNS bigint LANGUAGE sql SET enable_seqscan = off AS
  'SELECT count(*) FROM raw.wide WHERE _etl_batch = batch';

SELECT is((SELECT count(*) FROM etl.batch WHERE target = 'raw.wide'), 9::bigint, '9 batches');
SELECT cmp_ok((SELECT pg_relation_size(relation) / 8192 FROM src.leaf), '>', 96::bigint, 'they fill several ranges of 32 blocks');
SELECT is_empty($$SELECT batch_id, row_count, src.found(batch_id) FROM etl.batch WHERE target = 'raw.wide' AND row_count <> src.found(batch_id)$$,
  'each batch is found whole through the index');
SELECT is((SELECT brin_summarize_new_values(indexrelid) FROM pg_index, src.leaf WHERE indrelid = relation), 0, 'no range is left to summarize');

-- Every row gets an entry in an index on another column.
CREATE INDEX ON raw.wide (id);
SELECT etl.run_pipeline('wide', mode => 'inline') \g /dev/null
CREATE FUNCTION src.versions(key int) RETURNS bigint LANGUAGE sql SET enable_seqscan = off SET enable_bitmapscan = off AS
  'SELECT count(*) FROM raw.wide WHERE id = key';
SELECT is((SELECT count(*) FROM raw.wide), 12000::bigint, 'a second run appended everything again');
SELECT is_empty($$SELECT id FROM src.wide WHERE src.versions(id) <> 2$$, 'both versions of each row are found through an index on the key');
SELECT is_empty($$SELECT batch_id FROM etl.batch WHERE target = 'raw.wide' AND row_count <> src.found(batch_id)$$,
  'and each batch through the other one');
SELECT * FROM finish();
ROLLBACK;
