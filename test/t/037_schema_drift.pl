# Changes of the columns of a source behind postgres_fdw: found before anything is read, followed, refused or left out.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = PostgreSQL::Test::Cluster->new('source');
$source->init;
$source->append_conf('postgresql.conf', "log_statement = all\n");
$source->start;
my $hba = $source->data_dir . '/pg_hba.conf';
$source->safe_psql('postgres', q{
CREATE ROLE reader LOGIN PASSWORD 'secret';
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE orders (order_id integer PRIMARY KEY, amount integer, "Note" varchar(5), secret text, at timestamptz NOT NULL);
INSERT INTO orders SELECT n, n, 'n', 's', '2024-01-01 00:00+00'::timestamptz + n * interval '1 s' FROM generate_series(1, 10) AS n;
CREATE TABLE frozen AS SELECT * FROM orders;
CREATE TABLE kept AS SELECT * FROM orders;
CREATE TABLE chosen AS SELECT * FROM orders;
CREATE TABLE foreign_owner AS SELECT * FROM orders;
CREATE TABLE used AS SELECT * FROM orders;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;
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
SET ROLE loader;
CREATE SCHEMA shop;
CREATE FOREIGN TABLE shop.orders (id integer OPTIONS (column_name 'order_id') NOT NULL, amount integer, note varchar(5) OPTIONS (column_name 'Note'),
  at timestamptz NOT NULL) SERVER shop OPTIONS (schema_name 'public', table_name 'orders');
IMPORT FOREIGN SCHEMA public LIMIT TO (frozen, kept, chosen, foreign_owner, used) FROM SERVER shop INTO shop;
RESET ROLE;
ALTER FOREIGN TABLE shop.foreign_owner OWNER TO postgres;
GRANT SELECT ON shop.foreign_owner TO loader;
});

# as_loader runs statements as the owner of the pipeline, who is no superuser.
sub as_loader
{
	my ($statement) = @_;
	return $node->safe_psql('postgres', "SET ROLE loader; SET client_min_messages = warning; $statement");
}

# run starts a pipeline and says how it ended: empty, or the error.
sub run
{
	my ($pipeline) = @_;
	my (undef, undef, $err) = $node->psql('postgres', "SET ROLE loader; SET client_min_messages = warning; SELECT etl.run_pipeline('$pipeline')");
	return $err;
}

# events returns the events of an extract, oldest first.
sub events
{
	my ($task) = @_;
	return as_loader(qq{SELECT string_agg(concat_ws(' ', e.column_name, e.change, e.old_type, '->', e.new_type), E'\\n' ORDER BY event_id)
		FROM etl.schema_event AS e JOIN etl.task AS t USING (task_id) WHERE t.name = '$task'});
}

# last_run returns a column of the last attempt of a task.
sub last_run
{
	my ($task, $column) = @_;
	return as_loader("SELECT $column FROM etl.task_run WHERE task = '$task' ORDER BY task_run_id DESC LIMIT 1");
}

as_loader(q{SELECT etl.create_pipeline(p) FROM unnest('{evolve,freeze,discard,chosen,owner,used}'::text[]) AS p;
SELECT etl.add_extract('evolve', 'orders', 'shop.orders', 'raw.orders', cursor_column => 'at', primary_key => '{id}', retry_delays => '{}');
SELECT etl.add_load('evolve', 'all_of_it', 'SELECT o.id, o.at FROM (SELECT * FROM raw.orders) AS o', 'dw.all_of_it', '{id}');
SELECT etl.add_extract('freeze', 'frozen', 'shop.frozen', 'raw.frozen', cursor_column => 'at', schema_drift => 'freeze', retry_delays => '{}');
SELECT etl.add_extract('discard', 'kept', 'shop.kept', 'raw.kept', cursor_column => 'at', schema_drift => 'discard', retry_delays => '{}');
SELECT etl.add_extract('chosen', 'chosen', 'shop.chosen', 'raw.chosen', cursor_column => 'at', columns => '{order_id,amount,at}', retry_delays => '{}');
SELECT etl.add_extract('owner', 'foreign_owner', 'shop.foreign_owner', 'raw.foreign_owner', cursor_column => 'at', retry_delays => '{}');
SELECT etl.add_extract('used', 'used', 'shop.used', 'raw.used', cursor_column => 'at', retry_delays => '{}');
});
is(run($_), '', "first run: $_") for qw(evolve freeze discard chosen owner used);
is(as_loader('SELECT count(*) FROM etl.schema_event'), 0, 'what the author left out of a foreign table is no change');
is(as_loader("SELECT left_out FROM etl.source_schema JOIN etl.task USING (task_id) WHERE name = 'orders'"), '{secret}', 'and is remembered as left out');

# New columns, and wider ones; the values of the first extract that sees them are kept.
$source->safe_psql('postgres', qq{
ALTER TABLE $_ ADD COLUMN city text COLLATE "C", ADD COLUMN "Mood" mood, ADD COLUMN price numeric(8,2),
  ALTER COLUMN amount TYPE bigint, ALTER COLUMN "Note" TYPE text;
INSERT INTO $_ VALUES (11, 5000000000, 'longer than five', 's', '2024-01-01 01:00+00', 'Rome', 'happy', 1.5);
}) for qw(orders used);
is(run('evolve'), '', 'evolve: new and wider columns');
is(as_loader(q{SELECT id, amount, note, city, "Mood", price, _etl_extra FROM raw.orders WHERE id = 11}), '11|5000000000|longer than five|Rome|happy|1.50|',
	'evolve: their values are in the raw table');
is(as_loader(q{SELECT string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY attnum) FROM pg_attribute AS a
	WHERE attrelid = 'shop.orders'::regclass AND attnum > 0 AND NOT attisdropped}),
	'id integer, amount bigint, note text, at timestamp with time zone, city text, Mood text, price numeric(8,2)', 'evolve: the foreign table has them too');
is(events('orders'), join("\n", 'amount widened integer -> bigint', 'Note widened character varying(5) -> text', 'city added -> text', 'Mood added -> public.mood', 'price added -> numeric(8,2)'),
	'evolve: an event for each');
is(as_loader(q{SELECT count(*), min(severity) FROM etl.alert WHERE event = 'schema_changed' AND pipeline = 'evolve'}), '1|warning', 'evolve: one alert for all of them');
like(last_run('orders', 'message'), qr/column "city" \(text\) was added: taken/, 'evolve: the attempt says so');
is(as_loader('SELECT count(*) FROM dw.all_of_it WHERE id = 11'), 1, 'evolve: a load that reads SELECT * goes on');
is(run('evolve'), '', 'evolve: again');
is(as_loader("SELECT count(*) FROM etl.schema_event JOIN etl.task USING (task_id) WHERE name = 'orders'"), 5, 'evolve: told once');

# A wider cursor keeps its place.
$source->safe_psql('postgres', 'CREATE TABLE counted (n integer NOT NULL); INSERT INTO counted SELECT generate_series(1, 5); GRANT SELECT ON counted TO reader');
as_loader(q{IMPORT FOREIGN SCHEMA public LIMIT TO (counted) FROM SERVER shop INTO shop; SELECT etl.create_pipeline('counted');
SELECT etl.add_extract('counted', 'counted', 'shop.counted', 'raw.counted', cursor_column => 'n', primary_key => '{n}', retry_delays => '{}')});
is(run('counted'), '', 'cursor: first run');
$source->safe_psql('postgres', 'ALTER TABLE counted ALTER n TYPE bigint; INSERT INTO counted VALUES (6000000000)');
is(run('counted'), '', 'cursor: wider');
is(as_loader('SELECT count(*), max(n) FROM raw.counted'), '6|6000000000', 'cursor: nothing is read again');
is(as_loader("SELECT type, value FROM etl.watermark JOIN etl.task USING (task_id) WHERE name = 'counted'"), 'bigint|6000000000', 'cursor: the watermark has its type');

# Columns that are gone, and narrower ones.
$source->safe_psql('postgres', q{ALTER TABLE orders DROP COLUMN city, ALTER COLUMN price TYPE numeric(4,1);
INSERT INTO orders VALUES (12, 12, 'n', 's', '2024-01-01 02:00+00', 'sad', 2.5)});
is(run('evolve'), '', 'evolve: dropped and narrower');
is(as_loader(q{SELECT id, city, price FROM raw.orders WHERE id IN (11, 12) AND _etl_batch = (SELECT max(_etl_batch) FROM raw.orders) ORDER BY id}) =~ /^12\|\|2.50$/m, 1,
	'evolve: NULL in new rows');
is(as_loader("SELECT count(*) FROM raw.orders WHERE city = 'Rome'"), 1, 'evolve: the raw table keeps what it has');
is(as_loader("SELECT count(*) FROM pg_attribute WHERE attrelid = 'shop.orders'::regclass AND attname = 'city'"), 0, 'evolve: the foreign table has it no more');
like(events('orders'), qr/price narrowed numeric\(8,2\) -> numeric\(4,1\)\ncity dropped text ->$/, 'evolve: events of both');
$source->safe_psql('postgres', 'ALTER TABLE orders RENAME COLUMN at TO changed_at');
like(run('evolve'), qr/source shop\.orders has no column "at" any more/, 'evolve: the cursor is gone');
is(last_run('orders', 'error_sqlstate'), 'ZE013', 'evolve: with its SQLSTATE');
like(events('orders'), qr/changed_at added -> timestamp with time zone\nat dropped timestamp with time zone ->$/, 'evolve: and the events, although the attempt failed');
$source->safe_psql('postgres', 'ALTER TABLE orders RENAME COLUMN changed_at TO at');
is(run('evolve'), '', 'evolve: it is back');

# freeze refuses everything until it is accepted.
$source->safe_psql('postgres', q{ALTER TABLE frozen ADD COLUMN city text, ALTER COLUMN amount TYPE bigint, DROP COLUMN secret;
INSERT INTO frozen VALUES (11, 11, 'n', '2024-01-01 01:00+00', 'Rome')});
for my $again (1 .. 2)
{
	like(run('freeze'), qr/the columns of source shop\.frozen have changed/, "freeze: run $again is refused");
}
is(last_run('frozen', 'error_sqlstate'), 'ZE013', 'freeze: with its SQLSTATE');
is(last_run('frozen', 'error_detail'), 'Column "amount" was widened from integer to bigint; column "city" (text) was added; column "secret" (text) was dropped.', 'freeze: names them');
like(last_run('frozen', 'error_hint'), qr/schema_drift => 'freeze'/, 'freeze: and what to call');
is(as_loader('SELECT count(*) FROM raw.frozen'), 10, 'freeze: nothing was read');
is(as_loader("SELECT count(*) FROM etl.schema_event WHERE policy = 'freeze'"), 3, 'freeze: events once');
is(as_loader("SELECT count(*) FROM etl.alert WHERE event = 'schema_changed' AND pipeline = 'freeze'"), 1, 'freeze: alert once');
as_loader(q{ALTER FOREIGN TABLE shop.frozen DROP COLUMN secret; SELECT etl.alter_task('freeze', 'frozen', schema_drift => 'freeze')});
is(run('freeze'), '', 'freeze: accepted');
is(as_loader('SELECT count(DISTINCT order_id) FROM raw.frozen'), 11, 'freeze: rows are read again');

# discard takes no new columns; a value that does not fit is an error.
$source->safe_psql('postgres', q{ALTER TABLE kept ADD COLUMN city text, ALTER COLUMN amount TYPE bigint, DROP COLUMN secret;
INSERT INTO kept VALUES (11, 11, 'n', '2024-01-01 01:00+00', 'Rome')});
is(run('discard'), '', 'discard: goes on') for 1 .. 2;
is(as_loader(q{SELECT order_id, secret, _etl_extra FROM raw.kept WHERE order_id = 11}), '11||', 'discard: nothing of the new column, NULL for the dropped one');
is(events('kept'), "amount widened integer -> bigint\ncity added -> text\nsecret dropped text ->", 'discard: events, once');
$source->safe_psql('postgres', q{INSERT INTO kept VALUES (12, 5000000000, 'n', '2024-01-01 02:00+00', 'Rome')});
run('discard');
is(last_run('kept', 'error_sqlstate'), '22003', 'discard: too large a value is an error');

# A list of columns is what it says.
$source->safe_psql('postgres', q{ALTER TABLE chosen ADD COLUMN city text, DROP COLUMN secret; INSERT INTO chosen VALUES (11, 11, 'n', '2024-01-01 01:00+00', 'Rome')});
is(run('chosen'), '', 'columns: other columns do not matter');
is(events('chosen'), '', 'columns: and are no events');
$source->safe_psql('postgres', 'ALTER TABLE chosen DROP COLUMN amount');
like(run('chosen'), qr/source shop\.chosen has no column "amount" any more/, 'columns: a named column that is gone is an error');

# A foreign table that belongs to somebody else is left alone, with the statement that is missing.
$source->safe_psql('postgres', q{ALTER TABLE foreign_owner ADD COLUMN city text, DROP COLUMN secret; INSERT INTO foreign_owner VALUES (11, 11, 'n', '2024-01-01 01:00+00', 'Rome')});
is(run('owner'), '', 'owner: goes on') for 1 .. 2;
is(as_loader('SELECT count(DISTINCT order_id) FROM raw.foreign_owner'), 11, 'owner: with the columns that both have');
like(as_loader("SELECT string_agg(schema_event.action, E'\\n' ORDER BY event_id) FROM etl.schema_event JOIN etl.task USING (task_id) WHERE name = 'foreign_owner'"),
	qr/^not taken: must be owner of foreign table foreign_owner \(ALTER FOREIGN TABLE shop\.foreign_owner ADD COLUMN city text;\)\n.*DROP COLUMN secret;\)$/, 'owner: says what to run');
is(as_loader("SELECT count(*) FROM etl.schema_event JOIN etl.task USING (task_id) WHERE name = 'foreign_owner'"), 2, 'owner: told once');
$node->safe_psql('postgres', 'ALTER FOREIGN TABLE shop.foreign_owner ADD COLUMN city text, DROP COLUMN secret');
$source->safe_psql('postgres', q{INSERT INTO foreign_owner VALUES (12, 12, 'n', '2024-01-01 02:00+00', 'Oslo')});
is(run('owner'), '', 'owner: the statement was run');
is(as_loader('SELECT city FROM raw.foreign_owner WHERE order_id = 12'), 'Oslo', 'owner: and the raw table follows');

# A raw column that a view uses cannot be widened: values that fit go on, others are an error; new columns are taken.
as_loader('CREATE VIEW dw.amounts AS SELECT order_id, amount FROM raw.used');
run('used');
is(last_run('used', 'error_sqlstate'), '22003', 'view: a value that does not fit is an error');
like(events('used'), qr/amount widened integer -> bigint/, 'view: the event is there');
like(as_loader("SELECT schema_event.action FROM etl.schema_event JOIN etl.task USING (task_id) WHERE name = 'used' AND column_name = 'amount'"),
	qr/cannot alter type of a column used by a view or rule \(ALTER TABLE raw\.used ALTER COLUMN amount TYPE bigint;\)/, 'view: with the statement');
as_loader('DROP VIEW dw.amounts');
is(run('used'), '', 'view: gone');
is(as_loader('SELECT amount, city FROM raw.used WHERE order_id = 11'), '5000000000|Rome', 'view: the raw column was widened at the next extract');

# What the reader may not read is not there.
$source->safe_psql('postgres', 'REVOKE SELECT ON used FROM reader; GRANT SELECT (order_id, amount, "Note", secret, at, city, "Mood", price) ON used TO reader; ALTER TABLE used ADD COLUMN salary integer');
is(run('used'), '', 'rights: a column that may not be read is not taken');
unlike(events('used'), qr/salary/, 'rights: and is no event');

# One question per extract.
my $offset = -s $source->logfile;
is(run('evolve'), '', 'cost: nothing has changed');
my @questions = slurp_file($source->logfile, $offset) =~ /pg_catalog\.pg_attribute/g;
is(scalar(@questions), 1, 'cost: one question about the columns');

done_testing();
