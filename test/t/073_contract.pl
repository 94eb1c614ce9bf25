# Contracts of sources whose time passes while nobody runs anything; a copy of the database keeps quiet; the guard in sessions
# that have never used etl_ext, with the library preloaded and without. Nobody waits for a minute to pass: clocks are put back.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('contract');
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

# told returns how many alerts about a promise there are.
sub told
{
	my ($promise, $event) = @_;
	return "SELECT count(*) FROM etl.alert WHERE source = 'shop.orders' AND promise = '$promise' AND event = '$event'";
}

sql(q{
	CREATE EXTENSION etl_ext;
	CREATE SCHEMA shop;
	CREATE TABLE shop.orders (id bigint PRIMARY KEY, amount int, changed timestamptz NOT NULL DEFAULT clock_timestamp());
	SELECT etl.create_pipeline('shop');
	SELECT etl.add_extract('shop', 'orders', source => 'shop.orders', target => 'raw.orders', cursor_column => 'changed');
	SELECT etl.add_alert_route('log', channel => 'log', match => '{"team": "shop"}')});

# Freshness runs out by itself: within a second, and nobody runs anything.
sql(q{SELECT etl.set_contract('shop.orders', team => 'shop', freshness => '300 ms')});
comes_true('SELECT (' . told('freshness', 'contract_broken') . ') = 1', 'freshness breaks while nothing runs');
comes_true(q{SELECT count(*) = 1 FROM etl.alert_delivery WHERE route = 'log' AND state = 'sent'}, 'the route of the team has told of it');
like(slurp_file($node->logfile), qr/source shop\.orders: promise of a source broken: .*freshness/, 'in the server\'s log');
sql(q{SELECT etl.set_contract('shop.orders', freshness => '1 day')});
sql(q{INSERT INTO shop.orders VALUES (1, 1); SELECT etl.run_pipeline('shop')});
is(sql(told('freshness', 'recovered')), 1, 'a run with new rows ends the breach');

# An arrival that was due while the server was down.
my $minute = sql(q{SELECT to_char(now() - interval '2 min', 'HH24:MI')});
sql(qq{SELECT etl.set_contract('shop.orders', arrival => '$minute', reset => '{freshness}')});
sql(q{UPDATE etl.batch SET loaded_at = loaded_at - interval '3 days';
      UPDATE etl.contract_progress SET arrival_until = now() - interval '1 day', next_due_at = now() - interval '2 min'});
$node->restart;
comes_true('SELECT (' . told('arrival', 'contract_broken') . ') = 1', 'an arrival that was due during a downtime breaks');
is(sql(q{SELECT kept FROM etl.contract_result WHERE promise = 'arrival'}), 'f', 'with a result');
is(sql('SELECT (next_due_at > now()) FROM etl.contract_progress'), 't', 'the next one is tomorrow');

# Columns of a server, asked there: told of although the extract refuses to read; names are those of the foreign table or of the server.
my ($host, $port) = ($node->host, $node->port);
sql('CREATE DATABASE shopdb');
sql(q{CREATE TABLE orders (order_id int PRIMARY KEY, amount int, at timestamptz NOT NULL); INSERT INTO orders VALUES (1, 1, now())}, 'shopdb');
sql(qq{
	CREATE EXTENSION postgres_fdw;
	CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'shopdb');
	CREATE USER MAPPING FOR CURRENT_USER SERVER far;
	CREATE SCHEMA far;
	CREATE FOREIGN TABLE far.orders (id int OPTIONS (column_name 'order_id'), amount int, at timestamptz NOT NULL) SERVER far OPTIONS (schema_name 'public');
	SELECT etl.create_pipeline('far');
	SELECT etl.add_extract('far', 'orders', source => 'far.orders', target => 'raw.far', cursor_column => 'at', schema_drift => 'freeze', retry_delays => '{}');
	SELECT etl.set_contract('far.orders', columns => '{"id": "integer", "amount": "integer", "at": "timestamptz"}', extra_columns => false);
	SELECT etl.run_pipeline('far')});
my $columns = q{SELECT r.kept, r.measured FROM etl.contract_result AS r WHERE promise = 'columns' ORDER BY result_id DESC LIMIT 1};
is(sql($columns), 't|these', 'columns of a server');
sql('ALTER TABLE orders ALTER amount TYPE text, ADD more int', 'shopdb');
$node->psql('postgres', q{SELECT etl.run_pipeline('far')});
is(sql($columns), 'f|column "amount" of type text instead of integer; column "more", which was not promised', 'are told of even if nothing is read');
is(sql(q{SELECT event, source FROM etl.alert WHERE promise = 'columns'}), 'contract_broken|far.orders', 'with an alert');
sql('ALTER TABLE orders ALTER amount TYPE int USING 1, DROP more', 'shopdb');
sql(q{SELECT etl.run_pipeline('far')});
is(sql(q{SELECT string_agg(event, ' ' ORDER BY alert_id) FROM etl.alert WHERE promise = 'columns'}), 'contract_broken recovered', 'and again when they are back');
sql(q{SELECT etl.drop_contract('far.orders'); SELECT etl.drop_pipeline('far'); SET etl.guard_ddl = off; DROP SCHEMA far CASCADE; DROP TABLE raw.far});

# A copy of the database has the contracts, and breaks none of them before somebody works there.
sql(q{UPDATE etl.contract_progress SET arrival_until = now() - interval '1 day', next_due_at = now() + interval '1 day'});
sql('CREATE DATABASE copy TEMPLATE postgres');
sql(q{UPDATE etl.contract_result SET recovered_at = now(); UPDATE etl.contract_progress SET next_due_at = now() - interval '1 min';
      SELECT etl.create_pool('wake', 1)}, 'copy');
is(sql('SELECT etl.evaluate_contracts()', 'copy'), 0, 'a copy looks at nothing');
is(sql(q{SELECT count(*) FROM etl.alert WHERE promise = 'arrival'}, 'copy'), 1, 'and tells of nothing');

# A dump has the contracts and what tasks name; not how promises were kept.
$node->run_log([ 'pg_dump', '-p', $node->port, '-h', $node->host, '-f', $node->basedir . '/dump.sql', 'postgres' ]);
sql('CREATE DATABASE restored');
$node->run_log([ 'psql', '-X', '-q', '-p', $node->port, '-h', $node->host, '-d', 'restored', '-f', $node->basedir . '/dump.sql' ]);
is(sql(q{SELECT source, team, (SELECT count(*) FROM etl.contract_result), (SELECT count(*) > 0 FROM etl.task_reference) FROM etl.contract}, 'restored'),
	'shop.orders|shop|0|t', 'contracts are dumped, results are not');

# The guard, in a session that does nothing else.
sub guarded
{
	my ($statement) = @_;
	my ($status, undef, $stderr) = $node->psql('postgres', $statement);
	return $stderr;
}

for my $preloaded (1, 0)
{
	my $how = $preloaded ? 'preloaded' : 'not preloaded';

	if (!$preloaded)
	{
		$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', undef);
		$node->restart;
	}
	like(guarded('ALTER TABLE shop.orders RENAME COLUMN changed TO x; ALTER TABLE shop.orders RENAME COLUMN x TO changed'),
		qr/WARNING.*\n.*changed of shop\.orders becomes x: read by task orders of pipeline shop/, "$how: a warning by default");
	like(guarded('SET etl.guard_ddl = error; DROP TABLE shop.orders'), qr/ERROR.*\n.*shop\.orders is dropped/, "$how: refused");
	like(guarded('SET etl.guard_ddl = error; DROP SCHEMA shop CASCADE'), qr/ERROR.*\n.*shop\.orders is dropped/, "$how: CASCADE, too");
	is(guarded('SET etl.guard_ddl = off; BEGIN; DROP TABLE shop.orders; ROLLBACK'), '', "$how: off");
	is(guarded('SET etl.guard_ddl = error; ALTER TABLE shop.orders DROP COLUMN amount, ADD COLUMN amount int'), '', "$how: a column that no task names");
	is(sql('SELECT count(*) FROM shop.orders'), 1, "$how: the table is there");
}
# Without a launcher somebody asks, for example pg_cron.
sql(q{UPDATE etl.contract_progress SET arrival_until = now() - interval '1 day', next_due_at = now() - interval '2 min';
      UPDATE etl.contract_result SET recovered_at = now()});
is(sql('SELECT etl.evaluate_contracts()'), 1, 'without a launcher, evaluate_contracts looks');
sql('DROP EXTENSION etl_ext CASCADE');
is(guarded('DROP TABLE shop.orders'), '', 'nothing is left behind by DROP EXTENSION');
done_testing();
