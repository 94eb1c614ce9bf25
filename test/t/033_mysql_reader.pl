# The mysql reader against a live MariaDB: every type, connections that are cut at any byte, snapshots, cancel, errors.
# The server's coordinates come from test/run.sh: ETL_TEST_MARIADB_HOST, _PORT, _USER and _PASSWORD; its zone is +03:00.
use strict;
use warnings;
use utf8;
use EtlProxy;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($sharedir) = run_command([ 'pg_config', '--sharedir' ]);
plan skip_all => 'mysql_fdw is not installed' unless -e "$sharedir/extension/mysql_fdw.control";
plan skip_all => 'no MariaDB: ETL_TEST_MARIADB_PORT is not set' unless $ENV{ETL_TEST_MARIADB_PORT};
plan skip_all => 'a build without libmariadb' if $ENV{ETL_TEST_WITHOUT_MYSQL};
my %mariadb = map { lc($_) => $ENV{"ETL_TEST_MARIADB_$_"} } qw(HOST PORT USER PASSWORD);
my $database = "etl_ext_033_$$";
my @client = ('mariadb', '--no-defaults', '-N', '-B', '--default-character-set=utf8mb4', '-h', $mariadb{host}, '-P', $mariadb{port}, '-u', $mariadb{user});
$ENV{MYSQL_PWD} = $mariadb{password};

# mysql runs statements on the MariaDB server and returns what they printed.
sub mysql
{
	my ($statement) = @_;
	my ($out, $err) = ('', '');
	utf8::encode($statement);
	IPC::Run::run([ @client, '-D', 'information_schema' ], '<', \$statement, '>', \$out, '2>', \$err, IPC::Run::timeout(120)) or die "MariaDB: $err";
	chomp $out;
	return $out;
}

# mysql_until waits until a query of the MariaDB server returns a row.
sub mysql_until
{
	my ($query) = @_;
	for (1 .. 1200)
	{
		my $found = mysql($query);
		return $found if $found ne '';
		select undef, undef, undef, 0.05;
	}
	die "this never came true: $query";
}

mysql("CREATE DATABASE $database CHARACTER SET utf8mb4");
my $proxy = EtlProxy->new($mariadb{host}, $mariadb{port});
my $node = PostgreSQL::Test::Cluster->new('warehouse');
$node->init(extra => [ '--encoding', 'UTF8', '--locale', 'C' ]);
$node->append_conf('postgresql.conf', "max_worker_processes = 16\ntimezone = 'America/Lima'\n");
$node->start;
my $setup = qq{
CREATE EXTENSION etl_ext;
CREATE EXTENSION mysql_fdw;
CREATE SERVER direct FOREIGN DATA WRAPPER mysql_fdw OPTIONS (host '$mariadb{host}', port '$mariadb{port}');
CREATE USER MAPPING FOR PUBLIC SERVER direct OPTIONS (username '$mariadb{user}', password '$mariadb{password}');
CREATE SCHEMA src;
SELECT etl.create_pipeline('p');
};
$node->safe_psql('postgres', $setup);

# sql runs statements in the warehouse and returns what they printed; try returns the error, with SQLSTATE, too.
sub sql
{
	my ($statement) = @_;
	utf8::encode($statement);
	return $node->safe_psql('postgres', "SET client_min_messages = warning; $statement");
}

sub try
{
	my ($statement, $db) = @_;
	my ($out, $err) = ('', '');
	utf8::encode($statement);
	$node->psql($db // 'postgres', "SET client_min_messages = warning;\n\\set VERBOSITY verbose\n$statement", stdout => \$out, stderr => \$err);
	return $out . $err;
}

# table makes a table in MariaDB and its foreign table. run runs one task inline, runs in the background.
sub table
{
	my ($name, $mysql, $foreign, $server) = @_;
	$server //= 'direct';
	mysql("USE $database; CREATE TABLE $name ($mysql)") if defined $mysql;
	sql("CREATE FOREIGN TABLE src.$name ($foreign) SERVER $server OPTIONS (dbname '$database', table_name '$name')");
}

sub extract
{
	my ($name, $options, $source) = @_;
	$source //= $name;
	sql("SELECT etl.add_extract('p', '$name', 'src.$source', 'raw.$name', retry_delays => '{}'" . ($options ? ", $options" : '') . ')');
}

sub run { return try("SELECT etl.run_pipeline('p', tasks => '{$_[0]}', mode => 'inline')") }

sub failure
{
	my ($name) = @_;
	background($name);
	return sql("SELECT concat_ws(' ', error_sqlstate, error_message, error_detail, error_hint) FROM etl.task_run WHERE task = '$name' ORDER BY task_run_id DESC LIMIT 1")
}

# background runs a task in a worker, waits, and returns state, SQLSTATE and message.
sub background
{
	my ($name) = @_;
	return sql(qq{SELECT etl.run_pipeline('p', tasks => '{$name}', wait => false) AS run \\gset
		SELECT etl.wait_for_run(:run) \\gset
		SELECT concat_ws(' ', state, error_sqlstate, error_message) FROM etl.task_run WHERE run_id = :run ORDER BY task_run_id DESC LIMIT 1});
}

sub last_run { return sql("SELECT $_[1] FROM etl.task_run WHERE task = '$_[0]' ORDER BY task_run_id DESC LIMIT 1") }

# ---- types -----------------------------------------------------------------------------------------------------------

sql("CREATE TYPE src.size AS ENUM ('small', 'large'); CREATE DOMAIN src.positive AS integer CHECK (VALUE > 0)");
my @types = (
	# name, type in MySQL, type of the foreign table, value in MySQL, text here
	[ 't8', 'tinyint', 'smallint', -128, '-128' ],
	[ 'u8', 'tinyint unsigned', 'smallint', 255, '255' ],
	[ 'u16', 'smallint unsigned', 'integer', 65535, '65535' ],
	[ 'm24', 'mediumint', 'integer', -8388608, '-8388608' ],
	[ 'u32', 'int unsigned', 'bigint', 4294967295, '4294967295' ],
	[ 'z32', 'int(8) unsigned zerofill', 'integer', 42, '42' ],
	[ 's64', 'bigint', 'bigint', '-9223372036854775808', '-9223372036854775808' ],
	[ 'u64', 'bigint unsigned', 'numeric', '18446744073709551615', '18446744073709551615' ],
	[ 'u64small', 'bigint unsigned', 'bigint', '9223372036854775807', '9223372036854775807' ],
	[ 'n', 'decimal(65,30)', 'numeric', "'-12345678901234567890123456789012345.123456789012345678901234567890'", '-12345678901234567890123456789012345.123456789012345678901234567890' ],
	[ 'f4', 'float', 'real', '16777217', '1.6777216e+07' ],
	[ 'f4d', 'float', 'double precision', '0.1', '0.10000000149011612' ],
	[ 'f8', 'double', 'double precision', '0.1e0 + 0.2e0', '0.30000000000000004' ],
	[ 'f8max', 'double', 'double precision', '1.7976931348623157e308', '1.7976931348623157e+308' ],
	[ 'b1', 'tinyint(1)', 'boolean', 1, 'true' ],
	[ 'b0', 'tinyint(1)', 'boolean', 0, 'false' ],
	[ 'b2', 'tinyint(1)', 'boolean', 2, 'true' ],
	[ 'b2int', 'tinyint(1)', 'smallint', 2, '2' ],
	[ 'bit1', 'bit(1)', 'boolean', "b'1'", 'true' ],
	[ 'bit1bit', 'bit(1)', 'bit(1)', "b'0'", '0' ],
	[ 'bit12', 'bit(12)', 'bit(12)', "b'101100000001'", '101100000001' ],
	[ 'bit12var', 'bit(12)', 'bit varying', "b'000000000001'", '000000000001' ],
	[ 'bit12int', 'bit(12)', 'integer', "b'101100000001'", '2817' ],
	[ 'bit64', 'bit(64)', 'numeric', '18446744073709551615', '18446744073709551615' ],
	[ 'bit16', 'bit(16)', 'bytea', "b'0000000100000000'", '\x0100' ],
	[ 'bit3text', 'bit(3)', 'text', "b'011'", '011' ],
	[ 'c', 'char(5)', 'char(5)', "'ab'", 'ab   ' ],
	[ 'v', 'varchar(20)', 'varchar(20)', "'Größe'", 'Größe' ],
	[ 'emoji', 'varchar(20)', 'text', "'a😀漢'", 'a😀漢' ],
	[ 'latin', 'varchar(20) CHARACTER SET latin1', 'text', "'ä€'", 'ä€' ],
	[ 'quotes', 'varchar(20)', 'text', "'a\\\\b''c\"'", "a\\b'c\"" ],
	[ 'empty', 'varchar(20)', 'text', "''", '' ],
	[ 'bin', 'binary(4)', 'bytea', "X'00FF'", '\x00ff0000' ],
	[ 'vbin', 'varbinary(4)', 'bytea', "X'00FF00'", '\x00ff00' ],
	[ 'blobby', 'blob', 'bytea', "X'00'", '\x00' ],
	[ 'id16', 'binary(16)', 'uuid', "X'0123456789abcdef0123456789abcdef'", '01234567-89ab-cdef-0123-456789abcdef' ],
	[ 'id36', 'char(36)', 'uuid', "'01234567-89AB-cdef-0123-456789abcdef'", '01234567-89ab-cdef-0123-456789abcdef' ],
	[ 'idtype', 'uuid', 'uuid', "'01234567-89ab-7def-8123-456789abcdef'", '01234567-89ab-7def-8123-456789abcdef' ],
	[ 'd', 'date', 'date', "'2024-02-29'", '2024-02-29' ],
	[ 'dfar', 'date', 'date', "'9999-12-31'", '9999-12-31' ],
	[ 'dt', 'datetime', 'timestamp', "'1000-01-01 00:00:00'", '1000-01-01 00:00:00' ],
	[ 'dt6', 'datetime(6)', 'timestamp', "'2024-01-01 23:59:59.123456'", '2024-01-01 23:59:59.123456' ],
	[ 'dt3', 'datetime(3)', 'timestamp(0)', "'2024-01-01 23:59:59.500'", '2024-01-02 00:00:00' ],
	[ 'ts', 'timestamp(6) NULL', 'timestamptz', "'2024-06-01 12:00:00.000001'", '2024-06-01 09:00:00.000001+00' ],
	[ 'tsplain', 'timestamp NULL', 'timestamp', "'2024-06-01 12:00:00'", '2024-06-01 09:00:00' ],
	[ 'tm', 'time(3)', 'time', "'23:59:59.999'", '23:59:59.999' ],
	[ 'tmlong', 'time', 'interval', "'-838:59:59'", '-838:59:59' ],
	[ 'y', 'year', 'smallint', 2155, '2155' ],
	[ 'j', 'json', 'jsonb', q('{"a": [1, "😀"]}'), '{"a": [1, "😀"]}' ],
	[ 'jtext', 'json', 'json', q('{"b":1,"a":null}'), '{"b":1,"a":null}' ],
	[ 'e', "enum('small','large')", 'src.size', "'large'", 'large' ],
	[ 'etext', "enum('a,b','c')", 'text', "'a,b'", 'a,b' ],
	[ 'setarray', q(set('x','y"','z')), 'text[]', q('x,y"'), '{x,"y\""}' ],
	[ 'settext', "set('x','y')", 'text', "'y,x'", 'x,y' ],
	[ 'setempty', "set('x','y')", 'text[]', "''", '{}' ],
	[ 'dom', 'int', 'src.positive', 7, '7' ],
	[ 'net', 'inet6', 'inet', "'2001:db8::1'", '2001:db8::1/128' ],
	[ 'nothing', 'int', 'integer', 'NULL', undef ],
	[ 'nul', 'varchar(20)', 'text', "'a\\0b\\0'", 'ab' ],
	[ 'nulbytes', 'varbinary(20)', 'bytea', "'a\\0b'", '\x610062' ],
);
table('types', join(', ', 'id int PRIMARY KEY', map { "$_->[0] $_->[1]" } @types), join(', ', 'id integer', map { "$_->[0] $_->[2]" } @types));
mysql("USE $database; INSERT INTO types SELECT 1, " . join(', ', map { $_->[3] } @types));
extract('types', "primary_key => '{id}'");
is(run('types') =~ /ERROR.*/ ? $& : 'success', 'success', 'types: they are read');
is(last_run('types', 'reader'), 'mysql', 'types: by the mysql reader');
for my $type (@types)
{
	my $got = sql("SET timezone = 'UTC'; SELECT coalesce($type->[0]::text, 'NULL') FROM raw.types");
	utf8::decode($got);
	$got = sprintf '%-5s', $got if $type->[0] eq 'c';
	is($got, $type->[4] // 'NULL', "type $type->[1] as $type->[2] ($type->[0])");
}
is(last_run('types', "details - 'null_cursor_rows'"), '{"nul_bytes_removed": 2, "tinyint_not_boolean": 1}', 'types: what was changed is counted');

# Longer than mysql_fdw's buffers.
table('large', 'id int PRIMARY KEY, t longtext, v varchar(16000), j json, b longblob', 'id integer, t text, v varchar(16000), j jsonb, b bytea');
mysql(qq{USE $database; INSERT INTO large SELECT seq, REPEAT('é', 70000 * seq), REPEAT('v', 16000), CONCAT('["', REPEAT('j', 70000), '"]'), REPEAT(X'00FF', 40000) FROM seq_1_to_3;
	INSERT INTO large (id, b) VALUES (9, REPEAT('b', 15000000))});
extract('large', "primary_key => '{id}', chunk_rows => 2");
run('large');
is(sql("SELECT string_agg(concat_ws(' ', id, length(t), md5(t), length(v), length(j->>0), length(b), md5(b)), ',' ORDER BY id) FROM raw.large"),
	mysql("SELECT GROUP_CONCAT(CONCAT_WS(' ', id, CHAR_LENGTH(t), MD5(t), CHAR_LENGTH(v), CHAR_LENGTH(JSON_VALUE(j, '\$[0]')), LENGTH(b), MD5(b)) ORDER BY id) FROM $database.large"),
	'large: text, varchar, json and blob over 64 KB are whole');

# ---- values that do not fit ------------------------------------------------------------------------------------------

table('zero', 'id int PRIMARY KEY, d date, dt datetime, ts timestamp NULL, t varchar(10)', 'id integer, d date, dt timestamp, ts timestamptz, t text');
mysql(qq{USE $database; SET sql_mode = 'ALLOW_INVALID_DATES'; INSERT INTO zero VALUES (1, '0000-00-00', '0000-00-00 00:00:00', 0, '0000-00-00'),
	(2, '2024-00-10', '2024-05-00 12:00:00', '2024-01-01 03:00:00', NULL), (3, '2024-02-31', '0000-01-01', NULL, NULL), (4, '2024-02-03', '2024-01-01', NULL, NULL)});
extract("zero_$_", ($_ eq 'default' ? '' : "zero_dates => '$_', ") . "primary_key => '{id}'", 'zero') for qw(default error null epoch);
for my $policy (qw(default error))
{
	like(failure("zero_$policy"), qr/^22007 .*"d" of source src\.zero .*0000-00-00.*zero_dates/s, "zero dates, $policy: an error that says what to do");
}
run('zero_null');
is(sql("SET timezone = 'UTC'; SELECT string_agg(concat_ws(' ', id, d, dt, ts, t), ',' ORDER BY id) FROM raw.zero_null"),
	'1 0000-00-00,2 2024-01-01 00:00:00+00,3,4 2024-02-03 2024-01-01 00:00:00', 'zero dates: null');
is(last_run('zero_null', "details->>'zero_dates'"), 7, 'zero dates, null: counted');
run('zero_epoch');
is(sql("SET timezone = 'UTC'; SELECT string_agg(concat_ws(' ', d, dt, ts), ',' ORDER BY id) FROM raw.zero_epoch WHERE id IN (1, 3)"),
	'1970-01-01 1970-01-01 00:00:00 1970-01-01 00:00:00+00,1970-01-01 1970-01-01 00:00:00', 'zero dates: epoch');
is(last_run('zero_epoch', "details->>'zero_dates'"), 7, 'zero dates, epoch: counted');

for my $case (
	[ 'toobig', 'bigint unsigned', 'bigint', '18446744073709551615', qr/^22003 .*18446744073709551615.*"v".*numeric\(20\)/s ],
	[ 'toobig4', 'int unsigned', 'integer', '4294967295', qr/^22003 .*"v".*bigint/s ],
	[ 'longtime', 'time', 'time', "'25:00:00'", qr/^22008 .*25:00:00.*"v".*interval/s ],
	[ 'toolong', 'varchar(10)', 'varchar(5)', "'123456'", qr/^22001/ ],
	[ 'noenum', 'varchar(10)', 'src.size', "'huge'", qr/^22P02/ ],
	[ 'nodomain', 'int', 'src.positive', '-1', qr/^23514/ ],
	[ 'nobits', 'bit(9)', 'bit(8)', '1', qr/^22026/ ],
	[ 'badutf8', 'varbinary(10)', 'text', "X'ff'", qr/^22021/ ])
{
	my ($name, $mysql, $foreign, $value, $error) = @$case;
	table($name, "id int PRIMARY KEY, v $mysql", "id integer, v $foreign");
	mysql("USE $database; INSERT INTO $name VALUES (1, $value)");
	extract($name, "primary_key => '{id}'");
	like(failure($name), $error, "$value ($mysql) as $foreign is an error");
	like(last_run($name, 'error_context || error_message'), qr/column "v" of source|"v"/, '... that names the column');
}

# ---- cursors and keys ------------------------------------------------------------------------------------------------

# Pages of 7 rows by keys of many types: all rows, once, with each page compared with the source.
my $keys = 'SELECT seq, seq FROM seq_1_to_100';
for my $case (
	[ 'k_bigint', 'bigint unsigned', 'numeric(20)', '18446744073709551500 + seq' ],
	[ 'k_decimal', 'decimal(38,10)', 'numeric', '12345678901234567890 + seq / 1000000000' ],
	[ 'k_rounded', 'decimal(20,4)', 'numeric(20,0)', 'seq / 20' ],
	[ 'k_dt6', 'datetime(6)', 'timestamp', "'2024-01-01' + INTERVAL seq MICROSECOND" ],
	[ 'k_ts', 'timestamp(6)', 'timestamptz', "'2024-01-01' + INTERVAL seq MICROSECOND" ],
	[ 'k_date', 'date', 'date', "'2024-01-01' + INTERVAL seq DAY" ],
	[ 'k_text', 'varchar(40) COLLATE utf8mb4_bin', 'text', q{CONCAT(CHAR(33 + seq % 90 USING utf8mb4), IF(seq % 2, 'É\\\\''', 'é '), seq)} ],
	[ 'k_bytes', 'varbinary(20)', 'bytea', 'CONCAT(CHAR(seq * 2), CHAR(0))' ],
	[ 'k_bit', 'bit(20)', 'integer', 'seq * 1000' ],
	[ 'k_uuid', 'uuid', 'uuid', 'CONCAT(HEX(seq + 1000000000), \'-0000-7000-8000-000000000000\')' ],
	[ 'k_float', 'double', 'double precision', 'seq / 7e0' ])
{
	my ($name, $mysql, $foreign, $value) = @$case;
	table($name, "k $mysql PRIMARY KEY, n int", "k $foreign, n integer");
	mysql("USE $database; INSERT INTO $name SELECT $value, seq FROM seq_1_to_100");
	extract($name, "primary_key => '{k}', chunk_rows => 7, reconcile => true");
	is(background($name), 'success', "key $mysql: read in pages");
	is(sql("SELECT count(*), count(DISTINCT n), sum(n) FROM raw.$name"), '100|100|5050', "key $mysql: every row once");
}

# Cursor order, keys of two columns, NULL and zero cursors.
table('pairs', 'a int, b varchar(10) COLLATE utf8mb4_bin, at datetime(6), PRIMARY KEY (a, b)', 'a integer NOT NULL, b text NOT NULL, at timestamp');
mysql("USE $database; INSERT INTO pairs SELECT seq DIV 10, seq, IF(seq % 11 = 0, NULL, '2024-01-01' + INTERVAL seq DIV 25 MICROSECOND) FROM seq_1_to_200");
mysql("USE $database; SET sql_mode = ''; UPDATE pairs SET at = '0000-00-00' WHERE b IN ('13', '26')");
extract('pairs', "primary_key => '{a,b}', cursor_column => 'at', chunk_rows => 9, zero_dates => 'null', reconcile => true");
is(background('pairs'), 'success', 'pairs: first load');
is(sql('SELECT count(*), count(DISTINCT b), count(at) FROM raw.pairs'), '200|200|180', 'pairs: every row once');
mysql("USE $database; UPDATE pairs SET at = '2024-01-02 00:00:00.000001' WHERE a = 3; INSERT INTO pairs SELECT 100, seq, '2024-01-03' FROM seq_1_to_30");
is(background('pairs'), 'success', 'pairs: what has changed');
is(last_run('pairs', 'rows_inserted'), 40, 'pairs: only that was appended');
is(sql("SELECT value FROM etl.watermark"), '2024-01-03 00:00:00', 'pairs: the watermark');

# What cannot be a cursor or key without losing rows is refused.
for my $case (
	[ 'w_round', 'datetime(6)', 'timestamp(0)', "'2024-01-01'" ],
	[ 'w_number', 'varchar(20)', 'integer', "'10'" ],
	[ 'w_uuid', 'binary(16)', 'uuid', "'0123456789abcdef'" ],
	[ 'w_float', 'float', 'numeric', '0.1' ])
{
	my ($name, $mysql, $foreign, $value) = @$case;
	table($name, "k $mysql PRIMARY KEY", "k $foreign");
	mysql("USE $database; INSERT INTO $name VALUES ($value)");
	extract($name, "primary_key => '{k}'");
	like(failure($name), qr/^0A000 .*"k".*Declare/s, "key $mysql as $foreign is refused");
}
table('twice', 'id int, n int', 'id integer, n integer');
mysql("USE $database; INSERT INTO twice SELECT seq DIV 2, seq FROM seq_1_to_20");
extract('twice', "primary_key => '{id}', chunk_rows => 2");
like(failure('twice'), qr/^23505 .*"id"/s, 'a key that is not one is refused');
mysql("USE $database; DELETE FROM twice WHERE n % 2; INSERT INTO twice VALUES (NULL, 1)");
like(failure('twice'), qr/^23502 .*"id"/s, 'a NULL key is refused');
table('random', 'id int', 'id integer');
mysql("USE $database; DROP TABLE random; CREATE VIEW random AS SELECT seq AS id FROM seq_1_to_1000 WHERE RAND() < 0.5");
extract('random', "primary_key => '{id}', reconcile => true");
like(failure('random'), qr/^ZE012/, 'reconcile: a source that counts other rows than it sends is refused');

# ---- settings of the server that would change what is read -----------------------------------------------------------

sql(qq{CREATE SERVER odd FOREIGN DATA WRAPPER mysql_fdw OPTIONS (host '$mariadb{host}', port '$mariadb{port}', fetch_size '3',
	init_command 'SET sql_select_limit = 10, sql_mode = "NO_BACKSLASH_ESCAPES", time_zone = "-05:00", optimizer_switch = "derived_merge=off"');
CREATE USER MAPPING FOR PUBLIC SERVER odd OPTIONS (username '$mariadb{user}', password '$mariadb{password}')});
table('odd', 'k varchar(10) COLLATE utf8mb4_bin PRIMARY KEY, ts timestamp', 'k text, ts timestamptz', 'odd');
mysql("USE $database; INSERT INTO odd SELECT CONCAT('a\\\\''', seq), '2024-01-01 03:00:00' FROM seq_1_to_100");
extract('odd', "primary_key => '{k}', chunk_rows => 30, filter => \$\$k <> 'a\\''5'\$\$");
is(background('odd'), 'success', 'settings: read in spite of them');
is(sql("SET timezone = 'UTC'; SELECT count(*), count(DISTINCT k), min(ts), max(ts) FROM raw.odd"), '99|99|2024-01-01 00:00:00+00|2024-01-01 00:00:00+00', 'settings: every row once, in UTC');

# A database in another encoding.
sql("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
$node->safe_psql('latin', $setup);
mysql("USE $database; CREATE TABLE accents (k varchar(10) COLLATE utf8mb4_bin PRIMARY KEY, v varchar(10)); INSERT INTO accents VALUES ('é1', 'ä'), ('é2', 'ö')");
$node->safe_psql('latin', qq{CREATE FOREIGN TABLE src.accents (k text, v text) SERVER direct OPTIONS (dbname '$database', table_name 'accents');
SELECT etl.add_extract('p', 'accents', 'src.accents', 'raw.accents', primary_key => '{k}', chunk_rows => 1, retry_delays => '{}')});
try("SELECT etl.run_pipeline('p', mode => 'inline')", 'latin');
is($node->safe_psql('latin', "SELECT string_agg(encode(convert_to(k || v, 'UTF8'), 'hex'), ' ' ORDER BY k) FROM raw.accents"), 'c3a931c3a4 c3a932c3b6', 'latin1: text is converted');
mysql("USE $database; INSERT INTO accents VALUES ('k', '😀')");
like(try("SELECT etl.run_pipeline('p', mode => 'inline')", 'latin'), qr/22P05|no equivalent/, 'latin1: what it does not have is an error');

# ---- connections -----------------------------------------------------------------------------------------------------

sql(qq{CREATE SERVER nobody FOREIGN DATA WRAPPER mysql_fdw OPTIONS (host '$mariadb{host}', port '$mariadb{port}');
CREATE USER MAPPING FOR PUBLIC SERVER nobody OPTIONS (username '$mariadb{user}', password 'wrong');
CREATE SERVER nowhere FOREIGN DATA WRAPPER mysql_fdw OPTIONS (host '127.0.0.1', port '1');
CREATE USER MAPPING FOR PUBLIC SERVER nowhere OPTIONS (username 'x', password 'y');
CREATE SERVER clear FOREIGN DATA WRAPPER mysql_fdw OPTIONS (host '$mariadb{host}', port '$mariadb{port}', ssl_cipher 'DEFAULT');
CREATE USER MAPPING FOR PUBLIC SERVER clear OPTIONS (username '$mariadb{user}', password '$mariadb{password}')});
for my $case ([ 'clear', qr/^08001 .*TLS/s ], [ 'nobody', qr/^28000 .*1045.*password/s ], [ 'nowhere', qr/^08001 .*200[23]/s ])
{
	my ($server, $error) = @$case;
	table("on_$server", undef, 'id integer', $server);
	extract("on_$server", "primary_key => '{id}'");
	like(background("on_$server") && last_run("on_$server", "concat_ws(' ', error_sqlstate, error_message, error_detail, error_hint)"), $error, "server $server: the error says it");
}
unlike(sql('SELECT string_agg(e::text, chr(10)) FROM etl.task_run AS e'), qr/wrong/, 'no password in what is recorded');
table('gone', undef, 'id integer');
extract('gone', "primary_key => '{id}'");
# The plan of mysql_fdw comes first: it prepares the query.
like(background('gone'), qr/^failed (42P01|HV00L) .*gone/s, 'a table that is not there');

# A cancel ends the statement at the server too, which would not notice for hours that nobody waits for it.
mysql("USE $database; CREATE VIEW endless AS SELECT MAX(a.seq MOD b.seq) AS id FROM seq_1_to_10000000 AS a JOIN seq_1_to_10000000 AS b");
table('endless', undef, 'id integer');
extract('endless', '');
my $counting = "FROM information_schema.processlist WHERE info LIKE '%endless%' AND info NOT LIKE '%processlist%'";
my $run = sql("SELECT etl.run_pipeline('p', tasks => '{endless}', wait => false)");
mysql_until("SELECT id $counting LIMIT 1");
sql("SELECT etl.cancel_run($run)");
ok($node->poll_query_until('postgres', "SELECT state = 'cancelled' FROM etl.run WHERE run_id = $run"), 'cancel: the run ends');
ok(mysql_until("SELECT 1 FROM dual WHERE NOT EXISTS (SELECT 1 $counting)"), 'cancel: so does the statement at the server');

# A worker that is terminated takes it along as well.
$run = sql("SELECT etl.run_pipeline('p', tasks => '{endless}', wait => false)");
mysql_until("SELECT id $counting LIMIT 1");
$node->poll_query_until('postgres', "SELECT count(pg_terminate_backend(pid)) = 0 FROM pg_stat_activity WHERE backend_type = 'etl executor'");
ok(mysql_until("SELECT 1 FROM dual WHERE NOT EXISTS (SELECT 1 $counting)"), 'terminated: the statement ends at the server');
sql("SELECT etl.wait_for_run($run)");

# While MySQL works, nothing is held here.
mysql("USE $database; CREATE TABLE slow (id int PRIMARY KEY); INSERT INTO slow VALUES (1), (2)");
mysql("USE $database; CREATE VIEW sleepy AS SELECT id, SLEEP(600) AS s FROM slow");
table('sleepy', undef, 'id integer, s integer');
extract('sleepy', "primary_key => '{id}'");
my $sleeping = "FROM information_schema.processlist WHERE info LIKE '%sleepy%' AND info NOT LIKE '%processlist%'";
$run = sql("SELECT etl.run_pipeline('p', tasks => '{sleepy}', wait => false)");
mysql_until("SELECT id $sleeping LIMIT 1");
is(sql("SELECT count(*) FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND backend_type LIKE 'etl%'"), 0, 'no snapshot is held while MySQL works');
mysql('KILL CONNECTION ' . mysql("SELECT id $sleeping LIMIT 1"));
sql("SELECT etl.wait_for_run($run)");
like(last_run('sleepy', 'error_sqlstate'), qr/^08/, 'a connection that is killed while MySQL works');

# One snapshot: the chunks of an extract see the source as it was at the first one.
table('moving', 'id int PRIMARY KEY, v int', 'id integer, v integer');
mysql("USE $database; INSERT INTO moving SELECT seq, 0 FROM seq_1_to_400");
$node->safe_psql('postgres', q{
CREATE FUNCTION src.hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF (SELECT count(*) FROM raw.moving) BETWEEN 100 AND 399 THEN
	PERFORM pg_advisory_lock_shared(33); PERFORM pg_advisory_unlock_shared(33); END IF; RETURN NULL; END $$});
extract('moving', "primary_key => '{id}', chunk_rows => 100");
sql('CREATE TRIGGER hold AFTER INSERT ON etl.batch FOR EACH STATEMENT EXECUTE FUNCTION src.hold()');
my $gate = $node->background_psql('postgres');
$gate->query_safe('SELECT pg_advisory_lock(33)');
$run = sql("SELECT etl.run_pipeline('p', tasks => '{moving}', wait => false)");
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 33 AND NOT granted"), 'snapshot: stopped after a chunk');
mysql("USE $database; UPDATE moving SET v = 1; INSERT INTO moving SELECT seq, 1 FROM seq_401_to_500; DELETE FROM moving WHERE id = 350");
$gate->query_safe('SELECT pg_advisory_unlock_all()');
$gate->quit;
is(sql("SELECT etl.wait_for_run($run)"), 'success', 'snapshot: the extract ends');
is(sql('SELECT count(*), sum(v), max(id) FROM raw.moving'), '400|0|400', 'snapshot: rows as they were at the first chunk');
sql('DROP TRIGGER hold ON etl.batch');

# Memory does not grow with the rows: 300 MB in rows of 1 MB.
table('wide', 'id int PRIMARY KEY, v longtext', 'id integer, v text');
mysql("USE $database; INSERT INTO wide SELECT seq, REPEAT('w', 1000000) FROM seq_1_to_300");
extract('wide', "primary_key => '{id}'");
my $peak = $node->safe_psql('postgres', q{SET client_min_messages = warning; SELECT pg_backend_pid() \gset
SELECT etl.run_pipeline('p', tasks => '{types}', mode => 'inline') \gset
SELECT (regexp_match(pg_read_file('/proc/' || :pid || '/status'), 'RssAnon:\s+(\d+)'))[1]::int AS before \gset
SELECT etl.run_pipeline('p', tasks => '{wide}', mode => 'inline') \gset
SELECT (regexp_match(pg_read_file('/proc/' || :pid || '/status'), 'RssAnon:\s+(\d+)'))[1]::int - :before} =~ s/:pid/:pg_backend_pid/gr);
cmp_ok($peak, '<', 60 * 1024, "memory: 300 MB in rows of 1 MB leave less than 60 MB ($peak kB)");
is(sql('SELECT count(*), sum(length(v)) FROM raw.wide'), '300|300000000', 'memory: they are there');

# ---- cut at any byte -------------------------------------------------------------------------------------------------

my $chunk = 40;
my $rows = 190;
my $port = $proxy->port;
sql(qq{CREATE SERVER cut FOREIGN DATA WRAPPER mysql_fdw OPTIONS (host '127.0.0.1', port '$port');
CREATE USER MAPPING FOR PUBLIC SERVER cut OPTIONS (username '$mariadb{user}', password '$mariadb{password}')});
table('cut', 'id int PRIMARY KEY, v varchar(40), d datetime(6), n decimal(10,2)', 'id integer NOT NULL, v text, d timestamp, n numeric(10,2)', 'cut');
mysql("USE $database; INSERT INTO cut SELECT seq, REPEAT(CHAR(97 + seq % 26), seq % 40), '2024-01-01' + INTERVAL seq SECOND, seq / 3 FROM seq_1_to_$rows");
sql("SELECT etl.add_extract('p', 'cut', 'src.cut', 'raw.cut', primary_key => '{id}', chunk_rows => $chunk, retry_delays => '{0 s}')");
my $expected = mysql("SET SESSION group_concat_max_len = 1000000; SELECT MD5(GROUP_CONCAT(CONCAT_WS('|', id, v, d, n) ORDER BY id SEPARATOR ';')) FROM $database.cut");
my $found = "SELECT md5(string_agg(concat_ws('|', id, v, to_char(d, 'YYYY-MM-DD HH24:MI:SS.US'), n), ';' ORDER BY id)) FROM raw.cut";

# What the whole of it takes, from the first byte and from the first query for rows.
my $query = 'ORDER BY s\.`id` LIMIT';
$proxy->cut(after => 1e9);
is(background('cut'), 'success', 'cut: the connection goes through the proxy');
my $all = $proxy->counted;
is(sql($found), $expected, 'cut: without a cut it is equal');
sql('TRUNCATE raw.cut');
$proxy->cut(after => 1e9, behind => $query);
background('cut');
my $answer = $proxy->counted;
sql('TRUNCATE raw.cut');
cmp_ok($answer, '>', 5000, "cut: the answers have $answer of $all bytes");

my $seed = $ENV{ETL_TEST_SEED} // time;
srand $seed;
note("ETL_TEST_SEED=$seed");
my %at = map { $_ => 1 } (1 .. 45), (map { $answer - $_ } 1 .. 16), (map { 46 + int rand($answer - 80) } 1 .. 40);
my @cuts = ((map { [ $_, $query ] } sort { $a <=> $b } keys %at), (map { [ 1 + int rand($all - $answer), '' ] } 1 .. 12));
my (@wrong, %states);
# Each run has a second attempt, whose connection is not cut: it goes on from the last full chunk.
for my $i (0 .. $#cuts)
{
	my ($after, $behind) = @{ $cuts[$i] };
	$proxy->cut(after => $after, behind => $behind, reset => $i % 3 == 0);
	my ($got, $attempts) = split /\n/, sql(qq{SELECT etl.run_pipeline('p', tasks => '{cut}', wait => false) AS run \\gset
		SELECT etl.wait_for_run(:run) AS state \\gset
		$found;
		SELECT string_agg(concat_ws(' ', state, error_sqlstate, rows_inserted), ', ' ORDER BY attempt) FROM etl.task_run WHERE run_id = :run;
		TRUNCATE raw.cut});
	my ($state, $kept) = $attempts =~ /^(success|retry|failed)(?: 08\d\d\d)? (\d+)/;
	$states{ $state // $attempts }++;
	push @wrong, "cut after $after" . ($behind ? ' of the answers' : '') . ": $attempts"
	  if !defined $kept || $kept % $chunk && $kept != $rows || $attempts !~ /success \d+$/ || $got ne $expected;
}
is(scalar(@wrong), 0, 'cut at ' . @cuts . ' places: an error of class 08 and full chunks, or everything') or diag(join "\n", @wrong);
note(join ', ', map { "$_: $states{$_}" } sort keys %states);
cmp_ok($states{success} // 0, '<', @cuts / 2, 'cut: most of them were errors');

$proxy->stop;
mysql("DROP DATABASE $database");
$node->stop;
done_testing();
