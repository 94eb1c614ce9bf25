SELECT etl.create_pipeline('load');
SELECT etl.add_load('load', 'fact', target => 'dw.fact', key => '{order_id}',
         query => $$SELECT order_id, customer_id, amount, currency, status, created_at FROM raw.delta$$);
