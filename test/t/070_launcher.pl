# With the library preloaded an interrupted run goes on by itself, whatever died; no row is lost, none is there twice.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use EtlPoll;

my $node = PostgreSQL::Test::Cluster->new('launcher');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf',
	"shared_preload_libraries = 'etl_ext'\nmax_worker_processes = 16\nrestart_after_crash = on\nfsync = off\n");
$node->start;

# The server and the database that the functions below look at.
my $server = $node;
my $database = 'postgres';

sub sql
{
	my ($statement) = @_;
	return $server->safe_psql($database, $statement);
}

sub comes_true
{
	my ($query, $name) = @_;
	return ok($server->poll_query_until($database, $query), $name);
}

my $gate;
my $waiting = q{(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND NOT granted
	AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))};
sub close_gate
{
	$gate = $server->background_psql($database);
	$gate->query_safe('SELECT pg_advisory_lock(1)');
	return;
}

# open_gate lets the extract go on; the session of the gate may have died with its server.
sub open_gate
{
	eval { $gate->query('SELECT pg_advisory_unlock_all()') };
	eval { $gate->quit };
	return;
}

# The extract reads a view that waits behind the gate at one row, after some chunks of 10 rows were committed.
my $definition = q{
CREATE EXTENSION etl_ext;
CREATE TABLE source (id int PRIMARY KEY, v text);
INSERT INTO source SELECT n, 'v' || n FROM generate_series(1, 100) AS n;
CREATE TABLE held (n int);
INSERT INTO held VALUES (55);
CREATE FUNCTION hold(n int, v text) RETURNS text LANGUAGE plpgsql STABLE COST 100000 AS $$
BEGIN
  IF EXISTS (SELECT FROM held AS h WHERE h.n = hold.n) THEN PERFORM pg_advisory_xact_lock_shared(1); END IF;
  RETURN v;
END $$;
CREATE VIEW slow AS SELECT id, hold(id, v) AS v FROM source;
CREATE TABLE once (n int);
SELECT etl.create_pipeline('crash');
SELECT etl.add_extract('crash', 'extract', 'slow', 'public.raw', cursor_column => 'id', primary_key => '{id}', chunk_rows => 10,
         retry_delays => '{0 s,0 s}');
SELECT etl.add_load('crash', 'load', 'SELECT id, v FROM raw', 'public.fact', '{id}');
SELECT etl.add_sql('crash', 'once', 'INSERT INTO once VALUES (1)', retry_delays => '{0 s}');
};

# begin_run starts a run and waits until its extract is in the middle and the other task has ended.
sub begin_run
{
	my ($name) = @_;
	sql(q{INSERT INTO source SELECT max + n, 'y' || n FROM generate_series(1, 50) AS n, (SELECT max(id) FROM source) AS m;
		TRUNCATE once; UPDATE held SET n = (SELECT max(id) - 15 FROM source)});
	close_gate();
	my $run = sql("SELECT etl.run_pipeline('crash', wait => false)");
	comes_true("SELECT $waiting = 1", "$name: the extract is in the middle");
	comes_true("SELECT state = 'success' FROM etl.task_run WHERE run_id = $run AND task = 'once'", "$name: another task has ended");
	cmp_ok(sql("SELECT count(*) FROM etl.batch WHERE run_id = $run"), '>', 0, "$name: some chunks are committed");
	return $run;
}

# ends_well checks that a run ends by itself, that nothing is lost or there twice, and that nothing is left behind.
sub ends_well
{
	my ($name, $run) = @_;
	comes_true("SELECT state IN ('success', 'warning', 'failed', 'cancelled') FROM etl.run WHERE run_id = $run", "$name: the run ends by itself");
	is(sql("SELECT state FROM etl.run WHERE run_id = $run"), 'success', "$name: it succeeds");
	is( sql(q{SELECT count(*), count(DISTINCT id), (SELECT count(*) FROM source) FROM fact}),
		sql(q{SELECT count(*), count(*), count(*) FROM source}), "$name: no row lost, no row twice in the target");
	is( sql(q{SELECT count(*) FROM (SELECT id, v FROM raw GROUP BY 1, 2 HAVING count(*) > 1) AS x}),
		0, "$name: no row twice in raw");
	is( sql(q{SELECT coalesce(sum(row_count), 0) FROM etl.batch}), sql('SELECT count(*) FROM raw'), "$name: batches count their rows");
	is(sql('SELECT count(*) FROM once'), 1, "$name: what had committed is there once");
	nothing_left($name);
	return;
}

# nothing_left checks that no run, task, worker or lock is left in the database.
sub nothing_left
{
	my ($name) = @_;
	comes_true(q{SELECT count(*) = 0 FROM etl.run WHERE state IN ('queued', 'running')}, "$name: no run is left active");
	is( sql(q{SELECT count(*) FROM etl.task_run WHERE state NOT IN ('success', 'warning', 'failed', 'upstream_failed', 'skipped', 'cancelled')}),
		0, "$name: no task is left active");
	comes_true(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'etl%' AND backend_type <> 'etl launcher'
		AND datname = current_database()}, "$name: no worker is left");
	comes_true(q{SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'advisory' AND objsubid BETWEEN x'E71'::int AND x'E7F'::int
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())}, "$name: no lock is left");
	return;
}

# attempts shows the attempts of a run.
sub attempts
{
	my ($run) = @_;
	return sql(qq{SELECT string_agg(concat_ws(' ', task, attempt, state, error_sqlstate), ', ' ORDER BY task, attempt)
		FROM etl.task_run WHERE run_id = $run});
}

sub pid_of
{
	my ($type) = @_;
	return sql(qq{SELECT pid FROM pg_stat_activity WHERE backend_type = '$type'
		AND (datname = current_database() OR '$type' = 'etl launcher') LIMIT 1});
}

# is_gone waits until a process has ended and the server answers again.
sub is_gone
{
	my ($pid, $name) = @_;
	return comes_true("SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid", $name);
}

comes_true(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'etl launcher'}, 'the launcher is there');
sql($definition);

# kill -9 of any process takes the whole server down and up again.
for my $type ('etl executor', 'etl scheduler', 'etl launcher')
{
	my $name = "kill -9 of $type";
	my $run = begin_run($name);
	my $pid = pid_of($type);
	kill 'KILL', $pid;
	is_gone($pid, "$name: it is dead");
	open_gate();
	ends_well($name, $run);
	is(attempts($run), 'extract 1 failed ZE010, extract 2 success, load 1 success, once 1 success',
		"$name: the lost attempt failed as such and was repeated, what had committed was not");
}

for my $how ('immediate', 'fast')
{
	my $name = "stop -m $how";
	my $run = begin_run($name);
	$node->stop($how);
	open_gate();
	$node->start;
	ends_well($name, $run);
	like(attempts($run), qr/^extract 1 failed \w+, extract 2 success, load 1 success, once 1 success$/,
		"$name: the interrupted attempt was repeated, what had committed was not");
}

# The launcher is cancelled, which does nothing, and terminated, which a run does not notice; it comes back.
{
	my $name = 'launcher terminated';
	my $run = begin_run($name);
	my $pid = pid_of('etl launcher');
	sql("SELECT pg_cancel_backend($pid)");
	sql("SELECT pg_terminate_backend($pid)");
	is_gone($pid, "$name: it is gone");
	open_gate();
	ends_well($name, $run);
	is(attempts($run), 'extract 1 success, load 1 success, once 1 success', "$name: the run has not noticed");
	comes_true(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'etl launcher'}, "$name: it comes back");
	isnt(pid_of('etl launcher'), $pid, "$name: it is another process");
	$pid = pid_of('etl launcher');
	my $log = -s $node->logfile;
	sql("SELECT pg_cancel_backend($pid)");
	$run = begin_run('launcher cancelled');
	is(pid_of('etl launcher'), $pid, 'launcher cancelled: it is still the same process');
	open_gate();
	ends_well('launcher cancelled', $run);
	unlike(slurp_file($node->logfile, $log), qr/canceling/, 'launcher cancelled: it has not noticed');
}

# A scheduler that is terminated is started again, and takes over the workers that live.
{
	my $name = 'scheduler terminated';
	my $run = begin_run($name);
	my $pid = pid_of('etl scheduler');
	sql("SELECT pg_terminate_backend($pid)");
	is_gone($pid, "$name: it is gone");
	comes_true(qq{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'etl scheduler' AND pid <> $pid}, "$name: there is another one");
	open_gate();
	ends_well($name, $run);
	is(attempts($run), 'extract 1 success, load 1 success, once 1 success', "$name: every task ran once");
}

# Between its looks the launcher is in no transaction.
is( sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'etl launcher' AND xact_start IS NULL AND backend_xmin IS NULL
	AND datname IS NULL}), 1, 'the launcher holds nothing');

# etl.launcher = off: nothing starts by itself.
{
	my $name = 'etl.launcher = off';
	my $run = begin_run($name);
	$node->append_conf('postgresql.conf', "etl.launcher = off\n");
	$node->stop('immediate');
	open_gate();
	$node->start;
	comes_true(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'etl launcher'}, "$name: the launcher is there");
	is(sql("SELECT state FROM etl.run WHERE run_id = $run"), 'running', "$name: the run is not resumed");
	is(sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('etl scheduler', 'etl executor')}), 0, "$name: nothing was started");
	$node->append_conf('postgresql.conf', "etl.launcher = on\n");
	$node->reload;
	ends_well("$name, then on", $run);
}

# Two databases, and one that has pipelines but is closed for a while; the templates are left alone.
{
	my $name = 'two databases';
	my %run;
	$node->safe_psql('postgres', 'CREATE DATABASE other');
	$node->safe_psql('postgres', 'CREATE DATABASE bystander');
	$database = 'other';
	sql($definition);
	$run{other} = begin_run("$name, other");
	my $other_gate = $gate;
	$database = 'postgres';
	$run{postgres} = begin_run("$name, postgres");
	$node->stop('immediate');
	open_gate();
	eval { $other_gate->quit };
	my $log = -s $node->logfile;
	$node->start;
	for my $each (sort keys %run)
	{
		$database = $each;
		ends_well("$name, $each", $run{$each});
	}
	$database = 'postgres';
	unlike(slurp_file($node->logfile, $log), qr/FATAL/, "$name: workers go only where they may");
}

# A copy of the server starts somewhere else while the original goes on: both end the run on their own.
{
	my $name = 'base backup';
	my $run = begin_run($name);
	$node->backup('middle');
	my $copy = PostgreSQL::Test::Cluster->new('copy');
	$copy->init_from_backup($node, 'middle');
	$copy->start;
	$server = $copy;
	ends_well("$name, the copy", $run);
	is(attempts($run), 'extract 1 failed ZE010, extract 2 success, load 1 success, once 1 success',
		"$name, the copy: the attempt of the original is not its own");
	$copy->stop;
	$server = $node;
	is(sql("SELECT $waiting"), 1, "$name: the original is still at it");
	open_gate();
	ends_well("$name, the original", $run);
	is(attempts($run), 'extract 1 success, load 1 success, once 1 success', "$name, the original: it has not noticed");
}

# A standby starts nothing; promoted in the middle of a run it ends the run.
{
	my $name = 'promotion';
	my $standby = PostgreSQL::Test::Cluster->new('standby');
	$node->backup('standby');
	$standby->init_from_backup($node, 'standby', has_streaming => 1);
	$standby->start;
	my $run = begin_run($name);
	$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
	$server = $standby;
	is(sql("SELECT state FROM etl.run WHERE run_id = $run"), 'running', "$name: the standby knows of the run");
	is(sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'etl%'}), 0, "$name: nothing works on a standby");
	$node->stop('immediate');
	eval { $gate->quit };
	$standby->promote;
	ends_well($name, $run);
	is(attempts($run), 'extract 1 failed ZE010, extract 2 success, load 1 success, once 1 success', "$name: the attempt was repeated");
	$standby->stop;
	$server = $node;
}

done_testing();
