# What other programs see: etl.metrics() by the reference parser of OpenMetrics and promtool, the queries of docs/monitoring by a real
# postgres_exporter, the SQL of the Grafana dashboard; and how far a task is, in the middle of its transaction.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use EtlChild;
use EtlPoll;

plan skip_all => 'the programs that read metrics could not be had' unless $ENV{ETL_TEST_MONITOR_EXPORTER};
my $faults = $ENV{ETL_TEST_FAULTS};
my $root = $ENV{ETL_TEST_ROOT};

my $node = PostgreSQL::Test::Cluster->new('monitoring', $faults ? (install_path => $faults) : ());
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 16\nfsync = off\nautovacuum = off\n");
$node->start;

sub sql
{
	my ($statement) = @_;
	return $node->safe_psql('postgres', $statement);
}

sql(q{
CREATE EXTENSION etl_ext;
CREATE SCHEMA raw; CREATE SCHEMA dw;
CREATE TABLE dw.source AS SELECT i AS id, md5(i::text) AS v, now() - interval '1 h' AS changed FROM generate_series(1, 20000) AS i;
ANALYZE dw.source;
SELECT etl.create_pool('pool', 2);
SELECT etl.create_pipeline('odd "name"\ ' || chr(10) || '{x}', tags => '{"team": "bi"}');
SELECT etl.add_sql('odd "name"\ ' || chr(10) || '{x}', 'fails', 'SELECT 1/0');
SELECT etl.create_pipeline('daily', tags => '{"team": "bi"}');
SELECT etl.add_extract('daily', 'orders', source => 'dw.source', target => 'raw.orders', primary_key => '{id}', cursor_column => 'changed',
                       chunk_rows => 10000, pool => 'pool');
SELECT etl.add_load('daily', 'fact', query => 'SELECT id, v FROM raw.orders', target => 'dw.fact', key => '{id}');
SELECT etl.add_check('daily', 'volume', target => 'dw.fact', type => 'row_count', fail => '1');
SELECT etl.set_price('cpu_hour', 0.05, 'EUR');
SELECT etl.set_price('attempt', 0.001);
SELECT etl.set_budget('all', 100);
});

# Progress: an attempt that waits in the middle of its transaction is seen with what it has done.
SKIP:
{
	skip 'no library with fault points', 6 unless $faults;
	my $holder = $node->background_psql('postgres', on_error_stop => 1);
	$holder->query_safe('SELECT pg_advisory_lock(77)');
	sql(q{ALTER DATABASE postgres SET etl.fault = 'raw_written:orders:1:wait:2,before_merge:fact:1:wait'});
	my $run = sql(q{SELECT etl.run_pipeline('daily', wait => false)});
	ok($node->poll_query_until('postgres', q{SELECT step = 'read' AND batch = 2 AND rows = 20000 FROM etl.progress WHERE task = 'orders'}),
		'the rows of a batch that is not committed are seen');
	is(sql(q{SELECT rows_read FROM etl.task_run WHERE task = 'orders'}), '10000', 'the row of the attempt has only those that are');
	is(sql(q{SELECT done || '/' || total || ' ' || is_estimate || ' ' || percent || ' ' || (bytes > 0) || ' ' || (rows_per_s > 0)
		FROM etl.progress}), '20000/20000 true 99.9 true true', 'with what is known of the total');
	like(sql(q{SELECT query FROM pg_stat_activity WHERE backend_type = 'etl executor'}), qr/^etl: daily\.orders, reading/,
		'pg_stat_activity says it in words');
	is(sql(q{SELECT labels || ' ' || value FROM etl.metric_sample WHERE family = 'etl_tasks_active' AND labels LIKE '%running%'}),
		'{pipeline="daily",state="running"} 1', 'and the queue counts it');
	sql(q{ALTER DATABASE postgres RESET etl.fault});
	$holder->query_safe('SELECT pg_advisory_unlock(77)');
	is(sql("SELECT etl.wait_for_run($run)"), 'success', 'the run goes on');
	$holder->quit;
}
sql(q{SELECT etl.run_pipeline('daily')});
$node->psql('postgres', q{SELECT etl.run_pipeline('odd "name"\ ' || chr(10) || '{x}')});
is(sql('SELECT count(*) FROM etl.progress'), '0', 'nothing runs any more');
ok($node->poll_query_until('postgres', 'SELECT NOT EXISTS (SELECT FROM etl.run WHERE NOT counted)'), 'all runs are in the sums');

# etl.metrics() by two readers.
my $file = "$node->{_basedir}/metrics.txt";
my $text = sql('SELECT etl.metrics()');
append_to_file($file, $text);
append_to_file("$file.py", <<'PY');
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
n = 0
values = {}
for family in text_string_to_metric_families(open(sys.argv[1]).read()):
    for s in family.samples:
        n += 1
        values[s.name + str(sorted(s.labels.items()))] = s.value
print(n)
print(values["etl_runs_total" + str([('pipeline', 'odd "name"\\ \n{x}'), ('state', 'failed')])])
print(values["etl_task_rows_read_total" + str([('pipeline', 'daily'), ('task', 'orders')])])
print(values["etl_check_status" + str([('check', 'volume'), ('pipeline', 'daily')])])
PY
my ($out, $err);
ok(IPC::Run::run([ $ENV{ETL_TEST_MONITOR_PYTHON}, "$file.py", $file ], '>', \$out, '2>', \$err), 'the reference parser takes it') or diag($err);
my @line = split(/\n/, $out);
is($line[0], sql('SELECT count(*) FROM etl.metric_sample'), 'with all samples');
is($line[1], '1', 'names with any characters come back as they were');
is($line[2], sql(q{SELECT sum(rows_read) FROM etl.task_run WHERE task = 'orders'}), 'rows');
is($line[3], '0', 'checks');
(my $plain = $text) =~ s/^# (UNIT|EOF).*\n//mg;
$plain =~ s/^(# (?:TYPE|HELP) \w+?)(_info)? info$/$1 gauge/mg;
IPC::Run::run([ $ENV{ETL_TEST_MONITOR_PROMTOOL}, 'check', 'metrics' ], '<', \$plain, '>', \$out, '2>', \$err);
unlike($err, qr/error while linting|expected|unexpected|invalid/i, 'promtool reads it');

# postgres_exporter, as a role that sees one pipeline of two.
sql(q{CREATE ROLE etl_owner LOGIN; CREATE ROLE monitor LOGIN IN ROLE etl_owner; GRANT USAGE ON SCHEMA etl TO monitor;
	GRANT USAGE, CREATE ON SCHEMA dw, raw TO etl_owner; GRANT SELECT ON ALL TABLES IN SCHEMA dw TO etl_owner;});
sql(q{GRANT USAGE ON SCHEMA etl TO etl_owner; SET ROLE etl_owner;
	SELECT etl.create_pipeline('seen'); SELECT etl.add_sql('seen', 's', 'SELECT 1'); SELECT etl.run_pipeline('seen', mode => 'inline')});
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $exporter = IPC::Run::start(
	[ 'env', "DATA_SOURCE_NAME=host=" . $node->host . " port=" . $node->port . " user=monitor dbname=postgres sslmode=disable",
		$ENV{ETL_TEST_MONITOR_EXPORTER}, "--web.listen-address=127.0.0.1:$port", '--disable-default-metrics', '--disable-settings-metrics',
		"--extend.query-path=$root/docs/monitoring/postgres_exporter_queries.yaml" ],
	'>', "$file.out", '2>', "$file.err");
my $scrape = '';
for (1 .. 200)
{
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);
	if ($socket)
	{
		print $socket "GET /metrics HTTP/1.0\r\n\r\n";
		local $/;
		$scrape = <$socket> // '';
		last if $scrape =~ /^etl_/m;
	}
	select(undef, undef, undef, 0.05);
}
$exporter->kill_kill;
like($scrape, qr/^pg_exporter_user_queries_load_error\{[^}]*\} 0$/m, 'postgres_exporter reads the file of queries');
like($scrape, qr/^pg_exporter_last_scrape_error 0$/m, 'all of them could be executed');
like($scrape, qr/^etl_run_runs\{[^}]*pipeline="seen"[^}]*state="success"[^}]*\} 1$/m, 'runs are counted');
like($scrape, qr/^etl_task_attempts\{[^}]*task="s"[^}]*\} 1$/m, 'attempts are counted');
like($scrape, qr/^etl_worker_workers\{[^}]*type="etl executor"[^}]*\} 0$/m, 'workers are counted');
unlike($scrape, qr/pipeline="daily"/, 'what the role may not see is not there');

# The dashboard: its shape, and every statement as Grafana would send it.
my $dashboard = decode_json(slurp_file("$root/docs/monitoring/grafana-dashboard.json"));
ok($dashboard->{schemaVersion} >= 30 && $dashboard->{title} && ref $dashboard->{templating}{list} eq 'ARRAY', 'the dashboard is one');
my %id;
my @statement = map { $_->{query} } grep { $_->{type} eq 'query' } @{ $dashboard->{templating}{list} };
for my $panel (@{ $dashboard->{panels} })
{
	my $where = $panel->{gridPos};
	ok(!$id{ $panel->{id} }++ && $panel->{type} =~ /^(stat|table|timeseries)$/ && $where->{x} + $where->{w} <= 24 && @{ $panel->{targets} } == 1,
		"panel $panel->{title}");
	push(@statement, map { $_->{rawSql} } @{ $panel->{targets} });
}
for my $statement (@statement)
{
	$statement =~ s/\$\{pipeline:sqlstring\}/'daily','seen'/g;
	$statement =~ s/\$__timeFilter\(([^()]*(?:\([^()]*\))*)\)/$1 BETWEEN '2020-01-01' AND '2100-01-01'/g;
	my ($code, $rows, $stderr) = $node->psql('postgres', $statement);
	is($code, 0, 'statement: ' . substr($statement, 0, 60)) or diag($stderr);
}
done_testing();
