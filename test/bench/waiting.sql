-- 50 pipelines of 20 tasks that all fail with an error that may pass, and wait an hour for their retry.
SELECT count(etl.create_pipeline('waiting ' || p)) FROM generate_series(1, 50) AS p;
SELECT count(etl.add_sql('waiting ' || p, 'task ' || t, $$DO 'BEGIN RAISE EXCEPTION USING ERRCODE = ''40001''; END'$$,
                         retry_delays => '{1 h}'))
FROM generate_series(1, 50) AS p, generate_series(1, 20) AS t;
