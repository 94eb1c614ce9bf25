# What dies must not lose, repeat or leave anything: workers, the scheduler, the whole server.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use EtlPoll;

my $node = PostgreSQL::Test::Cluster->new('crash');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 16\nrestart_after_crash = on\n");
$node->start;

sub sql
{
	my ($statement) = @_;
	return $node->safe_psql('postgres', $statement);
}

sub comes_true
{
	my ($query, $name) = @_;
	return ok($node->poll_query_until('postgres', $query), $name);
}

# attempts shows the attempts of a task in the last run of the pipeline.
sub attempts
{
	my ($task) = @_;
	return sql(qq{SELECT string_agg(concat_ws(' ', attempt, state, error_sqlstate), ', ' ORDER BY attempt) FROM etl.task_run
		WHERE task = '$task' AND run_id = (SELECT max(run_id) FROM etl.run)});
}

# exact checks that every source row is in the target once, and in raw at most once per version.
sub exact
{
	my ($name) = @_;
	is( sql(q{SELECT count(*), count(DISTINCT id), (SELECT count(*) FROM source) FROM fact}),
		sql(q{SELECT count(*), count(*), count(*) FROM source}), "$name: no row lost, no row twice in the target");
	is( sql(q{SELECT count(*) FROM (SELECT id, v FROM raw GROUP BY 1, 2 HAVING count(*) > 1) AS x}),
		0, "$name: no row twice in raw");
	is(sql(q{SELECT count(*) FROM raw AS r WHERE NOT EXISTS (SELECT FROM etl.batch AS b WHERE b.batch_id = r._etl_batch)}),
		0, "$name: every raw row belongs to a batch");
	is( sql(q{SELECT coalesce(sum(row_count), 0) FROM etl.batch}), sql('SELECT count(*) FROM raw'), "$name: batches count their rows");
	is(sql(q{SELECT count(*) FROM etl.run WHERE state IN ('queued', 'running')}), 0, "$name: no run is left active");
	is(sql(q{SELECT count(*) FROM etl.task_run WHERE state NOT IN ('success', 'warning', 'failed', 'upstream_failed', 'skipped', 'cancelled')}),
		0, "$name: no task is left active");
	return;
}

my $gate;
my $waiting = q{(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND NOT granted)};
sub close_gate
{
	$gate = $node->background_psql('postgres');
	$gate->query_safe('SELECT pg_advisory_lock(1)');
	return;
}
sub open_gate { $gate->query_safe('SELECT pg_advisory_unlock_all()'); $gate->quit; return; }

# The extract reads a view that waits behind the gate at one row. Its function is said to be expensive, so that it is
# evaluated for the rows of a chunk only, and the chunks of 10 rows before that one are committed.
sql(q{
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
SELECT etl.add_sql('crash', 'once', 'INSERT INTO once VALUES (1); SELECT pg_advisory_xact_lock_shared(2)', retry_delays => '{0 s}');
});
my $worker = q{(SELECT worker_pid FROM etl.task_run WHERE task = 'extract' AND state = 'running')};

# An executor is terminated: the attempt fails, is tried again, goes on behind the chunks that were committed.
close_gate();
my $run = sql("SELECT etl.run_pipeline('crash', wait => false)");
comes_true("SELECT $waiting = 1", 'terminated executor: the extract is in the middle');
sql("SELECT pg_terminate_backend($worker)");
comes_true("SELECT $waiting = 1 AND count(*) = 2 FROM etl.task_run WHERE task = 'extract'", 'terminated executor: there is a second attempt');
open_gate();
is(sql("SELECT etl.wait_for_run($run)"), 'success', 'terminated executor: the run succeeds');
like(attempts('extract'), qr/^1 failed (57P01|ZE008), 2 success$/, 'terminated executor: the first attempt failed, the second did it');
exact('terminated executor');
is(sql('SELECT count(*) FROM once'), 1, 'terminated executor: other tasks ran once');

# The scheduler is terminated: the run stands still until somebody runs a pipeline again, then it goes on.
sql(q{INSERT INTO source SELECT n, 'w' || n FROM generate_series(101, 160) AS n; TRUNCATE once;
SELECT etl.alter_task('crash', 'extract', reset => '{chunk_rows}')});
sql('UPDATE held SET n = 155');
sql("SELECT etl.create_pipeline('kick')");
sql("SELECT etl.add_sql('kick', 'nothing', 'SELECT 1')");
close_gate();
$run = sql("SELECT etl.run_pipeline('crash', wait => false)");
comes_true("SELECT $waiting = 1", 'terminated scheduler: the extract is in the middle');
sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'etl scheduler'});
comes_true(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'etl scheduler'}, 'terminated scheduler: it is gone');
is(sql("SELECT $waiting"), 1, 'terminated scheduler: the extract goes on without it');
open_gate();
comes_true(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'etl%'}, 'terminated scheduler: the extract ends by itself');
is(sql("SELECT state FROM etl.run WHERE run_id = $run"), 'running', 'terminated scheduler: nobody ended the run');
sql("SELECT etl.run_pipeline('kick')");
is(sql("SELECT etl.wait_for_run($run)"), 'success', 'terminated scheduler: the next run takes the interrupted one along');
is(sql("SELECT string_agg(task || ' ' || attempt || ' ' || state, ', ' ORDER BY task, attempt) FROM etl.task_run WHERE run_id = $run"),
	'extract 1 success, load 1 success, once 1 success', 'terminated scheduler: each task once');
exact('terminated scheduler');

# A new scheduler finds the worker of its predecessor alive and lets it finish.
sql(q{INSERT INTO source SELECT n, 'x' || n FROM generate_series(161, 200) AS n; TRUNCATE once; UPDATE held SET n = 180});
close_gate();
$run = sql("SELECT etl.run_pipeline('crash', wait => false)");
comes_true("SELECT $waiting = 1", 'new scheduler: the extract is in the middle');
sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'etl scheduler'});
comes_true(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'etl scheduler'}, 'new scheduler: the old one is gone');
sql("SELECT etl.run_pipeline('kick')");
is(sql("SELECT state FROM etl.task_run WHERE run_id = $run AND task = 'extract'"), 'running', 'new scheduler: the old worker is left alone');
open_gate();
is(sql("SELECT etl.wait_for_run($run)"), 'success', 'new scheduler: the run succeeds');
is(sql("SELECT max(attempt) FROM etl.task_run WHERE run_id = $run"), 1, 'new scheduler: every task ran once');
exact('new scheduler');

# kill -9 of a worker takes the whole server down and up again; the next run resumes the interrupted one.
for my $how ('kill -9', 'immediate stop')
{
	sql(q{INSERT INTO source SELECT max + n, 'y' || n FROM generate_series(1, 50) AS n, (SELECT max(id) FROM source) AS m; TRUNCATE once;
	SELECT etl.alter_task('crash', 'extract', chunk_rows => 10)});
	sql('UPDATE held SET n = (SELECT max(id) - 15 FROM source)');
	close_gate();
	# Somebody waits for the run, and goes down with the server.
	my ($out, $err) = ('', '');
	my $caller = IPC::Run::start([ 'psql', '-XAt', '-d', $node->connstr('postgres'), '-c', "SELECT etl.run_pipeline('crash')" ],
		'<', \undef, '>', \$out, '2>', \$err);
	comes_true("SELECT $waiting = 1", "$how: the extract is in the middle");
	$run = sql('SELECT max(run_id) FROM etl.run');
	comes_true("SELECT count(*) = 1 FROM once", "$how: another task has committed");
	my $batches = sql("SELECT count(*) FROM etl.batch WHERE run_id = $run");
	cmp_ok($batches, '>', 0, "$how: some chunks are committed");
	if ($how eq 'kill -9')
	{
		my $pid = sql("SELECT $worker");
		kill 'KILL', $pid;
		$node->poll_query_until('postgres', "SELECT pg_postmaster_start_time() IS NOT NULL AND count(*) = 0 FROM pg_stat_activity WHERE pid = $pid");
	}
	else
	{
		$node->stop('immediate');
		$node->start;
	}
	eval { $gate->quit };
	$caller->finish;
	unlike($err, qr/cancelled/, "$how: whoever waited lost the connection");
	is(sql("SELECT state FROM etl.run WHERE run_id = $run"), 'running', "$how: the run is still said to be running");
	sql("SELECT etl.run_pipeline('kick')");
	is(sql("SELECT etl.wait_for_run($run)"), 'success', "$how: the next run takes it along");
	is(sql("SELECT string_agg(concat_ws(' ', task, attempt, state, error_sqlstate), ', ' ORDER BY task, attempt) FROM etl.task_run WHERE run_id = $run"),
		'extract 1 failed ZE010, extract 2 success, load 1 success, once 1 success',
		"$how: the lost attempt failed as such and was repeated, what had committed was not");
	exact($how);
	is(sql('SELECT count(*) FROM once'), 1, "$how: what had committed is there once");
}

# An attempt that was given up meanwhile may not commit.
sql('TRUNCATE once');
close_gate();
$gate->query_safe('SELECT pg_advisory_lock(2)');
$run = sql("SELECT etl.run_pipeline('crash', wait => false, tasks => '{once}')");
comes_true("SELECT $waiting = 1", 'stale attempt: the task has written');
sql(qq{UPDATE etl.task_run SET state = 'failed', error_sqlstate = 'ZE008', error_message = 'given up', ended_at = now()
	WHERE run_id = $run AND state = 'running'});
comes_true("SELECT $waiting = 2", 'stale attempt: its successor works');
my $offset = -s $node->logfile;
open_gate();
is(sql("SELECT etl.wait_for_run($run)"), 'success', 'stale attempt: the run succeeds');
is(attempts('once'), '1 failed ZE008, 2 success', 'stale attempt: it stayed given up');
is(sql('SELECT count(*) FROM once'), 1, 'stale attempt: only the successor has committed');
like(slurp_file($node->logfile, $offset), qr/is no longer running and may not commit/, 'stale attempt: it was told');

$node->stop;
done_testing();
