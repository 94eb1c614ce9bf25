# What a person or a limit does to a run that is at work: cancel, timeouts, terminate, retry_run; who starts first, and
# what is held back. Sources are this server, by postgres_fdw, and MariaDB where test/run.sh has started one.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('control');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 24\nrestart_after_crash = on\netl.max_workers = 6\n");
$node->start;

sub sql
{
	my ($statement) = @_;
	return $node->safe_psql('postgres', "SET client_min_messages = warning; $statement");
}

sub comes_true
{
	my ($query, $name) = @_;
	return ok($node->poll_query_until('postgres', $query), $name);
}

# start begins a run and returns its number; state waits for its end and returns the state.
sub start { my ($pipeline, $more) = @_; return sql("SELECT etl.run_pipeline('$pipeline', wait => false" . ($more // '') . ')'); }
sub state { my ($run) = @_; return sql("SELECT etl.wait_for_run($run)"); }

# attempts shows the attempts of a run's task.
sub attempts
{
	my ($run, $task) = @_;
	return sql(qq{SELECT string_agg(concat_ws(' ', attempt, state, error_sqlstate), ', ' ORDER BY attempt) FROM etl.task_run
		WHERE task = '$task' AND run_id = $run});
}

# latency tells how long a cancellation took.
sub latency
{
	my ($run, $what) = @_;
	note("$what: cancelled within " . sql("SELECT extract(epoch FROM ended_at - cancel_requested_at) FROM etl.run WHERE run_id = $run") . ' s');
	return;
}

my $port = $node->port;
my $host = $node->host;
sql(qq{
CREATE EXTENSION etl_ext;
CREATE EXTENSION postgres_fdw;
CREATE SERVER self FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'postgres', application_name 'remote');
CREATE USER MAPPING FOR CURRENT_USER SERVER self;
CREATE TABLE source (id int PRIMARY KEY, v text);
INSERT INTO source SELECT n, 'v' FROM generate_series(1, 100) AS n;
CREATE VIEW slow AS SELECT id, v FROM source, pg_sleep(3600);
CREATE FOREIGN TABLE remote_slow (id int, v text) SERVER self OPTIONS (table_name 'slow');
CREATE TABLE done (what text, at timestamptz DEFAULT clock_timestamp());
SELECT etl.create_pipeline('p');
SELECT etl.add_extract('p', 'remote', 'remote_slow', 'public.raw');
SELECT etl.add_sql('p', 'local', 'INSERT INTO done VALUES (''local''); SELECT pg_sleep(3600)');
SELECT etl.add_sql('p', 'after', 'INSERT INTO done VALUES (''after'')', depends_on => '{local}');
});
my $remote = q{(SELECT count(*) FROM pg_stat_activity WHERE application_name = 'remote' AND state = 'active')};

# Who cancels a statement of the scheduler cancels nothing: it goes on with all runs.
sql(q{SELECT etl.create_pipeline('nothing'); SELECT etl.add_sql('nothing', 'nothing', 'SELECT 1')});
my $run = start('p', q{, tasks => '{local}'});
comes_true(q{SELECT count(*) = 1 FROM etl.task_run WHERE state = 'running' AND worker_pid IS NOT NULL}, 'cancelled scheduler: a task is at work');
my $scheduler = q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'etl scheduler'};
my $pid = sql($scheduler);
is(sql("SELECT pg_cancel_backend($pid)"), 't', 'cancelled scheduler: the signal is sent');
is(state(start('nothing')), 'success', 'cancelled scheduler: another run works');
is(sql($scheduler), $pid, 'cancelled scheduler: it is still the same');
sql("SELECT etl.cancel_run($run)");
is(state($run), 'cancelled', 'cancelled scheduler: its run goes on until it is cancelled itself');

# A cancelled run: its statements end here and on the source, nothing of them stays.
$run = start('p');
comes_true("SELECT $remote = 1 AND count(*) = 2 FROM etl.task_run WHERE state = 'running' AND worker_pid IS NOT NULL",
	'cancel: both tasks are at work');
is(sql("SELECT etl.cancel_run($run)"), 't', 'cancel: accepted');
is(state($run), 'cancelled', 'cancel: the run ends');
latency($run, 'local and postgres_fdw');
is(sql("SELECT string_agg(task || ' ' || state, ', ' ORDER BY task) FROM etl.task_run WHERE run_id = $run"),
	'after cancelled, local cancelled, remote cancelled', 'cancel: so do its tasks');
comes_true("SELECT $remote = 0", 'cancel: the source works on it no more');
is(sql('SELECT count(*) FROM done'), 0, 'cancel: nothing is left of what was written');
is(sql("SELECT etl.cancel_run($run)"), 'f', 'cancel: once is enough');

# A timeout: of the attempt, then of the run.
sql(q{SELECT etl.alter_task('p', 'remote', timeout => '300 ms', retry_delays => '{0 s}');
	SELECT etl.alter_task('p', 'local', timeout => '300 ms', retry_delays => '{}')});
$run = start('p');
is(state($run), 'failed', 'timeout: the run fails');
is(attempts($run, 'remote'), '1 failed ZE009, 2 failed ZE009', 'timeout: an attempt that took too long is repeated');
is(attempts($run, 'local'), '1 failed ZE009', 'timeout: one without retries is not');
comes_true("SELECT $remote = 0", 'timeout: the source works on it no more');
sql(q{SELECT etl.alter_task('p', 'remote', reset => '{timeout}'); SELECT etl.alter_task('p', 'local', reset => '{timeout}');
	SELECT etl.alter_pipeline('p', run_timeout => '500 ms')});
$run = start('p');
is(state($run), 'cancelled', 'run_timeout: the run is cancelled');
is(sql("SELECT message FROM etl.run WHERE run_id = $run"), 'the run took longer than run_timeout', 'run_timeout: it says so');

# What was cancelled can be retried, by its own definition or by the latest; what has succeeded is kept.
sql(q{SELECT etl.alter_pipeline('p', reset => '{run_timeout}');
	SELECT etl.alter_task('p', 'local', command => 'INSERT INTO done VALUES (''local'')');
	SELECT etl.alter_task('p', 'remote', source => 'source'); SELECT etl.drop_task('p', 'after');
	SELECT etl.add_sql('p', 'new', 'INSERT INTO done VALUES (''new'')', depends_on => '{local}')});
is(sql("SELECT etl.retry_run($run, version => 'latest')"), $run, 'retry: the same run');
is(sql("SELECT state, retries, deadline_at IS NULL FROM etl.run WHERE run_id = $run"), 'success|1|t', 'retry: it succeeds by the latest definitions');
is(attempts($run, 'local'), '1 cancelled 57014, 2 success', 'retry: a second attempt');
is(attempts($run, 'after'), '1 cancelled', 'retry: a task that was dropped is left as it was');
is(attempts($run, 'new'), '1 success', 'retry: a task that was added is done');
is(sql('SELECT string_agg(what, \' \' ORDER BY at) FROM done'), 'local new', 'retry: each once');

# Terminated: the attempt says so itself and is tried again.
sql(q{SELECT etl.create_pipeline('t');
	SELECT etl.add_sql('t', 'one', 'SELECT pg_advisory_xact_lock_shared(1)', retry_delays => '{0 s}')});
my $gate = $node->background_psql('postgres');
$gate->query_safe('SELECT pg_advisory_lock(1)');
my $waiting = q{(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND NOT granted)};
$run = start('t');
comes_true("SELECT $waiting = 1", 'terminate: at work');
sql(q{SELECT pg_terminate_backend(worker_pid) FROM etl.task_run WHERE state = 'running'});
comes_true("SELECT $waiting = 1 AND count(*) = 2 FROM etl.task_run WHERE run_id = $run", 'terminate: at work again');
$gate->query_safe('SELECT pg_advisory_unlock_all()');
is(state($run), 'success', 'terminate: the run succeeds');
is(attempts($run, 'one'), '1 failed 57P01, 2 success', 'terminate: the first attempt tells why it ended');

# A deadline is told of while the run is still at work, and while it has not even begun; once each, and so is the recovery.
sql(q{SELECT etl.create_pipeline('late', deadline => '100 ms', on_overlap => 'queue');
	SELECT etl.add_sql('late', 'one', 'SELECT pg_advisory_xact_lock_shared(1)')});
$gate->query_safe('SELECT pg_advisory_lock(1)');
$run = start('late');
my $queued = start('late');
comes_true(q{SELECT count(*) = 2 FROM etl.alert WHERE event = 'deadline_missed'}, 'deadline: two alerts');
is(sql("SELECT string_agg(concat_ws(' ', r.state, r.deadline_missed_at > r.deadline_at, a.severity), ', ' ORDER BY r.run_id)
	FROM etl.alert AS a JOIN etl.run AS r USING (run_id) WHERE a.event = 'deadline_missed'"),
	'running t deadline, queued t deadline', 'deadline: one run is at work, the other has not begun');
$gate->query_safe('SELECT pg_advisory_unlock_all()');
is(state($run) . ' ' . state($queued), 'success success', 'deadline: both succeed');
is(sql("SELECT string_agg(event, ' ' ORDER BY alert_id) FROM etl.alert WHERE pipeline = 'late'"),
	'deadline_missed deadline_missed recovered', 'deadline: each told of once, and the recovery once');

# Fast shutdown in the middle: the attempt says that it was terminated; it is no crash. A new scheduler goes on.
sql(q{SELECT etl.alter_task('t', 'one', command => 'SELECT pg_sleep(3600)')});
$run = start('t');
comes_true("SELECT count(*) = 1 FROM etl.task_run WHERE run_id = $run AND state = 'running' AND worker_pid IS NOT NULL", 'shutdown: at work');
$gate->quit;
$node->restart('fast');
is(attempts($run, 'one'), '1 failed 57P01', 'shutdown: the attempt has recorded its end');
is(sql('SELECT etl.recover()'), 1, 'shutdown: recover finds the run');
comes_true("SELECT count(*) = 1 FROM etl.task_run WHERE run_id = $run AND state = 'running' AND worker_pid IS NOT NULL AND attempt = 2",
	'shutdown: and goes on with it');
sql("SELECT etl.cancel_run($run)");
is(state($run), 'cancelled', 'shutdown: until it is cancelled');

# A task that takes the server down is tried three times. An innocent neighbour gets done meanwhile.
sql(q{SELECT etl.create_pipeline('crash');
	SELECT etl.add_sql('crash', 'culprit', 'SELECT pg_sleep(3600)');
	SELECT etl.add_sql('crash', 'neighbour', 'SELECT pg_sleep(0.2)');
	SELECT etl.create_pipeline('kick'); SELECT etl.add_sql('kick', 'nothing', 'SELECT 1')});
$run = start('crash');
for my $n (1 .. 3)
{
	comes_true("SELECT count(*) = 1 FROM etl.task_run WHERE run_id = $run AND task = 'culprit' AND state = 'running' AND worker_pid IS NOT NULL AND attempt = $n",
		"crash: attempt $n is at work");
	my $pid = sql("SELECT worker_pid FROM etl.task_run WHERE run_id = $run AND task = 'culprit' AND state = 'running'");
	kill 'KILL', $pid;
	$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid");
	sql('SELECT etl.recover()');
}
is(state($run), 'failed', 'crash: the run fails after three');
is(attempts($run, 'culprit'), '1 failed ZE010, 2 failed ZE010, 3 failed ZE010', 'crash: the culprit is held back');
like(attempts($run, 'neighbour'), qr/success$/, 'crash: its neighbour is done');
is(sql("SELECT string_agg(event, ' ' ORDER BY alert_id) FROM etl.alert WHERE run_id = $run"), 'task_held run_failed', 'crash: both are told of, once');
$run = start('crash');
is(state($run), 'failed', 'held: a new run does not start it');
is(attempts($run, 'culprit'), '1 failed ZE011', 'held: and says why');
sql("SELECT etl.retry_run($run, wait => false)");
comes_true("SELECT count(*) = 1 FROM etl.task_run WHERE run_id = $run AND task = 'culprit' AND state = 'running'", 'held: a person may let it try');
sql("SELECT etl.cancel_run($run)");
is(state($run), 'cancelled', 'held: cancelled');
sql(q{SELECT etl.alter_task('crash', 'culprit', command => 'SELECT 1')});
is(state(start('crash')), 'success', 'held: a changed task is free');

# Pools: no more slots are taken than there are, over pipelines; nobody overtakes a task that needs many.
sql(q{SELECT etl.create_pool('shop', slots => 2);
	SELECT etl.create_pipeline('a', max_parallel => 8); SELECT etl.create_pipeline('b', max_parallel => 8);
	SELECT etl.add_sql(p, 't' || n, format('SELECT pg_advisory_xact_lock_shared(1); INSERT INTO done VALUES (%L)', p || n), pool => 'shop')
	FROM unnest('{a,b}'::text[]) AS p, generate_series(1, 3) AS n;
	SELECT etl.add_sql('a', 'wide', 'INSERT INTO done VALUES (''wide'')', pool => 'shop', pool_slots => 2, priority => 9);
	TRUNCATE done});
$gate = $node->background_psql('postgres');
$gate->query_safe('SELECT pg_advisory_lock(1)');
my ($one, $two) = (start('a', q{, tasks => '{t1,t2,t3}'}), start('b'));
comes_true("SELECT $waiting = 2", 'pool: two tasks are at work');
comes_true("SELECT count(*) = 4 FROM etl.task_run WHERE run_id IN ($one, $two) AND state = 'ready'", 'pool: four wait for it');
is(sql(q{SELECT used, slots FROM etl.pool_status WHERE pool = 'shop'}), '2|2', 'pool: the view shows it');
sql(q{SELECT etl.alter_pool('shop', slots => 3)});
comes_true("SELECT $waiting = 3", 'pool: a slot more lets one more start');
is(sql("SELECT count(DISTINCT run_id) FROM etl.task_run WHERE state = 'running'"), 2, 'pool: both pipelines have their share');
$gate->query_safe('SELECT pg_advisory_unlock_all()');
is(state($one) . ' ' . state($two), 'success success', 'pool: all are done');
sql(q{SELECT etl.alter_pool('shop', slots => 2)});
$gate->query_safe('SELECT pg_advisory_lock(1)');
$two = start('b');
comes_true("SELECT $waiting = 2", 'wide: the pool is full');
sql('TRUNCATE done');
$one = start('a', q{, tasks => '{wide}'});
comes_true("SELECT count(*) = 1 FROM etl.task_run WHERE run_id = $one AND state = 'ready'", 'wide: it waits');
$gate->query_safe('SELECT pg_advisory_unlock_all()');
is(state($one) . ' ' . state($two), 'success success', 'wide: all are done');
is(sql("SELECT count(*) FROM done WHERE at < (SELECT at FROM done WHERE what = 'wide')"), 2, 'wide: the third task did not overtake it');

# Priorities over pipelines: with one worker, the order is theirs.
$node->append_conf('postgresql.conf', "etl.max_workers = 1\n");
$node->reload;
sql(q{SELECT etl.create_pipeline('first', max_parallel => 8); SELECT etl.create_pipeline('second', max_parallel => 8);
	SELECT etl.add_sql('first', 'low', 'INSERT INTO done VALUES (''low'')');
	SELECT etl.add_sql('first', 'gate', 'SELECT pg_advisory_xact_lock_shared(1)', priority => 100);
	SELECT etl.add_sql('second', 'high', 'INSERT INTO done VALUES (''high'')', priority => 5); TRUNCATE done});
$gate->query_safe('SELECT pg_advisory_lock(1)');
$one = start('first');
comes_true("SELECT $waiting = 1", 'priority: the only worker is busy');
$two = start('second');
comes_true("SELECT count(*) = 2 FROM etl.task_run WHERE run_id IN ($one, $two) AND state = 'ready'", 'priority: two tasks wait for it');
$gate->query_safe('SELECT pg_advisory_unlock_all()');
is(state($one) . ' ' . state($two), 'success success', 'priority: all are done');
is(sql("SELECT string_agg(what, ' ' ORDER BY at) FROM done"), 'high low', 'priority: the higher one went first, although its run is younger');
$gate->quit;

# A task that waits for its retry holds nothing: no worker, no lock, no transaction.
sql(q{SELECT etl.create_pipeline('retry');
	SELECT etl.add_sql('retry', 'one', 'DO $$ BEGIN RAISE EXCEPTION ''x'' USING ERRCODE = ''40001''; END $$', retry_delays => '{1 h}')});
$run = start('retry');
comes_true("SELECT count(*) = 1 FROM etl.task_run WHERE run_id = $run AND state = 'retry'", 'retry: it waits');
comes_true(q{SELECT array_agg(backend_type) = '{etl scheduler}' FROM pg_stat_activity WHERE backend_type LIKE 'etl%'}, 'retry: only the scheduler is there');
is(sql(q{SELECT count(*) FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid) WHERE a.backend_type LIKE 'etl%' AND l.locktype <> 'advisory'}),
	0, 'retry: it holds no lock but its own');
is(sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'etl%' AND (xact_start IS NOT NULL OR backend_xmin IS NOT NULL)}),
	0, 'retry: and no transaction');
my $due = sql("SELECT ready_at FROM etl.task_run WHERE run_id = $run AND state = 'retry'");
$node->restart('immediate');
sql('SELECT etl.recover()');
comes_true(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'etl scheduler'}, 'retry: a scheduler after the crash');
is(sql("SELECT ready_at FROM etl.task_run WHERE run_id = $run AND state = 'retry'"), $due, 'retry: its time has survived');
sql("SELECT etl.cancel_run($run)");
is(state($run), 'cancelled', 'retry: cancelled');

# MariaDB: mysql_fdw does not look for interrupts while it waits for its server.
SKIP:
{
	my ($sharedir) = run_command([ 'pg_config', '--sharedir' ]);
	skip 'no mysql_fdw, or no MariaDB: ETL_TEST_MARIADB_PORT is not set', 3
		unless -e "$sharedir/extension/mysql_fdw.control" && $ENV{ETL_TEST_MARIADB_PORT};
	my %mariadb = map { lc($_) => $ENV{"ETL_TEST_MARIADB_$_"} } qw(HOST PORT USER PASSWORD);
	my $database = "etl_ext_021_$$";
	my @client = ('mariadb', '--no-defaults', '-N', '-B', '-h', $mariadb{host}, '-P', $mariadb{port}, '-u', $mariadb{user});
	local $ENV{MYSQL_PWD} = $mariadb{password};
	IPC::Run::run([ @client, '-e', "CREATE DATABASE $database; CREATE VIEW $database.slow AS SELECT 1 AS id, SLEEP(600) AS v" ],
		'<', \undef) or die 'MariaDB';
	sql(qq{CREATE EXTENSION mysql_fdw;
		CREATE SERVER pay FOREIGN DATA WRAPPER mysql_fdw OPTIONS (host '$mariadb{host}', port '$mariadb{port}');
		CREATE USER MAPPING FOR CURRENT_USER SERVER pay OPTIONS (username '$mariadb{user}', password '$mariadb{password}');
		CREATE FOREIGN TABLE pay_slow (id int, v int) SERVER pay OPTIONS (dbname '$database', table_name 'slow');
		SELECT etl.create_pipeline('m');
		SELECT etl.add_extract('m', 'slow', 'pay_slow', 'public.raw_pay', retry_delays => '{}')});
	$run = start('m');
	comes_true("SELECT count(*) = 1 FROM etl.task_run WHERE run_id = $run AND state = 'running' AND worker_pid IS NOT NULL", 'mysql_fdw: at work');
	for (1 .. 600)
	{
		my $out = '';
		IPC::Run::run([ @client, '-e', "SELECT count(*) FROM information_schema.processlist WHERE info LIKE '%slow%' AND state = 'User sleep'" ], '<', \undef, '>', \$out);
		last if $out =~ /^[1-9]/;
		select undef, undef, undef, 0.05;
	}
	sql("SELECT etl.cancel_run($run)");
	is(state($run), 'cancelled', 'mysql_fdw: the run ends while the source still sleeps');
	latency($run, 'mysql_fdw');
	is(sql('SELECT count(*) FROM raw_pay'), 0, 'mysql_fdw: what looked like the end of the data was not taken for it');
	IPC::Run::run([ @client, '-e', "DROP DATABASE $database" ], '<', \undef);
}

$node->stop;
done_testing();
