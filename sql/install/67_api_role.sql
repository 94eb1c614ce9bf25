-- Roles: who may do what, and who reads what the pipelines keep.

CREATE FUNCTION etl.grant_role(role text, level text, pipeline text DEFAULT NULL)
RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_grant_role';
COMMENT ON FUNCTION etl.grant_role IS 'Lets a role do something with a pipeline that is not its own (NULL: with all pipelines), and use schema etl. level: viewer sees definitions, runs and results; operator also runs, cancels, retries, pauses, backfills, moves positions and mutes alerts; author also adds tasks and changes settings, but not what tasks of others do; admin also grants and drops. Granted again, it changes the level. Only who has the rights of the owner, or is admin himself, may (42501); raises 42704 for a role or pipeline that there is not, 22023 for another level.';

CREATE FUNCTION etl.revoke_role(role text, pipeline text DEFAULT NULL)
RETURNS boolean LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_revoke_role';
COMMENT ON FUNCTION etl.revoke_role IS 'Takes back what etl.grant_role gave for a pipeline (NULL: for all pipelines); false: there was nothing. USAGE on schema etl goes with the last grant that gave it.';

CREATE FUNCTION etl.grant_bi(role text, pipeline text DEFAULT NULL, targets text[] DEFAULT NULL)
RETURNS integer LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_grant_bi';
COMMENT ON FUNCTION etl.grant_bi IS 'Lets a role read the targets of the loads and aggregates of a pipeline (NULL: of all whose owner''s rights you have), or only those named, also those that are made later, and their rows of etl.freshness; nothing else. Granted again, it replaces the list. Returns the number of targets that the role may read; a notice names those that the owner of their task may not grant. Raises 42501 for who has not the rights of the owner; 42704 for a role, pipeline or target that there is not.';

CREATE FUNCTION etl.revoke_bi(role text, pipeline text DEFAULT NULL)
RETURNS boolean LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_revoke_bi';
COMMENT ON FUNCTION etl.revoke_bi IS 'Takes back what etl.grant_bi gave; false: there was nothing. The use of the schemas of the targets stays.';

-- Changes of definitions are written to the audit log by triggers, whoever makes them. Arguments: the actions for INSERT, UPDATE and
-- DELETE, the column with the name, then columns whose values are not told (the path of a webhook may be its key).
CREATE FUNCTION etl.audit_change()
RETURNS trigger LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_audit_change';
-- A trigger on a table of somebody's own would let him forge the log.
REVOKE EXECUTE ON FUNCTION etl.audit_change FROM PUBLIC;
COMMENT ON FUNCTION etl.audit_change IS 'Trigger of the tables with definitions: writes changes to etl.audit_log.';

CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON etl.pipeline FOR EACH ROW
  EXECUTE FUNCTION etl.audit_change('create_pipeline', 'alter_pipeline', 'drop_pipeline', 'name');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON etl.task FOR EACH ROW
  EXECUTE FUNCTION etl.audit_change('add_task', 'alter_task', 'drop_task', 'name');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON etl.pool FOR EACH ROW
  EXECUTE FUNCTION etl.audit_change('create_pool', 'alter_pool', 'drop_pool', 'name');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON etl.alert_route FOR EACH ROW
  EXECUTE FUNCTION etl.audit_change('add_alert_route', 'alter_alert_route', 'drop_alert_route', 'name', 'config');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON etl.retention FOR EACH ROW
  EXECUTE FUNCTION etl.audit_change('set_retention', 'set_retention', 'set_retention', 'history');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON etl.role_grant FOR EACH ROW
  EXECUTE FUNCTION etl.audit_change('grant_role', 'grant_role', 'revoke_role', 'role');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON etl.bi_grant FOR EACH ROW
  EXECUTE FUNCTION etl.audit_change('grant_bi', 'grant_bi', 'revoke_bi', 'role');

-- Nobody changes a row of the log by accident either: a superuser has to disable the trigger first.
CREATE FUNCTION etl.audit_keep()
RETURNS trigger LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'etl_audit_keep';
COMMENT ON FUNCTION etl.audit_keep IS 'Trigger of etl.audit_log: refuses UPDATE, DELETE and TRUNCATE (42501).';
CREATE TRIGGER keep BEFORE UPDATE OR DELETE OR TRUNCATE ON etl.audit_log FOR EACH STATEMENT
  EXECUTE FUNCTION etl.audit_keep();

-- With the rights of the extension: a viewer sees how many rows were put aside and why, but not the rows, whose values the reasons
-- quote.
CREATE VIEW etl.quarantine_summary WITH (security_barrier = true) AS
SELECT p.name AS pipeline, t.name AS task, q.run_id, q.target, q.column_name, q.error_sqlstate,
       regexp_replace(regexp_replace(q.reason, '"[^"]*"|''[^'']*''', '"..."', 'g'), '\(.*\)', '(...)') AS reason,
       count(*) AS rows, min(q.created_at) AS first_at, max(q.created_at) AS last_at
FROM etl.quarantine AS q
JOIN etl.pipeline AS p ON p.pipeline_id = q.pipeline_id
LEFT JOIN etl.task AS t ON t.task_id = q.task_id
WHERE pg_has_role(current_user, p.owner, 'USAGE') OR p.pipeline_id = ANY ((SELECT etl.granted_pipelines('viewer'))::bigint[])
GROUP BY 1, 2, 3, 4, 5, 6, 7;
COMMENT ON VIEW etl.quarantine_summary IS 'How many rows of each run were put aside and why, for all who see the pipeline; the rows are in etl.quarantine, for its owner and admins.';
COMMENT ON COLUMN etl.quarantine_summary.pipeline IS 'Name of the pipeline.';
COMMENT ON COLUMN etl.quarantine_summary.task IS 'Name of the task; NULL: it was dropped.';
COMMENT ON COLUMN etl.quarantine_summary.run_id IS 'The run.';
COMMENT ON COLUMN etl.quarantine_summary.target IS 'Table that the rows were meant for.';
COMMENT ON COLUMN etl.quarantine_summary.column_name IS 'Column at fault, where it is known.';
COMMENT ON COLUMN etl.quarantine_summary.error_sqlstate IS 'SQLSTATE of the refusal.';
COMMENT ON COLUMN etl.quarantine_summary.reason IS 'Why they were refused, without the values.';
COMMENT ON COLUMN etl.quarantine_summary.rows IS 'How many.';
COMMENT ON COLUMN etl.quarantine_summary.first_at IS 'When the first of them was put aside.';
COMMENT ON COLUMN etl.quarantine_summary.last_at IS 'When the last of them was put aside.';
