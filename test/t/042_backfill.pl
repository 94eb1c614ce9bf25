# Backfills: what their extracts read and leave alone, their order, failures, cancelling, pausing, crashes.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('backfill');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 16\nrestart_after_crash = on\ntimezone = 'UTC'\nlog_min_messages = log\n");
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

# begin starts a backfill and returns its number; finish waits until it has ended and returns its state and counts.
sub begin
{
	my ($arguments) = @_;
	return sql("SELECT max(backfill_id) FROM etl.backfill($arguments)");
}

sub status
{
	my ($backfill) = @_;
	return sql(qq{SELECT concat_ws(' ', state, intervals, done, failed, active, remaining) FROM etl.backfill_status WHERE backfill_id = $backfill});
}

sub finish
{
	my ($backfill) = @_;
	$node->poll_query_until('postgres', "SELECT state <> 'running' FROM etl.backfill WHERE backfill_id = $backfill")
		or diag(sql("SELECT task, state, error_message FROM etl.task_run JOIN etl.run USING (run_id) WHERE backfill_id = $backfill"));
	return status($backfill);
}

# days lists the days whose runs a backfill made, in the order of their creation, with a state where it is not success.
sub days
{
	my ($backfill) = @_;
	return sql(qq{SELECT string_agg(extract(day FROM interval_start) || CASE WHEN state = 'success' THEN '' ELSE ' ' || state END, ', ' ORDER BY run_id)
		FROM etl.run WHERE backfill_id = $backfill});
}

# extract_of describes what the extract of the last run of a backfill did.
sub extract_of
{
	my ($task) = @_;
	return sql(qq{SELECT concat_ws(' ', state, rows_read, rows_inserted, message) FROM etl.task_run WHERE task = '$task' ORDER BY task_run_id DESC LIMIT 1});
}

my $gate;
sub close_gate
{
	$gate = $node->background_psql('postgres');
	$gate->query_safe('SELECT pg_advisory_lock(1)');
	return;
}
sub open_gate { $gate->query_safe('SELECT pg_advisory_unlock_all()'); $gate->quit; return; }
my $waiting = q{(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND NOT granted)};
my $no_worker = q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'etl%'};

# Ten days of twelve rows; the first of each day is at midnight.
sql(q{
CREATE EXTENSION etl_ext;
CREATE TABLE source (id int PRIMARY KEY, v text, at timestamptz);
INSERT INTO source SELECT n, 'v' || n, '2026-01-01'::timestamptz + (n - 1) * interval '2 h' FROM generate_series(1, 120) AS n;
SELECT etl.create_pipeline('live');
SELECT etl.add_extract('live', 'extract', 'source', 'public.raw', cursor_column => 'at', primary_key => '{id}', chunk_rows => 5, lag => '1 h');
SELECT etl.add_load('live', 'load', 'SELECT id, v, at FROM raw', 'public.fact', '{id}');
SELECT etl.run_pipeline('live');
});
my $watermark = q{SELECT concat_ws(' ', xmin, value, run_id, updated_at) FROM etl.watermark};
my $differences = q{SELECT count(*) FROM (TABLE source EXCEPT TABLE fact UNION ALL (TABLE fact EXCEPT TABLE source)) AS x};
is(sql($differences), 0, 'live: everything is there');

# Rows of the third day change and come late, without a cursor that would tell.
sql(q{UPDATE source SET v = 'changed' WHERE at >= '2026-01-03' AND at < '2026-01-04';
INSERT INTO source VALUES (1000, 'late', '2026-01-03 11:11:11.123456'), (1001, 'next day', '2026-01-04 11:11')});
sql("SELECT etl.run_pipeline('live')");
is(sql($differences), 26, 'live: a run does not see them');
my $before = sql($watermark);
my $rows = sql('SELECT count(*) FROM raw');
my $backfill = begin(q{'live', '2026-01-03', '2026-01-04'});
is(finish($backfill), 'success 1 1 0 0 0', 'one day: it succeeds');
is(sql($differences), 1, 'one day: its rows are there, those of the next day are not');
is(sql('SELECT count(*) FROM raw'), $rows + 13, 'one day: exactly its rows were appended');
is(sql($watermark), $before, 'one day: the watermark was not written');
is(sql(qq{SELECT count(*) || ' ' || sum(row_count) || ' ' || min(cursor_from) || ' ' || max(cursor_to) || ' ' || bool_and(backfill)
	FROM etl.batch WHERE run_id = (SELECT max(run_id) FROM etl.run)}), '3 13 2026-01-03 00:00:00+00 2026-01-03 22:00:00+00 true',
	'one day: in chunks, from its start to before its end');
is(sql(q{SELECT count(*) FROM etl.batch WHERE NOT backfill}), 24, 'one day: batches of live runs are told apart');
sql("INSERT INTO source VALUES (1002, 'new', '2026-01-10 23:30')");
sql("SELECT etl.run_pipeline('live')");
is(sql('SELECT value FROM etl.watermark'), '2026-01-10 23:30:00+00', 'the next live run goes on from the watermark');
is(extract_of('extract'), 'success 2 1', 'the next live run: reads the last hour, appends what is new');
is(finish(begin(q{'live', '2026-01-01', '2026-01-05'})), 'success 3 3 0 0 0', 'the day that is done is left out');
is(sql($differences), 0, 'everything is there');

# Ahead of the live runs.
sql("INSERT INTO source VALUES (1003, 'ahead', '2026-01-12 12:00')");
is(finish(begin(q{'live', '2026-01-12', '2026-01-13'})), 'success 1 1 0 0 0', 'ahead: it succeeds');
is(sql('SELECT value FROM etl.watermark'), '2026-01-10 23:30:00+00', 'ahead: the watermark stays behind');
sql("INSERT INTO source VALUES (1004, 'between', '2026-01-11 12:00'); SELECT etl.run_pipeline('live')");
is(extract_of('extract'), 'success 3 2', 'ahead: the next live run reads from there, and takes up what the backfill took');
is(sql($differences), 0, 'ahead: everything is there');

# What is appended again hides no row that the source gets later, also where equal rows are counted.
sql(q{
CREATE TABLE twins (v text, at timestamptz);
INSERT INTO twins VALUES ('a', '2026-01-02');
SELECT etl.create_pipeline('twins');
SELECT etl.add_extract('twins', 'twins', 'twins', 'public.raw_twins', cursor_column => 'at', lag => '1 day');
SELECT etl.run_pipeline('twins');
});
finish(begin(q{'twins', '2026-01-02', '2026-01-03'}));
is(sql('SELECT count(*) FROM raw_twins'), 2, 'equal rows: the backfill appended its own');
sql("INSERT INTO twins VALUES ('a', '2026-01-02'); SELECT etl.run_pipeline('twins')");
is(extract_of('twins'), 'success 2 1', 'equal rows: the second one of the source is new');

# Cursors of other types. Times without a zone are UTC; dates are days of the pipeline's zone, each in one interval.
sql(q{
CREATE TABLE kinds (id int PRIMARY KEY, ts timestamp, d date, n int);
INSERT INTO kinds SELECT n, '2026-01-01'::timestamp + (n - 1) * interval '6 h', '2026-01-01'::date + n, n FROM generate_series(0, 40) AS n;
SELECT etl.create_pipeline('kinds', timezone => 'America/New_York');
SELECT etl.add_extract('kinds', 'by_time', 'kinds', 'public.raw_time', cursor_column => 'ts', primary_key => '{id}');
SELECT etl.add_extract('kinds', 'by_day', 'kinds', 'public.raw_day', cursor_column => 'd');
SELECT etl.add_extract('kinds', 'by_number', 'kinds', 'public.raw_number', cursor_column => 'n');
SELECT etl.add_extract('kinds', 'whole', 'kinds', 'public.raw_whole');
SELECT etl.run_pipeline('kinds');
});
$before = sql('SELECT string_agg(w::text, chr(10) ORDER BY task_id) FROM etl.watermark AS w');
finish(begin(q{'kinds', '2026-01-05 America/New_York', '2026-01-06 America/New_York'}));
is(sql(q{SELECT string_agg(DISTINCT ts::text, ', ') FROM raw_time WHERE _etl_batch IN (SELECT batch_id FROM etl.batch WHERE backfill)}),
	'2026-01-05 06:00:00, 2026-01-05 12:00:00, 2026-01-05 18:00:00, 2026-01-06 00:00:00', 'timestamp: read as UTC');
is(sql(q{SELECT string_agg(d::text, ', ') FROM raw_day WHERE _etl_batch IN (SELECT batch_id FROM etl.batch WHERE backfill)}),
	'2026-01-05', 'date: a day of the pipeline');
is(extract_of('by_number'), 'success 0 0 Nothing was read: the cursor column "n" is of type integer, which says nothing about the interval.',
	'number: nothing is read');
is(extract_of('whole'), 'success 0 0 Nothing was read: without cursor_column the extract does not know which rows belong to the interval.',
	'no cursor: nothing is read');
is(sql('SELECT string_agg(w::text, chr(10) ORDER BY task_id) FROM etl.watermark AS w'), $before, 'no watermark was written');
sql('TRUNCATE raw_day');
sql(q{UPDATE etl.pipeline SET timezone = 'Asia/Tokyo' WHERE name = 'kinds'});
finish(begin(q{'kinds', '2026-01-10 Asia/Tokyo', '2026-01-13 12:00 Asia/Tokyo', step => '7 hours', tasks => '{by_day}'}));
is(sql(q{SELECT string_agg(d::text, ', ' ORDER BY d) FROM raw_day}), '2026-01-10, 2026-01-11, 2026-01-12, 2026-01-13',
	'date: each day once, however it is cut');

# The interval in task SQL. The function fails on days in "bad" and waits behind the gate on days in "held".
sql(q{
CREATE TABLE bad (day date);
CREATE TABLE held (day date);
CREATE TABLE seen (n serial, run_id bigint, since timestamptz, until timestamptz, logical timestamptz, p text);
CREATE FUNCTION visit(day date) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM bad WHERE bad.day = visit.day) THEN RAISE EXCEPTION '% is bad', day; END IF;
  IF EXISTS (SELECT FROM held WHERE held.day = visit.day) THEN PERFORM pg_advisory_xact_lock_shared(1); END IF;
END $$;
SELECT etl.create_pipeline('bf');
SELECT etl.add_extract('bf', 'extract', 'source', 'public.raw_bf', cursor_column => 'at', primary_key => '{id}',
  filter => 'at < etl.interval_end() - interval ''12 h'' OR etl.interval_start() IS NULL');
SELECT etl.add_load('bf', 'load', 'SELECT id, v, etl.interval_start() AS since, etl.interval_end() AS until FROM raw_bf', 'public.fact_bf', '{id}');
SELECT etl.add_sql('bf', 'visit', 'INSERT INTO seen (run_id, since, until, logical, p) VALUES (etl.run_id(), etl.interval_start(), etl.interval_end(), etl.logical_time(), etl.param(''p''));
  SELECT visit(etl.interval_start()::date)', depends_on => '{load}', retry_delays => '{0 s}');
});
$backfill = begin(q{'bf', '2026-01-05', '2026-01-06', params => '{"p": "x"}'});
is(finish($backfill), 'success 1 1 0 0 0', 'interval: it succeeds');
is(sql(q{SELECT concat_ws(', ', since, until, logical, p) FROM seen}),
	'2026-01-05 00:00:00+00, 2026-01-06 00:00:00+00, 2026-01-06 00:00:00+00, x', 'interval: in a task of kind sql, with the parameters');
is(sql(q{SELECT concat_ws(', ', count(*), min(since), max(until)) FROM fact_bf}), '6, 2026-01-05 00:00:00+00, 2026-01-06 00:00:00+00',
	'interval: in a filter and in a load');
is(sql(q{SELECT count(*) FROM etl.watermark AS w JOIN etl.task AS t USING (task_id) JOIN etl.pipeline AS p USING (pipeline_id) WHERE p.name = 'bf'}),
	0, 'interval: a backfill makes no watermark');

# One interval fails: the others are done, and only it is repeated.
sql("INSERT INTO bad VALUES ('2026-01-02')");
$backfill = begin(q{'bf', '2026-01-01', '2026-01-04'});
is(finish($backfill), 'failed 3 2 1 0 0', 'failure: the others are done');
is(days($backfill), '1, 2 failed, 3', 'failure: the oldest first, and on after the failure');
is(sql(q{SELECT string_agg(extract(day FROM interval_start) || ' ' || regexp_replace(action, '\d+', 'N'), ', ') FROM etl.backfill('bf', '2026-01-01', '2026-01-06', reprocess => 'failed', dry_run => true)}),
	'1 skip: run N succeeded, 2 run, 3 skip: run N succeeded, 4 skip: there was no run, 5 skip: run N succeeded', 'failure: what would be repeated');
is(status($backfill), 'failed 3 2 1 0 0', 'dry run: nothing is written');
sql('TRUNCATE bad');
$backfill = begin(q{'bf', '2026-01-01', '2026-01-04', reprocess => 'failed'});
is(finish($backfill), 'success 1 1 0 0 0', 'repetition: it succeeds');
is(days($backfill), '2', 'repetition: exactly the failed day');
is(sql(q{SELECT count(*) FROM etl.backfill('bf', '2026-01-01', '2026-01-04', reprocess => 'failed', dry_run => true) WHERE action = 'run'}), 0,
	'repetition: nothing is left to repeat');

# Newest first.
$backfill = begin(q{'bf', '2026-01-01', '2026-01-04', reprocess => 'all', newest_first => true});
is(finish($backfill), 'success 3 3 0 0 0', 'newest first: it succeeds');
is(days($backfill), '3, 2, 1', 'newest first: the order');

# Two at a time; a live run in between.
sql("INSERT INTO held SELECT '2026-01-01'::date + n FROM generate_series(0, 9) AS n");
close_gate();
$backfill = begin(q{'bf', '2026-01-01', '2026-01-06', reprocess => 'all', max_active => 2});
comes_true("SELECT $waiting = 2", 'two at a time: two are at work');
is(status($backfill), 'running 5 0 0 2 3', 'two at a time: no third one was created');
my $run = sql("SELECT etl.run_pipeline('bf', logical_time => '2026-01-20')");
is(sql("SELECT state FROM etl.run WHERE run_id = $run"), 'success', 'a live run does not wait for the backfill');
is(status($backfill), 'running 5 0 0 2 3', 'two at a time: still');
open_gate();
is(finish($backfill), 'success 5 5 0 0 0', 'two at a time: all are done');

# Cancelled: what is active ends, nothing follows.
close_gate();
$backfill = begin(q{'bf', '2026-01-01', '2026-01-06', reprocess => 'all', max_active => 2});
comes_true("SELECT $waiting = 2", 'cancel: two are at work');
is(sql("BEGIN; SELECT etl.cancel_backfill($backfill); ROLLBACK"), 't', 'cancel: rolled back');
is(status($backfill), 'running 5 0 0 2 3', 'cancel: rolled back, nothing happens');
is(sql("SELECT etl.cancel_backfill($backfill)"), 't', 'cancel: done');
comes_true("SELECT active = 0 FROM etl.backfill_status WHERE backfill_id = $backfill", 'cancel: the active ones end');
is(status($backfill), 'cancelled 5 0 2 0 3', 'cancel: no more are created');
is(sql("SELECT string_agg(DISTINCT state || ' ' || regexp_replace(message, '\\d+', 'N'), '') FROM etl.run WHERE backfill_id = $backfill"),
	sql("SELECT 'cancelled cancelled with backfill N by ' || current_user"), 'cancel: the runs say why');
open_gate();
comes_true($no_worker, 'cancel: the scheduler leaves');
is(status($backfill), 'cancelled 5 0 2 0 3', 'cancel: it stays as it is');

# Paused: what is active goes on, the rest waits without a scheduler and goes on by itself.
close_gate();
$backfill = begin(q{'bf', '2026-01-01', '2026-01-04', reprocess => 'all'});
comes_true("SELECT $waiting = 1", 'pause: one is at work');
sql("SELECT etl.pause_pipeline('bf')");
open_gate();
comes_true($no_worker, 'pause: the scheduler leaves');
is(status($backfill), 'running 3 1 0 0 2', 'pause: the active one went on, the rest waits');
sql("SELECT etl.resume_pipeline('bf')");
is(finish($backfill), 'success 3 3 0 0 0', 'pause: after resuming it goes on by itself');

# Somebody holds the pipeline in an open transaction: the scheduler waits for nobody.
sql("SELECT etl.create_pipeline('kick'); SELECT etl.add_sql('kick', 'nothing', 'SELECT 1')");
close_gate();
$backfill = begin(q{'bf', '2026-01-01', '2026-01-03', reprocess => 'all'});
comes_true("SELECT $waiting = 1", 'held pipeline: one is at work');
my $holder = $node->background_psql('postgres');
$holder->query_safe(q{BEGIN; SELECT etl.alter_pipeline('bf', description => 'held')});
open_gate();
comes_true("SELECT active = 0 FROM etl.backfill_status WHERE backfill_id = $backfill", 'held pipeline: the run ends');
sql("SET statement_timeout = '60 s'; SELECT etl.run_pipeline('kick')");
is(status($backfill), 'running 2 1 0 0 1', 'held pipeline: other pipelines run, the next interval waits');
$holder->query_safe('COMMIT');
$holder->quit;
sql("SELECT etl.run_pipeline('kick')");
is(finish($backfill), 'success 2 2 0 0 0', 'held pipeline: it goes on');

# A backfill that begins while the scheduler is busy with something short is not forgotten.
close_gate();
sql("SELECT etl.add_sql('kick', 'hold', 'SELECT pg_advisory_xact_lock_shared(1)'); TRUNCATE held");
$run = sql("SELECT etl.run_pipeline('kick', wait => false)");
comes_true("SELECT $waiting = 1", 'short run: it is at work');
$backfill = begin(q{'bf', '2026-01-01', '2026-01-02', reprocess => 'all'});
open_gate();
is(finish($backfill), 'success 1 1 0 0 0', 'short run: the backfill is done');
sql("SELECT etl.drop_task('kick', 'hold')");

# The scheduler dies, the server dies: whoever comes next goes on, and each interval is done once.
sql("INSERT INTO held VALUES ('2026-01-02')");
for my $how ('terminated scheduler', 'immediate stop')
{
	sql('TRUNCATE seen');
	close_gate();
	$backfill = begin(q{'bf', '2026-01-01', '2026-01-05', reprocess => 'all'});
	comes_true("SELECT $waiting = 1", "$how: the second interval is in the middle");
	is(status($backfill), 'running 4 1 0 1 2', "$how: one is done, one at work");
	if ($how eq 'terminated scheduler')
	{
		sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'etl scheduler'});
		comes_true(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'etl scheduler'}, "$how: it is gone");
	}
	else
	{
		$node->stop('immediate');
		$node->start;
	}
	eval { open_gate(); };
	eval { $gate->quit };
	sql("SELECT etl.run_pipeline('kick')");
	is(finish($backfill), 'success 4 4 0 0 0', "$how: the next run of any pipeline takes it along");
	is(days($backfill), '1, 2, 3, 4', "$how: one run for each interval");
	is(sql(q{SELECT string_agg(extract(day FROM since)::text, ', ' ORDER BY n) FROM seen}), '1, 2, 3, 4', "$how: each was done once");
}
sql('TRUNCATE held');

# What it needs is gone: it ends as failed and says why.
sql(q{
CREATE ROLE owner LOGIN;
CREATE ROLE helper LOGIN;
GRANT owner TO helper;
GRANT USAGE ON SCHEMA etl TO owner, helper;
SELECT etl.create_pipeline('gone', owner => 'owner');
SELECT etl.add_sql('gone', 'wait', 'SELECT pg_advisory_xact_lock_shared(1)');
SELECT etl.add_sql('gone', 'other', 'SELECT 1');
});
for my $case (
	[ q{SET ROLE helper;}, q{REVOKE owner FROM helper}, q{GRANT owner TO helper}, 'permission denied for pipeline "gone"', 'right' ],
	[ q{SET ROLE helper;}, q{REVOKE ALL ON SCHEMA etl FROM helper; DROP ROLE helper}, 'SELECT 1', 'the role that asked for it does not exist any more', 'role' ],
	[ '', q{SELECT etl.drop_task('gone', 'other')}, 'SELECT 1', 'pipeline "gone" has no task "other" that can be run', 'task' ])
{
	my ($as, $take, $back, $message, $what) = @$case;
	close_gate();
	$backfill = sql(qq{$as SELECT max(backfill_id) FROM etl.backfill('gone', '2026-01-01', '2026-01-04', reprocess => 'all', tasks => '{wait,other}')});
	comes_true("SELECT $waiting = 1", "$what is gone: the first interval is in the middle");
	my $offset = -s $node->logfile;
	sql($take);
	open_gate();
	is(finish($backfill), 'failed 3 1 0 0 2', "$what is gone: it ends");
	is(sql("SELECT message FROM etl.backfill_status WHERE backfill_id = $backfill"), $message, "$what is gone: it says why");
	like(slurp_file($node->logfile, $offset), qr/etl_ext: backfill $backfill is given up: \Q$message\E/, "$what is gone: so does the log");
	sql($back);
}
close_gate();
$backfill = begin(q{'gone', '2026-01-01', '2026-01-04', reprocess => 'all'});
comes_true("SELECT $waiting = 1", 'pipeline is gone: the first interval is in the middle');
sql(q{DO $$ BEGIN PERFORM etl.pause_pipeline('gone'); PERFORM etl.cancel_run(max(run_id)) FROM etl.run; END $$});
comes_true("SELECT active = 0 FROM etl.backfill_status WHERE backfill_id = $backfill", 'pipeline is gone: the run ends');
sql("SELECT etl.drop_pipeline('gone')");
open_gate();
is(sql("SELECT count(*) FROM etl.backfill_chunk WHERE backfill_id = $backfill"), 0, 'pipeline is gone: its backfills go with it');
comes_true($no_worker, 'pipeline is gone: the scheduler leaves');

# Over postgres_fdw both ends of the interval are sent to the source.
sql(sprintf(q{
CREATE EXTENSION postgres_fdw;
CREATE SERVER self FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '%s', port '%s', dbname 'postgres');
CREATE USER MAPPING FOR CURRENT_USER SERVER self;
CREATE FOREIGN TABLE remote (id int, v text, at timestamptz) SERVER self OPTIONS (table_name 'source');
SELECT etl.create_pipeline('remote');
SELECT etl.add_extract('remote', 'remote', 'remote', 'public.raw_remote', cursor_column => 'at', primary_key => '{id}', chunk_rows => 5);
ALTER SYSTEM SET log_statement = 'all';
ALTER SYSTEM SET log_line_prefix = '%%a|';
SELECT pg_reload_conf();
}, $node->host, $node->port));
my $offset = -s $node->logfile;
$backfill = begin(q{'remote', '2026-01-03', '2026-01-04'});
is(finish($backfill), 'success 1 1 0 0 0', 'foreign table: it succeeds');
is(extract_of('remote'), 'success 13 13', 'foreign table: the rows of the interval');
my @sent = slurp_file($node->logfile, $offset) =~ /^etl_ext\|LOG:  statement: BEGIN [^;]*; (COPY .*)$/mg;
is(scalar(@sent), 3, 'foreign table: three pages');
is(scalar(grep { /c3 >= '2026-01-03 / && /c3 < '2026-01-04 00:00:00\+00'/ && /ORDER BY s\.c3, s\.c1 LIMIT 6/ } @sent), 3,
	'foreign table: each with both ends, and in order') or diag(join("\n", @sent));

is(sql(q{SELECT count(*) FROM etl.run WHERE state IN ('queued', 'running')}), 0, 'nothing is left active');
$node->stop;
done_testing();
