-- The report page and graphs.

CREATE FUNCTION etl.report(pipeline text, runs integer DEFAULT 90)
RETURNS text LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'etl_report';
COMMENT ON FUNCTION etl.report IS 'One self-contained HTML page about a pipeline: its last run, graph, times, the history of the latest runs (1 to 1000), checks, freshness, alerts, quarantine and cost. It shows what the caller may see. Raises 42704 when there is no such pipeline, 22023 for a bad number of runs.';

CREATE FUNCTION etl.graph(pipeline text, format text DEFAULT 'mermaid', run_id bigint DEFAULT NULL)
RETURNS text LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'etl_graph';
COMMENT ON FUNCTION etl.graph IS 'The graph of a pipeline as a flowchart of Mermaid or, with format dot, a digraph of Graphviz, with the states of a run (NULL: the last one) as classes. A run that is named is drawn with the tasks that it had. Raises 42704 when there is no such pipeline or run, 22023 for an unknown format.';
