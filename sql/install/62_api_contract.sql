-- Contracts of sources, and the guard over what tasks name.

CREATE FUNCTION etl.set_contract(
  source text, owner text DEFAULT NULL, team text DEFAULT NULL, contact text DEFAULT NULL, arrival text DEFAULT NULL,
  timezone text DEFAULT NULL, freshness interval DEFAULT NULL, min_rows bigint DEFAULT NULL, max_rows bigint DEFAULT NULL,
  max_change_pct numeric DEFAULT NULL, volume_per text DEFAULT NULL, columns jsonb DEFAULT NULL,
  extra_columns boolean DEFAULT NULL, severity text DEFAULT NULL, description text DEFAULT NULL, tags jsonb DEFAULT NULL,
  enabled boolean DEFAULT NULL, reset text[] DEFAULT NULL)
RETURNS bigint LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_set_contract';
COMMENT ON FUNCTION etl.set_contract IS 'Sets the contract of a source, or changes the named settings of the one that it has; NULL leaves a setting alone, reset => ''{arrival}'' takes it back. owner: role that answers for the source (default: you); arrival: time of day (''06:00'') or cron expression by which new rows are there, in timezone (default UTC); freshness: greatest age of the newest row; min_rows, max_rows, max_change_pct (from the median of the last 7): new rows, volume_per => ''run'' (default) or ''day''; columns: {"name": "type"} or {"name": {"type": "...", "not_null": true}}, extra_columns => false allows no others; severity of alerts: warning (default) or fail. For owners of the source, of a pipeline that reads it, or of the contract. Returns the number of the contract. Raises 42P01 for a source that does not exist, 42501, 42704 for a role or type that does not exist, 22023 for a bad value.';

CREATE FUNCTION etl.drop_contract(source text)
RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_drop_contract';
COMMENT ON FUNCTION etl.drop_contract IS 'Drops the contract of a source with its results and alerts. For those who may change it (42501); raises 42704 where there is none.';

CREATE FUNCTION etl.evaluate_contracts()
RETURNS integer LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_evaluate_contracts';
COMMENT ON FUNCTION etl.evaluate_contracts IS 'Looks at all promises that a clock decides and that are due, as the scheduler does by itself where etl_ext is in shared_preload_libraries; without that, for a job of pg_cron. Returns the number of promises that are newly broken.';

CREATE FUNCTION etl.guard_ddl()
RETURNS event_trigger LANGUAGE c AS 'MODULE_PATHNAME', 'etl_guard_ddl';
COMMENT ON FUNCTION etl.guard_ddl IS 'Event trigger that loads the library before a statement that may drop, rename or retype what tasks name, and tells of it afterwards: see etl.guard_ddl in docs/contracts.md.';

CREATE EVENT TRIGGER etl_guard_begin ON ddl_command_start
  WHEN TAG IN ('ALTER TABLE', 'DROP TABLE', 'ALTER FOREIGN TABLE', 'DROP FOREIGN TABLE', 'ALTER VIEW', 'DROP VIEW',
               'ALTER MATERIALIZED VIEW', 'DROP MATERIALIZED VIEW', 'ALTER SCHEMA', 'DROP SCHEMA', 'DROP OWNED',
               'DROP TYPE', 'DROP DOMAIN', 'ALTER TYPE', 'DROP SERVER', 'DROP FOREIGN DATA WRAPPER', 'DROP FUNCTION')
  EXECUTE FUNCTION etl.guard_ddl();
COMMENT ON EVENT TRIGGER etl_guard_begin IS 'Loads the library of etl_ext where it is not preloaded, so that it sees what the statement does.';
CREATE EVENT TRIGGER etl_guard_end ON ddl_command_end
  WHEN TAG IN ('ALTER TABLE', 'DROP TABLE', 'ALTER FOREIGN TABLE', 'DROP FOREIGN TABLE', 'ALTER VIEW', 'DROP VIEW',
               'ALTER MATERIALIZED VIEW', 'DROP MATERIALIZED VIEW', 'ALTER SCHEMA', 'DROP SCHEMA', 'DROP OWNED',
               'DROP TYPE', 'DROP DOMAIN', 'ALTER TYPE', 'DROP SERVER', 'DROP FOREIGN DATA WRAPPER', 'DROP FUNCTION')
  EXECUTE FUNCTION etl.guard_ddl();
COMMENT ON EVENT TRIGGER etl_guard_end IS 'Warns or refuses where the statement has dropped, renamed or retyped what tasks name (etl.guard_ddl).';

-- The end of a day belongs to the day.
CREATE VIEW etl.contract_attainment WITH (security_invoker = true) AS
SELECT c.source, c.owner, c.team, c.contact, m.month, m.promise, m.due, m.kept, round(100.0 * m.kept / m.due, 2) AS percent
FROM etl.contract AS c
CROSS JOIN LATERAL (
  SELECT date_trunc('month', (r.due_at AT TIME ZONE c.timezone) - interval '1 us')::date AS month, r.promise,
         count(*) AS due, count(*) FILTER (WHERE r.kept) AS kept
  FROM etl.contract_result AS r
  WHERE r.contract_id = c.contract_id AND r.kept IS NOT NULL
  GROUP BY 1, 2) AS m;
COMMENT ON VIEW etl.contract_attainment IS 'One row per source, month and promise: how often it was due, and how often it was kept.';
COMMENT ON COLUMN etl.contract_attainment.source IS 'The source.';
COMMENT ON COLUMN etl.contract_attainment.owner IS 'Role that answers for it.';
COMMENT ON COLUMN etl.contract_attainment.team IS 'Team behind it.';
COMMENT ON COLUMN etl.contract_attainment.contact IS 'Whom to ask.';
COMMENT ON COLUMN etl.contract_attainment.month IS 'First day of the month, in the time zone of the contract.';
COMMENT ON COLUMN etl.contract_attainment.promise IS 'arrival, freshness, volume or columns.';
COMMENT ON COLUMN etl.contract_attainment.due IS 'How often it was due: arrivals; days (freshness); runs or days (volume); extracts (columns).';
COMMENT ON COLUMN etl.contract_attainment.kept IS 'How often it was kept.';
COMMENT ON COLUMN etl.contract_attainment.percent IS 'kept of due.';

CREATE VIEW etl.contract_status WITH (security_invoker = true) AS
SELECT c.source, c.owner, c.team, c.contact, p.promise,
       CASE WHEN NOT c.enabled THEN 'disabled' WHEN b.broken_since IS NOT NULL THEN 'broken'
            WHEN l.kept THEN 'kept' WHEN l.kept IS FALSE THEN 'recovered' ELSE 'not evaluated' END AS state,
       b.broken_since, l.due_at AS last_due_at, l.expected, l.measured, l.evaluated_at
FROM etl.contract AS c
CROSS JOIN LATERAL (
  SELECT 'arrival' AS promise WHERE c.arrival IS NOT NULL
  UNION ALL SELECT 'freshness' WHERE c.freshness IS NOT NULL
  UNION ALL SELECT 'volume' WHERE num_nonnulls(c.min_rows, c.max_rows, c.max_change_pct) > 0
  UNION ALL SELECT 'columns' WHERE c.columns IS NOT NULL) AS p
LEFT JOIN LATERAL (
  SELECT r.* FROM etl.contract_result AS r WHERE r.contract_id = c.contract_id AND r.promise = p.promise
  ORDER BY r.result_id DESC LIMIT 1) AS l ON true
LEFT JOIN LATERAL (
  SELECT min(r.evaluated_at) AS broken_since FROM etl.contract_result AS r
  WHERE r.contract_id = c.contract_id AND r.promise = p.promise AND NOT r.kept AND r.recovered_at IS NULL) AS b ON true;
COMMENT ON VIEW etl.contract_status IS 'One row per contract and promise: whether it is kept now.';
COMMENT ON COLUMN etl.contract_status.source IS 'The source.';
COMMENT ON COLUMN etl.contract_status.owner IS 'Role that answers for it.';
COMMENT ON COLUMN etl.contract_status.team IS 'Team behind it.';
COMMENT ON COLUMN etl.contract_status.contact IS 'Whom to ask.';
COMMENT ON COLUMN etl.contract_status.promise IS 'arrival, freshness, volume or columns.';
COMMENT ON COLUMN etl.contract_status.state IS 'kept, broken, recovered (broken last time, and good again since), not evaluated or disabled.';
COMMENT ON COLUMN etl.contract_status.broken_since IS 'Since when it is broken; NULL: it is not.';
COMMENT ON COLUMN etl.contract_status.last_due_at IS 'When it was last due.';
COMMENT ON COLUMN etl.contract_status.expected IS 'What was promised then.';
COMMENT ON COLUMN etl.contract_status.measured IS 'What was found.';
COMMENT ON COLUMN etl.contract_status.evaluated_at IS 'When it was found.';
