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
