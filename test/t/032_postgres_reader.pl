# The postgres reader: COPY in binary form over a connection of its own. Every type arrives as through postgres_fdw, cut
# and cancelled reads leave nothing behind, and what it cannot read is read through the wrapper, with the reason.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = PostgreSQL::Test::Cluster->new('source');
$source->init(extra => [ '--encoding', 'UTF8', '--locale', 'C' ]);
$source->append_conf('postgresql.conf', "log_statement = all\nlog_line_prefix = '%a|%u|'\nmax_prepared_transactions = 2\n");
$source->start;
$source->safe_psql('postgres', q{
CREATE ROLE reader LOGIN PASSWORD 'secret';
CREATE ROLE trusted LOGIN;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO reader, trusted});
my $hba = $source->data_dir . '/pg_hba.conf';
my $rules = slurp_file($hba);
append_to_file("$hba.new", "local all reader scram-sha-256\nhost all reader all scram-sha-256\n$rules");
rename "$hba.new", $hba or die "cannot rename: $!";
$source->reload;

# Rows that stop at a gate: whoever reads row N waits while somebody holds the advisory lock N.
$source->safe_psql('postgres', q{
CREATE FUNCTION gate(n bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF n IN (700, 1300) THEN PERFORM pg_advisory_xact_lock_shared(n); END IF;
	RETURN n;
END $$;
CREATE TABLE event (id bigint PRIMARY KEY, what text NOT NULL, at timestamptz NOT NULL);
INSERT INTO event SELECT n, 'event ' || n, '2024-01-01 00:00+00'::timestamptz + n * interval '1 s' FROM generate_series(1, 2000) AS n;
CREATE VIEW gated AS SELECT id, what || left(gate(id)::text, 0) AS what, at FROM event;
CREATE TABLE word (word varchar(60) PRIMARY KEY, n int);
INSERT INTO word SELECT chr(65 + n % 26 + 32 * (n / 26 % 2)) || CASE n % 3 WHEN 0 THEN '-' WHEN 1 THEN 'ä' ELSE ' ' END || n, n FROM generate_series(1, 1000) AS n;
INSERT INTO word VALUES ('', 0), ('it''s', -1), (E'back\\slash', -2);
CREATE TABLE loose (id bigint, at timestamptz);
INSERT INTO loose SELECT n, CASE WHEN n % 10 = 0 THEN NULL WHEN n = 11 THEN 'infinity' WHEN n = 12 THEN '-infinity' ELSE '2024-01-01'::timestamptz + n * interval '1 s' END
FROM generate_series(1, 500) AS n;
CREATE TABLE twice (id bigint, at timestamptz NOT NULL);
INSERT INTO twice SELECT (n + 1) / 2, '2024-01-01' FROM generate_series(1, 100) AS n;
CREATE TABLE holes (id bigint);
INSERT INTO holes SELECT nullif(n, 3) FROM generate_series(1, 20) AS n;
CREATE TABLE rounded (id numeric PRIMARY KEY);
INSERT INTO rounded SELECT n / 4.0 FROM generate_series(1, 100) AS n;
CREATE TABLE nothing (id bigint PRIMARY KEY);
CREATE TYPE mood AS ENUM ('sad', 'it''s ok', 'happy');
CREATE DOMAIN positive AS numeric(9,3) CHECK (VALUE > 0);
CREATE TYPE pair AS (a int, b text);
CREATE TABLE types (
  id int PRIMARY KEY, gone text, i2 smallint, i8 bigint, o oid, f4 real, f8 float8, n numeric, n2 numeric(12,4), t text, v varchar(20), c char(8),
  nm name, by bytea, d date, tm time, tz timetz, ts timestamp, tstz timestamptz, ts0 timestamptz(0), iv interval, u uuid, j json, jb jsonb, ip inet,
  net cidr, mac macaddr, bt bit(5), vb bit varying, m mood, dm positive, p pair, pt point, x xml, money_ money, r int4range, ia int[], ta text[],
  na numeric[], ja jsonb[], tsa timestamptz[], ma mood[], "Quoted ""name" int, bo boolean, tsv tsvector);
ALTER TABLE types DROP COLUMN gone;
INSERT INTO types (id) VALUES (1);
INSERT INTO types VALUES
(2, -32768, -9223372036854775808, 4294967295, '-0', 'NaN', 'NaN', -99999999.9999, '', '', '', '', '', '-infinity', '00:00', '00:00+15:59', '-infinity', 'infinity',
 'infinity', '-178000000 years', '00000000-0000-0000-0000-000000000000', '""', '{}', '::', '::/0', '00:00:00:00:00:00', B'00000', B'', 'sad', 0.001, NULL, '(0,0)', '', -1.5,
 'empty', '{}', '{}', '{NaN}', '{}', '{}', '{}', -1, false, ''),
(3, 32767, 9223372036854775807, 0, 3.4028235e38, 1.7976931348623157e308, 'Infinity', 12345678.1234, 'grüße 漢字 😀', 'héllo wörld', 'ab', 'a name',
 '\x00ff5c27', '5874897-12-31', '24:00', '23:59:59.999999-15:59', '294276-12-31 23:59:59.999999', '4714-11-24 00:00:00+00 BC', '2024-02-29 12:34:56.5+00',
 '1 year 2 mons 3 days 04:05:06.789', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '{"b":1,  "a":"ü"}', '{"b":1,"a":"\u00fc","n":1e400}', '2001:db8::1/64', '10.0.0.0/8',
 'ff:ff:ff:ff:ff:ff', B'10101', B'1', 'happy', 999999.999, ROW(1,'a,b"c'), '(1.5,-2e-300)', '<a>ü</a>', 92233720368547758.07, '[1,5)', '{1,NULL,3}',
 ARRAY['a','ü,"',NULL,'NULL',''], '{1.10,NULL,1e300}', ARRAY['{"k":"漢"}']::jsonb[], ARRAY['infinity','2024-01-01'::timestamptz,NULL],
 ARRAY['sad','it''s ok']::mood[], 2147483647, true, 'fat:2 cat:1');
INSERT INTO types (id, n, t, by, ta, jb) SELECT 4, repeat('9', 500)::numeric / 7, repeat('0123456789abcdefü', 65536), decode(repeat('00ff', 300000), 'hex'),
 array_agg(repeat('ä', 1000)), jsonb_build_object('long', repeat('ß', 500000)) FROM generate_series(1, 100);
INSERT INTO types (id, t, v) SELECT n, repeat('x', n), left(repeat('ü', n), 20) FROM generate_series(100, 300) AS n;
});

my $node = PostgreSQL::Test::Cluster->new('warehouse');
$node->init(extra => [ '--encoding', 'UTF8', '--locale', 'C' ]);
$node->append_conf('postgresql.conf', "max_worker_processes = 16\n");
$node->start;
my ($host, $port) = ($source->host, $source->port);
# The encoding of the role is what receive functions would convert from, if they were let.
$node->safe_psql('postgres', qq{
CREATE EXTENSION etl_ext;
CREATE EXTENSION postgres_fdw;
CREATE ROLE loader LOGIN;
ALTER ROLE loader SET client_encoding = 'LATIN1';
ALTER ROLE loader SET timezone = 'Asia/Kathmandu';
ALTER ROLE loader SET datestyle = 'German';
ALTER ROLE loader SET bytea_output = 'escape';
GRANT USAGE ON SCHEMA etl TO loader;
GRANT CREATE ON DATABASE postgres TO loader;
CREATE SERVER shop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'postgres', fetch_size '50', keepalives_idle '60');
GRANT USAGE ON FOREIGN SERVER shop TO loader;
CREATE USER MAPPING FOR loader SERVER shop OPTIONS (user 'reader', password 'secret');
CREATE TYPE public.mood AS ENUM ('happy', 'sad', 'it''s ok');
CREATE DOMAIN public.positive AS numeric(9,3) CHECK (VALUE > 0);
CREATE TYPE public.pair AS (a int, b text);
});

# as_loader runs statements as the owner of the pipeline, who is no superuser.
sub as_loader
{
	my ($statement) = @_;
	return $node->safe_psql('postgres', "SET ROLE loader; SET client_min_messages = warning; $statement");
}

# run runs one task of the pipeline and returns its state, reader and reason.
sub run
{
	my ($task, $more) = @_;
	$more = $more ? ", $more" : '';
	$node->psql('postgres', "SET ROLE loader; SELECT etl.run_pipeline('daily', tasks => '{$task}'$more)");
	return outcome($task);
}

# outcome returns what the last attempt of a task was: state, reader and reason.
sub outcome
{
	my ($task) = @_;
	return as_loader("SELECT state, reader, reader_reason FROM etl.task_run WHERE task = '$task' ORDER BY task_run_id DESC LIMIT 1");
}

# failure returns SQLSTATE and message of the last attempt of a task.
sub failure
{
	my ($task) = @_;
	return as_loader("SELECT error_sqlstate, error_message FROM etl.task_run WHERE task = '$task' ORDER BY task_run_id DESC LIMIT 1");
}

# sent returns the COPY statements that the source got since an offset in its log.
sub sent
{
	my ($offset) = @_;
	my @statements = slurp_file($source->logfile, $offset) =~ /^etl_ext\|\w+\|LOG:\s+statement: (BEGIN [^\n]*COPY [^\n]*)/mg;
	return @statements;
}

as_loader(q{
CREATE SCHEMA shop;
IMPORT FOREIGN SCHEMA public EXCEPT (types) FROM SERVER shop INTO shop;
CREATE FOREIGN TABLE shop.types (
  id int NOT NULL, i2 smallint, i8 bigint, was_dropped int, o oid, f4 real, f8 float8, n numeric, n2 numeric(12,4), t text, v varchar(20), c char(8),
  nm name, by bytea, d date, tm time, tz timetz, ts timestamp, tstz timestamptz, ts0 timestamptz(0), iv interval, u uuid, j json, jb jsonb, ip inet,
  net cidr, mac macaddr, bt bit(5), vb bit varying, m mood, dm positive, p pair, pt point, x xml, money_ money, r int4range, ia int[], ta text[],
  na numeric[], ja jsonb[], tsa timestamptz[], ma mood[], "Quoted ""name" int, renamed boolean OPTIONS (column_name 'bo'), tsv tsvector,
  i8_text text OPTIONS (column_name 'i8'), i2_wide bigint OPTIONS (column_name 'i2'), n_short numeric(40,2) OPTIONS (column_name 'n2'),
  c_text text OPTIONS (column_name 'c'), bo_text text OPTIONS (column_name 'bo'), ip_text text OPTIONS (column_name 'ip'),
  tstz_plain timestamp OPTIONS (column_name 'tstz'), ts_date timestamp(0) OPTIONS (column_name 'ts'), jb_json json OPTIONS (column_name 'jb'),
  m_text text OPTIONS (column_name 'm'), t_null text OPTIONS (column_name 't')
) SERVER shop OPTIONS (schema_name 'public', table_name 'types');
ALTER FOREIGN TABLE shop.types DROP COLUMN was_dropped;
SELECT etl.create_pipeline('daily');
SELECT etl.add_extract('daily', 'types', 'shop.types', 'raw.types', primary_key => '{id}', retry_delays => '{}');
SELECT etl.add_extract('daily', 'types_query', 'shop.types', 'raw.types_query', primary_key => '{id}', reader => 'query', retry_delays => '{}');
});

# Every type, against what postgres_fdw delivers.
my $offset = -s $source->logfile;
like(run('types'), qr/^success\|postgres\|columns iv, jb, m, dm, p, pt, x, money_, r, ta, ja, ma, tsv, i8_text, i2_wide, bo_text, ip_text, tstz_plain, jb_json, m_text as text$/, 'types: the postgres reader, which says what came as text')
  or diag(failure('types'));
is(run('types_query'), 'success|query|the task says so', 'types: reader => query reads through the wrapper');
is(as_loader('SELECT count(*) FROM raw.types'), $source->safe_psql('postgres', 'SELECT count(*) FROM types'), 'types: all rows');
my @columns = split /\n/, as_loader(q{SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = 'shop.types'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum});
cmp_ok(scalar(@columns), '>', 50, 'types: many columns');
for my $column (@columns)
{
	is(as_loader("SET bytea_output = hex; SELECT string_agg(id::text, ' ' ORDER BY id) FROM raw.types AS a JOIN raw.types_query AS b USING (id) WHERE a.$column\::text IS DISTINCT FROM b.$column\::text"),
		'', "types: $column as through postgres_fdw");
}
# Where the role speaks the encoding of the database, arrays of text and jsonb come in binary form.
$node->safe_psql('postgres', 'ALTER ROLE loader RESET client_encoding');
like(run('types', 'full_refresh => true'), qr/^success\|postgres\|columns iv, m, dm, /, 'types: more in binary form');
is( as_loader(q{SELECT string_agg(id::text, ' ' ORDER BY id) FROM raw.types AS a JOIN raw.types_query AS b USING (id)
	WHERE (a.jb, a.ta, a.ja)::text IS DISTINCT FROM (b.jb, b.ta, b.ja)::text}), '', 'types: the same');
is(as_loader('SELECT count(*) FROM raw.types'), 2 * $source->safe_psql('postgres', 'SELECT count(*) FROM types'), 'types: all of them again');
$node->safe_psql('postgres', "ALTER ROLE loader SET client_encoding = 'LATIN1'");
is(as_loader('SELECT count(DISTINCT id) FROM raw.types WHERE num_nonnulls(i2, i8, t, by, m, p, ta, renamed, bo_text) = 0'), 1, 'types: NULLs stay NULL');
is(as_loader("SELECT DISTINCT t = '' AND bo_text = 'f' AND ip_text = '::' AND octet_length(by) = 0 FROM raw.types WHERE id = 2"), 't', 'types: empty is not NULL, text is that of the output function');
is(as_loader('SELECT DISTINCT octet_length(t), octet_length(by) FROM raw.types WHERE id = 4'), '1179648|600000', 'types: long values');

# Text keys are paged, whatever their order; the pages are short transactions of their own.
as_loader(q{SELECT etl.add_extract('daily', 'word', 'shop.word', 'raw.word', primary_key => '{word}', chunk_rows => 100, retry_delays => '{}')});
$offset = -s $source->logfile;
is(run('word'), 'success|postgres|', 'text key: the postgres reader');
is(scalar(sent($offset)), 11, 'text key: in pages');
is(scalar(grep { !/^BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; COPY .*; COMMIT$/ } sent($offset)), 0, 'text key: each page is one transaction');
is(as_loader(q{SELECT count(*), count(DISTINCT word), sum(n) FROM raw.word}), $source->safe_psql('postgres', 'SELECT count(*), count(DISTINCT word), sum(n) FROM word'), 'text key: every row once');

# NULL and infinite cursors, keys that are none, an empty table.
as_loader(q{
SELECT etl.add_extract('daily', 'loose', 'shop.loose', 'raw.loose', primary_key => '{id}', cursor_column => 'at', chunk_rows => 77, retry_delays => '{}');
SELECT etl.add_extract('daily', 'twice', 'shop.twice', 'raw.twice', primary_key => '{id}', chunk_rows => 5, retry_delays => '{}');
SELECT etl.add_extract('daily', 'twice_cursor', 'shop.twice', 'raw.twice_cursor', cursor_column => 'at', retry_delays => '{}');
SELECT etl.add_extract('daily', 'holes', 'shop.holes', 'raw.holes', primary_key => '{id}', chunk_rows => 5, retry_delays => '{}');
SELECT etl.add_extract('daily', 'nothing', 'shop.nothing', 'raw.nothing', primary_key => '{id}', retry_delays => '{}')});
is(run('loose'), 'success|postgres|', 'NULL cursors: read');
is(as_loader('SELECT count(*), count(DISTINCT id), count(*) FILTER (WHERE at IS NULL) FROM raw.loose'), '500|500|50', 'NULL cursors: every row once');
is(as_loader("SELECT details ->> 'null_cursor_rows' FROM etl.task_run WHERE task = 'loose' ORDER BY task_run_id DESC LIMIT 1"), 52, 'NULL cursors: counted, the infinite ones too');
is(as_loader("SELECT value FROM etl.watermark WHERE task_id = (SELECT task_id FROM etl.task WHERE name = 'loose')"), '2024-01-01 00:08:19+00', 'NULL cursors: infinity is no watermark')
  or diag(as_loader('TABLE etl.watermark'));
is(run('loose'), 'success|postgres|', 'NULL cursors: second run');
is(as_loader('SELECT count(*) FROM raw.loose'), 500, 'NULL cursors: they are not read again');
run('twice');
like(failure('twice'), qr/^23505\|primary_key does not identify a row of source shop.twice/, 'a key that tells no rows apart is refused');
is(run('twice_cursor'), 'success|postgres|', 'no key: in one piece');
is(as_loader('SELECT count(*) FROM raw.twice_cursor'), 100, 'no key: all rows');
run('holes');
like(failure('holes'), qr/^23502\|column "id" of the primary key of source shop.holes is NULL/, 'a NULL key is refused');
is(run('nothing'), 'success|postgres|', 'an empty table');
$source->safe_psql('postgres', 'INSERT INTO nothing VALUES (1)');
run('nothing');
is(as_loader('SELECT count(*) FROM raw.nothing'), 1, 'an empty table gets a row');

# A key whose values are rounded here could not be paged exactly.
as_loader(q{
CREATE FOREIGN TABLE shop.rounding (id numeric(10,1) NOT NULL) SERVER shop OPTIONS (schema_name 'public', table_name 'rounded');
SELECT etl.add_extract('daily', 'rounding', 'shop.rounding', 'raw.rounding', primary_key => '{id}', chunk_rows => 10, schema_drift => 'discard', retry_delays => '{}')});
is(run('rounding'), 'success|postgres|', 'rounded key: read');
is(as_loader('SELECT count(*) FROM raw.rounding'), 100, 'rounded key: every row once');
like(as_loader("SELECT message FROM etl.task_run WHERE task = 'rounding'"), qr/Read in one piece: column "id" has another type in the source/, 'rounded key: and says why not in pages');

# What the reader cannot do is done through the wrapper, and why.
as_loader(q{
CREATE VIEW shop.local_view AS SELECT * FROM shop.event;
SELECT etl.add_extract('daily', 'through_view', 'shop.local_view', 'raw.through_view', primary_key => '{id}', retry_delays => '{}');
SELECT etl.add_extract('daily', 'not_sent', 'shop.event', 'raw.not_sent', primary_key => '{id}', filter => 'at < now()', retry_delays => '{}');
SELECT etl.add_extract('daily', 'sent_filter', 'shop.event', 'raw.sent_filter', primary_key => '{id}', filter => $$what LIKE 'event 1%' -- only these$$, retry_delays => '{}');
SELECT etl.add_extract('daily', 'named', 'shop.event', 'raw.named', primary_key => '{id}', filter => 'at < now()', reader => 'postgres', retry_delays => '{}')});
is(run('through_view'), 'success|query|the source has no reader of its own', 'a view here: the query reader, and why');
is(run('not_sent'), 'success|query|the foreign data wrapper does not send the whole filter to the source', 'a filter that is not sent: the query reader, and why');
is(as_loader('SELECT count(*) FROM raw.not_sent'), 2000, 'a filter that is not sent: all rows');
is(run('sent_filter'), 'success|postgres|', 'a filter that is sent: the postgres reader');
is(as_loader('SELECT count(*) FROM raw.sent_filter'), $source->safe_psql('postgres', "SELECT count(*) FROM event WHERE what LIKE 'event 1%'"), 'a filter that is sent: its rows');
run('named');
like(failure('named'), qr/^0A000\|reader "postgres" cannot read source shop.event/, 'reader => postgres refuses what it cannot read');

# reconcile compares in the snapshot of the read.
as_loader(q{SELECT etl.add_extract('daily', 'compared', 'shop.event', 'raw.compared', primary_key => '{id}', cursor_column => 'at', chunk_rows => 600, reconcile => true, retry_delays => '{}')});
$offset = -s $source->logfile;
is(run('compared'), 'success|postgres|', 'reconcile: equal');
my $log = slurp_file($source->logfile, $offset);
like($log, qr/COPY [^\n]*\n(?:(?!COMMIT).*\n)*?[^\n]*SELECT count\(\*\), min\(s\.c1\)::text, max\(s\.c1\)::text [^\n]*s\.c1 <= '600'\n[^\n]*statement: COMMIT/, 'reconcile: counted within the bounds of the page before its COMMIT');
is(as_loader('SELECT count(*) FROM raw.compared'), 2000, 'reconcile: all rows');

# The source's connection is cut in the middle of a COPY: class 08, and nothing of the chunk is kept.
as_loader(q{SELECT etl.add_extract('daily', 'gated', 'shop.gated', 'raw.gated', primary_key => '{id}', cursor_column => 'at', chunk_rows => 500, retry_delays => '{}')});
my $gate = $source->background_psql('postgres');
$gate->query_safe('SELECT pg_advisory_lock(1300)');
my $waits = "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'etl_ext' AND wait_event_type = 'Lock'";
my $run = as_loader("SELECT etl.run_pipeline('daily', tasks => '{gated}', wait => false)");
ok($source->poll_query_until('postgres', $waits), 'cut: it is in the middle of the third chunk');
is(as_loader('SELECT count(*) FROM raw.gated'), 1000, 'cut: two chunks are committed');
is($source->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'postgres_fdw'"), 0, 'cut: nothing goes through the wrapper');
$source->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'etl_ext'");
is(as_loader("SELECT etl.wait_for_run($run)"), 'failed', 'cut: the run fails');
is(failure('gated'), '08006|connection to server "shop" was lost', 'cut: with class 08');
is(as_loader('SELECT count(*), max(id) FROM raw.gated'), '1000|1000', 'cut: nothing of the third chunk');

# Rows change while the next attempt stands at the same gate: behind it, before it, and new ones.
$run = as_loader("SELECT etl.run_pipeline('daily', tasks => '{gated}', wait => false)");
ok($source->poll_query_until('postgres', $waits), 'changes: the next attempt goes on from the third chunk');
$source->safe_psql('postgres', q{
UPDATE event SET what = 'changed', at = now() WHERE id IN (5, 1200, 1900);
INSERT INTO event VALUES (0, 'new', now()), (2001, 'new', now())});
$gate->query_safe('SELECT pg_advisory_unlock(1300)');
is(as_loader("SELECT etl.wait_for_run($run)"), 'success', 'changes: it succeeds');
is(run('gated'), 'success|postgres|', 'changes: and the next one');
my $latest = 'SELECT md5(string_agg(id || what || at, \';\' ORDER BY id)) FROM';
is(as_loader("SET timezone = 'UTC'; SET datestyle = ISO; $latest (SELECT DISTINCT ON (id) * FROM raw.gated ORDER BY id, _etl_batch DESC) AS r"),
	$source->safe_psql('postgres', "SET timezone = 'UTC'; $latest event"), 'changes: the latest rows are those of the source');

# Cancelling a run stops what the source executes for it.
as_loader(q{SELECT etl.add_extract('daily', 'cancelled', 'shop.gated', 'raw.cancelled', primary_key => '{id}', retry_delays => '{}')});
$gate->query_safe('SELECT pg_advisory_lock(700)');
$run = as_loader("SELECT etl.run_pipeline('daily', tasks => '{cancelled}', wait => false)");
ok($source->poll_query_until('postgres', $waits), 'cancel: the source waits');
as_loader("SELECT etl.cancel_run($run)");
is(as_loader("SELECT etl.wait_for_run($run)"), 'cancelled', 'cancel: the run is cancelled');
ok($source->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'etl_ext'"), 'cancel: the source stops too');
is(as_loader('SELECT count(*) FROM raw.cancelled'), 0, 'cancel: nothing is kept');
$gate->query_safe('SELECT pg_advisory_unlock(700)');
$gate->quit;

# The source's transaction is over when it has sent its rows, however long it takes to write them here.
as_loader(q{SELECT etl.add_extract('daily', 'slow_here', 'shop.word', 'raw.slow_here', primary_key => '{word}', chunk_rows => 100, retry_delays => '{}')});
my $lock = $node->background_psql('postgres');
$lock->query_safe('BEGIN; LOCK TABLE raw.slow_here IN SHARE ROW EXCLUSIVE MODE');
$run = as_loader("SELECT etl.run_pipeline('daily', tasks => '{slow_here}', wait => false)");
ok($node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'raw.slow_here'::regclass AND NOT granted"), 'slow here: it waits for the raw table');
ok($source->poll_query_until('postgres', "SELECT count(*) FILTER (WHERE xact_start IS NOT NULL) = 0 FROM pg_stat_activity WHERE application_name = 'etl_ext'"),
	'slow here: no transaction is open at the source');
$lock->query_safe('COMMIT');
$lock->quit;
is(as_loader("SELECT etl.wait_for_run($run)"), 'success', 'slow here: it goes on');

# Passwords, as postgres_fdw has it: nobody but a superuser connects as the operating system user of the server.
as_loader(q{SELECT etl.add_extract('daily', 'mapped', 'shop.word', 'raw.mapped', primary_key => '{word}', retry_delays => '{}')});
$node->safe_psql('postgres', "ALTER USER MAPPING FOR loader SERVER shop OPTIONS (DROP password, SET user 'trusted')");
run('mapped');
is(failure('mapped'), '2F003|password is required', 'passwords: a mapping without one is refused');
$node->safe_psql('postgres', "ALTER USER MAPPING FOR loader SERVER shop OPTIONS (ADD password 'secret')");
run('mapped');
is(failure('mapped'), '2F003|password is required', 'passwords: a server that asks for none is refused');
like(as_loader("SELECT error_detail FROM etl.task_run WHERE task = 'mapped' ORDER BY task_run_id DESC LIMIT 1"), qr/does not request a password/, 'passwords: and why');
$node->safe_psql('postgres', "ALTER USER MAPPING FOR loader SERVER shop OPTIONS (ADD password_required 'false')");
is(run('mapped'), 'success|postgres|', 'passwords: a superuser may let the owner go without one');
$node->safe_psql('postgres', "ALTER USER MAPPING FOR loader SERVER shop OPTIONS (DROP password_required, SET user 'reader', SET password 'wrong')");
run('mapped');
like(failure('mapped'), qr/^08001\|could not connect to server "shop"/, 'passwords: a wrong one is told as postgres_fdw does');
$node->safe_psql('postgres', "ALTER USER MAPPING FOR loader SERVER shop OPTIONS (SET password 'secret')");
$source->safe_psql('postgres', 'REVOKE SELECT ON word FROM reader');
run('mapped');
like(failure('mapped'), qr/^42501\|permission denied for table word/, 'rights of the source keep their SQLSTATE');
like(as_loader("SELECT error_context FROM etl.task_run WHERE task = 'mapped' ORDER BY task_run_id DESC LIMIT 1"), qr/remote SQL command: /, 'and say which command');

$node->stop;
$source->stop;
done_testing();
