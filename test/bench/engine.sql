-- Pipelines of tasks that do nothing: what is measured is the engine.
SELECT etl.create_pipeline('chain');
SELECT count(etl.add_sql('chain', 't' || i, 'SELECT 1', depends_on => CASE WHEN i > 1 THEN ARRAY['t' || (i - 1)] END))
FROM generate_series(1, 50) AS i;
SELECT etl.create_pipeline('wide', max_parallel => 4);
SELECT count(etl.add_sql('wide', 't' || i, 'SELECT 1')) FROM generate_series(1, 200) AS i;
