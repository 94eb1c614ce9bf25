# pg_dump and restore: definitions and progress come along, history does not; the extension can be dropped and made again;
# a database is free to go when no run is active.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('dump');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 16\n");
$node->start;

sub sql
{
	my ($database, $statement) = @_;
	return $node->safe_psql($database, "SET client_min_messages = warning; $statement");
}

# What a user has declared, by names only.
my $definition = q{
SELECT p.name, p.owner, p.description, p.timezone, p.max_parallel, p.on_overlap, p.run_timeout, p.tags, p.paused,
       t.name, t.kind, t.source, t.target, t.cursor_column, t.primary_key, t.lag, t.query, t.key, t.command, t.check_type, t.fail, t.gate,
       t.depends_on, t.retry_delays, t.timeout, t.owner, t.search_path, t.reads, t.writes,
       (SELECT string_agg(d.name || e.inferred, ',' ORDER BY d.name) FROM etl.task_dependency AS e JOIN etl.task AS d ON d.task_id = e.depends_on
        WHERE e.task_id = t.task_id)
FROM etl.pipeline AS p LEFT JOIN etl.task AS t USING (pipeline_id) ORDER BY p.name, t.name};
my $progress = q{
SELECT 'w', t.name, w.value, w.type::text FROM etl.watermark AS w JOIN etl.task AS t USING (task_id)
UNION ALL SELECT 'c', t.name, c.input, c.batch_id::text FROM etl.consumed AS c JOIN etl.task AS t USING (task_id)
UNION ALL SELECT 'b', b.target, b.batch_id::text, b.row_count::text FROM etl.batch AS b ORDER BY 1, 2, 3};

sql('postgres', q{
CREATE ROLE loader LOGIN;
CREATE DATABASE warehouse;
CREATE DATABASE restored;
});
sql('warehouse', q{
CREATE EXTENSION etl_ext;
GRANT USAGE ON SCHEMA etl TO loader;
CREATE SCHEMA dw AUTHORIZATION loader;
SET ROLE loader;
CREATE TABLE dw.source (id int PRIMARY KEY, v text);
INSERT INTO dw.source SELECT n, 'v' || n FROM generate_series(1, 100) AS n;
SET search_path = dw, public;
SELECT etl.create_pipeline('daily', description => 'It''s "daily"', timezone => 'Europe/Madrid', max_parallel => 2, on_overlap => 'queue',
         run_timeout => '3 h', tags => '{"team": "bi"}');
SELECT etl.add_extract('daily', 'extract', 'source', 'dw.raw', cursor_column => 'id', primary_key => '{id}', retry_delays => '{1 min,5 min}');
SELECT etl.add_load('daily', 'load', 'SELECT id, v FROM raw', 'dw.fact', '{id}', keep_undo => '7 days');
SELECT etl.add_aggregate('daily', 'sum', 'SELECT length(v) AS l, count(*) AS n FROM fact GROUP BY 1', 'dw.sums', '{l}', keep_undo => '7 days');
SELECT etl.add_sql('daily', 'last', 'SELECT 1', depends_on => '{sum}', timeout => '1 h');
SELECT etl.add_check('daily', 'gate', 'dw.fact', 'duplicates', columns => '{id}', fail => '0', gate => 'load');
SELECT etl.create_pipeline('paused');
SELECT etl.pause_pipeline('paused');
});
my $run = sql('warehouse', "SELECT etl.run_pipeline('daily')");
is(sql('warehouse', 'SELECT count(*) FROM dw.fact'), 100, 'the pipeline has run before the dump');

# Dump and restore.
my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-d', $node->connstr('warehouse'), '-f', $dump ], 'pg_dump');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('restored'), '-f', $dump ], 'restore');
is(sql('restored', $definition), sql('warehouse', $definition), 'the definitions are the same');
is(sql('restored', $progress), sql('warehouse', $progress), 'so is the progress');
isnt(sql('restored', $progress), '', 'and there is some');
is( sql('restored', 'SELECT (SELECT count(*) FROM etl.run), (SELECT count(*) FROM etl.task_run), (SELECT count(*) FROM etl.check_result)'),
	'0|0|0', 'the history stayed behind');
my $undo = q{SELECT count(*) FROM pg_class WHERE relnamespace = 'etl'::regnamespace AND relname ~ '^undo_[0-9]+$'};
is(sql('warehouse', $undo), 2, 'undo was kept');
is(sql('restored', $undo . ' UNION ALL SELECT count(*) FROM etl.undo'), "0\n0", 'which stayed behind, too');
is(sql('restored', "SELECT count(*) FROM etl.validate('daily') WHERE severity = 'error'"), 0, 'validate finds no error');

# The restored warehouse goes on where the dumped one stood.
sql('restored', q{INSERT INTO dw.source VALUES (101, 'new')});
cmp_ok(sql('restored', "SELECT etl.run_pipeline('daily')"), '>', $run, 'numbers of runs are not given out again');
is( sql('restored', "SELECT string_agg(concat_ws(' ', task, state, rows_inserted, rows_updated), ', ' ORDER BY task) FROM etl.task_status"),
	'extract success 1 0, last success 0 0, load success 1 0, sum success 0 1', 'the next run loads only what is new');
is(sql('restored', "SELECT rows_read < 5 FROM etl.task_status WHERE task = 'extract'"), 't', 'and reads no more');
is(sql('restored', 'SELECT count(*), count(DISTINCT id) FROM dw.fact'), '101|101', 'the fact is complete');
is( sql('restored', q{SELECT string_agg(concat_ws(' ', task, restored, removed), ', ') FROM etl.rollback_run((SELECT max(run_id) FROM etl.run))}),
	'sum 1 0, load 0 1', 'a run of the restored warehouse can be rolled back');
sql('restored', "SELECT etl.run_pipeline('daily')");
is(sql('restored', 'SELECT count(DISTINCT batch_id) = count(*) AND max(batch_id) > (SELECT min(batch_id) FROM etl.batch) FROM etl.batch'),
	't', 'numbers of batches go on');
cmp_ok(sql('restored', "SELECT etl.create_pipeline('another')"), '>', sql('restored', "SELECT pipeline_id FROM etl.pipeline WHERE name = 'paused'"),
	'numbers of pipelines go on');
is(sql('restored', "SELECT relowner::regrole FROM pg_class WHERE oid = 'dw.fact'::regclass"), 'loader', 'the tables belong to the owner');
my ($status, undef, $err) = $node->psql('restored', "SELECT etl.run_pipeline('paused')");
like($err, qr/is paused/, 'a paused pipeline is still paused');

# A dump of the restored database can be restored again, and in custom format.
$node->command_ok([ 'pg_dump', '-Fc', '-d', $node->connstr('restored'), '-f', "$dump.custom" ], 'pg_dump -Fc');
sql('postgres', 'CREATE DATABASE again');
$node->command_ok([ 'pg_restore', '-d', $node->connstr('again'), '-e', "$dump.custom" ], 'pg_restore');
is(sql('again', $definition), sql('restored', $definition), 'the definitions are the same again');

# DROP EXTENSION leaves the user's tables; a new extension begins with nothing.
sql('restored', 'DROP EXTENSION etl_ext');
is(sql('restored', "SELECT count(*), to_regnamespace('etl') IS NULL FROM dw.fact"), '101|t', 'DROP EXTENSION: tables of the user stay, the schema goes');
sql('restored', 'CREATE EXTENSION etl_ext');
is(sql('restored', 'SELECT count(*) FROM etl.pipeline'), 0, 'CREATE EXTENSION again: empty');
is(sql('restored', q{SELECT etl.create_pipeline('new') > 0 AND etl.add_sql('new', 'one', 'SELECT 1') > 0}), 't', 'and it works:');
cmp_ok(sql('restored', "SELECT etl.run_pipeline('new')"), '>', 0, 'a pipeline runs');

# No process of the engine keeps a database from being dropped.
for my $database ('restored', 'again', 'warehouse')
{
	sql('warehouse', "SELECT etl.run_pipeline('daily')") if $database eq 'warehouse';
	is((($node->psql('postgres', "DROP DATABASE $database"))[0]), 0, "DROP DATABASE $database works right after a run");
}
# A run of a dropped extension or with a dropped task ends.
sql('postgres', 'CREATE DATABASE going');
sql('going', q{CREATE EXTENSION etl_ext; SELECT etl.create_pipeline('p'); SELECT etl.add_sql('p', 'wait', 'SELECT pg_advisory_lock(1)')});
my $gate = $node->background_psql('going');
$gate->query_safe('SELECT pg_advisory_lock(1)');
sql('going', "SELECT etl.run_pipeline('p', wait => false)");
ok($node->poll_query_until('going', "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND NOT granted"), 'a task works');
($status, undef, $err) = $node->psql('postgres', 'DROP DATABASE going');
like($err, qr/is being accessed by other users/, 'a database with a run cannot be dropped');
$gate->quit;
is((($node->psql('postgres', 'DROP DATABASE going WITH (FORCE)'))[0]), 0, 'DROP DATABASE WITH (FORCE) ends the workers');
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'etl%'"), 'nothing of the engine is left');

$node->stop;
done_testing();
