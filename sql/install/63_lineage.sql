-- Lineage: which columns flow into which, what is downstream and upstream of something, and names of sources outside.

CREATE FUNCTION etl.dataset_of(relation text)
RETURNS text LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'etl_dataset_of';
COMMENT ON FUNCTION etl.dataset_of IS 'The source behind a foreign table, by the naming rules of OpenLineage: s3://bucket/prefix, file:///directory, kafka://broker:port/topic, https://host/path, postgres://host:port/database.schema.table, mysql://host:port/database.table. relation is a qualified, quoted name. NULL: it is no foreign table. Names hold no secrets.';

CREATE FUNCTION etl.column_lineage_of(
  task_id bigint, OUT output text, OUT output_column text, OUT input text, OUT input_column text, OUT kind text, OUT via text, OUT problem text)
RETURNS SETOF record LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'etl_column_lineage_of';
COMMENT ON FUNCTION etl.column_lineage_of IS 'What etl.column_lineage shows of one task, by its number; nothing of a task that you do not see.';

CREATE FUNCTION etl.impact(
  what text, indirect boolean DEFAULT true, OUT distance integer, OUT pipeline text, OUT task text, OUT through text, OUT object text,
  OUT column_name text, OUT kind text, OUT path text[])
RETURNS SETOF record LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'etl_impact';
COMMENT ON FUNCTION etl.impact IS 'Everything downstream of a table or column over all pipelines that you see: tables that tasks make from it, views and materialized views over them, checks that read it. what: schema.table, schema.table.column, or a source outside such as s3://bucket/prefix. One row for each step that gets to something: distance in steps, the task (NULL: a view), through (kind of the task, view or materialized view), the object (NULL: a check) with its column (NULL: its rows), the kind of the whole way as in etl.column_lineage (NULL: rows of a table), and the way. indirect => false leaves out what is only filtered, joined, grouped, sorted or chosen by it. Raises 42P01 and 42703 for what does not exist.';

CREATE FUNCTION etl.origin(
  what text, indirect boolean DEFAULT true, OUT distance integer, OUT pipeline text, OUT task text, OUT through text, OUT object text,
  OUT column_name text, OUT kind text, OUT path text[])
RETURNS SETOF record LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'etl_origin';
COMMENT ON FUNCTION etl.origin IS 'Everything upstream of a table or column, as etl.impact shows what is downstream, as far as the sources outside: these are objects such as s3://bucket/prefix, with through = source. Raises 42P01 and 42703 for what does not exist.';

CREATE VIEW etl.lineage WITH (security_invoker = true) AS
SELECT p.name AS pipeline, t.name AS task, t.kind, i.input, o.output,
       etl.dataset_of(i.input) AS input_dataset, etl.dataset_of(o.output) AS output_dataset
FROM etl.task AS t
JOIN etl.pipeline AS p ON p.pipeline_id = t.pipeline_id
LEFT JOIN LATERAL unnest(t.reads) AS i (input) ON true
LEFT JOIN LATERAL unnest(t.writes) AS o (output) ON true
WHERE i.input IS NOT NULL OR o.output IS NOT NULL;
COMMENT ON VIEW etl.lineage IS 'Which relation flows into which, through which task.';
COMMENT ON COLUMN etl.lineage.pipeline IS 'Name of the pipeline.';
COMMENT ON COLUMN etl.lineage.task IS 'Name of the task.';
COMMENT ON COLUMN etl.lineage.kind IS 'extract, load, aggregate, sql or check.';
COMMENT ON COLUMN etl.lineage.input IS 'Relation that is read.';
COMMENT ON COLUMN etl.lineage.output IS 'Relation that is written.';
COMMENT ON COLUMN etl.lineage.input_dataset IS 'What is behind input where that is a foreign table: see etl.dataset_of.';
COMMENT ON COLUMN etl.lineage.output_dataset IS 'What is behind output where that is a foreign table.';

CREATE VIEW etl.column_lineage WITH (security_invoker = true) AS
SELECT p.name AS pipeline, t.name AS task, c.output, c.output_column, c.input, c.input_column, c.kind, c.via, c.problem
FROM etl.task AS t
JOIN etl.pipeline AS p ON p.pipeline_id = t.pipeline_id
CROSS JOIN LATERAL etl.column_lineage_of(t.task_id) AS c;
COMMENT ON VIEW etl.column_lineage IS 'Which column flows into which, through which task and how. Computed when it is read, from the definitions of tasks and the tables and views as they are then.';
COMMENT ON COLUMN etl.column_lineage.pipeline IS 'Name of the pipeline.';
COMMENT ON COLUMN etl.column_lineage.task IS 'Name of the task.';
COMMENT ON COLUMN etl.column_lineage.output IS 'Relation that is written; NULL: none, the task is a check.';
COMMENT ON COLUMN etl.column_lineage.output_column IS 'Its column; NULL: which rows there are, and so all of its columns.';
COMMENT ON COLUMN etl.column_lineage.input IS 'Relation that is read; NULL: nothing, the column is generated.';
COMMENT ON COLUMN etl.column_lineage.input_column IS 'Its column; NULL: its rows, as count(*) reads them.';
COMMENT ON COLUMN etl.column_lineage.kind IS 'How: identity, transformation or aggregation (the value is made from the input), filter, join, group_by, sort, window or conditional (the input only decides which rows or values are taken), generated (a constant, a function without columns, or a column that etl_ext makes), unknown (the statement could not be looked into).';
COMMENT ON COLUMN etl.column_lineage.via IS 'View that the task names and that reads the input; NULL: the task names the input itself.';
COMMENT ON COLUMN etl.column_lineage.problem IS 'Why only relations are known, where the task cannot be analyzed now; NULL: it can.';

-- Events of OpenLineage on their way. Not dumped.
CREATE TABLE etl.lineage_event (
  event_id    bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  route       text NOT NULL,
  owner       regrole NOT NULL,
  pipeline_id bigint NOT NULL REFERENCES etl.pipeline ON DELETE CASCADE,
  run_id      bigint NOT NULL REFERENCES etl.run ON DELETE CASCADE,
  task_run_id bigint,
  event_type  text NOT NULL CHECK (event_type IN ('START', 'COMPLETE', 'FAIL', 'ABORT')),
  job         text NOT NULL,
  body        jsonb NOT NULL,
  state       text NOT NULL CHECK (state IN ('pending', 'sending', 'sent', 'failed', 'muted')),
  try         integer NOT NULL CHECK (try > 0),
  due_at      timestamptz NOT NULL,
  ended_at    timestamptz,
  message     text,
  created_at  timestamptz NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
COMMENT ON TABLE etl.lineage_event IS 'Events of OpenLineage, one row for each route that gets them. Written in the transaction that makes the change of state; deleted some time after 7 days, or with their run.';
COMMENT ON COLUMN etl.lineage_event.event_id IS 'Key; the events of a route are delivered in this order.';
COMMENT ON COLUMN etl.lineage_event.route IS 'Name of the route.';
COMMENT ON COLUMN etl.lineage_event.owner IS 'Role that owned the route; its members see the row, if they see the pipeline.';
COMMENT ON COLUMN etl.lineage_event.pipeline_id IS 'The pipeline.';
COMMENT ON COLUMN etl.lineage_event.run_id IS 'The run.';
COMMENT ON COLUMN etl.lineage_event.task_run_id IS 'The attempt; NULL: the event is about the run.';
COMMENT ON COLUMN etl.lineage_event.event_type IS 'START, COMPLETE, FAIL or ABORT.';
COMMENT ON COLUMN etl.lineage_event.job IS 'Name of the job: pipeline, or pipeline.task.';
COMMENT ON COLUMN etl.lineage_event.body IS 'The event as it is sent.';
COMMENT ON COLUMN etl.lineage_event.state IS 'pending, sending, sent, failed or muted (the route was muted or disabled).';
COMMENT ON COLUMN etl.lineage_event.try IS '1 for the first try.';
COMMENT ON COLUMN etl.lineage_event.due_at IS 'When the try is to be made, if no earlier event of the route is left.';
COMMENT ON COLUMN etl.lineage_event.ended_at IS 'When it was sent or given up.';
COMMENT ON COLUMN etl.lineage_event.message IS 'Answer of the receiver, error, or why it was not sent.';
COMMENT ON COLUMN etl.lineage_event.created_at IS 'When it was written.';
CREATE INDEX lineage_event_queue_idx ON etl.lineage_event (route, event_id) WHERE state IN ('pending', 'sending');
CREATE INDEX lineage_event_ended_idx ON etl.lineage_event (route, event_id) WHERE state NOT IN ('pending', 'sending');
CREATE INDEX lineage_event_run_idx ON etl.lineage_event (run_id);
CREATE INDEX lineage_event_pipeline_idx ON etl.lineage_event (pipeline_id);
