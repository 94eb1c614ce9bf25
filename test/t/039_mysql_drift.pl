# Columns that come, go and grow at MariaDB: found in its information_schema, followed in the types of this server.
# The server's coordinates come from test/run.sh: ETL_TEST_MARIADB_HOST, _PORT, _USER and _PASSWORD.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($sharedir) = run_command([ 'pg_config', '--sharedir' ]);
plan skip_all => 'mysql_fdw is not installed' unless -e "$sharedir/extension/mysql_fdw.control";
plan skip_all => 'no MariaDB: ETL_TEST_MARIADB_PORT is not set' unless $ENV{ETL_TEST_MARIADB_PORT};
my %mariadb = map { lc($_) => $ENV{"ETL_TEST_MARIADB_$_"} } qw(HOST PORT USER PASSWORD);
my $database = "etl_ext_039_$$";
my @client = ('mariadb', '--no-defaults', '-N', '-B', '-h', $mariadb{host}, '-P', $mariadb{port}, '-u', $mariadb{user});
$ENV{MYSQL_PWD} = $mariadb{password};

# mysql runs statements on the MariaDB server and returns what they printed.
sub mysql
{
	my ($statement) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run([ @client, '-e', $statement ], '<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(120)) or die "MariaDB: $err";
	chomp $out;
	return $out;
}

my $node = PostgreSQL::Test::Cluster->new('warehouse');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 16\n");
$node->start;
$node->safe_psql('postgres', qq{
CREATE EXTENSION etl_ext;
CREATE EXTENSION mysql_fdw;
CREATE ROLE loader LOGIN;
GRANT USAGE ON SCHEMA etl TO loader;
GRANT CREATE ON DATABASE postgres TO loader;
CREATE SERVER pay FOREIGN DATA WRAPPER mysql_fdw OPTIONS (host '$mariadb{host}', port '$mariadb{port}');
GRANT USAGE ON FOREIGN SERVER pay TO loader;
CREATE USER MAPPING FOR loader SERVER pay OPTIONS (username '$mariadb{user}', password '$mariadb{password}');
SET ROLE loader;
CREATE SCHEMA pay;
});

# as_loader runs statements as the owner of the pipeline, who is no superuser.
sub as_loader
{
	my ($statement) = @_;
	return $node->safe_psql('postgres', "SET ROLE loader; SET client_min_messages = warning; $statement");
}

mysql(qq{CREATE DATABASE $database});
mysql(qq{CREATE TABLE $database.drift (Id int PRIMARY KEY, n int NOT NULL, gone int, note varchar(5), left_out int, updated_at datetime NOT NULL)});
mysql(qq{INSERT INTO $database.drift VALUES (1, 1, 1, 'a', 1, '2024-01-01')});
as_loader(qq{CREATE FOREIGN TABLE pay.drift (id int NOT NULL, n int, gone int, note varchar(5), updated_at timestamp NOT NULL)
  SERVER pay OPTIONS (dbname '$database', table_name 'drift');
SELECT etl.create_pipeline('drift');
SELECT etl.add_extract('drift', 'drift', 'pay.drift', 'raw.drift', cursor_column => 'updated_at', primary_key => '{id}', reconcile => true, retry_delays => '{}');
SELECT etl.run_pipeline('drift')});
if (as_loader("SELECT reader FROM etl.task_status WHERE task = 'drift'") ne 'mysql')
{
	mysql("DROP DATABASE $database");
	plan skip_all => 'built without libmariadb: nobody can ask the server';
}
like(as_loader("SELECT string_agg(line, E'\\n') FROM etl.explain_task('drift', 'drift') AS line"), qr/^-- reader mysql\n-- rows: about \d+, by the planner of pay$/m,
	'explain_task says who reads, and how many rows the planner of the source expects');
mysql(qq{ALTER TABLE $database.drift DROP COLUMN gone, MODIFY n bigint NOT NULL, MODIFY note text, ADD COLUMN state enum('new', 'paid'), ADD COLUMN price decimal(8,2),
  ADD COLUMN big bigint unsigned});
mysql(qq{INSERT INTO $database.drift VALUES (2, 5000000000, REPEAT('x', 10), 1, '2024-01-02', 'paid', 1.5, 18446744073709551615)});
as_loader("SELECT etl.run_pipeline('drift')");
is(as_loader('SELECT id, n, gone, note, state, price, big, _etl_extra FROM raw.drift WHERE id = 2'), '2|5000000000||xxxxxxxxxx|paid|1.50|18446744073709551615|',
	'drift: new, wider and dropped columns are followed');
is(as_loader(q{SELECT string_agg(concat_ws(' ', column_name, change), ', ' ORDER BY event_id) FROM etl.schema_event}),
	'n widened, note widened, state added, price added, big added, gone dropped', 'drift: an event for each');
is(as_loader(q{SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute
	WHERE attrelid = 'pay.drift'::regclass AND attnum > 0 AND NOT attisdropped}),
	'id integer, n bigint, note text, updated_at timestamp without time zone, state text, price numeric(8,2), big numeric(20,0)', 'drift: the foreign table follows');
is(as_loader(q{SELECT details->'reconciled_rows' = to_jsonb(rows_read) FROM etl.task_run WHERE task = 'drift' ORDER BY task_run_id DESC LIMIT 1}), 't', 'drift: all rows were compared with MariaDB');

mysql("DROP DATABASE $database");
$node->stop;
done_testing();
