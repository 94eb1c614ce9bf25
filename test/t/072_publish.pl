# atomic_publish: the loads and aggregates of a run become visible at one commit, or not at all; readers are not blocked; what
# fails, is killed, cancelled or tried again leaves all of them as they were. The part with faults needs a build that has them
# (make FAULTS=1; see src/fault.h), whose directory is in ETL_TEST_FAULTS.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use EtlPoll;

my $faults = $ENV{ETL_TEST_FAULTS};
my $node = PostgreSQL::Test::Cluster->new('publish', $faults ? (install_path => $faults) : ());
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
max_worker_processes = 16
restart_after_crash = on
shared_preload_libraries = 'etl_ext'
CONF
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

# states shows the attempts of the last run that are not extracts: task, state, SQLSTATE.
sub states
{
	my ($attempt) = @_;
	return sql(qq{SELECT string_agg(concat_ws(' ', task, state, error_sqlstate), ', ' ORDER BY task_id) FROM etl.task_run
		WHERE run_id = (SELECT max(run_id) FROM etl.run) AND attempt = $attempt AND kind <> 'extract'});
}

sub run_state { return sql('SELECT state FROM etl.run ORDER BY run_id DESC LIMIT 1'); }

# gate keeps what asks for advisory lock 1 waiting, until it is opened.
my $gate;
my $waiting = q{(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND NOT granted)};
sub close_gate
{
	$gate = $node->background_psql('postgres');
	$gate->query_safe('SELECT pg_advisory_lock(1)');
	sql('UPDATE held SET held = true');
	return;
}
sub open_gate
{
	sql('UPDATE held SET held = false');
	$gate->query_safe('SELECT pg_advisory_unlock_all()');
	$gate->quit;
	return;
}

# hear runs statements and returns what the session hears meanwhile. Its own notification comes behind all that were sent before.
sub hear { my ($statements) = @_; return sql("LISTEN etl_publish;\n$statements\n;NOTIFY etl_publish, 'end'"); }

# start lets a run begin, ended waits for it and says how it ended.
sub start { my ($pipeline) = @_; return sql("SELECT etl.run_pipeline('$pipeline', wait => false)"); }
sub ended { my ($run) = @_; return sql("SELECT etl.wait_for_run($run)"); }

# Two facts and an aggregate over both; its gate waits while the gate of the test is closed: then everything is written and nothing
# committed. A sequence counts how often the first fact is evaluated, also by what is rolled back.
sql(q{
CREATE EXTENSION etl_ext;
CREATE SCHEMA shop;
CREATE SCHEMA dw;
CREATE TABLE held (held boolean);
INSERT INTO held VALUES (false);
CREATE TABLE shop.orders (id int PRIMARY KEY, amount int);
CREATE TABLE shop.payments (id int PRIMARY KEY, amount int);
CREATE SEQUENCE tries;
CREATE TABLE flaky (until bigint);
INSERT INTO flaky VALUES (0);
CREATE FUNCTION hold() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  IF (SELECT h.held FROM held AS h) THEN PERFORM pg_advisory_xact_lock_shared(1); END IF;
  RETURN true;
END $$;
CREATE FUNCTION try() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  IF nextval('tries') <= (SELECT until FROM flaky) THEN RAISE SQLSTATE '40001' USING MESSAGE = 'flaky'; END IF;
  RETURN true;
END $$;
SELECT etl.create_pipeline('p', atomic_publish => true);
SELECT etl.add_extract('p', 'orders', 'shop.orders', 'public.raw_orders', cursor_column => 'id', primary_key => '{id}', retry_delays => '{}');
SELECT etl.add_extract('p', 'payments', 'shop.payments', 'public.raw_payments', cursor_column => 'id', primary_key => '{id}', retry_delays => '{}');
SELECT etl.add_load('p', 'fact_orders', 'SELECT id, amount FROM raw_orders', 'dw.orders', '{id}');
SELECT etl.add_load('p', 'fact_payments', 'SELECT id, amount FROM raw_payments', 'dw.payments', '{id}');
SELECT etl.add_aggregate('p', 'total',
  $$SELECT 1 AS n, (SELECT sum(amount) FROM dw.orders) AS orders, (SELECT sum(amount) FROM dw.payments) AS payments$$, 'dw.total', '{n}');
SELECT etl.add_check('p', 'equal', target => 'dw.total', type => 'expression', expression => 'public.hold() AND orders = payments',
  fail => '0', gate => 'total');
SELECT etl.add_check('p', 'after', target => 'dw.total', type => 'row_count', fail => '1');
});

sub add_rows
{
	my ($from, $to, $paid) = @_;
	sql("INSERT INTO shop.orders SELECT n, n FROM generate_series($from, $to) AS n;
		INSERT INTO shop.payments SELECT n, $paid FROM generate_series($from, $to) AS n;");
	return;
}

# What readers see: rows of both facts, and what the aggregate says.
my $look = q{SELECT concat_ws(' ', (SELECT count(*) FROM dw.orders), (SELECT count(*) FROM dw.payments), coalesce((SELECT orders || '=' || payments FROM dw.total), 'none'))};
my $positions = q{SELECT string_agg(name || ' ' || batch_id, ', ' ORDER BY name) FROM etl.consumed JOIN etl.task USING (task_id)};

# exact says that the targets are what the sources are.
sub exact
{
	my ($name) = @_;
	is(sql(q{SELECT count(*) FROM ((TABLE dw.orders EXCEPT TABLE shop.orders) UNION ALL (TABLE shop.orders EXCEPT TABLE dw.orders)
		UNION ALL (TABLE dw.payments EXCEPT TABLE shop.payments) UNION ALL (TABLE shop.payments EXCEPT TABLE dw.payments)) AS x}),
		0, "$name: the facts are what the sources are");
	is(sql('SELECT orders, payments FROM dw.total'), sql('SELECT (SELECT sum(amount) FROM shop.orders), (SELECT sum(amount) FROM shop.payments)'),
		"$name: so is the aggregate");
	return;
}

# A first run.
add_rows(1, 10, 'n');
is(ended(start('p')), 'success', 'the first run succeeds');
is(states(1), 'fact_orders success, fact_payments success, total success, after success', 'every task of the first run');
is(sql(q{SELECT count(DISTINCT worker_pid) FROM etl.task_run WHERE task IN ('fact_orders', 'fact_payments', 'total')}), 1, 'one worker did all');
is(sql(q{SELECT count(*) FROM etl.task_run WHERE task IN ('fact_orders', 'fact_payments', 'total') AND (details->>'work_ms')::int >= 0}), 3, 'each has its own time');
exact('the first run');

# Readers, while all is written and nothing committed: nobody sees a part of it, nobody waits.
add_rows(11, 20, 'n');
my $before = sql($look);
my $snapshot = $node->background_psql('postgres');
is($snapshot->query_safe("BEGIN ISOLATION LEVEL REPEATABLE READ; $look"), $before, 'a snapshot of before');
my $cursor = $node->background_psql('postgres');
$cursor->query_safe('BEGIN; DECLARE c CURSOR FOR SELECT id FROM dw.orders ORDER BY id; DECLARE d CURSOR FOR SELECT n FROM dw.total; FETCH 3 FROM c; FETCH d');
close_gate();
my $run = start('p');
comes_true("SELECT $waiting = 1", 'all is written, the gate waits');
is(sql(q{SELECT string_agg(DISTINCT state, ' ') FROM etl.task_run WHERE task IN ('fact_orders', 'fact_payments', 'total') AND run_id = } . $run), 'running', 'all members are running');
is(sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'etl executor'}), 1, 'in one worker');
is(sql($look), $before, 'READ COMMITTED sees nothing of it');
is($snapshot->query_safe($look), $before, 'REPEATABLE READ sees nothing of it');
is($cursor->query_safe('FETCH 3 FROM c'), "4\n5\n6", 'a cursor goes on');
is(sql(q{SELECT count(*) > 0 FROM pg_locks WHERE mode = 'RowExclusiveLock' AND relation IN ('dw.orders'::regclass, 'dw.payments'::regclass, 'dw.total'::regclass)}),
	't', 'the worker holds locks on the targets');
is(sql(q{SELECT string_agg(DISTINCT mode, ', ') FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
	WHERE a.backend_type = 'etl executor' AND mode IN ('AccessExclusiveLock', 'ExclusiveLock') AND l.locktype = 'relation'
	  AND relation IN (SELECT oid FROM pg_class WHERE relnamespace = 'dw'::regnamespace)}), '', 'none that blocks a reader');
is(sql(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = x'E71'::int}), 3, 'it holds the lock of each attempt');
is(sql('SELECT count(*) FROM dw.orders'), 10, 'a new reader does not wait');
open_gate();
is(ended($run), 'success', 'the run ends');
is($snapshot->query_safe($look), $before, 'REPEATABLE READ still sees what was before');
isnt(sql($look), $before, 'READ COMMITTED sees all of it');
is($cursor->query_safe('FETCH ALL FROM c'), "7\n8\n9\n10", 'the cursor has the rows of its beginning');
$_->quit for $snapshot, $cursor;
exact('the second run');

# NOTIFY at the commit, with what has changed.
add_rows(21, 30, 'n');
my $heard = hear(q{SELECT etl.run_pipeline('p') AS run \gset
\echo :run});
my ($number) = $heard =~ /^(\d+)$/m;
like($heard, qr/"etl_publish" with payload "\{"pipeline": "p", "run_id": $number, "tasks": \["fact_orders", "fact_payments", "total"\], "targets": \["dw.orders", "dw.payments", "dw.total"\]\}"/, 'NOTIFY tells of all at once');
is(() = $heard =~ /"pipeline"/g, 1, 'and once');
unlike(hear(q{SELECT etl.run_pipeline('p')}), qr/"pipeline"/, 'a run that changes nothing tells nothing');
sql(q{INSERT INTO shop.orders VALUES (31, 0); INSERT INTO shop.payments VALUES (31, 0)});
like(hear(q{SELECT etl.run_pipeline('p')}), qr/"tasks": \["fact_orders", "fact_payments"\], "targets": \["dw.orders", "dw.payments"\]\}/, 'only of those that have changed something');

# A gate of the last member fails: nothing has changed, positions included; the next run catches up.
add_rows(41, 50, '0');
$before = sql($look);
my $at = sql($positions);
is(ended(start('p')), 'failed', 'a gate fails');
is(states(1), 'fact_orders failed ZE015, fact_payments failed ZE015, total failed ZE003, after upstream_failed', 'who failed, and who was rolled back');
is(sql($look), $before, 'nothing was published');
is(sql($positions), $at, 'the positions have not moved');
is(sql(q{SELECT error_message FROM etl.task_run WHERE task = 'fact_orders' ORDER BY task_run_id DESC LIMIT 1}),
	'was rolled back, because task "total" failed, with which it would have been published', 'the others say why');
is(sql(q{SELECT state FROM etl.check_result WHERE check_name = 'equal' ORDER BY check_result_id DESC LIMIT 1}), 'fail', 'the result of the gate is kept');
is(sql(q{SELECT string_agg(task, ' ') FROM etl.alert WHERE event = 'task_failed'}), 'total', 'one alert, for the one at fault');
unlike(sql('SELECT message FROM etl.run ORDER BY run_id DESC LIMIT 1'), qr/rolled back, because/, 'the run names the one at fault only');
sql('INSERT INTO shop.payments SELECT 60, sum(amount) FROM shop.orders WHERE id BETWEEN 41 AND 50');
is(ended(start('p')), 'success', 'the next run succeeds');
exact('after a failed gate');
is(sql(q{SELECT sum(rows_inserted) FROM etl.task_run WHERE task = 'fact_orders'}), sql('SELECT count(*) FROM dw.orders'), 'every row was counted once');

# What fails before them: none starts.
sql(q{ALTER TABLE shop.payments RENAME TO away});
add_rows_of_orders(61, 70);
$before = sql($look);
is(ended(start('p')), 'failed', 'an extract fails');
is(states(1), 'fact_orders upstream_failed, fact_payments upstream_failed, total upstream_failed, after upstream_failed', 'none of them starts');
is(sql($look), $before, 'nothing was published');
sql(q{ALTER TABLE shop.away RENAME TO payments; INSERT INTO shop.payments SELECT 70, sum(amount) FROM shop.orders WHERE id BETWEEN 61 AND 70});
$run = sql('SELECT max(run_id) FROM etl.run');
sql("SELECT etl.retry_run($run)");
is(run_state(), 'success', 'retry_run does them all');
is(states(2), 'fact_orders success, fact_payments success, total success, after success', 'in a second attempt of each');
exact('after retry_run');

sub add_rows_of_orders
{
	my ($from, $to) = @_;
	sql("INSERT INTO shop.orders SELECT n, n FROM generate_series($from, $to) AS n");
	return;
}

# An error that passes: the whole publication is tried again, as the task at fault says.
sql(q{SELECT etl.alter_task('p', 'fact_orders', query => 'SELECT id, amount FROM raw_orders WHERE try()', retry_delays => '{0 s}');
	SELECT etl.alter_task('p', 'fact_payments', retry_delays => '{}');
	SELECT setval('tries', 1, false); UPDATE flaky SET until = 1});
add_rows(71, 72, 'n');
is(ended(start('p')), 'success', 'a run with an error that passes');
is(states(1), 'fact_orders failed 40001, fact_payments failed ZE015, total failed ZE015, after success', 'the first attempts');
is(states(2), 'fact_orders success, fact_payments success, total success', 'the second attempts');
is(sql(q{SELECT string_agg(retry::text, ' ' ORDER BY task_id) FROM etl.task_run WHERE attempt = 2 AND run_id = (SELECT max(run_id) FROM etl.run)}), '1 0 0', 'only the one at fault has used up a retry');
exact('after a retry');
sql(q{SELECT setval('tries', 1, false); UPDATE flaky SET until = 100});
add_rows(73, 74, 'n');
is(ended(start('p')), 'failed', 'no retry is left');
is(states(2), 'fact_orders failed 40001, fact_payments failed ZE015, total failed ZE015', 'the last attempts');
is(sql(q{SELECT count(*), bool_and(settled) FROM etl.task_run WHERE kind IN ('load', 'aggregate') AND attempt = 2 AND run_id = (SELECT max(run_id) FROM etl.run)}), '3|t', 'all are settled');
sql(q{SELECT etl.alter_task('p', 'fact_orders', retry_delays => '{1 h}'); SELECT etl.alter_task('p', 'total', retry_delays => '{2 h}')});
my $late = start('p');
comes_true("SELECT count(*) = 3 AND count(DISTINCT ready_at) = 1 AND min(ready_at) < now() + interval '90 min' FROM etl.task_run WHERE run_id = $late AND state = 'retry'",
	'all wait for the moment that the one at fault waits for');
sql("SELECT etl.cancel_run($late)");
is(ended($late), 'cancelled', 'a run that waits for its retry is cancelled');
sql(q{UPDATE flaky SET until = 0; SELECT etl.alter_task('p', 'total', reset => '{retry_delays}'); SELECT etl.alter_task('p', 'fact_orders', retry_delays => '{0 s}')});
is(ended(start('p')), 'success', 'the run after it succeeds');
exact('after the last retry');

# Cancelled in the middle.
add_rows(81, 82, 'n');
$before = sql($look);
close_gate();
$run = start('p');
comes_true("SELECT $waiting = 1", 'cancel: in the middle');
sql("SELECT etl.cancel_run($run)");
is(ended($run), 'cancelled', 'cancel: the run is cancelled');
is(states(1), 'fact_orders cancelled 57014, fact_payments cancelled 57014, total cancelled 57014, after cancelled', 'cancel: so is every task');
is(sql($look), $before, 'cancel: nothing was published');
open_gate();
sql("SELECT etl.retry_run($run)");
exact('cancel: retry_run');

# A timeout interrupts the task that it belongs to.
sql(q{SELECT etl.alter_task('p', 'total', timeout => '100 ms', retry_delays => '{}')});
add_rows(83, 84, 'n');
close_gate();
is(ended(start('p')), 'failed', 'timeout: the run fails');
is(states(1), 'fact_orders failed ZE015, fact_payments failed ZE015, total failed ZE009, after upstream_failed', 'timeout: of the task that took too long');
open_gate();
sql(q{SELECT etl.alter_task('p', 'total', reset => '{timeout,retry_delays}'); SELECT etl.alter_task('p', 'fact_payments', reset => '{retry_delays}')});

# The timeout of a task that has done its work does not interrupt those after it.
sql(q{SELECT etl.alter_task('p', 'fact_orders', timeout => '1 s')});
add_rows(85, 86, 'n');
close_gate();
$run = start('p');
comes_true("SELECT $waiting = 1", 'timeout: the tasks after it are at work');
comes_true("SELECT clock_timestamp() > max(started_at) + interval '1500 ms' FROM etl.task_run WHERE run_id = $run AND task = 'total'", 'timeout: for longer than that of the first');
open_gate();
is(ended($run), 'success', 'timeout: nobody interrupts them');
is(sql("SELECT max(attempt) FROM etl.task_run WHERE run_id = $run"), 1, 'timeout: in the first attempt');
sql(q{SELECT etl.alter_task('p', 'fact_orders', reset => '{timeout}')});

# The worker is killed: the server restarts, the run goes on by itself.
for my $how ('kill', 'terminate')
{
	close_gate();
	$run = start('p');
	comes_true("SELECT $waiting = 1", "$how: in the middle");
	my $pid = sql(q{SELECT DISTINCT worker_pid FROM etl.task_run WHERE state = 'running'});
	if ($how eq 'kill')
	{
		kill 'KILL', $pid;
		$gate->{run}->finish if $gate->{run};
		comes_true("SELECT $waiting = 0 AND count(*) = 3 FROM etl.task_run WHERE error_sqlstate = 'ZE010' AND run_id = $run", 'kill: all are said to be lost');
		sql('UPDATE held SET held = false');
	}
	else
	{
		sql("SELECT pg_terminate_backend($pid)");
		comes_true("SELECT $waiting = 1 AND count(*) = 3 FROM etl.task_run WHERE attempt = 2 AND state = 'running' AND run_id = $run", 'terminate: they are tried again');
		open_gate();
	}
	$node->poll_query_until('postgres', "SELECT state NOT IN ('queued', 'running') FROM etl.run WHERE run_id = $run");
	is(sql("SELECT state FROM etl.run WHERE run_id = $run"), 'success', "$how: the run succeeds");
	exact($how);
	add_rows(91, 92, 'n') if $how eq 'kill';
}
is(sql(q{SELECT string_agg(concat_ws(' ', attempt, task, error_sqlstate), ', ' ORDER BY attempt, task_id) FROM etl.task_run
	WHERE kind IN ('load', 'aggregate') AND state = 'failed' AND run_id = (SELECT max(run_id) FROM etl.run)}),
	'1 fact_orders ZE015, 1 fact_payments ZE015, 1 total 57P01', 'terminate: the one that was at work is at fault');

# A constraint that is checked at commit: the task whose table it is is at fault.
sql(q{ALTER TABLE dw.orders ADD CONSTRAINT paid FOREIGN KEY (id) REFERENCES dw.payments DEFERRABLE INITIALLY DEFERRED NOT VALID});
sql(q{INSERT INTO shop.orders VALUES (95, 0)});
is(ended(start('p')), 'failed', 'deferred: the commit fails');
is(states(1), 'fact_orders failed 23503, fact_payments failed ZE015, total failed ZE015, after upstream_failed', 'deferred: the table says whose fault it is');
sql(q{INSERT INTO shop.payments VALUES (95, 0)});
is(ended(start('p')), 'success', 'deferred: with what was missing, in any order');
exact('deferred');
sql(q{ALTER TABLE dw.orders DROP CONSTRAINT paid});

# max_parallel and pools: a publication is one task at work, in the pools of all its tasks.
sql(q{
SELECT etl.create_pool('small', slots => 2);
SELECT etl.create_pool('tiny', slots => 1);
SELECT etl.create_pipeline('q', atomic_publish => true, max_parallel => 2);
SELECT etl.add_load('q', 'a', 'SELECT 1 AS id WHERE hold()', 'dw.a', '{id}', mode => 'replace', pool => 'small');
SELECT etl.add_load('q', 'b', 'SELECT 1 AS id', 'dw.b', '{id}', mode => 'replace', pool => 'small', pool_slots => 2);
SELECT etl.add_load('q', 'c', 'SELECT 1 AS id', 'dw.c', '{id}', mode => 'replace', pool => 'tiny', priority => -1);
SELECT etl.add_sql('q', 'x', 'SELECT hold()', priority => -2);
SELECT etl.add_sql('q', 'y', 'SELECT hold()', priority => -3);
SELECT etl.create_pipeline('other');
SELECT etl.add_sql('other', 'in_small', 'SELECT 1', pool => 'small');
SELECT etl.add_sql('other', 'in_tiny', 'SELECT 1', pool => 'tiny');
SELECT etl.add_sql('other', 'in_none', 'SELECT 1');
});
close_gate();
$run = start('q');
comes_true("SELECT $waiting = 2", 'two of the run are at work');
is(sql("SELECT string_agg(task || ' ' || state, ', ' ORDER BY task) FROM etl.task_run WHERE run_id = $run"), 'a running, b running, c running, x running, y ready', 'the publication counts as one');
is(sql(q{SELECT string_agg(concat_ws(' ', pool, used, waiting), ', ' ORDER BY pool) FROM etl.pool_status}), 'small 2 0, tiny 1 0', 'it takes of each pool what the one takes that takes most');
my $other = start('other');
comes_true("SELECT state = 'success' FROM etl.task_run WHERE run_id = $other AND task = 'in_none'", 'a task without a pool');
is(sql("SELECT string_agg(task || ' ' || state, ', ' ORDER BY task) FROM etl.task_run WHERE run_id = $other AND task <> 'in_none'"), 'in_small ready, in_tiny ready', 'the pools are taken');
open_gate();
is(ended($run), 'success', 'the run with pools ends');
is(ended($other), 'success', 'so does the other one');

# A publication waits for all of its pools.
sql(q{SELECT etl.alter_pool('tiny', slots => 0)});
$run = start('q');
comes_true("SELECT count(*) = 2 FROM etl.task_run WHERE run_id = $run AND task IN ('x', 'y') AND state = 'success'", 'what is in no pool goes on');
is(sql("SELECT string_agg(DISTINCT state, ' ') FROM etl.task_run WHERE run_id = $run AND task IN ('a', 'b', 'c')"), 'ready', 'the publication waits for a pool of one of its tasks');
sql(q{SELECT etl.alter_pool('tiny', slots => 1)});
is(ended($run), 'success', 'and starts when there is room');

# Checks and sql tasks between two members are members; what stands at the end is not. A check in between that fails rolls back.
sql(q{
CREATE TABLE seen (what text, rows bigint);
CREATE TABLE seen_at_end (rows bigint);
SELECT etl.create_pipeline('between', atomic_publish => true);
SELECT etl.add_load('between', 'first', 'SELECT n AS id FROM generate_series(1, 3) AS n', 'dw.first', '{id}', mode => 'replace');
SELECT etl.add_sql('between', 'middle', $$SET shop.word = 'said'; INSERT INTO seen SELECT 'middle', count(*) FROM dw.first$$);
SELECT etl.add_check('between', 'counted', target => 'dw.first', type => 'row_count', fail => '3');
SELECT etl.add_load('between', 'last', $$SELECT what, rows, coalesce(nullif(current_setting('shop.word', true), ''), 'nothing') AS word FROM public.seen$$, 'dw.last', '{what}', mode => 'replace', depends_on => '{counted,middle}');
SELECT etl.add_sql('between', 'end', $$INSERT INTO seen_at_end SELECT count(*) FROM dw.last$$);
});
{
	is(ended(start('between')), 'success', 'tasks in between');
	is(sql(q{SELECT (SELECT rows FROM seen), (SELECT rows FROM seen_at_end)}), '3|1', 'see what is not committed');
	is(sql(q{SELECT count(*) FROM (SELECT worker_pid FROM etl.task_run WHERE run_id = (SELECT max(run_id) FROM etl.run) GROUP BY 1) AS w}), 2, 'four in one worker, one by itself');
	is(sql(q{SELECT word FROM dw.last}), 'nothing', 'what a task SETs ends with it');
	sql(q{SELECT etl.alter_task('between', 'counted', fail => '4')});
	is(ended(start('between')), 'failed', 'a check in between fails');
	is(states(1), 'first failed ZE015, middle failed ZE015, counted failed ZE003, last failed ZE015, end upstream_failed', 'it rolls back all');
	is(sql(q{SELECT count(*) FROM seen}), 1, 'also what the sql task did');
	is(sql(q{SELECT state FROM etl.check_result WHERE check_name = 'counted' ORDER BY check_result_id DESC LIMIT 1}), 'fail', 'its result is kept');
}

# What a check in between has measured is no baseline when it was rolled back.
sql(q{
CREATE TABLE shop.items (id int);
INSERT INTO shop.items VALUES (1), (2), (3);
SELECT etl.create_pipeline('variance', atomic_publish => true);
SELECT etl.add_load('variance', 'items', 'SELECT id FROM shop.items', 'dw.items', '{id}', mode => 'replace');
SELECT etl.add_check('variance', 'grown', target => 'dw.items', type => 'row_count_variance', fail => '50%');
SELECT etl.add_load('variance', 'count', 'SELECT count(*) AS n FROM dw.items', 'dw.item_count', '{n}', mode => 'replace', depends_on => '{grown}');
});
is(ended(start('variance')), 'success', 'a check that compares has nothing to compare with');
sql('INSERT INTO shop.items VALUES (4), (5), (6)');
is(ended(start('variance')), 'failed', "it fails at the same rows, time $_") for 1, 2;

# 200 of them.
sql(q{
SELECT etl.create_pipeline('many', atomic_publish => true);
SELECT etl.add_load('many', 'l' || n, format('SELECT %s AS id', n), 'dw.t' || n, '{id}', mode => 'replace') FROM generate_series(1, 199) AS n;
SELECT etl.add_aggregate('many', 'sum', (SELECT 'SELECT 1 AS id, sum(x.id) AS n FROM (' || string_agg('SELECT id FROM dw.t' || n, ' UNION ALL ') || ') AS x'
  FROM generate_series(1, 199) AS n), 'dw.sum', '{id}');
});
is(sql(q{SELECT etl.run_pipeline('many') > 0; SELECT n FROM dw.sum}), "t\n19900", '200 members');
is(sql(q{SELECT count(DISTINCT worker_pid) || ' ' || count(*) FROM etl.task_run WHERE run_id = (SELECT max(run_id) FROM etl.run) AND state = 'success'}), '1 200', 'in one worker');
sql(q{UPDATE dw.t7 SET id = 70});
$heard = hear(q{UPDATE dw.t7 SET id = 71; SELECT etl.run_pipeline('many')});
like($heard, qr/"tasks": \["l7"\], "targets": \["dw.t7"\]/, 'only what has changed is told');

# The payload has a limit: targets are left out, then tasks.
for my $case ([ 'longer', 30, 199, 1 ], [ 'longest', 120, 70, 0 ])
{
	my ($pipeline, $length, $n, $has_tasks) = @$case;
	sql(qq{SELECT etl.create_pipeline('$pipeline', atomic_publish => true);
		SELECT etl.add_load('$pipeline', repeat('x', $length) || n, format('SELECT %s AS id', n), 'dw.$pipeline' || n, '{id}', mode => 'replace') FROM generate_series(1, $n) AS n});
	$heard = hear("SELECT etl.run_pipeline('$pipeline', mode => 'inline')");
	my $pattern = $has_tasks ? qr/"run_id": \d+, "tasks": \["x+1", .*"x+$n"\]\}"/ : qr/"run_id": \d+\}"/;
	like($heard, $pattern, "the payload of $pipeline names");
}

# Without atomic_publish, each load tells of itself at its own commit, sql tasks and checks of nothing.
sql(q{
SELECT etl.create_pipeline('single');
SELECT etl.add_load('single', 'one', 'SELECT 1 AS id', 'dw.one', '{id}', mode => 'replace');
SELECT etl.add_aggregate('single', 'two', 'SELECT id, count(*) AS n FROM dw.one GROUP BY 1', 'dw.two', '{id}');
SELECT etl.add_sql('single', 'three', 'UPDATE dw.two SET n = 2');
});
$heard = hear(q{SELECT etl.run_pipeline('single')});
is(join(' ', $heard =~ /"tasks": (\[.*?\]), "targets": (\[.*?\])/g), '["one"] ["dw.one"] ["two"] ["dw.two"]', 'each load and aggregate by itself');

# No target is locked against readers in any mode; indexes, statistics and new partitions included.
sql(q{
CREATE TABLE dw.parted (id int, amount int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE dw.parted_1 PARTITION OF dw.parted FOR VALUES FROM (0) TO (1000);
SELECT etl.create_pipeline('modes', atomic_publish => true);
SELECT etl.add_load('modes', 'm_' || mode, 'SELECT id, amount FROM raw_orders', 'dw.m_' || mode, CASE mode WHEN 'append' THEN NULL ELSE '{id}'::text[] END, mode => mode)
FROM unnest('{merge,insert_only,replace,append}'::text[]) AS mode;
SELECT etl.add_load('modes', 'm_parted', 'SELECT id, amount FROM raw_orders', 'dw.parted', '{id}');
SELECT etl.add_aggregate('modes', 'm_sum', 'SELECT (SELECT count(*) FROM dw.m_merge) + (SELECT count(*) FROM dw.m_append) + (SELECT count(*) FROM dw.m_replace) + (SELECT count(*) FROM dw.parted) AS n, 1 AS id', 'dw.m_sum', '{id}',
  depends_on => '{m_insert_only}');
SELECT etl.add_check('modes', 'hold', target => 'dw.m_sum', type => 'expression', expression => 'public.hold()', fail => '0', gate => 'm_sum');
CREATE TABLE before AS SELECT oid FROM pg_class WHERE relnamespace = 'dw'::regnamespace;
});
for my $full ('false', 'true')
{
	close_gate();
	$run = sql("SELECT etl.run_pipeline('modes', wait => false, full_refresh => $full)");
	comes_true("SELECT $waiting = 1", "modes, full_refresh => $full: all is written");
	is(sql(q{SELECT count(DISTINCT relation) >= 6 FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid) WHERE backend_type = 'etl executor' AND relation IN (TABLE before)}), 't', 'there are locks on the targets');
	is(sql(q{SELECT string_agg(DISTINCT relation::regclass || ' ' || mode, ', ') FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
		WHERE backend_type = 'etl executor' AND mode IN ('AccessExclusiveLock', 'ExclusiveLock') AND relation IN (TABLE before)}), '', 'none of them blocks a reader');
	open_gate();
	is(ended($run), 'success', 'the run with modes ends');
}

# Another scheduler takes over in the middle.
close_gate();
sql('UPDATE dw.m_merge SET amount = amount + 1');
$run = sql("SELECT etl.run_pipeline('modes', wait => false, full_refresh => true)");
comes_true("SELECT $waiting = 1", 'takeover: in the middle');
my $scheduler = sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'etl scheduler'});
sql("SELECT pg_terminate_backend($scheduler)");
comes_true("SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'etl scheduler' AND pid <> $scheduler", 'takeover: there is another scheduler');
my $next = start('single');
is(ended($next), 'success', 'takeover: which works');
open_gate();
is(ended($run), 'success', 'takeover: the publication goes on');
is(sql("SELECT max(attempt), count(DISTINCT worker_pid) FROM etl.task_run WHERE run_id = $run"), '1|1', 'takeover: in the first attempt');

# A worker that does not start: nobody knows whose fault that is, so all are, and one alert is raised.
sql(q{
CREATE ROLE poor LOGIN;
GRANT CREATE ON DATABASE postgres TO poor;
SELECT etl.create_pipeline('poor', atomic_publish => true, owner => 'poor');
SELECT etl.add_load('poor', name, 'SELECT 1 AS id', 'poor.' || name, '{id}', mode => 'replace') FROM unnest('{a,b}'::text[]) AS name;
REVOKE CONNECT ON DATABASE postgres FROM public;
});
is(ended(start('poor')), 'failed', 'a worker that cannot connect');
is(states($_), 'a failed ZE008, b failed ZE008', "attempt $_") for 1, 2;
is(states(3) . sql(q{SELECT count(*) FROM etl.alert WHERE pipeline = 'poor' AND event = 'task_failed'}), '1', 'one alert for all');
sql('ALTER ROLE poor NOLOGIN');
is(ended(start('poor')), 'failed', 'an owner who may not log in');
is(states(1), 'a failed 28000, b failed ZE015', 'none starts');
sql('ALTER ROLE poor LOGIN; GRANT CONNECT ON DATABASE postgres TO public');
is(ended(start('poor')), 'success', 'an owner who may');

# Some of the tasks only: those are published together, one by itself is a task like any other.
is(sql(q{SELECT etl.wait_for_run(etl.run_pipeline('poor', tasks => '{b}'))}), 'success', 'one task of a publication');
is(states(1), 'b success', 'by itself');
is(sql('SELECT details FROM etl.task_run ORDER BY task_run_id DESC LIMIT 1'), '{}', 'as without atomic_publish');
sql(q{SELECT etl.alter_task('poor', 'a', enabled => false)});
is(ended(start('poor')) . ' ' . states(1), 'success b success', 'what is disabled is no member');

# retry_run: when one of them has to be done again, all are, with what depends on them; so is what is new (version latest).
sql(q{
CREATE TABLE shop.stock (id int PRIMARY KEY, n int);
INSERT INTO shop.stock VALUES (1, 1);
SELECT etl.create_pipeline('stale', atomic_publish => true);
SELECT etl.add_extract('stale', 'stock', 'shop.stock', 'public.raw_stock', cursor_column => 'id', primary_key => '{id}', on_failure => 'use_last', retry_delays => '{}');
SELECT etl.add_load('stale', 'stocks', 'SELECT id, n FROM raw_stock', 'dw.stocks', '{id}');
SELECT etl.add_load('stale', 'alone', 'SELECT 1 AS id', 'dw.alone', '{id}', mode => 'replace');
SELECT etl.add_check('stale', 'behind', target => 'dw.alone', type => 'row_count', fail => '1');
SELECT etl.add_sql('stale', 'apart', 'SELECT 1');
});
is(ended(start('stale')), 'success', 'stale: the first run');
sql('ALTER TABLE shop.stock RENAME TO gone');
is(ended(start('stale')), 'warning', 'stale: a run with rows of the last one');
is(states(1), 'stocks success, alone success, behind success, apart success', 'stale: is published');
sql('ALTER TABLE shop.gone RENAME TO stock; INSERT INTO shop.stock VALUES (2, 2)');
sql(q{SELECT etl.add_load('stale', 'new', 'SELECT count(*) AS id FROM dw.stocks', 'dw.new', '{id}', mode => 'replace')});
sql(q{SELECT etl.retry_run(max(run_id), version => 'latest') FROM etl.run});
is(run_state(), 'success', 'stale: the run is retried');
is(states(2) . ', ' . states(1), 'stocks success, alone success, behind success, stocks success, alone success, behind success, apart success, new success', 'stale: all that are published together, and what depends on them');
is(sql('SELECT id FROM dw.new'), 2, 'stale: with the new one');

# Faults at the points of a build that has them: whatever happens, the targets are what the sources are, and nothing is left.
SKIP:
{
	skip 'needs a build with fault points in ETL_TEST_FAULTS', 1 unless $faults;
	my $id = 1000;
	for my $case (
		[ 'claimed', 'fact_orders', 'error' ], [ 'claimed', 'fact_orders', 'kill' ],
		(map { [ 'after_merge', $_->[0], $_->[1] ] } [ 'fact_orders', 'error' ], [ 'fact_payments', 'terminate' ], [ 'fact_payments', 'kill' ], [ 'total', 'error' ]),
		(map { [ 'before_commit', 'total', $_ ] } 'error', 'error_final', 'terminate', 'kill'),
		(map { [ 'after_commit', 'total', $_ ] } 'error', 'kill'))
	{
		my ($point, $task, $action) = @$case;
		my $name = "$point, $task, $action";
		my $from = -s $node->logfile;
		my $first = $id;
		$id += 2;
		add_rows($first, $id - 1, 'n');
		sql("ALTER DATABASE postgres SET etl.fault = '$point:$task:1:$action'");
		my $seen = sql($look);
		$node->psql('postgres', q{SELECT etl.run_pipeline('p', wait => false)});
		$node->poll_query_until('postgres', q{SELECT bool_and(ended_at IS NOT NULL) FROM etl.run});
		sql('ALTER DATABASE postgres RESET etl.fault');
		ok(slurp_file($node->logfile, $from) =~ /etl fault: $point:$task:1:$action/, "$name: happened");
		my $expected = $action eq 'error_final' ? 'failed' : 'success';
		is(run_state(), $expected, "$name: the run");
		is(sql($look), $seen, "$name: nothing is published") if $expected eq 'failed';
		is(ended(start('p')), 'success', "$name: the run after it");
		exact($name);
	}

	# The server goes down three times: they are held back together, until one of them is changed.
	sql("ALTER DATABASE postgres SET etl.fault = '" . join(',', map { "after_merge:m_replace:$_:kill" } 1 .. 4) . "'");
	$node->psql('postgres', q{SELECT etl.run_pipeline('modes', wait => false)});
	$node->poll_query_until('postgres', q{SELECT bool_and(ended_at IS NOT NULL) FROM etl.run});
	is(run_state(), 'failed', 'held: the run fails');
	is(sql(q{SELECT attempt, count(*), min(error_sqlstate), max(error_sqlstate) FROM etl.task_run WHERE run_id = (SELECT max(run_id) FROM etl.run) GROUP BY 1 ORDER BY 1}),
		"1|6|ZE010|ZE010\n2|6|ZE010|ZE010\n3|6|ZE010|ZE010", 'held: after three attempts of all');
	is(sql(q{SELECT count(*) FROM etl.alert WHERE event = 'task_held' AND pipeline = 'modes'}), 1, 'held: one alert');
	sql('ALTER DATABASE postgres RESET etl.fault');
	for my $which ('next', 'one after it')
	{
		is(ended(start('modes')), 'failed', "held: so does the $which");
		is(sql(q{SELECT DISTINCT state || ' ' || error_sqlstate FROM etl.task_run WHERE run_id = (SELECT max(run_id) FROM etl.run)}), 'failed ZE011', 'held: all of them');
	}
	sql(q{SELECT etl.alter_task('modes', 'm_parted', description => 'repaired')});
	is(ended(start('modes')), 'success', 'held: until one of them is changed');
}

# Nothing is left behind.
is(sql(q{SELECT count(*) FROM etl.task_run WHERE state NOT IN ('success', 'warning', 'failed', 'upstream_failed', 'skipped', 'cancelled')}), 0, 'no task is left active');
comes_true(q{SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = x'E71'::int}, 'no lock is left');

# No free worker: the publication waits for one as a whole. Slots: the logical replication launcher, that of etl_ext, the
# scheduler, and one more.
$node->append_conf('postgresql.conf', "max_worker_processes = 4\n");
$node->restart;
sql(q{
SELECT etl.create_pipeline('narrow', atomic_publish => true);
SELECT etl.add_sql('narrow', 'long', 'SELECT public.hold()', priority => 9);
SELECT etl.add_load('narrow', name, 'SELECT 1 AS id', 'dw.narrow_' || name, '{id}', mode => 'replace') FROM unnest('{a,b}'::text[]) AS name;
});
close_gate();
my $offset = -s $node->logfile;
$run = start('narrow');
comes_true("SELECT $waiting = 1", 'no worker: another task has the last one');
ok($node->wait_for_log(qr/no free background worker/, $offset), 'no worker: the log says so');
comes_true("SELECT count(*) = 2 FROM etl.task_run WHERE run_id = $run AND state = 'ready'", 'no worker: the members wait');
open_gate();
is(ended($run), 'success', 'no worker: until there is one');
is(sql("SELECT max(attempt) FROM etl.task_run WHERE run_id = $run"), 1, 'no worker: nothing failed');

$node->stop;
done_testing();
