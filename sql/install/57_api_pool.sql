-- Pools.

CREATE FUNCTION etl.create_pool(name text, slots integer, description text DEFAULT NULL)
RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_create_pool';
COMMENT ON FUNCTION etl.create_pool IS 'Creates a pool that belongs to you: tasks that name it take at most slots (0 to 1000) of it at the same time, over all pipelines. Raises 42710 when the name is taken, 22023 for slots out of range.';

CREATE FUNCTION etl.alter_pool(
  name text, slots integer DEFAULT NULL, description text DEFAULT NULL, owner text DEFAULT NULL)
RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_alter_pool';
COMMENT ON FUNCTION etl.alter_pool IS 'Changes the named settings of a pool, from your commit on and for active runs too; NULL leaves a setting alone. slots => 0 lets none of its tasks start. Only members of its owner may (42501).';

CREATE FUNCTION etl.drop_pool(name text)
RETURNS void LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'etl_drop_pool';
COMMENT ON FUNCTION etl.drop_pool IS 'Drops a pool. Refused (2BP01) while tasks name it. Only members of its owner may (42501).';
