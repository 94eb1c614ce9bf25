-- Contracts of sources: who may set them, what is refused, which routes hear of breaches; and the guard over what tasks name.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_ext;
CREATE ROLE contract_shop LOGIN;
CREATE ROLE contract_bi LOGIN;
CREATE ROLE contract_other LOGIN;
GRANT USAGE ON SCHEMA etl TO contract_shop, contract_bi, contract_other;
CREATE SCHEMA ct AUTHORIZATION contract_shop;
GRANT ALL ON SCHEMA ct TO contract_bi, contract_other;
SET ROLE contract_shop;
CREATE TABLE ct.orders (order_id bigint PRIMARY KEY, amount numeric(10,2), city text, note text, updated_at timestamptz NOT NULL);
CREATE TABLE ct.part (id int, day date) PARTITION BY RANGE (day);
CREATE TABLE ct.part_1 PARTITION OF ct.part FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE VIEW ct.cheap AS SELECT order_id, amount FROM ct.orders WHERE amount < 10;
GRANT SELECT ON ALL TABLES IN SCHEMA ct TO contract_bi;
SET ROLE contract_bi;
SELECT etl.create_pipeline('contract') > 0;
SELECT etl.add_extract('contract', 'orders', source => 'ct.orders', target => 'ct.raw', cursor_column => 'updated_at',
                       filter => 'amount > 0') > 0;
RESET ROLE;
\set VERBOSITY default

-- Refusals.
SELECT etl.set_contract(NULL);
SELECT etl.set_contract('ct.nothing');
SET ROLE contract_other;
SELECT etl.set_contract('ct.orders', arrival => '06:00');
SET ROLE contract_shop;
SELECT etl.set_contract('ct.orders', owner => 'contract_nobody');
SELECT etl.set_contract('ct.orders', arrival => '24:00');
SELECT etl.set_contract('ct.orders', arrival => 'soon');
SELECT etl.set_contract('ct.orders', arrival => '06:00', timezone => 'Europe/Nowhere');
SELECT etl.set_contract('ct.orders', freshness => '-1 h');
SELECT etl.set_contract('ct.orders', min_rows => -2);
SELECT etl.set_contract('ct.orders', min_rows => 10, max_rows => 5);
SELECT etl.set_contract('ct.orders', max_change_pct => 0);
SELECT etl.set_contract('ct.orders', volume_per => 'week');
SELECT etl.set_contract('ct.orders', columns => '["order_id"]');
SELECT etl.set_contract('ct.orders', columns => '{"order_id": 1}');
SELECT etl.set_contract('ct.orders', columns => '{"order_id": {"type": "bigint", "unique": true}}');
SELECT etl.set_contract('ct.orders', columns => '{"order_id": "bigintt"}');
SELECT etl.set_contract('ct.orders', extra_columns => false);
SELECT etl.set_contract('ct.orders', severity => 'info');
SELECT etl.set_contract('ct.orders', reset => '{source}');
SELECT etl.drop_contract('ct.orders');
SELECT etl.guard_ddl();

-- The owner of the source, and who reads it, may; settings that are not named stay.
SELECT etl.set_contract('ct.orders', team => 'shop', contact => '#shop', arrival => '06:00', columns => '{"order_id": "int8", "amount": {"type": "decimal(10,2)", "not_null": true}}') > 0;
SET ROLE contract_bi;
SELECT etl.set_contract('ct.orders', freshness => '1 day', min_rows => 1, reset => '{team}') > 0;
SELECT source, owner, team, contact, arrival, timezone, freshness, min_rows, volume_per, severity, columns FROM etl.contract;
SELECT source, promise, state FROM etl.contract_status ORDER BY 2;
SELECT etl.set_contract('ct.orders', team => 'shop') > 0;
SET ROLE contract_other;
SELECT count(*) FROM etl.contract;
SELECT etl.drop_contract('ct.orders');
DELETE FROM etl.contract;

-- Routes: by team, source and owner; the owner of the source and those who read it hear of it, nobody else.
SELECT etl.add_alert_route('ct other', 'notify');
SET ROLE contract_shop;
SELECT etl.add_alert_route('ct shop', 'notify', match => '{"team": "shop", "event": ["contract_broken", "recovered"]}');
SELECT etl.add_alert_route('ct elsewhere', 'notify', match => '{"team": "elsewhere"}');
SET ROLE contract_bi;
SELECT etl.add_alert_route('ct bi', 'notify', match => '{"source": "ct.orders", "owner": "contract_shop"}');
INSERT INTO ct.orders VALUES (1, 1, 'x', NULL, '2020-01-01 UTC');
RESET ROLE;
INSERT INTO ct.orders VALUES (1, 1, 'x', NULL, '2020-01-01 UTC');
SET ROLE contract_bi;
SET client_min_messages = error;
SELECT etl.run_pipeline('contract', mode => 'inline') > 0;
SELECT event, severity, source, promise, regexp_replace(message, 'an age of [^;]*', 'an age of N') AS message FROM etl.alert ORDER BY alert_id;
SET ROLE contract_shop;
SELECT count(*) FROM etl.alert;
RESET ROLE;
SELECT d.route, a.event, a.promise, d.state FROM etl.alert_delivery AS d JOIN etl.alert AS a USING (alert_id)
WHERE a.source = 'ct.orders' ORDER BY 1, 2;
SET client_min_messages = warning;
-- A role that answers for a source cannot be dropped.
DROP ROLE contract_shop;

-- What tasks name.
SET ROLE contract_bi;
SELECT etl.add_load('contract', 'fact', target => 'ct.fact', key => '{order_id}', query => $$
  SELECT o.order_id, c.amount FROM ct.raw AS o JOIN ct.cheap AS c USING (order_id)
  WHERE o.city <> '' AND EXISTS (SELECT FROM ct.part_1 WHERE part_1.day > o.updated_at) ORDER BY o.note$$) > 0;
SELECT etl.add_check('contract', 'check', target => 'ct.fact', type => 'expression', expression => 'amount > 0', fail => '0') > 0;
SELECT etl.add_sql('contract', 'sql', 'CREATE TEMP TABLE t AS SELECT id FROM ct.part; DELETE FROM ct.fact WHERE order_id < 0') > 0;
SELECT t.name, r.relation, r.access, string_agg(r.column_name, ', ' ORDER BY r.column_name) AS columns
FROM etl.task_reference AS r JOIN etl.task AS t USING (task_id) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- The guard: exactly what is named. What it says of others' tasks is their name and owner.
SET ROLE contract_shop;
ALTER TABLE ct.orders DROP COLUMN note, ADD COLUMN more int, ALTER COLUMN city SET DEFAULT 'x';
ALTER TABLE ct.orders ALTER COLUMN city TYPE varchar(10), ALTER COLUMN updated_at TYPE timestamp;
ALTER VIEW ct.cheap RENAME COLUMN amount TO price;
SET search_path = ct;
ALTER TABLE orders RENAME TO orders_2;
ALTER TABLE orders_2 RENAME TO orders;
RESET search_path;
ALTER TABLE ct.part DROP COLUMN id;
RESET ROLE;
SET etl.guard_ddl = error;
SET ROLE contract_shop;
ALTER TABLE ct.orders DROP COLUMN amount CASCADE;
DROP VIEW ct.cheap;
DROP TABLE ct.part;
DROP OWNED BY contract_shop;
SET etl.guard_ddl = off;
RESET ROLE;
DROP SCHEMA ct CASCADE;
ALTER SCHEMA ct RENAME TO ct_2;
CREATE TABLE ct.free (a int, b int);
ALTER TABLE ct.free DROP COLUMN b;
DROP TABLE ct.free;
-- What a task does is its own business.
SET ROLE contract_bi;
SELECT etl.alter_task('contract', 'sql', command => 'DROP TABLE IF EXISTS ct.scratch; CREATE TABLE ct.scratch (a int); SELECT a FROM ct.scratch');
CREATE TABLE ct.scratch (a int);
SELECT etl.alter_task('contract', 'sql', command => 'DROP TABLE IF EXISTS ct.scratch; CREATE TABLE ct.scratch (a int); SELECT a FROM ct.scratch');
DROP TABLE ct.scratch;
SET client_min_messages = error;
SELECT etl.run_pipeline('contract', mode => 'inline', tasks => '{sql}') > 0;
RESET ROLE;
SET etl.guard_ddl = off;
DROP SCHEMA ct CASCADE;
SELECT etl.drop_pipeline('contract');
SELECT etl.drop_contract('ct.orders');
SELECT count(*) FROM etl.contract_result;
SELECT etl.drop_alert_route(name) FROM etl.alert_route WHERE name LIKE 'ct %';
DROP OWNED BY contract_shop, contract_bi, contract_other;
DROP ROLE contract_shop, contract_bi, contract_other;
