-- The source of the soak on the other PostgreSQL server. Orders have two writers whose transactions commit late, so that
-- their times become visible out of order; customers are inserted, changed and deleted.
CREATE TABLE orders (
  id         bigint PRIMARY KEY,
  grp        integer NOT NULL,
  amount     integer NOT NULL,
  updated_at timestamptz NOT NULL
);
CREATE INDEX ON orders (updated_at, id);
CREATE SEQUENCE order_number;
CREATE TABLE customers (id integer PRIMARY KEY, name text NOT NULL, version integer NOT NULL);
INSERT INTO customers SELECT n, 'customer ' || n, 0 FROM generate_series(1, 200) AS n;

-- The writers have the even and the odd orders, and never wait for each other.
CREATE FUNCTION change_orders(writer integer) RETURNS void LANGUAGE sql AS $$
  INSERT INTO orders SELECT 2 * nextval('order_number') + writer, n, n, clock_timestamp() FROM generate_series(1, 20) AS n;
  UPDATE orders SET amount = amount + 1, updated_at = clock_timestamp()
  WHERE id IN (SELECT id FROM orders WHERE id % 2 = writer ORDER BY random() LIMIT 20);
  SELECT pg_sleep(random() * 0.3);
$$;
CREATE FUNCTION change_customers() RETURNS void LANGUAGE sql AS $$
  DELETE FROM customers WHERE id IN (SELECT id FROM customers ORDER BY random() LIMIT 2);
  INSERT INTO customers SELECT max(id) + n, 'new', 0 FROM customers, generate_series(1, 2) AS n GROUP BY n;
  UPDATE customers SET version = version + 1 WHERE id IN (SELECT id FROM customers ORDER BY random() LIMIT 5);
$$;
