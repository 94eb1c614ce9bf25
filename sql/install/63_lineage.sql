-- Lineage: which columns flow into which, what is downstream and upstream of something, and names of sources outside.

CREATE FUNCTION etl.dataset_of(relation text)
RETURNS text LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'etl_dataset_of';
COMMENT ON FUNCTION etl.dataset_of IS 'The source behind a foreign table, by the naming rules of OpenLineage: s3://bucket/prefix, file:///directory, kafka://broker:port/topic, https://api.example.com/path, postgres://host:port/database.schema.table, mysql://host:port/database.table. relation is a qualified, quoted name. NULL: it is no foreign table. Names hold no secrets.';

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

CREATE FUNCTION etl.lineage_run_id(moment timestamptz, about text)
RETURNS uuid LANGUAGE sql STABLE STRICT
BEGIN ATOMIC
  -- Version 7: the time in milliseconds, then bits that follow from what it is about, in this database of this server.
  SELECT concat_ws('-', substr(t.ms, 1, 8), substr(t.ms, 9, 4), '7' || substr(t.hash, 1, 3),
                   substr('89ab', strpos('0123456789abcdef', substr(t.hash, 4, 1)) % 4 + 1, 1) || substr(t.hash, 5, 3),
                   substr(t.hash, 8, 12))::uuid
  FROM (SELECT lpad(to_hex(floor(extract(epoch FROM moment) * 1000)::bigint), 12, '0') AS ms,
               encode(sha256(convert_to(concat_ws(':', (SELECT s.system_identifier FROM pg_control_system() AS s),
                                                  (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()), about),
                                        'UTF8')), 'hex') AS hash) AS t;
END;
COMMENT ON FUNCTION etl.lineage_run_id IS 'The number of a run in events of OpenLineage, a UUID of version 7: of a run by its requested_at and run:<run_id>:<retries>, of an attempt by its started_at and task:<task_run_id>. The same for all events of a run, and another in every database.';

CREATE FUNCTION etl.lineage_event_body(
  run_id bigint, task_run_id bigint, check_id bigint, event_type text, namespace text, inputs jsonb, outputs jsonb)
RETURNS jsonb LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT jsonb_build_object(
    'eventType', event_type, 'eventTime', to_char(w.at AT TIME ZONE 'UTC', w.iso), 'producer', w.producer->'_producer',
    'schemaURL', 'https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent',
    'run', jsonb_build_object('runId', CASE WHEN x.task_run_id IS NULL THEN w.run_uuid ELSE w.task_uuid END, 'facets', jsonb_strip_nulls(jsonb_build_object(
      'parent', CASE WHEN x.task_run_id IS NOT NULL THEN w.producer || jsonb_build_object(
        '_schemaURL', w.spec || '1-2-0/ParentRunFacet.json#/$defs/ParentRunFacet',
        'run', jsonb_build_object('runId', w.run_uuid), 'job', jsonb_build_object('namespace', namespace, 'name', p.name)) END,
      'nominalTime', CASE WHEN isfinite(r.logical_time) THEN w.producer || jsonb_build_object(
        '_schemaURL', w.spec || '1-0-1/NominalTimeRunFacet.json#/$defs/NominalTimeRunFacet',
        'nominalStartTime', to_char(coalesce(r.interval_start, r.logical_time) AT TIME ZONE 'UTC', w.iso),
        'nominalEndTime', to_char(r.interval_end AT TIME ZONE 'UTC', w.iso)) END,
      'processing_engine', w.producer || jsonb_build_object(
        '_schemaURL', w.spec || '1-1-1/ProcessingEngineRunFacet.json#/$defs/ProcessingEngineRunFacet',
        'name', 'PostgreSQL', 'version', current_setting('server_version'), 'openlineageAdapterVersion', w.version),
      'errorMessage', CASE WHEN event_type IN ('FAIL', 'ABORT') AND w.error IS NOT NULL THEN w.producer || jsonb_build_object(
        '_schemaURL', w.spec || '1-0-1/ErrorMessageRunFacet.json#/$defs/ErrorMessageRunFacet',
        'message', w.error, 'programmingLanguage', 'SQL', 'stackTrace', w.trace) END))),
    'job', jsonb_build_object('namespace', namespace, 'name', w.job, 'facets', jsonb_strip_nulls(jsonb_build_object(
      'jobType', w.producer || jsonb_build_object(
        '_schemaURL', w.spec || '2-0-4/JobTypeJobFacet.json#/$defs/JobTypeJobFacet', 'processingType', 'BATCH', 'integration', 'ETL_EXT',
        'jobType', CASE WHEN x.task_run_id IS NULL THEN 'PIPELINE' ELSE upper(d.e->>'kind') END),
      'sql', CASE WHEN w.sql IS NOT NULL THEN w.producer || jsonb_build_object(
        '_schemaURL', w.spec || '1-1-0/SQLJobFacet.json#/$defs/SQLJobFacet', 'query', w.sql, 'dialect', 'postgresql') END,
      'documentation', CASE WHEN w.description IS NOT NULL THEN w.producer || jsonb_build_object(
        '_schemaURL', w.spec || '1-1-0/DocumentationJobFacet.json#/$defs/DocumentationJobFacet', 'description', w.description) END,
      'ownership', w.producer || jsonb_build_object(
        '_schemaURL', w.spec || '1-0-1/OwnershipJobFacet.json#/$defs/OwnershipJobFacet',
        'owners', jsonb_build_array(jsonb_build_object('name', p.owner::text, 'type', 'MAINTAINER')))))),
    'inputs', inputs, 'outputs', outputs)
  FROM etl.run AS r
  JOIN etl.pipeline AS p ON p.pipeline_id = r.pipeline_id
  LEFT JOIN etl.task_run AS x ON x.task_run_id = lineage_event_body.task_run_id
  LEFT JOIN LATERAL (
    SELECT e FROM jsonb_array_elements(r.definition->'task') AS e
    WHERE (e->>'task_id')::bigint = coalesce(check_id, x.task_id)) AS d ON true
  LEFT JOIN LATERAL (
    SELECT y.message, y.checked_at FROM etl.check_result AS y
    WHERE y.task_run_id = x.task_run_id AND y.task_id = check_id ORDER BY y.check_result_id DESC LIMIT 1) AS c ON true
  CROSS JOIN (SELECT extversion FROM pg_extension WHERE extname = 'etl_ext') AS v
  CROSS JOIN LATERAL (
    SELECT v.extversion AS version, 'https://openlineage.io/spec/facets/' AS spec, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"' AS iso,
           jsonb_build_object('_producer', 'urn:etl_ext:' || v.extversion) AS producer,
           etl.lineage_run_id(r.requested_at, concat_ws(':', 'run', r.run_id, r.retries)) AS run_uuid,
           CASE WHEN check_id IS NULL THEN etl.lineage_run_id(x.started_at, 'task:' || x.task_run_id)
                ELSE etl.lineage_run_id(x.started_at, concat_ws(':', 'check', x.task_run_id, check_id)) END AS task_uuid,
           concat_ws('.', p.name, CASE WHEN check_id IS NULL THEN x.task ELSE d.e->>'name' END) AS job,
           coalesce(CASE WHEN check_id IS NOT NULL THEN c.checked_at
                         WHEN event_type = 'START' THEN CASE WHEN x.task_run_id IS NULL THEN r.started_at ELSE x.started_at END
                         ELSE CASE WHEN x.task_run_id IS NULL THEN r.ended_at ELSE x.ended_at END END, clock_timestamp()) AS at,
           CASE WHEN check_id IS NOT NULL THEN c.message WHEN x.task_run_id IS NULL THEN r.message
                ELSE coalesce(x.error_message, x.message) END AS error,
           -- Neither detail nor context: they may hold values of rows.
           CASE WHEN check_id IS NULL THEN nullif(concat_ws(E'\n', 'SQLSTATE ' || x.error_sqlstate, x.error_hint), '') END AS trace,
           coalesce(d.e->>'query', d.e->>'command', d.e->>'expression') AS sql,
           CASE WHEN x.task_run_id IS NULL THEN p.description ELSE d.e->>'description' END AS description) AS w
  WHERE r.run_id = lineage_event_body.run_id;
END;
COMMENT ON FUNCTION etl.lineage_event_body IS 'An event of OpenLineage 2-0-2 about a run, an attempt (task_run_id) or a gate that was evaluated during one (check_id), with the datasets given. Routes of channel openlineage send it; NULL: you do not see the run.';
