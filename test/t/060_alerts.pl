# Alerts reach their receivers: what is sent, what is tried again, what nobody else hears, and that nothing gets lost when
# the one who delivers is killed. Receivers are real servers (test/perl/EtlReceiver.pm).
use strict;
use warnings;
use EtlReceiver;
use IPC::Run;
use JSON::PP;
use MIME::Base64;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $http = EtlReceiver->start('http', $dir);
my $mail = EtlReceiver->start('smtp', $dir);
my ($http_port, $mail_port) = ($http->port, $mail->port);
my $closed_port = PostgreSQL::Test::Cluster::get_free_port();

# Texts that must be in no table, no log and no request of another.
my @secrets = qw(sesame-token hush-path-4711 open-barley grain-of-rye);

my $node = PostgreSQL::Test::Cluster->new('alerts');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'etl_ext'\nmax_worker_processes = 16\nrestart_after_crash = on\netl.allowed_hosts = '*, 127.0.0.0/8'\n");
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

# tries shows what became of an alert on its routes: the last one, or that of a number.
sub tries
{
	my ($alert) = @_;
	$alert //= '(SELECT max(alert_id) FROM etl.alert)';
	return sql(qq{SELECT coalesce(string_agg(concat_ws(' ', try, state, message), ', ' ORDER BY route, try), '') FROM etl.alert_delivery
		WHERE alert_id = $alert});
}

# try_ends waits until a try of an alert has ended.
sub try_ends
{
	my ($alert, $try) = @_;
	return $node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM etl.alert_delivery WHERE alert_id = $alert AND try = $try AND state NOT IN ('pending', 'sending')");
}

# test_route sends a test by a route, waits for the end of the first try, and returns the number of the alert.
sub test_route
{
	my ($route) = @_;
	my $alert = sql("SELECT etl.test_alert_route('$route')");
	ok(try_ends($alert, 1), "$route: the first try ends");
	return $alert;
}

# next_try makes the pending try of an alert due now and waits for its end.
sub next_try
{
	my ($alert, $try) = @_;
	sql("UPDATE etl.alert_delivery SET due_at = now() WHERE alert_id = $alert AND try = $try AND state = 'pending'");
	return ok(try_ends($alert, $try), "try $try ends");
}

# requests returns what has arrived at a path.
sub requests
{
	my ($path) = @_;
	return grep { $_->{path} eq $path } $http->received;
}

# mails returns the mails to an address.
sub mails
{
	my ($to) = @_;
	return grep { grep { $_ eq $to } @{ $_->{to} // [] } } $mail->received;
}

# header_and_text takes a mail apart.
sub header_and_text
{
	my ($message) = @_;
	my ($head, $body) = split /\r\n\r\n/, $message->{data}, 2;
	$head =~ s/\r\n[ \t]+/ /g;
	$head =~ s/\r//g;
	return ($head, decode_base64($body));
}

my $idle = q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'etl notifier'};
my $notifier = q{(SELECT pid FROM pg_stat_activity WHERE backend_type = 'etl notifier')};

sql(qq{
CREATE EXTENSION etl_ext;
CREATE ROLE bi LOGIN;
CREATE ROLE other LOGIN;
GRANT USAGE ON SCHEMA etl TO bi, other;
CREATE SERVER chat FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'http://127.0.0.1:$http_port', timeout '5 min');
CREATE SERVER hasty FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'http://127.0.0.1:$http_port', timeout '300 ms');
CREATE SERVER closed FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'http://127.0.0.1:$closed_port');
-- A time-out that must not be what ends a wait.
CREATE SERVER post FOREIGN DATA WRAPPER etl_smtp OPTIONS (host '127.0.0.1', port '$mail_port', tls 'none', "from" 'etl\@example.com', timeout '10 min');
CREATE SERVER strict FOREIGN DATA WRAPPER etl_smtp OPTIONS (host '127.0.0.1', port '$mail_port', "from" 'etl\@example.com');
GRANT USAGE ON FOREIGN SERVER chat, hasty, closed, post, strict TO bi, other;
-- The server of a test logs every statement; these must not be.
SET log_statement = none;
CREATE USER MAPPING FOR bi SERVER chat OPTIONS (token 'sesame-token', header_x_pass 'grain-of-rye');
CREATE USER MAPPING FOR other SERVER chat OPTIONS (url 'http://127.0.0.1:$http_port/ok/hush-path-4711');
CREATE USER MAPPING FOR PUBLIC SERVER post OPTIONS ("user" 'etl', password 'open-barley');
CREATE USER MAPPING FOR other SERVER post OPTIONS ("user" 'etl', password 'wrong');
CREATE USER MAPPING FOR bi SERVER closed OPTIONS ("user" 'etl', password 'open-barley');
});
# route adds a route for role bi, or another one.
sub route
{
	my ($name, $arguments, $role) = @_;
	$role //= 'bi';
	return sql("SET ROLE $role; SELECT etl.add_alert_route('$name', $arguments)");
}

# ---- A failing run: one alert for each event, and what the receivers get of it. The routes of others get nothing.
route('hook', q{'webhook', server => 'chat', config => '{"path": "/ok/hook"}', suppress => '0'});
route('mail', q{'email', server => 'post', config => '{"to": ["oncall@example.com", "boss@example.com"], "subject_prefix": "[warehouse]"}', suppress => '0', match => '{"event": "task_failed"}'});
route('other', q{'webhook', server => 'chat', config => '{"path": "/elsewhere"}'}, 'other');
route('log', q{'log', match => '{"event": "run_failed"}'});
sql(q{
SELECT etl.create_pipeline('niños', owner => 'bi', tags => '{"team": "bi"}');
CREATE TABLE breaks ();
CREATE FUNCTION may_break() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM pg_class WHERE relname = 'breaks') THEN
    RAISE EXCEPTION '<!channel> "%" & mañana', E'first\nsecond';
  END IF;
  RETURN 1;
END $$;
SELECT etl.add_sql('niños', 'breaks', 'SELECT public.may_break()', retry_delays => '{}');
});
my $offset = -s $node->logfile;
my $run = sql(q{SELECT etl.run_pipeline('niños', wait => false)});
sql("SELECT etl.wait_for_run($run)");
comes_true(q{SELECT count(*) = 4 AND bool_and(state = 'sent') FROM etl.alert_delivery}, 'failing run: everything is sent');
is(sql('SELECT string_agg(event, \' \' ORDER BY alert_id) FROM etl.alert'), 'task_failed run_failed', 'failing run: one alert for the task, one for the run');
my @got = requests('/ok/hook');
is(scalar @got, 2, 'webhook: one request for each');
my $body = decode_json($got[0]->{body});
my $alert = sql(q{SELECT min(alert_id) FROM etl.alert});
is_deeply(
	[ @{$body}{qw(alert_id event severity pipeline run_id task message database tags)} ],
	[ $alert, 'task_failed', 'fail', "ni\x{f1}os", $run, 'breaks', "<!channel> \"first\nsecond\" & ma\x{f1}ana", 'postgres', { team => 'bi' } ],
	'webhook: the alert as JSON');
is($body->{text}, "[fail] pipeline ni\x{f1}os, task breaks, run $run: task failed: &lt;!channel&gt; \"first second\" &amp; ma\x{f1}ana (database postgres, alert $alert)",
	'webhook: the text is one line and cannot call a channel');
like($body->{created_at}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/, 'webhook: the time is UTC');
is($got[0]->{header}{'content-type'}, 'application/json', 'webhook: content type');
is($got[0]->{header}{authorization}, 'Bearer sesame-token', 'webhook: the token of the user mapping');
is($got[0]->{header}{'x-pass'}, 'grain-of-rye', 'webhook: the header of the user mapping');
is($got[0]->{header}{'idempotency-key'}, "etl-postgres-$alert-hook", 'webhook: a key by which a repetition can be told');
is(decode_json($got[1]->{body})->{event}, 'run_failed', 'webhook: the alerts come in their order');
is(scalar(requests('/ok/hush-path-4711')), 0, 'the route of another role hears nothing');
is(sql(q{SELECT count(*) FROM etl.alert_delivery WHERE route = 'other'}), 0, 'nor is anything recorded for it');
my ($head, $text) = header_and_text((mails('boss@example.com'))[0]);
is_deeply((mails('boss@example.com'))[0]->{to}, [ 'oncall@example.com', 'boss@example.com' ], 'mail: one for all recipients');
is((mails('boss@example.com'))[0]->{from}, 'etl@example.com', 'mail: the sender');
is((mails('boss@example.com'))[0]->{login}, 'etl:open-barley', 'mail: the login of the user mapping of PUBLIC');
my ($subject) = $head =~ /^Subject: (.*)$/m;
like($subject, qr/^=\?UTF-8\?B\?\S+\?=$|^(=\?UTF-8\?B\?\S+\?= ?)+$/, 'mail: the subject is encoded');
is(join('', map { decode_base64($_) } $subject =~ /=\?UTF-8\?B\?(\S+?)\?=/g), "[warehouse] [fail] pipeline ni\xc3\xb1os, task breaks: task failed",
	'mail: and says what happened');
unlike((mails('boss@example.com'))[0]->{data}, qr/(?<!\r)\n/, 'mail: every line ends in CRLF');
is(length((sort { length $b <=> length $a } split /\r\n/, (mails('boss@example.com'))[0]->{data})[0]) <= 78, 1, 'mail: no line is too long');
like($head, qr/^Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000$/m, 'mail: date');
like($head, qr/^Message-ID: <etl\.$alert\.[0-9a-f]{8}\@example\.com>$/m, 'mail: message id');
like($head, qr/^To: <oncall\@example\.com>, <boss\@example\.com>$/m, 'mail: recipients');
like($head, qr{^Content-Type: text/plain; charset=utf-8$}m, 'mail: type');
like($text, qr/<!channel> "first\r\nsecond" & ma\xc3\xb1ana\r\n/, 'mail: the text');
like($text, qr/run: +$run\r\n.*database: +postgres\r\n/s, 'mail: the facts');
my @lines = grep { /etl_ext: \[fail\]/ } split /\n/, slurp_file($node->logfile, $offset);
is(scalar @lines, 1, 'log: one line');
like($lines[0], qr/LOG:  etl_ext: \[fail\] pipeline ni\xc3\xb1os, run $run: run failed: breaks: <!channel> "first second"/, 'log: it says what happened');
comes_true($idle, 'the notifier leaves when nothing is left');

# It works again: a recovery, once.
sql(q{DROP TABLE breaks; SELECT etl.run_pipeline('niños')});
comes_true(q{SELECT count(*) = 1 AND bool_and(d.state = 'sent') FROM etl.alert_delivery AS d JOIN etl.alert AS a USING (alert_id) WHERE event = 'recovered'},
	'recovery: it is sent');
is(decode_json((requests('/ok/hook'))[2]->{body})->{severity}, 'recovery', 'recovery: the receiver hears of it');
is(sql(q{SELECT count(*) FROM etl.alert WHERE severity = 'fail' AND recovered_at IS NULL}), 0, 'recovery: no alert is open');
sql(q{SELECT etl.run_pipeline('niños')});
is(sql(q{SELECT count(*) FROM etl.alert}), 3, 'recovery: the next run raises none');

# A run that is late, and is cancelled.
sql(q{SELECT etl.create_pipeline('late', owner => 'bi', deadline => '10 ms', timezone => 'Asia/Tokyo');
SELECT etl.add_sql('late', 'sleeps', 'SELECT pg_sleep(3600)')});
$run = sql(q{SELECT etl.run_pipeline('late', wait => false)});
comes_true(qq{SELECT count(*) = 1 FROM etl.alert AS a JOIN etl.run AS r USING (run_id) WHERE event = 'deadline_missed' AND a.message =
	'the run was to be done by ' || to_char(deadline_at AT TIME ZONE 'Asia/Tokyo', 'YYYY-MM-DD HH24:MI:SS') || ' Asia/Tokyo'}, 'late run: one alert says when it was to be done');
comes_true(q{SELECT count(*) = 1 FROM etl.task_run WHERE task = 'sleeps' AND state = 'running'}, 'late run: it goes on');
sql("SELECT etl.cancel_run($run)");
comes_true(qq{SELECT string_agg(event || ' ' || d.state, ', ' ORDER BY alert_id) = 'deadline_missed sent, run_cancelled sent' FROM etl.alert AS a
	JOIN etl.alert_delivery AS d USING (alert_id) WHERE pipeline = 'late'}, 'late run: both are sent');
is(join(' ', map { decode_json($_->{body})->{severity} } (requests('/ok/hook'))[ 3, 4 ]), 'deadline warning', 'late run: the receiver hears of both');

# ---- What is tried again and what is not.
route('flaky', q{'webhook', server => 'chat', config => '{"path": "/flaky/one"}'});
$alert = test_route('flaky');
is(tries($alert), '1 failed HTTP 500: sometimes, 2 pending', '500: another try waits');
is(sql(qq{SELECT extract(epoch FROM p.due_at - f.ended_at)::int FROM etl.alert_delivery AS f JOIN etl.alert_delivery AS p USING (alert_id)
	WHERE alert_id = $alert AND f.try = 1 AND p.try = 2}), 10, '500: ten seconds after the first');
next_try($alert, 2);
is(tries($alert), '1 failed HTTP 500: sometimes, 2 sent HTTP 200: sometimes', '500: the second try is taken');
my @keys = map { $_->{header}{'idempotency-key'} } requests('/flaky/one');
is($keys[0], $keys[1], '500: both have the same key');

route('down', q{'webhook', server => 'chat', config => '{"path": "/status/503"}'});
$alert = test_route('down');
next_try($alert, $_) for 2 .. 5;
is(sql(qq{SELECT string_agg(try || ' ' || state, ', ' ORDER BY try) FROM etl.alert_delivery WHERE alert_id = $alert}),
	'1 failed, 2 failed, 3 failed, 4 failed, 5 failed', '503: five tries and no more');
for my $status (408, 429)
{
	route("status $status", qq{'webhook', server => 'chat', config => '{"path": "/status/$status"}'});
	is(tries(test_route("status $status")), "1 failed HTTP $status: answer $status, 2 pending", "$status: another try waits");
}
for my $status (400, 404)
{
	route("status $status", qq{'webhook', server => 'chat', config => '{"path": "/status/$status"}'});
	is(tries(test_route("status $status")), "1 failed HTTP $status: answer $status", "$status: final");
}
route('redirect', q{'webhook', server => 'chat', config => '{"path": "/redirect"}'});
is(tries(test_route('redirect')), '1 failed HTTP 302 (redirections are not followed)', 'redirection: final');
is(scalar(requests('/ok')), 0, 'redirection: not followed');
route('endless', q{'webhook', server => 'chat', config => '{"path": "/endless"}'});
like(tries(test_route('endless')), qr/^1 sent HTTP 200: x+\.\.\.$/, 'an endless answer is cut off');
route('echo', q{'webhook', server => 'chat', config => '{"path": "/echo"}'});
like(tries(test_route('echo')), qr/^1 sent HTTP 200: .*Bearer \*{12} /, 'an answer that repeats a secret is recorded without it');
route('slow', q{'webhook', server => 'hasty', config => '{"path": "/silent"}'});
like(tries(test_route('slow')), qr/^1 failed .*(timed out|timeout).*, 2 pending$/i, 'a receiver that does not answer is given up');
route('refused', q{'webhook', server => 'closed', config => '{"path": "/ok/refused"}'});
$alert = test_route('refused');
like(tries($alert), qr/^1 failed .*(refused|Failed to connect|Couldn't connect).*, 2 pending$/, 'a connection that is refused is tried again');
# Server and secrets are read anew for each try.
sql("ALTER SERVER closed OPTIONS (SET base_url 'http://127.0.0.1:$http_port')");
next_try($alert, 2);
like(tries($alert), qr/, 2 sent HTTP 200: thanks$/, 'the next try goes to where the server is by then');
is((requests('/ok/refused'))[0]->{header}{authorization}, 'Basic ' . encode_base64('etl:open-barley', ''), 'user and password of the user mapping');

# ---- The secret address of a user mapping, which must lead to the server.
is(tries(test_route('other')), '1 sent HTTP 200: thanks', 'secret address: it is used');
is(scalar(requests('/ok/hush-path-4711')), 1, 'secret address: its path');
for my $url ("http://127.0.0.1:$http_port.example.com/x", "http://127.0.0.1:$http_port\@example.com/x", "http://localhost:$http_port/x",
	"http://127.0.0.1:$http_port/x/../hush-path-4711")
{
	sql("SET log_statement = none; ALTER USER MAPPING FOR other SERVER chat OPTIONS (SET url '$url')");
	is(tries(test_route('other')), '1 failed the url of the user mapping does not begin with the base_url of the server', "secret address: $url is not used");
}

# ---- Mail servers.
route('nobody', q{'email', server => 'post', config => '{"to": "nobody@example.com"}'});
like(tries(test_route('nobody')), qr/^1 failed .*550 5\.1\.1 there is no nobody\@example\.com$/, 'mail: a recipient that does not exist is final');
route('busy', q{'email', server => 'post', config => '{"to": "busy@example.com"}'});
like(tries(test_route('busy')), qr/^1 failed .*451 4\.3\.0 busy\@example\.com is busy, 2 pending$/, 'mail: a temporary refusal is tried again');
route('wrong', q{'email', server => 'post', config => '{"to": "oncall@example.com"}'}, 'other');
like(tries(test_route('wrong')), qr/^1 failed .*535 5\.7\.8 no such user or password$/, 'mail: a wrong password is final');
route('strict', q{'email', server => 'strict', config => '{"to": "strict@example.com"}'});
like(tries(test_route('strict')), qr/^1 failed /, 'mail: without TLS nothing is sent where TLS is asked for');
is(scalar(mails('strict@example.com')), 0, 'mail: not a word');
route('plain', q{'email', server => 'post', config => '{"to": "plain@example.com", "from": "night@example.com"}'});
sql(q{UPDATE etl.alert_route SET config = config || '{"subject_prefix": "a\r\nBcc: b@example.com\r\n"}' WHERE name = 'plain'});
is(tries(test_route('plain')), '1 sent 250 2.0.0 queued as 12345', 'mail: the answer of the server is recorded');
($head) = header_and_text((mails('plain@example.com'))[0]);
unlike($head, qr/^Bcc/m, 'mail: a subject cannot begin another header');
like($head, qr/^From: <night\@example\.com>$/m, 'mail: a sender of its own');

# libcurl says QUIT and would wait for an answer, which this receiver does not give.
is(join(' ', grep { $_ ne 'gone' } map { $_->{quit} // () } $mail->received), '', 'mail: nobody is waited for after the last word');

# ---- TLS: a certificate that nobody vouches for is refused.
my $tls_port = PostgreSQL::Test::Cluster::get_free_port();
system_or_bail('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2',
	'-keyout', "$dir/key.pem", '-out', "$dir/cert.pem");
my ($tls_in, $tls_out) = ('', '');
my $tls = IPC::Run::start([ 'openssl', 's_server', '-accept', "127.0.0.1:$tls_port", '-key', "$dir/key.pem", '-cert', "$dir/cert.pem", '-www' ],
	\$tls_in, \$tls_out, '2>&1', IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
$tls->pump until $tls_out =~ /ACCEPT/;
sql("CREATE SERVER tls FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'https://127.0.0.1:$tls_port'); GRANT USAGE ON FOREIGN SERVER tls TO bi");
route('tls', q{'webhook', server => 'tls'});
like(tries(test_route('tls')), qr/^1 failed SSL certificate problem: self.signed certificate, 2 pending$/, 'TLS: the certificate is checked');
$tls->kill_kill;

# ---- Channel notify is part of the transaction.
route('listen', q{'notify', config => '{"channel": "oncall"}'});
my $session = $node->background_psql('postgres');
$session->query_safe('LISTEN oncall');
$session->query_safe("BEGIN; SELECT etl.test_alert_route('listen'); ROLLBACK");
$alert = sql("SELECT etl.test_alert_route('listen')");
is(tries($alert), '1 sent NOTIFY oncall', 'notify: sent at once');
my $heard = $session->query('SELECT 1');
my @payloads = $heard =~ /notification "oncall" with payload "(\{.*?\})" received/g;
is(scalar @payloads, 1, 'notify: heard once, and nothing of what was rolled back');
is(decode_json($payloads[0])->{alert_id}, $alert, 'notify: the alert as JSON');
sql(q{SELECT etl.create_pipeline('long', owner => 'bi', tags => jsonb_build_object('t', repeat('y', 9000)));
SELECT etl.add_sql('long', 'long', 'DO $$BEGIN RAISE EXCEPTION ''%'', repeat(''"ñ'', 20000); END$$', retry_delays => '{}')});
$run = sql(q{SELECT etl.run_pipeline('long', wait => false)});
sql("SELECT etl.wait_for_run($run)");
$heard = $session->query('SELECT 1');
@payloads = $heard =~ /notification "oncall" with payload "(\{.*?\})" received/g;
is(scalar @payloads, 1, 'notify: a long message is heard, too, the second of the run is suppressed');
cmp_ok(length $payloads[0], '<', 8000, 'notify: it is cut');
is(decode_json($payloads[0])->{run_id}, $run, 'notify: so that it is still JSON');
$session->quit;

# ---- What happens between an alert and its delivery counts.
sql(q{SELECT etl.drop_alert_route(name) FROM etl.alert_route WHERE name <> 'hook'});
comes_true($idle, 'routes are dropped: the notifier has nothing left');
is(sql(q{SELECT count(*) FROM etl.alert_delivery WHERE state IN ('pending', 'sending')}), 0, 'routes are dropped: nothing is pending');
sub pending_then
{
	my ($statement, $expected, $name) = @_;
	# A try of long ago by a route that is asked again.
	my $id = sql(q{SET ROLE bi; SELECT etl.test_alert_route('down again')});
	try_ends($id, 1);
	sql($statement);
	next_try($id, 2);
	is(tries($id), "1 failed HTTP 503: answer 503, $expected", $name);
	return;
}
route('down again', q{'webhook', server => 'chat', config => '{"path": "/status/503"}'});
pending_then(q{SELECT etl.mute_alerts('infinity', 'down again')}, '2 muted the route is muted', 'muted meanwhile');
sql(q{SELECT etl.mute_alerts(NULL, 'down again')});
pending_then(q{SELECT etl.alter_alert_route('down again', enabled => false)}, '2 muted the route is disabled', 'disabled meanwhile');
sql(q{SELECT etl.alter_alert_route('down again', enabled => true)});
pending_then(q{REVOKE USAGE ON FOREIGN SERVER chat FROM bi}, '2 failed role "bi", who owns the route, has no USAGE on server "chat"', 'the server is taken away meanwhile');
sql(q{GRANT USAGE ON FOREIGN SERVER chat TO bi});
sql(q{SELECT etl.drop_alert_route('down again')});
# The owner of a route is no member of the pipeline's owner any more.
sql(q{GRANT bi TO other});
route('guest', q{'webhook', server => 'chat', config => '{"path": "/status/503"}', match => '{"pipeline": "long", "event": "run_failed"}'}, 'other');
sql("SET log_statement = none; ALTER USER MAPPING FOR other SERVER chat OPTIONS (DROP url)");
$run = sql(q{SELECT etl.run_pipeline('long', wait => false)});
sql("SELECT etl.wait_for_run($run)");
$alert = sql(q{SELECT max(alert_id) FROM etl.alert_delivery WHERE route = 'guest'});
comes_true(qq{SELECT count(*) = 2 FROM etl.alert_delivery WHERE route = 'guest'}, 'membership: a member hears of the pipeline');
sql(q{REVOKE bi FROM other});
sql(q{UPDATE etl.alert_delivery SET due_at = now() WHERE state = 'pending'});
comes_true(q{SELECT count(*) = 1 FROM etl.alert_delivery WHERE route = 'guest' AND try = 2
	AND message = 'the owner of the route is no member of the pipeline''s owner any more'}, 'membership: who is none any more does not');
is(scalar(grep { decode_json($_->{body})->{pipeline} // '' eq 'long' } requests('/status/503')) > 0, 1, 'membership: the first try was made');
sql(q{SELECT etl.drop_alert_route('guest'); SELECT etl.drop_pipeline('long')});

# ---- A receiver that does not answer holds up nobody else, and dying in the middle loses nothing.
route('silent', q{'webhook', server => 'chat', config => '{"path": "/silent/one"}', suppress => '0'});
sub fail_once
{
	sql(q{CREATE TABLE IF NOT EXISTS breaks ()});
	my $id = sql(q{SELECT etl.run_pipeline('niños', wait => false, tasks => '{breaks}')});
	sql("SELECT etl.wait_for_run($id)");
	return sql("SELECT max(alert_id) FROM etl.alert WHERE run_id = $id");
}
sql('TRUNCATE etl.alert CASCADE');
sub sending { return sql("SELECT string_agg(route || ' ' || try || ' ' || state, ', ' ORDER BY route, try) FROM etl.alert_delivery WHERE alert_id = (SELECT min(alert_id) FROM etl.alert)"); }
$alert = fail_once();
comes_true(q{SELECT count(*) = 2 FROM etl.alert_delivery WHERE route = 'hook' AND state = 'sent'}, 'silent receiver: the other one has heard of everything');
is(sending(), 'hook 1 sent, silent 1 sending', 'silent receiver: it is still being waited for');
comes_true(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'etl notifier' AND xact_start IS NOT NULL}, 'silent receiver: no transaction is open meanwhile');

# pg_terminate_backend: the next notifier finds what was being sent.
my $first = sql('SELECT min(alert_id) FROM etl.alert');
comes_true(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'etl scheduler'}, 'terminated notifier: no scheduler is there to start another one');
sql("SELECT pg_terminate_backend($notifier)");
comes_true($idle, 'terminated notifier: it is gone');
is(sending(), 'hook 1 sent, silent 1 sending', 'terminated notifier: its try is still said to be sending');
sql(q{SET ROLE bi; SELECT etl.alter_alert_route('silent', config => '{"path": "/ok/silent"}')});
sql(q{SET ROLE bi; SELECT etl.test_alert_route('hook')});
comes_true("SELECT count(*) = 1 FROM etl.alert_delivery WHERE alert_id = $first AND route = 'silent' AND try = 1 AND state = 'failed' AND message = 'the notifier ended'",
	'terminated notifier: the next one counts the try as failed');
comes_true("SELECT count(*) = 1 FROM etl.alert_delivery WHERE alert_id > $first AND route = 'silent' AND state = 'sent'", 'terminated notifier: and sends the next alert');
sql("UPDATE etl.alert_delivery SET due_at = now() WHERE state = 'pending'");
comes_true("SELECT count(*) = 1 FROM etl.alert_delivery WHERE alert_id = $first AND route = 'silent' AND try = 2 AND state = 'sent'", 'terminated notifier: and the first one again');
comes_true($idle, 'terminated notifier: all is done');

# kill -9 while it sends: the server restarts, and by itself delivers what was on its way.
sql(q{SET ROLE bi; SELECT etl.alter_alert_route('silent', config => '{"path": "/silent/two"}')});
sql('TRUNCATE etl.alert CASCADE');
fail_once();
comes_true(q{SELECT count(*) = 1 FROM etl.alert_delivery WHERE route = 'silent' AND state = 'sending'}, 'killed notifier: it is sending');
comes_true(q{SELECT count(*) = 2 FROM etl.alert_delivery WHERE route = 'hook' AND state = 'sent'}, 'killed notifier: the other receiver has heard of everything');
my $before = scalar requests('/ok/hook');
sql(q{SET ROLE bi; SELECT etl.alter_alert_route('silent', config => '{"path": "/ok/again"}')});
my $pid = sql("SELECT $notifier");
kill 'KILL', $pid;
$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid");
comes_true(q{SELECT count(*) = 1 FROM etl.alert_delivery WHERE route = 'silent' AND state = 'failed' AND message = 'the notifier ended'},
	'killed notifier: after the restart another one finds its try');
comes_true(q{SELECT count(*) = 1 FROM etl.alert_delivery WHERE route = 'silent' AND state = 'sent'}, 'killed notifier: and delivers the other alert');
sql("UPDATE etl.alert_delivery SET due_at = now() WHERE state = 'pending'");
comes_true(q{SELECT count(*) = 2 FROM etl.alert_delivery WHERE route = 'silent' AND state = 'sent'}, 'killed notifier: both alerts are delivered');
is(join(' ', map { decode_json($_->{body})->{event} } requests('/ok/again')), 'run_failed task_failed', 'killed notifier: once each; what was not due yet came after');
is(sql('SELECT string_agg(event, \' \' ORDER BY alert_id) FROM etl.alert'), 'task_failed run_failed', 'killed notifier: each alert is there once');
is(scalar requests('/ok/hook'), $before, 'killed notifier: what had been sent is not sent again');
comes_true($idle, 'killed notifier: all is done');

# An immediate stop with an alert that nobody has claimed yet: the same.
sql(q{SET ROLE bi; SELECT etl.alter_alert_route('silent', config => '{"path": "/silent/three"}')});
sql('TRUNCATE etl.alert CASCADE');
fail_once();
comes_true(q{SELECT count(*) = 1 FROM etl.alert_delivery WHERE route = 'silent' AND state = 'pending'}, 'stop: one alert waits behind another');
$node->stop('immediate');
$node->start;
comes_true(q{SELECT count(*) = 2 FROM etl.alert_delivery WHERE route = 'silent' AND (try, state) IN ((1, 'failed'), (1, 'sending'))}, 'stop: after the start both are taken up');

# ---- DROP EXTENSION goes through while it sends, and the notifier ends.
$node->psql('postgres', 'SET statement_timeout = 120000; DROP EXTENSION etl_ext CASCADE', on_error_stop => 1);
is(sql(q{SELECT count(*) FROM pg_extension WHERE extname = 'etl_ext'}), 0, 'DROP EXTENSION goes through');
comes_true($idle, 'DROP EXTENSION: the notifier ends');

# ---- A database in another encoding: what is sent is UTF-8.
sql(q{CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'});
$node->safe_psql('latin', qq{
SET client_encoding = 'UTF8';
CREATE EXTENSION etl_ext;
CREATE SERVER chat FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'http://127.0.0.1:$http_port');
SELECT etl.add_alert_route('größe', 'webhook', server => 'chat', config => '{"path": "/ok/latin"}');
SELECT etl.test_alert_route('größe')}, extra_params => [ '-v', 'ON_ERROR_STOP=1' ]);
ok($node->poll_query_until('latin', q{SELECT count(*) = 1 FROM etl.alert_delivery WHERE state = 'sent'}), 'LATIN1: it is sent');
like(decode_json((requests('/ok/latin'))[0]->{body})->{message}, qr/"gr\x{f6}\x{df}e"/, 'LATIN1: as UTF-8');

# ---- Secrets are where they were put and nowhere else.
my $log = slurp_file($node->logfile);
is(scalar(grep { index($log, $_) >= 0 } @secrets), 0, 'secrets: none in the log of the server');
like($log, qr/etl_ext: \[fail\]/, 'secrets: it is the log that was looked at');

$node->stop;
done_testing();
