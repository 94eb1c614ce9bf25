# Deletes found by comparing keys with a second server: targets follow it, guards hold, and a crash between the rows and the
# markers loses neither.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use EtlPoll;

my $source = PostgreSQL::Test::Cluster->new('source');
$source->init;
$source->append_conf('postgresql.conf', "log_statement = all\nlog_line_prefix = '%a|'\n");
$source->start;
$source->safe_psql('postgres', q{
CREATE TABLE orders (id int PRIMARY KEY, region text NOT NULL, amount int, updated_at timestamptz DEFAULT now());
INSERT INTO orders SELECT n, CASE WHEN n % 2 = 0 THEN 'EU' ELSE 'US' END, n FROM generate_series(1, 1000) AS n;
CREATE TABLE shown (region text);
INSERT INTO shown VALUES ('EU'), ('US');
CREATE VIEW visible AS SELECT * FROM orders WHERE region IN (SELECT region FROM shown);
CREATE TABLE names (name text PRIMARY KEY, v int);
INSERT INTO names SELECT 'Name ' || n, n FROM generate_series(1, 300) AS n;
});

my $node = PostgreSQL::Test::Cluster->new('warehouse');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'etl_ext'\nmax_worker_processes = 16\n");
$node->start;
my ($host, $port) = ($source->host, $source->port);

sub sql { return $node->safe_psql('postgres', "SET client_min_messages = warning; $_[0]"); }

sql(qq{
CREATE EXTENSION etl_ext;
CREATE EXTENSION postgres_fdw;
CREATE SERVER shop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'postgres', extensions 'plpgsql');
CREATE USER MAPPING FOR CURRENT_USER SERVER shop;
CREATE SCHEMA shop;
IMPORT FOREIGN SCHEMA public LIMIT TO (orders, visible, names) FROM SERVER shop INTO shop;
-- A condition that waits while a test holds the lock.
CREATE FUNCTION gate() RETURNS boolean LANGUAGE plpgsql VOLATILE AS
  'BEGIN PERFORM pg_advisory_lock_shared(36); PERFORM pg_advisory_unlock_shared(36); RETURN true; END';
SELECT etl.create_pipeline('p');
SELECT etl.add_extract('p', 'orders', 'shop.orders', 'raw.orders', cursor_column => 'updated_at', primary_key => '{id}',
         chunk_rows => 300, deletes => 'compare', retry_delays => '{0 s}');
SELECT etl.add_load('p', 'fact', 'SELECT id, region, amount, updated_at FROM raw.orders', 'dw.fact', '{id}', order_by => 'updated_at',
         on_delete => 'delete');
});

# same says whether the fact equals the source.
sub same
{
	my ($test) = @_;
	my $sum = 'SELECT count(*), sum(id), sum(amount) FROM %s';
	is(sql(sprintf $sum, 'dw.fact'), $source->safe_psql('postgres', sprintf $sum, 'orders'), $test);
}

sql("SELECT etl.run_pipeline('p')");
same('first run: the fact equals the source');
my $offset = -s $source->logfile;
$source->safe_psql('postgres', 'DELETE FROM orders WHERE id % 20 = 0; UPDATE orders SET amount = 0, updated_at = now() WHERE id < 10');
sql("SELECT etl.run_pipeline('p')");
same('deletes and updates: the fact equals the source');
is(sql("SELECT rows_deleted FROM etl.task_status WHERE task = 'orders' ORDER BY run_id DESC LIMIT 1"), 50, 'deletes are counted in the extract');
is(sql("SELECT rows_deleted FROM etl.task_status WHERE task = 'fact' ORDER BY run_id DESC LIMIT 1"), 50, 'and in the load');
my @keys = grep { /orders/ && !/amount/ && /LIMIT|COPY|DECLARE/ } split /\n/, slurp_file($source->logfile, $offset);
ok(scalar(@keys) >= 3, 'the keys are read alone, in chunks') or diag(slurp_file($source->logfile, $offset));
$source->safe_psql('postgres', "INSERT INTO orders VALUES (20, 'EU', 7), (40, 'EU', 8); DELETE FROM orders WHERE id = 1");
sql("SELECT etl.run_pipeline('p')");
same('rows come back and go: the fact equals the source');
is(sql("SELECT reader FROM etl.task_run WHERE task = 'orders' ORDER BY task_run_id DESC LIMIT 1"), 'postgres', 'by the reader of PostgreSQL');
sql("SELECT etl.alter_task('p', 'orders', reader => 'query')");
$source->safe_psql('postgres', "INSERT INTO orders VALUES (60, 'EU', 7); DELETE FROM orders WHERE id BETWEEN 2 AND 30");
sql("SELECT etl.run_pipeline('p')");
same('and by the query reader');
sql("SELECT etl.alter_task('p', 'orders', reader => 'auto')");

# Guards: a source that shows nothing, or only a part. What was read stays, no row is marked.
sub refused
{
	my ($test, $message) = @_;
	my ($status, $out, $err) = $node->psql('postgres', "SELECT etl.run_pipeline('p')");
	isnt($status, 0, "$test: the run fails");
	is(sql("SELECT error_sqlstate FROM etl.task_run WHERE task = 'orders' ORDER BY task_run_id DESC LIMIT 1"), 'ZE014', "$test: ZE014");
	like($err, $message, "$test: and says why");
}
my $before = sql("SELECT count(*) FROM dw.fact");
sql("SELECT etl.alter_task('p', 'orders', source => 'shop.visible')");
sql("SELECT etl.run_pipeline('p')");
is(sql("SELECT count(*) FROM dw.fact"), $before, 'a view of the same rows: nothing changes');
$source->safe_psql('postgres', "DELETE FROM shown WHERE region = 'EU'; UPDATE orders SET amount = -1, updated_at = now() WHERE id = 101");
my $markers = sql("SELECT count(*) FROM raw.orders WHERE _etl_op = 'd'");
refused('a broken view', qr/\d+ of \d+ rows of source shop.visible seem to be deleted/);
is(sql("SELECT count(*) FROM raw.orders WHERE _etl_op = 'd'"), $markers, 'a broken view: no marker');
is(sql("SELECT count(*) FROM raw.orders WHERE id = 101 AND amount = -1"), 1, 'a broken view: the rows that were read are kept');
$source->safe_psql('postgres', "DELETE FROM shown");
refused('an empty view', qr/source shop.visible has no rows to compare/);
$source->safe_psql('postgres', "INSERT INTO shown VALUES ('EU'), ('US')");
sql("SELECT etl.run_pipeline('p')");
same('the view is whole again: the fact equals the source');

# A part of the source vanishes for a while, less than the guard minds: the rows come back although their cursor is old.
$source->safe_psql('postgres', "UPDATE orders SET region = 'AP' WHERE id BETWEEN 400 AND 420");
sql("SELECT etl.run_pipeline('p')");
is(sql("SELECT count(*) FROM dw.fact WHERE id BETWEEN 400 AND 420"), 0, 'rows that vanish are deleted');
$source->safe_psql('postgres', "UPDATE orders SET region = CASE WHEN id % 2 = 0 THEN 'EU' ELSE 'US' END WHERE id BETWEEN 400 AND 420");
sql("SELECT etl.run_pipeline('p')");
same('rows that show up again as they were are present again');

# Scope: only rows within it are compared.
sql(q{SELECT etl.alter_task('p', 'orders', source => 'shop.orders', delete_scope => $$region = 'EU'$$)});
sql("SELECT etl.run_pipeline('p')");
$source->safe_psql('postgres', 'DELETE FROM orders WHERE id IN (501, 502)');
sql("SELECT etl.run_pipeline('p')");
is(sql('SELECT string_agg(id::text, $$,$$) FROM dw.fact WHERE id IN (501, 502)'), '501', 'scope: a row outside of it is not marked');
like(sql("SELECT string_agg(line, E'\\n') FROM etl.explain_task('p', 'orders') AS line"), qr/all keys of rows with \(region = 'EU'/, 'scope: explain_task shows it');

# A key whose order differs between servers is read in one piece.
sql(q{
SELECT etl.create_pipeline('n');
SELECT etl.add_extract('n', 'names', 'shop.names', 'raw.names', primary_key => '{name}', deletes => 'compare', chunk_rows => 50);
SELECT etl.add_load('n', 'dim', 'SELECT name, v FROM raw.names', 'dw.names', '{name}', on_delete => 'mark')});
sql("SELECT etl.run_pipeline('n')");
$source->safe_psql('postgres', "DELETE FROM names WHERE v <= 10");
sql("SELECT etl.run_pipeline('n')");
is(sql('SELECT count(*) FILTER (WHERE _etl_deleted_at IS NULL), count(*) FROM dw.names'), '290|300', 'text keys: deleted rows are marked');

# The server goes down after the rows were committed, while the keys are read.
sql("SELECT etl.alter_task('p', 'orders', delete_scope => 'gate()')");
my $holder = $node->background_psql('postgres');
$holder->query_safe('SELECT pg_advisory_lock(36)');
$source->safe_psql('postgres', "INSERT INTO orders VALUES (5000, 'EU', 5000); DELETE FROM orders WHERE id BETWEEN 701 AND 709");
my $run = sql("SELECT etl.run_pipeline('p', wait => false)");
ok($node->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'advisory')}), 'the comparison waits');
is(sql('SELECT count(*) FROM raw.orders WHERE id = 5000'), 1, 'the rows were committed before');
$markers = sql("SELECT count(*) FROM raw.orders WHERE _etl_op = 'd'");
$node->stop('immediate');
$node->start;
ok($node->poll_query_until('postgres', "SELECT state IN ('success', 'warning') FROM etl.run WHERE run_id = $run"), 'the run goes on after the crash');
is(sql("SELECT count(*) FROM raw.orders WHERE _etl_op = 'd'"), $markers + 10, 'and marks each row once, also the one that the scope left out until now');
is(sql('SELECT count(*) FROM raw.orders WHERE id = 5000'), 1, 'and reads nothing twice');
is(sql('SELECT count(*) FROM dw.fact WHERE id BETWEEN 701 AND 709 OR id = 5000'), 1, 'and the fact follows');
is(sql("SELECT count(*) FROM pg_class WHERE relname LIKE 'etl\\_keys%' OR relname LIKE 'etl\\_gone%'"), 0, 'no table of keys is left');
eval { $holder->quit };
$node->stop;
$source->stop;
done_testing();
