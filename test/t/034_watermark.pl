# Writers that commit in another order than they stamp their rows, and extracts that read meanwhile: nothing is lost and
# nothing is there twice. From PostgreSQL through a connection of our own and through postgres_fdw, with a role that may see
# when transactions began and with one that may not, from tables of the warehouse itself, and for each type of cursor.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = PostgreSQL::Test::Cluster->new('source');
$source->init(allows_streaming => 1);
$source->append_conf('postgresql.conf', "track_commit_timestamp = on\nmax_prepared_transactions = 10\nmax_connections = 60\n");
$source->start;

# Every transaction stamps what it inserts and updates with its start, and stays open for a while. Updates touch only rows
# of the same client: nobody waits for anybody else.
my $tables = q{
CREATE TABLE item (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, client int NOT NULL, version int NOT NULL DEFAULT 1,
  updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON item (updated_at);
CREATE TABLE event (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, client int NOT NULL);
CREATE TABLE wall (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, client int NOT NULL, at timestamp NOT NULL DEFAULT now());
CREATE FUNCTION uuid7() RETURNS uuid LANGUAGE sql VOLATILE AS $$
  SELECT encode(set_byte(set_byte(overlay(uuid_send(gen_random_uuid()) PLACING
    substring(int8send((extract(epoch FROM now()) * 1000)::bigint) FROM 3) FROM 1 FOR 6), 6, 112), 8, 128), 'hex')::uuid $$;
CREATE TABLE doc (id uuid PRIMARY KEY DEFAULT uuid7(), client int NOT NULL);
CREATE ROLE app LOGIN;
GRANT SELECT, INSERT, UPDATE ON item, event, wall, doc TO app;
CREATE TABLE control (at timestamptz, highest timestamptz, highest_id bigint);
};
my $script = "$PostgreSQL::Test::Utils::tmp_check/writer.sql";
append_to_file($script, q{
\set pause random(1, 100)
BEGIN;
INSERT INTO item (client) SELECT :client_id FROM generate_series(1, 14);
UPDATE item SET version = version + 1, updated_at = now() WHERE id IN
  (SELECT id FROM item WHERE client = :client_id ORDER BY updated_at, id LIMIT 4);
INSERT INTO event (client) SELECT :client_id FROM generate_series(1, 2);
INSERT INTO wall (client) SELECT :client_id FROM generate_series(1, 2);
INSERT INTO doc (client) SELECT :client_id FROM generate_series(1, 2);
SELECT pg_sleep(CASE WHEN :pause > 95 THEN 1 ELSE :pause * 0.001 END);
COMMIT;
});

$source->safe_psql('postgres', $tables . q{
CREATE ROLE reader LOGIN;
CREATE ROLE blind LOGIN;
GRANT pg_read_all_stats TO reader;
GRANT SELECT ON item, event, wall, doc TO reader, blind;
});

my $node = PostgreSQL::Test::Cluster->new('warehouse');
$node->init;
$node->append_conf('postgresql.conf',
	"track_commit_timestamp = on\nmax_prepared_transactions = 10\nmax_connections = 60\nmax_worker_processes = 24\netl.max_workers = 8\n");
$node->start;
my ($host, $port) = ($source->host, $source->port);
$node->safe_psql('postgres', $tables . qq{
CREATE EXTENSION etl_ext;
CREATE EXTENSION postgres_fdw;
CREATE SERVER shop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'postgres');
} . join('', map { qq{
CREATE ROLE $_ LOGIN;
GRANT USAGE ON SCHEMA etl TO $_;
GRANT CREATE ON DATABASE postgres TO $_;
GRANT USAGE ON FOREIGN SERVER shop TO $_;
GRANT SELECT ON item, event, wall, doc TO $_;
CREATE USER MAPPING FOR $_ SERVER shop OPTIONS (user '$_', password_required 'false');
} } qw(reader blind)));

# as runs statements as a role of the warehouse.
sub as
{
	my ($role, $statement) = @_;
	return $node->safe_psql('postgres', "SET ROLE $role; SET client_min_messages = warning; $statement");
}

# All extracts: name of the task => [table, cursor, role, options]. All tables have the key id.
my %extract = (
	moment      => [ 'shop.item', 'updated_at', 'reader', '' ],
	moment_fdw  => [ 'shop.item', 'updated_at', 'reader', ", reader => 'query'" ],
	moment_lock => [ 'shop.item', 'updated_at', 'blind', '' ],
	number      => [ 'shop.event', 'id', 'reader', '' ],
	number_fdw  => [ 'shop.event', 'id', 'reader', ", reader => 'query'" ],
	wall        => [ 'shop.wall', 'at', 'reader', '' ],
	uuid        => [ 'shop.doc', 'id', 'reader', '' ],
	uuid_lock   => [ 'shop.doc', 'id', 'blind', '' ],
	here        => [ 'public.item', 'updated_at', 'reader', '' ],
	here_number => [ 'public.event', 'id', 'reader', '' ],
	here_wall   => [ 'public.wall', 'at', 'blind', '' ]);

for my $role (qw(reader blind))
{
	my $schema = $role eq 'reader' ? 'shop' : 'shop_blind';
	as($role, "CREATE SCHEMA $schema; IMPORT FOREIGN SCHEMA public LIMIT TO (item, event, wall, doc) FROM SERVER shop INTO $schema;"
		. " SELECT etl.create_pipeline('$role', max_parallel => 4)");
	for my $task (sort grep { $extract{$_}[2] eq $role } keys %extract)
	{
		my ($table, $cursor, undef, $options) = @{ $extract{$task} };
		$table =~ s/^shop/$schema/;
		as($role, "SELECT etl.add_extract('$role', '$task', '$table', 'raw_$role.$task', cursor_column => '$cursor', primary_key => '{id}', chunk_rows => 1000$options)");
	}
}

# The writers start, on both servers; the extracts run again and again until they have ended.
my @writer;
for my $server ($source, $node)
{
	push @writer, IPC::Run::start(
		[ 'pgbench', '-n', '-M', 'prepared', '-c', '8', '-j', '1', '-t', $server == $source ? 100 : 40, '-f', $script, '-U', 'app', '-h', $server->host, '-p', $server->port, 'postgres' ],
		'<', \undef, '>', '/dev/null', '2>', "$PostgreSQL::Test::Utils::tmp_check/pgbench_" . $server->name);
	ok($server->poll_query_until('postgres', 'SELECT count(*) > 0 FROM item'), 'writers of ' . $server->name . ' have started');
}

# writing says whether writers of a server are still at work.
sub writing
{
	my ($server) = @_;
	return $server->safe_psql('postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = 'app'") eq 't';
}

my $rounds = 0;
while (writing($source) || writing($node))
{
	# What somebody would take for the watermark who looks at nothing but the rows.
	$_->safe_psql('postgres', 'INSERT INTO control SELECT clock_timestamp(), (SELECT max(updated_at) FROM item), (SELECT max(id) FROM event)') for ($source, $node);
	# Where nobody has to be waited for, more often than all together.
	as('reader', "SELECT etl.run_pipeline('reader', tasks => '{moment,moment_fdw,wall,uuid,here}')");
	as($_, "SELECT etl.run_pipeline('$_')") for $rounds++ % 4 == 3 ? qw(reader blind) : ();
}
$_->finish for @writer;
# Once more for what was committed after the last look.
as($_, "SELECT etl.run_pipeline('$_')") for qw(reader blind);
cmp_ok($rounds, '>', 3, 'extracts ran while the writers wrote');
note "$rounds rounds";

for my $server ($source, $node)
{
	my $name = $server->name;
	note "$name: " . $server->safe_psql('postgres', "SELECT count(*) || ' rows, ' || sum(version - 1) || ' updates' FROM item");
	# The test itself: there were rows that a watermark at the highest value would have passed over.
	cmp_ok($server->safe_psql('postgres', q{SELECT count(*) FROM item AS i WHERE EXISTS (SELECT FROM control AS c
		WHERE i.updated_at < c.highest AND pg_xact_commit_timestamp(i.xmin) > c.at)}), '>', 0, "$name: rows were committed behind the highest time");
	cmp_ok($server->safe_psql('postgres', q{SELECT count(*) FROM event AS e WHERE EXISTS (SELECT FROM control AS c
		WHERE e.id < c.highest_id AND pg_xact_commit_timestamp(e.xmin) > c.at)}), '>', 0, "$name: rows were committed behind the highest number");
}
cmp_ok($source->safe_psql('postgres', 'SELECT count(*) + sum(version - 1) FROM item'), '>=', 10000, 'at least 10,000 rows were written');

# same_rows compares what a raw table has with its source, read through postgres_fdw or at home.
sub same_rows
{
	my ($task) = @_;
	my ($table, undef, $role) = @{ $extract{$task} };
	my $columns = $table =~ /item$/ ? 'id, version, updated_at' : 'id';
	$table =~ s/^shop/shop_blind/ if $role eq 'blind';
	is(as($role, "SELECT count(*) FROM (SELECT $columns FROM $table EXCEPT SELECT $columns FROM raw_$role.$task) AS lost"), 0, "$task: no row is lost");
	is(as($role, "SELECT count(*) FROM (SELECT $columns FROM raw_$role.$task GROUP BY $columns HAVING count(*) > 1) AS twice"), 0, "$task: no row is there twice");
	return;
}
same_rows($_) for sort keys %extract;
is(as('reader', "SELECT count(*) FROM etl.task_run WHERE state <> 'success'"), 0, 'no extract failed');
is(as('reader', "SELECT string_agg(DISTINCT reader, ' ' ORDER BY reader) FROM etl.task_run WHERE task LIKE 'moment%'"), 'postgres query', 'both readers took part');
is(as('reader', q{SELECT count(*) FROM etl.watermark AS w WHERE w.value IS DISTINCT FROM
	(SELECT h.new_value FROM etl.watermark_history AS h WHERE h.task_id = w.task_id ORDER BY h.move_id DESC LIMIT 1)}), 0,
	'the history ends where each watermark is');
is(as('reader', q{SELECT count(*) FROM (SELECT old_value, lag(new_value) OVER (PARTITION BY task_id ORDER BY move_id) AS before
	FROM etl.watermark_history) AS h WHERE old_value IS DISTINCT FROM before}), 0, 'and each of its moves begins where the one before ended');

# One transaction that stays open: the rows of others come at once, the watermark waits.
sub watermark
{
	my ($task) = @_;
	return as($extract{$task}[2], "SELECT w.value FROM etl.watermark AS w JOIN etl.task AS t USING (task_id) WHERE t.name = '$task'");
}

# run runs some tasks and returns what the last attempts say.
sub run
{
	my ($role, @tasks) = @_;
	my $run = as($role, "SELECT etl.run_pipeline('$role', tasks => '{" . join(',', @tasks) . "}')");
	return as($role, "SELECT string_agg(task || ': ' || coalesce(message, ''), E'\\n' ORDER BY task) FROM etl.task_run WHERE run_id = $run");
}
$node->append_conf('postgresql.conf', "etl.writer_wait = '300ms'\n");
$node->reload;
my %open = map { $_->name => $_->background_psql('postgres') } ($source, $node);
$_->query_safe("BEGIN; INSERT INTO item (client) VALUES (100); INSERT INTO event (client) VALUES (100); INSERT INTO wall (client) VALUES (100); INSERT INTO doc (client) VALUES (100)") for values %open;
$_->safe_psql('postgres', 'INSERT INTO item (client) VALUES (101); INSERT INTO event (client) VALUES (101); INSERT INTO wall (client) VALUES (101); INSERT INTO doc (client) VALUES (101)') for ($source, $node);
my %before = map { $_ => watermark($_) } keys %extract;
my $reader_says = run('reader', grep { $extract{$_}[2] eq 'reader' } sort keys %extract);
my $blind_says = run('blind', grep { $extract{$_}[2] eq 'blind' } sort keys %extract);
for my $task (sort keys %extract)
{
	my $role = $extract{$task}[2];
	is(as($role, "SELECT count(*) FROM raw_$role.$task WHERE client = 101"), 1, "open transaction: $task has the row of another one");
	is(watermark($task), $before{$task}, "open transaction: the watermark of $task waits") if $task =~ /number|lock/;
}
like($reader_says, qr/^number: The watermark stays where it is, [^\n]*: process \d+ of the source/m, 'open transaction: a number says for whom it waits');
like($reader_says, qr/^here_number: The watermark stays where it is, [^\n]*: process \d+ of the source/m, 'open transaction: so does one of this server');
like($blind_says, qr/^moment_lock: The watermark stays where it is, /m, 'open transaction: so does a time whose transactions cannot be seen');
like($reader_says, qr/^moment: *$/m, 'open transaction: a time has nothing to say');
$_->query_safe('COMMIT') for values %open;
$_->quit for values %open;
as($_, "SELECT etl.run_pipeline('$_')") for qw(reader blind);
same_rows($_) for sort keys %extract;
for my $task (grep { /number/ } sort keys %extract)
{
	isnt(watermark($task), $before{$task}, "transaction committed: the watermark of $task goes on");
}

# A prepared transaction is in no session.
$_->safe_psql('postgres', q{BEGIN; INSERT INTO item (client) VALUES (200); INSERT INTO event (client) VALUES (200);
	INSERT INTO wall (client) VALUES (200); INSERT INTO doc (client) VALUES (200); PREPARE TRANSACTION 'late'}) for ($source, $node);
$_->safe_psql('postgres', 'INSERT INTO item (client) VALUES (201); INSERT INTO event (client) VALUES (201); INSERT INTO wall (client) VALUES (201); INSERT INTO doc (client) VALUES (201)') for ($source, $node);
$reader_says = run('reader', 'number', 'here_number');
like($reader_says, qr/^number: [^\n]*: prepared transaction 'late' of the source/m, 'prepared transaction: a number says for whom it waits');
like($reader_says, qr/^here_number: [^\n]*: a prepared transaction of the source/m, 'prepared transaction: so does one of this server');
as($_, "SELECT etl.run_pipeline('$_')") for qw(reader blind);
$_->safe_psql('postgres', "COMMIT PREPARED 'late'") for ($source, $node);
as($_, "SELECT etl.run_pipeline('$_')") for qw(reader blind);
same_rows($_) for sort keys %extract;

# First load while nothing can be known: what was read is read again, and recognised.
$open{source} = $source->background_psql('postgres');
$open{source}->query_safe('BEGIN; INSERT INTO event (client) VALUES (300)');
$source->safe_psql('postgres', 'INSERT INTO event (client) VALUES (301)');
as('reader', "SELECT etl.add_extract('reader', 'first', 'shop.event', 'raw_reader.first', cursor_column => 'id', primary_key => '{id}')");
$extract{first} = [ 'shop.event', 'id', 'reader', '' ];
like(run('reader', 'first'), qr/The watermark stays where it is/, 'first load beside an open transaction: it says so');
run('reader', 'first');
$open{source}->query_safe('COMMIT');
$open{source}->quit;
run('reader', 'first');
same_rows('first');
is(watermark('first'), $source->safe_psql('postgres', 'SELECT max(id) FROM event'), 'first load beside an open transaction: the watermark follows when it has ended');

# Sessions with track_activities = off do not say when their transaction began: they are waited for.
%open = map { $_->name => $_->background_psql('postgres') } ($source, $node);
$_->query_safe('SET track_activities = off') for values %open;
$_->query_safe('BEGIN; INSERT INTO item (client) VALUES (400)') for values %open;
$_->safe_psql('postgres', 'INSERT INTO item (client) VALUES (401)') for ($source, $node);
$reader_says = run('reader', 'moment', 'here');
like($reader_says, qr/^$_: The watermark stays where it is, [^\n]*: process \d+ of the source/m, "track_activities = off: $_ says for whom it waits") for qw(moment here);
$_->query_safe('COMMIT') for values %open;
$_->quit for values %open;
run('reader', 'moment', 'here');
same_rows($_) for qw(moment here);

# Nobody moves the watermark of an extract that is running.
$open{warehouse} = $node->background_psql('postgres');
$open{warehouse}->query_safe('BEGIN; LOCK TABLE item');
my $run = as('reader', "SELECT etl.run_pipeline('reader', tasks => '{here}', wait => false)");
ok($node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'item'::regclass AND NOT granted"), 'the extract waits for its source');
my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSET ROLE reader; SELECT etl.set_watermark('reader', 'here', NULL)");
like($err, qr/55006: the watermark of task "here" cannot be moved while the task is running/, 'set_watermark is refused meanwhile');
$open{warehouse}->query_safe('COMMIT');
$open{warehouse}->quit;
is(as('reader', "SELECT etl.wait_for_run($run)"), 'success', 'the run goes on');
as('reader', "SELECT etl.set_watermark('reader', '$_', NULL)") for qw(here moment number_fdw);
as('reader', "SELECT etl.run_pipeline('reader')");
same_rows($_) for qw(here moment number_fdw);

# A standby does not know who writes at its primary.
$source->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($source, 'copy', has_streaming => 1);
$standby->start;
$node->safe_psql('postgres', "ALTER SERVER shop OPTIONS (SET host '" . $standby->host . "', SET port '" . $standby->port . "')");
$source->wait_for_catchup($standby);
like(run('reader', 'moment'), qr/^moment: Rows that are committed later [^\n]* may be missed: it is a standby/, 'a standby: only lag helps, and the attempt says so');
as('reader', "SELECT etl.alter_task('reader', 'moment', lag => '1 h')");
unlike(run('reader', 'moment'), qr/missed/, 'with lag it has nothing to say');
$standby->stop;

$node->stop;
$source->stop;
done_testing();
