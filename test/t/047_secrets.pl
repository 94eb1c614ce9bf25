# Secrets of user mappings: whatever happens, none is in the server's log, an error, pg_stat_activity or a table of etl_ext.
# Peers: ETL_TEST_NGINX_URL, ETL_TEST_S3_ENDPOINT, ETL_TEST_KAFKA_SASL_BROKERS
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

for my $variable (qw(ETL_TEST_NGINX_URL ETL_TEST_S3_ENDPOINT ETL_TEST_KAFKA_SASL_BROKERS))
{
	plan skip_all => "$variable is not set" unless $ENV{$variable};
}

my $node = PostgreSQL::Test::Cluster->new('warehouse');
$node->init;
# debug2: what a person may turn on to find an error in an extract.
$node->append_conf('postgresql.conf', qq{
max_worker_processes = 16
log_min_messages = debug2
log_statement = none
etl.allowed_hosts = '*, 127.0.0.0/8'
track_activity_query_size = 100kB
});
$node->start;

# Each secret is a word that occurs nowhere else.
my $n = 0;
my %secret = map { $_ => sprintf('Hidden%s%dq', ucfirst($_), ++$n) } qw(token password key client header url s3 session sasl);
my ($closed) = grep { !IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $_) } map { PostgreSQL::Test::Cluster::get_free_port() } 1 .. 1;

# The mappings are made over a connection whose statements are not logged, as the documentation advises.
$node->safe_psql('postgres', qq{
SET log_min_messages = fatal;
CREATE EXTENSION etl_ext;
CREATE ROLE loader LOGIN;
GRANT USAGE ON SCHEMA etl TO loader;
GRANT CREATE ON DATABASE postgres TO loader;
CREATE SERVER bearer FOREIGN DATA WRAPPER etl_http OPTIONS (base_url '$ENV{ETL_TEST_NGINX_URL}/bearer', auth 'bearer');
CREATE SERVER basic FOREIGN DATA WRAPPER etl_http OPTIONS (base_url '$ENV{ETL_TEST_NGINX_URL}/auth', auth 'basic');
CREATE SERVER in_query FOREIGN DATA WRAPPER etl_http OPTIONS (base_url '$ENV{ETL_TEST_NGINX_URL}/status', auth 'api_key', api_key_name 'key', api_key_in 'query');
CREATE SERVER oauth FOREIGN DATA WRAPPER etl_http OPTIONS (base_url '$ENV{ETL_TEST_NGINX_URL}', auth 'oauth2', token_url '$ENV{ETL_TEST_NGINX_URL}/status/400');
CREATE SERVER away FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'http://127.0.0.1:$closed', auth 'bearer');
CREATE SERVER lake FOREIGN DATA WRAPPER etl_s3 OPTIONS (endpoint '$ENV{ETL_TEST_S3_ENDPOINT}', region '$ENV{ETL_TEST_S3_REGION}', bucket 'nowhere');
CREATE SERVER bus FOREIGN DATA WRAPPER etl_kafka OPTIONS (brokers '$ENV{ETL_TEST_KAFKA_SASL_BROKERS}', security_protocol 'sasl_plaintext', timeout '5 s');
GRANT USAGE ON FOREIGN SERVER bearer, basic, in_query, oauth, away, lake, bus TO loader;
CREATE USER MAPPING FOR loader SERVER bearer OPTIONS (token '$secret{token}', header_x_test '$secret{header}');
CREATE USER MAPPING FOR loader SERVER basic OPTIONS (user 'etl', password '$secret{password}');
CREATE USER MAPPING FOR loader SERVER in_query OPTIONS (api_key '$secret{key}');
CREATE USER MAPPING FOR loader SERVER oauth OPTIONS (client_id 'etl', client_secret '$secret{client}');
CREATE USER MAPPING FOR loader SERVER away OPTIONS (token '$secret{url}');
CREATE USER MAPPING FOR loader SERVER lake OPTIONS (access_key_id 'etl', secret_access_key '$secret{s3}', session_token '$secret{session}');
CREATE USER MAPPING FOR loader SERVER bus OPTIONS (sasl_username 'etl', sasl_password '$secret{sasl}');
});

my %table = (
	bearer => "CREATE FOREIGN TABLE src.bearer (id int) SERVER bearer OPTIONS (path '/items.json')",
	basic => "CREATE FOREIGN TABLE src.basic (id int) SERVER basic OPTIONS (path '/items.json')",
	in_query => "CREATE FOREIGN TABLE src.in_query (id int) SERVER in_query OPTIONS (path '/500')",
	oauth => "CREATE FOREIGN TABLE src.oauth (id int) SERVER oauth OPTIONS (path '/items.json')",
	away => "CREATE FOREIGN TABLE src.away (id int) SERVER away OPTIONS (path '/items.json')",
	lake => "CREATE FOREIGN TABLE src.lake (id int) SERVER lake OPTIONS (prefix 'x/', format 'csv')",
	bus => "CREATE FOREIGN TABLE src.bus (value jsonb) SERVER bus OPTIONS (topic 'nowhere')",
);
my @names = sort keys %table;

# as_loader runs a statement as the owner, and returns everything that came back.
sub as_loader
{
	my ($statement) = @_;
	my ($out, $err) = ('', '');
	$node->psql('postgres', $statement, stdout => \$out, stderr => \$err, connstr => $node->connstr('postgres') . ' user=loader');
	return "$out\n$err";
}

# shows_none says whether a text has none of the secrets, whole or in part, plain or in base64.
sub shows_none
{
	my ($text, $name) = @_;
	require MIME::Base64;
	my @found = grep { my $s = $secret{$_}; index($text, $s) >= 0 || index($text, substr($s, 6)) >= 0 || index($text, substr(MIME::Base64::encode_base64("etl:$s", ''), 8, 8)) >= 0 } sort keys %secret;
	ok(!@found, $name) or diag("found: @found");
	return;
}

as_loader('CREATE SCHEMA src');
as_loader("SELECT etl.create_pipeline('all')");
for my $name (@names)
{
	as_loader($table{$name});
	as_loader("SELECT etl.add_extract('all', '$name', source => 'src.$name', target => 'raw.$name', retry_delays => '{}')");
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM etl.task'), scalar(@names), 'all extracts are defined');

my $said = as_loader("SELECT etl.run_pipeline('all')");
is($node->safe_psql('postgres', "SELECT string_agg(task, ' ' ORDER BY task) FROM etl.task_run WHERE state = 'failed'"), "@names", 'each of them fails');
shows_none($said, 'what the caller of a run is told');
shows_none(join("\n", map { as_loader("SELECT * FROM src.$_") } @names), 'errors of a SELECT');
shows_none(join("\n", map { as_loader("SELECT * FROM etl.explain_task('all', '$_')") } @names), 'explain_task');
shows_none(join("\n", map { as_loader("EXPLAIN VERBOSE SELECT * FROM src.$_") } @names), 'EXPLAIN');
shows_none(as_loader("SELECT * FROM etl.validate('all')"), 'validate');

# Everything that etl_ext stores, and what it shows of sessions.
my @stored = split /\n/, $node->safe_psql('postgres', "SELECT format('SELECT t::text FROM etl.%I AS t', relname) FROM pg_class WHERE relnamespace = 'etl'::regnamespace AND relkind IN ('r', 'v')");
cmp_ok(scalar(@stored), '>', 20, 'there are tables and views to look into');
shows_none($node->safe_psql('postgres', join(';', @stored)), 'tables and views of etl_ext');
shows_none($node->safe_psql('postgres', 'SELECT a::text FROM pg_stat_activity AS a'), 'pg_stat_activity');
# The lines of the mappings are not in the log: see above. Everything else is.
my $log = slurp_file($node->logfile);
like($log, qr/DEBUG/, 'the log tells much');
shows_none($log, "the server's log");
shows_none(join("\n", map { slurp_file($_) } glob($node->data_dir . '/base/pgsql_tmp/*')), 'temporary files');

# Who may use a server but has no right to look at the mapping of another role sees nothing of it either.
$node->safe_psql('postgres', 'CREATE ROLE other LOGIN; GRANT USAGE ON FOREIGN SERVER bearer TO other; GRANT USAGE ON SCHEMA etl TO other');
my ($out, $err);
$node->psql('postgres', 'SELECT * FROM pg_user_mappings', stdout => \$out, stderr => \$err, connstr => $node->connstr('postgres') . ' user=other');
shows_none($out, 'pg_user_mappings of another role');
$node->stop;
done_testing();
