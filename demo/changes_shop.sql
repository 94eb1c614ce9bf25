-- A morning in the shop: 1,000 new orders, 5,000 changed ones, 1,000 changed customers.
\set ON_ERROR_STOP on
SELECT max(order_id) AS last_order, (SELECT max(customer_id) FROM customers) AS customers FROM orders \gset

INSERT INTO orders
SELECT :last_order + i, 1 + i * 2654435761 % :customers, (i * 7919 % 49500 + 500) / 100.0, 'EUR', 'new', now(), now()
FROM generate_series(1::bigint, 1000) AS i;

UPDATE orders SET status = 'returned', updated_at = clock_timestamp()
WHERE order_id IN (SELECT i * (:last_order / 5000) FROM generate_series(1::bigint, 5000) AS i);

UPDATE customers SET segment = 'gold', updated_at = clock_timestamp()
WHERE customer_id IN (SELECT i * (:customers / 1000) FROM generate_series(1::bigint, 1000) AS i);
