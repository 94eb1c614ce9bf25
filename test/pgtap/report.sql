-- etl.report and etl.graph: what the page says about real runs and about a long history, its size, what others see of it, and that
-- names and messages stay text.
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
SELECT plan(77);

SELECT rolname AS me FROM pg_roles WHERE rolname = current_user \gset
CREATE SCHEMA t_rep;
CREATE TABLE t_rep.item (id integer PRIMARY KEY, v integer);
INSERT INTO t_rep.item SELECT n, n FROM generate_series(1, 7) AS n;

-- How often a pattern matches.
CREATE FUNCTION pg_temp.n(page text, pattern text) RETURNS bigint LANGUAGE sql AS $$
  SELECT count(*) FROM regexp_matches(page, pattern, 'g') $$;
-- The part of a page from a section to its end.
CREATE FUNCTION pg_temp.section(page text, id text) RETURNS text LANGUAGE sql AS $$
  SELECT substring(page FROM '<section id="' || id || '".*?</section>') $$;

-- Nothing there yet.
SELECT etl.create_pipeline('t_rep', description => 'Items <of> "the" shop & more', tags => '{"team": "a<b"}') \g /dev/null
SELECT etl.report('t_rep') AS page \gset
SELECT matches(:'page'::text, '^<!DOCTYPE html>.*</html>\n$', 'an empty pipeline has a page');
SELECT ok(strpos(:'page'::text, 'Items &lt;of&gt; &quot;the&quot; shop &amp; more') > 0, 'the description is text');
SELECT ok(strpos(:'page'::text, 'team: a&lt;b') > 0, 'and so are tags');
SELECT ok(strpos(pg_temp.section(:'page'::text, s.id), s.says) > 0, 'says that there is nothing: ' || s.id)
FROM (VALUES ('run', 'has not run yet'), ('graph', 'has no tasks yet'), ('times', 'No task has begun yet'), ('history', 'There are no runs yet'),
             ('checks', 'No check has a result yet'), ('freshness', 'keeps no table'), ('problems', 'No alert is open'),
             ('cost', 'Nothing was used'), ('tasks', 'has no tasks yet')) AS s (id, says);
SELECT is(etl.graph('t_rep'), E'flowchart LR\n', 'an empty graph in Mermaid');
SELECT matches(etl.graph('t_rep', 'dot'), '^digraph "t_rep" \{.*\}\n$', 'an empty graph for Graphviz');

-- A run that ends well, with a gate, and one that fails.
SELECT etl.add_extract('t_rep', 'item', source => 't_rep.item', target => 't_rep_raw.item', primary_key => '{id}') \g /dev/null
SELECT etl.add_load('t_rep', 'kept', 'SELECT id, v FROM t_rep_raw.item', 't_rep_dw.kept', '{id}') \g /dev/null
SELECT etl.add_check('t_rep', 'enough', 't_rep_dw.kept', 'row_count', warn => '5', fail => '3', gate => 'kept') \g /dev/null
SELECT etl.add_sql('t_rep', 'divide', 'SELECT 1 / (count(*) - 7) FROM t_rep_dw.kept WHERE etl.param(''break'') = ''yes''', retry_delays => '{}') \g /dev/null
SELECT etl.add_sql('t_rep', 'after', 'SELECT 1', depends_on => '{divide}') \g /dev/null
SELECT task_id AS kept FROM etl.task WHERE name = 'kept' \gset
SELECT etl.run_pipeline('t_rep', mode => 'inline', params => '{"break": "no"}') AS good \gset
SELECT etl.report('t_rep') AS page \gset
SELECT ok(strpos(pg_temp.section(:'page'::text, 'run'), '<span class="state s">✓ success</span>') > 0, 'the state of the last run');
SELECT ok(strpos(pg_temp.section(:'page'::text, 'run'), 'Rows read</dt><dd>14<') > 0, 'its rows');
SELECT is(pg_temp.n(pg_temp.section(:'page'::text, 'graph'), '<g class="node '), 5::bigint, 'every task is in the graph');
SELECT is(pg_temp.n(pg_temp.section(:'page'::text, 'graph'), '<path class="ed'), 4::bigint, 'and every dependency, with the gate');
SELECT is(pg_temp.n(pg_temp.section(:'page'::text, 'graph'), '<path class="ed gate"'), 1::bigint, 'which is dashed');
SELECT is(pg_temp.n(pg_temp.section(:'page'::text, 'times'), '<rect class="bar s'), 4::bigint, 'a bar for each attempt');
SELECT matches(pg_temp.section(:'page'::text, 'times'), 'Critical path \(outlined\): .*item</a> → .*kept</a> → .*divide</a> → .*after</a>', 'the critical path');
SELECT is(pg_temp.n(pg_temp.section(:'page'::text, 'history'), '<td class=s'), 6::bigint, 'a cell for the run and for each task');
SELECT ok(strpos(pg_temp.section(:'page'::text, 'checks'), '7 rows') > 0, 'what the check measured');
SELECT is(pg_temp.n(pg_temp.section(:'page'::text, 'checks'), 'class="th[wf]"'), 2::bigint, 'both of its thresholds are drawn');
SELECT ok(strpos(pg_temp.section(:'page'::text, 'freshness'), 't_rep_dw.kept') > 0, 'freshness of the target');
SELECT ok(strpos(pg_temp.section(:'page'::text, 'cost'), 'There are no prices') > 0, 'no prices: time of workers');
SELECT is(pg_temp.n(:'page'::text, '<(script|style)>'), 2::bigint, 'one style sheet and one script');
SELECT ok(strpos(:'page'::text, 'default-src ''none''') > 0, 'a policy that forbids the network');
SELECT ok(strpos(:'page'::text, '''sha256-' || encode(sha256(convert_to(substring(:'page'::text FROM '<script>(.*?)</script>'), 'UTF8')), 'base64')) > 0,
  'the policy has the hash of the script');
SELECT ok(strpos(:'page'::text, '''sha256-' || encode(sha256(convert_to(substring(:'page'::text FROM '<style>(.*?)</style>'), 'UTF8')), 'base64')) > 0,
  'and of the style sheet');
SELECT is(pg_temp.n(:'page'::text, '(src|href)="(?!#|data:,)'), 0::bigint, 'no address of anything else');
SELECT is(pg_temp.n(:'page'::text, ' style='), 0::bigint, 'no style attribute, which the policy would refuse');

SELECT etl.run_pipeline('t_rep', wait => false, params => '{"break": "yes"}') AS bad \gset
SELECT etl.wait_for_run(:bad) \g /dev/null
SELECT etl.report('t_rep') AS page \gset
SELECT ok(strpos(pg_temp.section(:'page'::text, 'run'), 'division by zero') > 0, 'the error of the failed task');
SELECT ok(strpos(pg_temp.section(:'page'::text, 'run'), 'SELECT etl.retry_run(' || :bad || ');') > 0, 'and what to do');
SELECT ok(strpos(pg_temp.section(:'page'::text, 'run'), 'class="state f"') > 0 AND strpos(pg_temp.section(:'page'::text, 'run'), 'median ') > 0,
  'the state of the run, and the median of earlier ones');
SELECT ok(strpos(pg_temp.section(:'page'::text, 'graph'), 'what it depends on failed') > 0, 'what did not start is in the graph and its legend');
SELECT is(pg_temp.n(pg_temp.section(:'page'::text, 'history'), '<td class=f'), 2::bigint, 'two failed cells: the run and the task');
SELECT is(pg_temp.n(pg_temp.section(etl.report('t_rep', 1), 'history'), '<th scope=col title='), 1::bigint, 'runs => 1 has one run');
SELECT ok(strpos(pg_temp.section(etl.report('t_rep', 1), 'history'), 'title="run ' || :bad || ',') > 0, 'the latest');
SELECT matches(pg_temp.section(:'page'::text, 'problems'), 'run_failed', 'open alerts');

-- A run at work; the transaction is rolled back, so that nobody takes it up.
BEGIN;
UPDATE etl.run SET state = 'running', ended_at = NULL WHERE run_id = :bad;
UPDATE etl.task_run SET state = 'running', ended_at = NULL, error_message = NULL WHERE run_id = :bad AND task = 'divide';
UPDATE etl.task_run SET state = 'waiting', ended_at = NULL WHERE run_id = :bad AND task = 'after';
SELECT etl.report('t_rep') AS page \gset
SELECT ok(strpos(pg_temp.section(:'page'::text, 'run'), 'Duration so far') > 0 AND strpos(pg_temp.section(:'page'::text, 'run'), 'retry_run') = 0, 'a run at work: so far');
SELECT is(pg_temp.n(pg_temp.section(:'page'::text, 'graph'), '<g class="node r"'), 1::bigint, 'a task at work');
SELECT is(pg_temp.n(pg_temp.section(:'page'::text, 'graph'), '<g class="node q"'), 1::bigint, 'and one that waits for it');
-- An attempt that failed and will be repeated.
UPDATE etl.task_run SET state = 'failed', ended_at = clock_timestamp(), error_message = 'lost for now' WHERE run_id = :bad AND task = 'divide';
INSERT INTO etl.task_run (run_id, task_id, task, kind, attempt, state, ready_at)
SELECT run_id, task_id, task, kind, 2, 'retry', now() + interval '5 min' FROM etl.task_run WHERE run_id = :bad AND task = 'divide';
SELECT etl.report('t_rep') AS page \gset
SELECT ok(strpos(pg_temp.section(:'page'::text, 'run'), 'Attempt 2 comes next, by itself.') > 0, 'an attempt that is repeated by itself');
ROLLBACK;

-- The run that is shown is rather not one that was skipped, or that fills the past.
BEGIN;
UPDATE etl.run SET state = 'skipped' WHERE run_id = :bad;
SELECT ok(strpos(pg_temp.section(etl.report('t_rep'), 'run'), '<dt>Run ' || :good || '<') > 0, 'not a skipped run');
UPDATE etl.run SET state = 'failed', backfill_id = 1 WHERE run_id = :bad;
SELECT ok(strpos(pg_temp.section(etl.report('t_rep'), 'run'), '<dt>Run ' || :good || '<') > 0, 'not one of a backfill');
SELECT ok(strpos(etl.graph('t_rep'), ':::failed') = 0, 'so does the graph');
ROLLBACK;

-- Edges that would cross do not: y waits for a, x for b.
SELECT etl.create_pipeline('t_cross') \g /dev/null
SELECT etl.add_sql('t_cross', n, 'SELECT 1', depends_on => d::text[])
FROM (VALUES ('a', '{}'), ('b', '{}'), ('x', '{b}'), ('y', '{a}'), ('z', '{x,y,a}')) AS v (n, d) \g /dev/null
CREATE TEMP TABLE place AS
SELECT m[3] AS name, m[1]::numeric AS x, m[2]::numeric AS y
FROM regexp_matches(etl.report('t_cross'), 'translate\(([-0-9.]+) ([-0-9.]+)\)"[^\n]*class="name" y="18">(\w+)<', 'g') AS m;
SELECT is((SELECT string_agg(name, ',' ORDER BY name) FROM place), 'a,b,x,y,z', 'every task has its place');
SELECT ok((SELECT (a.y < b.y) = (y.y < x.y) FROM place AS a, place AS b, place AS x, place AS y
           WHERE (a.name, b.name, x.name, y.name) = ('a', 'b', 'x', 'y')), 'edges do not cross where they need not');
SELECT ok((SELECT max(x) FILTER (WHERE name IN ('a', 'b')) < min(x) FILTER (WHERE name IN ('x', 'y'))
             AND max(x) FILTER (WHERE name IN ('x', 'y')) < min(x) FILTER (WHERE name = 'z') FROM place), 'a task is to the right of what it waits for');
-- The critical path goes by what a task waited for longest: z for x, x for b.
SELECT etl.run_pipeline('t_cross', mode => 'inline') AS cross \gset
UPDATE etl.task_run AS t SET started_at = r.started_at + v.b * interval '1 s', ended_at = r.started_at + v.e * interval '1 s'
FROM etl.run AS r, (VALUES ('a', 0, 1), ('b', 0, 5), ('x', 5, 6), ('y', 1, 2), ('z', 6, 7)) AS v (task, b, e)
WHERE r.run_id = :cross AND t.run_id = :cross AND v.task = t.task;
SELECT matches(pg_temp.section(etl.report('t_cross'), 'times'), 'Critical path \(outlined\): <a href="#t\d">b</a> → <a href="#t\d">x</a> → <a href="#t\d">z</a>\. The whole took 7\.0 s',
  'the critical path goes by the longest wait');
-- Loads that are published at one commit wait for the extracts of all.
SELECT etl.create_pipeline('t_pub', atomic_publish => true) \g /dev/null
SELECT etl.add_extract('t_pub', e, source => 't_rep.item', target => 't_pub_raw.' || e, primary_key => '{id}') FROM unnest('{e1,e2}'::text[]) AS e \g /dev/null
SELECT etl.add_load('t_pub', l, 'SELECT id, v FROM t_pub_raw.e' || right(l, 1), 't_pub_dw.' || l, '{id}') FROM unnest('{l1,l2}'::text[]) AS l \g /dev/null
SELECT etl.run_pipeline('t_pub', mode => 'inline') AS pub \gset
UPDATE etl.task_run AS t SET started_at = r.started_at + v.b * interval '1 s', ended_at = r.started_at + v.e * interval '1 s'
FROM etl.run AS r, (VALUES ('e1', 0, 1), ('e2', 0, 5), ('l1', 5, 7), ('l2', 5, 6)) AS v (task, b, e)
WHERE r.run_id = :pub AND t.run_id = :pub AND v.task = t.task;
SELECT matches(pg_temp.section(etl.report('t_pub'), 'times'), 'Critical path \(outlined\): <a href="#t\d">e2</a> → <a href="#t\d">l1</a>\.',
  'the critical path of a publication');

-- Graphs: of the last run, and of one by its number with the tasks that it had.
SELECT is(pg_temp.n(etl.graph('t_rep'), ':::(success|failed|upstream_failed)\n'), 5::bigint, 'Mermaid: a class for each task');
SELECT ok(strpos(etl.graph('t_rep'), 'divide<br/>sql, failed"]:::failed') > 0, 'Mermaid: the state');
SELECT ok(strpos(etl.graph('t_rep'), 't' || :kept || ' -. gate .-> t') > 0, 'Mermaid: a gate');
SELECT is(etl.graph('t_rep', NULL), etl.graph('t_rep', 'mermaid'), 'NULL is the default');
SELECT ok(strpos(etl.graph('t_rep', run_id => :good), 'divide<br/>sql, success"]:::success') > 0, 'Mermaid: an earlier run');
SELECT is(pg_temp.n(etl.graph('t_rep', 'dot'), 'class="(success|failed|upstream_failed)"'), 5::bigint, 'dot: a class for each task');
SELECT etl.drop_task('t_rep', 'after') \g /dev/null
SELECT is(pg_temp.n(etl.graph('t_rep'), '"\]:::'), 4::bigint, 'a dropped task is not in the graph of the definition');
SELECT is(pg_temp.n(etl.graph('t_rep', run_id => :bad), '"\]:::'), 5::bigint, 'but in that of the run');
SELECT etl.alter_pipeline('t_rep', atomic_publish => true) \g /dev/null
SELECT etl.add_load('t_rep', 'twice', 'SELECT id, v * 2 AS v FROM t_rep_raw.item', 't_rep_dw.twice', '{id}') \g /dev/null
SELECT ok(strpos(etl.graph('t_rep'), 'subgraph publication') > 0 AND strpos(etl.graph('t_rep', 'dot'), 'subgraph cluster_publication') > 0
  AND pg_temp.n(etl.report('t_rep'), '<rect class="pub"') = 2, 'what is published at one commit stands together');
SELECT is(pg_temp.n(pg_temp.section(etl.report('t_rep'), 'graph'), '<g class="node n"'), 1::bigint, 'a task that the run did not have');

SELECT etl.alter_pipeline('t_rep', schedule => '0 5 1 1 *', timezone => 'Europe/Madrid') \g /dev/null
SELECT matches(etl.report('t_rep'), 'Next due</dt><dd>\d{4}-01-01 05:00</dd>', 'when it is due next, in its time zone');

-- Names that want to be something else.
SELECT etl.create_pipeline('<script>alert(1)</script>"''&') \g /dev/null
SELECT etl.add_sql('<script>alert(1)</script>"''&', n, 'SELECT 1/0', description => '</title><img src=x onerror=alert(2)>', retry_delays => '{}')
FROM unnest(ARRAY['<script>alert(3)</script>', '"]:::x; click t1 "javascript:alert(4)"', '`**md**`', E'two\nlines', '--> end', 'a\"b\\', '&quot;&amp;&#60;',
                  '%%{init: {}}%%', '日本語の名前がとても長いときにはどうなるか見てみましょうね', '#35;', E'bell\x07']) AS n \g /dev/null
SELECT etl.wait_for_run(etl.run_pipeline('<script>alert(1)</script>"''&', wait => false)) \g /dev/null
SELECT etl.report('<script>alert(1)</script>"''&') AS page \gset
SELECT is(pg_temp.n(:'page'::text, '<script'), 1::bigint, 'no script but the one of the page');
SELECT is(pg_temp.n(:'page'::text, '<img'), 0::bigint, 'no element from a description');
SELECT is(pg_temp.n(:'page'::text, '[\x01-\x08\x0b-\x1f\x7f]'), 0::bigint, 'no control character');
SELECT is(pg_temp.n(pg_temp.section(:'page'::text, 'graph'), '<g class="node '), 11::bigint, 'all tasks are there');
SELECT is(pg_temp.n(etl.graph('<script>alert(1)</script>"''&'), '(?n)^  t\d+\["[^"]*"\]:::failed$'), 11::bigint, 'Mermaid: no label ends early');
SELECT is(pg_temp.n(etl.graph('<script>alert(1)</script>"''&'), '<(?!br/>)|`|%'), 0::bigint, 'Mermaid: no markup in a label');
SELECT is(pg_temp.n(etl.graph('<script>alert(1)</script>"''&', 'dot'), '(?n)^  t\d+ \[label="(\\.|[^"\\])*", class='), 11::bigint, 'dot: no label ends early');

-- A long history.
\set owner :me
\ir ../bench/report_setup.sql
SELECT etl.report('warehouse') AS page \gset
SELECT cmp_ok(octet_length(:'page'::text), '<', 1000000, '60 tasks and 90 runs are less than 1 MB');
SELECT is(pg_temp.n(pg_temp.section(:'page'::text, 'history'), '<td'), 61 * 90::bigint, 'a cell for each task and run');
SELECT is(pg_temp.n(pg_temp.section(:'page'::text, 'checks'), '<article'), 10::bigint, 'ten checks');
SELECT ok(strpos(pg_temp.section(:'page'::text, 'cost'), 'EUR') > 0, 'cost in the currency of the prices');
SELECT is(pg_temp.n(pg_temp.section(:'page'::text, 'problems'), '<td class="num">17'), 2::bigint, 'rows in quarantine');

-- Only what the caller may see.
CREATE ROLE t_rep_other;
GRANT USAGE ON SCHEMA etl TO t_rep_other;
SET ROLE t_rep_other;
SELECT throws_ok($$SELECT etl.report('t_rep')$$, '42704', 'pipeline "t_rep" does not exist', 'a stranger sees no page');
SELECT throws_ok($$SELECT etl.graph('t_rep')$$, '42704', 'pipeline "t_rep" does not exist', 'and no graph');
RESET ROLE;
DROP OWNED BY t_rep_other;
DROP ROLE t_rep_other;
SELECT * FROM finish();
