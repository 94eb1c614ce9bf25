# A server in a process of its own, on a free port of 127.0.0.1: what EtlHttp and EtlProxy are.
package EtlChild;

use strict;
use warnings;
use IO::Socket::INET;
use POSIX ();

# spawn(NAME, SUB) runs SUB with the listening socket and the number of this process. Nothing but the process ends with it:
# not the files, not the END blocks of the test.
sub spawn
{
	my ($self, $name, $serve) = @_;
	my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 64, ReuseAddr => 1)
	  or die "$name: $!";
	my $parent = $$;

	$self->{port} = $listener->sockport;
	$self->{pid} = fork // die "$name: $!";
	if ($self->{pid} == 0)
	{
		$SIG{TERM} = sub { POSIX::_exit(0) };
		$SIG{PIPE} = 'IGNORE';
		eval { $serve->($listener, $parent) };
		warn "$name: $@" if $@;
		POSIX::_exit(0);
	}
	$listener->close;
	return $self;
}

sub port { return $_[0]{port} }

sub stop
{
	my ($self) = @_;
	return unless $self->{pid};
	kill 'TERM', $self->{pid};
	waitpid $self->{pid}, 0;
	delete $self->{pid};
	return;
}

1;
