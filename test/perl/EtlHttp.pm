# An HTTP server whose answers a test writes: good ones, and all kinds of bad ones.
#
#   my $server = EtlHttp->start(sub { my ($request) = @_; return { body => '[]' } });
#   $server->url                     http://127.0.0.1:PORT
#   $server->requests                what was asked so far: method, path, query (hash), headers (lower case), body
#   $server->forget                  forgets them
#   $server->set(name => 'value')    for the answers: EtlHttp::value('name')
#   $server->stop
#
# EtlHttp->start($sub, quiet => 1) keeps no requests, which is faster.
#
# The sub is called in a process for each connection. The request also has "times": how often the same was asked before. An
# answer has: status (200), headers (list of lines), body, framing (length, chunked, none), cut (so many bytes of the body, and
# then the connection ends), reset (by RST), bad_chunk, delay (seconds), raw (instead of all that).
package EtlHttp;

use strict;
use warnings;
use parent 'EtlChild';
use Fcntl qw(:flock);
use File::Temp;
use JSON::PP;
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER IPPROTO_TCP TCP_NODELAY);

my ($dir_of_process, $quiet);

sub start
{
	my ($class, $answer, %how) = @_;
	my $self = bless { dir => File::Temp->newdir }, $class;
	return $self->spawn('http', sub {
		my ($listener, $parent) = @_;
		$SIG{CHLD} = 'IGNORE';
		($dir_of_process, $quiet) = ("$self->{dir}", $how{quiet});
		_serve($listener, $answer, $parent);
	});
}

sub url { return "http://127.0.0.1:$_[0]{port}" }

sub requests
{
	my ($self) = @_;
	return _log("$self->{dir}");
}

sub forget
{
	my ($self) = @_;
	unlink "$self->{dir}/log";
}

sub set
{
	my ($self, $name, $value) = @_;
	_write("$self->{dir}/value_$name", $value);
}

# value is for the answers: what the test has set, or ''.
sub value
{
	my ($name) = @_;
	open(my $file, '<', "$dir_of_process/value_$name") or return '';
	local $/;
	return scalar <$file>;
}

sub _write
{
	my ($path, $content) = @_;
	open my $file, '>', "$path.new" or die "http: $!";
	print $file $content;
	close $file;
	rename "$path.new", $path or die "http: $!";
}

sub _log
{
	my ($dir) = @_;
	open(my $file, '<', "$dir/log") or return;
	flock $file, LOCK_SH;
	return map { decode_json($_) } <$file>;
}

# _note adds a request to the log and returns how often the same was asked before.
sub _note
{
	my ($request) = @_;
	open my $file, '+>>', "$dir_of_process/log" or die "http: $!";
	flock $file, LOCK_EX;
	seek $file, 0, 0;
	my $times = grep { my $old = decode_json($_); "$old->{method} $old->{target} $old->{body}" eq "$request->{method} $request->{target} $request->{body}" } <$file>;
	seek $file, 0, 2;
	print $file encode_json($request), "\n";
	close $file;
	return $times;
}

sub _serve
{
	my ($listener, $answer, $parent) = @_;
	while (1)
	{
		exit 0 if getppid != $parent;
		my $client = $listener->accept or next;
		my $pid = fork;
		next if $pid;
		$listener->close;
		setsockopt $client, IPPROTO_TCP, TCP_NODELAY, 1;
		eval { 1 while _exchange($client, $answer) };
		warn "http: $@" if $@;
		POSIX::_exit(0);
	}
}

# _exchange reads a request and answers it; false: the connection has ended.
sub _exchange
{
	my ($client, $answer) = @_;
	my $line = <$client>;
	return 0 unless defined $line && $line =~ m{^(\S+) (\S+) HTTP/};
	my %request = (method => $1, target => $2, headers => {}, body => '');
	while (defined(my $header = <$client>))
	{
		last if $header =~ /^\r?\n/;
		$request{headers}{ lc $1 } = $2 if $header =~ /^([^:]+):\s*(.*?)\r?\n/;
	}
	my $length = $request{headers}{'content-length'} // 0;
	read $client, $request{body}, $length if $length > 0;
	($request{path}, my $query) = split /\?/, $request{target}, 2;
	$request{query} = { map { my ($n, $v) = split /=/, $_, 2; (_unescape($n), _unescape($v // '')) } split /&/, $query // '' };
	$request{times} = $quiet ? 0 : _note(\%request);
	return _answer($client, $answer->(\%request));
}

sub _unescape
{
	my ($text) = @_;
	$text =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
	return $text;
}

# _answer sends an answer; false: and then the connection ends.
sub _answer
{
	my ($client, $answer) = @_;
	my $body = $answer->{body} // '';
	my $framing = $answer->{framing} // 'length';
	my $status = $answer->{status} // 200;
	select undef, undef, undef, $answer->{delay} if $answer->{delay};
	my $head = "HTTP/1.1 $status Whatever\r\n" . join '', map { "$_\r\n" } @{ $answer->{headers} // [] };
	$head .= 'Content-Length: ' . length($body) . "\r\n" if $framing eq 'length' && $status != 304 && $status != 204;
	$head .= "Transfer-Encoding: chunked\r\n" if $framing eq 'chunked';
	$head .= "Connection: close\r\n" if $framing eq 'none';
	my $ends = $framing eq 'none' || defined $answer->{cut} || $answer->{bad_chunk};
	my $sent = defined $answer->{cut} ? substr $body, 0, $answer->{cut} : $body;
	if ($framing eq 'chunked')
	{
		my $chunks = join '', map { sprintf "%x\r\n%s\r\n", length, $_ } $sent =~ /(.{1,1000})/sg;
		$chunks .= $answer->{bad_chunk} ? "zz\r\n" : defined $answer->{cut} ? '' : "0\r\n\r\n";
		$sent = $chunks;
	}
	print $client $answer->{raw} // "$head\r\n$sent";
	$client->flush;
	setsockopt $client, SOL_SOCKET, SO_LINGER, pack('II', 1, 0) if $answer->{reset};
	return !$ends && !defined $answer->{raw};
}

1;
