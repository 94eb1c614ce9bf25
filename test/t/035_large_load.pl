# Large and first loads: whatever ends an attempt, the next one continues behind the last chunk; ranges of the key that several
# workers read; intervals of the cursor; and extracts that read one state of their source. Needs a build with fault points
# (make FAULTS=1; see src/fault.h), whose directory is in ETL_TEST_FAULTS.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use EtlPoll;

my $install = $ENV{ETL_TEST_FAULTS};
plan skip_all => 'needs a build with fault points in ETL_TEST_FAULTS' unless $install;

my $node = PostgreSQL::Test::Cluster->new('large', install_path => $install);
$node->init;
$node->append_conf('postgresql.conf', <<"CONF");
shared_preload_libraries = 'etl_ext'
max_worker_processes = 20
max_logical_replication_workers = 0
max_prepared_transactions = 5
restart_after_crash = on
unix_socket_permissions = 0700
CONF
$node->start;

sub sql
{
	my ($statement) = @_;
	return $node->safe_psql('postgres', $statement);
}

# The source is on another server as far as etl_ext knows. Its cursor is in another order than its key.
my ($host, $port) = ($node->host, $node->port);
sql(qq{
CREATE EXTENSION etl_ext;
CREATE EXTENSION postgres_fdw;
CREATE SCHEMA shop;
CREATE TABLE shop.big (id bigint PRIMARY KEY, v int NOT NULL, updated_at timestamptz NOT NULL DEFAULT clock_timestamp());
INSERT INTO shop.big SELECT n, n, '2024-01-01 00:00+00'::timestamptz + (n * 7919) % 1000 * interval '1 s' FROM generate_series(1, 1000) AS n;
CREATE TABLE shop.lines (a int, b text, v int, PRIMARY KEY (a, b));
INSERT INTO shop.lines SELECT n / 3, 'b' || n % 3, n FROM generate_series(1, 1000) AS n;
CREATE TABLE shop.event (id int, at timestamp);
INSERT INTO shop.event SELECT n, '2024-01-01'::timestamp + n * interval '10 min' FROM generate_series(0, 999) AS n;
INSERT INTO shop.event SELECT n, '2024-06-01'::timestamp + n * interval '10 min' FROM generate_series(1000, 1999) AS n;
INSERT INTO shop.event SELECT n, NULL FROM generate_series(2000, 2009) AS n;
CREATE SERVER loop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'postgres');
CREATE USER MAPPING FOR CURRENT_USER SERVER loop;
CREATE SCHEMA remote;
IMPORT FOREIGN SCHEMA shop FROM SERVER loop INTO remote;
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
});

# define makes a pipeline with one extract x of remote.SOURCE into raw.NAME.
sub define
{
	my ($name, $source, $options) = @_;
	sql("SELECT etl.create_pipeline('$name'); SELECT etl.add_extract('$name', 'x', '$source', 'raw.$name', $options)");
	return;
}

# start begins a run with a fault (NULL: none) and returns its number; finish waits for it and forgets the fault.
sub start
{
	my ($name, $fault, $options) = @_;
	$options = $options ? ", $options" : '';
	sql($fault ? "ALTER DATABASE postgres SET etl.fault = '$fault'" : 'ALTER DATABASE postgres RESET etl.fault');
	return sql("SELECT etl.run_pipeline('$name', wait => false$options)");
}

# A server that goes down answers nobody; then it is asked again.
sub finish
{
	my ($run) = @_;
	$node->poll_query_until('postgres', "SELECT ended_at IS NOT NULL FROM etl.run WHERE run_id = $run");
	$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type IN ('etl executor', 'etl slice')");
	return;
}

sub run
{
	my $run = start(@_);
	finish($run);
	return $run;
}

# attempts of task x: how each ended and how many rows it read.
sub attempts
{
	my ($run) = @_;
	return sql("SELECT string_agg(concat_ws(' ', state, error_sqlstate, rows_read), ', ' ORDER BY attempt) FROM etl.task_run WHERE run_id = $run AND task = 'x'");
}

# wrong names what is not as it has to be when raw.NAME is complete: the rows of SOURCE times n, the ledger, no progress.
sub wrong
{
	my ($name, $source, $columns, $times) = @_;
	$times //= 1;
	my $expected = join(' UNION ALL ', ("SELECT $columns FROM $source") x $times);
	return sql(qq{
SELECT 'rows' WHERE EXISTS ((SELECT $columns FROM raw.$name) EXCEPT ALL ($expected)) OR EXISTS (($expected) EXCEPT ALL (SELECT $columns FROM raw.$name))
UNION ALL SELECT 'ledger' WHERE EXISTS ((SELECT batch_id, row_count FROM etl.batch WHERE target = 'raw.$name') EXCEPT (SELECT _etl_batch, count(*) FROM raw.$name GROUP BY 1))
  OR EXISTS ((SELECT _etl_batch, count(*) FROM raw.$name GROUP BY 1) EXCEPT (SELECT batch_id, row_count FROM etl.batch WHERE target = 'raw.$name'))
UNION ALL SELECT 'progress' FROM etl.extract_progress
UNION ALL SELECT 'a worker is left' FROM pg_stat_activity WHERE backend_type = 'etl slice'});
}

my $by_key = "cursor_column => 'updated_at', primary_key => '{id}', chunk_rows => 100, retry_delays => '{0 s}'";
my $all = 'id, v, updated_at';

# ---- a first load continues behind its last chunk -------------------------------------------------------------------------

for my $case ([ 'error', '40001' ], [ 'terminate', '57P01' ], [ 'kill', 'ZE010' ])
{
	my ($action, $state) = @$case;
	define("first_$action", 'remote.big', $by_key);
	my $run = run("first_$action", "raw_written:x:1:$action:4");
	is(attempts($run), "failed $state 300, success 700", "first load, $action in chunk 4: the next attempt reads what is missing");
	is(wrong("first_$action", 'shop.big', $all), '', "first load, $action: each row once");
}
is(sql("SELECT value::timestamptz = (SELECT max(updated_at) FROM shop.big) FROM etl.watermark JOIN etl.task USING (task_id) JOIN etl.pipeline AS p USING (pipeline_id) WHERE p.name = 'first_kill'"),
	't', 'the watermark of a finished load is the highest value');
is(sql("SELECT count(DISTINCT reader) || max(reader) FROM etl.task_run"), '1postgres', 'by the reader of postgres_fdw');

# A final error: any later run continues. Meanwhile there is no watermark.
define('final', 'remote.big', $by_key);
my $run = run('final', 'raw_written:x:1:error_final:6');
is(attempts($run), 'failed 22012 500', 'first load, final error');
is(sql("SELECT rows_read, key_after FROM etl.extract_progress"), '500|{500}', 'what is there is written down');
is(sql("SELECT count(*) FROM etl.watermark JOIN etl.task USING (task_id) JOIN etl.pipeline AS p USING (pipeline_id) WHERE p.name = 'final'"), 0, 'no watermark before the end');
$run = run('final', 'raw_written:x:1:error_final:3');
is(attempts($run), 'failed 22012 200', 'another run continues');
$run = run('final');
is(attempts($run), 'success 300', 'and another one ends it');
is(sql("SELECT message FROM etl.task_run WHERE run_id = $run"), 'Continues behind 700 rows of an earlier attempt.', 'which says so');
is(wrong('final', 'shop.big', $all), '', 'three runs: each row once');

# Another key means another order.
define('rekeyed', 'remote.big', $by_key);
run('rekeyed', 'raw_written:x:1:error_final:6');
sql("SELECT etl.alter_task('rekeyed', 'x', primary_key => '{v}')");
is(attempts(run('rekeyed')), 'success 1000', 'another key: the load begins anew');

# hold is the script of a session that holds the lock that an attempt waits for, until the test has done what it wants.
my $waits = q{FROM pg_locks WHERE objsubid = 1 AND objid = 77 AND NOT granted};

sub held
{
	my ($name, $fault, $n, $meanwhile, $options) = @_;
	$options = $options ? ", $options" : '';
	sql("ALTER DATABASE postgres SET etl.fault = '$fault'");
	# Where the server goes down, this session goes with it.
	$node->psql('postgres', qq{
DO 'BEGIN PERFORM pg_advisory_lock(77); END';
CREATE TEMP TABLE started AS SELECT etl.run_pipeline('$name', wait => false$options) AS run;
CALL until('SELECT count(*) = $n $waits');
$meanwhile;
DO 'BEGIN PERFORM pg_advisory_unlock_all(); END'});
	$node->poll_query_until('postgres', 'SELECT true');
	my $run = sql("SELECT max(run_id) FROM etl.run JOIN etl.pipeline AS p USING (pipeline_id) WHERE p.name = '$name'");
	finish($run);
	sql('ALTER DATABASE postgres RESET etl.fault');
	return $run;
}

my $cancel = qq{DO 'BEGIN PERFORM etl.cancel_run((SELECT run FROM started)); END';\nCALL until('SELECT count(*) = 0 $waits')};

# The connection is cut, the run is cancelled.
define('cut', 'remote.big', $by_key);
$run = held('cut', 'raw_written:x:1:wait:4', 1,
	"DO \$\$BEGIN PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND application_name NOT LIKE '%.pl' AND pid <> pg_backend_pid(); END\$\$");
like(attempts($run), qr/^failed (08...|57P01) 400, success 600$/, 'connection cut: the next attempt reads what is missing') or diag(attempts($run));
is(wrong('cut', 'shop.big', $all), '', 'connection cut: each row once');
define('cancelled', 'remote.big', $by_key);
$run = held('cancelled', 'raw_written:x:1:wait:4', 1, $cancel);
is(attempts($run), 'cancelled 57014 300', 'cancel in chunk 4');
is(attempts(run('cancelled')), 'success 700', 'cancel: the next run reads what is missing');
is(wrong('cancelled', 'shop.big', $all), '', 'cancel: each row once');

# ---- a source that changes meanwhile ------------------------------------------------------------------------------------

# Rows that are written while the load is at work, in front of it and behind it; and one that was written before it begins and
# is committed after it has ended, with a lower value than rows that the load has seen.
my $latest = q{SELECT 'lost' WHERE EXISTS (SELECT id, v FROM shop.big EXCEPT SELECT DISTINCT ON (id) id, v FROM (SELECT * FROM raw.busy ORDER BY id, _etl_batch DESC) AS r ORDER BY id)};
define('busy', 'remote.big', $by_key);
$run = held('busy', 'raw_written:x:1:wait:5', 1, q{
INSERT INTO shop.big VALUES (-1, 0), (2000, 0);
UPDATE shop.big SET v = v + 10000, updated_at = clock_timestamp() WHERE id IN (1, 450, 990)});
like(attempts($run), qr/^success/, 'changes while it reads: it succeeds');
isnt(sql($latest =~ s/lost/behind/r), '', 'changes behind the place where it reads are not seen');
run('busy');
is(sql($latest), '', 'but by the next extract');
define('late', 'remote.big', $by_key);
sql(q{BEGIN; INSERT INTO shop.big VALUES (-2, 0); PREPARE TRANSACTION 'late'});
sql(q{INSERT INTO shop.big VALUES (2001, 0)});
run('late');
is(sql('SELECT count(*) FROM raw.late WHERE id IN (-2, 2001)'), 1, 'a row that is not committed is not there');
sql(q{COMMIT PREPARED 'late'});
run('late');
is(wrong('late', 'shop.big', $all), '', 'when it is, the next extract brings it, and nothing twice');
sql('DELETE FROM shop.big WHERE id NOT BETWEEN 1 AND 1000');

# ---- full refreshes, and sources without a cursor ------------------------------------------------------------------------

define('refresh', 'remote.big', $by_key);
run('refresh');
$run = run('refresh', 'raw_written:x:1:error:4', 'full_refresh => true');
is(attempts($run), 'failed 40001 300, success 700', 'full refresh: a retry continues');
is(wrong('refresh', 'shop.big', $all, 2), '', 'full refresh: each row once more');
run('refresh', 'raw_written:x:1:error_final:4', 'full_refresh => true');
my $before = sql('SELECT count(*) FROM raw.refresh');
$run = run('refresh');
like(attempts($run), qr/^success \d\d?$/, 'a plain run after a full refresh that failed reads what is new');
is(sql('SELECT count(*) FROM raw.refresh') - $before, 0, 'which is nothing');
is(sql('SELECT count(*) FROM etl.extract_progress'), 0, 'and forgets the full refresh');
is(attempts(run('refresh', undef, 'full_refresh => true')), 'success 1000', 'another full refresh begins anew');

define('no_cursor', 'remote.big', "primary_key => '{id}', chunk_rows => 100, retry_delays => '{0 s}'");
is(attempts(run('no_cursor', 'raw_written:x:1:error:4')), 'failed 40001 300, success 700', 'no cursor: a retry continues');
is(wrong('no_cursor', 'shop.big', $all), '', 'no cursor: each row once');
run('no_cursor', 'raw_written:x:1:error_final:4');
is(attempts(run('no_cursor')), 'success 1000', 'no cursor: another run begins anew');

# The query reader pages in the same way.
define('query', 'remote.lines', "primary_key => '{a,b}', chunk_rows => 100, retry_delays => '{0 s}', reader => 'query'");
like(attempts(run('query', 'raw_written:x:1:error:1')), qr/success 1000$/, 'query reader: a key that sorts differently elsewhere is read in one piece');
define('query2', 'shop.lines', "primary_key => '{a,b}', chunk_rows => 100, retry_delays => '{0 s}'");
is(attempts(run('query2', 'raw_written:x:1:error:4')), 'failed 40001 300, success 700', 'query reader: a key of two columns is continued');
is(wrong('query2', 'shop.lines', 'a, b, v'), '', 'query reader: each row once');

# ---- ranges of the key ---------------------------------------------------------------------------------------------------

my $sliced = "cursor_column => 'updated_at', primary_key => '{id}', chunk_rows => 100, slices => 3, retry_delays => '{0 s}'";
define('sliced', 'remote.big', $sliced);
sql(q{SELECT etl.create_pipeline('loads'); SELECT etl.add_load('loads', 'x', 'SELECT id, v FROM raw.sliced', 'public.loaded', '{id}')});
# The executor waits in its first chunk, so that two helpers get ranges, and they in their second one. A load sees nothing of it.
my $team = 'raw_written:x:1:wait:1,raw_written:x/slice:1:wait:2';
$run = held('sliced', $team, 3, q{
CREATE TABLE seen AS SELECT (SELECT count(DISTINCT pid) FROM pg_stat_activity WHERE backend_type = 'etl slice') AS helpers,
  (SELECT count(*) FROM etl.batch WHERE target = 'raw.sliced') AS batches, (SELECT sum(jsonb_array_length(pending)) FROM etl.extract_progress) AS pending,
  (SELECT count(*) FROM raw.sliced) AS rows;
SELECT etl.run_pipeline('loads');
ALTER TABLE seen ADD loaded int; UPDATE seen SET loaded = (SELECT count(*) FROM loaded)});
is(sql('SELECT helpers, batches, pending, rows, loaded FROM seen'), '2|0|2|200|0', 'slices: three workers read, and nobody sees a part');
is(attempts($run), 'success 1000', 'slices: all rows are counted');
is(wrong('sliced', 'shop.big', $all), '', 'slices: each row once');
sql("SELECT etl.run_pipeline('loads')");
is(sql('SELECT count(*), sum(v) FROM loaded'), sql('SELECT count(*), sum(v) FROM shop.big'), 'slices: then a load sees everything');
like(attempts(run('sliced')), qr/^success \d\d?$/, 'slices: the next extract goes on from the watermark');

for my $case ([ 'error', '40001' ], [ 'terminate', 'ZE008' ], [ 'kill', 'ZE010' ])
{
	my ($action, $state) = @$case;
	# The executor waits in its first chunk until helpers have read theirs and are gone; before that they may not have begun.
	define("slice_$action", 'remote.big', $sliced);
	$run = held("slice_$action", "raw_written:x:1:wait:1,raw_written:x/slice:1:$action:2", 1,
		q{CALL until($$SELECT count(*) > 0 FROM etl.extract_progress WHERE jsonb_array_length(pending) > 0$$);
CALL until($$SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'etl slice'$$)});
	like(attempts($run), qr/^failed $state \d*, success \d+$/, "slices, $action of one: the attempt fails, the next one succeeds") or diag(attempts($run));
	is(wrong("slice_$action", 'shop.big', $all), '', "slices, $action of one: each row once");
	cmp_ok(sql("SELECT rows_read FROM etl.task_run WHERE run_id = $run AND state = 'success'"), '<', 1000, "slices, $action of one: what was there is not read again");
}

# The executor itself fails, is cancelled: the helpers go with it.
define('leader', 'remote.big', $sliced);
$run = held('leader', $team, 3, $cancel);
like(attempts($run), qr/^cancelled 57014/, 'slices, cancel');
is(sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'etl slice'"), 0, 'slices, cancel: the helpers are gone');
# Batches wait that belong to nobody now. Whoever writes to the raw table next publishes them first.
cmp_ok(sql('SELECT sum(jsonb_array_length(pending)) FROM etl.extract_progress'), '>', 0, 'slices, cancel: batches wait');
sql(q{CREATE TABLE shop.few AS SELECT id + 5000 AS id, v, updated_at FROM shop.big WHERE id <= 3;
SELECT etl.create_pipeline('other'); SELECT etl.add_extract('other', 'x', 'shop.few', 'raw.leader', primary_key => '{id}')});
run('other');
is(sql(q{SELECT count(*) FROM etl.extract_progress WHERE pending <> '[]'}), 0, 'slices: another extract into the raw table publishes them');
is(sql(q{SELECT max(batch_id) = max(batch_id) FILTER (WHERE task_id = (SELECT task_id FROM etl.task JOIN etl.pipeline AS p USING (pipeline_id) WHERE p.name = 'other'))
  FROM etl.batch WHERE target = 'raw.leader'}), 't', 'slices: before it draws its own numbers');
run('leader');
sql(q{DELETE FROM raw.leader WHERE id > 5000; DELETE FROM etl.batch WHERE target = 'raw.leader' AND task_id = (SELECT max(task_id) FROM etl.task)});
is(wrong('leader', 'shop.big', $all), '', 'slices, cancel: the next run brings the rest');

# Ranges that another attempt has taken meanwhile are nobody else's: what readers of the former one have in hand is not committed.
define('fenced', 'remote.big', $sliced);
$run = held('fenced', $team =~ s/raw_written/fetched/gr, 3, 'UPDATE etl.extract_progress SET task_run_id = 0');
like(attempts($run), qr/^failed ZE004/, 'slices, taken by another attempt: no more is committed');
is(sql('SELECT count(*) FROM raw.fenced'), 200, 'slices, taken by another attempt: nor is what was being read');
run('fenced');
is(wrong('fenced', 'shop.big', $all), '', 'slices, taken by another attempt: the next run brings the rest');

# A key of two columns, and one that cannot be cut.
define('two', 'remote.lines', "primary_key => '{a,b}', chunk_rows => 50, slices => 4");
is(attempts(run('two')), 'success 1000', 'slices of a key of two columns');
is(wrong('two', 'shop.lines', 'a, b, v'), '', 'slices of a key of two columns: each row once');
define('uncut', 'remote.lines', "primary_key => '{b,a}', chunk_rows => 50, slices => 4");
$run = run('uncut');
like(sql("SELECT message FROM etl.task_run WHERE run_id = $run"), qr/Not sliced: ranges of column "b" of type text/, 'a text key is not sliced, which is said');

# ---- intervals of the cursor ---------------------------------------------------------------------------------------------

define('event', 'remote.event', "cursor_column => 'at', chunk_interval => '1 day', lag => '1 h', retry_delays => '{0 s}'");
$run = run('event', 'raw_written:x:1:error:4');
is(attempts($run), 'failed 40001 298, success 1719', 'intervals: the next attempt begins with the one that failed');
is(wrong('event', 'shop.event', 'id, at'), '', 'intervals: each row once, those without a cursor too');
cmp_ok(sql("SELECT count(*) FROM etl.batch WHERE target = 'raw.event'"), '<', 20, 'intervals: a gap of months is left out');
is(sql("SELECT reached, value::timestamp > reached::timestamp - interval '1 min' FROM etl.watermark JOIN etl.task USING (task_id) JOIN etl.pipeline AS p USING (pipeline_id) WHERE p.name = 'event'"),
	sql('SELECT max(at), true FROM shop.event'), 'intervals: the watermark has come to the end');

# ---- one state of the source ---------------------------------------------------------------------------------------------

# Orders and their items are written together. A task between the two extracts writes more of them.
sql(qq{
CREATE TABLE shop.orders (id bigint PRIMARY KEY, updated_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE shop.items (order_id bigint, item int, updated_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (order_id, item));
CREATE SEQUENCE shop.order_id;
CREATE FUNCTION shop.order() RETURNS void LANGUAGE sql AS \$\$
  INSERT INTO shop.orders VALUES (nextval('shop.order_id'));
  INSERT INTO shop.items SELECT currval('shop.order_id'), n FROM generate_series(1, 3) AS n;
\$\$;
CREATE PROCEDURE shop.keep_ordering() LANGUAGE plpgsql AS \$\$
BEGIN
  WHILE NOT EXISTS (SELECT FROM shop.stop) LOOP
    PERFORM shop.order();
    COMMIT;
    PERFORM pg_sleep(0.001);
  END LOOP;
END \$\$;
CREATE TABLE shop.stop (stop boolean);
DO 'BEGIN FOR i IN 1 .. 100 LOOP PERFORM shop.order(); END LOOP; END';
IMPORT FOREIGN SCHEMA shop LIMIT TO (orders, items) FROM SERVER loop INTO remote;
});

sub group
{
	my ($name, $group, $between) = @_;
	sql(qq{
SELECT etl.create_pipeline('$name', max_parallel => 1);
SELECT etl.add_extract('$name', 'orders', 'remote.orders', 'raw.${name}_orders', cursor_column => 'updated_at', primary_key => '{id}', chunk_rows => 50 $group);
SELECT etl.add_sql('$name', 'between', \$\$$between\$\$, depends_on => '{orders}');
SELECT etl.add_extract('$name', 'x', 'remote.items', 'raw.${name}_items', cursor_column => 'updated_at', primary_key => '{order_id,item}', chunk_rows => 100,
  slices => 2, depends_on => '{between}' $group)});
	return;
}

sub torn
{
	my ($name) = @_;
	return sql("SELECT count(*) FROM (SELECT id FROM raw.${name}_orders GROUP BY 1) AS o FULL JOIN (SELECT order_id, count(*) AS n FROM raw.${name}_items GROUP BY 1) AS i ON o.id = i.order_id WHERE n IS DISTINCT FROM 3 OR id IS NULL");
}

group('apart', '', 'SELECT shop.order()');
run('apart');
is(torn('apart'), 1, 'without a group a run brings items without their order');
group('together', ", snapshot_group => 'g'", 'SELECT shop.order()');
for my $round (1 .. 3)
{
	$run = run('together');
	like(attempts($run), qr/^success/, "group, run $round: it succeeds");
	is(torn('together'), 0, "group, run $round: both are of one state");
}
is(sql("SELECT count(*) FROM raw.together_orders WHERE id > 100"), 3, 'group: the state is a new one each time');
$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'etl snapshot'");
pass('group: the worker that held it leaves');

# With a writer who never rests.
my ($in, $out) = ('', '');
my $writer = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', 'CALL shop.keep_ordering()' ], '<', \$in, '>&', \$out);
$node->poll_query_until('postgres', 'SELECT count(*) > 150 FROM shop.orders');
for my $round (1 .. 5)
{
	run('together');
	is(torn('together'), 0, "group, writer at work, run $round: both are of one state");
}
sql('INSERT INTO shop.stop VALUES (true)');
$writer->finish;
run('together');
is(sql('SELECT count(DISTINCT id) FROM raw.together_orders'), sql('SELECT count(*) - 1 FROM shop.orders'), 'group: in the end nothing is lost but what was ordered behind the snapshot');
is(sql('SELECT count(*) FROM (SELECT FROM raw.together_orders GROUP BY id HAVING count(*) > 1) AS x'), 0, 'group: or twice');

# The holder is gone before the second extract reads: it must not read another state.
group('lost', ", snapshot_group => 'g'", q{SELECT pg_terminate_backend(holder_pid, 10000) FROM etl.run_snapshot WHERE run_id = etl.run_id()});
$run = run('lost');
is(attempts($run), 'failed 55000 0', 'group: without the snapshot an extract fails');
is(sql("SELECT error_message FROM etl.task_run WHERE run_id = $run AND task = 'x'"), 'the snapshot of group "g" is lost', 'and says why');
$node->psql('postgres', "SELECT etl.retry_run($run)");
is(attempts($run), 'failed 55000 0, failed 55000 0', 'group: nor can retry_run');
sql("SELECT etl.alter_task('lost', 'between', command => 'SELECT shop.order()')");
run('lost');
is(torn('lost'), 0, 'group: a new run reads one state again');

my ($status, $stdout, $stderr) = $node->psql('postgres', "SELECT etl.run_pipeline('together', mode => 'inline')");
like($stderr, qr/snapshot_group cannot be used inline/, 'group: refused inline');

# ---- no worker slots -----------------------------------------------------------------------------------------------------

$node->append_conf('postgresql.conf', 'max_worker_processes = 3');
$node->restart;
define('alone', 'remote.big', $sliced);
$run = run('alone');
is(attempts($run), 'success 1000', 'slices without free workers: the executor reads all ranges');
like(sql("SELECT message FROM etl.task_run WHERE run_id = $run"), qr/^0 of 2 workers for slices could be started/, 'and says so');
is(wrong('alone', 'shop.big', $all), '', 'slices without free workers: each row once');

$node->stop;
done_testing();
