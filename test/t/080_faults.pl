# Attempts that fail, are killed, terminated or cancelled at each point that matters: whatever happens, the target is what
# plain SQL computes from the source, nothing is lost or there twice, progress agrees with the data, and nothing is left
# behind. Needs a build with fault points (make FAULTS=1; see src/fault.h), whose directory is in ETL_TEST_FAULTS.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use EtlPoll;

my $install = $ENV{ETL_TEST_FAULTS};
plan skip_all => 'needs a build with fault points in ETL_TEST_FAULTS' unless $install;

my $node = PostgreSQL::Test::Cluster->new('faults', install_path => $install);
$node->init;
$node->append_conf('postgresql.conf', <<"CONF");
shared_preload_libraries = 'etl_ext'
max_worker_processes = 16
restart_after_crash = on
unix_socket_permissions = 0700
etl.writer_wait = '200ms'
CONF
$node->start;

sub sql
{
	my ($statement) = @_;
	return $node->safe_psql('postgres', $statement);
}

# The source is on another server as far as etl_ext knows: a foreign table of this very server. Its history is the oracle of
# what an append load has to have taken; each change is made after the run before has ended, so that every version is seen.
my ($host, $port) = ($node->host, $node->port);
sql(qq{
CREATE EXTENSION etl_ext;
CREATE EXTENSION postgres_fdw;
CREATE SCHEMA shop;
CREATE TABLE shop.orders (id int PRIMARY KEY, grp int NOT NULL, amount int NOT NULL, version bigint NOT NULL);
CREATE TABLE shop.history (id int, amount int, version bigint);
CREATE SEQUENCE shop.version;
CREATE FUNCTION shop.stamp() RETURNS trigger LANGUAGE plpgsql AS \$\$
BEGIN
  NEW.version := nextval('shop.version');
  INSERT INTO shop.history VALUES (NEW.id, NEW.amount, NEW.version);
  RETURN NEW;
END \$\$;
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.stamp();
-- 60 changes: with chunks of 25 rows an extract commits twice on its way.
CREATE FUNCTION shop.change() RETURNS void LANGUAGE sql AS \$\$
  UPDATE shop.orders SET amount = amount + 1 WHERE id IN (SELECT id FROM shop.orders ORDER BY (id * 7919) % 104729, id LIMIT 20);
  INSERT INTO shop.orders (id, grp, amount)
  SELECT coalesce((SELECT max(id) FROM shop.orders), 0) + n, n % 7, n FROM generate_series(1, 60 - least(20, (SELECT count(*) FROM shop.orders))) AS n;
\$\$;
CREATE SERVER loop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'postgres');
CREATE USER MAPPING FOR CURRENT_USER SERVER loop;
CREATE SCHEMA remote;
IMPORT FOREIGN SCHEMA shop LIMIT TO (orders) FROM SERVER loop INTO remote;
CREATE TABLE mark (run_id bigint);

SELECT etl.create_pipeline('p');
SELECT etl.add_extract('p', 'extract', 'remote.orders', 'public.raw', cursor_column => 'version', primary_key => '{id}',
         chunk_rows => 25, retry_delays => '{0 s}');
SELECT etl.add_load('p', 'merge', 'SELECT id, grp, amount, version FROM raw', 'public.fact', '{id}', order_by => 'version', retry_delays => '{0 s}');
SELECT etl.add_load('p', 'append', 'SELECT id, amount, version FROM raw', 'public.log', mode => 'append', retry_delays => '{0 s}');
SELECT etl.add_aggregate('p', 'aggregate', 'SELECT grp, count(*) AS orders, sum(amount) AS amount FROM fact GROUP BY 1', 'public.total', '{grp}',
         retry_delays => '{0 s}');
SELECT etl.add_sql('p', 'sql', 'INSERT INTO mark SELECT etl.run_id()', depends_on => '{aggregate,append}', retry_delays => '{0 s}');
});

# differ compares two queries as multisets; the result names the comparison when they differ.
sub differ
{
	my ($name, $one, $other) = @_;
	return "SELECT '$name' WHERE EXISTS (($one) EXCEPT ALL ($other)) OR EXISTS (($other) EXCEPT ALL ($one))";
}

# broken names a rule when a query returns rows that break it.
sub broken
{
	my ($name, $query) = @_;
	return "SELECT '$name' WHERE EXISTS ($query)";
}

# What is always so once a run has ended, however it ended.
my @always = (
	broken('a version twice in raw', 'SELECT FROM raw GROUP BY id, version HAVING count(*) > 1'),
	broken('a row in raw that the source never had', 'SELECT id, amount, version FROM raw EXCEPT SELECT * FROM shop.history'),
	broken('an order twice in fact', 'SELECT FROM fact GROUP BY id HAVING count(*) > 1'),
	broken('a version twice in log', 'SELECT FROM log GROUP BY id, version HAVING count(*) > 1'),
	differ('the ledger of batches', q{SELECT batch_id, row_count FROM etl.batch WHERE target = 'public.raw'}, 'SELECT _etl_batch, count(*) FROM raw GROUP BY 1'),
	differ('rows that attempts say they stored', q{SELECT task_run_id, rows_inserted FROM etl.task_run WHERE task = 'extract' AND rows_inserted > 0},
		q{SELECT task_run_id, sum(row_count)::bigint FROM etl.batch WHERE target = 'public.raw' GROUP BY 1}),
	differ('rows that merge says it stored', q{SELECT coalesce(sum(rows_inserted), 0)::bigint FROM etl.task_run WHERE task = 'merge'}, 'SELECT count(*) FROM fact'),
	differ('rows that append says it stored', q{SELECT coalesce(sum(rows_inserted), 0)::bigint FROM etl.task_run WHERE task = 'append'}, 'SELECT count(*) FROM log'),
	broken('a load is ahead of its input', 'SELECT FROM etl.consumed AS c WHERE batch_id > (SELECT max(b.batch_id) FROM etl.batch AS b WHERE b.target = c.input)'),
	broken('fact disagrees with its position', q{(SELECT id, max(version) FROM raw WHERE _etl_batch <= coalesce((SELECT batch_id FROM etl.consumed
		JOIN etl.task USING (task_id) WHERE name = 'merge'), 0) GROUP BY 1) EXCEPT SELECT id, version FROM fact}),
	differ('log disagrees with its position', q{SELECT id, version FROM raw WHERE _etl_batch <= coalesce((SELECT batch_id FROM etl.consumed
		JOIN etl.task USING (task_id) WHERE name = 'append'), 0)}, 'SELECT id, version FROM log'),
	differ('the watermark is not that of raw', 'SELECT max(reached::bigint) FROM etl.watermark', 'SELECT max(version) FROM raw'),
	differ('sql tasks that succeeded', q{SELECT run_id FROM etl.task_run WHERE task = 'sql' AND state = 'success'}, 'SELECT run_id FROM mark'),
	broken('two successes of one task in one run', q{SELECT FROM etl.task_run WHERE state = 'success' GROUP BY run_id, task_id HAVING count(*) > 1}),
	broken('a run is active', q{SELECT FROM etl.run WHERE state IN ('queued', 'running')}),
	broken('a task is active', q{SELECT FROM etl.task_run WHERE state IN ('waiting', 'ready', 'running', 'retry')}),
	broken('an attempt of the past has no end', 'SELECT FROM etl.task_run WHERE ended_at IS NULL'),
	broken('a lock is left', q{SELECT FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a USING (pid)
		WHERE l.locktype = 'advisory' AND l.objsubid BETWEEN x'E71'::int AND x'E7F'::int
		  AND a.backend_type IS DISTINCT FROM 'etl scheduler' AND a.backend_type IS DISTINCT FROM 'etl launcher'}),
	broken('a temporary table is left', q{SELECT FROM pg_class WHERE relpersistence = 't'}));

# What is so in addition once a run has succeeded.
my @complete = (
	differ('fact is not the source', 'SELECT id, grp, amount, version FROM fact', 'SELECT id, grp, amount, version FROM shop.orders'),
	differ('total is not that of the source', 'SELECT grp, orders, amount FROM total',
		'SELECT grp, count(*), sum(amount) FROM shop.orders GROUP BY 1'),
	differ('log is not the history of the source', 'SELECT id, amount, version FROM log', 'SELECT * FROM shop.history'),
	differ('raw is not the history of the source', 'SELECT id, amount, version FROM raw', 'SELECT * FROM shop.history'),
	differ('the watermark is not the end of the source', 'SELECT max(reached::bigint) FROM etl.watermark', 'SELECT max(version) FROM shop.history'),
	broken('a load has not taken everything', 'SELECT FROM etl.consumed AS c WHERE batch_id < (SELECT max(b.batch_id) FROM etl.batch AS b WHERE b.target = c.input)'));

# until waits for a query to return true. verify names what is wrong with a run: its state, the attempts of a task, the rules.
my $always = join("\nUNION ALL\n", @always);
my $complete = join("\nUNION ALL\n", @always, @complete);
sql(qq{
CREATE PROCEDURE until(query text) LANGUAGE plpgsql AS \$\$
DECLARE done boolean := false;
BEGIN
  FOR i IN 1 .. 6000 LOOP
    EXECUTE query INTO done;
    EXIT WHEN done;
    PERFORM pg_sleep(0.01);
    PERFORM pg_stat_clear_snapshot();
  END LOOP;
  IF NOT done THEN RAISE 'this does not come true: %', query; END IF;
END \$\$;
CREATE FUNCTION verify(run bigint, expected_state text, of_task text, expected_attempts text) RETURNS SETOF text LANGUAGE plpgsql AS \$\$
#variable_conflict use_column
DECLARE
  ended_as text := (SELECT r.state FROM etl.run AS r WHERE run_id = run);
  attempts text := (SELECT string_agg(concat_ws(' ', attempt, x.state, error_sqlstate), ', ' ORDER BY attempt)
                    FROM etl.task_run AS x WHERE task = of_task AND run_id = run);
BEGIN
  IF ended_as <> expected_state THEN RETURN NEXT format('the run is %s, not %s', ended_as, expected_state); END IF;
  IF attempts <> expected_attempts THEN RETURN NEXT format('attempts are %s, not %s', attempts, expected_attempts); END IF;
  IF ended_as = 'success' THEN RETURN QUERY $complete; ELSE RETURN QUERY $always; END IF;
END \$\$;
});

# Pieces of scripts. start leaves the number of the new run, end waits for it, clean is a run that must find nothing to do.
my $start = "SELECT etl.run_pipeline('p', wait => false) AS run \\gset\n";
my $end = q{SELECT etl.wait_for_run(:run) AS state \gset
CALL until($$SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'etl executor'$$);
};
my $clean = $start . $end . q{SELECT 'the run after it is ' || :'state' WHERE :'state' <> 'success';
SELECT 'the run after it changes ' || task FROM etl.task_run WHERE run_id = :run AND task <> 'sql'
  AND (rows_inserted > 0 OR rows_updated > 0 OR rows_deleted > 0 OR rows_rejected > 0);
};

# check_case runs a script that prints what is wrong, as one test. offset: of the server's log, where the fault must be named.
sub check_case
{
	my ($name, $script, $offset, $fault) = @_;
	my ($out, $err) = ('', '');
	my $status = $node->psql('postgres', $script, stdout => \$out, stderr => \$err, on_error_stop => 1);
	$err =~ s/^.*NOTICE: .*\n?//mg;
	$out .= "\n$err" if $status != 0;
	$out .= "\nthe fault did not happen" if $fault && slurp_file($node->logfile, $offset) !~ /etl fault: \Q$fault\E/;
	is($out, '', $name);
	return;
}

# fault is the script that asks for a fault in the first attempt of a task, and changes the source.
sub fault
{
	my ($point, $task, $action, $nth) = @_;
	return "ALTER DATABASE postgres SET etl.fault = '$point:$task:1:$action:$nth';\nDO 'BEGIN PERFORM shop.change(); END';\n";
}

my $no_fault = "ALTER DATABASE postgres RESET etl.fault;\n";

# Faults that the run survives. sqlstate is that of the first attempt; what has committed stays, a fault after it changes nothing.
sub survive
{
	my ($point, $task, $nth, $last, $action, $sqlstate) = @_;
	my $offset = -s $node->logfile;
	my $attempts = $last ? '1 success' : "1 failed $sqlstate, 2 success";
	my $script = fault($point, $task, $action, $nth) . $start;
	if ($action eq 'kill')
	{
		# The server may go down before this session has its answer, or during the next one, which waits for that.
		$node->psql('postgres', $script . 'SELECT etl.wait_for_run(:run)');
		$node->poll_query_until('postgres', q{SELECT bool_and(ended_at IS NOT NULL) FROM etl.run});
		$script = "SELECT max(run_id) AS run FROM etl.run \\gset\n";
	}
	check_case("$task, $point $nth, $action", $script . $end . $no_fault . "SELECT verify(:run, 'success', '$task', '$attempts');\n" . $clean,
		$offset, "$point:$task:1:$action");
	return;
}

# A run that is cancelled while an attempt waits at the point, for a lock that this session holds. Behind its commit nobody
# interrupts the attempt: it goes on when it is let.
sub cancel
{
	my ($point, $task, $nth, $last, $how) = @_;
	my $offset = -s $node->logfile;
	my $waits = q{FROM pg_locks WHERE objsubid = 1 AND objid = 77 AND NOT granted};
	my $state = $last && $task eq 'sql' ? 'success' : 'cancelled';
	my $attempts = $last ? '1 success' : '1 cancelled 57014';
	my $again = $how eq 'retry_run' && $state eq 'cancelled' ? "SELECT etl.retry_run(:run, wait => false) AS run \\gset\n" : $start;
	check_case("$task, $point $nth, cancel, then $how",
		"DO 'BEGIN PERFORM pg_advisory_lock(77); END';\n" . fault($point, $task, 'wait', $nth) . $start
		  . "CALL until(\$\$SELECT count(*) = 1 $waits\$\$);\nSELECT etl.cancel_run(:run) AS cancelled \\gset\n"
		  . ($last ? '' : "CALL until(\$\$SELECT count(*) = 0 $waits\$\$);\n") . "DO 'BEGIN PERFORM pg_advisory_unlock_all(); END';\n"
		  . $end . $no_fault . "SELECT verify(:run, '$state', '$task', '$attempts');\n"
		  . $again . $end . "SELECT verify(:run, 'success', '', '');\n" . $clean,
		$offset, "$point:$task:1:wait");
	return;
}

# Point, task, which time, and whether it is the attempt's last commit that it follows. An extract commits before each wait for its
# source as well: the 9th time with its second chunk, the 11th and last time with its third.
my @points = (
	[ 'claimed', 'extract', 1 ], [ 'fetched', 'extract', 2 ], [ 'raw_written', 'extract', 2 ], [ 'before_commit', 'extract', 9 ],
	[ 'after_commit', 'extract', 9 ], [ 'before_commit', 'extract', 11 ], [ 'after_commit', 'extract', 11, 1 ]);
for my $task ('merge', 'append', 'aggregate')
{
	push @points, map { [ $_, $task, 1 ] } 'claimed', 'before_merge', 'after_merge', 'before_commit';
	push @points, [ 'after_commit', $task, 1, 1 ];
}
push @points, [ 'claimed', 'sql', 1 ], [ 'before_commit', 'sql', 1 ], [ 'after_commit', 'sql', 1, 1 ];

# Without a fault first: raw has its partitions, the targets exist.
check_case('without a fault', "DO 'BEGIN PERFORM shop.change(); END';\n" . $start . $end . "SELECT verify(:run, 'success', 'sql', '1 success');\n" . $clean);

my $n = 0;
for my $point (@points)
{
	my ($where, $task, $nth, $last) = @$point;
	survive($where, $task, $nth, $last, 'error', '40001');
	survive($where, $task, $nth, $last, 'terminate', '57P01');
	survive($where, $task, $nth, $last, 'kill', 'ZE010');
	cancel($where, $task, $nth, $last, $n++ % 2 ? 'retry_run' : 'run_pipeline');
}

# An error that no retry helps: the run fails, what it had committed stays, the next run does the rest.
for my $point ([ 'raw_written', 'extract', 2 ], [ 'after_merge', 'merge', 1 ], [ 'before_commit', 'sql', 1 ])
{
	my ($where, $task, $nth) = @$point;
	my $offset = -s $node->logfile;
	check_case("$task, $where $nth, final error", fault($where, $task, 'error_final', $nth) . $start . $end . $no_fault
		  . "SELECT verify(:run, 'failed', '$task', '1 failed 22012');\n" . $start . $end . "SELECT verify(:run, 'success', 'sql', '1 success');\n" . $clean,
		$offset, "$where:$task:1:error_final");
}

$node->stop;
done_testing();
