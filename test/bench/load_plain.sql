MERGE INTO dw.fact_plain AS t USING src.delta AS d ON t.order_id = d.order_id
WHEN MATCHED THEN UPDATE SET customer_id = d.customer_id, amount = d.amount, currency = d.currency,
  status = d.status, created_at = d.created_at
WHEN NOT MATCHED THEN INSERT (order_id, customer_id, amount, currency, status, created_at)
  VALUES (d.order_id, d.customer_id, d.amount, d.currency, d.status, d.created_at)
