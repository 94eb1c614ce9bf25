# Sources behind HTTP: paging, authentication, retries, limits, progress, and everything that goes wrong on the way. The API is
# test/perl/EtlHttp.pm, whose answers are written here.
use strict;
use warnings;
use Compress::Zlib qw(memGzip);
use EtlHttp;
use EtlProxy;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $json = JSON::PP->new->canonical;
my $other;    # another host, as far as HTTP is concerned
my $other_url;

# rows returns the records from number $first on, $n of them, but none behind $last.
sub rows
{
	my ($first, $n, $last) = @_;
	return [ map { +{ id => $_, name => "name $_", at => sprintf('2026-01-01T00:%02d:%02dZ', int($_ / 60) % 60, $_ % 60) } }
		  grep { $_ <= $last } $first .. $first + $n - 1 ];
}

sub document
{
	my ($value, %more) = @_;
	return { body => $json->encode($value), %more };
}

# What the API answers, by the first part of the path.
my %answer = (
	plain => sub { return document(rows(1, 3, 3)) },
	numbers => sub {
		my ($request) = @_;
		my $page = $request->{query}{page};
		return { status => 500 } if EtlHttp::value('fail_page') eq $page;
		return document({ data => rows(($page - 1) * 10 + 1, 10, 95) });
	},
	total => sub {
		my ($request) = @_;
		return document({ data => rows(($request->{query}{page} - 1) * 10 + 1, 10, 95), total => 95 });
	},
	short_total => sub {
		my ($request) = @_;
		return document({ data => rows(($request->{query}{page} - 1) * 10 + 1, 10, 20), total => 95 });
	},
	offsets => sub {
		my ($request) = @_;
		return document({ data => rows($request->{query}{offset} + 1, $request->{query}{limit}, 95) });
	},
	capped => sub {
		my ($request) = @_;
		return document({ data => rows($request->{query}{offset} + 1, 7, 95) });
	},
	cursor => sub {
		my ($request) = @_;
		my $page = $request->{query}{after} // '0';
		return { status => 500 } if EtlHttp::value('fail_page') eq $page;
		return { status => 410 } if EtlHttp::value('gone_page') eq $page;
		return document({ data => rows($page * 10 + 1, 10, 95), meta => { next => $page < 9 ? '' . ($page + 1) : undef } });
	},
	circle => sub { return document({ data => rows(int(rand 1e6), 10, 1e9), meta => { next => 'again' } }) },
	endless => sub { return document({ data => rows(1, 10, 10) }) },
	link => sub {
		my ($request) = @_;
		my $page = $request->{query}{page} // 1;
		my @next = $page < 10 ? ("Link: </link?page=1>; rel=\"prev\", </link?page=" . ($page + 1) . '>; rel="next"') : ();
		return document(rows(($page - 1) * 10 + 1, 10, 95), headers => \@next);
	},
	next_url => sub {
		my ($request) = @_;
		my $page = $request->{query}{page} // 1;
		my $host = EtlHttp::value('next_host');
		return document({ data => rows(($page - 1) * 10 + 1, 10, 95), next => $page < 10 ? "$host/next_url?page=" . ($page + 1) : undef });
	},
	post => sub {
		my ($request) = @_;
		my $body = decode_json($request->{body});
		return document({ data => rows($body->{page} * 10 - 9, 10, $body->{filter}{most} // 95) });
	},
	since => sub {
		my ($request) = @_;
		return document([ grep { $_->{at} ge ($request->{query}{since} // '') } @{ rows(1, 20, 20) } ]);
	},
	orders => sub {
		my ($request) = @_;
		my ($id) = $request->{path} =~ m{^/orders/(\d+)/items};
		return document([ map { +{ id => $id * 100 + $_ } } 1 .. $id ]);
	},
	seventh => sub {
		return { body => join '', map { $_ == 7 ? "{\"id\": 7, \"name\": oops}\n" : "{\"id\": $_, \"name\": \"n\"}\n" } 1 .. 10 };
	},
	seventh_json => sub {
		return { body => '[' . join(',', map { $_ == 7 ? '{"id": "seven"}' : "{\"id\": $_}" } 1 .. 10) . ']' };
	},
	csv => sub { return { body => "id,name,at\n1,a,2026-01-01\n2,\"b,c\",\n", headers => ['Content-Type: text/csv'] } },
	unframed => sub { return { body => "{\"id\": 1}\n", framing => 'none' } },
	busy => sub {
		my ($request) = @_;
		return { status => 429, headers => ['Retry-After: 0'] } if $request->{times} == 0;
		return { status => 503 } if $request->{times} == 1;
		return document(rows(1, 3, 3));
	},
	long_wait => sub { return { status => 429, headers => ['Retry-After: 86400'] } },
	slow => sub { return { delay => 30 } },
	missing => sub { return { status => 404, body => 'there is no such thing, sesame-token' } },
	maintenance => sub { return document({ message => 'be back soon' }) },
	error => sub { return document({ error => 'no quota left', data => [] }) },
	truncated => sub { my $body = $json->encode(rows(1, 100, 100)); return { body => $body, cut => 1000 } },
	early => sub { return { body => substr $json->encode(rows(1, 100, 100)), 0, 1000 } },
	chunks => sub { return document(rows(1, 100, 100), framing => 'chunked') },
	bad_chunk => sub { return document(rows(1, 100, 100), framing => 'chunked', bad_chunk => 1) },
	headers_cut => sub { return { raw => "HTTP/1.1 200 OK\r\nContent-Ty" } },
	metadata => sub { return { status => 302, headers => ['Location: http:' . '//169.254.169.254/latest/meta-data'] } },
	elsewhere => sub { return { status => 302, headers => [ 'Location: ' . EtlHttp::value('elsewhere') . '/plain' ] } },
	round => sub { return { status => 302, headers => ['Location: /round'] } },
	bomb => sub { return { body => memGzip('[' . ('0,' x 30_000_000) . '0]'), headers => ['Content-Encoding: gzip'] } },
	short_zip => sub {
		my $zip = memGzip(join '', map { "{\"id\": $_}\n" } 1 .. 5000);
		return { body => substr($zip, 0, length($zip) / 2), headers => ['Content-Encoding: gzip'] };
	},
	zipped => sub { return { body => memGzip($json->encode(rows(1, 50, 50))), headers => ['Content-Encoding: gzip'] } },
	etag => sub {
		my ($request) = @_;
		return { status => 304 } if ($request->{headers}{'if-none-match'} // '') eq '"v1"';
		return document(rows(1, 3, 3), headers => ['ETag: "v1"']);
	},
	token => sub {
		my ($request) = @_;
		return document({ access_token => 'token-' . ($request->{times} + 1), token_type => 'Bearer', expires_in => 3600 });
	},
	guarded => sub {
		my ($request) = @_;
		my $wanted = EtlHttp::value('wanted_token');
		return { status => 401 } if ($request->{headers}{authorization} // '') ne "Bearer $wanted";
		return document(rows(1, 3, 3));
	},
);

sub serve
{
	my ($request) = @_;
	my ($name) = $request->{path} =~ m{^/(\w+)};
	return $answer{ $name // '' } ? $answer{$name}->($request) : { status => 404 };
}

my $api = EtlHttp->start(\&serve);
$other = EtlHttp->start(\&serve);
$api->set(elsewhere => $other->url);
$api->set(next_host => $api->url);

my $node = PostgreSQL::Test::Cluster->new('http');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 16\netl.allowed_hosts = '*, 127.0.0.0/8'\n");
$node->start;
my $url = $api->url;

sub sql { return $node->safe_psql('postgres', $_[0]) }

# refused returns the SQLSTATE and message of a statement that fails.
sub refused
{
	my ($statement) = @_;
	my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$statement");
	return $status == 0 ? "no error: $out" : $err;
}

# table makes a foreign table api.NAME; the path is its name unless options say otherwise.
sub table
{
	my ($name, $options, %more) = @_;
	my $columns = $more{columns} // 'id bigint, name text, at timestamptz';
	my $server = $more{server} // 'api';
	$options = "path '/$name'" . ($options ? ", $options" : '') unless $more{path};
	sql("CREATE FOREIGN TABLE api.$name ($columns) SERVER $server OPTIONS ($options)");
}

sub count { return sql("SELECT count(*) || ' ' || count(DISTINCT id) FROM $_[0]") }

sub run { return $node->psql('postgres', "SELECT etl.run_pipeline('p', tasks => '{$_[0]}')") }

sub extract
{
	my ($name, $more) = @_;
	sql("SELECT etl.add_extract('p', '$name', source => 'api.$name', target => 'raw.$name', retry_delays => '{}'" . ($more ? ", $more" : '') . ')');
}

sql(qq{
	CREATE EXTENSION etl_ext;
	CREATE SCHEMA api; CREATE SCHEMA raw;
	CREATE SERVER api FOREIGN DATA WRAPPER etl_http OPTIONS (base_url '$url', timeout '5 s');
	CREATE USER MAPPING FOR PUBLIC SERVER api OPTIONS (token 'sesame-token', header_x_extra 'open-barley');
	SELECT etl.create_pipeline('p');
});

# ---- paging ----------------------------------------------------------------------------------------------------------

table('plain');
is(sql('SELECT id, name, at FROM api.plain ORDER BY id LIMIT 1'), '1|name 1|2026-01-01 00:00:01+00', 'one page');
table('numbers', "paging 'page', records '\$.data[*]'");
is(count('api.numbers'), '95 95', 'by number, until a page is empty');
table('total', "paging 'page', records '\$.data[*]', total '\$.total', page_size '10', parallel '4'");
is(count('api.total'), '95 95', 'by number, with a total, in parallel');
table('short_total', "paging 'page', records '\$.data[*]', total '\$.total'");
like(refused('SELECT * FROM api.short_total'), qr/ZE007.*fewer records than it says/s, 'fewer records than the total');
table('offsets', "paging 'offset', records '\$.data[*]', page_size '10', page_size_param 'limit'");
is(count('api.offsets'), '95 95', 'by offset');
sql("ALTER FOREIGN TABLE api.offsets OPTIONS (ADD parallel '5')");
is(count('api.offsets'), '95 95', 'by offset, in parallel');
table('capped', "paging 'offset', records '\$.data[*]', page_size '10', page_size_param 'limit'");
is(count('api.capped'), '95 95', 'pages that are shorter than asked for are no end');
sql("ALTER FOREIGN TABLE api.capped OPTIONS (ADD parallel '5')");
like(refused('SELECT * FROM api.capped'), qr/HV000.*shorter pages than page_size/s, 'short pages would leave gaps in parallel');
my $by_cursor = "paging 'cursor', records '\$.data[*]', cursor_param 'after', next '\$.meta.next'";
table('cursor', $by_cursor);
is(count('api.cursor'), '95 95', 'by cursor');
table('link', "paging 'link_header'");
is(count('api.link'), '95 95', 'by header Link');
table('next_url', "paging 'next_url', next '\$.next', records '\$.data[*]'");
is(count('api.next_url'), '95 95', 'by next address');
table('post', "paging 'page', records '\$.data[*]', method 'POST', body '{\"filter\": {\"most\": 42}}'");
is(count('api.post'), '42 42', 'by POST');
table('circle', $by_cursor);
like(refused('SELECT * FROM api.circle'), qr/HV000.*in circles/s, 'the same cursor twice');
table('endless', "paging 'page', records '\$.data[*]'");
like(refused('SELECT * FROM api.endless'), qr/HV000.*in circles.*same records/s, 'the same records again');
sql("ALTER FOREIGN TABLE api.numbers OPTIONS (ADD max_pages '5')");
like(refused('SELECT * FROM api.numbers'), qr/54000.*max_pages/s, 'max_pages');
sql('ALTER FOREIGN TABLE api.numbers OPTIONS (DROP max_pages)');

# ---- formats ---------------------------------------------------------------------------------------------------------

table('seventh', "format 'ndjson'");
like(refused('SELECT * FROM api.seventh'), qr/22P02/, 'a SELECT stops at a bad record');
extract('seventh');
is((run('seventh'))[0], 0, 'an extract goes on');
is(sql('SELECT count(*), string_agg(id::text, \',\' ORDER BY id) FROM raw.seventh'), '9|1,2,3,4,5,6,8,9,10', 'without the seventh record');
is(sql("SELECT count(*), min(position), min(origin) = '$url/seventh' FROM etl.quarantine JOIN etl.task USING (task_id) WHERE name = 'seventh'"),
	'1|7|t', 'which is in quarantine');
table('seventh_json');
extract('seventh_json');
is((run('seventh_json'))[0], 0, 'the same with JSON');
is(sql('SELECT count(*) FROM raw.seventh_json'), '9', 'nine records');
is(sql("SELECT position, column_name, value FROM etl.quarantine JOIN etl.task USING (task_id) WHERE name = 'seventh_json'"), '7|id|seven', 'and the seventh');
table('csv', "format 'csv'");
is(sql('SELECT id, name, at IS NULL FROM api.csv ORDER BY id'), "1|a|f\n2|b,c|t", 'CSV');
table('unframed', "format 'ndjson'");
like(refused('SELECT * FROM api.unframed'), qr/HV000.*where its answer ends/s, 'lines without a known end are refused');
table('zipped');
is(count('api.zipped'), '50 50', 'gzip');
table('short_zip', "format 'ndjson'");
like(refused('SELECT * FROM api.short_zip'), qr/ZE007/, 'compressed lines that end early, in an answer that does not');
table('bomb');
like(refused('SELECT * FROM api.bomb'), qr/54000/, 'a small answer that becomes a large one');
table('maintenance', "records '\$.data[*]'");
like(refused('SELECT * FROM api.maintenance'), qr/ZE007.*no records where they should be/s, 'an answer of another shape is not an empty one');
table('error', "records '\$.data[*]', error_path '\$.error'");
like(refused('SELECT * FROM api.error'), qr/HV000.*no quota left/s, 'an error with status 200');

# ---- faults ----------------------------------------------------------------------------------------------------------

for my $name (qw(truncated bad_chunk headers_cut))
{
	table($name);
	like(refused("SELECT * FROM api.$name"), qr/08006/, "$name is an error");
}
table('chunks');
is(count('api.chunks'), '100 100', 'chunks');
table('early');
like(refused('SELECT * FROM api.early'), qr/ZE007.*ends early/s, 'JSON that is not complete');
table('busy');
is(count('api.busy'), '3 3', '429 and 503 are tried again');
table('long_wait');
like(refused('SELECT * FROM api.long_wait'), qr/08006.*left alone for 86400 s/s, 'a long Retry-After is left to the task');
table('missing');
my $error = refused('SELECT * FROM api.missing');
like($error, qr/HV00R.*no such thing, \*\*\*/s, '404, and no secret in what is shown');
unlike($error, qr/sesame/, 'not at all');

# ---- where to --------------------------------------------------------------------------------------------------------

table('metadata');
like(refused('SELECT * FROM api.metadata'), qr/42501.*169\.254\.169\.254/s, 'a redirection to metadata is refused');
table('elsewhere');
$other->forget;
is(count('api.elsewhere'), '3 3', 'a redirection to another host is followed');
my ($seen) = $other->requests;
ok(!exists $seen->{headers}{authorization} && !exists $seen->{headers}{'x-extra'}, 'without anything secret');
table('round');
like(refused('SELECT * FROM api.round'), qr/HV000.*more than 5 redirections/s, 'redirections are counted');
$api->set(next_host => 'http://hooks.example.com');
like(refused('SELECT * FROM api.next_url'), qr/HV000.*another host/s, 'a next page on another host is refused');
$other->forget;
$api->set(next_host => $other->url);
$other->set(next_host => $other->url);
is(count('api.next_url'), '95 95', 'unless it is listed');
ok(!(grep { exists $_->{headers}{authorization} } $other->requests), 'and without anything secret');
$node->safe_psql('postgres', "SET etl.allowed_hosts = '*'");
like(refused("SET etl.allowed_hosts = '*'; SELECT * FROM api.plain"), qr/42501.*127\.0\.0\.1/s, 'an address that is not allowed');

# ---- authentication --------------------------------------------------------------------------------------------------

sql(qq{
	CREATE SERVER key FOREIGN DATA WRAPPER etl_http OPTIONS (base_url '$url', auth 'api_key', api_key_name 'key', api_key_in 'query');
	CREATE USER MAPPING FOR PUBLIC SERVER key OPTIONS (api_key 'grain of rye');
	CREATE SERVER basic FOREIGN DATA WRAPPER etl_http OPTIONS (base_url '$url', auth 'basic');
	CREATE USER MAPPING FOR PUBLIC SERVER basic OPTIONS (user 'joe', password 'hush');
	CREATE SERVER oauth FOREIGN DATA WRAPPER etl_http OPTIONS (base_url '$url', auth 'oauth2', token_url '$url/token', scope 'read');
	CREATE USER MAPPING FOR PUBLIC SERVER oauth OPTIONS (client_id 'me', client_secret 'myself');
	CREATE FOREIGN TABLE api.by_key (id bigint) SERVER key OPTIONS (path '/plain');
	CREATE FOREIGN TABLE api.by_user (id bigint) SERVER basic OPTIONS (path '/plain');
	CREATE FOREIGN TABLE api.by_token (id bigint) SERVER oauth OPTIONS (path '/guarded');
});
$api->forget;
is(count('api.by_key'), '3 3', 'API key');
is(($api->requests)[-1]{query}{key}, 'grain of rye', 'in the query');
is(count('api.by_user'), '3 3', 'user and password');
is(($api->requests)[-1]{headers}{authorization}, 'Basic am9lOmh1c2g=', 'in a header');
$api->forget;
$api->set(wanted_token => 'token-1');
is(count('api.by_token'), '3 3', 'OAuth2');
is_deeply([ map { $_->{path} } $api->requests ], [ '/token', '/guarded' ], 'the token is asked for first');
$api->set(wanted_token => 'token-2');
is($node->safe_psql('postgres', "SELECT count(*) FROM api.by_token a, api.by_token b"), '9', 'a token is used more than once');

# ---- extracts --------------------------------------------------------------------------------------------------------

table('since', "since_param 'since', since_column 'at'");
extract('since', "primary_key => '{id}'");
is(sql("SELECT cursor_column FROM etl.task WHERE name = 'since'"), 'at', 'since_column is the cursor');
run('since');
is(count('raw.since'), '20 20', 'first run');
$api->forget;
run('since');
is(($api->requests)[-1]{query}{since}, '2026-01-01T00:00:20Z', 'the second run asks for what is new');
is(count('raw.since'), '20 20', 'and no row is there twice');

extract('cursor');
$api->set(fail_page => '4');
is((run('cursor'))[0], 3, 'page 5 fails');
is(count('raw.cursor'), '40 40', 'the four pages before it are there');
is(sql("SELECT unfinished, page_cursor FROM etl.http_progress JOIN etl.task USING (task_id) WHERE name = 'cursor'"), 't|4', 'and the place is known');
$api->set(fail_page => '');
$api->forget;
is((run('cursor'))[0], 0, 'the next run');
is(count('raw.cursor'), '95 95', 'brings the rest');
is(scalar(grep { ($_->{query}{after} // 0) < 4 } $api->requests), 0, 'and asks for no page again');
$api->set(fail_page => '4');
run('cursor');
$api->set(fail_page => '');
$api->set(gone_page => '4');
$api->forget;
run('cursor');
ok((grep { !exists $_->{query}{after} } $api->requests), 'a cursor that the API has forgotten: from the beginning');
$api->set(gone_page => '');

table('etag');
extract('etag');
run('etag');
run('etag');
is(count('raw.etag'), '3 3', 'what has not changed is not read again');
is(scalar(grep { $_->{path} eq '/etag' && ($_->{headers}{'if-none-match'} // '') eq '"v1"' } $api->requests), 1, 'the second run asks for changes');

sql('CREATE TABLE raw.orders AS SELECT generate_series(1, 12) AS order_id');
table('items', "path '/orders/{order_id}/items', for_each 'SELECT order_id FROM raw.orders', parallel '4'",
	path => 1, columns => "id bigint, order_id int OPTIONS (parent 'order_id')");
is(sql('SELECT count(*), sum(order_id), count(DISTINCT order_id) FROM api.items'), '78|650|12', 'a request for each parent');

sql(qq{CREATE SERVER limited FOREIGN DATA WRAPPER etl_http OPTIONS (base_url '$url', rate_limit '50/s');
	CREATE FOREIGN TABLE api.limited (id bigint) SERVER limited OPTIONS (path '/numbers', paging 'page', records '\$.data[*]')});
extract('limited');
is((run('limited'))[0], 0, 'with a rate limit') or diag(sql("SELECT concat_ws(chr(10), error_sqlstate, error_message, error_detail, error_context) FROM etl.task_run ORDER BY task_run_id DESC LIMIT 1"));
is(sql('SELECT count(*) FROM etl.rate_limit WHERE next_at IS NOT NULL'), '1', 'which all workers share');

# ---- nginx -----------------------------------------------------------------------------------------------------------

SKIP:
{
	skip 'there is no nginx', 4 unless $ENV{ETL_TEST_NGINX_TLS_URL};
	my $www = "$ENV{ETL_TEST_NGINX_WWW}/etl_http";
	my ($plain, $tls) = @ENV{qw(ETL_TEST_NGINX_URL ETL_TEST_NGINX_TLS_URL)};
	skip 'its files cannot be written', 4 unless -d $www || mkdir $www;
	PostgreSQL::Test::Utils::append_to_file("$www/rows.json", $json->encode(rows(1, 50, 50))) unless -e "$www/rows.json";
	sql(qq{
		CREATE SERVER nginx FOREIGN DATA WRAPPER etl_http OPTIONS (base_url '$plain', timeout '5 s');
		CREATE SERVER nginx_tls FOREIGN DATA WRAPPER etl_http OPTIONS (base_url '$tls', timeout '5 s');
		CREATE FOREIGN TABLE api.nginx (id bigint) SERVER nginx OPTIONS (path '/etl_http/rows.json');
		CREATE FOREIGN TABLE api.nginx_moved (id bigint) SERVER nginx OPTIONS (path '/moved/etl_http/rows.json');
		CREATE FOREIGN TABLE api.nginx_tls (id bigint) SERVER nginx_tls OPTIONS (path '/etl_http/rows.json');
	});
	is(count('api.nginx'), '50 50', 'nginx');
	is(count('api.nginx_moved'), '50 50', 'a redirection of nginx');
	like(refused('SELECT * FROM api.nginx_tls'), qr/08006.*certificate/s, 'a certificate of an unknown authority is refused');
	is($node->safe_psql('postgres', "SET etl.tls_ca_file = '$ENV{ETL_TEST_NGINX_CA}'; SELECT count(*) FROM api.nginx_tls"), '50', 'one of a known one is not');
}

# ---- cuts ------------------------------------------------------------------------------------------------------------

my $proxy = EtlProxy->new('127.0.0.1', $api->port);
my $seed = $ENV{ETL_TEST_SEED} // time;
srand $seed;
note "seed $seed";
sql("CREATE SERVER cut FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'http://127.0.0.1:@{[$proxy->port]}', timeout '5 s')");
table('cut', "path '/post', paging 'page', records '\$.data[*]', method 'POST'", path => 1, server => 'cut');
my ($short, $broken) = (0, 0);
is(count('api.cut'), '95 95', 'through a proxy');
for my $i (1 .. 200)
{
	# What is asked by POST is not asked again after a cut, which would hide it.
	my $after = int rand 7000;
	$proxy->cut(after => $after, reset => $i % 2);
	my ($status, $out) = $node->psql('postgres', 'SELECT count(*) FROM api.cut');
	$broken++ if $status != 0;
	$short++ if $status == 0 && $out ne '95';
	diag("cut after $after bytes: $out rows") if $status == 0 && $out ne '95';
}
cmp_ok($broken, '>', 100, 'most cuts are errors');
is($short, 0, 'a connection that is cut anywhere is an error, or it is complete');
$proxy->stop;

# ---- secrets ---------------------------------------------------------------------------------------------------------

my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
unlike($log, qr/(?<!token ')sesame-token(?!')|(?<!api_key ')grain of rye(?!')/, 'no secret in the log but where it was set');
is(sql("SELECT count(*) FROM etl.task_run AS t WHERE t::text ~ 'sesame|barley|grain'"), '0', 'nor in task rows');

$node->stop;
$api->stop;
$other->stop;
done_testing();
