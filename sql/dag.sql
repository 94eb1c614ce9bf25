-- The DAG: dependencies found in what tasks read, merged with those that their authors name.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_ext;
CREATE SCHEMA dag;
SET search_path = dag, public;
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never

CREATE TABLE src_a (id int PRIMARY KEY, v int);
CREATE TABLE src_b (id int PRIMARY KEY, v int);
CREATE VIEW edge AS
SELECT t.name AS task, string_agg(d.name || CASE WHEN e.inferred THEN '' ELSE ' (named)' END, ', ' ORDER BY d.name) AS waits_for
FROM etl.task AS t JOIN etl.pipeline AS p ON p.pipeline_id = t.pipeline_id AND p.name = 'dag'
LEFT JOIN etl.task_dependency AS e ON e.task_id = t.task_id LEFT JOIN etl.task AS d ON d.task_id = e.depends_on
GROUP BY t.name ORDER BY t.name;

SELECT etl.create_pipeline('dag') > 0;
SELECT etl.add_extract('dag', 'a', 'src_a', 'dag.raw_a', primary_key => '{id}') > 0;
SELECT etl.add_extract('dag', 'b', 'src_b', 'dag.raw_b', primary_key => '{id}') > 0;

-- Through a view on a view, a WITH query, subquery expressions, a set operation and LATERAL.
CREATE VIEW va AS SELECT id, v FROM raw_a;
CREATE VIEW vva AS SELECT id, v FROM va WHERE v > 0;
SELECT etl.add_load('dag', 'view', 'SELECT id, v FROM vva', 'dag.t_view', '{id}') > 0;
SELECT etl.add_load('dag', 'with', 'WITH w AS (SELECT id FROM raw_b) SELECT id FROM w', 'dag.t_with', '{id}') > 0;
SELECT etl.add_load('dag', 'exists', 'SELECT a.id FROM raw_a AS a WHERE EXISTS (SELECT FROM raw_b AS b WHERE b.id = a.id)',
                    'dag.t_exists', '{id}') > 0;
SELECT etl.add_load('dag', 'scalar', 'SELECT a.id, (SELECT max(v) FROM t_with AS t JOIN raw_b USING (id)) AS top FROM t_view AS a',
                    'dag.t_scalar', '{id}', mode => 'replace') > 0;
SELECT etl.add_load('dag', 'union', 'SELECT id FROM t_view UNION SELECT id FROM t_with', 'dag.t_union', '{id}', mode => 'replace') > 0;
SELECT etl.add_load('dag', 'lateral', 'SELECT a.id, l.v FROM t_view AS a, LATERAL (SELECT v FROM t_scalar AS s WHERE s.id = a.id LIMIT 1) AS l (v)',
                    'dag.t_lateral', '{id}', mode => 'replace') > 0;
-- A materialized view stands for itself: reading it waits for the task that refreshes it.
CREATE MATERIALIZED VIEW mv AS SELECT id, v FROM raw_a;
SELECT etl.add_sql('dag', 'refresh', 'REFRESH MATERIALIZED VIEW mv') > 0;
SELECT etl.add_load('dag', 'from_mv', 'SELECT id, v FROM mv', 'dag.t_mv', '{id}', mode => 'replace') > 0;
-- Commands.
SELECT etl.add_sql('dag', 'insert', 'INSERT INTO src_b SELECT id + 10, v FROM t_view; SELECT 1') > 0;
SELECT etl.add_sql('dag', 'opaque', 'DO ''BEGIN NULL; END''') > 0;
SELECT etl.add_sql('dag', 'later', 'SELECT * FROM does_not_exist_yet') > 0;
-- Checks wait for the task that writes their target; gates are no steps of their own.
SELECT etl.add_check('dag', 'check', 'dag.t_view', 'row_count', fail => '0') > 0;
SELECT etl.add_check('dag', 'gate', 'dag.t_view', 'row_count', fail => '0', gate => 'view') > 0;
SELECT etl.add_check('dag', 'over', 'dag.t_view', 'expression', expression => 'id IN (SELECT id FROM dag.raw_a)', fail => '0') > 0;
SELECT * FROM edge;

-- What an author names is added; naming what was found anyway makes no second edge.
SELECT etl.alter_task('dag', 'opaque', depends_on => '{union,check}');
SELECT etl.alter_task('dag', 'with', depends_on => '{b,a}');
SELECT * FROM edge WHERE task IN ('opaque', 'with');
SELECT etl.alter_task('dag', 'with', depends_on => '{}');
SELECT * FROM edge WHERE task = 'with';
SELECT etl.alter_task('dag', 'with', reset => '{depends_on}');
SELECT * FROM edge WHERE task = 'with';

-- Cycles, with their path: named, found, mixed.
SELECT etl.alter_task('dag', 'union', depends_on => '{opaque}');
SELECT etl.alter_task('dag', 'view', query => 'SELECT s.id, s.top AS v FROM t_scalar AS s');
SELECT etl.add_sql('dag', 'writes raw_a', 'INSERT INTO raw_a SELECT id, v FROM t_lateral') > 0;
SELECT etl.alter_task('dag', 'b', depends_on => '{insert}');
SELECT * FROM edge WHERE task IN ('b', 'view', 'union', 'writes raw_a');

-- A task that reads what it writes does not wait for itself.
SELECT etl.add_sql('dag', 'itself', 'INSERT INTO t_union SELECT id + 100 FROM t_union') > 0;
SELECT * FROM edge WHERE task = 'itself';
SELECT etl.drop_task('dag', 'itself');

-- Two writers of one table: readers wait for both.
SELECT etl.add_sql('dag', 'second writer', 'INSERT INTO t_union SELECT 7', depends_on => '{union}') > 0;
SELECT etl.add_load('dag', 'reader', 'SELECT id FROM t_union', 'dag.t_reader', '{id}', mode => 'replace') > 0;
SELECT * FROM edge WHERE task IN ('reader', 'second writer');

-- The lineage view says the same in relations.
SELECT task, kind, input, output FROM etl.lineage WHERE pipeline = 'dag' AND task IN ('view', 'exists', 'insert', 'refresh')
ORDER BY task, input, output;

-- The order of definition plays no part: the same tasks, last ones first.
SELECT etl.create_pipeline('gad') > 0;
SELECT etl.add_check('gad', 'check', 'dag.t_view', 'row_count', fail => '0') > 0;
SELECT etl.add_load('gad', 'union', 'SELECT id FROM t_view UNION SELECT id FROM t_with', 'dag.t_union', '{id}', mode => 'replace') > 0;
SELECT etl.add_load('gad', 'with', 'WITH w AS (SELECT id FROM raw_b) SELECT id FROM w', 'dag.t_with', '{id}') > 0;
SELECT etl.add_load('gad', 'view', 'SELECT id, v FROM vva', 'dag.t_view', '{id}') > 0;
SELECT etl.add_extract('gad', 'b', 'src_b', 'dag.raw_b', primary_key => '{id}') > 0;
SELECT etl.add_extract('gad', 'a', 'src_a', 'dag.raw_a', primary_key => '{id}') > 0;
SELECT t.name, d.name FROM etl.task_dependency AS e JOIN etl.task AS t USING (task_id) JOIN etl.task AS d ON d.task_id = e.depends_on
JOIN etl.pipeline AS p ON p.pipeline_id = t.pipeline_id WHERE p.name = 'gad' ORDER BY 1, 2;
-- An inline run follows it.
INSERT INTO src_a VALUES (1, 1);
INSERT INTO src_b VALUES (2, 2);
SET client_min_messages = error;
SELECT etl.run_pipeline('gad', mode => 'inline') > 0;
SET client_min_messages = warning;
SELECT task, state, rows_inserted FROM etl.task_status WHERE pipeline = 'gad' ORDER BY task;
SELECT id FROM t_union ORDER BY 1;

SELECT etl.drop_pipeline('dag');
SELECT etl.drop_pipeline('gad');
SET client_min_messages = error;
DROP SCHEMA dag CASCADE;
