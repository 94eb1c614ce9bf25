-- The warehouse of the soak. Variables: shop_host, shop_port, pay_port, owed.
CREATE EXTENSION etl_ext;
CREATE EXTENSION postgres_fdw;
CREATE EXTENSION mysql_fdw;
CREATE SERVER shop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host :'shop_host', port :'shop_port', dbname 'shop', fetch_size '1000');
CREATE USER MAPPING FOR CURRENT_USER SERVER shop;
CREATE SCHEMA shop;
IMPORT FOREIGN SCHEMA public LIMIT TO (orders, customers) FROM SERVER shop INTO shop;
CREATE SERVER pay FOREIGN DATA WRAPPER mysql_fdw
  OPTIONS (host '127.0.0.1', port :'pay_port', fetch_size '1000', init_command 'SET time_zone="+00:00"');
CREATE USER MAPPING FOR CURRENT_USER SERVER pay OPTIONS (username 'etl', password 'secret');
CREATE SCHEMA pay;
CREATE FOREIGN TABLE pay.payments (id bigint NOT NULL, amount integer NOT NULL, version bigint NOT NULL)
  SERVER pay OPTIONS (dbname 'pay', table_name 'payments');

CREATE SCHEMA src;
CREATE TABLE src.events (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n integer NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE SCHEMA raw;
CREATE SCHEMA dw;
CREATE TABLE dw.done (logical_time timestamptz, run_id bigint);

-- Two writers with late commits: lag. Every scheduled time is caught up with, one after the other.
SELECT etl.create_pipeline('orders', schedule => '* * * * *', missed_run => 'catch_up', on_overlap => 'queue');
SELECT etl.add_extract('orders', 'extract orders', 'shop.orders', 'raw.orders', cursor_column => 'updated_at', primary_key => '{id}',
         lag => '5 s', chunk_rows => 200, retry_delays => '{0.3 s,0.5 s,1 s,2 s}');
SELECT etl.add_load('orders', 'load orders', 'SELECT id, grp, amount, updated_at FROM raw.orders', 'dw.orders', '{id}',
         order_by => 'updated_at', retry_delays => '{0 s,0.3 s,1 s}');
SELECT etl.add_aggregate('orders', 'sum orders', 'SELECT grp, count(*) AS n, sum(amount) AS amount FROM dw.orders GROUP BY 1', 'dw.totals',
         '{grp}', retry_delays => '{0 s,0.3 s,1 s}');

-- A local source that only grows, appended; its table gets new columns.
SELECT etl.create_pipeline('events', schedule => '* * * * *', missed_run => 'run_once', on_overlap => 'skip');
SELECT etl.add_extract('events', 'extract events', 'src.events', 'raw.events', cursor_column => 'id', primary_key => '{id}',
         chunk_rows => 100, retry_delays => '{0.3 s,0.5 s,1 s}');
SELECT etl.add_load('events', 'append events', 'SELECT id, n, at FROM raw.events', 'dw.events', mode => 'append', retry_delays => '{0 s,0.3 s,1 s}');

-- The target is what the source is now, rows that were deleted included.
SELECT etl.create_pipeline('customers', on_overlap => 'error');
SELECT etl.add_load('customers', 'replace customers', 'SELECT id, name, version FROM shop.customers', 'dw.customers', '{id}', mode => 'replace',
         retry_delays => '{0.3 s,0.5 s,1 s,2 s}');

SELECT etl.create_pipeline('payments', schedule => '* * * * *', missed_run => 'run_once', on_overlap => 'cancel_running');
SELECT etl.add_extract('payments', 'extract payments', 'pay.payments', 'raw.payments', cursor_column => 'version', primary_key => '{id}',
         chunk_rows => 100, retry_delays => '{0.3 s,0.5 s,1 s}');
SELECT etl.add_load('payments', 'load payments', 'SELECT id, amount, version FROM raw.payments', 'dw.payments', '{id}', order_by => 'version',
         retry_delays => '{0 s,0.3 s,1 s}');

-- Each scheduled time leaves one mark.
SELECT etl.create_pipeline('marks', schedule => '* * * * *', missed_run => 'catch_up', on_overlap => 'queue');
SELECT etl.add_sql('marks', 'first', 'SELECT pg_sleep(random() * 0.2)', retry_delays => '{0 s,0.3 s,1 s}');
SELECT etl.add_sql('marks', 'mark', 'INSERT INTO dw.done SELECT etl.logical_time(), etl.run_id(); SELECT pg_sleep(random() * 0.2)',
         depends_on => '{first}', retry_delays => '{0 s,0.3 s,1 s}');

-- They owe the runs of so many past minutes, so that there is something to catch up with all the time.
CREATE TABLE began AS SELECT date_trunc('minute', now()) - :owed * interval '1 min' AS at;
UPDATE etl.schedule SET decided_until = (SELECT at FROM began);
