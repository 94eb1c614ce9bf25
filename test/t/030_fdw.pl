# Extracts over postgres_fdw from a second server: what is sent to it, who asks, and what happens when it is down.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = PostgreSQL::Test::Cluster->new('source');
$source->init;
$source->append_conf('postgresql.conf', "log_statement = all\nlog_line_prefix = '%a|%u|'\n");
$source->start;
# The source asks for a password, as postgres_fdw wants it for everybody but superusers.
my $hba = $source->data_dir . '/pg_hba.conf';
$source->safe_psql('postgres', q{
CREATE ROLE reader LOGIN PASSWORD 'secret';
CREATE TABLE orders (order_id bigint PRIMARY KEY, amount numeric(10,2), status text, updated_at timestamptz NOT NULL);
CREATE INDEX ON orders (updated_at);
INSERT INTO orders SELECT n, n, 'new', '2024-01-01 00:00+00'::timestamptz + n * interval '1 s' FROM generate_series(1, 1000) AS n;
GRANT SELECT ON orders TO reader;
});
my $rules = slurp_file($hba);
append_to_file("$hba.new", "local all reader scram-sha-256\nhost all reader all scram-sha-256\n$rules");
rename "$hba.new", $hba or die "cannot rename: $!";
$source->reload;

my $node = PostgreSQL::Test::Cluster->new('warehouse');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 16\n");
$node->start;
my ($host, $port) = ($source->host, $source->port);
$node->safe_psql('postgres', qq{
CREATE EXTENSION etl_ext;
CREATE EXTENSION postgres_fdw;
CREATE ROLE loader LOGIN;
GRANT USAGE ON SCHEMA etl TO loader;
GRANT CREATE ON DATABASE postgres TO loader;
CREATE SERVER shop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'postgres');
GRANT USAGE ON FOREIGN SERVER shop TO loader;
CREATE USER MAPPING FOR loader SERVER shop OPTIONS (user 'reader', password 'secret');
});

# as_loader runs statements as the owner of the pipeline, who is no superuser.
sub as_loader
{
	my ($statement) = @_;
	return $node->safe_psql('postgres', "SET ROLE loader; SET client_min_messages = warning; $statement");
}

# remote returns what was sent to the source since an offset in its log: statements that name the table.
sub remote
{
	my ($offset) = @_;
	my @statements = grep { /orders/ } slurp_file($source->logfile, $offset) =~ /^(?:postgres_fdw|etl_ext)\|reader\|LOG:\s+(?:statement|execute [^:]+): (.*?)(?=^\S*\||\z)/msg;
	return join("\n", @statements);
}

as_loader(q{
CREATE SCHEMA shop;
IMPORT FOREIGN SCHEMA public LIMIT TO (orders) FROM SERVER shop INTO shop;
SELECT etl.create_pipeline('daily');
SELECT etl.add_extract('daily', 'orders', 'shop.orders', 'raw.orders', cursor_column => 'updated_at', primary_key => '{order_id}',
         chunk_rows => 300, filter => $$status <> 'draft'$$, retry_delays => '{0 s,0 s}');
SELECT etl.add_load('daily', 'fact', 'SELECT order_id, amount, status, updated_at FROM raw.orders', 'dw.fact', '{order_id}', order_by => 'updated_at');
});
is(as_loader("SELECT count(*) FROM etl.validate('daily') WHERE severity = 'error'"), 0, 'validate finds no error');

# The first run reads everything, in chunks.
my $offset = -s $source->logfile;
as_loader("SELECT etl.run_pipeline('daily')");
is(as_loader('SELECT count(*), count(DISTINCT _etl_batch) FROM raw.orders'), '1000|4', 'first run: 1000 rows in 4 chunks');
is(as_loader('SELECT count(*), sum(amount) FROM dw.fact'), '1000|500500.00', 'first run: all of them are in the fact');
my $sent = remote($offset);
like($sent, qr/ORDER BY s\.c1 LIMIT/, 'the order is the source\'s work');
like($sent, qr/LIMIT 301\b/, 'so is the limit: one row more than a chunk, to see whether there is another one') or diag($sent);
like($sent, qr/status <> 'draft'/, 'so is the filter');
like($sent, qr/WHERE s\.c1 > '300' ORDER BY/, 'later chunks begin where the one before ended');

# The second run reads only what is new, and asks for no more.
$source->safe_psql('postgres', q{
UPDATE orders SET amount = 0, updated_at = '2024-01-02 00:00+00' WHERE order_id = 7;
INSERT INTO orders VALUES (1001, 5, 'new', '2024-01-02 00:00:01+00'), (1002, 5, 'draft', '2024-01-02 00:00:02+00')});
my $explained = as_loader("SELECT string_agg(line, E'\\n') FROM etl.explain_task('daily', 'orders') AS line");
like($explained, qr/^SELECT s\.c1[^\n]* WHERE [^\n]*s\.c4 >= '2024-01-01[^\n]* ORDER BY s\.c4, s\.c1 LIMIT 301;/m,
	'explain_task shows the remote statement with bound, order and limit') or diag($explained);
like($explained, qr/^-- reader postgres$/m, 'and who sends it');
like($explained, qr/^-- rows: about \d+, by the planner of shop$/m, 'and how many rows the planner of the source expects');
like($explained, qr/^\s*->.* Scan .*on orders/m, 'and how the source finds them');
$offset = -s $source->logfile;
as_loader("SELECT etl.run_pipeline('daily')");
$sent = remote($offset);
my @scans = grep { /FROM public\.orders/ } split /\n/, $sent;
ok(scalar(@scans) > 0, 'second run: it asked the source');
is(scalar(grep { !/WHERE s\.c4 >= '2024-01-01[^']*'.* ORDER BY s\.c4, s\.c1 LIMIT 301/ } @scans), 0,
	'second run: every statement that fetches rows has a lower bound, and the order of the cursor') or diag($sent);
is( as_loader("SELECT rows_inserted FROM etl.task_status WHERE task = 'orders' ORDER BY run_id DESC LIMIT 1"), 2, 'second run: two rows are new');
is(as_loader("SELECT rows_read <= 3 FROM etl.task_status WHERE task = 'orders' ORDER BY run_id DESC LIMIT 1"), 't', 'second run: no more were read');
is(as_loader("SELECT rows_inserted, rows_updated FROM etl.task_status WHERE task = 'fact' ORDER BY run_id DESC LIMIT 1"), '1|1',
	'second run: one new, one changed fact');
is(as_loader('SELECT count(*), sum(amount) FROM dw.fact'), '1001|500498.00', 'second run: the fact is as the source');

# The user of the source is the one of the mapping, whoever runs the pipeline; without a mapping it fails and says why.
$offset = -s $source->logfile;
$node->safe_psql('postgres', "SELECT etl.run_pipeline('daily')");
unlike(slurp_file($source->logfile, $offset), qr/^(?:postgres_fdw|etl_ext)\|(?!reader)/m, 'a superuser who runs it does not change who asks');
$node->safe_psql('postgres', 'DROP USER MAPPING FOR loader SERVER shop');
my ($status, $out, $err) = $node->psql('postgres', "SET ROLE loader; SELECT etl.run_pipeline('daily')");
isnt($status, 0, 'without a user mapping the run fails');
like($err, qr/DETAIL:  orders: user mapping not found for "loader"/, 'and says why');
$node->safe_psql('postgres', "CREATE USER MAPPING FOR loader SERVER shop OPTIONS (user 'reader', password 'secret')");

# The source is down: class 08, tried again as often as retry_delays says, nothing moved.
my $watermark = as_loader("SELECT value FROM etl.watermark");
$source->stop;
($status, $out, $err) = $node->psql('postgres', "SET ROLE loader; SELECT etl.run_pipeline('daily')");
isnt($status, 0, 'source down: the run fails');
like($err, qr/DETAIL:  orders: could not connect to server "shop"/, 'source down: and says why');
is( as_loader(q{SELECT string_agg(attempt || ' ' || state || ' ' || left(error_sqlstate, 2), ', ' ORDER BY attempt) FROM etl.task_run
	WHERE task = 'orders' AND run_id = (SELECT max(run_id) FROM etl.run)}),
	'1 failed 08, 2 failed 08, 3 failed 08', 'source down: three attempts, as retry_delays says');
is(as_loader("SELECT state FROM etl.task_status WHERE task = 'fact' ORDER BY run_id DESC LIMIT 1"), 'upstream_failed', 'source down: the load waits for better days');
is(as_loader("SELECT value FROM etl.watermark"), $watermark, 'source down: the watermark did not move');

# The source comes back between two attempts.
as_loader("SELECT etl.alter_task('daily', 'orders', retry_delays => '{2 s,2 s,2 s,2 s,2 s,2 s,2 s,2 s,2 s,2 s}')");
my $run = as_loader("SELECT etl.run_pipeline('daily', wait => false)");
ok($node->poll_query_until('postgres', "SELECT count(*) >= 1 FROM etl.task_run WHERE run_id = $run AND task = 'orders' AND state = 'failed'"),
	'source back: the first attempt failed');
$source->start;
$source->safe_psql('postgres', q{INSERT INTO orders VALUES (1003, 1, 'new', '2024-01-03')});
is(as_loader("SELECT etl.wait_for_run($run)"), 'success', 'source back: a later attempt succeeds');
is(as_loader('SELECT count(*), sum(amount) FROM dw.fact'), '1002|500499.00', 'source back: nothing is missing');

# The connection breaks in the middle of a scan: an error, never a short success.
$source->safe_psql('postgres', q{
CREATE FUNCTION slow(n bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN IF n = 1500 THEN PERFORM pg_advisory_lock_shared(1); END IF; RETURN n; END $$;
INSERT INTO orders SELECT n, 1, 'new', '2024-02-01 00:00+00'::timestamptz + n * interval '1 s' FROM generate_series(1101, 2000) AS n;
CREATE VIEW slow_orders AS SELECT slow(order_id) AS order_id, amount, status, updated_at FROM orders;
GRANT SELECT ON slow_orders TO reader});
as_loader(q{
IMPORT FOREIGN SCHEMA public LIMIT TO (slow_orders) FROM SERVER shop INTO shop;
SELECT etl.add_extract('daily', 'slow', 'shop.slow_orders', 'raw.slow', cursor_column => 'updated_at', primary_key => '{order_id}', retry_delays => '{}');
});
my $gate = $source->background_psql('postgres');
$gate->query_safe('SELECT pg_advisory_lock(1)');
$run = as_loader("SELECT etl.run_pipeline('daily', tasks => '{slow}', wait => false)");
ok($source->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"), 'broken scan: it is in the middle');
$source->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted");
is(as_loader("SELECT etl.wait_for_run($run)"), 'failed', 'broken scan: the run fails');
is(as_loader("SELECT left(error_sqlstate, 2) = '08' FROM etl.task_status WHERE run_id = $run"), 't', 'broken scan: with an error of the connection');
is(as_loader("SELECT count(*) FROM raw.slow"), 0, 'broken scan: no row of it was kept');
$gate->quit;
as_loader("SELECT etl.run_pipeline('daily', tasks => '{slow}')");
is(as_loader("SELECT count(*) FROM raw.slow"), $source->safe_psql('postgres', 'SELECT count(*) FROM orders'), 'broken scan: the next run has all rows');

$node->stop;
$source->stop;
done_testing();
