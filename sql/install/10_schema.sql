-- A plain CREATE: the script fails when somebody else already owns a schema of this name.
CREATE SCHEMA etl;
COMMENT ON SCHEMA etl IS 'etl_ext: pipelines, their runs and their progress. GRANT USAGE ON SCHEMA etl lets a role define and run pipelines of its own.';
