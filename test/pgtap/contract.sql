-- Contracts of sources: each promise kept, broken and kept again; one alert for each breach; attainment per month; clocks.
\set ON_ERROR_STOP 1
\pset format unaligned
\pset tuples_only on
SET client_min_messages = error;
SET timezone = 'UTC';
BEGIN;
SELECT no_plan();

CREATE SCHEMA con;
CREATE TABLE con.src (id bigint PRIMARY KEY, amount numeric DEFAULT 1, changed timestamptz NOT NULL);
SELECT etl.create_pipeline('con');
SELECT etl.add_extract('con', 'src', source => 'con.src', target => 'con.raw', cursor_column => 'changed');
CREATE FUNCTION pg_temp.run(p_rows int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO con.src (id, changed) SELECT coalesce((SELECT max(id) FROM con.src), 0) + i, clock_timestamp() + i * interval '1 us'
  FROM generate_series(1, p_rows) AS i;
  PERFORM etl.run_pipeline('con', mode => 'inline');
END $$;
CREATE FUNCTION pg_temp.last(p_promise text) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' | ', kept, expected, measured) FROM etl.contract_result WHERE promise = p_promise ORDER BY result_id DESC LIMIT 1 $$;
CREATE FUNCTION pg_temp.alerts(p_promise text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(event || ' ' || severity, ', ' ORDER BY alert_id) FROM etl.alert WHERE promise = p_promise $$;
-- Puts the clocks of the contract back.
CREATE FUNCTION pg_temp.ago(p_arrival interval, p_day interval, p_newest interval) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
  UPDATE etl.contract_progress SET arrival_until = now() - p_arrival, day_until = now() - p_day, newest_at = now() - p_newest,
    next_due_at = now();
  RETURN etl.evaluate_contracts();
END $$;

-- Volume per run: bounds, then the median, which needs three runs.
SELECT etl.set_contract('con.src', team => 'shop', min_rows => 10, max_rows => 1000, severity => 'fail');
SELECT pg_temp.run(100);
SELECT is(pg_temp.last('volume'), 't | 10 to 1000 rows | 100 rows', 'rows within the bounds');
SELECT pg_temp.run(1);
SELECT is(pg_temp.last('volume'), 'f | 10 to 1000 rows | 1 row', 'too few rows');
SELECT pg_temp.run(2);
SELECT is(pg_temp.alerts('volume'), 'contract_broken fail', 'a breach that lasts is told of once');
SELECT pg_temp.run(100);
SELECT is(pg_temp.alerts('volume'), 'contract_broken fail, recovered recovery', 'and once that it is over');
SELECT is((SELECT count(*) FROM etl.contract_result WHERE NOT kept AND recovered_at IS NULL), 0::bigint, 'nothing is open');
SELECT ok((SELECT recovered_at IS NOT NULL FROM etl.alert WHERE event = 'contract_broken'), 'the alert has recovered');
SELECT matches((SELECT message FROM etl.alert WHERE event = 'contract_broken'), '^source con.src does not keep its promise: volume: expected 10 to 1000 rows, found 1 row; owner \w+, team shop$', 'the message names all');
SELECT etl.set_contract('con.src', max_change_pct => 10, severity => 'warning', reset => '{min_rows,max_rows}');
SELECT pg_temp.run(90);
SELECT is(pg_temp.last('volume'), 'f | 46 to 56 rows (10 % around the median 51) | 90 rows', 'far from the median of the runs before');
DELETE FROM etl.contract_result;
SELECT pg_temp.run(100) FROM generate_series(1, 2);
SELECT is((SELECT count(*) FROM etl.contract_result WHERE kept IS NULL), 2::bigint, 'nothing to compare with');
SELECT is((SELECT count(*) FROM etl.contract_attainment), 0::bigint, 'which counts neither way');
SELECT pg_temp.run(100);
SELECT pg_temp.run(95);
SELECT is(pg_temp.last('volume'), 't | 90 to 110 rows (10 % around the median 100) | 95 rows', 'near the median');
SELECT etl.run_pipeline('con', mode => 'inline', full_refresh => true);
SELECT is(pg_temp.last('volume'), 't | 90 to 110 rows (10 % around the median 100) | 95 rows', 'a full refresh says nothing');

-- Columns, and NULLs in the rows that were read.
SELECT etl.set_contract('con.src', columns => '{"id": "int8", "amount": {"type": "numeric", "not_null": true}, "changed": "timestamptz"}',
                        extra_columns => false, reset => '{max_change_pct}');
SELECT pg_temp.run(1);
SELECT is(pg_temp.last('columns'), 't | amount numeric not null, changed timestamp with time zone, id bigint and no other columns | these', 'columns as promised');
INSERT INTO con.src (id, amount, changed) VALUES (-1, NULL, clock_timestamp()), (-2, NULL, clock_timestamp());
SELECT pg_temp.run(1);
SELECT matches(pg_temp.last('columns'), '^f .* 2 x NULL in column "amount"$', 'NULLs where none were promised');
SELECT pg_temp.run(1);
SELECT is(pg_temp.alerts('columns'), 'contract_broken warning, recovered recovery', 'only the rows of a run count');
SET etl.guard_ddl = off;
ALTER TABLE con.src ADD COLUMN extra int, ALTER COLUMN amount TYPE double precision;
SELECT pg_temp.run(1);
SELECT matches(pg_temp.last('columns'), 'column "amount" of type double precision instead of numeric; column "extra", which was not promised$', 'another type, another column');
ALTER TABLE con.src DROP COLUMN amount, ADD COLUMN amount numeric DEFAULT 1, DROP COLUMN extra;
SELECT pg_temp.run(1);
SELECT matches(pg_temp.last('columns'), '^t ', 'columns as promised again');
ALTER TABLE con.src DROP COLUMN amount;
INSERT INTO con.src (id, changed) VALUES (-3, clock_timestamp());
SELECT etl.run_pipeline('con', mode => 'inline');
SELECT matches(pg_temp.last('columns'), 'no column "amount"$', 'a column that is gone');
ALTER TABLE con.src ADD COLUMN amount numeric DEFAULT 1;
SELECT is((SELECT count(*) FROM etl.contract_result WHERE promise = 'columns'), 6::bigint, 'one result for each run');

-- Arrival: each time that it was due, from what had come by then.
SELECT etl.set_contract('con.src', reset => '{columns,extra_columns}', arrival => to_char(now() - interval '1 h', 'HH24:MI'));
UPDATE etl.batch SET loaded_at = now() - interval '50 h' WHERE run_id = (SELECT min(run_id) FROM etl.batch);
UPDATE etl.batch SET loaded_at = now() + interval '1 us' WHERE run_id > (SELECT min(run_id) FROM etl.batch);
SELECT is(pg_temp.ago('72 h', '0', '0'), 1, 'two of three arrivals are missing: one breach');
SELECT is((SELECT count(*) FILTER (WHERE kept) || ' of ' || count(*) FROM etl.contract_result WHERE promise = 'arrival'), '1 of 3', 'each arrival has a result');
SELECT is(etl.evaluate_contracts(), 0, 'nothing is due');
SELECT is((SELECT count(*) FROM etl.contract_result WHERE promise = 'arrival'), 3::bigint, 'and nothing is judged twice');
SELECT pg_temp.run(1);
SELECT matches(pg_temp.alerts('arrival'), 'contract_broken warning, recovered recovery$', 'late rows end the breach');
SELECT is((SELECT count(*) FILTER (WHERE kept) || ' of ' || count(*) FROM etl.contract_result WHERE promise = 'arrival'), '1 of 3', 'but do not make it undone');
SELECT is((SELECT sum(kept) || ' of ' || sum(due) FROM etl.contract_attainment WHERE promise = 'arrival'), '1 of 3', 'attainment');
SELECT is((SELECT percent FROM etl.contract_attainment WHERE promise = 'volume'), 100.00, 'in percent');
-- A schedule of weekdays in a time zone; nobody reads: nothing is known.
SELECT etl.set_contract('con.src', arrival => '0 6 * * 1', timezone => 'America/New_York');
SELECT is((SELECT extract(isodow FROM next_due_at AT TIME ZONE 'America/New_York') || ' ' || to_char(next_due_at AT TIME ZONE 'America/New_York', 'HH24:MI')
           FROM etl.contract_progress), '1 06:00', 'due on Monday in New York');
DELETE FROM etl.contract_result;
SELECT etl.pause_pipeline('con');
SELECT is(pg_temp.ago('10 days', '0', '0'), 0, 'a paused pipeline breaks no promise of the source');
SELECT etl.resume_pipeline('con');

-- Freshness: one result for each day, broken as soon as the newest row is too old.
SELECT etl.set_contract('con.src', freshness => '26 h', reset => '{arrival,timezone}');
SELECT is(pg_temp.ago('0', '72 h', '72 h'), 1, 'too old');
SELECT is((SELECT string_agg(kept::text, ' ' ORDER BY due_at) FROM etl.contract_result WHERE promise = 'freshness' AND due_at < now()),
          (SELECT string_agg((d <= now() - interval '72 h' + interval '26 h')::text, ' ' ORDER BY d)
           FROM generate_series(date_trunc('day', now()) - interval '2 days', date_trunc('day', now()), '1 day') AS d), 'days of the past');
SELECT is((SELECT kept FROM etl.contract_result WHERE promise = 'freshness' AND due_at > now()), false, 'and this one');
SELECT pg_temp.run(1);
SELECT is(pg_temp.alerts('freshness'), 'contract_broken warning, recovered recovery', 'new rows end it');
SELECT is((SELECT state FROM etl.contract_status WHERE promise = 'freshness'), 'recovered', 'status');
SELECT ok((SELECT next_due_at > now() FROM etl.contract_progress), 'looked at again later');

-- Volume per day.
SELECT etl.set_contract('con.src', min_rows => 5, volume_per => 'day', reset => '{freshness}');
SELECT pg_temp.run(1);
SELECT is((SELECT count(*) FROM etl.contract_result WHERE promise = 'volume'), 0::bigint, 'a day is judged when it has ended');
SELECT is(pg_temp.ago('0', '24 h', '0'), 1, 'yesterday had too few');
SELECT is(pg_temp.last('volume'), 'f | at least 5 rows | 0 rows', 'rows of the day');
-- A contract that cannot be judged does not take the rows along.
UPDATE etl.contract SET timezone = 'Mars/Olympus';
SELECT pg_temp.run(1);
SELECT matches((SELECT message FROM etl.task_run ORDER BY task_run_id DESC LIMIT 1), 'could not be judged: unknown time zone', 'a note says so');
UPDATE etl.contract SET timezone = 'UTC';
SELECT etl.set_contract('con.src', enabled => false);
SELECT is(pg_temp.ago('72 h', '72 h', '72 h'), 0, 'a disabled contract is not looked at');
SELECT is((SELECT state FROM etl.contract_status), 'disabled', 'and says so');
SELECT * FROM finish();
ROLLBACK;
