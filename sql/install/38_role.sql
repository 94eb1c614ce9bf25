-- Who may do what besides the owners of pipelines, and who reads what they keep.

CREATE TABLE etl.role_grant (
  role        regrole NOT NULL,
  pipeline_id bigint REFERENCES etl.pipeline ON DELETE CASCADE,
  level       text NOT NULL CHECK (level IN ('viewer', 'operator', 'author', 'admin')),
  granted_by  regrole NOT NULL,
  granted_at  timestamptz NOT NULL,
  gives_usage boolean NOT NULL
);
COMMENT ON TABLE etl.role_grant IS 'What etl.grant_role has given. Whoever has the rights of a pipeline''s owner needs no grant.';
COMMENT ON COLUMN etl.role_grant.role IS 'Role that has the grant, and whoever has its rights.';
COMMENT ON COLUMN etl.role_grant.pipeline_id IS 'The pipeline; NULL: all pipelines.';
COMMENT ON COLUMN etl.role_grant.level IS 'viewer, operator, author or admin; each may do what those before it may.';
COMMENT ON COLUMN etl.role_grant.granted_by IS 'Role that called etl.grant_role.';
COMMENT ON COLUMN etl.role_grant.granted_at IS 'When.';
COMMENT ON COLUMN etl.role_grant.gives_usage IS 'true: USAGE on schema etl came with the grant and goes with it.';
CREATE UNIQUE INDEX role_grant_key ON etl.role_grant (role, coalesce(pipeline_id, 0));
CREATE INDEX role_grant_pipeline_idx ON etl.role_grant (pipeline_id);

CREATE TABLE etl.bi_grant (
  role        regrole NOT NULL,
  pipeline_id bigint REFERENCES etl.pipeline ON DELETE CASCADE,
  targets     text[],
  granted_by  regrole NOT NULL,
  granted_at  timestamptz NOT NULL,
  gives_usage boolean NOT NULL
);
COMMENT ON TABLE etl.bi_grant IS 'What etl.grant_bi has given: who reads the targets of loads and aggregates, also those that are made later.';
COMMENT ON COLUMN etl.bi_grant.role IS 'Role that may read.';
COMMENT ON COLUMN etl.bi_grant.pipeline_id IS 'The pipeline; NULL: all pipelines.';
COMMENT ON COLUMN etl.bi_grant.targets IS 'The targets; NULL: all.';
COMMENT ON COLUMN etl.bi_grant.granted_by IS 'Role that called etl.grant_bi; targets whose owner it has not the rights of are left out.';
COMMENT ON COLUMN etl.bi_grant.granted_at IS 'When.';
COMMENT ON COLUMN etl.bi_grant.gives_usage IS 'true: USAGE on schema etl came with the grant and goes with it.';
CREATE UNIQUE INDEX bi_grant_key ON etl.bi_grant (role, coalesce(pipeline_id, 0));
CREATE INDEX bi_grant_pipeline_idx ON etl.bi_grant (pipeline_id);

-- Here, because views and row policies call them.
CREATE FUNCTION etl.may(level text, pipeline text DEFAULT NULL)
RETURNS boolean LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'etl_may';
COMMENT ON FUNCTION etl.may IS 'Whether you may do with a pipeline what a level allows, as its owner or by a grant; pipeline NULL: with all pipelines. false for a pipeline that there is not.';

CREATE FUNCTION etl.granted_pipelines(level text)
RETURNS bigint[] LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'etl_granted_pipelines';
COMMENT ON FUNCTION etl.granted_pipelines IS 'Numbers of the pipelines for which grants give you a level or more; those whose owner''s rights you have are not among them. The row policies call it once per statement.';
