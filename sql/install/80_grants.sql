-- Reading: whoever may use the schema sees the pipelines of roles that he is a member of. Writing: only the functions.

GRANT SELECT ON ALL TABLES IN SCHEMA etl TO PUBLIC;


ALTER TABLE etl.pipeline ENABLE ROW LEVEL SECURITY;
CREATE POLICY pipeline_member ON etl.pipeline FOR SELECT
  USING (pg_has_role(current_user, owner, 'MEMBER'));

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
CREATE POLICY quarantine_member ON etl.quarantine FOR SELECT
  USING (EXISTS (SELECT FROM etl.pipeline AS p WHERE p.pipeline_id = quarantine.pipeline_id));
ALTER TABLE etl.check_result ENABLE ROW LEVEL SECURITY;
CREATE POLICY check_result_member ON etl.check_result FOR SELECT
  USING (EXISTS (SELECT FROM etl.pipeline AS p WHERE p.pipeline_id = check_result.pipeline_id));
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
  USING (EXISTS (SELECT FROM etl.pipeline AS p WHERE p.pipeline_id = audit_log.pipeline_id));
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
  USING (pg_has_role(current_user, owner, 'MEMBER'));
ALTER TABLE etl.alert ENABLE ROW LEVEL SECURITY;
-- Tests of a route belong to no pipeline: who sees that they were sent sees them.
CREATE POLICY alert_member ON etl.alert FOR SELECT
  USING (EXISTS (SELECT FROM etl.pipeline AS p WHERE p.pipeline_id = alert.pipeline_id)
         OR pipeline_id IS NULL AND EXISTS (SELECT FROM etl.alert_delivery AS d WHERE d.alert_id = alert.alert_id));
ALTER TABLE etl.alert_delivery ENABLE ROW LEVEL SECURITY;
CREATE POLICY alert_delivery_member ON etl.alert_delivery FOR SELECT
  USING (pg_has_role(current_user, owner, 'MEMBER'));
ALTER TABLE etl.lineage_event ENABLE ROW LEVEL SECURITY;
CREATE POLICY lineage_event_member ON etl.lineage_event FOR SELECT
  USING (pg_has_role(current_user, owner, 'MEMBER') AND EXISTS (SELECT FROM etl.pipeline AS p WHERE p.pipeline_id = lineage_event.pipeline_id));
ALTER TABLE etl.undo ENABLE ROW LEVEL SECURITY;
CREATE POLICY undo_member ON etl.undo FOR SELECT
  USING (EXISTS (SELECT FROM etl.task AS t WHERE t.task_id = undo.task_id));
