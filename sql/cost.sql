-- Prices and budgets: what is refused, who may, and what the views say of it. What attempts use is measured: see test/pgtap/cost.sql.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_ext;
CREATE ROLE cost_owner LOGIN;
CREATE ROLE cost_other LOGIN;
GRANT USAGE ON SCHEMA etl TO cost_owner, cost_other;
\pset format unaligned
\pset tuples_only on
\pset null '(null)'
\set SHOW_CONTEXT never

CREATE FUNCTION pg_temp.refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  message text;
  detail text;
  hint text;
BEGIN
  EXECUTE statement;
  RAISE EXCEPTION 'not refused';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN concat_ws(E'\n', SQLSTATE || ': ' || message, '  detail: ' || nullif(detail, ''), '  hint: ' || nullif(hint, ''));
END
$$;

CREATE PROCEDURE pg_temp.wait_for_alerts(n int) LANGUAGE plpgsql AS $$
BEGIN
  WHILE (SELECT count(*) FROM etl.alert) < n OR EXISTS (SELECT FROM etl.run WHERE NOT counted) LOOP PERFORM pg_sleep(0.01); END LOOP;
END $$;

-- Prices.
SELECT etl.set_price('cpu_hour', 0.05, 'EUR', '2020-01-01');
SELECT etl.set_price('cpu_hour', 0.06, valid_from => '2021-01-01');
SELECT etl.set_price('gb_wal', 0, valid_from => '2020-06-01');
SELECT etl.set_price('attempt', 1);
SELECT resource, price, currency, unit, valid_from <= now()::date FROM etl.price ORDER BY resource, valid_from;
SELECT valid_from, valid_to, currency, cpu_hour, gb_wal, gb_read FROM etl.price_list WHERE valid_to < '2030-01-01' AND valid_from < '2021-01-01' ORDER BY 1;
SELECT etl.set_price('cpu_hour', 0.07, valid_from => '2021-01-01');
SELECT price FROM etl.price WHERE resource = 'cpu_hour' AND valid_from = '2021-01-01';
SELECT pg_temp.refused($$SELECT etl.set_price('gpu_hour', 1)$$);
SELECT pg_temp.refused($$SELECT etl.set_price('cpu_hour', -1)$$);
SELECT pg_temp.refused($$SELECT etl.set_price('cpu_hour', 'NaN')$$);
SELECT pg_temp.refused($$SELECT etl.set_price('cpu_hour', 'Infinity')$$);
SELECT pg_temp.refused($$SELECT etl.set_price('cpu_hour', NULL)$$);
SELECT pg_temp.refused($$SELECT etl.set_price(NULL, 1)$$);
SELECT pg_temp.refused($$SELECT etl.set_price('cpu_hour', 1, 'euro')$$);
SELECT pg_temp.refused($$SELECT etl.set_price('cpu_hour', 1, 'USD')$$);
SELECT pg_temp.refused($$SELECT etl.set_price('cpu_hour', 1, valid_from => 'infinity')$$);
SELECT etl.drop_price('cpu_hour', '2021-01-01');
SELECT pg_temp.refused($$SELECT etl.drop_price('cpu_hour', '2021-01-01')$$);
SELECT pg_temp.refused($$SELECT etl.drop_price('x', '2021-01-01')$$);
SET ROLE cost_owner;
SELECT regexp_replace(pg_temp.refused($$SELECT etl.set_price('cpu_hour', 1)$$), 'role ".*"', 'role "..."');
SELECT regexp_replace(pg_temp.refused($$SELECT etl.drop_price('cpu_hour', '2020-01-01')$$), 'role ".*"', 'role "..."');
SELECT count(*) > 0 AS prices_are_for_everybody_to_read FROM etl.price;

-- Budgets.
SELECT etl.create_pipeline('cost', tags => '{"team": "bi"}') > 0;
SELECT etl.add_sql('cost', 'one', 'SELECT 1', tags => '{"tier": 1}') > 0;
SELECT etl.add_sql('cost', 'two', 'SELECT 1') > 0;
SELECT etl.set_budget('all', 100);
SELECT etl.set_budget('one', 4, period => 'day', pipeline => 'cost', tags => '{"tier": 1}', warn => '50 %');
SELECT name, amount, period, tags, warn_pct, owner, pipeline_id IS NOT NULL FROM etl.budget ORDER BY name;
SELECT pg_temp.refused($$SELECT etl.set_budget(NULL, 1)$$);
SELECT pg_temp.refused($$SELECT etl.set_budget('', 1)$$);
SELECT pg_temp.refused($$SELECT etl.set_budget(repeat('x', 129), 1)$$);
SELECT pg_temp.refused($$SELECT etl.set_budget('x', 0)$$);
SELECT pg_temp.refused($$SELECT etl.set_budget('x', NULL)$$);
SELECT pg_temp.refused($$SELECT etl.set_budget('x', 1, period => 'week')$$);
SELECT pg_temp.refused($$SELECT etl.set_budget('x', 1, warn => '0 %')$$);
SELECT pg_temp.refused($$SELECT etl.set_budget('x', 1, warn => '101')$$);
SELECT pg_temp.refused($$SELECT etl.set_budget('x', 1, warn => 'half')$$);
SELECT pg_temp.refused($$SELECT etl.set_budget('x', 1, tags => '["bi"]')$$);
SELECT pg_temp.refused($$SELECT etl.set_budget('x', 1, pipeline => 'none')$$);
SELECT pg_temp.refused($$SELECT etl.drop_budget('x')$$);

-- Spent: the attempts of one task cost one each. Inline runs count at once.
SELECT etl.run_pipeline('cost', mode => 'inline') > 0;
SELECT task, kind, tags, attempts, round(cost), currency FROM etl.cost ORDER BY task;
SELECT tag, value, attempts, round(cost), currency FROM etl.cost_by_tag ORDER BY tag, value;
SELECT budget, pipeline, tags, period, amount, currency, round(spent), round(percent), state,
       period_end >= period_start, forecast >= spent FROM etl.budget_status ORDER BY budget;
-- The scheduler raises the alerts, once.
SELECT etl.run_pipeline('cost') > 0;
CALL pg_temp.wait_for_alerts(1);
SELECT event, severity, pipeline, budget, split_part(message, ' since', 1) FROM etl.alert ORDER BY alert_id;
SELECT etl.run_pipeline('cost') > 0;
SELECT etl.run_pipeline('cost') > 0;
CALL pg_temp.wait_for_alerts(2);
SELECT event, severity, pipeline, budget, split_part(message, ' since', 1) FROM etl.alert ORDER BY alert_id;
SELECT count(*), sum(attempts), sum(failed) FROM etl.cost_day;
SELECT task, attempts FROM etl.cost_total ORDER BY 1;
SELECT state, runs FROM etl.run_count;
SELECT task, attempts FROM etl.cost ORDER BY task;
SELECT pipeline, state, runs FROM etl.metric_run;
SELECT task, attempts, failed, retries, last_state FROM etl.metric_task ORDER BY task;
SELECT budget, state, round(spent) FROM etl.budget_status ORDER BY budget;

-- Somebody else sees nothing of it, and changes nothing.
SET ROLE cost_other;
SELECT (SELECT count(*) FROM etl.cost), (SELECT count(*) FROM etl.cost_by_tag), (SELECT count(*) FROM etl.budget_status), (SELECT count(*) FROM etl.budget),
       (SELECT count(*) FROM etl.cost_day), (SELECT count(*) FROM etl.cost_total), (SELECT count(*) FROM etl.run_count), (SELECT count(*) FROM etl.alert),
       (SELECT count(*) FROM etl.metric_task), (SELECT count(*) FROM etl.metric_run), (SELECT count(*) FROM etl.progress);
SELECT pg_temp.refused($$SELECT etl.set_budget('all', 1)$$);
SELECT pg_temp.refused($$SELECT etl.drop_budget('all')$$);
SELECT pg_temp.refused($$SELECT etl.set_budget('x', 1, pipeline => 'cost')$$);
SELECT pg_temp.refused($$INSERT INTO etl.price VALUES ('attempt', now(), 0, 'EUR')$$);
SELECT pg_temp.refused($$UPDATE etl.budget SET amount = 1$$);
SELECT pg_temp.refused($$DELETE FROM etl.cost_day$$);
SELECT etl.metrics() ~ 'cost' AS sees_a_metric_of_it, etl.metrics() ~ E'# EOF\n$' AS ends;
SELECT etl.metric_labels('a', E'x"\\\n', 'b', NULL, 'c', ''), etl.worker_count('autovacuum launcher');
SELECT count(*) FROM etl.progress_of(1, 1);

SET ROLE cost_owner;
SELECT etl.set_budget('one', 400, period => 'day', pipeline => 'cost');
SELECT warned_for, exceeded_for FROM etl.budget WHERE name = 'one';
SELECT etl.drop_pipeline('cost');
SELECT name FROM etl.budget ORDER BY name;
SELECT etl.drop_budget('all');
RESET ROLE;
SELECT etl.drop_price(resource, valid_from) FROM etl.price;
DELETE FROM etl.alert WHERE event = 'budget_exceeded';
REVOKE USAGE ON SCHEMA etl FROM cost_owner, cost_other;
DROP ROLE cost_owner, cost_other;
