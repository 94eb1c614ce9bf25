-- The daily pipeline of a shop, complete: an order database (PostgreSQL), a payment database (MariaDB), an API of exchange
-- rates (HTTP), a folder of returned goods (CSV files on S3), a topic of clicks (Kafka), and the warehouse.
-- demo/run.sh runs this file in an empty database with the addresses of its servers as psql variables.
\set ON_ERROR_STOP on
\set QUIET on

-- ── What a superuser does once ─────────────────────────────────────────────────────────────────────────────────────
CREATE EXTENSION etl_ext;
CREATE EXTENSION postgres_fdw;
CREATE EXTENSION mysql_fdw;
CREATE EXTENSION pg_cron;                                     -- only because the pipeline below has a schedule

CREATE ROLE etl_owner LOGIN;
GRANT USAGE ON SCHEMA etl, cron TO etl_owner;
SELECT format('GRANT CREATE ON DATABASE %I TO etl_owner', current_database()) \gexec

CREATE SERVER shop FOREIGN DATA WRAPPER postgres_fdw
  OPTIONS (host :'shop_host', port :'shop_port', dbname 'shop', fetch_size '10000');
CREATE SERVER pay FOREIGN DATA WRAPPER mysql_fdw
  OPTIONS (host :'pay_host', port :'pay_port', fetch_size '10000', init_command 'SET time_zone="+00:00"');
CREATE SERVER fx FOREIGN DATA WRAPPER etl_http OPTIONS (base_url :'fx_url', auth 'bearer', rate_limit '50/s', timeout '30 s');
CREATE SERVER lake FOREIGN DATA WRAPPER etl_s3 OPTIONS (endpoint :'lake_endpoint', region :'lake_region', bucket 'acme-drop');
CREATE SERVER bus FOREIGN DATA WRAPPER etl_kafka OPTIONS (brokers :'bus_brokers', security_protocol 'sasl_plaintext',
                                                                sasl_mechanism 'SCRAM-SHA-256');
CREATE USER MAPPING FOR etl_owner SERVER shop OPTIONS (user 'etl', password :'shop_password');
CREATE USER MAPPING FOR etl_owner SERVER pay OPTIONS (username 'etl', password :'pay_password');
CREATE USER MAPPING FOR etl_owner SERVER fx OPTIONS (token :'fx_token');
CREATE USER MAPPING FOR etl_owner SERVER lake OPTIONS (access_key_id :'lake_key', secret_access_key :'lake_secret');
CREATE USER MAPPING FOR etl_owner SERVER bus OPTIONS (sasl_username :'bus_user', sasl_password :'bus_password');
GRANT USAGE ON FOREIGN SERVER shop, pay, fx, lake, bus TO etl_owner;

-- ── Everything else belongs to etl_owner, who is no superuser ──────────────────────────────────────────────────────
\connect - etl_owner
CREATE SCHEMA shop; CREATE SCHEMA pay; CREATE SCHEMA api; CREATE SCHEMA files; CREATE SCHEMA topics;
CREATE SCHEMA raw; CREATE SCHEMA dw;

IMPORT FOREIGN SCHEMA public LIMIT TO (orders, customers, products) FROM SERVER shop INTO shop;
IMPORT FOREIGN SCHEMA pay LIMIT TO (payments) FROM SERVER pay INTO pay;
CREATE FOREIGN TABLE api.rates (
  currency text        OPTIONS (json '$.code'),
  rate     numeric     OPTIONS (json '$.value'),
  as_of    timestamptz OPTIONS (json '$.updated'),
  doc      jsonb       OPTIONS (json '$')                         -- the whole record
) SERVER fx OPTIONS (path '/rates', records '$.data[*]', paging 'cursor', cursor_param 'page_token', next '$.meta.next',
                     since_param 'updated_since', since_column 'as_of', since_format 'iso8601');
CREATE FOREIGN TABLE files.returns (
  return_id bigint, order_id bigint, reason text, returned_at timestamptz, _file text, _line bigint
) SERVER lake OPTIONS (prefix 'raw/returns/', pattern 'date=*/*.csv.gz', format 'csv', header 'match');
CREATE FOREIGN TABLE topics.clicks (
  value jsonb, key text, _partition int, _offset bigint, _timestamp timestamptz
) SERVER bus OPTIONS (topic 'clicks', value_format 'json', on_out_of_range 'error');

SELECT etl.create_pipeline('daily', schedule => '0 5 * * *', timezone => 'Europe/Madrid', max_parallel => 4,
         atomic_publish => true,                                       -- all loads and aggregates of a run in one commit
         description => 'Consolidated sales, ready before nine', tags => '{"team":"bi"}') AS pipeline \gset

-- ── Extract: new and changed rows of each source, appended to raw ──────────────────────────────────────────────────
SELECT etl.add_extract('daily', 'orders', source => 'shop.orders', target => 'raw.orders',
         cursor_column => 'updated_at', primary_key => '{order_id}', retry_delays => '{5 min,15 min,60 min}');
SELECT etl.add_extract('daily', 'customers', source => 'shop.customers', target => 'raw.customers',
         cursor_column => 'updated_at', primary_key => '{customer_id}', deletes => 'compare',
         retry_delays => '{5 min,15 min,60 min}');
SELECT etl.add_extract('daily', 'products', source => 'shop.products', target => 'raw.products',
         cursor_column => 'updated_at', primary_key => '{product_id}', retry_delays => '{5 min,15 min,60 min}');
SELECT etl.add_extract('daily', 'payments', source => 'pay.payments', target => 'raw.payments',
         cursor_column => 'updated_at', primary_key => '{payment_id}', lag => '10 min',
         retry_delays => '{5 min,15 min,60 min}');

SELECT etl.add_extract('daily', 'rates', source => 'api.rates', target => 'raw.rates', primary_key => '{currency,as_of}',
         lag => '1 hour');                                         -- the API may publish late
SELECT etl.add_extract('daily', 'returns', source => 'files.returns', target => 'raw.returns', primary_key => '{return_id}');
SELECT etl.add_extract('daily', 'clicks', source => 'topics.clicks', target => 'raw.clicks');

-- ── Load: dimensions, then facts. What a task waits for follows from what its query reads ──────────────────────────
SELECT etl.add_load('daily', 'dim_customer', target => 'dw.dim_customer', key => '{customer_id}',
         mode => 'scd2', track => '{segment,country}', order_by => 'updated_at',   -- a row for each version
         query => $$SELECT customer_id, name, email, segment, country, updated_at FROM raw.customers$$);
SELECT etl.add_load('daily', 'dim_product', target => 'dw.dim_product', key => '{product_id}',
         order_by => 'updated_at',
         query => $$SELECT product_id, sku, name, category, price, updated_at FROM raw.products$$);

SELECT etl.add_load('daily', 'fact_orders', target => 'dw.fact_orders', key => '{order_id}',
         order_by => 'updated_at',
         dimension_keys => '{"customer_key": {"dimension": "dw.dim_customer", "by": "customer_id", "at": "updated_at",
                                             "missing": "inferred"}}',
         query => $$SELECT order_id, customer_id, amount, currency, status, created_at, updated_at FROM raw.orders$$);
SELECT etl.add_load('daily', 'fact_payments', target => 'dw.fact_payments', key => '{payment_id}',
         order_by => 'updated_at',
         query => $$SELECT payment_id, order_id, amount::numeric(12,2) AS amount, method, status,
                           created_at AT TIME ZONE 'UTC' AS created_at, updated_at AT TIME ZONE 'UTC' AS updated_at
                    FROM raw.payments$$);                     -- MariaDB's times have no zone; its session above is UTC

SELECT etl.add_load('daily', 'rate', target => 'dw.rate', key => '{currency}', order_by => 'as_of',
         query => $$SELECT currency, rate, as_of FROM raw.rates$$);
SELECT etl.add_load('daily', 'fact_returns', target => 'dw.fact_returns', key => '{return_id}',
         query => $$SELECT return_id, order_id, reason, returned_at FROM raw.returns$$);
SELECT etl.add_load('daily', 'fact_clicks', target => 'dw.fact_clicks', key => '{partition,position}', mode => 'insert_only',
         query => $$SELECT _partition AS partition, _offset AS position, (value ->> 'customer_id')::bigint AS customer_id,
                           value ->> 'page' AS page, (value ->> 'at')::timestamptz AS clicked_at
                    FROM raw.clicks$$);

-- ── Aggregate, and what the dashboards read ────────────────────────────────────────────────────────────────────────
SELECT etl.add_aggregate('daily', 'daily_sales', target => 'dw.daily_sales', key => '{day,currency}',
         query => $$SELECT (created_at AT TIME ZONE 'UTC')::date AS day, currency,
                           count(*) AS orders, sum(amount) AS amount
                    FROM dw.fact_orders WHERE status <> 'cancelled' GROUP BY 1, 2$$);

SELECT etl.add_aggregate('daily', 'daily_clicks', target => 'dw.daily_clicks', key => '{day,page}',
         query => $$SELECT (clicked_at AT TIME ZONE 'UTC')::date AS day, page, count(*) AS clicks
                    FROM dw.fact_clicks GROUP BY 1, 2$$);

CREATE MATERIALIZED VIEW dw.sales_by_country AS
  SELECT country, segment, currency, count(*) AS orders, sum(amount) AS amount
  FROM dw.fact_orders JOIN dw.dim_customer USING (customer_key) WHERE status <> 'cancelled' GROUP BY 1, 2, 3
  WITH NO DATA;
SELECT etl.add_sql('daily', 'refresh', command => 'REFRESH MATERIALIZED VIEW dw.sales_by_country',
         depends_on => '{fact_orders}');

-- ── Checks. A gate runs before its task commits: when it fails, the task leaves no trace ───────────────────────────
SELECT etl.add_check('daily', 'customer_email', target => 'dw.dim_customer', type => 'duplicates', columns => '{email}',
         filter => 'is_current AND customer_key > 0', fail => '0', gate => 'dim_customer');
SELECT etl.add_check('daily', 'order_volume', target => 'dw.fact_orders', type => 'row_count_variance',
         warn => '5%', fail => '10%');
SELECT etl.add_check('daily', 'order_customer', target => 'dw.fact_orders', type => 'null_pct', columns => '{customer_key}',
         warn => '1%', fail => '5%');
SELECT etl.add_check('daily', 'payment_fresh', target => 'dw.fact_payments', type => 'freshness',
         columns => '{updated_at}', warn => '2 h', fail => '1 day');
SELECT etl.add_check('daily', 'payment_amount', target => 'dw.fact_payments', type => 'expression',
         expression => 'amount > 0', fail => '0');
SELECT etl.add_check('daily', 'product_rows', target => 'dw.dim_product', type => 'row_count', fail => '1');

-- ── Any mistake so far, found before the first run ─────────────────────────────────────────────────────────────────
SELECT * FROM etl.validate('daily');
