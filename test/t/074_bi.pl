# BI tools: a role that etl.grant_bi has let in connects through JDBC and ODBC. It finds the targets with their comments, reads them and
# their freshness and nothing else, and while a run publishes it sees the state before or after, never a mixture.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use IPC::Run qw(start pump finish timeout);

my ($jdbc, $odbc, $python) = @ENV{qw(ETL_TEST_DRIVERS_JDBC ETL_TEST_DRIVERS_ODBC ETL_TEST_DRIVERS_PYTHON)};
plan skip_all => 'the drivers are not there: ETL_TEST_DRIVERS_JDBC' unless $jdbc;
my $directory = ($ENV{ETL_TEST_ROOT} // '.') . '/test/bi';

my $node = PostgreSQL::Test::Cluster->new('bi', own_host => 0);
$node->init;
# Drivers connect over TCP.
$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'\nmax_worker_processes = 16\nfsync = off\n");
$node->append_conf('pg_hba.conf', 'host all bi 127.0.0.1/32 trust');
$node->start;
my $port = $node->port;

sub sql
{
	my ($statement) = @_;
	return $node->safe_psql('postgres', $statement);
}

sql(q{
CREATE EXTENSION etl_ext;
CREATE ROLE maker LOGIN;
CREATE ROLE bi LOGIN;
GRANT USAGE ON SCHEMA etl TO maker;
CREATE SCHEMA shop AUTHORIZATION maker;
CREATE SCHEMA raw AUTHORIZATION maker;
CREATE SCHEMA dw AUTHORIZATION maker;
SET ROLE maker;
CREATE TABLE shop.sales (id bigint PRIMARY KEY, amount numeric, changed_at timestamptz NOT NULL DEFAULT clock_timestamp());
COMMENT ON COLUMN shop.sales.amount IS 'Amount in EUR.';
INSERT INTO shop.sales (id, amount) VALUES (1, 10), (2, 20);
SELECT etl.create_pipeline('shop', atomic_publish => true);
SELECT etl.grant_bi('bi', 'shop');
SELECT etl.add_extract('shop', 'sales', 'shop.sales', 'raw.sales', primary_key => '{id}', cursor_column => 'changed_at');
SELECT etl.add_load('shop', 'fact', 'SELECT id, amount, amount * 2 AS twice FROM raw.sales', 'dw.sales', '{id}', description => 'One row per sale.');
SELECT etl.add_aggregate('shop', 'sum', 'SELECT id % 2 AS parity, sum(amount) AS total FROM dw.sales GROUP BY 1', 'dw.total', '{parity}');
SELECT etl.run_pipeline('shop');
});

my $expected = <<'TEXT';
table sales: One row per sale. Kept by etl_ext task "fact" of pipeline "shop": new and changed rows are merged by the key.
table total: Kept by etl_ext task "sum" of pipeline "shop": groups whose rows have changed are computed anew.
column id: Column id of shop.sales. Part of the key by which etl_ext matches rows.
column amount: Amount in EUR.
column twice: Computed from raw.sales.amount.
row 1 10
row 2 20
fresh dw.sales true false
fresh dw.total true false
raw.sales 42501
etl.task 0
etl.pipeline 0
etl.quarantine 0
etl.run 0
etl.audit_log 0
DELETE FROM dw.sales 42501
SELECT etl.run_pipeline('shop') 42501
SELECT etl.create_pipeline('x') 42501
TEXT

my @java = ('java', '-XX:TieredStopAtLevel=1', '-cp', $jdbc, "$directory/Bi.java", "jdbc:postgresql://127.0.0.1:$port/postgres", 'bi');
{
	my ($out, $err) = ('', '');
	IPC::Run::run([ @java, 'look' ], '>', \$out, '2>', \$err);
	is($out, $expected, 'JDBC: tables, columns and their remarks, rows, freshness, and what is refused') or diag($err);
}
{
	my ($out, $err) = ('', '');
	IPC::Run::run([ $python, "$directory/bi.py", $odbc, '127.0.0.1', $port, 'postgres', 'bi' ], '>', \$out, '2>', \$err);
	is($out, $expected, 'ODBC: the same') or diag($err);
}

# While runs publish at one commit, the sum of the fact is that of the total, at every moment.
{
	my ($in, $out, $err) = ('', '', '');
	my $reader = start [ @java, 'watch' ], '<', \$in, '>', \$out, '2>', \$err, timeout($PostgreSQL::Test::Utils::timeout_default);
	pump $reader until $out =~ /ready/;
	for my $round (1 .. 5)
	{
		sql(qq{SET ROLE maker; INSERT INTO shop.sales (id, amount) SELECT n, 1 FROM generate_series($round * 1000, $round * 1000 + 99) AS n});
		sql(q{SET ROLE maker; SELECT etl.run_pipeline('shop')});
	}
	$in = "stop\n";
	finish $reader;
	my ($seen) = $out =~ /^seen (.*)$/m;
	my @states = split ' ', $seen // '';
	cmp_ok(scalar @states, '>=', 2, 'JDBC: the reader has seen a state from before and one from after') or diag($out . $err);
	is_deeply([ grep { my ($a, $b) = split /=/; $a ne $b } @states ], [], 'JDBC: in every state fact and total belong together');
	is($states[0], '30=30', 'JDBC: the first is that of before');
}
$node->stop;
done_testing();
