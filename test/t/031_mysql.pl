# Extracts of tables of mysql_fdw from a live MariaDB: what is sent to it, and connections that break in the middle of a
# scan; with the mysql reader and, as reader => 'query' and in a build without libmariadb, through mysql_fdw itself.
# The server's coordinates come from test/run.sh: ETL_TEST_MARIADB_HOST, _PORT, _USER and _PASSWORD.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($sharedir) = run_command([ 'pg_config', '--sharedir' ]);
plan skip_all => 'mysql_fdw is not installed' unless -e "$sharedir/extension/mysql_fdw.control";
plan skip_all => 'no MariaDB: ETL_TEST_MARIADB_PORT is not set' unless $ENV{ETL_TEST_MARIADB_PORT};
my %mariadb = map { lc($_) => $ENV{"ETL_TEST_MARIADB_$_"} } qw(HOST PORT USER PASSWORD);
my $database = "etl_ext_031_$$";
my @client = ('mariadb', '--no-defaults', '-N', '-B', '-h', $mariadb{host}, '-P', $mariadb{port}, '-u', $mariadb{user});
$ENV{MYSQL_PWD} = $mariadb{password};

# mysql runs statements on the MariaDB server and returns what they printed.
sub mysql
{
	my ($statement) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run([ @client, '-e', $statement ], '<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(120)) or die "MariaDB: $err";
	chomp $out;
	return $out;
}

# mysql_until waits until a query of the MariaDB server returns a row.
sub mysql_until
{
	my ($query) = @_;
	for (1 .. 1200)
	{
		my $found = mysql($query);
		return $found if $found ne '';
		select undef, undef, undef, 0.05;
	}
	die "this never came true: $query";
}

# A time zone that is not UTC; sequences and a view that stands still at one row while somebody holds the lock "gate".
my $rows = 60000;
mysql(qq{
CREATE DATABASE $database;
CREATE TABLE $database.payments (payment_id bigint PRIMARY KEY, amount decimal(12,2) NOT NULL, note varchar(200) NOT NULL,
  updated_at datetime(6) NOT NULL, KEY (updated_at, payment_id));
INSERT INTO $database.payments SELECT seq, seq, 'n', '2024-01-01' + INTERVAL seq SECOND FROM $database.seq_1_to_1000});
mysql(qq{
CREATE TABLE $database.big (id bigint PRIMARY KEY, note varchar(200) NOT NULL);
INSERT INTO $database.big SELECT seq, REPEAT('x', 200) FROM $database.seq_1_to_$rows;
CREATE VIEW $database.gated AS SELECT id, IF(id = 50000, CONCAT(note, IF(GET_LOCK('gate_$$', 600) = 1, '', '!')), note) AS note FROM $database.big});

my $node = PostgreSQL::Test::Cluster->new('warehouse');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 16\n");
$node->start;
$node->safe_psql('postgres', qq{
CREATE EXTENSION etl_ext;
CREATE EXTENSION mysql_fdw;
CREATE ROLE loader LOGIN;
GRANT USAGE ON SCHEMA etl TO loader;
GRANT CREATE ON DATABASE postgres TO loader;
CREATE SERVER pay FOREIGN DATA WRAPPER mysql_fdw OPTIONS (host '$mariadb{host}', port '$mariadb{port}', fetch_size '1000', init_command 'SET time_zone="+00:00"');
GRANT USAGE ON FOREIGN SERVER pay TO loader;
CREATE USER MAPPING FOR loader SERVER pay OPTIONS (username '$mariadb{user}', password '$mariadb{password}');
SET ROLE loader;
CREATE SCHEMA pay;
CREATE FOREIGN TABLE pay.payments (payment_id bigint NOT NULL, amount numeric(12,2) NOT NULL, note varchar(200) NOT NULL, updated_at timestamp NOT NULL)
  SERVER pay OPTIONS (dbname '$database', table_name 'payments');
CREATE FOREIGN TABLE pay.big (id bigint NOT NULL, note varchar(200) NOT NULL) SERVER pay OPTIONS (dbname '$database', table_name 'big');
CREATE FOREIGN TABLE pay.gated (id bigint NOT NULL, note varchar(300) NOT NULL) SERVER pay OPTIONS (dbname '$database', table_name 'gated');
});

# as_loader runs statements as the owner of the pipeline, who is no superuser.
sub as_loader
{
	my ($statement) = @_;
	return $node->safe_psql('postgres', "SET ROLE loader; SET client_min_messages = warning; $statement");
}

as_loader(q{
SELECT etl.create_pipeline('daily');
SELECT etl.add_extract('daily', 'payments', 'pay.payments', 'raw.payments', cursor_column => 'updated_at', primary_key => '{payment_id}',
         lag => '0', chunk_rows => 400, retry_delays => '{}');
SELECT etl.add_load('daily', 'fact', 'SELECT payment_id, amount, updated_at FROM raw.payments', 'dw.payments', '{payment_id}', order_by => 'updated_at');
});
is(as_loader("SELECT string_agg(problem, '; ') FROM etl.validate('daily')"), '', 'validate finds nothing');

# What MariaDB is asked.
my $log_output = mysql('SELECT @@global.log_output, @@global.general_log');
mysql(q{SET GLOBAL log_output = 'TABLE'; TRUNCATE mysql.general_log; SET GLOBAL general_log = 1});
sub asked
{
	return mysql(qq{SELECT argument FROM mysql.general_log WHERE command_type IN ('Execute', 'Query') AND argument LIKE '%`$_[0]`%' AND argument LIKE 'SELECT%'
		AND argument NOT LIKE '%LIMIT 0 %' AND argument NOT LIKE '%general_log%' ORDER BY event_time; TRUNCATE mysql.general_log});
}
as_loader("SELECT etl.run_pipeline('daily')");
is(as_loader('SELECT count(*), sum(amount), min(updated_at) FROM dw.payments'), '1000|500500.00|2024-01-01 00:00:01', 'first run: all rows, times unshifted');
my $sent = asked('payments');
# A build without libmariadb (WITH_MYSQL=0) has the scans of mysql_fdw only.
my $native = as_loader("SELECT reader FROM etl.task_status WHERE task = 'payments' ORDER BY run_id DESC LIMIT 1") eq 'mysql';
note($native ? 'with' : 'without', ' the mysql reader');
like($sent, $native ? qr/ORDER BY s\.`payment_id` LIMIT 401/ : qr/ORDER BY [^\n]*`payment_id`[^\n]* LIMIT 401/, 'the order and the limit are the work of MariaDB') or diag($sent);
unlike(mysql("EXPLAIN $1"), qr/filesort|DERIVED/, 'which needs no sort and no copy') if $sent =~ /^(SELECT s\..* LIMIT 401) /m;
mysql(qq{UPDATE $database.payments SET amount = 0, updated_at = '2024-01-02' WHERE payment_id = 7});
like(as_loader("SELECT string_agg(line, E'\\n') FROM etl.explain_task('daily', 'payments') AS line"), qr/`updated_at` >= /,
	'explain_task shows the remote query with its bound');
as_loader("SELECT etl.run_pipeline('daily')");
$sent = asked('payments');
my @scans = grep { /`payment_id`.* FROM/ } split /\n/, $sent;
cmp_ok(scalar(@scans), '>', 0, 'second run: it asked');
is(scalar(grep { !/`updated_at` >/ } @scans), 0, 'second run: every statement that fetches rows has a lower bound') or diag($sent);
is(as_loader("SELECT rows_read <= 2 AND rows_inserted = 1 FROM etl.task_status WHERE task = 'payments' ORDER BY run_id DESC LIMIT 1"), 't',
	'second run: one row is new, no more than the last one was read again');

# A backfill asks for both ends of its interval and counts within them.
as_loader("SELECT etl.backfill('daily', '2024-01-01 00:05+00', '2024-01-01 00:15+00', step => '10 min')");
ok($node->poll_query_until('postgres', "SELECT state = 'success' FROM etl.backfill"), 'backfill: it succeeds');
is(as_loader("SELECT rows_read || ' ' || rows_inserted FROM etl.task_status WHERE task = 'payments' ORDER BY run_id DESC LIMIT 1"), '600 600',
	'backfill: the rows of the interval');
$sent = asked('payments');
@scans = grep { /FROM `\Q$database\E`/ } split /\n/, $sent;
is(scalar(@scans), $native ? 2 : 4, 'backfill: two pages; mysql_fdw also counts what is left, and has a highest value');
is(scalar(grep { !/`updated_at` >= '2024-01-01 00:(?:05|1)/ || !/`updated_at` < '2024-01-01 00:15:00'/ } @scans), 0,
	'backfill: every statement has both ends') or diag($sent);
is(as_loader('SELECT count(*), sum(amount) FROM dw.payments'), '1000|500493.00', 'second run: the fact is as the source');

# The same through mysql_fdw: pages in the order of cursor and key, and a count behind the last one.
as_loader(q{
SELECT etl.add_extract('daily', 'scanned', 'pay.payments', 'raw.scanned', cursor_column => 'updated_at', primary_key => '{payment_id}',
         chunk_rows => 400, reader => 'query', retry_delays => '{}')});
as_loader("SELECT etl.run_pipeline('daily', tasks => '{scanned}')");
$sent = asked('payments');
like($sent, qr/ORDER BY [^\n]*`payment_id`[^\n]*LIMIT 401/, 'mysql_fdw: the order and the limit are the work of MariaDB') or diag($sent);
like($sent, qr/count\(\*\)/, 'mysql_fdw: what is behind a short page is counted') or diag($sent);
is(as_loader('SELECT count(*), count(DISTINCT payment_id), sum(amount) FROM raw.scanned'), '1000|1000|500493.00', 'mysql_fdw: all rows, once');
is(as_loader("SELECT reader FROM etl.task_status WHERE task = 'scanned' ORDER BY run_id DESC LIMIT 1"), 'query', 'mysql_fdw: it was the reader');

# A connection that is killed while the scan stands still in its middle: mysql_fdw would end the scan without an error.
for my $reader ($native ? 'mysql' : (), 'query')
{
	my ($task, $what) = ("gated_$reader", "killed connection, reader $reader");
	as_loader("SELECT etl.add_extract('daily', '$task', 'pay.gated', 'raw.$task', primary_key => '{id}', reader => '$reader', retry_delays => '{}')");
	my $holder = IPC::Run::start([ @client, '-e', "SELECT GET_LOCK('gate_$$', 60); SELECT SLEEP(600)" ], '<', \undef, '>', \my $held, '2>', \my $ignored);
	mysql_until("SELECT IS_USED_LOCK('gate_$$') FROM dual WHERE IS_USED_LOCK('gate_$$') IS NOT NULL");
	my $run = as_loader("SELECT etl.run_pipeline('daily', tasks => '{$task}', wait => false)");
	my $connection = mysql_until("SELECT id FROM information_schema.processlist WHERE state = 'User lock' LIMIT 1");
	mysql("KILL CONNECTION $connection");
	is(as_loader("SELECT etl.wait_for_run($run)"), 'failed', "$what: the run fails");
	like(as_loader("SELECT error_sqlstate || ' ' || error_message FROM etl.task_status WHERE run_id = $run"),
		$reader eq 'mysql' ? qr/^08/ : qr/^(ZE007|08|HV00|57)/, "$what: with an error that may pass");
	is(as_loader("SELECT count(*) FROM raw.$task"), 0, "$what: no part of the scan was kept");
	mysql("KILL CONNECTION " . mysql("SELECT IS_USED_LOCK('gate_$$')"));
	eval { IPC::Run::finish($holder) };
	as_loader("SELECT etl.run_pipeline('daily', tasks => '{$task}')");
	is(as_loader("SELECT count(*), count(DISTINCT id) FROM raw.$task"), "$rows|$rows", "$what: the next run has every row once");
}

# Killed while rows are on their way: mysql_fdw ends such a scan as if there were no more. A local view lets the reader
# stand still after some rows.
$node->safe_psql('postgres', q{
CREATE FUNCTION hold(id bigint, note text) RETURNS text LANGUAGE plpgsql STABLE COST 100000 AS
  $$ BEGIN IF id = 100 THEN PERFORM pg_advisory_lock_shared(1); END IF; RETURN note; END $$;
SET ROLE loader;
CREATE VIEW pay.slow AS SELECT id, public.hold(id, note) AS note FROM pay.big});
as_loader(q{SELECT etl.add_extract('daily', 'slow', 'pay.slow', 'raw.slow', primary_key => '{id}', retry_delays => '{}')});
my $gate = $node->background_psql('postgres');
$gate->query_safe('SELECT pg_advisory_lock(1)');
my $run = as_loader("SELECT etl.run_pipeline('daily', tasks => '{slow}', wait => false)");
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND NOT granted"),
	'killed on the way: the scan is in its middle');
my $connected = "FROM information_schema.processlist WHERE user = '$mariadb{user}' AND db = '$database' AND id <> CONNECTION_ID()";
my $connection = mysql("SELECT id $connected");
like($connection, qr/^\d+$/, 'killed on the way: its connection is the only one');
mysql("KILL CONNECTION $connection");
mysql_until("SELECT 1 FROM dual WHERE NOT EXISTS (SELECT 1 $connected)");
$gate->query_safe('SELECT pg_advisory_unlock_all()');
$gate->quit;
is(as_loader("SELECT etl.wait_for_run($run)"), 'failed', 'killed on the way: the run fails');
like(as_loader("SELECT error_sqlstate FROM etl.task_status WHERE run_id = $run"), qr/^(ZE007|HV00L|08)/,
	'killed on the way: found by counting, or because the counting failed');
is(as_loader('SELECT count(*) FROM raw.slow'), 0, 'killed on the way: no part of the scan was kept');

# Killed at any moment, again and again: the run fails or is complete, and in the end it is complete.
as_loader(q{SELECT etl.add_extract('daily', 'big', 'pay.big', 'raw.big', cursor_column => 'id', primary_key => '{id}', chunk_rows => 5000,
	retry_delays => '{0 s,0 s,0 s,0 s,0 s,0 s,0 s,0 s,0 s,0 s}')});
$run = as_loader("SELECT etl.run_pipeline('daily', tasks => '{big}', wait => false)");
for my $kill (1 .. 4)
{
	$connection = mysql(qq{SELECT id FROM information_schema.processlist WHERE info LIKE '%`big`%' AND info NOT LIKE '%processlist%' LIMIT 1});
	eval { mysql("KILL CONNECTION $connection") } if $connection ne '';
}
is(as_loader("SELECT etl.wait_for_run($run)"), 'success', 'killed at any moment: a later attempt succeeds');
note('attempts: ', as_loader("SELECT string_agg(concat_ws(' ', attempt, state, error_sqlstate, rows_read), ', ' ORDER BY attempt) FROM etl.task_run WHERE run_id = $run"));
is(as_loader('SELECT count(*), count(DISTINCT id), sum(id) FROM raw.big'), "$rows|$rows|" . $rows * ($rows + 1) / 2,
	'killed at any moment: no row lost, no row twice');

my ($output, $general) = split /\t/, $log_output;
mysql("SET GLOBAL general_log = $general; SET GLOBAL log_output = '$output'; DROP DATABASE $database");
$node->stop;
done_testing();
