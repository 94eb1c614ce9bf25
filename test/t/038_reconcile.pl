# reconcile => true: each chunk is compared with what the source counts in the same snapshot, whoever reads it.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = PostgreSQL::Test::Cluster->new('source');
$source->init;
$source->append_conf('postgresql.conf', "log_statement = all\nlog_line_prefix = '%m %p '\n");
$source->start;
# Views that hide a row from whoever counts, or give it another key; and one that has a row every other time it is looked at.
$source->safe_psql('postgres', q{
CREATE TABLE orders (order_id integer PRIMARY KEY, code text NOT NULL, at timestamptz);
INSERT INTO orders SELECT n, 'c' || n, CASE WHEN n % 10 > 0 THEN '2024-01-01 00:00+00'::timestamptz + n % 50 * interval '1 s' END FROM generate_series(1, 500) AS n;
CREATE FUNCTION is_counted() RETURNS boolean LANGUAGE sql VOLATILE AS $$ SELECT current_query() ILIKE '%count(%' $$;
CREATE VIEW hides_one AS SELECT * FROM orders WHERE order_id <> 321 OR NOT is_counted();
CREATE SEQUENCE looks;
CREATE VIEW alternates AS SELECT * FROM orders WHERE order_id <> 321 OR nextval('looks') % 2 = 1;
CREATE VIEW moves_one AS SELECT CASE WHEN order_id = 500 AND is_counted() THEN 999 ELSE order_id END AS order_id, code, at FROM orders;
});

my $node = PostgreSQL::Test::Cluster->new('warehouse');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 24\n");
$node->start;
my ($host, $port) = ($source->host, $source->port);
$node->safe_psql('postgres', qq{
CREATE EXTENSION etl_ext;
CREATE EXTENSION postgres_fdw;
CREATE SERVER shop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'postgres', fetch_size '1000');
CREATE USER MAPPING FOR PUBLIC SERVER shop;
CREATE SCHEMA shop;
IMPORT FOREIGN SCHEMA public FROM SERVER shop INTO shop;
CREATE SCHEMA app;
CREATE TABLE app.orders AS SELECT * FROM shop.orders;
CREATE SEQUENCE app.looks;
CREATE VIEW app.alternates AS SELECT * FROM app.orders WHERE order_id <> 321 OR nextval('app.looks') % 2 = 1;
});

# define adds an extract in a pipeline of its own, with reconcile.
sub define
{
	my ($name, $relation, $options) = @_;
	$node->safe_psql('postgres', qq{SELECT etl.create_pipeline('$name');
		SELECT etl.add_extract('$name', '$name', '$relation', 'raw.$name', reconcile => true, retry_delays => '{}'$options)});
}

# run runs a pipeline and returns its error.
sub run
{
	my ($name) = @_;
	my (undef, undef, $err) = $node->psql('postgres', "SET client_min_messages = warning; SELECT etl.run_pipeline('$name')");
	return $err;
}

# attempt returns columns of the last attempt.
sub attempt
{
	my ($name, $columns) = @_;
	return $node->safe_psql('postgres', "SELECT $columns FROM etl.task_run WHERE task = '$name' ORDER BY task_run_id DESC LIMIT 1");
}

my %way = (
	paged => ", cursor_column => 'at', primary_key => '{order_id}', chunk_rows => 70",
	by_code => ", cursor_column => 'at', primary_key => '{code,order_id}', chunk_rows => 70",
	by_key => ", primary_key => '{order_id}', chunk_rows => 70",
	whole => ", cursor_column => 'at'",
	plain => '');

# Equal on both sides: in pages and in one piece, with a lower bound and without, rows without a cursor too.
for my $reader ('postgres', 'query', 'local')
{
	my $relation = $reader eq 'local' ? 'app.orders' : 'shop.orders';
	my $named = $reader eq 'local' ? '' : ", reader => '$reader'";
	for my $way (sort keys %way)
	{
		my $name = "${reader}_$way";
		define($name, $relation, "$way{$way}$named");
		is(run($name), '', "$name: first run");
		is($node->safe_psql('postgres', "SELECT count(*), count(DISTINCT order_id) FROM raw.$name"), '500|500', "$name: all rows");
		is(attempt($name, q{(details->>'reconciled_rows')::int = rows_read}), 't', "$name: all of them compared");
	}
}
my $change = q{UPDATE %s SET at = '2024-01-02 00:00+00' WHERE order_id <= 100; INSERT INTO %s VALUES (501, 'c501', '2024-01-02 00:00:01+00')};
$source->safe_psql('postgres', $change =~ s/%s/orders/gr);
$node->safe_psql('postgres', $change =~ s/%s/app.orders/gr);
for my $name (qw(postgres_paged postgres_by_code postgres_whole query_paged query_by_code query_whole local_paged local_by_code local_whole))
{
	is(run($name), '', "$name: second run");
	is($node->safe_psql('postgres', "SELECT count(*), count(DISTINCT order_id) FROM raw.$name"), '601|501', "$name: what is new");
	is(attempt($name, q{(details->>'reconciled_rows')::int = rows_read AND rows_read >= 101}), 't', "$name: compared");
}

# Nothing else than asked for: without reconcile nobody counts.
my $offset = -s $source->logfile;
$node->safe_psql('postgres', q{SELECT etl.alter_task('postgres_paged', 'postgres_paged', reconcile => false)});
is(run('postgres_paged'), '', 'without reconcile');
unlike(slurp_file($source->logfile, $offset), qr/max\([^\n]*orders/, 'nobody compares');

# A difference fails the attempt, and nothing of the chunk is kept.
define('hides', 'shop.hides_one', ", primary_key => '{order_id}', chunk_rows => 100, reader => 'postgres'");
like(run('hides'), qr/what was read from source shop\.hides_one differs from what it counts/, 'postgres: a row that is not counted');
is(attempt('hides', 'error_sqlstate'), 'ZE012', 'postgres: SQLSTATE');
is(attempt('hides', 'error_detail'), 'Read: 100 rows, "order_id" from 301 to 400. Counted within the same bounds: 99 rows, "order_id" from 301 to 400.',
	'postgres: what differs');
is($node->safe_psql('postgres', 'SELECT max(order_id) FROM raw.hides'), 300, 'postgres: the chunks before it are kept, nothing of it is');
define('moves', 'shop.moves_one', ", primary_key => '{order_id}', chunk_rows => 1000, reader => 'postgres'");
like(run('moves'), qr/differs from what it counts/, 'postgres: as many rows, but another end');
is(attempt('moves', 'error_detail'), 'Read: 501 rows, "order_id" from 1 to 501. Counted within the same bounds: 501 rows, "order_id" from 1 to 999.',
	'postgres: says which');
is($node->safe_psql('postgres', 'SELECT count(*) FROM raw.moves'), 0, 'postgres: nothing is kept');
for my $schema ('shop', 'app')
{
	define("alternates_$schema", "$schema.alternates", ", primary_key => '{order_id}', chunk_rows => 1000, reader => 'query'");
	like(run("alternates_$schema"), qr/what was read from source $schema\.alternates differs from what it counts/, "query, $schema: a row that is not counted");
	is(attempt("alternates_$schema", 'error_detail'), 'Read: 501 rows, "order_id" from 1 to 501. Counted within the same bounds: 500 rows, "order_id" from 1 to 501.',
		"query, $schema: what differs");
	is($node->safe_psql('postgres', "SELECT count(*) FROM raw.alternates_$schema"), 0, "query, $schema: nothing is kept");
}

# It may be gone next time: by default a difference is tried again.
define('again', 'shop.hides_one', ", primary_key => '{order_id}'");
$node->safe_psql('postgres', q{SELECT etl.alter_task('again', 'again', retry_delays => '{0 s}')});
like(run('again'), qr/differs/, 'again: fails');
is($node->safe_psql('postgres', "SELECT count(*) FROM etl.task_run WHERE task = 'again'"), 2, 'again: after a second attempt');

# Rows that come while a chunk is read belong to the next extract, not to a difference.
my $writer = $source->background_psql('postgres', on_error_stop => 0);
$writer->query_until(qr/started/, q{\echo started
DO $$ BEGIN FOR i IN 1..3000 LOOP INSERT INTO orders VALUES (100000 + i, 'w', clock_timestamp()); COMMIT; END LOOP; END $$;
});
for my $name (qw(postgres_by_code query_paged))
{
	is(run($name), '', "$name: with a busy source") for 1 .. 3;
}
$writer->quit;
is(run($_), '', "$_: at rest") for qw(postgres_by_code query_paged);
is($node->safe_psql('postgres', "SELECT count(DISTINCT order_id) FROM raw.$_"), 3501, "$_: all rows") for qw(postgres_by_code query_paged);

done_testing();
