-- The aggregate with which checks count. Internal: nobody else needs it.

CREATE FUNCTION etl.tally_step(internal, jsonb, VARIADIC "any")
RETURNS internal LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'etl_tally_step';
COMMENT ON FUNCTION etl.tally_step IS 'Step of the aggregate etl.tally.';
CREATE FUNCTION etl.tally_combine(internal, internal)
RETURNS internal LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'etl_tally_combine';
COMMENT ON FUNCTION etl.tally_combine IS 'Adds up what parallel workers have counted for etl.tally.';
CREATE FUNCTION etl.tally_serialize(internal)
RETURNS bytea LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'etl_tally_serialize';
COMMENT ON FUNCTION etl.tally_serialize IS 'Hands over what a parallel worker has counted for etl.tally.';
CREATE FUNCTION etl.tally_deserialize(bytea, internal)
RETURNS internal LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'etl_tally_deserialize';
COMMENT ON FUNCTION etl.tally_deserialize IS 'Takes over what a parallel worker has counted for etl.tally.';
CREATE FUNCTION etl.tally_end(internal)
RETURNS bigint[] LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'etl_tally_end';
COMMENT ON FUNCTION etl.tally_end IS 'Result of the aggregate etl.tally.';
CREATE AGGREGATE etl.tally(jsonb, VARIADIC "any") (
  SFUNC = etl.tally_step, STYPE = internal, SSPACE = 256, FINALFUNC = etl.tally_end, COMBINEFUNC = etl.tally_combine,
  SERIALFUNC = etl.tally_serialize, DESERIALFUNC = etl.tally_deserialize, PARALLEL = SAFE);
COMMENT ON AGGREGATE etl.tally(jsonb, VARIADIC "any") IS 'Several counts at once, with which checks are evaluated: the program says for each which of the arguments it looks at: ["n", i] not NULL, ["b", i] true, ["r", i, low, high] outside, ["s", i, [values]] not in the list.';
