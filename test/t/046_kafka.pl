# Topics of a real Kafka broker: formats, deletions, bad messages, transactions, positions, errors, connections that are cut.
# The broker's coordinates come from test/run.sh: ETL_TEST_KAFKA_BROKERS and others, see test/servers/kafka.sh. ETL_TEST_CUTS:
# how many connections are cut (200).
use strict;
use warnings;
use EtlProxy;
use IO::Select;
use IO::Socket::INET;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use EtlPoll;

plan skip_all => 'no Kafka: ETL_TEST_KAFKA_BROKERS is not set' unless $ENV{ETL_TEST_KAFKA_BROKERS};
my $brokers = $ENV{ETL_TEST_KAFKA_BROKERS};
my $bin = $ENV{ETL_TEST_KAFKA_BIN};
my $password = $ENV{ETL_TEST_KAFKA_SASL_PASSWORD};
my $prefix = "etl046-$$";
my $root = $ENV{ETL_TEST_ROOT} // '.';

# kafka runs one of Kafka's commands; produce sends messages with kcat; make_topic makes a topic, whose whole name it returns.
sub kafka
{
	my ($command, @arguments) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run([ "$bin/$command", @arguments ], '<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(120)) or die "$command: $out$err";
	return $out;
}

sub make_topic
{
	my ($name, $partitions, @config) = @_;
	kafka('kafka-topics', '--create', '--topic', "$prefix-$name", '--partitions', $partitions, map { ('--config', $_) } @config);
	return "$prefix-$name";
}

sub produce
{
	my ($topic, $messages, @arguments) = @_;
	my $err = '';
	IPC::Run::run([ 'kcat', '-b', $brokers, '-t', $topic, '-P', @arguments ], '<', \$messages, '2>', \$err, IPC::Run::timeout(120)) or die "kcat: $err";
}

my $node = PostgreSQL::Test::Cluster->new('warehouse');
$node->init(extra => [ '--encoding', 'UTF8', '--locale', 'C' ]);
$node->append_conf('postgresql.conf', "max_worker_processes = 16\ntimezone = 'America/Lima'\netl.allowed_hosts = '127.0.0.1'\nlog_statement = none\nlog_min_error_statement = panic\nrestart_after_crash = on\n");
$node->start;

sub sql { return $node->safe_psql('postgres', "SET client_min_messages = warning; $_[0]") }

# try returns what a statement printed and its error, with SQLSTATE.
sub try
{
	my ($out, $err) = ('', '');
	$node->psql('postgres', "SET client_min_messages = warning;\n\\set VERBOSITY verbose\n$_[0]", stdout => \$out, stderr => \$err);
	return $out . $err;
}

sql("CREATE EXTENSION etl_ext; CREATE SCHEMA src; SELECT etl.create_pipeline('p');
	CREATE SERVER bus FOREIGN DATA WRAPPER etl_kafka OPTIONS (brokers '$brokers')");

# table makes a foreign table; extract makes it with an extract into raw.NAME; run runs that in a worker and returns state,
# SQLSTATE and message; last returns something of its last attempt; offsets returns the positions.
sub table
{
	my ($name, $topic, $columns, $options, $server) = @_;
	sql("CREATE FOREIGN TABLE src.$name ($columns) SERVER " . ($server // 'bus') . " OPTIONS (topic '$topic'" . ($options ? ", $options" : '') . ')');
}

sub extract
{
	my ($name, $topic, $columns, $options, $settings, $server) = @_;
	table($name, $topic, $columns, $options, $server);
	sql("SELECT etl.add_extract('p', '$name', 'src.$name', 'raw.$name', retry_delays => '{}'" . ($settings ? ", $settings" : '') . ')');
}

sub run
{
	my ($name, $more) = @_;
	$more //= '';
	return sql("SELECT etl.run_pipeline('p', tasks => '{$name}', wait => false$more) AS run \\gset
		SELECT etl.wait_for_run(:run) \\gset
		SELECT concat_ws(' ', state, error_sqlstate, error_message) FROM etl.task_run WHERE run_id = :run ORDER BY task_run_id DESC LIMIT 1");
}

sub last_run { return sql("SELECT $_[1] FROM etl.task_run WHERE task = '$_[0]' ORDER BY task_run_id DESC LIMIT 1") }
sub offsets { return sql("SELECT string_agg(o.partition || ':' || next_offset, ' ' ORDER BY o.partition) FROM etl.kafka_offset AS o JOIN etl.task AS t USING (task_id) WHERE t.name = '$_[0]'") }

# ---- formats, keys, headers, deletions, bad messages -----------------------------------------------------------------

my $topic = make_topic('formats', 1);
produce($topic, "1:{\"id\": 1, \"amount\": 10.50, \"note\": \"a\", \"more\": {\"b\": [1]}}\n", '-K:', '-H', 'trace=abc', '-H', 'trace=def', '-H', 'one=1');
produce($topic, "2:{\"id\": 2}\n2:\n3:not json\n4:{\"id\": \"four\"}\n{\"id\": 5}:\n6:{\"id\": 6, \"note\": \"\\u0000\"}\n", '-K:', '-Z') ;
produce($topic, "\xff\xfe\n");
produce($topic, "7#{\"id\": 7, \"amount\": 7}\n", '-K#');

extract('fields', $topic, 'id bigint, amount numeric(10,2), note text, key text, headers jsonb, _topic text, _partition int, _offset bigint, _timestamp timestamptz', '', "primary_key => '{id}'");
is(run('fields'), 'success', 'a topic is read');
is(sql("SELECT string_agg(concat_ws(',', _etl_op, id, amount, note, key, headers, _topic = '$topic', _partition, _offset, abs(extract(epoch FROM now() - _timestamp)) < 600, _etl_extra), E'\\n' ORDER BY _offset) FROM raw.fields"), <<"END" =~ s/\n\z//r, 'fields, keys, headers, deletions, what no column takes');
u,1,10.50,a,1,{"one": "1", "trace": ["abc", "def"]},t,0,0,t,{"more": {"b": [1]}}
u,2,2,t,0,1,t
d,2,2,t,0,2,t
u,7,7.00,7,t,0,8,t
END
is(sql("SELECT string_agg(concat_ws(',', origin = '$topic/0', position, error_sqlstate, column_name, left(row_data->>'record', 12)), E'\\n' ORDER BY position) FROM etl.quarantine"), <<"END" =~ s/\n\z//r, 'bad messages are in quarantine with partition and offset');
t,3,22P02,not json
t,4,22P02,id,{"id": "four
t,5,22P02, 5}:
t,6,22P02,{"id": 6, "n
t,7,22021,\xc3\xbf\xc3\xbe
END
is(offsets('fields'), '0:9', 'the position is behind all of them');
is(run('fields'), 'success', 'nothing new');
is(last_run('fields', 'rows_read'), '0', 'nothing is read twice');

extract('whole', $topic, 'value jsonb, key bytea, _offset bigint', '', "on_error => 'abort'");
like(run('whole'), qr/^failed 22P02 invalid JSON/, 'on_error => abort ends at the first bad message');
is(offsets('whole'), '', 'nothing was committed');
extract('plain', $topic, "value text, key text, _offset bigint");
is(run('plain'), 'success', 'values as text');
is(sql("SELECT concat_ws(' ', count(*), count(*) FILTER (WHERE _etl_op = 'd')) FROM raw.plain"), '8 1', 'text: one value is not valid');
extract('bytes', $topic, "value bytea, key bytea", "value_format 'bytea'");
is(run('bytes'), 'success', 'values as bytea');
is(sql("SELECT concat_ws(' ', count(*), count(*) FILTER (WHERE value = '\\xfffe')) FROM raw.bytes"), '9 1', 'bytea: all are valid');
extract('jsonkey', $topic, 'id bigint, note text', '', "primary_key => '{id}'");
run('jsonkey');
is(sql("SELECT count(*) FROM raw.jsonkey WHERE _etl_op = 'd' AND id = 2"), '1', 'the key of a deletion fills the primary key');
my $deleted = make_topic('deleted', 1);
produce($deleted, "{\"id\": 41, \"region\": \"eu\"}|\nx|\n", '-K|', '-Z');
produce($deleted, "|\n", '-K|', '-Z');
extract('deleted', $deleted, 'id bigint, region text, note text', '', "primary_key => '{id, region}'");
is(run('deleted'), 'success', 'deletions');
is(sql("SELECT string_agg(concat_ws(',', _etl_op, id, region), ' ' ORDER BY id) FROM raw.deleted"), 'd,41,eu d', 'a key of JSON fills its fields');
is(sql("SELECT count(*) FROM etl.quarantine WHERE origin = '$deleted/0' AND error_sqlstate = '22004'"), '1', 'neither key nor value');
table('look', $deleted, 'key text, _offset bigint');
like(try('SELECT count(*) FROM src.look'), qr/ERROR:  22004: the message has neither a key nor a value/, 'a SELECT refuses a bad message');
table('some', $topic, 'value bytea, _partition int');
is(sql('SELECT count(*) FROM src.some'), '8', 'a SELECT reads from the beginning, without what was deleted');
is(sql('SELECT count(*) FROM (SELECT * FROM src.some LIMIT 3) AS s'), '3', 'a SELECT may end early');
like(sql("SELECT string_agg(line, E'\\n') FROM etl.explain_task('p', 'fields') AS line"), qr/^-- topic $topic of \Q$brokers\E \(plaintext\)\n-- partition 0: from offset 9\n/m, 'explain_task shows topic and positions');

# ---- positions: start, limits, new partitions, what is gone ----------------------------------------------------------

$topic = make_topic('many', 2);
produce($topic, join('', map { "{\"n\": $_}\n" } 1 .. 5), '-p', 0);
produce($topic, join('', map { "{\"n\": $_}\n" } 6 .. 10), '-p', 1);
extract('limited', $topic, 'n int', "max_records '4'");
run('limited');
is(sql('SELECT count(*) FROM raw.limited'), '4', 'max_records');
like(last_run('limited', 'message'), qr/ended before the end of topic/, 'the attempt says so');
run('limited') for 1 .. 2;
is(sql('SELECT concat_ws(\' \', count(*), count(DISTINCT n)) FROM raw.limited'), '10 10', 'max_records over several runs');
extract('latest', $topic, 'n int', "start 'latest'");
is(run('latest'), 'success', 'start latest');
is(offsets('latest'), '0:5 1:5', 'start latest: the positions are kept though nothing was read');
kafka('kafka-topics', '--alter', '--topic', $topic, '--partitions', 3);
produce($topic, "{\"n\": 11}\n", '-p', 2);
produce($topic, "{\"n\": 12}\n", '-p', 0);
is(run('latest'), 'success', 'a new partition');
is(sql("SELECT string_agg(n::text, ' ' ORDER BY n) FROM raw.latest"), '11 12', 'a new partition is read from its beginning');
is(run('limited'), 'success', 'a new partition');
is(offsets('limited'), '0:6 1:5 2:1', 'new partitions are seen in the next run');
extract('moment', $topic, 'n int', "start '2100-01-01T00:00:00Z'");
run('moment');
is(offsets('moment'), '0:6 1:5 2:1', 'start at a moment that is not yet');
extract('past', $topic, 'n int', "start '2020-01-01T00:00:00+01'");
run('past');
is(sql('SELECT count(*) FROM raw.past'), '12', 'start at a moment that is before all messages');
extract('one', $topic, 'n int, _partition int', "partitions '1'");
run('one');
is(sql('SELECT concat_ws(\' \', count(*), min(_partition), max(_partition)) FROM raw.one'), '5 1 1', 'one partition');
extract('none', $topic, 'n int', "partitions '7'");
like(run('none'), qr/^failed HV00R server "bus" has no topic/, 'a partition that is not there');
extract('nowhere', "$prefix-nowhere", 'n int');
like(run('nowhere'), qr/^failed HV00R server "bus" has no topic "$prefix-nowhere"/, 'a topic that is not there');
is(run('past', ', full_refresh => true'), 'success', 'full_refresh');
is(sql('SELECT concat_ws(\' \', count(*), count(DISTINCT n)) FROM raw.past'), '24 12', 'full_refresh reads from the beginning');

# Three extracts stand at 0:6; then the messages below 8 are gone.
extract($_, $topic, 'n int', "on_out_of_range '$_', partitions '0'") for qw(error earliest);
extract('skipping', $topic, 'n int', "on_out_of_range 'latest', partitions '0'");
run($_) for qw(error earliest skipping);
produce($topic, join('', map { "{\"n\": $_}\n" } 21 .. 25), '-p', 0);
my $json = PostgreSQL::Test::Utils::tempdir . '/delete.json';
append_to_file($json, "{\"partitions\": [{\"topic\": \"$topic\", \"partition\": 0, \"offset\": 8}], \"version\": 1}");
kafka('kafka-delete-records', '--offset-json-file', $json);
like(run('error'), qr/^failed 55000 topic "$topic" no longer has the messages that would be read next/, 'out of range: error');
like(last_run('error', "concat_ws(' ', error_detail, error_hint)"), qr/^Partition 0: offsets 6 to 7 were deleted at the source; it begins at 8 now. SELECT etl.set_kafka_offset\('p', 'error', 0, 8, reason => '...'\) goes on/, 'it says what is lost and how to go on');
is(offsets('error'), '0:6', 'the position stays');
sql("SELECT etl.set_kafka_offset('p', 'error', 0, 8, 'accepted')");
is(run('error'), 'success', 'etl.set_kafka_offset goes on');
is(sql("SELECT string_agg(n::text, ' ' ORDER BY n) FROM raw.error WHERE n > 20"), '23 24 25', 'behind the gap');
is(sql("SELECT concat_ws(' ', action, details->>'old_value', details->>'new_value', details->>'reason') FROM etl.audit_log WHERE action = 'set_kafka_offset' ORDER BY audit_id DESC LIMIT 1"), 'set_kafka_offset 6 8 accepted', 'it is in the audit log');
is(run('earliest'), 'success', 'out of range: earliest');
is(sql("SELECT string_agg(n::text, ' ' ORDER BY n) FROM raw.earliest WHERE n > 20"), '23 24 25', 'earliest reads what is left');
like(last_run('earliest', 'message'), qr/2 offsets of topic .* were left out/, 'the attempt says what was lost');
is(run('skipping'), 'success', 'out of range: latest');
is(sql("SELECT count(*) FROM raw.skipping WHERE n > 20"), '0', 'latest leaves everything out');
sql("SELECT etl.set_kafka_offset('p', 'skipping', 0, NULL)");
is(run('skipping'), 'success', 'set_kafka_offset to the beginning');
is(sql("SELECT count(*) FROM raw.skipping WHERE n > 20"), '3', 'it begins at what the topic has');

my $again = make_topic('again', 1);
produce($again, join('', map { "$_\n" } 1 .. 10));
extract('again', $again, 'value text');
run('again');
kafka('kafka-topics', '--delete', '--topic', $again);
for (1 .. 300) { last if kafka('kafka-topics', '--list') !~ /^\Q$again\E$/m }
make_topic('again', 1);
produce($again, "11\n12\n");
like(run('again'), qr/^failed 55000 topic "$again" is not the one that was read before/, 'a topic that was created anew');
sql("SELECT etl.set_kafka_offset('p', 'again', NULL, NULL, 'created anew')");
is(run('again'), 'success', 'its positions are forgotten');
is(sql("SELECT count(*) FROM raw.again"), '12', 'it is read from its start');

# ---- transactions and compaction -------------------------------------------------------------------------------------

$topic = make_topic('txn', 1);
kafka('kafka-txn', $topic, 5, 'commit', 0, 'a');
kafka('kafka-txn', $topic, 5, 'abort', 0, 'b');
extract('txn', $topic, 'value text, _offset bigint');
is(run('txn'), 'success', 'transactions');
is(sql("SELECT string_agg(value, ' ' ORDER BY _offset) FROM raw.txn"), 'a1 a2 a3 a4 a5', 'what was aborted is not read');
is(offsets('txn'), '0:12', 'the position is behind the end of the aborted transaction');
my ($in, $out) = ('', '');
my $open = IPC::Run::start([ "$bin/kafka-txn", $topic, 3, 'open', 0, 'c' ], '<', \$in, '>', \$out, IPC::Run::timeout(120));
$open->pump until $out =~ /open/;
produce($topic, "after\n");
is(run('txn'), 'success', 'a transaction that is open');
is(sql("SELECT count(*) FROM raw.txn"), '5', 'nothing behind its beginning is read');
undef $in;
$open->finish;
is(run('txn'), 'success', 'a transaction that was open');
is(sql("SELECT value FROM raw.txn ORDER BY _offset DESC LIMIT 1"), 'after', 'what is behind it is read when it has ended');

$topic = make_topic('compacted', 1, 'cleanup.policy=compact', 'segment.ms=100', 'min.cleanable.dirty.ratio=0.01', 'min.compaction.lag.ms=0', 'segment.bytes=1048576');
produce($topic, join('', map { my $k = $_ % 5; "$k:v$_\n" } 1 .. 50), '-K:');
my $left = 0;
for (1 .. 300)
{
	produce($topic, "9:tick\n", '-K:');
	$left = `kcat -b $brokers -t $topic -C -e -q -o beginning 2>/dev/null | grep -c '^v'`;
	last if $left < 50;
}
cmp_ok($left, '<', 50, 'the topic was compacted');
extract('compacted', $topic, 'value text, key text, _offset bigint');
is(run('compacted'), 'success', 'a topic with gaps');
is(sql("SELECT count(*) FROM raw.compacted WHERE value LIKE 'v%'"), $left + 0, 'what is left of it');
is(sql("SELECT next_offset = end_offset FROM etl.kafka_offset JOIN etl.task USING (task_id) WHERE name = 'compacted'"), 't', 'the end is reached');

# ---- users and TLS ---------------------------------------------------------------------------------------------------

$topic = make_topic('users', 1);
produce($topic, "hello\n");
my $user = 0;

# server makes a server with a user mapping, and a table; look reads it.
sub server
{
	my ($name, $address, $options, $secret) = @_;
	sql("CREATE SERVER $name FOREIGN DATA WRAPPER etl_kafka OPTIONS (brokers '$address', timeout '10 s', $options)");
	sql("CREATE USER MAPPING FOR PUBLIC SERVER $name OPTIONS (sasl_username '$ENV{ETL_TEST_KAFKA_SASL_USER}', sasl_password '$secret')") if defined $secret;
	table($name, $topic, 'value text', '', $name);
}

sub look { return try("SELECT value FROM src.$_[0]") }

for my $mechanism ('PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512')
{
	my $name = 'sasl_' . lc($mechanism =~ s/-/_/gr);
	server($name, $ENV{ETL_TEST_KAFKA_SASL_BROKERS}, "security_protocol 'sasl_plaintext', sasl_mechanism '$mechanism'", $password);
	is(look($name), 'hello', "a user by $mechanism");
	server("wrong_$name", $ENV{ETL_TEST_KAFKA_SASL_BROKERS}, "security_protocol 'sasl_plaintext', sasl_mechanism '$mechanism'", 'NotThe1SecretWord');
	like(look("wrong_$name"), qr/ERROR:  28000: server "wrong_$name" refuses the user/, "a wrong password by $mechanism");
}
server('nobody', $ENV{ETL_TEST_KAFKA_SASL_BROKERS}, "security_protocol 'sasl_plaintext'");
like(look('nobody'), qr/ERROR:  HV00J: server "nobody" asks for a user/, 'no user mapping');
sql("SELECT etl.add_extract('p', 'nobody', 'src.nobody', 'raw.nobody')");
like(sql("SELECT string_agg(problem, ' ') FROM etl.validate('p') WHERE task = 'nobody'"), qr/the owner of the pipeline has no user mapping.*gets the password in clear text/, 'validate says it');
my $ca = slurp_file($ENV{ETL_TEST_KAFKA_SSL_CA});
server('tls', $ENV{ETL_TEST_KAFKA_SSL_BROKERS}, "security_protocol 'ssl', ssl_ca_pem '$ca'");
is(look('tls'), 'hello', 'TLS with ssl_ca_pem');
server('sasl_tls', $ENV{ETL_TEST_KAFKA_SASL_SSL_BROKERS}, "security_protocol 'sasl_ssl', sasl_mechanism 'SCRAM-SHA-512', ssl_ca_pem '$ca'", $password);
is(look('sasl_tls'), 'hello', 'a user over TLS');
server('untrusted', $ENV{ETL_TEST_KAFKA_SSL_BROKERS}, "security_protocol 'ssl'");
like(look('untrusted'), qr/ERROR:  HV00N: the certificate of server "untrusted" cannot be trusted/, 'an authority that nobody knows');
is(try("SET etl.tls_ca_file = '$ENV{ETL_TEST_KAFKA_SSL_CA}'; SELECT value FROM src.untrusted"), 'hello', 'TLS with etl.tls_ca_file');
server('clear', $ENV{ETL_TEST_KAFKA_SSL_BROKERS}, "security_protocol 'plaintext'");
like(look('clear'), qr/ERROR:  08006: could not connect to server "clear"/, 'a listener of TLS is not talked to in clear text');
like(try("SET etl.allowed_hosts = '*'; SELECT value FROM src.tls"), qr/ERROR:  42501: address 127.0.0.1 is not allowed/, 'an address that is not allowed');
my $log = slurp_file($node->logfile);
unlike($log, qr/\Q$password\E|NotThe1SecretWord/, 'no password in the log');

# ---- errors in the middle --------------------------------------------------------------------------------------------

my $busy = make_topic('busy', 2);
produce($busy, join('', map { sprintf "{\"n\": %d, \"pad\": \"%s\"}\n", $_, 'x' x 150 } 1 .. 20000));
my $exact = "SELECT concat_ws(' ', count(*), count(DISTINCT n), sum(n)) FROM raw";
my $all = '20000 20000 200010000';

# hold runs an extract in the background until it waits for a lock on its positions in the middle; returns run and session.
sub hold
{
	my ($name) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	$session->query_safe("BEGIN; UPDATE etl.kafka_offset SET next_offset = next_offset WHERE task_id = (SELECT task_id FROM etl.task WHERE name = '$name')");
	my $run = sql("SELECT etl.run_pipeline('p', tasks => '{$name}', wait => false)");
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'etl executor' AND wait_event_type = 'Lock'") or die 'the extract does not wait';
	return ($run, $session);
}

# started makes an extract that has read a little and has much before it.
sub started
{
	my ($name) = @_;
	extract($name, $busy, 'n int, _partition int, _offset bigint', "max_records '3000'", 'chunk_rows => 1000');
	run($name);
	sql("ALTER FOREIGN TABLE src.$name OPTIONS (DROP max_records)");
	return sql("SELECT count(*) FROM raw.$name");
}

is(started('cas'), '3000', 'three batches');
my ($run, $session) = hold('cas');
$session->query_safe("UPDATE etl.kafka_offset SET next_offset = next_offset + 7 WHERE task_id = (SELECT task_id FROM etl.task WHERE name = 'cas'); COMMIT");
$session->quit;
like(try("SELECT etl.wait_for_run($run)") . last_run('cas', "concat_ws(' ', state, error_sqlstate)"), qr/failed ZE004/, 'somebody else has moved the positions');
is(sql('SELECT count(*) FROM raw.cas'), '3000', 'nothing was committed');

started('ended');
($run, $session) = hold('ended');
my $threads = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'etl executor'");
my @unblocked = grep { my $status = slurp_file("/proc/$threads/task/$_/status"); $_ != $threads && $status !~ /^SigBlk:\s+f[f7]/mi } map { m{(\d+)$} } glob("/proc/$threads/task/*");
is("@unblocked", '', 'the threads of librdkafka block signals');
cmp_ok(scalar(my @tasks = glob("/proc/$threads/task/*")), '>', 2, 'and they are there');
sql("SELECT pg_terminate_backend($threads)");
try("SELECT etl.wait_for_run($run)");
$session->quit;
like(last_run('ended', 'state'), qr/failed/, 'an executor that is terminated');
is(run('ended'), 'success', 'the next attempt goes on');
is(sql("$exact.ended"), $all, 'nothing is lost, nothing is there twice');

started('killed');
($run, $session) = hold('killed');
my $pid = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'etl executor'");
kill 'KILL', $pid;
$session->quit;
$node->poll_query_until('postgres', 'SELECT true') or die 'the server does not come back';
sql("SELECT etl.run_pipeline('p', tasks => '{one}')");
$node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM etl.run WHERE run_id = $run AND state IN ('queued', 'running'))");
run('killed');
is(sql("$exact.killed"), $all, 'an executor that is killed: nothing is lost, nothing is there twice');

# A server that accepts connections and never answers.
my $deaf = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 16) or die "$!";
sql('CREATE SERVER deaf FOREIGN DATA WRAPPER etl_kafka OPTIONS (brokers \'127.0.0.1:' . $deaf->sockport . "')");
extract('deaf', $busy, 'n int', '', '', 'deaf');
for my $signal ('pg_cancel_backend', 'pg_terminate_backend')
{
	$run = sql("SELECT etl.run_pipeline('p', tasks => '{deaf}', wait => false)");
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'etl executor'");
	for (1 .. 1200) { last if IO::Select->new($deaf)->can_read(0.1) }
	sql("SELECT $signal(pid) FROM pg_stat_activity WHERE backend_type = 'etl executor'");
	try("SELECT etl.wait_for_run($run)");
	like(last_run('deaf', 'state'), qr/failed|cancelled/, "$signal while a broker does not answer");
	$deaf->accept;
}
my $silent = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 1) or die "$!";
my $port = $silent->sockport;
$silent->close;
sql("CREATE SERVER gone FOREIGN DATA WRAPPER etl_kafka OPTIONS (brokers '127.0.0.1:$port', timeout '5 s')");
extract('gone', $busy, 'n int', '', '', 'gone');
like(run('gone'), qr/^failed 08006 could not connect to server "gone"/, 'no broker');
sql("ALTER SERVER gone OPTIONS (SET brokers '$brokers')");
is(run('gone'), 'success', 'a broker that is there again');
is(sql("$exact.gone"), $all, 'everything is read');

# ---- connections that are cut at any byte ----------------------------------------------------------------------------

my ($host, $real) = $brokers =~ /^(.*):(\d+)$/;
my $proxy = EtlProxy->new($host, $real, rewrite => sub { my ($bytes, $port) = @_; my ($from, $to) = (pack('N', $real), pack('N', $port)); $bytes =~ s/\Q$host$from\E/$host$to/g; return $bytes });
my $small = make_topic('small', 2);
produce($small, join('', map { sprintf "{\"n\": %d, \"pad\": \"%s\"}\n", $_, 'x' x 150 } 1 .. 1000), '-X', 'batch.num.messages=20');
sql("CREATE SERVER cut FOREIGN DATA WRAPPER etl_kafka OPTIONS (brokers '$host:" . $proxy->port . "', timeout '20 s', reconnect_backoff_ms '10', reconnect_backoff_max_ms '50', fetch_max_bytes '20000', max_partition_fetch_bytes '10000')");
extract('cut', $small, 'n int, _partition int, _offset bigint', '', 'chunk_rows => 100', 'cut');
my ($wrong, $failed, $real_cuts, $cuts) = (0, 0, 0, $ENV{ETL_TEST_CUTS} // 200);
srand(my $seed = $ENV{ETL_TEST_SEED} // int(rand(1000000)));
note("seed $seed");
for my $i (1 .. $cuts)
{
	sql("SELECT etl.set_kafka_offset('p', 'cut', NULL, NULL)" . ($i > 1 ? '; TRUNCATE raw.cut' : ''));
	# The first connection reads, the second one is that of the group.
	my $skip = (0, 0, 0, 0, 1)[rand(5)];
	my $after = 1 + int(rand($skip == 1 ? 500 : rand() < 0.2 ? 2000 : 190000));
	$proxy->cut(after => $after, skip => $skip, reset => $i % 2);
	my $error = try("SELECT etl.run_pipeline('p', tasks => '{cut}', mode => 'inline')") =~ /ERROR/;
	$real_cuts += $proxy->was_cut;
	my $gaps = sql("SELECT count(*) FROM (SELECT _partition FROM raw.cut GROUP BY _partition HAVING max(_offset) + 1 <> count(*) OR count(*) <> count(DISTINCT _offset)) AS g");
	if ($error)
	{
		$failed++;
		try("SELECT etl.run_pipeline('p', tasks => '{cut}', mode => 'inline')");
	}
	next if $gaps eq '0' && sql("$exact.cut") eq '1000 1000 500500';
	$wrong++;
	diag("cut after $after bytes of connection $skip: " . sql("$exact.cut") . ", $gaps gaps");
}
is($wrong, 0, "$cuts runs: everything is there once ($failed attempts failed)");
cmp_ok($real_cuts, '>', $cuts / 2, "connections were cut in $real_cuts of them");
$proxy->stop;
like(run('cut'), qr/^failed 08006/, 'the broker is gone');

# The broker goes away in the middle and stays away: what is there is a beginning without gaps, and the next run goes on.
sql("ALTER SERVER cut OPTIONS (SET timeout '2 s')");
my ($broken, $parts, $complete) = (0, 0, 0);
for my $i (1 .. 8)
{
	my $dying = EtlProxy->new($host, $real, rewrite => sub { my ($bytes, $port) = @_; my ($from, $to) = (pack('N', $real), pack('N', $port)); $bytes =~ s/\Q$host$from\E/$host$to/g; return $bytes });
	sql("SELECT etl.set_kafka_offset('p', 'cut', NULL, NULL); TRUNCATE raw.cut; ALTER SERVER cut OPTIONS (SET brokers '$host:" . $dying->port . "')");
	$dying->cut(after => 3000 + int(rand(180000)), last => 1, reset => $i % 2);
	$broken++ if run('cut') =~ /^failed 08006/;
	my $rows = sql('SELECT count(*) FROM raw.cut');
	$parts++ if $rows > 0 && $rows < 1000;
	is(sql("SELECT count(*) FROM (SELECT _partition, max(_offset) AS last, count(*) AS n FROM raw.cut GROUP BY _partition) AS r
		FULL JOIN (SELECT partition, next_offset FROM etl.kafka_offset JOIN etl.task USING (task_id) WHERE name = 'cut') AS o ON o.partition = r._partition
		WHERE coalesce(last, -1) + 1 <> coalesce(n, 0) OR coalesce(n, 0) <> next_offset"), '0', "$rows rows are a beginning without gaps");
	sql("ALTER SERVER cut OPTIONS (SET brokers '$brokers')");
	run('cut');
	$complete++ if sql("$exact.cut") eq '1000 1000 500500';
	$dying->stop;
}
is($broken, 8, 'a broker that is gone is an error');
is($complete, 8, 'the next run completes');
cmp_ok($parts, '>', 1, 'some attempts had committed a part');

# ---- faults of a mock cluster ----------------------------------------------------------------------------------------

my $mock = PostgreSQL::Test::Utils::tempdir . '/kafka_mock';
my $source = "$root/test/servers/kafka_mock.c";
my $why = '';
IPC::Run::run([ 'gcc', '-O1', '-Wall', '-Wextra', '-Werror', '-o', $mock, $source, '-lrdkafka' ], '2>', \$why) or die "kafka_mock: $why";
my ($command, $answer) = ('', '');
my $cluster = IPC::Run::start([ $mock, 'mock', 2, 1000 ], '<', \$command, '>', \$answer, IPC::Run::timeout(600));
$cluster->pump until $answer =~ /\n/;
chomp(my $address = $answer);

# mock gives a command to the cluster.
sub mock
{
	$answer = '';
	$command .= "$_[0]\n";
	$cluster->pump until $answer =~ /ok/;
}

sql("CREATE SERVER mock FOREIGN DATA WRAPPER etl_kafka OPTIONS (brokers '$address', timeout '8 s')");
extract('mock', 'mock', 'n int, _partition int, _offset bigint', '', 'chunk_rows => 100', 'mock');
my @faults = (
	[ 'error 1 6 5', 'the leader has moved' ],
	[ 'error 1 7 3', 'fetches time out' ],
	[ 'error 1 -195 3', 'fetches break the connection off' ],
	[ 'error 2 5 3', 'there is no leader for a while' ],
	[ 'error 3 -195 2', 'questions for metadata break the connection off' ],
	[ 'rtt 300', 'a slow broker' ],
);
my $sum = 0;
for my $fault (@faults)
{
	$sum += 1000;
	mock($fault->[0]);
	run('mock');
	mock('rtt 0');
	is(run('mock'), 'success', $fault->[1]);
	is(sql('SELECT concat_ws(\' \', count(*), count(DISTINCT n)) FROM raw.mock'), "$sum $sum", 'everything is there once');
	mock('produce 1000');
}
mock('error 1 1 1000');
like(run('mock'), qr/^failed 08006 topic "mock" has changed while it was read/, 'an offset that is gone while it is read');
mock('down');
like(run('mock'), qr/^failed 08006/, 'the broker is down');
undef $command;
$cluster->kill_kill;

ok($node->safe_psql('postgres', 'SELECT true'), 'the server is up');
my @crashes = grep { /terminated by signal (?!9)/ } split /\n/, slurp_file($node->logfile);
is("@crashes", '', 'nothing has crashed');
$node->stop;
eval { kafka('kafka-topics', '--delete', '--topic', "$prefix-.*") };
done_testing();
