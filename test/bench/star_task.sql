-- The load, and an aggregate that has been computed before the delta comes.
SELECT etl.create_pipeline('load');
SELECT etl.add_load('load', 'fact', target => 'dw.fact', key => '{order_id}',
         query => $$SELECT order_id, customer_id, amount, currency, status, created_at FROM raw.delta$$);
SELECT etl.add_aggregate('load', 'daily', target => 'dw.daily', key => '{day}',
         query => $$SELECT created_at::date AS day, count(*) AS orders, sum(amount) AS amount FROM dw.fact GROUP BY 1$$);
SELECT etl.run_pipeline('load', tasks => '{daily}');
