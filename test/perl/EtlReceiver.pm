package EtlReceiver;

# Receivers of alerts for tests: an HTTP server and a mail server on free ports of 127.0.0.1. Each connection has a process
# of its own; what arrives is written to a file, one line of JSON each. They end with the test.
#
# HTTP: what is answered follows from the path.
#   /ok          200 "thanks"
#   /status/NNN  NNN
#   /flaky/NAME  500 the first time, 200 afterwards
#   /redirect    302 to /ok
#   /echo        200 with everything that was sent
#   /endless     200 with a body that does not end
#   /silent      nothing
# Mail: what is answered to RCPT TO follows from the address.
#   nobody@...   550        busy@...  451
# All others are accepted. AUTH PLAIN and LOGIN take any user whose password is not "wrong". QUIT is never answered;
# whether the client waits for an answer is noted.

use strict;
use warnings;
use Fcntl qw(:flock);
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use MIME::Base64;

my @children;

# start(KIND, DIRECTORY) starts a receiver, http or smtp, that writes to files there.
sub start
{
	my ($class, $kind, $dir) = @_;
	my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 64, Proto => 'tcp')
	  or die "no free port: $!";
	my $self = bless { kind => $kind, dir => $dir, port => $listener->sockport, log => "$dir/$kind.log" }, $class;

	open(my $log, '>', $self->{log}) or die "$self->{log}: $!";
	close $log;
	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		$SIG{CHLD} = 'IGNORE';
		$SIG{PIPE} = 'IGNORE';
		# Nothing but the process ends: what the test has set up is not this one's to clean.
		eval { $self->serve($listener) };
		POSIX::_exit(0);
	}
	push @children, $pid;
	close $listener;
	return $self;
}

sub port { return $_[0]->{port}; }

# received returns all that has arrived, as hashes.
sub received
{
	my ($self) = @_;
	open(my $log, '<', $self->{log}) or die "$self->{log}: $!";
	return map { decode_json($_) } <$log>;
}

sub serve
{
	my ($self, $listener) = @_;
	my $parent = getppid();
	while (my $peer = $listener->accept)
	{
		last if getppid() != $parent;
		my $pid = fork() // next;
		if ($pid == 0)
		{
			close $listener;
			alarm 120;
			$peer->autoflush(1);
			$self->{kind} eq 'http' ? $self->http($peer) : $self->smtp($peer);
			POSIX::_exit(0);
		}
		close $peer;
	}
	return;
}

# note writes down what has arrived: bytes, as they came.
sub note
{
	my ($self, $what) = @_;
	open(my $log, '>>', $self->{log}) or die "$self->{log}: $!";
	flock($log, LOCK_EX);
	print $log JSON::PP->new->ascii->canonical->encode($what), "\n";
	close $log;
	return;
}

# first_time says whether a name was not seen before.
sub first_time
{
	my ($self, $name) = @_;
	$name =~ s/\W/_/g;
	return mkdir "$self->{dir}/seen_$name";
}

sub answer
{
	my ($peer, $status, $body, $header) = @_;
	print $peer "HTTP/1.1 $status Answer\r\nContent-Type: text/plain\r\n", $header // '', 'Content-Length: ', length($body),
	  "\r\nConnection: close\r\n\r\n$body";
	return;
}

sub http
{
	my ($self, $peer) = @_;
	my ($method, $path) = (<$peer> // '') =~ /^(\S+) (\S+)/ or return;
	my %header;
	while (defined(my $line = <$peer>))
	{
		$line =~ s/\r?\n$//;
		last if $line eq '';
		my ($name, $value) = $line =~ /^([^:]+):\s*(.*)$/ or next;
		$header{ lc $name } = $value;
	}
	my $body = '';
	read($peer, $body, $header{'content-length'} // 0);
	$self->note({ method => $method, path => $path, header => \%header, body => $body });

	if ($path =~ m{^/status/(\d+)}) { answer($peer, $1, "answer $1"); }
	elsif ($path =~ m{^/flaky/}) { answer($peer, $self->first_time($path) ? 500 : 200, 'sometimes'); }
	elsif ($path =~ m{^/redirect}) { answer($peer, 302, '', "Location: /ok\r\n"); }
	elsif ($path =~ m{^/echo}) { answer($peer, 200, join(' ', %header, $body)); }
	elsif ($path =~ m{^/silent}) { my $rest = <$peer>; }
	elsif ($path =~ m{^/endless})
	{
		print $peer "HTTP/1.1 200 Answer\r\nConnection: close\r\n\r\n";
		1 while print $peer 'x' x 8192;
	}
	else { answer($peer, 200, 'thanks'); }
	return;
}

# line_of reads a line from the client.
sub line_of
{
	my ($peer) = @_;
	my $line = <$peer>;
	return undef unless defined $line;
	$line =~ s/\r?\n$//;
	return $line;
}

# login does AUTH and returns "user:password", or undef when it is refused.
sub login
{
	my ($peer, $mechanism, $initial) = @_;
	my ($user, $password);
	if ($mechanism eq 'PLAIN')
	{
		print $peer "334 \r\n" unless defined $initial;
		(undef, $user, $password) = split /\0/, decode_base64($initial // line_of($peer));
	}
	else
	{
		print $peer "334 VXNlcm5hbWU6\r\n" unless defined $initial;
		$user = decode_base64($initial // line_of($peer));
		print $peer "334 UGFzc3dvcmQ6\r\n";
		$password = decode_base64(line_of($peer));
	}
	return $password eq 'wrong' ? undef : "$user:$password";
}

# end_smtp notes whether the client goes after QUIT without waiting for an answer.
sub end_smtp
{
	my ($self, $peer) = @_;
	my $gone = IO::Select->new($peer)->can_read(60);
	$self->note({ quit => $gone ? 'gone' : 'waits' });
	return;
}

sub smtp
{
	my ($self, $peer) = @_;
	my %mail = (to => []);
	print $peer "220 receiver ready\r\n";
	while (defined(my $line = line_of($peer)))
	{
		if ($line =~ /^EHLO/i) { print $peer "250-receiver\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME\r\n"; }
		elsif ($line =~ /^AUTH (\w+)(?: (\S+))?/i)
		{
			$mail{login} = login($peer, uc $1, $2);
			print $peer defined $mail{login} ? "235 welcome\r\n" : "535 5.7.8 no such user or password\r\n";
		}
		elsif ($line =~ /^MAIL FROM:<(.*?)>/i) { $mail{from} = $1; print $peer "250 ok\r\n"; }
		elsif ($line =~ /^RCPT TO:<(nobody@.*?)>/i) { print $peer "550 5.1.1 there is no $1\r\n"; }
		elsif ($line =~ /^RCPT TO:<(busy@.*?)>/i) { print $peer "451 4.3.0 $1 is busy\r\n"; }
		elsif ($line =~ /^RCPT TO:<(.*?)>/i) { push @{ $mail{to} }, $1; print $peer "250 ok\r\n"; }
		elsif ($line =~ /^DATA/i)
		{
			print $peer "354 go on\r\n";
			$mail{data} = '';
			while (defined(my $text = <$peer>))
			{
				last if $text eq ".\r\n";
				$text =~ s/^\.\././;
				$mail{data} .= $text;
			}
			$self->note(\%mail);
			print $peer "250 2.0.0 queued as 12345\r\n";
		}
		elsif ($line =~ /^QUIT/i) { return $self->end_smtp($peer); }
		else { print $peer "250 ok\r\n"; }
	}
	return;
}

use POSIX ();

END
{
	my $status = $?;
	kill 'TERM', @children;
	waitpid($_, 0) for @children;
	$? = $status;
}

1;
