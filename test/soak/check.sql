-- What has to be so when everything has come to rest and each pipeline has succeeded: a row for each thing that is not.
-- differ: how many rows of two queries have no partner in the other one, as multisets.
CREATE OR REPLACE FUNCTION pg_temp.differ(name text, one text, other text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  missing bigint;
  surplus bigint;
BEGIN
  EXECUTE format('CREATE TEMPORARY TABLE one ON COMMIT DROP AS %s', one);
  EXECUTE format('CREATE TEMPORARY TABLE other ON COMMIT DROP AS %s', other);
  SELECT count(*) INTO missing FROM (TABLE other EXCEPT ALL TABLE one) AS x;
  SELECT count(*) INTO surplus FROM (TABLE one EXCEPT ALL TABLE other) AS x;
  DROP TABLE one, other;
  IF missing + surplus > 0 THEN
    RETURN NEXT format('%s: %s rows are missing, %s should not be there', name, missing, surplus);
  END IF;
END $$;

SELECT pg_temp.differ('orders', 'SELECT id, grp, amount, updated_at FROM dw.orders', 'SELECT id, grp, amount, updated_at FROM shop.orders');
SELECT pg_temp.differ('totals of orders', 'SELECT grp, n, amount FROM dw.totals', 'SELECT grp, count(*), sum(amount) FROM shop.orders GROUP BY 1');
SELECT pg_temp.differ('events', 'SELECT id, n, at FROM dw.events', 'SELECT id, n, at FROM src.events');
SELECT pg_temp.differ('raw events', 'SELECT id, n, at FROM raw.events', 'SELECT id, n, at FROM src.events');
SELECT pg_temp.differ('customers', 'SELECT id, name, version FROM dw.customers', 'SELECT id, name, version FROM shop.customers');
SELECT pg_temp.differ('payments', 'SELECT id, amount, version FROM dw.payments', 'SELECT id, amount, version FROM pay.payments');
SELECT pg_temp.differ('versions of orders in raw', 'SELECT id, updated_at, _etl_extra FROM raw.orders', 'SELECT DISTINCT id, updated_at, _etl_extra FROM raw.orders');
SELECT pg_temp.differ('versions of payments in raw', 'SELECT id, version FROM raw.payments', 'SELECT DISTINCT id, version FROM raw.payments');

SELECT pg_temp.differ('the ledger of batches', $$SELECT batch_id, row_count FROM etl.batch WHERE target LIKE 'raw.%'$$,
  'SELECT _etl_batch, count(*) FROM (SELECT _etl_batch FROM raw.orders UNION ALL SELECT _etl_batch FROM raw.events
   UNION ALL SELECT _etl_batch FROM raw.payments) AS r GROUP BY 1');
SELECT pg_temp.differ('rows that extracts say they stored', $$SELECT task_run_id, rows_inserted FROM etl.task_run WHERE kind = 'extract' AND rows_inserted > 0$$,
  $$SELECT task_run_id, sum(row_count)::bigint FROM etl.batch WHERE target LIKE 'raw.%' GROUP BY 1$$);
SELECT pg_temp.differ('rows that loads say they stored', $$SELECT task, sum(rows_inserted)::bigint FROM etl.task_run WHERE task IN ('load orders', 'append events', 'load payments') GROUP BY 1$$,
  $$SELECT 'load orders', count(*) FROM dw.orders UNION ALL SELECT 'append events', count(*) FROM dw.events UNION ALL SELECT 'load payments', count(*) FROM dw.payments$$);
SELECT pg_temp.differ('positions of loads', $$SELECT input, batch_id FROM etl.consumed WHERE input LIKE 'raw.%'$$,
  $$SELECT target, max(batch_id) FROM etl.batch WHERE target LIKE 'raw.%' GROUP BY 1$$);

-- Every scheduled time of a pipeline that catches up has one run, and that succeeded; all have one at most.
SELECT pg_temp.differ('scheduled times of ' || p.name,
  format($$SELECT scheduled_for FROM etl.run WHERE pipeline_id = %s AND scheduled_for IS NOT NULL AND state = 'success'$$, p.pipeline_id),
  format($$SELECT t FROM began, etl.schedule_status AS s, etl.schedule_times('* * * * *', 'UTC', began.at, 10000) AS t
           WHERE s.pipeline = %L AND t < s.next_run_at$$, p.name))
FROM etl.pipeline AS p WHERE p.missed_run = 'catch_up';
SELECT format('%s: %s runs for %s', pipeline_id, count(*), scheduled_for) FROM etl.run WHERE scheduled_for IS NOT NULL
GROUP BY pipeline_id, scheduled_for HAVING count(*) > 1;
SELECT pg_temp.differ('marks', 'SELECT run_id, logical_time FROM dw.done',
  $$SELECT r.run_id, r.logical_time FROM etl.run AS r JOIN etl.task_run AS x USING (run_id) WHERE x.task = 'mark' AND x.state = 'success'$$);

SELECT format('run %s is %s', run_id, state) FROM etl.run WHERE state IN ('queued', 'running');
SELECT format('task %s of run %s is %s', task, run_id, state) FROM etl.task_run
WHERE ended_at IS NULL OR state IN ('waiting', 'ready', 'running', 'retry');
SELECT format('task %s of run %s has succeeded %s times', task, run_id, count(*)) FROM etl.task_run
WHERE state IN ('success', 'warning') GROUP BY task, run_id HAVING count(*) > 1;
SELECT format('run %s is success, its task %s is %s', r.run_id, x.task, x.state) FROM etl.run AS r
JOIN etl.task_status AS x USING (run_id) WHERE r.state = 'success' AND x.state <> 'success';
SELECT format('process %s (%s) holds lock %s', l.pid, a.backend_type, to_hex(l.objsubid::int)) FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'advisory' AND l.objsubid BETWEEN x'E71'::int AND x'E7F'::int
  AND a.backend_type IS DISTINCT FROM 'etl scheduler' AND a.backend_type IS DISTINCT FROM 'etl launcher';
SELECT format('%s executors are left', count(*)) FROM pg_stat_activity WHERE backend_type = 'etl executor' HAVING count(*) > 0;
SELECT format('the temporary table %s is left', oid::regclass) FROM pg_class WHERE relpersistence = 't' AND relnamespace <> pg_my_temp_schema();
