-- Dimensions that keep a row for each version of a key.

CREATE FUNCTION etl.no_overlap()
RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'etl_no_overlap';
COMMENT ON FUNCTION etl.no_overlap IS 'Constraint trigger of tables that loads in mode scd2 keep: refuses (23P01) a row whose interval [valid_from, valid_to) overlaps that of another row with the same key. Arguments: the columns of the key. Needs a unique index on them and valid_from.';

CREATE FUNCTION etl.as_of()
RETURNS timestamptz LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'etl_as_of';
COMMENT ON FUNCTION etl.as_of IS 'The moment at which the views NAME_as_of show their dimensions: the setting etl.as_of, or now() when that is empty.';
