# Events of OpenLineage: what a receiver gets of runs that end well, fail, are repeated, cancelled, and lose a worker; in which order;
# who hears of what. Every event is checked with the classes of the official client where that can be had.
use strict;
use warnings;
use EtlReceiver;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $http = EtlReceiver->start('http', $dir);
my $port = $http->port;
my $closed_port = PostgreSQL::Test::Cluster::get_free_port();

my $node = PostgreSQL::Test::Cluster->new('lineage');
$node->init;
$node->append_conf('postgresql.conf',
	"shared_preload_libraries = 'etl_ext'\nmax_worker_processes = 16\netl.allowed_hosts = '*, 127.0.0.0/8'\n");
$node->start;

sub sql
{
	my ($statement) = @_;
	return $node->safe_psql('postgres', $statement);
}

sub comes_true
{
	my ($query, $name) = @_;
	return ok($node->poll_query_until('postgres', $query), $name);
}

# all_sent waits until no event of a route is left.
sub all_sent
{
	my ($route, $name) = @_;
	return comes_true("SELECT count(*) = 0 FROM etl.lineage_event WHERE route = '$route' AND state IN ('pending', 'sending')", $name);
}

# events returns what has arrived at a path, from number $from on.
sub events
{
	my ($path, $from) = @_;
	my @all = map { decode_json($_->{body}) } grep { $_->{path} eq $path } $http->received;
	return @all[ $from // 0 .. $#all ];
}

sub line
{
	my ($event) = @_;
	return "$event->{eventType} $event->{job}{name}";
}

sub dataset
{
	my ($event, $side, $name) = @_;
	my ($found) = grep { $_->{name} eq $name } @{ $event->{$side} };
	return $found;
}

# run runs a pipeline, whatever becomes of it, and waits for its events.
sub run
{
	my ($pipeline) = @_;
	my $run = sql("SELECT etl.run_pipeline('$pipeline', wait => false)");
	sql("SELECT etl.wait_for_run($run)");
	all_sent('marquez', "$pipeline: all events are sent");
	return $run;
}

sql(qq{
CREATE EXTENSION etl_ext;
CREATE ROLE bi LOGIN;
CREATE ROLE other LOGIN;
GRANT USAGE ON SCHEMA etl TO bi, other;
CREATE SCHEMA app AUTHORIZATION bi;
CREATE SCHEMA dw AUTHORIZATION bi;
CREATE SERVER marquez FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'http://127.0.0.1:$port/', timeout '1 min');
CREATE SERVER closed FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'http://127.0.0.1:$closed_port');
CREATE SERVER api FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'https://api.example.com/v1', auth 'bearer');
CREATE SERVER shop FOREIGN DATA WRAPPER etl_file OPTIONS (root '$dir/in');
GRANT USAGE ON FOREIGN SERVER marquez, closed, api, shop TO bi, other;
SET log_statement = none;
CREATE USER MAPPING FOR bi SERVER marquez OPTIONS (token 'sesame-token');
CREATE USER MAPPING FOR bi SERVER api OPTIONS (token 'hush-4711');
GRANT pg_read_server_files TO bi;
});
mkdir "$dir/in";
open(my $file, '>', "$dir/in/orders.csv") or die;
print $file "id,customer_id,amount,email\n1,7,10,a\@example.com\n2,8,20,b\@example.com\n";
close $file;
chmod 0755, $dir, "$dir/in";

sql(q{
SET ROLE bi;
CREATE FOREIGN TABLE app.orders (id int, customer_id int, amount numeric, email text) SERVER shop OPTIONS (prefix 'orders', format 'csv', header 'match');
CREATE VIEW app.nothing AS SELECT 1 AS one;
SELECT etl.create_pipeline('daily', description => 'Sales', tags => '{"team": "bi"}');
SELECT etl.add_extract('daily', 'orders', 'app.orders', 'dw.raw_orders');
SELECT etl.add_load('daily', 'fact', 'SELECT id, customer_id, amount * 2 AS double FROM dw.raw_orders WHERE email IS NOT NULL', 'dw.fact', '{id}', description => 'Orders');
SELECT etl.add_aggregate('daily', 'sums', 'SELECT customer_id, sum(double) AS total, count(*) AS n FROM dw.fact GROUP BY 1', 'dw.sums', '{customer_id}');
SELECT etl.add_check('daily', 'gate', 'dw.fact', 'null_pct', '{double}'::text[], fail => '1%', gate => 'fact');
SELECT etl.add_check('daily', 'volume', 'dw.sums', 'row_count', warn => '5', fail => '1');
CREATE TABLE dw.copy (id int, total numeric);
SELECT etl.add_sql('daily', 'copy', 'INSERT INTO dw.copy SELECT customer_id, total FROM dw.sums');
});

# ---- Without a route nothing is written.
my $run = sql(q{SELECT etl.run_pipeline('daily')});
is(sql('SELECT count(*) FROM etl.lineage_event'), 0, 'no route: nothing is written');
# Neither is for a route of somebody who is no member of the owner, one that is disabled, or one that wants other pipelines.
sql(q{SET ROLE other; SELECT etl.add_alert_route('stranger', 'openlineage', server => 'marquez', config => '{"path": "/ok/stranger"}')});
sql(q{SET ROLE bi;
SELECT etl.add_alert_route('off', 'openlineage', server => 'marquez', enabled => false);
SELECT etl.add_alert_route('elsewhere', 'openlineage', server => 'marquez', match => '{"pipeline": "weekly"}');
SELECT etl.add_alert_route('marquez', 'openlineage', server => 'marquez', config => '{"namespace": "warehouse", "dataset_namespace": "postgres://wh:5432"}', match => '{"tags": {"team": "bi"}}')});

# ---- A run that ends well.
open($file, '>', "$dir/in/orders2.csv") or die;
print $file "id,customer_id,amount,email\n3,7,30,c\@example.com\n";
close $file;
$run = run('daily');
my @all = events('/api/v1/lineage');
my @lines = map { line($_) } @all;
is_deeply([ sort @lines ], [ sort map { ("START $_", "COMPLETE $_") } 'daily', map { "daily.$_" } qw(orders fact gate sums volume copy) ],
	'a run: every job begins and ends once');
is($lines[0], 'START daily', 'the run begins first');
is($lines[-1], 'COMPLETE daily', 'and ends last');
is(join(',', grep { / daily\.(orders|fact|gate|sums)$/ } @lines),
	'START daily.orders,COMPLETE daily.orders,START daily.fact,START daily.gate,COMPLETE daily.gate,COMPLETE daily.fact,START daily.sums,COMPLETE daily.sums',
	'events come in the order of the changes');
my %by = map { (line($_) => $_) } @all;
my %id;
$id{ $_->{job}{name} }{ $_->{run}{runId} } = 1 for @all;
is(scalar(grep { keys %$_ != 1 } values %id), 0, 'all events of a run have one number');
is(scalar(keys %{ { map { (keys %$_)[0] => 1 } values %id } }), 7, 'and no two runs have the same');
is_deeply([ sort keys %{ { map { $_->{run}{facets}{parent}{run}{runId} => 1 } grep { $_->{job}{name} ne 'daily' } @all } } ], [ keys %{ $id{daily} } ],
	'tasks name the run as their parent');
is($by{'START daily'}{run}{facets}{parent}, undef, 'the run has none');
is_deeply([ sort keys %{ { map { $_->{job}{namespace} => 1 } @all } } ], ['warehouse'], 'jobs are in the namespace of the route');
ok($by{'START daily'}{run}{facets}{nominalTime}{nominalStartTime}, 'nominal time');
is($by{'START daily'}{job}{facets}{jobType}{jobType}, 'PIPELINE', 'type of the run');
is($by{'START daily'}{job}{facets}{documentation}{description}, 'Sales', 'description of the pipeline');
is($by{'START daily'}{job}{facets}{ownership}{owners}[0]{name}, 'bi', 'its owner');
is($by{'START daily.fact'}{job}{facets}{documentation}{description}, 'Orders', 'description of a task');
like($by{'START daily.fact'}{job}{facets}{sql}{query}, qr/^SELECT id, customer_id/, 'SQL of a task');
my $input = $by{'COMPLETE daily.orders'}{inputs}[0];
is("$input->{namespace} $input->{name}", "file $dir/in/orders", 'an extract reads a source outside');
my $raw = dataset($by{'COMPLETE daily.orders'}, 'outputs', 'postgres.dw.raw_orders');
is($raw->{namespace}, 'postgres://wh:5432', 'tables here are in the namespace of the route');
is($raw->{outputFacets}{outputStatistics}{rowCount}, 1, 'rows of the extract');
ok($raw->{outputFacets}{outputStatistics}{size} > 0, 'and their size');
is($raw->{facets}{columnLineage}{fields}{amount}{inputFields}[0]{name}, "$dir/in/orders", 'columns of the raw table come from the source');
my $fact = dataset($by{'COMPLETE daily.fact'}, 'outputs', 'postgres.dw.fact');
is_deeply([ map { "$_->{name}:$_->{type}" } @{ $fact->{facets}{schema}{fields} } ], [ 'id:integer', 'customer_id:integer', 'double:numeric' ], 'schema');
my $lineage = $fact->{facets}{columnLineage};
is_deeply($lineage->{fields}{double}{inputFields},
	[ { namespace => 'postgres://wh:5432', name => 'postgres.dw.raw_orders', field => 'amount', transformations => [ { type => 'DIRECT', subtype => 'TRANSFORMATION', masking => JSON::PP::false } ] } ],
	'column lineage: transformation');
is_deeply([ map { "$_->{field} $_->{transformations}[0]{type} $_->{transformations}[0]{subtype}" } @{ $lineage->{dataset} } ], ['email INDIRECT FILTER'],
	'column lineage: what decides about the rows');
is($fact->{outputFacets}{outputStatistics}{rowCount}, 1, 'rows of the load');
is(dataset($by{'COMPLETE daily.sums'}, 'outputs', 'postgres.dw.sums')->{facets}{columnLineage}{fields}{total}{inputFields}[0]{transformations}[0]{subtype},
	'AGGREGATION', 'column lineage: aggregation');
is(dataset($by{'COMPLETE daily.copy'}, 'outputs', 'postgres.dw.copy')->{facets}{columnLineage}{fields}{id}{inputFields}[0]{field}, 'customer_id',
	'column lineage of a command');
is(dataset($by{'START daily.fact'}, 'outputs', 'postgres.dw.fact')->{outputFacets}{outputStatistics}, undef, 'nothing is counted at the start');
my $gate = $by{'COMPLETE daily.gate'}{inputs}[0];
is_deeply([ @{ $gate->{inputFacets}{dataQualityAssertions}{assertions}[0] }{qw(assertion name success column severity expected)} ],
	[ 'null_pct', 'gate', JSON::PP::true, 'double', 'error', '1%' ], 'what a gate found');
is_deeply([ @{ dataset($by{'COMPLETE daily.volume'}, 'inputs', 'postgres.dw.sums')->{inputFacets}{dataQualityAssertions}{assertions}[0] }{qw(assertion success severity actual)} ],
	[ 'row_count', JSON::PP::false, 'warn', '2 rows' ], 'what a check found: a warning is a test that has failed, of less severity');
my $request = (grep { $_->{path} eq '/api/v1/lineage' } $http->received)[0];
is($request->{header}{authorization}, 'Bearer sesame-token', 'the token of the user mapping');
like($request->{header}{'idempotency-key'}, qr/^etl-postgres-lineage-\d+-marquez$/, 'a key by which a repetition can be told');
is(sql(q{SELECT string_agg(DISTINCT route || ' ' || state, ', ') FROM etl.lineage_event}), 'marquez sent', 'no other route gets any');
is(sql(q{SELECT count(*) FROM etl.alert_delivery WHERE route = 'marquez'}), 0, 'nor does this one get alerts');
is(sql(q{SET ROLE other; SELECT count(*) FROM etl.lineage_event}), 0, 'who does not see the pipeline does not see its events');

# ---- A task that fails, is repeated, and succeeds; one that fails for good.
sql(q{SET ROLE bi;
CREATE SEQUENCE dw.tries;
GRANT ALL ON SEQUENCE dw.tries TO bi;
SELECT etl.create_pipeline('hard', tags => '{"team": "bi"}');
SELECT etl.add_sql('hard', 'second', 'SELECT 1 / (nextval(''dw.tries'') - 1)', retry_delays => '{0 s}', retry_on => '{all}');
SELECT etl.add_sql('hard', 'never', 'INSERT INTO dw.copy (id) VALUES (1); SELECT 1 / 0 AS secret_word', retry_delays => '{}');
SELECT etl.add_check('hard', 'bad', 'dw.sums', 'row_count', fail => '100', retry_delays => '{}');
SELECT etl.add_load('hard', 'gated', 'SELECT customer_id AS id FROM dw.sums', 'dw.gated', mode => 'replace', retry_delays => '{}');
SELECT etl.add_check('hard', 'shut', 'dw.gated', 'row_count', fail => '1000', gate => 'gated');
});
my $before = () = events('/api/v1/lineage');
run('hard');
@all = events('/api/v1/lineage', $before);
my @second = grep { $_->{job}{name} eq 'hard.second' } @all;
is(join(',', map { $_->{eventType} } @second), 'START,FAIL,START,COMPLETE', 'each attempt is a run');
is($second[0]{run}{runId} eq $second[1]{run}{runId} && $second[1]{run}{runId} ne $second[2]{run}{runId} && $second[2]{run}{runId} eq $second[3]{run}{runId}, 1,
	'with a number of its own');
my ($failed) = grep { line($_) eq 'FAIL hard.never' } @all;
is($failed->{run}{facets}{errorMessage}{message}, 'division by zero', 'the error');
is($failed->{run}{facets}{errorMessage}{programmingLanguage}, 'SQL', 'its language');
like($failed->{run}{facets}{errorMessage}{stackTrace}, qr/^SQLSTATE 22012/, 'its SQLSTATE');
($failed) = grep { line($_) eq 'FAIL hard.bad' } @all;
is($failed->{inputs}[0]{inputFacets}{dataQualityAssertions}{assertions}[0]{success}, JSON::PP::false, 'a check that fails says what it found');
ok((grep { line($_) eq 'FAIL hard.shut' } @all) && (grep { line($_) eq 'FAIL hard.gated' } @all), 'so does a gate, with the task that it stops');
is(line($all[-1]), 'FAIL hard', 'the run has failed');

# Retried by hand, it is another run.
$before = () = events('/api/v1/lineage');
my $hard = sql(q{SELECT max(run_id) FROM etl.run_status WHERE pipeline = 'hard'});
my $old = (grep { $_->{job}{name} eq 'hard' } @all)[0]{run}{runId};
sql("SELECT etl.retry_run($hard, wait => false)");
sql("SELECT etl.wait_for_run($hard)");
all_sent('marquez', 'retried: all events are sent');
@all = events('/api/v1/lineage', $before);
is(join(',', map { $_->{eventType} } grep { $_->{job}{name} eq 'hard' } @all), 'START,FAIL', 'a run that is retried begins and ends again');
isnt((grep { $_->{job}{name} eq 'hard' } @all)[0]{run}{runId}, $old, 'under another number');

# ---- A run that is cancelled, and a worker that is lost.
sql(q{SET ROLE bi; SELECT etl.create_pipeline('long', tags => '{"team": "bi"}'); SELECT etl.add_sql('long', 'sleeps', 'SELECT pg_sleep(3600)', retry_delays => '{}')});
$before = () = events('/api/v1/lineage');
$run = sql(q{SELECT etl.run_pipeline('long', wait => false)});
comes_true(q{SELECT count(*) = 1 FROM etl.task_run WHERE task = 'sleeps' AND state = 'running' AND worker_pid IS NOT NULL}, 'it sleeps');
sql("SELECT etl.cancel_run($run)");
sql("SELECT etl.wait_for_run($run)");
all_sent('marquez', 'cancelled: all events are sent');
is(join(',', map { line($_) } events('/api/v1/lineage', $before)), 'START long,START long.sleeps,ABORT long.sleeps,ABORT long', 'a run that is cancelled');

# ---- A receiver that is away: events wait in their order, and the first is tried again.
sql(q{SET ROLE bi; SELECT etl.alter_alert_route('marquez', server => 'closed')});
sql(q{SELECT etl.run_pipeline('daily')});
comes_true(q{SELECT count(*) = 1 FROM etl.lineage_event WHERE state = 'pending' AND try = 2}, 'away: the first event waits for its second try');
is(sql(q{SELECT count(*) FROM etl.lineage_event WHERE state = 'pending' AND try > 1}), 1, 'away: the others wait for it');
is(sql(q{SELECT (due_at - created_at) BETWEEN '10 s' AND '1 min' FROM etl.lineage_event WHERE state = 'pending' AND try = 2}), 't', 'away: not at once');
$before = () = events('/api/v1/lineage');
sql(q{SET ROLE bi; SELECT etl.alter_alert_route('marquez', server => 'marquez', new_name => 'catalog')});
sql(q{UPDATE etl.lineage_event SET due_at = now() WHERE state = 'pending'});
all_sent('catalog', 'back: all events are sent, by the new name of the route');
@lines = map { line($_) } events('/api/v1/lineage', $before);
is("$lines[0] $lines[-1] " . scalar @lines, 'START daily COMPLETE daily 14', 'back: in their order');
sql(q{SET ROLE bi; SELECT etl.alter_alert_route('catalog', new_name => 'marquez')});

# Older than a day: given up after the next try.
sql(q{SET ROLE bi; SELECT etl.alter_alert_route('marquez', server => 'closed')});
sql(q{SELECT etl.run_pipeline('daily')});
sql(q{UPDATE etl.lineage_event SET created_at = created_at - interval '25 hours', due_at = now() WHERE state = 'pending'});
comes_true(q{SELECT count(*) = 14 FROM etl.lineage_event WHERE state = 'failed'}, 'away for more than a day: events are given up');

# An answer that another try cannot change is final, and the next event goes on.
sql(q{SET ROLE bi; SELECT etl.alter_alert_route('marquez', server => 'marquez', config => '{"path": "/status/400"}')});
sql(q{SELECT etl.run_pipeline('daily')});
comes_true(q{SELECT count(*) = 28 FROM etl.lineage_event WHERE state = 'failed'}, '400: final');
is(sql(q{SELECT DISTINCT message FROM etl.lineage_event WHERE state = 'failed' AND message LIKE 'HTTP%'}), 'HTTP 400: answer 400', '400: what was answered');

# ---- A test, and a route that goes.
sql(q{SET ROLE bi; SELECT etl.alter_alert_route('marquez', config => '{"path": "/ok/test", "namespace": "warehouse"}')});
my $alert = sql(q{SET ROLE bi; SELECT etl.test_alert_route('marquez')});
comes_true("SELECT state = 'sent' FROM etl.alert_delivery WHERE alert_id = $alert", 'a test is sent');
my ($test) = events('/ok/test');
is("$test->{eventType} $test->{job}{namespace} $test->{job}{name}", 'OTHER warehouse etl_ext.test', 'as an event of a job that does nothing');
sql(q{SET ROLE bi; SELECT etl.alter_alert_route('marquez', server => 'closed')});
sql(q{SELECT etl.run_pipeline('daily')});
sql(q{SET ROLE bi; SELECT etl.drop_alert_route('marquez')});
comes_true(q{SELECT count(*) = 0 FROM etl.lineage_event WHERE state IN ('pending', 'sending')}, 'a route that is dropped sends nothing any more');
is(sql(q{SELECT etl.drop_pipeline('daily'); SELECT count(*) FROM etl.lineage_event WHERE job LIKE 'daily%'}), "\n0", 'events go with their pipeline');

# ---- All that was sent: no secrets, and what the specification says.
my @sent = map { $_->{body} } grep { $_->{path} =~ m{^/api/v1/lineage$|^/ok/test$} } $http->received;
ok(@sent > 40, scalar(@sent) . ' events were sent');
is(scalar(grep { /sesame-token|hush-4711/ } @sent), 0, 'no event has a secret');
SKIP:
{
	my $site = $ENV{ETL_TEST_OPENLINEAGE_SITE} // '';
	skip 'the client of OpenLineage is not there', 1 if $site eq '';
	local $ENV{PYTHONPATH} = $site;
	my ($out, $err) = ('', '');
	my $ok = IPC::Run::run([ '/usr/bin/python3', "$ENV{ETL_TEST_ROOT}/test/check_events.py" ], '<', \join("\n", @sent), '>', \$out, '2>', \$err);
	ok($ok && $out eq '', 'every event is what the classes of the official client expect') or diag(substr($out . $err, 0, 3000));
}

$node->stop;
done_testing();
