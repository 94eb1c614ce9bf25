# The engine from outside: parallel tasks, priorities, cancelling, sessions that leave, snapshots, too few workers.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('engine');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 32\netl.max_workers = 8\n");
$node->start;

# sql runs statements and returns what they printed.
sub sql
{
	my ($statement) = @_;
	return $node->safe_psql('postgres', $statement);
}

# comes_true waits until a query returns true.
sub comes_true
{
	my ($query, $name) = @_;
	return ok($node->poll_query_until('postgres', $query), $name);
}

# start_psql starts a session that goes on in the background while the test looks at it from another one.
sub start_psql
{
	my ($statement) = @_;
	my %session = (out => '', err => '');
	$session{handle} = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-c', $statement ],
		'<', \undef, '>', \$session{out}, '2>', \$session{err}, IPC::Run::timeout(120));
	return \%session;
}

# finish waits for such a session and returns its exit status.
sub finish
{
	my ($session) = @_;
	IPC::Run::finish($session->{handle});
	return $session->{handle}->result(0);
}

# state_of tells the state of the last run of a pipeline.
sub state_of
{
	my ($pipeline) = @_;
	return sql("SELECT state FROM etl.run_status WHERE pipeline = '$pipeline' ORDER BY run_id DESC LIMIT 1");
}

sub end_of_run
{
	my ($pipeline) = @_;
	return sql("SELECT etl.wait_for_run(max(run_id)) FROM etl.run_status WHERE pipeline = '$pipeline'");
}

# A session that holds advisory locks for as long as the test wants. Tasks that ask for one of them wait.
my $gate = $node->background_psql('postgres');
sub close_gate { $gate->query_safe('SELECT pg_advisory_lock(1)'); return; }
sub open_gate { $gate->query_safe('SELECT pg_advisory_unlock_all()'); return; }
my $waiting = q{(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND NOT granted)};
my $behind_gate = 'SELECT pg_advisory_xact_lock_shared(1)';

sql('CREATE EXTENSION etl_ext; CREATE TABLE done (task text, at timestamptz DEFAULT clock_timestamp())');

# Parallel up to max_parallel, and not one more.
sql("SELECT etl.create_pipeline('wide', max_parallel => 3)");
sql("SELECT etl.add_sql('wide', 'task' || n, '$behind_gate') FROM generate_series(1, 7) AS n");
close_gate();
my $caller = start_psql("SELECT etl.run_pipeline('wide')");
comes_true("SELECT $waiting = 3", 'three tasks work at the same time');
is(sql(q{SELECT string_agg(state || ' ' || n, ', ' ORDER BY state) FROM (SELECT state, count(*) AS n FROM etl.task_run GROUP BY 1) AS s}),
	'ready 4, running 3', 'the others are ready');
is(sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'etl executor'"), 3, 'each in a process of its own');
open_gate();
is(finish($caller), 0, 'the run succeeds');
like($caller->{out}, qr/^\d+$/m, 'and returns its number');
my @notices = $caller->{err} =~ /NOTICE:  (task\d): success/g;
is(scalar(@notices), 7, 'every task was reported');
is(sql("SELECT count(*) FROM etl.task_run WHERE state = 'success' AND attempt = 1"), 7, 'every task ran once');

# etl.max_workers is the limit over all runs of a database.
sql("SELECT etl.alter_pipeline('wide', max_parallel => 16)");
$node->append_conf('postgresql.conf', "etl.max_workers = 2\n");
$node->reload;
close_gate();
$caller = start_psql("SELECT etl.run_pipeline('wide')");
comes_true("SELECT $waiting = 2", 'etl.max_workers = 2: two tasks work');
is(sql("SELECT count(*) FROM etl.task_run WHERE state = 'running'"), 2, 'and no more are said to');
$node->append_conf('postgresql.conf', "etl.max_workers = 5\n");
$node->reload;
comes_true("SELECT $waiting = 5", 'a higher limit counts at once');
open_gate();
is(finish($caller), 0, 'the run succeeds');
$node->append_conf('postgresql.conf', "etl.max_workers = 8\n");
$node->reload;

# Higher priority first; the order of definition decides between equals.
sql(q{SELECT etl.create_pipeline('prio', max_parallel => 1)});
sql(qq{SELECT etl.add_sql('prio', 't' || p, format('INSERT INTO done VALUES (%L)', 't' || p), priority => p)
	FROM unnest('{2,1,3,-1}'::int[]) AS p});
sql("SELECT etl.run_pipeline('prio')");
is(sql("SELECT string_agg(task, ' ' ORDER BY at) FROM done"), 't3 t2 t1 t-1', 'tasks start by priority');

# Ctrl-C, pg_cancel_backend and pg_terminate_backend of the caller cancel the run and its tasks.
sql("SELECT etl.create_pipeline('block')");
sql("SELECT etl.add_sql('block', 'first', '$behind_gate; INSERT INTO done VALUES (''never'')', retry_delays => '{0 s}')");
sql("SELECT etl.add_sql('block', 'second', 'INSERT INTO done VALUES (''never'')', depends_on => '{first}')");
my $call_pid = q{(SELECT pid FROM pg_stat_activity WHERE query ~ '^(SELECT|CALL) etl.(run|execute)_pipeline' AND backend_type = 'client backend')};
for my $case (
	[ 'Ctrl-C', sub { $_[0]->{handle}->signal('INT') }, qr/canceling statement due to user request/, 'SELECT etl.run_pipeline' ],
	[ 'Ctrl-C on a CALL', sub { $_[0]->{handle}->signal('INT') }, qr/canceling statement due to user request/, 'CALL etl.execute_pipeline' ],
	[ 'pg_cancel_backend', sub { sql("SELECT pg_cancel_backend($call_pid)") }, qr/canceling statement due to user request/, 'SELECT etl.run_pipeline' ],
	[ 'pg_terminate_backend', sub { sql("SELECT pg_terminate_backend($call_pid)") }, qr/terminating connection/, 'SELECT etl.run_pipeline' ],
	[ 'a vanished client', sub { $_[0]->{handle}->signal('KILL') }, qr//, "SET client_connection_check_interval = '50ms'; SELECT etl.run_pipeline" ])
{
	my ($name, $act, $says, $call) = @$case;
	close_gate();
	$caller = start_psql("$call('block')");
	comes_true("SELECT $waiting = 1", "$name: the task works");
	$act->($caller);
	isnt(eval { finish($caller) } // 1, 0, "$name: the caller gets an error") if $name ne 'a vanished client';
	like($caller->{err}, $says, "$name: and which one");
	comes_true("SELECT $waiting = 0", "$name: the task is interrupted");
	is(end_of_run('block'), 'cancelled', "$name: the run is cancelled");
	is( sql(q{SELECT string_agg(task || ' ' || attempt || ' ' || state, ', ' ORDER BY task, attempt) FROM etl.task_run
		WHERE run_id = (SELECT max(run_id) FROM etl.run)}),
		'first 1 cancelled, second 1 cancelled', "$name: its tasks are cancelled, without another attempt");
	is(sql("SELECT message FROM etl.run_status ORDER BY run_id DESC LIMIT 1"),
		'the session that waited for the run has given up', "$name: the run says why");
	open_gate();
}
is(sql("SELECT count(*) FROM done WHERE task = 'never'"), 0, 'nothing of them was committed');

# wait => false: the run does not need the one who started it.
close_gate();
finish(start_psql("SELECT etl.run_pipeline('block', wait => false)"));
comes_true("SELECT $waiting = 1", 'wait => false: the task works after its caller has left');
is(state_of('block'), 'running', 'and the run is running');
open_gate();
is(end_of_run('block'), 'success', 'and succeeds');
is(sql("SELECT count(*) FROM done WHERE task = 'never'"), 2, 'its work is there');

# CALL execute_pipeline holds no snapshot while it waits; SELECT run_pipeline cannot do without.
close_gate();
$caller = start_psql("CALL etl.execute_pipeline('block')");
comes_true("SELECT $waiting = 1", 'execute_pipeline: the task works');
comes_true("SELECT backend_xmin IS NULL AND backend_xid IS NULL FROM pg_stat_activity WHERE pid = $call_pid",
	'execute_pipeline holds no snapshot');
ok($node->poll_query_until('postgres', q{SELECT bool_and(backend_xmin IS NULL) FROM pg_stat_activity WHERE backend_type = 'etl scheduler'}),
	'neither does the scheduler');
open_gate();
is(finish($caller), 0, 'execute_pipeline succeeds');

# Nothing stays behind.
comes_true(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'etl%'}, 'the scheduler leaves when there is nothing to do');
is(sql("SELECT count(*) FROM pg_locks WHERE objsubid > 2"), 0, 'no lock of the engine is left');
$gate->quit;

# Too few worker slots: tasks wait for one, nothing fails, one line in the log.
$node->append_conf('postgresql.conf', "max_worker_processes = 3\n");
$node->restart;
sql("SELECT etl.create_pipeline('narrow', max_parallel => 20)");
sql("SELECT etl.add_sql('narrow', 'task' || n, 'SELECT pg_advisory_xact_lock_shared(1)') FROM generate_series(1, 20) AS n");
$gate = $node->background_psql('postgres');
close_gate();
my $offset = -s $node->logfile;
$caller = start_psql("SELECT etl.run_pipeline('narrow')");
# One slot is the logical replication launcher's, one the scheduler's.
comes_true("SELECT $waiting = 1", 'one task works');
ok($node->wait_for_log(qr/no free background worker/, $offset), 'the shortage is logged');
open_gate();
is(finish($caller), 0, 'the run succeeds all the same');
is(sql("SELECT count(*) FROM etl.task_status WHERE pipeline = 'narrow' AND state = 'success' AND attempt = 1"), 20, 'all tasks ran once');
my $log = slurp_file($node->logfile, $offset);
my $said = () = $log =~ /no free background worker/g;
is($said, 1, 'one line in the log says that workers were missing');
unlike($log, qr/ERROR|FATAL|PANIC/, 'and no errors');
$gate->quit;

$node->stop;
done_testing();
