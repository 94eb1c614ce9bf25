# Schedules carried out: missed runs, double fires, pause and resume, what is refused; by ticks as pg_cron makes them, and
# by the launcher after a downtime. Nobody waits for a minute to pass: etl.schedule is put back instead.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('schedule');
$node->init;
$node->append_conf(
	'postgresql.conf', q{
shared_preload_libraries = 'etl_ext'
max_worker_processes = 32
timezone = 'UTC'
});
$node->start;

# sql runs statements and returns what they printed.
sub sql
{
	my ($statement, $database) = @_;
	return $node->safe_psql($database // 'postgres', "SET client_min_messages = warning; $statement");
}

sub comes_true
{
	my ($query, $name) = @_;
	return ok($node->poll_query_until('postgres', $query), $name);
}

# tick does what pg_cron's job does, and fails if that does.
sub tick
{
	my ($pipeline) = @_;
	return sql("CALL etl.execute_pipeline('$pipeline', only_when_due => true)");
}

# refused returns the SQLSTATE of a statement that should fail.
sub refused
{
	my ($statement) = @_;
	my ($status, undef, $stderr) = $node->psql('postgres', "\\set VERBOSITY sqlstate\n$statement");
	return $stderr =~ /ERROR:\s+(\w{5})/ ? $1 : "no error, status $status: $stderr";
}

# owe lets a pipeline owe its latest n scheduled times; anew: without the runs that it had.
sub owe
{
	my ($pipeline, $n, $anew) = @_;
	my $delete = $anew ? "DELETE FROM etl.run AS r USING etl.pipeline AS p WHERE p.pipeline_id = r.pipeline_id AND p.name = '$pipeline';" : '';
	sql(qq{
		BEGIN;
		$delete
		UPDATE etl.schedule AS s SET decided_until = (
			SELECT t - interval '1 us' FROM etl.schedule_times(p.schedule, p.timezone, now() - interval '20 h', 10000) AS t
			WHERE t <= now() ORDER BY t DESC OFFSET $n - 1 LIMIT 1)
		FROM etl.pipeline AS p WHERE p.pipeline_id = s.pipeline_id AND p.name = '$pipeline';
		COMMIT});
	return;
}

# runs shows the runs of a pipeline for scheduled times by state, how long before the latest time each was due, and message.
sub runs
{
	my ($pipeline) = @_;
	return sql(qq{
		SELECT r.state || ' ' || extract(hours FROM last.t - r.scheduled_for) || coalesce(' ' || r.message, '')
		FROM etl.run AS r JOIN etl.pipeline AS p USING (pipeline_id),
			LATERAL (SELECT max(t) AS t FROM etl.schedule_times(p.schedule, p.timezone, now() - interval '2 h', 200) AS t
			         WHERE t <= now()) AS last
		WHERE p.name = '$pipeline' AND r.scheduled_for IS NOT NULL ORDER BY r.run_id});
}

sub count_runs
{
	my ($pipeline) = @_;
	return sql("SELECT count(*) FROM etl.run_status WHERE pipeline = '$pipeline'");
}

# Most schedules name one minute of each hour, 20 minutes ago: no time comes while the test is at work.
my $hourly = sql("SELECT to_char(now() - interval '20 min', 'FMMI') || ' * * * *'");

# define makes a pipeline with one task.
sub define
{
	my ($pipeline, $schedule, $more, $task) = @_;
	$task //= "etl.add_sql('$pipeline', 'nothing', command => 'SELECT 1')";
	$more = $more ? ", $more" : '';
	sql("SELECT etl.create_pipeline('$pipeline', schedule => '$schedule' $more), $task");
	return;
}

sql(q{
	CREATE EXTENSION etl_ext;
	CREATE ROLE loader LOGIN;
	CREATE ROLE stranger LOGIN;
	CREATE ROLE ghost LOGIN;
	GRANT USAGE ON SCHEMA etl TO stranger;
	SELECT etl.create_pool('closed', slots => 0)});
my $minutely = '* * * * *';
define('once', $hourly);
define('once_zone', $hourly, "timezone => 'Asia/Kathmandu', owner => 'loader'");
define('skip', $hourly, "missed_run => 'skip'");
define('skip_late', $minutely, "missed_run => 'skip'");
define('all', $hourly, "missed_run => 'catch_up'");
define('race_once', $hourly);
define('race_all', $hourly, "missed_run => 'catch_up'");
define('minute', $minutely);
define('paused', $hourly);
define('restored', $hourly);
define('locked', $hourly);
define('ghostly', $hourly, "owner => 'ghost'");
define('many', $minutely, "missed_run => 'catch_up'", "etl.add_sql('many', 'stuck', command => 'SELECT 1', pool => 'closed')");
for my $overlap ('skip', 'error', 'queue')
{
	define("busy_$overlap", $hourly, "on_overlap => '$overlap'",
		"etl.add_sql('busy_$overlap', 'stuck', command => 'SELECT 1', pool => 'closed')");
}
sql("SELECT etl.create_pipeline('by_hand')");
is(sql("SELECT count(*) > 0, bool_and(next_run_at > now()) FROM etl.schedule_status WHERE schedule = '$hourly'"),
	't|t', 'a new schedule begins with the next time');
sql("SELECT etl.pause_pipeline('paused')");
is(sql("SELECT pipeline FROM etl.schedule_status WHERE next_run_at IS NULL"), 'paused', 'one that is paused has none');

# ---- without the launcher: only the ticks of this test --------------------------------------------------------------

# Nobody else is there to find out about a role that goes.
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;

# The launcher may have seen a minute pass.
sql('DELETE FROM etl.run');
tick('once');
is(count_runs('once'), 0, 'not due: no run');

# run_once
owe('once', 4);
tick('once');
like(runs('once'), qr/^success 0 3 earlier scheduled times were missed, the first of them 20[0-9-]+ [0-9:]+ UTC$/,
	'run_once: one run, for the latest time');
is( sql(q{SELECT logical_time = scheduled_for AND interval_end = scheduled_for FROM etl.run
	WHERE run_id = (SELECT max(run_id) FROM etl.run_status WHERE pipeline = 'once')}),
	't', 'run_once: the run stands for that time');
tick('once');
is(count_runs('once'), 1, 'run_once: a second tick finds nothing');
owe('once', 1);
tick('once');
is(count_runs('once'), 1, 'a time that has a run gets no other one');
owe('once_zone', 2);
tick('once_zone');
like(runs('once_zone'), qr/^success 0 one earlier scheduled time was missed: 20[0-9-]+ [0-9:]+ \+0545$/,
	'run_once: messages show the time of the zone');

# skip
owe('skip', 3);
tick('skip');
like(runs('skip'), qr/^skipped 0 missed: it could not be started within 5 minutes; 2 earlier scheduled times were missed, the/,
	'skip: a visible run that is skipped');
is(sql("SELECT count(*) FROM etl.alert WHERE event = 'run_skipped' AND pipeline = 'skip'"), 1, 'skip: and an alert');
tick('skip');
is(count_runs('skip'), 1, 'skip: once');
owe('skip_late', 5);
tick('skip_late');
like(runs('skip_late'), qr/^success 0 \d earlier scheduled times were missed/, 'skip: what is only a little late runs');

# catch_up
owe('all', 5);
tick('all');
is(runs('all'), join("\n", map { "success $_" } (4, 3, 2, 1, 0)), 'catch_up: a run for each, oldest first');
is( sql(q{SELECT count(*) FROM (
		SELECT r.interval_start = lag(r.interval_end) OVER (ORDER BY run_id) AND r.started_at >= lag(r.ended_at) OVER (ORDER BY run_id) AS ok
		FROM etl.run AS r JOIN etl.pipeline AS p USING (pipeline_id) WHERE p.name = 'all') AS pair WHERE ok}),
	4, 'catch_up: one after the other, their intervals without gaps');
is(sql("SELECT next_run_at > now() AND last_scheduled_for < now() FROM etl.schedule_status WHERE pipeline = 'all'"),
	't', 'catch_up: done');

# Double fires: five sessions at once.
owe('race_once', 3);
owe('race_all', 5);
my @ticks;
for my $pipeline ('race_once', 'race_all')
{
	for (1 .. 5)
	{
		my $session = { out => '' };
		$session->{harness} = IPC::Run::start(
			[ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "CALL etl.execute_pipeline('$pipeline', only_when_due => true)" ],
			'>', \$session->{out}, '2>&1');
		push @ticks, $session;
	}
}
$_->{harness}->finish for @ticks;
is(join('', map { $_->{out} =~ /ERROR/ ? $_->{out} : () } @ticks), '', 'double fires: no tick fails');
comes_true("SELECT count(*) = 0 FROM etl.run WHERE state IN ('queued', 'running')", 'double fires: all runs end');
like(runs('race_once'), qr/^success 0 2 earlier [^\n]*$/, 'double fires: one run');
is(runs('race_all'), join("\n", map { "success $_" } (4, 3, 2, 1, 0)), 'double fires: one run for each time');

# A schedule that has not begun in this database: only the minute of the tick.
sql("DELETE FROM etl.schedule WHERE pipeline_id = (SELECT pipeline_id FROM etl.pipeline WHERE name = 'minute')");
tick('minute');
is(count_runs('minute'), 1, 'not begun: the minute of the tick');
is(sql("SELECT next_run_at > last_scheduled_for FROM etl.schedule_status WHERE pipeline = 'minute'"), 't', 'not begun: it has by now');
sql("UPDATE etl.schedule SET database = 1 WHERE pipeline_id = (SELECT pipeline_id FROM etl.pipeline WHERE name = 'once')");
tick('once');
is(count_runs('once'), 1, 'begun in another database: not due in this minute');
is(sql("SELECT next_run_at > now() FROM etl.schedule_status WHERE pipeline = 'once'"), 't', 'begun in another database: it has by now');

# While another run is active.
my %active;
for my $overlap ('skip', 'error', 'queue')
{
	$active{$overlap} = sql("SELECT etl.run_pipeline('busy_$overlap', wait => false)");
	owe("busy_$overlap", 2);
}
tick('busy_skip');
like(runs('busy_skip'), qr/^skipped 0 run $active{skip} was still active; one earlier scheduled time was missed/, 'overlap: skip');
is(refused("CALL etl.execute_pipeline('busy_error', only_when_due => true);"), 'ZE005', 'overlap: error');
is(runs('busy_error'), '', 'overlap: error leaves nothing behind');
is(sql("SELECT next_run_at < now() FROM etl.schedule_status WHERE pipeline = 'busy_error'"), 't', 'overlap: and the time is still owed');

# Refused.
is(refused("CALL etl.execute_pipeline('by_hand', only_when_due => true);"), '55000', 'refused: no schedule');
is(refused("CALL etl.execute_pipeline('nobody', only_when_due => true);"), '42704', 'refused: no pipeline');
is(refused("SET ROLE stranger;\nCALL etl.execute_pipeline('once', only_when_due => true);"), '42501', 'refused: no member');
is(refused("CALL etl.execute_pipeline('paused', only_when_due => true);"), 'ZE006', 'refused: paused');
is(refused("SELECT etl.resume_pipeline('paused');"), '55000', 'refused: to resume where nobody carries it out');

# ---- with the launcher, after a downtime -----------------------------------------------------------------------------

my @owing = ('once', 'skip', 'all', 'minute', 'paused', 'ghostly');
sql("DELETE FROM etl.run WHERE state NOT IN ('queued', 'running')");
owe($_, 3) for @owing;
owe('many', 1005);
sql('DROP ROLE ghost');
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'etl_ext'");
my $log = -s $node->logfile;
$node->restart;
comes_true(q{
	SELECT (SELECT count(*) FROM etl.run_status WHERE pipeline IN ('once', 'skip', 'all', 'minute') AND state IN ('success', 'skipped')) >= 6
		AND EXISTS (SELECT FROM etl.run_status WHERE pipeline = 'busy_error' AND state = 'skipped')
		AND EXISTS (SELECT FROM etl.run_status WHERE pipeline = 'many')},
	'launcher: everything that was missed is made up for');
like(runs('once'), qr/^success 0 2 earlier [^\n]*$/, 'launcher: run_once');
like(runs('skip'), qr/^skipped 0 missed: [^\n]*$/, 'launcher: skip');
is(runs('all'), join("\n", map { "success $_" } (2, 1, 0)), 'launcher: catch_up');
like(runs('minute'), qr/^success 0 \d earlier/, 'launcher: every minute, without pg_cron');
like(runs('busy_error'), qr/^skipped 0 run $active{error} was still active; one earlier/, 'launcher: overlap => error is a skipped run');
is( sql("SELECT count(*) >= 1000 AND count(*) FILTER (WHERE state = 'queued') IN (999, 1000) FROM etl.run_status WHERE pipeline = 'many'"),
	't', 'catch_up: not more than 1000 in the queue');
is(count_runs('ghostly'), 0, 'a pipeline without owner starts nothing');
is(count_runs('paused'), 0, 'a paused one neither');

# A pipeline whose owner is gone is told of once, however often it is tried.
for (1, 2)
{
	owe('ghostly', 3 + $_);
	owe('race_once', 1, 'anew');
	sql('SELECT etl.recover()');
	comes_true("SELECT count(*) = 1 FROM etl.run_status WHERE pipeline = 'race_once' AND state = 'success'", 'another one is not held up by it');
}
my $complaints = () = slurp_file($node->logfile, $log) =~ /the schedule of pipeline "ghostly" cannot be carried out: its owner does not exist any more/g;
is($complaints, 1, 'and it is told of once');
sql("SELECT etl.alter_pipeline('ghostly', owner => 'loader'); SELECT etl.recover()");
comes_true("SELECT count(*) = 1 FROM etl.run_status WHERE pipeline = 'ghostly' AND state = 'success'", 'with an owner it goes on with what is owed');

# Times while paused are not owed, whoever looks.
sql("SELECT etl.resume_pipeline('paused')");
is(sql("SELECT next_run_at > now() FROM etl.schedule_status WHERE pipeline = 'paused'"), 't', 'resumed: from now on');
tick('paused');
is(count_runs('paused'), 0, 'resumed: nothing is owed');
# Nor are those before a new schedule or time zone; other changes leave alone what is owed.
is( sql(qq{
		BEGIN;
		UPDATE etl.schedule SET decided_until = now() - interval '3 h';
		SELECT etl.alter_pipeline('paused', description => 'x', schedule => '$hourly');
		SELECT next_run_at < now() FROM etl.schedule_status WHERE pipeline = 'paused';
		ROLLBACK}),
	"\nt", 'altered: still owed');
owe('paused', 2);
sql("SELECT etl.alter_pipeline('paused', timezone => 'Asia/Tokyo')");
is(sql("SELECT next_run_at > now() FROM etl.schedule_status WHERE pipeline = 'paused'"), 't', 'another time zone: from now on');

# Ticks and the launcher at once.
owe('race_all', 6, 'anew');
my $poke = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', 'SELECT etl.recover()' ], '>', \my $poked, '2>&1');
tick('race_all');
$poke->finish;
comes_true("SELECT count(*) = 6 FROM etl.run_status WHERE pipeline = 'race_all' AND state = 'success'", 'ticks and launcher: one run for each time');
is(runs('race_all'), join("\n", map { "success $_" } reverse(0 .. 5)), 'ticks and launcher: and no other');

# The scheduler waits for nobody's transaction.
my $holder = $node->background_psql('postgres');
$holder->query_safe("BEGIN; SELECT etl.alter_pipeline('locked', description => 'not yet')");
owe('locked', 1);
owe('once', 1, 'anew');
sql('SELECT etl.recover()');
comes_true("SELECT count(*) = 1 FROM etl.run_status WHERE pipeline = 'once' AND state = 'success'", 'locked: the others go on');
is(count_runs('locked'), 0, 'locked: no run yet');
$holder->query_safe('COMMIT');
comes_true("SELECT count(*) = 1 FROM etl.run_status WHERE pipeline = 'locked' AND state = 'success'", 'locked: then it runs');
$holder->quit;

# A copy of the database starts nothing by itself.
sql('CREATE DATABASE copy TEMPLATE postgres', 'template1');
is(sql('SELECT count(next_run_at) FROM etl.schedule_status', 'copy'), 0, 'copy: no schedule is carried out');
sql("DELETE FROM etl.run; UPDATE etl.schedule SET decided_until = now() - interval '3 h'", 'copy');
sql("SELECT etl.run_pipeline('by_hand')", 'copy');
is(sql("SELECT string_agg(DISTINCT pipeline, ',') FROM etl.run_status", 'copy'), 'by_hand', 'copy: nor does its scheduler, when it is at work');
sql("SELECT etl.resume_pipeline('restored')", 'copy');
is(sql('SELECT pipeline FROM etl.schedule_status WHERE next_run_at > now()', 'copy'), 'restored', 'copy: resume_pipeline lets one begin');
sql('SELECT etl.recover()', 'copy');
is(sql('SELECT count(*) FROM etl.schedule_status WHERE next_run_at IS NULL', 'copy'), 0, 'copy: etl.recover() lets all begin');

$node->stop;
done_testing();
