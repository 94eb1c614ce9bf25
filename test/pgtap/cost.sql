-- What attempts use is measured, in background and inline, of failures and publications too; what it costs by the prices of its day.
\set ON_ERROR_STOP 1
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SELECT no_plan();

CREATE SCHEMA c;
CREATE TABLE c.src AS SELECT i AS id, md5(i::text) AS v FROM generate_series(1, 20000) AS i;
ANALYZE c.src;
SELECT etl.create_pipeline('cost', tags => '{"team": "bi", "tier": "9"}');
SELECT etl.add_load('cost', 'load', query => 'SELECT id, v FROM c.src', target => 'c.dst', key => '{id}', tags => '{"tier": "1"}');
SELECT etl.add_sql('cost', 'sorts', $$SET LOCAL work_mem = '64kB'; SELECT count(*) FROM (SELECT v FROM c.src ORDER BY v OFFSET 0) AS s$$, depends_on => '{load}');
SELECT etl.run_pipeline('cost') AS run \gset

CREATE VIEW c.used AS SELECT x.task, x.attempt, x.state, x.wall_ms, x.cpu_ms, x.buffers_hit, x.temp_bytes, x.wal_bytes, x.run_id FROM etl.task_run AS x;
SELECT ok((SELECT wal_bytes > 20000 * 32 AND buffers_hit > 0 AND cpu_ms > 0 AND wall_ms BETWEEN 1 AND 600000 FROM c.used WHERE task = 'load'),
          'a load writes the WAL of its rows');
SELECT ok((SELECT temp_bytes > 20000 * 32 FROM c.used WHERE task = 'sorts'), 'a sort without memory writes temporary files');
SELECT ok((SELECT wal_bytes < 100000 FROM c.used WHERE task = 'sorts'), 'and no WAL to speak of');
SELECT ok(bool_and(wall_ms <= extract(epoch FROM ended_at - started_at) * 1000 + 1), 'no attempt was at work for longer than it took')
FROM etl.task_run;

-- Inline: what the session did before is not part of it.
SELECT count(*) FROM (SELECT v FROM c.src ORDER BY v OFFSET 0) AS s;
SELECT etl.run_pipeline('cost', mode => 'inline', tasks => '{load}') AS run \gset
SELECT ok(wal_bytes < 20000 * 32 AND buffers_hit > 0 AND cpu_ms IS NOT NULL AND wall_ms >= 0, 'inline: a load that changes nothing writes less WAL')
FROM c.used WHERE run_id = :run;

-- Failed attempts.
SELECT etl.create_pipeline('fails');
SELECT etl.add_sql('fails', 'late', $$SET LOCAL work_mem = '64kB'; CREATE TABLE c.gone AS SELECT v FROM c.src ORDER BY v; SELECT 1/0$$, retry_delays => '{0 s}', retry_on => '{22}');
DO $$ BEGIN PERFORM etl.wait_for_run(etl.run_pipeline('fails', wait => false)); END $$;
SELECT is(count(*), 2::bigint, 'both attempts failed') FROM c.used WHERE task = 'late' AND state = 'failed';
SELECT ok(bool_and(temp_bytes > 20000 * 32 AND cpu_ms > 0), 'what they used is kept although it was rolled back') FROM c.used WHERE task = 'late';

-- Published at one commit: each its own share.
SELECT etl.create_pipeline('together', atomic_publish => true);
SELECT etl.add_load('together', 'big', query => 'SELECT id, v FROM c.src', target => 'c.big', key => '{id}');
SELECT etl.add_load('together', 'small', query => 'SELECT id, v FROM c.src WHERE id <= 10', target => 'c.small', key => '{id}');
SELECT etl.run_pipeline('together') AS run \gset
SELECT ok((SELECT wal_bytes FROM c.used WHERE task = 'big') > 10 * (SELECT wal_bytes FROM c.used WHERE task = 'small'), 'shares of WAL');
SELECT ok(sum(x.wall_ms) <= max(extract(epoch FROM x.ended_at - x.started_at)) * 1000 + 2, 'shares of time add up to no more than the whole')
FROM etl.task_run AS x WHERE run_id = :run;
SELECT etl.add_sql('together', 'breaks', 'SELECT 1/0', depends_on => '{big,small}');
SELECT etl.add_load('together', 'after', query => 'SELECT id, v FROM c.small', target => 'c.after', key => '{id}', depends_on => '{breaks}');
SELECT etl.wait_for_run(etl.run_pipeline('together', wait => false, full_refresh => true));
SELECT ok((SELECT cpu_ms > 0 AND wall_ms > 0 FROM c.used WHERE task = 'big' AND state = 'failed'), 'what was rolled back with another has used something');
SELECT is((SELECT wall_ms || ' ' || cpu_ms FROM c.used WHERE task = 'after' AND state = 'failed'), '0 0', 'what did not begin has used nothing');

-- A worker that is killed says nothing; its time is known all the same.
SELECT etl.create_pipeline('killed');
SELECT etl.add_sql('killed', 'dies', 'SELECT pg_terminate_backend(pg_backend_pid()), pg_terminate_backend(pg_backend_pid()), pg_sleep(60)');
DO $$ BEGIN PERFORM etl.wait_for_run(etl.run_pipeline('killed', wait => false)); END $$;
SELECT ok(bool_and(cpu_ms IS NULL AND wall_ms IS NULL AND ended_at > started_at), 'a worker that is gone leaves NULL') FROM etl.task_run WHERE task = 'dies';
SELECT ok(cpu_s = 0 AND wall_s > 0 AND attempts = 2, 'etl.cost counts it as 0') FROM etl.cost WHERE task = 'dies';

SELECT etl.create_pipeline('killed together', atomic_publish => true);
SELECT etl.add_load('killed together', 'one', query => 'SELECT id, v FROM c.src', target => 'c.one', key => '{id}');
SELECT etl.add_sql('killed together', 'dies too', 'SELECT pg_terminate_backend(pg_backend_pid()), pg_terminate_backend(pg_backend_pid()), pg_sleep(60)', depends_on => '{one}');
SELECT etl.add_load('killed together', 'two', query => 'SELECT id, v FROM c.one', target => 'c.two', key => '{id}', depends_on => '{dies too}');
DO $$ BEGIN PERFORM etl.wait_for_run(etl.run_pipeline('killed together', wait => false)); END $$;
SELECT ok(sum(wall_s) <= (SELECT extract(epoch FROM sum(ended_at - started_at)) FROM etl.task_run WHERE task = 'one') + 0.02 AND count(*) = 3,
          'the time of one worker is counted once') FROM etl.cost WHERE pipeline = 'killed together';

-- Sums and money. Days are moved to the past, as if time had passed.
DO $$ BEGIN
  FOR i IN 1 .. 600 LOOP
    EXIT WHEN NOT EXISTS (SELECT FROM etl.run WHERE NOT counted AND mode = 'background');
    PERFORM pg_sleep(0.05);
  END LOOP;
END $$;
SELECT is((SELECT sum(attempts) FROM etl.cost), (SELECT count(*)::numeric FROM etl.task_run WHERE started_at IS NOT NULL), 'each attempt is counted once');
SELECT is((SELECT sum(attempts) FROM etl.cost_total), (SELECT sum(attempts) FROM etl.cost_day), 'the sums agree');
SELECT is((SELECT failed || ' ' || retries FROM etl.metric_task WHERE task = 'late'), '2 1', 'failures and retries');
SELECT is((SELECT cost FROM etl.cost WHERE task = 'late'), NULL, 'without prices there is no cost');
DELETE FROM etl.cost_day;
UPDATE etl.task_run SET counted = true;
INSERT INTO etl.cost_day
SELECT t.task_id, d.day, t.pipeline_id, t.name, t.kind, 2, 0, 0, 7200000, 3600000, 3000000, 500000, 0, 4000000000, 2000000000, 1000000000, 0, 1000000, 0
FROM etl.task AS t, (VALUES (date '2024-01-31'), ('2024-02-01')) AS d (day) WHERE t.name = 'load';
SELECT is((SELECT string_agg(tags::text, ',') FROM etl.cost), '{"team": "bi", "tier": "1"},{"team": "bi", "tier": "1"}', 'tags of the task go before those of the pipeline');
SELECT etl.set_price('cpu_hour', 1, 'EUR', '2024-01-01'), etl.set_price('cpu_hour', 3, valid_from => '2024-02-01'), etl.set_price('wall_hour', 10, valid_from => '2024-02-01');
SELECT is((SELECT string_agg(round(cost, 6)::text, ' ' ORDER BY day) FROM etl.cost), '1.000000 23.000000', 'each day has its prices');
SELECT etl.set_price('gb_read', 100, valid_from => '2024-02-01'), etl.set_price('gb_wal', 1000, valid_from => '2024-02-01'), etl.set_price('gb_temp', 10000, valid_from => '2024-02-01'),
       etl.set_price('million_rows_read', 100000, valid_from => '2024-02-01'), etl.set_price('million_rows_written', 1000000, valid_from => '2024-02-01'),
       etl.set_price('attempt', 10000000, valid_from => '2024-02-01');
SELECT is((SELECT round(cost, 6)::text FROM etl.cost WHERE day = '2024-02-01'), '20812423.000000', 'every resource has its unit');
SELECT etl.set_price('gb_buffers_read', 1000000000, valid_from => '2024-02-01');
SELECT is((SELECT round(cost - 20812423) FROM etl.cost WHERE day = '2024-02-01'), 1000000 * current_setting('block_size')::numeric, 'blocks are counted in bytes');
SELECT is((SELECT string_agg(tag || ' ' || coalesce(value, '-') || ' ' || attempts, ',' ORDER BY tag) FROM etl.cost_by_tag WHERE day = '2024-01-31'), 'team bi 2,tier 1 2', 'by tag');
SELECT etl.drop_pipeline(name) FROM etl.pipeline;
SELECT is((SELECT count(*) FROM etl.cost_day), 0::bigint, 'the costs of a pipeline go with it');
SELECT * FROM finish();
