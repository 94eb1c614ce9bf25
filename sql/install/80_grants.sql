-- Reading: whoever may use the schema sees the pipelines whose owner's rights he has, and those that a grant shows him. Writing: only
-- the functions. etl.pipeline alone asks who somebody is; the other tables ask it. The subquery about grants is evaluated once per
-- statement, and only when some pipeline is not the reader's own.

GRANT SELECT ON ALL TABLES IN SCHEMA etl TO PUBLIC;


ALTER TABLE etl.pipeline ENABLE ROW LEVEL SECURITY;
CREATE POLICY pipeline_member ON etl.pipeline FOR SELECT
  USING (pg_has_role(current_user, owner, 'USAGE')
         OR pipeline_id = ANY ((SELECT etl.granted_pipelines('viewer'))::bigint[]));

-- Who has been given what: the grants of oneself, and those for the pipelines that one may grant for.
ALTER TABLE etl.role_grant ENABLE ROW LEVEL SECURITY;
CREATE POLICY role_grant_member ON etl.role_grant FOR SELECT
  USING (pg_has_role(current_user, role, 'USAGE') OR (SELECT etl.may('admin'))
         OR EXISTS (SELECT FROM etl.pipeline AS p WHERE p.pipeline_id = role_grant.pipeline_id
                    AND (pg_has_role(current_user, p.owner, 'USAGE')
                         OR p.pipeline_id = ANY ((SELECT etl.granted_pipelines('admin'))::bigint[]))));
ALTER TABLE etl.bi_grant ENABLE ROW LEVEL SECURITY;
CREATE POLICY bi_grant_member ON etl.bi_grant FOR SELECT
  USING (pg_has_role(current_user, role, 'USAGE') OR pg_has_role(current_user, granted_by, 'USAGE') OR (SELECT etl.may('admin'))
         OR EXISTS (SELECT FROM etl.pipeline AS p WHERE p.pipeline_id = bi_grant.pipeline_id
                    AND (pg_has_role(current_user, p.owner, 'USAGE')
                         OR p.pipeline_id = ANY ((SELECT etl.granted_pipelines('admin'))::bigint[]))));

-- The subquery on etl.pipeline is itself under the policy above.
ALTER TABLE etl.task ENABLE ROW LEVEL SECURITY;
CREATE POLICY task_member ON etl.task FOR SELECT
  USING (EXISTS (SELECT FROM etl.pipeline AS p WHERE p.pipeline_id = task.pipeline_id));
ALTER TABLE etl.task_dependency ENABLE ROW LEVEL SECURITY;
CREATE POLICY task_dependency_member ON etl.task_dependency FOR SELECT
  USING (EXISTS (SELECT FROM etl.pipeline AS p WHERE p.pipeline_id = task_dependency.pipeline_id));
ALTER TABLE etl.run ENABLE ROW LEVEL SECURITY;
CREATE POLICY run_member ON etl.run FOR SELECT
  USING (EXISTS (SELECT FROM etl.pipeline AS p WHERE p.pipeline_id = run.pipeline_id));
ALTER TABLE etl.task_run ENABLE ROW LEVEL SECURITY;
CREATE POLICY task_run_member ON etl.task_run FOR SELECT
  USING (EXISTS (SELECT FROM etl.run AS r WHERE r.run_id = task_run.run_id));
ALTER TABLE etl.quarantine ENABLE ROW LEVEL SECURITY;
-- Rows of the sources: for the owner and admins. Others who see the pipeline have etl.quarantine_summary.
CREATE POLICY quarantine_member ON etl.quarantine FOR SELECT
  USING (EXISTS (SELECT FROM etl.pipeline AS p WHERE p.pipeline_id = quarantine.pipeline_id
                 AND (pg_has_role(current_user, p.owner, 'USAGE')
                      OR p.pipeline_id = ANY ((SELECT etl.granted_pipelines('admin'))::bigint[]))));
ALTER TABLE etl.check_result ENABLE ROW LEVEL SECURITY;
CREATE POLICY check_result_member ON etl.check_result FOR SELECT
  USING (EXISTS (SELECT FROM etl.pipeline AS p WHERE p.pipeline_id = check_result.pipeline_id));
ALTER TABLE etl.check_sample ENABLE ROW LEVEL SECURITY;
CREATE POLICY check_sample_member ON etl.check_sample FOR SELECT
  USING (EXISTS (SELECT FROM etl.pipeline AS p WHERE p.pipeline_id = check_sample.pipeline_id
                 AND (pg_has_role(current_user, p.owner, 'USAGE')
                      OR p.pipeline_id = ANY ((SELECT etl.granted_pipelines('admin'))::bigint[]))));
ALTER TABLE etl.batch ENABLE ROW LEVEL SECURITY;
CREATE POLICY batch_member ON etl.batch FOR SELECT
  USING (EXISTS (SELECT FROM etl.task AS t WHERE t.task_id = batch.task_id));
ALTER TABLE etl.watermark ENABLE ROW LEVEL SECURITY;
CREATE POLICY watermark_member ON etl.watermark FOR SELECT
  USING (EXISTS (SELECT FROM etl.task AS t WHERE t.task_id = watermark.task_id));
ALTER TABLE etl.source_schema ENABLE ROW LEVEL SECURITY;
CREATE POLICY source_schema_member ON etl.source_schema FOR SELECT
  USING (EXISTS (SELECT FROM etl.task AS t WHERE t.task_id = source_schema.task_id));
ALTER TABLE etl.extract_progress ENABLE ROW LEVEL SECURITY;
CREATE POLICY extract_progress_member ON etl.extract_progress FOR SELECT
  USING (EXISTS (SELECT FROM etl.task AS t WHERE t.task_id = extract_progress.task_id));
ALTER TABLE etl.http_progress ENABLE ROW LEVEL SECURITY;
CREATE POLICY http_progress_member ON etl.http_progress FOR SELECT
  USING (EXISTS (SELECT FROM etl.task AS t WHERE t.task_id = http_progress.task_id));
ALTER TABLE etl.file_ledger ENABLE ROW LEVEL SECURITY;
CREATE POLICY file_ledger_member ON etl.file_ledger FOR SELECT
  USING (EXISTS (SELECT FROM etl.task AS t WHERE t.task_id = file_ledger.task_id));
ALTER TABLE etl.kafka_offset ENABLE ROW LEVEL SECURITY;
CREATE POLICY kafka_offset_member ON etl.kafka_offset FOR SELECT
  USING (EXISTS (SELECT FROM etl.task AS t WHERE t.task_id = kafka_offset.task_id));
ALTER TABLE etl.watermark_history ENABLE ROW LEVEL SECURITY;
CREATE POLICY watermark_history_member ON etl.watermark_history FOR SELECT
  USING (EXISTS (SELECT FROM etl.task AS t WHERE t.task_id = watermark_history.task_id));
ALTER TABLE etl.schema_event ENABLE ROW LEVEL SECURITY;
CREATE POLICY schema_event_member ON etl.schema_event FOR SELECT
  USING (EXISTS (SELECT FROM etl.pipeline AS p WHERE p.pipeline_id = schema_event.pipeline_id));
ALTER TABLE etl.run_snapshot ENABLE ROW LEVEL SECURITY;
CREATE POLICY run_snapshot_member ON etl.run_snapshot FOR SELECT
  USING (EXISTS (SELECT FROM etl.run AS r WHERE r.run_id = run_snapshot.run_id));
ALTER TABLE etl.audit_log ENABLE ROW LEVEL SECURITY;
CREATE POLICY audit_log_member ON etl.audit_log FOR SELECT
  USING (pg_has_role(current_user, role, 'USAGE') OR (SELECT etl.may('admin'))
         OR EXISTS (SELECT FROM etl.pipeline AS p WHERE p.pipeline_id = audit_log.pipeline_id));
ALTER TABLE etl.consumed ENABLE ROW LEVEL SECURITY;
CREATE POLICY consumed_member ON etl.consumed FOR SELECT
  USING (EXISTS (SELECT FROM etl.task AS t WHERE t.task_id = consumed.task_id));
ALTER TABLE etl.change_log ENABLE ROW LEVEL SECURITY;
CREATE POLICY change_log_member ON etl.change_log FOR SELECT
  USING (EXISTS (SELECT FROM etl.task AS t WHERE t.task_id = change_log.task_id));
ALTER TABLE etl.change_log_batch ENABLE ROW LEVEL SECURITY;
CREATE POLICY change_log_batch_member ON etl.change_log_batch FOR SELECT
  USING (EXISTS (SELECT FROM etl.task AS t WHERE t.task_id = change_log_batch.task_id));
ALTER TABLE etl.schedule ENABLE ROW LEVEL SECURITY;
CREATE POLICY schedule_member ON etl.schedule FOR SELECT
  USING (EXISTS (SELECT FROM etl.pipeline AS p WHERE p.pipeline_id = schedule.pipeline_id));
ALTER TABLE etl.backfill ENABLE ROW LEVEL SECURITY;
CREATE POLICY backfill_member ON etl.backfill FOR SELECT
  USING (EXISTS (SELECT FROM etl.pipeline AS p WHERE p.pipeline_id = backfill.pipeline_id));
ALTER TABLE etl.backfill_chunk ENABLE ROW LEVEL SECURITY;
CREATE POLICY backfill_chunk_member ON etl.backfill_chunk FOR SELECT
  USING (EXISTS (SELECT FROM etl.backfill AS b WHERE b.backfill_id = backfill_chunk.backfill_id));
ALTER TABLE etl.alert_route ENABLE ROW LEVEL SECURITY;
CREATE POLICY alert_route_member ON etl.alert_route FOR SELECT
  USING (pg_has_role(current_user, owner, 'USAGE'));
ALTER TABLE etl.alert ENABLE ROW LEVEL SECURITY;
-- Tests of a route belong to no pipeline: who sees that they were sent sees them.
CREATE POLICY alert_member ON etl.alert FOR SELECT
  USING (EXISTS (SELECT FROM etl.pipeline AS p WHERE p.pipeline_id = alert.pipeline_id)
         OR budget IS NOT NULL AND EXISTS (SELECT FROM etl.budget AS b WHERE b.name = alert.budget)
         OR EXISTS (SELECT FROM etl.contract AS c WHERE c.contract_id = alert.contract_id)
         OR pipeline_id IS NULL AND EXISTS (SELECT FROM etl.alert_delivery AS d WHERE d.alert_id = alert.alert_id));
ALTER TABLE etl.alert_delivery ENABLE ROW LEVEL SECURITY;
CREATE POLICY alert_delivery_member ON etl.alert_delivery FOR SELECT
  USING (pg_has_role(current_user, owner, 'USAGE'));
ALTER TABLE etl.lineage_event ENABLE ROW LEVEL SECURITY;
CREATE POLICY lineage_event_member ON etl.lineage_event FOR SELECT
  USING (pg_has_role(current_user, owner, 'USAGE') AND EXISTS (SELECT FROM etl.pipeline AS p WHERE p.pipeline_id = lineage_event.pipeline_id));
ALTER TABLE etl.undo ENABLE ROW LEVEL SECURITY;
CREATE POLICY undo_member ON etl.undo FOR SELECT
  USING (EXISTS (SELECT FROM etl.task AS t WHERE t.task_id = undo.task_id));
-- Prices are for everybody to read.
ALTER TABLE etl.budget ENABLE ROW LEVEL SECURITY;
CREATE POLICY budget_member ON etl.budget FOR SELECT
  USING (pg_has_role(current_user, owner, 'MEMBER'));
ALTER TABLE etl.cost_day ENABLE ROW LEVEL SECURITY;
CREATE POLICY cost_day_member ON etl.cost_day FOR SELECT
  USING (EXISTS (SELECT FROM etl.pipeline AS p WHERE p.pipeline_id = cost_day.pipeline_id));
ALTER TABLE etl.cost_total ENABLE ROW LEVEL SECURITY;
CREATE POLICY cost_total_member ON etl.cost_total FOR SELECT
  USING (EXISTS (SELECT FROM etl.pipeline AS p WHERE p.pipeline_id = cost_total.pipeline_id));
ALTER TABLE etl.run_count ENABLE ROW LEVEL SECURITY;
CREATE POLICY run_count_member ON etl.run_count FOR SELECT
  USING (EXISTS (SELECT FROM etl.pipeline AS p WHERE p.pipeline_id = run_count.pipeline_id));
-- A contract is seen by the owner of its source and by those whose pipelines read it.
ALTER TABLE etl.contract ENABLE ROW LEVEL SECURITY;
CREATE POLICY contract_member ON etl.contract FOR SELECT
  USING (pg_has_role(current_user, owner, 'MEMBER') OR EXISTS (SELECT FROM etl.task AS t WHERE t.source = contract.source));
ALTER TABLE etl.contract_progress ENABLE ROW LEVEL SECURITY;
CREATE POLICY contract_progress_member ON etl.contract_progress FOR SELECT
  USING (EXISTS (SELECT FROM etl.contract AS c WHERE c.contract_id = contract_progress.contract_id));
ALTER TABLE etl.contract_result ENABLE ROW LEVEL SECURITY;
CREATE POLICY contract_result_member ON etl.contract_result FOR SELECT
  USING (EXISTS (SELECT FROM etl.contract AS c WHERE c.contract_id = contract_result.contract_id));
ALTER TABLE etl.task_reference ENABLE ROW LEVEL SECURITY;
CREATE POLICY task_reference_member ON etl.task_reference FOR SELECT
  USING (EXISTS (SELECT FROM etl.task AS t WHERE t.task_id = task_reference.task_id));
