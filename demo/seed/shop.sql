-- The shop's database: :rows orders, a tenth as many customers, 300 products, over the 60 days before now. Values come
-- from arithmetic on the keys, so that every machine gets the same rows.
\set ON_ERROR_STOP on

CREATE TABLE customers (
  customer_id bigint PRIMARY KEY,
  name        text NOT NULL,
  email       text NOT NULL,
  segment     text NOT NULL,
  country     char(2) NOT NULL,
  created_at  timestamptz NOT NULL,
  updated_at  timestamptz NOT NULL
);
CREATE TABLE products (
  product_id bigint PRIMARY KEY,
  sku        text NOT NULL,
  name       text NOT NULL,
  category   text NOT NULL,
  price      numeric(10,2) NOT NULL,
  updated_at timestamptz NOT NULL
);
CREATE TABLE orders (
  order_id    bigint PRIMARY KEY,
  customer_id bigint NOT NULL,
  amount      numeric(12,2) NOT NULL,
  currency    char(3) NOT NULL,
  status      text NOT NULL,
  created_at  timestamptz NOT NULL,
  updated_at  timestamptz NOT NULL
);

SELECT :rows AS orders, greatest(:rows / 10, 1) AS customers, now() AS seeded_at \gset

INSERT INTO customers
SELECT i, 'Customer ' || i, 'customer' || i || '@example.com',
       (ARRAY['new', 'regular', 'regular', 'vip'])[1 + i * 7919 % 4], (ARRAY['ES', 'FR', 'DE', 'PT', 'IT'])[1 + i * 31 % 5],
       c.at, c.at + (:'seeded_at'::timestamptz - c.at) * (i * 104729 % 1000 / 1000.0)
FROM generate_series(1::bigint, :customers) AS i,
     LATERAL (SELECT :'seeded_at'::timestamptz - interval '60 days' * (1 - i::float8 / (:customers + 1))) AS c (at);

INSERT INTO products
SELECT i, 'SKU-' || lpad(i::text, 5, '0'), 'Product ' || i, (ARRAY['home', 'garden', 'toys', 'books'])[1 + i % 4],
       (i * 7919 % 9900 + 100) / 100.0, :'seeded_at'::timestamptz - interval '60 days' * (i * 131 % 300 / 300.0)
FROM generate_series(1::bigint, 300) AS i;

INSERT INTO orders
SELECT i, 1 + i * 2654435761 % :customers, (i * 7919 % 49500 + 500) / 100.0,
       (ARRAY['EUR', 'EUR', 'EUR', 'USD', 'GBP'])[1 + i * 13 % 5],
       CASE WHEN i * 17 % 20 = 0 THEN 'cancelled' WHEN i > :orders * 0.95 THEN 'paid' ELSE 'shipped' END,
       o.at, o.at + least(:'seeded_at'::timestamptz - o.at, interval '3 days') * (i * 104729 % 1000 / 1000.0)
FROM generate_series(1::bigint, :orders) AS i,
     LATERAL (SELECT :'seeded_at'::timestamptz - interval '60 days' * (1 - i::float8 / (:orders + 1))) AS o (at);

CREATE INDEX ON customers (updated_at, customer_id);
CREATE INDEX ON products (updated_at, product_id);
CREATE INDEX ON orders (updated_at, order_id);
VACUUM ANALYZE;

-- The role that the warehouse connects as; it asks for a password because etl_owner over there is no superuser.
CREATE ROLE etl LOGIN PASSWORD :'password';
GRANT SELECT ON orders, customers, products TO etl;
